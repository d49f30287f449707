"""Throwing away recovered items untested: what it costs, and what stays known of the others."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import SyncVectorEnv

from qc_gym.assembly.dynamics import DISCARD, DISMANTLE, INSPECT, USE
from qc_gym.assembly.env import AssemblyEnv
from qc_gym.assembly.scenario import AssemblyScenario

ID = "qc_gym/Assembly-v0"
PRESET = "cumcm-5-discard"
SHIP = USE
RATES, OWN = (0.1, 0.2), 0.1


def play(env: AssemblyEnv, *answers: tuple[int, bool]) -> list[float]:
    """Give answers about items that are bad, or good; return the rewards."""
    rewards = []
    for action, is_bad in answers:
        state = env._states[0]
        state["is_bad"][state["asked"]] = is_bad
        rewards.append(float(env.step(action)[1]))
    return rewards


def failed_twice_and_discarded() -> AssemblyEnv:
    """Return an episode in which two builds failed, and between them part 1 was thrown away."""
    env = AssemblyEnv(PRESET)
    env.reset(seed=0)
    build = (USE, False), (USE, True), (SHIP, True), (DISMANTLE, True)
    play(env, *build, (DISCARD, False), *build)
    return env


def chances(env: AssemblyEnv) -> list[float]:
    """Return P(bad) of each part as the observation has it."""
    observations, _, _ = env.kernel.describe(env._record, env._states, "belief")
    return [float(observations[0, 5 * i + 3]) for i in range(2)]


def joint_after_two_failures() -> np.ndarray:
    """Return P(part 1 bad, part 2 bad) by Bayes' rule over both parts 1, the old and the new one."""
    (a, b), joint = RATES, np.zeros((2, 2))
    for old in (0, 1):
        for new in (0, 1):
            for other in (0, 1):
                chance = np.prod(
                    [r if bad else 1 - r for r, bad in ((a, old), (a, new), (b, other))]
                )
                chance *= 1.0 if old or other else OWN
                chance *= 1.0 if new or other else OWN
                joint[new, other] += chance
    return joint / joint.sum()


def test_the_belief_after_a_discard_is_bayes() -> None:
    env, joint = failed_twice_and_discarded(), joint_after_two_failures()
    assert chances(env) == pytest.approx([joint[1].sum(), joint[:, 1].sum()], rel=1e-6)
    # Part 1 found good: of the two failures only the new part's is left to part 2 alone.
    play(env, (INSPECT, False))
    assert chances(env)[1] == pytest.approx(joint[0, 1] / joint[0].sum(), rel=1e-6)


def test_a_new_part_found_bad_explains_its_own_failure_only() -> None:
    env, joint = failed_twice_and_discarded(), joint_after_two_failures()
    play(env, (INSPECT, True))
    expected = [RATES[0], joint[1, 1] / joint[1].sum()]  # part 1 is newly bought
    assert chances(env) == pytest.approx(expected, rel=1e-6)
    assert expected[1] > RATES[1] + 0.01  # the older failure still counts


def test_discarding_costs_the_new_item_and_asks_about_it() -> None:
    env = AssemblyEnv(PRESET)
    env.reset(seed=0)
    rewards = play(
        env, (USE, False), (USE, True), (SHIP, True), (DISMANTLE, True), (DISCARD, False)
    )
    # First part 4, second 18, assembly 6, return loss 10, dismantling 5; the part again 4.
    assert rewards == [-4 - 18, -6, -10, -5, -4]
    assert env.state["asked"] == 0
    assert not env.action_masks()[DISCARD]  # new, not recovered


def test_only_a_recovered_untested_item_may_be_discarded() -> None:
    env = AssemblyEnv(PRESET)
    assert env.action_space == gym.spaces.Discrete(3)
    _, info = env.reset(seed=0)
    masks = [info["action_mask"]]
    for action, is_bad in (
        (USE, False),
        (USE, True),
        (SHIP, True),
        (DISMANTLE, True),
        (USE, False),
    ):
        env._states[0]["is_bad"][env._states[0]["asked"]] = is_bad
        masks.append(env.step(action)[4]["action_mask"])
    assert [mask[DISCARD] for mask in masks] == [0, 0, 0, 0, 1, 1]


def test_a_forbidden_discard_acts_as_the_first_answer() -> None:
    envs = [AssemblyEnv(PRESET) for _ in range(2)]
    for env in envs:
        env.reset(seed=3)
    assert [play(envs[0], (DISCARD, False), (DISCARD, True), (DISCARD, True))] == [
        play(envs[1], (USE, False), (USE, True), (SHIP, True))
    ]
    assert envs[0].state == envs[1].state


def test_without_the_option_there_is_no_third_action() -> None:
    env = AssemblyEnv("cumcm-5")
    assert env.action_space == gym.spaces.Discrete(2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action = 2: allowed are the whole numbers 0 to 1"):
        env.step(2)


def test_a_range_may_not_mix_both_kinds() -> None:
    fields: dict[str, Any] = {
        **AssemblyScenario.presets[PRESET],
        "discard_recovered": {"choices": [True, False]},
    }
    with pytest.raises(ValueError, match="discard_recovered"):
        gym.make(ID, scenario=fields)


def test_both_checkers_and_the_vector_environment() -> None:
    fields = {**AssemblyScenario.presets["gearbox"], "discard_recovered": True}
    check_env(AssemblyEnv(fields), skip_render_check=True)
    vector = gym.make_vec(ID, num_envs=5, scenario=fields)
    scalar = SyncVectorEnv([lambda: gym.make(ID, scenario=fields)] * 5)
    rng = np.random.default_rng(0)
    for env in (vector, scalar):
        env.reset(seed=11)
    for _ in range(400):
        actions = rng.choice(3, size=5, p=[0.4, 0.2, 0.4])
        one, other = vector.step(actions), scalar.step(actions)
        for mine, theirs in zip(one[:4], other[:4], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_the_pictures_offer_it() -> None:
    env = AssemblyEnv(PRESET, render_mode="ansi")
    env.reset(seed=0)
    play(env, (USE, False), (USE, True), (SHIP, True), (DISMANTLE, True))
    assert "part_1: use it, inspect it or discard it?" in str(env.render())
    play(env, (DISCARD, False))
    assert "part_1 thrown away untested" in str(env.render())
