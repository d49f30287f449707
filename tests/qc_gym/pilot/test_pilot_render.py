"""The picture of a pilot run: three beliefs, what follows from them, and the money."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from two_part_chain import chain_profit, costs_of

import baselines
from qc_gym.pilot.plans import Plan
from qc_gym.pilot.scenario import PilotRunScenario

ID = "qc_gym/PilotRun-v0"


def playing(mode: str, scenario: Any = "cumcm-6") -> Any:
    env = gym.make(ID, scenario=scenario, render_mode=mode)
    env.reset(seed=1)
    return env


def test_text_tells_the_run() -> None:
    env = playing("ansi")
    scenario = env.unwrapped.scenario
    names = scenario.order
    assert "part_1   0.125 ± 0.092, 0 of 0 tested defective, at most 10 tests" in env.render()
    found = 0
    for _ in range(4):
        env.step(1)
        found = int(env.unwrapped.state["d"][1])
    a, b = 1.5 + found, 10.5 + 4 - found
    text = env.render()
    assert f"part_2   {a / (a + b):.4g} ± " in text
    assert f"{found} of 4 tested defective" in text
    assert "4 tests made; the last, of part_2, was " in text
    means = (0.125, a / (a + b), 0.125)
    profits = [chain_profit(costs_of(scenario), Plan.of(plan), means) for plan in range(16)]
    best = int(np.argmax(profits))
    told = f"best at the mean rates: {Plan.of(best).words(names)}, would earn {2000 * profits[best]:,.0f}"
    assert told in text
    assert f"money −{4 * 21:.2f}" in text
    _, reward, *_ = env.step(3 + 12)
    text = env.render()
    assert f"Plan: {Plan.of(12).words(names)}" in text
    earned, money = (f"{one:,.0f}".replace("-", "−") for one in (reward, reward - 84))
    assert f"at the true rates it earns {earned}" in text
    assert f"money {money}" in text


def test_a_policy_is_shown_until_the_end() -> None:
    env = playing("ansi", "new-supplier")
    optimum = baselines.solve(env)
    env.unwrapped.show_policy(optimum.policy)
    shown, _ = env.reset(seed=0)
    terminated = False
    while not terminated:
        action, _ = optimum.policy.predict(shown)
        text = env.render()
        assert ("policy: test display" if action == 1 else "policy: commit: ") in text
        shown, _, terminated, *_ = env.step(action)
    assert "policy" not in env.render()


@pytest.mark.parametrize("scenario", PilotRunScenario.presets)
def test_pictures(scenario: str) -> None:
    env = playing("rgb_array", scenario)
    frames = [env.render()]
    for action in (1, 1, 9):
        env.step(action)
        frames.append(env.render())
    for frame in frames:
        assert frame.shape == (480, 800, 3)
        assert frame.dtype == np.uint8
    assert len({frame.tobytes() for frame in frames}) == 4


def test_pictures_of_the_vector_environment_begin_in_mid_episode() -> None:
    vector = gym.make_vec(ID, num_envs=2, render_mode="ansi", scenario="new-supplier")
    vector.reset(seed=0)
    vector.step(np.array([1, 2]))
    first, second = vector.render()
    assert "the last, of display, was" in first
    assert "money −24.00" in first
    assert "the last, of meter, was" in second
    assert "money −46.00" in second
