"""The world of sequential sampling: a lot of unknown quality, inspected item by item.

The compiled functions below are the only code that knows how this world moves; the scalar
environment, the vector environment and the roll-out are generic loops over them
(:mod:`qc_gym.core.loops`).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from qc_gym.core.inspection import judged
from qc_gym.core.kernel import bind
from qc_gym.core.lattice import row_start
from qc_gym.core.noise import beta_variate, binomial_variate, uniform
from qc_gym.sampling.special import beta_binomial_tail, log_beta, log_choose, upper_beta_tail

INSPECT, ACCEPT, REJECT = 0, 1, 2
NUM_ACTIONS = 3
BELIEF_SIZE = 4
OUTCOME_SIZE = 3
NO_RESULT, CONFORMING, DEFECTIVE = 0, 1, 2
MAX_FACTORS = 512
"""Most counts for which factors of the posterior odds are tabulated: an exponential saved per step."""
GUIDES = 1024
"""Where a search begins in the distribution of a finite lot's defectives: that many equal shares."""

SCENARIO = np.dtype(
    [
        ("max_samples", np.int64),
        ("scale", np.float64),  # 1 / max_samples: a product takes a quarter of a quotient's time
        ("lot_size", np.int64),  # 0: an infinite lot
        ("is_beta", np.bool_),
        ("is_linear", np.bool_),
        ("good", np.float64),
        ("bad", np.float64),
        ("judged_good", np.float64),  # the same as the inspector sees them
        ("judged_bad", np.float64),
        ("prob_bad", np.float64),
        ("good_defectives", np.int64),  # M of a good, of a bad lot; finite two-point lots only
        ("bad_defectives", np.int64),
        ("a", np.float64),
        ("b", np.float64),
        ("limit", np.float64),
        ("false_alarm", np.float64),
        ("miss", np.float64),
        ("first_chance", np.float64),  # P(M = 0) where M is drawn by inversion; 0: it is not
        # The scenario's table: P(bad) and P(next one judged defective) at so many states (n, d), in
        # the order of their keys; P(M ≤ k), k = 0, …, lot_size, and GUIDES, if M is drawn so.
        ("tabulated", np.int64),
        ("inspection_cost", np.float64),
        ("accept_bad_cost", np.float64),
        ("reject_good_cost", np.float64),
        # Infinite two-point lots: the logarithm of the posterior odds of a bad lot is the prior's, plus so
        # much for each item judged defective and each judged conforming. The table then holds the factors
        # that d, and n - d, of these make, each for so many counts; 0 for all other lots.
        ("log_odds", np.float64),
        ("log_defective", np.float64),
        ("log_conforming", np.float64),
        ("factors", np.int64),
    ],
    align=True,
)

STATE = np.dtype(
    [
        ("n", np.int64),  # inspected so far
        ("d", np.int64),  # of these, judged defective
        ("last_result", np.int64),  # as judged: NO_RESULT, CONFORMING or DEFECTIVE
        # The truth, hidden from every observation:
        ("is_bad", np.bool_),
        ("fraction_defective", np.float64),
        ("defectives", np.int64),  # M, in a finite lot
        ("defectives_inspected", np.int64),  # of these, whatever they were judged
    ],
    align=True,
)


@njit(error_model="numpy")
def reset(scenario, table, state, noise):
    """Draw the lot's true quality."""
    state.n = 0
    state.d = 0
    state.last_result = NO_RESULT
    state.defectives = 0
    state.defectives_inspected = 0
    if scenario.is_beta:
        if scenario.lot_size > 0:
            state.defectives = draw_defectives(scenario, table, noise)
            state.fraction_defective = state.defectives / scenario.lot_size
        else:
            state.fraction_defective = beta_variate(noise, scenario.a, scenario.b)
        state.is_bad = state.fraction_defective > scenario.limit
    else:
        state.is_bad = uniform(noise) < scenario.prob_bad
        state.fraction_defective = scenario.bad if state.is_bad else scenario.good
        if scenario.lot_size > 0:
            state.defectives = scenario.bad_defectives if state.is_bad else scenario.good_defectives


@njit(error_model="numpy")
def draw_defectives(scenario, table, noise):
    """Return M of a finite lot under a Beta prior: the least k with P(M ≤ k) above a random number.

    The same with a table and without; the chances are summed in the same order.
    """
    lot = scenario.lot_size
    if scenario.first_chance == 0.0:
        return binomial_variate(noise, lot, beta_variate(noise, scenario.a, scenario.b))
    drawn = uniform(noise)
    k = np.int64(0)
    if len(table) > 0:
        cumulated = 2 * scenario.tabulated
        k = np.int64(table[cumulated + lot + 1 + np.int64(drawn * GUIDES)])
        while k < lot and drawn >= table[cumulated + k]:
            k += 1
        return k
    chance = total = scenario.first_chance
    while k < lot and drawn >= total:
        chance *= lot_ratio(scenario, k)
        total += chance
        k += 1
    return k


@njit(error_model="numpy", inline="always")
def lot_ratio(scenario, k):
    """Return P(M = k + 1) / P(M = k) in a finite lot under a Beta prior."""
    left = scenario.lot_size - k
    return left / (k + 1.0) * ((scenario.a + k) / (scenario.b + (left - 1)))


@njit(error_model="numpy", inline="always")
def step(scenario, state, action, noise):
    """Inspect one more item, or decide. Return (reward, terminated)."""
    if action == INSPECT and state.n < scenario.max_samples:
        # One random number says both what the item is, by whether it is below p, and what it is
        # judged. Arithmetic instead of a branch: the processor cannot predict a random result.
        drawn = uniform(noise)
        p = state.fraction_defective
        if scenario.lot_size == 0:
            found = np.int64(drawn < judged(p, scenario.false_alarm, scenario.miss))
        else:
            p = (state.defectives - state.defectives_inspected) / (scenario.lot_size - state.n)
            is_defective = np.int64(drawn < p)
            caught = np.int64(drawn < p * (1.0 - scenario.miss))
            alarm = np.int64(drawn < p + (1.0 - p) * scenario.false_alarm) - is_defective
            found = caught + alarm
            state.defectives_inspected += is_defective
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
def observe_belief(scenario, table, state, out):
    """Write n, d (both over max_samples), P(lot is bad) and P(next one is judged defective)."""
    out[0] = state.n * scenario.scale
    out[1] = state.d * scenario.scale
    if len(table) > 0 and scenario.tabulated > 0:
        entry = np.uint64(state.n * (state.n + 1) + 2 * state.d)  # unsigned, as below
        out[2] = table[entry]
        out[3] = table[entry + np.uint64(1)]
        return
    if scenario.factors == 0:
        out[2], out[3] = predict(scenario, state.n, state.d)
        return
    odds = np.nan
    if len(table) > 0 and state.n < scenario.factors:
        # Unsigned, as numba need not ask then whether an index counts from the end.
        conforming = np.uint64(scenario.factors + state.n - state.d)
        odds = table[np.uint64(state.d)] * table[conforming]
    if math.isnan(odds):
        odds = math.exp(log_odds_of_items(scenario, state.n, state.d))
    prob_good = 1.0 / (1.0 + odds)
    out[2] = 1.0 - prob_good
    bad = scenario.judged_bad
    out[3] = bad + prob_good * (scenario.judged_good - bad)


@njit(error_model="numpy", inline="always")
def observe_outcome(scenario, state, out):
    """Write n over max_samples, and whether the last item was judged conforming, defective."""
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
    row = row_start(state.n) + state.d
    return row * 3 + state.last_result if outcome else row


@njit(error_model="numpy")
def predict(scenario, n, d):
    """Return P(the lot is bad) and P(the next item is judged defective), given d of n so judged."""
    has_errors = scenario.false_alarm > 0.0 or scenario.miss > 0.0
    if has_errors and (scenario.is_beta or scenario.lot_size > 0):
        return predict_judgement(scenario, n, d)
    return predict_result(scenario, n, d)


@njit(error_model="numpy")
def predict_result(scenario, n, d):
    """Return what :func:`predict` does where results tell what an item is, or items are independent."""
    if scenario.is_beta:
        a, b = scenario.a + d, scenario.b + (n - d)
        return beta_prob_bad(scenario, n, d, a, b), a / (a + b)
    prob_good = 1.0 / (1.0 + math.exp(log_odds(scenario, n, d)))
    prob_bad = 1.0 - prob_good
    good, bad = scenario.judged_good, scenario.judged_bad
    if scenario.lot_size > 0:
        left = max(scenario.lot_size - n, 1)
        good = min(max(scenario.good_defectives - d, 0), left) / left
        bad = min(max(scenario.bad_defectives - d, 0), left) / left
    return prob_bad, prob_good * good + prob_bad * bad


@njit(error_model="numpy", inline="always")
def log_odds_of_items(scenario, n, d):
    """Return the logarithm of the posterior odds of a bad lot, of an infinite lot's independent items."""
    return scenario.log_odds + d * scenario.log_defective + (n - d) * scenario.log_conforming


@njit(error_model="numpy")
def log_odds(scenario, n, d):
    """Return the logarithm of the posterior odds of a bad lot, two-point priors."""
    if scenario.lot_size == 0:
        return log_odds_of_items(scenario, n, d)
    prior = math.log(scenario.prob_bad) - math.log1p(-scenario.prob_bad)
    conforming = n - d
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
def predict_judgement(scenario, n, d):
    """Return what :func:`predict` does where inspectors err: a sum over the true number, k, of n.

    The hypotheses are a good and a bad lot of a two-point prior, or the one Beta prior. Relative to
    the likeliest k so far, so that nothing underflows.
    """
    lot, left = scenario.lot_size, max(scenario.lot_size - n, 1)
    total, bad, defective, most = 0.0, 0.0, 0.0, -np.inf
    for is_bad in range(1 if scenario.is_beta else 2):
        prior = math.log(scenario.prob_bad) if is_bad else math.log1p(-scenario.prob_bad)
        held = scenario.bad_defectives if is_bad else scenario.good_defectives
        for k in range(n + 1):
            if scenario.is_beta:
                likelihood = log_beta(scenario.a + k, scenario.b + (n - k))
            elif k <= held and n - k <= lot - held:
                likelihood = prior + log_choose(lot - n, held - k) - log_choose(lot, held)
            else:
                continue
            likelihood += log_judgements(n, d, k, scenario.false_alarm, scenario.miss)
            if likelihood > most:
                shrink = math.exp(most - likelihood)
                total, bad, defective = total * shrink, bad * shrink, defective * shrink
                most = likelihood
            weight = math.exp(likelihood - most)
            if not weight > 1e-18 * total:  # a NaN too: nothing was possible yet
                continue
            total += weight
            if scenario.is_beta:
                a, b = scenario.a + k, scenario.b + (n - k)
                bad += weight * beta_prob_bad(scenario, n, k, a, b)
                defective += weight * (a / (a + b))
            else:
                bad += weight * is_bad
                defective += weight * min(max(held - k, 0), left) / left
    if total == 0.0:  # judgements that no lot can show are never reached
        return 0.5, judged(0.5, scenario.false_alarm, scenario.miss)
    next_one = judged(min(defective / total, 1.0), scenario.false_alarm, scenario.miss)
    return min(bad / total, 1.0), next_one


@njit(error_model="numpy")
def log_judgements(n, d, k, false_alarm, miss):
    """Return log P(the d judged defective are just these, of n items of which any k are), times C(n, k).

    A sum over j, how many of the d truly are: C(d, j) C(n − d, k − j) choices of the k.
    """
    low, high = max(k - (n - d), 0), min(d, k)
    if false_alarm == 0.0:
        low = max(low, d)
    if miss == 0.0:
        low = max(low, k)
    if low > high:
        return -np.inf
    # From the end where the errors are fewer, if they are the unlikelier: the ratios stay finite.
    gain = miss / (1.0 - miss) * (false_alarm / (1.0 - false_alarm))
    downward = gain <= 1.0
    start = high if downward else low
    missed, alarms = k - start, d - start
    first = log_choose(d, start) + log_choose(n - d, missed)
    first += start * math.log1p(-miss) + (n - d - missed) * math.log1p(-false_alarm)
    if missed > 0:
        first += missed * math.log(miss)
    if alarms > 0:
        first += alarms * math.log(false_alarm)
    term, total = 1.0, 1.0
    for i in range(high - low):
        if downward:
            j = high - i
            term *= gain * (j / (d - j + 1.0)) * ((n - d - k + j) / (k - j + 1.0))
        else:
            j = low + i
            term *= ((d - j) / (j + 1.0)) * ((k - j) / (n - d - k + j + 1.0)) / gain
        total += term
        if total > 1e250:
            term, total, first = term * 1e-250, total * 1e-250, first + 250.0 * math.log(10.0)
    return first + math.log(total)


@njit(error_model="numpy")
def beta_prob_bad(scenario, n, d, a, b):
    """Return P(the lot is bad) under a Beta prior, given d defectives among n inspected."""
    if scenario.lot_size == 0:
        return upper_beta_tail(scenario.limit, a, b)
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


KERNEL = bind(globals())
