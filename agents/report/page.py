"""The report as one HTML page that needs no other file and no network.

The charts are drawn by plotly.js, which the page carries in itself: 4.8 MB, which a browser loads from
disk at once, against hundreds of lines of our own for axes, hover, zoom and legends. Numbers are
shown as in the other tables; resting on one shows it in full, as ``results.csv`` holds it.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from agents.report.figures import caution
from agents.report.leaderboard import LOSSES, Problem
from agents.report.results import TARGET, least_drawn
from agents.tables import explain_none, format_cell
from baselines import Disagreement
from qc_gym.core.picture import common_colours, styles_of

_PROBLEM_COLUMNS = ("env_id", "scenario", "observation")
_CHARTS = {"learning_curves", "disagreements"}
"""Pictures that the page shows as charts."""
_NOTES = {
    "Over all problems": "Policies tried on the most problems come first. iqm: interquartile mean of the "
    "normalised score over the runs of all problems, with a stratified bootstrap interval of 95 %; "
    "steps and seconds: medians.",
    "Generalists": "Trained on a range, and scored exactly on scenarios never seen: the median, 5th "
    "percentile and worst of the normalised score over scenarios, and the mean regret with its standard "
    "error from scenario to scenario. In the tables of the sets, normalised is that median, regret that "
    "mean.",
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

    @property
    def pictures(self) -> dict[str, str]:
        """The pictures that are not charts, as addresses that hold them."""
        return {
            name: f"data:image/png;base64,{base64.b64encode(png).decode()}"
            for name, png in self.figures.items()
            if name not in _CHARTS
        }


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
    with common_colours(profiles):
        styles = {name: style._asdict() for name, style in styles_of(list(profiles)).items()}
        problems = {section.name: _chart_data(section) for section in sections}
    content = {
        "target": TARGET,
        "styles": styles,
        "intervals": [row for row in tables["Over all problems"] if row["runs"]],
        "profiles": {
            name: {key: values.tolist() for key, values in profile.items()}
            for name, profile in profiles.items()
        },
        "losses": LOSSES.tolist(),
        "problems": problems,
    }
    # In a script "</" would end it, whatever stands around it.
    data = json.dumps(_drawable(content), allow_nan=False).replace("<", "\\u003c")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters |= {
        "cell": format_cell,
        "full": repr,
        "asdict": asdict,
        "without_problem": _without_problem,
    }
    return environment.from_string(_read("page.html")).render(
        common=common,
        notes=_NOTES,
        tables=tables,
        sections=sections,
        left_out=left_out,
        caution=caution,
        columns=_columns,
        explain_none=explain_none,
        plotly=get_plotlyjs(),
        data=data,
        script=_read("page.js"),
    )


class _Column(NamedTuple):
    name: str
    kind: Markup
    """The attribute of its cells: numbers stand at the right."""


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[_Column]:
    return [
        _Column(
            name,
            Markup(' class="number"')
            if all(isinstance(row[name], int | float | None) for row in rows)
            else Markup(""),
        )
        for name in rows[0]
    ]


def _without_problem(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _PROBLEM_COLUMNS}


def _chart_data(section: Section) -> dict[str, Any]:
    """Return what the charts of a problem show."""
    styles = styles_of(list(section.curves))
    curves = [
        {"title": title, **styles[title]._asdict()}
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
