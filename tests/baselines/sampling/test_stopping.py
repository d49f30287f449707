"""The optimum without tables against that with them, and its tails against exact sums."""

from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from strategies import SHAPE, beta_lot, scenarios, two_point_lot

from baselines.core.budget import MAX_BYTES, StateBudgetError
from baselines.core.solver import solve
from baselines.sampling import stopping_bounds
from baselines.sampling.beta_binomial import tails
from baselines.sampling.model import build_model
from baselines.sampling.posterior import posterior
from qc_gym.sampling.scenario import SequentialSamplingScenario

INSPECT, ACCEPT, REJECT = range(3)


def parse(fields: Any) -> SequentialSamplingScenario:
    scenario = SequentialSamplingScenario.parse(fields)
    assert isinstance(scenario, SequentialSamplingScenario)
    return scenario


def rising(x: Fraction, k: int) -> Fraction:
    result = Fraction(1)
    for i in range(k):
        result *= x + i
    return result


def exact_at_least(k: int, trials: int, a: Fraction, b: Fraction) -> Fraction:
    """Return P(X ≥ k) for X ~ BetaBinomial(trials, a, b)."""
    return sum(
        (
            comb(trials, x) * rising(a, x) * rising(b, trials - x)
            for x in range(max(k, 0), trials + 1)
        ),
        Fraction(0),
    ) / rising(a + b, trials)


@settings(max_examples=60)
@given(st.data(), SHAPE, SHAPE)
def test_tails_of_a_lot(data: st.DataObject, a: float, b: float) -> None:
    lot = data.draw(st.integers(1, 30))
    n, threshold = data.draw(st.integers(0, lot)), data.draw(st.integers(1, lot))
    at_least, below = tails(lot, n, threshold, a, b)
    for d in range(n + 1):
        exact = exact_at_least(threshold - d, lot - n, Fraction(a) + d, Fraction(b) + n - d)
        assert at_least[d] == pytest.approx(float(exact), rel=1e-12, abs=1e-300)
        assert below[d] == pytest.approx(float(1 - exact), rel=1e-12, abs=1e-300)


def test_tails_of_a_lot_of_ten_million_are_nearly_those_of_the_rate() -> None:
    """The share of defectives in so large a lot is the rate but for a spread of 1e-4."""
    lot, n, a, b, limit = 10_000_000, 200, 2.0, 30.0, 0.1
    at_least, below = tails(lot, n, int(limit * lot) + 1, a, b)
    d = np.arange(n + 1)
    np.testing.assert_allclose(at_least, special.betaincc(a + d, b + n - d, limit), atol=1e-5)
    np.testing.assert_allclose(at_least + below, 1.0, rtol=1e-11)


@settings(max_examples=60)
@given(fields=scenarios(max_samples=st.integers(1, 60)))
def test_bounds_are_those_of_the_tables(fields: dict[str, Any]) -> None:
    scenario = parse(fields)
    tables = build_model(scenario)
    optimum, bounds = solve(tables), stopping_bounds(scenario)
    stake = max(scenario.accept_bad_cost, scenario.reject_good_cost)
    assert bounds.value == pytest.approx(optimum.value, rel=1e-12, abs=1e-12 * stake)
    assert not np.signbit(bounds.value) or bounds.value < 0.0
    # Where two actions are worth the same, rounding says which: both are right.
    gaps = optimum.gaps()
    for n in range(scenario.max_samples + 1):
        first = n * (n + 1) // 2
        for d in range(n + 1):
            taken = INSPECT
            if d <= bounds.acceptance_numbers[n]:
                taken = ACCEPT
            elif d >= bounds.rejection_numbers[n]:
                taken = REJECT
            if is_possible(scenario, n, d):
                assert gaps[first + d, taken] <= 1e-12 * max(stake, scenario.inspection_cost)


def is_possible(scenario: SequentialSamplingScenario, n: int, d: int) -> bool:
    """Return whether d of n items can be defective, in a good or in a bad lot."""
    if scenario.lot_size is None or scenario.prior.kind == "beta":
        return True
    rates = scenario.prior.good, scenario.prior.bad
    counts = [scenario.defectives(rate) for rate in rates]
    return any(d <= m and n - d <= scenario.lot_size - m for m in counts)


@pytest.mark.parametrize("loss", ["indicator", "linear"])
def test_what_is_known_of_a_beta_prior_is_its_integral(loss: str) -> None:
    """The tables average back from their last row; here each point by itself."""
    scenario = parse(beta_lot(0.7, 4.0, None, loss=loss, max_samples=80))
    known = posterior(scenario)
    n = np.repeat(np.arange(81), np.arange(1, 82))
    d = np.arange(len(n)) - n * (n + 1) // 2
    a, b, limit = 0.7 + d, 4.0 + n - d, 0.15
    np.testing.assert_allclose(known.prob_bad, special.betaincc(a, b, limit), rtol=1e-11)
    loss_if_bad = special.betaincc(a, b, limit)
    if loss == "linear":
        mean_bad = a / (a + b) * special.betaincc(a + 1, b, limit)
        loss_if_bad = mean_bad - limit * loss_if_bad
    np.testing.assert_allclose(known.accept_loss, 70.0 * loss_if_bad, rtol=1e-9, atol=1e-12)


def test_ten_thousand_samples_take_no_tables() -> None:
    scenario = parse(two_point_lot(None, max_samples=10_000, inspection_cost=0.001))
    bounds = stopping_bounds(scenario)
    # Wald's test in the long run: far from the end the numbers rise with the slope of its lines.
    good, bad = 0.1, 0.35
    slope = np.log((1 - good) / (1 - bad)) / np.log(bad * (1 - good) / (good * (1 - bad)))
    rise = bounds.rejection_numbers[4000] - bounds.rejection_numbers[2000]
    assert rise == pytest.approx(2000 * slope, abs=1.0)
    shorter = stopping_bounds(parse(two_point_lot(None, max_samples=1000, inspection_cost=0.001)))
    assert bounds.value == pytest.approx(shorter.value, rel=1e-7)


def test_more_tables_than_the_budget_are_refused_before_they_are_made() -> None:
    scenario = parse(two_point_lot(None, max_samples=10_000))
    message = r"max_samples = 10,000 makes 50,015,001 states.*10\.0 GB.*stopping_bounds"
    with pytest.raises(StateBudgetError, match=message):
        build_model(scenario)
    assert MAX_BYTES < 10e9


def test_nothing_at_stake_is_worth_a_plain_zero() -> None:
    fields = two_point_lot(None, inspection_cost=0.0, accept_bad_cost=0.0, reject_good_cost=0.0)
    scenario = parse(fields)
    for value in (stopping_bounds(scenario).value, solve(build_model(scenario)).value):
        assert str(value) == "0.0"
    assert not np.signbit(build_model(scenario).rewards).any()


@pytest.mark.parametrize("lot_size", [10_000_000, 10_000])
def test_a_lot_of_any_size_takes_no_longer_than_its_sample(lot_size: int) -> None:
    """A large lot's optimum is near that of independent items."""
    finite = stopping_bounds(parse(beta_lot(2.0, 14.0, lot_size, max_samples=50)))
    infinite = stopping_bounds(parse(beta_lot(2.0, 14.0, None, max_samples=50)))
    assert finite.value == pytest.approx(infinite.value, rel=20.0 / lot_size**0.5)
