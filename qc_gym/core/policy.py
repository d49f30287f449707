"""Policies: what may play an environment, and the one place where it is asked.

Whatever evaluates, simulates or draws a policy asks a :class:`Player`: it knows how to call the policy,
what the policy sees of an observation, and refuses answers that are no actions.
"""

from __future__ import annotations

import copy
import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.errors import shown
from qc_gym.core.scenario import Scenario

_PROBE = 1024
"""States for which a policy is asked twice, to see whether it repeats itself."""
_BATCH = 65_536
WANTED = (
    "a policy is an object with predict(observation, state=None, episode_start=None, "
    "deterministic=True) -> (actions, state), as stable-baselines3's models have it, or a function or "
    "torch module that takes observations (B, size) and returns actions (B,) or logits (B, actions)"
)

Lens = Callable[[NDArray[Any]], NDArray[Any]]
"""What a policy sees of observations: (B, size) → (B, size seen)."""


@runtime_checkable
class Policy(Protocol):
    """What plays an environment: an SB3 model, a reference policy, an optimum, a user's own rule."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """Return (actions, state) for one observation (size,) or a batch of them (B, size)."""


class DesignedPolicy(ABC):
    """A policy of ``baselines``, made for one scenario: an optimum or a reference policy.

    It knows the states themselves and not only what is seen of them; where it draws its actions, that is
    part of what it is.

    Attributes
    ----------
    description
        What it is, in words.
    design
        The numbers of its design by name (sizes, acceptance numbers, lines, risks), empty if there
        are none.
    """

    description: str
    design: Mapping[str, Any]

    @property
    @abstractmethod
    def scenario(self) -> Scenario:
        """The scenario that it was made for."""

    @abstractmethod
    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """Return (actions, state) for one observation (size,) or a batch of them (B, size)."""

    def described(self, description: str, design: Mapping[str, Any]) -> Self:
        """Return the same policy, with what it is."""
        policy = copy.copy(self)
        for name, value in {"description": description, "design": dict(design)}.items():
            object.__setattr__(policy, name, value)  # policies are frozen
        return policy


class Player:
    """A policy as it plays an environment.

    Parameters
    ----------
    policy
        An object with ``predict``, whose optional arguments it may lack; or a function or torch module
        that takes observations (B, size) and returns actions (B,) or logits (B, A).
    num_actions
        Number of actions of the environment, A.
    lenses
        What the policy sees of the environment's observations, applied one after another.
    actions
        int64 (actions of the policy,): what each of its actions means in the environment; None where
        they are the same.
    deterministic
        Whether its likeliest actions are played, or those that it draws. None takes a designed policy
        as it stands and any other as deterministic.

    Raises
    ------
    TypeError
        It is no policy, or one that sees observations of another shape.
    """

    def __init__(
        self,
        policy: Any,
        num_actions: int,
        lenses: Sequence[Lens] = (),
        actions: NDArray[np.int64] | None = None,
        deterministic: bool | None = None,
    ) -> None:
        self.policy = policy
        self.lenses = tuple(lenses)
        self.is_designed = isinstance(policy, DesignedPolicy)
        self.deterministic = not self.is_designed if deterministic is None else deterministic
        self._as_it_stands = deterministic is None
        self._actions = actions
        self._num_actions = num_actions if actions is None else len(actions)
        self._name = f"policy of type {type(policy).__name__}"
        self._gives_logits = not callable(getattr(policy, "predict", None))
        self._ask = self._adapted()

    @property
    def stands(self) -> bool:
        """Whether a designed policy is played as it stands, with the probabilities of its table."""
        return self.is_designed and (self._as_it_stands or not self.deterministic)

    def is_direct(self, observations: NDArray[Any]) -> bool:
        """Return whether the policy sees the environment's own observations, and means its actions.

        More columns may follow in what it sees, as the parameters of a drawn scenario do.
        """
        if self._actions is not None or not self.lenses:
            return self._actions is None
        seen = self.see(observations)
        return np.array_equal(seen[:, : observations.shape[1]], observations)

    def see(self, observations: NDArray[Any]) -> NDArray[Any]:
        """Return what the policy sees of the environment's observations, (B, size seen)."""
        for lens in self.lenses:
            observations = lens(observations)
        return observations

    def act(
        self,
        observations: NDArray[Any],
        allowed: NDArray[np.bool_],
        memory: Any = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], Any]:
        """Return the policy's actions (B,), each one of the environment's, and its memory.

        Parameters
        ----------
        observations, allowed
            The environment's own observations (B, size) and allowed actions (B, A).
        memory
            What the last call returned; None at the start.
        starts
            Which episodes begin with this observation, (B,).

        Raises
        ------
        ValueError
            The answer is not one whole number from 0 to A − 1 for each observation.
        """
        seen = self.see(observations)
        answer, memory = self._call(seen, memory, starts, self._seen_masks(allowed))
        return self._meant(self._checked(answer, seen)), memory

    def remembers(self, observations: NDArray[Any], allowed: NDArray[np.bool_]) -> bool:
        """Return whether the policy answers with a memory, asked at first observations."""
        return self.act(observations, allowed)[1] is not None

    def answers(self, observations: NDArray[Any], allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the deterministic actions of a policy without memory, (B,).

        Raises
        ------
        ValueError
            The answers are no actions, or the policy draws them: one draw would pass for the policy.
        """
        answers = np.empty(len(observations), np.int64)
        for begin in range(0, len(observations), _BATCH):
            block = slice(begin, begin + _BATCH)
            answers[block] = self.act(observations[block], allowed[block])[0]
        again, _ = self.act(observations[:_PROBE], allowed[:_PROBE])
        if not np.array_equal(answers[:_PROBE], again):
            raise ValueError(
                f"{self._name}: predict(…, deterministic=True) does not repeat its actions; give it "
                "action_probabilities(observations) and score it with deterministic=False"
            )
        return answers

    def probabilities(
        self, observations: NDArray[Any], allowed: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return the probabilities of the actions of a policy without memory, (B, A).

        Raises
        ------
        TypeError
            The policy draws its actions and does not tell from which probabilities.
        ValueError
            They are not probabilities.
        """
        num_actions = allowed.shape[1]
        if self.deterministic:
            answers = self.answers(observations, allowed)
            return np.asarray(np.arange(num_actions) == answers[:, np.newaxis], np.float64)
        chances = np.zeros((len(observations), num_actions))
        for begin in range(0, len(observations), _BATCH):
            block = slice(begin, begin + _BATCH)
            drawn = self._drawn(self.see(observations[block]), self._seen_masks(allowed[block]))
            if self._actions is None:
                chances[block] = drawn
            else:
                np.add.at(chances[block].T, self._actions, drawn.T)
        return chances

    def _drawn(self, seen: NDArray[Any], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the probabilities of the policy's own actions, (B, actions of the policy)."""
        if self._gives_logits:
            answer = self._call(seen, None, None, masks)[0]
            if answer.shape != masks.shape:
                raise TypeError(
                    f"{self._name}: drawing from it needs logits of shape {masks.shape}, got "
                    f"{answer.shape}; or score it with deterministic=True"
                )
            logits = answer.astype(np.float64)
            weights = np.exp(logits - logits.max(axis=1, keepdims=True))
            return np.asarray(weights / weights.sum(axis=1, keepdims=True))
        draws = getattr(self.policy, "action_probabilities", None)
        if not callable(draws):
            raise TypeError(
                f"{self._name}: the exact score of a policy that draws its actions needs "
                "action_probabilities(observations); wrap a stable-baselines3 model in "
                "agents.StochasticPolicy, or score it with deterministic=True"
            )
        answer = _as_array(draws(seen, **_named(draws, action_masks=masks)))
        if answer.shape != masks.shape:
            raise ValueError(
                f"{self._name}: action_probabilities of shape {answer.shape}; needed is {masks.shape}"
            )
        chances = answer.astype(np.float64)  # before the sum: float32 rows sum to one only to 1e-7
        total = chances.sum(axis=1)
        wrong = ~((np.abs(total - 1) <= 1e-6) & (chances >= 0).all(axis=1))  # a NaN must fail
        if wrong.any():
            raise ValueError(f"{self._name}: action_probabilities are {chances[wrong.argmax()]}")
        return np.asarray(chances / total[:, np.newaxis])

    def _call(
        self,
        seen: NDArray[Any],
        memory: Any,
        starts: NDArray[np.bool_] | None,
        masks: NDArray[np.bool_],
    ) -> tuple[NDArray[Any], Any]:
        """Return the policy's answer as an array, and its memory."""
        try:
            answer = self._ask(seen, memory, starts, masks)
        except Exception as error:
            error.add_note(
                f"{self._name} was asked with observations of shape {seen.shape}; {WANTED}"
            )
            raise
        if isinstance(answer, tuple) and len(answer) == 2 and not self._gives_logits:
            return _as_array(answer[0]), answer[1]
        return _as_array(answer), None

    def _adapted(self) -> Callable[..., Any]:
        """Return how the policy is called: (seen, memory, starts, masks) → its answer."""
        policy, deterministic = self.policy, self.deterministic
        if not self._gives_logits:
            # The signature once: it takes longer than a small network's answer.
            known = _names(policy.predict)

            def predict(seen: Any, memory: Any, starts: Any, masks: Any) -> Any:
                optional = {
                    "state": memory,
                    "episode_start": starts,
                    "deterministic": deterministic,
                    "action_masks": masks,
                }
                return policy.predict(
                    seen, **{name: optional[name] for name in optional if name in known}
                )

            return predict
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(policy, torch.nn.Module):
            like = next(policy.parameters(), torch.zeros(0))

            def network(seen: Any, memory: Any, starts: Any, masks: Any) -> Any:
                with torch.no_grad():
                    return policy(torch.as_tensor(seen, dtype=like.dtype, device=like.device))

            return network
        if callable(policy) and not isinstance(policy, type):
            takes_masks = "action_masks" in _names(policy)

            def function(seen: Any, memory: Any, starts: Any, masks: Any) -> Any:
                return policy(seen, action_masks=masks) if takes_masks else policy(seen)

            return function
        raise TypeError(f"policy = {shown(policy)}: no policy; {WANTED}")

    def _checked(self, answer: NDArray[Any], seen: NDArray[Any]) -> NDArray[np.int64]:
        """Return the answer as whole numbers (B,), each one of the policy's actions."""
        count = len(seen)
        if answer.dtype.kind not in "biuf":
            raise ValueError(f"{self._name}: answered {shown(answer)}; {WANTED}")
        if (
            self._gives_logits
            and answer.shape == (count, self._num_actions)
            and self._num_actions > 1
        ):
            missing = np.isnan(answer).any(axis=1)
            if missing.any():
                raise ValueError(self._refusal("a logit that is NaN", seen, missing))
            return answer.argmax(axis=1)
        if answer.size != count or answer.shape not in ((count,), (count, 1), ()):
            raise ValueError(
                f"{self._name}: answered with shape {answer.shape} to {count} observations; {WANTED}"
            )
        answer = answer.reshape(count)
        wrong = np.isnan(answer)
        if wrong.any():
            raise ValueError(self._refusal("NaN", seen, wrong))
        wrong = (answer != np.floor(answer)) | (answer < 0) | (answer >= self._num_actions)
        if wrong.any():
            raise ValueError(self._refusal(str(answer[wrong.argmax()].item()), seen, wrong))
        return answer.astype(np.int64)

    def _refusal(self, what: str, seen: NDArray[Any], wrong: NDArray[np.bool_]) -> str:
        return (
            f"{self._name}: answered {what} to the observation {seen[wrong.argmax()]}; allowed are the "
            f"whole numbers 0 to {self._num_actions - 1}"
        )

    def _seen_masks(self, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return allowed if self._actions is None else allowed[:, self._actions]

    def _meant(self, answers: NDArray[np.int64]) -> NDArray[np.int64]:
        return answers if self._actions is None else self._actions[answers]


def feature_lens(features: NDArray[np.float32]) -> Lens:
    """Return the lens that appends the parameters of a drawn scenario, (m,), to observations."""

    def append(observations: NDArray[Any]) -> NDArray[Any]:
        repeated = np.broadcast_to(features, (len(observations), len(features)))
        return np.concatenate([observations, repeated], axis=1)

    return append


def _as_array(answer: Any) -> NDArray[Any]:
    """Return an answer, a torch tensor included, as an array."""
    if callable(getattr(answer, "detach", None)):
        answer = answer.detach().cpu().numpy()
    try:
        return np.asarray(answer)
    except ValueError:  # of rows of different lengths
        return np.asarray(answer, object)


def _names(method: Callable[..., Any]) -> frozenset[str]:
    """Return the optional arguments by which a policy's method can be called."""
    parameters = inspect.signature(method).parameters
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = {name for name, one in parameters.items() if one.kind in by_name}
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        names |= {"state", "episode_start", "deterministic"}
    return frozenset(names)


def _named(method: Callable[..., Any], **optional: Any) -> dict[str, Any]:
    """Return those of the optional arguments that a method takes."""
    known = _names(method)
    return {name: value for name, value in optional.items() if name in known}
