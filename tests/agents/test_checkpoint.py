"""A training that was broken off goes on to the same agent, bit for bit."""

import io
import zipfile
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from strategies import SMALL_LOT

from agents import ALGORITHMS, ExactRegret, train
from agents.checkpoint import _unpacked, replays, restore
from qc_gym.core.vector import QCVectorEnv

ID = "qc_gym/SequentialSampling-v0"
STEPS = 480
_ROLLOUTS = {"n_steps": 8, "batch_size": 16, "n_epochs": 2}
_REPLAY = {
    "learning_starts": 64,
    "buffer_size": 200,  # goes round more than once
    "batch_size": 16,
    "target_update_interval": 50,
    "exploration_fraction": 0.5,
}
TINY: dict[str, dict[str, Any]] = {
    "ppo": _ROLLOUTS,
    "a2c": {"n_steps": 4, "ent_coef": {"initial": 0.5, "final": 0.0}},
    "dqn": _REPLAY,
    "qrdqn": {**_REPLAY, "policy_kwargs": {"net_arch": [16], "n_quantiles": 8}},
    "maskable_ppo": _ROLLOUTS,
    "recurrent_ppo": {**_ROLLOUTS, "policy_kwargs": {"lstm_hidden_size": 16}},
}


class BrokenOff(Exception):
    """What ends a training here."""


class _BreakOff(BaseCallback):
    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def _on_step(self) -> bool:
        if self.num_timesteps >= self.at:
            raise BrokenOff
        return True


def train_tiny(
    algorithm: str,
    at: int | None = None,
    env_id: str = ID,
    scenario: Any = SMALL_LOT,
    **kwargs: Any,
) -> tuple[BaseAlgorithm, list[dict[str, float]]]:
    """Train, and break off after so many steps; return the agent and its curve."""
    env = gym.make(env_id, scenario=scenario)
    curve = ExactRegret(env, STEPS // 8, episodes=20, count=3)
    model = train(
        algorithm,
        env_id,
        scenario=scenario,
        seed=1,
        total_timesteps=STEPS,
        num_envs=4,
        hyperparameters=TINY[algorithm],
        callback=[curve] if at is None else [_BreakOff(at), curve],
        **kwargs,
    )
    return model, [{**row, "seconds": 0.0} for row in curve.rows]


def assert_same(one: BaseAlgorithm, other: BaseAlgorithm) -> None:
    weights, others = one.policy.state_dict(), other.policy.state_dict()
    assert list(weights) == list(others)
    for name, value in weights.items():
        assert torch.equal(value, others[name]), name
    assert one.num_timesteps == other.num_timesteps


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_goes_on_to_the_same_agent(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    undisturbed, curve = train_tiny(algorithm)
    for at in (130, 90, 300, 410):  # a second time before the first checkpoint that follows it
        with pytest.raises(BrokenOff):
            train_tiny(algorithm, at, checkpoint=path, replay=True)
        assert path.exists()
        torch.rand(7)  # whatever else happens in between
    model, again = train_tiny(algorithm, checkpoint=path, replay=True)
    assert_same(model, undisturbed)
    assert again == curve


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_keeping_checkpoints_changes_nothing(algorithm: str, tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    model, curve = train_tiny(algorithm, checkpoint=path)
    assert_same(model, train_tiny(algorithm)[0])
    # Without its buffer it would not be the same training that goes on.
    assert path.exists() != replays(model)
    assert curve[-1]["timesteps"] >= STEPS


@pytest.mark.parametrize("env_id", ["qc_gym/KStage-v0", "qc_gym/KStageControl-v0"])
def test_it_goes_on_with_a_range(env_id: str, tmp_path: Path) -> None:
    plants = {"env_id": env_id, "scenario": "train"}
    undisturbed, curve = train_tiny("ppo", **plants)
    for at in (130, 300):
        with pytest.raises(BrokenOff):
            train_tiny("ppo", at, **plants, checkpoint=tmp_path / "state.npz")
    model, again = train_tiny("ppo", **plants, checkpoint=tmp_path / "state.npz")
    assert_same(model, undisturbed)
    assert again == curve


@pytest.mark.parametrize("setting", [{"exploring_starts": 0.5}, {"frames": 3}])
@pytest.mark.parametrize("algorithm", ["ppo", "maskable_ppo", "dqn"])
def test_it_goes_on_with(algorithm: str, setting: dict[str, Any], tmp_path: Path) -> None:
    undisturbed, curve = train_tiny(algorithm, **setting)
    with pytest.raises(AssertionError):
        assert_same(undisturbed, train_tiny(algorithm)[0])
    kept: dict[str, Any] = {**setting, "checkpoint": tmp_path / "state.npz", "replay": True}
    for at in (130, 300):
        with pytest.raises(BrokenOff):
            train_tiny(algorithm, at, **kept)
    model, again = train_tiny(algorithm, **kept)
    assert_same(model, undisturbed)
    assert again == curve


def test_a_damaged_checkpoint_is_none(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    undisturbed, _ = train_tiny("ppo", checkpoint=path)
    content = path.read_bytes()
    middle = len(content) // 2
    for damaged in (
        b"",
        b"nothing",
        content[:middle],
        content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
    ):
        path.write_bytes(damaged)
        assert_same(train_tiny("ppo", checkpoint=path)[0], undisturbed)


def npz(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def array(shape: tuple[int, ...], data: bytes) -> bytes:
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + data


def test_a_checkpoint_that_claims_more_than_it_holds_is_none(tmp_path: Path) -> None:
    compressed = io.BytesIO()
    np.savez_compressed(compressed, json=np.zeros(10**6))
    whole = npz(json=array((2,), bytes(16)))
    assert list(_unpacked(whole)) == ["json"]
    path = tmp_path / "state.npz"
    model, _ = train_tiny("ppo")
    curve = ExactRegret(gym.make(ID, scenario=SMALL_LOT), STEPS)
    for content, message in (
        (npz(json=array((10**12,), bytes(16))), "claims the shape"),
        (npz(json=array((10**6, 10**6, 10**6), b"")), "claims the shape"),
        (compressed.getvalue(), "its parts are larger than it is"),
        (npz(json=b"\x93NUMPY\x03\x00" + bytes(64)), "another format"),
    ):
        with pytest.raises(ValueError, match=message):
            _unpacked(content)
        path.write_bytes(content)
        assert not restore(path, model, curve, {})
    entry = whole.index(b"PK\x01\x02")  # in the archive's directory
    for place, number in ((6, 120), (8, 1), (10, 8), (10, 14)):  # version, password, compression
        path.write_bytes(whole[: entry + place] + bytes([number]) + whole[entry + place + 1 :])
        assert not restore(path, model, curve, {})
    with path.open("wb") as file:
        file.truncate(10**12)
    assert not restore(path, model, curve, {})


def test_a_checkpoint_of_another_training_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    with pytest.raises(BrokenOff):
        train_tiny("a2c", 300, checkpoint=path)
    with pytest.raises(ValueError, match=r"state\.npz: is not the state of this training"):
        train_tiny("recurrent_ppo", checkpoint=path)


def test_a_checkpoint_of_the_same_shapes_of_another_training_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    same: dict[str, Any] = {
        "scenario": SMALL_LOT,
        "seed": 1,
        "total_timesteps": STEPS,
        "num_envs": 4,
        "hyperparameters": TINY["a2c"],
        "reward_scale": 0.1,
    }

    def go_on(**arguments: Any) -> BaseAlgorithm:
        curve = ExactRegret(gym.make(ID, scenario=SMALL_LOT), STEPS // 8)
        return train("a2c", ID, **arguments, callback=curve, checkpoint=path)

    agent = go_on(**same)
    before = path.read_bytes()
    others: dict[str, Any] = {
        "seed": 4,
        "total_timesteps": 2 * STEPS,
        "hyperparameters": {**TINY["a2c"], "learning_rate": 1e-4},
        "reward_scale": 0.2,
        "exploring_starts": 0.5,
        "scenario": {**SMALL_LOT, "inspection_cost": 0.75},
    }
    for name, other in others.items():
        with pytest.raises(ValueError, match=rf"state\.npz: .*with other {name}: {name} = .* here"):
            go_on(**{**same, name: other})
        assert path.read_bytes() == before
    assert_same(go_on(**same), agent)


def test_a_training_goes_on_without_a_checkpoint_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder", encoding="utf-8")
    undisturbed, curve = train_tiny("a2c")
    with pytest.warns(RuntimeWarning, match=r"no checkpoint was written: .*file") as caught:
        agent, other = train_tiny("a2c", checkpoint=file / "state.npz")
    assert_same(agent, undisturbed)
    assert other == curve
    # Before the first step and after the last one there is nothing to go on from.
    assert sum("no checkpoint" in str(one.message) for one in caught) == len(curve) - 2
    assert file.read_text(encoding="utf-8") == "not a folder"


def test_it_goes_with_a_curve(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="checkpoint: goes with an ExactRegret"):
        train("ppo", ID, scenario=SMALL_LOT, total_timesteps=64, checkpoint=tmp_path / "state.npz")


def vector_env(num_envs: int, scenario: Any = "lot-200") -> QCVectorEnv:
    env = gym.make_vec(ID, num_envs=num_envs, scenario=scenario, autoreset_mode="SameStep")
    assert isinstance(env, QCVectorEnv)
    return env


@pytest.mark.parametrize(
    "scenario", ["lot-200", {**SMALL_LOT, "inspection_cost": {"low": 0.5, "high": 1.0}}]
)
def test_environments_go_on_where_others_were(scenario: Any) -> None:
    first, second = vector_env(5, scenario), vector_env(5, scenario)
    first.reset(seed=3)
    first.action_space.seed(3)
    for step in range(30):
        first.step(first.action_space.sample() * (step % 3 == 0))
    second.restore(first.snapshot())
    for _ in range(50):
        actions = first.action_space.sample()
        for one, other in zip(first.step(actions)[:4], second.step(actions)[:4], strict=True):
            assert (one == other).all()


def test_what_is_no_snapshot() -> None:
    first = vector_env(5)
    first.reset(seed=3)
    with pytest.raises(ValueError, match=r"snapshot: states .*shape \(5,\); .*\(4,\)"):
        vector_env(4).restore(first.snapshot())
