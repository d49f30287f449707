"""The report as one HTML page that needs no other file and no network.

It tells what was run, what came out of it at a glance, and then problem by problem what is lost and where.

The charts are drawn by plotly.js, which the page carries in itself: 4.8 MB, which a browser loads from
disk at once, against hundreds of lines of our own for axes, hover, zoom and legends. Numbers are
rounded; resting on one shows it in full, as ``results.csv`` holds it.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from agents.report.figures import caution
from agents.report.leaderboard import LOSSES, OVERALL, SECONDS, STEPS, Problem, best_reference
from agents.report.records import configurations
from agents.report.results import TARGET, least_drawn
from agents.tables import explain_none, format_rounded
from baselines import Disagreement
from baselines.core.pages import in_script, text_of
from qc_gym.core.picture import common_colours, styles_of

_PROBLEM_COLUMNS = ("env_id", "scenario", "observation")
_CHARTS = {"learning_curves", "disagreements"}
"""Pictures that the page shows as charts."""
NOTES = {
    OVERALL: "Money cannot be added up over problems, whose currencies differ; scores can. Policies "
    "tried on the most problems come first.",
    "Generalists": "Trained on a range, and scored exactly on scenarios never seen. In the tables of the "
    "sets, normalised is the median over scenarios, regret the mean; the learning curve, and the steps to "
    f"{TARGET}, are of other draws from the training range.",
    "Generalists beside specialists": "What an agent of a range earns on a scenario that it never saw, "
    "beside agents trained by the same algorithm on that scenario alone: normalised scores.",
    "Probability of improvement": "Which algorithm one would bet on, run against run, on the problems of "
    "both.",
    "The price of not seeing the belief": "Of the algorithms trained with each observation, the one of "
    "least mean regret, against the same optimum: what an agent loses that sees only outcomes and must "
    "remember.",
}
_INTERVAL = "bootstrap interval of 95 %, from drawing the seeds again"
_WORDS = {
    "policy": "an algorithm, or a reference policy, which needs no training; the optimum is the best",
    "problems": "on how many problems it was tried",
    "runs": "how many agents were trained",
    "seeds": "how many agents were trained, alike but for their seed",
    "seed": "the seed of the run",
    "normalised": "score: 1 is the optimum, 0 uniformly random play over the allowed actions",
    "iqm": "interquartile mean of the normalised score: the mean of its middle half",
    "low": f"lower end of the {_INTERVAL}",
    "high": f"upper end of the {_INTERVAL}",
    "worst": "least normalised score",
    f"reached {TARGET}": f"share of runs with a normalised score of at least {TARGET}",
    STEPS: f"steps of training from which the score stayed at {TARGET} or above",
    SECONDS: "seconds of training until then, on the machine that trained it",
    "regret": "money an episode: what the optimum is worth, less what this is worth",
    "±": "standard error of the regret from the scenarios or episodes drawn; none where it is exact",
    "stderr": "standard error of the value from the scenarios or episodes drawn; 0 where it is exact",
    "value": "money an episode that the policy is worth",
    "optimum": "money an episode that the optimum is worth",
    "against": "the algorithm that it is compared with",
    "probability": "how likely a run of the first scores more than one of the second",
    "env_id": "the environment",
    "scenario": "the scenario's name",
    "observation": "a sufficient statistic (belief), or what a person on the line sees (outcome)",
    "algorithm": "how it was trained",
    "on beliefs": "the best algorithm that sees beliefs",
    "belief regret": "what it loses, money an episode",
    "on outcomes": "the best algorithm that sees outcomes",
    "outcome regret": "what that loses, money an episode",
    "price": "the second less the first, money an episode",
    "run": "the run",
    "trained on": "the range of scenarios of its training",
    "set": "which held-out scenarios",
    "scenarios": "how many they are",
    "generalist": "its normalised score on that scenario",
    "specialist": "mean normalised score of those trained on the scenario alone",
    "specialists": "how many they are",
    "median": "median of the normalised score over scenarios",
    "5th percentile": "normalised score that all but one scenario in twenty exceed",
    "mean regret": "mean regret over scenarios, money an episode",
    "total_timesteps": "steps of training",
    "num_envs": "environments played at a time",
    "threads": "threads of torch",
    "frames": "how many of the last observations the agent sees at a time",
    "exploring_starts": "share of the episodes that start where another one stands, after a random action",
    "hyperparameters": "what is not the library's default",
    "timesteps": "steps of training",
    "seconds": "of training, without the scoring",
    "timesteps_to_target": f"steps of training from which the score stayed at {TARGET} or above",
    "seconds_to_target": "seconds of training until then",
    "problem": "environment, scenario and observation",
    "worth": "what the optimum is worth, money an episode",
    "random loses": "regret of uniformly random play, money an episode",
    "best agent": "the algorithm of least mean regret over its seeds",
    "agent loses": "that regret, money an episode",
    "best reference": "the reference policy of least regret",
    "reference loses": "its regret, money an episode",
}
"""What a column says."""
_DISAGREEMENT_WORDS = {
    "state": "where",
    "optimum": "what the optimum does there",
    "policy": "what the agent does there",
    "occupancy": "how often in an episode it does so, on average",
    "gap": "what that loses each time, money",
    "regret": "what that loses in an episode: how often times how much",
    "share": "of the whole regret",
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
        """What it is called in the page's data."""
        return "/".join(self.problem)

    @property
    def anchor(self) -> str:
        """What leads to it on the page."""
        return re.sub(r"[^\w.-]+", "-", self.name)

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
    records: Sequence[Mapping[str, Any]],
    files: Mapping[str, str],
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
    records
        What :func:`agents.report.records.run_records` returns.
    files
        What lies beside the page, in words, by name.
    """
    titles = {section.title for section in sections}
    common = {title: table for title, table in tables.items() if title not in titles}
    with common_colours(profiles):
        styles = {name: style._asdict() for name, style in styles_of(list(profiles)).items()}
        problems = {section.name: _chart_data(section) for section in sections}
    content = {
        "target": TARGET,
        "styles": styles,
        "intervals": [row for row in tables[OVERALL] if row["runs"]],
        "profiles": {
            name: {key: values.tolist() for key, values in profile.items()}
            for name, profile in profiles.items()
        },
        "losses": LOSSES.tolist(),
        "problems": problems,
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters |= {
        "cell": format_rounded,
        "full": repr,
        "asdict": asdict,
        "without_problem": _without_problem,
    }
    return environment.from_string(text_of("agents.report", "page.html")).render(
        common=common,
        notes=NOTES,
        words=_WORDS,
        disagreement_words=_DISAGREEMENT_WORDS,
        tables=tables,
        sections=sections,
        glance=[_glance(section, tables[section.title]) for section in sections],
        configurations=[_configuration(row) for row in configurations(records)],
        versions=sorted({(row["version"], row["code"]) for row in records}),
        num_runs=len(records),
        files=files,
        left_out=left_out,
        caution=caution,
        columns=_columns,
        explain_none=explain_none,
        plotly=get_plotlyjs(),
        data=in_script(_drawable(content)),
        script=text_of("agents.report", "page.js"),
    )


def _glance(section: Section, table: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a problem in one row: its stakes, the best agent, the best that needs no training."""
    agent = next(row for row in table if row["seeds"])  # the least regret stands first
    reference = best_reference(table) or {"policy": None, "regret": None}
    regrets = {row["policy"]: row["regret"] for row in table}
    return {
        "problem": section,
        "worth": section.rows[0]["optimum"],
        "random loses": regrets.get("random"),
        "best agent": agent["policy"],
        "seeds": agent["seeds"],
        "agent loses": agent["regret"],
        "best reference": reference["policy"],
        "reference loses": reference["regret"],
    }


def _configuration(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in words."""
    settings = json.loads(row["hyperparameters"])
    told = (f"{name} {_setting(value)}" for name, value in settings.items())
    return {**row, "seeds": ", ".join(map(str, row["seeds"])), "hyperparameters": ", ".join(told)}


def _setting(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_setting(one)}" for name, one in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


class _Column(NamedTuple):
    name: str
    kind: Markup
    """The attribute of its cells: numbers stand at the right, long text is broken."""


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[_Column]:
    def kind(name: str) -> str:
        if name == "hyperparameters":
            return ' class="long"'
        numbers = all(isinstance(row[name], int | float | None) for row in rows)
        return ' class="number"' if numbers else ""

    return [_Column(name, Markup(kind(name))) for name in rows[0]]


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
