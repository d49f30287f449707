"""What commands print: JSON, and tables in which no digit is ever cut."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.tables import finite, format_cell

UNLIMITED = 10_000
"""Columns of what has no width: in a file or a pipe no row is wrapped."""
_LEAST_TEXT = 12
_NOTHING = ("–", "")
_GAP = 2
_NUMBER = re.compile(r"[-−+]?[\d,]*\.?\d+(e[-+]?\d+)?(\s?%| million)?|inf|nan|-inf|–")
Row = Mapping[str, Any]


def console(*, page: bool = False) -> Console:
    """Return standard output; without a width, unless it is a terminal, COLUMNS says, or ``page``."""
    terminal = Console(highlight=False)
    if terminal.is_terminal or page or os.environ.get("COLUMNS", "").isdecimal():
        return terminal
    return Console(highlight=False, width=UNLIMITED)


def say(text: str = "", *, style: str | None = None, page: bool = False) -> None:
    """Print text as it is: markup in it is text, and a file or a pipe gets its lines in full."""
    console(page=page).print(Text(text, style=style or "", overflow="fold"))


def print_json(content: Any) -> None:
    """Print what a program reads; numbers in full, those that JSON does not have as text."""
    print(json.dumps(finite(content), indent=2, allow_nan=False))


def print_table(
    title: str, rows: Sequence[Row], *, page: bool = False, constant: bool = False
) -> None:
    """Print rows as a table that fits the terminal.

    A single row is printed as a list. Columns of which all rows say the same are left out, and a
    line below says what; text wraps; columns that do not fit beside the others follow below, beside
    the first column again. Numbers are never cut nor wrapped.

    Parameters
    ----------
    rows
        Of the same keys, at least one; the first key names the row.
    page
        Whether a file or a pipe gets it as wide as a page, and not in one line a row.
    constant
        Whether columns of which all rows say the same stay, unless they are empty.
    """
    screen = console(page=page)
    say(title, style="bold", page=page)
    cells = {name: [format_cell(row[name], name) for row in rows] for name in rows[0]}
    if len(rows) == 1 and not constant:
        _print_list(screen, {name: column[0] for name, column in cells.items()})
        return
    first, *others = cells
    same = [name for name in others if len(set(cells[name])) == 1]
    if constant:
        same = [name for name in same if cells[name][0] in _NOTHING]
    shown = [first, *(name for name in others if name not in same)]
    for names in _blocks(cells, shown, screen.width):
        screen.print(_table({name: cells[name] for name in names}, screen.width))
    known = [f"{name} {cells[name][0]}" for name in same if cells[name][0] not in _NOTHING]
    if known:
        say(f"In all rows: {', '.join(known)}", page=page)
    say(page=page)


def _print_list(screen: Console, cells: Mapping[str, str]) -> None:
    """Print a row as a list of names and values."""
    table = Table(box=None, show_header=False, padding=(0, _GAP, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, cell in cells.items():
        if cell not in _NOTHING:
            table.add_row(Text(name), Text(cell))
    screen.print(table)
    screen.print()


def print_notes(notes: Sequence[str]) -> None:
    """Print numbered notes."""
    table = Table.grid(padding=(0, _GAP))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for number, note in enumerate(notes, 1):
        table.add_row(f"{number:>4}", Text(note))
    console().print(table)
    say()


def _is_number(column: Sequence[str]) -> bool:
    return all(_NUMBER.fullmatch(cell) or not cell for cell in column)


def _least(name: str, column: Sequence[str]) -> int:
    """Return the least width of a column: of its longest number or, up to a limit, word."""
    header = max(map(cell_len, name.split()), default=1)
    if _is_number(column):
        return max([header, *map(cell_len, column)])
    words = [word for cell in column for word in cell.split()]
    longest = max(map(cell_len, words), default=1)
    figures = [cell_len(word) for word in words if _NUMBER.fullmatch(word.strip("(),;:"))]
    return max([header, min(longest, _LEAST_TEXT), *figures])


def _natural(name: str, column: Sequence[str]) -> int:
    header = cell_len(name) if not _is_number(column) else max(map(cell_len, name.split()))
    return max([header, *(cell_len(line) for cell in column for line in cell.splitlines())])


def _blocks(
    cells: Mapping[str, Sequence[str]], names: Sequence[str], width: int
) -> list[list[str]]:
    """Return the columns of each table that is printed: all in one, if they fit."""
    first, *others = names
    beside = _least(first, cells[first]) + _GAP
    blocks = [[first]]
    room = width - beside
    for name in others:
        needed = _least(name, cells[name]) + _GAP
        if needed > room and len(blocks[-1]) > 1:
            blocks.append([first])
            room = width - beside
        blocks[-1].append(name)
        room -= needed
    return blocks


def _table(cells: Mapping[str, Sequence[str]], width: int) -> Table:
    least = {name: _least(name, column) for name, column in cells.items()}
    widths = {name: max(_natural(name, cells[name]), least[name]) for name in cells}
    while sum(widths.values()) + _GAP * len(widths) > width:
        wide = [name for name in widths if widths[name] > least[name]]
        if not wide:
            break
        widths[max(wide, key=lambda name: widths[name])] -= 1
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for name, column in cells.items():
        table.add_column(
            Text(name, overflow="fold"),
            justify="right" if _is_number(column) else "left",
            vertical="top",
            width=widths[name],
            overflow="fold",
        )
    for row in zip(*cells.values(), strict=True):
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    return table
