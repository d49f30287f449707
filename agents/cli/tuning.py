"""``tune``: the search for an algorithm's best configuration on the exact score."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from agents.cli.options import (
    Address,
    Algorithm,
    Assignments,
    EngineName,
    Env,
    Observation,
    ScenarioOption,
    Seed,
    engine_of,
    env_id_of,
    scenario_source,
    whole_number,
)
from agents.cli.output import console, print_table, say

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_SHOWN = 5
"""Trials of the table at the end."""


def add_commands(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(tune)


def _duration(text: str | float) -> float:
    """Return seconds, however they are written: 90, 90s, 25m, 1.5h."""
    if isinstance(text, int | float):
        return float(text)
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(s|m|min|h|)", text.strip())
    if not found or not float(found[1]) > 0:
        raise ValueError(f"{text!r} is no time above 0, such as 90s, 25m or 1.5h")
    return float(found[1]) * _UNITS[found[2]]


def _seeds(text: str | list[int]) -> list[int]:
    """Return whole numbers that commas separate."""
    return (
        [whole_number(part.strip()) for part in text.split(",")] if isinstance(text, str) else text
    )


def _at_least_one(text: str | int) -> int:
    """Return a whole number of at least 1."""
    number = whole_number(text)
    if number < 1:
        raise ValueError(f"{number} is not at least 1")
    return number


def tune(
    env: Env,
    algorithm: Algorithm,
    scenario: ScenarioOption = None,
    set_: Assignments = None,
    observation: Observation = None,
    trials: Annotated[
        int | None,
        typer.Option(
            parser=_at_least_one,
            metavar="NUMBER",
            help="Trials that the study is to hold in the end, those of earlier searches included.",
        ),
    ] = None,
    time: Annotated[
        float | None,
        typer.Option(
            parser=_duration,
            metavar="TIME",
            help="After which no trial is begun any more: 90s, 25m, 1.5h.",
        ),
    ] = None,
    timesteps: Annotated[
        int | None,
        typer.Option(
            parser=_at_least_one,
            metavar="NUMBER",
            help="Steps of each training, 1e5 for instance; by default those of the algorithm.",
        ),
    ] = None,
    seeds: Annotated[
        Any,
        typer.Option(
            parser=_seeds,
            metavar="SEEDS",
            help="Each configuration is trained with each of them: 0,1,2 for instance.",
        ),
    ] = "0",
    objective: Annotated[
        Literal["score", "log"],
        typer.Option(
            help="The mean over seeds of the normalised score, or of −log10(1 − score), its nines."
        ),
    ] = "score",
    space: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What is searched, a YAML file; by default the algorithm's own."
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            parser=_at_least_one, metavar="NUMBER", help="Trials at the same time, in processes."
        ),
    ] = 1,
    engine: EngineName = "processes",
    address: Address = None,
    threads: Annotated[
        int,
        typer.Option(parser=_at_least_one, metavar="NUMBER", help="Threads of torch, of each."),
    ] = 1,
    seed: Seed = 0,
    study: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.db",
            help="SQLite file of the trials, which several searches may share and go on with; "
            "by default in results/tuning.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.yaml",
            help="The best configuration, an experiment for bench; by default in results/tuning.",
        ),
    ] = None,
) -> int:
    """Search for an algorithm's best configuration on the exact score, with Optuna.

    The exit status is 1 if no trial was completed.
    """
    import optuna  # noqa: F401  # before anything else is done: it is an extra

    from agents.cli.board import Board
    from agents.experiment import Problem
    from agents.tuning import (
        Tuning,
        best_rows,
        default_space,
        ended,
        read_space,
        search,
        write_best,
        write_figures,
    )
    from qc_gym.core.record import validated

    if trials is None and time is None:
        raise ValueError("--trials or --time is needed: how long to search")
    env_id = env_id_of(env)
    found = default_space(algorithm) if space is None else read_space(space, algorithm)
    problem = {
        "env_id": env_id,
        "scenario": scenario_source(env_id, scenario, set_),
        "observation": observation or "belief",
        "algorithms": {algorithm: {"total_timesteps": timesteps, "threads": threads}},
    }
    tuning = Tuning(
        validated(Problem, problem, "tune"), found, tuple(_seeds(seeds)), objective=objective
    )
    folder = Path("results/tuning")
    study = study or folder / f"{tuning.name}.db"
    out = out or folder / f"{tuning.name}.yaml"
    where = engine_of(engine, address, workers)
    if study == out:
        raise ValueError(f"--study {study}, --out {out}: must be two files")
    with Board(console()) as board:
        held = search(
            tuning, study, out, board, trials=trials, seconds=time, engine=where, seed=seed
        )
    states = [trial.state.name.lower() for trial in ended(held)]
    counts = {state: states.count(state) for state in ("complete", "pruned", "fail")}
    say(
        f"{len(states)} trials: {counts['complete']} completed, {counts['pruned']} pruned, "
        f"{counts['fail']} failed"
    )
    if not counts["complete"]:
        say("no trial was completed: there is no best configuration")
        return 1
    write_best(tuning, held, out)
    figures = write_figures(held, out, objective)
    print_table("best trials", best_rows(tuning, held, _SHOWN))
    say(f"written to {', '.join(str(path) for path in (out, *figures))}; trials in {study}")
    return 0
