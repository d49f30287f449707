"""Pictures of sequential sampling policies beside the optimum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from baselines.core.solver import evaluate
from baselines.core.tabular import TabularOptimum
from baselines.sampling.characteristics import lattice_counts
from baselines.sampling.model import SamplingModel, SamplingPolicy
from baselines.sampling.reference import risks
from qc_gym.core.policy import Player
from qc_gym.sampling.dynamics import ACCEPT, INSPECT, REJECT
from qc_gym.sampling.scenario import SequentialSamplingScenario

_COLOURS = {INSPECT: "#f2f2f2", ACCEPT: "#56b4e9", REJECT: "#e69f00"}
_NAMES = {INSPECT: "inspect", ACCEPT: "accept", REJECT: "reject"}
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
    most = max(max(float(plane.max()) for plane in planes.values()), 1e-12)
    shown = np.any([plane > 1e-3 * most for plane in planes.values()], axis=0)
    d_top, n_top = (
        min(int(np.flatnonzero(shown.any(axis=axis)).max(initial=4)) + 1, len(shown) - 1)
        for axis in (1, 0)
    )
    columns = min(3, len(planes))
    rows = -(-len(planes) // columns)
    figure = Figure(figsize=(4.6 * columns + 1.2, 3.4 * rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    scale = LogNorm(1e-3 * most, most)
    n, d = np.meshgrid(np.arange(n_top + 1), np.arange(d_top + 1))
    for ax, (name, plane) in zip(axes, planes.items(), strict=False):
        parts = np.where(d <= n, plane[: d_top + 1, : n_top + 1], np.nan)
        ax.set_facecolor("#dddddd")  # where d > n
        image = ax.pcolormesh(n, d, np.maximum(parts, 1e-3 * most), cmap="Reds", norm=scale)
        ax.set_title(f"{name}: regret {plane.sum():.4f}", fontsize=10)
    for ax in axes[len(planes) :]:
        ax.set_axis_off()
    figure.colorbar(image, ax=axes, label="part of the regret (money)", extend="min")
    figure.supxlabel("items inspected n")
    figure.supylabel("defectives found d")
    return figure


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
    figure = Figure(figsize=(4.6 * columns, 3.6 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    best = _plane(optimum.model, optimum.actions)[: d_top + 1, : n_top + 1]
    for ax, (name, policy) in zip(axes, policies.items(), strict=False):
        _draw_map(ax, policy, best, n_top, d_top)
        ax.set_title(name)
    for ax in axes[len(policies) :]:
        ax.set_axis_off()
    figure.supxlabel("items inspected n")
    figure.supylabel("defectives found d")
    patches = [Patch(facecolor=_COLOURS[a], edgecolor="grey", label=_NAMES[a]) for a in _NAMES]
    patches.append(Patch(facecolor="none", edgecolor="black", label="optimum's boundary"))
    figure.legend(handles=patches, loc="outside upper center", ncols=4, frameon=False)
    return figure


def _draw_map(ax: Any, policy: SamplingPolicy, best: NDArray[Any], n_top: int, d_top: int) -> None:
    colours = ListedColormap([_COLOURS[a] for a in sorted(_COLOURS)])
    plane = _plane(policy.model, policy.actions)[: d_top + 1, : n_top + 1]
    visits = _plane(policy.model, evaluate(policy.model, policy.probabilities).occupancy)
    strength = np.where(visits[: d_top + 1, : n_top + 1] > _VISIBLE, 1.0, 0.45)
    extent = (-0.5, n_top + 0.5, -0.5, d_top + 0.5)
    image = {"origin": "lower", "aspect": "auto", "extent": extent, "interpolation": "nearest"}
    ax.imshow(np.ma.masked_less(plane, 0), cmap=colours, vmin=0, vmax=2, alpha=strength, **image)
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
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for name, policy in policies.items():
        curve = risks(policy)
        style = {"color": "black", "linewidth": 2.2} if name == "optimum" else {"linewidth": 1.2}
        left.plot(100 * curve.p, curve.acceptance_probability, label=name, **style)
        right.plot(100 * curve.p, curve.average_sample_number, label=name, **style)
    for ax in (left, right):
        for rate, colour in ((curve.good, "tab:green"), (curve.bad, "tab:red")):
            ax.axvline(100 * (rate or 0.0), color=colour, linestyle=":", linewidth=1)
        ax.set_xlabel("true fraction defective p (%)")
        ax.grid(alpha=0.3)
    left.set(ylabel="probability of acceptance", title="Operating characteristic")
    right.set(ylabel="average sample number (items)", title="Average sample number", ylim=(0, None))
    figure.legend(*left.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


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
