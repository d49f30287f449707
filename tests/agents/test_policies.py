"""Policies as data: what is saved comes back, and nothing else is let in."""

import io
import json
import math
import os
import pickle
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from strategies import SMALL_LOT

import baselines
from agents import (
    ALGORITHMS,
    FrameStack,
    SB3VecEnv,
    StochasticPolicy,
    load_policy,
    save_policy,
    train,
)
from agents.policies import check_fits
from agents.training import make_training_env

ID = "qc_gym/SequentialSampling-v0"
_ROLLOUTS = {"n_steps": 16, "batch_size": 32, "n_epochs": 2}
_REPLAY = {"learning_starts": 32, "buffer_size": 500, "batch_size": 16}
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "ppo": {**_ROLLOUTS, "policy_kwargs": {"net_arch": [24, 8]}},
    "a2c": {"n_steps": 4},
    "dqn": {**_REPLAY, "policy_kwargs": None},
    "qrdqn": {**_REPLAY, "policy_kwargs": {"n_quantiles": 7}},
    "maskable_ppo": _ROLLOUTS,
    "recurrent_ppo": {**_ROLLOUTS, "policy_kwargs": {"lstm_hidden_size": 8}},
}


@pytest.fixture(scope="module")
def models() -> dict[str, BaseAlgorithm]:
    return {
        name: train(
            name,
            ID,
            scenario=SMALL_LOT,
            seed=3,
            total_timesteps=128,
            num_envs=4,
            hyperparameters=HYPERPARAMETERS[name],
        )
        for name in ALGORITHMS
    }


@pytest.fixture(scope="module")
def env() -> gym.Env[Any, Any]:
    return gym.make(ID, scenario=SMALL_LOT)


def describe(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "algorithm": name,
        "hyperparameters": HYPERPARAMETERS[name],
        "env_id": ID,
        "scenario": SMALL_LOT,
        "observation": "belief",
        **changes,
    }


@pytest.fixture
def saved(models: dict[str, BaseAlgorithm], tmp_path: Path) -> Path:
    """A folder with the policy of a trained PPO agent."""
    save_policy(models["ppo"], tmp_path, describe("ppo"))
    return tmp_path


# --- round trip -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALGORITHMS)
def test_round_trip(
    name: str, models: dict[str, BaseAlgorithm], env: gym.Env[Any, Any], tmp_path: Path
) -> None:
    model = models[name]
    save_policy(model, tmp_path, describe(name))
    assert {path.name for path in tmp_path.iterdir()} == {"policy.json", "policy.safetensors"}
    policy, description = load_policy(tmp_path)
    assert description == {"format": 1, **describe(name)}

    tables = baselines.model(env)
    masks = {"action_masks": tables.allowed} if name == "maskable_ppo" else {}
    expected, memory = model.predict(tables.observations, deterministic=True, **masks)
    actions, again = policy.predict(tables.observations, deterministic=True, **masks)
    np.testing.assert_array_equal(actions, expected)
    np.testing.assert_equal(again, memory)
    score = baselines.score(env, model, episodes=500)
    assert asdict(baselines.score(env, policy, episodes=500)) == asdict(score)
    weights = model.policy.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in policy.state_dict().items())


@pytest.mark.parametrize("name", ["ppo", "maskable_ppo", "dqn"])
def test_round_trip_of_frames(name: str, tmp_path: Path) -> None:
    """The policy that is read keeps what it sees, as the one that was trained on frames does."""
    model = train(
        name,
        ID,
        scenario=SMALL_LOT,
        observation="outcome",
        frames=3,
        seed=3,
        total_timesteps=128,
        num_envs=4,
        hyperparameters=HYPERPARAMETERS[name],
    )
    save_policy(model, tmp_path, describe(name, observation="outcome", frames=3))
    policy, _ = load_policy(tmp_path)
    assert isinstance(policy, FrameStack)
    env = gym.make(ID, scenario=SMALL_LOT, observation="outcome")
    check_fits(policy, describe(name, observation="outcome"), env)
    ours = baselines.score(env, FrameStack(model, 3), episodes=500)
    assert asdict(baselines.score(env, policy, episodes=500)) == asdict(ours)
    assert not ours.exact
    with pytest.raises(TypeError, match=r"sees observations of shape \(9,\)"):
        baselines.score(env, model)
    with pytest.raises(ValueError, match="frames = 2"):
        FrameStack(model, 2)


class Noting:
    """A policy of three frames that notes what it is shown."""

    def __init__(self) -> None:
        space = gym.spaces.Box(0.0, 9.0, (6,), np.float32)
        self.observation_space, self.action_space = space, gym.spaces.Discrete(2)
        self.shown: list[Any] = []

    def predict(self, observation: Any, deterministic: bool = True) -> tuple[Any, None]:
        self.shown.append(observation.tolist())
        return np.zeros(len(observation), np.int64), None


def test_a_stack_keeps_the_last_frames_of_each_episode() -> None:
    noting = Noting()
    policy = FrameStack(noting, 3)  # type: ignore[arg-type]
    state = None
    for step in range(1, 5):
        starts = np.array([step == 1, step in (1, 3)])
        seen = np.array([[step, 0], [step, 9]], np.float32)
        actions, state = policy.predict(seen, state, starts)
        assert actions.tolist() == [0, 0]
    assert noting.shown == [
        [[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 1, 9]],
        [[0, 0, 1, 0, 2, 0], [0, 0, 1, 9, 2, 9]],
        [[1, 0, 2, 0, 3, 0], [0, 0, 0, 0, 3, 9]],
        [[2, 0, 3, 0, 4, 0], [0, 0, 3, 9, 4, 9]],
    ]
    assert policy.observation_space.shape == (2,)
    action, _ = policy.predict(np.zeros(2, np.float32))
    assert action == 0


@pytest.mark.parametrize("frames", [0, 1.0, True, "3", 10**9])
def test_frames_that_are_none(saved: Path, frames: Any) -> None:
    path = saved / "policy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "frames": frames}))
    with pytest.raises(ValueError, match=r"policy\.json: tells of no policy: .*frames = "):
        load_policy(saved)


@pytest.mark.parametrize("name", ["ppo", "recurrent_ppo"])
def test_round_trip_of_outcome_observations(name: str, tmp_path: Path) -> None:
    model = train(
        name,
        ID,
        scenario="lot-200",
        observation="outcome",
        total_timesteps=64,
        num_envs=2,
        hyperparameters=HYPERPARAMETERS[name],
    )
    save_policy(model, tmp_path, describe(name, scenario="lot-200", observation="outcome"))
    env = gym.make(ID, scenario="lot-200", observation="outcome")
    expected = baselines.score(env, model, episodes=300)
    assert baselines.score(env, load_policy(tmp_path)[0], episodes=300) == expected


def test_what_train_returns_needs_no_description(
    env: gym.Env[Any, Any], models: dict[str, BaseAlgorithm], tmp_path: Path
) -> None:
    model = models["ppo"]
    save_policy(model, tmp_path / "new" / "folder")
    policy, told = load_policy(tmp_path / "new" / "folder")
    assert baselines.score(env, policy) == baselines.score(env, model)
    assert {name: told[name] for name in ("algorithm", "env_id", "observation", "frames")} == {
        "algorithm": "ppo",
        "env_id": ID,
        "observation": "belief",
        "frames": 1,
    }
    assert told["scenario"] == env.get_wrapper_attr("scenario").model_dump(mode="json")
    assert HYPERPARAMETERS["ppo"].items() <= told["hyperparameters"].items()
    elsewhere = PPO("MlpPolicy", gym.make(ID), device="cpu")
    two = {"scenario": [SMALL_LOT, {**SMALL_LOT, "inspection_cost": 0.5}], "num_envs": 2}
    tiny = {"total_timesteps": 64, "hyperparameters": HYPERPARAMETERS["ppo"]}
    for undescribed in (elsewhere, train("ppo", ID, **two, **tiny)):
        with pytest.raises(ValueError, match="description: is needed"):
            save_policy(undescribed, tmp_path / "other")
    with pytest.raises(ValueError, match=r"exploring_starts = 0\.5: 0 is needed"):
        train("ppo", ID, exploring_starts=0.5, **two, **tiny)
    assert not (tmp_path / "other").exists()


def test_saved_files_are_as_readable_as_others(saved: Path) -> None:
    (saved / "other").touch()
    modes = {path.stat().st_mode for path in saved.iterdir()}
    assert len(modes) == 1


# --- policies that draw ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ppo", "a2c"])
def test_exact_score_of_drawn_actions(
    name: str, models: dict[str, BaseAlgorithm], env: gym.Env[Any, Any]
) -> None:
    score = baselines.score(env, StochasticPolicy(models[name]), deterministic=False)
    assert score.exact
    assert score.value != baselines.score(env, models[name]).value
    arena = SB3VecEnv(make_training_env(ID, 200, SMALL_LOT))
    arena.seed(8)
    torch.manual_seed(8)
    returns, lengths = evaluate_policy(
        models[name], arena, 6000, deterministic=False, return_episode_rewards=True, warn=False
    )
    for sample, expected in ((returns, score.value), (lengths, score.expected_length)):
        error = np.std(sample) / np.sqrt(len(sample))
        assert abs(np.mean(sample) - expected) < 4 * error


@pytest.mark.parametrize("name", ["ppo", "a2c", "maskable_ppo"])
def test_probabilities_are_the_networks(
    name: str, models: dict[str, BaseAlgorithm], env: gym.Env[Any, Any]
) -> None:
    observations = baselines.model(env).observations
    probabilities = StochasticPolicy(models[name].policy).action_probabilities(observations)
    assert probabilities.shape == (len(observations), 3)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-6)
    tensor = torch.as_tensor(observations)
    for action in range(3):
        with torch.no_grad():
            _, logarithms, _ = models[name].policy.evaluate_actions(
                tensor, torch.full((len(tensor),), action)
            )
        np.testing.assert_allclose(probabilities[:, action], logarithms.exp(), rtol=1e-5)


def test_masks_condition_the_probabilities(
    models: dict[str, BaseAlgorithm], env: gym.Env[Any, Any]
) -> None:
    tables = baselines.model(env)
    policy = StochasticPolicy(models["maskable_ppo"])
    free = policy.action_probabilities(tables.observations)
    masked = policy.action_probabilities(tables.observations, action_masks=tables.allowed)
    conditional = free * tables.allowed
    conditional /= conditional.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(masked, conditional, atol=1e-6)
    assert (masked[~tables.allowed] == 0).all()
    torch.manual_seed(0)
    batch = np.repeat(tables.observations[~tables.allowed.all(axis=1)], 50, axis=0)
    masks = np.tile([False, True, True], (len(batch), 1))
    assert 0 in policy.predict(batch)[0]
    assert 0 not in policy.predict(batch, action_masks=masks)[0]
    plain = StochasticPolicy(models["ppo"])
    np.testing.assert_array_equal(
        plain.predict(batch, deterministic=True, action_masks=masks)[0],
        models["ppo"].predict(batch, deterministic=True)[0],
    )


@pytest.mark.parametrize("name", ["dqn", "qrdqn"])
def test_networks_without_probabilities_are_refused(
    name: str, models: dict[str, BaseAlgorithm]
) -> None:
    with pytest.raises(TypeError, match=r"draws no actions"):
        StochasticPolicy(models[name])


# --- files that are not what they should be -------------------------------------------------


def edit_description(folder: Path, **changes: Any) -> None:
    path = folder / "policy.json"
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    content = {name: value for name, value in content.items() if value is not ...}
    path.write_text(json.dumps(content), encoding="utf-8")


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


DAMAGES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "no description": ("policy.json", lambda folder: (folder / "policy.json").unlink()),
    "cut description": ("policy.json", lambda folder: cut(folder / "policy.json", 80)),
    "not text": ("policy.json", lambda folder: (folder / "policy.json").write_bytes(b"\xff\xfe")),
    "a list": ("policy.json", lambda folder: (folder / "policy.json").write_text("[]")),
    "no format": ("policy.json", lambda folder: edit_description(folder, format=...)),
    "newer format": ("policy.json", lambda folder: edit_description(folder, format=2)),
    "no algorithm": ("policy.json", lambda folder: edit_description(folder, algorithm=...)),
    "no scenario": ("policy.json", lambda folder: edit_description(folder, scenario=...)),
    "no hyperparameters": (
        "policy.json",
        lambda folder: edit_description(folder, hyperparameters=...),
    ),
    "unknown algorithm": ("policy.json", lambda folder: edit_description(folder, algorithm="sac")),
    "unknown scenario": ("policy.json", lambda folder: edit_description(folder, scenario="x")),
    "foreign environment": (
        "policy.json",
        lambda folder: edit_description(folder, env_id="CartPole-v1"),
    ),
    "environment that another package registers": (
        "policy.json",
        lambda folder: edit_description(folder, env_id="phys2d/CartPole-v1"),
    ),
    "environment of no name": ("policy.json", lambda folder: edit_description(folder, env_id=None)),
    "hyperparameters of no use": (
        "policy.json",
        lambda folder: edit_description(folder, hyperparameters={"policy_kwargs": {"size": 3}}),
    ),
    "parts that do not go together": (
        "policy.json",
        lambda folder: edit_description(
            folder,
            algorithm="recurrent_ppo",
            hyperparameters={"policy_kwargs": {"shared_lstm": True}},
        ),
    ),
    "no weights": ("policy.safetensors", lambda folder: (folder / "policy.safetensors").unlink()),
    "cut weights": (
        "policy.safetensors",
        lambda folder: cut(folder / "policy.safetensors", 1000),
    ),
    "empty weights": ("policy.safetensors", lambda folder: cut(folder / "policy.safetensors", 0)),
    "a folder": (
        "policy.safetensors",
        lambda folder: (
            (folder / "policy.safetensors").unlink(),
            (folder / "policy.safetensors").mkdir(),
        ),
    ),
    "weights of another algorithm": (
        "policy.safetensors",
        lambda folder: edit_description(folder, algorithm="a2c", hyperparameters={}),
    ),
    "weights of another observation": (
        "policy.safetensors",
        lambda folder: edit_description(folder, observation="outcome"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_folders(damage: str, saved: Path) -> None:
    culprit, spoil = DAMAGES[damage]
    load_policy(saved)
    spoil(saved)
    with pytest.raises(ValueError, match=culprit) as caught:
        load_policy(saved)
    assert str(saved / culprit) in str(caught.value)


def test_weights_of_another_agent(
    saved: Path, models: dict[str, BaseAlgorithm], tmp_path: Path
) -> None:
    weights = load_file(saved / "policy.safetensors")
    weights.pop(next(iter(weights)))
    save_file(weights, saved / "policy.safetensors")
    with pytest.raises(ValueError, match=r"policy\.safetensors: does not fit"):
        load_policy(saved)


def fill(path: Path, size: int) -> None:
    """Make a file of zeros, which takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(size)


def ask_for(folder: Path, algorithm: str = "ppo", **policy_kwargs: Any) -> None:
    edit_description(folder, algorithm=algorithm, hyperparameters={"policy_kwargs": policy_kwargs})


def claim(path: Path, shape: list[int]) -> None:
    """Write weights whose header claims a tensor of any size."""
    size = 4 * math.prod(shape)
    tensor = {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}
    header = json.dumps({"action_net.weight": tensor}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))


TOO_LARGE: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "a description of 1 GB": (
        "policy.json",
        "larger than 16,000,000 bytes",
        lambda folder: fill(folder / "policy.json", 10**9),
    ),
    "a deep description": (
        "policy.json",
        "nested too deep",
        lambda folder: (folder / "policy.json").write_text("[" * 10**6),
    ),
    "a pipe": (
        "policy.json",
        "is no file",
        lambda folder: ((folder / "policy.json").unlink(), os.mkfifo(folder / "policy.json")),
    ),
    "wide layers": (
        "policy.json",
        r"net_arch = \[1000000000\].*from 1 to 10,000",
        lambda folder: ask_for(folder, net_arch=[10**9]),
    ),
    "many layers": (
        "policy.json",
        "net_arch = .* at most 32 layers",
        lambda folder: ask_for(folder, net_arch=[1] * 10**6),
    ),
    "many weights": (
        "policy.json",
        "100,000,000 weights; at most 10,000,000",
        lambda folder: ask_for(folder, net_arch=[10_000, 10_000]),
    ),
    "many quantiles": (
        "policy.json",
        "n_quantiles = 1000000000: should be less",
        lambda folder: ask_for(folder, "qrdqn", n_quantiles=10**9),
    ),
    "a class": (
        "policy.json",
        "unknown hyperparameter 'features_extractor_class'",
        lambda folder: ask_for(folder, features_extractor_class="os.system"),
    ),
    "weights of 1 TB": (
        "policy.safetensors",
        "larger than",
        lambda folder: fill(folder / "policy.safetensors", 10**12),
    ),
    "a claim of 4 TB": (
        "policy.safetensors",
        "cannot be read",
        lambda folder: claim(folder / "policy.safetensors", [10**6, 10**6]),
    ),
    "a claim beyond 64 bits": (
        "policy.safetensors",
        "cannot be read",
        lambda folder: claim(folder / "policy.safetensors", [2**40, 2**40]),
    ),
}


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_sizes_are_bounded_before_memory_is_taken(kind: str, saved: Path) -> None:
    culprit, message, spoil = TOO_LARGE[kind]
    spoil(saved)
    with pytest.raises(ValueError, match=message) as caught:
        load_policy(saved)
    assert str(saved / culprit) in str(caught.value)
    assert len(str(caught.value)) < 1000


class Malicious:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def write_pickle(path: Path, content: Any) -> None:
    path.write_bytes(pickle.dumps(content))


def write_checkpoint(path: Path, content: Any) -> None:
    torch.save({"weight": content}, path)


@pytest.mark.parametrize("write", [write_pickle, write_checkpoint])
@pytest.mark.parametrize("name", ["policy.safetensors", "policy.json"])
def test_nothing_is_unpickled(
    name: str, write: Callable[[Path, Any], None], saved: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    write(saved / name, Malicious(marker))
    with pytest.raises(ValueError, match=name):
        load_policy(saved)
    assert not marker.exists()
    # The file does run what it holds, where a careless reader opens it.
    if write is write_pickle:
        pickle.loads((saved / name).read_bytes())
    else:
        torch.load(io.BytesIO((saved / name).read_bytes()), weights_only=False)
    assert marker.exists()


def test_no_module_is_imported(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gymnasium imports what stands before the colon of an id."""
    (tmp_path / "malicious_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    edit_description(saved, env_id=f"malicious_module:{ID}")
    with pytest.raises(ValueError, match=r"policy\.json.*malicious_module"):
        load_policy(saved)
    assert "malicious_module" not in sys.modules


def test_saving_again_replaces(saved: Path, models: dict[str, BaseAlgorithm]) -> None:
    shutil.copy(saved / "policy.safetensors", saved / "old")
    save_policy(models["a2c"], saved, describe("a2c"))
    policy, description = load_policy(saved)
    assert description["algorithm"] == "a2c"
    weights = models["a2c"].policy.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in policy.state_dict().items())
