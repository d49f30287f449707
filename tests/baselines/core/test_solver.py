"""The solver against code of another kind: enumeration, dense linear algebra, exact fractions."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from baselines.core.process import DecisionProcess
from baselines.core.solver import (
    Evaluation,
    ImproperPolicyError,
    PrecisionError,
    Solution,
    as_probabilities,
    bellman_residual,
    evaluate,
    optimal_value,
    solve,
)

Moves = Mapping[tuple[int, int], Sequence[tuple[int, float]]]
ENDS: tuple[tuple[int, float], ...] = ()
SIZES = st.integers(1, 5)
quick = settings(max_examples=80, deadline=None)


def make_model(
    rewards: Any,
    moves: Moves,
    allowed: Any = None,
    start: Mapping[int, float] | None = None,
) -> DecisionProcess:
    """Return the model with ``moves[state, action]`` = pairs of a next state and its probability."""
    rewards = np.array(rewards, float)
    start = start or {0: 1.0}
    outcomes = [moves.get(pair, ENDS) for pair in np.ndindex(*rewards.shape)]
    flat = [outcome for some in outcomes for outcome in some]
    return DecisionProcess(
        rewards=rewards,
        allowed=np.ones(rewards.shape, bool) if allowed is None else np.array(allowed, bool),
        first=np.cumsum([0, *map(len, outcomes)], dtype=np.int64),
        successors=np.array([state for state, _ in flat], np.int32),
        probabilities=np.array([probability for _, probability in flat], float),
        initial_states=np.array(list(start), np.int64),
        initial_probabilities=np.array(list(start.values()), float),
    )


@st.composite
def models(
    draw: st.DrawFn,
    cyclic: bool | None = None,
    num_states: st.SearchStrategy[int] = SIZES,
    always_ends: bool = True,
) -> DecisionProcess:
    """Draw a small model, with masks and several initial states.

    ``always_ends``: every action ends the episode with a chance of at least 1/10, so that every
    policy is proper. Otherwise rewards are losses and only some actions may end it.
    """
    if cyclic is None:
        cyclic = draw(st.booleans())
    shape = size, _ = draw(num_states), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rewards = rng.choice([rng.normal(0, 10, shape), rng.integers(-3, 4, shape)])
    if not always_ends:
        rewards = -np.abs(rewards) - 1.0
    moves = {}
    for state, action in np.ndindex(*shape):
        later = np.arange(0 if cyclic else state + 1, size)
        count = min(rng.integers(0, 4), len(later))
        ending = rng.choice([0.1, 0.5]) if always_ends else rng.choice([0.0, 0.0, 0.3])
        if count == 0:
            continue
        shares = rng.dirichlet(np.ones(count)) * (1 - ending)
        moves[state, action] = [
            (int(successor), float(share))
            for successor, share in zip(rng.choice(later, count, False), shares, strict=True)
        ]
    allowed = rng.random(shape) < 0.7
    allowed[np.arange(size), rng.integers(0, shape[1], size)] = True
    initial = rng.choice(size, rng.integers(1, size + 1), False)
    chances = rng.dirichlet(np.ones(len(initial)))
    start = {int(s): float(p) for s, p in zip(initial, chances, strict=True)}
    return make_model(rewards, moves, allowed, start)


RARELY = st.floats(3.0, 11.0).map(lambda exponent: 10.0**-exponent)


@st.composite
def long_episodes(draw: st.DrawFn) -> DecisionProcess:
    """Draw a small model whose episodes last up to 10^11 steps, with rewards of every size."""
    shape = size, _ = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ending = draw(RARELY)
    rewards = rng.normal(0, 1, shape) * 10.0 ** rng.integers(-3, 10, shape)
    moves = {}
    for pair in np.ndindex(*shape):
        shares = rng.dirichlet(np.ones(size)) * (1 - ending * rng.integers(1, 5))
        moves[pair] = list(enumerate(shares.tolist()))
    return make_model(rewards, moves)


@st.composite
def models_with_policy(draw: st.DrawFn, **kwargs: Any) -> tuple[DecisionProcess, np.ndarray]:
    """Draw a model and a policy, deterministic or not, that may take forbidden actions."""
    model = draw(models(**kwargs))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        return model, rng.integers(0, model.num_actions, model.num_states)
    policy = rng.dirichlet(np.ones(model.num_actions), model.num_states)
    some = rng.random(model.num_states) < 0.3
    policy[some] = np.eye(model.num_actions)[rng.integers(0, model.num_actions, some.sum())]
    return model, policy


# --- independent computations ------------------------------------------------------------------


def outcomes_of(model: DecisionProcess, state: int, action: int) -> list[tuple[int, float]]:
    begin, end = model.first[state * model.num_actions + action :][:2]
    return list(
        zip(
            model.successors[begin:end].tolist(),
            model.probabilities[begin:end].tolist(),
            strict=True,
        )
    )


def backed_up(model: DecisionProcess, values: Sequence[float], state: int, action: int) -> float:
    following = sum(p * values[successor] for successor, p in outcomes_of(model, state, action))
    return float(model.rewards[state, action]) + following


def dense(model: DecisionProcess, policy: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a policy's chances of moving (S, S), expected rewards (S,) and start (S,)."""
    if policy.ndim == 1:
        policy = np.eye(model.num_actions)[policy]
    moves = np.zeros((model.num_states, model.num_states))
    for state, action in np.ndindex(*model.rewards.shape):
        for successor, probability in outcomes_of(model, state, action):
            moves[state, successor] += policy[state, action] * probability
    start = np.zeros(model.num_states)
    for state, probability in zip(model.initial_states, model.initial_probabilities, strict=True):
        start[state] += probability
    return moves, (policy * model.rewards).sum(axis=1), start


def dense_values(model: DecisionProcess, policy: np.ndarray) -> np.ndarray:
    moves, rewards, _ = dense(model, policy)
    return np.linalg.solve(np.eye(len(moves)) - moves, rewards)


def reach(moves: np.ndarray) -> np.ndarray:
    """Return which states (S, S) can be reached from which, by Warshall's algorithm."""
    result = (moves > 0) | np.eye(len(moves), dtype=bool)
    for k in range(len(moves)):
        result |= result[:, k, None] & result[k]
    return result


def is_proper(moves: np.ndarray) -> np.ndarray:
    """Return from which states (S,) the end comes with probability one."""
    reaches = reach(moves)
    ends = 1.0 - moves.sum(axis=1) > 1e-9
    endless = ~(reaches & ends).any(axis=1)
    return ~(reaches & endless).any(axis=1)


def best_values(model: DecisionProcess) -> np.ndarray:
    """Return the optimal values (S,): the best of all policies that end, −inf where none does."""
    best = np.full(model.num_states, -np.inf)
    for policy in deterministic_policies(model):
        moves, rewards, _ = dense(model, policy)
        proper = np.flatnonzero(is_proper(moves))
        inner = np.eye(len(proper)) - moves[np.ix_(proper, proper)]
        best[proper] = np.maximum(best[proper], np.linalg.solve(inner, rewards[proper]))
    return best


def exact_values(model: DecisionProcess, actions: Sequence[int]) -> list[Fraction]:
    """Return the values of a policy of these very tables, by elimination in exact fractions."""
    size = model.num_states
    rows = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)]
    for state, action in enumerate(actions):
        for successor, probability in outcomes_of(model, state, action):
            rows[state][successor] -= Fraction(probability)
        rows[state].append(Fraction(float(model.rewards[state, action])))
    for i in range(size):  # a chain that ends leaves no pivot at zero
        for j in range(size):
            if j != i and rows[j][i]:
                ratio = rows[j][i] / rows[i][i]
                rows[j] = [a - ratio * b for a, b in zip(rows[j], rows[i], strict=True)]
    return [row[size] / row[i] for i, row in enumerate(rows)]


def deterministic_policies(model: DecisionProcess, masked: bool = True) -> Iterator[np.ndarray]:
    choices = model.allowed if masked else np.ones_like(model.allowed)
    return map(np.array, itertools.product(*(np.flatnonzero(row) for row in choices)))


def paths(model: DecisionProcess, policy: np.ndarray) -> Iterator[tuple[float, float, list[int]]]:
    """Yield (probability, return, states) of every path of an acyclic model."""

    def follow(state: int, chance: float, total: float, seen: list[int]) -> Iterator[Any]:
        for action in range(model.num_actions):
            taken = chance * policy[state, action]
            if taken > 0:
                earned, so_far = total + model.rewards[state, action], [*seen, state]
                ends = 1.0
                for successor, probability in outcomes_of(model, state, action):
                    ends -= probability
                    yield from follow(successor, taken * probability, earned, so_far)
                yield taken * ends, earned, so_far

    for state, chance in zip(model.initial_states, model.initial_probabilities, strict=True):
        yield from follow(int(state), float(chance), 0.0, [])


def shuffled(model: DecisionProcess, order: Sequence[int]) -> DecisionProcess:
    """Return the same model with state ``order[i]`` as state i."""
    new = {old: i for i, old in enumerate(order)}
    moves = {
        (new[state], action): [(new[t], p) for t, p in outcomes_of(model, state, action)]
        for state, action in np.ndindex(*model.rewards.shape)
    }
    start = {
        new[int(s)]: float(p)
        for s, p in zip(model.initial_states, model.initial_probabilities, strict=True)
    }
    return make_model(model.rewards[order], moves, model.allowed[order], start)


# --- the optimum -------------------------------------------------------------------------------


@quick
@given(model=models())
def test_optimum_solves_the_equations_of_the_best_policy(model: DecisionProcess) -> None:
    values = best_values(model).tolist()
    optimum = solve(model)
    np.testing.assert_allclose(optimum.values, values, rtol=1e-10, atol=1e-10)
    action_values = [
        [backed_up(model, values, state, action) for action in range(model.num_actions)]
        for state in range(model.num_states)
    ]
    np.testing.assert_allclose(optimum.action_values, action_values, rtol=1e-10, atol=1e-10)
    start = dict(zip(model.initial_states, model.initial_probabilities, strict=True))
    expected = sum(p * values[s] for s, p in start.items())
    assert optimum.value == pytest.approx(expected, rel=1e-10, abs=1e-10)


@quick
@given(model=models(num_states=st.integers(1, 4)))
def test_optimum_is_the_best_of_all_deterministic_policies(model: DecisionProcess) -> None:
    each = np.array([dense_values(model, policy) for policy in deterministic_policies(model)])
    optimum = solve(model)
    np.testing.assert_allclose(optimum.values, each.max(axis=0), rtol=1e-10, atol=1e-10)
    played = evaluate(model, optimum.actions)
    np.testing.assert_allclose(played.values, optimum.values, rtol=1e-10, atol=1e-10)
    assert model.allowed[np.arange(model.num_states), optimum.actions].all()


@quick
@given(model=models(cyclic=True, num_states=st.integers(1, 4), always_ends=False))
def test_optimum_is_the_best_proper_policy_where_others_pay_for_ever(
    model: DecisionProcess,
) -> None:
    best = best_values(model)
    if np.isinf(best).any():
        with pytest.raises(ImproperPolicyError, match="no policy is certain to end"):
            solve(model)
        return
    optimum = solve(model)
    np.testing.assert_allclose(optimum.values, best, rtol=1e-9)
    played = evaluate(model, optimum.actions)
    np.testing.assert_allclose(played.values, best, rtol=1e-9)


@quick
@given(model=models(cyclic=True, num_states=st.integers(1, 4), always_ends=False) | long_episodes())
def test_the_value_alone_is_that_of_the_solution(model: DecisionProcess) -> None:
    try:
        optimum = solve(model)
    except ImproperPolicyError:
        with pytest.raises(ImproperPolicyError):
            optimal_value(model)
        return
    stakes = evaluate(model, optimum.actions).stakes
    assert optimal_value(model) == pytest.approx(optimum.value, rel=1e-12, abs=1e-13 * stakes)


def test_an_episode_that_ends_rarely() -> None:
    """State 1 ends with 6.5e-05, state 2 leads back to it: value iteration settles after 10^6 sweeps."""
    model = make_model(
        [[-3.15008469], [-4.26380445], [-3.9461114]],
        {
            (1, 0): [(2, 0.565251392), (0, 6.49396812e-05), (1, 0.434683668)],
            (2, 0): [(1, 1.0)],
        },
    )
    exact = [float(value) for value in exact_values(model, [0, 0, 0])]
    np.testing.assert_allclose(solve(model).values, exact, rtol=1e-14)


@quick
@given(model=models())
def test_gaps_of_allowed_actions_are_not_negative_and_zero_for_the_best(
    model: DecisionProcess,
) -> None:
    optimum = solve(model)
    gaps = optimum.gaps()
    assert (gaps[model.allowed] >= 0).all()
    assert (gaps[np.arange(model.num_states), optimum.actions] == 0).all()


@quick
@given(model=models(), data=st.data())
def test_bellman_residual_is_the_largest_violation(
    model: DecisionProcess, data: st.DataObject
) -> None:
    optimum = solve(model)
    assert bellman_residual(model, optimum) <= 1e-12 * max(1.0, np.abs(optimum.values).max())
    state = data.draw(st.integers(0, model.num_states - 1))
    wrong = optimum.values.copy()
    wrong[state] += data.draw(st.sampled_from([-2.0, 0.5, 3.0]))
    expected = max(
        abs(
            max(
                backed_up(model, wrong, s, a)
                for a in range(model.num_actions)
                if model.allowed[s, a]
            )
            - wrong[s]
        )
        for s in range(model.num_states)
    )
    assert bellman_residual(model, replace(optimum, values=wrong)) == pytest.approx(expected)
    assert expected > 0.01


@quick
@given(model=models())
def test_ties_change_no_value(model: DecisionProcess) -> None:
    """Every action twice: the same values, and any mixture of the copies is worth the same."""
    moves = {
        (state, action): outcomes_of(model, state, action % model.num_actions)
        for state in range(model.num_states)
        for action in range(2 * model.num_actions)
    }
    start = dict(
        zip(model.initial_states.tolist(), model.initial_probabilities.tolist(), strict=True)
    )
    double = make_model(
        np.tile(model.rewards, (1, 2)), moves, np.tile(model.allowed, (1, 2)), start
    )
    single, optimum = solve(model), solve(double)
    np.testing.assert_allclose(optimum.values, single.values, rtol=1e-12, atol=1e-12)
    is_best = (optimum.gaps() <= 1e-12) & double.allowed
    assert (is_best.sum(axis=1) >= 2).all()
    mixed = evaluate(double, is_best / is_best.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(mixed.values, single.values, rtol=1e-10, atol=1e-10)


def test_policy_iteration_ends_among_ties_in_very_long_episodes() -> None:
    """All policies are worth −cost / ending; rounding alone tells them apart."""
    rng = np.random.default_rng(0)
    for ending in 10.0 ** -np.arange(1.0, 8.0):
        size, actions = 40, 4
        moves = {}
        for pair in np.ndindex(size, actions):
            shares = rng.dirichlet(np.ones(3)) * (1 - ending)
            moves[pair] = list(zip(rng.integers(0, size, 3).tolist(), shares, strict=True))
        optimum = solve(make_model(np.full((size, actions), -1 / 3), moves))
        np.testing.assert_allclose(optimum.values, -1 / 3 / ending, rtol=1e-7)


@settings(max_examples=25, deadline=None)
@given(model=long_episodes())
def test_no_policy_beats_the_optimum_of_very_long_episodes(model: DecisionProcess) -> None:
    """In exact fractions, and to the precision of the money at stake."""
    optimum = solve(model)
    result = evaluate(model, optimum.actions)
    best = max(
        exact_values(model, actions.tolist())[0] for actions in deterministic_policies(model)
    )
    tolerance = 1e-13 * result.stakes
    assert abs(float(best - Fraction(optimum.value))) <= tolerance
    assert abs(float(best - Fraction(result.value))) <= tolerance
    gaps = optimum.gaps()
    assert (gaps >= 0).all()
    for actions in deterministic_policies(model):
        regret = float(best - exact_values(model, actions.tolist())[0])
        other = evaluate(model, actions)
        lost = other.occupancy @ gaps[np.arange(model.num_states), actions]
        assert lost == pytest.approx(regret, abs=1e-12 * max(result.stakes, other.stakes))


def test_a_gain_that_counts_only_because_it_comes_a_million_times_is_taken() -> None:
    """1e-7 a step beside values of 1e9: less than the rounding of a value, and a tenth in the whole."""
    going_on = [(0, 1 - 1e-6)]
    model = make_model([[1e3, 1e3 + 1e-7]], {(0, 0): going_on, (0, 1): going_on})
    optimum = solve(model)
    assert optimum.actions.tolist() == [1]
    assert optimum.gaps()[0, 0] == pytest.approx(1e-7, rel=1e-5)


def test_an_episode_too_long_for_double_precision_is_refused() -> None:
    shares = [(0, 0.5 - 2e-16), (1, 0.5)]
    with pytest.raises((ImproperPolicyError, PrecisionError)):
        solve(make_model([[-1.0], [-1.0]], {(0, 0): shares, (1, 0): shares}))


def test_among_ties_the_policy_that_ends_is_kept() -> None:
    """To go round costs nothing and gains nothing; only the other action ends."""
    model = make_model(
        [[0.0, -4.0], [0.0, 0.0]], {(0, 0): [(1, 1.0)], (1, 0): [(0, 1.0)]}, start={0: 1.0}
    )
    optimum = solve(model)
    assert optimum.value == 0.0
    assert evaluate(model, optimum.actions).value == 0.0
    assert not np.signbit(optimum.values).any()


def test_the_stakes_are_what_changes_hands() -> None:
    model = make_model([[-3.0], [5.0]], {(0, 0): [(0, 0.5), (1, 0.5)]})
    assert evaluate(model, np.zeros(2, int)).stakes == pytest.approx(2 * 3.0 + 5.0)
    assert evaluate(make_model([[-1.0]], LOOP), np.zeros(1, int)).stakes == np.inf


def test_a_better_action_that_is_forbidden_is_valued_and_not_taken() -> None:
    model = make_model(
        rewards=[[5.0, 1.0, 3.0], [7.0, -2.0, 0.0]],
        moves={(0, 1): [(1, 1.0)], (0, 2): [(1, 0.5)]},
        allowed=[[False, True, True], [False, True, False]],
    )
    optimum = solve(model)
    # 0: 1 + V(1) = −1, or 3 + V(1) / 2 = 2; the forbidden 5 would be better.
    assert optimum.values.tolist() == [2.0, -2.0]
    assert optimum.actions.tolist() == [2, 1]
    assert optimum.action_values.tolist() == [[5.0, -1.0, 2.0], [7.0, -2.0, 0.0]]
    assert optimum.gaps()[0, 0] == -3.0
    assert evaluate(model, np.array([0, 0])).value == 5.0


@quick
@given(model=models(cyclic=False), data=st.data())
def test_numbering_of_the_states_does_not_matter(
    model: DecisionProcess, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(model.num_states)))
    other = shuffled(model, order)
    assert model.is_ordered
    assume(not other.is_ordered)  # solved by policy iteration instead of backward induction
    first, second = solve(model), solve(other)
    assert second.value == pytest.approx(first.value, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(second.values, first.values[order], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(
        second.action_values, first.action_values[order], rtol=1e-11, atol=1e-11
    )
    rng = np.random.default_rng(0)
    policy = rng.dirichlet(np.ones(model.num_actions), model.num_states)
    one, two = evaluate(model, policy), evaluate(other, policy[order])
    assert two.value == pytest.approx(one.value, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(two.values, one.values[order], rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(two.occupancy, one.occupancy[order], rtol=1e-11, atol=1e-11)


# --- the evaluation of a policy ----------------------------------------------------------------


@quick
@given(drawn=models_with_policy())
def test_values_and_occupancy_solve_the_dense_equations(
    drawn: tuple[DecisionProcess, np.ndarray],
) -> None:
    model, policy = drawn
    result = evaluate(model, policy)
    moves, rewards, start = dense(model, policy)
    np.testing.assert_allclose(result.values, dense_values(model, policy), rtol=1e-9, atol=1e-9)
    visits = np.linalg.solve(np.eye(len(moves)) - moves.T, start)
    np.testing.assert_allclose(result.occupancy, visits, rtol=1e-9, atol=1e-12)
    # What is earned is what is earned per visit; the visits are the expected length.
    assert result.value == pytest.approx(float(result.occupancy @ rewards), rel=1e-9, abs=1e-9)
    counting = replace(model, rewards=np.ones_like(model.rewards))
    assert result.expected_length == pytest.approx(evaluate(counting, policy).value, rel=1e-9)


@quick
@given(drawn=models_with_policy(cyclic=False, num_states=st.integers(1, 4)))
def test_an_acyclic_model_is_the_sum_over_its_paths(
    drawn: tuple[DecisionProcess, np.ndarray],
) -> None:
    model, policy = drawn
    value, visits, length = 0.0, np.zeros(model.num_states), 0.0
    for chance, total, seen in paths(model, as_probabilities(model, policy)):
        value += chance * total
        length += chance * len(seen)
        visits[seen] += chance
    result = evaluate(model, policy)
    assert result.value == pytest.approx(value, rel=1e-10, abs=1e-10)
    assert result.expected_length == pytest.approx(length, rel=1e-10)
    np.testing.assert_allclose(result.occupancy, visits, rtol=1e-10, atol=1e-14)
    assert result.occupancy.max() <= 1 + 1e-12  # no state is seen twice


@quick
@given(model=models(), seed=st.integers(0, 999))
def test_actions_are_probabilities_of_one(model: DecisionProcess, seed: int) -> None:
    actions = np.random.default_rng(seed).integers(0, model.num_actions, model.num_states)
    one, two = evaluate(model, actions), evaluate(model, np.eye(model.num_actions)[actions])
    assert one.value == two.value
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(one.occupancy, two.occupancy)


@quick
@given(drawn=models_with_policy(), share=st.floats(0, 1))
def test_a_coin_tossed_before_the_episode_mixes_values(
    drawn: tuple[DecisionProcess, np.ndarray], share: float
) -> None:
    """Occupancies mix linearly; the policy that visits and acts in the mixed proportions, too."""
    model, policy = drawn
    policies = [as_probabilities(model, policy), as_probabilities(model, solve(model).actions)]
    results = [evaluate(model, one) for one in policies]
    weights = share, 1 - share
    visits = sum(w * r.occupancy for w, r in zip(weights, results, strict=True))
    taken = sum(
        w * r.occupancy[:, None] * p for w, r, p in zip(weights, results, policies, strict=True)
    )
    assert isinstance(visits, np.ndarray)
    mixture = np.where(visits[:, None] > 0, taken / np.maximum(visits, 1e-300)[:, None], 0.0)
    mixture[visits < 1e-290, :] = np.eye(model.num_actions)[0]
    expected = sum(w * r.value for w, r in zip(weights, results, strict=True))
    scale = max(1.0, *(float(np.abs(r.values).max()) for r in results))
    assert evaluate(model, mixture).value == pytest.approx(expected, abs=1e-8 * scale)


@quick
@given(drawn=models_with_policy())
def test_regret_is_the_sum_of_gaps_over_visits(drawn: tuple[DecisionProcess, np.ndarray]) -> None:
    model, policy = drawn
    optimum, result = solve(model), evaluate(model, policy)
    gap = (as_probabilities(model, policy) * optimum.gaps()).sum(axis=1)
    regret = optimum.value - result.value
    scale = max(1.0, float(np.abs(optimum.values).max()), float(np.abs(result.values).max()))
    assert regret == pytest.approx(float(result.occupancy @ gap), abs=1e-9 * scale)
    allowed_only = as_probabilities(model, policy) * model.allowed
    if (allowed_only.sum(axis=1) > 1 - 1e-9).all():
        assert regret >= -1e-9 * scale


@quick
@given(model=models())
def test_policies_over_allowed_actions_have_no_negative_regret(model: DecisionProcess) -> None:
    optimum = solve(model)
    uniform = model.allowed / model.allowed.sum(axis=1, keepdims=True)
    result = evaluate(model, uniform)
    gap = (uniform * optimum.gaps()).sum(axis=1)
    assert float(result.occupancy @ gap) >= 0.0
    assert optimum.value - result.value >= -1e-9 * max(1.0, np.abs(optimum.values).max())


# --- policies that may never end ---------------------------------------------------------------

LOOP = {(0, 0): [(0, 1.0)]}
"""Action 0 stays for ever, any other ends."""


def test_paying_for_ever_is_worth_minus_infinity() -> None:
    model = make_model([[-1.0, -5.0]], LOOP)
    result = evaluate(model, np.array([0]))
    assert result.value == -np.inf
    assert result.values.tolist() == [-np.inf]
    assert result.occupancy.tolist() == [0.0]
    assert result.expected_length == np.inf
    assert solve(model).value == -5.0


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_going_on_for_ever_without_a_loss_is_an_error(reward: float) -> None:
    model = make_model([[reward, -5.0]], LOOP)
    with pytest.raises(ImproperPolicyError, match="for ever"):
        evaluate(model, np.array([0]))
    assert evaluate(model, np.array([1])).value == -5.0


def test_gaining_and_losing_for_ever_is_an_error() -> None:
    model = make_model([[3.0, 0.0], [-1.0, 0.0]], {(0, 0): [(1, 1.0)], (1, 0): [(0, 1.0)]})
    with pytest.raises(ImproperPolicyError):
        evaluate(model, np.array([0, 0]))
    assert evaluate(model, np.array([0, 1])).value == 3.0


def test_a_problem_in_which_one_may_gain_for_ever_has_no_optimum() -> None:
    with pytest.raises(ImproperPolicyError):
        solve(make_model([[1.0, -5.0]], LOOP))


def test_a_loop_that_costs_nothing_does_not_hide_the_best_end() -> None:
    assert solve(make_model([[0.0, 4.0]], LOOP)).value == 4.0
    assert solve(make_model([[0.0, -4.0]], LOOP)).value == -4.0


def test_chance_of_an_endless_loss_is_enough() -> None:
    model = make_model(
        [[0.0], [-1.0], [9.0]], {(0, 0): [(1, 1e-6), (2, 1 - 1e-6)], (1, 0): [(1, 1.0)]}
    )
    result = evaluate(model, np.zeros(3, int))
    assert result.value == -np.inf
    assert result.values.tolist() == [-np.inf, -np.inf, 9.0]


def test_a_loss_elsewhere_does_not_make_an_idle_loop_a_loss() -> None:
    """From state 0 nothing is ever lost, though state 1, never reached, pays for ever."""
    idle = {(0, 0): [(0, 1.0)], (1, 0): [(1, 1.0)]}
    model = make_model([[0.0, 0.0], [-1.0, 0.0]], idle)
    with pytest.raises(ImproperPolicyError):
        evaluate(model, np.array([0, 0]))
    paying = replace(model, initial_states=np.array([1]))
    assert evaluate(paying, np.array([0, 0])).value == -np.inf


def test_a_loss_on_the_way_to_an_idle_loop_is_not_endless() -> None:
    model = make_model([[-1.0], [0.0]], {(0, 0): [(1, 1.0)], (1, 0): [(1, 1.0)]})
    with pytest.raises(ImproperPolicyError):
        evaluate(model, np.array([0, 0]))


def test_a_gain_on_the_way_to_an_endless_loss_does_not_help() -> None:
    model = make_model([[50.0], [-1.0]], {(0, 0): [(1, 1.0)], (1, 0): [(1, 1.0)]})
    assert evaluate(model, np.array([0, 0])).value == -np.inf


@pytest.mark.parametrize("reward", [-1.0, 0.0, 1.0])
def test_a_loop_that_is_never_reached_does_not_matter(reward: float) -> None:
    model = make_model(
        [[-2.0], [reward], [-4.0]], {(0, 0): [(0, 0.5), (2, 0.5)], (1, 0): [(1, 1.0), (2, 0.0)]}
    )
    result = evaluate(model, np.zeros(3, int))
    # V(0) = −2 + V(0) / 2 − 4 / 2
    assert result.value == pytest.approx(-8.0)
    np.testing.assert_allclose(result.occupancy, [2.0, 0.0, 1.0])
    assert result.expected_length == pytest.approx(3.0)
    expected = -np.inf if reward < 0 else np.nan
    np.testing.assert_array_equal(result.values[1], expected)


def test_a_state_from_which_no_policy_ends_is_named() -> None:
    moves = {(0, 0): ENDS, (1, 0): [(2, 1.0)], (2, 0): [(1, 1.0)]}
    with pytest.raises(ImproperPolicyError, match="state 1"):
        solve(make_model([[0.0], [-1.0], [-1.0]], moves))
    masked = {(0, 0): [(0, 1.0)], (0, 1): ENDS}
    with pytest.raises(ImproperPolicyError, match="state 0"):
        solve(make_model([[-1.0, 0.0]], masked, allowed=[[True, False]]))
    through = {(0, 0): [(0, 1.0)], (0, 1): [(1, 1.0)]}
    solve(make_model([[-1.0, -1.0], [0.0, 0.0]], through))
    with pytest.raises(ImproperPolicyError, match="state 0"):
        solve(make_model([[-1.0, -1.0], [0.0, 0.0]], through, [[True, False], [True, True]]))


@quick
@given(drawn=models_with_policy(cyclic=True, always_ends=False))
def test_policies_that_may_pay_for_ever_are_found(
    drawn: tuple[DecisionProcess, np.ndarray],
) -> None:
    """All rewards are losses here: what may not end has value −inf, the rest the dense solution."""
    model, policy = drawn
    assume(not model.is_ordered)
    moves, rewards, start = dense(model, policy)
    proper = is_proper(moves)
    result = evaluate(model, policy)
    assert (result.values[~proper] == -np.inf).all()
    live = np.flatnonzero(proper)
    inner = np.eye(len(live)) - moves[np.ix_(live, live)]
    np.testing.assert_allclose(result.values[live], np.linalg.solve(inner, rewards[live]), 1e-9)
    if proper[start > 0].all():
        visits = np.linalg.solve(np.eye(len(live)) - moves[np.ix_(live, live)].T, start[live])
        np.testing.assert_allclose(result.occupancy[live], visits, rtol=1e-9, atol=1e-12)
        assert not result.occupancy[~proper].any()
        assert result.value == pytest.approx(float(result.occupancy @ rewards))
    else:
        assert result.value == -np.inf
        assert result.expected_length == np.inf
        assert not result.occupancy.any()


# --- where an episode begins, and tables that cannot be ----------------------------------------


def test_several_initial_states_weigh_as_they_are_likely() -> None:
    model = make_model([[-1.0], [-10.0], [4.0]], {(0, 0): [(2, 0.5)]}, start={0: 0.25, 1: 0.75})
    result = evaluate(model, np.zeros(3, int))
    assert solve(model).value == result.value == 0.25 * (-1 + 0.5 * 4) + 0.75 * -10
    assert result.occupancy.tolist() == [0.25, 0.75, 0.125]


def test_an_initial_state_named_twice_counts_twice() -> None:
    model = replace(
        make_model([[-1.0], [-3.0]], {}),
        initial_states=np.array([1, 0, 1]),
        initial_probabilities=np.array([0.25, 0.5, 0.25]),
    )
    assert solve(model).value == evaluate(model, np.zeros(2, int)).value == -2.0
    assert evaluate(model, np.zeros(2, int)).occupancy.tolist() == [0.5, 0.5]


BAD_TABLES: dict[str, dict[str, Any]] = {
    "shapes: allowed": {"allowed": np.ones((2, 3), bool)},
    "shapes: first": {"first": np.array([0, 1, 2, 2])},
    "first begins late": {"first": np.array([1, 1, 2, 2, 2])},
    "first ends early": {"first": np.array([0, 1, 1, 1, 1])},
    "first falls": {"first": np.array([0, 2, 1, 2, 2])},
    "lengths": {"probabilities": np.array([1.0])},
    "reward infinite": {"rewards": np.array([[0.0, np.inf], [0.0, 0.0]])},
    "reward NaN": {"rewards": np.array([[0.0, np.nan], [0.0, 0.0]])},
    "nothing allowed": {"allowed": np.array([[True, True], [False, False]])},
    "negative probability": {"probabilities": np.array([-0.5, 1.0])},
    "probability NaN": {"probabilities": np.array([np.nan, 1.0])},
    "more than one": {"probabilities": np.array([1.0, 1.001])},
    "successor too large": {"successors": np.array([1, 2], np.int32)},
    "successor negative": {"successors": np.array([-1, 1], np.int32)},
    "initial state too large": {"initial_states": np.array([2])},
    "initial state negative": {"initial_states": np.array([-1])},
    "initial too little": {"initial_probabilities": np.array([0.9])},
    "initial NaN": {"initial_probabilities": np.array([np.nan])},
    "initial negative": {
        "initial_states": np.array([0, 1]),
        "initial_probabilities": np.array([1.5, -0.5]),
    },
    "initial lengths": {"initial_probabilities": np.array([0.5, 0.5])},
}


@pytest.mark.parametrize("fields", BAD_TABLES.values(), ids=list(BAD_TABLES))
def test_tables_that_contradict_themselves_are_rejected(fields: dict[str, Any]) -> None:
    model = make_model(np.zeros((2, 2)), {(0, 0): [(1, 1.0)], (0, 1): [(1, 1.0)]})
    model.check()
    bad = replace(model, **fields)
    with pytest.raises(ValueError, match=r".+"):
        bad.check()
    with pytest.raises(ValueError, match=r".+"):
        solve(bad)


BAD_POLICIES: dict[str, Any] = {
    "too short": np.zeros(1, int),
    "floats of shape (S,)": np.zeros(2),
    "action too large": np.array([0, 2]),
    "action negative": np.array([0, -1]),
    "transposed": np.full((3, 2), 0.5),
    "not one": np.array([[0.5, 0.4], [1.0, 0.0]]),
    "negative": np.array([[1.5, -0.5], [1.0, 0.0]]),
    "NaN": np.array([[np.nan, 0.5], [1.0, 0.0]]),
}


@pytest.mark.parametrize("policy", BAD_POLICIES.values(), ids=list(BAD_POLICIES))
def test_what_is_not_a_policy_is_rejected(policy: Any) -> None:
    with pytest.raises(ValueError, match="policy"):
        evaluate(make_model(np.zeros((2, 2)), {}), policy)


def test_probabilities_in_single_precision_are_made_to_sum_to_one() -> None:
    """A network's softmax is: three thirds are not one."""
    model = make_model([[3.0, 6.0, -12.0]], {})
    thirds = np.full((1, 3), 1 / 3, np.float32) * np.float32(1 + 5e-7)
    assert evaluate(model, thirds).value == pytest.approx(-1.0, abs=1e-12)


# --- size --------------------------------------------------------------------------------------


def test_a_large_cyclic_model() -> None:
    """20,000 states in a corridor with a step back: the hitting time has a closed form.

    Action 0 moves on with probability .6 and back with .4; action 1 with .7 and .3, for 1.9 times
    the price.
    """
    size, back = 20_000, np.array([0.4, 0.3])
    rewards = np.tile([-1.0, -1.9], (size, 1))
    moves = {}
    for state, action in itertools.product(range(size), range(2)):
        outcomes = [(max(state - 1, 0), float(back[action]))]
        if state + 1 < size:
            outcomes.append((state + 1, 1 - float(back[action])))
        moves[state, action] = outcomes
    model = make_model(rewards, moves)
    optimum = solve(model)
    result = evaluate(model, np.zeros(size, int))
    # Expected steps from i to i + 1: t_i = (1 + q t_{i−1}) / p with t_0 = 1 / p.
    steps, total = 0.0, 0.0
    for _ in range(size):
        steps = (1 + 0.4 * steps) / 0.6
        total += steps
    assert result.value == pytest.approx(-total, rel=1e-9)
    assert result.expected_length == pytest.approx(total, rel=1e-9)
    # Far from the wall a step forward costs 1 / .2 = 5 with action 0 and 1.9 / .4 = 4.75 with 1.
    assert optimum.value > result.value
    assert (optimum.actions[100:] == 1).all()
    far = -np.diff(optimum.values[100:10_000]) / -4.75
    np.testing.assert_allclose(far, 1.0, rtol=1e-9)
    assert bellman_residual(model, optimum) <= 1e-8


def test_a_large_model_without_structure() -> None:
    """20,000 states, each leading to any others: factorising its matrix would fill it."""
    size, actions = 20_000, 3
    rng = np.random.default_rng(0)
    successors = rng.integers(0, size, (size, actions, 4)).tolist()
    moves = {pair: [(s, 0.2) for s in successors[pair[0]][pair[1]]] for pair in np.ndindex(size, 3)}
    model = make_model(-rng.random((size, actions)), moves)
    optimum = solve(model)
    result = evaluate(model, optimum.actions)
    assert bellman_residual(model, optimum) <= 1e-12
    assert result.value == pytest.approx(optimum.value, rel=1e-10)
    assert result.expected_length == pytest.approx(5.0, rel=1e-10)  # each step ends with .2
    earned = model.rewards[np.arange(size), optimum.actions]
    assert float(result.occupancy @ earned) == pytest.approx(result.value, rel=1e-10)


def test_results_are_plain_records() -> None:
    model = make_model([[-1.0]], {})
    assert isinstance(solve(model), Solution)
    assert isinstance(evaluate(model, np.array([0])), Evaluation)
