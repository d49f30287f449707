"""Inspect-or-stop at its boundaries: yields and beliefs of 0 and 1, no money, no lot, one unit."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lots import boundary_lots, exact_cost, parse, small_lot

import baselines
from baselines.core.certificate import Certificate, OracleError, Simulation, rounding
from baselines.lot import LotOptimum, find_bracket, lot_of, solve
from qc_gym.lot.scenario import InspectOrStopScenario

ID = "qc_gym/InspectOrStop-v0"
pytestmark = pytest.mark.filterwarnings("ignore::qc_gym.lot.scenario.InspectionNeverPays")

WRONG_ONCE: dict[str, tuple[dict[str, Any], float | None]] = {
    "survival reaches 0": (
        {
            "demand": 3,
            "lot_size": 3,
            "yield_in": 0.95,
            "yield_out": 0.2,
            "shift": {"kind": "table", "survival": [0.9, 0.5, 0.0]},
            "inspection_cost": 0.1,
            "shortage_cost": 4.0,
        },
        None,
    ),
    "a nonconforming unit tells all": (
        {
            "demand": 1,
            "max_lot_size": 8,
            "yield_in": 1.0,
            "yield_out": 0.153,
            "shift": {"kind": "discrete_weibull", "q": 0.614, "beta": 1.831},
            "inspection_cost": 0.0,
            "shortage_cost": 8.799,
            "unit_cost": 0.0,
            "setup_cost": 4.995,
        },
        None,
    ),
    "nothing is produced": (
        {
            "demand": 5,
            "max_lot_size": 8,
            "yield_in": 0.95,
            "yield_out": 0.2,
            "shift": {"kind": "geometric", "hazard": 0.05},
            "inspection_cost": 1.0,
            "shortage_cost": 4.0,
            "unit_cost": 10.0,
            "setup_cost": 3.0,
        },
        -20.0,  # the shortage alone: nothing is set up
    ),
    "results that tell all but a billionth": (  # no bracket was narrow enough
        {
            "demand": 5,
            "max_lot_size": 8,
            "yield_in": 1.0 - 1e-9,
            "yield_out": 1e-9,
            "shift": {"kind": "geometric", "hazard": 0.029123542951729253},
            "inspection_cost": 1e-6,
            "shortage_cost": 9.786607720980937,
            "unit_cost": 1.4310266885051888e-07,
            "setup_cost": 3.322575244536814,
        },
        None,
    ),
    "money of one smallest float": (
        {
            "demand": 3,
            "lot_size": 8,
            "yield_in": 0.68,
            "yield_out": 1e-9,
            "shift": {"kind": "geometric", "hazard": 0.8},
            "inspection_cost": 0.0,
            "shortage_cost": 5e-324,
        },
        None,
    ),
    "far from its simulation": (
        {
            "demand": 8,
            "lot_size": 12,
            "yield_in": 1.0,
            "yield_out": 0.6,
            "shift": {"kind": "geometric", "hazard": 0.2},
            "inspection_cost": 0.5,
            "shortage_cost": 4.0,
        },
        None,
    ),
    # No result tells anything: its judged yields are the same number.
    "judged alike, worth inspecting": (
        small_lot(yield_in=0.5, yield_out=0.4, false_alarm=0.5, miss=0.5 - 2**-53),
        # Until five of eight pass, 7.6328125 units on average, each for 1 with half a chance of 3.
        -15.0 + 7.6328125 * (0.5 * 3.0 - 1.0),
    ),
    "judged alike, at the last digit": (
        small_lot(yield_in=1.0, yield_out=1.0 - 2**-53, false_alarm=0.5, miss=0.3),
        None,
    ),
    "judged alike, a warranty": (
        small_lot(yield_in=1e-300, yield_out=0.0, false_alarm=0.5, miss=0.3, warranty_cost=1.0),
        -15.0,  # each unit costs 1.3 and gives 0.9: nothing is inspected
    ),
    "a warranty for money of one smallest float": (
        small_lot(shortage_cost=5e-324, inspection_cost=0.0, miss=0.3, warranty_cost=1.0),
        None,
    ),
    "a warranty dear beyond measure": (
        small_lot(
            shift={"kind": "geometric", "hazard": 1e-13},
            false_alarm=0.1,
            miss=0.2,
            warranty_cost=1e6,
        ),
        None,
    ),
}


def check(fields: dict[str, Any]) -> LotOptimum:
    """Solve, and hold the optimum to itself and to every reference."""
    env = gym.make(ID, scenario=fields, disable_env_checker=True)
    optimum = baselines.solve(env)
    assert isinstance(optimum, LotOptimum)
    assert optimum.lower <= optimum.value <= optimum.upper
    assert math.copysign(1.0, optimum.value) < 0.0 or optimum.value == 0.0
    slack = rounding(optimum.stakes)
    own = baselines.score(env, optimum.policy)
    assert abs(own.regret) <= own.tolerance + optimum.certificate.width + slack
    for name, policy in baselines.reference_policies(env).items():
        score = baselines.score(env, policy)
        assert score.regret >= -score.tolerance - slack, name
    assert not baselines.reference_policies(env).left_out
    assert baselines.plan(env).text()
    return optimum


@pytest.mark.parametrize("name", WRONG_ONCE)
def test_what_was_wrong_once(name: str) -> None:
    fields, value = WRONG_ONCE[name]
    optimum = check(fields)
    if value is not None:
        assert optimum.value == pytest.approx(value, rel=1e-12)
    certificate = baselines.certify(ID, scenario=fields, episodes=20_000, seed=1)
    assert certificate.passed
    assert "agrees" in certificate.verdict


def test_a_survival_that_reaches_0_by_hand() -> None:
    """The three units, inspected whatever comes: each conforms with .2 + .75 F(j)."""
    fields, _ = WRONG_ONCE["survival reaches 0"]
    found = sum(0.2 + 0.75 * survival for survival in (0.9, 0.5, 0.0))
    expected = -(3 * 0.1 + 4.0 * (3 - found))
    assert baselines.solve(ID, scenario=fields).value == pytest.approx(expected, rel=1e-8)


@given(fields=boundary_lots())
@settings(max_examples=150, deadline=None)
def test_every_boundary(fields: dict[str, Any]) -> None:
    check(fields)


@given(fields=boundary_lots())
@settings(max_examples=150, deadline=None)
def test_the_bounds_hold_in_exact_arithmetic(fields: dict[str, Any]) -> None:
    scenario = parse(fields)
    optimum = solve(scenario)
    sizes = [scenario.lot_size] if scenario.lot_size else range(scenario.longest_lot + 1)
    costs = {size: exact_cost(scenario, size) for size in sizes}
    for size, cost in costs.items():
        lower, upper = optimum.sizes.bounds(size)
        assert lower <= cost <= upper  # Python compares floats and fractions exactly
    least = min(costs.values())
    assert -optimum.upper <= least <= -optimum.lower
    assert costs[optimum.best_size] - least <= optimum.upper - optimum.lower


@given(fields=boundary_lots(), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_the_hidden_truth_agrees(fields: dict[str, Any], seed: int) -> None:
    certificate = baselines.certify(ID, scenario=fields, episodes=2000, seed=seed)
    assert certificate.passed, certificate.verdict


@pytest.mark.parametrize("shortage", [4.0, 4e3, 4e-6, 4e9])
@pytest.mark.parametrize("inspection", [1.0, 1e-6, 1e6])
def test_bounds_hold_and_do_not_cross_at_mixed_scales(shortage: float, inspection: float) -> None:
    """Against the recursion over results, by the exact belief of each: 2^n of them."""
    scenario = InspectOrStopScenario(
        demand=4,
        lot_size=9,
        yield_in=0.95,
        yield_out=0.2,
        shift={"kind": "discrete_weibull", "q": 0.9, "beta": 1.2},
        inspection_cost=inspection,
        shortage_cost=shortage,
    )
    lot = lot_of(scenario, 9)

    def least(n: int, d: int, belief: float) -> float:
        if d == 0:
            return 0.0
        if n == lot.size:
            return shortage * d
        cost = inspection
        for conforming in (0, 1):
            chance_in = lot.yield_in if conforming else 1 - lot.yield_in
            chance_out = lot.yield_out if conforming else 1 - lot.yield_out
            chance = belief * chance_in + (1 - belief) * chance_out
            follows = lot.stay[n + 1] if n + 1 < lot.size else 0.0
            cost += chance * least(n + 1, d - conforming, belief * chance_in / chance * follows)
        return min(shortage * d, cost)

    expected = least(0, 4, float(lot.stay[0]))
    lower, upper = find_bracket(lot).bounds
    assert lower <= expected * (1 + 1e-14)
    assert upper >= expected * (1 - 1e-14)
    assert 0.0 <= upper - lower <= 1e-7 * shortage * 4


def test_nothing_varies_and_nothing_deviates() -> None:
    fields = {**WRONG_ONCE["nothing is produced"][0], "max_lot_size": 1}
    certificate = baselines.certify(ID, scenario=fields, episodes=500)
    assert certificate.simulation is not None
    assert certificate.simulation.stderr == 0.0
    assert certificate.deviation == 0.0
    assert certificate.verdict == "agrees with the simulation, in which no two episodes differed"


def test_a_certificate_that_fails_says_so() -> None:
    simulation = Simulation(mean=-9.0, stderr=0.1, mean_length=3.0, episodes=100)
    far = Certificate(0.0, -10.0, 20.0, simulation)
    assert far.deviation == pytest.approx(10.0)
    assert far.passed is False
    assert far.verdict == "FAILS: the simulation is +10.0 standard errors away"
    missed = Certificate(1.0, -10.0, 20.0)
    assert missed.passed is False
    assert "optimality equation" in missed.verdict
    exact = Certificate(0.0, -9.0, 20.0, Simulation(-9.5, 0.0, 1.0, 10))
    assert exact.deviation == -np.inf
    assert exact.passed is False
    assert "away, and no two episodes differed" in exact.verdict
    assert Certificate(0.0, -9.0, 20.0).passed is None


def test_what_is_too_rare_to_be_seen_is_no_failure() -> None:
    """One episode in 10 million wins a unit: a million that do not are no evidence against it."""
    fields = {
        "demand": 1,
        "lot_size": 6,
        "yield_in": 0.1,
        "yield_out": 0.0,
        "shift": {"kind": "geometric", "hazard": 0.999999},
        "inspection_cost": 0.0,
        "shortage_cost": 1.0,
    }
    optimum = baselines.solve(ID, scenario=fields)
    assert optimum.value == pytest.approx(-1.0 + 1e-7, rel=1e-12)
    certificate = baselines.certify(ID, scenario=fields, episodes=2000, seed=3)
    assert certificate.simulation is not None
    assert certificate.simulation.stderr == 0.0
    assert certificate.passed
    assert certificate.verdict == (
        "agrees with the simulation, but for what is too rare to be seen in it"
    )


def test_a_rare_and_costly_return_of_an_assembly_is_no_failure() -> None:
    part = {"defect_rate": 1e-6, "purchase_cost": 1.0, "inspection_cost": 1e6}
    costs = {"assembly_cost": 1.0, "inspection_cost": 10.0, "dismantle_cost": 1.0}
    product = {"children": ["a", "b"], "defect_rate": 1e-7, **costs}
    scenario = {
        "price": 10.0,
        "return_loss": 1e6,
        "nodes": {"a": part, "b": part, "product": product},
    }
    for seed in range(5):
        certificate = baselines.certify("qc_gym/Assembly-v0", scenario=scenario, seed=seed)
        assert certificate.passed, certificate.verdict


def test_chance_is_the_bound_of_maurer_and_pontil() -> None:
    """Six and a half standard errors, and 50 spans in as many episodes."""
    simulation = Simulation(mean=-9.0, stderr=0.1, mean_length=3.0, episodes=100_001)
    certificate = Certificate(0.0, -9.5, 20.0, simulation, span=200.0)
    logarithm = 21.41641  # of 2e9
    expected = 0.1 * math.sqrt(2 * logarithm) + 7 * 200.0 * logarithm / (3 * 100_000)
    assert certificate.chance == pytest.approx(expected, rel=1e-6)
    assert certificate.passed
    assert Certificate(0.0, -9.8, 20.0, simulation, span=200.0).passed is False


@pytest.mark.parametrize("name", ["survival reaches 0", "far from its simulation"])
def test_a_policy_that_is_not_optimal_fails_the_check(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds = LotOptimum.thresholds

    def stop_where_always_inspecting(self: LotOptimum, size: int) -> Any:
        found = thresholds(self, size)
        return np.where(found == 0.0, np.inf, found)

    scenario = parse(WRONG_ONCE[name][0])
    solve(scenario).check()
    monkeypatch.setattr(LotOptimum, "thresholds", stop_where_always_inspecting)
    with pytest.raises(OracleError, match="the optimal policy earns"):
        solve(scenario).check()
