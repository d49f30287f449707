"""Many scenarios at once: their optima, and what one policy loses on each."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from baselines.core.family import checked_optimum, family_of
from baselines.core.optimum import Optimum
from baselines.core.plan import Fact, render_card
from qc_gym.core.env import QCEnv
from qc_gym.core.policy import DesignedPolicy
from qc_gym.core.population import Population
from qc_gym.core.scenario import Scenario

Floats = NDArray[np.float64]
_BLOCK = 256
"""Scenarios that a process is handed at a time."""


@dataclass(frozen=True, eq=False)
class Optima:
    """The optima of many scenarios.

    Attributes
    ----------
    scenarios
        What was solved, n of them.
    values, lower, upper
        float64 (n,): the optimal expected return of an episode, in money, and bounds on it.
    policies
        An optimal policy of each; empty if they were not asked for.
    """

    scenarios: Sequence[Scenario]
    values: Floats
    lower: Floats
    upper: Floats
    policies: tuple[DesignedPolicy, ...] = ()

    def __len__(self) -> int:
        return len(self.scenarios)

    def __repr__(self) -> str:
        return f"Optima({len(self):,} scenarios, mean value {self.values.mean():.6g})"

    def _repr_html_(self) -> str:
        return render_card(
            f"Optima of {len(self):,} scenarios", _spread("optimal value", self.values)
        )


@dataclass(frozen=True, eq=False)
class Scores:
    """What one policy is worth on each of many scenarios.

    Attributes
    ----------
    scenarios
        Those it was scored on, n of them.
    values, optima, regrets
        float64 (n,): its expected return of an episode, the optimal one, and the difference, in money.
    normalised
        float64 (n,): 1 for the optimum, 0 for uniformly random play.
    stderrs
        float64 (n,): standard error of each value; 0.0 where it was computed.
    expected_lengths
        float64 (n,): expected number of decisions in an episode.
    left_out
        Why a reference policy does not exist for a scenario, or a plan made for another does not carry
        over, by the scenario's number; its numbers are NaN.
    """

    scenarios: Sequence[Scenario]
    values: Floats
    optima: Floats
    regrets: Floats
    normalised: Floats
    stderrs: Floats
    expected_lengths: Floats
    left_out: dict[int, str]

    def __len__(self) -> int:
        return len(self.scenarios)

    @property
    def scored(self) -> NDArray[np.bool_]:
        """Which scenarios have a score, (n,)."""
        scored = np.ones(len(self), np.bool_)
        scored[list(self.left_out)] = False
        return scored

    @property
    def mean_regret(self) -> float:
        """Mean regret over the scenarios scored, in money."""
        return float(self.regrets[self.scored].mean())

    @property
    def mean_regret_stderr(self) -> float:
        """Standard error of the mean regret, from scenario to scenario; NaN of fewer than two."""
        regrets = self.regrets[self.scored]
        return (
            float(regrets.std(ddof=1) / math.sqrt(len(regrets))) if len(regrets) > 1 else math.nan
        )

    @property
    def worst(self) -> int:
        """Number of the scenario of greatest regret."""
        return int(np.nanargmax(self.regrets))

    def __repr__(self) -> str:
        return (
            f"Scores({len(self):,} scenarios, mean regret {self.mean_regret:.6g}, median normalised "
            f"{np.median(self.normalised[self.scored]):.6g})"
        )

    def _repr_html_(self) -> str:
        facts = [
            *_spread("regret", self.regrets[self.scored]),
            Fact("standard error of the mean", self.mean_regret_stderr, "money"),
            Fact("median normalised score", float(np.median(self.normalised[self.scored]))),
        ]
        return render_card(f"Scores on {int(self.scored.sum()):,} scenarios", facts)


def _spread(name: str, values: Floats) -> list[Fact]:
    found = {"mean": values.mean(), "least": values.min(), "greatest": values.max()}
    return [Fact(f"{which} {name}", float(value), "money") for which, value in found.items()]


def optima_of(
    env_type: type[QCEnv],
    population: Population[Scenario],
    observation: str,
    policies: bool,
    workers: int,
) -> Optima:
    """Return the optima of a population, a block at a time; see :func:`baselines.solve_many`."""
    scenarios = population.scenarios
    kept: list[DesignedPolicy] = []
    if policies:
        found = []
        for optimum in _checked(env_type, scenarios, observation):
            found.append((optimum.value, optimum.lower, optimum.upper))
            kept.append(optimum.policy)
        solved = [_as_rows(found)]
    else:
        starts = range(0, len(scenarios), _BLOCK)
        blocks = [scenarios[start : start + _BLOCK] for start in starts]
        solve = partial(_bounds, env_type, observation)
        if workers == 1:
            solved = list(map(solve, blocks))
        else:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(workers, context) as pool:
                solved = list(pool.map(solve, blocks))
    values, lower, upper = np.concatenate([np.empty((3, 0)), *solved], axis=1)
    return Optima(scenarios, values, lower, upper, tuple(kept))


def _bounds(env_type: type[QCEnv], observation: str, scenarios: Sequence[Scenario]) -> Floats:
    """Return the values of scenarios and their bounds, (3, n)."""
    values = family_of(env_type).values
    if values is not None:
        return np.tile(values(scenarios), (3, 1))
    optima = _checked(env_type, scenarios, observation)
    return _as_rows([(optimum.value, optimum.lower, optimum.upper) for optimum in optima])


def _as_rows(found: Sequence[tuple[float, float, float]]) -> Floats:
    return np.array(found, np.float64).reshape(-1, 3).T


def _checked(
    env_type: type[QCEnv], scenarios: Sequence[Scenario], observation: str
) -> Iterator[Optimum[Scenario]]:
    """Yield the optimum of each scenario, which is kept no longer than it is looked at."""
    for scenario in scenarios:
        yield checked_optimum(family_of(env_type), scenario, observation)
