"""Colours, amounts and letters that the pictures of all families share."""

import io
import warnings
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure

from qc_gym.core import picture
from qc_gym.core.picture import (
    DPI,
    SERIES,
    Picture,
    amount,
    columns_of,
    common_colours,
    counted,
    fallbacks,
    literal,
    paint,
    styles_of,
)

UNASSIGNED = "\U000e0fff"
WHITE = np.full(4, 255, np.uint8)


def pixels_of(text: str, kind: type[Figure] = Picture) -> np.ndarray:
    figure = kind((3.0, 1.0))
    figure.text(0.05, 0.4, text)
    return paint(figure, WHITE).copy()


def test_amounts() -> None:
    shown = [amount(money) for money in (-0.001, 0.0, 1234.5, -9999.994, 12345.6, 1e9)]
    assert shown == ["0.00", "0.00", "1,234.50", "-9,999.99", "12,346", "1,000,000,000"]
    assert amount(-0.00001, 4) == "0.0000"


def test_counts() -> None:
    assert [counted(n, "stage") for n in (0, 1, 2)] == ["0 stages", "1 stage", "2 stages"]


@pytest.mark.parametrize("name", ["$5", "a $x^2$ b", "half $\\frac", "$$", "a\\b", "\\$x$"])
def test_a_literal_name_looks_as_text_without_mathematics(name: str) -> None:
    figure = Figure((3.0, 1.0))
    figure.text(0.05, 0.4, name, parse_math=False)
    np.testing.assert_array_equal(pixels_of(literal(name)), paint(figure, WHITE))


def test_styles_of_runs() -> None:
    styles = styles_of(["optimum", "ppo, seed 0", "dqn, seed 0", "ppo, seed 7", "mine"])
    assert styles["optimum"] == ("black", "solid")
    assert styles["ppo, seed 0"] == (SERIES[0], "solid")
    assert styles["ppo, seed 7"] == (SERIES[0], "dash")
    assert styles["dqn, seed 0"] == (SERIES[1], "solid")
    assert styles["mine"] == (SERIES[2], "solid")


def test_the_lines_of_five_runs_differ() -> None:
    axes = Figure().subplots()
    styles = styles_of([f"ppo, seed {seed}" for seed in range(5)])
    lines = [axes.plot([0, 1], **style.line)[0] for style in styles.values()]
    assert len({str(line._dash_pattern) for line in lines}) == 5  # type: ignore[attr-defined]
    assert {line.get_color() for line in lines} == {SERIES[0]}


def test_common_colours_hold_in_every_figure() -> None:
    with common_colours(["ppo", "dqn", "a2c"]):
        assert styles_of(["a2c, seed 3", "other"]) == {
            "a2c, seed 3": (SERIES[2], "solid"),
            "other": (SERIES[3], "solid"),
        }
        with common_colours(["dqn", "last"]):
            assert styles_of(["last"])["last"].color == SERIES[3]
    assert styles_of(["a2c"])["a2c"].color == SERIES[0]


def test_more_names_than_colours_still_differ() -> None:
    names = [f"policy {i}" for i in range(2 * len(SERIES))]
    assert len(set(styles_of(names).values())) == len(names)


def test_letters_that_no_font_has_are_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_fonts", list)
    monkeypatch.setattr(picture, "_told", set())
    fallbacks.cache_clear()
    try:
        with pytest.warns(UserWarning, match="no font on this system has all letters") as told:
            np.testing.assert_array_equal(pixels_of("\u8f74\u627f"), pixels_of("\u8f74\u627f"))
    finally:
        fallbacks.cache_clear()
    assert len(told) == 1
    assert "'\u8f74\u627f'" in str(told[0].message)


def test_ascii_needs_no_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "_fonts", lambda: pytest.fail("no font was to be looked for"))
    fallbacks.cache_clear()
    pixels_of("part_1: 0.5 × −2 ≤ 3 → 4")


def test_letters_come_from_a_font_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a font that lacks Greek as the default, DejaVu stands for the one on the system."""
    names = {font_manager.get_font(entry.fname).family_name for entry in _shipped()}
    assert "DejaVu Sans" in names
    monkeypatch.setattr(picture, "_default_font", lambda: _path("cmtt10"))
    monkeypatch.setattr(
        picture,
        "_fonts",
        lambda: [(_path("cmtt10"), "cmtt10"), (_path("DejaVu Sans"), "DejaVu Sans")],
    )
    fallbacks.cache_clear()
    try:
        assert fallbacks("\u0416") == (("DejaVu Sans",), "")
        assert fallbacks("\u0416\u8f74") == (("DejaVu Sans",), "\u8f74")
    finally:
        fallbacks.cache_clear()


def test_a_box_for_every_letter_is_no_font_that_has_it() -> None:
    """As matplotlib's own last resort is, from 3.11 on; nobody has letters for private use."""
    families, missing = fallbacks("\U0010fff0")
    assert missing or not any("Resort" in family for family in families)
    assert not any("Resort" in family for _, family in picture._fonts())


def _shipped() -> list[font_manager.FontEntry]:
    return [one for one in font_manager.fontManager.ttflist if "mpl-data" in Path(one.fname).parts]


def _path(family: str) -> str:
    return str(font_manager.findfont(family))


@pytest.mark.skipif(bool(fallbacks("\u8f74\u627f")[1]), reason="no font with Chinese letters here")
def test_chinese_names_are_no_boxes(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = pixels_of("\u8f74\u627f")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        boxes = pixels_of("\u8f74\u627f", Figure)
    assert not np.array_equal(shown, boxes)
    figure = Picture((3.0, 1.0))
    figure.text(0.05, 0.4, "\u8f74\u627f", fontweight="bold", fontsize=7.3)
    paint(figure, WHITE)
    assert caplog.records == []  # that the substitute has no bold letters is no news


def test_letters_of_east_asia_are_wider() -> None:
    assert columns_of("part_1") == 6.0
    assert columns_of("\u8f74\u627f 1") == 1.6 + 1.6 + 2.0


def test_a_picture_shows_itself_in_a_notebook() -> None:
    shown = matplotlib.image.imread(io.BytesIO(Picture(figsize=(2, 1))._repr_png_()), "png")
    assert shown.shape[:2] == (DPI, 2 * DPI)
