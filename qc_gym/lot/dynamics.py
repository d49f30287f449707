"""The world of inspect-or-stop: a lot from a process that goes out of control at an unknown unit.

The process starts in control and leaves that state for good; units are inspected in the order in
which they were produced. Where the lot does not exist yet, it is produced first, unit by unit.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from qc_gym.core.kernel import bind
from qc_gym.core.noise import uniform

STOP, INSPECT = 0, 1  # once there is a lot
END, PRODUCE = 0, 1  # while it is being produced
NUM_ACTIONS = 2
BELIEF_SIZE = 5
OUTCOME_SIZE = 5
NO_RESULT, NONCONFORMING, CONFORMING = 0, 1, 2
MAX_LOT = 1000
"""Most units of a lot: the survival function is tabulated to here, and a count is 10 bits of a key."""
KEY_LEVELS = 2**29
"""Keys tell beliefs apart that differ by more than 1 / (KEY_LEVELS − 1), about 1.9e-9."""

SCENARIO = np.dtype(
    [
        ("demand", np.int64),
        ("lot_size", np.int64),  # 0: the lot is produced first
        ("longest", np.int64),  # lot_size, or max_lot_size
        ("unit_share", np.float64),  # 1 / longest: a product takes a quarter of a quotient's time
        ("demand_share", np.float64),  # 1 / demand
        # P(judged so) of a unit, nonconforming and conforming, produced in control and out of control
        ("likelihood_in", np.float64, 2),
        ("likelihood_out", np.float64, 2),
        # Ends of what a draw means: conforming and judged so, conforming, and (or) judged conforming
        ("draws_in", np.float64, 3),
        ("draws_out", np.float64, 3),
        ("inspection_cost", np.float64),
        ("shortage_cost", np.float64),
        ("unit_cost", np.float64),
        ("setup_cost", np.float64),
        ("warranty_cost", np.float64),
        # F(j) = P(units 1, …, j are all produced in control), 0 beyond the longest lot
        ("survival", np.float64, MAX_LOT + 2),
    ],
    align=True,
)

STATE = np.dtype(
    [
        ("is_producing", np.bool_),
        ("lot_size", np.int64),  # units produced so far
        ("n", np.int64),  # of these, inspected
        ("d", np.int64),  # demand still open
        ("b", np.float64),  # P(the next unit was produced in control | the results so far)
        ("last_result", np.int64),  # NO_RESULT, NONCONFORMING or CONFORMING
        # The truth, hidden from every observation: unit j is produced in control where F(j) exceeds
        # this, which makes the last unit in control a draw by inversion.
        ("quantile", np.float64),
    ],
    align=True,
)


@njit(error_model="numpy", inline="always")
def reset(scenario, state, noise):
    """Draw when the process goes out of control."""
    state.is_producing = scenario.lot_size == 0
    state.lot_size = scenario.lot_size
    state.n = 0
    state.d = scenario.demand
    state.b = scenario.survival[1]
    state.last_result = NO_RESULT
    state.quantile = uniform(noise)


@njit(error_model="numpy", inline="always")
def step(scenario, state, action, noise):
    """Produce one more unit, inspect the next, or stop. Return (reward, terminated)."""
    reward = 0.0
    if state.is_producing:
        if action == PRODUCE and state.lot_size < scenario.longest:
            if state.lot_size == 0:
                reward -= scenario.setup_cost
            state.lot_size += 1
            return reward - scenario.unit_cost, False
        state.is_producing = False
        if state.lot_size > 0:
            return reward, False
    elif action == INSPECT:
        unit = np.uint64(state.n + 1)  # unsigned: numba need not ask whether it counts from the end
        draw = uniform(noise)
        if state.quantile < scenario.survival[unit]:
            passed, good, taken = (
                scenario.draws_in[0],
                scenario.draws_in[1],
                scenario.draws_in[2],
            )
        else:
            passed, good, taken = (
                scenario.draws_out[0],
                scenario.draws_out[1],
                scenario.draws_out[2],
            )
        is_missed = good <= draw < taken
        conforming = np.int64(draw < passed or is_missed)
        learn(scenario, state, conforming)
        reward -= scenario.inspection_cost
        if is_missed:
            reward -= scenario.warranty_cost
        if state.n < state.lot_size and state.d > 0:
            return reward, False
    return reward - scenario.shortage_cost * state.d, True


@njit(error_model="numpy", inline="always")
def learn(scenario, state, conforming):
    """Note that the next unit was inspected and judged conforming (1) or nonconforming (0).

    The world calls it with the truth, a model with either.
    """
    b = next_belief(scenario, state.n, state.b, conforming)
    state.n += 1
    state.b = b if state.n < state.lot_size else 0.0  # no unit is left to believe anything of
    state.d -= conforming
    state.last_result = NONCONFORMING + conforming


@njit(error_model="numpy", inline="always")
def next_belief(scenario, n, b, conforming):
    """Return P(unit n + 2 was produced in control), given b, that of unit n + 1, and its result.

    Bayes' rule, then the chance F(n+2) / F(n+1) that the process stayed in control. 0 where that is
    0/0: unit n + 1 cannot have been in control, or the result was impossible.
    """
    unit, result = np.uint64(n + 1), np.uint64(conforming)
    in_control = b * scenario.likelihood_in[result]
    evidence = in_control + (1.0 - b) * scenario.likelihood_out[result]
    scale = evidence * scenario.survival[unit]
    return in_control * scenario.survival[unit + np.uint64(1)] / scale if scale > 0.0 else 0.0


@njit(error_model="numpy", inline="always")
def observe_belief(scenario, state, out):
    """Write n over the longest lot, d over the demand, b, units left over the longest lot, the phase."""
    out[0] = state.n * scenario.unit_share
    out[1] = state.d * scenario.demand_share
    out[2] = state.b
    out[3] = (state.lot_size - state.n) * scenario.unit_share
    out[4] = state.is_producing


@njit(error_model="numpy", inline="always")
def observe_outcome(scenario, state, out):
    """Write n and units left over the longest lot, the last result (two flags), the phase."""
    out[0] = state.n * scenario.unit_share
    out[1] = (state.lot_size - state.n) * scenario.unit_share
    out[2] = state.last_result == CONFORMING
    out[3] = state.last_result == NONCONFORMING
    out[4] = state.is_producing


@njit(error_model="numpy", inline="always")
def allow(scenario, state, mask):
    """Write which actions are allowed: 1 needs room for a unit, or a unit that is left."""
    mask[STOP] = 1
    if state.is_producing:
        mask[PRODUCE] = state.lot_size < scenario.longest
    else:
        mask[INSPECT] = state.n < state.lot_size


@njit(error_model="numpy", inline="always")
def identify(scenario, state, outcome):
    """Return the key of the state as the agent may know it.

    Sorted by phase, lot size, n, conforming units found, with outcome observations the last result,
    and b rounded to one of ``KEY_LEVELS`` evenly spaced values: 1 + 3 · 10 + 2 + 29 bits.
    """
    key = np.uint64(not state.is_producing)
    key = (key << np.uint64(10)) | np.uint64(state.lot_size)
    key = (key << np.uint64(10)) | np.uint64(state.n)
    key = (key << np.uint64(10)) | np.uint64(scenario.demand - state.d)
    key = (key << np.uint64(2)) | np.uint64(state.last_result if outcome else NO_RESULT)
    return (key << np.uint64(29)) | np.uint64(state.b * (KEY_LEVELS - 1) + 0.5)


KERNEL = bind(globals())
