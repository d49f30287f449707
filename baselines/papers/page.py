"""The ledger as tables to print and as a page in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from baselines.papers.entries import Ledger, Verdict

Row = Mapping[str, str]

INTRODUCTION = """# The ledger

Written by `qc-gym reproduce --markdown`. Each printed result of the five papers beside the same number
computed from the paper's own formulas, with a verdict that follows from comparing them:

- **reproduced**: ours rounds to the printed digits;
- **not derivable**: the paper's own formula gives something else, shown as "ours";
- **impossible**: neither reproduced nor within a bound that every such value keeps; the note shows it;
- **inputs not printed**: the paper does not say from which numbers it was computed.

Tables that hold only data are left out. Decisions are, in this order: inspect part 1, inspect part 2,
inspect the product, dismantle a bad one. "What the published policies earn" is exact, in money: per
delivered unit in the assembly problems `cumcm-…`, per lot in the inspection problems `aql10-rql20` and
`weibull-30`, a day in the case study of yang-2010, per order in the pilot runs `PilotRun-v0 …`. Where a
policy does not say what becomes of recovered parts, those not known to be good are inspected. The risks
of sampling plans are exact too.
"""


def summary(ledgers: Sequence[Ledger]) -> list[dict[str, str | int]]:
    """Return a row a paper: how many printed values have each verdict."""
    return [{"paper": one.paper, **one.counts()} for one in ledgers]


def numbered(rows: Sequence[Row]) -> tuple[list[dict[str, str]], list[str]]:
    """Return the rows with numbers in place of their notes, and the notes, each once, from 1 on."""
    notes = list(dict.fromkeys(row["note"] for row in rows if row.get("note")))
    number = {note: str(i) for i, note in enumerate(notes, 1)} | {"": ""}
    shown = [{**row, "note": number[row["note"]]} if "note" in row else {**row} for row in rows]
    return shown, notes


def write_page(ledgers: Sequence[Ledger]) -> str:
    """Return the ledgers as a page in Markdown."""
    lines = [INTRODUCTION, *_table(summary(ledgers))]
    for ledger in ledgers:
        lines += [f"## {ledger.paper}", "", f"{ledger.title}.", ""]
        for title, table in ledger.tables().items():
            rows, notes = numbered(table)
            lines += [f"### {title[0].upper()}{title[1:]}", "", *_table(rows)]
            lines += [f"{i}. {note}" for i, note in enumerate(notes, 1)]
            lines += [""] if notes else []
    return "\n".join(lines)


def _table(rows: Sequence[Mapping[str, str | int]]) -> list[str]:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    for row in rows:
        cells = (_emphasise(name, str(row[name])) for name in names)
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _emphasise(name: str, cell: str) -> str:
    """Return a cell, in bold where a verdict is that a printed value cannot hold."""
    cannot = (Verdict.NOT_DERIVABLE, Verdict.IMPOSSIBLE)
    return f"**{cell}**" if name == "verdict" and cell in cannot else cell
