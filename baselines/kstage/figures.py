"""Pictures of the costs of a plant by its number of stages."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from baselines.core.tabular import TabularOptimum
from baselines.kstage.model import KStagePolicy, steady_states
from qc_gym.core.picture import BLUE, SERIES, VERMILION, Picture, literal
from qc_gym.core.policy import Player
from qc_gym.kstage.scenario import KStageScenario

_PARTS = {
    "stages": ("stage_inspections", BLUE),
    "source inspection": ("source_inspections", SERIES[5]),
    "re-inspection": ("reinspections", VERMILION),
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
    chosen = {
        int(choice): [
            name for name, policy in policies.items() if policy.probabilities[0, choice] == 1.0
        ]
        for choice in stages
    }
    lines = max(map(len, chosen.values()))
    height = 4.5 + 0.12 * max(lines - 8, 0)  # inches: a line of 7 points takes 0.12
    figure = Picture(figsize=(max(7.5, 0.8 * len(stages) + 1.5), height), layout="constrained")
    ax = figure.subplots()
    top = np.zeros(len(stages))
    for name, (field, colour) in _PARTS.items():
        part = scenario.inspection_cost * getattr(steady, field)
        ax.bar(stages, part, 0.7, top, label=name, color=colour)
        top += part
    rework = scenario.rework_cost * steady.reworks
    ax.bar(stages, rework, 0.7, top, label="rework", color="#bbbbbb")
    top += rework
    for choice, names in chosen.items():
        ax.text(
            float(choice),
            1.01 * top[choice],
            "\n".join(map(literal, names)),
            fontsize=7,
            ha="center",
            va="bottom",
        )
    ax.set(xlabel="stages, K", ylabel="cost a day (money)", xticks=stages)
    # Room above each bar for the names that stand there.
    room = [1.01 / (1.0 - (0.13 * len(names) + 0.1) / (height - 1.0)) for names in chosen.values()]
    highest = float(np.max(top * np.array(room)))
    ax.set_ylim(0.0, highest if highest > 0.0 else 1.0)
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    return figure
