"""Policies that are tables over decision states, and the table of any policy without memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

import numpy as np
from numpy.typing import NDArray

from baselines.core.model import ScenarioT_co, TabularModel
from baselines.core.solver import as_probabilities
from qc_gym.core.policy import DesignedPolicy, Player


@dataclass(frozen=True, eq=False)
class TabularPolicy(DesignedPolicy, Generic[ScenarioT_co]):
    """A policy that is a table over the decision states of a model.

    It plays the environment through :meth:`predict`. Where the observation tells the state, it is
    looked up; where it does not (``observation="outcome"``), the policy remembers: its ``state`` is the
    decision state that it was in and what it did there, and the outcome shows which succession came.

    Attributes
    ----------
    model
        The model whose states the rows are.
    probabilities
        float64 (S, A).
    description, design
        What it is; see :class:`~qc_gym.core.policy.DesignedPolicy`.
    """

    model: TabularModel[ScenarioT_co]
    probabilities: NDArray[np.float64]
    description: str = ""
    design: Mapping[str, Any] = field(default_factory=dict)
    _generator: np.random.Generator = field(
        default_factory=lambda: np.random.default_rng(0), repr=False
    )

    @classmethod
    def of(
        cls, model: TabularModel[ScenarioT_co], policy: NDArray[np.integer] | NDArray[np.float64]
    ) -> TabularPolicy[ScenarioT_co]:
        """Return the policy of actions (S,) or probabilities (S, A)."""
        return cls(model, as_probabilities(model, policy))

    @property
    def scenario(self) -> ScenarioT_co:
        """The scenario that it was made for."""
        return self.model.scenario

    @property
    def actions(self) -> NDArray[np.int64]:
        """The likeliest action in each state, (S,)."""
        return self.probabilities.argmax(axis=1)

    def predict(
        self,
        observation: NDArray[np.float32],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """Return (actions, state), as stable-baselines3's models do.

        Parameters
        ----------
        observation
            float32 (size,) or (B, size); numbers beyond the model's own (the parameters of a drawn
            scenario) are not read.
        state
            What the last call returned, if the policy needs memory; None at the start.
        episode_start
            bool (B,): which episodes begin with this observation.
        deterministic
            False draws from the probabilities instead of taking the likeliest action.

        Raises
        ------
        ValueError
            An observation that the model's scenario cannot show.
        """
        observations = np.asarray(observation, np.float32)
        is_single = observations.ndim == 1
        observations = np.atleast_2d(observations)[:, : self.model.observations.shape[1]]
        if self.model.is_observed:
            rows = self.model.rows_of(observations)
        else:
            rows = self._follow(observations, state, episode_start)
        actions = self.actions[rows] if deterministic else self._draw(rows)
        if not self.model.is_observed:
            state = np.stack([rows, actions], axis=1)
        return (actions[0] if is_single else actions), state

    def action_probabilities(self, observations: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities of the actions for each observation, (B, size) → (B, A).

        Raises
        ------
        ValueError
            An observation that the model's scenario cannot show, or observations that do not tell
            the state: the probabilities then depend on what was seen before.
        """
        if not self.model.is_observed:
            raise ValueError("the observation does not tell the state: the policy has memory")
        own = np.asarray(observations, np.float32)[:, : self.model.observations.shape[1]]
        return self.probabilities[self.model.rows_of(own)]

    def _draw(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        cumulated = self.probabilities[rows].cumsum(axis=1)
        draws = self._generator.random((len(rows), 1)) * cumulated[:, -1:]
        return (draws >= cumulated).sum(axis=1)

    def _follow(
        self, observations: NDArray[np.float32], state: Any, episode_start: Any
    ) -> NDArray[np.int64]:
        """Return the decision states (B,), from those before and what is seen now."""
        count = len(observations)
        begins = np.ones(count, np.bool_) if state is None else np.zeros(count, np.bool_)
        if episode_start is not None:
            begins |= np.broadcast_to(np.asarray(episode_start, np.bool_), (count,))
        model = self.model
        rows = np.full(count, -1)
        for i in range(count):
            if begins[i]:
                rows[i] = self._first_showing(observations[i], model.initial_states)
            # Not `else`: stable-baselines3's evaluate_policy goes on to call it a start in those
            # of its environments that have played their share of the episodes.
            if rows[i] < 0 and state is not None:
                pair = state[i][0] * model.num_actions + state[i][1]
                following = model.successors[model.first[pair] : model.first[pair + 1]]
                rows[i] = self._first_showing(observations[i], following)
            if rows[i] < 0:
                raise ValueError(
                    f"observation {observations[i]} cannot follow what was seen before; pass the "
                    "state that the last predict returned, and episode_start"
                )
        return rows

    def _first_showing(
        self, observation: NDArray[np.float32], candidates: NDArray[np.integer]
    ) -> int:
        """Return the first of the decision states that shows the observation, or −1."""
        shown = np.all(self.model.observations[candidates] == observation, axis=1)
        return int(candidates[shown.argmax()]) if shown.any() else -1


def uniform_policy(model: TabularModel[ScenarioT_co]) -> TabularPolicy[ScenarioT_co]:
    """Return the policy that takes each allowed action with the same probability."""
    return TabularPolicy.of(model, model.allowed / model.allowed.sum(axis=1, keepdims=True))


def constant_policy(model: TabularModel[ScenarioT_co], action: int) -> TabularPolicy[ScenarioT_co]:
    """Return the policy that always answers ``action``."""
    return TabularPolicy.of(model, np.full(model.num_states, action))


def tabulate(player: Player, model: TabularModel[ScenarioT_co]) -> NDArray[np.float64] | None:
    """Return what a policy does in every state of a model, float64 (S, A); None if it remembers.

    Raises
    ------
    TypeError
        It draws its actions and does not tell from which probabilities.
    ValueError
        Its answers are no actions, or do not repeat themselves.
    """
    policy = player.policy
    is_own = isinstance(policy, TabularPolicy) and policy.model is model
    if is_own and player.is_direct(model.observations):
        return policy.probabilities if player.stands else as_probabilities(model, policy.actions)
    start = model.initial_states
    if player.remembers(model.observations[start], model.allowed[start]):
        return None
    return player.probabilities(model.observations, model.allowed)
