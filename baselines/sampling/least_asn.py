"""The sequential test of least average sample number with given risks.

Given two fractions defective, good < bad, and bounds on the producer's risk P(reject | good) and
the consumer's risk P(accept | bad), minimise w0 ASN(good) + w1 ASN(bad) over all tests of at most
`max_samples` items.

Bayes tests. At prices (l0, l1) of the two risks the test of least w0 ASN(good) + w1 ASN(bad) +
l0 P(reject | good) + l1 P(accept | bad) follows by backward induction on the counts (n, d). It is a
pair of boundaries. For divide the gain of not accepting by the likelihood under bad: what rejecting
gains, l1 - l0/r, and what an item costs, -w0/r - w1, rise with d, as the likelihood ratio r does,
and a larger d now is never a smaller d next. So where accepting is not best at d, it is not best at
any larger d. With good and bad exchanged the same holds for rejecting, with and without
replacement. Inspecting can pay only in a narrow band of d.

Optimum. A linear programme mixes the tests found so far so that both risks are met; its duals price
the risks, and the Bayes test at these prices is the next column. At any prices, the least cost less
prices . limits bounds the mean of every test from below, randomised or not; when no column improves
on it, bound and programme agree. Bayes tests at nearby prices and a local search over single
boundary numbers then give one deterministic test close to the bound.

Sources: A. Wald, Sequential Analysis, Wiley 1947; A. Wald and J. Wolfowitz, Optimum character of
the sequential probability ratio test, Ann. Math. Statist. 19 (1948), whose proof prices the risks
in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from baselines.core.certificate import OracleError
from baselines.core.references import NoPlanError
from baselines.sampling.characteristics import (
    NO_CHANCES,
    FloatArray,
    IntArray,
    boundary_walk,
    check_lattice,
    defective_chance,
    lattice_size,
    lot_rate,
    table_from_boundaries,
)
from qc_gym.core.inspection import check_errors, judged
from qc_gym.core.lattice import row_start
from qc_gym.sampling.judgements import lot_chances, lot_counts

RISK_TOLERANCE = 1e-12  # relative rounding allowed when a risk is compared with its limit
GAP_TOLERANCE = 1e-4  # the local search ends this close to the lower bound, relatively
PRECISION = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
SEARCH_SIZE = 400  # most rows n that the local search looks at, and most moves that it pairs


@dataclass(frozen=True, eq=False)
class LeastSampleTest:
    """A deterministic test of least average sample number, and the bound that proves it.

    Attributes
    ----------
    good, bad : the two fractions defective; with a `lot_size`, those of whole numbers of defectives
    max_samples, lot_size, weights : as given
    acceptance_numbers, rejection_numbers : (max_samples + 1,) accept at d <= the one (-1: at none),
        reject at d >= the other (n + 1: at none)
    average_sample_numbers : (2,) ASN at good and at bad, in items
    producer_risk, consumer_risk : true risks, P(reject | good) and P(accept | bad)
    mean_sample_number : weights . average_sample_numbers
    lower_bound : no test truncated at `max_samples` that meets the given risks has a smaller mean,
        and a randomised one attains it
    prices : of the two risks at that randomised optimum, in items
    mixture : the randomised optimum as (probability, acceptance_numbers, rejection_numbers) of the
        deterministic tests that it draws from
    """

    good: float
    bad: float
    max_samples: int
    lot_size: int | None
    weights: tuple[float, float]
    acceptance_numbers: IntArray = field(repr=False)
    rejection_numbers: IntArray = field(repr=False)
    average_sample_numbers: FloatArray
    producer_risk: float
    consumer_risk: float
    mean_sample_number: float
    lower_bound: float
    prices: tuple[float, float]
    mixture: tuple[tuple[float, IntArray, IntArray], ...] = field(repr=False)

    @cached_property
    def actions(self) -> npt.NDArray[np.int8]:
        """The test as a table (size,): 0 inspect, 1 accept, 2 reject, at every (n, d)."""
        return table_from_boundaries(self.acceptance_numbers, self.rejection_numbers)

    @cached_property
    def randomised_probabilities(self) -> FloatArray:
        """The randomised optimum as one policy (size, 3): its mean ASN is `lower_bound`.

        How many paths lead to (n, d) does not depend on p, so at every state the tests drawn weigh
        as their chances of being there, whatever the p. States never reached act as `actions`.
        """
        table = np.zeros((lattice_size(self.max_samples), 3))
        states = np.arange(len(table))
        for weight, accept, reject in self.mixture:
            reach = np.zeros(len(table))
            boundary_walk(0.5 * (self.good + self.bad), 0.0, 0, accept, reject, reach)
            table[states, table_from_boundaries(accept, reject)] += weight * reach
        unseen = ~table.any(axis=1)
        table[states[unseen], self.actions[unseen]] = 1.0
        table /= table.sum(axis=1, keepdims=True)
        return table


def least_sample_test(
    good: float,
    bad: float,
    producer_risk: float,
    consumer_risk: float,
    max_samples: int,
    lot_size: int | None = None,
    weights: tuple[float, float] = (0.5, 0.5),
    false_alarm: float = 0.0,
    miss: float = 0.0,
) -> LeastSampleTest:
    """Find the test of least weights[0] ASN(good) + weights[1] ASN(bad) with given risks.

    Parameters
    ----------
    good, bad : fractions defective, 0 < good < bad < 1; in a lot, rounded to whole defectives
    producer_risk, consumer_risk : largest P(reject | good) and P(accept | bad); their sum < 1
    max_samples : most items the test may inspect
    lot_size : None for independent items, N for sampling without replacement from a lot of N
    weights : non-negative, sum to one
    false_alarm, miss : probabilities that a conforming item is judged defective, and a defective
        one conforming; the test counts judgements, and good and bad are true

    Returns
    -------
    LeastSampleTest
        The best deterministic test found, and the exact least mean over all tests.

    Raises
    ------
    ValueError
        If an argument is out of range.
    NoPlanError
        If no test of `max_samples` items meets both risks.
    """
    limits = np.array([producer_risk, consumer_risk], dtype=np.float64)
    problem = _problem(good, bad, limits, max_samples, lot_size, weights, false_alarm, miss)
    optimum = _randomised_optimum(problem, limits)
    best = _deterministic(problem, limits, optimum)
    if best is None:
        raise NoPlanError(
            f"with max_samples={max_samples} only randomised tests were found to meet "
            f"producer_risk={producer_risk} and consumer_risk={consumer_risk} at good={good}, "
            f"bad={bad}: increase max_samples or allow larger risks"
        )
    return LeastSampleTest(
        good=lot_rate(good, lot_size),
        bad=lot_rate(bad, lot_size),
        max_samples=max_samples,
        lot_size=lot_size,
        weights=(problem.weight_good, problem.weight_bad),
        acceptance_numbers=best.accept,
        rejection_numbers=best.reject,
        average_sample_numbers=best.measures[:2],
        producer_risk=float(best.measures[2]),
        consumer_risk=float(best.measures[3]),
        mean_sample_number=best.mean,
        lower_bound=optimum.lower_bound,
        prices=(float(optimum.prices[0]), float(optimum.prices[1])),
        mixture=tuple((weight, test.accept, test.reject) for weight, test in optimum.mixture),
    )


class _Problem(NamedTuple):
    good: float  # of independent items, the fraction judged defective
    bad: float
    good_defectives: float
    bad_defectives: float
    lot_size: int  # 0: independent items
    max_samples: int
    weight_good: float
    weight_bad: float
    # log P(counts | bad) / P(counts | good) = defective_llr[d] + conforming_llr[n - d]
    defective_llr: FloatArray  # (max_samples + 1,)
    conforming_llr: FloatArray
    # In a finite lot whose inspectors err it is no such sum: at each state (size,), with the
    # chances that the next item is judged defective in a good and in a bad lot. Else empty.
    llr: FloatArray
    good_chances: FloatArray
    bad_chances: FloatArray
    good_counts: FloatArray  # P(d of max_samples are found defective), (max_samples + 1,)
    bad_counts: FloatArray


class _Test(NamedTuple):
    accept: IntArray
    reject: IntArray
    measures: FloatArray  # ASN(good), ASN(bad), producer's risk, consumer's risk
    mean: float

    def meets(self, limits: FloatArray) -> bool:
        return bool((self.measures[2:] <= limits * (1.0 + RISK_TOLERANCE)).all())

    def same_as(self, other: _Test) -> bool:
        """Whether both decide alike everywhere."""
        mine, others = (self.accept, self.reject), (other.accept, other.reject)
        return all(map(np.array_equal, mine, others))


class _Optimum(NamedTuple):
    lower_bound: float
    prices: FloatArray
    mixture: list[tuple[float, _Test]]
    tests: list[_Test]  # all that were found on the way


def _problem(
    good: float,
    bad: float,
    limits: FloatArray,
    max_samples: int,
    lot_size: int | None,
    weights: tuple[float, float],
    false_alarm: float,
    miss: float,
) -> _Problem:
    check_lattice(max_samples, lot_size)
    check_errors(false_alarm, miss)
    if not 0.0 < good < bad < 1.0:
        raise ValueError(f"0 < good < bad < 1 is required; got good={good}, bad={bad}")
    if not ((limits > 0.0).all() and limits.sum() < 1.0):
        raise ValueError(
            "producer_risk and consumer_risk must be positive with a sum below 1; "
            f"got producer_risk={limits[0]}, consumer_risk={limits[1]}"
        )
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (2,) or not ((w >= 0.0).all() and abs(w.sum() - 1.0) <= 1e-9):
        raise ValueError(f"weights must be two non-negative numbers that sum to 1; got {weights}")
    good, bad, size = lot_rate(good, lot_size), lot_rate(bad, lot_size), lot_size or 0
    if good == bad:
        raise NoPlanError(
            f"good and bad must differ by at least one item in a lot of lot_size={lot_size}; "
            f"both round to {round(good * size)} defectives"
        )
    low, high = round(good * size), round(bad * size)
    tables: tuple[FloatArray, ...] = (NO_CHANCES,) * 5
    if size == 0:
        good, bad = (judged(rate, false_alarm, miss) for rate in (good, bad))
        ratios = _log_likelihood_ratios(good, bad, low, high, size, max_samples)
    elif false_alarm > 0.0 or miss > 0.0:
        ratios = (NO_CHANCES,) * 2
        errors = false_alarm, miss
        each = [lot_chances(m, size, max_samples, *errors) for m in (low, high)]
        counts = [lot_counts(max_samples, m, size, *errors) for m in (low, high)]
        tables = (_judged_llr(each[0], each[1], max_samples), *each, *counts)
    else:
        ratios = _log_likelihood_ratios(good, bad, low, high, size, max_samples)
    w0, w1 = float(w[0]), float(w[1])
    return _Problem(good, bad, low, high, size, max_samples, w0, w1, *ratios, *tables)


@numba.njit(cache=True, error_model="numpy")
def _judged_llr(good: FloatArray, bad: FloatArray, max_samples: int) -> FloatArray:
    """Return log P(counts | bad) / P(counts | good) at every state (size,), from the chances."""
    llr = np.zeros(good.size)
    for n in range(max_samples):
        start, after = row_start(n), row_start(n + 1)
        for d in range(n + 1):
            ratio = (1.0 - bad[start + d]) / (1.0 - good[start + d])
            llr[after + d] = llr[start + d] + np.log(ratio)
        llr[after + n + 1] = llr[start + n] + np.log(bad[start + n] / good[start + n])
    return llr


@numba.njit(cache=True, error_model="numpy")
def _llr(problem: _Problem, n: int, d: int) -> float:
    if problem.llr.size > 0:
        return problem.llr[row_start(n) + d]
    return problem.defective_llr[d] + problem.conforming_llr[n - d]


def _log_likelihood_ratios(
    good: float, bad: float, low: int, high: int, size: int, max_samples: int
) -> tuple[FloatArray, FloatArray]:
    if size == 0:
        k = np.arange(max_samples + 1.0)
        return k * math.log(bad / good), k * math.log((1.0 - bad) / (1.0 - good))
    # A count that only one of the two lots can show proves which of them it is.
    k = np.arange(max_samples, dtype=np.float64)
    defective, conforming = np.full(k.size, np.inf), np.full(k.size, -np.inf)
    few, many = k < low, k < size - high
    defective[few] = np.log((high - k[few]) / (low - k[few]))
    conforming[many] = np.log((size - high - k[many]) / (size - low - k[many]))
    return np.append(0.0, np.cumsum(defective)), np.append(0.0, np.cumsum(conforming))


def _most_powerful(problem: _Problem, producer_risk: float) -> tuple[int, float]:
    """Return the least c with P(d > c | good) <= the risk, and the least consumer's risk.

    Both after max_samples items; the second is that of the randomised fixed-sample test of Neyman
    and Pearson, which no test of at most as many items beats.
    """
    n, size = problem.max_samples, problem.lot_size
    if problem.good_counts.size > 0:
        good, bad = (
            stats.rv_discrete(values=(np.arange(n + 1), counts / counts.sum()))
            for counts in (problem.good_counts, problem.bad_counts)
        )
    elif size:
        good = stats.hypergeom(size, int(problem.good_defectives), n)
        bad = stats.hypergeom(size, int(problem.bad_defectives), n)
    else:
        good, bad = stats.binom(n, problem.good), stats.binom(n, problem.bad)
    c = int(np.argmax(good.sf(np.arange(n + 1)) <= producer_risk))
    rejected_at_c = (producer_risk - good.sf(c)) / good.pmf(c)
    return c, float(bad.cdf(c) - rejected_at_c * bad.pmf(c))


def _randomised_optimum(problem: _Problem, limits: FloatArray) -> _Optimum:
    """Find the least mean over all tests, randomised ones included, by column generation.

    The programme mixes the tests found so far; the Bayes test at its prices of the risks is the next.
    """
    tests = _feasible_pair(problem, limits)
    bound, best_prices = -math.inf, np.zeros(2)
    while True:
        risks = np.column_stack([test.measures[2:] / limits for test in tests])
        programme = _best_mixture(np.array([test.mean for test in tests]), risks)
        prices = np.maximum(-programme.ineqlin.marginals / limits, 1e-12)
        test = _priced(problem, prices)
        value = test.mean + float(prices @ test.measures[2:])
        if value - float(prices @ limits) > bound:
            bound, best_prices = value - float(prices @ limits), prices
        best = float(programme.eqlin.marginals[0])
        if value >= best - 1e-9 * max(1.0, abs(best)) or any(map(test.same_as, tests)):
            weights = programme.x.tolist()
            mixture = [(x, one) for x, one in zip(weights, tests, strict=True) if x > 0.0]
            return _Optimum(bound, best_prices, mixture, tests)
        tests.append(test)


def _best_mixture(means: FloatArray, risks: FloatArray) -> optimize.OptimizeResult:
    """Return the mixture of tests of least mean, (n,), with risks, in shares of their limits, at most 1.

    HiGHS's simplex gives up, once in a hundred, where one risk is a millionth of its limit; its
    interior-point method does not.
    """
    for method in ("highs-ds", "highs-ipm"):
        programme = optimize.linprog(
            means,
            A_ub=risks,
            b_ub=np.ones(2),
            A_eq=np.ones((1, len(means))),
            b_eq=[1.0],
            method=method,
            options=PRECISION,
        )
        if programme.status == 0:
            return programme
    raise OracleError(f"no mixture of {len(means)} tests was found: {programme.message}")


def _feasible_pair(problem: _Problem, limits: FloatArray) -> list[_Test]:
    """Return two single sampling plans of max_samples items, a mixture of which meets both risks."""
    c, reachable = _most_powerful(problem, limits[0])
    if reachable > limits[1]:
        raise NoPlanError(
            f"max_samples={problem.max_samples} is too small: with producer_risk={limits[0]} where a "
            f"share of {problem.good:.6g} is judged defective no test of that many items has a "
            f"consumer_risk below {reachable:.6g} where {problem.bad:.6g} is, and {limits[1]} is asked; "
            "increase max_samples or allow larger risks"
        )
    n = np.arange(problem.max_samples + 1)
    last = n == problem.max_samples
    plans = [(np.where(last, k, -1), np.where(last, k + 1, n + 1)) for k in (c, c - 1)]
    return [_measured(problem, accept, reject) for accept, reject in plans]


def _measured(problem: _Problem, accept: IntArray, reject: IntArray) -> _Test:
    measures = _measure_moves(problem, accept, reject, np.zeros((1, 3), dtype=np.int64))[0]
    mean = problem.weight_good * measures[0] + problem.weight_bad * measures[1]
    return _Test(accept, reject, measures, float(mean))


def _priced(problem: _Problem, prices: FloatArray) -> _Test:
    return _measured(problem, *_bayes_boundaries(problem, prices[0], prices[1]))


def _deterministic(problem: _Problem, limits: FloatArray, optimum: _Optimum) -> _Test | None:
    """Find the best feasible Bayes test at prices near the optimum's and improve it locally."""
    factors = np.exp(np.linspace(-0.4, 0.4, 17))
    near = [_priced(problem, optimum.prices * (x, y)) for x in factors for y in factors]
    met = [test for test in [*optimum.tests, *near] if test.meets(limits)]
    best = min(met, key=lambda test: test.mean, default=None)
    starts = [test for _, test in optimum.mixture]
    for start in starts if best is None else [*starts, best]:
        if best is None or best.mean > optimum.lower_bound * (1.0 + GAP_TOLERANCE):
            best = _improved(problem, limits, optimum.prices, start, best)
    return best


def _improved(
    problem: _Problem, limits: FloatArray, prices: FloatArray, test: _Test, best: _Test | None
) -> _Test | None:
    """Move boundary numbers of `test`, which need not be feasible, while that beats `best`."""
    while True:
        bar = math.inf if best is None else best.mean
        moves = _moves(problem, test)
        change = _measure_moves(problem, test.accept, test.reject, moves) - test.measures
        mean = change[:, :2] @ (problem.weight_good, problem.weight_bad)
        # Moves that matter and are nearly free at the optimum's prices are what can use up slack.
        worth = np.column_stack((mean, change[:, 2:] * prices))
        matters = np.abs(worth).max(axis=1) > 1e-6 * test.mean
        cost = np.where(matters, worth.sum(axis=1), np.inf)
        order = np.argsort(cost, kind="stable")[: min(SEARCH_SIZE, int(matters.sum()))]
        moves, effects = moves[order], np.column_stack((mean, change[:, 2:]))[order]
        room = np.array([bar - test.mean, *(limits - test.measures[2:])])
        accept, reject, found = test.accept.copy(), test.reject.copy(), None
        for step in _plan(effects, moves[:, 0], room):
            accept[moves[step, 0]] += moves[step, 1]
            reject[moves[step, 0]] += moves[step, 2]
            trial = _measured(problem, accept.copy(), reject.copy())
            if trial.meets(limits) and (best is None or trial.mean < best.mean):
                best = found = trial
        if found is None or found.mean > bar * (1.0 - 1e-6):
            return best
        test = found


def _moves(problem: _Problem, test: _Test) -> IntArray:
    """List n and changes by one of its acceptance and rejection number, (K, 3), where reached."""
    # Rows far beyond the ASN are hardly ever reached: moving them changes nothing.
    depth = min(problem.max_samples, math.ceil(4.0 * test.measures[:2].max()))
    rows = np.unique(np.linspace(0, depth, min(depth + 1, SEARCH_SIZE)).astype(np.int64))
    changes = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)])
    n, change = np.repeat(rows, len(changes)), np.tile(changes, (rows.size, 1))
    accept, reject = test.accept[n] + change[:, 0], test.reject[n] + change[:, 1]
    legal = (accept >= -1) & (reject <= n + 1) & (accept < reject)
    legal &= (n < problem.max_samples) | (accept + 1 == reject)
    return np.column_stack((n, change)).astype(np.int64)[legal]


def _plan(effects: FloatArray, row: IntArray, room: FloatArray) -> list[IntArray]:
    """Choose single moves and pairs, each lowering the mean most, as if their effects added up.

    `effects` (K, 3) are changes of the mean and of the two risks. The first step must change the
    mean by less than `room[0]`, later ones must lower it; the risks may rise by `room[1:]` in all.
    """
    i, j = np.triu_indices(len(effects))
    usable = (i == j) | (row[i] != row[j])
    i, j = i[usable], j[usable]
    mean, *risks = (effects[i] + effects[j] * (i != j)[:, None]).T
    bar, *left = room
    steps: list[IntArray] = []
    for _ in range(60):
        fits = (mean < bar) & (risks[0] <= left[0]) & (risks[1] <= left[1])
        if not fits.any():
            break
        k = int(np.argmin(np.where(fits, mean, np.inf)))
        steps.append(np.unique((i[k], j[k])))
        bar, left = -1e-7, [left[0] - risks[0][k], left[1] - risks[1][k]]
        mean[np.isin(row[i], row[steps[-1]]) | np.isin(row[j], row[steps[-1]])] = np.inf
    return steps


@numba.njit(cache=True, error_model="numpy")
def _measure_moves(
    problem: _Problem, accept: IntArray, reject: IntArray, moves: IntArray
) -> FloatArray:
    """Measure (K, 4) the test after each of the `moves` (K, 3) alone."""
    result, nowhere, size = np.empty((moves.shape[0], 4)), np.empty(0), problem.lot_size
    good, bad = problem.good_defectives, problem.bad_defectives
    for k in range(moves.shape[0]):
        n = moves[k, 0]
        old = accept[n], reject[n]
        accept[n], reject[n] = old[0] + moves[k, 1], old[1] + moves[k, 2]
        result[k, 0], _, result[k, 2] = boundary_walk(
            problem.good, good, size, accept, reject, nowhere, problem.good_chances
        )
        result[k, 1], result[k, 3], _ = boundary_walk(
            problem.bad, bad, size, accept, reject, nowhere, problem.bad_chances
        )
        accept[n], reject[n] = old
    return result


@numba.njit(cache=True, error_model="numpy")
def _bayes_boundaries(
    problem: _Problem, producer_price: float, consumer_price: float
) -> tuple[IntArray, IntArray]:
    """Find the test of least w0 ASN(good) + w1 ASN(bad) + prices . risks by backward induction.

    Values are divided by the sum of the two likelihoods: they are expectations under the posterior
    of even prior odds, which neither underflows nor overflows.
    """
    w0, w1, last = problem.weight_good, problem.weight_bad, problem.max_samples
    accept, reject = np.empty(last + 1, np.int64), np.empty(last + 1, np.int64)
    # Beyond these log-odds of bad a decision costs no more than one item, so inspecting cannot pay.
    even = np.log(producer_price) - np.log(consumer_price)
    low_cut = np.log(w0 / (consumer_price - w1)) if consumer_price > w1 else np.inf
    high_cut = np.log((producer_price - w0) / w1) if producer_price > w0 else -np.inf
    if not low_cut < high_cut:
        low_cut = high_cut = even
    value = np.empty(last + 2)  # of the states (n + 1, next_low <= d < next_high)
    low = high = next_low = next_high = last + 1
    for n in range(last, -1, -1):
        low_end, high_end = (low_cut, high_cut) if n < last else (even, even)
        low, high = min(low, n + 1), min(high, n + 1)
        while low > 0 and _llr(problem, n, low - 1) > low_end:
            low -= 1
        while high > low and _llr(problem, n, high - 1) >= high_end:
            high -= 1
        accept[n], reject[n] = low - 1, high
        for d in range(low, high):
            llr = _llr(problem, n, d)
            is_good, is_bad = 1.0 / (1.0 + np.exp(llr)), 1.0 / (1.0 + np.exp(-llr))
            size = problem.lot_size
            chance = is_good * defective_chance(
                problem.good, problem.good_defectives, size, n, d, problem.good_chances
            )
            chance += is_bad * defective_chance(
                problem.bad, problem.bad_defectives, size, n, d, problem.bad_chances
            )
            onward = w0 * is_good + w1 * is_bad
            for e, weight in ((d, 1.0 - chance), (d + 1, chance)):
                if next_low <= e < next_high:
                    onward += weight * value[e]
                elif weight > 0.0:
                    llr = _llr(problem, n + 1, e)
                    lost_good = producer_price / (1.0 + np.exp(llr))
                    onward += weight * min(lost_good, consumer_price / (1.0 + np.exp(-llr)))
            accepted, rejected = consumer_price * is_bad, producer_price * is_good
            if accepted <= min(onward, rejected):
                accept[n] = d
            elif rejected <= onward:
                reject[n] = min(reject[n], d)
            value[d] = min(onward, accepted, rejected)
        reject[n] = max(reject[n], accept[n] + 1)
        next_low, next_high = low, high
        if n == last:
            low = high = last + 1
    return accept, reject
