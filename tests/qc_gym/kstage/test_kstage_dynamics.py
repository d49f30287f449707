"""One decision: what it shows, pays and ends."""

import gymnasium as gym
import numpy as np
import pytest

import qc_gym  # noqa: F401
from qc_gym.kstage.dynamics import UNDECIDED
from qc_gym.kstage.scenario import KStageScenario
from qc_gym.kstage.steady_state import steady_state

ID = "qc_gym/KStage-v0"


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("preset", KStageScenario.presets)
def test_the_reward_is_the_cost_of_an_item_used(preset: str, observation: str) -> None:
    env = gym.make(ID, scenario=preset, observation=observation)
    plant = KStageScenario.presets[preset]
    for stages in range(plant["max_stages"] + 1):
        shown, info = env.reset(seed=stages)
        assert shown.tolist() == [1.0]
        assert env.unwrapped.state["stages"] == UNDECIDED
        assert info["action_mask"].tolist() == [1] * (plant["max_stages"] + 1)
        shown, reward, terminated, truncated, _ = env.step(stages)
        steady = steady_state(
            plant["fraction_defective"],
            plant["rework_fraction_defective"],
            plant["lot_size"],
            plant["sample_size"],
            stages,
            plant["daily_demand"],
            false_alarm=plant.get("false_alarm", 0.0),
            miss=plant.get("miss", 0.0),
        )
        cost = steady.cost(plant["inspection_cost"], plant["rework_cost"])
        assert reward == pytest.approx(-float(cost) / plant["daily_demand"], rel=1e-12)
        assert terminated
        assert not truncated
        assert shown.tolist() == [0.0]
        assert env.unwrapped.state["stages"] == stages


def test_a_range_shows_its_numbers_after_the_observation() -> None:
    fields = {**KStageScenario.presets["blu-2010"], "rework_cost": {"low": 1.0, "high": 3.0}}
    env = gym.make(ID, scenario=fields)
    shown, info = env.reset(seed=3)
    assert shown.shape == (2,)
    assert shown[0] == 1.0
    assert shown[1] == np.float32((info["scenario"].rework_cost - 1.0) / 2.0)
