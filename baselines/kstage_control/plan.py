"""The optimal control as a table of days, levels and stages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.plan import Fact, Plan
from baselines.core.tabular import TabularOptimum
from baselines.kstage.plan import error_facts
from qc_gym.kstage_control.scenario import KStageControlScenario

_NEVER = -1
_COLUMNS = {
    "day": "days, the first is 1",
    "level": "today's level",
    "nonconforming": "fraction nonconforming of new items at this level",
    "yesterday": "stages run yesterday",
    "run": "stages to run today",
    "times": "expected number of days in an episode on which one comes here",
}


def plan(optimum: TabularOptimum[KStageControlScenario]) -> Plan:
    """Return K by day, today's level and yesterday's K.

    Days share their rows where none of these differs. What the optimum never comes to is left out.
    """
    scenario = optimum.scenario
    shape = scenario.days, len(scenario.levels), scenario.max_stages + 1
    visits = optimum.evaluation.occupancy.reshape(shape)
    plans = np.where(visits > 0.0, optimum.policy.actions.reshape(shape), _NEVER)
    rows: list[dict[str, Any]] = []
    begin, shared = 0, plans[0]
    for day in range(1, scenario.days + 1):
        if day < scenario.days and _agree(shared, plans[day]):
            shared = np.maximum(shared, plans[day])
        else:
            rows += _rows(scenario, begin, day, shared, visits)
            if day < scenario.days:
                begin, shared = day, plans[day]
    return Plan(
        title="How many stages of inspection and rework, day by day",
        facts=(
            Fact("expected cost", 0.0 - optimum.value, "money per item used a day, over all days"),
            Fact("days", scenario.days),
            *error_facts(scenario),
        ),
        guidance=("Each day, look up the level of the process and the stages that ran yesterday.",),
        columns=_COLUMNS,
        rows=tuple(rows),
        scenario=scenario.model_dump(mode="json"),
    )


def _agree(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Return whether two tables say the same wherever both say something."""
    return bool(np.all((one == other) | (one == _NEVER) | (other == _NEVER)))


def _rows(
    scenario: KStageControlScenario,
    begin: int,
    end: int,
    plan: NDArray[np.int64],
    visits: NDArray[np.float64],
) -> Iterator[dict[str, Any]]:
    """Yield the rows of some days; ``plan`` is K by (level, yesterday's K)."""
    days = f"{begin + 1}" if end == begin + 1 else f"{begin + 1} to {end}"
    for level, yesterday in np.argwhere(plan != _NEVER).tolist():
        yield {
            "day": days,
            "level": level,
            "nonconforming": scenario.levels[level],
            "yesterday": yesterday,
            "run": int(plan[level, yesterday]),
            "times": float(visits[begin:end, level, yesterday].sum()),
        }
