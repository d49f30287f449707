"""K-stage control as tables: a finite horizon over (day, level, yesterday's K)."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit
from numpy.typing import NDArray

from baselines.core.model import TabularModel
from baselines.core.policy import TabularPolicy
from qc_gym.core.kernel import Kernel
from qc_gym.kstage_control.scenario import KStageControlScenario

ControlModel = TabularModel[KStageControlScenario]
ControlPolicy = TabularPolicy[KStageControlScenario]


def build_model(scenario: KStageControlScenario, observation: str = "belief") -> ControlModel:
    """Return the decision problem: its states are (day, level, yesterday's K), the last fastest."""
    days, levels, choices = scenario.days, len(scenario.levels), scenario.max_stages + 1
    num_states = days * levels * choices
    continuing = (days - 1) * levels * choices * choices  # pairs of a state and an action
    first = np.zeros(num_states * choices + 1, np.int64)
    first[1:] = levels * np.minimum(np.arange(1, num_states * choices + 1), continuing)
    start = scenario.initial_level * choices + scenario.initial_stages
    # Probabilities of the next level, for each level, yesterday's K and K.
    chances = np.repeat(scenario.transition_matrix, choices * choices, axis=0)
    return TabularModel(
        kernel=scenario.kernel,
        scenario=scenario,
        observation=observation,
        make_states=partial(_states, scenario.kernel, days, levels, choices),
        rewards=np.tile(0.0 - daily_costs(scenario).reshape(-1, choices), (days, 1)),
        allowed=np.ones((num_states, choices), np.bool_),
        first=first,
        successors=_successors(days, levels, choices),
        probabilities=np.tile(chances.ravel(), days - 1),
        initial_states=np.array([start]),
        initial_probabilities=np.ones(1),
    )


def daily_costs(scenario: KStageControlScenario) -> NDArray[np.float64]:
    """Return the cost of a day per item used, in money, (levels, yesterday's K, K)."""
    stages = np.arange(scenario.max_stages + 1)
    changes = np.abs(stages[:, np.newaxis] - stages)
    return scenario.level_costs[:, np.newaxis, :] + scenario.changeover_cost * changes


def _successors(days: int, levels: int, choices: int) -> NDArray[np.int32]:
    """Return the states after each action of each state before the last day, for each next level."""
    day = np.arange(1, days, dtype=np.int32).reshape(-1, 1, 1, 1)
    stages = np.arange(choices, dtype=np.int32).reshape(-1, 1)
    level = np.arange(levels, dtype=np.int32)
    following = (day * levels + level) * choices + stages
    return np.repeat(following, levels * choices, axis=1).ravel()


def _states(kernel: Kernel, days: int, levels: int, choices: int) -> NDArray[np.void]:
    states = np.zeros(days * levels * choices, kernel.state_dtype)
    day, level, stages = np.indices((days, levels, choices))
    states["day"], states["level"], states["stages"] = day.ravel(), level.ravel(), stages.ravel()
    return states


def optimal_value(scenario: KStageControlScenario) -> float:
    """Return the optimal expected return in money, without the tables of every day."""
    value = _backwards(
        scenario.level_costs, scenario.changeover_cost, scenario.transition_matrix, scenario.days
    )
    return 0.0 - float(value[scenario.initial_level, scenario.initial_stages])


@njit(cache=True, error_model="numpy")
def _backwards(level_costs, changeover_cost, transition, days):  # type: ignore[no-untyped-def]
    """Return the least cost of so many days, (levels, yesterday's K)."""
    levels, choices = level_costs.shape
    to_come, now = np.zeros((levels, choices)), np.empty((levels, choices))
    ahead = np.zeros((levels, choices))
    for _ in range(days):
        for level in range(levels):
            for before in range(choices):
                least = np.inf
                for stages in range(choices):
                    cost = level_costs[level, stages] + changeover_cost * abs(before - stages)
                    least = min(least, cost + ahead[level, stages])
                now[level, before] = least
        to_come[:] = now
        for level in range(levels):
            for stages in range(choices):
                expected = 0.0
                for following in range(levels):
                    expected += transition[level, following] * to_come[following, stages]
                ahead[level, stages] = expected
    return to_come
