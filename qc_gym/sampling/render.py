"""Pictures of sequential sampling: the path of an episode over Wald's lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox, BboxTransform, TransformedBbox
from numpy.typing import NDArray

from qc_gym.core.picture import (
    BLUE,
    BLUE_TINT,
    DPI,
    FAINT,
    INK,
    VERMILION,
    VERMILION_TINT,
    Picture,
    amount,
    counted,
    paint,
    with_minus,
)
from qc_gym.sampling.dynamics import ACCEPT, INSPECT, KERNEL, REJECT
from qc_gym.sampling.scenario import BetaPrior, SequentialSamplingScenario

Path = Sequence[tuple[int, int]]

PRODUCERS_RISK, CONSUMERS_RISK = 0.10, 0.05
"""Risks of Wald's lines, those of the literature's example: a scenario has losses, not risks."""

VERDICTS = {None: "undecided", ACCEPT: "ACCEPTED", REJECT: "REJECTED"}

SIZE = (6.4, 4.8)  # inches
AXES = (0.1, 0.2, 0.875, 0.61)
"""Left, bottom, width and height of the axes, as shares of the picture."""
MOST_COLUMNS, MOST_ROWS = 240, 120
"""Most points of the plane at which a policy is asked: more cannot be told apart in a picture."""
TEXT_COLUMNS, TEXT_ROWS = 61, 16

TINTS = {INSPECT: "#f1f1ee", ACCEPT: BLUE_TINT, REJECT: VERMILION_TINT}
SHADES = np.array(
    [[int(TINTS[action][i : i + 2], 16) for i in (1, 3, 5)] + [255] for action in sorted(TINTS)]
    + [[0, 0, 0, 0]],  # d > n, action −1: nothing
    np.uint8,
)


class View(NamedTuple):
    """The part of the plane that a picture shows: 0 ≤ n ≤ right, 0 ≤ d ≤ top."""

    right: int
    top: int

    def limits(self) -> tuple[float, float, float, float]:
        """Return the ends of both axes: wide enough that no marker is cut in half."""
        return -0.01 * self.right, 1.01 * self.right, -0.04 * self.top, 1.04 * self.top

    def lattice(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the n and the d, evenly spaced, at which a policy is asked."""
        return _spaced(self.right, MOST_COLUMNS), _spaced(self.top, MOST_ROWS)


class Guide(NamedTuple):
    """A straight line d = slope · n + intercept in the plane, and how it is drawn."""

    label: str
    slope: float
    intercept: float
    colour: str
    dashes: Literal["-", "--"]
    symbol: str
    to_whole: Callable[[float], int]


def draw_episode(
    scenario: SequentialSamplingScenario,
    path: Path,
    decision: int | None,
    money: float,
    regions: NDArray[np.int64] | None,
) -> NDArray[np.uint8]:
    """Return the picture of an episode, uint8 (480, 640, 3).

    Parameters
    ----------
    scenario
        The scenario being played.
    path
        (items inspected, defectives found) after each item; its last part is enough.
    decision
        The action that ended the episode, or None.
    money
        Received minus spent so far.
    regions
        A policy's action at each point of :meth:`View.lattice`, −1 where d > n; None shows none.
    """
    view = window(scenario, path)
    shown = None if regions is None else regions.astype(np.int8).tobytes()
    figure = Picture(SIZE, DPI)
    figure.patch.set_visible(False)
    _draw_path(figure, view, path, decision)
    _write_header(figure, scenario, path[-1], decision, money)
    return paint(figure, _backdrop(scenario, view, shown))[..., :3].copy()


def describe_episode(
    scenario: SequentialSamplingScenario, path: Path, decision: int | None, money: float
) -> str:
    """Return the picture of an episode in characters; the parameters are :func:`draw_episode`'s."""
    n, d = path[-1]
    symbols = ", ".join(f"{guide.symbol} {guide.label}" for guide in guides(scenario))
    judged = "judged " * scenario.has_errors
    return "\n".join(
        [
            _setting(scenario),
            *_text_plane(scenario, path),
            f"o {judged}conforming item, x {judged}defective item, @ now; {symbols}",
            f"{_counts(scenario, n, d)}; {_posterior(scenario, n, d)}",
            f"{VERDICTS[decision]}; {_account(scenario, n, decision, money)}",
        ]
    )


def window(scenario: SequentialSamplingScenario, path: Path) -> View:
    """Return the part of the plane that a picture shows."""
    n, d = path[-1]
    lines = guides(scenario)
    lowest, highest = lines[0], lines[-1]
    # The first window shows where acceptance begins, unless that is far away.
    first = -1.5 * lowest.intercept / lowest.slope
    right = 10 * math.ceil(first / 10.0) if 60.0 < first < 240.0 else 60
    while right < 1.25 * n:  # by halves, so that the axes hold still for most of an episode
        right += right // 2
    right = min(right, scenario.max_samples)
    expected = highest.slope * right
    # Rates that are nearly equal put the lines far away: the path matters more than they do.
    top = 1.25 * (expected + min(max(highest.intercept, 2.0), 2.0 * expected + 4.0))
    return View(right, min(math.ceil(max(top, 1.15 * d + 1.0, 4.0)), right))


def guides(scenario: SequentialSamplingScenario) -> list[Guide]:
    """Return the lines to draw, the highest last: Wald's two, or a Beta prior's limit.

    Wald's lines are those of Wald, *Sequential Analysis* (1947), chapter 5, for the rates of a
    two-point prior as inspectors judge them, and the risks above. A Beta prior names one rate, which
    makes no such test, and neither do two that are judged alike.
    """
    prior = scenario.prior
    if isinstance(prior, BetaPrior):
        slope = scenario.judged(prior.limit)
        label = f"d = {slope:.4g} n, the limit" + " as judged" * scenario.has_errors
        return [Guide(label, slope, 0.0, INK, "--", "-", round)]
    good, bad = scenario.judged(prior.good), scenario.judged(prior.bad)
    if not good < bad < 1.0:  # errors, in float64
        return [Guide(f"d = {good:.4g} n, good and bad lots", good, 0.0, INK, "--", "-", round)]
    defective = math.log(bad / good)
    conforming = math.log((1.0 - good) / (1.0 - bad))
    weight = defective + conforming
    slope = conforming / weight
    h0 = math.log((1.0 - PRODUCERS_RISK) / CONSUMERS_RISK) / weight
    h1 = math.log((1.0 - CONSUMERS_RISK) / PRODUCERS_RISK) / weight
    return [
        Guide("acceptance line", slope, -h0, BLUE, "-", "a", math.floor),
        Guide("rejection line", slope, h1, VERMILION, "--", "r", math.ceil),
    ]


def _spaced(last: int, most: int) -> NDArray[np.int64]:
    """Return at most ``most`` + 1 whole numbers from 0 to ``last``, the last of them ``last``."""
    gap = -(-last // most)
    return np.minimum(np.arange(0, last + gap, gap), last)


@lru_cache(maxsize=8)
def _backdrop(
    scenario: SequentialSamplingScenario, view: View, regions: bytes | None
) -> NDArray[np.uint8]:
    """Return what stays the same for many steps, uint8 (480, 640, 4): most of a picture's time."""
    figure = Picture(SIZE, DPI, facecolor="white")
    axes = figure.add_axes(AXES, facecolor="white")
    _draw_axes(axes, scenario, view)
    if regions is not None:
        _draw_regions(axes, view, np.frombuffer(regions, np.int8))
    _draw_guides(axes, scenario)
    _draw_legend(figure, scenario, view, with_regions=regions is not None)
    figure.text(0.02, 0.83, _setting(scenario), fontsize=8, color=FAINT)
    pixels = paint(figure, np.zeros(4, np.uint8))
    pixels.flags.writeable = False
    return pixels


def _draw_axes(axes: Axes, scenario: SequentialSamplingScenario, view: View) -> None:
    axes.axis(view.limits())
    axes.set_xlabel(
        f"items inspected, n (at most {scenario.max_samples})", fontsize=9, color=INK, labelpad=2
    )
    label = "judged defective, d" if scenario.has_errors else "defectives found, d"
    axes.set_ylabel(label, fontsize=9, color=INK)
    axes.yaxis.set_label_coords(-0.08, 0.5)  # clear of numbers of up to five digits
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    axes.tick_params(labelsize=8, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)


def _draw_regions(axes: Axes, view: View, regions: NDArray[np.int8]) -> None:
    n, d = view.lattice()
    gap_n, gap_d = n[1] - n[0], d[1] - d[0]
    axes.imshow(
        SHADES[regions.reshape(len(n), len(d)).T],
        origin="lower",
        extent=(-gap_n / 2, gap_n * (len(n) - 0.5), -gap_d / 2, gap_d * (len(d) - 0.5)),
        aspect="auto",
        interpolation="nearest",
        zorder=0,
    )


def _draw_guides(axes: Axes, scenario: SequentialSamplingScenario) -> None:
    right = axes.get_xlim()[1]
    for guide in guides(scenario):
        # Only where 0 ≤ d ≤ n: elsewhere the line decides nothing.
        start = max(-guide.intercept / guide.slope, 0.0)
        if guide.intercept > 0.0:
            start = guide.intercept / (1.0 - guide.slope)
        ends = [start, max(right, start)]
        axes.plot(
            ends,
            [guide.slope * n + guide.intercept for n in ends],
            color=guide.colour,
            linestyle=guide.dashes,
            linewidth=1.8,
        )


def _item_markers(view: View) -> list[dict[str, Any]]:
    """Return the style of the markers of conforming and of defective items."""
    size = float(np.clip(320.0 / view.right, 1.5, 6.0))
    common = {"linestyle": "none", "markeredgecolor": INK, "markeredgewidth": min(0.7, 0.2 * size)}
    return [
        {"marker": "o", "markersize": 0.8 * size, "markerfacecolor": "white", **common},
        {"marker": "D", "markersize": max(size, 3.0), "markerfacecolor": VERMILION, **common},
    ]


def _draw_path(figure: Figure, view: View, path: Path, decision: int | None) -> None:
    n, d = np.array(path).T
    left, right, bottom, top = view.limits()
    place = BboxTransform(
        Bbox.from_extents(left, bottom, right, top),
        TransformedBbox(Bbox.from_bounds(*AXES), figure.transFigure),
    )
    found = np.diff(d, prepend=d[0]) > 0
    inspected = n > n[0]
    lines = [Line2D(n, d, color=INK, linewidth=1.2, drawstyle="steps-post")]
    for chosen, style in zip((~found, found), _item_markers(view), strict=True):
        lines.append(Line2D(n[inspected & chosen], d[inspected & chosen], **style))
    lines.append(
        Line2D(
            n[-1:],
            d[-1:],
            marker="o",
            markersize=13,
            fillstyle="none",
            color={None: INK, ACCEPT: BLUE, REJECT: VERMILION}[decision],
            markeredgewidth=2.5,
        )
    )
    for line in lines:
        line.set_transform(place)
        figure.add_artist(line)


def _draw_legend(
    figure: Figure, scenario: SequentialSamplingScenario, view: View, with_regions: bool
) -> None:
    """Draw the legend below the axes, where it hides nothing."""
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=guide.colour, linestyle=guide.dashes, label=guide.label)
        for guide in guides(scenario)
    ]
    for style, label in zip(_item_markers(view), ("conforming", "defective"), strict=True):
        style["markersize"] = max(style["markersize"], 4.0)
        judged = "judged " * scenario.has_errors
        handles.append(Line2D([], [], label=f"{judged}{label} item", **style))
    if with_regions:
        handles += [
            Patch(facecolor=TINTS[action], edgecolor=FAINT, linewidth=0.6, label=f"policy: {name}")
            for action, name in ((INSPECT, "inspect"), (ACCEPT, "accept"), (REJECT, "reject"))
        ]
    figure.legend(
        handles=handles,
        loc="center",
        bbox_to_anchor=(0.5, 0.055),
        ncols=math.ceil(len(handles) / 2) if with_regions else 4,
        fontsize=8,
        labelcolor=INK,
        frameon=False,
    )


def _write_header(
    figure: Figure,
    scenario: SequentialSamplingScenario,
    point: tuple[int, int],
    decision: int | None,
    money: float,
) -> None:
    n, d = point
    figure.text(0.02, 0.94, _counts(scenario, n, d), fontsize=12.5, fontweight="bold", color=INK)
    figure.text(
        0.02,
        0.877,
        with_minus(f"{_posterior(scenario, n, d)}      {_account(scenario, n, decision, money)}"),
        fontsize=10,
        color=INK,
    )
    colour = {None: FAINT, ACCEPT: BLUE, REJECT: VERMILION}[decision]
    figure.text(
        0.965,
        0.95,
        VERDICTS[decision],
        fontsize=15 if decision is not None else 11,
        fontweight="bold" if decision is not None else "normal",
        color=colour,
        ha="right",
        va="center",
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": colour, "linewidth": 1.5},
    )


def _counts(scenario: SequentialSamplingScenario, n: int, d: int) -> str:
    if scenario.has_errors:
        return f"{counted(n, 'item')} inspected, {d} judged defective"
    return f"{counted(n, 'item')} inspected, {counted(d, 'defective')} found"


def _posterior(scenario: SequentialSamplingScenario, n: int, d: int) -> str:
    state = np.zeros(1, KERNEL.state_dtype)
    state["n"], state["d"] = n, d
    observations, _, _ = KERNEL.describe(scenario.record(), state, "belief", scenario.table())
    return f"P(lot is bad) = {observations[0, 2]:.3f}"


def _account(
    scenario: SequentialSamplingScenario, n: int, decision: int | None, money: float
) -> str:
    """Return the money so far and, once decided, what it is made of."""
    total = f"money {amount(money)}"
    if decision is None:
        return total
    spent = -scenario.inspection_cost * n
    return f"{total} (inspection {amount(spent)}, decision {amount(money - spent)})"


def _setting(scenario: SequentialSamplingScenario) -> str:
    """Return what the lot may be, and what the lines are for, on one line."""
    lot = "Lot" if scenario.lot_size is None else f"Lot of {scenario.lot_size}"
    prior, errors = scenario.prior, ""
    if scenario.has_errors:
        errors = f"; false alarms {scenario.false_alarm:.3g}, misses {scenario.miss:.3g}"
    if isinstance(prior, BetaPrior):
        bad = f"bad if p > {prior.limit:.4g}"
        return f"{lot}: p ~ Beta({prior.a:.4g}, {prior.b:.4g}), {bad}{errors}"
    lines = f"producer's risk {PRODUCERS_RISK:.2f}, consumer's {CONSUMERS_RISK:.2f}"
    if errors:  # on one line, which has to fit
        lines = f"risks {PRODUCERS_RISK:.2f}, {CONSUMERS_RISK:.2f}"
    return f"{lot}: p = {prior.good:.4g} (good) or {prior.bad:.4g} (bad); Wald's lines: {lines}{errors}"


def _text_plane(scenario: SequentialSamplingScenario, path: Path) -> list[str]:
    """Return the plane as lines of text, the largest d first."""
    right, top = window(scenario, path)
    columns, rows = min(right + 1, TEXT_COLUMNS), min(top + 1, TEXT_ROWS)
    cells = np.full((rows, columns), " ")

    def put(n: float, d: int, symbol: str) -> None:
        if 0 <= d <= min(n, top):
            cells[round(d * (rows - 1) / top), round(n * (columns - 1) / right)] = symbol

    for guide in guides(scenario):
        for n in range(right + 1):
            put(n, guide.to_whole(guide.slope * n + guide.intercept), guide.symbol)
    steps = [(n, d, d > before) for (_, before), (n, d) in pairwise(path)]
    # Defectives last: where a cell holds several items it shows the rarer.
    for n, d, found in sorted(steps, key=lambda step: step[2]):
        put(n, d, "x" if found else "o")
    put(*path[-1], "@")
    lines = [
        f"{round(row * top / (rows - 1)):>5} |{''.join(cells[row])}".rstrip()
        for row in reversed(range(rows))
    ]
    return [*lines, f"{'d':>5} +{'-' * columns} n", f"{0:>8}{right:>{columns - 1}}"]
