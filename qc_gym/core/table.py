"""What scenarios tabulate for their kernels, as the compiled loops take it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
"""Rows of numbers, float64 (1, size) or one row for each sub-environment; read only."""
MAX_NUMBERS = 2**25
"""Most numbers that tables of different scenarios in one batch may hold, 256 MB."""


def as_table(numbers: NDArray[np.float64]) -> Table:
    """Return numbers (size,) or (rows, size) as a table: one type for the compiled loops."""
    table = np.ascontiguousarray(np.atleast_2d(numbers), np.float64).view()
    table.flags.writeable = False
    return table


NO_TABLE: Table = as_table(np.empty((1, 0)))


def stacked(tables: Iterable[Table], count: int) -> Table:
    """Return tables (1, size) of ``count`` scenarios as one, a row for each, the short ones padded.

    None where they would hold more than ``MAX_NUMBERS``, or where there is nothing in them; no table is
    asked for after the one that shows it. What they would hold is then computed: the same, but for the
    last bits of an observation.
    """
    kept, size = [], 0
    for table in tables:
        kept.append(table)
        size = max(size, table.shape[1])
        if size * count > MAX_NUMBERS:
            return NO_TABLE
    if size == 0:
        return NO_TABLE
    rows = np.zeros((count, size))
    for row, table in zip(rows, kept, strict=True):
        row[: table.shape[1]] = table[0]
    return as_table(rows)
