"""The optimal control in words."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from baselines.core.scoring import Solution
from qc_gym.kstage_control.scenario import KStageControlScenario


def instructions(solution: Solution) -> str:
    """Return the optimum as tables of K by today's level and yesterday's K.

    Days on which the table is the same share it.
    """
    scenario = solution.model.scenario
    assert isinstance(scenario, KStageControlScenario)
    shape = scenario.days, len(scenario.levels), scenario.max_stages + 1
    plans = solution.policy.actions.reshape(shape)
    lines = ["Stages to run today, by level (fraction nonconforming) and stages run yesterday:"]
    for _, group in groupby(range(scenario.days), key=lambda day: plans[day].tobytes()):
        days = list(group)
        lines += ["", *_table(scenario, days[0] + 1, days[-1] + 1, plans[days[0]])]
    return "\n".join(lines)


def _table(
    scenario: KStageControlScenario, begin: int, end: int, plan: NDArray[np.int64]
) -> list[str]:
    """Return the lines of one table; ``plan`` is K by (level, yesterday's K)."""
    title = f"day {begin}" if begin == end else f"days {begin} to {end}"
    header = "".join(f"{f'after {stages}':>9}" for stages in range(scenario.max_stages + 1))
    rows = [
        f"  level {i} ({rate:.4g})".ljust(22) + "".join(f"{stages:>9}" for stages in row)
        for i, (rate, row) in enumerate(zip(scenario.levels, plan, strict=True))
    ]
    return [f"{title}".ljust(22) + header, *rows]
