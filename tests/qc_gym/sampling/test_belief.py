"""The belief that is shown against Bayes' rule, by scipy and by recursion."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats
from strategies import beta_lot, scenarios, two_point_lot

from qc_gym.core.table import NO_TABLE
from qc_gym.sampling.dynamics import KERNEL, STATE
from qc_gym.sampling.scenario import SequentialSamplingScenario

PRESETS = [
    name
    for name in SequentialSamplingScenario.presets
    if not SequentialSamplingScenario.parse(name).has_errors  # see test_errors
]
FLOAT32 = {"rtol": 0.0, "atol": 1.2e-7}  # two units in the last place of a float32 just below 1


def lattice(max_samples: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all (n, d) with d ≤ n ≤ max_samples."""
    n, d = np.tril_indices(max_samples + 1)
    return n.astype(np.int64), d.astype(np.int64)


def observe(
    scenario: SequentialSamplingScenario, n: Any, d: Any, is_tabulated: bool = False
) -> NDArray[np.float32]:
    """Return the observations of states (n, d), computed or looked up."""
    states = np.zeros(len(n), STATE)
    states["n"], states["d"] = n, d
    table = scenario.table() if is_tabulated else NO_TABLE
    return KERNEL.describe(scenario.record(), states, "belief", table)[0]


def two_point_truth(
    scenario: SequentialSamplingScenario, n: Any, d: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return P(bad), P(next defective) by Bayes' rule, and which (n, d) are possible."""
    prior, lot = scenario.prior, scenario.lot_size
    if lot is None:
        log_good = special.xlogy(d, prior.good) + special.xlog1py(n - d, -prior.good)
        log_bad = special.xlogy(d, prior.bad) + special.xlog1py(n - d, -prior.bad)
        next_good, next_bad = prior.good, prior.bad
    else:
        m_good, m_bad = round(lot * prior.good), round(lot * prior.bad)
        log_good = stats.hypergeom.logpmf(d, lot, m_good, n)
        log_bad = stats.hypergeom.logpmf(d, lot, m_bad, n)
        left = np.maximum(lot - n, 1)
        next_good, next_bad = (m_good - d) / left, (m_bad - d) / left
    log_good = log_good + np.log1p(-prior.prob_bad)
    log_bad = log_bad + np.log(prior.prob_bad)
    possible = np.isfinite(np.maximum(log_good, log_bad))
    with np.errstate(invalid="ignore"):
        prob_bad = special.expit(log_bad - log_good)
        predictive = np.where(prob_bad < 1, (1 - prob_bad) * next_good, 0) + np.where(
            prob_bad > 0, prob_bad * next_bad, 0
        )
    return prob_bad, predictive, possible


def beta_truth(
    scenario: SequentialSamplingScenario, n: Any, d: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return P(bad) and P(next defective) under a Beta prior."""
    a, b = scenario.prior.a + d, scenario.prior.b + n - d
    lot, limit = scenario.lot_size, scenario.prior.limit
    if lot is None:
        return special.betaincc(a, b, limit), a / (a + b)
    is_bad = np.arange(lot + 1) / lot > limit
    if len(n) == (lot + 1) * (lot + 2) // 2:  # the whole lattice of the whole lot
        # The belief is a martingale that ends at the truth: no special function is needed.
        prob_bad = np.zeros((lot + 1, lot + 1))
        prob_bad[lot] = is_bad
        for k in range(lot - 1, -1, -1):
            i = np.arange(k + 1)
            up = (scenario.prior.a + i) / (scenario.prior.a + scenario.prior.b + k)
            prob_bad[k, : k + 1] = up * prob_bad[k + 1, 1 : k + 2]
            prob_bad[k, : k + 1] += (1 - up) * prob_bad[k + 1, : k + 1]
        return prob_bad[n, d], a / (a + b)
    most_good = int(np.flatnonzero(~is_bad)[-1])
    result = [
        stats.betabinom.pmf(np.arange(max(most_good - one_d, -1) + 1, lot - one_n + 1), *rest).sum()
        for one_n, one_d, *rest in zip(n, d, lot - n, a, b, strict=True)
    ]
    return np.array(result), a / (a + b)


def check_belief(scenario: SequentialSamplingScenario, n: Any, d: Any) -> None:
    """Assert that the observations of states (n, d) are what probability theory says."""
    for is_tabulated in (False, True):
        check_seen(scenario, n, d, observe(scenario, n, d, is_tabulated))


def check_seen(
    scenario: SequentialSamplingScenario, n: Any, d: Any, seen: NDArray[np.float32]
) -> None:
    assert seen.dtype == np.float32
    assert ((seen >= 0) & (seen <= 1)).all()  # false for NaN
    np.testing.assert_allclose(seen[:, 0], n / scenario.max_samples, **FLOAT32)
    np.testing.assert_allclose(seen[:, 1], d / scenario.max_samples, **FLOAT32)
    if scenario.prior.kind == "two_point":
        prob_bad, predictive, possible = two_point_truth(scenario, n, d)
        assert possible.any()
    else:
        prob_bad, predictive = beta_truth(scenario, n, d)
        possible = np.ones(len(n), bool)
    if scenario.lot_size is not None:
        possible &= n <= scenario.lot_size
    np.testing.assert_allclose(seen[possible, 2], prob_bad[possible], **FLOAT32)
    if scenario.lot_size is not None:
        possible &= n < scenario.lot_size  # nothing is next when all have been inspected
    np.testing.assert_allclose(seen[possible, 3], predictive[possible], **FLOAT32)


@pytest.mark.parametrize("name", PRESETS)
def test_belief_over_the_whole_lattice(name: str) -> None:
    scenario = SequentialSamplingScenario.parse(name)
    if scenario.prior.kind == "beta" and scenario.lot_size is not None:
        # Over the whole lot, so that the truth can be had by recursion from its end.
        scenario = scenario.model_copy(update={"max_samples": scenario.lot_size})
    check_belief(scenario, *lattice(scenario.max_samples))


@settings(max_examples=150, deadline=None)
@given(fields=scenarios(max_samples=st.integers(1, 40)))
def test_belief_of_any_scenario(fields: Any) -> None:
    scenario = SequentialSamplingScenario.parse(fields)
    check_belief(scenario, *lattice(scenario.max_samples))


@settings(max_examples=60, deadline=None)
@given(fields=scenarios(max_samples=st.integers(5_000, 10_000)), seed=st.integers(0, 2**32))
def test_belief_after_thousands_of_samples(fields: Any, seed: int) -> None:
    scenario = SequentialSamplingScenario.parse(fields)
    n_max = scenario.max_samples
    generator = np.random.default_rng(seed)
    n = generator.integers(0, n_max + 1, 12)
    d = generator.binomial(n, generator.beta(0.3, 0.3, 12))
    corners_n, corners_d = [0, n_max, n_max, 1, 1], [0, 0, n_max, 0, 1]
    check_belief(scenario, np.r_[n, corners_n], np.r_[d, corners_d])


HUGE = 10_000_000
STATES_OF_A_HUGE_LOT = [(0, 0), (50, 0), (50, 9), (1000, 90), (10_000, 1000), (10_000, 1490)]


def test_belief_of_a_huge_two_point_lot() -> None:
    fields = two_point_lot(HUGE, max_samples=10_000)
    fields["prior"] |= {"good": 0.1, "bad": 0.2}
    scenario = SequentialSamplingScenario.parse(fields)
    truths = []
    for n, d in STATES_OF_A_HUGE_LOT:

        def log_likelihood(m: int, n: int = n, d: int = d) -> float:
            """Return log m (m − 1) … (N − m) (N − m − 1) …, the order of the results aside."""
            return math.fsum(math.log(m - i) for i in range(d)) + math.fsum(
                math.log(HUGE - m - i) for i in range(n - d)
            )

        log_odds = log_likelihood(HUGE // 5) - log_likelihood(HUGE // 10) + special.logit(0.3)
        truths.append(special.expit(log_odds))
    assert 0 < min(truths) < 0.01 < 0.9 < max(truths)
    n, d = np.array(STATES_OF_A_HUGE_LOT).T
    np.testing.assert_allclose(observe(scenario, n, d)[:, 2], truths, **FLOAT32)


@pytest.mark.parametrize("lot_size", [1000, 100_000, HUGE])
@pytest.mark.parametrize(("a", "b"), [(2, 14), (1, 1), (20, 180)])
def test_belief_of_a_huge_beta_lot(a: int, b: int, lot_size: int) -> None:
    prior = {"kind": "beta", "a": float(a), "b": float(b), "limit": 0.1}
    fields = beta_lot(1, 1, lot_size, prior=prior, max_samples=min(lot_size, 10_000))
    scenario = SequentialSamplingScenario.parse(fields)
    n, d = np.array([one for one in STATES_OF_A_HUGE_LOT if one[0] < lot_size]).T
    left, a_left, b_left = lot_size - n, a + d, b + n - d
    # X ~ BetaBinomial(left, a, b) with whole a and b: of left + a + b − 1 items in random order,
    # a + b − 1 of them marked, X is how many come unmarked before the a-th marked one.
    most_good = lot_size // 10 - d
    among = left + a_left + b_left - 1
    truth = stats.hypergeom.cdf(a_left - 1, among, a_left + b_left - 1, most_good + a_left)
    np.testing.assert_allclose(observe(scenario, n, d)[:, 2], truth, **FLOAT32)


@settings(max_examples=100, deadline=None)
@given(fields=scenarios(max_samples=st.integers(1, 600)))
def test_no_state_of_the_lattice_has_a_belief_outside_its_space(fields: Any) -> None:
    """Not even those that cannot happen: pictures ask a policy about all of them."""
    scenario = SequentialSamplingScenario.parse(fields)
    n, d = lattice(scenario.max_samples)
    chosen = slice(None, None, max(1, len(n) // 5000))
    for is_tabulated in (False, True):
        seen = observe(scenario, n[chosen], d[chosen], is_tabulated)
        assert ((seen >= 0) & (seen <= 1)).all()
