"""A family's decision problem as tables: what the solver and the evaluator work on.

A model is an undiscounted Markov decision process over *decision states*: what the agent may know at
a moment when it must act. It never holds the hidden truth. Each state carries its observation as the
agent would see it, written by the environment's own compiled ``observe``, so that any policy that
plays the environment can be evaluated on the model, state by state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from qc_gym.core.kernel import Kernel
from qc_gym.core.scenario import Scenario

_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class TabularModel:
    """A finite decision problem with S states, A actions and K possible successions.

    Attributes
    ----------
    kernel, scenario
        The family's compiled world, and its parameters.
    observation
        Which observation the states carry, ``"belief"`` or ``"outcome"``.
    make_states
        Returns the kernel's record of each state, shape (S,); hidden fields are left at zero.
    rewards
        float64 (S, A): expected reward of each action, in money, whether or not it is allowed: an
        environment says what a forbidden action does, and an agent may take it.
    allowed
        bool (S, A): the environment's masks.
    first
        int64 (S·A + 1,): the successions of action a in state s are rows
        ``first[s·A + a]`` to ``first[s·A + a + 1]`` of the next two.
    successors, probabilities
        int32 (K,), float64 (K,): the next state and its probability. What is missing to one is the
        probability that the episode ends.
    initial_states, initial_probabilities
        int64 (I,), float64 (I,): where an episode begins.
    """

    kernel: Kernel
    scenario: Scenario
    observation: str
    make_states: Callable[[], NDArray[np.void]]
    rewards: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    first: NDArray[np.int64]
    successors: NDArray[np.int32]
    probabilities: NDArray[np.float64]
    initial_states: NDArray[np.int64]
    initial_probabilities: NDArray[np.float64]

    @property
    def num_states(self) -> int:
        """Number of decision states, S."""
        return self.rewards.shape[0]

    @property
    def num_actions(self) -> int:
        """Number of actions, A."""
        return self.rewards.shape[1]

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
            self.record, self.states, self.observation
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
        if wrong.any():
            raise ValueError(
                f"observation {observations[wrong.argmax()]} is not one that this scenario shows; "
                "was the policy made for another scenario?"
            )
        return rows

    def rows_of_states(self, states: NDArray[np.void]) -> NDArray[np.int64]:
        """Return the rows of the given states of the environment, records (B,) → (B,)."""
        _, _, keys = self.kernel.describe(self.record, states, self.observation)
        rows = np.minimum(np.searchsorted(self.keys, keys), self.num_states - 1)
        if not np.array_equal(self.keys[rows], keys):
            raise ValueError("the environment is in a state that the model does not hold")
        return rows

    @cached_property
    def is_ordered(self) -> bool:
        """Whether every succession leads to a later row, so that one sweep backwards solves it."""
        length = np.diff(self.first)
        state = np.repeat(np.arange(len(length)) // self.num_actions, length)
        return bool(np.all(self.successors > state))

    def transition_matrix(self) -> sparse.csr_array:
        """Return the probabilities as a sparse matrix, (S·A, S)."""
        return sparse.csr_array(
            (self.probabilities, self.successors, self.first),
            shape=(self.num_states * self.num_actions, self.num_states),
        )

    def check(self) -> None:
        """Raise a ValueError if the tables contradict themselves."""
        shape = self.num_states, self.num_actions
        if self.allowed.shape != shape or len(self.first) != shape[0] * shape[1] + 1:
            raise ValueError("rewards, allowed and first have different shapes")
        ends = self.first[0], self.first[-1]
        if ends != (0, len(self.successors)) or np.any(self.first[1:] < self.first[:-1]):
            raise ValueError("first does not rise from 0 to the number of successors")
        if len(self.probabilities) != len(self.successors):
            raise ValueError("successors and probabilities have different lengths")
        if not np.all(np.isfinite(self.rewards)):
            raise ValueError("a reward is not finite")
        if not self.allowed.any(axis=1).all():
            raise ValueError("a state allows no action")
        for probabilities in (self.probabilities, self.initial_probabilities):
            if not np.all(probabilities >= 0):  # a NaN must fail
                raise ValueError("a probability is negative, or not a number")
        for states in (self.successors, self.initial_states):
            if np.any((states < 0) | (states >= shape[0])):
                raise ValueError("a successor or an initial state is not a state")
        total = self.transition_matrix().sum(axis=1)
        if np.any(total > 1 + _TOLERANCE):
            raise ValueError(f"the probabilities of an action sum to {total.max()}")
        if len(self.initial_states) != len(self.initial_probabilities):
            raise ValueError("initial_states and initial_probabilities have different lengths")
        if not abs(self.initial_probabilities.sum() - 1) <= _TOLERANCE:
            raise ValueError("the initial probabilities do not sum to one")


def hash_rows(rows: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of the bits of each row, (B, size) → (B,)."""
    words = np.ascontiguousarray(rows, np.float32).view(np.uint32).astype(np.uint64)
    result = np.zeros(len(words), np.uint64)
    for column in words.T:
        result = (result ^ column) * np.uint64(0x9E3779B97F4A7C15)
        result ^= result >> np.uint64(29)
    return result
