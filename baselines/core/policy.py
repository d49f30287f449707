"""Policies: anything with stable-baselines3's ``predict``, and the tabulated ones of this package."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from baselines.core.model import TabularModel
from baselines.core.solver import as_probabilities

_PROBE = 1024
"""States for which a policy is asked twice, to see whether it repeats itself."""


@runtime_checkable
class Policy(Protocol):
    """What can be scored: an SB3 model, a reference policy, an optimum, a user's own rule."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """Return (actions, state) for one observation (size,) or a batch of them (B, size)."""


@dataclass(frozen=True, eq=False)
class TabularPolicy:
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
    """

    model: TabularModel
    probabilities: NDArray[np.float64]
    _generator: np.random.Generator = field(
        default_factory=lambda: np.random.default_rng(0), repr=False
    )

    @classmethod
    def of(
        cls, model: TabularModel, policy: NDArray[np.integer] | NDArray[np.float64]
    ) -> TabularPolicy:
        """Return the policy of actions (S,) or probabilities (S, A)."""
        return cls(model, as_probabilities(model, policy))

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


def uniform_policy(model: TabularModel) -> TabularPolicy:
    """Return the policy that takes each allowed action with the same probability."""
    return TabularPolicy.of(model, model.allowed / model.allowed.sum(axis=1, keepdims=True))


def constant_policy(model: TabularModel, action: int) -> TabularPolicy:
    """Return the policy that always answers ``action``."""
    return TabularPolicy.of(model, np.full(model.num_states, action))


def tabulate(
    policy: Any,
    model: TabularModel,
    features: NDArray[np.float32] | None = None,
    deterministic: bool | None = None,
    batch_size: int = 65_536,
) -> NDArray[np.float64] | None:
    """Return what a policy does in every state of a model, or None if it depends on memory.

    Parameters
    ----------
    policy
        Anything with ``predict``.
    features
        Numbers that the environment appends to the observations, (m,).
    deterministic
        True asks ``predict`` for the likeliest action, False
        ``action_probabilities(observations) -> (B, A)``, which the policy must then have. None takes
        a tabulated policy as it stands and any other as deterministic.

    Returns
    -------
    float64 (S, A), or None.

    Raises
    ------
    TypeError
        No ``predict``, or no ``action_probabilities`` where it is needed.
    """
    if isinstance(policy, TabularPolicy) and policy.model is model:
        return as_probabilities(model, policy.actions) if deterministic else policy.probabilities
    if not isinstance(policy, Policy):
        raise TypeError(f"policy = {policy!r}: an object with a method predict() is needed")
    if deterministic is None:
        deterministic = not isinstance(policy, TabularPolicy)
    observations = extend(model.observations, features)
    if has_memory(policy, observations[model.initial_states], model.allowed[model.initial_states]):
        return None
    if not deterministic and not hasattr(policy, "action_probabilities"):
        raise TypeError(
            f"policy of type {type(policy).__name__}: the exact score of a policy that draws its "
            "actions needs action_probabilities(observations); wrap a stable-baselines3 model in "
            "agents.StochasticPolicy, or score it with deterministic=True"
        )
    blocks = []
    for begin in range(0, model.num_states, batch_size):
        block = slice(begin, begin + batch_size)
        allowed = model.allowed[block]
        if deterministic:
            masks = mask_arguments(policy.predict, allowed)
            answer, _ = policy.predict(observations[block], deterministic=True, **masks)
            if begin == 0:
                check_repeats(policy, np.asarray(answer), observations[block], masks)
        else:
            draws: Any = policy.action_probabilities  # type: ignore[attr-defined]
            answer = draws(observations[block], **mask_arguments(draws, allowed))
        blocks.append(np.asarray(answer))
    return as_probabilities(model, np.concatenate(blocks))


def extend(
    observations: NDArray[np.float32], features: NDArray[np.float32] | None
) -> NDArray[np.float32]:
    """Return observations (B, size) with the parameters of a drawn scenario (m,) appended, if any."""
    if features is None:
        return observations
    repeated = np.broadcast_to(features, (len(observations), len(features)))
    return np.concatenate([observations, repeated], axis=1)


def check_repeats(
    policy: Policy,
    answer: NDArray[np.integer],
    observations: NDArray[np.float32],
    masks: dict[str, NDArray[np.bool_]],
) -> None:
    """Raise a ValueError for a policy that draws its actions: one draw would pass for the policy."""
    masks = {name: mask[:_PROBE] for name, mask in masks.items()}
    again, _ = policy.predict(observations[:_PROBE], deterministic=True, **masks)
    if not np.array_equal(answer[:_PROBE], again):
        raise ValueError(
            f"policy of type {type(policy).__name__}: predict(…, deterministic=True) does not repeat "
            "its actions; give it action_probabilities(observations) and score it with "
            "deterministic=False"
        )


def has_memory(
    policy: Policy, observations: NDArray[np.float32], allowed: NDArray[np.bool_]
) -> bool:
    """Return whether the policy answers with a memory, asked at first observations."""
    _, memory = policy.predict(
        observations, deterministic=True, **mask_arguments(policy.predict, allowed)
    )
    return memory is not None


def mask_arguments(
    method: Callable[..., Any], allowed: NDArray[np.bool_]
) -> dict[str, NDArray[np.bool_]]:
    """Return the action masks as an argument of a policy's method, if it takes them."""
    takes_masks = "action_masks" in inspect.signature(method).parameters
    return {"action_masks": allowed} if takes_masks else {}
