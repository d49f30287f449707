"""Figures of a report, for paper: exact learning curves, performance profiles, intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from agents.report.leaderboard import LOSSES
from agents.report.results import TARGET, Result, least_drawn
from qc_gym.core.picture import Picture, literal, styles_of

ENOUGH_SEEDS = 3
"""Seeds a problem below which an interval wants a caution."""


def learning_curves(results: Sequence[Result], goal: float) -> Figure:
    """Return the exact regret against steps and against seconds, a line for each run, log scale.

    An algorithm has one colour, its runs different lines.

    ``goal`` is the regret at the normalised score that is aimed at, drawn as a line. The axis says so
    where regrets are drawn at the least that it shows.
    """
    least = least_drawn(goal)
    figure = Picture(figsize=(11, 4.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    styles = styles_of([result.title for result in results])
    for ax, x in zip(axes, ("timesteps", "seconds"), strict=True):
        for result in results:
            ax.plot(
                [row[x] for row in result.curve],
                [max(row["regret"], least) for row in result.curve],
                label=literal(result.title),
                alpha=0.85,
                **styles[result.title].line,
            )
        ax.axhline(goal, color="grey", linestyle="--", linewidth=1)
        ax.annotate(
            f"{1.0 - TARGET:.0%} of what random play loses",
            (0.01, goal),
            xycoords=("axes fraction", "data"),
            va="bottom",
            fontsize=8,
            color="grey",
        )
        ax.set(xlabel="steps" if x == "timesteps" else "seconds of training", yscale="log")
        if x == "timesteps":
            ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        ax.grid(alpha=0.3, which="both")
    is_cut = any(row["regret"] < least for result in results for row in result.curve)
    note = f"\nless than {least:.1g} is drawn there" if is_cut else ""
    axes[0].set_ylabel(f"exact regret (money){note}")
    columns = -(-len(results) // 20)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, fontsize=8, loc="outside right upper", ncols=columns)
    figure.suptitle(literal(f"{results[0].run.env_id}, {results[0].run.scenario_name}"))
    return figure


def performance_profiles(profiles: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> Figure:
    """Return the share of runs above each normalised score, with its bootstrap interval.

    Parameters
    ----------
    profiles
        What :func:`agents.report.leaderboard.profiles` returns.
    """
    figure = Picture(figsize=(7, 4.2), layout="constrained")
    ax = figure.subplots()
    styles = styles_of(list(profiles))
    for name, profile in profiles.items():
        style = styles[name].line
        ax.step(LOSSES, profile["share"], label=literal(name), where="post", **style)
        ax.fill_between(
            LOSSES,
            profile["low"],
            profile["high"],
            color=styles[name].color,
            alpha=0.15,
            linewidth=0,
        )
    ax.set(
        xscale="log",
        xlim=(1.0, LOSSES[-1]),
        ylim=(0, 1.02),
        xlabel="distance to the optimum, 1 − normalised score",
        ylabel="share of runs that come nearer",
    )
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return figure


def caution(standings: Sequence[Mapping[str, Any]]) -> str:
    """Return a warning of intervals that come from few runs a problem; nothing where none does.

    Parameters
    ----------
    standings
        Rows with ``policy``, ``low`` and the number of ``seeds``, or of ``runs`` and ``problems``.
    """
    few = [
        row["policy"]
        for row in standings
        if row["low"] is not None
        and (row.get("seeds") or (row.get("runs") or 0) / row.get("problems", 1)) < ENOUGH_SEEDS
    ]
    if not few:
        return ""
    return (
        f"Caution: the intervals of {', '.join(few)} come from fewer than {ENOUGH_SEEDS} seeds a "
        "problem; drawn again from so few runs, they are too narrow."
    )


def intervals(standings: Sequence[Mapping[str, Any]]) -> Figure:
    """Return the interquartile means over all problems with their intervals, the best on top.

    Parameters
    ----------
    standings
        What :func:`agents.report.overall` returns; of it, the trained algorithms.
    """
    trained = [row for row in standings if row["runs"]]
    figure = Picture(figsize=(7, 1.6 + 0.45 * len(trained)), layout="constrained")
    ax = figure.subplots()
    styles = styles_of([row["policy"] for row in trained])
    for i, row in enumerate(trained):
        colour = styles[row["policy"]].color
        if row["low"] is not None:
            ax.plot([row["low"], row["high"]], [i, i], color=colour, linewidth=7, alpha=0.35)
        ax.plot(row["iqm"], i, "|", color=colour, markersize=14, markeredgewidth=2)
    problems = max(row["problems"] for row in standings)
    labels = [
        row["policy"]
        + ("" if row["problems"] == problems else f" ({row['problems']} of {problems} problems)")
        for row in trained
    ]
    ax.set_yticks(range(len(trained)), [literal(textwrap.fill(label, 32)) for label in labels])
    ax.set_ylim(len(trained) - 0.4, -0.6)
    ax.set_ylabel("algorithm (problems)")
    warning = caution(standings)
    ax.set_xlabel("normalised score:\ninterquartile mean, 95 % interval")
    if warning:
        figure.supxlabel(literal(textwrap.fill(warning, 90)), fontsize=8)
    ax.grid(alpha=0.3, axis="x")
    return figure
