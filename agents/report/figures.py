"""Figures of a report, for paper: exact learning curves, performance profiles, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from agents.report.leaderboard import LOSSES
from agents.report.results import TARGET, Result, least_drawn


def learning_curves(results: Sequence[Result], goal: float) -> Figure:
    """Return the exact regret against steps and against seconds, a line for each run, log scale.

    ``goal`` is the regret at the normalised score that is aimed at, drawn as a line. The axis says so
    where regrets are drawn at the least that it shows.
    """
    least = least_drawn(goal)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    algorithms = list(dict.fromkeys(result.run.algorithm for result in results))
    for ax, x in zip(axes, ("timesteps", "seconds"), strict=True):
        named: set[int] = set()
        for result in results:
            index = algorithms.index(result.run.algorithm)
            ax.plot(
                [row[x] for row in result.curve],
                [max(row["regret"], least) for row in result.curve],
                color=f"C{index}",
                alpha=0.85,
                label=None if index in named else f"{algorithms[index]} (a line a seed)",
            )
            named.add(index)
        ax.axhline(goal, color="grey", linestyle="--", linewidth=1)
        ax.annotate(
            f"normalised {TARGET}",
            (0.01, goal),
            xycoords=("axes fraction", "data"),
            va="bottom",
            fontsize=8,
            color="grey",
        )
        ax.set(xlabel="steps" if x == "timesteps" else "seconds of training", yscale="log")
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        ax.grid(alpha=0.3, which="both")
    is_cut = any(row["regret"] < least for result in results for row in result.curve)
    note = f"\nless than {least:.1g} is drawn there" if is_cut else ""
    axes[0].set_ylabel(f"exact regret (money){note}")
    figure.legend(*axes[0].get_legend_handles_labels(), fontsize=8, loc="outside right upper")
    figure.suptitle(f"{results[0].run.env_id}, {results[0].run.scenario_name}")
    return figure


def performance_profiles(profiles: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> Figure:
    """Return the share of runs above each normalised score, with its bootstrap interval.

    Parameters
    ----------
    profiles
        What :func:`agents.report.leaderboard.profiles` returns.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    for i, (name, profile) in enumerate(profiles.items()):
        ax.step(LOSSES, profile["share"], color=f"C{i}", label=name, where="post")
        ax.fill_between(
            LOSSES, profile["low"], profile["high"], color=f"C{i}", alpha=0.15, linewidth=0
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


def intervals(standings: Sequence[Mapping[str, Any]]) -> Figure:
    """Return the interquartile means over all problems with their intervals, the best on top.

    Parameters
    ----------
    standings
        What :func:`agents.report.overall` returns; of it, the trained algorithms.
    """
    trained = [row for row in standings if row["runs"]]
    figure = Figure(figsize=(7, 1.2 + 0.35 * len(trained)), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    for i, row in enumerate(trained):
        if row["low"] is not None:
            ax.plot([row["low"], row["high"]], [i, i], color="#0072b2", linewidth=7, alpha=0.35)
        ax.plot(row["iqm"], i, "|", color="black", markersize=14)
    problems = max(row["problems"] for row in standings)
    labels = [
        row["policy"]
        + ("" if row["problems"] == problems else f" ({row['problems']} of {problems} problems)")
        for row in trained
    ]
    ax.set_yticks(range(len(trained)), labels)
    ax.set_ylim(len(trained) - 0.4, -0.6)
    ax.set_ylabel("algorithm (problems)")
    ax.set_xlabel("normalised score: interquartile mean and 95 % interval")
    ax.grid(alpha=0.3, axis="x")
    return figure
