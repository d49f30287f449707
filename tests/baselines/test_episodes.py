"""Episodes labelled by the optimum."""

import gymnasium as gym
import numpy as np
import pytest
from stub_policies import Remembering

import baselines
import qc_gym


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("env_id", qc_gym.ENVIRONMENTS)
def test_every_step_is_labelled(env_id: str, observation: str) -> None:
    env = gym.make(env_id, observation=observation)
    optimum = baselines.solve(env)
    policy = baselines.reference_policies(env)["random"]
    found = list(baselines.labelled_episodes(env, policy, episodes=40, seed=3))
    assert len(found) == 40
    for one in found:
        steps = len(one.actions)
        assert {len(one.rewards), len(one.terminated)} == {steps}
        after = (one.observations, one.action_masks, one.beliefs, one.action_gaps)
        assert {len(each) for each in (*after, one.optimal_actions)} == {steps + 1}
        assert all(map(env.observation_space.contains, one.observations))
        assert one.terminated.tolist() == [False] * (steps - 1) + [True]
        assert one.action_masks[np.arange(steps), one.actions].all()
        gaps, best = one.action_gaps[:-1], one.optimal_actions[:-1]
        np.testing.assert_array_equal(np.isnan(gaps), ~one.action_masks[:-1])
        assert np.nanmin(gaps, axis=1) == pytest.approx(0.0, abs=1e-6 * optimum.stakes)
        np.testing.assert_array_equal(gaps[np.arange(steps), best], np.nanmin(gaps, axis=1))
        assert np.isnan(one.action_gaps[-1]).all()
        assert one.optimal_actions[-1] == -1
        if observation == "belief":
            np.testing.assert_array_equal(one.beliefs, one.observations)
    first, again = (
        list(baselines.labelled_episodes(env, optimum.policy, episodes=40, seed=3))
        for _ in range(2)
    )
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.rewards, two.rewards)
        if observation == "belief" or optimum.lower == optimum.upper:
            taken = one.action_gaps[np.arange(len(one.actions)), one.actions]
            assert taken == pytest.approx(0.0, abs=1e-6 * optimum.stakes)


def test_the_gaps_sum_to_the_regret_and_the_rewards_to_the_value() -> None:
    env = gym.make("qc_gym/Assembly-v0", scenario="cumcm-3")
    for policy in (baselines.reference_policies(env)["random"], baselines.solve(env).policy):
        score = baselines.score(env, policy)
        losses, returns = [], []
        for one in baselines.labelled_episodes(env, policy, episodes=3_000, seed=1):
            losses.append(one.action_gaps[np.arange(len(one.actions)), one.actions].sum())
            returns.append(one.rewards.sum())
        for values, expected in ((losses, score.regret), (returns, score.value)):
            error = np.std(values) / np.sqrt(len(values))
            assert abs(np.mean(values) - expected) <= 4 * error + 1e-9


def test_a_policy_with_memory_is_told_of_its_starts() -> None:
    env = gym.make("qc_gym/SequentialSampling-v0")
    policy = baselines.solve(env).policy
    plain = list(baselines.labelled_episodes(env, policy, episodes=1_030, seed=2))
    remembering = baselines.labelled_episodes(env, Remembering(policy), episodes=1_030, seed=2)
    for one, two in zip(plain, remembering, strict=True):
        np.testing.assert_array_equal(one.actions, two.actions)


def test_what_cannot_be_played_is_refused() -> None:
    env = gym.wrappers.FrameStackObservation(gym.make("qc_gym/SequentialSampling-v0"), 2)
    policy = baselines.reference_policies(env.unwrapped)["random"]
    with pytest.raises(TypeError, match="behind its wrappers"):
        baselines.labelled_episodes(env, policy)
    with pytest.raises(ValueError, match="episodes"):
        baselines.labelled_episodes(env.unwrapped, policy, episodes=0)
