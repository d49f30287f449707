"""An undiscounted Markov decision process as tables: what the solver and the evaluator work on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class DecisionProcess:
    """A finite decision problem with S states, A actions and K possible successions.

    Attributes
    ----------
    rewards
        float64 (S, A): expected reward of each action, in money, whether or not it is allowed: an
        environment says what a forbidden action does, and an agent may take it.
    allowed
        bool (S, A): which actions a policy may choose; every state allows one.
    first
        int64 (S·A + 1,): the successions of action a in state s are rows
        ``first[s·A + a]`` to ``first[s·A + a + 1]`` of the next two.
    successors, probabilities
        int32 (K,), float64 (K,): the next state and its probability. What is missing to one is the
        probability that the episode ends.
    initial_states, initial_probabilities
        int64 (I,), float64 (I,): where an episode begins.
    """

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
    def is_ordered(self) -> bool:
        """Whether every succession leads to a later row, so that one sweep backwards solves it."""
        length = np.diff(self.first)
        state = np.repeat(np.arange(len(length)) // self.num_actions, length)
        return bool(np.all(self.successors > state))

    @cached_property
    def longest_episode(self) -> int | None:
        """The most decisions that an episode can have; None where states recur."""
        if not self.is_ordered:
            return None
        return int(_longest_paths(self.first, self.successors, self.rewards.shape).max())

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


@njit(cache=True, error_model="numpy")
def _longest_paths(first, successors, shape):  # type: ignore[no-untyped-def]
    """Return the most decisions from each state to the end, (S,), where successors come later."""
    longest = np.ones(shape[0], np.int64)
    for s in range(shape[0] - 1, -1, -1):
        for k in range(first[s * shape[1]], first[(s + 1) * shape[1]]):
            longest[s] = max(longest[s], 1 + longest[successors[k]])
    return longest
