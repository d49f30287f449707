"""Counts (n, d), 0 ≤ d ≤ n, as a lattice, row after row: (0, 0), (1, 0), (1, 1), (2, 0) and so on."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

Count = TypeVar("Count", int, NDArray[np.int64])


@register_jitable
def row_start(n: Count) -> Count:
    """Return the index of (n, 0); that of (n, d) is so much and d, and so many states lie before row n.

    Plain Python and compiled code may both call it.
    """
    return n * (n + 1) // 2
