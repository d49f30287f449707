"""Environments are registered in one place, with what belongs to them."""

import json
import subprocess
import sys

import gymnasium as gym
import pytest

import qc_gym
from qc_gym.core.registry import Registration, plain_id, registration_of
from qc_gym.core.vector import vector_type
from qc_gym.lot.env import InspectOrStopEnv, InspectOrStopVectorEnv


class MineEnv(InspectOrStopEnv):
    """An environment of somebody else."""


class MineVectorEnv(InspectOrStopVectorEnv):
    """Many of them."""

    env_type = MineEnv


@pytest.mark.parametrize("env_id", qc_gym.ENVIRONMENTS)
def test_classes_know_their_registration(env_id: str) -> None:
    env_type = type(gym.make(env_id).unwrapped)
    registration = qc_gym.ENVIRONMENTS[env_id]
    assert registration.env_id == env_id
    assert registration_of(env_type) == registration
    assert registration_of(vector_type(env_type)) == registration  # type: ignore[arg-type]
    assert gym.spec(env_id).entry_point == f"{registration.environment}Env"
    assert gym.spec(env_id).vector_entry_point == f"{registration.environment}VectorEnv"


FRESH = """
import json, sys
import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

spec, *full_ids = sys.argv[1:]
made = [gym.make(EnvSpec.from_json(spec))]
made += map(gym.make, full_ids)
print(json.dumps([type(env.unwrapped).__name__ for env in made]))
"""


def test_full_ids_and_specs_need_no_import() -> None:
    """Each is made in a process that knows Gymnasium alone; the spec is what data sets hold."""
    spec = gym.make("qc_gym/KStage-v0").spec
    assert spec is not None
    full_ids = [one.full_id for one in qc_gym.ENVIRONMENTS.values()]
    command = [sys.executable, "-c", FRESH, spec.to_json(), *full_ids]
    names = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    types = [type(gym.make(one).unwrapped).__name__ for one in ("qc_gym/KStage-v0", *full_ids)]
    assert names == types


def test_plain_ids() -> None:
    for env_id, registration in qc_gym.ENVIRONMENTS.items():
        assert plain_id(registration.full_id) == plain_id(env_id) == env_id
    for other in ("", "os:qc_gym/KStage-v0", "qc_gym:KStage-v0", "CartPole-v1"):
        assert plain_id(other) == other


def test_register(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qc_gym.core.registry, "ENVIRONMENTS", dict(qc_gym.ENVIRONMENTS))
    monkeypatch.setattr(gym.envs.registration, "registry", dict(gym.registry))
    monkeypatch.setattr(gym, "registry", gym.envs.registration.registry)
    assert registration_of(MineEnv).env_id == "qc_gym/InspectOrStop-v0"  # which it extends
    for _ in range(2):
        qc_gym.register("mine/Lot-v0", environment=f"{__name__}:Mine", family="mine:FAMILY")
    expected = Registration("mine/Lot-v0", f"{__name__}:Mine", "mine:FAMILY")
    assert registration_of(MineEnv) == registration_of(MineVectorEnv) == expected
    assert registration_of(InspectOrStopEnv).env_id == "qc_gym/InspectOrStop-v0"
    assert "mine/Lot-v0" in gym.registry
    with pytest.raises(ValueError, match="'mine/Lot-v0': is registered already"):
        qc_gym.register("mine/Lot-v0", environment="other:Mine", family="mine:FAMILY")
    with pytest.raises(ValueError, match="'CartPole-v1': is registered already, as not of ours"):
        qc_gym.register("CartPole-v1", environment="other:Mine", family="mine:FAMILY")


@pytest.mark.parametrize("path", ["mine", "mine:", ":Mine", "mine:My Env", "mine:a:b"])
def test_paths(path: str) -> None:
    with pytest.raises(ValueError, match=f"environment = '{path}'"):
        qc_gym.register("mine/Lot-v0", environment=path, family="mine:FAMILY")
    with pytest.raises(ValueError, match=f"family = '{path}'"):
        qc_gym.register("mine/Lot-v0", environment="mine:Mine", family=path)
    assert "mine/Lot-v0" not in qc_gym.ENVIRONMENTS


def test_a_class_that_is_not_registered() -> None:
    with pytest.raises(LookupError, match=r"CartPole.*qc_gym\.register"):
        registration_of(type(gym.make("CartPole-v1").unwrapped))
