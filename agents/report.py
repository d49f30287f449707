"""From the folders of runs to a leaderboard and figures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import baselines
from agents.callbacks import COLUMNS as CURVE_COLUMNS
from agents.cli import format_cell
from agents.experiment import CURVE, RUN, Run
from agents.policies import load_policy
from baselines import Score
from qc_gym.core.env import QCEnv
from qc_gym.core.scenario import validated

TARGET = 0.99
"""The normalised score that "steps to" and "seconds to" speak of."""

RESULTS = "results.csv"
COLUMNS = (
    "env_id",
    "scenario",
    "observation",
    "policy",
    "seed",
    "normalised",
    "regret",
    "value",
    "stderr",
    "optimum",
    "timesteps",
    "seconds",
    "timesteps_to_target",
    "seconds_to_target",
    "run",
)


@dataclass(frozen=True)
class Result:
    """A finished run, as its folder holds it.

    Attributes
    ----------
    folder
        Where it is.
    run
        Its configuration.
    score
        The fields of :class:`baselines.Score`.
    seconds
        Of training, without the scoring.
    curve
        Rows of the exact learning curve; see :class:`agents.ExactRegret`.
    """

    folder: Path
    run: Run
    score: Mapping[str, Any]
    seconds: float
    curve: Sequence[Mapping[str, float]]

    def reached(self, target: float = TARGET) -> Mapping[str, float] | None:
        """Return the row of the curve from which the score stays at or above the target, or None."""
        row = None
        for candidate in reversed(self.curve):
            if candidate["normalised"] < target:
                break
            row = candidate
        return row


def read_result(folder: str | Path) -> Result:
    """Read a run's folder.

    Raises
    ------
    ValueError
        A file is missing or damaged; the message names it.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / RUN).read_text(encoding="utf-8"))
        run = validated(Run, content["run"], str(folder / RUN))
        score = asdict(Score(**content["score"]))
        with (folder / CURVE).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        curve = [{name: float(row[name]) for name in CURVE_COLUMNS} for row in rows]
        if not curve:
            raise ValueError(f"{CURVE} holds no rows")
        return Result(folder, run, score, float(content["seconds"]), curve)
    except (OSError, KeyError, TypeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise ValueError(f"{folder}: not the folder of a finished run: {problem}") from error


def finished_runs(folder: str | Path) -> list[Path]:
    """Return the folders of the runs that a results folder's last report was of.

    Those named in its ``results.csv``, so that runs of an earlier configuration do not come back as
    more seeds; without one, all finished runs in ``runs/``.

    Raises
    ------
    ValueError
        There are none.
    """
    folder = Path(folder)
    runs = sorted(path.parent for path in (folder / "runs").glob(f"*/{RUN}"))
    if (folder / RESULTS).exists():
        with (folder / RESULTS).open(newline="", encoding="utf-8") as file:
            named = {row.get("run") for row in csv.DictReader(file)}
        runs = [run for run in runs if run.name in named] or runs
    if not runs:
        raise ValueError(f"{folder}: holds no finished runs (runs/*/{RUN})")
    return runs


def write_report(runs: Iterable[str | Path], folder: str | Path) -> list[dict[str, Any]]:
    """Write the leaderboard and the figures of finished runs, and return the rows of results.

    Parameters
    ----------
    runs
        Folders of runs.
    folder
        Where ``results.csv`` (a row for each run and reference policy), ``leaderboard.md`` and
        ``figures/`` go; made if missing.
    """
    folder = Path(folder)
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    results = [read_result(run) for run in runs]
    rows: list[dict[str, Any]] = []
    for problem, group in _by_problem(results).items():
        env = _environment(problem, group)
        rows += [_run_row(problem, result) for result in group]
        rows += _reference_rows(problem, env)
        for name, figure in _figures(env, group).items():
            path = folder / "figures" / f"{'-'.join(problem).replace('/', '-')}-{name}.png"
            partial = path.with_name(path.name + ".partial")
            figure.savefig(partial, dpi=120, format="png")
            partial.replace(path)
    _write(folder / RESULTS, _csv(rows))
    _write(folder / "leaderboard.md", _markdown(leaderboards(rows)))
    return rows


def leaderboards(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return a table for each problem, by its title: a row a policy, its seeds together, best first."""
    groups: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        title = f"{row['env_id']}, {row['scenario']}, {row['observation']} observations"
        groups.setdefault(title, {}).setdefault(row["policy"], []).append(row)
    return {
        title: sorted(
            (_standing(policy, members) for policy, members in policies.items()),
            key=lambda standing: standing["regret"],
        )
        for title, policies in groups.items()
    }


def _standing(policy: str, members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    times = [row["seconds_to_target"] for row in members]
    return {
        "policy": policy,
        "seeds": sum(row["seed"] is not None for row in members) or None,
        "normalised": float(np.mean([row["normalised"] for row in members])),
        "worst": min(row["normalised"] for row in members),
        "regret": float(np.mean([row["regret"] for row in members])),
        "value": float(np.mean([row["value"] for row in members])),
        f"s to {TARGET}": None if None in times else float(np.mean(times)),
    }


def _by_problem(results: Iterable[Result]) -> dict[tuple[str, str, str], list[Result]]:
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        run = result.run
        key = run.env_id, run.scenario_name, run.observation
        groups.setdefault(key, []).append(result)
    return groups


def _environment(problem: tuple[str, str, str], group: Sequence[Result]) -> gym.Env[Any, Any]:
    """Return the environment of a group of runs, as it was: a scenario's file may have changed."""
    scenarios = [load_policy(result.folder)[1]["scenario"] for result in group]
    for result, scenario in zip(group, scenarios, strict=True):
        if scenario != scenarios[0]:
            raise ValueError(
                f"{result.folder}: its scenario {problem[1]} is not that of {group[0].folder}"
            )
    return gym.make(problem[0], scenario=scenarios[0], observation=problem[2])


def _run_row(problem: tuple[str, str, str], result: Result) -> dict[str, Any]:
    reached = result.reached()
    return _row(problem, result.run.algorithm, result.score) | {
        "seed": result.run.seed,
        "run": result.folder.name,
        "timesteps": int(result.curve[-1]["timesteps"]),
        "seconds": result.seconds,
        "timesteps_to_target": int(reached["timesteps"]) if reached else None,
        "seconds_to_target": reached["seconds"] if reached else None,
    }


def _reference_rows(problem: tuple[str, str, str], env: Any) -> list[dict[str, Any]]:
    policies = {"optimum": baselines.solve(env).policy, **baselines.reference_policies(env)}
    return [
        _row(problem, name, asdict(baselines.score(env, policy)))
        for name, policy in policies.items()
    ]


def _row(problem: tuple[str, str, str], policy: str, score: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row.update(zip(("env_id", "scenario", "observation"), problem, strict=True))
    row["policy"] = policy
    for name in ("normalised", "regret", "value", "stderr", "optimum"):
        row[name] = score[name]
    return row


def _figures(env: Any, group: Sequence[Result]) -> dict[str, Figure]:
    solution = baselines.solve(env)
    policies = {
        f"{result.run.algorithm}, seed {result.run.seed}": load_policy(result.folder)[0]
        for result in group
    }
    assert isinstance(env.unwrapped, QCEnv)
    return {
        "learning_curves": learning_curves(group, solution.value - solution.random_value),
        **baselines.figures(env, policies),
    }


def learning_curves(results: Sequence[Result], worth: float) -> Figure:
    """Return the exact regret against steps and against seconds, a line for each run, log scale.

    ``worth`` is the optimum's value minus that of random play, which the normalised score is in.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    algorithms = list(dict.fromkeys(result.run.algorithm for result in results))
    for ax, x in zip(axes, ("timesteps", "seconds"), strict=True):
        for result in results:
            index = algorithms.index(result.run.algorithm)
            ax.plot(
                [row[x] for row in result.curve],
                [max(row["regret"], 1e-12) for row in result.curve],
                color=f"C{index}",
                alpha=0.85,
                label=f"{result.run.algorithm}, seed {result.run.seed}",
            )
        goal = (1 - TARGET) * worth
        ax.axhline(goal, color="grey", linestyle="--", linewidth=1)
        ax.annotate(
            f"normalised {TARGET}",
            (0.01, goal),
            xycoords=("axes fraction", "data"),
            va="bottom",
            fontsize=8,
            color="grey",
        )
        ax.set(xlabel="steps" if x == "timesteps" else "seconds of training", yscale="log")
        ax.grid(alpha=0.3, which="both")
    axes[0].set_ylabel("exact regret (money)")
    axes[1].legend(fontsize=8)
    figure.suptitle(f"{results[0].run.env_id}, {results[0].run.scenario_name}")
    return figure


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _markdown(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    lines = []
    for title, table in tables.items():
        names = list(table[0])
        lines += [f"## {title}", "", "| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
        lines += [
            "| " + " | ".join(format_cell(row[name]) for name in names) + " |" for row in table
        ]
        lines.append("")
    return "\n".join(lines)


def _write(path: Path, content: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(content, encoding="utf-8")
    partial.replace(path)
