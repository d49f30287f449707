"""The optimal control: an independent recursion, a simulation, and the rules that it beats."""

from functools import cache
from itertools import product
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import baselines
from baselines.kstage_control import daily_costs
from qc_gym.kstage.steady_state import steady_state
from qc_gym.kstage_control.scenario import KStageControlScenario

ID = "qc_gym/KStageControl-v0"
PRESETS = KStageControlScenario.presets
MONEY = st.floats(0.0, 5.0)
ERRORS = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"false_alarm": st.floats(0.0, 0.05), "miss": st.floats(0.0, 0.4)}),
)


@st.composite
def plants(draw: st.DrawFn, most_days: int = 6) -> dict[str, Any]:
    size, most = draw(st.integers(1, 3)), draw(st.integers(0, 3))
    weights = st.lists(st.integers(0, 5), min_size=size, max_size=size).filter(any)
    rows = [draw(weights) for _ in range(size)]
    return {
        "levels": [draw(st.floats(0.001, 0.9)) for _ in range(size)],
        "transition": [[weight / sum(row) for weight in row] for row in rows],
        "rework_fraction_defective": draw(st.floats(0.01, 0.9)),
        "lot_size": 100,
        "sample_size": draw(st.integers(1, 40)),
        "daily_demand": 10.0,
        "inspection_cost": draw(MONEY),
        "rework_cost": draw(MONEY),
        "max_stages": most,
        "changeover_cost": draw(MONEY),
        "days": draw(st.integers(1, most_days)),
        "initial_level": draw(st.integers(0, size - 1)),
        "initial_stages": draw(st.integers(0, most)),
        **draw(ERRORS),
    }


def cost_of_a_day(plant: dict[str, Any], level: int, before: int, stages: int) -> float:
    steady = steady_state(
        plant["levels"][level],
        plant["rework_fraction_defective"],
        plant["lot_size"],
        plant["sample_size"],
        stages,
        false_alarm=plant.get("false_alarm", 0.0),
        miss=plant.get("miss", 0.0),
    )
    cost = steady.cost(plant["inspection_cost"], plant["rework_cost"])
    return float(cost) + plant["changeover_cost"] * abs(stages - before)


def least_cost(plant: dict[str, Any]) -> float:
    """Return the least expected cost of an episode, by recursion over the days."""
    choices, levels = range(plant["max_stages"] + 1), range(len(plant["levels"]))
    daily = {
        key: cost_of_a_day(plant, *key) for key in product(levels, choices, choices)
    }  # (level, before, stages)

    @cache
    def ahead(day: int, level: int, before: int) -> float:
        if day == plant["days"]:
            return 0.0
        chances = plant["transition"][level]
        return min(
            daily[level, before, stages]
            + sum(
                chances[after] * ahead(day + 1, after, stages) for after in levels if chances[after]
            )
            for stages in choices
        )

    return ahead(0, plant["initial_level"], plant["initial_stages"])


def completed(name: str) -> dict[str, Any]:
    return {"initial_level": 0, "initial_stages": 0, **PRESETS[name]}


@settings(max_examples=60, deadline=None)
@given(plant=plants())
def test_random_plants_by_recursion(plant: dict[str, Any]) -> None:
    solution = baselines.solve(gym.make(ID, scenario=plant, disable_env_checker=True))
    assert -solution.value == pytest.approx(least_cost(plant), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_by_recursion(name: str) -> None:
    solution = baselines.solve(gym.make(ID, scenario=name))
    assert -solution.value == pytest.approx(least_cost(completed(name)), rel=1e-10)
    assert solution.certificate.bellman_residual <= 1e-9


@pytest.mark.parametrize("name", PRESETS)
def test_the_environment_earns_the_optimum(name: str) -> None:
    certificate = baselines.certify(gym.make(ID, scenario=name), episodes=40_000, seed=5)
    assert certificate.deviation is not None
    assert abs(certificate.deviation) < 4


class Remembering:
    """A policy that is known by what it does only."""

    def __init__(self, policy: Any) -> None:
        self.predict = policy.predict


@pytest.mark.parametrize("name", PRESETS)
def test_outcomes_have_the_same_optimum_and_need_memory(name: str) -> None:
    env = gym.make(ID, scenario=name, observation="outcome")
    solution = baselines.solve(env)
    belief = baselines.solve(gym.make(ID, scenario=name))
    assert solution.value == belief.value
    assert belief.model.is_observed
    assert not solution.model.is_observed
    score = baselines.score(env, Remembering(solution.policy), episodes=500)
    assert not score.exact
    assert score.regret == 0.0


@pytest.mark.parametrize("name", PRESETS)
def test_reference_policies(name: str) -> None:
    env = gym.make(ID, scenario=name)
    plant = completed(name)
    policies = baselines.reference_policies(env)
    choices = range(plant["max_stages"] + 1)
    assert list(policies) == [
        "random", "best_constant", "myopic", "follow_level", *(f"stages_{k}" for k in choices)
    ]  # fmt: skip
    scores = {key: baselines.score(env, policy) for key, policy in policies.items()}
    assert all(score.regret >= 0.0 and score.exact for score in scores.values())
    best = max(scores[f"stages_{k}"].value for k in choices)
    assert scores["best_constant"].value == best
    # No rule of thumb is enough for any preset.
    assert min(score.regret for score in scores.values()) > 1e-3

    # A constant K, with the levels' probabilities carried forward by hand.
    chances = np.eye(len(plant["levels"]))[plant["initial_level"]]
    matrix = np.array(plant["transition"])
    cost = 1 * plant["changeover_cost"] * abs(1 - plant["initial_stages"])
    for _ in range(plant["days"]):
        cost += sum(chances[i] * cost_of_a_day(plant, i, 1, 1) for i in range(len(chances)))
        chances = chances @ matrix
    assert scores["stages_1"].value == pytest.approx(-cost, rel=1e-10)


@pytest.mark.parametrize("name", PRESETS)
def test_rules_of_thumb_minimise_what_they_say(name: str) -> None:
    env = gym.make(ID, scenario=name)
    plant = completed(name)
    choices = range(plant["max_stages"] + 1)
    policies = baselines.reference_policies(env)
    model = policies["myopic"].model
    for row in range(0, model.num_states, 7):
        state = model.states[row]
        level, before = int(state["level"]), int(state["stages"])
        costs = [cost_of_a_day(plant, level, before, k) for k in choices]
        assert policies["myopic"].actions[row] == np.argmin(costs)
        alone = [cost_of_a_day(plant, level, k, k) for k in choices]
        assert policies["follow_level"].actions[row] == np.argmin(alone)
        np.testing.assert_allclose(daily_costs(model.scenario)[level, before], costs, rtol=1e-12)


def test_free_changeover_makes_the_optimum_follow_the_level() -> None:
    env = gym.make(ID, scenario={**PRESETS["tool-wear"], "changeover_cost": 0.0})
    policies = baselines.reference_policies(env)
    assert baselines.score(env, policies["follow_level"]).regret == pytest.approx(0.0, abs=1e-9)
    assert baselines.score(env, policies["myopic"]).regret == pytest.approx(0.0, abs=1e-9)


def test_one_level_and_dear_changeover_leave_everything_as_it_is() -> None:
    fields = {
        **PRESETS["two-suppliers"], "levels": [0.1], "transition": [[1.0]], "initial_level": 0,
        "changeover_cost": 1e3, "initial_stages": 2,
    }  # fmt: skip
    solution = baselines.solve(gym.make(ID, scenario=fields))
    expected = 20 * cost_of_a_day(fields, 0, 2, 2)
    assert -solution.value == pytest.approx(expected, rel=1e-12)


def test_the_plan_is_the_policy() -> None:
    optimum = baselines.solve(ID, scenario="two-suppliers")
    assert isinstance(optimum, baselines.TabularOptimum)
    actions = optimum.policy.actions.reshape(20, 2, 3)
    visits = optimum.evaluation.occupancy.reshape(20, 2, 3)
    told = np.zeros(visits.shape, bool)
    times = 0.0
    for row in baselines.plan(ID, scenario="two-suppliers").rows:
        first, _, last = row["day"].partition(" to ")
        days = slice(int(first) - 1, int(last or first))
        level, yesterday = row["level"], row["yesterday"]
        come = visits[days, level, yesterday] > 0.0
        assert (actions[days, level, yesterday][come] == row["run"]).all()
        assert not told[days, level, yesterday].any()
        told[days, level, yesterday] = True
        times += row["times"]
    assert (told | (visits == 0.0)).all()
    assert times == pytest.approx(20.0)


def test_figure_has_a_map_for_each_policy_and_level() -> None:
    env = gym.make(ID, scenario="tool-wear")
    policies = {"myopic": baselines.reference_policies(env)["myopic"]}
    figure = baselines.figures(env, policies)["decision_maps"]
    maps = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    assert len(maps) == 2 * 4
    plans = baselines.solve(env).policy.actions.reshape(90, 4, 5)
    for level in range(4):
        np.testing.assert_array_equal(maps[level], plans[:, level].T)
