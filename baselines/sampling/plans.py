"""Acceptance sampling by attributes: single sampling plans and the lines of Wald's test.

A lot is good at fraction defective ``good``, bad at ``bad``. The operating characteristic of a plan
is its probability of accepting as a function of the fraction defective; the producer's risk is the
probability of rejecting at ``good``, the consumer's risk that of accepting at ``bad``.

Designs: `exact_plan` keeps both risks, `normal_approximation_plan` ([L] eqs.
6-11) keeps them approximately, and the sizes of [H] section II with `one_sided_test_plan` keep one
of them approximately. `sprt_lines` is the sequential probability ratio test ([R] section 1.2).

[L] X. Liu, Decision optimization model for electronic product production based on binomial
    distribution, 2025.
[H] Liu, Hu & Deng, a multi-stage decision-making model that integrates hypothesis testing and
    dynamic programming.
[R] A report on problem B of the Chinese undergraduate contest in mathematical modelling
    (CUMCM), 2024.

Every function raises ValueError on an argument out of range, naming the argument, its value and
what is allowed; docstrings list the other errors. Rates and risks are fractions strictly between 0
and 1, with ``good < bad`` and ``producer_risk + consumer_risk < 1``; sizes are numbers of items.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincc, ndtri
from scipy.stats import hypergeom

from baselines.core.references import NoPlanError
from baselines.sampling.lot_plans import SinglePlan
from qc_gym.core.inspection import check_errors, judged
from qc_gym.sampling.judgements import lot_counts

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Tail = Callable[[int, int], float]

# Rounding error in s n - h0 or n p0 must not move a boundary that is an integer in exact
# arithmetic; a true value this close to an integer without being one does not occur in practice.
_INTEGER_TOLERANCE = 1e-9
# A risk met with equality (one item, p = .1, risk .1) counts as met despite rounding error.
_RISK_TOLERANCE = 1e-12
# Above this size float64 cannot place n p to within _INTEGER_TOLERANCE of the truth.
_LARGEST_APPROXIMATE_SIZE = 10**7


class SprtLines(NamedTuple):
    """Boundaries of a sequential probability ratio test after n items, d of them defective.

    Accept when d <= slope n - accept_intercept, reject when d >= slope n + reject_intercept,
    else inspect one more ([R] section 1.2, there s, h0, h1).
    """

    slope: float
    accept_intercept: float
    reject_intercept: float

    def acceptance_numbers(self, max_samples: int) -> IntArray:
        """Largest d that accepts, floor(s n - h0), or -1 where none does yet.

        For n = 0, ..., max_samples: int64, shape (max_samples + 1,). A line within 1e-9 of an
        integer passes through it.
        """
        return np.maximum(_floor(self._line(max_samples, -self.accept_intercept)), -1)

    def rejection_numbers(self, max_samples: int) -> IntArray:
        """Smallest d that rejects, ceil(s n + h1), above n where none does yet.

        For n = 0, ..., max_samples: int64, shape (max_samples + 1,). A line within 1e-9 of an
        integer passes through it.
        """
        return _ceil(self._line(max_samples, self.reject_intercept))

    def _line(self, max_samples: int, intercept: float) -> FloatArray:
        n = np.arange(_integer("max_samples", max_samples, 1) + 1, dtype=np.float64)
        return self.slope * n + intercept


def sprt_lines(good: float, bad: float, producer_risk: float, consumer_risk: float) -> SprtLines:
    """Lines of Wald's sequential probability ratio test of `good` against `bad`.

    The slope lies between the two rates and both intercepts (in defectives) are positive. The
    limits (1 - beta) / alpha and beta / (1 - alpha) of the likelihood ratio are Wald's
    approximations: the true risks differ somewhat from the nominal `producer_risk` alpha and
    `consumer_risk` beta. Source: [R] section 1.2.
    """
    good, bad, alpha, beta = _design(good, bad, producer_risk, consumer_risk)
    # log1p of the gap keeps the slope accurate when the two rates are close.
    defective = math.log1p((bad - good) / good)
    conforming = math.log1p((bad - good) / (1.0 - bad))
    return SprtLines(
        slope=conforming / (defective + conforming),
        accept_intercept=(math.log1p(-alpha) - math.log(beta)) / (defective + conforming),
        reject_intercept=(math.log1p(-beta) - math.log(alpha)) / (defective + conforming),
    )


def normal_approximation_plan(
    good: float, bad: float, producer_risk: float, consumer_risk: float
) -> SinglePlan:
    """Smallest plan that meets both risks in the normal approximation, [L] eqs. 6-11.

    With sigma(p) = sqrt(p (1 - p)) the acceptance number must satisfy

        n good + z_alpha sigma(good) sqrt(n) <= c <= n bad - z_beta sigma(bad) sqrt(n),

    from eqs. 8 and 10. For a real c that is n >= ((z_alpha sigma(good) + z_beta sigma(bad)) /
    (bad - good))^2. This n, rounded up, may leave no integer between the two sides; the result is
    the first n that does, with the smallest such c. There is no continuity correction, so the
    exact risks may exceed those asked for.

    Raises
    ------
    NoPlanError
        If the rates are so close that n would exceed 10**7.

    Notes
    -----
    [L] eq. 11 prints p0 for n p0 (eq. 8 put into eq. 10). Eqs. 5 and 9 bound the risk at every
    p > p0, which no plan can do: near p0 it accepts with probability 1 - alpha or more. Eq. 11
    rightly takes p1. [L] section 2.1 asks for .2 <= p <= .8; its nominal rate is .1.
    """
    good, bad, alpha, beta = _design(good, bad, producer_risk, consumer_risk)
    spread_good = -float(ndtri(alpha)) * math.sqrt(good * (1.0 - good))
    spread_bad = -float(ndtri(beta)) * math.sqrt(bad * (1.0 - bad))
    # A risk above one half has a negative quantile; with a negative sum any n leaves a real c.
    root = max(0.0, (spread_good + spread_bad) / (bad - good))
    first, block = max(1.0, math.ceil(_squared(root) - _INTEGER_TOLERANCE)), 4096
    while first <= _LARGEST_APPROXIMATE_SIZE:
        n = first + np.arange(block, dtype=np.float64)
        lower = np.maximum(_ceil(n * good + spread_good * np.sqrt(n)), 0)
        upper = np.minimum(_floor(n * bad - spread_bad * np.sqrt(n)), n - 1)
        found = np.flatnonzero(lower <= upper)
        if found.size:
            return SinglePlan(int(n[found[0]]), int(lower[found[0]]))
        first += block
    raise NoPlanError(
        f"good={good}, bad={bad}: too close, the plan needs more than "
        f"{_LARGEST_APPROXIMATE_SIZE} items; widen the gap or raise the risks"
    )


def precision_sample_size(p0: float, margin: float, confidence: float = 0.95) -> int:
    """Sample size n = ceil(p0 (1 - p0) (z / margin)^2), [H] section II.B eq. 5.

    z is the one-sided normal quantile of `confidence`, in (.5, 1). At a true rate p0 the sample
    fraction stays below p0 + `margin` with that confidence, approximately; `margin` is in
    (0, 1 - p0). The plan is ``one_sided_test_plan(n, p0, confidence)``, whose critical fraction is
    at most p0 + margin. It controls the producer's risk at p0, and no consumer's risk.
    """
    p0 = _number("p0", p0)
    margin = _number("margin", margin, 0.0, 1.0 - p0)
    z = float(ndtri(_number("confidence", confidence, 0.5)))
    return _round_up(p0 * (1.0 - p0), z / margin)


def power_sample_size(p0: float, p1: float, power: float = 0.90) -> int:
    """Sample size n = ceil(p1 (1 - p1) (z / (p1 - p0))^2), [H] section II.C eq. 4.

    z is the normal quantile of `power`, in (.5, 1). At a true rate p1, on either side of p0 but not
    equal to it, the sample fraction lies on p1's side of p0 with that probability, approximately.

    Notes
    -----
    Rounding up with z = 1.2816 gives both ends that [H] states at p0 = .10: 18 for p1 = .04, 303
    for p1 = .08. The printed z = 1.28 would give 302, and so would rounding to nearest.

    The critical fraction is p0 itself, so the plan is ``one_sided_test_plan(n, p0, 0.5)``, that is
    c = floor(n p0); it rejects about half of the lots at p0. With [H]'s z = 1.645 a lot at p1 > p0
    is rejected less often than `power`: the formula lacks the term in z_alpha that
    `normal_approximation_plan` has. [H]'s own p1 < p0 lie inside its null hypothesis, so there
    1 - power is a producer's risk and not the type II error that [H] takes it for.
    """
    p0 = _number("p0", p0)
    p1 = _number("p1", p1)
    if p1 == p0:
        raise ValueError(f"p1={p1}: must differ from p0={p0}")
    z = float(ndtri(_number("power", power, 0.5)))
    return _round_up(p1 * (1.0 - p1), z / (p1 - p0))


def one_sided_test_plan(sample_size: int, p0: float, confidence: float = 0.95) -> SinglePlan:
    """Plan equivalent to the one-sided normal test of p <= p0, [H] section II.B eqs. 2-3.

    The test rejects when the sample fraction exceeds p0 by more than z standard errors, z the
    normal quantile of `confidence` in (0, 1). So c = floor(n p0 + z sqrt(n p0 (1 - p0))). As c is
    rounded down, the producer's risk at p0 is 1 - confidence only approximately. For samples of
    `precision_sample_size` and `power_sample_size`; see there for the confidence to take.

    Raises
    ------
    NoPlanError
        If the sample is so small that the test always accepts or always rejects.
    """
    n = _integer("sample_size", sample_size, 1)
    p0 = _number("p0", p0)
    z = float(ndtri(_number("confidence", confidence)))
    c = math.floor(n * p0 + z * math.sqrt(n * p0 * (1.0 - p0)) + _INTEGER_TOLERANCE)
    if not 0 <= c < n:
        raise NoPlanError(
            f"sample_size={n}: too small at p0={p0}, confidence={confidence}, its acceptance "
            f"number {c} must be from 0 to {n - 1}"
        )
    return SinglePlan(n, c)


def exact_plan(
    good: float,
    bad: float,
    producer_risk: float,
    consumer_risk: float,
    lot_size: int | None = None,
    max_sample_size: int = 100_000,
    false_alarm: float = 0.0,
    miss: float = 0.0,
) -> SinglePlan:
    """Smallest plan whose exact risks exceed neither of those given.

    Parameters
    ----------
    good, bad : float
        Fractions defective.
    producer_risk, consumer_risk : float
        Largest P(reject) at `good` and P(accept) at `bad`. Equality, to a relative 1e-12, will do.
    lot_size : int, optional
        N: sample without replacement from N items of which round(N good) or round(N bad) are
        defective (hypergeometric). Without it items are independent (binomial).
    max_sample_size : int
        Largest n considered; the lot's size where that is less.
    false_alarm, miss : float
        Probabilities that a conforming item is judged defective, and a defective one conforming. The
        plan counts judgements; `good` and `bad` are true rates.

    Raises
    ------
    NoPlanError
        If the lot has equally many defectives at `good` and at `bad`, or no plan up to
        `max_sample_size` meets both risks.
    """
    good, bad, alpha, beta = _design(good, bad, producer_risk, consumer_risk)
    largest = _integer("max_sample_size", max_sample_size, 1)
    check_errors(false_alarm, miss)
    if lot_size is None:
        rates = [judged(rate, false_alarm, miss) for rate in (good, bad)]
        rejected, accepted = _binomial_tails(rates[0], rates[1])
    else:
        lot = _integer("lot_size", lot_size, 1)
        largest = min(largest, lot)
        rejected, accepted = _hypergeometric_tails(good, bad, lot, false_alarm, miss)
    plan = _smallest_plan(rejected, accepted, alpha, beta, largest)
    if plan is None:
        raise NoPlanError(
            f"max_sample_size={max_sample_size}: no plan of at most {largest} items has a "
            f"producer's risk of at most {alpha} at good={good} and a consumer's risk of at most "
            f"{beta} at bad={bad}; allow more items or greater risks"
        )
    return plan


def _binomial_tails(good: float, bad: float) -> tuple[Tail, Tail]:
    """P(reject at good) of (n, c) and P(accept at bad) of (c, n), c < n, independent items."""
    # The incomplete beta function is the same tail without the overhead of a scipy.stats call.
    return (
        lambda n, c: float(betainc(c + 1, n - c, good)),
        lambda c, n: float(betaincc(c + 1, n - c, bad)),
    )


def _hypergeometric_tails(
    good: float, bad: float, lot: int, false_alarm: float, miss: float
) -> tuple[Tail, Tail]:
    """P(reject at good) of (n, c) and P(accept at bad) of (c, n), c < n, finite lot."""
    few, many = round(lot * good), round(lot * bad)
    if few == many:
        raise NoPlanError(
            f"lot_size={lot}: too small, good={good} and bad={bad} both mean {few} defectives"
        )
    if false_alarm > 0.0 or miss > 0.0:
        return (
            lambda n, c: float(lot_counts(n, few, lot, false_alarm, miss)[c + 1 :].sum()),
            lambda c, n: float(lot_counts(n, many, lot, false_alarm, miss)[: c + 1].sum()),
        )
    return (
        lambda n, c: float(hypergeom.sf(c, lot, few, n)),
        lambda c, n: float(hypergeom.cdf(c, lot, many, n)),
    )


def _smallest_plan(
    rejected: Tail, accepted: Tail, alpha: float, beta: float, largest: int
) -> SinglePlan | None:
    """Smallest plan by raising n and c in turn, each only as far as one risk requires.

    P(accept at bad) falls in n and P(reject at good) falls in c and rises in n. So no plan that
    meets both risks has a smaller n or c than the pair at hand, and the first pair that needs no
    further raising is the smallest.
    """
    n, c = 1, 0
    while True:
        n = _first_within(partial(accepted, c), beta, max(n, c + 1), largest)
        if n > largest:
            return None
        least = _first_within(partial(rejected, n), alpha, c, n - 1)
        if least == c:
            return SinglePlan(n, c)
        c = least


def _first_within(tail: Callable[[int], float], risk: float, low: int, high: int) -> int:
    """Smallest k in [low, high] at which a decreasing tail is at most risk, or high + 1."""
    limit = risk * (1.0 + _RISK_TOLERANCE)
    fails, step = low - 1, 1
    # The answer is mostly near the low end, where tails are also cheapest.
    while fails + step <= high and tail(fails + step) > limit:
        fails, step = fails + step, 2 * step
    top = min(fails + step, high + 1)
    between = range(fails + 1, top)
    return fails + 1 + bisect_left(between, True, key=lambda k: tail(k) <= limit)


def _floor(values: FloatArray) -> IntArray:
    return np.floor(values + _INTEGER_TOLERANCE).astype(np.int64)


def _ceil(values: FloatArray) -> IntArray:
    return np.ceil(values - _INTEGER_TOLERANCE).astype(np.int64)


def _round_up(variance: float, root: float) -> int:
    """Return variance · root², rounded up."""
    return max(1, math.ceil(_squared(root) * variance - _INTEGER_TOLERANCE))


def _squared(root: float) -> float:
    """Return the square of the root of a sample size.

    Raises
    ------
    NoPlanError
        It is beyond what float64 holds.
    """
    if not abs(root) <= 1e150:
        raise NoPlanError("the rates are too close: the sample would have more than 1e300 items")
    return root * root


def _number(name: str, value: float, low: float = 0.0, high: float = 1.0) -> float:
    # NaN fails both comparisons, so it is rejected too.
    if not isinstance(value, Real) or not low < value < high:
        raise ValueError(f"{name}={value!r}: must be a number strictly between {low} and {high}")
    return float(value)


def _integer(name: str, value: int, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name}={value!r}: must be an integer of at least {least}")
    return number


def _design(
    good: float, bad: float, producer_risk: float, consumer_risk: float
) -> tuple[float, float, float, float]:
    """Check the four numbers of a two-risk design."""
    good, bad = _number("good", good), _number("bad", bad)
    if good >= bad:
        raise ValueError(f"good={good}: must be less than bad={bad}")
    alpha = _number("producer_risk", producer_risk)
    beta = _number("consumer_risk", consumer_risk)
    if alpha + beta >= 1.0:
        raise ValueError(
            f"producer_risk={alpha}, consumer_risk={beta}: their sum must be less than 1"
        )
    return good, bad, alpha, beta
