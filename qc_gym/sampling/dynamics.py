"""The world of sequential sampling: a lot of unknown quality, inspected item by item.

The compiled functions below are the only code that knows how this world moves; the scalar
environment, the vector environment and the roll-out are generic loops over them
(:mod:`qc_gym.core.loops`).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from qc_gym.core.kernel import bind
from qc_gym.core.noise import beta_variate, binomial_variate, uniform

INSPECT, ACCEPT, REJECT = 0, 1, 2
NUM_ACTIONS = 3
BELIEF_SIZE = 4
OUTCOME_SIZE = 3
NO_RESULT, CONFORMING, DEFECTIVE = 0, 1, 2
TABLE_SIZE = 512
"""Counts for which a scenario carries tabulated posterior odds: an exponential saved per step."""

SCENARIO = np.dtype(
    [
        ("max_samples", np.int64),
        ("scale", np.float64),  # 1 / max_samples: a product takes a quarter of a quotient's time
        ("lot_size", np.int64),  # 0: an infinite lot
        ("is_beta", np.bool_),
        ("is_linear", np.bool_),
        ("good", np.float64),
        ("bad", np.float64),
        ("prob_bad", np.float64),
        ("good_defectives", np.int64),  # M of a good, of a bad lot; finite two-point lots only
        ("bad_defectives", np.int64),
        ("a", np.float64),
        ("b", np.float64),
        ("limit", np.float64),
        ("inspection_cost", np.float64),
        ("accept_bad_cost", np.float64),
        ("reject_good_cost", np.float64),
        # Posterior odds of a bad lot = odds_defective[d] * odds_conforming[n - d], where that holds
        # (infinite two-point lots) and cannot overflow; NaN elsewhere.
        ("odds_defective", np.float64, TABLE_SIZE),
        ("odds_conforming", np.float64, TABLE_SIZE),
    ],
    align=True,
)

STATE = np.dtype(
    [
        ("n", np.int64),  # inspected so far
        ("d", np.int64),  # of these, defective
        ("last_result", np.int64),  # NO_RESULT, CONFORMING or DEFECTIVE
        # The truth, hidden from every observation:
        ("is_bad", np.bool_),
        ("fraction_defective", np.float64),
        ("defectives", np.int64),  # M, in a finite lot
    ],
    align=True,
)


@njit(error_model="numpy")
def reset(scenario, state, noise):
    """Draw the lot's true quality."""
    state.n = 0
    state.d = 0
    state.last_result = NO_RESULT
    state.defectives = 0
    if scenario.is_beta:
        state.fraction_defective = beta_variate(noise, scenario.a, scenario.b)
        if scenario.lot_size > 0:
            state.defectives = binomial_variate(noise, scenario.lot_size, state.fraction_defective)
            state.fraction_defective = state.defectives / scenario.lot_size
        state.is_bad = state.fraction_defective > scenario.limit
    else:
        state.is_bad = uniform(noise) < scenario.prob_bad
        state.fraction_defective = scenario.bad if state.is_bad else scenario.good
        if scenario.lot_size > 0:
            state.defectives = scenario.bad_defectives if state.is_bad else scenario.good_defectives


@njit(error_model="numpy", inline="always")
def step(scenario, state, action, noise):
    """Inspect one more item, or decide. Return (reward, terminated)."""
    if action == INSPECT and state.n < scenario.max_samples:
        p = state.fraction_defective
        if scenario.lot_size > 0:
            p = (state.defectives - state.d) / (scenario.lot_size - state.n)
        # Arithmetic instead of a branch: the processor cannot predict a random result.
        found = np.int64(uniform(noise) < p)
        state.n += 1
        state.d += found
        state.last_result = CONFORMING + found
        return 0.0 - scenario.inspection_cost, False
    if (action == ACCEPT) != state.is_bad:
        return 0.0, True
    loss = scenario.accept_bad_cost if action == ACCEPT else scenario.reject_good_cost
    if scenario.is_linear:
        loss *= abs(state.fraction_defective - scenario.limit)
    return 0.0 - loss, True


@njit(error_model="numpy", inline="always")
def observe_belief(scenario, state, out):
    """Write n, d (both over max_samples), P(lot is bad) and P(next item is defective)."""
    out[0] = state.n * scenario.scale
    out[1] = state.d * scenario.scale
    odds = np.nan
    if state.n < TABLE_SIZE:
        # Unsigned, as numba need not ask then whether an index counts from the end.
        d, conforming = np.uint64(state.d), np.uint64(state.n - state.d)
        odds = scenario.odds_defective[d] * scenario.odds_conforming[conforming]
    if math.isnan(odds):
        out[2], out[3] = predict(scenario, state.n, state.d)
    else:
        prob_good = 1.0 / (1.0 + odds)
        out[2] = 1.0 - prob_good
        out[3] = scenario.bad + prob_good * (scenario.good - scenario.bad)


@njit(error_model="numpy", inline="always")
def observe_outcome(scenario, state, out):
    """Write n over max_samples, and whether the last item was conforming, was defective."""
    out[0] = state.n * scenario.scale
    out[1] = state.last_result == CONFORMING
    out[2] = state.last_result == DEFECTIVE


@njit(error_model="numpy", inline="always")
def allow(scenario, state, mask):
    """Write which actions are allowed."""
    mask[INSPECT] = state.n < scenario.max_samples
    mask[ACCEPT] = 1
    mask[REJECT] = 1


@njit(error_model="numpy", inline="always")
def identify(scenario, state, outcome):
    """Return the key of the state as the agent may know it.

    With belief observations the row of (n, d) on the triangle, 0, 1, 2, …; with outcome
    observations the last result splits it.
    """
    row = state.n * (state.n + 1) // 2 + state.d
    return row * 3 + state.last_result if outcome else row


@njit(error_model="numpy")
def predict(scenario, n, d):
    """Return P(the lot is bad) and P(the next item is defective), given d defectives of n."""
    if scenario.is_beta:
        a, b = scenario.a + d, scenario.b + (n - d)
        return beta_prob_bad(scenario, n, d, a, b), a / (a + b)
    prob_good = 1.0 / (1.0 + math.exp(log_odds(scenario, n, d)))
    prob_bad = 1.0 - prob_good
    good, bad = scenario.good, scenario.bad
    if scenario.lot_size > 0:
        left = max(scenario.lot_size - n, 1)
        good = min(max(scenario.good_defectives - d, 0), left) / left
        bad = min(max(scenario.bad_defectives - d, 0), left) / left
    return prob_bad, prob_good * good + prob_bad * bad


@njit(error_model="numpy")
def log_odds(scenario, n, d):
    """Return the logarithm of the posterior odds of a bad lot, two-point priors."""
    prior = math.log(scenario.prob_bad) - math.log1p(-scenario.prob_bad)
    conforming = n - d
    if scenario.lot_size == 0:
        return (
            prior
            + d * math.log(scenario.bad / scenario.good)
            + conforming * (math.log1p(-scenario.bad) - math.log1p(-scenario.good))
        )
    lot, good, bad = scenario.lot_size, scenario.good_defectives, scenario.bad_defectives
    if d > good:
        return np.inf
    if conforming > lot - bad:
        return -np.inf
    return (
        prior
        + log_choose(bad, d)
        - log_choose(good, d)
        + log_choose(lot - bad, conforming)
        - log_choose(lot - good, conforming)
    )


@njit(error_model="numpy")
def log_choose(n, k):
    """Return the logarithm of the number of k-subsets of n items."""
    return math.lgamma(n + 1.0) - math.lgamma(k + 1.0) - math.lgamma(n - k + 1.0)


@njit(error_model="numpy")
def beta_prob_bad(scenario, n, d, a, b):
    """Return P(the lot is bad) under a Beta prior, given d defectives among n inspected."""
    if scenario.lot_size == 0:
        return 1.0 - regularised_beta(scenario.limit, a, b)
    # The lot is bad when more than this many of the items not yet inspected are defective.
    left = scenario.lot_size - n
    most = d + left
    threshold = np.int64(math.floor(scenario.limit * scenario.lot_size)) + 1
    while threshold > 0 and (threshold - 1) / scenario.lot_size > scenario.limit:
        threshold -= 1
    while threshold / scenario.lot_size <= scenario.limit:
        threshold += 1
    if threshold <= d:
        return 1.0
    if threshold > most:
        return 0.0
    return beta_binomial_tail(threshold - d, left, a, b)


@njit(error_model="numpy")
def beta_binomial_tail(k, trials, a, b):
    """Return P(X ≥ k) for X ~ BetaBinomial(trials, a, b), 1 ≤ k ≤ trials.

    Sums away from the mean, starting from one probability taken in logarithms: the terms fall.
    """
    upward = k > trials * a / (a + b)
    x = k if upward else k - 1
    term = math.exp(log_choose(trials, x) + log_beta(x + a, trials - x + b) - log_beta(a, b))
    total = 0.0
    while 0 <= x <= trials and term > 0.0:
        total += term
        if upward:
            term *= (trials - x) * (x + a) / ((x + 1.0) * (trials - x - 1.0 + b))
            x += 1
        else:
            term *= x * (trials - x + b) / ((trials - x + 1.0) * (x - 1.0 + a))
            x -= 1
    total = min(total, 1.0)
    return total if upward else 1.0 - total


@njit(error_model="numpy")
def log_beta(a, b):
    """Return the logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@njit(error_model="numpy")
def regularised_beta(x, a, b):
    """Return I_x(a, b), by its continued fraction (Lentz's method; DLMF 8.17.22)."""
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - regularised_beta_left(1.0 - x, b, a)
    return regularised_beta_left(x, a, b)


@njit(error_model="numpy")
def regularised_beta_left(x, a, b):
    """Return I_x(a, b) for x below about the mean, where the continued fraction is quick."""
    tiny = 1e-300
    f, c, d = 1.0, 1.0, 0.0
    for i in range(500):
        m = i // 2
        if i == 0:
            numerator = 1.0
        elif i % 2 == 0:
            numerator = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        else:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        d = 1.0 + numerator * d
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = 1.0 + numerator / c
        c = c if abs(c) > tiny else tiny
        f *= c * d
        if abs(1.0 - c * d) < 1e-14:
            break
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta(a, b)) / a
    return front * (f - 1.0)


KERNEL = bind(globals())
