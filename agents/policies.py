"""Trained policies as data: weights in safetensors beside a JSON description. Nothing is unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from agents.algorithms import find_algorithm
from agents.files import read_json, write_whole
from agents.hyperparameters import MAX_FRAMES
from agents.vec_env import stack, stacked_space
from qc_gym.core.env import QCEnv, observation_space
from qc_gym.core.errors import ScenarioError, shown
from qc_gym.core.files import read_bounded
from qc_gym.core.numbers import whole_number
from qc_gym.core.policy import feature_lens
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.registry import ENVIRONMENTS

DESCRIPTION, WEIGHTS = "policy.json", "policy.safetensors"
_FORMAT = 1
_HEADER = 1024
"""Most bytes that tell of one tensor: its name, its shape and where it is."""


class StochasticPolicy:
    """A trained model as the policy that draws its actions, with the probabilities it draws from.

    For ``baselines.score(env, StochasticPolicy(model), deterministic=False)``, which is exact.

    Parameters
    ----------
    model
        A stable-baselines3 model or policy whose network gives a distribution over actions (PPO,
        A2C, MaskablePPO).
    """

    def __init__(self, model: BaseAlgorithm | BasePolicy) -> None:
        policy = model.policy if isinstance(model, BaseAlgorithm) else model
        if not hasattr(policy, "get_distribution"):
            raise TypeError(f"model of type {type(model).__name__}: it draws no actions")
        self.policy: Any = policy
        self._model = model

    def get_vec_normalize_env(self) -> Any:
        """Return the normalisation of observations that the model was trained behind, or None."""
        return (
            self._model.get_vec_normalize_env() if isinstance(self._model, BaseAlgorithm) else None
        )

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: NDArray[np.bool_] | None = None,
    ) -> tuple[Any, Any]:
        """Return (actions, state), as the model does; drawn unless ``deterministic``.

        ``action_masks`` is for a model that takes them (MaskablePPO); another does not read it.
        """
        masks = _masks(self.policy, action_masks)
        return self.policy.predict(observation, state, episode_start, deterministic, **masks)

    def action_probabilities(
        self, observations: NDArray[np.float32], action_masks: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Return the probabilities of the actions, (B, size) → float64 (B, A)."""
        tensor, _ = self.policy.obs_to_tensor(observations)
        with torch.no_grad():
            answer = self.policy.get_distribution(tensor, **_masks(self.policy, action_masks))
        return np.asarray(answer.distribution.probs.double().numpy())


class FrameStack:
    """A policy of the last observations, as one that keeps them: what an agent trained on frames plays.

    Parameters
    ----------
    policy
        A stable-baselines3 model or policy that sees so many observations side by side, the newest last.
    frames
        How many.

    Raises
    ------
    ValueError
        Its observations are not so many.
    """

    def __init__(self, policy: BaseAlgorithm | BasePolicy, frames: int) -> None:
        frames = whole_number("frames", frames, 1)
        shape = policy.observation_space.shape or ()
        if len(shape) != 1 or shape[0] % frames:
            raise ValueError(
                f"frames = {frames}: the policy sees observations of shape {shape}, which are not so many"
            )
        self.policy: Any = policy
        self.frames = frames

    @property
    def action_space(self) -> gym.Space[Any]:
        """The actions of the policy."""
        return self.policy.action_space

    @property
    def observation_space(self) -> gym.Space[Any]:
        """One observation of the environment."""
        seen = self.policy.observation_space
        size = seen.shape[0] // self.frames
        return gym.spaces.Box(seen.low[-size:], seen.high[-size:], dtype=seen.dtype)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: NDArray[np.float32] | None = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_masks: NDArray[np.bool_] | None = None,
    ) -> tuple[Any, NDArray[np.float32]]:
        """Return (actions, state): the state is the observations so far, (B, frames · size)."""
        observations = np.atleast_2d(np.asarray(observation, np.float32))
        seen = np.zeros((len(observations), self.frames * observations.shape[1]), np.float32)
        if state is not None:
            begins = False if episode_start is None else np.asarray(episode_start, np.bool_)
            seen = np.where(np.reshape(begins, (-1, 1)), np.float32(0.0), state)
        seen = stack(seen, observations)
        masks = _masks(self.policy, action_masks)
        actions, _ = self.policy.predict(seen, deterministic=deterministic, **masks)
        return (actions[0] if np.ndim(observation) == 1 else actions), seen


def _masks(
    policy: BaseAlgorithm | BasePolicy, action_masks: NDArray[np.bool_] | None
) -> dict[str, NDArray[np.bool_]]:
    """Return the masks as an argument, for a policy that takes them."""
    network = policy.policy if isinstance(policy, BaseAlgorithm) else policy
    if action_masks is None or not isinstance(network, MaskableActorCriticPolicy):
        return {}
    return {"action_masks": action_masks}


def as_played(policy: BaseAlgorithm | BasePolicy, frames: int) -> Any:
    """Return what plays an environment: the policy itself, or one that keeps the frames it sees."""
    return policy if frames == 1 else FrameStack(policy, frames)


def save_policy(
    model: BaseAlgorithm, folder: str | Path, description: Mapping[str, Any] | None = None
) -> None:
    """Write the policy of a model into a folder: weights, and how to build the network.

    Parameters
    ----------
    folder
        Is made if missing; ``policy.json`` and ``policy.safetensors`` are written.
    description
        ``algorithm``, ``hyperparameters``, ``env_id``, ``scenario``, ``observation`` and ``frames`` of the
        training. Not needed for what :func:`agents.train` returned, unless it was trained on a list of
        scenarios.

    Raises
    ------
    ValueError
        No description, of a model that was trained otherwise.
    OSError
        A file cannot be written; the error names it.
    """
    for name, content in policy_files(model, description).items():
        write_whole(Path(folder) / name, content)


def policy_files(
    model: BaseAlgorithm, description: Mapping[str, Any] | None = None
) -> dict[str, bytes]:
    """Return what :func:`save_policy` writes, by name of the file."""
    description = description or getattr(model, "description", None)
    if description is None:
        raise ValueError("description: is needed for a model that agents.train did not return")
    tensors = {name: tensor.contiguous() for name, tensor in model.policy.state_dict().items()}
    content = json.dumps({"format": _FORMAT, **description}, indent=2) + "\n"
    return {WEIGHTS: save(tensors), DESCRIPTION: content.encode()}


def load_policy(folder: str | Path) -> tuple[BasePolicy | FrameStack, dict[str, Any]]:
    """Return the policy in a folder that :func:`save_policy` wrote, and its description.

    The folder may be from anybody: no code in it is run, and nothing is made of a size that it asks for
    before that is known to be a possible one.

    Raises
    ------
    ValueError
        A file is missing, damaged, too large or of another format, or tells of a network that is; the
        message names it.
    """
    folder = Path(folder)
    try:
        description = read_json(folder / DESCRIPTION)
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder / DESCRIPTION}: cannot be read: {error}") from error
    if not isinstance(description, dict) or description.get("format") != _FORMAT:
        raise ValueError(f"{folder / DESCRIPTION}: not a policy of format {_FORMAT}")
    try:
        policy = _network(description)
    except (
        AssertionError,  # how stable-baselines3 refuses what does not go together
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:
        raise ValueError(f"{folder / DESCRIPTION}: tells of no policy: {error!r}") from error
    tensors = policy.state_dict().values()
    most = sum(tensor.nbytes + _HEADER for tensor in tensors) + _HEADER
    try:
        weights = load(read_bounded(folder / WEIGHTS, most))
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder / WEIGHTS}: cannot be read: {error}") from error
    try:
        policy.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{folder / WEIGHTS}: does not fit {DESCRIPTION}: {error}") from error
    for name, tensor in policy.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{folder / WEIGHTS}: {name} holds numbers that are not finite")
    policy.set_training_mode(False)
    return as_played(policy, _frames(description)), description


def _frames(description: Mapping[str, Any]) -> int:
    """Return how many observations the network sees at a time; before there were frames, one."""
    frames = description.get("frames", 1)
    if type(frames) is not int or not 1 <= frames <= MAX_FRAMES:
        raise ValueError(
            f"frames = {shown(frames)}: a whole number from 1 to {MAX_FRAMES:,} is needed"
        )
    return frames


def check_fits(
    policy: BasePolicy | FrameStack, description: Mapping[str, Any], env: gym.Env[Any, Any]
) -> None:
    """Check that a policy which :func:`load_policy` returned can play an environment.

    Its scenario may be another than that of the training, as long as observations and actions are
    of the same sizes.

    Raises
    ------
    ValueError
        The policy is of another environment, or sees or does something else; the message says what.
    """
    inner = env.unwrapped
    env_id = env.spec.id if env.spec is not None else type(inner).__name__
    if env_id != description["env_id"]:
        raise ValueError(f"{env_id}: the model was trained on {description['env_id']}")
    observation = getattr(inner, "observation", None)
    if observation != description["observation"]:
        raise ValueError(f"observation {observation}: the model sees {description['observation']}")
    for what, wanted, given in (
        ("observations", policy.observation_space, env.observation_space),
        ("actions", policy.action_space, env.action_space),
    ):
        if wanted != given:
            raise ValueError(f"scenario: its {what} are {given}; the model's are {wanted}")


def as_seen(env: gym.Env[Any, Any], trained_on: Any) -> gym.Env[Any, Any]:
    """Return an environment of one scenario as a policy sees it.

    Parameters
    ----------
    trained_on
        The scenario or the range that it was trained on. Of a range, it sees the numbers of the
        scenario, scaled over the range, beside the observation.

    Raises
    ------
    ScenarioError
        The scenario does not have what the range varies.
    """
    inner = env.unwrapped
    assert isinstance(inner, QCEnv)
    spread = inner.scenario_type.parse(trained_on)
    if not isinstance(spread, ScenarioRange):
        return env
    lens = feature_lens(spread.features(inner.scenario))
    if spread.kernel != inner.kernel:
        raise ScenarioError("scenario: its states and actions are not of the size of the range's")
    space = observation_space(spread, inner.observation)
    return gym.wrappers.TransformObservation(env, lambda row: lens(row[np.newaxis])[0], space)


def _network(description: Mapping[str, Any]) -> BasePolicy:
    """Return the untrained network that a description tells of."""
    # gym.make would import a module that it names, or that of another package's environment.
    if description["env_id"] not in ENVIRONMENTS:
        raise ValueError(f"unknown env_id {description['env_id']!r}")
    env = gym.make(
        description["env_id"],
        scenario=description["scenario"],
        observation=description["observation"],
    )
    entry = find_algorithm(description["algorithm"])
    given = {"policy_kwargs": description["hyperparameters"].get("policy_kwargs") or {}}
    policy_kwargs = entry.hyperparameters(given).get("policy_kwargs", {})
    return entry.type.policy_aliases[entry.policy](
        stacked_space(env.observation_space, _frames(description)),
        env.action_space,
        lr_schedule=lambda remaining: 0.0,
        **policy_kwargs,
    )
