"""Standings of agents and reference policies: on each problem, and over all of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import baselines
from agents.files import read_csv
from agents.report.results import TARGET, Result, reached
from agents.report.statistics import (
    Groups,
    Statistic,
    performance_profile,
    pooled_interquartile_mean,
    probability_of_improvement,
    stratified_bootstrap,
)

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
"""Of ``results.csv``: a row for each run and for each reference policy."""
_READ: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(("env_id", "scenario", "observation", "policy", "run"), str),
    **dict.fromkeys(("seed", "timesteps", "timesteps_to_target"), int),
}
"""What its texts are read as; the others are numbers."""
OVERALL = "Over all problems"
"""The title of the table of :func:`overall`."""
STEPS, SECONDS = f"steps to {TARGET}", f"s to {TARGET}"
LOSSES = np.logspace(0, -4, 161)
"""1 − normalised at which the performance profiles are taken: most happens close to the optimum."""

Row = Mapping[str, Any]
Problem = tuple[str, str, str]


def run_row(result: Result) -> dict[str, Any]:
    """Return the row of a run."""
    arrival = reached(result.curve)
    return make_row(result.problem, result.run.algorithm, result.score) | {
        "seed": result.run.seed,
        "run": result.folder.name,
        "timesteps": int(result.curve[-1]["timesteps"]),
        "seconds": result.seconds,
        "timesteps_to_target": int(arrival["timesteps"]) if arrival else None,
        "seconds_to_target": arrival["seconds"] if arrival else None,
    }


def reference_rows(problem: Problem, env: Any) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the rows of the optimum and of the reference policies of an environment.

    And why a reference is not among them, by its name, where one fails: it does not take the others along.
    """
    references = baselines.reference_policies(env)
    rows = [make_row(problem, "optimum", asdict(baselines.score(env, baselines.solve(env).policy)))]
    failed: dict[str, str] = {}
    for name in references.names:
        try:
            rows.append(make_row(problem, name, asdict(baselines.score(env, references[name]))))
        except baselines.NoPlanError:
            continue
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
    return rows, failed


def make_row(problem: Problem, policy: str, score: Row) -> dict[str, Any]:
    """Return a row of ``results.csv``, without what only a run has."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row.update(zip(("env_id", "scenario", "observation"), problem, strict=True))
    row["policy"] = policy
    for name in ("normalised", "regret", "value", "stderr", "optimum"):
        row[name] = score[name]
    return row


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """Return the rows of a ``results.csv``, as :func:`leaderboards` takes them.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is no such file; the message names it.
    """
    try:
        return [
            {name: _READ.get(name, float)(row[name]) if row[name] else None for name in COLUMNS}
            for row in read_csv(path)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: does not hold the rows of a report: {error!r}") from error


def problem_of(row: Row) -> Problem:
    """Return the problem that a row of ``results.csv`` is about."""
    return row["env_id"], row["scenario"], row["observation"]


def problem_title(problem: Problem) -> str:
    """Return what a problem is called in a report."""
    env_id, scenario, observation = problem
    return f"{env_id}, {scenario}, {observation} observations"


def leaderboards(rows: Iterable[Row]) -> dict[str, list[dict[str, Any]]]:
    """Return a table for each problem, by its title: a row a policy, its seeds together, best first.

    ``normalised``, ``regret`` and ``value`` are means over seeds; ``±`` is the standard error of the
    mean regret that comes from drawn scenarios or episodes (none where all are exact). All seeds are
    scored on the same ones, so that more seeds do not make it smaller. ``iqm`` is the
    interquartile mean of the normalised score with its bootstrap interval of 95 % (none for a
    policy that is not trained, or once only); the last two are means, none if a seed did not arrive.
    """
    problems: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        members = problems.setdefault(problem_title(problem_of(row)), {})
        members.setdefault(row["policy"], []).append(row)
    return {
        title: sorted(
            (_standing(policy, members) for policy, members in policies.items()),
            key=lambda standing: standing["regret"],
        )
        for title, policies in problems.items()
    }


def once_each(rows: Iterable[Row]) -> list[Row]:
    """Return the rows without those of further sets of scenarios that agents of a range were scored on.

    The same trainings stand in each set: counted again, they would pass for more than there were.
    """
    rows = list(rows)
    first: dict[Any, Problem] = {}
    for row in rows:
        if row.get("run") is not None:
            first.setdefault(row["run"], problem_of(row))
    further = {
        problem_of(row)
        for row in rows
        if first.get(row.get("run"), problem_of(row)) != problem_of(row)
    }
    return [row for row in rows if problem_of(row) not in further]


def references_in(table: Iterable[Row]) -> list[Row]:
    """Return the reference policies of a table of :func:`leaderboards`, in its order; not the optimum."""
    return [row for row in table if not row["seeds"] and row["policy"] != "optimum"]


def best_reference(table: Iterable[Row]) -> Row | None:
    """Return the reference policy of a table of :func:`leaderboards` that loses least, if it has any."""
    return next(iter(references_in(table)), None)  # the least regret stands first


def _standing(policy: str, members: Sequence[Row]) -> dict[str, Any]:
    seeds = sum(row["seed"] is not None for row in members) or None
    scores = [np.array([row["normalised"] for row in members])]
    low, high = _interval(scores, pooled_interquartile_mean)
    error = float(np.mean([row["stderr"] for row in members]))
    return {
        "policy": policy,
        "seeds": seeds,
        "normalised": float(scores[0].mean()),
        "iqm": float(pooled_interquartile_mean(scores)),
        "low": low,
        "high": high,
        "worst": float(scores[0].min()),
        "regret": float(np.mean([row["regret"] for row in members])),
        "±": error or None,
        "value": float(np.mean([row["value"] for row in members])),
        STEPS: _whole(_mean(row["timesteps_to_target"] for row in members)),
        SECONDS: _mean(row["seconds_to_target"] for row in members),
    }


def overall(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return the standings over all problems: those tried on the most first, then by score.

    Of the reference policies, those that every problem has; a family's own stand in its tables.

    ``iqm`` is over the runs of all problems together, with its stratified bootstrap interval of 95 %;
    ``reached`` the share of runs with a normalised score of at least the target, each problem
    counting the same; the last two are medians over the runs of all problems, none if half of them
    did not arrive. Money is not added up: the problems have different currencies.

    Agents of a range count once, by the first of the sets that they were scored on.
    """
    rows = once_each(rows)
    problems = len({problem_of(row) for row in rows})
    table = []
    for policy, groups in _by_policy(rows).items():
        members = [row for row in rows if row["policy"] == policy]
        if len(groups) < problems and all(row["seed"] is None for row in members):
            continue
        scores = list(groups.values())
        low, high = _interval(scores, pooled_interquartile_mean)
        table.append(
            {
                "policy": policy,
                "problems": len(groups),
                "runs": sum(row["seed"] is not None for row in members) or None,
                "iqm": float(pooled_interquartile_mean(scores)),
                "low": low,
                "high": high,
                "worst": float(np.concatenate(scores).min()),
                f"reached {TARGET}": float(np.mean([(one >= TARGET).mean() for one in scores])),
                STEPS: _whole(_median([row["timesteps_to_target"] for row in members])),
                SECONDS: _median([row["seconds_to_target"] for row in members]),
            }
        )
    return sorted(table, key=lambda standing: (-standing["problems"], -standing["iqm"]))


def improvements(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return how likely a run of one algorithm beats one of another, on the problems of both.

    A row for each pair of trained algorithms with a problem in common, in the order of
    :func:`overall`, with a stratified bootstrap interval of 95 %. Agents of a range count once.
    """
    rows = once_each(rows)
    trained = _by_policy([row for row in rows if row["seed"] is not None])
    ranked = [row["policy"] for row in overall(rows) if row["policy"] in trained]
    table = []
    for first, second in itertools.combinations(ranked, 2):
        shared = [problem for problem in trained[first] if problem in trained[second]]
        if not shared:
            continue
        count = len(shared)
        ours, theirs = ([trained[one][problem] for problem in shared] for one in (first, second))

        def improvement(drawn: Groups, count: int = count) -> NDArray[np.float64]:
            return probability_of_improvement(drawn[:count], drawn[count:])

        low, high = _interval([*ours, *theirs], improvement)
        table.append(
            {
                "policy": first,
                "against": second,
                "problems": count,
                "probability": float(probability_of_improvement(ours, theirs)),
                "low": low,
                "high": high,
            }
        )
    return table


def prices_of_not_seeing(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return what it costs not to be shown the belief, on the scenarios trained with both observations.

    A row for each: the trained algorithm of least mean regret on belief and on outcome observations,
    with that regret, and ``price``, the second less the first, in money. The optimum is the same for
    both: whatever the price is, memory could have saved it. ``±`` is the standard error of the price
    that comes from simulated scores (none where all are exact).
    """
    trained = [row for row in rows if row["seed"] is not None]
    tables = leaderboards(trained)
    best = {problem: tables[problem_title(problem)][0] for problem in map(problem_of, trained)}
    return [
        {
            "env_id": env_id,
            "scenario": scenario,
            "on beliefs": belief["policy"],
            "belief regret": belief["regret"],
            "on outcomes": outcome["policy"],
            "outcome regret": outcome["regret"],
            "price": outcome["regret"] - belief["regret"],
            "±": math.hypot(belief["±"] or 0.0, outcome["±"] or 0.0) or None,
        }
        for (env_id, scenario, observation), belief in best.items()
        if observation == "belief" and (outcome := best.get((env_id, scenario, "outcome")))
    ]


def profiles(rows: Iterable[Row]) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Return the performance profile of each trained algorithm at ``1 − LOSSES``.

    ``share`` (T,) of its runs that score more, each of its problems counting the same, with the
    bootstrap interval of 95 % at each threshold, ``low`` and ``high``. Agents of a range count once.
    """
    drawn = {}
    trained = [row for row in once_each(rows) if row["seed"] is not None]
    for policy, groups in _by_policy(trained).items():
        scores = list(groups.values())
        low, high = stratified_bootstrap(scores, _profile, resamples=500)
        drawn[policy] = {"share": _profile(scores), "low": low, "high": high}
    return drawn


def _profile(groups: Groups) -> NDArray[np.float64]:
    return performance_profile(groups, 1.0 - LOSSES)


def _by_policy(rows: Iterable[Row]) -> dict[str, dict[Problem, NDArray[np.float64]]]:
    """Return the normalised scores of each policy on each problem, (seeds,)."""
    scores: dict[str, dict[Problem, list[float]]] = {}
    for row in rows:
        problems = scores.setdefault(row["policy"], {})
        problems.setdefault(problem_of(row), []).append(row["normalised"])
    return {
        policy: {problem: np.array(one) for problem, one in problems.items()}
        for policy, problems in scores.items()
    }


def _interval(groups: Groups, statistic: Statistic) -> tuple[float | None, float | None]:
    """Return the interval of 95 %, or None and None where no problem has a second run."""
    if all(len(group) < 2 for group in groups):
        return None, None
    low, high = stratified_bootstrap(groups, statistic)
    return float(low), float(high)


def _mean(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else float(np.mean(np.array(known, np.float64)))


def _median(values: Sequence[float | None]) -> float | None:
    middle = float(np.median([math.inf if value is None else value for value in values]))
    return middle if math.isfinite(middle) else None


def _whole(steps: float | None) -> int | None:
    return None if steps is None else round(steps)
