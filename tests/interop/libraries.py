"""The environments in the hands of the libraries that train on them: `make interop`."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scipy import sparse

import baselines
import qc_gym

ID = "qc_gym/SequentialSampling-v0"
FRESH = f"qc_gym:{ID}"


@pytest.mark.parametrize("env_id", list(qc_gym.ENVIRONMENTS))
def test_gymnasium_checks_every_environment(env_id: str) -> None:
    checker = pytest.importorskip("gymnasium.utils.env_checker")
    checker.check_env(gym.make(env_id).unwrapped, skip_render_check=True)


def test_stable_baselines3_earns_what_the_score_says() -> None:
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation")
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    env = vec_env.DummyVecEnv([lambda: gym.make(ID)] * 16)
    env.seed(0)
    optimum = baselines.solve(env)
    earned, _ = evaluation.evaluate_policy(
        optimum.policy, env, 2000, return_episode_rewards=True, warn=False
    )
    error = np.std(earned) / np.sqrt(len(earned))
    assert abs(np.mean(earned) - optimum.value) < 4 * error


@pytest.mark.filterwarnings("ignore:infinite horizon solution methods are disabled")
@pytest.mark.parametrize("scenario", ["lot-200", "aql10-rql20", "tired-eyes"])
def test_quantecon_finds_the_same_optimum(scenario: str) -> None:
    """Its backward induction over the steps, with a state of its own in which ended episodes stay."""
    ddp = pytest.importorskip("quantecon.markov.ddp")
    model = baselines.model(ID, scenario=scenario)
    states, actions = model.rewards.shape
    pairs = np.repeat(np.arange(states * actions), np.diff(model.first))
    shape = (states * actions, states + 1)
    moves = sparse.csr_matrix((model.probabilities, (pairs, model.successors)), shape)
    ends = sparse.csr_matrix(1.0 - moves.sum(axis=1))
    chances = sparse.hstack([moves[:, :states], ends], "csr")
    stay = sparse.csr_matrix(([1.0], ([0], [states])), (1, states + 1))
    chosen = np.flatnonzero(model.allowed)
    problem = ddp.DiscreteDP(
        np.append(model.rewards.ravel()[chosen], 0.0),
        sparse.vstack([chances[chosen], stay], "csr"),
        1.0,
        np.append(chosen // actions, states),
        np.append(chosen % actions, 0),
    )
    values, _ = ddp.backward_induction(problem, model.scenario.max_samples + 1)
    value = values[0][model.initial_states] @ model.initial_probabilities
    assert value == pytest.approx(baselines.solve(ID, scenario=scenario).value, rel=1e-12)


def test_torchrl_draws_allowed_actions_only() -> None:
    envs = pytest.importorskip("torchrl.envs")
    import torch
    from torchrl.data import Binary

    scenario = {
        "prior": {"kind": "two_point", "good": 0.1, "bad": 0.4, "prob_bad": 0.4},
        "inspection_cost": 1.0,
        "accept_bad_cost": 40.0,
        "reject_good_cost": 30.0,
        "max_samples": 2,  # after two items no third may be inspected
    }
    inner = envs.GymEnv(FRESH, scenario=scenario, categorical_action_encoding=True)
    actions = inner.action_spec.n
    mask = Binary(n=actions, shape=(actions,), dtype=torch.int8)
    inner.set_info_dict_reader(envs.default_info_dict_reader(["action_mask"], spec=[mask]))
    cast = envs.DTypeCastTransform(torch.int8, torch.bool, in_keys=["action_mask"])
    env = envs.TransformedEnv(inner, envs.Compose(cast, envs.ActionMask()))
    env.set_seed(0)
    steps = env.rollout(300, break_when_any_done=False)
    allowed, chosen = steps["action_mask"], steps["action"]
    assert allowed.shape == (300, actions)
    assert not allowed.all()
    assert allowed.gather(1, chosen.reshape(300, 1)).all()


def test_minari_keeps_episodes_as_they_were(tmp_path: Path, monkeypatch: Any) -> None:
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = minari.DataCollector(gym.make(FRESH))
    policy = baselines.solve(ID).policy
    earned = []
    for seed in range(5):
        observation, _ = env.reset(seed=seed)
        total, ended = 0.0, False
        while not ended:
            action = int(np.asarray(policy.predict(observation)[0]).item())
            observation, reward, terminated, truncated, _ = env.step(action)
            total, ended = total + float(reward), terminated or truncated
        earned.append(total)
    kept = env.create_dataset("qc/optimum-v0", algorithm_name="optimum")
    assert [float(episode.rewards.sum()) for episode in kept.iterate_episodes()] == earned
    assert kept.recover_environment().unwrapped.scenario == gym.make(ID).unwrapped.scenario
