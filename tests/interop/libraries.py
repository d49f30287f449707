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


def test_a_ppo_in_one_file_learns_and_is_scored() -> None:
    """As CleanRL writes it: roll-outs of a vector, generalized advantages, clipped ratios, minibatches."""
    torch = pytest.importorskip("torch")
    nn, n, steps = torch.nn, 256, 16
    torch.manual_seed(0)
    envs = gym.make_vec(ID, num_envs=n, scenario="aql10-rql20", autoreset_mode="SameStep")
    size, actions = envs.single_observation_space.shape[0], envs.single_action_space.n
    actor = nn.Sequential(nn.Linear(size, 32), nn.Tanh(), nn.Linear(32, actions))
    critic = nn.Sequential(nn.Linear(size, 32), nn.Tanh(), nn.Linear(32, 1))
    optimiser = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)
    env = gym.make(ID, scenario="aql10-rql20")
    before = baselines.score(env, actor)
    seen, ended = torch.as_tensor(envs.reset(seed=0)[0]), torch.zeros(n)
    for _ in range(40):
        kept = []  # observations, actions, log-probabilities, values, rewards, ends before
        with torch.no_grad():
            for _ in range(steps):
                drawn = torch.distributions.Categorical(logits=actor(seen))
                action = drawn.sample()
                taken = seen, action, drawn.log_prob(action), critic(seen)[:, 0]
                observations, rewards, terminated, truncated, _ = envs.step(action.numpy())
                kept.append((*taken, torch.as_tensor(rewards / 100.0).float(), ended))
                seen = torch.as_tensor(observations)
                ended = torch.as_tensor(terminated | truncated).float()
            followed, advantages = (critic(seen)[:, 0], ended), [torch.zeros(n)]
            for *_, value, reward, before_it in reversed(kept):
                goes_on = 1.0 - followed[1]
                surprise = reward + goes_on * followed[0] - value
                advantages.append(surprise + 0.95 * goes_on * advantages[-1])
                followed = value, before_it
            states, acts, logs, values, *_ = (torch.cat(part) for part in zip(*kept, strict=True))
            gains = torch.cat(advantages[:0:-1])
        for rows in torch.randperm(n * steps).repeat(3).split(2048):
            drawn = torch.distributions.Categorical(logits=actor(states[rows]))
            ratio = (drawn.log_prob(acts[rows]) - logs[rows]).exp()
            gain = (gains[rows] - gains[rows].mean()) / (gains[rows].std() + 1e-8)
            clipped = torch.min(gain * ratio, gain * ratio.clamp(0.8, 1.2)).mean()
            error = (critic(states[rows])[:, 0] - gains[rows] - values[rows]).square().mean()
            loss = 0.5 * error - clipped - 0.01 * drawn.entropy().mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([*actor.parameters(), *critic.parameters()], 0.5)
            optimiser.step()
    after = baselines.score(env, actor)
    assert after.exact
    assert 0.0 <= after.regret < before.regret
    assert after.normalised > 0.5


def test_rllib_trains_by_the_full_id_and_is_scored() -> None:
    ppo = pytest.importorskip("ray.rllib.algorithms.ppo")
    import ray
    import torch

    config = ppo.PPOConfig().environment(FRESH, env_config={"scenario": "aql10-rql20"})
    config = config.env_runners(num_env_runners=0, num_envs_per_env_runner=4)
    config = config.learners(num_learners=0).debugging(seed=0)
    config = config.training(train_batch_size=256, minibatch_size=64, num_epochs=1)
    ray.init(num_cpus=1, include_dashboard=False)
    algorithm = config.build_algo()
    try:
        told = [algorithm.train() for _ in range(2)][-1]["env_runners"]
        module = algorithm.get_module()

        def logits(observations: Any) -> Any:
            seen = torch.as_tensor(np.asarray(observations), dtype=torch.float32)
            return module.forward_inference({"obs": seen})["action_dist_inputs"]

        score = baselines.score(gym.make(ID, scenario="aql10-rql20"), logits)
    finally:
        algorithm.stop()
        ray.shutdown()
    assert told["num_episodes"] > 0
    assert score.exact
    assert score.regret >= 0.0


def test_tianshou_trains_a_network_that_is_scored() -> None:
    pytest.importorskip("tianshou", minversion="2.0")
    from tianshou.algorithm import DQN
    from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv
    from tianshou.trainer import OffPolicyTrainerParams
    from tianshou.utils.net.common import Net

    env = gym.make(ID, scenario="aql10-rql20")
    envs = DummyVectorEnv([lambda: gym.make(ID, scenario="aql10-rql20")] * 4)
    net = Net(state_shape=env.observation_space.shape, action_shape=3, hidden_sizes=[16])
    policy = DiscreteQLearningPolicy(model=net, action_space=env.action_space, eps_training=0.3)
    algorithm = DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3))
    collector = Collector(algorithm, envs, VectorReplayBuffer(2000, 4))
    collector.reset()
    told = algorithm.run_training(
        OffPolicyTrainerParams(
            training_collector=collector,
            max_epochs=2,
            epoch_num_steps=200,
            collection_step_num_env_steps=40,
            verbose=False,
            show_progress=False,
        )
    )
    assert told.train_step >= 400
    score = baselines.score(env, lambda observations: net(observations)[0])
    assert score.exact
    assert score.regret >= 0.0


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
