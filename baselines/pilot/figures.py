"""Pictures of pilot runs: when one is worth it, and what policies do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from baselines.core.policy import TabularPolicy
from baselines.core.solver import evaluate
from baselines.pilot.information import order_sizes_curve
from qc_gym.core.picture import BLUE, FAINT, VERMILION, Picture
from qc_gym.core.policy import Player
from qc_gym.pilot.dynamics import COMMIT, NODES
from qc_gym.pilot.plans import Plan
from qc_gym.pilot.scenario import PilotRunScenario

if TYPE_CHECKING:
    from baselines.pilot.optimum import PilotRunOptimum

NODE_COLOURS = (BLUE, "#56B4E9", VERMILION)


def figures(optimum: PilotRunOptimum, policies: Mapping[str, Player]) -> dict[str, Figure]:
    """Return the pictures of the family's report, by name.

    Parameters
    ----------
    optimum
        The optimum, which is drawn first.
    policies
        Policies by name; one with memory is left out.

    Returns
    -------
    dict
        ``value_of_information``: what is gained per unit on committing at once, against the order's size.
        ``tests_and_plans``: what each policy tests on average, and which plans it commits to.
    """
    return {
        "value_of_information": value_of_information_curves(optimum),
        "tests_and_plans": tests_and_plans(optimum, optimum.tables(policies)),
    }


def value_of_information_curves(optimum: PilotRunOptimum) -> Figure:
    """Return what knowing more is worth, by the size of the order."""
    curve = order_sizes_curve(optimum.lattice, optimum.value_of_information)
    figure = Picture(figsize=(7.5, 4.5), layout="constrained")
    ax = figure.subplots()
    for gain, colour, line, label in (
        (curve.perfect, FAINT, "--", "perfect information"),
        (curve.sequential, BLUE, "-", "optimal pilot run"),
        (curve.fixed, VERMILION, "-", "best fixed numbers of tests"),
    ):
        ax.plot(curve.sizes, gain / curve.sizes, color=colour, linestyle=line, label=label)
    ax.axvline(optimum.scenario.order_size, color=FAINT, linewidth=1.0, linestyle=":")
    ax.set_xscale("log")
    ax.set_ylim(0.0, None)
    ax.set(xlabel="units of the order", ylabel="gain on committing at once (money per unit)")
    ax.annotate(
        "this order",
        (optimum.scenario.order_size, 0.02),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        xytext=(4, 0),
        fontsize=8,
        color=FAINT,
    )
    ax.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def tests_and_plans(
    optimum: PilotRunOptimum, policies: Mapping[str, TabularPolicy[PilotRunScenario]]
) -> Figure:
    """Return a bar of expected tests, and a row of probabilities of plans, for each policy."""
    done = {
        name: evaluate(optimum.model, policy.probabilities).occupancy @ taken(policy)
        for name, policy in policies.items()
    }
    used = [plan for plan in range(16) if any(row[COMMIT + plan] > 5e-4 for row in done.values())]
    names = optimum.scenario.order
    figure = Picture(figsize=(10.5, 2.2 + 0.4 * len(done)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(2, 3))
    starts = np.zeros(len(done))
    for k in range(NODES):
        lengths = np.array([row[k] for row in done.values()])
        left.barh(list(done), lengths, 0.7, starts, color=NODE_COLOURS[k], label=names[k])
        starts += lengths
    left.invert_yaxis()
    left.set_xlabel("expected number of tests")
    figure.legend(loc="outside upper left", ncols=NODES, fontsize=8, frameon=False)
    chances = np.array([[row[COMMIT + plan] for plan in used] for row in done.values()])
    right.imshow(chances, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for (i, j), chance in np.ndenumerate(chances):
        if chance > 5e-4:
            colour = "white" if chance > 0.6 else "black"
            right.text(j, i, f"{chance:.3f}", ha="center", va="center", fontsize=7, color=colour)
    labels = [Plan.of(plan).words(names).replace(", ", ",\n") for plan in used]
    right.set_xticks(
        range(len(used)), labels, rotation=45, ha="right", fontsize=7, parse_math=False
    )
    right.set_title("probability of each plan", fontsize=9)
    return figure


def taken(
    policy: TabularPolicy[PilotRunScenario],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the probabilities of what is done in each state: a test that is not allowed is plan 0."""
    result = np.where(policy.model.allowed, policy.probabilities, 0.0)
    result[:, COMMIT] += np.where(policy.model.allowed, 0.0, policy.probabilities).sum(axis=1)
    return result
