"""The optimal pilot run as a table of runs of tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from baselines.core.plan import Fact, Plan
from baselines.pilot.lattice import Lattice
from qc_gym.pilot.dynamics import COMMIT
from qc_gym.pilot.scenario import PilotRunScenario


class Exit(NamedTuple):
    """Counts of one node at which its tests end: ranges (first, last) of tested and defective.

    ``row`` is that of the lattice, of the first counts; ``action`` is what follows from all of them.
    """

    tested: tuple[int, int]
    defective: tuple[int, int]
    row: int
    action: int


class Stretch(NamedTuple):
    """Tests of one node, one after another, from the counts at ``row`` of the lattice."""

    row: int
    node: int
    exits: tuple[Exit, ...]


_COLUMNS = {
    "step": "its number",
    "where": "counts of the other nodes when the step begins",
    "test": "what to test, one after another",
    "until tested": "number of its tests, of all times, at which the step ends",
    "and defective": "defective ones among them",
    "then": "what follows",
    "chance": "probability that the step is taken",
}


def plan(lattice: Lattice) -> Plan:
    """Return every run of tests that the optimum can come to, a row for each way in which it ends."""
    scenario = lattice.beliefs.scenario
    runs = reached_runs(lattice)
    number = {run.row: i for i, run in enumerate(runs, 1)}
    rows = [
        {
            "step": number[run.row],
            "where": _elsewhere(lattice, run) or None,
            "test": scenario.order[run.node],
            "until tested": _range(*leaving.tested),
            "and defective": _found(leaving),
            "then": _then(scenario, leaving, number),
            "chance": float(lattice.occupancy[run.row]),
        }
        for run in runs
        for leaving in run.exits
    ]
    gain = lattice.value - float(lattice.payoffs[0])
    guidance = ["Test one at a time, until a row of the step fits; then do what it says."]
    if not runs:
        guidance = [f"No test: {scenario.action_names[int(lattice.actions[0])]}."]
    return Plan(
        title="How much to test before the order is committed",
        facts=(
            Fact("expected profit of the order", lattice.value, "money"),
            Fact("of this, gained by testing", round(gain, 9) + 0.0, "money"),
            Fact("order size", scenario.order_size, "units"),
        ),
        guidance=tuple(guidance),
        columns=_COLUMNS,
        rows=tuple(rows),
        scenario=scenario.model_dump(mode="json"),
    )


def reached_runs(lattice: Lattice) -> list[Stretch]:
    """Return the runs of tests that the optimum can come to, breadth-first from the start."""
    rows = [0] if lattice.actions[0] < COMMIT else []
    seen, runs = set(rows), []
    for row in rows:  # grows while it is read
        run = Stretch(row, int(lattice.actions[row]), tuple(_merged(_exits(lattice, row))))
        runs.append(run)
        for leaving in run.exits:
            if leaving.action < COMMIT and leaving.row not in seen:
                seen.add(leaving.row)
                rows.append(leaving.row)
    return runs


def counts_in_words(
    scenario: PilotRunScenario, tested: Sequence[int], defective: Sequence[int]
) -> str:
    """Return the counts of all nodes that have been tested, in words."""
    known = [
        f"{d} of {n} {name} defective"
        for name, n, d in zip(scenario.order, tested, defective, strict=True)
        if n
    ]
    return ", ".join(known) or "nothing tested"


def _exits(lattice: Lattice, row: int) -> Iterator[Exit]:
    """Yield where tests of the node tested at ``row`` end, by the number tested and defective."""
    beliefs, node = lattice.beliefs, int(lattice.actions[row])
    axis, stride = beliefs.axes[node], beliefs.strides[node]
    begin = row // stride % len(axis)
    rest = row - stride * begin
    level = {begin}
    while level:
        following = set()
        for point in sorted(level):
            action = int(lattice.actions[rest + stride * point])
            if action == node:
                after = point + int(axis.n[point]) + 1
                following |= {after, after + 1}
            else:
                n, d = int(axis.n[point]), int(axis.d[point])
                yield Exit((n, n), (d, d), rest + stride * point, action)
        level = following


def _merged(exits: Iterator[Exit]) -> list[Exit]:
    """Return the exits, those from which the same commitment follows as one where they adjoin."""
    longer: list[Exit] = []
    for leaving in sorted(exits, key=lambda one: (one.action, one.defective, one.tested)):
        last = longer[-1] if longer else leaving
        if _is_next(
            last, leaving, last.tested, leaving.tested, last.defective == leaving.defective
        ):
            longer[-1] = last._replace(tested=(last.tested[0], leaving.tested[1]))
        else:
            longer.append(leaving)
    wider: list[Exit] = []
    for leaving in sorted(longer, key=lambda one: (one.action, one.tested, one.defective)):
        last = wider[-1] if wider else leaving
        if _is_next(
            last, leaving, last.defective, leaving.defective, last.tested == leaving.tested
        ):
            wider[-1] = last._replace(defective=(last.defective[0], leaving.defective[1]))
        else:
            wider.append(leaving)
    return sorted(wider, key=lambda one: (one.tested, one.defective))


def _is_next(
    last: Exit, leaving: Exit, before: tuple[int, int], after: tuple[int, int], alike: bool
) -> bool:
    """Return whether an exit goes on where the last ends, with the same commitment."""
    return alike and before[1] + 1 == after[0] and last.action == leaving.action >= COMMIT


def _elsewhere(lattice: Lattice, run: Stretch) -> str:
    """Return the counts of the other nodes at the start of a run."""
    beliefs = lattice.beliefs
    points = [run.row // beliefs.strides[k] % len(axis) for k, axis in enumerate(beliefs.axes)]
    tested = [int(axis.n[point]) for axis, point in zip(beliefs.axes, points, strict=True)]
    defective = [int(axis.d[point]) for axis, point in zip(beliefs.axes, points, strict=True)]
    if not any(tested):
        return ""
    return counts_in_words(beliefs.scenario, tested, defective)


def _found(leaving: Exit) -> str:
    fewest, most = leaving.defective
    return f"at most {most}" if fewest == 0 < most else _range(fewest, most)


def _then(scenario: PilotRunScenario, leaving: Exit, number: dict[int, int]) -> str:
    if leaving.action >= COMMIT:
        return scenario.action_names[leaving.action]
    return f"go on with step {number[leaving.row]}"


def _range(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first} to {last}"
