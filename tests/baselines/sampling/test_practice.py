"""The plans of practice: the best of each kind against brute force, the optimum and Wald's lines."""

import itertools
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import plan_orderings
import pytest
from scipy.stats import binom
from strategies import beta_lot, two_point_lot

import baselines
import qc_gym  # noqa: F401
from baselines.sampling import (
    DoublePlan,
    SamplingOptimum,
    SinglePlan,
    SprtLines,
    boundary_policy,
)
from baselines.sampling.model import build_model
from baselines.sampling.reference import CONTEST_RISKS, RISKS, risks_for
from baselines.sampling.tuned import (
    Stakes,
    _line_costs,
    best_curtailed,
    best_double,
    best_lines,
    best_single,
    double_sizes,
)
from qc_gym.sampling.scenario import SequentialSamplingScenario

ID = "qc_gym/SequentialSampling-v0"
FACTORY = Path(__file__).parents[3] / "configs" / "scenarios" / "factory.yaml"
SMALL: list[dict[str, Any]] = [
    two_point_lot(None, max_samples=6),
    two_point_lot(20, max_samples=6, inspection_cost=1.5),
    two_point_lot(6, max_samples=6, reject_good_cost=90.0),
    beta_lot(1.0, 5.0, None, max_samples=6),
    beta_lot(2.0, 9.0, 30, max_samples=6, loss="linear", accept_bad_cost=900.0),
    beta_lot(0.5, 2.0, 6, max_samples=6, inspection_cost=0.0),
    two_point_lot(None, max_samples=1),
]


def parse(fields: Any) -> SequentialSamplingScenario:
    scenario = SequentialSamplingScenario.parse(fields)
    assert isinstance(scenario, SequentialSamplingScenario)
    return scenario


def cost(tables: Any, policy: Any) -> float:
    return -baselines.evaluate(tables, policy.probabilities).value


# --- the best of each kind -------------------------------------------------------------------------


@pytest.mark.parametrize("fields", ["lot-200", "lot-500-linear", *range(8)])
def test_orderings(fields: Any) -> None:
    """`python tests/plan_orderings.py` checks all presets and 200 scenarios."""
    if isinstance(fields, int):
        fields = plan_orderings.draw(np.random.default_rng([15, fields]), largest=60)
    regrets = plan_orderings.check(fields, drawn=10)
    assert min(regrets.values()) > -1e-9


@pytest.mark.parametrize("fields", SMALL)
def test_best_plans_are_those_of_exhaustive_search(fields: dict[str, Any]) -> None:
    tables = build_model(parse(fields))
    stakes, most = Stakes.of(tables), tables.scenario.max_samples
    for find, curtailed in ((best_single, False), (best_curtailed, True)):
        found = find(stakes)
        assert found.plan.curtailed == curtailed
        best = -plan_orderings.best_of_all_singles(tables, curtailed)
        assert found.cost == pytest.approx(best, rel=1e-12)
        assert cost(tables, found.plan.on(tables)) == pytest.approx(best, rel=1e-12)
    doubles = [
        DoublePlan(n1, c1, r1, n2, c2)
        for n1, n2 in itertools.product(range(1, most), repeat=2)
        if n1 + n2 <= most
        for c1 in range(-1, n1)
        for r1 in range(max(c1 + 1, 1), n1 + 2)
        for c2 in range(n1 + n2)
    ]
    costs = [cost(tables, plan.on(tables)) for plan in doubles]
    double = best_double(stakes)
    expected = min([*costs, best_single(stakes).cost])
    assert double.cost == pytest.approx(expected, rel=1e-12)
    assert cost(tables, double.plan.on(tables)) == pytest.approx(expected, rel=1e-12)


def test_the_best_single_plan_of_two_rates_is_that_of_binomial_sums() -> None:
    """All 80,000 plans of up to 400 items, by the distribution functions alone."""
    scenario = parse("aql10-rql20")
    n = np.arange(1, 401)[:, np.newaxis]
    c = np.arange(400)
    missed = scenario.accept_bad_cost * 0.5 * binom.cdf(c, n, 0.20)
    turned_away = scenario.reject_good_cost * 0.5 * binom.sf(c, n, 0.10)
    costs = np.where(c < n, n * scenario.inspection_cost + missed + turned_away, np.inf)
    row, column = np.unravel_index(costs.argmin(), costs.shape)
    found = best_single(Stakes.of(build_model(scenario)))
    assert found.plan == SinglePlan(int(row) + 1, int(column))
    assert found.cost == pytest.approx(costs.min(), rel=1e-12)


@pytest.mark.parametrize("fields", SMALL)
def test_no_lines_beat_the_best_lines(fields: dict[str, Any]) -> None:
    """Nor does what the search counts differ from what the policy costs."""
    tables = build_model(parse(fields))
    stakes, most = Stakes.of(tables), tables.scenario.max_samples
    best = best_lines(stakes, np.array([0.2]))
    generator = np.random.default_rng(4)
    slopes = generator.uniform(0.01, 0.9, 200)
    lines = np.column_stack([slopes, generator.uniform(0.0, 3.0, (200, 2))])
    counted = _line_costs(*stakes, lines, np.full(len(lines), np.inf))
    for one, expected in zip(lines.tolist(), counted, strict=True):
        test = SprtLines(*one)
        numbers = test.acceptance_numbers(most), test.rejection_numbers(most)
        assert cost(tables, boundary_policy(tables, *numbers)) == pytest.approx(expected, rel=1e-12)
        assert best.cost <= expected + 1e-12


def test_lines_are_the_optimum_where_theory_says_so() -> None:
    """Wald & Wolfowitz 1948: of two simple hypotheses, a sequential probability ratio test is."""
    env = gym.make(ID, scenario="aql10-rql20")
    lines = baselines.reference_policies(env)["best_sprt"]
    assert baselines.score(env, lines).regret < 1e-6  # what remains is the end at 400 items


def test_a_tuned_plan_earns_what_episodes_of_it_earn() -> None:
    env = gym.make(ID, scenario=str(FACTORY))
    for name in ("best_double", "best_curtailed"):
        policy = baselines.reference_policies(env)[name]
        simulated = baselines.simulate(policy, 200_000, 3)
        value = baselines.score(env, policy).value
        assert abs(simulated.mean - value) < 4 * simulated.stderr


def test_sizes_of_double_plans() -> None:
    stakes = Stakes.of(build_model(parse("aql10-rql20")))
    # A first and a second sample can each spare 100 at most, at 1 an item.
    assert double_sizes(stakes).tolist() == list(range(2, 202))
    dear = stakes._replace(inspection_cost=1e6)
    assert double_sizes(dear).size == 0
    assert best_double(dear).plan == DoublePlan(1, 0, 1, 0, 0)
    cheap = stakes._replace(inspection_cost=1e-9, max_samples=6000)
    sizes = double_sizes(cheap)
    assert (sizes[0], sizes[-1]) == (2, 6000)
    assert (sizes.astype(float) ** 2 / 2).sum() < 1.2e8
    assert (sizes[1:] / sizes[:-1])[sizes[:-1] > 50].max() < 1.15


# --- references and their numbers --------------------------------------------------------------


def test_risks_by_default() -> None:
    assert risks_for(parse("aql10-rql20")) == risks_for(parse("aql10-beta")) == CONTEST_RISKS
    assert CONTEST_RISKS == (0.10, 0.05)
    costs = {**SequentialSamplingScenario.presets["aql10-rql20"], "inspection_cost": 3.0}
    assert risks_for(parse(costs)) == CONTEST_RISKS  # the prior is still that of the contest
    for name in ("lot-200", "aql1-rql5", "lot-500-linear"):
        assert risks_for(parse(name)) == RISKS == (0.05, 0.10)
    assert risks_for(parse("lot-200"), beta=0.2) == (0.05, 0.2)


@pytest.mark.parametrize(
    "asked", [{"alpha": 0.0}, {"beta": 1.0}, {"alpha": float("nan")}, {"beta": 0.97}]
)
def test_risks_that_are_none(asked: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"alpha|beta"):
        baselines.reference_policies(ID, scenario="lot-200", **asked)


def test_what_references_are_asked_for() -> None:
    asked = {"alpha": 0.2, "beta": 0.3, "aql": 4.0, "level": "I"}
    policies = baselines.reference_policies(ID, scenario="lot-200", **asked)
    plain = baselines.reference_policies(ID, scenario="lot-200")
    for name in ("sprt", "least_asn", "single_normal", "single_exact"):
        assert (policies[name].design["alpha"], policies[name].design["beta"]) == (0.2, 0.3)
        assert (plain[name].design["alpha"], plain[name].design["beta"]) == RISKS
    assert policies["single_exact"].design["producer_risk"] <= 0.2
    assert policies["single_exact"].design["consumer_risk"] <= 0.3
    # A lot of 200 at level I: E, 13 items; AQL 4.0: E meets acceptance number 1.
    design = policies["iso2859"].design
    assert (design["letter"], design["n"], design["c"]) == ("E", 13, 1)
    with pytest.raises(TypeError, match=r"aql: .*designed for nothing"):
        baselines.reference_policies("qc_gym/KStage-v0", aql=1.0)
    with pytest.raises(TypeError, match=r"gamma: .*alpha, beta, aql, level"):
        baselines.reference_policies(ID, gamma=1.0)
    with pytest.raises(ValueError, match=r"aql = 1\.2"):
        baselines.reference_policies(ID, scenario="lot-200", aql=1.2)


@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_designs_tell_the_true_risks(observation: str) -> None:
    policies = baselines.reference_policies(ID, scenario="lot-200", observation=observation)
    for name in ("best_single", "single_exact", "iso2859"):
        design = policies[name].design
        accepted = SinglePlan(design["n"], design["c"]).acceptance_probability([0.05, 0.15], 200)
        told = (1.0 - design["producer_risk"], design["consumer_risk"])
        np.testing.assert_allclose(told, accepted, rtol=1e-12)


def test_what_a_scenario_does_not_carry_is_left_out_with_the_reason() -> None:
    endless = baselines.reference_policies(ID, scenario="aql10-rql20")
    assert "lot_size = None" in endless.left_out["iso2859"]
    short = {**SequentialSamplingScenario.presets["lot-200"], "max_samples": 40}
    found = baselines.reference_policies(ID, scenario=short)
    assert "n = 50, c = 1: 50 items; at most max_samples = 40" in found.left_out["iso2859"]
    assert {"best_single", "best_curtailed", "best_double", "best_sprt"} <= set(found)


def test_a_sharp_prior_has_tuned_plans_without_risks() -> None:
    """Its mean rates of good and bad lots are not to be told apart; plans cost money all the same."""
    fields = beta_lot(100_000.0, 100_000.0, None, max_samples=5, loss="linear")
    optimum = SamplingOptimum.of(build_model(parse(fields)))
    policies = optimum.references()
    for name in ("best_single", "best_curtailed", "best_double", "best_sprt"):
        worth = optimum.worth(policies[name].probabilities)
        assert worth.regret >= -1e-12 * optimum.stakes
