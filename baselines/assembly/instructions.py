"""The optimum of an assembly tree in words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from baselines.assembly.model import AssemblyModel
from baselines.assembly.static_search import best_static
from baselines.core.tabular import TabularOptimum
from qc_gym.assembly.dynamics import BAD, DISCARD, DISMANTLE, GOOD, INSPECT, NODE_FEATURES
from qc_gym.assembly.scenario import AssemblyScenario


def instructions(optimum: TabularOptimum[AssemblyScenario]) -> str:
    """Return the optimum as numbered steps: what is asked, what to do, where to go on.

    First, what the best static policy earns and how much the optimum gains on it by using what it
    has learnt. Then every step that the optimum can come to, in the order in which they follow each
    other; the number behind a step is the expected number of times that it is taken for a delivered unit.
    """
    model, steps = optimum.model, reached_steps(optimum)
    number = {row: i + 1 for i, row in enumerate(steps)}
    visits = optimum.evaluation.occupancy
    width = len(str(len(steps)))
    static = best_static(optimum.scenario).value
    gain = round(optimum.value - static, 4) + 0.0  # no minus before a rounded zero
    heading = f"The best static policy earns {static:.4f}; feedback is worth {gain:.4f}."
    return (
        heading
        + "\n"
        + "\n".join(
            f"{number[row]:>{width}}. {state_in_words(model, row)}: {_go_on(optimum, row, number)}"
            f"  [{visits[row]:.3g} times]"
            for row in steps
        )
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


def _go_on(optimum: TabularOptimum[AssemblyScenario], row: int, number: dict[int, int]) -> str:
    """Return the action in words, and the steps that may follow."""
    model, action = optimum.model, int(optimum.policy.actions[row])
    asked = int(model.states[row]["asked"])
    taken = action_in_words(model, row, action)
    after = successors(model, row, action)
    results = dict(_results(model, after, asked))
    if taken in {"scrap it", "dismantle it", "use it", "throw it away untested"}:
        return f"{taken} → {number[after[0]]}"
    if asked == len(_names(model)) - 1:
        deliver, bad = (
            ("; good: deliver it", "; bad") if action == INSPECT else ("", "; if it comes back")
        )
        return taken + deliver + (f"{bad} → {number[results['bad']]}" if "bad" in results else "")
    return f"{taken}; {', '.join(f'{result} → {number[step]}' for result, step in results.items())}"


def _results(model: AssemblyModel, after: list[int], asked: int) -> Iterator[tuple[str, int]]:
    """Yield which result of an inspection, or of shipping, leads to which state."""
    for step in after:
        yield ("good" if model.states[step]["status"][asked] == GOOD else "bad"), step


def _names(model: AssemblyModel) -> tuple[str, ...]:
    return model.scenario.order
