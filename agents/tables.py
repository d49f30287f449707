"""Tables of results as text: cells, CSV, Markdown, and numbers that JSON cannot hold."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def format_cell(value: Any, name: str = "") -> str:
    """Return a value of a table as it is shown.

    Parameters
    ----------
    name
        That of the column: steps are shown in words, seconds rounded to what they mean.
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and math.isfinite(value):
        if name.startswith("steps"):
            return format_steps(value)
        if name == "seconds" or name.startswith("s to"):
            return f"{value:.0f}" if value >= 10 else f"{value:.1f}"
    return format_number(value) if isinstance(value, float) else str(value)


def format_number(value: float) -> str:
    """Return a number with four decimals; fewer where it is large, more where nothing would be left.

    A regret of 3e-9 is not 0.0000, nor is −0.0 less than zero.
    """
    if not math.isfinite(value):
        return str(value)
    if value == 0.0:
        return "0.0000"
    if not 5e-5 <= abs(value) < 1e12:
        return f"{value:.2e}" if abs(value) < 1.0 else f"{value:.7e}"
    whole = len(str(int(abs(value))))
    return f"{value:.{min(max(9 - whole, 0), 4)}f}"


def format_rounded(value: Any, name: str = "") -> str:
    """Return a value of a table as a person would say it, where the full number is at hand.

    Money, times and shares have three digits that mean something, and no more than two decimals from 1 on;
    a score near 1 has as many, up to five, as tell it from 1.

    Parameters
    ----------
    name
        That of the column: scores, shares and steps are shown in their own ways.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return format_cell(value, name)
    if name in _SCORES:
        return _rounded_score(value)
    if name in _SHARES or name.startswith("reached"):
        return f"{100.0 * value:.3g} %"
    if name.startswith(("steps", "timesteps")):
        return format_steps(value)
    if name == "seconds" or name.startswith(("s to", "seconds")):
        return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
    if isinstance(value, int):
        return f"{value:,}" if name != "seed" else str(value)
    return _rounded_number(value)


_SCORES = frozenset(("normalised", "iqm", "low", "high", "worst", "median", "5th percentile"))
_SHARES = frozenset(("share", "probability", "exploring_starts"))


def _rounded_score(score: float) -> str:
    texts = [f"{score:.{decimals}f}" for decimals in (3, 4, 5)]
    return next((text for text in texts if float(text) != 1.0), texts[0])


def _rounded_number(value: float) -> str:
    size = abs(value)
    if size == 0.0:
        return "0"
    if size < 1e-4 or size >= 1e12:
        return f"{value:.1e}"
    if size >= 9_999.5:
        return f"{value:,.0f}"
    return f"{value:,.{2 if size >= 0.995 else 2 - math.floor(math.log10(size))}f}"


def format_steps(steps: float) -> str:
    """Return a number of steps to what is meant: 2.28 million, or 64,000."""
    if steps < 1e6:
        return f"{steps:,.0f}"
    digits = max(0, 2 - int(math.log10(steps / 1e6)))
    text = f"{steps / 1e6:,.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} million"


def format_duration(seconds: float) -> str:
    """Return a duration to what is meant: 0.8 s, 25 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 120:
        return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def format_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV with a header; numbers in full, so that they are read back to the same bits."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def format_markdown(
    rows: Sequence[Mapping[str, Any]], cell: Callable[[Any, str], str] | None = None
) -> str:
    """Return rows as a Markdown table; its columns are the keys of the first row.

    ``cell`` returns the Markdown of a value, given the name of its column; by default that of
    :func:`format_cell`.
    """
    names = list(rows[0])
    cell = cell or (lambda value, name: markdown_text(format_cell(value, name)))
    lines = [[markdown_text(name) for name in names], ["---"] * len(names)]
    lines += [[cell(row[name], name) for name in names] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown_text(text: str) -> str:
    """Return text on one line so that Markdown and the HTML in it show it as it is."""
    escaped = re.sub(r"([\\`*~$|\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", " ".join(text.split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def explain_none(regret: float) -> str:
    """Return why no disagreement with the optimum is listed of a policy of that regret."""
    if math.isfinite(regret):
        return "It does what the optimum does wherever it comes."
    return "It may go on for ever: its regret has no bound that could be shared out."


def finite(content: Any) -> Any:
    """Return the content with numbers that JSON cannot hold as text: inf, -inf, nan."""
    if isinstance(content, Mapping):
        return {name: finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    return content
