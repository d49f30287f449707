"""``train``, ``bench`` and ``report``: agents, experiments and their reports."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agents.cli.options import (
    Address,
    Algorithm,
    AsJson,
    Assignments,
    EngineName,
    Env,
    Observation,
    ScenarioOption,
    Seed,
    engine_of,
    env_id_of,
    read_assignments,
    scenario_source,
    whole_number,
)
from agents.cli.output import console, print_json, print_table, say
from agents.tables import format_duration, format_steps

if TYPE_CHECKING:
    from agents.experiment import Run


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (train, bench, report):
        app.command()(command)


def train(
    env: Env,
    algorithm: Algorithm,
    scenario: ScenarioOption = None,
    set_: Assignments = None,
    observation: Observation = None,
    seed: Seed = 0,
    timesteps: Annotated[
        int | None,
        typer.Option(
            parser=whole_number,
            metavar="NUMBER",
            help="Steps of the agent, 1e5 for instance; by default those of the algorithm.",
        ),
    ] = None,
    num_envs: Annotated[
        int | None,
        typer.Option(
            parser=whole_number,
            metavar="NUMBER",
            help="Environments side by side; by default those of the algorithm.",
        ),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            parser=whole_number,
            metavar="NUMBER",
            help="Threads of torch; networks this small become slower with more than one.",
        ),
    ] = 1,
    exploring_starts: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Share of the episodes that start where another one stands, after an action at random.",
        ),
    ] = 0.0,
    frames: Annotated[
        int,
        typer.Option(
            parser=whole_number,
            metavar="NUMBER",
            help="How many of the last observations the agent sees at a time.",
        ),
    ] = 1,
    hyper: Annotated[
        list[str] | None,
        typer.Option(
            "--hyper",
            metavar="NAME=VALUE",
            help="A hyperparameter of the algorithm, as YAML. Any number of times.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs.")] = Path(
        "results/runs"
    ),
) -> None:
    """Train an agent and score it exactly."""
    from agents.cli.board import Board
    from agents.runs import checkpoint_of, train_run, write_run

    env_id = env_id_of(env)
    hyperparameters = read_assignments(hyper or [], "--hyper")
    _refuse_hyperparameters(set_ or [])
    training = {
        "total_timesteps": timesteps,
        "num_envs": num_envs,
        "threads": threads,
        "exploring_starts": exploring_starts,
        "frames": frames,
        "hyperparameters": hyperparameters,
    }
    problem = {
        "env_id": env_id,
        "scenario": scenario_source(env_id, scenario, set_),
        "observation": observation or "belief",
        "algorithms": {algorithm: training},
    }
    run = _single_run(problem, seed)
    out.mkdir(parents=True, exist_ok=True)
    with Board(console()) as board:
        board.add(run.name, run.total_timesteps)
        files = train_run(run, checkpoint_of(run, out), board)
    result = write_run(files, run, out)
    print_table(run.name, [result["score"]])
    steps, seconds = format_steps(run.total_timesteps), format_duration(result["seconds"])
    say(f"{steps} steps in {seconds}")
    say(f"written to {out / run.name}")


def _refuse_hyperparameters(pairs: Sequence[str]) -> None:
    """Raise a ValueError for a hyperparameter among the fields of the scenario."""
    from agents.hyperparameters import HYPERPARAMETERS

    for pair in pairs:
        if pair.partition("=")[0] in HYPERPARAMETERS:
            raise ValueError(f"--set {pair}: sets a scenario's field; a hyperparameter is --hyper")


def _single_run(problem: Mapping[str, Any], seed: int) -> Run:
    """Return the run of one algorithm on one problem."""
    from agents.experiment import Experiment
    from qc_gym.core.record import validated

    content = {"name": "train", "seeds": [seed], "problems": [problem]}
    (run,) = validated(Experiment, content, "train").runs
    return run


def bench(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The experiment, a YAML file.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of results.")] = Path("results"),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Train runs again that were finished before.")
    ] = False,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay",
            help="Keep replay buffers in checkpoints: dqn and qrdqn, broken off, then go on as well.",
        ),
    ] = False,
    engine: EngineName = "processes",
    address: Address = None,
) -> int:
    """Run an experiment and write its report.

    Started again, it trains only what is missing, and trainings of this machine that were broken off go
    on. The exit status is 1 if runs had to be left out of the report.
    """
    from agents.cli.board import Board
    from agents.experiment import optima_in, read_experiment, write_manifest
    from agents.files import only_writer
    from agents.report import write_report
    from agents.runs import carry_out

    experiment = read_experiment(config)
    folder = out / experiment.name
    where = engine_of(engine, address, experiment.workers)
    with only_writer(folder):
        write_manifest(experiment, folder)
        with Board(console()) as board:
            for run in experiment.runs:
                board.add(run.name, run.total_timesteps)
            folders, failures = carry_out(
                experiment.runs,
                folder / "runs",
                engine=where,
                fresh=fresh,
                replay=replay,
                optima=optima_in(folder),
                found=board.find,
                report=board.show,
                finished=board.finish,
                failed=board.fail,
            )
        written = write_report(folders, folder, failures)
    _print_tables(written.tables)
    tables = "leaderboard.md, results.csv, runs.csv, curves.csv"
    say(f"written to {folder}: report.html, {tables}, figures/, runs/")
    return _say_left_out(written.left_out)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that bench wrote.")],
    pages: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write pages in Markdown with small pictures there as well, in place of what it holds.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write the report of finished runs again.

    The exit status is 1 if runs had to be left out of it.
    """
    from agents.report import run_folders, write_pages, write_report
    from agents.report.publication import check_pages

    if pages is not None:
        check_pages(pages)
    written = write_report(run_folders(folder), folder)
    if pages is not None:
        write_pages(written, folder, pages)
    if as_json:
        print_json(written.rows)
    else:
        _print_tables(written.tables)
    return _say_left_out(written.left_out)


def _print_tables(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    for title, table in tables.items():
        print_table(title, table)


def _say_left_out(left_out: Mapping[str, str]) -> int:
    """Say which runs are not in a report; return 1 if there are any."""
    for name, reason in left_out.items():
        print(f"qc-gym: left out: {name}: {reason}", file=sys.stderr)
    return 1 if left_out else 0
