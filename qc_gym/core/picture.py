"""What the pictures of all families have in common: colours, amounts, and the letters of any name."""

from __future__ import annotations

import io
import logging
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib import font_manager, rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

DPI = 100  # pixels per inch
WHITE = np.full(4, 255, np.uint8)
"""A background for :func:`paint`."""
INK, FAINT, PALE = "#1a1a1a", "#666666", "#cccccc"
# Okabe & Ito's colours, which every kind of colour vision tells apart, and tints of the first two.
BLUE, VERMILION = "#0072B2", "#D55E00"
BLUE_TINT, VERMILION_TINT = "#c9e0f0", "#f8d7c1"
SERIES = (BLUE, VERMILION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1")
"""Colours of what is compared, in order; the optimum is black."""
DASHES: dict[str, str | tuple[int, tuple[float, ...]]] = {
    "solid": "-",
    "dash": "--",
    "dashdot": "-.",
    "dot": ":",
    "longdash": (0, (6, 1.5)),
    "longdashdot": (0, (6, 1.5, 1, 1.5)),
}
"""Dashes of the runs of one algorithm, in order: their names in Plotly, and matplotlib's line styles."""

OPTIMUM = "optimum"
PREFERRED_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
    "Arial Unicode MS",
)
"""Families that letters missing from the default font are taken from first."""


# --- words ---------------------------------------------------------------------------------------


def amount(money: float, digits: int = 2) -> str:
    """Return an amount of money with so many decimals, none where it has five digits before them."""
    # Zero added: no amount is shown as -0.00.
    return f"{round(money, digits) + 0.0:,.{digits if abs(money) < 10_000.0 else 0}f}"


def counted(number: int, noun: str) -> str:
    """Return a number of things in words, e.g. ``1 stage``, ``2 stages``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def with_minus(text: str) -> str:
    """Return text with the hyphens of its numbers as minus signs."""
    return text.replace("-", "\N{MINUS SIGN}")


def literal(name: str) -> str:
    """Return a name so that matplotlib shows it as it is.

    A dollar sign does not begin mathematics, and an underscore in front, which would keep a name
    out of a legend, stands behind a mark without width.
    """
    return ("\N{ZERO WIDTH SPACE}" if name.startswith("_") else "") + name.replace("$", r"\$")


def columns_of(text: str) -> float:
    """Return the width of text in letters of the Latin alphabet: those of East Asia are wider."""
    return sum(1.6 if unicodedata.east_asian_width(letter) in "WF" else 1.0 for letter in text)


# --- colours -------------------------------------------------------------------------------------


class Style(NamedTuple):
    """How what has a name is drawn: its colour and its line."""

    color: str
    dash: str

    @property
    def line(self) -> dict[str, Any]:
        """The keywords of matplotlib's lines."""
        return {"color": self.color, "linestyle": DASHES[self.dash]}


_FIRST: ContextVar[tuple[str, ...]] = ContextVar("_FIRST", default=())


@contextmanager
def common_colours(names: Iterable[str]) -> Iterator[None]:
    """Give these names the same colours in all figures that are drawn within.

    Where it stands in another, the names of that one come first.
    """
    token = _FIRST.set(tuple(dict.fromkeys((*_FIRST.get(), *map(stem_of, names)))))
    try:
        yield
    finally:
        _FIRST.reset(token)


def stem_of(name: str) -> str:
    """Return what the runs of one algorithm have in common: ``ppo`` of ``ppo, seed 0``."""
    return name.rpartition(", ")[0] or name


def styles_of(names: Sequence[str]) -> dict[str, Style]:
    """Return how each of some names is drawn: a colour an algorithm, a line style a run.

    The names of :func:`common_colours` have the first colours, others follow as they come; the
    optimum is black. Runs of an algorithm (see :func:`stem_of`) differ in their line.
    """
    stems = tuple(dict.fromkeys((*_FIRST.get(), *map(stem_of, names))))
    places = {stem: i for i, stem in enumerate(stem for stem in stems if stem != OPTIMUM)}
    dashes = tuple(DASHES)
    seen: dict[str, int] = {}
    styles = {}
    for name in names:
        stem = stem_of(name)
        run = seen[stem] = seen.get(stem, -1) + 1
        if name == OPTIMUM:
            styles[name] = Style("black", "solid")
            continue
        round_, place = divmod(places[stem], len(SERIES))
        styles[name] = Style(SERIES[place], dashes[(run + round_) % len(dashes)])
    return styles


# --- pixels --------------------------------------------------------------------------------------


class Picture(Figure):
    """A figure that finds fonts for letters which the default one does not have."""

    def draw(self, renderer: Any) -> None:
        """Draw the figure. Letters that no font has are named in one warning."""
        _find_letters(self)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from")  # said by us, once
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows, whether or not pyplot is there."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()


def paint(figure: Figure, under: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the pixels of ``figure`` drawn over others, uint8 (height, width, 4).

    What stays the same from step to step is most of a picture's time: a family paints it once and
    then paints what changes over it.
    """
    renderer: Any = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    pixels = np.asarray(renderer.buffer_rgba())
    pixels[...] = under
    figure.draw(renderer)
    return pixels


def _find_letters(figure: Figure) -> None:
    """Let every text of a figure have the fonts that its letters need."""
    unknown: dict[str, set[str]] = {}
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        letters = _missing(text.get_text(), _default_font())
        if not letters:
            continue
        families, nowhere = fallbacks("".join(sorted(letters)))
        text.set_fontfamily([*rcParams["font.family"], *families])
        _substitutes.update(families)
        if nowhere:
            unknown[text.get_text()] = set(nowhere)
    fresh = {name: letters for name, letters in unknown.items() if name not in _told}
    if fresh:
        _told.update(fresh)
        names = ", ".join(repr(name) for name in fresh)
        warnings.warn(
            f"no font on this system has all letters of {names}; pictures show boxes for "
            f"{''.join(sorted(set().union(*fresh.values())))}",
            stacklevel=4,
        )


_substitutes: set[str] = set()
"""Families that letters were taken from."""


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a message of matplotlib's is more than that a substitute has no bold letters."""
    return "font weight" not in record.msg or not _substitutes.intersection(record.args or ())


logging.getLogger("matplotlib.font_manager").addFilter(_is_news)

_told: set[str] = set()
"""Names whose letters were found to be missing, and said to be."""


@lru_cache(maxsize=256)
def fallbacks(letters: str) -> tuple[tuple[str, ...], str]:
    """Return the families of fonts on this system for letters, and the letters that none has."""
    missing = set(letters)
    families: list[str] = []
    for path, family in _fonts():
        if not missing:
            break
        try:
            left = _missing("".join(missing), path)
        except (OSError, RuntimeError):  # not a font that can be read
            continue
        if len(left) < len(missing):
            families.append(family)
            missing = set(left)
    return tuple(families), "".join(sorted(missing))


@lru_cache(maxsize=1)
def _fonts() -> list[tuple[str, str]]:
    """Return path and family of the system's upright fonts of normal weight, preferred ones first."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:  # installed after matplotlib made its list
            try:
                font_manager.fontManager.addfont(path)
            except (OSError, RuntimeError):
                continue
    # A last resort has a box for every letter, and so the letters of none.
    rank = {family: i for i, family in enumerate(PREFERRED_FONTS)}
    fonts = {
        (rank.get(entry.name, len(rank)), entry.name, entry.fname)
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal"
        and entry.weight in (400, "normal", "regular")
        and not entry.name.startswith("Last Resort")
    }
    return [(path, family) for _, family, path in sorted(fonts)]


def _default_font() -> str:
    return _path_of(tuple(rcParams["font.family"]), tuple(rcParams["font.sans-serif"]))


@lru_cache(maxsize=8)
def _path_of(families: tuple[str, ...], sans_serif: tuple[str, ...]) -> str:
    properties = font_manager.FontProperties(family=list(families))
    return str(font_manager.findfont(properties))


def _missing(text: str, path: str) -> frozenset[str]:
    """Return the letters of a text that a font does not have."""
    if text.isascii():
        return frozenset()
    has = _letters_of(path)
    return frozenset(one for one in text if ord(one) not in has and one.isprintable())


@lru_cache(maxsize=64)
def _letters_of(path: str) -> frozenset[int]:
    """Return the code points that a font has."""
    return frozenset(font_manager.get_font(path).get_charmap())
