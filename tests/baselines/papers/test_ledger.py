"""The ledger's records: a verdict follows from the two values and the bound, and from nothing else."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines import OracleError, papers
from baselines.papers import Bound, Entry, Ledger, PolicyWorth, Verdict
from baselines.papers.entries import Printed

LIMIT = Bound(25.0, "56 - 31")


def entry(printed: str, ours: float | str | None, **fields: object) -> Entry:
    return Entry("Table 1", "profit", printed, ours, **fields)  # type: ignore[arg-type]


# --- printed numbers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3081", Printed(3081.0, 0, "")),
        ("13,619", Printed(13619.0, 0, "")),
        ("-4.85", Printed(-4.85, 2, "")),
        ("−0.0445%", Printed(-0.0445, 4, "%")),
        ("2.890", Printed(2.89, 3, "")),
        ("n.a.", None),
        ("no, no, yes, yes", None),
        ("Beta(11, 91)", None),
        ("more than 5%", None),
        ("–", None),
    ],
)
def test_parse(text: str, expected: Printed | None) -> None:
    assert Printed.parse(text) == expected


@given(value=st.decimals(-1000, 1000, places=6), decimals=st.integers(0, 4))
def test_a_value_agrees_with_what_it_rounds_to_and_with_nothing_else(
    value: Decimal, decimals: int
) -> None:
    digit = Decimal(1).scaleb(-decimals)
    roundings = {value.quantize(digit, how) for how in (ROUND_HALF_UP, ROUND_HALF_EVEN)}
    for steps in range(-2, 3):
        text = f"{value.quantize(digit) + steps * digit:.{decimals}f}"
        number = Printed.parse(text)
        assert number is not None
        # A tie is either neighbour's.
        near = abs(Decimal(text) - value) <= digit / 2
        assert number.agrees(float(value)) == near
        assert near or Decimal(text) not in roundings


def test_percent_is_of_a_share() -> None:
    number = Printed.parse("6.9253%")
    assert number is not None
    assert number.agrees(0.069253)
    assert not number.agrees(6.9253)
    assert number.show(0.0692531234) == "6.925312%"


@pytest.mark.parametrize(
    ("text", "value", "slip"),
    [
        ("2.77", 2.7762, "cut off, not rounded"),
        ("5779.1", 5779.047, "rounded twice, first to 5779.05"),
        ("2.70", 2.7762, ""),
    ],
)
def test_slips_of_rounding_are_named(text: str, value: float, slip: str) -> None:
    assert entry(text, value).verdict is Verdict.NOT_DERIVABLE
    assert entry(text, value).note == slip


# --- verdicts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "ours", "bound", "verdict"),
    [
        ("18.90", 18.899, None, Verdict.REPRODUCED),
        ("18.90", 18.906, None, Verdict.NOT_DERIVABLE),
        ("25.15", 19.8, LIMIT, Verdict.IMPOSSIBLE),
        ("25.00", 19.8, LIMIT, Verdict.NOT_DERIVABLE),
        ("25.15", 25.152, LIMIT, Verdict.REPRODUCED),
        ("-4.85", 6.8, Bound(0.0, "never a loss", is_upper=False), Verdict.IMPOSSIBLE),
        ("4.85", 6.8, Bound(0.0, "never a loss", is_upper=False), Verdict.NOT_DERIVABLE),
        ("yes", "yes", None, Verdict.REPRODUCED),
        ("yes", "no", None, Verdict.NOT_DERIVABLE),
    ],
)
def test_verdict(printed: str, ours: float | str, bound: Bound | None, verdict: Verdict) -> None:
    assert entry(printed, ours, bound=bound).verdict is verdict


def test_a_bound_is_broken_only_if_no_rounding_of_the_printed_value_keeps_it() -> None:
    for text, broken in (("25", False), ("25.0", False), ("25.4", True), ("26", True)):
        number = Printed.parse(text)
        assert number is not None
        assert LIMIT.is_broken(number) == broken
    assert Bound(24.6, "…").is_broken(Printed(25.0, 0, "")) is False  # 24.6 rounds to 25


def test_missing_inputs() -> None:
    unknown = entry("59", None, missing=("q", "beta"))
    assert unknown.verdict is Verdict.INPUTS_NOT_PRINTED
    assert unknown.shown == "–"
    assert unknown.note == "not printed: q, beta"
    for ours, missing in ((None, ()), (59.0, ("q",))):
        with pytest.raises(ValueError, match=r"Table 1, profit: either ours or missing"):
            entry("59", ours, missing=missing)


def test_a_number_cannot_be_set_against_a_word() -> None:
    with pytest.raises(ValueError, match="'many' is not a number"):
        entry("many", 3.0)


def test_notes_show_the_broken_bound() -> None:
    broken = entry("25.15", 19.8, bound=LIMIT, reason="as printed")
    assert broken.note == "at most 25: 56 - 31; as printed"
    assert entry("25.15", 25.15, bound=LIMIT).note == "yet at most 25: 56 - 31"
    assert entry("24.15", 24.15, bound=LIMIT).note == ""


def test_a_policy_that_beats_the_optimum_is_an_error() -> None:
    assert PolicyWorth("Table 1", "K = 1", "case study", 3.0, 5.0).regret == 2.0
    with pytest.raises(OracleError, match=r"Table 1, K = 1: regret = -1\.0"):
        PolicyWorth("Table 1", "K = 1", "case study", 6.0, 5.0)


def test_counts_and_record() -> None:
    entries = [entry("1", 1.0), entry("2", 1.0), entry("2", 2.0), entry("3", None, missing=("q",))]
    worth = PolicyWorth("Table 1", "K = 1", "case study", 3.0, 5.0)
    ledger = Ledger("paper", "A paper", entries, [worth])
    counts = {"reproduced": 2, "not derivable": 1, "impossible": 0, "inputs not printed": 1}
    assert ledger.counts() == counts
    record = ledger.record()
    assert record["counts"] == counts
    assert [row["ours"] for row in record["entries"]] == [1.0, 1.0, 2.0, None]
    assert record["policies"][0]["regret"] == 2.0
    assert list(ledger.tables()) == [
        "printed and recomputed",
        "what the published policies earn in the exact model",
    ]


# --- all papers -------------------------------------------------------------------------------


def test_every_entry_of_every_paper_can_be_told_from_the_others() -> None:
    for ledger in papers.ledgers():
        names = [(one.where, one.what) for one in ledger.entries]
        assert len(names) == len(set(names))


def test_reproduced_numbers_round_to_what_is_printed() -> None:
    checked = 0
    for ledger in papers.ledgers():
        for one in ledger.entries:
            if isinstance(one.ours, str) or one.ours is None:
                continue
            plain = one.printed.replace(",", "").rstrip("%")
            digits = len(plain.partition(".")[2])
            value = one.ours * (100 if "%" in one.printed else 1)
            is_same = abs(round(value, digits) - float(plain)) < 1e-9
            assert is_same == (one.verdict is Verdict.REPRODUCED), (ledger.paper, one)
            checked += 1
    assert checked > 150


def test_an_unknown_paper_is_an_error_that_names_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown paper 'liu'.*liu-2025"):
        papers.ledger("liu")
