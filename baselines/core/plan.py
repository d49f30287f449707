"""A plan: an optimum as a table for the shop floor.

Rows say where one is, what to do and how often one comes there. Text, CSV, JSON and a printable HTML
card are all made from them.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from baselines.core.pages import render


@dataclass(frozen=True)
class Fact:
    """A number that an engineer asks of a plan.

    Attributes
    ----------
    name, value
        What it is, and the number (or a word).
    unit
        Its unit, in words; empty if it has none.
    """

    name: str
    value: float | int | str
    unit: str = ""


@dataclass(frozen=True)
class Plan:
    """An optimum as a table for the shop floor.

    Attributes
    ----------
    title
        What is planned.
    facts
        What an engineer asks first, the expected value included.
    guidance
        How to follow the table, in sentences.
    columns
        Name of each column → its meaning.
    rows
        Each a mapping of column names to words and numbers; None where a column has nothing to say.
    scenario
        The parameters, as JSON can hold them.
    """

    title: str
    facts: tuple[Fact, ...]
    guidance: tuple[str, ...]
    columns: Mapping[str, str]
    rows: tuple[Mapping[str, Any], ...]
    scenario: Mapping[str, Any]

    def text(self) -> str:
        """Return the plan as lines of text: facts, guidance, and the table with aligned columns."""
        return f"{self.summary()}\n{self.table()}"

    def summary(self) -> str:
        """Return the title and the facts as lines of text."""
        width = max((len(fact.name) for fact in self.facts), default=0)
        facts = [f"{fact.name:<{width}}  {in_words(fact)}".rstrip() for fact in self.facts]
        return "\n".join([self.title, "", *facts]) + "\n"

    def table(self) -> str:
        """Return the guidance and the table as lines of text."""
        cells = [self._cells(row) for row in self.rows]
        guidance = [*self.guidance, ""] if self.guidance else []
        return "\n".join([*guidance, *_aligned(list(self.columns), cells)]) + "\n"

    def csv(self) -> str:
        """Return the rows as CSV with a header, numbers in full."""
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, list(self.columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return buffer.getvalue()

    def json(self) -> str:
        """Return everything as JSON, numbers in full; what JSON cannot hold (inf) as text."""
        content = {**asdict(self), "columns": dict(self.columns), "scenario": dict(self.scenario)}
        return json.dumps(finite(content), indent=2, ensure_ascii=False) + "\n"

    def html(self) -> str:
        """Return a self-contained page to print, which asks nothing of any network."""
        return self._rendered(whole=True)

    def _repr_html_(self) -> str:
        return self._rendered(whole=False)

    def _rendered(self, whole: bool) -> str:
        return render_card(
            self.title,
            self.facts,
            whole=whole,
            guidance=self.guidance,
            columns=self.columns,
            cells=[self._cells(row) for row in self.rows],
            numeric=[
                all(isinstance(row[name], int | float | None) for row in self.rows)
                for name in self.columns
            ],
        )

    def _cells(self, row: Mapping[str, Any]) -> list[str]:
        return [shown(row[name]) for name in self.columns]


def render_card(title: str, facts: Sequence[Fact], whole: bool = False, **table: Any) -> str:
    """Return facts, and the table of a plan if there is one, as HTML: a part of a page, or all of one."""
    words = [(fact.name, in_words(fact)) for fact in facts]
    content = {"guidance": (), "columns": {}, **table}
    return render("baselines.core", "plan.html", title=title, facts=words, whole=whole, **content)


def in_words(fact: Fact) -> str:
    """Return a fact's number with its unit."""
    return f"{shown(fact.value)} {fact.unit}".rstrip()


def shown(value: Any) -> str:
    """Return a number or a word as a plan shows it: six digits, no exponent where there need be none."""
    if value is None:
        return ""
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return str(value)
    text = f"{value:,.4f}" if 1e-3 <= abs(value) < 1e9 else f"{value:.4g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _aligned(names: list[str], cells: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (names, *cells)
    ]


def finite(content: Any) -> Any:
    """Return content with the numbers that JSON does not have as text."""
    if isinstance(content, Mapping):
        return {str(name): finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    return content
