"""The policies of a plant that decides once, and the optimum in words."""

from __future__ import annotations

import numpy as np

from baselines.core.model import TabularModel
from baselines.core.policy import TabularPolicy, constant_policy
from baselines.core.scoring import Solution
from baselines.kstage.model import steady_states
from qc_gym.kstage.scenario import KStageScenario

_COLUMNS = ("K", "p_K", "p_E", "AOQ", "N_E", "NIN1", "NIN2", "NIN3", "NRW", "cost a day")


def reference_policies(solution: Solution) -> dict[str, TabularPolicy]:
    """Return ``stages_0``, ``stages_1``, …: every number of stages that may be run."""
    tables = solution.model
    return {
        f"stages_{stages}": constant_policy(tables, stages) for stages in range(tables.num_actions)
    }


def describe_state(model: TabularModel, row: int) -> str:
    """Return the only state in words."""
    return "the plant before its only decision"


def describe_action(model: TabularModel, row: int, action: int) -> str:
    """Return an action in words: how many stages are run."""
    return f"{action} stage{'s' * (action != 1)}"


def instructions(solution: Solution) -> str:
    """Return the best K, and the table by which it is the best (as Table 1 of Yang 2010)."""
    scenario = solution.model.scenario
    assert isinstance(scenario, KStageScenario)
    steady = steady_states(scenario)
    costs = steady.cost(scenario.inspection_cost, scenario.rework_cost)
    best = int(solution.policy.actions[0])
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
    heading = f"Run {describe_action(solution.model, 0, best)}: {costs[best]:,.2f} a day"
    if len(others):
        heading += f", {others.min() - costs[best]:,.2f} less than the next best"
    return "\n".join([f"{heading}.", "", *lines])
