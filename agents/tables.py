"""Tables of results as text: cells, CSV, Markdown, and numbers that JSON cannot hold."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any


def format_cell(value: Any) -> str:
    """Return a value of a table as it is shown."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}" if math.isfinite(value) else str(value)
    return str(value)


def format_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV with a header; numbers in full, so that they are read back to the same bits."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def format_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table; its columns are the keys of the first row."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names)]
    lines += [[markdown_text(format_cell(row[name])) for name in names] for row in rows]
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
