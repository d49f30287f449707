"""The algorithms by name, with defaults that suit the suite, and checks of their hyperparameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sb3_contrib import QRDQN, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm

from qc_gym.core.scenario import close_names

_RESERVED = {"policy", "env", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model"}


@dataclass(frozen=True)
class Algorithm:
    """A learning algorithm of stable-baselines3 or sb3-contrib.

    Attributes
    ----------
    name
        Its name in configs and on the command line.
    type
        Its class.
    policy
        Name of the policy network.
    num_envs, total_timesteps
        Defaults of the number of sub-environments and of the length of training.
    defaults
        Hyperparameters that differ from those of its class.
    """

    name: str
    type: type[BaseAlgorithm]
    policy: str
    num_envs: int
    total_timesteps: int
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def hyperparameters(self, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the defaults with ``given`` over them, as they can be written to a file.

        Raises
        ------
        ValueError
            A name that the algorithm does not know, with the close ones, or one that
            :func:`agents.train` sets itself.
        """
        known = sorted(set(inspect.signature(self.type).parameters) - _RESERVED)
        for name in given or ():
            if name in _RESERVED:
                raise ValueError(f"{self.name}: {name} is not a hyperparameter; train() sets it")
            if name not in known:
                raise ValueError(
                    f"{self.name}: unknown hyperparameter {name!r}; {close_names(name, known)}"
                )
        return {**self.defaults, **(given or {})}


def arguments(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyperparameters as the constructors take them.

    ``learning_rate`` and ``clip_range`` may be ``{initial, final}``: a schedule linear in the
    steps taken.
    """
    prepared = dict(hyperparameters)
    for name in ("learning_rate", "clip_range"):
        if isinstance(prepared.get(name), Mapping):
            prepared[name] = _linear(name, prepared[name])
    return prepared


def _linear(name: str, ends: Mapping[str, float]) -> Callable[[float], float]:
    if set(ends) != {"initial", "final"}:
        raise ValueError(f"{name} = {dict(ends)!r}: a number or {{initial, final}} is needed")
    initial, final = float(ends["initial"]), float(ends["final"])
    return lambda remaining: final + (initial - final) * remaining


_ON_POLICY = {
    "gamma": 1.0,
    "gae_lambda": 0.97,
    "learning_rate": {"initial": 3e-3, "final": 1e-4},
    "ent_coef": 0.001,
}
_PPO = {**_ON_POLICY, "n_steps": 64, "batch_size": 4096, "n_epochs": 4, "clip_range": 0.2}
_DQN = {
    "gamma": 1.0,
    "learning_rate": {"initial": 1e-3, "final": 1e-5},
    "buffer_size": 500_000,
    "learning_starts": 20_000,
    "batch_size": 1024,
    "train_freq": 1,
    "gradient_steps": 1,
    "target_update_interval": 20_000,
    "exploration_fraction": 0.3,
    "exploration_final_eps": 0.1,
}

ALGORITHMS: Mapping[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("ppo", PPO, "MlpPolicy", 256, 2_000_000, _PPO),
        Algorithm("a2c", A2C, "MlpPolicy", 256, 2_000_000, {**_ON_POLICY, "n_steps": 8}),
        Algorithm("dqn", DQN, "MlpPolicy", 64, 1_000_000, _DQN),
        Algorithm("qrdqn", QRDQN, "MlpPolicy", 64, 1_000_000, _DQN),
        Algorithm("maskable_ppo", MaskablePPO, "MlpPolicy", 256, 2_000_000, _PPO),
        Algorithm("recurrent_ppo", RecurrentPPO, "MlpLstmPolicy", 64, 500_000, _PPO),
    )
}


def find_algorithm(name: str) -> Algorithm:
    """Return the algorithm of that name.

    Raises
    ------
    ValueError
        An unknown name, with the close ones.
    """
    if name not in ALGORITHMS:
        raise ValueError(f"unknown algorithm {name!r}; {close_names(str(name), list(ALGORITHMS))}")
    return ALGORITHMS[name]
