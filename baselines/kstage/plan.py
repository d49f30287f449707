"""The best number of stages, with the table by which it is the best (as Table 1 of Yang 2010)."""

from __future__ import annotations

import numpy as np

from baselines.core.plan import Fact, Plan
from baselines.core.tabular import TabularOptimum
from baselines.kstage.model import steady_states
from baselines.kstage.reference import in_words
from qc_gym.kstage.scenario import KStageScenario, PlantScenario

_COLUMNS = {
    "K": "stages of inspection and rework",
    "do": "whether to run so many",
    "p_K": "fraction nonconforming after the stages",
    "p_E": "fraction nonconforming in the pool",
    "AOQ": "fraction nonconforming delivered (average outgoing quality)",
    "N_E": "items pooled a day",
    "NIN1": "items inspected in the stages a day",
    "NIN2": "items inspected at the source a day",
    "NIN3": "items of rejected lots inspected again a day",
    "NRW": "items reworked a day",
    "cost a day": "money",
}


def plan(optimum: TabularOptimum[KStageScenario]) -> Plan:
    """Return every number of stages with its steady state and what it costs."""
    scenario = optimum.scenario
    steady = steady_states(scenario)
    costs = steady.cost(scenario.inspection_cost, scenario.rework_cost)
    best = int(optimum.policy.actions[0])
    columns = {
        "p_K": steady.stages_fraction,
        "p_E": steady.pool_fraction,
        "AOQ": steady.outgoing_fraction,
        "N_E": steady.pooled,
        "NIN1": steady.stage_inspections,
        "NIN2": steady.source_inspections,
        "NIN3": steady.reinspections,
        "NRW": steady.reworks,
        "cost a day": costs,
    }
    rows = tuple(
        {
            "K": stages,
            "do": "run" if stages == best else None,
            **{name: float(column[stages]) for name, column in columns.items()},
        }
        for stages in range(scenario.max_stages + 1)
    )
    facts = [
        Fact("stages to run", best),
        Fact("cost of an item used", 0.0 - optimum.value, "money"),
        Fact("cost a day", float(costs[best]), "money"),
        *error_facts(scenario),
    ]
    others = np.delete(costs, best)
    if len(others):
        gain = float(others.min() - costs[best])
        facts.append(Fact("less than the next best", gain, "money a day"))
    return Plan(
        title="How many stages of inspection and rework",
        facts=tuple(facts),
        guidance=(f"Run {in_words(best)}.",),
        columns=_COLUMNS,
        rows=rows,
        scenario=scenario.model_dump(mode="json"),
    )


def error_facts(scenario: PlantScenario) -> tuple[Fact, ...]:
    """Return how often the inspectors whom a plan reckons with err; nothing if they do not."""
    if not scenario.has_errors:
        return ()
    return (
        Fact("conforming items judged nonconforming", scenario.false_alarm),
        Fact("nonconforming items judged conforming", scenario.miss),
    )
