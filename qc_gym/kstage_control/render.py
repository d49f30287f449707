"""Pictures of K-stage control: the levels and the stages run, over the days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from qc_gym.core.picture import (
    BLUE,
    DPI,
    FAINT,
    INK,
    VERMILION,
    WHITE,
    Picture,
    amount,
    counted,
    paint,
    with_minus,
)
from qc_gym.kstage.render import errors_in_words
from qc_gym.kstage_control.scenario import KStageControlScenario

SIZE = (8.0, 4.8)  # inches
MOST_DAYS = 120
"""Most days that a picture shows: the last ones."""


class History(NamedTuple):
    """What a picture shows.

    Attributes
    ----------
    first_day
        Days that were over when the record of the run begins.
    levels
        The level of each day since, today's last.
    stages
        K of the day before the first, and of each day since that is over.
    money
        Received minus spent since the reset; None if it is not known.
    """

    first_day: int
    levels: Sequence[int]
    stages: Sequence[int]
    money: float | None

    @property
    def day(self) -> int:
        """Days that are over."""
        return self.first_day + len(self.levels) - 1


def draw_run(
    scenario: KStageControlScenario, run: History, advice: int | None
) -> NDArray[np.uint8]:
    """Return the picture of a run, uint8 (480, 800, 3).

    Parameters
    ----------
    scenario
        The plant.
    run
        What has happened.
    advice
        The K that a policy would run today, or None.
    """
    figure = Picture(SIZE, DPI, facecolor="white")
    above, below = figure.subplots(2, sharex=True)
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.11, top=0.8, hspace=0.16)
    _draw_levels(above, scenario, run)
    _draw_stages(below, scenario, run, advice)
    for ax in (above, below):
        ax.tick_params(labelsize=8, colors=INK)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    first = max(run.first_day, run.day - MOST_DAYS)
    below.set_xlim(first - 0.5, min(scenario.days, first + MOST_DAYS) + 0.5)
    below.set_xlabel("day", fontsize=9, color=INK)
    below.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    heading, details = _heading(scenario, run, advice)
    figure.text(0.02, 0.93, heading, fontsize=14, fontweight="bold", color=INK)
    figure.text(0.02, 0.87, with_minus(details), fontsize=9.5, color=INK)
    figure.text(0.98, 0.82, _setting(scenario), fontsize=8, color=FAINT, ha="right")
    return paint(figure, WHITE)[..., :3].copy()


def describe_run(scenario: KStageControlScenario, run: History, advice: int | None) -> str:
    """Return the picture of a run in words; the parameters are :func:`draw_run`'s."""
    played = min(len(run.stages) - 1, MOST_DAYS)
    first = run.day - played
    levels = run.levels[len(run.stages) - 1 - played : len(run.stages) - 1]
    lines = [_setting(scenario)]
    if played:
        lines += [
            f"days {first + 1} to {run.day}",
            f"level   {_row(levels)}",
            f"stages  {_row(run.stages[-played:])}",
        ]
    return "\n".join([*lines, *_heading(scenario, run, advice)])


def _setting(scenario: KStageControlScenario) -> str:
    return (
        f"{scenario.daily_demand:,g} items used a day; costs {scenario.inspection_cost:g} per "
        f"inspection, {scenario.rework_cost:g} per rework, {scenario.changeover_cost:g} per stage "
        f"changed and item used{errors_in_words(scenario)}"
    )


def _row(numbers: Sequence[int]) -> str:
    return " ".join(f"{number:d}" for number in numbers)


def _heading(scenario: KStageControlScenario, run: History, advice: int | None) -> tuple[str, str]:
    """Return where the run is, and what has come of it."""
    money = "money not known" if run.money is None else f"money {amount(run.money, 4)}"
    before = f"yesterday {counted(run.stages[-1], 'stage')}"
    if run.day >= scenario.days:
        return f"{scenario.days} days are over", money
    level = run.levels[-1]
    told = "" if advice is None else f"      policy: {counted(advice, 'stage')}"
    return (
        f"Day {run.day + 1} of {scenario.days}: level {level}, "
        f"{scenario.levels[level]:.4g} nonconforming",
        f"{before}      {money}{told}",
    )


def _draw_levels(ax: Any, scenario: KStageControlScenario, run: History) -> None:
    """Draw the fraction nonconforming of new items on each day, today included."""
    known = run.levels if run.day < scenario.days else run.levels[:-1]
    days = run.first_day + 1 + np.arange(len(known))
    rates = 100.0 * np.array(scenario.levels)
    ax.hlines(rates, 0.0, scenario.days + 1.0, color="#dddddd", linewidth=0.8)
    ax.plot(days, rates[list(known)], color=VERMILION, drawstyle="steps-mid", linewidth=1.4)
    ax.plot(days[-1:], rates[list(known)[-1:]], "o", color=VERMILION, markersize=5)
    ax.set_ylim(0.0, 1.15 * rates.max())
    ax.set_ylabel("nonconforming (%)", fontsize=9, color=INK)


def _draw_stages(
    ax: Any, scenario: KStageControlScenario, run: History, advice: int | None
) -> None:
    """Draw the stages that were run, and those that a policy would run today."""
    days = run.first_day + np.arange(len(run.stages))
    ax.plot(days, run.stages, color=BLUE, drawstyle="steps-mid", linewidth=1.8)
    ax.plot(days[-1:], run.stages[-1:], "o", color=BLUE, markersize=5)
    if advice is not None:
        ax.plot([run.day + 1], [advice], "D", color=INK, fillstyle="none", markersize=8)
    ax.set_ylim(-0.2, scenario.max_stages + 0.3)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_ylabel("stages run, K", fontsize=9, color=INK)
