"""The contract between the generic code and a family of environments.

A family brings one object, its :class:`Family`, named where its environment is registered
(``qc_gym.register``). It says which environment it is about and gives the function that solves a
scenario. All else is asked of the :class:`~baselines.core.optimum.Optimum` that this returns: scores,
gaps, references, words and pictures.

To add a family with tables: subclass :class:`~baselines.core.tabular.TabularOptimum` with ``designs``,
``describe_state``, ``describe_action``, ``plan`` and ``figures``, and give

    def solve(scenario: CoinScenario, observation: str = "belief") -> CoinOptimum:
        return CoinOptimum.of(build_model(scenario, observation))

    FAMILY = Family(CoinEnv, solve)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from baselines.core.model import ScenarioT_co
from baselines.core.optimum import Optimum
from baselines.core.store import store_in_use
from baselines.core.tabular import TabularOptimum
from qc_gym.core.env import QCEnv
from qc_gym.core.registry import registration_of
from qc_gym.core.scenario import Scenario
from qc_gym.core.vector import QCVectorEnv, vector_type


@dataclass(frozen=True)
class Family(Generic[ScenarioT_co]):
    """What a family of environments brings.

    Attributes
    ----------
    environment
        Its scalar environment.
    solve
        Returns the optimum of a scenario with an observation, ``"belief"`` or ``"outcome"``.
    values
        Returns the optimal values of many scenarios, float64 (n,), where that is quicker than to solve
        them one by one and the optimum is exact; None where it is not.
    kept
        The type of its optima, where reading one from disk is far quicker than solving it again; None
        where it is not. A policy iteration takes some 50 times as long, a sweep backwards no longer.
    """

    environment: type[QCEnv]
    solve: Callable[[ScenarioT_co, str], Optimum[ScenarioT_co]]
    values: Callable[[Sequence[ScenarioT_co]], NDArray[np.float64]] | None = None
    kept: type[TabularOptimum[ScenarioT_co]] | None = None

    def arena(self, num_envs: int, scenario: Scenario, observation: str) -> QCVectorEnv:
        """Return the vector environment in which policies are simulated."""
        return vector_type(self.environment)(
            num_envs, scenario, observation, autoreset_mode="SameStep"
        )


def family_of(env_type: type[QCEnv]) -> Family[Scenario]:
    """Return the family of an environment.

    Raises
    ------
    LookupError
        The environment is not registered.
    TypeError
        Its registration names something else than a family.
    """
    return family_named(registration_of(env_type).family)


def optimum_of(env_type: type[QCEnv], scenario: Scenario, observation: str) -> Optimum[Scenario]:
    """Return the optimum of a scenario, checked; the last few are kept.

    Large ones of a family that says so are also kept in the store that is in use
    (:func:`baselines.core.store.using`), if there is one.
    """
    return _optimum(registration_of(env_type).family, scenario, observation)


def checked_optimum(
    family: Family[Scenario], scenario: Scenario, observation: str
) -> Optimum[Scenario]:
    """Return the optimum of a scenario, checked, which nobody but the caller keeps."""
    optimum = family.solve(scenario, observation)
    optimum.check()
    return optimum


@cache
def family_named(path: str) -> Family[Scenario]:
    """Return a family by the place that its registration names, ``"module:NAME"``."""
    module, _, name = path.partition(":")
    found = getattr(importlib.import_module(module), name)
    if not isinstance(found, Family):
        raise TypeError(f"{path} = {found!r}: a baselines.Family is needed")
    return found


@lru_cache(maxsize=8)
def _optimum(path: str, scenario: Scenario, observation: str) -> Optimum[Scenario]:
    family, store = family_named(path), store_in_use()
    if family.kept is None or store is None:
        return checked_optimum(family, scenario, observation)
    key = {
        "family": path,
        "scenario": scenario.model_dump(mode="json"),
        "observation": observation,
    }
    arrays = store.find(key)
    if arrays is not None:
        return family.kept.restored(scenario, observation, arrays)
    optimum = checked_optimum(family, scenario, observation)
    assert isinstance(optimum, family.kept)
    store.keep(key, optimum.arrays())
    return optimum
