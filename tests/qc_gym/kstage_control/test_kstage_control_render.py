"""The picture of a run: levels and stages over the days."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import baselines
from qc_gym.kstage_control import render
from qc_gym.kstage_control.scenario import KStageControlScenario

ID = "qc_gym/KStageControl-v0"


def playing(mode: str, scenario: Any = "two-suppliers") -> Any:
    env = gym.make(ID, scenario=scenario, render_mode=mode)
    env.reset(seed=0)
    return env


def test_text_tells_the_run() -> None:
    env = playing("ansi")
    assert env.render().splitlines() == [
        "1,200 items used a day; costs 0.5 per inspection, 1.5 per rework, 0.3 per stage changed "
        "and item used",
        "Day 1 of 20: level 1, 0.2 nonconforming",
        "yesterday 1 stage      money 0.0000",
    ]
    levels, total = [1], 0.0
    for stages in (2, 0, 0):
        total += env.step(stages)[1]
        levels.append(int(env.unwrapped.state["level"]))
    lines = env.render().splitlines()
    assert lines[1:4] == [
        "days 1 to 3",
        f"level   {levels[0]} {levels[1]} {levels[2]}",
        "stages  2 0 0",
    ]
    assert lines[4].startswith(f"Day 4 of 20: level {levels[3]}, ")
    assert lines[5] == f"yesterday 0 stages      money {total:.4f}"
    for _ in range(17):
        env.step(0)
    assert "20 days are over" in env.render()


def test_a_policy_is_shown_until_the_end() -> None:
    env = playing("ansi")
    solution = baselines.solve(env)
    env.unwrapped.show_policy(solution.policy)
    shown, _ = env.reset(seed=0)
    for _ in range(20):
        action, _ = solution.policy.predict(shown)
        assert f"policy: {action} stage" in env.render()
        shown, *_ = env.step(action)
    assert "policy" not in env.render()


@pytest.mark.parametrize("scenario", KStageControlScenario.presets)
def test_pictures(scenario: str) -> None:
    env = playing("rgb_array", scenario)
    frames = [env.render()]
    for stages in (1, 0, 2):
        env.step(stages)
        frames.append(env.render())
    for frame in frames:
        assert frame.shape == (480, 800, 3)
        assert frame.dtype == np.uint8
    assert len({frame.tobytes() for frame in frames}) == 4


def test_long_runs_show_their_last_days() -> None:
    scenario = KStageControlScenario.parse(
        {**KStageControlScenario.presets["two-suppliers"], "days": 300}
    )
    assert isinstance(scenario, KStageControlScenario)
    days = np.arange(200)
    run = render.History(0, [*(days % 2).tolist(), 0], [1, *(days % 3).tolist()], -5.0)
    lines = render.describe_run(scenario, run, None).splitlines()
    assert lines[1] == "days 81 to 200"
    assert lines[2].split()[1:] == [str(day % 2) for day in range(80, 200)]
    assert lines[3].split()[1:] == [str(day % 3) for day in range(80, 200)]
    assert render.draw_run(scenario, run, None).shape == (480, 800, 3)


def test_pictures_of_the_vector_environment_begin_in_mid_episode() -> None:
    vector = gym.make_vec(ID, num_envs=2, render_mode="ansi", scenario="two-suppliers")
    vector.reset(seed=0)
    vector.step(np.array([0, 2]))
    first, second = vector.render()
    assert "Day 2 of 20" in first
    assert "yesterday 0 stages      money not known" in first
    assert "yesterday 2 stages" in second
