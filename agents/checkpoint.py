"""The whole state of a training, as data: it goes on from there as if it had never been broken off.

A checkpoint is one ``.npz`` file of arrays and JSON, written whole or not at all; reading it runs no
code, and takes no more memory than such a training's can. What it says is believed, though: the compiled
environments go on from its states without a check, so a checkpoint from elsewhere is one to remove.
It holds the network and its optimiser, the environments with their streams, the generators of
torch, numpy and Python, and the learning curve; of an algorithm that replays, its buffer only if that is
asked for.
"""

from __future__ import annotations

import io
import json
import math
import random
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from agents.callbacks import ExactRegret
from agents.files import MAX_TEXT, write_whole
from agents.vec_env import SB3VecEnv
from qc_gym.core.errors import shown
from qc_gym.core.files import read_bounded

Arrays = dict[str, NDArray[Any]]
_COUNTS = ("num_timesteps", "_episode_num", "_n_updates", "_n_calls", "exploration_rate")
"""What an algorithm counts, where it has it."""
_LSTM = ("pi", "vf")
_REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class Checkpoints(BaseCallback):
    """Keeps the state of a training in a file, at the points of its curve.

    Where that is not possible, a warning says so; the training goes on, and the last one stays.

    Parameters
    ----------
    path
        The file; that of an earlier checkpoint is replaced.
    curve
        The callback that scores; its ``every`` says when.
    training
        What tells the training from others, as JSON can hold it.
    replay
        Whether to keep the replay buffer. An algorithm that has one, and may not keep it, leaves no
        checkpoint: it would not be the same training that goes on.
    """

    def __init__(
        self, path: Path, curve: ExactRegret, training: Mapping[str, Any], replay: bool = False
    ) -> None:
        super().__init__()
        self.path = path
        self.curve = curve
        self.training = training
        self.replay = replay
        self._rows = 0

    def _on_training_start(self) -> None:
        self._rows = len(self.curve.rows)

    def _on_rollout_start(self) -> None:
        # Between two roll-outs, where nothing is under way.
        if len(self.curve.rows) > self._rows and (self.replay or not replays(self.model)):
            self._rows = len(self.curve.rows)
            arrays, told = _state_of(self.model, self.curve)
            content = _packed((arrays, {**told, "training": self.training}))
            try:
                write_whole(self.path, content)
            except OSError as error:  # a full disk: the training needs none to go on
                warnings.warn(f"no checkpoint was written: {error}", RuntimeWarning, stacklevel=2)

    def _on_step(self) -> bool:
        return True


def replays(model: BaseAlgorithm) -> bool:
    """Return whether an algorithm learns from a replay buffer."""
    return isinstance(model, OffPolicyAlgorithm)


def restore(
    path: Path, model: BaseAlgorithm, curve: ExactRegret, training: Mapping[str, Any]
) -> bool:
    """Put a new model where the training was of which ``path`` is the checkpoint.

    ``training`` tells it from others, as :class:`Checkpoints` was told.

    Returns
    -------
    bool
        Whether there is one that can be used; else nothing was changed.

    Raises
    ------
    ValueError
        It is one of another training; the message names the file.
    """
    try:
        arrays = _unpacked(read_bounded(path, _most_bytes(model)))
        told = json.loads(arrays.pop("json").tobytes())
    except (OSError, LookupError, ValueError, zipfile.BadZipFile, EOFError, RuntimeError):
        return False
    try:
        _check_training(told["training"], training)
        _restore(model, curve, arrays, told)
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path}: is not the state of this training; remove it: {error!r}"
        ) from error
    return True


def _check_training(told: Mapping[str, Any], training: Mapping[str, Any]) -> None:
    """Raise a ValueError, which names the differences, if a checkpoint is one of another training."""
    wanted = json.loads(json.dumps(training))
    names = [name for name in {**told, **wanted} if told.get(name) != wanted.get(name)]
    if names:
        first = names[0]
        raise ValueError(
            f"it is of a training with other {', '.join(names)}: {first} = {shown(told.get(first))} there, "
            f"{shown(wanted.get(first))} here"
        )


def _most_bytes(model: BaseAlgorithm) -> int:
    """Return more than the state of a training comes to, in bytes."""
    env = _env_of(model).env
    network = sum(tensor.nbytes for tensor in model.policy.state_dict().values())
    sub_environments = sum(value.nbytes for value in env.snapshot().values())
    # An observation, a mask, and a few numbers of the episode under way.
    size = math.prod(model.observation_space.shape or ())
    seen = 8 * env.num_envs * (size + env.kernel.num_actions + 8)
    recurrent = sum(
        tensor.nbytes
        for which in _LSTM
        for tensor in getattr(getattr(model, "_last_lstm_states", None), which, ())
    )
    replay = sum(
        getattr(model.replay_buffer, name).nbytes  # type: ignore[attr-defined]
        for name in (_REPLAY if replays(model) else ())
    )
    # An optimiser keeps up to three numbers for each weight.
    return 4 * network + 2 * (sub_environments + seen + recurrent) + replay + MAX_TEXT


def _packed(content: tuple[Arrays, Mapping[str, Any]]) -> bytes:
    arrays, told = content
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, json=text, **arrays)
    return buffer.getvalue()


def _unpacked(content: bytes) -> Arrays:
    """Return the arrays of an ``.npz`` file.

    Raises
    ------
    ValueError, zipfile.BadZipFile, RuntimeError
        It is none, of a version or with a password that is not expected, or claims more than it holds:
        as compressed or repeated parts, or in the shape of an array, for which numpy takes the memory
        before it reads.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > len(content):
            raise ValueError("its parts are larger than it is")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError("its parts are compressed")
            with archive.open(member) as part:
                _check_claim(part, member.file_size)
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _check_claim(part: IO[bytes], size: int) -> None:
    """Raise a ValueError where the head of an ``.npy`` file claims another size than the file has."""
    if np.lib.format.read_magic(part) != (1, 0):
        raise ValueError("an array of another format")
    shape, _, dtype = np.lib.format.read_array_header_1_0(part)
    if math.prod(shape) * dtype.itemsize != size - part.tell():
        raise ValueError(f"an array of {dtype} that claims the shape {shape} in {size:,} bytes")


def _state_of(model: BaseAlgorithm, curve: ExactRegret) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays of a training's state, and the rest, which JSON can hold."""
    vec_env = _env_of(model)
    arrays: Arrays = {f"env.{name}": value for name, value in vec_env.snapshot().items()}
    for name, tensor in model.policy.state_dict().items():
        arrays[f"policy.{name}"] = tensor.numpy()
    optimiser = model.policy.optimizer.state_dict()
    for number, moments in optimiser["state"].items():
        for name, value in moments.items():
            arrays[f"optimiser.{number}.{name}"] = torch.as_tensor(value).numpy()
    arrays["last_obs"] = np.asarray(model._last_obs)
    arrays["last_episode_starts"] = np.asarray(model._last_episode_starts)
    if hasattr(model, "_last_lstm_states"):
        for which in _LSTM:
            for i, tensor in enumerate(getattr(model._last_lstm_states, which)):
                arrays[f"lstm.{which}.{i}"] = tensor.numpy()
    if replays(model):
        buffer = model.replay_buffer  # type: ignore[attr-defined]
        filled = buffer.buffer_size if buffer.full else buffer.pos
        for name in _REPLAY:
            arrays[f"replay.{name}"] = getattr(buffer, name)[:filled]
    arrays["torch"] = torch.get_rng_state().numpy()
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002 - what stable-baselines3 draws from
    arrays["numpy"] = np.asarray(keys)
    version, internal, following = random.getstate()
    arrays["python"] = np.array(internal, np.uint64)
    told = {
        "counts": {name: getattr(model, name) for name in _COUNTS if hasattr(model, name)},
        "groups": [
            {name: value for name, value in group.items() if name != "params"}
            for group in optimiser["param_groups"]
        ],
        "numpy": [kind, position, has_gauss, gauss],
        "python": [version, following],
        "actions": model.action_space.np_random.bit_generator.state,
        "replay": [buffer.pos, buffer.full] if replays(model) else None,
        "curve": curve.rows,
    }
    return arrays, told


def _restore(
    model: BaseAlgorithm, curve: ExactRegret, arrays: Arrays, told: Mapping[str, Any]
) -> None:
    vec_env = _env_of(model)
    vec_env.restore(_below("env.", arrays))
    weights = {name: torch.from_numpy(value) for name, value in _below("policy.", arrays).items()}
    model.policy.load_state_dict(weights)
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for place, value in _below("optimiser.", arrays).items():
        number, _, name = place.partition(".")
        moments.setdefault(int(number), {})[name] = torch.from_numpy(value)
    optimiser = model.policy.optimizer
    groups = optimiser.state_dict()["param_groups"]
    for group, values in zip(groups, told["groups"], strict=True):
        group.update({name: _as_before(group.get(name), value) for name, value in values.items()})
    optimiser.load_state_dict({"state": moments, "param_groups": groups})
    model._last_obs = arrays["last_obs"]
    model._last_episode_starts = arrays["last_episode_starts"]
    if hasattr(model, "_last_lstm_states"):
        states = {
            which: tuple(torch.from_numpy(arrays[f"lstm.{which}.{i}"]) for i in (0, 1))
            for which in _LSTM
        }
        model._last_lstm_states = type(model._last_lstm_states)(**states)
    if replays(model):
        buffer = model.replay_buffer  # type: ignore[attr-defined]
        for name, value in _below("replay.", arrays).items():
            getattr(buffer, name)[: len(value)] = value
        buffer.pos, buffer.full = told["replay"]
    for name in told["counts"].keys() & set(_COUNTS):
        setattr(model, name, told["counts"][name])
    model.action_space.np_random.bit_generator.state = told["actions"]
    curve.rows = list(told["curve"])
    torch.set_rng_state(torch.from_numpy(arrays["torch"]))
    kind, position, *rest = told["numpy"]
    if not 0 <= position <= len(arrays["numpy"]):  # numpy would read beyond its end
        raise ValueError(f"numpy: the position {position} in {len(arrays['numpy'])} numbers")
    np.random.set_state((kind, arrays["numpy"], position, *rest))  # noqa: NPY002
    version, following = told["python"]
    random.setstate((version, tuple(arrays["python"].tolist()), following))


def _as_before(kind: Any, value: Any) -> Any:
    """Return a setting of an optimiser as it was before JSON made a list of a tuple."""
    return tuple(value) if isinstance(kind, tuple) else value


def _below(prefix: str, arrays: Arrays) -> Arrays:
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }


def _env_of(model: BaseAlgorithm) -> SB3VecEnv:
    env = model.get_env()
    assert isinstance(env, SB3VecEnv)
    return env
