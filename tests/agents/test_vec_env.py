"""The adapter behaves as stable-baselines3's own DummyVecEnv over scalar environments does."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

import baselines
import qc_gym  # noqa: F401
from agents import SB3VecEnv

INSPECT, ACCEPT = 0, 1
ID = "qc_gym/SequentialSampling-v0"
TWO_POINT = {
    "prior": {"kind": "two_point", "good": 0.1, "bad": 0.4, "prob_bad": 0.5},
    "inspection_cost": 1.0,
    "accept_bad_cost": 60.0,
    "reject_good_cost": 45.0,
    "max_samples": 5,
}
LINEAR_LOT = {
    "prior": {"kind": "beta", "a": 1.0, "b": 6.0, "limit": 0.15},
    "inspection_cost": 0.3,
    "accept_bad_cost": 500.0,
    "reject_good_cost": 250.0,
    "loss": "linear",
    "max_samples": 6,
    "lot_size": 20,
}


def native(
    num_envs: int,
    scale: float = 1.0,
    exploring_starts: float = 0.0,
    frames: int = 1,
    **kwargs: Any,
) -> SB3VecEnv:
    env = gym.make_vec(ID, num_envs=num_envs, autoreset_mode="SameStep", **kwargs)
    return SB3VecEnv(env, scale, exploring_starts, frames)


def dummy(num_envs: int, **kwargs: Any) -> DummyVecEnv:
    return DummyVecEnv([lambda: Monitor(gym.make(ID, **kwargs)) for _ in range(num_envs)])


def draw_actions(generator: np.random.Generator, num_envs: int) -> NDArray[np.int64]:
    """Return actions that inspect often enough for episodes of every length."""
    return generator.choice(3, size=num_envs, p=[0.7, 0.15, 0.15])


def assert_same_infos(ours: dict[str, Any], theirs: dict[str, Any], done: bool) -> None:
    assert ("episode" in ours) == ("episode" in theirs) == done
    assert ("terminal_observation" in ours) == ("terminal_observation" in theirs) == done
    assert ours.get("TimeLimit.truncated", False) is theirs["TimeLimit.truncated"]
    if done:
        np.testing.assert_array_equal(ours["terminal_observation"], theirs["terminal_observation"])
        assert ours["terminal_observation"].dtype == np.float32
        assert ours["episode"]["l"] == theirs["episode"]["l"]
        assert ours["episode"]["r"] == pytest.approx(theirs["episode"]["r"], abs=2e-6)  # rounded


def assert_same_steps(
    ours: VecEnv, theirs: VecEnv, steps: int, scale: float = 1.0
) -> dict[str, int]:
    """Compare steps of both with the same random actions; return how often what was seen."""
    generator = np.random.default_rng(2)
    seen = {"terminated": 0, "truncated": 0, "both": 0}
    for _ in range(steps):
        actions = draw_actions(generator, ours.num_envs)
        observations, rewards, dones, infos = ours.step(actions)
        expected, money, their_dones, their_infos = theirs.step(actions)
        np.testing.assert_array_equal(observations, expected)
        assert observations.dtype == expected.dtype
        np.testing.assert_allclose(rewards, money * scale, rtol=2e-7)
        assert rewards.dtype == money.dtype
        np.testing.assert_array_equal(dones, their_dones)
        assert dones.dtype == their_dones.dtype
        for info, their_info, done in zip(infos, their_infos, dones, strict=True):
            assert_same_infos(info, their_info, bool(done))
            if done:
                kind = "truncated" if their_info["TimeLimit.truncated"] else "terminated"
                seen[kind] += 1
                at_limit = their_info["episode"]["l"] == 3
                seen["both"] += at_limit and kind == "terminated"
        np.testing.assert_array_equal(
            ours.env_method("action_masks"), theirs.env_method("action_masks")
        )
    return seen


@pytest.mark.parametrize("limit", [None, 3])
@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("scenario", [TWO_POINT, LINEAR_LOT], ids=["two_point", "linear_lot"])
def test_steps_as_dummy_vec_env(
    scenario: dict[str, Any], observation: str, limit: int | None
) -> None:
    kwargs = {"scenario": scenario, "observation": observation, "max_episode_steps": limit}
    ours, theirs = native(4, 0.3, **kwargs), dummy(4, **kwargs)
    assert ours.seed(11) == theirs.seed(11)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    seen = assert_same_steps(ours, theirs, 300, scale=0.3)
    assert seen["terminated"] > 50
    assert (seen["truncated"] > 50) == (limit is not None)
    assert seen["both"] > 0  # episodes that end at their last allowed step are not truncated
    np.testing.assert_array_equal(ours.reset(), theirs.reset())  # in mid-episode, without a seed
    assert_same_steps(ours, theirs, 50, scale=0.3)


def test_seed_holds_for_one_reset() -> None:
    env = native(6, scenario=TWO_POINT)

    def play() -> NDArray[np.float64]:
        env.reset()
        generator = np.random.default_rng(0)
        return np.array([env.step(draw_actions(generator, 6))[1] for _ in range(40)])

    assert env.seed(5) == [5, 6, 7, 8, 9, 10]
    first = play()
    assert not np.array_equal(play(), first)
    env.seed(5)
    np.testing.assert_array_equal(play(), first)
    env.seed(6)
    assert not np.array_equal(play(), first)


def test_sub_environments_have_seeds_of_their_own() -> None:
    env = native(3, scenario=TWO_POINT)
    env.seed(5)
    env.reset()
    rewards = [env.step(np.array([1, 1, 1]))[1] for _ in range(60)]
    assert len(set(map(tuple, np.transpose(rewards)))) == 3


def test_attributes() -> None:
    env = native(4, scenario=TWO_POINT)
    assert env.render_mode is None
    assert env.get_attr("render_mode") == [None] * 4
    assert env.get_attr("render_mode", indices=[1, 3]) == [None] * 2
    assert env.has_attr("action_masks")
    assert not env.has_attr("nonexistent")
    assert env.env_is_wrapped(Monitor) == [True] * 4
    assert env.env_is_wrapped(Monitor, indices=2) == [True]
    assert env.env_is_wrapped(gym.wrappers.TimeLimit) == [False] * 4
    with pytest.raises(NotImplementedError):
        env.set_attr("render_mode", "ansi")


def test_masks_of_some_sub_environments() -> None:
    env = native(3, scenario=TWO_POINT)
    env.reset()
    for _ in range(5):  # the second stops after every step, the others inspect all they may
        env.step(np.array([0, 1, 0]))
    last, first = [False, True, True], [True, True, True]
    np.testing.assert_array_equal(env.env_method("action_masks"), [last, first, last])
    np.testing.assert_array_equal(env.env_method("action_masks", indices=1), [first])
    np.testing.assert_array_equal(env.env_method("action_masks", indices=[2, 1]), [last, first])


def test_handed_out_arrays_are_not_written_again() -> None:
    env = native(4, scenario=TWO_POINT)
    env.seed(1)
    kept = [env.reset(), *env.env_method("action_masks")]
    copies = [array.copy() for array in kept]
    generator = np.random.default_rng(0)
    for _ in range(30):
        observations, rewards, dones, infos = env.step(draw_actions(generator, 4))
        finals = [info["terminal_observation"] for info in infos if info]
        new = [observations, rewards, dones, *env.env_method("action_masks"), *finals]
        kept += new
        copies += [array.copy() for array in new]
    for array, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_under_vec_normalize() -> None:
    ours = VecNormalize(native(4, scenario=TWO_POINT), gamma=1.0)
    theirs = VecNormalize(dummy(4, scenario=TWO_POINT), gamma=1.0)
    ours.seed(3)
    theirs.seed(3)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    assert_same_steps(ours, theirs, 100)


def test_under_vec_monitor() -> None:
    ours, theirs = VecMonitor(native(4, scenario=TWO_POINT)), dummy(4, scenario=TWO_POINT)
    ours.seed(3)
    theirs.seed(3)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    assert assert_same_steps(ours, theirs, 100)["terminated"] > 50


def test_evaluate_policy() -> None:
    scalar = gym.make(ID, scenario=TWO_POINT)
    optimum = baselines.solve(scalar)
    played = []
    for env in (native(50, scenario=TWO_POINT), dummy(50, scenario=TWO_POINT)):
        env.seed(9)
        played.append(
            evaluate_policy(optimum.policy, env, 2000, return_episode_rewards=True, warn=False)
        )
    assert played[0] == played[1]
    returns = np.array(played[0][0])
    assert abs(returns.mean() - optimum.value) < 4 * returns.std() / np.sqrt(len(returns))


def test_pictures() -> None:
    env = native(2, scenario=TWO_POINT, render_mode="rgb_array")
    env.reset()
    assert env.get_attr("render_mode") == ["rgb_array"] * 2
    env.step(np.array([0, 1]))  # the first has inspected an item, the second begins again
    images = env.get_images()
    assert len(images) == 2
    assert not np.array_equal(*images)
    np.testing.assert_array_equal(env.render(), np.concatenate(images))  # stable-baselines3 tiles


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_refuses_other_autoreset_modes(mode: str) -> None:
    with pytest.raises(TypeError, match="SameStep"):
        SB3VecEnv(gym.make_vec(ID, num_envs=2, scenario=TWO_POINT, autoreset_mode=mode))


def test_refuses_other_environments() -> None:
    for env in (gym.make_vec("CartPole-v1", num_envs=2), gym.make(ID, scenario=TWO_POINT)):
        with pytest.raises(TypeError, match="vector environment of qc_gym"):
            SB3VecEnv(env)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_refuses_scales_that_are_not_positive(scale: float) -> None:
    with pytest.raises(ValueError, match="reward_scale"):
        native(2, scale, scenario=TWO_POINT)


def test_refuses_unknown_methods() -> None:
    env = native(2, scenario=TWO_POINT)
    env.reset()
    with pytest.raises(AttributeError, match=r"action_mask'.*only 'action_masks'"):
        env.env_method("action_mask")


def test_refuses_impossible_actions() -> None:
    env = native(2, scenario=TWO_POINT)
    env.reset()
    with pytest.raises(ValueError, match=r"actions\[1\] = 3"):
        env.step(np.array([0, 3]))


def test_evaluation_of_scaled_rewards_is_in_money() -> None:
    """What stable-baselines3 says of an agent's own environment does not depend on the scale."""
    policy = baselines.solve(gym.make(ID, scenario=TWO_POINT)).policy
    played = []
    for scale in (1.0, 1 / 64):
        env = native(8, scale, scenario=TWO_POINT)
        env.seed(9)
        played.append(evaluate_policy(policy, env, 100, return_episode_rewards=True))
    assert played[0] == played[1]

    best = []
    for scale in (1.0, 1 / 64):
        evaluated = native(8, scale, scenario=TWO_POINT)
        evaluated.seed(9)
        callback = EvalCallback(evaluated, n_eval_episodes=50, eval_freq=4, verbose=0)
        # Not trained on what differs between the two: the agent is the same.
        model = PPO("MlpPolicy", native(8, scenario=TWO_POINT), n_steps=4, batch_size=32, seed=1)
        model.learn(32, callback=callback)
        best.append(callback.last_mean_reward)
    assert best[0] == best[1]
    assert best[0] < -1.0


# --- exploring starts -----------------------------------------------------------------------


def seen_by(env: SB3VecEnv, steps: int) -> NDArray[np.float32]:
    """Return what an agent sees, one row after the other, that accepts each lot after an item or none."""
    generator = np.random.default_rng(1)
    observations = env.reset()
    seen = [observations.copy()]
    for _ in range(steps):
        stop = (observations[:, 0] > 0) | (generator.random(env.num_envs) < 0.5)
        observations = env.step(np.where(stop, ACCEPT, INSPECT))[0]
        seen.append(observations.copy())
    return np.concatenate(seen)


def test_exploring_starts_show_what_the_agent_never_comes_to() -> None:
    share = dict.fromkeys((0.0, 0.3, 1.0), 0.0)
    for exploring_starts in share:
        env = native(50, scenario=TWO_POINT, exploring_starts=exploring_starts)
        env.seed(4)
        share[exploring_starts] = float(
            np.mean(seen_by(env, 100)[:, 0] * TWO_POINT["max_samples"] > 1.5)
        )
    assert 0.0 == share[0.0] < share[0.3] < share[1.0]


def test_exploring_starts_keep_beliefs_true() -> None:
    """Of the lots that are seen with a probability of being bad, that share is bad."""
    env = native(2000, scenario=TWO_POINT, exploring_starts=0.7)
    env.seed(8)
    observations = env.reset()
    generator = np.random.default_rng(2)
    for _ in range(12):
        observations = env.step(draw_actions(generator, 2000))[0]
    bad = env.env.states["is_bad"]
    told = observations[:, 2].astype(float)
    error = np.sqrt((told * (1 - told)).sum())
    assert abs(bad.sum() - told.sum()) < 4 * error
    assert len(np.unique(told)) > 5


def test_exploring_starts_are_the_same_every_time() -> None:
    runs = []
    for seed in (4, 4, 5):
        env = native(20, scenario=TWO_POINT, exploring_starts=0.5)
        env.seed(seed)
        runs.append(seen_by(env, 60))
    assert runs[0].tobytes() == runs[1].tobytes() != runs[2].tobytes()


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_no_share(share: float) -> None:
    with pytest.raises(ValueError, match=r"exploring_starts = .*from 0 to 1"):
        native(2, scenario=TWO_POINT, exploring_starts=share)


# --- frames ---------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [2, 4, 9])
def test_frames_are_those_of_stable_baselines(frames: int) -> None:
    """Episodes of up to six observations, of outcomes: both stacks of one and the same environment."""
    kwargs: dict[str, Any] = {"scenario": TWO_POINT, "observation": "outcome"}
    ours, theirs = native(7, frames=frames, **kwargs), VecFrameStack(native(7, **kwargs), frames)
    for env in (ours, theirs):
        env.seed(3)
    assert ours.observation_space == theirs.observation_space
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(ours.reset(), theirs.reset())
    for _ in range(60):
        actions = draw_actions(generator, 7)
        seen, rewards, dones, infos = ours.step(actions)
        others, other_rewards, other_dones, other_infos = theirs.step(actions)
        np.testing.assert_array_equal(seen, others)
        np.testing.assert_array_equal(rewards, other_rewards)
        np.testing.assert_array_equal(dones, other_dones)
        assert ours.observation_space.contains(seen[0])
        for info, other, done in zip(infos, other_infos, dones, strict=True):
            if done:
                np.testing.assert_array_equal(
                    info["terminal_observation"], other["terminal_observation"]
                )


def test_no_frames() -> None:
    with pytest.raises(ValueError, match=r"frames = 0: .*at least 1"):
        native(2, scenario=TWO_POINT, frames=0)


@pytest.mark.parametrize("other", [{"observation": "outcome"}, {"frames": 2}])
def test_exploring_starts_leave_nothing_to_remember(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"exploring_starts = 0\.5: .*'belief' and 1 frame"):
        native(2, scenario=TWO_POINT, exploring_starts=0.5, **other)
