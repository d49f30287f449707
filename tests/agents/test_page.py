"""The report's page: its numbers, its escaping, and what a browser makes of it."""

import json
import math
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from browser import needs_browser, opened

from agents.report.leaderboard import COLUMNS, leaderboards, overall, problem_title, profiles
from agents.report.page import Section, write_page
from agents.tables import format_cell
from baselines import Disagreement

HOSTILE = 'a"b</script><script>nothere()</script>{{data}}&'
PROBLEMS = [
    ("qc_gym/SequentialSampling-v0", "x", "belief"),
    ("qc_gym/Assembly-v0", HOSTILE, "outcome"),
]
SCORES = {"ppo": [0.1 + 0.2, 0.999], "dqn": [-math.inf, 1 / 3]}
PNG = b"\x89PNG\r\n\x1a\n"


def rows_of(problem: tuple[str, str, str]) -> list[dict[str, Any]]:
    rows = []
    for policy, scores in {**SCORES, "optimum": [1.0]}.items():
        for seed, score in enumerate(scores):
            row: dict[str, Any] = dict.fromkeys(COLUMNS)
            row.update(zip(COLUMNS, problem, strict=False))
            row.update(policy=policy, normalised=score, regret=7 * (1 - score), stderr=0.0)
            row.update(value=3.0 - 7 * (1 - score), optimum=3.0)
            if policy != "optimum":
                row.update(seed=seed, timesteps=300, seconds=1.25, run=f"{policy}-{seed}")
            rows.append(row)
    return rows


def section_of(problem: tuple[str, str, str]) -> Section:
    rows = rows_of(problem)
    runs = {f"{row['policy']}, seed {row['seed']}": row for row in rows if row["run"]}
    curves = {
        title: [
            {"timesteps": t, "seconds": t / 8, "value": 0.0, "regret": regret, "normalised": score}
            for t, regret, score in ((0.0, 7.0, 0.0), (300.0, row["regret"], row["normalised"]))
        ]
        for title, row in runs.items()
    }
    twice = [Disagreement("n = 1 <b>", "inspect", "accept", 0.5, 2.0, 1.0, 0.5)] * 2
    disagreements = {title: [] if title.startswith("dqn") else twice for title in runs}
    figures = {"decision_maps": PNG, "learning_curves": PNG}
    return Section(problem, problem_title(problem), rows, curves, disagreements, figures, 0.07)


@pytest.fixture(scope="module")
def page() -> str:
    sections = [section_of(problem) for problem in PROBLEMS]
    rows = [row for section in sections for row in section.rows]
    tables = {"Over all problems": overall(rows), **leaderboards(rows)}
    return write_page(tables, profiles(rows), sections, {"lost": f"lost: {HOSTILE}"})


class Reader(HTMLParser):
    """Reads the sections of a page: their names, whether they are hidden, and their tables' cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sections: dict[str, bool] = {}
        self.cells: dict[str, list[tuple[str, str | None]]] = {}
        self.scripts = self.images = self.headings = 0
        self.classes: dict[str, list[str]] = {}
        self._name = ""
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        values = dict(attributes)
        if tag == "section":
            self._name = values["data-name"]
            self.sections[self._name] = "hidden" in values
            self.cells[self._name] = []
            self.classes[self._name] = []
        self.scripts += tag == "script"
        self.images += tag == "img"
        if self._name:
            self.classes[self._name] += (values.get("class") or "").split()
        if tag == "td":
            self._in_cell = True
            self.cells[self._name].append(("", values.get("title")))

    def handle_data(self, text: str) -> None:
        if self._in_cell:
            shown, full = self.cells[self._name][-1]
            self.cells[self._name][-1] = shown + text, full

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag != "td"
        if tag == "main":
            self._name = ""


def expected_cells(value: Any) -> tuple[str, str | None]:
    return format_cell(value), repr(value) if isinstance(value, float) else None


def check_numbers(read: Reader) -> None:
    assert list(read.sections) == ["all", *("/".join(problem) for problem in PROBLEMS)]
    for problem in PROBLEMS:
        rows = rows_of(problem)
        (table,) = leaderboards(rows).values()
        cells = read.cells["/".join(problem)]
        wanted = [expected_cells(value) for row in table for value in row.values()]
        assert cells[: len(wanted)] == wanted
        wanted = [expected_cells(value) for row in rows for value in list(row.values())[3:]]
        assert cells[-len(wanted) :] == wanted
    every = [row for problem in PROBLEMS for row in rows_of(problem)]
    wanted = [expected_cells(value) for row in overall(every) for value in row.values()]
    assert read.cells["all"][: len(wanted)] == wanted


def test_numbers_are_those_of_the_rows(page: str) -> None:
    read = Reader(page)
    check_numbers(read)
    # 0.1 + 0.2 is shown in four digits, and in full where the mouse rests.
    assert ("0.3000", "0.30000000000000004") in read.cells["/".join(PROBLEMS[0])]


def test_names_are_escaped(page: str) -> None:
    read = Reader(page)
    assert read.scripts == 3  # plotly, the data and the page's own
    assert "nothere()</script>" not in page
    assert page.count("&lt;/script&gt;") >= 3
    assert "<b>" not in page.split("<main>")[1].split("</main>")[0]


def test_a_run_without_disagreements_is_explained(page: str) -> None:
    """Of the two runs of dqn none is listed: one has no bound on its regret."""
    bounded = page.split('<div data-run="dqn, seed 1">')[1].split("</div>")[0]
    endless = page.split('<div data-run="dqn, seed 0">')[1].split("</div>")[0]
    assert "It does what the optimum does" in bounded
    assert "It may go on for ever" in endless
    assert "It does what" not in endless


def test_nothing_is_loaded(page: str) -> None:
    content = page.split("<main>")[1].split("</main>")[0]
    assert not re.search(r"""(src|href)=["'](?!data:)""", content)
    assert "default-src 'none'" in page
    assert Reader(page).images == len(PROBLEMS)  # those that are charts are not there as pictures


# --- in a browser ---------------------------------------------------------------------------


def browse(page: str, folder: Path, fragment: str = "") -> tuple[Reader, str, list[str]]:
    """Open a page in headless Chromium. Return what it then is, as read and as text, and its console."""
    text, console = opened(page, folder, fragment)
    return Reader(text), text, console


def section_text(text: str, name: str) -> str:
    parts = re.split(r'<section data-name="([^"]*)"', text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[name].split("</section>")[0]


@needs_browser
def test_the_page_opens_on_all_problems(page: str, tmp_path: Path) -> None:
    read, text, console = browse(page, tmp_path)
    assert console == []
    check_numbers(read)
    assert [name for name, hidden in read.sections.items() if not hidden] == ["all"]
    front = section_text(text, "all")
    assert front.count('class="errorbar"') == len(SCORES)
    assert "share of runs that come nearer" in front
    assert "<title>qc-gym: Over all problems</title>" in text


@needs_browser
@pytest.mark.parametrize("way", ["address", "menu"])
def test_environments_can_be_switched(way: str, page: str, tmp_path: Path) -> None:
    fragment = ""
    if way == "address":
        fragment = "#env=qc_gym%2FSequentialSampling-v0%2Fx%2Fbelief"
    else:
        choose = "<script>menu.selectedIndex = 1; menu.dispatchEvent(new Event('change'));</script></body>"
        page = page.replace("</body>\n</html>", f"{choose}\n</html>")
    read, text, console = browse(page, tmp_path, fragment)
    assert console == []
    name = "/".join(PROBLEMS[0])
    assert [one for one, hidden in read.sections.items() if not hidden] == [name]
    assert "<title>qc-gym: qc_gym/SequentialSampling-v0, x, belief observations</title>" in text
    shown = section_text(text, name)
    # A line for each run, a bar for each state of the first of them.
    assert len(re.findall(r'class="trace scatter [^"]*"', shown)) == 4
    assert len(re.findall(r'<g class="point">', shown)) == 2
    assert "main-svg" in shown
    assert "main-svg" not in section_text(text, escape("/".join(PROBLEMS[1])))  # drawn when chosen


@needs_browser
def test_a_broken_page_is_seen(page: str, tmp_path: Path) -> None:
    """What the tests above would see if a script failed, or something were loaded."""
    broken = page.replace("</main>", "<script>nothere()</script></main>")
    _, _, console = browse(broken, tmp_path)
    assert any("nothere is not defined" in line for line in console)
    loading = page.replace("</main>", '<img src="https://example.org/x.png"></main>')
    _, _, console = browse(loading, tmp_path)
    assert any("Content Security Policy" in line for line in console)


@needs_browser
@pytest.mark.parametrize("width", [420, 1400])
def test_no_page_is_wider_than_the_screen(page: str, tmp_path: Path, width: int) -> None:
    """Each section in a frame of that width: chromium's own windows are not so narrow."""
    tell = "parent.postMessage([document.documentElement.scrollWidth, innerWidth].join(), '*')"
    told = f"<script>setTimeout(() => {tell}, 1000)</script></body>\n</html>"
    (tmp_path / "inner.html").write_text(page.replace("</body>\n</html>", told), encoding="utf-8")
    addresses = ["", *(f"#env={quote('/'.join(problem), safe='')}" for problem in PROBLEMS)]
    frames = "".join(
        f'<iframe style="border:0" width="{width}" height="900" src="inner.html{address}"></iframe>'
        for address in addresses
    )
    listen = (
        "<script>addEventListener('message', (event) => {"
        "document.body.append(`told ${event.data};`)})</script>"
    )
    _, text, console = browse(f"<body>{listen}{frames}</body>", tmp_path)
    assert console == []
    widths = re.findall(r"told (\d+),(\d+);", text)
    assert len(widths) == len(addresses)
    assert {int(inner) for _, inner in widths} == {width}
    assert all(int(wide) <= int(inner) for wide, inner in widths), widths


@needs_browser
def test_numbers_where_the_mouse_rests_are_rounded(page: str, tmp_path: Path) -> None:
    dump = """<script>
      const texts = [...document.querySelectorAll(".chart")].flatMap((chart) => (chart.data ?? [])
        .flatMap((trace) => [...(trace.customdata ?? []).flat(), ...(trace.text ?? [])]));
      document.body.append("hovers " + JSON.stringify(texts) + " end");
    </script></body>"""
    shown = page.replace("</body>\n</html>", f"{dump}\n</html>")
    for fragment in ("", "#env=qc_gym%2FSequentialSampling-v0%2Fx%2Fbelief"):
        _, text, console = browse(shown, tmp_path, fragment)
        assert console == []
        hovers = text.split("hovers [")[-1].split("] end")[0]
        assert re.search(r"\d\.\d", hovers)
        assert not re.search(r"\.\d{6}", hovers), hovers


def test_an_algorithm_has_one_colour(page: str) -> None:
    text = page.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    data = json.loads(text)
    for problem in data["problems"].values():
        for curve in problem["curves"]:
            algorithm = curve["title"].split(",")[0]
            assert curve["color"] == data["styles"][algorithm]["color"]
        styles = {(curve["color"], curve["linestyle"]) for curve in problem["curves"]}
        assert len(styles) == len(problem["curves"])
