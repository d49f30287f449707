"""The sweep behind a sensitivity: each point solved, its neighbours compared, every policy scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.changes import Follower
from baselines.core.optimum import Optimum
from baselines.core.problem import Problem
from baselines.core.references import NoPlanError
from baselines.core.rule import Rule
from baselines.core.scoring import Worth
from baselines.core.sensitivity import AS_SEEN, FIXED, OPTIMUM, REDESIGNED, Regrets, Sensitivity
from baselines.core.variation import Variations
from qc_gym.core.errors import close_names
from qc_gym.core.policy import DesignedPolicy
from qc_gym.core.registry import registration_of
from qc_gym.core.scenario import Scenario


@dataclass
class _Row:
    """A policy as it meets the points, with what it has lost so far."""

    name: str
    kind: str
    policy: Any
    found: NDArray[np.float64]
    reason: str = ""

    def meet(self, here: Problem, index: tuple[int, ...], score: Score) -> None:
        """Add what the policy loses at a point."""
        try:
            made = _made(here.optimum, self.kind, self.policy)
        except NoPlanError as error:
            self.reason = self.reason or str(error)
            return
        worth = score(here, made)
        self.found[index] = worth.regret, worth.stderr

    @property
    def regrets(self) -> Regrets:
        """What it has lost."""
        return Regrets(self.name, self.kind, self.found[..., 0], self.found[..., 1], self.reason)


Score = Callable[[Problem, Any], Worth]
"""(point, policy) → what the policy loses there."""


def vary(
    problem: Problem,
    fields: Mapping[str, Sequence[float]],
    policies: Mapping[str, Any],
    *,
    least: float,
    deterministic: bool | None,
    episodes: int,
    seed: int,
) -> Sensitivity:
    """Return the sensitivity of an environment's optimum; see :func:`baselines.sensitivity`."""
    variations = Variations(problem.scenario, fields)
    _check(problem, policies, deterministic)

    # Neighbours on the grid, and the last of those between: optima may be large.
    on_grid, between = lru_cache(maxsize=2)(problem.moved), lru_cache(maxsize=2)(problem.moved)

    def at(*point: float) -> Problem:
        return (on_grid if point in variations else between)(variations.at(*point))

    def score(here: Problem, policy: Any) -> Worth:
        return here.worth(here.player(policy, deterministic), episodes, seed)

    base = problem.optimum
    values = np.empty([len(field.values) for field in variations.fields])
    rows = list(_rows_of(base, {OPTIMUM: base.policy, **policies}, values.shape))
    follower = _follower(variations, at, score, least)
    resolution = 0.0
    for index in np.ndindex(values.shape):
        point = [field.values[i] for field, i in zip(variations.fields, index, strict=True)]
        here = at(*point)
        values[index] = here.optimum.value
        resolution = max(resolution, here.optimum.resolution)
        for row in rows:
            row.meet(here, index, score)
        if follower is not None and index > (0,):
            follower.advance(point[0])
    return Sensitivity(
        env_id=registration_of(problem.env_type).env_id,
        fields=variations.fields,
        values=values,
        base_value=base.value,
        regrets=tuple(row.regrets for row in rows),
        changes=None if follower is None else tuple(follower.changes),
        least=least,
        hidden=math.inf if follower is None else follower.hidden,
        resolution=resolution,
        lost=0 if follower is None else follower.lost,
        scenario=problem.scenario.model_dump(mode="json"),
    )


def _check(problem: Problem, policies: Mapping[str, Any], deterministic: bool | None) -> None:
    """Refuse names of no reference and what is no policy, before anything is run."""
    if OPTIMUM in policies:
        raise ValueError(f"policy: {OPTIMUM!r} is the name of the base's optimal plan")
    for policy in policies.values():
        if not isinstance(policy, str):
            problem.player(policy, deterministic)
            continue
        known = problem.optimum.references().names
        if policy not in known:
            raise ValueError(
                f"policy = {policy!r}: no such reference; {close_names(policy, known)}"
            )


def _follower(
    variations: Variations, at: Callable[[float], Problem], score: Score, least: float
) -> Follower | None:
    """Return what follows the decisions along a single field."""
    if len(variations.fields) > 1:
        return None

    def earned(home: float, value: float) -> float:
        here = at(value)
        worth = score(here, here.optimum.carried(at(home).optimum.policy))
        if not worth.exact:
            return -math.inf
        return here.optimum.value - worth.regret - worth.tolerance

    (field,) = variations.fields
    return Follower(
        lambda value: at(value).optimum,
        field.values[0],
        field.is_whole,
        least,
        earned if field.is_money else None,
    )


def _rows_of(
    base: Optimum[Scenario], policies: Mapping[str, Any], shape: tuple[int, ...]
) -> Iterator[_Row]:
    """Yield how each policy meets the points: what is scored is a policy, or a reference's name."""
    for name, policy in policies.items():
        if isinstance(policy, str):
            try:
                yield _Row(name, FIXED, base.references()[policy], _nothing(shape))
            except NoPlanError as error:
                yield _Row(name, FIXED, error, _nothing(shape))
            yield _Row(name, REDESIGNED, policy, _nothing(shape))
        elif isinstance(policy, DesignedPolicy | Rule):
            yield _Row(name, FIXED, policy, _nothing(shape))
        else:
            yield _Row(name, AS_SEEN, policy, _nothing(shape))


def _nothing(shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.full((*shape, 2), np.nan)


def _made(optimum: Optimum[Scenario], kind: str, policy: Any) -> Any:
    """Return a policy as it meets the scenario of an optimum."""
    if isinstance(policy, NoPlanError):
        raise policy
    if kind == FIXED:
        return policy.policy(optimum) if isinstance(policy, Rule) else optimum.carried(policy)
    if kind == REDESIGNED:
        references = optimum.references()
        if policy not in references.names:
            raise NoPlanError(f"{policy}: the scenario has no such reference policy")
        return references[policy]
    return policy
