"""The policies that a plant would use from day to day."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.core.policy import TabularPolicy
from baselines.core.references import Reference
from baselines.kstage.reference import designs as every_number
from baselines.kstage_control.model import ControlModel, ControlPolicy, daily_costs


def designs(tables: ControlModel) -> dict[str, Reference]:
    """Return ``myopic``, ``follow_level`` and ``stages_0``, ``stages_1``, …: the same K every day.

    ``myopic`` minimises the cost of the day, the changeover included; ``follow_level`` runs what is
    best for the day's level, whatever the changeover costs.
    """
    scenario = tables.scenario

    def follow_level() -> NDArray[np.integer]:
        best = scenario.level_costs.argmin(axis=1)
        return np.repeat(best[:, np.newaxis], scenario.max_stages + 1, axis=1)

    return {
        "myopic": Reference(
            "the K that costs least today, the changeover included",
            lambda: (_stationary(tables, daily_costs(scenario).argmin(axis=2)), {}),
        ),
        "follow_level": Reference(
            "the K that is best for today's level, whatever the changeover costs",
            lambda: (_stationary(tables, follow_level()), {}),
        ),
        **every_number(tables),
    }


def _stationary(tables: ControlModel, stages: NDArray[np.integer]) -> ControlPolicy:
    """Return the policy that does the same every day; K by level and yesterday's K."""
    states = tables.states
    return TabularPolicy.of(tables, stages[states["level"], states["stages"]])
