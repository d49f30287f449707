"""The days of a plant that wanders: what they show, what they cost, where the level goes."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from frequencies import assert_frequencies

import qc_gym  # noqa: F401
from qc_gym.kstage_control.scenario import KStageControlScenario

ID = "qc_gym/KStageControl-v0"
PRESETS = KStageControlScenario.presets


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("preset", PRESETS)
def test_an_episode(preset: str, observation: str) -> None:
    env = gym.make(ID, scenario=preset, observation=observation)
    scenario: Any = env.unwrapped.scenario
    levels, choices = len(scenario.levels), scenario.max_stages + 1
    shown, _ = env.reset(seed=4)
    level, before = scenario.initial_level, scenario.initial_stages
    env.action_space.seed(0)
    for day in range(scenario.days):
        state = env.unwrapped.state
        assert (state["day"], state["level"], state["stages"]) == (day, level, before)
        expected = np.zeros(1 + levels + choices)
        expected[[0, 1 + level, 1 + levels + before]] = day / scenario.days, 1.0, 1.0
        if observation == "outcome":
            expected = expected[: 1 + levels]
        np.testing.assert_array_equal(shown, expected.astype(np.float32))
        stages = int(env.action_space.sample())
        shown, reward, terminated, truncated, _ = env.step(stages)
        cost = scenario.costs(scenario.levels[level])[stages]
        changeover = scenario.changeover_cost * abs(stages - before)
        assert reward == pytest.approx(-cost - changeover, rel=1e-12)
        assert terminated == (day == scenario.days - 1)
        assert not truncated
        level, before = int(env.unwrapped.state["level"]), stages
    assert shown[0] == 1.0


@pytest.mark.parametrize("preset", PRESETS)
def test_levels_move_as_the_transition_says(preset: str) -> None:
    fields = PRESETS[preset]
    vector = gym.make_vec(ID, num_envs=400, scenario=preset, autoreset_mode="SameStep")
    vector.reset(seed=1)
    size = len(fields["levels"])
    counts = np.zeros((size, size))
    for _ in range(2 * fields["days"]):
        before = vector.states
        vector.step(np.zeros(400, np.int64))
        after = vector.states
        ended = before["day"] == fields["days"] - 1
        np.add.at(counts, (before["level"][~ended], after["level"][~ended]), 1)
        assert (after["level"][ended] == fields.get("initial_level", 0)).all()
    for row, probabilities in zip(counts, fields["transition"], strict=True):
        assert_frequencies(row, probabilities)
