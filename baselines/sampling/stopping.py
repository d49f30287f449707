"""The optimum of sequential sampling as acceptance and rejection numbers, without its tables.

Where both results of one more item would lead to the same decision, inspecting it is no better than
deciding now. So only counts between the numbers of the next row have to be looked at, and two rows at
a time do: O(max_samples) memory.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from baselines.sampling.posterior import (
    average_row,
    judged_last_row,
    last_row,
    log_odds_tables,
)
from qc_gym.sampling.judgements import read_row, thin_row
from qc_gym.sampling.scenario import SequentialSamplingScenario, TwoPointPrior


class StoppingBounds(NamedTuple):
    """The optimum: its value, and when it stops.

    Attributes
    ----------
    value
        Optimal expected return, in money.
    acceptance_numbers, rejection_numbers
        int64 (max_samples + 1,): after n items, accept with at most that many defectives (−1: with
        none), reject with at least that many (n + 1: with none), else inspect one more.
    """

    value: float
    acceptance_numbers: NDArray[np.int64]
    rejection_numbers: NDArray[np.int64]


def stopping_bounds(scenario: SequentialSamplingScenario) -> StoppingBounds:
    """Return the optimum in O(max_samples) memory; where inspecting is worth nothing it stops."""
    accept, reject = np.empty((2, scenario.max_samples + 1), np.int64)
    prior, cost = scenario.prior, scenario.inspection_cost
    if scenario.hides_counts:
        weights = judged_last_row(scenario)[[0, 3, 4]]
        value = _judged(weights, cost, accept, reject)
    elif isinstance(prior, TwoPointPrior):
        defectives, lot = np.empty(2), scenario.lot_size or 0
        find = scenario.defectives if lot else scenario.judged
        defectives[:] = find(prior.good), find(prior.bad)
        value = _two_point(
            *log_odds_tables(scenario, prior),
            defectives,
            lot,
            np.array([scenario.accept_bad_cost, scenario.reject_good_cost]),
            cost,
            accept,
            reject,
        )
    else:
        losses = last_row(scenario, prior)[1:]
        value = _beta(losses, prior.a, prior.b, cost, accept, reject)
    return StoppingBounds(float(value) + 0.0, accept, reject)


@njit(cache=True, error_model="numpy")
def _two_point(  # type: ignore[no-untyped-def]
    of_defective, of_conforming, defectives, lot_size, losses, cost, accept, reject
):
    most = len(accept) - 1
    values = np.empty(most + 2)
    row = np.empty((3, most + 2))  # losses of accepting and rejecting, P(next one defective)
    low, high = 0, most
    for n in range(most, -1, -1):
        for d in range(max(low - 1, 0), min(high + 1, n) + 1):
            log_odds = of_defective[d] + of_conforming[n - d]
            prob_bad, prob_good = 0.5, 0.5
            if not math.isnan(log_odds):
                prob_bad = 1.0 / (1.0 + math.exp(-log_odds))
                prob_good = 1.0 / (1.0 + math.exp(log_odds))
            good, bad = defectives[0], defectives[1]
            if lot_size > 0:
                left = max(lot_size - n, 1)
                good = min(max((good - d) / left, 0.0), 1.0)
                bad = min(max((bad - d) / left, 0.0), 1.0)
            row[0, d], row[1, d] = prob_bad * losses[0], prob_good * losses[1]
            row[2, d] = prob_bad * bad + prob_good * good
        low, high = _decide(n, most, cost, row, values, low, high, accept, reject)
    return values[0]


@njit(cache=True, error_model="numpy")
def _beta(losses, a, b, cost, accept, reject):  # type: ignore[no-untyped-def]
    most = len(accept) - 1
    values = np.empty(most + 2)
    row = np.empty((3, most + 2))
    level = losses.copy()
    low, high = 0, most
    for n in range(most, -1, -1):
        if n < most:
            average_row(level, n, a, b)
        for d in range(max(low - 1, 0), min(high + 1, n) + 1):
            row[0, d], row[1, d] = level[0, d], level[1, d]
            row[2, d] = (a + d) / (a + b + n)
        low, high = _decide(n, most, cost, row, values, low, high, accept, reject)
    return values[0]


@njit(cache=True, error_model="numpy")
def _judged(weights, cost, accept, reject):  # type: ignore[no-untyped-def]
    most = len(accept) - 1
    values = np.empty(most + 2)
    row = np.empty((3, most + 2))
    low, high = 0, most
    for n in range(most, -1, -1):
        if n < most:
            thin_row(weights, n, row[2])
        read_row(weights, n, row[:2])
        low, high = _decide(n, most, cost, row, values, low, high, accept, reject)
    return values[0]


@njit(cache=True, error_model="numpy")
def _decide(n, most, cost, row, values, low, high, accept, reject):  # type: ignore[no-untyped-def]
    """Turn the values of row n + 1 into those of row n, between its counts low − 1 and high + 1.

    Below ``low`` both results lead to acceptance, above ``high`` to rejection. Returns the two for
    row n − 1.
    """
    accept[n], reject[n] = low - 1, high + 1
    for d in range(max(low - 1, 0), min(high + 1, n) + 1):
        accepts = d < low or (d <= high and row[0, d] <= row[1, d])
        stop = 0.0 - (row[0, d] if accepts else row[1, d])
        go_on = -np.inf
        if low <= d <= high and n < most:
            go_on = row[2, d] * values[d + 1] + (1.0 - row[2, d]) * values[d] - cost
        values[d] = max(stop, go_on)
        if go_on <= stop:
            if accepts:
                accept[n] = d
            else:
                reject[n] = min(reject[n], d)
    return max(accept[n], 0), min(reject[n] - 1, n - 1)
