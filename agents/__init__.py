"""Agents for the environments of ``qc_gym``: training, scoring against the optimum, benchmarks.

The names below are loaded when they are first used, so that the command line answers at once and
without torch where no agent is involved.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.algorithms import ALGORITHMS, Algorithm
    from agents.callbacks import ExactRegret
    from agents.policies import FrameStack, StochasticPolicy, load_policy, save_policy
    from agents.training import train
    from agents.vec_env import SB3VecEnv

_HOMES = {
    "ALGORITHMS": "agents.algorithms",
    "Algorithm": "agents.algorithms",
    "ExactRegret": "agents.callbacks",
    "FrameStack": "agents.policies",
    "SB3VecEnv": "agents.vec_env",
    "StochasticPolicy": "agents.policies",
    "load_policy": "agents.policies",
    "save_policy": "agents.policies",
    "train": "agents.training",
}

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "ExactRegret",
    "FrameStack",
    "SB3VecEnv",
    "StochasticPolicy",
    "load_policy",
    "save_policy",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in {"torch", "stable_baselines3", "sb3_contrib"}:
            raise ModuleNotFoundError(
                f"agents.{name} needs {error.name}; in a clone of the project: "
                "pip install '.[agents]'",
                name=error.name,
            ) from error
        raise
