"""Pictures of inspect-or-stop policies beside the optimum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from baselines.lot.evaluation import BeliefRule, ResultRule, Rule
from baselines.lot.paper import LastResult, PaperAlgorithm, averaged_beliefs
from baselines.lot.policies import LotPolicy
from baselines.lot.probe import probe
from baselines.lot.reference import lemma_1
from baselines.lot.sizes import COARSE_WIDTH
from qc_gym.core.picture import BLUE, SERIES, VERMILION, Picture, literal
from qc_gym.core.policy import Player

if TYPE_CHECKING:
    from baselines.lot.solution import LotOptimum

_VISIBLE = 1e-4
"""Probability of a state, if every unit is inspected, below which it is not drawn."""
_LOTS = 25
_ESTIMATES = "Total cost; an estimate that a method makes may lie below the true optimum"


def figures(solution: LotOptimum, policies: Mapping[str, Player]) -> dict[str, Figure]:
    """Return the pictures of the family's report, by name.

    Parameters
    ----------
    solution
        The optimum, which is drawn first.
    policies
        Policies by name; those that are not a threshold on the belief are left out.

    Returns
    -------
    dict
        ``thresholds``: the belief from which on each inspects, for each n and number found (not with
        outcome observations); ``beliefs``: the averaged belief against the unit, with Lemma 1's threshold
        (Figure 1 of Wang 2013); where the lot is to be produced, ``total_costs``: the total cost
        against the lot size (Figures 2 and 3), the methods' being their own estimates.
    """
    drawn = {"beliefs": averaged_belief(solution)}
    if solution.observation == "belief":
        drawn["thresholds"] = threshold_maps(solution, policies)
    if solution.scenario.lot_size is None:
        drawn["total_costs"] = total_costs(solution)
    return drawn


def threshold_maps(solution: LotOptimum, policies: Mapping[str, Player]) -> Figure:
    """Return a map over (n, found) for each policy: the belief from which on it inspects."""
    plans = {"optimum": (solution.best_size, solution.policy.rule_of(solution.best_size))}
    for name, player in policies.items():
        plan = _plan(solution, player)
        if plan is not None and plan[0] > 0 and isinstance(plan[1], BeliefRule):
            plans[name] = plan
    maps = {
        f"{name}, lot of {size}": np.where(
            solution.sizes.chances(size) > _VISIBLE, _thresholds(rule), np.nan
        )
        for name, (size, rule) in plans.items()
        if isinstance(rule, BeliefRule) and size > 0
    }
    columns = min(3, max(1, len(maps)))
    rows = max(1, -(-len(maps) // columns))
    figure = Picture(figsize=(4.4 * columns + 0.8, 3.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    image = None
    for ax, (name, thresholds) in zip(axes, maps.items(), strict=False):
        image = ax.imshow(
            np.sqrt(thresholds.T), origin="lower", aspect="auto", vmin=0, vmax=1, cmap="viridis"
        )
        ax.set_title(literal(name), fontsize=10)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(6, integer=True))
    for ax in axes[len(maps) :]:
        ax.set_axis_off()
    if image is not None:
        ticks = np.array([0.0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0])
        bar = figure.colorbar(image, ax=list(axes), label="inspects from this belief on; 1: never")
        bar.set_ticks(list(np.sqrt(ticks)), labels=[f"{tick:g}" for tick in ticks])
    figure.supxlabel("units inspected n")
    figure.supylabel("conforming units found")
    return figure


def averaged_belief(solution: LotOptimum) -> Figure:
    """Return the averaged belief before each unit, exact and simulated, and Lemma 1's threshold."""
    scenario = solution.scenario
    figure = Picture(figsize=(6.4, 4.0), layout="constrained")
    ax = figure.subplots()
    units = np.arange(1, scenario.longest_lot + 1)
    paper = PaperAlgorithm(scenario)
    ax.plot(
        units, paper.beliefs.mean(axis=0), color=VERMILION, label=f"{paper.paths} simulated paths"
    )
    ax.plot(units, averaged_beliefs(scenario), "k", linewidth=1, label="exact: F(n)")
    threshold = lemma_1(scenario)
    if 0.0 <= threshold <= 1.0:
        ax.axhline(threshold, color=BLUE, linestyle="--", label="threshold of Lemma 1")
    ax.set(xlabel="unit n", ylabel="averaged P(unit n in control | results)", ylim=(0, 1))
    ax.set_title("Averaged belief")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return figure


def total_costs(solution: LotOptimum) -> Figure:
    """Return the least total cost against the lot size, and what the paper's rules expect it to be."""
    scenario, best = solution.scenario, solution.best_size
    near = np.arange(max(best - 5, 0), min(best + 6, scenario.longest_lot + 1))
    spread = np.linspace(0, scenario.longest_lot, _LOTS).astype(int)
    sizes = np.unique(np.concatenate([near, spread]))
    costs = [np.mean(solution.sizes.bounds(int(size), COARSE_WIDTH)) for size in sizes]
    paper, last = PaperAlgorithm(scenario), LastResult(scenario)
    figure = Picture(figsize=(6.8, 4.2), layout="constrained")
    ax = figure.subplots()
    ax.plot(sizes, costs, "k.-", label="exact, inspected at best", linewidth=1.6)
    for method, name, colour in (
        (paper, "the paper's algorithm", VERMILION),
        (last, "the last result only", BLUE),
    ):
        label = f"{name}: its own estimate, lot of {method.lot_size}"
        ax.plot(method.total_costs, color=colour, linestyle="--", label=label)
    ax.plot(best, -solution.value, "o", color=SERIES[2], label=f"the optimum: lot of {best}")
    top = -solution.value + 1.5 * (costs[0] + solution.value)
    ax.set(xlabel="lot size Q (units)", ylabel="total cost (money)")
    ax.set_title(_ESTIMATES, fontsize=9)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(top=float(min(top, max(costs) * 1.02)))
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return figure


def _plan(solution: LotOptimum, player: Player) -> tuple[int, Rule] | None:
    """Return the lot that a policy produces most often and its rule, or None if it has memory."""
    policy = player.policy
    if not isinstance(policy, LotPolicy):
        return probe(player, solution.scenario, solution.observation)
    size = solution.scenario.lot_size
    if size is None:
        size = int(policy.sizes.argmax())
    return size, policy.rule_of(size) if size else ResultRule(np.zeros((0, 0, 3)))


def _thresholds(rule: BeliefRule) -> NDArray[np.float64]:
    """Return the first belief that a rule inspects on, (size, found); 1 where there is none."""
    shape = rule.first.shape
    start, end = rule.begin[:-1].reshape(shape), rule.begin[1:].reshape(shape)
    first = np.append(rule.switches[1], 1.0)[np.where(end > start, start, -1)]
    return np.where(rule.first == 1, 0.0, np.minimum(first, 1.0))
