"""Pictures of inspect-or-stop: the lot with the results, and the belief from unit to unit."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox, BboxTransform, TransformedBbox
from numpy.typing import NDArray

from qc_gym.core.picture import (
    BLUE,
    DPI,
    FAINT,
    INK,
    VERMILION,
    Picture,
    amount,
    counted,
    paint,
    with_minus,
)
from qc_gym.core.picture import VERMILION_TINT as TINT
from qc_gym.lot.dynamics import CONFORMING, NONCONFORMING
from qc_gym.lot.scenario import InspectOrStopScenario

SIZE = (8.0, 4.8)  # inches
AXES = (0.08, 0.2, 0.9, 0.4)
"""Left, bottom, width and height of the axes of the belief, as shares of the picture."""
LEFT, TOP, WIDTH, HEIGHT = 12, 90, 776, 96
"""Where the units are drawn, in pixels from the left and from above."""
LARGEST_CELL = 22
TEXT_COLUMNS = 60

LIMIT = 3.5
"""The axis of beliefs shows their log10 odds from −LIMIT to LIMIT: thresholds are mostly small."""
_GRID = np.linspace(-LIMIT, LIMIT, 141)
BELIEFS = 1.0 / (1.0 + 10.0**-_GRID)
"""Beliefs, ascending, at which a policy is asked for its threshold."""
TICKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)

EDGE = "#c8c8c8"
TO_COME, NOT_INSPECTED, PASSED, FAILED, INSPECTED = 0, 1, 2, 3, 4
FILLS = {
    TO_COME: "#ffffff",
    NOT_INSPECTED: "#dcdcd6",
    PASSED: BLUE,
    FAILED: VERMILION,
    INSPECTED: "#8c8c8c",
}
LABELS = {
    PASSED: "conforming",
    FAILED: "nonconforming",
    INSPECTED: "inspected before",
    NOT_INSPECTED: "not inspected",
    TO_COME: "not produced (beyond the line)",
}
SYMBOLS = {TO_COME: " ", NOT_INSPECTED: ".", PASSED: "o", FAILED: "x", INSPECTED: "?"}


class Moment(NamedTuple):
    """What a picture shows.

    Attributes
    ----------
    scenario
        The scenario being played.
    history
        The state of the world after each step, records (steps + 1,); its last part is enough. The
        hidden truth is not shown.
    money
        Received minus spent so far.
    has_ended
        Whether the episode is over.
    advice
        A policy's answer in the present state, or None.
    thresholds
        The belief below which a policy stops, for each of :func:`decisions`; None shows none.
    """

    scenario: InspectOrStopScenario
    history: NDArray[np.void]
    money: float
    has_ended: bool
    advice: int | None
    thresholds: NDArray[np.float64] | None


def draw_episode(moment: Moment) -> NDArray[np.uint8]:
    """Return the picture of an episode, uint8 (480, 800, 3)."""
    figure = Picture(SIZE, DPI)
    figure.patch.set_visible(False)
    _draw_beliefs(figure, moment)
    _write_header(figure, moment)
    shown = {PASSED, FAILED, NOT_INSPECTED, *units(moment).tolist()}
    if moment.scenario.lot_size is None:
        shown.add(TO_COME)
    under = _backdrop(moment.scenario, tuple(sorted(shown)), moment.thresholds is not None)
    pixels = paint(figure, under)[..., :3].copy()
    _paint_units(pixels, moment)
    return pixels


def describe_episode(moment: Moment) -> str:
    """Return the picture of an episode in characters."""
    kinds = "".join(SYMBOLS[int(kind)] for kind in units(moment)).rstrip()
    rows = [kinds[i : i + TEXT_COLUMNS] for i in range(0, len(kinds), TEXT_COLUMNS)]
    lines = [_setting(moment.scenario)]
    lines += [f"{TEXT_COLUMNS * i + 1:>5} |{row}" for i, row in enumerate(rows)]
    lines += _text_beliefs(moment)
    lines.append("o conforming, x nonconforming, ? inspected before, . not inspected")
    lines.append("* belief, @ now, - below it the policy stops")
    lines += [counts(moment), f"{verdict(moment)}; {_account(moment)}"]
    if moment.advice is not None:
        lines.append(f"policy: {answer(moment)}")
    return "\n".join(lines)


# --- what is said -------------------------------------------------------------------------------


def units(moment: Moment) -> NDArray[np.int64]:
    """Return what is known of each unit, (longest lot,): the keys of ``FILLS``."""
    now = moment.history[-1]
    kinds = np.full(moment.scenario.longest_lot, TO_COME)
    kinds[: now["lot_size"]] = NOT_INSPECTED
    kinds[: now["n"]] = INSPECTED  # before the part of the history that is known
    n, result = results(moment)
    kinds[n - 1] = np.where(result == CONFORMING, PASSED, FAILED)
    return kinds


def results(moment: Moment) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the units, from 1, whose results are known, and these results."""
    n, last_result = moment.history["n"], moment.history["last_result"]
    is_known = np.diff(n, prepend=n[0] - 1) > 0
    is_known[0] = n[0] > 0  # a history that begins later shows its last result
    return n[is_known], last_result[is_known]


def decisions(history: NDArray[np.void], has_ended: bool) -> NDArray[np.void]:
    """Return the states in which to inspect or to stop was the question; records (k,).

    Unit n + 1 was the next in them, and b the belief about it.
    """
    asked = history[:-1] if has_ended else history
    return asked[~asked["is_producing"] & (asked["n"] < asked["lot_size"]) & (asked["d"] > 0)]


def counts(moment: Moment) -> str:
    """Return how far the episode is, in words."""
    scenario, now = moment.scenario, moment.history[-1]
    wanted = f"{now['d']} of {scenario.demand} still wanted"
    if now["is_producing"]:
        size = int(now["lot_size"])
        made = f"{counted(size, 'unit')} produced, at most {scenario.longest_lot}"
        return f"{made}; {wanted}"
    met = scenario.demand - now["d"]
    return f"{now['n']} of {now['lot_size']} units inspected, {met} conforming; {wanted}"


def verdict(moment: Moment) -> str:
    """Return what is going on, or how the episode ended."""
    now = moment.history[-1]
    if now["is_producing"]:
        return "producing"
    if now["d"] == 0:
        return "DEMAND MET"
    if now["n"] == now["lot_size"]:
        return "LOT USED UP" if now["n"] > 0 else "NOTHING PRODUCED"
    return "STOPPED" if moment.has_ended else "inspecting"


def answer(moment: Moment) -> str:
    """Return the policy's answer in words."""
    names = (
        ("end production", "produce") if moment.history[-1]["is_producing"] else ("stop", "inspect")
    )
    return names[moment.advice or 0]


def belief(moment: Moment) -> str:
    """Return what is believed of the next unit; nothing where none is to be inspected."""
    now = moment.history[-1]
    if not now["is_producing"] and (now["n"] == now["lot_size"] or now["d"] == 0):
        return ""
    return f"P(unit {now['n'] + 1} in control) = {now['b']:.3g}"


def _account(moment: Moment) -> str:
    """Return the money so far, and what it is made of."""
    scenario, now = moment.scenario, moment.history[-1]
    parts = {"production": 0.0, "inspection": -scenario.inspection_cost * now["n"]}
    if scenario.lot_size is None and now["lot_size"] > 0:
        parts["production"] = -scenario.setup_cost - scenario.unit_cost * now["lot_size"]
    parts["shortage"] = moment.money - sum(parts.values())
    told = ", ".join(f"{name} {amount(part)}" for name, part in parts.items() if abs(part) > 1e-9)
    total = f"money {amount(moment.money)}"
    return f"{total} ({told})" if told else total


def _setting(scenario: InspectOrStopScenario) -> str:
    lot = f"Lot of {scenario.lot_size}"
    costs = f"inspection {scenario.inspection_cost:.4g}, shortage {scenario.shortage_cost:.4g}"
    if scenario.lot_size is None:
        lot = f"Lot of at most {scenario.longest_lot}"
        costs += f", setup {scenario.setup_cost:.4g}, unit {scenario.unit_cost:.4g}"
    if scenario.false_alarm > 0.0 or scenario.miss > 0.0:
        costs += f"; false alarm {scenario.false_alarm:.4g}, miss {scenario.miss:.4g}"
        costs += f", warranty {scenario.warranty_cost:.4g}"
    yields = f"yield {scenario.yield_in:.4g} in control, {scenario.yield_out:.4g} out of control"
    return f"{lot}, demand {scenario.demand}; {yields}; {costs}"


# --- beliefs on their axis ----------------------------------------------------------------------


def log_odds(chances: Any) -> NDArray[np.float64]:
    """Return the place of probabilities on the axis: log10 odds, cut at ±LIMIT."""
    chances = np.asarray(chances, np.float64)
    with np.errstate(divide="ignore"):
        return np.clip(np.log10(chances) - np.log10(1.0 - chances), -LIMIT, LIMIT)


def between(stops: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the threshold of a policy that stops at so many of ``BELIEFS``, the lowest; same shape.

    0 for none, 1 for all; else between the last at which it stops and the first at which it does not.
    """
    middle = np.r_[0.0, 1.0 / (1.0 + 10.0 ** -((_GRID[:-1] + _GRID[1:]) / 2.0)), 1.0]
    return middle[stops]


def _text_beliefs(moment: Moment) -> list[str]:
    """Return the axis of beliefs as lines of text, for the last units that were asked about."""
    asked = decisions(moment.history, moment.has_ended)[-TEXT_COLUMNS:]
    levels = log_odds(TICKS)[::-1, np.newaxis]
    plane = np.full((len(TICKS), len(asked)), " ")

    def put(chances: NDArray[np.float64], symbol: str) -> None:
        rows = np.abs(levels - log_odds(chances)).argmin(axis=0)
        shown = chances > 0.0
        plane[rows[shown], np.flatnonzero(shown)] = symbol

    if moment.thresholds is not None:
        put(moment.thresholds[-TEXT_COLUMNS:], "-")
    put(np.maximum(asked["b"], 1e-9), "*")
    if belief(moment) and len(asked):
        now = np.zeros(len(asked))
        now[-1] = max(asked["b"][-1], 1e-9)
        put(now, "@")
    return [
        f"{tick:>5} |{''.join(row)}".rstrip()
        for tick, row in zip(reversed(TICKS), plane, strict=True)
    ]


# --- how it is drawn ----------------------------------------------------------------------------


def cells(longest: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return the left and the upper edge of each unit's square, in pixels, and its side."""
    for side in range(LARGEST_CELL, 0, -1):
        columns = WIDTH // side // 10 * 10  # rows of tens can be counted
        if side * -(-longest // columns) <= HEIGHT:
            break
    unit = np.arange(longest)
    return LEFT + unit % columns * side, TOP + unit // columns * side, side


def _paint_units(pixels: NDArray[np.uint8], moment: Moment) -> None:
    now = moment.history[-1]
    left, top, side = cells(moment.scenario.longest_lot)
    inner = side - (2 if side > 8 else 1)
    for x, y, kind in zip(left, top, units(moment), strict=True):
        pixels[y : y + inner, x : x + inner] = _rgb(EDGE if kind == TO_COME else FILLS[kind])
        if kind == TO_COME:
            pixels[y + 1 : y + inner - 1, x + 1 : x + inner - 1] = _rgb(FILLS[kind])
    if now["n"] < now["lot_size"] and not now["is_producing"] and not moment.has_ended:
        x, y = left[now["n"]], top[now["n"]]
        frame = pixels[y - 2 : y + inner + 2, x - 2 : x + inner + 2]
        inside = frame[2:-2, 2:-2].copy()
        frame[...] = _rgb(INK)
        frame[2:-2, 2:-2] = inside


def _rgb(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


@lru_cache(maxsize=8)
def _backdrop(
    scenario: InspectOrStopScenario, shown: tuple[int, ...], with_policy: bool
) -> NDArray[np.uint8]:
    """Return what stays the same for many steps, uint8 (480, 800, 4).

    ``shown`` are the kinds of units in the picture.
    """
    figure = Picture(SIZE, DPI, facecolor="white")
    axes = figure.add_axes(AXES, facecolor="white")
    _draw_axes(axes, scenario)
    unit = np.arange(1, scenario.longest_lot + 1)
    axes.plot(unit, log_odds(scenario.survival[1:]), color=FAINT, linewidth=1.0, linestyle=":")
    _draw_legend(figure, shown, with_policy)
    figure.text(0.015, 0.84, _setting(scenario), fontsize=8, color=FAINT)
    pixels = paint(figure, np.zeros(4, np.uint8))
    pixels.flags.writeable = False
    return pixels


def _draw_axes(axes: Axes, scenario: InspectOrStopScenario) -> None:
    axes.set_xlim(0.5, scenario.longest_lot + 0.5)
    axes.set_ylim(-LIMIT, LIMIT)
    axes.set_yticks(log_odds(TICKS), [f"{tick:g}" for tick in TICKS])
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("unit, in order of production", fontsize=9, color=INK, labelpad=2)
    axes.set_ylabel("P(unit in control)", fontsize=9, color=INK)
    axes.yaxis.set_label_coords(-0.06, 0.5)
    axes.tick_params(labelsize=8, colors=INK)
    axes.grid(axis="y", color="#ececec", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)


def _draw_legend(figure: Figure, shown: tuple[int, ...], with_policy: bool) -> None:
    """Draw the legend below the axes, where it hides nothing."""
    handles: list[Line2D | Patch] = [
        Patch(facecolor=FILLS[kind], edgecolor=EDGE, label=LABELS[kind])
        for kind in LABELS
        if kind in shown
    ]
    handles.append(Line2D([], [], color=INK, label="belief from the results before"))
    handles.append(Line2D([], [], color=FAINT, linestyle=":", label="before any result"))
    if with_policy:
        handles.append(Patch(facecolor=TINT, edgecolor=VERMILION, label="policy: stop"))
    figure.legend(
        handles=handles,
        loc="center",
        bbox_to_anchor=(0.5, 0.055),
        ncols=-(-len(handles) // 2),
        fontsize=8,
        labelcolor=INK,
        frameon=False,
    )


def _draw_beliefs(figure: Figure, moment: Moment) -> None:
    """Draw the belief and the thresholds over the axes of the backdrop."""
    longest, size = moment.scenario.longest_lot, int(moment.history[-1]["lot_size"])
    place = BboxTransform(
        Bbox.from_extents(0.5, -LIMIT, longest + 0.5, LIMIT),
        TransformedBbox(Bbox.from_bounds(*AXES), figure.transFigure),
    )
    artists: list[Line2D | Patch] = []
    if moment.scenario.lot_size is None:
        artists.append(Line2D([size + 0.5] * 2, [-LIMIT, LIMIT], color=FAINT, linewidth=1.0))
    asked = decisions(moment.history, moment.has_ended)
    unit, height = asked["n"] + 1, log_odds(asked["b"])
    if moment.thresholds is not None and len(asked) > 0:
        x = np.stack([unit - 0.5, unit + 0.5], axis=1).ravel()
        y = np.repeat(log_odds(moment.thresholds), 2)
        corners = [(x[0], -LIMIT), *zip(x, y, strict=True), (x[-1], -LIMIT)]
        artists.append(Polygon(corners, facecolor=TINT, edgecolor="none"))
        artists.append(Line2D(x, y, color=VERMILION, linewidth=1.2))
    artists.append(Line2D(unit, height, color=INK, linewidth=1.0))
    n, result = results(moment)
    style: dict[str, Any] = {"linestyle": "none", "markersize": np.clip(300.0 / longest, 1.8, 6.0)}
    for kind, colour, marker in ((CONFORMING, BLUE, "o"), (NONCONFORMING, VERMILION, "D")):
        here = np.isin(unit, n[result == kind])
        artists.append(Line2D(unit[here], height[here], color=colour, marker=marker, **style))
    if belief(moment):
        style = {"marker": "o", "markersize": 11, "fillstyle": "none", "markeredgewidth": 2.0}
        artists.append(Line2D(unit[-1:], height[-1:], color=INK, **style))
    for artist in artists:
        artist.set_transform(place)
        figure.add_artist(artist)


def _write_header(figure: Figure, moment: Moment) -> None:
    figure.text(0.015, 0.94, counts(moment), fontsize=12, fontweight="bold", color=INK)
    told = f"{belief(moment)}      {with_minus(_account(moment))}".strip()
    figure.text(0.015, 0.885, told, fontsize=9.5, color=INK)
    if moment.advice is not None:
        figure.text(
            0.98,
            0.885,
            f"policy: {answer(moment)}",
            fontsize=9.5,
            fontweight="bold",
            color=INK,
            ha="right",
        )
    is_over = verdict(moment).isupper()
    colour = FAINT if not is_over else BLUE if moment.history[-1]["d"] == 0 else VERMILION
    figure.text(
        0.965,
        0.95,
        verdict(moment),
        fontsize=12 if is_over else 10,
        color=colour,
        ha="right",
        va="center",
        fontweight="bold" if is_over else "normal",
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": colour, "linewidth": 1.5},
    )
