"""The plan of a pilot run: whoever follows its rows earns the optimum."""

import re
from typing import Any

import numpy as np
import pytest
from pilot_runs import beta, pilot_run

import baselines
from baselines.pilot import Lattice
from baselines.pilot.lattice import plan_payoffs
from baselines.pilot.plan import plan
from qc_gym.pilot.plans import Plan as StaticPlan
from qc_gym.pilot.scenario import PilotRunScenario

ID = "qc_gym/PilotRun-v0"
Exits = dict[tuple[int, int], str | int]


def read(plan: baselines.Plan) -> dict[int, tuple[str, float, Exits]]:
    """Return the steps: the node tested, how often, and what follows from which counts."""
    steps: dict[int, tuple[str, float, Exits]] = {}
    for row in plan.rows:
        _, _, exits = steps.setdefault(row["step"], (row["test"], row["chance"], {}))
        first, _, last = row["until tested"].partition(" to ")
        found = row["and defective"]
        low = "0" if found.startswith("at most ") else found.partition(" to ")[0]
        high = found.removeprefix("at most ").rpartition(" to ")[2]
        then = re.fullmatch(r"go on with step (\d+)", row["then"])
        for n in range(int(first), int(last or first) + 1):
            for d in range(int(low), int(high) + 1):
                assert (n, d) not in exits
                exits[n, d] = int(then[1]) if then else row["then"].removeprefix("commit: ")
    return steps


def follow(lattice: Lattice, steps: Any, number: int, points: tuple[int, ...]) -> float:
    """Return what following the steps is expected to earn, from the counts at ``points``."""
    beliefs = lattice.beliefs
    name, _, exits = steps[number]
    k = beliefs.scenario.order.index(name)
    axis = beliefs.axes[k]
    n, d = int(axis.n[points[k]]), int(axis.d[points[k]])
    if (n, d) in exits:
        then = exits[n, d]
        if isinstance(then, int):
            return follow(lattice, steps, then, points)
        names = beliefs.scenario.order
        chosen = next(p for p in range(16) if StaticPlan.of(p).words(names) == then)
        return float(plan_payoffs(beliefs)[np.ravel_multi_index(points, beliefs.shape), chosen])
    total, mean = -axis.node.sample_cost, float(axis.mean[points[k]])
    for found, chance in ((0, 1.0 - mean), (1, mean)):
        after = (*points[:k], points[k] + n + 1 + found, *points[k + 1 :])
        total += chance * follow(lattice, steps, number, after)
    return total


RUNS = {
    "two nodes": pilot_run((beta(1, 9), 0.0, beta(1, 8)), (4, 0, 3), order_size=900),
    "three nodes": pilot_run(
        (beta(2, 10), beta(1, 6), beta(2, 12)), (3, 3, 2), order_size=3000, return_loss=30.0
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_following_the_rows_earns_the_optimum(name: str) -> None:
    lattice = Lattice.of(RUNS[name])
    told = plan(lattice)
    gain = lattice.value - lattice.payoffs[0]
    assert gain > 0
    facts = {fact.name: fact.value for fact in told.facts}
    assert facts["expected profit of the order"] == lattice.value
    assert facts["of this, gained by testing"] == pytest.approx(gain, abs=1e-9)
    steps = read(told)
    assert list(steps) == list(range(1, len(steps) + 1))
    assert follow(lattice, steps, 1, (0, 0, 0)) == pytest.approx(lattice.value, rel=1e-12)


@pytest.mark.parametrize("preset", PilotRunScenario.presets)
def test_every_preset_is_told(preset: str) -> None:
    told = baselines.plan(ID, scenario=preset)
    if baselines.solve(ID, scenario=preset).lattice.actions[0] >= 3:  # type: ignore[attr-defined]
        assert re.fullmatch(r"No test: commit: .*\.", told.guidance[0])
        assert told.rows == ()
    else:
        assert read(told)[1][1] == 1.0


def test_adjoining_counts_are_told_together() -> None:
    rows = baselines.plan(ID, scenario="new-supplier").rows
    assert any(
        (row["until tested"], row["and defective"]) == ("1 to 9", "1")
        and row["then"] == "commit: inspect display, dismantle what fails"
        for row in rows
    )
