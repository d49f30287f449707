"""Inspect or stop where inspectors err: what is delivered may come back, unseen by who inspects."""

import gymnasium as gym
import numpy as np
import pytest
from lots import ID, brute_force, exact_cost, parse, small_lot

import baselines
from baselines.lot import LotOptimum, lemma_1
from qc_gym.core.errors import ScenarioError
from qc_gym.lot.dynamics import CONFORMING

ERRORS = {"false_alarm": 0.1, "miss": 0.2, "warranty_cost": 2.5}


@pytest.mark.parametrize("size", [1, 4, 8])
def test_the_optimum_is_that_of_all_histories(size: int) -> None:
    scenario = parse(small_lot(lot_size=size, **ERRORS))
    optimum = baselines.solve(ID, scenario=scenario)
    assert -optimum.value == pytest.approx(brute_force(scenario, size), rel=1e-7)
    assert -optimum.upper <= float(exact_cost(scenario, size)) <= -optimum.lower


def test_the_best_lot_is_that_of_all_sizes() -> None:
    fields = small_lot(unit_cost=0.3, setup_cost=1.0, max_lot_size=9, shortage_cost=6.0, **ERRORS)
    del fields["lot_size"]
    scenario = parse(fields)
    optimum = baselines.solve(ID, scenario=scenario)
    costs = [float(exact_cost(scenario, size)) for size in range(10)]
    assert -optimum.value == pytest.approx(min(costs), rel=1e-7)
    assert isinstance(optimum, LotOptimum)
    assert optimum.best_size == int(np.argmin(costs))


def test_the_hidden_truth_earns_what_the_optimum_says() -> None:
    certificate = baselines.certify(ID, scenario="weibull-30-errors", episodes=200_000, seed=4)
    assert certificate.deviation is not None
    assert abs(certificate.deviation) < 4


def test_judgements_and_returns_are_those_of_the_true_units() -> None:
    """All units in control: how often one is judged conforming, and how often that costs a return."""
    fields = small_lot(
        demand=1000,
        lot_size=1,
        yield_in=0.7,
        inspection_cost=1.0,
        shortage_cost=0.0,
        shift={"kind": "table", "survival": [1.0]},
        false_alarm=0.25,
        miss=0.4,
        warranty_cost=100.0,
    )
    with pytest.warns(UserWarning, match="inspecting never pays"):
        env = gym.make_vec(
            ID, num_envs=200_000, scenario=fields, observation="outcome", autoreset_mode="Disabled"
        )
    env.reset(seed=2)
    rewards = env.step(np.ones(200_000, np.int64))[1]
    conforming = env.states["last_result"] == CONFORMING  # type: ignore[attr-defined]
    returned = rewards < -50.0
    for found, wanted in (
        (conforming.mean(), 0.7 * 0.75 + 0.3 * 0.4),
        (returned.mean(), 0.3 * 0.4),
    ):
        assert abs(found - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 200_000)
    assert not returned[~conforming].any()
    assert set(np.unique(rewards)) == {-101.0, -1.0}


def test_an_inspection_that_tells_nothing_is_not_paid_for() -> None:
    """As miss → 1 − false_alarm each unit is judged conforming with the same chance, good or bad."""
    for alarm in (0.0, 0.3):
        nothing = {"false_alarm": alarm, "miss": 1.0 - alarm - 1e-9}
        # What is judged conforming is delivered all the same: too dear, if it costs more than it saves.
        scenario = small_lot(inspection_cost=3.1 * (1.0 - alarm), **nothing)
        with pytest.warns(UserWarning, match="inspecting never pays"):
            optimum = baselines.solve(ID, scenario=scenario)
        assert optimum.value == pytest.approx(-3.0 * 5)
        assert np.isinf(optimum.thresholds(8)).all()  # type: ignore[attr-defined]


def test_one_more_inspection_pays_by_itself_from_lemma_1_on() -> None:
    scenario = parse(small_lot(lot_size=1, demand=1, **ERRORS))
    threshold = lemma_1(scenario)
    assert 0.0 < threshold < 1.0
    for belief, inspects in ((threshold - 1e-6, False), (threshold + 1e-6, True)):
        shift = {"kind": "table", "survival": [belief]}
        one = parse(small_lot(lot_size=1, demand=1, shift=shift, **ERRORS))
        assert (brute_force(one, 1) < 3.0 - 1e-12) == inspects


def test_returns_alone_change_what_is_worth_inspecting() -> None:
    values = [
        baselines.solve(ID, scenario=small_lot(**{**ERRORS, "warranty_cost": cost})).value
        for cost in (0.0, 1.0, 5.0, 1e9)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[1] > values[2]
    assert values[3] == pytest.approx(-3.0 * 5)


def test_pictures_do_not_show_what_comes_back() -> None:
    fields = small_lot(yield_in=0.2, yield_out=0.1, miss=0.7, warranty_cost=1000.0)
    env = gym.make(ID, scenario=fields, render_mode="ansi")
    env.reset(seed=1)
    total = sum(float(env.step(1)[1]) for _ in range(3))
    assert total < -900.0
    assert "money -3.00" in str(env.render())
    assert "miss 0.7, warranty 1000" in str(env.render())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"false_alarm": 0.5, "miss": 0.5}, "their sum must be less than 1"),
        ({"miss": 1.0}, "miss = 1"),
        ({"false_alarm": -0.1}, "false_alarm = -0.1"),
        ({"warranty_cost": -1.0}, "warranty_cost = -1"),
    ],
)
def test_what_is_no_inspector(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse(small_lot(**fields))
