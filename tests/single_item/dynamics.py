"""The world of a single item."""

import numpy as np
from numba import njit

from qc_gym.core.kernel import bind
from qc_gym.core.noise import uniform

USE, DISCARD, INSPECT = 0, 1, 2
UNKNOWN, GOOD, BAD = 0, 1, 2
SCENARIO = np.dtype(
    [
        ("defect_rate", np.float64),
        ("gain", np.float64),
        ("loss", np.float64),
        ("inspection_cost", np.float64),
    ],
    align=True,
)
STATE = np.dtype([("is_bad", np.bool_), ("status", np.int64)], align=True)
NUM_ACTIONS = 3
BELIEF_SIZE = OUTCOME_SIZE = 1


@njit(error_model="numpy")
def reset(scenario, state, noise):
    state.is_bad = uniform(noise) < scenario.defect_rate
    state.status = UNKNOWN


@njit(error_model="numpy", inline="always")
def step(scenario, state, action, noise):
    reward, terminated = 0.0, True
    if action == INSPECT and state.status == UNKNOWN:
        state.status = BAD if state.is_bad else GOOD
        reward, terminated = -scenario.inspection_cost, False
    elif action == USE:
        reward = -scenario.loss if state.is_bad else scenario.gain
    return reward, terminated


@njit(error_model="numpy", inline="always")
def observe_belief(scenario, state, out):
    if state.status == UNKNOWN:
        out[0] = scenario.defect_rate
    else:
        out[0] = np.float64(state.status == BAD)


@njit(error_model="numpy", inline="always")
def observe_outcome(scenario, state, out):
    out[0] = 0.5 * state.status


@njit(error_model="numpy", inline="always")
def allow(scenario, state, mask):
    mask[USE] = mask[DISCARD] = 1
    mask[INSPECT] = state.status == UNKNOWN


@njit(error_model="numpy", inline="always")
def identify(scenario, state, outcome):
    return np.uint64(state.status)


KERNEL = bind(globals())
