"""Pictures of assembly policies beside the optimum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from baselines.assembly.model import AssemblyPolicy
from baselines.assembly.plan import (
    action_in_words,
    reached_steps,
    state_in_words,
    successors,
)
from baselines.core.solver import evaluate
from baselines.core.tabular import TabularOptimum
from qc_gym.assembly.dynamics import BAD
from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.core.picture import BLUE, INK, VERMILION, Picture, literal
from qc_gym.core.policy import Player

MOST_STEPS = 40
"""Steps beyond which the diagram shows only those taken most often."""


def figures(
    solution: TabularOptimum[AssemblyScenario], policies: Mapping[str, Player]
) -> dict[str, Figure]:
    """Return the pictures of the family's report, by name.

    Parameters
    ----------
    solution
        The optimum.
    policies
        Policies by name; one with memory is left out.

    Returns
    -------
    dict
        ``decision_diagram``: the optimum's steps and how they follow each other, with what each
        policy does otherwise.
    """
    return {"decision_diagram": decision_diagram(solution, solution.tables(policies))}


def decision_diagram(
    solution: TabularOptimum[AssemblyScenario],
    policies: Mapping[str, AssemblyPolicy],
) -> Figure:
    """Return the steps of the optimum from top to bottom, with an arrow to each that may follow.

    A step at which another policy acts otherwise names that policy.
    """
    model, steps = solution.model, reached_steps(solution)
    visits = evaluate(model, solution.policy.probabilities).occupancy
    if len(steps) > MOST_STEPS:
        common = set(sorted(steps, key=lambda row: -visits[row])[:MOST_STEPS])
        steps = [row for row in steps if row in common]
    figure = Picture(figsize=(11, 1.6 + 0.42 * len(steps)), layout="constrained")
    ax = figure.subplots()
    place = {row: -i for i, row in enumerate(steps)}
    for row in steps:
        _draw_step(ax, policies, row, place, float(visits[row]))
        taken = action_in_words(model, row, int(solution.policy.actions[row]))
        text = f"{state_in_words(model, row)}: {taken}"
        ax.text(0.05, place[row], literal(text), va="center", fontsize=9)
    ax.set(xlim=(-1.0, 3.2), ylim=(-len(steps) + 0.3, 0.7))
    ax.set_axis_off()
    ax.set_title("The optimum, step by step; an arrow leads to what may follow")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    return figure


def _legend() -> list[Line2D]:
    """Return what the marks and the arrows of the diagram mean."""
    point: dict[str, Any] = {"marker": "o", "linestyle": "none"}
    return [
        Line2D([], [], color=BLUE, label="a node to use, inspect or ship", **point),
        Line2D([], [], color=VERMILION, label="a bad node", **point),
        Line2D([], [], color=INK, markersize=3, label="small: seldom taken", **point),
        Line2D([], [], color="black", linewidth=0.8, label="on to a later step"),
        Line2D([], [], color="grey", linewidth=0.8, label="back to an earlier one"),
    ]


def _draw_step(
    ax: Any,
    policies: Mapping[str, AssemblyPolicy],
    row: int,
    place: dict[int, int],
    visits: float,
) -> None:
    """Draw a step's point, sized by how often it is taken, its arrows and who acts otherwise."""
    model = policies["optimum"].model
    state, best = model.states[row], int(policies["optimum"].actions[row])
    colour = VERMILION if state["status"][state["asked"]] == BAD else BLUE
    ax.scatter(0, place[row], s=30 + 160 * min(visits, 1.0), color=colour, zorder=3)
    for successor in successors(model, row, best):
        if successor in place and successor != row:
            # To the left, wider the further it leads; upwards (again) in grey.
            down = place[successor] < place[row]
            arrow = FancyArrowPatch(
                (0, place[row]),
                (0, place[successor]),
                connectionstyle=f"arc3,rad={0.35 if down else -0.35}",
                arrowstyle="-|>",
                mutation_scale=10,
                color="black" if down else "grey",
                linewidth=0.8,
                shrinkA=6,
                shrinkB=6,
            )
            ax.add_patch(arrow)
    others = [name for name, policy in policies.items() if int(policy.actions[row]) != best]
    if others:
        shown = ", ".join(others[:4]) + (" …" if len(others) > 4 else "")
        told = literal(f"otherwise: {shown}")
        ax.text(2.1, place[row], told, va="center", fontsize=8, color=VERMILION)
