"""The committed page is what the command writes, the README counts what it holds, figures are drawn."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from figure_texts import cut_texts

from baselines import papers
from baselines.papers.figures import figures

ROOT = Path(__file__).parents[3]


def test_the_committed_page_is_up_to_date() -> None:
    committed = (ROOT / "baselines" / "papers" / "README.md").read_text(encoding="utf-8")
    assert papers.write_page(papers.ledgers()) == committed, (
        "write it again: qc-gym reproduce --markdown > baselines/papers/README.md"
    )


def test_the_readme_counts_the_verdicts() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    for row in papers.summary(papers.ledgers()):
        assert "| " + " | ".join(str(cell) for cell in row.values()) + " |" in lines


def test_summary_counts_every_entry() -> None:
    for row, ledger in zip(papers.summary(papers.ledgers()), papers.ledgers(), strict=True):
        counts = list(row.values())[1:]
        assert sum(int(count) for count in counts) == len(ledger.entries)


def test_notes_are_numbered_once_each() -> None:
    rows = [{"a": "1", "note": "x"}, {"a": "2", "note": ""}, {"a": "3", "note": "y"}]
    rows.append({"a": "4", "note": "x"})
    shown, notes = papers.numbered(rows)
    assert [row["note"] for row in shown] == ["1", "", "2", "1"]
    assert notes == ["x", "y"]
    assert papers.numbered([{"a": "1"}]) == ([{"a": "1"}], [])


@pytest.mark.parametrize(
    ("paper", "names"),
    [
        ("liu-hu-deng", {"figure-1", "figure-2"}),
        ("yang-2010", {"figure-3", "figure-4"}),
        ("wang-2013", {"figure-1", "figures-2-and-3"}),
        ("liu-2025", set()),
        ("cumcm-2024b-report-zh", set()),
    ],
)
def test_figures(paper: str, names: set[str]) -> None:
    drawn = figures(paper)
    assert set(drawn) == names
    assert [text for figure in drawn.values() for text in cut_texts(figure)] == []


def test_the_points_of_the_sample_size_figures() -> None:
    drawn = figures("liu-hu-deng")
    z = {"figure-1": 1.6448536269514722, "figure-2": 1.2815515655446004}  # of 95 % and of 90 %
    for name, figure in drawn.items():
        (line,) = figure.axes[0].lines
        for x, size in np.asarray(line.get_xydata()).tolist():
            rate, gap = (0.1, x) if name == "figure-1" else (x, 0.1 - x)
            assert size == math.ceil(rate * (1 - rate) * (z[name] / gap) ** 2)
