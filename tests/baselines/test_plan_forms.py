"""One plan in four forms: the same rows in each, and an HTML card that asks nothing of a network."""

import csv
import dataclasses
import io
import json
import re
from html.parser import HTMLParser

import pytest

import baselines
from baselines.core.plan import shown

CASES = [
    ("qc_gym/Assembly-v0", "cumcm-1"),
    ("qc_gym/KStage-v0", None),
    ("qc_gym/SequentialSampling-v0", None),
    ("qc_gym/KStageControl-v0", None),
    ("qc_gym/InspectOrStop-v0", "lot-sizing-20"),
]


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag == "td":
            self.rows[-1].append("")
        self._open = tag == "td" or (self._open and tag not in ("tr", "table"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.rows[-1][-1] += data


@pytest.mark.parametrize(("env_id", "preset"), CASES)
def test_four_forms_hold_the_same_rows(env_id: str, preset: str | None) -> None:
    plan = baselines.plan(env_id, scenario=preset)
    wanted = [[shown(row[name]) for name in plan.columns] for row in plan.rows]
    assert wanted
    read = list(csv.reader(io.StringIO(plan.csv())))
    assert read[0] == list(plan.columns)
    in_full = [["" if row[n] is None else str(row[n]) for n in plan.columns] for row in plan.rows]
    assert read[1:] == in_full
    assert [list(r.values()) for r in json.loads(plan.json())["rows"]] == [
        [row[name] for name in plan.columns] for row in plan.rows
    ]
    page = plan.html()
    parser = _Cells()
    parser.feed(page)
    cells = [[c.strip() for c in r] for r in parser.rows if len(r) == len(plan.columns)]
    assert cells[-len(wanted) :] == wanted
    lines = plan.text().splitlines()[-len(wanted) :]
    for line, row in zip(lines, wanted, strict=True):
        assert all(cell in line for cell in row)
    assert not re.search(r"<script|<link|\bsrc=|https?://|@import|url\(", page)


def test_markup_in_names_is_escaped() -> None:
    plan = baselines.plan("qc_gym/KStage-v0")
    page = dataclasses.replace(plan, title="<script>alert(1)</script>").html()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
