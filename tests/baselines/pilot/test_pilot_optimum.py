"""The optimal pilot run: brute force over test sequences, simulation, and what information is worth."""

import math
from fractions import Fraction
from functools import cache
from itertools import pairwise, product
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from pilot_runs import beta, pilot_run, pilot_runs
from scipy.integrate import quad
from scipy.special import beta as beta_function
from scipy.stats import beta as beta_law
from two_part_chain import chain_profit, costs_of

import baselines
from baselines.core.solver import bellman_residual
from baselines.core.solver import solve as solve_tables
from baselines.pilot import Lattice, value_of_information
from baselines.pilot.beliefs import Beliefs
from baselines.pilot.information import best_sizes, perfect_value
from baselines.pilot.model import build_model
from qc_gym.pilot.dynamics import moments_at, order_profit
from qc_gym.pilot.plans import Plan
from qc_gym.pilot.scenario import PilotRunScenario

ID = "qc_gym/PilotRun-v0"
PRESETS = PilotRunScenario.presets


class Exact:
    """A pilot run of integer priors in fractions; part 2 is never bad.

    A profit times (1 − p)(1 − q) is a polynomial of degree 1 in p and 2 in q, found from the chain of items
    at rational rates; its expectation is a sum of moments of Beta distributions.
    """

    def __init__(self, scenario: PilotRunScenario) -> None:
        part, _, both = scenario.in_order
        self.scenario = scenario
        self.shapes: list[Any] = [part.defect_rate, None, both.defect_rate]
        self.sample_costs = [Fraction(node.sample_cost) for node in scenario.in_order]
        self.most = [node.max_samples for node in scenario.in_order]
        self.payoff = cache(self._payoff)
        costs = costs_of(scenario)
        self._costs = type(costs)(
            tuple(map(Fraction, costs.make)),  # type: ignore[arg-type]
            tuple(map(Fraction, costs.inspection)),  # type: ignore[arg-type]
            Fraction(costs.dismantling),
            Fraction(costs.return_loss),
            Fraction(costs.price),
        )
        self.polynomials = [self._polynomial(plan) for plan in range(16)]

    def _polynomial(self, plan: int) -> list[list[Fraction]]:
        """Return the coefficients c[i][j] of p^i q^j."""
        points = [Fraction(k, 7) for k in range(4)]
        values = [
            [
                chain_profit(self._costs, Plan.of(plan), (p, Fraction(0), q)) * (1 - p) * (1 - q)
                for q in points
            ]
            for p in points
        ]
        by_q = [coefficients(points, row) for row in values]
        columns = [coefficients(points, [row[j] for row in by_q]) for j in range(4)]
        return [[columns[j][i] for j in range(4)] for i in range(4)]

    def mean(self, k: int, history: tuple[tuple[int, int], ...]) -> Fraction:
        """Return P(the next test of node k finds a defective | the results so far)."""
        a, b = self.posterior(k, history)
        return Fraction(a, a + b)

    def posterior(self, k: int, history: tuple[tuple[int, int], ...]) -> tuple[int, int]:
        results = [result for node, result in history if node == k]
        rate = self.shapes[k]
        return int(rate.a) + sum(results), int(rate.b) + len(results) - sum(results)

    def _payoff(self, part: tuple[int, int], both: tuple[int, int]) -> Fraction:
        expected = []
        for polynomial in self.polynomials:
            total = sum(
                coefficient * moment(*part, i) * moment(*both, j)
                for i, row in enumerate(polynomial)
                for j, coefficient in enumerate(row)
            )
            expected.append(total)
        return self.scenario.order_size * max(expected)

    def value(self, history: tuple[tuple[int, int], ...] = ()) -> Fraction:
        """Return what the best of all sequences of tests earns, history by history."""
        best = self.payoff(self.posterior(0, history), self.posterior(2, history))
        for k in (0, 2):
            if sum(node == k for node, _ in history) < self.most[k]:
                chance = self.mean(k, history)
                value = -self.sample_costs[k]
                value += chance * self.value((*history, (k, 1)))
                value += (1 - chance) * self.value((*history, (k, 0)))
                best = max(best, value)
        return best


def coefficients(points: list[Fraction], values: list[Fraction]) -> list[Fraction]:
    """Return the polynomial through the points (Lagrange)."""
    result = [Fraction(0)] * len(points)
    for i, x in enumerate(points):
        basis = [Fraction(1)]
        for other in points[:i] + points[i + 1 :]:
            shifted = [Fraction(0), *basis]
            basis = [
                (s - other * c) / (x - other)
                for s, c in zip(shifted, [*basis, Fraction(0)], strict=True)
            ]
        result = [r + values[i] * c for r, c in zip(result, basis, strict=True)]
    return result


def moment(a: int, b: int, power: int) -> Fraction:
    """Return E[p^power / (1 − p)] under Beta(a, b), whole a and b."""
    above = math.factorial(a + power - 1) * math.factorial(b - 2) * math.factorial(a + b - 1)
    below = math.factorial(a + b + power - 2) * math.factorial(a - 1) * math.factorial(b - 1)
    return Fraction(above, below)


TINY = {
    "part alone": pilot_run((beta(1, 3), 0.0, 0.1), (4, 0, 0), order_size=40),
    "both": pilot_run((beta(1, 9), 0.0, beta(1, 8)), (3, 0, 2), order_size=900),
    "b of 2": pilot_run((beta(2, 2), 0.0, beta(1, 2)), (2, 0, 3), order_size=30),
    "free tests": pilot_run((beta(1, 4), 0.0, beta(2, 5)), (2, 0, 2), (0.0, 0.0, 0.0)),
    "dear returns": pilot_run((beta(1, 5), 0.0, beta(1, 6)), (3, 0, 3), return_loss=90.0),
}


@pytest.mark.parametrize("name", [name for name in TINY if name != "part alone"])
def test_no_sequence_of_tests_is_better(name: str) -> None:
    scenario = TINY[name]
    exact = Exact(scenario)
    lattice = Lattice.of(scenario)
    assert lattice.value == pytest.approx(float(exact.value()), rel=1e-11)
    at_once = float(exact.payoff(exact.posterior(0, ()), exact.posterior(2, ())))
    assert lattice.payoffs[0] == pytest.approx(at_once, rel=1e-11)
    assert name == "b of 2" or lattice.value > at_once  # there is something to find


@pytest.mark.parametrize("name", TINY)
@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_tables_have_the_optimum_of_the_lattice(name: str, observation: str) -> None:
    optimum = baselines.solve(ID, scenario=TINY[name], observation=observation)
    optimum.check()
    generic = solve_tables(optimum.model)
    assert generic.value == pytest.approx(optimum.value, rel=1e-13)
    np.testing.assert_allclose(optimum.solution.values, generic.values, rtol=1e-12)
    np.testing.assert_allclose(optimum.solution.action_values, generic.action_values, rtol=1e-12)
    assert bellman_residual(optimum.model, optimum.solution) <= 1e-9 * abs(optimum.value)
    assert optimum.evaluation.value == pytest.approx(optimum.value, rel=1e-13)


def test_the_last_test_splits_the_states_of_outcomes() -> None:
    tables = build_model(Beliefs.of(TINY["both"]), "outcome")
    tables.check()
    last = 1 + 2 * tables.states["last_tested"] + tables.states["last_defective"]
    seen = {
        (tuple(n), tuple(d), int(code))
        for n, d, code in zip(tables.states["n"], tables.states["d"], last, strict=True)
    }
    expected = {((0, 0, 0), (0, 0, 0), -1)}
    for n0, n2 in product(range(4), range(3)):
        for d0, d2 in product(range(n0 + 1), range(n2 + 1)):
            results = {1: n0 > d0, 2: d0 > 0, 5: n2 > d2, 6: d2 > 0}
            codes = [code for code, possible in results.items() if possible]
            expected |= {((n0, 0, n2), (d0, 0, d2), code) for code in codes}
    assert seen == expected


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("preset", PRESETS)
def test_the_hidden_truth_pays_what_the_optimum_expects(preset: str, observation: str) -> None:
    if observation == "outcome" and preset in {"cumcm-2", "cumcm-4", "cumcm-5"}:
        return  # the same tables, and no test or hardly one
    env = gym.make(ID, scenario=preset, observation=observation)
    simulation = baselines.certify(env, episodes=50_000, seed=2).simulation
    assert simulation is not None
    value = baselines.solve(env).value
    assert abs(simulation.mean - value) < 4 * simulation.stderr


def test_policies_of_outcomes_play_the_environment() -> None:
    env = gym.make(ID, scenario=TINY["both"], observation="outcome")
    optimum = baselines.solve(env)
    score = baselines.score(env, optimum.policy)
    assert score.exact
    assert score.regret == pytest.approx(0.0, abs=1e-9)
    memory, returns = None, []
    for seed in range(50):
        shown, _ = env.reset(seed=seed)
        total, terminated, start = 0.0, False, True
        while not terminated:
            action, memory = optimum.policy.predict(
                shown, state=memory, episode_start=np.array([start])
            )
            shown, reward, terminated, *_ = env.step(action)
            total, start = total + float(reward), False
        returns.append(total)
    assert len(set(returns)) > 40


# --- what information is worth ------------------------------------------------------------------


@given(scenario=pilot_runs())
@settings(max_examples=40, deadline=None)
def test_the_more_is_known_the_better(scenario: PilotRunScenario) -> None:
    value = value_of_information(scenario)
    slack = 1e-6 * max(1.0, abs(value.perfect), abs(value.at_once))
    assert value.certainty_equivalent <= value.at_once + 1e-12 * abs(value.at_once)
    assert 0.0 <= value.evsi_fixed <= value.evsi_sequential + 1e-12 * abs(value.at_once)
    assert value.evsi_sequential <= value.evpi + slack


@pytest.mark.parametrize("preset", PRESETS)
def test_the_chain_of_the_presets(preset: str) -> None:
    scenario = PilotRunScenario.parse(preset)
    assert isinstance(scenario, PilotRunScenario)
    value = value_of_information(scenario)
    assert value.certainty_equivalent <= value.at_once
    assert 0.0 <= value.evsi_fixed <= value.evsi_sequential <= value.evpi


def test_perfect_information_of_one_rate() -> None:
    """Only the product's rate, or only a part's, is unknown: by adaptive quadrature."""
    for k in (0, 1, 2):
        rates: list[Any] = [0.1, 0.2, 0.15]
        rates[k] = beta(1.5, 4.0)
        scenario = pilot_run(tuple(rates), (0, 0, 0), return_loss=25.0)  # type: ignore[arg-type]
        record = scenario.record()[0]

        def best(p: float, k: int = k, record: Any = record) -> float:
            at = [0.1, 0.2, 0.15]
            at[k] = p
            moments = moments_at(*at)
            return max(order_profit(record, plan, moments) for plan in range(16))

        edges = np.concatenate([np.linspace(0.0, 0.95, 39), 1.0 - np.logspace(-1.5, -8, 20), [1.0]])
        total = sum(
            quad(
                lambda p, best=best: best(p) * p**0.5 * (1 - p) ** 3 / beta_function(1.5, 4.0),
                low,
                high,
                epsabs=1e-10,
                epsrel=1e-10,
                limit=200,
            )[0]
            for low, high in pairwise(edges)
        )
        assert perfect_value(Beliefs.of(scenario)) == pytest.approx(total, rel=2e-7)


def test_perfect_information_of_three_rates() -> None:
    """By simulation of the truth, with the best fixed plan as control."""
    scenario = PilotRunScenario.parse("cumcm-6")
    assert isinstance(scenario, PilotRunScenario)
    beliefs, generator = Beliefs.of(scenario), np.random.default_rng(0)
    record, gains = scenario.record()[0], []
    shapes: list[Any] = [node.defect_rate for node in scenario.in_order]
    draws = [beta_law.rvs(s.a, s.b, size=20_000, random_state=generator) for s in shapes]
    fixed = int(Lattice.of(scenario).plans[0])
    for rates in zip(*draws, strict=True):
        moments = moments_at(*rates)
        profits = [order_profit(record, plan, moments) for plan in range(16)]
        gains.append(max(profits) - profits[fixed])
    evpi = perfect_value(beliefs) - Lattice.of(scenario).payoffs[0]
    assert abs(np.mean(gains) - evpi) < 4 * np.std(gains) / math.sqrt(len(gains))


def test_fixed_sizes_are_the_best_of_all() -> None:
    scenario = TINY["both"]
    exact, lattice = Exact(scenario), Lattice.of(scenario)
    values = {}
    for n0, n2 in product(range(4), range(3)):
        total = -n0 * exact.sample_costs[0] - n2 * exact.sample_costs[2]
        for results in product((0, 1), repeat=n0 + n2):
            history: tuple[tuple[int, int], ...] = ()
            chance = Fraction(1)
            for i, result in enumerate(results):
                k = 0 if i < n0 else 2
                mean = exact.mean(k, history)
                chance *= mean if result else 1 - mean
                history = (*history, (k, result))
            total += chance * exact.payoff(exact.posterior(0, history), exact.posterior(2, history))
        values[n0, 0, n2] = total
    best = max(values, key=lambda sizes: values[sizes])
    sizes, value = best_sizes(lattice)
    assert sizes == best
    assert value == pytest.approx(float(values[best]), rel=1e-11)


def test_references_earn_what_their_records_say() -> None:
    env = gym.make(ID, scenario="cumcm-6")
    value = baselines.solve(env).value_of_information  # type: ignore[attr-defined]
    references = baselines.reference_policies(env)
    scores = {name: baselines.score(env, policy) for name, policy in references.items()}
    for name, expected in {
        "commit_at_once": value.at_once,
        "certainty_equivalent": value.certainty_equivalent,
        "best_fixed": value.best_fixed,
    }.items():
        assert scores[name].value == pytest.approx(expected, rel=1e-12)
    assert tuple(references["best_fixed"].design.values()) == value.sizes
    assert scores["best_fixed"].expected_length == pytest.approx(1 + sum(value.sizes))
    most = sum(node.max_samples for node in baselines.solve(env).scenario.in_order)  # type: ignore[attr-defined]
    assert scores["sample_everything"].expected_length == pytest.approx(1 + most)
    assert scores["knowledge_gradient"].value > scores["commit_at_once"].value
    assert scores["fixed_certainty_equivalent"].value <= scores["best_fixed"].value
