"""The report as one HTML page that needs no other file and no network.

The charts are drawn by plotly.js, which the page carries in itself: 4.8 MB, which a browser loads from
disk at once, against hundreds of lines of our own for axes, hover, zoom and legends. Numbers are
shown as in the other tables; resting on one shows it in full, as ``results.csv`` holds it.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib.resources import files
from typing import Any

from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from agents.report.leaderboard import LOSSES, Problem
from agents.report.results import TARGET, least_drawn
from agents.tables import explain_none, format_cell
from baselines import Disagreement

_PROBLEM_COLUMNS = ("env_id", "scenario", "observation")
_CHARTS = {"learning_curves", "disagreements"}
"""Pictures that the page shows as charts."""
_NOTES = {
    "Over all problems": "Policies tried on the most problems come first. iqm: interquartile mean of the "
    "normalised score over the runs of all problems, with a stratified bootstrap interval of 95 %; "
    "steps and seconds: medians.",
    "Probability of improvement": "How likely a run of the first beats a run of the second, on the "
    "problems of both.",
    "The price of not seeing the belief": "Of the algorithms trained with each observation, the one of "
    "least mean regret against the same optimum, and the difference in money: what an agent loses "
    "that sees only outcomes and must remember.",
}


@dataclass(frozen=True)
class Section:
    """What is told of one problem.

    Attributes
    ----------
    problem, title
        Environment, scenario and observation; what they are called together.
    rows
        Those of ``results.csv``.
    curves
        The exact learning curve of each run, by its title.
    disagreements
        Where the regret of each run comes from.
    figures
        Pictures by name, PNG.
    goal
        The regret at the normalised score that is aimed at, in money.
    """

    problem: Problem
    title: str
    rows: Sequence[dict[str, Any]]
    curves: Mapping[str, Sequence[Mapping[str, float]]]
    disagreements: Mapping[str, Sequence[Disagreement]]
    figures: Mapping[str, bytes]
    goal: float

    @property
    def name(self) -> str:
        """What stands in the page's address."""
        return "/".join(self.problem)


def write_page(
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    profiles: Mapping[str, Mapping[str, NDArray[Any]]],
    sections: Sequence[Section],
    left_out: Mapping[str, str],
) -> str:
    """Return the page.

    Parameters
    ----------
    tables
        Those of :class:`agents.report.Report`, by title; those of the problems under their titles.
    profiles
        What :func:`agents.report.leaderboard.profiles` returns.
    sections
        One for each problem.
    left_out
        Why runs are not in the report, by the names of their folders.
    """
    titles = {section.title for section in sections}
    common = {title: table for title, table in tables.items() if title not in titles}
    parts = [_front(common, left_out)]
    parts += [_section(section, tables[section.title]) for section in sections]
    content = {
        "target": TARGET,
        "intervals": [row for row in tables["Over all problems"] if row["runs"]],
        "profiles": {
            name: {key: values.tolist() for key, values in profile.items()}
            for name, profile in profiles.items()
        },
        "losses": LOSSES.tolist(),
        "problems": {section.name: _chart_data(section) for section in sections},
    }
    # In a script "</" would end it, whatever stands around it.
    data = json.dumps(_drawable(content), allow_nan=False).replace("<", "\\u003c")
    inserted = {
        "sections": "\n".join(parts),
        "script": _read("page.js"),
        "plotly": get_plotlyjs(),
        "data": data,
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: inserted[place[1]], _read("page.html"))


def html_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as an HTML table; a cell's title is its number in full."""
    names = list(rows[0])
    numeric = {
        name: all(isinstance(row[name], int | float | None) for row in rows) for name in names
    }
    kinds = {name: ' class="number"' if numeric[name] else "" for name in names}
    head = "".join(f"<th{kinds[name]}>{escape(name)}</th>" for name in names)
    body = "\n".join(
        "<tr>" + "".join(_cell(row[name], kinds[name]) for name in names) + "</tr>" for row in rows
    )
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _cell(value: Any, kind: str) -> str:
    full = f' title="{value!r}"' if isinstance(value, float) else ""
    return f"<td{kind}{full}>{escape(format_cell(value))}</td>"


def _front(tables: Mapping[str, Sequence[Mapping[str, Any]]], left_out: Mapping[str, str]) -> str:
    """Return the first section: all problems together."""
    first, *others = tables
    parts = [f'<section data-name="all">\n<h2>{escape(first)}</h2>', _note(first)]
    parts += [html_table(tables[first]), '<div class="chart low intervals"></div>']
    for title in others:
        parts += [f"<h3>{escape(title)}</h3>", _note(title), html_table(tables[title])]
    parts += ["<h3>Performance profiles</h3>", '<div class="chart profiles"></div>']
    if left_out:
        reasons = "\n".join(
            f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in left_out.items()
        )
        parts.append(f"<h3>Left out</h3>\n<ul>\n{reasons}\n</ul>")
    return "\n".join([*parts, "</section>"])


def _section(section: Section, table: Sequence[Mapping[str, Any]]) -> str:
    """Return the section of a problem, hidden until it is chosen."""
    rows = [
        {name: value for name, value in row.items() if name not in _PROBLEM_COLUMNS}
        for row in section.rows
    ]
    parts = [
        f'<section data-name="{escape(section.name)}" hidden>\n<h2>{escape(section.title)}</h2>',
        html_table(table),
        "<h3>Exact learning curves</h3>",
        '<p><select class="ordinate"><option>regret</option><option>normalised</option></select>'
        ' against <select class="abscissa"><option value="timesteps">steps</option>'
        "<option>seconds</option></select></p>",
        '<div class="chart curves"></div>',
        *_departures(section),
        "<h3>Runs and reference policies</h3>",
        html_table(rows),
        _pictures(section.figures),
        "</section>",
    ]
    return "\n".join(parts)


def _departures(section: Section) -> list[str]:
    """Return where the regret of each run comes from: a chart, and a table for each run."""
    options = "".join(f"<option>{escape(title)}</option>" for title in section.disagreements)
    parts = ["<h3>Where the regret comes from</h3>"]
    parts.append(f'<p><select class="run">{options}</select></p>')
    parts.append('<div class="chart low disagreements"></div>')
    for title, rows in section.disagreements.items():
        table = (
            html_table([asdict(row) for row in rows])
            if rows
            else f"<p>{explain_none(section.curves[title][-1]['regret'])}</p>"
        )
        parts.append(f'<div data-run="{escape(title)}">{table}</div>')
    return parts


def _pictures(figures: Mapping[str, bytes]) -> str:
    return "\n".join(
        f'<figure><img alt="{escape(name)}" src="data:image/png;base64,'
        f'{base64.b64encode(png).decode()}"><figcaption>{escape(name.replace("_", " "))}'
        "</figcaption></figure>"
        for name, png in figures.items()
        if name not in _CHARTS
    )


def _note(title: str) -> str:
    return f'<p class="note">{escape(_NOTES[title])}</p>'


def _chart_data(section: Section) -> dict[str, Any]:
    """Return what the charts of a problem show."""
    curves = [
        {"title": title, "algorithm": title.split(",")[0]}
        | {name: [row[name] for row in curve] for name in curve[0]}
        for title, curve in section.curves.items()
    ]
    disagreements = {
        title: [asdict(row) for row in rows] for title, rows in section.disagreements.items()
    }
    return {
        "curves": curves,
        "disagreements": disagreements,
        "goal": section.goal,
        "least": least_drawn(section.goal),
    }


def _drawable(content: Any) -> Any:
    """Return the content with null for numbers that no chart can show: inf, -inf, nan."""
    if isinstance(content, Mapping):
        return {name: _drawable(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_drawable(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _read(name: str) -> str:
    return (files("agents.report") / name).read_text(encoding="utf-8")
