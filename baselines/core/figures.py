"""Pictures that every family shares."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from matplotlib.figure import Figure

from baselines.core.disagreements import Disagreement
from qc_gym.core.picture import Picture, literal, styles_of


def disagreement_bars(
    policies: Mapping[str, Sequence[Disagreement]], endless: Collection[str] = ()
) -> Figure:
    """Return the costliest disagreements of each policy with the optimum, a bar a state.

    Parameters
    ----------
    policies
        What :func:`baselines.disagreements` returned, by the policy's name; one panel each.
    endless
        Names of those that may go on for ever, whose regret has no bound to be shared out.
    """
    heights = [0.6 + 0.3 * len(rows) for rows in policies.values()]
    figure = Picture(figsize=(11, 0.9 + sum(heights)), layout="constrained")
    styles = styles_of(list(policies))
    axes = figure.subplots(len(policies), 1, squeeze=False, height_ratios=heights).ravel()
    for ax, (name, rows) in zip(axes, policies.items(), strict=True):
        if not rows:
            nothing = "may go on for ever, regret without bound" if name in endless else "no regret"
            ax.set_axis_off()  # no scale where nothing is drawn on it
            ax.set_title(literal(f"{name}: {nothing}"), loc="left", fontsize=10)
            continue
        labels = [literal(f"{row.state}: {row.policy}, not {row.optimum}") for row in rows]
        parts = [row.regret for row in rows]
        ax.barh(range(len(rows)), parts, color=styles[name].color, height=0.7)
        ax.set_yticks(range(len(rows)), labels, fontsize=8)
        ax.set_ylim(len(rows) - 0.4, -0.6)  # the costliest on top
        ax.set_xlim(0.0, None)
        ax.set_title(literal(name), loc="left", fontsize=10)
        ax.grid(alpha=0.3, axis="x")
    drawn = [ax for ax, rows in zip(axes, policies.values(), strict=True) if rows]
    if drawn:
        drawn[-1].set_xlabel("part of the regret (money in an episode)")
    return figure
