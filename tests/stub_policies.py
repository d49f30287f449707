"""Policies that more than one test plays."""

from typing import Any


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
