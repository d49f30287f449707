"""Pictures of assembly: the tree, what is known of each node, and the question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

from qc_gym.assembly.dynamics import ABSENT, BAD, FOUND_BAD, GOOD, NODE_FEATURES, USED, WAITING
from qc_gym.assembly.scenario import AssemblyScenario
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
    columns_of,
    counted,
    paint,
    with_minus,
)

SIZE = (8.0, 4.8)  # inches
WIDTH, HEIGHT = 800, 480
LEFT, RIGHT, BOTTOM, TOP = 8, WIDTH - 8, 40, HEIGHT - 104
"""The part of the picture where the tree is, in pixels from the left and from below."""
WIDEST, TALLEST = 150, 66
FILLED_ACROSS, FILLED_DOWN = 0.92, 0.7
"""How much of its share of the picture a node fills."""
LINE_HEIGHT, CHARACTER_WIDTH = 1.3, 0.62  # as shares of the size of a font
SMALLEST, LARGEST, READABLE = 3.5, 9.5, 6.0
"""Sizes of fonts in points: at least, at most, and below which text is turned to be larger."""
MARGIN = 3  # pixels around a node, for its outline

FILLS = {"absent": "#ffffff", "unverified": "#fbeeb8", "good": BLUE_TINT, "bad": VERMILION_TINT}
EDGES = {"absent": "#aaaaaa", "unverified": "#8a6d00", "good": BLUE, "bad": VERMILION}
KINDS = {ABSENT: "absent", WAITING: "unverified", USED: "unverified", GOOD: "good", BAD: "bad"}
CHANCE = "P(bad) {:.3f}"


class Moment(NamedTuple):
    """What a picture shows.

    Attributes
    ----------
    scenario
        The scenario being played.
    state
        The state of the world; its hidden truth is not shown.
    money
        Received minus spent so far; None if it is not known.
    last
        The state in which the last question was asked, and the answer; None before the first.
    delivered
        Whether a good unit has been delivered: the episode is over.
    advice
        A policy's answer to the present question, or None.
    """

    scenario: AssemblyScenario
    state: np.void
    money: float | None
    last: tuple[np.void, int] | None
    delivered: bool
    advice: int | None


class Box(NamedTuple):
    """Where a node is drawn, in pixels from the left and from below, and how it is lettered."""

    x: float
    y: float
    width: float
    height: float
    is_upright: bool
    """Whether the text runs upwards: in a narrow box it can be larger so."""
    font_size: float


def draw_episode(moment: Moment) -> NDArray[np.uint8]:
    """Return the picture of an episode, uint8 (480, 800, 3)."""
    figure = Picture(SIZE, DPI)
    figure.patch.set_visible(False)
    _write_header(figure, moment)
    pixels = paint(figure, _backdrop(moment.scenario))[..., :3].copy()
    boxes = layout(moment.scenario)
    for i, (kind, words) in enumerate(knowledge(moment)):
        name = moment.scenario.order[i]
        asked = i == moment.state["asked"] and not moment.delivered
        _paste(pixels, boxes[name], _tile(boxes[name], name, words, kind, asked))
    return pixels


def describe_episode(moment: Moment) -> str:
    """Return the picture of an episode in words."""
    depths = depths_of(moment.scenario)
    known = knowledge(moment)
    width = max(2 * depth + len(name) for name, depth in depths.items())
    lines = [_setting(moment.scenario)]
    for i, name in parents_first(moment.scenario):
        mark = ">" if i == moment.state["asked"] and not moment.delivered else " "
        label = "  " * depths[name] + name
        lines.append(f"{mark} {label:<{width}}  {', '.join(known[i][1])}")
    lines += [_account(moment.money), question(moment)]
    if moment.last is not None:
        lines.insert(-2, happened(moment))
    if moment.advice is not None:
        lines.append(f"policy: {answers(moment.scenario, moment.state)[moment.advice]}")
    return "\n".join(lines)


# --- what is said -------------------------------------------------------------------------------


def question(moment: Moment) -> str:
    """Return the question in words."""
    order, state = moment.scenario.order, moment.state
    i = int(state["asked"])
    if moment.delivered:
        return f"{order[i]} is delivered"
    possible = list(dict.fromkeys(answers(moment.scenario, state)))
    situation = " is finished: " if i == len(order) - 1 else ": "
    if state["status"][i] == BAD:
        situation = " is bad: "
        if possible == ["scrap"]:
            return f"{order[i]} is bad: scrap it (it failed too often)"
    *others, final = (f"{answer} it" for answer in possible)
    return f"{order[i]}{situation}{', '.join(others)} or {final}?"


def answers(scenario: AssemblyScenario, state: np.void) -> tuple[str, str, str]:
    """Return what the three answers to the question come to."""
    i = int(state["asked"])
    if state["status"][i] == BAD:
        too_often = state["failures"][i] > scenario.max_blind_failures
        return "scrap", "scrap" if too_often else "dismantle", "scrap"
    use = "ship" if i == len(scenario.order) - 1 else "use"
    return (
        use,
        "inspect",
        "discard" if scenario.discard_recovered and state["recovered"][i] else use,
    )


def happened(moment: Moment) -> str:
    """Return the last answer and its result in words; nothing if there was none."""
    if moment.last is None:
        return ""
    before, action = moment.last
    name = moment.scenario.order[int(before["asked"])]
    answer = answers(moment.scenario, before)[action]
    if answer == "ship":
        return f"{name} shipped: {'good' if moment.delivered else 'bad, it came back'}"
    if answer == "inspect":
        if moment.delivered or moment.state["last_result"] != FOUND_BAD:
            return f"{name} inspected: good"
        is_part = not moment.scenario.tree[name].children
        return f"{name} inspected: bad{', thrown away' if is_part else ''}"
    done = {
        "use": "used as it is",
        "discard": "thrown away untested",
        "scrap": "scrapped",
        "dismantle": "dismantled",
    }
    return f"{name} {done[answer]}"


def knowledge(moment: Moment) -> list[tuple[str, tuple[str, ...]]]:
    """Return the kind of each node, in the scenario's order, and what is said of it."""
    scenario, state = moment.scenario, moment.state
    if moment.delivered:
        return [("good", ("good",))] * len(scenario.order)
    states = np.array([state], state.dtype)
    observations, _, _ = scenario.kernel.describe(scenario.record(), states, "belief")
    known = []
    for i, name in enumerate(scenario.order):
        kind = KINDS[int(state["status"][i])]
        chance = CHANCE.format(observations[0, NODE_FEATURES * i + 3])
        words = [chance if kind == "unverified" else kind]
        if scenario.tree[name].children and kind != "good":
            failures = int(state["failures"][i])
            words.append(counted(failures, "failure"))
        known.append((kind, tuple(words)))
    return known


def _account(money: float | None) -> str:
    if money is None:
        return "money not known"
    return f"money {amount(money)}"


def _setting(scenario: AssemblyScenario) -> str:
    return (
        f"price {scenario.price:g}, return loss {scenario.return_loss:g}, dismantled after at most "
        f"{counted(scenario.max_blind_failures, 'blind failure')}"
    )


# --- where it is --------------------------------------------------------------------------------


def parents_first(scenario: AssemblyScenario) -> Iterator[tuple[int, str]]:
    """Yield the number and the name of each node, the root first, left to right."""
    number = {name: i for i, name in enumerate(scenario.order)}
    stack = [scenario.order[-1]]
    while stack:
        name = stack.pop()
        yield number[name], name
        stack.extend(reversed(scenario.tree[name].children))


def depths_of(scenario: AssemblyScenario) -> dict[str, int]:
    """Return how far below the root each node is, by name."""
    depths = {scenario.order[-1]: 0}
    for _, name in parents_first(scenario):
        for child in scenario.tree[name].children:
            depths[child] = depths[name] + 1
    return depths


@lru_cache(maxsize=8)
def layout(scenario: AssemblyScenario) -> Mapping[str, Box]:
    """Return where each node is drawn, by name: leaves side by side, parents above the middle."""
    depths = depths_of(scenario)
    leaves: dict[str, int] = {}
    centres: dict[str, float] = {}
    seen = 0
    for name in scenario.order:
        children = scenario.tree[name].children
        if children:
            leaves[name] = sum(leaves[child] for child in children)
            centres[name] = (centres[children[0]] + centres[children[-1]]) / 2.0
        else:
            leaves[name] = 1
            centres[name] = seen + 0.5
            seen += 1
    pitch = (RIGHT - LEFT) / seen
    drop = (TOP - BOTTOM) / (max(depths.values()) + 1)
    boxes = {
        name: _box(
            name,
            3 if scenario.tree[name].children else 2,
            (LEFT + pitch * centres[name], TOP - drop * (depths[name] + 0.5)),
            (pitch * leaves[name], drop),
        )
        for name in scenario.order
    }
    return {name: _like_its_level(box, boxes.values()) for name, box in boxes.items()}


def _box(name: str, lines: int, centre: tuple[float, float], room: tuple[float, float]) -> Box:
    """Return the box around ``centre`` of a node that has ``room``, width and height, for it."""
    width = min(FILLED_ACROSS * room[0], WIDEST)
    tall = FILLED_DOWN * room[1]
    height = min(tall, TALLEST)
    length = max(columns_of(name), len(CHANCE.format(0.0)))
    size, upright = _fitting(length, lines, width, height), _fitting(length, lines, tall, width)
    if size < min(upright, READABLE):
        return Box(*centre, width, tall, True, upright)
    return Box(*centre, width, height, False, size)


def _fitting(length: float, lines: int, width: float, height: float) -> float:
    """Return the size in points at which text of so many characters and lines fits."""
    across = width / (CHARACTER_WIDTH * length)
    down = height / (LINE_HEIGHT * (lines + 0.3))
    return max(min(across, down) * 72.0 / DPI, SMALLEST)


def _like_its_level(box: Box, boxes: Iterable[Box]) -> Box:
    """Return the box with the smallest font of those beside it: what is alike looks alike."""
    beside = [one.font_size for one in boxes if (one.y, one.is_upright) == (box.y, box.is_upright)]
    return box._replace(font_size=min(LARGEST, *beside))


# --- how it is drawn ----------------------------------------------------------------------------


def _add(figure: Figure, artist: Artist) -> None:
    """Add what is placed in pixels."""
    artist.set_transform(IdentityTransform())
    figure.add_artist(artist)


def _write(figure: Figure, x: float, y: float, text: str, **style: Any) -> None:
    """Write at a place in pixels. A name is not mathematics, whatever signs are in it."""
    _add(figure, Text(x, y, text, parse_math=False, **{"color": INK, **style}))


@lru_cache(maxsize=8)
def _backdrop(scenario: AssemblyScenario) -> NDArray[np.uint8]:
    """Return what stays the same for a whole episode, uint8 (480, 800, 4)."""
    figure = Picture(SIZE, DPI, facecolor="white")
    boxes = layout(scenario)
    for name, node in scenario.tree.items():
        for child in node.children:
            above, below = boxes[name], boxes[child]
            middle = (above.y - above.height / 2.0 + below.y + below.height / 2.0) / 2.0
            xs, ys = [above.x, above.x, below.x, below.x], [above.y, middle, middle, below.y]
            _add(figure, Line2D(xs, ys, color=FAINT, linewidth=1.0))
    _write(figure, 12, 397, _setting(scenario), fontsize=8, color=FAINT)
    handles = [
        Patch(facecolor=FILLS[kind], edgecolor=EDGES[kind], label=label)
        for kind, label in zip(
            FILLS, ("absent", "unverified", "known good", "known bad"), strict=True
        )
    ]
    handles.append(Patch(facecolor="white", edgecolor=INK, linewidth=2.5, label="asked about"))
    style: dict[str, Any] = {"ncols": len(handles), "labelcolor": INK, "frameon": False}
    figure.legend(handles=handles, loc="center", bbox_to_anchor=(0.5, 0.04), fontsize=8, **style)
    pixels = paint(figure, np.zeros(4, np.uint8))
    pixels.flags.writeable = False
    return pixels


@lru_cache(maxsize=256)
def _tile(box: Box, name: str, words: tuple[str, ...], kind: str, asked: bool) -> NDArray[np.uint8]:
    """Return a node as it looks, uint8 (height, width, 4): most of a picture's time is its text."""
    width, height = (int(side) + 2 * MARGIN for side in (box.width, box.height))
    figure = Picture((width / DPI, height / DPI), DPI)
    figure.patch.set_visible(False)
    outline: dict[str, Any] = {
        "facecolor": FILLS[kind],
        "edgecolor": INK if asked else EDGES[kind],
        "linewidth": 3.0 if asked else 1.2,
        "boxstyle": f"round,pad=0,rounding_size={min(6.0, box.width / 4.0)}",
    }
    corner = (width - box.width) / 2.0, (height - box.height) / 2.0
    _add(figure, FancyBboxPatch(corner, box.width, box.height, **outline))
    lines = [_cut(name, box), *words]
    for row, line in enumerate(lines):
        down = (row - (len(lines) - 1) / 2.0) * LINE_HEIGHT * box.font_size * DPI / 72.0
        x, y = (down, 0.0) if box.is_upright else (0.0, -down)
        _write(
            figure,
            width / 2.0 + x,
            height / 2.0 + y,
            line,
            fontsize=box.font_size,
            fontweight="bold" if row == 0 or line in ("good", "bad") else "normal",
            color=FAINT if kind == "absent" else INK,
            rotation=90.0 if box.is_upright else 0.0,
            ha="center",
            va="center" if box.is_upright else "center_baseline",
        )
    return paint(figure, np.zeros(4, np.uint8))


def _paste(pixels: NDArray[np.uint8], box: Box, tile: NDArray[np.uint8]) -> None:
    """Lay a node over the picture."""
    height, width, _ = tile.shape
    top, left = round(HEIGHT - box.y - height / 2.0), round(box.x - width / 2.0)
    under = pixels[top : top + height, left : left + width]
    share = tile[..., 3:] / 255.0
    under[...] = np.rint(share * tile[..., :3] + (1.0 - share) * under)


def _cut(name: str, box: Box) -> str:
    """Return as much of a name as there is room for."""
    room = box.height if box.is_upright else box.width
    most = int(room / (CHARACTER_WIDTH * box.font_size * DPI / 72.0)) + 1
    if columns_of(name) <= most:
        return name
    kept = name
    while len(kept) > 1 and columns_of(kept) > most - 1:
        kept = kept[:-1]
    return f"{kept}…"


def _write_header(figure: Figure, moment: Moment) -> None:
    asked = question(moment)
    size = min(14.0, 570.0 * 72.0 / DPI / (CHARACTER_WIDTH * columns_of(asked)))
    _write(figure, 12, 446, asked, fontsize=size, fontweight="bold")
    told = f"{with_minus(_account(moment.money))}      {happened(moment)}"
    _write(figure, 12, 420, told, fontsize=10)
    stamp, colour = ("DELIVERED", BLUE) if moment.delivered else ("", INK)
    if moment.advice is not None:
        stamp = f"policy: {answers(moment.scenario, moment.state)[moment.advice]}"
    if stamp:
        frame = {"boxstyle": "round", "facecolor": "white", "edgecolor": colour, "linewidth": 1.5}
        style: dict[str, Any] = {"fontsize": 12, "fontweight": "bold", "color": colour}
        _write(figure, WIDTH - 20, 451, stamp, ha="right", va="center", bbox=frame, **style)
