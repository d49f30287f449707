"""What the kernel looks up of one scenario: beliefs at every (n, d), and the lots that it draws."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qc_gym.core.inspection import judged
from qc_gym.core.table import NO_TABLE, Table, as_table
from qc_gym.sampling.dynamics import GUIDES, beta_prob_bad, lot_ratio
from qc_gym.sampling.judgements import (
    beta_binomial_row,
    hypergeometric_row,
    judged_lattice,
    judged_row,
    read_row,
)

MAX_LOG_ODDS = 340.0
"""Half the range of float64 exponents: a product of two tabulated factors of odds stays finite."""


def make_table(scenario: np.void) -> Table:
    """Return the table of a scenario's record, laid out as its fields ``tabulated`` and ``factors`` say."""
    if scenario["factors"] > 0:
        return as_table(_factors(scenario))
    beliefs, lots = 2 * int(scenario["tabulated"]), 0
    if scenario["first_chance"] > 0.0:
        lots = int(scenario["lot_size"]) + 1 + GUIDES
    if beliefs + lots == 0:
        return NO_TABLE
    table = np.empty(beliefs + lots)
    if lots:
        _fill_lots(scenario, table[beliefs:])
    if beliefs:
        _fill_beliefs(scenario, table[:beliefs])
        if scenario["false_alarm"] > 0.0 or scenario["miss"] > 0.0:
            _judge(scenario, table[:beliefs])
    return as_table(table)


def _factors(scenario: np.void) -> NDArray[np.float64]:
    """Return the factors of the posterior odds that k items judged defective make, and k judged conforming.

    (2 · factors,), the prior's odds in the first; NaN where the product of two could overflow.
    """
    k = np.arange(scenario["factors"])
    logarithms = np.concatenate(
        [scenario["log_odds"] + k * scenario["log_defective"], k * scenario["log_conforming"]]
    )
    safe = np.abs(logarithms) < MAX_LOG_ODDS
    return np.where(safe, np.exp(np.where(safe, logarithms, 0.0)), np.nan)


def _judge(scenario: np.void, beliefs: NDArray[np.float64]) -> None:
    """Turn beliefs given the true counts into those given the judged ones, in place.

    See :mod:`qc_gym.sampling.judgements`: those of the last row are all that is needed.
    """
    n = int(scenario["max_samples"])
    if scenario["is_beta"]:
        counts = beta_binomial_row(n, float(scenario["a"]), float(scenario["b"]))
    else:
        good, bad = (
            hypergeometric_row(n, int(scenario[name]), int(scenario["lot_size"]))
            for name in ("good_defectives", "bad_defectives")
        )
        counts = (1.0 - scenario["prob_bad"]) * good + scenario["prob_bad"] * bad
    errors = float(scenario["false_alarm"]), float(scenario["miss"])
    given_true = beliefs[-2 * (n + 1) :].reshape(-1, 2).T
    weights = judged_row(counts * np.stack([np.ones(n + 1), *given_true]), *errors)
    last = np.empty((2, n + 1))
    read_row(weights, n, last)
    (prob_bad,), prob_defective = judged_lattice(weights[:2].copy())
    prob_defective[-n - 1 :] = judged(last[1], *errors)
    beliefs[::2], beliefs[1::2] = np.minimum(prob_bad, 1.0), prob_defective


@njit(cache=True, error_model="numpy")
def _fill_beliefs(scenario, table):  # type: ignore[no-untyped-def]
    """Write what :func:`~qc_gym.sampling.dynamics.predict_result` returns at every state, (2 · tabulated,).

    Under a Beta prior P(bad) is a martingale, averaged back from the last row; of a two-point prior the
    log-odds are summed from state to state.
    """
    most = scenario.max_samples
    if scenario.is_beta:
        for n in range(most, -1, -1):
            for d in range(n + 1):
                row = n * (n + 1) + 2 * d
                a, b = scenario.a + d, scenario.b + (n - d)
                p = a / (a + b)
                table[row + 1] = p
                if n == most:
                    table[row] = beta_prob_bad(scenario, n, d, a, b)
                else:
                    after = row + 2 * (n + 1)
                    table[row] = p * table[after + 2] + (1.0 - p) * table[after]
        return
    lot, good, bad = scenario.lot_size, scenario.good_defectives, scenario.bad_defectives
    table[1] = math.log(scenario.prob_bad) - math.log1p(-scenario.prob_bad)
    for n in range(most + 1):
        for d in range(n + 1):
            row = n * (n + 1) + 2 * d
            log_odds = table[row + 1]
            # The first count that a good lot cannot show proves a bad one, and the reverse.
            passed = max(lot - bad - (n - d), 0) / max(lot - good - (n - d), 1)
            if n < most:
                after = row + 2 * (n + 1)
                table[after + 1] = log_odds + math.log(passed)
                if d == n:
                    found = np.inf if d >= good else math.log((bad - d) / (good - d))
                    table[after + 3] = log_odds + found
            if d > good:
                log_odds = np.inf
            prob_good = 1.0 / (1.0 + math.exp(log_odds))
            left = max(lot - n, 1)
            next_good = min(max(good - d, 0), left) / left
            next_bad = min(max(bad - d, 0), left) / left
            table[row] = 1.0 - prob_good
            table[row + 1] = prob_good * next_good + (1.0 - prob_good) * next_bad


@njit(cache=True, error_model="numpy")
def _fill_lots(scenario, table):  # type: ignore[no-untyped-def]
    """Write P(M ≤ k), k = 0, …, lot_size, and where the search begins in each of GUIDES shares."""
    lot = scenario.lot_size
    chance = total = scenario.first_chance
    table[0] = total
    for k in range(lot):
        chance *= lot_ratio(scenario, k)
        total += chance
        table[k + 1] = total
    k = 0
    for guide in range(GUIDES):
        while k < lot and guide >= GUIDES * table[k]:
            k += 1
        table[lot + 1 + guide] = k
