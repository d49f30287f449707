"""The optimum in words: whoever follows the words earns the optimum."""

import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from pilot_runs import beta, pilot_run

import baselines
from baselines.pilot import Lattice
from baselines.pilot.instructions import instructions
from baselines.pilot.lattice import plan_payoffs
from qc_gym.pilot.plans import Plan
from qc_gym.pilot.scenario import PilotRunScenario

ID = "qc_gym/PilotRun-v0"
STEP = re.compile(r"(\d+)\. (?:.*: )?test (\w+), one at a time, until there are  \[(\S+)\]")
EXIT = re.compile(
    r"   (\d+)(?: to (\d+))? tested, (at most )?(\d+)(?: to (\d+))? defective: "
    r"(?:commit: (.*)|go on with (\d+))"
)
Exits = dict[tuple[int, int], str | int]


def read(text: str) -> dict[int, tuple[str, float, Exits]]:
    """Return the steps: the node tested, how often, and what follows from which counts."""
    steps: dict[int, tuple[str, float, Exits]] = {}
    for line in text.splitlines()[1:]:
        if step := STEP.fullmatch(line):
            exits: Exits = {}
            steps[int(step[1])] = step[2], float(step[3]), exits
            continue
        leaving = EXIT.fullmatch(line)
        assert leaving, line
        first, last, at_most, fewest, most, plan, following = leaving.groups()
        low = 0 if at_most else int(fewest)
        for n in range(int(first), int(last or first) + 1):
            for d in range(low, int(most or fewest) + 1):
                assert (n, d) not in exits
                exits[n, d] = plan or int(following)
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
        plan = next(p for p in range(16) if Plan.of(p).words(names) == then)
        return float(plan_payoffs(beliefs)[np.ravel_multi_index(points, beliefs.shape), plan])
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
def test_following_the_words_earns_the_optimum(name: str) -> None:
    lattice = Lattice.of(RUNS[name])
    text = instructions(lattice)
    gain = lattice.value - lattice.payoffs[0]
    assert gain > 0
    first = text.splitlines()[0]
    assert first == f"Expected {lattice.value:.4f}, of which the pilot run gains {gain:.4f}."
    steps = read(text)
    assert list(steps) == list(range(1, len(steps) + 1))
    assert follow(lattice, steps, 1, (0, 0, 0)) == pytest.approx(lattice.value, rel=1e-12)


@pytest.mark.parametrize("preset", PilotRunScenario.presets)
def test_every_preset_is_told(preset: str) -> None:
    env = gym.make(ID, scenario=preset)
    text = baselines.instructions(env)
    if baselines.solve(env).lattice.actions[0] >= 3:  # type: ignore[attr-defined]
        assert re.fullmatch(r"No test: commit: .*\.", text.splitlines()[1])
    else:
        steps = read(text)
        assert steps[1][1] == 1.0


def test_adjoining_counts_are_told_together() -> None:
    text = baselines.instructions(gym.make(ID, scenario="new-supplier"))
    assert "1 to 9 tested, 1 defective: commit: inspect display, dismantle what fails" in text
