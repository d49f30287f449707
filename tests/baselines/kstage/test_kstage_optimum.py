"""The best number of stages: the paper's case, an independent enumeration, and what is said of it."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

import baselines
from baselines.kstage import steady_states
from baselines.kstage.aoq_conjecture import search
from qc_gym.kstage.scenario import KStageScenario

ID = "qc_gym/KStage-v0"
PRESETS = KStageScenario.presets
RATE = st.floats(0.001, 0.95)
MONEY = st.floats(0.0, 10.0)
ERRORS = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"false_alarm": st.floats(0.0, 0.1), "miss": st.floats(0.0, 0.4)}),
)
RANGE = {
    **PRESETS["blu-2010"],
    "fraction_defective": {"low": 0.001, "high": 0.4},
    "sample_size": {"low": 1, "high": 60},
    "rework_cost": {"choices": [0.0, 2.0]},
}


def cost_per_item(plant: dict[str, Any], stages: int) -> float:
    """Return the cost of an item used, from the formulas of docs/theory and a root finder."""
    p0, pr = plant["fraction_defective"], plant["rework_fraction_defective"]
    n, share = plant["sample_size"], plant["sample_size"] / plant["lot_size"]
    false_alarm, miss = plant.get("false_alarm", 0.0), plant.get("miss", 0.0)
    entering, fraction, p, within, reworked = 1.0, p0, 0.0, 0.0, 0.0
    for _ in range(stages):
        within += entering
        p += entering * fraction * miss
        entering *= fraction * (1 - miss) + (1 - fraction) * false_alarm
        reworked += entering
        fraction = pr
    p += entering * fraction

    def pool(x: float) -> tuple[float, float, float]:
        """Return what is accepted and used, reworked, and what enters nonconforming minus x."""
        passed = x * miss + (1 - x) * (1 - false_alarm)
        good = passed**n * (1 - x) * (1 - share + share * (1 - false_alarm) / passed)
        bad = passed**n * x * (1 - share + share * miss / passed)
        again = (1 - miss) * (x - bad) + false_alarm * (1 - x - good) + bad
        return good, again, p * good + miss * (x - bad) + pr * again - x

    # The root is at most this, and without false alarms of its order of magnitude.
    most = max(p, pr * false_alarm) / ((1 - pr) * (1 - miss))
    most = most / (1 + most) * (1 + 1e-9)
    x = most * brentq(lambda part: pool(most * part)[2], 0.0, 1.0, xtol=1e-16, rtol=1e-15)
    good, again, _ = pool(x)
    passed = x * miss + (1 - x) * (1 - false_alarm)
    inspected = within + (share + 1 - passed**n) / good
    return plant["inspection_cost"] * inspected + plant["rework_cost"] * (reworked + again / good)


@st.composite
def plants(draw: st.DrawFn) -> dict[str, Any]:
    lot_size = draw(st.integers(1, 500))
    return {
        "fraction_defective": draw(RATE),
        "rework_fraction_defective": draw(RATE),
        "lot_size": lot_size,
        "sample_size": draw(st.integers(1, min(lot_size, 60))),
        "daily_demand": draw(st.floats(1.0, 1e5)),
        "inspection_cost": draw(MONEY),
        "rework_cost": draw(MONEY),
        "max_stages": draw(st.integers(0, 6)),
        **draw(ERRORS),
    }


def test_the_papers_optimum() -> None:
    # K* = 1 and TC(K*) = 5778.9 (Yang 2010, section 4).
    solution = baselines.solve(gym.make(ID, scenario="blu-2010"))
    assert solution.policy.actions.tolist() == [1]
    assert f"{-solution.value * 4800:.1f}" == "5778.9"
    assert solution.certificate.bellman_residual == 0.0


@settings(max_examples=60, deadline=None)
@given(plant=plants())
def test_enumeration_by_a_root_finder(plant: dict[str, Any]) -> None:
    costs = [cost_per_item(plant, stages) for stages in range(plant["max_stages"] + 1)]
    solution = baselines.solve(gym.make(ID, scenario=plant, disable_env_checker=True))
    assert -solution.value == pytest.approx(min(costs), rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(-solution.model.rewards[0], costs, rtol=1e-9, atol=1e-12)
    table = steady_states(solution.model.scenario)
    np.testing.assert_allclose(
        table.cost(plant["inspection_cost"], plant["rework_cost"]),
        plant["daily_demand"] * np.array(costs),
        rtol=1e-9,
        atol=1e-12,
    )


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("preset", PRESETS)
def test_reference_policies(preset: str, observation: str) -> None:
    env = gym.make(ID, scenario=preset, observation=observation)
    plant = PRESETS[preset]
    costs = np.array([cost_per_item(plant, k) for k in range(plant["max_stages"] + 1)])
    policies = baselines.reference_policies(env)
    assert list(policies) == [
        "random", "best_constant", *(f"stages_{k}" for k in range(len(costs)))
    ]  # fmt: skip
    scores = {name: baselines.score(env, policy) for name, policy in policies.items()}
    assert all(score.exact and score.stderr == 0.0 for score in scores.values())
    assert scores["random"].value == pytest.approx(-costs.mean(), rel=1e-9)
    assert scores["best_constant"].regret == 0.0
    assert scores["best_constant"].normalised == 1.0
    for k, cost in enumerate(costs):
        assert scores[f"stages_{k}"].regret == pytest.approx(cost - costs.min(), abs=1e-9)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_environment_pays_the_optimum(preset: str) -> None:
    certificate = baselines.certify(gym.make(ID, scenario=preset), episodes=1000)
    assert certificate.simulation is not None
    # Nothing is random: not even rounding tells the returns apart.
    assert certificate.simulation.mean == certificate.value
    assert certificate.simulation.stderr == 0.0
    assert certificate.deviation == 0.0


def test_every_drawn_plant_is_solved() -> None:
    env = gym.make(ID, scenario=RANGE)
    best = set()
    for seed in range(30):
        env.reset(seed=seed)
        plant = env.unwrapped.scenario.model_dump()
        costs = [cost_per_item(plant, k) for k in range(plant["max_stages"] + 1)]
        solution = baselines.solve(env)
        assert -solution.value == pytest.approx(min(costs), rel=1e-9)
        assert baselines.score(env, solution.policy).regret == 0.0
        best.add(int(solution.policy.actions[0]))
    assert len(best) > 1


def test_the_plan_is_the_papers_table() -> None:
    plan = baselines.plan(ID, scenario="blu-2010")
    facts = {fact.name: fact.value for fact in plan.facts}
    assert facts["stages to run"] == 1
    assert facts["cost a day"] == pytest.approx(5778.87, abs=5e-3)
    assert facts["less than the next best"] == pytest.approx(148.65, abs=5e-3)
    assert [row["K"] for row in plan.rows] == list(range(7))
    assert [row["do"] for row in plan.rows] == [None, "run", None, None, None, None, None]
    row = plan.rows[1]
    printed = {"p_K": 0.80500, "p_E": 0.7464, "AOQ": 0.6966}  # percent
    for name, value in printed.items():
        assert 100 * row[name] == pytest.approx(value, abs=5e-5)
    printed = {"N_E": 5449.3, "NIN1": 4800.0, "NIN2": 363.3, "NIN3": 615.6, "NRW": 813.5}
    for name, value in printed.items():
        assert row[name] == pytest.approx(value, abs=0.05)


def test_one_choice_has_no_next_best() -> None:
    plan = baselines.plan(ID, scenario={**PRESETS["blu-2010"], "max_stages": 0})
    assert [fact.name for fact in plan.facts][-1] == "cost a day"
    assert plan.facts[-1].value == pytest.approx(9443.10, abs=5e-3)


def test_figure_shows_each_policy_above_its_choice() -> None:
    env = gym.make(ID, scenario="stubborn-defects")
    policies = baselines.reference_policies(env)
    shown = {"two": policies["stages_2"], "random": policies["random"]}
    figure = baselines.figures(env, shown)["costs"]
    (ax,) = figure.axes
    assert [(text.get_position()[0], text.get_text()) for text in ax.texts if text.get_text()] == [
        (2, "two"), (5, "optimum")
    ]  # fmt: skip
    tops = [max(bar.get_y() + bar.get_height() for bar in bars) for bars in zip(*ax.containers)]  # noqa: B905
    plant = PRESETS["stubborn-defects"]
    costs = [plant["daily_demand"] * cost_per_item(plant, k) for k in range(6)]
    np.testing.assert_allclose(tops, costs, rtol=1e-9)


def test_the_earlier_models_outgoing_quality_is_too_high() -> None:
    found = search(20_000, seed=3)
    assert found.plants == 20_000
    assert found.counterexamples == 0
    # Proved in the module: the factor is between 1 and 1 / (1 − λ).
    assert 0.0 < found.lowest < found.highest <= 1.0 + 1e-6
    with pytest.raises(ValueError, match="count = 0: at least 1"):
        search(0, seed=0)


@pytest.mark.parametrize("env_id", [ID, "qc_gym/KStageControl-v0"])
def test_a_plan_tells_how_inspectors_err(env_id: str) -> None:
    preset = "tired-eyes" if env_id == ID else "tired-shifts"
    errors = {"conforming items judged nonconforming", "nonconforming items judged conforming"}
    for name, expected in ((preset, errors), (None, set())):
        plan = baselines.plan(gym.make(env_id, scenario=name))
        assert {fact.name for fact in plan.facts} & errors == expected
