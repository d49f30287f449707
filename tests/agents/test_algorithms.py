"""Every algorithm trains and is scored; its hyperparameters are checked before it does."""

import inspect
import itertools
import re
import warnings
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from sb3_contrib import QRDQN, MaskablePPO, RecurrentPPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy as evaluate_masked
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from strategies import SMALL_LOT

import baselines
from agents import ALGORITHMS, SB3VecEnv, train
from agents.algorithms import _RESERVED, arguments, find_algorithm
from agents.hyperparameters import HYPERPARAMETERS
from agents.training import make_training_env
from baselines.core.policy import tabulate
from qc_gym.core.policy import Player

ID = "qc_gym/SequentialSampling-v0"
_ROLLOUTS = {"n_steps": 16, "batch_size": 32, "n_epochs": 2}
_REPLAY = {
    "learning_starts": 64,
    "buffer_size": 1000,
    "batch_size": 16,
    "target_update_interval": 100,
}
TINY: dict[str, dict[str, Any]] = {
    "ppo": _ROLLOUTS,
    "a2c": {"n_steps": 4},
    "dqn": _REPLAY,
    "qrdqn": {**_REPLAY, "policy_kwargs": {"net_arch": [16], "n_quantiles": 8}},
    "maskable_ppo": _ROLLOUTS,
    "recurrent_ppo": {**_ROLLOUTS, "policy_kwargs": {"lstm_hidden_size": 16}},
}
WITH_MEMORY = {"recurrent_ppo"}


def train_tiny(algorithm: str, seed: int = 1, **kwargs: Any) -> BaseAlgorithm:
    settings = {"scenario": SMALL_LOT, "total_timesteps": 320, "num_envs": 4, **kwargs}
    settings["hyperparameters"] = {**TINY[algorithm], **settings.get("hyperparameters", {})}
    return train(algorithm, ID, seed=seed, **settings)


@pytest.fixture(scope="module")
def models() -> dict[str, BaseAlgorithm]:
    return {name: train_tiny(name) for name in ALGORITHMS}


@pytest.fixture(scope="module")
def env() -> gym.Env[Any, Any]:
    return gym.make(ID, scenario=SMALL_LOT)


def test_registry() -> None:
    assert {name: entry.type for name, entry in ALGORITHMS.items()} == {
        "ppo": PPO,
        "a2c": A2C,
        "dqn": DQN,
        "qrdqn": QRDQN,
        "maskable_ppo": MaskablePPO,
        "recurrent_ppo": RecurrentPPO,
    }
    for name, entry in ALGORITHMS.items():
        assert entry.name == name
        assert find_algorithm(name) is entry
        assert entry.policy in entry.type.policy_aliases
        assert entry.hyperparameters(entry.defaults) == dict(entry.defaults)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_defaults_are_accepted_by_the_algorithm(name: str) -> None:
    entry = ALGORITHMS[name]
    settings = arguments(entry.hyperparameters())
    vec_env = SB3VecEnv(make_training_env(ID, entry.num_envs, SMALL_LOT))
    if "buffer_size" in settings:
        settings["buffer_size"] = 10 * entry.num_envs  # no need of the memory here
    model = entry.type(entry.policy, vec_env, device="cpu", **settings)
    assert model.gamma == 1.0  # an episode's return is what is scored: it is not discounted


@pytest.mark.parametrize("name", ALGORITHMS)
def test_trains_and_is_scored(
    name: str, models: dict[str, BaseAlgorithm], env: gym.Env[Any, Any]
) -> None:
    model = models[name]
    assert type(model) is ALGORITHMS[name].type
    assert model.num_timesteps >= 320
    score = baselines.score(env, model, episodes=4000)
    assert score.exact == (name not in WITH_MEMORY)
    assert score.exact <= (score.stderr == 0.0)
    assert score.regret >= 0

    arena = SB3VecEnv(make_training_env(ID, 100, SMALL_LOT))
    arena.seed(4)
    evaluate = evaluate_masked if name == "maskable_ppo" else evaluate_policy
    returns, lengths = evaluate(model, arena, 2000, return_episode_rewards=True, warn=False)
    error = np.std(returns) / np.sqrt(len(returns)) + score.stderr
    assert abs(np.mean(returns) - score.value) < 4 * error
    if score.exact:
        error = np.std(lengths) / np.sqrt(len(lengths))
        assert abs(np.mean(lengths) - score.expected_length) < 4 * error + 1e-9


@pytest.mark.parametrize("name", ["ppo", "recurrent_ppo"])
def test_outcome_observations(name: str) -> None:
    model = train_tiny(name, observation="outcome")
    score = baselines.score(
        gym.make(ID, scenario=SMALL_LOT, observation="outcome"), model, episodes=1000
    )
    assert score.exact == (name not in WITH_MEMORY)
    assert score.regret >= 0


def test_masked_agent_takes_no_forbidden_action(env: gym.Env[Any, Any]) -> None:
    model = train_tiny("maskable_ppo")
    with torch.no_grad():
        model.policy.action_net.bias[0] += 1000.0  # it wants to inspect, whatever it sees
    tables = baselines.model(env)
    assert (model.predict(tables.observations, deterministic=True)[0] == 0).all()
    table = tabulate(Player(model, 3), tables)
    assert table is not None
    assert (table[~tables.allowed] == 0).all()
    assert (table.sum(axis=1) == 1).all()
    # Inspecting all it may, it is worth at most −max_samples, and decides after that.
    score = baselines.score(env, model)
    assert score.expected_length == pytest.approx(SMALL_LOT["max_samples"] + 1, rel=1e-12)
    assert score.value < -SMALL_LOT["max_samples"]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_seed_decides_the_weights(name: str, models: dict[str, BaseAlgorithm]) -> None:
    weights = models[name].policy.state_dict()
    again = train_tiny(name).policy.state_dict()
    assert list(weights) == list(again)
    assert all(torch.equal(weights[key], again[key]) for key in weights)
    other = train_tiny(name, seed=2).policy.state_dict()
    assert not all(torch.equal(weights[key], other[key]) for key in weights)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_training_moves_the_weights(name: str, models: dict[str, BaseAlgorithm]) -> None:
    entry = ALGORITHMS[name]
    settings = arguments(entry.hyperparameters(TINY[name]))
    vec_env = SB3VecEnv(make_training_env(ID, 4, SMALL_LOT))
    fresh = entry.type(entry.policy, vec_env, seed=1, device="cpu", **settings)
    before, after = fresh.policy.state_dict(), models[name].policy.state_dict()
    assert not any(torch.equal(before[key], after[key]) for key in before if "weight" in key)


def test_learning_rate_falls_to_its_final_value() -> None:
    schedule = {"initial": 0.01, "final": 0.002}
    model = train_tiny("ppo", hyperparameters={"learning_rate": schedule})
    assert model.lr_schedule(1.0) == pytest.approx(0.01, rel=1e-12)
    assert model.lr_schedule(0.25) == pytest.approx(0.004, rel=1e-12)
    assert model.lr_schedule(0.0) == pytest.approx(0.002, rel=1e-12)
    # 320 steps are five whole roll-outs: at the last update nothing remains.
    assert model.policy.optimizer.param_groups[0]["lr"] == pytest.approx(0.002, rel=1e-12)


def test_clip_range_may_be_a_schedule_too() -> None:
    schedule = {"initial": 0.3, "final": 0.1}
    model = train_tiny("ppo", hyperparameters={"clip_range": schedule})
    assert model.clip_range(1.0) == pytest.approx(0.3, rel=1e-12)
    assert model.clip_range(0.5) == pytest.approx(0.2, rel=1e-12)
    assert model.clip_range(0.0) == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize(
    "schedule",
    [
        {"initial": 0.1},
        {"initial": 0.1, "final": 0.0, "middle": 0.05},
        {"start": 0.1, "end": 0.0},
        {"initial": "fast", "final": 0.0},
    ],
)
@pytest.mark.parametrize("name", ["learning_rate", "clip_range", "ent_coef"])
def test_incomplete_schedules_are_refused(name: str, schedule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{name} = .*initial, final"):
        arguments({name: schedule})


def test_unknown_algorithm() -> None:
    with pytest.raises(ValueError, match=r"'maskableppo'; did you mean 'maskable_ppo'"):
        train("maskableppo", ID)


def test_unknown_hyperparameter() -> None:
    with pytest.raises(ValueError, match=r"dqn: .*'batchsize'; did you mean 'batch_size'"):
        train("dqn", ID, hyperparameters={"batchsize": 8})
    with pytest.raises(ValueError, match=r"a2c: .*'clip_range'"):  # one of another algorithm
        train("a2c", ID, hyperparameters={"clip_range": 0.2})


@pytest.mark.parametrize("name", ["policy", "env", "seed", "device", "tensorboard_log", "verbose"])
def test_reserved_names(name: str) -> None:
    with pytest.raises(ValueError, match=rf"ppo: {name} is not a hyperparameter"):
        train("ppo", ID, hyperparameters={name: 1})


@pytest.mark.parametrize("value", ["3e-4", {"initial": "3e-4", "final": 0.0}])
def test_numbers_that_yaml_reads_as_text(value: Any) -> None:
    with pytest.raises(ValueError, match=r"ppo: learning_rate.* = '3e-4': is text.*3\.0e-4"):
        train("ppo", ID, hyperparameters={"learning_rate": value})


NOT_DATA = {"replay_buffer_class", "replay_buffer_kwargs", "optimize_memory_usage"}
NOT_DATA |= {"rollout_buffer_class", "rollout_buffer_kwargs"}
CONTINUOUS_ONLY = {"use_sde", "sde_sample_freq"}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_hyperparameter_of_an_algorithm_has_a_type(name: str) -> None:
    """A new one of stable-baselines3 must be given a type, or a reason why a config cannot hold it."""
    known = set(inspect.signature(ALGORITHMS[name].type).parameters) - _RESERVED
    assert known - set(HYPERPARAMETERS) <= NOT_DATA | CONTINUOUS_ONLY
    for one in known - set(HYPERPARAMETERS):
        with pytest.raises(ValueError, match=f"{name}: unknown hyperparameter '{one}'"):
            ALGORITHMS[name].hyperparameters({one: None})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_defaults_of_stable_baselines3_are_allowed(name: str) -> None:
    parameters = inspect.signature(ALGORITHMS[name].type).parameters
    given = {one: parameters[one].default for one in HYPERPARAMETERS if one in parameters}
    assert ALGORITHMS[name].hyperparameters(given) == {**ALGORITHMS[name].defaults, **given}


REFUSED: list[tuple[str, str, Any, str]] = [
    ("ppo", "n_steps", 0, "greater than or equal to 1"),
    ("ppo", "n_steps", 2.0, "valid integer"),
    ("ppo", "n_steps", True, "valid integer"),
    ("ppo", "n_epochs", None, "valid integer"),
    ("ppo", "gamma", 1.01, "less than or equal to 1"),
    ("ppo", "gamma", -0.1, "greater than or equal to 0"),
    ("ppo", "gamma", float("nan"), "finite"),
    ("ppo", "gamma", [0.9], "valid number"),
    ("ppo", "learning_rate", 0.0, "greater than 0"),
    ("ppo", "learning_rate", True, "greater than 0"),
    ("ppo", "learning_rate", float("inf"), "greater than 0"),
    ("ppo", "learning_rate", {"initial": -1.0, "final": 0.0}, "at least 0"),
    ("ppo", "clip_range", "wide", "greater than 0, or {initial, final}"),
    ("ppo", "ent_coef", -0.1, "at least 0, or {initial, final}"),
    ("ppo", "ent_coef", {"initial": 0.1}, "at least 0, or {initial, final}"),
    ("ppo", "target_kl", 0.0, "greater than 0"),
    ("ppo", "normalize_advantage", 1, "valid boolean"),
    ("a2c", "max_grad_norm", 0, "greater than 0"),
    ("a2c", "policy_kwargs", "wide", "valid dictionary"),
    ("dqn", "tau", 0.0, "greater than 0"),
    ("dqn", "train_freq", [4, "step"], "valid integer"),
    ("dqn", "gradient_steps", 0, "at least 1, or -1"),
    ("dqn", "learning_starts", -1, "greater than or equal to 0"),
    ("dqn", "exploration_fraction", 1.5, "less than or equal to 1"),
]


@pytest.mark.parametrize(("name", "parameter", "value", "allowed"), REFUSED)
def test_values_are_checked_by_type_and_range(
    name: str, parameter: str, value: Any, allowed: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{name}: {parameter} = {value!r}: ")) as caught:
        ALGORITHMS[name].hyperparameters({parameter: value})
    assert allowed in str(caught.value)


NETWORKS: list[tuple[str, dict[str, Any], str]] = [
    ("ppo", {"net_arch": [64, 0]}, "net_arch = [64, 0]: should be a list of layer sizes"),
    ("ppo", {"net_arch": {"pi": [64]}}, "net_arch = {'pi': [64]}: should be a list"),
    ("ppo", {"net_arc": [64]}, "unknown hyperparameter 'net_arc'; did you mean 'net_arch'"),
    ("ppo", {"n_quantiles": 8}, "unknown hyperparameter 'n_quantiles'"),
    ("dqn", {"net_arch": {"pi": [64], "vf": [64]}}, "net_arch = {'pi': [64], 'vf': [64]}"),
    ("qrdqn", {"n_quantiles": 0}, "n_quantiles = 0: should be greater"),
    (
        "ppo",
        {"net_arch": [10**9]},
        "net_arch = [1000000000]: should be a list of layer sizes from 1",
    ),
    ("ppo", {"net_arch": [1] * 33}, f"net_arch = {[1] * 33}: should have at most 32 layers"),
    (
        "dqn",
        {"net_arch": [8, 5000, 5000]},
        "= {'net_arch': [8, 5000, 5000]}: asks for a network of 25,040,000 weights; at most 10,000,000",
    ),
    ("qrdqn", {"net_arch": [9000], "n_quantiles": 9000}, "= {'net_arch': [9000], 'n_quantiles'"),
    ("recurrent_ppo", {"lstm_hidden_size": 4096}, "= {'lstm_hidden_size': 4096}: asks for"),
    ("recurrent_ppo", {"n_lstm_layers": 10**9}, "n_lstm_layers = 1000000000: should be less"),
    (
        "recurrent_ppo",
        {"lstm_hidden_size": 1.5},
        "lstm_hidden_size = 1.5: should be a valid integer",
    ),
]


@pytest.mark.parametrize(("name", "network", "message"), NETWORKS)
def test_networks_are_checked(name: str, network: dict[str, Any], message: str) -> None:
    start = "" if message.startswith("=") else ":"
    with pytest.raises(ValueError, match=re.escape(f"{name}: policy_kwargs{start} {message}")):
        ALGORITHMS[name].hyperparameters({"policy_kwargs": network})


def test_networks_of_two_parts() -> None:
    given = {"policy_kwargs": {"net_arch": {"pi": [8], "vf": [16, 16]}, "ortho_init": False}}
    model = train_tiny("ppo", total_timesteps=64, hyperparameters=given)
    sizes = {tuple(one.shape) for one in model.policy.parameters()}
    assert {(8, 4), (16, 4), (16, 16)} <= sizes


@pytest.mark.parametrize("name", ["ppo", "maskable_ppo", "recurrent_ppo"])
def test_a_roll_out_too_small_to_normalise(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: n_steps = 1 with num_envs = 1"):
        train(name, ID, num_envs=1, hyperparameters={"n_steps": 1})
    with pytest.raises(ValueError, match=f"{name}: batch_size = 1: should be at least 2"):
        train(name, ID, num_envs=4, hyperparameters={"batch_size": 1})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_hyperparameters_are_not_written_to(name: str) -> None:
    given = {**TINY[name], "policy_kwargs": {"net_arch": [4]}}
    train_tiny(name, total_timesteps=64, hyperparameters=given)
    assert given == {**TINY[name], "policy_kwargs": {"net_arch": [4]}}


# --- budgets --------------------------------------------------------------------------------


def settled(name: str, *args: Any, **given: Any) -> tuple[int, int, dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ALGORITHMS[name].settle(*args, given)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_budget_that_defaults_are_made_for_leaves_them(name: str) -> None:
    entry = ALGORITHMS[name]
    whole = entry.total_timesteps, entry.num_envs, dict(entry.defaults)
    assert settled(name, None, None) == settled(name, entry.total_timesteps, None) == whole
    assert settled(name, 3 * entry.total_timesteps, None)[1:] == whole[1:]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_defaults_scale_with_the_budget(name: str) -> None:
    entry = ALGORITHMS[name]
    shares = (1.0, 0.6, 0.3, 0.1, 0.03, 0.01, 1e-4)
    found = [settled(name, max(1, int(entry.total_timesteps * share)), None) for share in shares]
    shrink = {
        "batch_size",
        "buffer_size",
        "learning_starts",
        "target_update_interval",
        "clip_range",
    }
    grow = {"ent_coef", "n_epochs"}
    for (_, more_envs, more), (_, fewer_envs, fewer) in itertools.pairwise(found):
        assert 1 <= fewer_envs <= more_envs
        assert set(more) == set(fewer) == set(entry.defaults)
        for key, value in more.items():
            assert fewer[key] <= value if key in shrink else True
            assert fewer[key] >= value if key in grow else True
            assert fewer[key] == value if key not in shrink | grow | {"learning_rate"} else True
    _, fewest, last = found[-1]
    assert fewest < entry.num_envs
    entry.check_rollout(fewest, last)
    for key in ("batch_size", "learning_starts", "target_update_interval", "buffer_size"):
        assert last.get(key, 1) >= 1


@pytest.mark.parametrize(
    ("name", "num_envs", "given", "message"),
    [
        ("a2c", 1, {"n_steps": 1}, "n_steps = 1 with num_envs = 1"),
        (
            "maskable_ppo",
            5,
            {"n_steps": 13, "batch_size": 64},
            r"batch_size = 64: leaves, of .* 65",
        ),
        (
            "recurrent_ppo",
            5,
            {"n_steps": 13, "batch_size": 64},
            r"batch_size = 64: leaves, of .* 65",
        ),
    ],
)
def test_a_sample_alone_is_not_normalised(
    name: str, num_envs: int, given: dict[str, Any], message: str
) -> None:
    entry = ALGORITHMS[name]
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        entry.check_rollout(num_envs, entry.hyperparameters(given))
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        train(name, ID, scenario=SMALL_LOT, num_envs=num_envs, hyperparameters=given)
    entry.check_rollout(num_envs, entry.hyperparameters({**given, "normalize_advantage": False}))
    ALGORITHMS["dqn"].check_rollout(1, ALGORITHMS["dqn"].hyperparameters())


def test_a_single_last_sample_is_left_as_it_is_by_ppo() -> None:
    given = {"n_steps": 13, "batch_size": 64, "n_epochs": 2}
    agent = train(
        "ppo", ID, scenario=SMALL_LOT, num_envs=5, hyperparameters=given, total_timesteps=65
    )
    assert all(value.isfinite().all() for value in agent.policy.state_dict().values())


@pytest.mark.parametrize(
    ("policy_kwargs", "message"),
    [
        ({"shared_lstm": True}, "shared_lstm = True: needs enable_critic_lstm = False"),
        ({"optimizer_kwargs": {"epps": 1e-5}}, "unknown optimizer_kwargs 'epps'; .*'eps'"),
        ({"optimizer_kwargs": {"lr": 0.1}}, "unknown optimizer_kwargs 'lr'"),
    ],
)
def test_parts_of_a_network_that_do_not_go_together(
    policy_kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"recurrent_ppo: policy_kwargs: {message}"):
        ALGORITHMS["recurrent_ppo"].hyperparameters({"policy_kwargs": policy_kwargs})


def test_parts_of_a_network_that_go_together() -> None:
    entry = ALGORITHMS["recurrent_ppo"]
    shared = {"shared_lstm": True, "enable_critic_lstm": False, "optimizer_kwargs": {"eps": 1e-5}}
    assert entry.hyperparameters({"policy_kwargs": shared})["policy_kwargs"] == shared


def test_a_network_larger_than_is_read_again_is_not_trained() -> None:
    huge = {"policy_kwargs": {"net_arch": [1000], "n_quantiles": 4_000}, "buffer_size": 100}
    with pytest.raises(
        ValueError, match=r"qrdqn: policy_kwargs = .*makes networks of [\d,]+ weights"
    ):
        train("qrdqn", ID, scenario=SMALL_LOT, total_timesteps=64, hyperparameters=huge)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_generators_do_not_take(seed: int) -> None:
    with pytest.raises(ValueError, match=f"seed = {seed}: a whole number from 0 to 4294967295"):
        train("ppo", ID, scenario=SMALL_LOT, total_timesteps=64, seed=seed)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_is_given_is_not_scaled(name: str) -> None:
    entry = ALGORITHMS[name]
    steps = entry.total_timesteps // 50
    _, num_envs, scaled = settled(name, steps, None)
    assert settled(name, steps, 7)[1] == 7
    changed = {key for key in entry.defaults if scaled[key] != entry.defaults[key]}
    assert changed
    for key in changed:
        kept = settled(name, steps, None, **{key: entry.defaults[key]})
        assert kept[2][key] == entry.defaults[key]
        assert kept[1] == num_envs
        # Clip and rate go with the number of passes; everything else is as without it.
        others = (
            set(scaled) - {key} - ({"clip_range", "learning_rate"} if key == "n_epochs" else set())
        )
        assert all(kept[2][other] == scaled[other] for other in others)
    if "batch_size" in entry.defaults:
        assert settled(name, None, 8)[2]["batch_size"] < entry.defaults["batch_size"]


def test_the_start_of_an_entropy_schedule_grows_where_it_is_a_default() -> None:
    schedule = {"initial": 0.01, "final": 0.001}
    entry = replace(
        ALGORITHMS["ppo"], defaults={**ALGORITHMS["ppo"].defaults, "ent_coef": schedule}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = entry.settle(entry.total_timesteps // 8)[2]["ent_coef"]
    assert found == {"initial": pytest.approx(0.04), "final": 0.001}


def test_a_small_budget_says_what_to_expect() -> None:
    with pytest.warns(UserWarning, match=r"ppo: 100,000 steps are 0\.014 of the 7,000,000"):
        ALGORITHMS["ppo"].settle(100_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ALGORITHMS["ppo"].settle(2_000_000)
