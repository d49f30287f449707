"""A family's decision problem as tables, with what the environment shows in each state.

The states are *decision states*: what the agent may know at a moment when it must act. They never
hold the hidden truth. Each carries its observation as the agent would see it, written by the
environment's own compiled ``observe``, so that any policy that plays the environment can be evaluated on
the tables, state by state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from baselines.core.process import DecisionProcess
from qc_gym.core.kernel import Kernel
from qc_gym.core.scenario import Scenario

ROUNDING = 2.0**-22
"""Observations that are no further apart, in [0, 1] and float32, are the same but for rounding."""
ScenarioT_co = TypeVar("ScenarioT_co", bound=Scenario, covariant=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class TabularModel(DecisionProcess, Generic[ScenarioT_co]):
    """A decision process whose states an environment shows.

    Attributes
    ----------
    kernel, scenario
        The family's compiled world, and its parameters.
    observation
        Which observation the states carry, ``"belief"`` or ``"outcome"``.
    make_states
        Returns the kernel's record of each state, shape (S,); hidden fields are left at zero.
        ``allowed`` holds the environment's masks.
    """

    kernel: Kernel
    scenario: ScenarioT_co
    observation: str
    make_states: Callable[[], NDArray[np.void]]

    @cached_property
    def record(self) -> NDArray[np.void]:
        """The scenario as the kernel reads it, one record, shape (1,)."""
        return self.scenario.record()

    @cached_property
    def states(self) -> NDArray[np.void]:
        """The kernel's record of each state, shape (S,)."""
        return self.make_states()

    @cached_property
    def _description(self) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
        observations, allowed, keys = self.kernel.describe(
            self.record, self.states, self.observation, self.scenario.table()
        )
        if not np.array_equal(allowed, self.allowed):
            raise ValueError("the model's allowed actions are not those of the environment")
        if not np.all(keys[1:] > keys[:-1]) or keys[-1] >= 2**63:
            raise ValueError("the model's states are not in the order of their keys, below 2^63")
        return observations, keys

    @property
    def observations(self) -> NDArray[np.float32]:
        """What the agent sees in each state, float32 (S, size)."""
        return self._description[0]

    @property
    def keys(self) -> NDArray[np.uint64]:
        """The key of each state, ascending, uint64 (S,)."""
        return self._description[1]

    def describe(self, rows: NDArray[np.int64], observation: str) -> NDArray[np.float32]:
        """Return either observation of states, whichever the model carries, float32 (n, size)."""
        return self.kernel.describe(
            self.record, self.states[rows], observation, self.scenario.table()
        )[0]

    @cached_property
    def _by_observation(self) -> tuple[NDArray[np.uint64], NDArray[np.int64], bool]:
        """The states sorted by the hash of their observations, and whether all differ."""
        hashes = hash_rows(self.observations)
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        return hashes, order, bool(np.all(hashes[1:] != hashes[:-1]))

    @property
    def is_observed(self) -> bool:
        """Whether the observation alone tells the state, so that no memory is needed."""
        return self._by_observation[2]

    def rows_of(self, observations: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the states that show the given observations, (B, size) → (B,).

        Raises
        ------
        ValueError
            An observation that no state of the model shows.
        """
        hashes, order, _ = self._by_observation
        found = np.searchsorted(hashes, hash_rows(observations))
        rows = order[np.minimum(found, self.num_states - 1)]
        wrong = np.any(self.observations[rows] != observations, axis=1)
        for i in np.flatnonzero(wrong):
            # One looked up in a table and one computed may differ in their last bits.
            apart = np.abs(self.observations - observations[i]).max(axis=1)
            rows[i] = apart.argmin()
            if not apart[rows[i]] <= ROUNDING:
                raise ValueError(
                    f"observation {observations[i]} is not one that this scenario shows; was the "
                    "policy made for another scenario?"
                )
        return rows

    def rows_of_states(self, states: NDArray[np.void]) -> NDArray[np.int64]:
        """Return the rows of the given states of the environment, records (B,) → (B,)."""
        _, _, keys = self.kernel.describe(
            self.record, states, self.observation, self.scenario.table()
        )
        rows = np.minimum(np.searchsorted(self.keys, keys), self.num_states - 1)
        if not np.array_equal(self.keys[rows], keys):
            raise ValueError("the environment is in a state that the model does not hold")
        return rows


def hash_rows(rows: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of the bits of each row, (B, size) → (B,)."""
    words = np.ascontiguousarray(rows, np.float32).view(np.uint32).astype(np.uint64)
    result = np.zeros(len(words), np.uint64)
    for column in words.T:
        result = (result ^ column) * np.uint64(0x9E3779B97F4A7C15)
        result ^= result >> np.uint64(29)
    return result
