"""Where an optimum decides, so that the optima of neighbouring scenarios can be compared there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, eq=False)
class Decision:
    """What an optimum does in a state.

    Attributes
    ----------
    state
        The state, as its optimum knows it: what ``describe_state`` and ``describe_action`` take. Hashable.
    action
        An optimal action.
    equals
        It and the actions that are known to be worth the same, rounding aside.
    occupancy
        How often optimal play comes to the state in an episode, on average, or to one counted as the same.
    loss
        Action → what it loses in the state against the best, in money; inf where it is not allowed.
    """

    state: Any
    action: int
    equals: frozenset[int]
    occupancy: float
    loss: Callable[[int], float]
