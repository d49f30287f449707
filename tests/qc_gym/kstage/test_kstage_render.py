"""The picture of a plant: its network with the flows of Yang (2010)."""

import gymnasium as gym
import numpy as np
import pytest

import baselines
from qc_gym.kstage import render
from qc_gym.kstage.scenario import KStageScenario

ID = "qc_gym/KStage-v0"


def plant(name: str = "blu-2010") -> KStageScenario:
    scenario = KStageScenario.parse(name)
    assert isinstance(scenario, KStageScenario)
    return scenario


@pytest.mark.parametrize("stages", [0, 1, 5])
@pytest.mark.parametrize("name", ["blu-2010", "stubborn-defects", "tired-eyes"])
def test_what_flows_into_a_shop_flows_out_of_it(name: str, stages: int) -> None:
    scenario = plant(name)
    into = dict.fromkeys(render.SHOPS, 0.0)
    out = dict.fromkeys(render.SHOPS, 0.0)
    for flow in render.flows(scenario, stages):
        assert flow.items >= 0.0
        into[flow.target] += flow.items
        out[flow.source] += flow.items
    demand = scenario.daily_demand
    assert out.pop("production") == demand
    assert into.pop("production") == 0.0
    # The customer keeps what conforms.
    assert into.pop("customer") - out.pop("customer") == pytest.approx(demand, rel=1e-9)
    for shop, items in into.items():
        assert out[shop] == pytest.approx(items, rel=1e-9), shop


def test_pictures() -> None:
    env = gym.make(ID, render_mode="rgb_array")
    env.reset(seed=0)
    undecided = env.render()
    assert undecided.shape == (480, 800, 3)
    assert undecided.dtype == np.uint8
    env.step(0)
    none = env.render()
    env.reset()
    env.step(1)
    one = env.render()
    assert not np.array_equal(undecided, none)
    blue = (np.abs(none.astype(int) - (0, 114, 178)).sum(axis=2) < 30).sum()
    fewer = (np.abs(one.astype(int) - (0, 114, 178)).sum(axis=2) < 30).sum()
    assert blue > fewer > 0  # without stages more flows back


def test_text_has_the_papers_numbers() -> None:
    env = gym.make(ID, render_mode="ansi")
    env.reset(seed=0)
    assert env.render().splitlines()[1:] == ["How many stages of inspection and rework?"]
    env.step(1)
    text = env.render()
    # Table 1, K = 1.
    for words in (
        "pool → source inspection: 5,449.3 items a day",
        "production → stages: 4,800.0 items a day",
        "source inspection: inspect 363",
        "re-inspection: inspect 616",
        "5,778.9 items inspected a day",
    ):
        assert words in text


def test_where_errors_flow() -> None:
    scenario = plant("tired-eyes")
    flows = {(one.source, one.target, one.what): one for one in render.flows(scenario, 1)}
    false_alarm, miss = 0.02, 0.15
    found = flows["re-inspection", "rework", ""]
    missed = flows["re-inspection", "pool", "missed"]
    alarms = flows["re-inspection", "rework", "false alarms"]
    kept = flows["re-inspection", "pool", ""]
    assert missed.items / found.items == pytest.approx(miss / (1 - miss), rel=1e-9)
    assert alarms.items / kept.items == pytest.approx(false_alarm / (1 - false_alarm), rel=1e-9)
    assert (found.bad, missed.bad, alarms.bad, kept.bad) == (True, True, False, False)
    # The same items as the steady state counts, wherever they are reworked.
    steady = render.plant_state(scenario, 1)
    stages = scenario.daily_demand * (0.25 * (1 - miss) + 0.75 * false_alarm)
    assert flows["rework", "pool", ""].items + stages == pytest.approx(float(steady.reworks))
    assert "false alarms 0.02, misses 0.15" in render.describe_plant(scenario, 1, None)
    assert not any(one.what for one in render.flows(plant("blu-2010"), 1))


def test_a_policy_is_shown_until_the_decision() -> None:
    env = gym.make(ID, render_mode="ansi")
    env.unwrapped.show_policy(baselines.solve(env).policy)
    env.reset(seed=0)
    assert env.render().splitlines()[-1] == "policy: 1 stage"
    env.step(0)
    assert "policy" not in env.render()


def test_pictures_of_the_vector_environment() -> None:
    vector = gym.make_vec(ID, num_envs=2, render_mode="ansi", scenario="clean-process")
    vector.reset(seed=0)
    vector.step(np.array([0, 3]))
    first, second = vector.render()
    assert "\n0 stages\n" in first
    assert "\n3 stages\n" in second
