"""The world of K-stage control: the process wanders between levels, and the stages follow it.

Nothing is hidden: the level of a day is seen at its start.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from qc_gym.core.kernel import bind
from qc_gym.core.noise import uniform
from qc_gym.kstage.dynamics import room_for


@cache
def scenario_dtype(levels: int, max_stages: int) -> np.dtype[np.void]:
    """Return the layout of the parameters of so many levels and at most ``max_stages`` stages."""
    levels, choices = room_for(levels), room_for(max_stages + 1)
    return np.dtype(
        [
            ("levels", np.int64),
            ("choices", np.int64),
            # Per item used, of each K at each level; beyond the last of either, that of the last.
            ("cost", np.float64, (levels, choices)),
            ("cumulated", np.float64, (levels, levels)),  # P(the next level is at most this one)
            ("changeover_cost", np.float64),
            ("days", np.int64),
            ("initial_level", np.int64),
            ("initial_stages", np.int64),
        ],
        align=True,
    )


def belief_size(levels: int, max_stages: int) -> int:
    """Return the length of a belief observation."""
    return 1 + levels + max_stages + 1


def outcome_size(levels: int) -> int:
    """Return the length of an outcome observation."""
    return 1 + levels


SCENARIO = scenario_dtype(1, 1)
STATE = np.dtype(
    [
        ("day", np.int64),  # days that are over
        ("level", np.int64),  # today's
        ("stages", np.int64),  # yesterday's K
    ],
    align=True,
)
NUM_ACTIONS = 2  # of the smallest world; a scenario's own is max_stages + 1
BELIEF_SIZE = belief_size(1, 1)
OUTCOME_SIZE = outcome_size(1)


@njit(error_model="numpy")
def reset(scenario, state, noise):
    """Begin on the first day."""
    state.day = 0
    state.level = scenario.initial_level
    state.stages = scenario.initial_stages


@njit(error_model="numpy", inline="always")
def step(scenario, state, action, noise):
    """Run ``action`` stages today. Return (reward, terminated)."""
    reward = 0.0 - scenario.cost[state.level, action]
    reward -= scenario.changeover_cost * abs(action - state.stages)
    draw = uniform(noise)
    level = 0
    while draw >= scenario.cumulated[state.level, level]:
        level += 1
    state.level = level
    state.stages = action
    state.day += 1
    return reward, state.day >= scenario.days


@njit(error_model="numpy", inline="always")
def observe_belief(scenario, state, out):
    """Write the share of the days that are over, which level it is, which K it was yesterday."""
    for i in range(len(out)):
        out[i] = 0.0
    out[0] = state.day / scenario.days
    out[1 + state.level] = 1.0
    out[1 + scenario.levels + state.stages] = 1.0


@njit(error_model="numpy", inline="always")
def observe_outcome(scenario, state, out):
    """Write the share of the days that are over, and which level it is."""
    for i in range(len(out)):
        out[i] = 0.0
    out[0] = state.day / scenario.days
    out[1 + state.level] = 1.0


@njit(error_model="numpy", inline="always")
def allow(scenario, state, mask):
    """Write which actions are allowed: all."""
    for action in range(len(mask)):
        mask[action] = 1


@njit(error_model="numpy", inline="always")
def identify(scenario, state, outcome):
    """Return the key of the state as the agent may know it: its row in the order of the fields.

    It is the same with outcome observations: what the agent did yesterday, it may remember.
    """
    return (state.day * scenario.levels + state.level) * scenario.choices + state.stages


KERNEL = bind(globals())
