"""The policies of a plant that decides once, and the optimum in words."""

from __future__ import annotations

from functools import partial

import numpy as np

from baselines.core.model import ScenarioT_co, TabularModel
from baselines.core.policy import constant_policy
from baselines.core.references import Reference
from baselines.core.tabular import TabularOptimum
from baselines.kstage.model import steady_states
from qc_gym.kstage.scenario import KStageScenario

_COLUMNS = ("K", "p_K", "p_E", "AOQ", "N_E", "NIN1", "NIN2", "NIN3", "NRW", "cost a day")


def designs(tables: TabularModel[ScenarioT_co]) -> dict[str, Reference]:
    """Return ``stages_0``, ``stages_1``, …: every number of stages that may be run."""
    return {
        f"stages_{stages}": Reference(
            f"runs {in_words(stages)}",
            partial(lambda stages: (constant_policy(tables, stages), {"K": stages}), stages),
        )
        for stages in range(tables.num_actions)
    }


def in_words(stages: int) -> str:
    """Return a number of stages in words."""
    return f"{stages} stage{'s' * (stages != 1)}"


def instructions(optimum: TabularOptimum[KStageScenario]) -> str:
    """Return the best K, and the table by which it is the best (as Table 1 of Yang 2010)."""
    scenario = optimum.scenario
    steady = steady_states(scenario)
    costs = steady.cost(scenario.inspection_cost, scenario.rework_cost)
    best = int(optimum.policy.actions[0])
    lines = ["".join(f"{name:>12}" for name in _COLUMNS)]
    for stages in range(scenario.max_stages + 1):
        fractions = (steady.stages_fraction, steady.pool_fraction, steady.outgoing_fraction)
        items = (
            steady.pooled,
            steady.stage_inspections,
            steady.source_inspections,
            steady.reinspections,
            steady.reworks,
            costs,
        )
        lines.append(
            f"{stages:>12}"
            + "".join(f"{100.0 * column[stages]:>11.4f}%" for column in fractions)
            + "".join(f"{column[stages]:>12,.1f}" for column in items)
            + ("  best" if stages == best else "")
        )
    others = np.delete(costs, best)
    heading = f"Run {in_words(best)}: {costs[best]:,.2f} a day"
    if len(others):
        heading += f", {others.min() - costs[best]:,.2f} less than the next best"
    return "\n".join([f"{heading}.", "", *lines])
