"""The sweep behind a sensitivity: each point solved, its neighbours compared, every policy scored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from baselines.core.changes import Change, Follower, most_hidden
from baselines.core.optimum import Optimum
from baselines.core.problem import Problem
from baselines.core.references import NoPlanError
from baselines.core.sensitivity import AS_SEEN, FIXED, REDESIGNED, Regrets, Sensitivity
from baselines.core.variation import Variations
from qc_gym.core.errors import close_names
from qc_gym.core.policy import DesignedPolicy
from qc_gym.core.registry import registration_of
from qc_gym.core.scenario import Scenario


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
    base = problem.optimum
    policies = {"optimum": base.policy, **policies}
    for policy in policies.values():
        if isinstance(policy, str):
            _check_reference(base, policy)
        else:
            problem.player(policy, deterministic)  # refused before anything is run
    rows = list(_rows_of(base, policies))
    shape = tuple(len(field.values) for field in variations.fields)
    values = np.empty(shape)
    found = np.full((len(rows), 2, *shape), np.nan)
    reasons = [""] * len(rows)
    single = variations.fields[0] if len(shape) == 1 else None
    follower = None
    changes: list[Change] = []
    hidden = 0.0 if single is not None and single.is_money else math.inf
    resolution = 0.0

    def at(*point: float) -> Problem:
        return replace(problem, scenario=variations.at(*point))

    def earned(home: float, value: float) -> float:
        """Return what the optimal plan of one value earns at another, at least."""
        here = at(value)
        player = here.player(here.optimum.carried(at(home).optimum.policy))
        worth = here.worth(player, episodes, seed)
        return here.optimum.value - worth.regret - worth.tolerance

    for index in np.ndindex(shape):
        point = [field.values[i] for field, i in zip(variations.fields, index, strict=True)]
        here = at(*point)
        optimum = here.optimum
        values[index] = optimum.value
        for i, (_, kind, policy) in enumerate(rows):
            try:
                made = _made(optimum, kind, policy)
            except NoPlanError as error:
                reasons[i] = reasons[i] or str(error)
                continue
            worth = here.worth(here.player(made, deterministic), episodes, seed)
            found[(i, slice(None), *index)] = worth.regret, worth.stderr
        resolution = max(resolution, optimum.resolution)
        if single is None:
            continue
        if follower is None:
            follower = Follower(lambda value: at(value).optimum, point[0], single.is_whole, least)
            continue
        before = single.values[index[0] - 1]
        new = follower.advance(point[0])
        changes += new
        if hidden < math.inf:
            hidden = max(
                hidden,
                most_hidden(
                    lambda value: at(value).optimum.value,
                    earned,
                    before,
                    point[0],
                    new,
                    optimum.resolution,
                ),
            )
    return Sensitivity(
        env_id=registration_of(problem.env_type).env_id,
        fields=variations.fields,
        values=values,
        base_value=base.value,
        regrets=tuple(
            Regrets(name, kind, found[i, 0], found[i, 1], reasons[i])
            for i, (name, kind, _) in enumerate(rows)
        ),
        changes=None if single is None else tuple(changes),
        least=least,
        hidden=hidden,
        resolution=resolution,
        lost=0 if follower is None else follower.lost,
        scenario=problem.scenario.model_dump(mode="json"),
    )


def _rows_of(
    base: Optimum[Scenario], policies: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any]]:
    """Yield name, kind, and what is scored: a policy, or the name of a reference that is made anew."""
    for name, policy in policies.items():
        if isinstance(policy, str):
            try:
                yield name, FIXED, base.references()[policy]
            except NoPlanError as error:
                yield name, FIXED, error
            yield name, REDESIGNED, policy
        elif isinstance(policy, DesignedPolicy):
            yield name, FIXED, policy
        else:
            yield name, AS_SEEN, policy


def _made(optimum: Optimum[Scenario], kind: str, policy: Any) -> Any:
    """Return a policy as it meets the scenario of an optimum."""
    if isinstance(policy, NoPlanError):
        raise policy
    if kind == FIXED:
        return optimum.carried(policy)
    if kind == REDESIGNED:
        references = optimum.references()
        if policy not in references.names:
            raise NoPlanError(f"{policy}: the scenario has no such reference policy")
        return references[policy]
    return policy


def _check_reference(base: Optimum[Scenario], name: str) -> None:
    known = base.references().names
    if name not in known:
        raise ValueError(f"policy = {name!r}: no such reference; {close_names(name, known)}")
