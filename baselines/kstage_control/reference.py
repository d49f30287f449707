"""The policies that a plant would use from day to day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.core.model import TabularModel
from baselines.core.policy import TabularPolicy, constant_policy
from baselines.core.scoring import Solution
from baselines.kstage_control.model import daily_costs
from qc_gym.kstage_control.scenario import KStageControlScenario


def reference_policies(solution: Solution) -> dict[str, TabularPolicy]:
    """Return ``myopic``, ``follow_level`` and ``stages_0``, ``stages_1``, …: the same K every day.

    ``myopic`` minimises the cost of the day, the changeover included; ``follow_level`` runs what is
    best for the day's level, whatever the changeover costs.
    """
    tables = solution.model
    scenario = tables.scenario
    assert isinstance(scenario, KStageControlScenario)
    today = daily_costs(scenario).argmin(axis=2)
    best = scenario.level_costs.argmin(axis=1)
    level_best = np.repeat(best[:, np.newaxis], scenario.max_stages + 1, axis=1)
    return {
        "myopic": _stationary(tables, today),
        "follow_level": _stationary(tables, level_best),
        **{
            f"stages_{stages}": constant_policy(tables, stages)
            for stages in range(tables.num_actions)
        },
    }


def _stationary(tables: TabularModel, stages: NDArray[np.integer]) -> TabularPolicy:
    """Return the policy that does the same every day; K by level and yesterday's K."""
    states = tables.states
    return TabularPolicy.of(tables, stages[states["level"], states["stages"]])
