"""Policies that more than one test plays."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rule = Callable[[NDArray[np.float32]], NDArray[Any]]


class RulePolicy:
    """A rule as stable-baselines3's ``predict``; keeps the observations it was asked about."""

    def __init__(self, rule: Rule, memory: Any = None) -> None:
        self.rule = rule
        self.memory = memory
        self.asked: list[NDArray[np.float32]] = []

    def predict(
        self,
        observations: NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[NDArray[np.int64], Any]:
        assert deterministic
        self.asked.append(observations)
        return self.rule(observations).astype(np.int64), self.memory


def always(action: int) -> RulePolicy:
    """Return a policy that always takes the same action."""
    return RulePolicy(lambda observations: np.full(len(observations), action))


class Remembering:
    """A policy of the package, with a memory that changes nothing it does."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        count = 0 if state is None else state
        return self.policy.predict(observation, deterministic=deterministic)[0], count + 1
