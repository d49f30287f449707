"""The optimal control in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.core.tabular import TabularOptimum
from qc_gym.kstage_control.scenario import KStageControlScenario

_NEVER = -1


def instructions(optimum: TabularOptimum[KStageControlScenario]) -> str:
    """Return the optimum as tables of K by today's level and yesterday's K.

    Days share a table where none of its entries differs. What the optimum never comes to is left
    out.
    """
    scenario = optimum.scenario
    visits = optimum.evaluation.occupancy
    shape = scenario.days, len(scenario.levels), scenario.max_stages + 1
    plans = np.where(visits > 0.0, optimum.policy.actions, _NEVER).reshape(shape)
    lines = ["Stages to run today, by level (fraction nonconforming) and stages run yesterday:"]
    begin = 0
    shared = plans[0]
    for day in range(1, scenario.days + 1):
        if day < scenario.days and _agree(shared, plans[day]):
            shared = np.maximum(shared, plans[day])
        else:
            lines += ["", *_table(scenario, begin + 1, day, shared)]
            if day < scenario.days:
                begin, shared = day, plans[day]
    return "\n".join(lines)


def _agree(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    """Return whether two tables say the same wherever both say something."""
    return bool(np.all((one == other) | (one == _NEVER) | (other == _NEVER)))


def _table(
    scenario: KStageControlScenario, begin: int, end: int, plan: NDArray[np.int64]
) -> list[str]:
    """Return the lines of one table; ``plan`` is K by (level, yesterday's K)."""
    title = f"day {begin}" if begin == end else f"days {begin} to {end}"
    known = [stages for stages in range(plan.shape[1]) if (plan[:, stages] != _NEVER).any()]
    rows = [
        f"  level {i} ({rate:.4g})".ljust(22)
        + "".join(f"{'' if row[k] == _NEVER else row[k]:>9}" for k in known).rstrip()
        for i, (rate, row) in enumerate(zip(scenario.levels, plan, strict=True))
        if (row != _NEVER).any()
    ]
    return [title.ljust(22) + "".join(f"{f'after {k}':>9}" for k in known), *rows]
