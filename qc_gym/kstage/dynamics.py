"""The world of K-stage inspection: one decision, and the steady state that it leads to.

Nothing is hidden and nothing is random: a plant's cost in the steady state follows from K alone.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numba import njit

from qc_gym.core.kernel import bind

NUM_ACTIONS = 2  # of the smallest world; a scenario's own is max_stages + 1
BELIEF_SIZE = 1
OUTCOME_SIZE = 1
UNDECIDED = -1


def room_for(choices: int) -> int:
    """Return how many places a layout has for so many choices: few layouts are to be compiled for."""
    return max(8, 2 ** (choices - 1).bit_length())


@cache
def scenario_dtype(max_stages: int) -> np.dtype[np.void]:
    """Return the layout of the parameters of a plant of at most ``max_stages`` stages."""
    room = room_for(max_stages + 1)
    # Per item used, of each K; beyond the last, that of the last.
    return np.dtype([("cost", np.float64, (room,))], align=True)


SCENARIO = scenario_dtype(NUM_ACTIONS - 1)
STATE = np.dtype([("stages", np.int64)], align=True)  # K, or UNDECIDED


@njit(error_model="numpy")
def reset(scenario, state, noise):
    """Begin with a plant whose number of stages is not decided."""
    state.stages = UNDECIDED


@njit(error_model="numpy", inline="always")
def step(scenario, state, action, noise):
    """Run ``action`` stages for good. Return (reward, terminated)."""
    state.stages = action
    return -scenario.cost[action], True


@njit(error_model="numpy", inline="always")
def observe_belief(scenario, state, out):
    """Write whether the number of stages is still to be decided."""
    out[0] = state.stages == UNDECIDED


@njit(error_model="numpy", inline="always")
def observe_outcome(scenario, state, out):
    """Write whether the number of stages is still to be decided: there is nothing to be hidden."""
    out[0] = state.stages == UNDECIDED


@njit(error_model="numpy", inline="always")
def allow(scenario, state, mask):
    """Write which actions are allowed: all."""
    for action in range(len(mask)):
        mask[action] = 1


@njit(error_model="numpy", inline="always")
def identify(scenario, state, outcome):
    """Return the key of the state as the agent may know it: 0 is the only one with a decision."""
    return state.stages - UNDECIDED


KERNEL = bind(globals())
