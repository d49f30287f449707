"""What is known of a lot after n items with d defectives: Bayes' rule, in float64.

Written apart from the environment's own ``observe``, so that each checks the other. Arrays run over the
lattice of counts, 0 ≤ d ≤ n ≤ max_samples, in the order of n·(n+1)/2 + d (shape (T,)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import special

from baselines.sampling.characteristics import lattice_counts
from qc_gym.sampling.scenario import BetaPrior, SequentialSamplingScenario, TwoPointPrior


@dataclass(frozen=True, eq=False)
class Posterior:
    """Predictions on the lattice, each float64 (T,).

    Attributes
    ----------
    prob_bad
        P(the lot is bad).
    prob_defective
        P(the next item inspected is defective).
    accept_loss, reject_loss
        Expected loss of accepting, of rejecting now, in money.
    """

    prob_bad: NDArray[np.float64]
    prob_defective: NDArray[np.float64]
    accept_loss: NDArray[np.float64]
    reject_loss: NDArray[np.float64]


def posterior(scenario: SequentialSamplingScenario) -> Posterior:
    """Return what is known at each point of the lattice."""
    if isinstance(scenario.prior, TwoPointPrior):
        return _two_point(scenario, scenario.prior)
    if scenario.lot_size is None:
        return _beta(scenario, scenario.prior)
    return _beta_binomial(scenario, scenario.prior, scenario.lot_size)


def _two_point(scenario: SequentialSamplingScenario, prior: TwoPointPrior) -> Posterior:
    n, d = lattice_counts(scenario.max_samples)
    if scenario.lot_size is None:
        log_ratio = d * np.log(prior.bad / prior.good) + (n - d) * (
            np.log1p(-prior.bad) - np.log1p(-prior.good)
        )
        good: NDArray[np.float64] | float = prior.good
        bad: NDArray[np.float64] | float = prior.bad
    else:
        lot = scenario.lot_size
        left = np.maximum(lot - n, 1)
        defectives = scenario.defectives(prior.good), scenario.defectives(prior.bad)
        log_good, log_bad = (_log_hypergeometric(d, n, m, lot) for m in defectives)
        # Counts that neither lot can show are never reached; any posterior will do there.
        impossible = np.isneginf(log_good) & np.isneginf(log_bad)
        log_ratio = np.where(impossible, 0.0, log_bad) - np.where(impossible, 0.0, log_good)
        good, bad = (np.clip((m - d) / left, 0.0, 1.0) for m in defectives)
    prob_bad = special.expit(special.logit(prior.prob_bad) + log_ratio)
    return Posterior(
        prob_bad=prob_bad,
        prob_defective=prob_bad * bad + (1.0 - prob_bad) * good,
        accept_loss=prob_bad * scenario.accept_bad_cost,
        reject_loss=(1.0 - prob_bad) * scenario.reject_good_cost,
    )


def _log_hypergeometric(
    d: NDArray[np.int64], n: NDArray[np.int64], defectives: int, lot_size: int
) -> NDArray[np.float64]:
    """Return the logarithm of the likelihood of one sequence with these counts, up to a constant.

    −inf where the lot cannot show the counts.
    """
    possible = (d <= defectives) & (n - d <= lot_size - defectives)
    left = np.where(possible, defectives - d, 0)
    log_sequences = special.gammaln(lot_size - n + 1.0) - (
        special.gammaln(left + 1.0) + special.gammaln(np.maximum(lot_size - n - left, 0) + 1.0)
    )
    log_lots = special.gammaln(lot_size + 1.0) - (
        special.gammaln(defectives + 1.0) + special.gammaln(lot_size - defectives + 1.0)
    )
    return np.where(possible, log_sequences - log_lots, -np.inf)


def _beta(scenario: SequentialSamplingScenario, prior: BetaPrior) -> Posterior:
    n, d = lattice_counts(scenario.max_samples)
    a, b = prior.a + d, prior.b + (n - d)
    mean = a / (a + b)
    prob_bad = special.betaincc(a, b, prior.limit)
    excess, shortfall = prob_bad, special.betainc(a, b, prior.limit)
    if scenario.loss == "linear":
        # E[p; p > limit] is the mean times P(p > limit) under Beta(a + 1, b).
        excess = mean * special.betaincc(a + 1, b, prior.limit) - prior.limit * prob_bad
        shortfall = prior.limit * shortfall - mean * special.betainc(a + 1, b, prior.limit)
    return Posterior(
        prob_bad=prob_bad,
        prob_defective=mean,
        accept_loss=np.maximum(excess, 0.0) * scenario.accept_bad_cost,
        reject_loss=np.maximum(shortfall, 0.0) * scenario.reject_good_cost,
    )


def _beta_binomial(
    scenario: SequentialSamplingScenario, prior: BetaPrior, lot_size: int
) -> Posterior:
    """Average back from the whole lot, whose losses are known, to what may have been seen of it."""
    fraction = np.arange(lot_size + 1) / lot_size
    is_bad = fraction > prior.limit
    weight = np.abs(fraction - prior.limit) if scenario.loss == "linear" else np.ones(lot_size + 1)
    known = np.stack(
        [
            is_bad,
            is_bad * weight * scenario.accept_bad_cost,
            ~is_bad * weight * scenario.reject_good_cost,
        ]
    ).astype(np.float64)
    size = (scenario.max_samples + 1) * (scenario.max_samples + 2) // 2
    means = _average_back(known, prior.a, prior.b, scenario.max_samples, size)
    n, d = lattice_counts(scenario.max_samples)
    return Posterior(means[0], (prior.a + d) / (prior.a + prior.b + n), means[1], means[2])


@njit(cache=True, error_model="numpy")
def _average_back(known, a, b, max_samples, size):  # type: ignore[no-untyped-def]
    """Return the means (3, size) on the lattice of what is known at n = lot_size, (3, lot_size + 1).

    A mean given the counts is a martingale: m(n, d) = P(defective) m(n+1, d+1) + P(not) m(n+1, d).
    """
    result = np.empty((known.shape[0], size))
    level = known.copy()
    for n in range(known.shape[1] - 1, -1, -1):
        if n < known.shape[1] - 1:
            for d in range(n + 1):
                p = (a + d) / (a + b + n)
                for j in range(known.shape[0]):
                    level[j, d] = p * level[j, d + 1] + (1.0 - p) * level[j, d]
        if n <= max_samples:
            start = n * (n + 1) // 2
            result[:, start : start + n + 1] = level[:, : n + 1]
    return result
