"""ISO 2859-1 against published tables and examples."""

import math

import pytest

from baselines import NoPlanError
from baselines.sampling import SinglePlan, standard_plan
from baselines.sampling.iso2859 import AQLS, LETTERS, LEVELS, LIMITS, SIZES

COLUMNS = (0.65, 1.0, 1.5, 2.5, 4.0, 6.5, 10.0, 15.0)
NORMAL = """
       8 A    2  v  v  v  v  v  1  ^  v
      15 B    3  v  v  v  v  1  ^  v  2
      25 C    5  v  v  v  1  ^  v  2  3
      50 D    8  v  v  1  ^  v  2  3  4
      90 E   13  v  1  ^  v  2  3  4  6
     150 F   20  1  ^  v  2  3  4  6  8
     280 G   32  ^  v  2  3  4  6  8 11
     500 H   50  v  2  3  4  6  8 11 15
    1200 J   80  2  3  4  6  8 11 15 22
    3200 K  125  3  4  6  8 11 15 22  ^
   10000 L  200  4  6  8 11 15 22  ^  ^
   35000 M  315  6  8 11 15 22  ^  ^  ^
  150000 N  500  8 11 15 22  ^  ^  ^  ^
  500000 P  800 11 15 22  ^  ^  ^  ^  ^
 1000000 Q 1250 15 22  ^  ^  ^  ^  ^  ^
"""
"""Largest lot, letter, sample size, rejection numbers or arrows by AQL, general level II, single, normal:
National Institute of Building Sciences, DPW acquisition tables (AC-TABLE), Table 1-A, from MIL-STD-105E."""

LETTER_TABLE = """
       8 A A B
      15 A B C
      25 B C D
      50 C D E
      90 C E F
     150 D F G
     280 E G H
     500 F H J
    1200 G J K
    3200 H K L
   10000 J L M
   35000 K M N
  150000 L N P
  500000 M P Q
 1000000 N Q R
"""
"""Largest lot, code letter of levels I, II, III: ANSI/ASQC Z1.4 Table I."""

# Acceptance numbers after the arrows: Montgomery, Introduction to Statistical Quality Control, 5th ed.,
# as the R package Planesmuestra 0.1 holds his table (`milstd105eplans`, normal).
MONTGOMERY = {
    ("A", 10.0): 1,
    ("A", 6.5): 0,
    ("B", 10.0): 1,
    ("C", 10.0): 1,
    ("D", 10.0): 2,
    ("J", 0.40): 1,
    ("K", 0.25): 1,
    ("K", 0.10): 0,
    ("L", 0.15): 1,
    ("M", 0.10): 1,
    ("N", 0.065): 1,
    ("N", 0.010): 0,
    ("P", 0.040): 1,
    ("P", 0.10): 2,
    ("Q", 0.010): 0,
    ("Q", 0.015): 0,
    ("Q", 0.025): 1,
    ("Q", 0.25): 7,
    ("R", 0.010): 0,
    ("R", 0.015): 0,
    ("R", 0.025): 1,
    ("R", 0.040): 2,
    ("R", 0.065): 3,
    ("R", 0.40): 14,
    ("R", 10.0): 21,
}


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.strip().splitlines()]


def follow(column: int, row: int) -> tuple[int, int]:
    """Return the sample size and the rejection number where the arrows of NORMAL lead."""
    table = rows(NORMAL)
    while (cell := table[row][3 + column]) in "v^":
        row += 1 if cell == "v" else -1
    return int(table[row][2]), int(cell)


@pytest.mark.parametrize(
    ("row", "column"),
    # In the first row nothing is above the arrow that is printed there for 10 %; see MONTGOMERY.
    [(row, column) for row in range(15) for column in range(7) if (row, column) != (0, 6)],
)
def test_every_entry_of_level_ii(row: int, column: int) -> None:
    largest = int(rows(NORMAL)[row][0])
    found = standard_plan(largest, COLUMNS[column])
    size, rejection = follow(column, row)
    assert found.lot_letter == rows(NORMAL)[row][1]
    if size < largest:
        assert found.plan == SinglePlan(size, rejection - 1)
    else:
        assert found.plan.sample_size == largest


@pytest.mark.parametrize("row", range(15))
@pytest.mark.parametrize("level", LEVELS)
def test_code_letters(row: int, level: str) -> None:
    table = rows(LETTER_TABLE)
    smallest = 2 if row == 0 else int(table[row - 1][0]) + 1
    for lot in (smallest, int(table[row][0])):
        found = standard_plan(lot, 1.0, level)  # type: ignore[arg-type]
        assert found.lot_letter == table[row][1 + LEVELS.index(level)]  # type: ignore[arg-type]


@pytest.mark.parametrize(("letter", "aql"), MONTGOMERY)
def test_acceptance_numbers_at_the_edges(letter: str, aql: float) -> None:
    level, lot = next(
        (level, lot)
        for level in LEVELS
        for lot in (*LIMITS, 10**6)
        if standard_plan(lot, 1.0, level).lot_letter == letter
    )
    assert standard_plan(lot, aql, level).plan.acceptance_number == MONTGOMERY[letter, aql]


@pytest.mark.parametrize(
    ("lot", "level", "aql", "letter", "n", "c"),
    [
        (1000, "II", 1.0, "J", 80, 2),  # lecturehub.ie, sampling tables
        (10_000, "II", 1.5, "L", 200, 7),  # apparelscience.com, how to use the AQL table
        (10_000, "II", 4.0, "L", 200, 14),  # the same
        (500, "II", 4.0, "H", 50, 5),
        (100, "II", 1.0, "E", 13, 0),
        (5000, "II", 0.65, "L", 200, 3),
    ],
)
def test_published_examples(lot: int, level: str, aql: float, letter: str, n: int, c: int) -> None:
    found = standard_plan(lot, aql, level)  # type: ignore[arg-type]
    assert (found.letter, found.plan) == (letter, SinglePlan(n, c))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("aql", AQLS)
def test_plans_are_plans_of_the_table(level: str, aql: float) -> None:
    """Of a size of the table or the whole lot; a larger lot is never sampled less."""
    before = 0
    for lot in (2, 3, *LIMITS, 10**6):
        found = standard_plan(lot, aql, level)  # type: ignore[arg-type]
        size = SIZES[LETTERS.index(found.letter)]
        assert found.plan.sample_size == min(size, lot)
        assert found.plan.sample_size >= before
        before = found.plan.sample_size


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None,), NoPlanError, r"lot_size = None: .*size of the lot"),
        ((1,), NoPlanError, r"lot_size = 1: .*lots of 2"),
        ((0,), ValueError, r"lot_size = 0: .*at least 1"),
        ((100, 1.2), ValueError, r"aql = 1\.2: .*0\.65, 1, 1\.5"),
        ((100, math.nan), ValueError, r"aql = nan"),
        ((100, 1.0, "IV"), ValueError, r"level = 'IV': one of I, II, III"),
    ],
)
def test_what_the_standard_does_not_have(
    arguments: tuple[object, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        standard_plan(*arguments)  # type: ignore[arg-type]
