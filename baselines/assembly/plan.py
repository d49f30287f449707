"""The optimum of an assembly tree as numbered steps."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from baselines.assembly.model import AssemblyModel
from baselines.assembly.static_search import best_static
from baselines.core.plan import Fact, Plan
from baselines.core.tabular import TabularOptimum
from qc_gym.assembly.dynamics import BAD, DISCARD, DISMANTLE, GOOD, INSPECT, NODE_FEATURES
from qc_gym.assembly.scenario import AssemblyScenario

_COLUMNS = {
    "step": "its number",
    "where": "what is asked, and what is known of it",
    "do": "what to do",
    "then": "which step follows what is found",
    "times": "expected number of times that the step is taken for a delivered unit",
}


def plan(optimum: TabularOptimum[AssemblyScenario]) -> Plan:
    """Return every step that the optimum can come to, in the order in which they follow each other."""
    steps = reached_steps(optimum)
    number = {row: i + 1 for i, row in enumerate(steps)}
    visits = optimum.evaluation.occupancy
    rows = []
    for row in steps:
        taken, then = _go_on(optimum, row, number)
        rows.append(
            {
                "step": number[row],
                "where": state_in_words(optimum.model, row),
                "do": taken,
                "then": then,
                "times": float(visits[row]),
            }
        )
    static = best_static(optimum.scenario).value
    return Plan(
        title="Inspect, assemble, ship, dismantle",
        facts=(
            Fact("expected profit of a delivered unit", optimum.value, "money"),
            Fact("price", optimum.scenario.price, "money"),
            Fact("profit of the best static policy", static, "money"),
            Fact("worth of feedback", round(optimum.value - static, 9) + 0.0, "money"),
            Fact("decisions for a unit, on average", optimum.evaluation.expected_length),
        ),
        guidance=("Begin at step 1; after each step go on with the one that is named.",),
        columns=_COLUMNS,
        rows=tuple(rows),
        scenario=optimum.scenario.model_dump(mode="json"),
    )


def reached_steps(optimum: TabularOptimum[AssemblyScenario]) -> list[int]:
    """Return the states that the optimum can come to, breadth-first from the start."""
    model, actions = optimum.model, optimum.policy.actions
    steps = [int(row) for row in model.initial_states]
    seen = set(steps)
    for row in steps:  # grows while it is read
        for successor in successors(model, row, int(actions[row])):
            if successor not in seen:
                seen.add(successor)
                steps.append(successor)
    return steps


def successors(model: AssemblyModel, row: int, action: int) -> list[int]:
    """Return the states that may follow an action, in the order of the tables."""
    pair = row * model.num_actions + action
    return [int(state) for state in model.successors[model.first[pair] : model.first[pair + 1]]]


def state_in_words(model: AssemblyModel, row: int) -> str:
    """Return what is asked in a state, in words: the item and what is known of it."""
    names = _names(model)
    state = model.states[row]
    asked = int(state["asked"])
    if state["status"][asked] == BAD:
        return f"{names[asked]} is bad{_known_inside(model, state)}"
    belief, _, _ = model.kernel.describe(model.record, model.states[row : row + 1], "belief")
    chance = float(belief[0][NODE_FEATURES * asked + 3])
    subject = "finished product" if asked == len(names) - 1 else names[asked]
    return f"{subject}, bad with probability {chance:.3f}"


def _known_inside(model: AssemblyModel, state: np.void) -> str:
    """Return which children of the asked assembly are known to be good."""
    names, record = _names(model), model.record[0]
    asked = int(state["asked"])
    children = np.flatnonzero(record["parent"] == asked)
    good = [names[i] for i in children if state["status"][i] == GOOD]
    if len(good) == len(children):
        return ", all its children are known to be good"
    return f", known to be good: {', '.join(good)}" if good else ""


def action_in_words(model: AssemblyModel, row: int, action: int) -> str:
    """Return what an answer does in a state, in words."""
    state = model.states[row]
    asked = int(state["asked"])
    if state["status"][asked] == BAD:
        return "dismantle it" if action == DISMANTLE and model.allowed[row, 1] else "scrap it"
    if action == INSPECT:
        return "inspect it"
    if action == DISCARD and model.allowed[row, DISCARD]:
        return "throw it away untested"
    return "ship it" if asked == len(_names(model)) - 1 else "use it"


def _go_on(
    optimum: TabularOptimum[AssemblyScenario], row: int, number: dict[int, int]
) -> tuple[str, str]:
    """Return the action in words, and the steps that may follow."""
    model, action = optimum.model, int(optimum.policy.actions[row])
    asked = int(model.states[row]["asked"])
    taken = action_in_words(model, row, action)
    after = successors(model, row, action)
    results = dict(_results(model, after, asked))
    if taken in {"scrap it", "dismantle it", "use it", "throw it away untested"}:
        return taken, f"→ {number[after[0]]}"
    if asked == len(_names(model)) - 1:
        told = ["good: deliver it"] if action == INSPECT else []
        if "bad" in results:
            word = "bad" if action == INSPECT else "if it comes back"
            told.append(f"{word} → {number[results['bad']]}")
        return taken, "; ".join(told)
    return taken, ", ".join(f"{result} → {number[step]}" for result, step in results.items())


def _results(model: AssemblyModel, after: list[int], asked: int) -> Iterator[tuple[str, int]]:
    """Yield which result of an inspection, or of shipping, leads to which state."""
    for step in after:
        yield ("good" if model.states[step]["status"][asked] == GOOD else "bad"), step


def _names(model: AssemblyModel) -> tuple[str, ...]:
    return model.scenario.order
