"""Assembly as tables: the belief states that can be reached, and what follows each answer."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types
from numba.typed import Dict
from numpy.typing import NDArray

from baselines.core.budget import MAX_BYTES, StateBudgetError
from baselines.core.model import TabularModel
from baselines.core.policy import TabularPolicy
from qc_gym.assembly.dynamics import answer, identify, prob_bad
from qc_gym.assembly.dynamics import reset as begin
from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.core.noise import NOISE
from qc_gym.core.numbers import whole_number

MAX_STATES = 2_000_000
_OUTCOMES = 2
_SURE = 1e-11
"""P(good) below which an item is bad: the rounding of 1 − P(bad) is no chance that it is good."""

AssemblyModel = TabularModel[AssemblyScenario]
AssemblyPolicy = TabularPolicy[AssemblyScenario]


def build_model(
    scenario: AssemblyScenario, observation: str = "belief", max_states: int = MAX_STATES
) -> AssemblyModel:
    """Return the decision problem on the belief states that can be reached.

    Raises
    ------
    StateBudgetError
        There are more than ``max_states``, or their tables take more memory than is allowed.
    ValueError
        Defect rates so near to 1 that float64 cannot follow how many it takes to make a good one.
    """
    _check_rates(scenario)
    kernel, record, outcome = scenario.kernel, scenario.record(), observation == "outcome"
    per_action = (
        _OUTCOMES * (8 + 8 + 8) + 40
    )  # rewards, chances, following; the tables made of them
    per_state = 3 * kernel.state_dtype.itemsize + kernel.num_actions * per_action
    most = min(whole_number("max_states", max_states, 1), MAX_BYTES // per_state)
    # What a state leads to is noted before it is counted.
    room = most + kernel.num_actions * _OUTCOMES
    capacity, explored, count = min(1024, room), 0, 1
    states = np.zeros(capacity, kernel.state_dtype)
    rewards, chances, following = _tables(capacity, kernel.num_actions)
    noise = np.zeros(1, NOISE)
    lookup = _start(record, states, noise, outcome)
    while True:
        explored, count = _explore(
            record, states, noise, lookup, outcome, explored, count, rewards, chances, following
        )
        if count > most or (explored < count and capacity == room):
            raise StateBudgetError(
                f"scenario: a tree of {len(scenario.tree)} items with max_blind_failures = "
                f"{scenario.max_blind_failures} has more than {most:,} belief states "
                f"({count:,} were reached), of {per_state:,} bytes each (at most max_states = "
                f"{max_states:,} and {MAX_BYTES / 1e9:.1f} GB); lower max_blind_failures, or take the "
                "best static policy (baselines.assembly.best_static), which needs no states"
            )
        if explored == count:
            break
        capacity = min(8 * capacity, room)
        states = np.concatenate([states, np.zeros(capacity - len(states), states.dtype)])
        grown = _tables(capacity, kernel.num_actions)
        for old, new in zip((rewards, chances, following), grown, strict=True):
            new[: len(old)] = old
        rewards, chances, following = grown
    return _assemble(scenario, observation, record, states[:count], rewards, chances, following)


def _check_rates(scenario: AssemblyScenario) -> None:
    """Raise a ValueError if a new product is so seldom good that float64 cannot follow its making."""
    good = math.prod(1.0 - item.defect_rate for item in scenario.tree.values())
    if good < _SURE:
        worst = sorted(scenario.tree.values(), key=lambda item: -item.defect_rate)[:3]
        named = ", ".join(f"nodes.{item.node}.defect_rate = {item.defect_rate!r}" for item in worst)
        raise ValueError(
            f"{named}: a new product is good with probability {good:.3g}, untested; below "
            f"{_SURE:g} float64 cannot follow how many it takes"
        )


def _tables(
    capacity: int, num_actions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return rewards (capacity, A, 2), their chances, and the states that follow (−1: the end)."""
    shape = capacity, num_actions, _OUTCOMES
    return np.zeros(shape), np.zeros(shape), np.full(shape, -1)


def _assemble(
    scenario: AssemblyScenario,
    observation: str,
    record: NDArray[np.void],
    states: NDArray[np.void],
    rewards: NDArray[np.float64],
    chances: NDArray[np.float64],
    following: NDArray[np.int64],
) -> AssemblyModel:
    """Return the tables in the order of the states' keys."""
    count = len(states)
    _, allowed, keys = scenario.kernel.describe(record, states, observation)
    order = np.argsort(keys)
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    rewards, chances, following = rewards[order], chances[order], following[order]
    present = (following >= 0) & (chances > 0)
    first = np.zeros(count * rewards.shape[1] + 1, np.int64)
    np.cumsum(present.sum(axis=2).ravel(), out=first[1:])
    states = states[order]
    return TabularModel(
        kernel=scenario.kernel,
        scenario=scenario,
        observation=observation,
        make_states=lambda: states,
        rewards=(rewards * chances).sum(axis=2),
        allowed=allowed[order],
        first=first,
        successors=rank[following[present]].astype(np.int32),
        probabilities=chances[present],
        initial_states=rank[:1],
        initial_probabilities=np.ones(1),
    )


@njit(cache=True, error_model="numpy")
def _start(record, states, noise, outcome):  # type: ignore[no-untyped-def]
    """Put the first state into row 0, and return the rows by key."""
    lookup = Dict.empty(types.uint64, types.int64)
    begin(record[0], states[0], noise[0])
    lookup[identify(record[0], states[0], outcome)] = 0
    return lookup


@njit(cache=True, error_model="numpy")
def _explore(  # type: ignore[no-untyped-def]
    record, states, noise, lookup, outcome, explored, count, rewards, chances, following
):
    """Follow every answer of every state not yet explored, until all are or the rows are full.

    Returns how many are explored, and how many are known.
    """
    scenario, num_actions = record[0], rewards.shape[1]
    while explored < count and count + num_actions * _OUTCOMES <= len(states):
        state = states[explored]
        p = prob_bad(scenario, state, state.asked)
        p = 1.0 if p > 1.0 - _SURE else p
        for action in range(num_actions):
            for bad in range(_OUTCOMES):
                chance = p if bad == 1 else 1.0 - p
                scratch = states[count]
                states[count] = state
                reward, ended = answer(scenario, scratch, action, bad == 1, noise[0])
                rewards[explored, action, bad] = reward
                chances[explored, action, bad] = chance
                following[explored, action, bad] = -1
                if ended or chance == 0.0:
                    continue
                key = identify(scenario, scratch, outcome)
                if key not in lookup:
                    lookup[key] = count
                    count += 1
                following[explored, action, bad] = lookup[key]
        explored += 1
    return explored, count
