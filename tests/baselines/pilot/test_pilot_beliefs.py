"""Expectations over unknown rates, against arbitrary precision and against quadrature."""

from typing import Any

import mpmath
import numpy as np
import pytest
from pilot_runs import beta, pilot_run
from scipy.special import roots_jacobi
from scipy.stats import betabinom

from baselines.pilot.beliefs import Axis, Beliefs
from baselines.pilot.lattice import plan_payoffs
from qc_gym.pilot.dynamics import moments_at, order_profit
from qc_gym.pilot.scenario import PilotRunScenario

PAIRS = {
    "b of 1.5": (beta(1.0, 1.5), beta(1.0, 1.5), (0, 0)),
    "b of 1.5, tested": (beta(2.0, 1.5), beta(3.0, 1.5), (4, 3)),
    "b near 1": (beta(2.0, 1.001), beta(5.0, 1.001), (2, 2)),
    "as the presets": (beta(2.1, 9.3), beta(3.2, 8.4), (14, 14)),
    "much known": (beta(40.0, 30.0), beta(200.0, 1.01), (3, 50)),
    "one known": (beta(1.0, 1.5), 0.3, (6, 0)),
}


def mean_of_geometric(a: Any, b: Any, a2: Any, b2: Any) -> Any:
    """Return E[1 / (1 − p1 p2)]: the inner expectation is a hypergeometric function."""

    def integrand(p: Any) -> Any:
        density = p ** (a - 1) * (1 - p) ** (b - 1) / mpmath.beta(a, b)
        return density * mpmath.hyp2f1(1, a2, a2 + b2, p)

    return mpmath.quad(integrand, [0, 0.1, 0.5, 0.9, 0.99, 0.999, 0.999999, 1])


def coupled(one: tuple[float, float], two: Any) -> list[float]:
    """Return E of p1 p2 / (1 − p1 p2), (1 − p2) / (1 − p1 p2) and (1 − p1) / (1 − p1 p2)."""
    a, b = map(mpmath.mpf, one)
    if isinstance(two, float):
        p = mpmath.mpf(two)
        mean = mpmath.hyp2f1(1, a, a + b, p)
        last_2 = b / (a + b) * mpmath.hyp2f1(1, a, a + b + 1, p)
        return [float(x) for x in (mean - 1, (1 - p) * mean, last_2)]
    c, d = map(mpmath.mpf, two)
    return [
        float(x)
        for x in (
            mean_of_geometric(a, b, c, d) - 1,
            d / (c + d) * mean_of_geometric(a, b, c, d + 1),
            b / (a + b) * mean_of_geometric(a, b + 1, c, d),
        )
    ]


@pytest.mark.parametrize(("one", "two", "sizes"), PAIRS.values(), ids=PAIRS)
def test_coupled_expectations(one: Any, two: Any, sizes: tuple[int, int]) -> None:
    beliefs = Beliefs.of(pilot_run((one, two, 0.1), (*sizes, 0)))
    first, second, _ = beliefs.axes
    with mpmath.workdps(25):
        for i, j in {
            (0, 0),
            (len(first) - 1, len(second) - 1),
            (len(first) // 2, len(second) // 3),
        }:
            shape = one["a"] + first.d[i], one["b"] + first.n[i] - first.d[i]
            other = two
            if not isinstance(two, float):
                other = two["a"] + second.d[j], two["b"] + second.n[j] - second.d[j]
            found = [float(table[i, j]) for table in beliefs.coupled]
            assert found == pytest.approx(coupled(shape, other), rel=1e-9)


def test_expectations_of_one_rate() -> None:
    axis = Axis.of(pilot_run((beta(1.3, 1.5), 0.0, 0.0), (4, 0, 0)).in_order[0])
    for i in range(len(axis)):
        a, b = 1.3 + axis.d[i], 1.5 + axis.n[i] - axis.d[i]
        nodes, weights = roots_jacobi(4, b - 2.0, a - 1.0)  # a factor 1 − p taken out
        p = 0.5 * (nodes + 1.0)
        mass = weights @ (1.0 - p)
        assert axis.tries[i] == pytest.approx(weights.sum() / mass, rel=1e-12)
        assert axis.mean[i] == pytest.approx(weights @ (p * (1.0 - p)) / mass, rel=1e-12)
        assert axis.good[i] == pytest.approx(weights @ (1.0 - p) ** 2 / mass, rel=1e-12)
        expected = betabinom.pmf(axis.d[i], axis.n[i], 1.3, 1.5)
        assert axis.reached[i] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("preset", ["cumcm-3", "cumcm-6"])
def test_expected_profits_of_plans(preset: str) -> None:
    """By Gauss–Jacobi quadrature of the profit itself, of all three rates at once."""
    scenario = PilotRunScenario.parse(preset)
    assert isinstance(scenario, PilotRunScenario)
    rules = []
    for node in scenario.in_order:
        rate: Any = node.defect_rate
        nodes, weights = roots_jacobi(24, rate.b - 1.0, rate.a - 1.0)
        rules.append((0.5 * (nodes + 1.0), weights / weights.sum()))
    expected, record = np.zeros(16), scenario.record()[0]
    for p1, w1 in zip(*rules[0], strict=True):
        for p2, w2 in zip(*rules[1], strict=True):
            for q, w3 in zip(*rules[2], strict=True):
                moments = moments_at(p1, p2, q)
                for plan in range(16):
                    expected[plan] += w1 * w2 * w3 * order_profit(record, plan, moments)
    found = plan_payoffs(Beliefs.of(scenario).start())[0]
    assert found == pytest.approx(expected, rel=1e-9)


def test_an_expectation_is_the_mean_of_those_after_a_test() -> None:
    beliefs = Beliefs.of(pilot_run((beta(1.0, 1.5), beta(2.0, 3.0), beta(1.0, 5.0)), (3, 2, 2)))
    payoffs = plan_payoffs(beliefs).reshape(*beliefs.shape, 16)
    for k, axis in enumerate(beliefs.axes):
        along = np.moveaxis(payoffs, k, 0)
        for i in np.flatnonzero(axis.n < axis.node.max_samples):
            after, m = i + axis.n[i] + 1, axis.mean[i]
            mean = (1 - m) * along[after] + m * along[after + 1]
            np.testing.assert_allclose(along[i], mean, rtol=1e-9, atol=1e-9 * 5600)
