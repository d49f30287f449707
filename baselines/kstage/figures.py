"""Pictures of the costs of a plant by its number of stages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from baselines.core.tabular import TabularOptimum
from baselines.kstage.model import KStagePolicy, steady_states
from qc_gym.core.policy import Player
from qc_gym.kstage.scenario import KStageScenario

_PARTS = {
    "stages": ("stage_inspections", "#0072B2"),
    "source inspection": ("source_inspections", "#56b4e9"),
    "re-inspection": ("reinspections", "#D55E00"),
}


def figures(
    solution: TabularOptimum[KStageScenario], policies: Mapping[str, Player]
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
        ``costs``: what is spent a day on what, for each K, with the policies above the K that they
        choose; one that draws its K is above none.
    """
    return {"costs": costs(solution, solution.tables(policies))}


def costs(solution: TabularOptimum[KStageScenario], policies: Mapping[str, KStagePolicy]) -> Figure:
    """Return the cost of each K as a bar of its parts."""
    scenario = solution.model.scenario
    steady = steady_states(scenario)
    stages = np.arange(scenario.max_stages + 1)
    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    top = np.zeros(len(stages))
    for name, (field, colour) in _PARTS.items():
        part = scenario.inspection_cost * getattr(steady, field)
        ax.bar(stages, part, 0.7, top, label=name, color=colour)
        top += part
    rework = scenario.rework_cost * steady.reworks
    ax.bar(stages, rework, 0.7, top, label="rework", color="#bbbbbb")
    top += rework
    for choice in stages:
        names = [
            name for name, policy in policies.items() if policy.probabilities[0, choice] == 1.0
        ]
        ax.text(
            float(choice),
            1.01 * top[choice],
            "\n".join(names),
            fontsize=7,
            ha="center",
            va="bottom",
        )
    ax.set(xlabel="stages, K", ylabel="cost a day (money)", xticks=stages)
    ax.set_ylim(0.0, 1.25 * top.max())
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure
