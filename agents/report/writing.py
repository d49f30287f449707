"""Writing the report of runs: tables, figures and the page, each file whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym

import baselines
from agents.experiment import optima_in
from agents.files import png, write_whole
from agents.report.figures import caution, intervals, learning_curves, performance_profiles
from agents.report.generalists import beside_specialists, sections_of, standings
from agents.report.leaderboard import (
    COLUMNS,
    OVERALL,
    Problem,
    improvements,
    leaderboards,
    overall,
    prices_of_not_seeing,
    problem_title,
    profiles,
    reference_rows,
    run_row,
)
from agents.report.page import Section, write_page
from agents.report.records import CURVE_RECORD, RUN_RECORD, curve_records, run_records
from agents.report.results import TARGET, Result, read_results
from agents.tables import format_csv, format_markdown, markdown_text
from baselines import Disagreement
from baselines.core.figures import disagreement_bars
from baselines.core.store import using
from qc_gym.core.folders import whole_folder
from qc_gym.core.picture import common_colours

RESULTS, LEADERBOARD, PAGE = "results.csv", "leaderboard.md", "report.html"
RUNS, CURVES, FIGURES = "runs.csv", "curves.csv", "figures"
DATA = {
    RESULTS: "a row for each run and each reference policy",
    RUNS: "a row for each run: its configuration, score, version, code and machine",
    CURVES: "every point of every exact learning curve",
    LEADERBOARD: "the tables, as text",
}
"""What lies beside the page, in words."""
TOP = 10
"""States named for each run, of those where it loses most."""


@dataclass(frozen=True)
class Report:
    """What a report holds.

    Attributes
    ----------
    rows
        Those of ``results.csv``: one for each run and reference policy.
    left_out
        Why a run is not in it, by the name of its folder.
    generalists
        Of each run on a range, its scores on each set of held-out scenarios.
    specialists
        The same on those scenarios on which an agent was trained alone, beside that agent's.
    records
        Those of ``runs.csv``: the configuration of each run, its score and what made it.
    """

    rows: list[dict[str, Any]]
    left_out: dict[str, str]
    generalists: list[dict[str, Any]]
    specialists: list[dict[str, Any]]
    records: list[dict[str, Any]]

    @cached_property
    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """The tables of the leaderboard by title: over all problems, and for each."""
        tables = {OVERALL: overall(self.rows)}
        if self.generalists:
            tables["Generalists"] = self.generalists
        if self.specialists:
            tables["Generalists beside specialists"] = self.specialists
        if pairs := improvements(self.rows):
            tables["Probability of improvement"] = pairs
        if prices := prices_of_not_seeing(self.rows):
            tables["The price of not seeing the belief"] = prices
        return {**tables, **leaderboards(self.rows)}


def write_report(
    runs: Iterable[str | Path], folder: str | Path, failures: Mapping[str, str] | None = None
) -> Report:
    """Write the report of finished runs; those that cannot be used are named in it.

    Parameters
    ----------
    runs
        Folders of runs.
    folder
        Where ``results.csv`` (a row for each run and reference policy), ``runs.csv`` (a row for each
        run with its configuration), ``curves.csv`` (a row for each point of each curve),
        ``leaderboard.md``, ``report.html`` (one page with charts, which needs no other file) and
        ``figures/`` go; made if missing. In ``optima/`` are those that took long to solve.
    failures
        Runs that did not finish, and why, to be named as well.

    Raises
    ------
    ValueError
        None of the runs can be used; the message says why.
    """
    folder = Path(folder)
    results, left_out = read_results(runs)
    left_out = {**(failures or {}), **left_out}
    if not results:
        raise ValueError("\n".join(["no run can be reported", *left_out.values()]))
    colours = common_colours(result.run.algorithm for result in results)
    with colours, using(optima_in(folder)):
        return _write(results, left_out, folder)


def _write(results: Sequence[Result], left_out: dict[str, str], folder: Path) -> Report:
    rows: list[dict[str, Any]] = []
    sections: list[Section] = []
    generalists: list[dict[str, Any]] = []
    for problem, group in _by_problem(results).items():
        try:
            if group[0].run.held_out is not None:
                found = sections_of(problem, group, left_out)
                generalists += standings(group)
            else:
                found = [_section(problem, group, left_out)]
        except Exception as error:  # one problem does not take the others along
            reason = f"{type(error).__name__}: {error}"
            left_out |= {
                result.folder.name: f"{result.folder}: {reason}"
                for result in group
                if result.folder.name not in left_out
            }
            continue
        sections += found
        rows += [row for section in found for row in section.rows]
    if not sections:
        raise ValueError("\n".join(["no run can be reported", *left_out.values()]))
    reported = {row["run"] for row in rows}
    used = [result for result in results if result.folder.name in reported]
    records = run_records(used)
    report = Report(rows, left_out, generalists, beside_specialists(used), records)
    common = {
        "intervals": intervals(report.tables[OVERALL]),
        "profiles": performance_profiles(profiles(rows)),
    }
    pictures = {f"all-{name}": png(figure) for name, figure in common.items()}
    for section in sections:
        stem = picture_stem(section.problem)
        pictures |= {f"{stem}-{name}": png for name, png in section.figures.items()}
    _replace_figures(pictures, folder)
    write_whole(folder / RESULTS, format_csv(rows, COLUMNS))
    write_whole(folder / RUNS, format_csv(records, RUN_RECORD))
    write_whole(folder / CURVES, format_csv(curve_records(used), CURVE_RECORD))
    write_whole(folder / LEADERBOARD, _markdown(report))
    page = write_page(report.tables, profiles(rows), sections, left_out, records, DATA)
    write_whole(folder / PAGE, page)
    return report


def picture_stem(problem: Problem) -> str:
    """Return how the names of a problem's pictures begin."""
    return "-".join(problem).replace("/", "-")


def _by_problem(results: Iterable[Result]) -> dict[Problem, list[Result]]:
    groups: dict[Problem, list[Result]] = {}
    for result in results:
        groups.setdefault(result.problem, []).append(result)
    return groups


def _section(problem: Problem, group: Sequence[Result], left_out: dict[str, str]) -> Section:
    """Return what is told of one problem; what fails is added to ``left_out``."""
    env_id, _, observation = problem
    env = gym.make(env_id, scenario=group[0].run.scenario, observation=observation)
    solution = baselines.solve(env)
    sources: dict[str, Sequence[Disagreement]] = {}
    usable = []
    for result in group:
        try:
            sources[result.title] = baselines.disagreements(env, result.policy, top=TOP)
            usable.append(result)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            left_out[result.folder.name] = f"{result.folder}: {reason}"
    if not usable:
        raise ValueError("none of its runs can be used")
    group = usable
    references, failed = reference_rows(problem, env)
    left_out |= {f"{problem_title(problem)}: {name}": reason for name, reason in failed.items()}
    goal = (1 - TARGET) * (solution.value - solution.random_value)
    figures = {"learning_curves": learning_curves(group, goal)}
    worst = {result.title: result for result in _worst(group)}
    endless = [title for title, one in worst.items() if math.isinf(one.score["regret"])]
    figures["disagreements"] = disagreement_bars({t: sources[t] for t in worst}, endless)
    figures |= baselines.figures(env, {result.title: result.policy for result in group})
    return Section(
        problem=problem,
        title=problem_title(problem),
        rows=[*map(run_row, group), *references],
        curves={result.title: result.curve for result in group},
        disagreements=sources,
        figures={name: png(figure) for name, figure in figures.items()},
        goal=goal,
    )


def _worst(group: Sequence[Result]) -> list[Result]:
    """Return the run of each algorithm that lost most."""
    worst: dict[str, Result] = {}
    for result in group:
        kept = worst.setdefault(result.run.algorithm, result)
        if result.score["regret"] > kept.score["regret"]:
            worst[result.run.algorithm] = result
    return list(worst.values())


def _replace_figures(pictures: Mapping[str, bytes], folder: Path) -> None:
    """Put the pictures into ``figures/``, in place of those of an earlier report."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder / FIGURES) as partial:
        for name, png in pictures.items():
            (partial / f"{name}.png").write_bytes(png)


def _markdown(report: Report) -> str:
    lines = []
    for title, table in report.tables.items():
        lines += [f"## {markdown_text(title)}", "", format_markdown(table), ""]
        if "low" in table[0] and "iqm" in table[0] and (warning := caution(table)):
            lines += [markdown_text(warning), ""]
    if report.left_out:
        reasons = (
            f"- {markdown_text(f'{name}: {reason}')}" for name, reason in report.left_out.items()
        )
        lines += ["## Left out", "", *reasons, ""]
    return "\n".join(lines)
