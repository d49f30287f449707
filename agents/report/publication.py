"""The pages of a report for the documentation: small enough to be kept with the code, to be cited."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from agents.report.leaderboard import (
    OVERALL,
    SECONDS,
    Problem,
    best_reference,
    once_each,
    problem_of,
    problem_title,
)
from agents.report.page import NOTES
from agents.report.records import SETTINGS, configurations
from agents.report.results import TARGET
from agents.report.writing import FIGURES, Report, picture_stem
from agents.tables import format_markdown, format_rounded, markdown_text
from qc_gym.core.folders import whole_folder

SEPARATES = 0.99
"""The normalised score that the best reference does not reach on a problem that tells agents apart."""
_TITLE = "# Results"
_OF_SETS = (
    "Of agents of a range, it is the mean over seeds of the median over a set of scenarios; how scores "
    "spread over them is in the table of generalists."
)
_NO_SCORE: dict[str, Any] = {"policy": None, "normalised": None}


def write_pages(report: Report, folder: str | Path, pages: str | Path) -> None:
    """Write ``index.md``, a page for each problem, ``speed.md`` and their pictures.

    What is timed stands in ``speed.md`` alone: all other numbers are the same whenever the same code trains
    with the same versions on the same kind of machine.

    Parameters
    ----------
    report
        What :func:`agents.report.write_report` returned.
    folder
        Where it was written, with the figures.
    pages
        The folder of the pages, which is replaced.

    Raises
    ------
    ValueError
        That folder holds something else.
    """
    figures, pages = Path(folder) / FIGURES, Path(pages)
    check_pages(pages)
    pages.parent.mkdir(parents=True, exist_ok=True)
    problems = {problem_title(problem): problem for problem in map(problem_of, report.rows)}
    with whole_folder(pages) as partial:
        _write(partial / "index.md", _index(report, problems))
        _write(partial / "speed.md", _speed(report))
        for name in ("intervals", "profiles"):
            _copy_small(figures / f"all-{name}.png", partial / f"{name}.png")
        for title, problem in problems.items():
            stem = picture_stem(problem)
            lines = _problem_page(title, problem, report)
            for name in ("learning_curves", "scenarios", "distance", "surface"):
                picture = figures / f"{stem}-{name}.png"
                if picture.exists():
                    _copy_small(picture, partial / picture.name)
                    lines += [f"![{name.replace('_', ' ')}]({picture.name})", ""]
            _write(partial / f"{stem}.md", lines)


def _copy_small(picture: Path, to: Path) -> None:
    """Copy a picture with a palette in place of all colours: it is kept with the code."""
    with Image.open(picture) as image:
        image.convert("RGB").quantize(64).save(to, optimize=True)


def check_pages(pages: Path) -> None:
    """Raise a ValueError if a folder, which pages would replace, holds something else."""
    if not pages.exists():
        return
    index = pages / "index.md"
    ours = index.is_file() and index.read_text(encoding="utf-8").startswith(_TITLE)
    files = list(pages.iterdir()) if pages.is_dir() else [pages]
    if files and not (ours and all(file.suffix in (".md", ".png") for file in files)):
        raise ValueError(
            f"{pages}: holds something else than the pages of a report, which would be replaced; a new "
            "folder, an empty one or one of such pages is needed"
        )


def _makers(report: Report) -> Iterator[dict[str, Any]]:
    """Yield a row for each machine, with its versions of libraries, that trained some of the runs."""
    for told, count in Counter(record["machine"] for record in report.records).items():
        yield {"trainings": count, **json.loads(told)}


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _index(report: Report, problems: Mapping[str, Problem]) -> Iterator[str]:
    tables = report.tables
    made = sorted({(row["version"], row["code"]) for row in report.records})
    seeds = sorted({row["seed"] for row in report.records})
    versions = ", ".join(f"{version} (code {code})" for version, code in made)
    yield from [_TITLE, ""]
    told = ", ".join(map(str, seeds))
    yield (
        f"{len(report.records)} trainings of qc-gym {versions}, seeds {told}, each scored exactly, but for "
        "those with memory, which are simulated. ± is the standard error of what is drawn: of simulated "
        "episodes, or of the scenarios of a set. Written by `qc-gym report --pages`; how an agent of your "
        "own is compared with these is in [Your agent on the leaderboard](../guides/leaderboard.md)."
    )
    yield ""
    algorithms = [row["policy"] for row in tables[OVERALL] if row["runs"]]
    rows = {
        title: _glance(tables[title], problem, algorithms) for title, problem in problems.items()
    }
    telling = [row for title, row in rows.items() if not _is_check(tables[title])]
    checks = [row for title, row in rows.items() if _is_check(tables[title])]
    if telling:
        yield from ["## Problems that tell agents apart", ""]
        yield (
            f"Normalised scores, means over seeds: 1 is the optimum, 0 random play. {_OF_SETS} On none of "
            f"these the best reference policy, which needs no training, reaches {SEPARATES}."
        )
        yield from ["", _table(telling), ""]
    if checks:
        yield from ["## Checks", ""]
        yield (
            f"The best reference policy reaches {SEPARATES} here, on most of these the optimum: an agent "
            f"that falls short of it has not learnt what a rule of thumb knows. {_OF_SETS}"
        )
        yield from ["", _table(checks), ""]
    yield from [f"## {OVERALL}", "", _table(_untimed(tables[OVERALL])), ""]
    yield from ["![interquartile means](intervals.png)", "", "![profiles](profiles.png)", ""]
    for title, table in tables.items():
        if title not in problems and title != OVERALL:
            yield from [f"## {title}", "", *_note(title), _table(_untimed(table)), ""]
    if report.left_out:
        yield from ["## Left out", ""]
        yield from (f"- {markdown_text(reason)}" for reason in report.left_out.values())
        yield ""
    yield from ["## Made with", "", _table(list(_makers(report)))]
    yield from ["", "```{toctree}", ":hidden:", "", "speed"]
    yield from map(picture_stem, problems.values())
    yield "```"


def _note(title: str) -> Iterator[str]:
    """Yield what is to be known of a table over several problems, if anything."""
    if title in NOTES:
        yield from [NOTES[title], ""]


def _glance(
    table: Sequence[Mapping[str, Any]], problem: Problem, algorithms: Sequence[str]
) -> dict[str, Any]:
    """Return a problem in one row: the best reference policy, and each algorithm's mean score."""
    scores = {row["policy"]: row["normalised"] for row in table if row["seeds"]}
    best = best_reference(table) or _NO_SCORE
    return {
        "problem": problem,
        "best reference": best["policy"],
        "its score": _score(best["normalised"]),
        **{name: _score(scores.get(name)) for name in algorithms},
    }


def _is_check(table: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the best reference policy is near the optimum."""
    best = best_reference(table)
    return best is not None and best["normalised"] >= SEPARATES


def _problem_page(title: str, problem: Problem, report: Report) -> list[str]:
    rows = [row for row in report.rows if problem_of(row) == problem]
    trained = sorted(
        (row for row in rows if row["seed"] is not None), key=lambda row: row["policy"]
    )
    by_seed = [
        {"policy": policy, **{f"seed {row['seed']}": _score(row["normalised"]) for row in members}}
        for policy, members in groupby(trained, key=lambda row: row["policy"])
    ]
    columns = list(dict.fromkeys(name for row in by_seed for name in row))
    runs = {row["run"] for row in trained}
    records = [record for record in report.records if record["run"] in runs]
    settings = [
        {name: row[name] for name in ("algorithm", *SETTINGS, "hyperparameters")}
        for row in configurations(records)
    ]
    return [
        f"# {markdown_text(title)}",
        "",
        _table(_untimed(report.tables[title])),
        "",
        "## By seed",
        "",
        "Normalised scores; of agents of a range the median over the scenarios.",
        "",
        _table([{name: row.get(name, "–") for name in columns} for row in by_seed]),
        "",
        "## Settings",
        "",
        _table(settings),
        "",
    ]


def _speed(report: Report) -> Iterator[str]:
    yield from ["# Seconds of training", ""]
    yield (
        f"Of one training, median over seeds, and until the score stayed at {TARGET} or above, without the "
        "scoring. Trainings ran side by side: what is compared is what stands here together."
    )
    yield ""
    timed = sorted(
        (row for row in once_each(report.rows) if row["seed"] is not None),
        key=lambda row: (problem_of(row), row["policy"]),
    )
    table = []
    for (problem, policy), members in groupby(
        timed, key=lambda row: (problem_of(row), row["policy"])
    ):
        of = list(members)
        arrived = [one["seconds_to_target"] for one in of if one["seconds_to_target"] is not None]
        table.append(
            {
                "problem": problem,
                "algorithm": policy,
                "seconds": median(one["seconds"] for one in of),
                f"seconds to {TARGET}": median(arrived) if arrived else None,
                "arrived": f"{len(arrived)} of {len(of)}",
            }
        )
    yield _table(table)


def _untimed(table: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: cell for name, cell in row.items() if name != SECONDS} for row in table]


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows in Markdown with rounded numbers; a problem leads to its page."""
    if not rows:
        return "None."
    return format_markdown(rows, _cell)


def _cell(value: Any, name: str) -> str:
    if name == "problem":
        return f"[{markdown_text(problem_title(value))}]({picture_stem(value)}.md)"
    return markdown_text(format_rounded(value, name))


def _score(value: float | None) -> str:
    """Return a score to four decimals: agents near the optimum differ in the fourth."""
    return format_rounded(value) if value is None else f"{value:.4f}"
