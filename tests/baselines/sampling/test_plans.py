"""Single sampling plans and SPRT lines against the papers and against exact arithmetic."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.core.references import NoPlanError
from baselines.sampling.least_asn import least_sample_test
from baselines.sampling.plans import (
    SinglePlan,
    exact_plan,
    normal_approximation_plan,
    one_sided_test_plan,
    power_sample_size,
    precision_sample_size,
    sprt_lines,
)

Z = NormalDist()
# [R] section 1.1: rates .1 and .2, producer's risk .10, consumer's risk .05.
EXAMPLE = (0.1, 0.2, 0.10, 0.05)
# Percentages, so that brute force can use exact rationals.
percent = st.integers(1, 99)


# --- exact arithmetic, independent of the code under test --------------------------------------


def binomial_accept(n: int, c: int, p: Fraction) -> Fraction:
    return sum(
        (math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(c + 1)), start=Fraction(0)
    )


def hypergeometric_accept(n: int, c: int, defectives: int, lot: int) -> Fraction:
    ways = sum(
        math.comb(defectives, k) * math.comb(lot - defectives, n - k) for k in range(min(c, n) + 1)
    )
    return Fraction(ways, math.comb(lot, n))


def first_plan(sizes: range, meets: Callable[[int, int], bool]) -> SinglePlan | None:
    """The first (n, c) that meets the requirements, over all n and all c < n."""
    for n in sizes:
        for c in range(n):
            if meets(n, c):
                return SinglePlan(n, c)
    return None


@st.composite
def ordered_percents(draw: st.DrawFn) -> tuple[int, int]:
    low, high = sorted(draw(st.lists(percent, min_size=2, max_size=2, unique=True)))
    return low, high


@st.composite
def risk_percents(draw: st.DrawFn, largest: int = 98) -> tuple[int, int]:
    alpha = draw(st.integers(1, largest))
    return alpha, draw(st.integers(1, min(largest, 99 - alpha)))


# --- the plan and its operating characteristic -------------------------------------------------


@given(n=st.integers(1, 25), data=st.data())
def test_acceptance_probability_is_the_binomial_sum(n: int, data: st.DataObject) -> None:
    c = data.draw(st.integers(0, n - 1))
    rates = data.draw(st.lists(st.integers(0, 100), min_size=1, max_size=5))
    computed = SinglePlan(n, c).acceptance_probability([r / 100 for r in rates])
    expected = [float(binomial_accept(n, c, Fraction(r, 100))) for r in rates]
    np.testing.assert_allclose(computed, expected, rtol=1e-12, atol=1e-15)


@given(lot=st.integers(1, 40), data=st.data())
def test_acceptance_probability_is_the_hypergeometric_sum(lot: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, lot))
    c = data.draw(st.integers(0, n - 1))
    defectives = range(lot + 1)
    plan = SinglePlan(n, c)
    computed = plan.acceptance_probability([m / lot for m in defectives], lot_size=lot)
    expected = [float(hypergeometric_accept(n, c, m, lot)) for m in defectives]
    np.testing.assert_allclose(computed, expected, rtol=1e-12, atol=1e-15)


def test_acceptance_probability_keeps_the_shape_and_falls_with_the_rate() -> None:
    plan = SinglePlan(80, 7)
    grid = np.linspace(0.0, 1.0, 101)
    for lot in (None, 1000):
        curve = plan.acceptance_probability(grid, lot_size=lot)
        assert curve.dtype == np.float64
        assert curve[0] == 1.0
        assert curve[-1] == 0.0
        assert (np.diff(curve) <= 0.0).all()
        assert plan.acceptance_probability(0.1, lot_size=lot).shape == ()
        assert plan.acceptance_probability(np.full((2, 3), 0.1), lot_size=lot).shape == (2, 3)


def test_a_growing_lot_approaches_the_binomial() -> None:
    plan, rates = SinglePlan(20, 3), np.array([0.05, 0.1, 0.2, 0.4])
    binomial = plan.acceptance_probability(rates)
    for lot in (100, 1_000, 10_000, 100_000, 1_000_000):
        difference = np.abs(plan.acceptance_probability(rates, lot_size=lot) - binomial)
        # Samples with and without replacement can be coupled until an item is drawn twice.
        assert difference.max() <= 20 * 19 / 2 / lot


def test_rates_that_are_too_close_have_no_plan() -> None:
    """As the contract of designs says: an error that is told, for whatever numbers are allowed."""
    for design in (
        lambda: precision_sample_size(0.1, 1e-160),
        lambda: power_sample_size(1e-200, 2e-200),
        lambda: power_sample_size(2e-200, 1e-200),
        lambda: normal_approximation_plan(1e-200, 2e-200, 0.05, 0.1),
    ):
        with pytest.raises(NoPlanError, match=r"too close"):
            design()


@pytest.mark.parametrize(
    "errors",
    [{"false_alarm": -0.05}, {"miss": 1.0}, {"false_alarm": float("nan")}, {"miss": -1e-9}],
)
@pytest.mark.parametrize("design", [exact_plan, partial(least_sample_test, max_samples=20)])
def test_errors_of_inspectors_are_rates(
    design: Callable[..., object], errors: dict[str, float]
) -> None:
    (name,) = errors
    with pytest.raises(ValueError, match=f"{name} = "):
        design(*EXAMPLE, **errors)
    with pytest.raises(ValueError, match="their sum must be less than 1"):
        design(*EXAMPLE, false_alarm=0.6, miss=0.6)


@pytest.mark.parametrize("p", [-0.1, 1.1, math.nan, math.inf, [0.5, math.nan]])
def test_acceptance_probability_rejects_bad_rates(p: object) -> None:
    with pytest.raises(ValueError, match=r"^p=.*from 0 to 1"):
        SinglePlan(10, 1).acceptance_probability(p)  # type: ignore[arg-type]


def test_acceptance_probability_rejects_bad_lots() -> None:
    plan = SinglePlan(10, 1)
    with pytest.raises(ValueError, match=r"p=0\.123, lot_size=100: .*integer"):
        plan.acceptance_probability([0.1, 0.123], lot_size=100)
    for lot in (9, 0, -1, 100.5, math.nan):
        with pytest.raises(ValueError, match=r"^lot_size = .*at least 10"):
            plan.acceptance_probability(0.1, lot_size=lot)  # type: ignore[arg-type]
    # 0.29 * 100 is 28.999999999999996 in float64 and must count as 29.
    expected = float(hypergeometric_accept(10, 1, 29, 100))
    assert plan.acceptance_probability(0.29, lot_size=100) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0, 0), "sample_size = 0"),
        ((-3, 0), "sample_size = -3"),
        ((2.5, 0), "sample_size = 2.5"),
        ((math.nan, 0), "sample_size = nan"),
        ((5, -1), "acceptance_number = -1"),
        ((5, 1.5), "acceptance_number = 1.5"),
        ((5, math.nan), "acceptance_number = nan"),
        ((5, 5), "acceptance_number = 5"),
    ],
)
def test_plan_rejects_bad_numbers(arguments: tuple[int, int], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        SinglePlan(*arguments)


def test_plan_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SinglePlan(5, 1).sample_size = 6  # type: ignore[misc]


# --- lines of the sequential test --------------------------------------------------------------


def test_sprt_lines_of_the_report() -> None:
    lines = sprt_lines(*EXAMPLE)
    assert lines.slope == pytest.approx(0.14524, abs=5e-6)
    assert lines.accept_intercept == pytest.approx(3.56427, abs=5e-6)
    assert lines.reject_intercept == pytest.approx(2.77618, abs=5e-6)


def test_sprt_boundaries_of_the_report() -> None:
    """[R] section 1.3: no defective in 25 items accepts; 4 reject up to n = 8."""
    lines = sprt_lines(*EXAMPLE)
    accept, reject = lines.acceptance_numbers(30), lines.rejection_numbers(30)
    assert accept.shape == reject.shape == (31,)
    assert accept.dtype == reject.dtype == np.int64
    assert np.flatnonzero(accept == 0)[0] == 25
    assert (accept[:25] == -1).all()
    assert np.flatnonzero(reject <= 4)[-1] == 8
    # ceil(h1) = 3 defectives are needed at n = 0, more than there are items.
    assert reject[0] == 3


@given(rates=ordered_percents(), risks=risk_percents())
def test_sprt_boundaries_are_those_of_the_likelihood_ratio(
    rates: tuple[int, int], risks: tuple[int, int]
) -> None:
    (good, bad), (alpha, beta) = rates, risks
    lines = sprt_lines(good / 100, bad / 100, alpha / 100, beta / 100)
    assert good / 100 < lines.slope < bad / 100
    accept, reject = lines.acceptance_numbers(40), lines.rejection_numbers(40)
    # Integers, so that equality with a limit of the ratio is decided exactly.
    for n in range(41):
        for d in range(n + 1):
            if_bad = bad**d * (100 - bad) ** (n - d)
            if_good = good**d * (100 - good) ** (n - d)
            assert (d <= accept[n]) == (if_bad * (100 - alpha) <= if_good * beta)
            assert (d >= reject[n]) == (if_bad * alpha >= if_good * (100 - beta))
    assert (accept < reject).all()


@pytest.mark.parametrize("intercept", [1, 2, 3])
def test_sprt_lines_through_integers(intercept: int) -> None:
    """With odds of 3 and mirrored rates s = 1/2; risks 1 / (1 + 9^h) make both intercepts h."""
    risk = 1.0 / (1.0 + 9.0**intercept)
    lines = sprt_lines(0.25, 0.75, risk, risk)
    n = np.arange(2001)
    np.testing.assert_array_equal(
        lines.acceptance_numbers(2000), np.maximum(n // 2 - intercept, -1)
    )
    np.testing.assert_array_equal(lines.rejection_numbers(2000), (n + 1) // 2 + intercept)


@pytest.mark.parametrize("max_samples", [0, -1, 2.5, math.nan])
def test_sprt_boundaries_reject_bad_sizes(max_samples: int) -> None:
    lines = sprt_lines(*EXAMPLE)
    for boundary in (lines.acceptance_numbers, lines.rejection_numbers):
        with pytest.raises(ValueError, match=r"^max_samples=.*at least 1"):
            boundary(max_samples)


# --- the normal approximation ------------------------------------------------------------------


def approximate_plan(good: float, bad: float, alpha: float, beta: float) -> SinglePlan:
    """[L] eqs. 6 and 9 as they stand, tried on every n and c."""

    def meets(n: int, c: int) -> bool:
        at_good = (c - n * good) / math.sqrt(n * good * (1 - good))
        at_bad = (c - n * bad) / math.sqrt(n * bad * (1 - bad))
        return 1 - Z.cdf(at_good) <= alpha and Z.cdf(at_bad) <= beta

    plan = first_plan(range(1, 1000), meets)
    assert plan is not None
    return plan


@given(good=st.integers(1, 60), gap=st.integers(20, 39), risks=risk_percents(largest=49))
def test_normal_approximation_plan_is_the_first_that_meets_both_risks(
    good: int, gap: int, risks: tuple[int, int]
) -> None:
    arguments = (good / 100, (good + gap) / 100, risks[0] / 100, risks[1] / 100)
    assert normal_approximation_plan(*arguments) == approximate_plan(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [EXAMPLE, (0.05, 0.15, 0.05, 0.075), (0.5, 0.99, 0.6, 0.3), (0.9, 0.95, 1e-3, 0.99)],
)
def test_normal_approximation_plan_examples(arguments: tuple[float, ...]) -> None:
    good, bad, alpha, beta = arguments
    plan = normal_approximation_plan(good, bad, alpha, beta)
    assert plan == approximate_plan(good, bad, alpha, beta)
    # [L] eq. 11 with n restored, for a real c.
    root = -Z.inv_cdf(alpha) * math.sqrt(good * (1 - good))
    root = (root - Z.inv_cdf(beta) * math.sqrt(bad * (1 - bad))) / (bad - good)
    assert math.sqrt(plan.sample_size) >= root


def test_normal_approximation_plan_refuses_rates_too_close() -> None:
    with pytest.raises(ValueError, match=r"good=0\.1, bad=0\.100001: too close"):
        normal_approximation_plan(0.1, 0.100001, 0.1, 0.05)


# --- the sample sizes of [H] -------------------------------------------------------------------


def test_power_sample_sizes_of_the_paper() -> None:
    """[H] section II.C: from 18 at p1 = .04 to 303 at p1 = .08."""
    assert power_sample_size(0.10, 0.04) == 18
    assert power_sample_size(0.10, 0.08) == 303


@pytest.mark.parametrize("p1", [0.04, 0.05, 0.06, 0.07, 0.08, 0.12, 0.2, 0.5])
@pytest.mark.parametrize("power", [0.8, 0.9, 0.99])
def test_power_sample_size_is_the_first_with_the_power(p1: float, power: float) -> None:
    def reached(n: int) -> float:
        return Z.cdf(abs(p1 - 0.10) / math.sqrt(p1 * (1 - p1) / n))

    n = power_sample_size(0.10, p1, power)
    assert reached(n) >= power
    assert n == 1 or reached(n - 1) < power


@pytest.mark.parametrize("margin", [0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_precision_sample_size_is_the_first_with_the_margin(
    margin: float, confidence: float
) -> None:
    def reached(n: int) -> float:
        return Z.cdf(margin / math.sqrt(0.10 * 0.90 / n))

    n = precision_sample_size(0.10, margin, confidence)
    assert reached(n) >= confidence > reached(n - 1)
    plan = one_sided_test_plan(n, 0.10, confidence)
    assert plan.acceptance_number / n <= 0.10 + margin


@given(n=st.integers(20, 400), rate=st.integers(10, 80), confidence=st.integers(51, 99))
def test_one_sided_test_plan_accepts_where_the_test_does(
    n: int, rate: int, confidence: int
) -> None:
    p0, z = rate / 100, Z.inv_cdf(confidence / 100)
    error = math.sqrt(p0 * (1 - p0) / n)
    accepted = [a for a in range(n + 1) if (a / n - p0) / error <= z]
    if len(accepted) == n + 1:
        with pytest.raises(ValueError, match=f"^sample_size={n}: too small"):
            one_sided_test_plan(n, p0, confidence / 100)
    else:
        assert one_sided_test_plan(n, p0, confidence / 100) == SinglePlan(n, accepted[-1])


@given(n=st.integers(1, 10_000), rate=percent)
def test_one_sided_test_at_one_half_has_its_critical_fraction_at_p0(n: int, rate: int) -> None:
    assert one_sided_test_plan(n, rate / 100, 0.5) == SinglePlan(n, n * rate // 100)


# --- the exact design --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "lot", "expected"),
    [
        # R packages AcceptanceSampling and AccSamplingDesign.
        ((0.05, 0.15, 0.05, 0.075), None, (80, 7)),
        ((0.05, 0.15, 0.05, 0.075), 100, (47, 4)),
        ((0.01, 0.05, 0.02, 0.15), None, (144, 4)),
        ((0.01, 0.05, 0.05, 0.10), None, (132, 3)),
    ],
)
def test_exact_plan_published(
    arguments: tuple[float, float, float, float], lot: int | None, expected: tuple[int, int]
) -> None:
    n, c = expected
    assert exact_plan(*arguments, lot_size=lot) == SinglePlan(n, c)
    assert exact_plan(*arguments, lot_size=lot, max_sample_size=n) == SinglePlan(n, c)
    with pytest.raises(ValueError, match=f"^max_sample_size={n - 1}: no plan of at most {n - 1}"):
        exact_plan(*arguments, lot_size=lot, max_sample_size=n - 1)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        # The vignette of AccSamplingDesign: at 1 %, 3 % and 5 %, as R prints them.
        ((132, 3), (1 - 0.04425251, 0.4384354, 0.0992283)),
        ((144, 4), (1 - 0.01534843, 0.5656415, 0.1487162)),
    ],
)
def test_acceptance_probabilities_published(
    plan: tuple[int, int], expected: tuple[float, float, float]
) -> None:
    found = SinglePlan(*plan).acceptance_probability(np.array([0.01, 0.03, 0.05]))
    np.testing.assert_allclose(found, expected, rtol=0, atol=6e-8)


def test_exact_plan_of_a_huge_lot_is_the_binomial_one() -> None:
    assert exact_plan(0.05, 0.15, 0.05, 0.075, lot_size=10**6) == SinglePlan(80, 7)


@given(rates=ordered_percents(), risks=risk_percents())
def test_exact_plan_is_the_first_binomial_plan(
    rates: tuple[int, int], risks: tuple[int, int]
) -> None:
    good, bad = (Fraction(r, 100) for r in rates)
    alpha, beta = (Fraction(r, 100) for r in risks)

    def meets(n: int, c: int) -> bool:
        return binomial_accept(n, c, bad) <= beta and 1 - binomial_accept(n, c, good) <= alpha

    expected = first_plan(range(1, 16), meets)
    arguments = (float(good), float(bad), float(alpha), float(beta))
    if expected is None:
        with pytest.raises(ValueError, match="no plan of at most 15 items"):
            exact_plan(*arguments, max_sample_size=15)
    else:
        assert exact_plan(*arguments, max_sample_size=15) == expected


@given(
    lot=st.integers(3, 25),
    defectives=st.lists(st.integers(1, 24), min_size=2, max_size=2, unique=True).map(sorted),
    risks=risk_percents(),
)
def test_exact_plan_is_the_first_hypergeometric_plan(
    lot: int, defectives: list[int], risks: tuple[int, int]
) -> None:
    few, many = defectives[0], min(defectives[1], lot - 1)
    if few >= many:
        return
    alpha, beta = (Fraction(r, 100) for r in risks)

    def meets(n: int, c: int) -> bool:
        rejected = 1 - hypergeometric_accept(n, c, few, lot)
        return rejected <= alpha and hypergeometric_accept(n, c, many, lot) <= beta

    expected = first_plan(range(1, lot + 1), meets)
    # Inspecting the whole lot decides without error.
    assert expected is not None
    arguments = (few / lot, many / lot, float(alpha), float(beta))
    assert exact_plan(*arguments, lot_size=lot) == expected


@pytest.mark.parametrize("percentage", [10, 20, 30, 40])
def test_a_risk_met_with_equality_is_met(percentage: int) -> None:
    """One item of a lot at rate p is defective with probability p: no rounding may cost n = 2."""
    p = percentage / 100
    assert exact_plan(p, 1 - p, p, p) == SinglePlan(1, 0)


@given(rates=ordered_percents(), risks=risk_percents(largest=20))
def test_exact_plan_keeps_both_risks(rates: tuple[int, int], risks: tuple[int, int]) -> None:
    (good, bad), (alpha, beta) = rates, risks
    plan = exact_plan(good / 100, bad / 100, alpha / 100, beta / 100)
    at_good, at_bad = plan.acceptance_probability([good / 100, bad / 100])
    assert 1 - at_good <= alpha / 100 + 1e-12
    assert at_bad <= beta / 100 + 1e-12


def test_exact_plan_rejects_a_lot_that_cannot_differ() -> None:
    with pytest.raises(ValueError, match=r"^lot_size=10: too small, .* both mean 1 defectives"):
        exact_plan(0.10, 0.12, 0.1, 0.05, lot_size=10)


@pytest.mark.parametrize("name", ["lot_size", "max_sample_size"])
@pytest.mark.parametrize("value", [0, -5, 10.5, math.nan, "20"])
def test_exact_plan_rejects_bad_sizes(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{name}=.*integer of at least 1"):
        exact_plan(*EXAMPLE, **{name: value})  # type: ignore[arg-type]


# --- bad arguments common to the designs -------------------------------------------------------

TWO_RISK_DESIGNS = [sprt_lines, normal_approximation_plan, exact_plan]
NOT_A_FRACTION = [0.0, 1.0, -0.1, 1.5, math.nan, math.inf, None, "0.1"]


@pytest.mark.parametrize("design", TWO_RISK_DESIGNS)
@pytest.mark.parametrize("name", ["good", "bad", "producer_risk", "consumer_risk"])
@pytest.mark.parametrize("value", NOT_A_FRACTION)
def test_designs_reject_bad_fractions(
    design: Callable[..., object], name: str, value: object
) -> None:
    arguments = dict(
        zip(["good", "bad", "producer_risk", "consumer_risk"], EXAMPLE, strict=True),
        **{name: value},
    )
    with pytest.raises(ValueError, match=rf"^{name}={value!r}: .*strictly between 0\.0 and 1\.0"):
        design(**arguments)


@pytest.mark.parametrize("design", TWO_RISK_DESIGNS)
def test_designs_reject_bad_combinations(design: Callable[..., object]) -> None:
    for good in (0.2, 0.3):
        with pytest.raises(ValueError, match=rf"^good={good}: must be less than bad=0\.2"):
            design(good, 0.2, 0.1, 0.05)
    with pytest.raises(ValueError, match=r"^producer_risk=0\.5, consumer_risk=0\.5: their sum"):
        design(0.1, 0.2, 0.5, 0.5)


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (precision_sample_size, {"p0": 0.1, "margin": 0.05, "confidence": 0.95}, "p0"),
        (precision_sample_size, {"p0": 0.1, "margin": 0.05, "confidence": 0.95}, "margin"),
        (precision_sample_size, {"p0": 0.1, "margin": 0.05, "confidence": 0.95}, "confidence"),
        (power_sample_size, {"p0": 0.1, "p1": 0.05, "power": 0.9}, "p0"),
        (power_sample_size, {"p0": 0.1, "p1": 0.05, "power": 0.9}, "p1"),
        (power_sample_size, {"p0": 0.1, "p1": 0.05, "power": 0.9}, "power"),
        (one_sided_test_plan, {"sample_size": 50, "p0": 0.1, "confidence": 0.9}, "p0"),
        (one_sided_test_plan, {"sample_size": 50, "p0": 0.1, "confidence": 0.9}, "confidence"),
    ],
)
@pytest.mark.parametrize("value", NOT_A_FRACTION)
def test_sample_sizes_reject_bad_fractions(
    function: Callable[..., object], arguments: dict[str, float], name: str, value: object
) -> None:
    with pytest.raises(ValueError, match=rf"^{name}={value!r}: .*strictly between"):
        function(**{**arguments, name: value})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: precision_sample_size(0.6, 0.4), r"^margin=0\.4: .*between 0\.0 and 0\.4"),
        (lambda: precision_sample_size(0.1, 0.05, 0.5), r"^confidence=0\.5: .*between 0\.5 and"),
        (lambda: power_sample_size(0.1, 0.05, 0.5), r"^power=0\.5: .*between 0\.5 and"),
        (lambda: power_sample_size(0.1, 0.1), r"^p1=0\.1: must differ from p0=0\.1"),
        (lambda: one_sided_test_plan(0, 0.1), r"^sample_size=0: .*at least 1"),
        (lambda: one_sided_test_plan(math.nan, 0.1), r"^sample_size=nan: .*at least 1"),
        (lambda: one_sided_test_plan(2, 0.9), r"^sample_size=2: too small"),
        (lambda: one_sided_test_plan(2, 0.1, 0.05), r"^sample_size=2: too small"),
    ],
)
def test_sample_sizes_reject_bad_combinations(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
