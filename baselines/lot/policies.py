"""Policies of inspect-or-stop: a lot size, and a rule for inspecting the lot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.lot.evaluation import Rule, as_rule
from qc_gym.core.policy import DesignedPolicy
from qc_gym.lot.dynamics import CONFORMING, NO_RESULT, NONCONFORMING
from qc_gym.lot.scenario import InspectOrStopScenario


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the agent knows at a decision, in arrays (B,)."""

    is_producing: NDArray[np.bool_]
    size: NDArray[np.int64]
    n: NDArray[np.int64]
    found: NDArray[np.int64]
    belief: NDArray[np.float64]
    last: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LotPolicy(DesignedPolicy):
    """A policy that produces a lot of a size and inspects it by a rule.

    It plays the environment through :meth:`predict`. With outcome observations it remembers the belief
    and the number found, with belief observations the last result if its rule asks for it.

    Attributes
    ----------
    plays, observation
        The scenario, and what is seen of it.
    sizes
        float64 (longest lot + 1,): P(the lot produced has this size); unused where the lot is given.
    rule
        The rule for the lot of a given size: a table of thresholds on the belief, (size, found), or of
        probabilities of inspecting, (size, found, 3), by the last result. See
        :class:`~baselines.lot.evaluation.BeliefRule` and
        :class:`~baselines.lot.evaluation.ResultRule`.
    description, design
        What it is; see :class:`~qc_gym.core.policy.DesignedPolicy`.
    """

    plays: InspectOrStopScenario
    observation: str
    sizes: NDArray[np.float64]
    rule: Callable[[int], NDArray[np.float64]]
    description: str = ""
    design: Mapping[str, Any] = field(default_factory=dict)
    _generator: np.random.Generator = field(
        default_factory=lambda: np.random.default_rng(0), repr=False
    )

    @property
    def scenario(self) -> InspectOrStopScenario:
        """The scenario that it was made for."""
        return self.plays

    def rule_of(self, size: int) -> Rule:
        """Return the rule for a lot as the evaluation takes it."""
        return as_rule(self.rule(size))

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
            float32 (5,) or (B, 5); numbers beyond these (the parameters of a drawn scenario) are
            not read.
        state
            What the last call returned, where the policy needs memory; None at the start.
        episode_start
            bool (B,): which episodes begin with this observation.
        deterministic
            False draws from the probabilities instead of taking the likelier action.
        """
        observations = np.asarray(observation, np.float32)
        is_single = observations.ndim == 1
        observations = np.atleast_2d(observations)
        seen = self._see(observations.astype(np.float64), state, episode_start)
        chances = np.where(seen.is_producing, self._producing(seen.size), self._inspecting(seen))
        threshold = 0.5 if deterministic else self._generator.random(len(chances))
        actions = (chances > threshold).astype(np.int64)
        memory = np.stack([seen.n, seen.found, seen.belief, seen.last], axis=1)
        return (actions[0] if is_single else actions), (memory if self.has_memory else None)

    @property
    def has_memory(self) -> bool:
        """Whether the observation alone does not tell what the policy looks at."""
        size = (
            int(self.sizes.argmax()) if self.scenario.lot_size is None else self.scenario.lot_size
        )
        table = self.rule(size)
        if table.ndim == 2:
            return self.observation == "outcome" and bool(np.isfinite(table).any())
        looks_back = not np.array_equal(table[..., NONCONFORMING], table[..., CONFORMING])
        looks_far = self.observation == "outcome" and bool(np.any(table != table[:, :1]))
        return (looks_back and self.observation == "belief") or looks_far

    def _producing(self, size: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return P(produce one more) at lots of the given sizes."""
        # Beyond every size that it produces, the policy ends production.
        beyond = np.concatenate([np.cumsum(self.sizes[::-1])[::-1], [0.0]])
        here = np.minimum(size, len(self.sizes) - 1)
        return np.divide(
            beyond[here + 1], beyond[here], out=np.zeros(len(size)), where=beyond[here] > 0.0
        )

    def _inspecting(self, seen: _Seen) -> NDArray[np.float64]:
        """Return P(inspect the next) of the lots; 0 while they are being produced."""
        chances = np.zeros(len(seen.n))
        for size in np.unique(seen.size[~seen.is_producing]):
            table = self.rule(int(size))
            here = (seen.size == size) & ~seen.is_producing & (seen.n < size)
            n, found = seen.n[here], np.minimum(seen.found[here], table.shape[1] - 1)
            if table.ndim == 2:
                chances[here] = seen.belief[here] >= table[n, found]
            else:
                chances[here] = table[n, found, seen.last[here]]
        return chances

    def _see(self, observations: NDArray[np.float64], state: Any, episode_start: Any) -> _Seen:
        """Return what is known: what is observed, and what follows from the memory."""
        longest, count = self.scenario.longest_lot, len(observations)
        n = np.rint(observations[:, 0] * longest).astype(np.int64)
        if self.observation == "belief":
            found = self.scenario.demand - np.rint(observations[:, 1] * self.scenario.demand)
            belief, left = observations[:, 2], observations[:, 3]
        else:
            found, belief = np.zeros(count), np.full(count, self.scenario.survival[1])
            left = observations[:, 1]
        begins = n == 0
        if episode_start is not None:
            begins |= np.broadcast_to(np.asarray(episode_start, np.bool_), (count,))
        last = np.full(count, NO_RESULT)
        if self.observation == "outcome":
            last[observations[:, 2] > 0.5] = CONFORMING
            last[observations[:, 3] > 0.5] = NONCONFORMING
        if state is not None and not begins.all():
            before = np.asarray(state)
            if self.observation == "outcome":
                found = np.where(begins, found, before[:, 1] + (last == CONFORMING))
                after = self._learn(n, before[:, 2], last == CONFORMING)
                belief = np.where(begins, belief, after)
            else:
                grew = np.where(found > before[:, 1], CONFORMING, NONCONFORMING)
                last = np.where(begins, NO_RESULT, grew)
        size = n + np.rint(left * longest).astype(np.int64)
        producing = observations[:, 4] > 0.5
        return _Seen(producing, size, n, found.astype(np.int64), belief, last)

    def _learn(
        self, n: NDArray[np.int64], belief: NDArray[np.float64], conforming: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Return P(unit n + 1 in control), given that of unit n and its result."""
        scenario = self.scenario
        survival = np.append(scenario.survival, 0.0)
        yield_in, yield_out = scenario.judged_yields
        chance_in = np.where(conforming, yield_in, 1.0 - yield_in)
        chance_out = np.where(conforming, yield_out, 1.0 - yield_out)
        joint = belief * chance_in
        scale = (joint + (1.0 - belief) * chance_out) * survival[n]
        return np.divide(joint * survival[n + 1], scale, out=np.zeros(len(n)), where=scale > 0.0)


def lot_policy(
    scenario: InspectOrStopScenario,
    observation: str,
    size: int,
    rule: Callable[[int], NDArray[np.float64]],
) -> LotPolicy:
    """Return the policy that produces a lot of ``size`` units and inspects it by a rule."""
    sizes = np.zeros(scenario.longest_lot + 1)
    sizes[size] = 1.0
    # The table is looked up at every step that the policy plays.
    return LotPolicy(scenario, observation, sizes, lru_cache(maxsize=4)(rule))


def random_policy(scenario: InspectOrStopScenario, observation: str) -> LotPolicy:
    """Return the policy that takes each allowed action with the same probability."""
    sizes = 0.5 ** np.arange(1.0, scenario.longest_lot + 2)
    sizes[-1] *= 2.0  # where production cannot go on, it ends

    def rule(size: int) -> NDArray[np.float64]:
        return np.full((size, min(size, scenario.demand), 3), 0.5)

    return LotPolicy(scenario, observation, sizes, rule)
