"""Pictures of control policies beside the optimum."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from baselines.core.tabular import TabularOptimum
from baselines.kstage_control.model import ControlPolicy
from qc_gym.core.picture import PALE, Picture, literal
from qc_gym.core.policy import Player
from qc_gym.kstage_control.scenario import KStageControlScenario


def figures(
    solution: TabularOptimum[KStageControlScenario], policies: Mapping[str, Player]
) -> dict[str, Figure]:
    """Return the pictures of the family's report, by name.

    Parameters
    ----------
    solution
        The optimum, which is drawn first.
    policies
        Policies by name; one with memory is left out.

    Returns
    -------
    dict
        ``decision_maps``: the K of each policy by day and yesterday's K, a map for each level;
        grey where it draws K by chance.
    """
    return {"decision_maps": decision_maps(solution.tables(policies))}


def decision_maps(policies: Mapping[str, ControlPolicy]) -> Figure:
    """Return a row of maps for each policy, one for each level."""
    scenario = next(iter(policies.values())).model.scenario
    shape = scenario.days, len(scenario.levels), scenario.max_stages + 1
    size = 2.6 * shape[1] + 1.2, 1.3 * len(policies) + 1.1
    figure = Picture(figsize=size, layout="constrained")
    colours = ListedColormap(colormaps["cividis"](np.linspace(0.0, 1.0, max(shape[2], 2))))
    scale = BoundaryNorm(np.arange(max(shape[2], 2) + 1) - 0.5, colours.N)
    has_chance = False
    axes = figure.subplots(len(policies), shape[1], squeeze=False, sharex=True, sharey=True)
    for row, (name, policy) in zip(axes, policies.items(), strict=True):
        is_drawn = policy.probabilities.max(axis=1) < 1.0
        has_chance |= bool(is_drawn.any())
        plans = np.ma.masked_array(policy.probabilities.argmax(axis=1), is_drawn).reshape(shape)
        for level, ax in enumerate(row):
            image = ax.imshow(
                plans[:, level].T,
                origin="lower",
                aspect="auto",
                interpolation="nearest",
                extent=(0.5, scenario.days + 0.5, -0.5, scenario.max_stages + 0.5),
                cmap=colours.with_extremes(bad=PALE),
                norm=scale,
            )
        row[0].set_ylabel(literal(name), fontsize=8)
        row[0].yaxis.set_major_locator(MaxNLocator(4, integer=True))
    for ax, rate in zip(axes[0], scenario.levels, strict=True):
        ax.set_title(f"{100 * rate:.3g} % nonconforming", fontsize=9)
    figure.supxlabel("day")
    figure.supylabel("stages run yesterday")
    figure.colorbar(image, ax=axes, label="stages run, K", ticks=np.arange(shape[2]))
    if has_chance:
        patch = Patch(facecolor=PALE, label="K drawn by chance")
        figure.legend(handles=[patch], loc="outside upper right", frameon=False, fontsize=8)
    return figure
