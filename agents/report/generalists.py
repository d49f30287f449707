"""Agents that were trained on a range: their standings on each set of held-out scenarios, and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import gymnasium as gym
import numpy as np
from matplotlib.figure import Figure

from agents.files import png
from agents.held_out import HeldOut, mean_score, name_of_set, score_sets
from agents.report.figures import learning_curves
from agents.report.leaderboard import Problem, make_row, problem_title, run_row
from agents.report.page import Section
from agents.report.results import TARGET, Result, least_drawn
from baselines import Scores, reference_policies, score_many, solve_many
from qc_gym.core.picture import Picture, literal, styles_of
from qc_gym.core.policy import DesignedPolicy
from qc_gym.core.values import hashable

OPTIMUM = {"regret": 0.0, "normalised": 1.0}
RANDOM, FIXED = "random", "best_fixed"
_PLANS = 5
"""Scenarios of a range whose optimal plans may be the best fixed one."""


def sections_of(
    problem: Problem, group: Sequence[Result], left_out: dict[str, str]
) -> list[Section]:
    """Return a section for each set of held-out scenarios, the learning curves in the first.

    A reference policy that fails is added to ``left_out`` and does not take the others along.

    Raises
    ------
    ValueError
        Runs of one range that were not scored on the same scenarios.
    """
    env_id, scenario, observation = problem
    held_out = group[0].run.held_out
    assert held_out is not None
    if any(result.run.held_out != held_out for result in group):
        raise ValueError("its runs were scored on different held-out scenarios")
    references, failed = _reference_scores(env_id, group[0].run.scenario, held_out, observation)
    left_out |= {f"{problem_title(problem)}: {name}": reason for name, reason in failed.items()}
    sections = []
    by_chance = score_many(  # on the draws that the learning curves are of
        env_id,
        group[0].run.scenario,
        RANDOM,
        count=held_out.curve_count,
        seed=held_out.seed,
        observation=observation,
    )
    goal = (1.0 - TARGET) * by_chance.mean_regret
    for i, name in enumerate(held_out.sets):
        own = env_id, name_of_set(scenario, name), observation
        rows = [_run_row(own, result, name, with_curve=i == 0) for result in group]
        scores = references[name]
        rows += _reference_rows(own, scores)
        figures = {"scenarios": scenario_profiles(group, scores, name)}
        if i == 0:
            figures["distance"] = regret_by_distance(group)
            figures["surface"] = regret_surface(group[0], name)
            figures["learning_curves"] = learning_curves(group, goal)
        sections.append(
            Section(
                problem=own,
                title=problem_title(own),
                rows=rows,
                curves={result.title: result.curve for result in group} if i == 0 else {},
                disagreements={},
                figures={title: png(figure) for title, figure in figures.items()},
                goal=goal,
            )
        )
    return sections


def standings(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return a row for each run on a range and each set: its scores over scenarios."""
    rows = []
    for result in results:
        for name, scenarios in _by_set(result).items():
            regrets, normalised = (_column(scenarios, one) for one in ("regret", "normalised"))
            several = len(regrets) > 1
            rows.append(
                {
                    "env_id": result.run.env_id,
                    "run": result.title,
                    "trained on": result.run.scenario_name,
                    "set": name,
                    "scenarios": len(regrets),
                    "median": float(np.median(normalised)),
                    "5th percentile": float(np.quantile(normalised, 0.05)),
                    "worst": float(normalised.min()),
                    "mean regret": float(regrets.mean()),
                    "±": float(regrets.std(ddof=1) / np.sqrt(len(regrets))) if several else None,
                }
            )
    return rows


def beside_specialists(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return, of each agent of a range, what it earns where one was trained on that scenario alone.

    A row for each such scenario in a list of held-out ones: what the generalist has there, and the mean of
    the specialists of the same algorithm.
    """
    trained: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        if result.run.held_out is None:
            trained.setdefault(_alone(result, result.run.scenario), []).append(result)
    rows = []
    for result in results:
        sets = {} if result.run.held_out is None else result.run.held_out.sets
        for name, scenarios in sets.items():
            if not isinstance(scenarios, list):
                continue
            for row, scenario in zip(_by_set(result)[name], scenarios, strict=True):
                specialists = trained.get(_alone(result, scenario), [])
                if specialists:
                    rows.append(
                        {
                            "env_id": result.run.env_id,
                            "scenario": specialists[0].run.scenario_name,
                            "run": result.title,
                            "trained on": result.run.scenario_name,
                            "generalist": row["normalised"],
                            "specialist": float(
                                np.mean([one.score["normalised"] for one in specialists])
                            ),
                            "specialists": len(specialists),
                        }
                    )
    return rows


def _alone(result: Result, scenario: Any) -> tuple[Any, ...]:
    """Return what tells whether a run is by the algorithm of another, on a scenario of its own."""
    run = result.run
    return run.env_id, run.observation, run.algorithm, hashable(scenario)


def _reference_scores(
    env_id: str, fields: Mapping[str, Any], held_out: HeldOut, observation: str
) -> tuple[dict[str, dict[str, Scores]], dict[str, str]]:
    """Return the scores of the reference policies and of the best fixed plan, by set and name.

    And why one is not among them, by its name, where it fails.
    """
    env = gym.make(env_id, scenario=fields, observation=observation)
    env.reset(seed=held_out.seed)
    found: dict[str, dict[str, Scores]] = {name: {} for name in held_out.sets}
    policies: dict[str, Any] = {name: name for name in reference_policies(env).names}
    policies[FIXED] = _best_fixed(env_id, fields, held_out, observation)
    failed: dict[str, str] = {}
    for policy, played in policies.items():
        try:
            scored = score_sets(env_id, held_out, played, observation)
        except Exception as error:
            failed[policy] = f"{type(error).__name__}: {error}"
            continue
        for name, scores in scored.items():
            if not scores.left_out:
                found[name][policy] = scores
            elif scores.scored.any():  # a mean over the others would stand beside those over all
                number, reason = next(iter(scores.left_out.items()))
                failed[f"{policy}, {name}"] = (
                    f"not on {len(scores.left_out)} of {len(scores.scored)} scenarios; the first of them, "
                    f"{number}: {reason}"
                )
    return found, failed


def _best_fixed(
    env_id: str, fields: Mapping[str, Any], held_out: HeldOut, observation: str
) -> DesignedPolicy:
    """Return, of the optimal plans of some scenarios of a range, the one that loses least on the range.

    It is kept whatever the scenario is: what there is to gain by telling scenarios apart.
    """
    plans = solve_many(
        env_id, fields, count=_PLANS, seed=0, observation=observation, policies=True
    ).policies

    def regret(plan: DesignedPolicy) -> float:
        scores = score_many(
            env_id,
            fields,
            plan,
            count=held_out.curve_count,
            seed=held_out.seed,
            observation=observation,
        )
        return scores.mean_regret if not scores.left_out else math.inf

    return min(plans, key=regret)


def _reference_rows(problem: Problem, references: Mapping[str, Scores]) -> list[dict[str, Any]]:
    optimum = float(references[RANDOM].optima.mean())
    best = {**OPTIMUM, "value": optimum, "optimum": optimum, "stderr": 0.0}
    told = {name: asdict(mean_score(scores)) for name, scores in references.items()}
    return [make_row(problem, name, score) for name, score in {"optimum": best, **told}.items()]


def _run_row(problem: Problem, result: Result, name: str, with_curve: bool) -> dict[str, Any]:
    """Return the row of a run on one set; when its curve, on draws from the range, arrived, if wanted."""
    scenarios = _by_set(result)[name]
    columns = {one: _column(scenarios, one) for one in ("value", "optimum", "regret", "normalised")}
    several = len(scenarios) > 1
    regrets = columns["regret"]
    score = {one: float(column.mean()) for one, column in columns.items()} | {
        "normalised": float(np.median(columns["normalised"])),
        "stderr": float(regrets.std(ddof=1) / np.sqrt(len(regrets))) if several else 0.0,
    }
    row = run_row(result) | {
        key: value
        for key, value in make_row(problem, result.run.algorithm, score).items()
        if value is not None
    }
    arrival = dict.fromkeys(("timesteps_to_target", "seconds_to_target"))
    return row if with_curve else row | arrival


def _by_set(result: Result) -> dict[str, list[Mapping[str, Any]]]:
    sets: dict[str, list[Mapping[str, Any]]] = {}
    for row in result.held_out:
        sets.setdefault(row["set"], []).append(row)
    return sets


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> Any:
    return np.array([row[name] for row in rows])


def scenario_profiles(
    group: Sequence[Result], references: Mapping[str, Scores], name: str
) -> Figure:
    """Return the share of a set's scenarios on which less than each part of the stakes is lost."""
    losses = {result.title: 1.0 - _column(_by_set(result)[name], "normalised") for result in group}
    losses |= {
        policy: 1.0 - scores.normalised for policy, scores in references.items() if policy != RANDOM
    }
    figure = Picture(figsize=(7, 4.2), layout="constrained")
    ax = figure.subplots()
    styles = styles_of(list(losses))
    for title, lost in losses.items():
        least = np.sort(np.maximum(lost, 1e-6))
        share = np.arange(1, len(least) + 1) / len(least)
        ax.step(least, share, where="post", label=literal(title), **styles[title].line)
    ax.set(
        xscale="log",
        ylim=(0, 1.02),
        xlabel="1 − normalised score; less than 1e-6 is drawn there",
        ylabel="share of scenarios that lose less",
    )
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return figure


def regret_by_distance(group: Sequence[Result]) -> Figure:
    """Return the regret on each held-out scenario against its distance from the range of the training."""
    figure = Picture(figsize=(7, 4.2), layout="constrained")
    ax = figure.subplots()
    styles = styles_of([result.title for result in group])
    for result in group:
        regrets = _column(result.held_out, "regret")
        least = least_drawn((1.0 - TARGET) * float(max(regrets.max(), 1e-9)))
        ax.plot(
            _column(result.held_out, "distance"),
            np.maximum(regrets, least),
            "o",
            markersize=3,
            alpha=0.5,
            color=styles[result.title].color,
            label=literal(result.title),
        )
    ax.set(
        yscale="log",
        xlabel="distance from the training range (widths of its intervals); 0 is inside",
        ylabel="exact regret (money)",
    )
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return figure


def regret_surface(result: Result, name: str) -> Figure:
    """Return 1 − normalised on the scenarios of a set over the two numbers that go with it most."""
    rows = _by_set(result)[name]
    features = np.array([row["features"] for row in rows])
    lost = np.maximum(1.0 - _column(rows, "normalised"), 1e-6)
    first, second = _telling(features, np.log(lost))
    figure = Picture(figsize=(6, 4.6), layout="constrained")
    ax = figure.subplots()
    dots = ax.scatter(
        features[:, first], features[:, second], c=np.log10(lost), s=16, cmap="viridis"
    )
    figure.colorbar(dots, ax=ax, label="log10 (1 − normalised score)")
    names = _varied(result)
    ax.set(
        xlabel=literal(f"{names[first]} (0 to 1 over the range)"),
        ylabel=literal(f"{names[second]} (0 to 1 over the range)"),
        title=literal(result.title),
    )
    return figure


def _telling(features: Any, lost: Any) -> tuple[int, int]:
    """Return the two features of greatest rank correlation with a loss."""
    if len(features) < 3 or features.shape[1] < 2:
        return 0, features.shape[1] - 1
    ranks = np.argsort(np.argsort(np.column_stack([features, lost]), axis=0), axis=0)
    found = np.abs(np.asarray(np.corrcoef(ranks, rowvar=False))[-1, :-1])
    first, second = np.argsort(found)[-2:][::-1]
    return int(first), int(second)


def _varied(result: Result) -> list[str]:
    """Return the names of what the range of a run varies, in the order of the features."""
    env: Any = gym.make(result.run.env_id, scenario=result.run.scenario).unwrapped
    return [".".join(path) for path in env.scenarios.ranges]
