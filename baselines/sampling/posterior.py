"""What is known of a lot after n items, d of them judged defective: Bayes' rule, in float64.

Written apart from the environment's own ``observe``, so that each checks the other. Arrays run over the
lattice of counts, 0 ≤ d ≤ n ≤ max_samples, in the order of n·(n+1)/2 + d (shape (T,)).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import special

from baselines.sampling.beta_binomial import tails
from baselines.sampling.characteristics import lattice_counts
from qc_gym.core.lattice import row_start
from qc_gym.sampling.judgements import (
    beta_binomial_row,
    hypergeometric_row,
    judged_lattice,
    judged_row,
    read_row,
)
from qc_gym.sampling.scenario import (
    MAX_TABULATED,
    BetaPrior,
    SequentialSamplingScenario,
    TwoPointPrior,
)


@dataclass(frozen=True, eq=False)
class Posterior:
    """Predictions on the lattice, each float64 (T,).

    Attributes
    ----------
    prob_bad
        P(the lot is bad).
    prob_defective
        P(the next item inspected is judged defective).
    accept_loss, reject_loss
        Expected loss of accepting, of rejecting now, in money.
    """

    prob_bad: NDArray[np.float64]
    prob_defective: NDArray[np.float64]
    accept_loss: NDArray[np.float64]
    reject_loss: NDArray[np.float64]


def posterior(scenario: SequentialSamplingScenario) -> Posterior:
    """Return what is known at each point of the lattice.

    That of the last scenarios is kept, so that model and plans share it: its arrays are read only. Not
    beyond ``MAX_TABULATED`` items, where it is large.
    """
    if scenario.max_samples > MAX_TABULATED:
        return _posterior(scenario)
    return _kept_posterior(scenario)


@lru_cache(maxsize=4)
def _kept_posterior(scenario: SequentialSamplingScenario) -> Posterior:
    known = _posterior(scenario)
    for array in vars(known).values():
        array.flags.writeable = False
    return known


def _posterior(scenario: SequentialSamplingScenario) -> Posterior:
    if scenario.hides_counts:
        return _judged(scenario)
    if isinstance(scenario.prior, TwoPointPrior):
        return _two_point(scenario, scenario.prior)
    return _beta(scenario, scenario.prior)


def _two_point(scenario: SequentialSamplingScenario, prior: TwoPointPrior) -> Posterior:
    n, d = lattice_counts(scenario.max_samples)
    of_defective, of_conforming = log_odds_tables(scenario, prior)
    with np.errstate(invalid="ignore"):
        log_odds = of_defective[d] + of_conforming[n - d]
    # Counts that neither lot can show are never reached; any posterior will do there.
    prob_bad = special.expit(np.where(np.isnan(log_odds), 0.0, log_odds))
    good: NDArray[np.float64] | float = scenario.judged(prior.good)
    bad: NDArray[np.float64] | float = scenario.judged(prior.bad)
    if scenario.lot_size is not None:
        left = np.maximum(scenario.lot_size - n, 1)
        defectives = scenario.defectives(prior.good), scenario.defectives(prior.bad)
        good, bad = (np.clip((m - d) / left, 0.0, 1.0) for m in defectives)
    return Posterior(
        prob_bad=prob_bad,
        prob_defective=prob_bad * bad + (1.0 - prob_bad) * good,
        accept_loss=prob_bad * scenario.accept_bad_cost,
        reject_loss=(1.0 - prob_bad) * scenario.reject_good_cost,
    )


def log_odds_tables(
    scenario: SequentialSamplingScenario, prior: TwoPointPrior
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the terms of the log odds of a bad lot that k items found defective, conforming add.

    Both (max_samples + 1,), the prior's odds in the first; ±inf from where a good, a bad lot cannot
    have so many. In an infinite lot what is found are judgements, in a finite one the truth.
    """
    prior_odds = np.log(prior.prob_bad) - np.log1p(-prior.prob_bad)
    if scenario.lot_size is None:
        k = np.arange(scenario.max_samples + 1)
        conforming = k * (scenario.log_passed(prior.bad) - scenario.log_passed(prior.good))
        defective = np.log(scenario.judged(prior.bad)) - np.log(scenario.judged(prior.good))
        return np.asarray(prior_odds + k * defective), np.asarray(conforming)
    k = np.arange(scenario.max_samples)
    lot = scenario.lot_size
    good, bad = scenario.defectives(prior.good), scenario.defectives(prior.bad)
    with np.errstate(divide="ignore"):
        defective = np.log(np.maximum(bad - k, 1) / np.maximum(good - k, 0))
        conforming = np.log(np.maximum(lot - bad - k, 0) / np.maximum(lot - good - k, 1))
    return (
        prior_odds + np.concatenate([[0.0], np.cumsum(defective)]),
        np.concatenate([[0.0], np.cumsum(conforming)]),
    )


def _judged(scenario: SequentialSamplingScenario) -> Posterior:
    """Judge the true counts of the last row, and think back to what may have been seen before."""
    weights = judged_last_row(scenario)
    last = np.empty((1, weights.shape[1]))
    read_row(weights[:2], scenario.max_samples, last)
    (prob_bad, accept_loss, reject_loss), prob_defective = judged_lattice(weights[[0, 2, 3, 4]])
    prob_defective[-last.size :] = scenario.judged(last[0])
    return Posterior(np.minimum(prob_bad, 1.0), prob_defective, accept_loss, reject_loss)


def judged_last_row(scenario: SequentialSamplingScenario) -> NDArray[np.float64]:
    """Return the weights of the judged counts at n = max_samples, float64 (5, max_samples + 1).

    See :mod:`qc_gym.sampling.judgements`. Of the counts, and these times P(a further item is defective),
    P(bad) and the expected losses of accepting and rejecting.
    """
    n, prior = scenario.max_samples, scenario.prior
    k = np.arange(n + 1)
    if isinstance(prior, BetaPrior):
        weights = beta_binomial_row(n, prior.a, prior.b) * np.stack(
            [np.ones(n + 1), (prior.a + k) / (prior.a + prior.b + n), *last_row(scenario, prior)]
        )
    else:
        assert scenario.lot_size is not None
        lot, weights = scenario.lot_size, np.zeros((5, n + 1))
        for rate, prob, is_bad in (
            (prior.good, 1.0 - prior.prob_bad, False),
            (prior.bad, prior.prob_bad, True),
        ):
            held = scenario.defectives(rate)
            row = prob * hypergeometric_row(n, held, lot)
            weights[0] += row
            weights[1] += row * (held - k) / max(lot - n, 1)
            if is_bad:
                weights[2:4] = row, scenario.accept_bad_cost * row
            else:
                weights[4] = scenario.reject_good_cost * row
    judged: NDArray[np.float64] = judged_row(weights, scenario.false_alarm, scenario.miss)
    return judged


def _beta(scenario: SequentialSamplingScenario, prior: BetaPrior) -> Posterior:
    """Average back from the last row to what may have been seen before."""
    size = row_start(scenario.max_samples + 1)
    means = _average_back(last_row(scenario, prior), prior.a, prior.b, size)
    n, d = lattice_counts(scenario.max_samples)
    return Posterior(means[0], (prior.a + d) / (prior.a + prior.b + n), means[1], means[2])


def last_row(scenario: SequentialSamplingScenario, prior: BetaPrior) -> NDArray[np.float64]:
    """Return P(bad) and the expected losses of accepting and rejecting at n = max_samples.

    float64 (3, max_samples + 1), for 0, 1, … items that truly are defective.
    """
    find = _tails if scenario.lot_size is None else _lot_tails
    prob_bad, prob_good, excess, shortfall = find(scenario, prior)
    if scenario.loss == "indicator":
        excess, shortfall = prob_bad, prob_good
    return np.stack(
        [
            prob_bad,
            np.maximum(excess, 0.0) * scenario.accept_bad_cost,
            np.maximum(shortfall, 0.0) * scenario.reject_good_cost,
        ]
    )


def _tails(
    scenario: SequentialSamplingScenario, prior: BetaPrior
) -> tuple[NDArray[np.float64], ...]:
    """Return P(bad), P(good), E[p − limit; bad] and E[limit − p; good] in the last row."""
    d = np.arange(scenario.max_samples + 1)
    a, b, limit = prior.a + d, prior.b + (scenario.max_samples - d), prior.limit
    mean = a / (a + b)
    prob_bad, prob_good = special.betaincc(a, b, limit), special.betainc(a, b, limit)
    # E[p; p > limit] is the mean times P(p > limit) under Beta(a + 1, b).
    excess = mean * special.betaincc(a + 1, b, limit) - limit * prob_bad
    return prob_bad, prob_good, excess, limit * prob_good - mean * special.betainc(a + 1, b, limit)


def _lot_tails(
    scenario: SequentialSamplingScenario, prior: BetaPrior
) -> tuple[NDArray[np.float64], ...]:
    """Return what :func:`_tails` does, of a finite lot."""
    assert scenario.lot_size is not None
    lot, n, limit = scenario.lot_size, scenario.max_samples, prior.limit
    threshold = int(limit * lot)
    while threshold / lot <= limit:
        threshold += 1
    while threshold > 0 and (threshold - 1) / lot > limit:
        threshold -= 1
    prob_bad, prob_good = tails(lot, n, threshold, prior.a, prior.b)
    d = np.arange(n + 1)
    excess, shortfall = (d / lot - limit) * prob_bad, (limit - d / lot) * prob_good
    if lot > n:
        # As for the Beta distribution: the next item is defective, and the others what they then are.
        bad, good = tails(lot, n + 1, threshold, prior.a, prior.b)
        mean = (lot - n) / lot * (prior.a + d) / (prior.a + prior.b + n)
        excess, shortfall = excess + mean * bad[1:], shortfall - mean * good[1:]
    return prob_bad, prob_good, excess, shortfall


@njit(cache=True, error_model="numpy")
def _average_back(last, a, b, size):  # type: ignore[no-untyped-def]
    """Return the means (3, size) on the lattice of what is known in the last row, (3, max_samples + 1).

    A mean given the counts is a martingale: m(n, d) = P(defective) m(n+1, d+1) + P(not) m(n+1, d).
    """
    result = np.empty((last.shape[0], size))
    level = last.copy()
    for n in range(last.shape[1] - 1, -1, -1):
        if n < last.shape[1] - 1:
            average_row(level, n, a, b)
        start = row_start(n)
        result[:, start : start + n + 1] = level[:, : n + 1]
    return result


@njit(cache=True, error_model="numpy")
def average_row(level, n, a, b):  # type: ignore[no-untyped-def]
    """Turn the means given n + 1 items, (m, at least n + 2), into those given n, in place."""
    for j in range(level.shape[0]):
        for d in range(n + 1):
            p = (a + d) / (a + b + n)
            level[j, d] = p * level[j, d + 1] + (1.0 - p) * level[j, d]
