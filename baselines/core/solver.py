"""Exact optimal values, and exact evaluation of any policy, without discounting.

Where every succession leads to a later row (counts only grow), both take one compiled sweep:
backward induction, O(K). Where states can recur the problem is a stochastic shortest path (Bertsekas
& Tsitsiklis 1991): value iteration for a policy to begin with, then Howard's policy iteration, each
evaluation a sparse linear system; it stops at the optimum after finitely many policies, because each
is better than the one before. An episode of L steps multiplies what a step loses by L, so the last
policies are valued, and compared, in twice the precision (:mod:`baselines.core.linear`). Policies
that may never end are found by reachability, not by divergence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from baselines.core.linear import Moves, PrecisionError, action_values_of
from baselines.core.process import DecisionProcess

_ENDING = 1e-12
"""Least probability of ending that is told from the rounding of a sum of probabilities."""
_SWEEPS = 300
"""Sweeps of value iteration before policies are valued exactly."""
_DENSE, _ACCURATE = 200, 1e-12
"""Most states for which a dense linear system is quicker, and the relative error of its value."""
_ROUNDING = 2.0**-50
_TIE = 2.0**-80
"""Difference of two action values, relative to their terms, below which it is rounding."""


__all__ = [
    "Evaluation",
    "ImproperPolicyError",
    "PrecisionError",
    "Solution",
    "as_probabilities",
    "bellman_residual",
    "evaluate",
    "solve",
]


class ImproperPolicyError(ValueError):
    """A policy, or every policy, may go on for ever from a state that can occur."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Optimal values (S,), action values (S, A) and an optimal action for each state (S,).

    Where states recur, ``losses`` (S, A) are the gaps, closer than the difference of two rounded
    numbers: they count at every visit.
    """

    value: float
    values: NDArray[np.float64]
    action_values: NDArray[np.float64]
    actions: NDArray[np.int64]
    losses: NDArray[np.float64] | None = None

    def gaps(self) -> NDArray[np.float64]:
        """Return V*(s) − Q*(s, a), (S, A): what each action loses against the best."""
        if self.losses is not None:
            return self.losses
        return self.values[:, np.newaxis] - self.action_values

    def gaps_at(
        self, states: NDArray[np.integer], actions: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Return the gaps of actions (n,) in states (n,), without the table of all, (n,)."""
        if self.losses is not None:
            return np.asarray(self.losses[states, actions])
        return np.asarray(self.values[states] - self.action_values[states, actions])


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a policy earns.

    Attributes
    ----------
    value
        Expected return from the start, in money; −inf for a policy that may pay for ever.
    values
        float64 (S,): expected return from each state; NaN where the policy, did it come there, may
        go on for ever without a definite loss.
    occupancy
        float64 (S,): expected number of visits in an episode; all zero when ``value`` is −inf.
    stakes
        Expected sum of |reward| along an episode, in money: what the rounding of ``value`` is
        measured by. inf when ``value`` is −inf.
    """

    value: float
    values: NDArray[np.float64]
    occupancy: NDArray[np.float64]
    stakes: float

    @property
    def expected_length(self) -> float:
        """Expected number of decisions in an episode; inf when ``value`` is −inf."""
        return math.inf if self.value == -math.inf else float(self.occupancy.sum())


def solve(model: DecisionProcess) -> Solution:
    """Return the optimum of a model.

    Raises
    ------
    ImproperPolicyError
        There is a state from which no policy is certain to end, or a policy may gain for ever.
    PrecisionError
        Episodes last so long that float64 cannot tell them from endless ones.
    """
    model.check()
    if model.is_ordered:
        values, action_values = _backward_induction(
            model.rewards, model.allowed, model.first, model.successors, model.probabilities
        )
        actions, losses = _best(action_values, model.allowed), None
    else:
        values, action_values, actions, losses = _policy_iteration(model)
    return Solution(
        value=float(model.initial_probabilities @ values[model.initial_states]) + 0.0,
        values=values + 0.0,  # + 0.0 makes −0.0 a plain zero
        action_values=action_values + 0.0,
        actions=actions,
        losses=losses,
    )


def optimal_value(model: DecisionProcess) -> float:
    """Return the optimal value alone: of a small model with cycles in a tenth of the time of :func:`solve`.

    Raises
    ------
    ImproperPolicyError, PrecisionError
        As :func:`solve`.
    """
    if not model.is_ordered and model.num_states <= _DENSE:
        try:
            values, error = _dense_policy_iteration(
                model.rewards, model.allowed, model.first, model.successors, model.probabilities
            )
        except np.linalg.LinAlgError:  # a policy on the way that never ends
            return solve(model).value
        value = float(model.initial_probabilities @ values[model.initial_states])
        if error <= _ACCURATE * abs(value):
            return value + 0.0
    return solve(model).value


def evaluate(
    model: DecisionProcess, policy: NDArray[np.integer] | NDArray[np.float64]
) -> Evaluation:
    """Return the exact value and occupancy of a policy.

    Parameters
    ----------
    policy
        Whole numbers (S,), the action in each state; or float64 (S, A), its probabilities.

    Raises
    ------
    ValueError
        Wrong shape, or rows that are not probabilities.
    ImproperPolicyError
        The policy may, from the start, go on for ever without a definite loss.
    PrecisionError
        Episodes last so long that float64 cannot tell them from endless ones.
    """
    policy = as_probabilities(model, policy)
    start = np.zeros(model.num_states)
    np.add.at(start, model.initial_states, model.initial_probabilities)
    if model.is_ordered:
        values, occupancy = _sweep(
            model.rewards, model.first, model.successors, model.probabilities, policy, start
        )
    else:
        values, occupancy = _evaluate_cyclic(model, policy, start)
    reached = start > 0
    value = float(start[reached] @ values[reached]) + 0.0
    stakes = math.inf
    if value > -math.inf:
        stakes = float(occupancy @ (policy * np.abs(model.rewards)).sum(axis=1))
    return Evaluation(value, values + 0.0, occupancy, stakes)


def as_probabilities(
    model: DecisionProcess, policy: NDArray[np.integer] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a policy of either form as checked probabilities, float64 (S, A)."""
    policy = np.asarray(policy)
    shape = model.num_states, model.num_actions
    if policy.shape == shape[:1] and policy.dtype.kind in "iu":
        wrong = (policy < 0) | (policy >= shape[1])
        if wrong.any():
            raise ValueError(
                f"the policy's action {policy[wrong.argmax()]} in state {wrong.argmax()}: allowed "
                f"are 0 to {shape[1] - 1}"
            )
        return np.asarray(np.arange(shape[1]) == policy[:, np.newaxis], np.float64)
    if policy.shape != shape:
        raise ValueError(
            f"policy: actions of shape {shape[:1]} or probabilities of shape {shape} are needed, "
            f"got {policy.dtype} of shape {policy.shape}"
        )
    # In float64 before the sum: a network's float32 rows sum to one only to 1e-7.
    policy = policy.astype(np.float64)
    total = policy.sum(axis=1)
    # Not `> tolerance`: a NaN must fail.
    wrong = ~((np.abs(total - 1) <= 1e-6) & (policy >= 0).all(axis=1))
    if wrong.any():
        i = wrong.argmax()
        raise ValueError(f"the policy's probabilities in state {i} are {policy[i]}")
    return policy / total[:, np.newaxis]


def bellman_residual(model: DecisionProcess, solution: Solution) -> float:
    """Return the largest |V(s) − max over a of (reward + E V(next))|, in money."""
    backed_up = model.rewards + (model.transition_matrix() @ solution.values).reshape(
        model.rewards.shape
    )
    best = np.where(model.allowed, backed_up, -np.inf).max(axis=1)
    return float(np.abs(best - solution.values).max())


def _best(action_values: NDArray[np.float64], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.where(allowed, action_values, -np.inf).argmax(axis=1)


@njit(cache=True, error_model="numpy")
def _backward_induction(rewards, allowed, first, successors, probabilities):  # type: ignore[no-untyped-def]
    num_states, num_actions = rewards.shape
    values = np.empty(num_states)
    action_values = np.empty((num_states, num_actions))
    for s in range(num_states - 1, -1, -1):
        best = -np.inf
        for a in range(num_actions):
            pair = s * num_actions + a
            total = rewards[s, a]
            for k in range(first[pair], first[pair + 1]):
                total += probabilities[k] * values[successors[k]]
            action_values[s, a] = total
            if allowed[s, a] and total > best:
                best = total
        values[s] = best
    return values, action_values


@njit(cache=True, error_model="numpy")
def _sweep(rewards, first, successors, probabilities, policy, start):  # type: ignore[no-untyped-def]
    num_states, num_actions = rewards.shape
    occupancy = start.copy()
    for s in range(num_states):
        if occupancy[s] == 0.0:
            continue
        for a in range(num_actions):
            weight = occupancy[s] * policy[s, a]
            if weight > 0.0:
                pair = s * num_actions + a
                for k in range(first[pair], first[pair + 1]):
                    occupancy[successors[k]] += weight * probabilities[k]
    values = np.empty(num_states)
    for s in range(num_states - 1, -1, -1):
        total = 0.0
        for a in range(num_actions):
            if policy[s, a] > 0.0:
                pair = s * num_actions + a
                action_value = rewards[s, a]
                for k in range(first[pair], first[pair + 1]):
                    action_value += probabilities[k] * values[successors[k]]
                total += policy[s, a] * action_value
        values[s] = total
    return values, occupancy


def _policy_iteration(
    model: DecisionProcess,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Howard's algorithm, from the greedy policy of values that have nearly converged.

    Returns values (S,), action values (S, A), the best actions (S,) and the gaps (S, A).
    """
    rows = np.arange(model.num_states)
    actions = _proper_start(model)
    seen: set[bytes] = set()
    while True:
        high, low = _values(model, as_probabilities(model, actions))
        upper, lower, size = action_values_of(
            model.rewards, model.first, model.successors, model.probabilities, high, low
        )
        gains = (upper - upper[rows, actions, np.newaxis]) + (
            lower - lower[rows, actions, np.newaxis]
        )
        # A smaller one is rounding: the two are worth the same, and what is kept is what ends.
        gains[np.abs(gains) <= _TIE * size] = 0.0
        candidates = _best(gains, model.allowed)
        better = gains[rows, candidates] > 0.0
        # Each policy is better than the one before, unless what told them apart was rounding.
        seen.add(actions.tobytes())
        following = np.where(better, candidates, actions)
        if not better.any() or following.tobytes() in seen:
            gains[model.allowed & (gains > 0.0)] = 0.0
            return upper[rows, actions], upper, actions, 0.0 - gains
        actions = following


@njit(cache=True, error_model="numpy")
def _dense_policy_iteration(rewards, allowed, first, successors, probabilities):  # type: ignore[no-untyped-def]
    """Return the values (S,) of a small model, and a bound on their error; inf where it has none.

    The error is that of the linear system, rounding of the largest reward at each of the visits to come
    and to whatever comes before them, and that of gains too small to be told from rounding.
    """
    num_states, num_actions = rewards.shape
    values, actions = np.zeros(num_states), np.zeros(num_states, np.int64)
    _iterate_values(
        rewards, allowed, first, successors, probabilities, np.arange(num_states), values, _SWEEPS
    )
    right = np.full((num_states, 2), np.inf)
    for turn in range(num_states + 10):
        size, moved = 1e-300, False
        for s in range(num_states):
            here = -np.inf
            best, choice = -np.inf, 0
            for a in range(num_actions):
                if allowed[s, a]:
                    pair = s * num_actions + a
                    total = rewards[s, a]
                    for k in range(first[pair], first[pair + 1]):
                        total += probabilities[k] * values[successors[k]]
                    if total > best:
                        best, choice = total, a
                    if a == actions[s]:
                        here = total
            size = max(size, abs(best))
            if best > here + _ROUNDING * size:
                actions[s], moved = choice, True
        if turn and not moved:
            visits = right[:, 1].max()
            return values, _ROUNDING * visits * (visits * np.abs(rewards).max() + size)
        system = np.eye(num_states)
        for s in range(num_states):
            pair = s * num_actions + actions[s]
            right[s, 0], right[s, 1] = rewards[s, actions[s]], 1.0
            for k in range(first[pair], first[pair + 1]):
                system[s, successors[k]] -= probabilities[k]
        right[:] = np.linalg.solve(system, right)
        values[:] = right[:, 0]
        if not right[:, 1].min() >= 1.0 - 1e-9:
            break  # not certain to end, or not so that float64 can tell
    return values, np.inf


def _proper_start(model: DecisionProcess) -> NDArray[np.int64]:
    """Return actions (S,) that are nearly the best, and certain to end from every state."""
    order = _towards_end(model)
    values = np.zeros(model.num_states)
    _iterate_values(
        model.rewards,
        model.allowed,
        model.first,
        model.successors,
        model.probabilities,
        order,
        values,
        _SWEEPS,
    )
    action_values = model.rewards + (model.transition_matrix() @ values).reshape(
        model.rewards.shape
    )
    actions = _best(action_values, model.allowed)
    if _endless(_moves(model, as_probabilities(model, actions)))[0].any():
        return _proper_actions(model, order)
    return actions


@njit(cache=True, error_model="numpy")
def _iterate_values(  # type: ignore[no-untyped-def]
    rewards, allowed, first, successors, probabilities, order, values, sweeps
):
    """Improve the values in place, state after state, until nothing moves or the sweeps are done."""
    num_actions = rewards.shape[1]
    for _ in range(sweeps):
        moved, size = 0.0, 1.0
        for s in order:
            best = -np.inf
            for a in range(num_actions):
                if allowed[s, a]:
                    pair = s * num_actions + a
                    total = rewards[s, a]
                    for k in range(first[pair], first[pair + 1]):
                        total += probabilities[k] * values[successors[k]]
                    best = max(best, total)
            moved, size = max(moved, abs(best - values[s])), max(size, abs(best))
            values[s] = best
        if moved <= 1e-13 * size:
            return


def _towards_end(model: DecisionProcess) -> NDArray[np.integer]:
    """Return the states in the order of how near to the end they may be.

    Raises an ImproperPolicyError if there is one from which no policy is certain to end.
    """
    shape = num_states, num_actions = model.rewards.shape
    pairs, successors = _usable(model)
    moves = sparse.csr_array(
        (np.ones(len(pairs)), (pairs // num_actions, successors)), shape=(num_states, num_states)
    )
    ending = _ending(model.transition_matrix()).reshape(shape) & model.allowed
    order = _backwards(moves, np.asarray(ending.any(axis=1)))
    if len(order) < num_states:
        missing = np.setdiff1d(np.arange(num_states), order)
        raise ImproperPolicyError(f"no policy is certain to end from state {missing[0]}")
    return order


def _proper_actions(model: DecisionProcess, order: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return for each state (S,) the action that may end the episode or comes nearest to the end."""
    shape = num_states, num_actions = model.rewards.shape
    rank = np.empty(num_states, np.int64)
    rank[order] = np.arange(num_states)
    pairs, successors = _usable(model)
    earliest = np.full(num_states * num_actions, num_states)
    np.minimum.at(earliest, pairs, rank[successors])
    earliest[_ending(model.transition_matrix()) & model.allowed.ravel()] = -1
    actions: NDArray[np.int64] = earliest.reshape(shape).argmin(axis=1)
    return actions


def _usable(model: DecisionProcess) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the state-action pairs and successors of the successions that allowed actions bring."""
    pairs = np.repeat(np.arange(model.rewards.size), np.diff(model.first))
    usable = (model.probabilities > 0) & model.allowed.ravel()[pairs]
    return pairs[usable], model.successors[usable]


def _ending(transitions: sparse.csr_array) -> NDArray[np.bool_]:
    """Return the rows after which the episode may end."""
    return np.asarray(1.0 - transitions.sum(axis=1) > _ENDING, np.bool_)


def _moves(model: DecisionProcess, policy: NDArray[np.float64]) -> sparse.csr_array:
    """Return the probabilities from state to state under a policy, (S, S)."""
    n, num_actions = model.rewards.shape
    mixture = sparse.csr_array(
        (
            policy.ravel(),
            np.arange(n * num_actions),
            np.arange(0, n * num_actions + 1, num_actions),
        ),
        shape=(n, n * num_actions),
    )
    moves = (mixture @ model.transition_matrix()).tocsr()
    moves.eliminate_zeros()
    return moves


def _evaluate_cyclic(
    model: DecisionProcess, policy: NDArray[np.float64], start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the values and the occupancy (both (S,)) from the linear systems of the policy."""
    rewards = (policy * model.rewards).sum(axis=1)
    moves = _moves(model, policy)
    endless, order = _endless(moves)
    # A state that may come to an endless one is as bad as it: the losses there have no bound.
    doomed = _can_reach(moves, endless)
    undefined = _can_reach(moves, _recur_without_loss(moves, endless, rewards))
    if np.any(undefined & (start > 0)):
        raise ImproperPolicyError("the policy may go on for ever without a definite loss")
    values = np.where(undefined, np.nan, -np.inf)
    occupancy = np.zeros(model.num_states)
    live = order[~doomed[order]]  # the nearest to the end first
    if len(live):
        inner = moves[live][:, live]
        values[live] = Moves(inner).solve(rewards[live])[0]
        if not np.any(start[doomed] > 0):
            backwards = Moves(inner.T.tocsr()[::-1][:, ::-1])
            occupancy[live] = backwards.solve(start[live[::-1]])[0][::-1]
    return values, occupancy


def _values(
    model: DecisionProcess, policy: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the values of a policy as a sum of two arrays (S,).

    Raises an ImproperPolicyError if it may go on for ever from some state.
    """
    moves = _moves(model, policy)
    endless, order = _endless(moves)
    if endless.any():
        raise ImproperPolicyError("a policy may gain for ever")
    high, low = np.empty((2, model.num_states))
    rewards = (policy * model.rewards).sum(axis=1)
    high[order], low[order] = Moves(moves[order][:, order]).solve(rewards[order])
    return high, low


def _endless(moves: sparse.csr_array) -> tuple[NDArray[np.bool_], NDArray[np.integer]]:
    """Return which states (S,) cannot reach the end, and the others, the nearest to it first."""
    order = _backwards(moves, _ending(moves))
    endless = np.ones(moves.shape[0], np.bool_)
    endless[order] = False
    return endless, order


def _recur_without_loss(
    moves: sparse.csr_array, endless: NDArray[np.bool_], rewards: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return the states (S,) visited again and again for ever, at no loss or with gains between."""
    result = np.zeros(len(endless), np.bool_)
    states = np.flatnonzero(endless)
    if not len(states):
        return result
    inner = moves[states][:, states].tocoo()
    count, group = sparse.csgraph.connected_components(inner.tocsr(), connection="strong")
    is_left = np.zeros(count, np.bool_)
    is_left[group[inner.row][group[inner.row] != group[inner.col]]] = True
    pays, gains = np.zeros((2, count), np.bool_)
    pays[group[rewards[states] < 0]] = True
    gains[group[rewards[states] > 0]] = True
    result[states] = (~is_left & (gains | ~pays))[group]
    return result


def _can_reach(moves: sparse.csr_array, targets: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the states (S,) that reach one of the targets with some probability."""
    result = np.zeros(len(targets), np.bool_)
    result[_backwards(moves, targets)] = True
    return result


def _backwards(moves: sparse.csr_array, targets: NDArray[np.bool_]) -> NDArray[np.integer]:
    """Return the states that reach one of the targets, those in the fewest moves first."""
    n = len(targets)
    # Breadth-first from one added state that leads to every target.
    arrows = sparse.csr_array((np.ones(moves.nnz), moves.indices, moves.indptr), shape=(n, n)).T
    into = sparse.csr_array(targets[np.newaxis].astype(np.float64))
    graph = sparse.block_array([[arrows.tocsr(), None], [into, sparse.csr_array((1, 1))]]).tocsr()
    order: NDArray[np.integer] = sparse.csgraph.breadth_first_order(
        graph, n, return_predecessors=False
    )
    return order[1:]
