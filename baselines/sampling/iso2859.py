"""ISO 2859-1 (ANSI/ASQ Z1.4, MIL-STD-105E): single sampling plans for normal inspection, as facts.

Table 1 gives a code letter by the size of the lot and the inspection level, Table 2-A the plan by the
letter and the acceptance quality limit (AQL). Table 2-A is a band along its diagonal: where the letter
stands at i and the AQL at j in their series, i + j tells the acceptance number, and beside the band arrows
point to its edges. The switching to tightened and reduced inspection is no part of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from baselines.core.references import NoPlanError
from baselines.sampling.lot_plans import SinglePlan
from qc_gym.core.numbers import whole_number

Level = Literal["I", "II", "III"]
LEVELS: tuple[Level, ...] = ("I", "II", "III")
LETTERS = "ABCDEFGHJKLMNPQR"
SIZES = (2, 3, 5, 8, 13, 20, 32, 50, 80, 125, 200, 315, 500, 800, 1250, 2000)
"""Sample size by letter."""
LIMITS = (8, 15, 25, 50, 90, 150, 280, 500, 1200, 3200, 10_000, 35_000, 150_000, 500_000)
"""The largest lot of each class of Table 1; a last class is above."""
LETTER_OF_LOT = {"I": "AABCCDEFGHJKLMN", "II": "ABCDEFGHJKLMNPQ", "III": "BCDEFGHJKLMNPQR"}
"""Code letter by the class of the lot, for each general inspection level."""
AQLS = (
    *(0.010, 0.015, 0.025, 0.040, 0.065, 0.10, 0.15, 0.25),
    *(0.40, 0.65, 1.0, 1.5, 2.5, 4.0, 6.5, 10.0),
)
"""Acceptance quality limits in percent nonconforming."""

_ACCEPTANCE_NUMBERS = {14: 0, 17: 1, 18: 2, 19: 3, 20: 5, 21: 7, 22: 10, 23: 14, 24: 21}
"""By the sum of the places of letter and AQL; between 14 and 17 arrows point up and down."""


@dataclass(frozen=True)
class StandardPlan:
    """A plan of the standard, and how it was found.

    Attributes
    ----------
    plan
        The plan to use; where its sample would be the whole lot or more, the lot is inspected.
    letter
        Its code letter, after the arrows of Table 2-A.
    lot_letter
        The code letter of the lot, before them.
    aql
        In percent.
    level
        General inspection level.
    """

    plan: SinglePlan
    letter: str
    lot_letter: str
    aql: float
    level: Level


def standard_plan(lot_size: int | None, aql: float = 1.0, level: Level = "II") -> StandardPlan:
    """Return the plan of ISO 2859-1 for a lot, single sampling, normal inspection.

    Parameters
    ----------
    lot_size
        At least 2 items.
    aql
        In percent nonconforming, one of ``AQLS``.
    level
        General inspection level, one of ``LEVELS``.

    Raises
    ------
    NoPlanError
        An infinite lot, or one of a single item.
    ValueError
        An AQL or a level that the tables do not have.
    """
    if aql not in AQLS:
        known = ", ".join(f"{one:g}" for one in AQLS)
        raise ValueError(f"aql = {aql!r}: percent, one of {known}, is needed")
    if level not in LEVELS:
        raise ValueError(f"level = {level!r}: one of {', '.join(LEVELS)} is needed")
    if lot_size is None:
        raise NoPlanError("lot_size = None: ISO 2859-1 goes by the size of the lot")
    size = whole_number("lot_size", lot_size, 1)
    if size < 2:
        raise NoPlanError(f"lot_size = {size}: ISO 2859-1 begins with lots of 2")
    lot_letter = LETTER_OF_LOT[level][sum(size > limit for limit in LIMITS)]
    row, acceptance_number = _follow_arrows(LETTERS.index(lot_letter), AQLS.index(aql))
    sample_size = min(SIZES[row], size)
    plan = SinglePlan(sample_size, min(acceptance_number, sample_size - 1))
    return StandardPlan(plan, LETTERS[row], lot_letter, float(aql), level)


def _follow_arrows(row: int, column: int) -> tuple[int, int]:
    """Return the row of Table 2-A that an entry leads to, and the acceptance number there."""
    place = row + column
    if place < 14:
        row = 14 - column
    elif place > 24:
        row = 24 - column
    elif place == 15:  # up to the plan of acceptance number 0; in the first row there is none above
        row = row - 1 if row > 0 else row + 2
    elif place == 16:  # down to that of 1; in the last row there is none below
        row = row + 1 if row < len(SIZES) - 1 else row - 2
    return row, _ACCEPTANCE_NUMBERS[row + column]
