"""Pictures of sequential sampling policies beside the optimum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from baselines.core.solver import evaluate
from baselines.core.tabular import TabularOptimum
from baselines.sampling.characteristics import lattice_counts
from baselines.sampling.model import SamplingModel, SamplingPolicy
from baselines.sampling.plan_curves import Curves
from baselines.sampling.reference import risks
from qc_gym.core.picture import FAINT, OPTIMUM, SERIES, Picture, literal, styles_of
from qc_gym.core.policy import Player
from qc_gym.sampling.dynamics import ACCEPT, INSPECT, REJECT
from qc_gym.sampling.scenario import BetaPrior, SequentialSamplingScenario

_CHANCE = 3
"""Stands on the maps where a policy draws its action."""
_COLOURS = {INSPECT: "#f2f2f2", ACCEPT: SERIES[5], REJECT: SERIES[4], _CHANCE: "#999999"}
_NAMES = {INSPECT: "inspect", ACCEPT: "accept", REJECT: "reject", _CHANCE: "by chance"}
_NOTHING = 1e-12
"""Regret, relative to the value, that is rounding."""
_VISIBLE = 1e-3
"""Expected visits below which a state is not drawn at full strength."""


def figures(
    solution: TabularOptimum[SequentialSamplingScenario], policies: Mapping[str, Player]
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
        ``regret_maps``: at which (n, d) each policy loses its regret; ``decision_maps``: what each
        does at each (n, d), with the optimum's boundary drawn over it;
        ``operating_characteristics``: the OC and ASN curves of all. The last two not for outcome
        observations, where a policy is not a map over (n, d).
    """
    tables = solution.tables(policies)
    drawn = {}
    if len(tables) > 1:
        drawn["regret_maps"] = regret_maps(solution, tables)
    if solution.model.observation == "belief":
        drawn["decision_maps"] = decision_maps(tables)
        drawn["operating_characteristics"] = operating_characteristics(tables)
    return drawn


def regret_maps(
    solution: TabularOptimum[SequentialSamplingScenario],
    policies: Mapping[str, SamplingPolicy],
) -> Figure:
    """Return a map over (n, d) for each policy: the part of its regret that it loses there.

    The parts of a policy, occupancy times gap, add up to its regret. One scale of colours for all,
    logarithmic over three decades.
    """
    planes = {
        name: regret_plane(solution, policy)
        for name, policy in policies.items()
        if name != "optimum"
    }
    most = max(float(plane.max()) for plane in planes.values())
    is_lost = most > _NOTHING * max(1.0, abs(solution.value))
    scale = LogNorm(1e-3 * most, most) if is_lost else None
    shown = np.any([plane > 1e-3 * most for plane in planes.values()], axis=0) & is_lost
    d_top, n_top = (
        min(int(np.flatnonzero(shown.any(axis=axis)).max(initial=4)) + 1, len(shown) - 1)
        for axis in (1, 0)
    )
    columns = min(3, len(planes))
    rows = -(-len(planes) // columns)
    figure = Picture(figsize=(4.6 * columns + 1.2, 3.4 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    n, d = np.meshgrid(np.arange(n_top + 1), np.arange(d_top + 1))
    for ax, (name, plane) in zip(axes, planes.items(), strict=False):
        parts = np.where(d <= n, plane[: d_top + 1, : n_top + 1], np.nan)
        ax.set_facecolor("#dddddd")  # where d > n
        if scale is not None:
            image = ax.pcolormesh(n, d, np.maximum(parts, 1e-3 * most), cmap="Reds", norm=scale)
            told = f"regret {plane.sum():.4f}"
        else:
            ax.set_axis_off()
            told = "no regret"
        ax.set_title(literal(f"{name}: {told}"), fontsize=10)
    for ax in axes[len(planes) :]:
        ax.set_axis_off()
    if scale is None:
        return figure
    figure.colorbar(image, ax=axes, label="part of the regret (money)", extend="min")
    figure.supxlabel("items inspected n")
    figure.supylabel(_counted(solution.scenario))
    return figure


def _counted(scenario: SequentialSamplingScenario) -> str:
    return "judged defective d" if scenario.has_errors else "defectives found d"


def regret_plane(
    solution: TabularOptimum[SequentialSamplingScenario],
    policy: SamplingPolicy,
) -> NDArray[np.float64]:
    """Return the part of a policy's regret that it loses at each (n, d), money, indexed [d, n]."""
    model = solution.model
    visits = evaluate(model, policy.probabilities).occupancy
    lost = visits * (policy.probabilities * solution.solution.gaps()).sum(axis=1)
    size = int(model.states["n"].max()) + 1
    plane = np.zeros((size, size))
    np.add.at(plane, (model.states["d"], model.states["n"]), lost)
    return plane


def decision_maps(policies: Mapping[str, SamplingPolicy]) -> Figure:
    """Return a map over (n, d) for each policy: its actions, with the optimum's boundary."""
    optimum = policies["optimum"]
    n_top, d_top = _window(policies)
    columns = min(3, len(policies))
    rows = -(-len(policies) // columns)
    # Wide enough for the legend above one map too.
    figure = Picture(figsize=(max(4.6 * columns, 6.4), 3.6 * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    best = _plane(optimum.model, optimum.actions)[: d_top + 1, : n_top + 1]
    for ax, (name, policy) in zip(axes, policies.items(), strict=False):
        _draw_map(ax, policy, best, n_top, d_top)
        ax.set_title(literal(name))
    for ax in axes[len(policies) :]:
        ax.set_axis_off()
    figure.supxlabel("items inspected n")
    figure.supylabel(_counted(optimum.model.scenario))
    has_chance = any((policy.probabilities.max(axis=1) < 1.0).any() for policy in policies.values())
    handles: list[Patch | Line2D] = [
        Patch(facecolor=_COLOURS[action], edgecolor="grey", label=name)
        for action, name in _NAMES.items()
        if action != _CHANCE or has_chance
    ]
    handles.append(Patch(facecolor=SERIES[5], alpha=0.45, label="pale: seldom reached"))
    handles.append(Line2D([], [], color="black", linewidth=1, label="optimum's boundary"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return figure


def _draw_map(ax: Any, policy: SamplingPolicy, best: NDArray[Any], n_top: int, d_top: int) -> None:
    colours = ListedColormap([_COLOURS[a] for a in sorted(_COLOURS)])
    answers = np.where(policy.probabilities.max(axis=1) < 1.0, _CHANCE, policy.actions)
    plane = _plane(policy.model, answers)[: d_top + 1, : n_top + 1]
    visits = _plane(policy.model, evaluate(policy.model, policy.probabilities).occupancy)
    strength = np.where(visits[: d_top + 1, : n_top + 1] > _VISIBLE, 1.0, 0.45)
    extent = (-0.5, n_top + 0.5, -0.5, d_top + 0.5)
    image = {"origin": "lower", "aspect": "auto", "extent": extent, "interpolation": "nearest"}
    ax.imshow(np.ma.masked_less(plane, 0), cmap=colours, vmin=0, vmax=3, alpha=strength, **image)
    for action in (ACCEPT, REJECT):
        region = np.where(best < 0, 0.0, best == action)
        if region.any():
            ax.contour(
                np.arange(n_top + 1), np.arange(d_top + 1), region, [0.5], colors="k", linewidths=1
            )


def operating_characteristics(
    policies: Mapping[str, SamplingPolicy],
) -> Figure:
    """Return the OC curve and the average sample number of each policy, on two panels."""
    figure = Picture(figsize=(11, 4.4 + 0.2 * max(len(policies) - 18, 0)), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = styles_of(list(policies))
    for name, policy in policies.items():
        curve = risks(policy)
        style = {**styles[name].line, "linewidth": 2.2 if name == OPTIMUM else 1.2}
        left.plot(100 * curve.p, curve.acceptance_probability, label=literal(name), **style)
        right.plot(100 * curve.p, curve.average_sample_number, **style)
    scenario = next(iter(policies.values())).model.scenario
    prior = scenario.prior
    marks = {"good": curve.good, "bad": curve.bad}
    if isinstance(prior, BetaPrior):
        marks = {"limit": prior.limit}
    for ax in (left, right):
        for word, rate in marks.items():
            if rate is not None:
                _mark_rate(ax, word, 100 * rate)
        ax.set_xlabel("true fraction defective p (%)")
        ax.grid(alpha=0.3)
    left.set(ylabel="probability of acceptance", title="Operating characteristic\n")
    right.set(
        ylabel="average sample number (items)", title="Average sample number\n", ylim=(0, None)
    )
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def curve_panels(curves: Curves) -> Figure:
    """Return the curves of plans, a panel each for P(accept), ASN, AOQ and ATI."""
    figure = Picture(figsize=(10.5, 7.6), layout="constrained")
    panels = figure.subplots(2, 2).ravel()
    styles = styles_of(list(curves))
    for name, one in curves.items():
        p, accepted, number, outgoing, total = np.array(one.points(), np.float64).T
        drawn = (accepted, number, 100.0 * outgoing, total)
        for ax, curve in zip(panels, drawn, strict=True):
            ax.plot(100.0 * p, curve, label=literal(name), **styles[name].line)
    words = (
        ("Operating characteristic", "probability of acceptance"),
        ("Average sample number", "items inspected before the decision"),
        ("Average outgoing quality", "defective after inspection (%)"),
        ("Average total inspection", "items, those of screened lots included"),
    )
    marks = next(iter(curves.values())).risks
    for ax, (title, label) in zip(panels, words, strict=True):
        ax.set(title=title + "\n", ylabel=label, ylim=(0, None))
        ax.set_xlabel("true fraction defective p (%)")
        ax.grid(alpha=0.3)
        for word, rate in (("good", marks.good), ("bad", marks.bad)):
            if rate is not None:
                _mark_rate(ax, word, 100 * rate)
    if all(one.average_outgoing_quality is None for one in curves.values()):
        panels[2].clear()
        panels[2].set_axis_off()
        panels[2].set_title("No average outgoing quality: inspectors err")
    if all(one.average_total_inspection is None for one in curves.values()):
        panels[3].clear()
        panels[3].set_axis_off()
        panels[3].set_title("No average total inspection: the lot is infinite")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=min(len(curves), 5), frameon=False)
    return figure


def _mark_rate(ax: Any, word: str, percent: float) -> None:
    """Draw a dotted line at a fraction defective, and write on it what it is."""
    ax.axvline(percent, color="grey", linestyle=":", linewidth=1)
    ax.text(
        percent,
        1.01,
        f"{word} {percent:.3g} %",
        transform=ax.get_xaxis_transform(),
        ha="right" if word == "good" else "left",  # the two may be close to each other
        fontsize=8,
        color=FAINT,
    )


def _plane(model: SamplingModel, values: NDArray[Any]) -> NDArray[Any]:
    """Return values over the lattice (T,) as an array [d, n], −1 where d > n."""
    most = model.states["n"].max()
    plane = np.full((most + 1, most + 1), -1, values.dtype)
    n, d = lattice_counts(int(most))
    plane[d, n] = values
    return plane


def _window(policies: Mapping[str, SamplingPolicy]) -> tuple[int, int]:
    """Return the largest n and d that the optimum comes to, with a margin."""
    optimum = policies["optimum"]
    states = optimum.model.states
    seen = evaluate(optimum.model, optimum.probabilities).occupancy > _VISIBLE
    most = int(states["n"].max())
    n_top = min(most, int(1.3 * states["n"][seen].max()) + 5)
    return n_top, min(n_top, int(1.4 * states["d"][seen].max()) + 3)
