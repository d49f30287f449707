"""The command line, ``qc-gym``."""

from __future__ import annotations

import argparse
import inspect
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import gymnasium as gym
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import qc_gym
from qc_gym.core.env import QCEnv
from qc_gym.core.scenario import Record, ScenarioRange, close_names

console = Console()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 with a message on standard error for bad input."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except ModuleNotFoundError as error:
        print(f"qc-gym: {error}; agents need: pip install 'qc-gym[agents]'", file=sys.stderr)
        return 2
    except (ValueError, TypeError, OSError) as error:
        print(f"qc-gym: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qc-gym",
        description="Quality-control environments, their exact optima, and agents scored by them.",
    )
    parser.add_argument("--version", action="version", version=qc_gym.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="the environments and their presets")
    command.add_argument("--json", action="store_true", help="for a program to read")
    command.set_defaults(command=_list)

    command = commands.add_parser("show", help="an environment's documentation and parameters")
    _add_env(command)
    command.set_defaults(command=_show)

    command = commands.add_parser("solve", help="the exact optimum, with its certificate")
    _add_env(command)
    command.add_argument("--episodes", type=int, default=100_000, help="to simulate as a check")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--json", action="store_true", help="for a program to read")
    command.set_defaults(command=_solve)

    command = commands.add_parser("score", help="a trained agent, or the reference policies")
    _add_env(command)
    command.add_argument("model", nargs="?", help="folder that train wrote; none: the references")
    command.add_argument("--json", action="store_true", help="for a program to read")
    command.set_defaults(command=_score)

    command = commands.add_parser("train", help="train an agent and score it exactly")
    _add_env(command)
    command.add_argument("algorithm")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--timesteps", type=int)
    command.add_argument("--num-envs", type=int)
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a hyperparameter, as YAML"
    )
    command.add_argument("--out", type=Path, default=Path("results/runs"), help="folder of runs")
    command.set_defaults(command=_train)

    command = commands.add_parser("bench", help="run an experiment and write its report")
    command.add_argument("config", type=Path)
    command.add_argument("--out", type=Path, default=Path("results"), help="folder of results")
    command.set_defaults(command=_bench)

    command = commands.add_parser("report", help="write the report of finished runs again")
    command.add_argument("folder", type=Path, help="folder that bench wrote")
    command.add_argument("--json", action="store_true", help="for a program to read")
    command.set_defaults(command=_report)
    return parser


def _add_env(command: argparse.ArgumentParser) -> None:
    command.add_argument("env", metavar="ENV", help="for instance SequentialSampling-v0")
    command.add_argument("--scenario", help="a preset or a YAML file; default the first preset")
    command.add_argument("--observation", choices=("belief", "outcome"))


def _env_id(name: str) -> str:
    known = list(qc_gym.ENVIRONMENTS)
    for env_id in known:
        if name in (env_id, env_id.split("/")[-1]):
            return env_id
    raise ValueError(f"unknown environment {name!r}; {close_names(name, known)}")


def _make(options: argparse.Namespace) -> gym.Env[Any, Any]:
    observation = options.observation or "belief"
    env = gym.make(_env_id(options.env), scenario=options.scenario, observation=observation)
    if isinstance(_inner(env).scenarios, ScenarioRange):
        raise ValueError(f"--scenario {options.scenario}: is a range, which has no one optimum")
    return env


def _inner(env: gym.Env[Any, Any]) -> QCEnv:
    assert isinstance(env.unwrapped, QCEnv)
    return env.unwrapped


def _print_json(content: Any) -> None:
    print(json.dumps(_finite(content), indent=2, allow_nan=False))


def _finite(content: Any) -> Any:
    """Return the content with numbers that JSON cannot hold as text: inf, -inf, nan."""
    if isinstance(content, Mapping):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    return content


def _print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in rows[0]:
        numeric = all(isinstance(row[name], int | float | None) for row in rows)
        table.add_column(
            name, justify="right" if numeric else "left", no_wrap=True, overflow="fold"
        )
    for row in rows:
        table.add_row(*(format_cell(value) for value in row.values()))
    # A file or a pipe has no width: no number is folded there.
    (console if console.is_terminal else Console(width=10_000)).print(table)


def format_cell(value: Any) -> str:
    """Return a value of a table as it is shown."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}" if math.isfinite(value) else str(value)
    return str(value)


def _list(options: argparse.Namespace) -> None:
    presets = {
        env_id: list(_inner(gym.make(env_id)).scenario_type.presets)
        for env_id in qc_gym.ENVIRONMENTS
    }
    if options.json:
        _print_json(presets)
        return
    table = Table("environment", "presets")
    for env_id, names in presets.items():
        table.add_row(env_id, ", ".join(names))
    console.print(table)


def _show(options: argparse.Namespace) -> None:
    from rich.markdown import Markdown

    env = _inner(_make(options))
    page = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", inspect.getdoc(type(env)) or "")
    console.print(Markdown(f"# {_env_id(options.env)}\n\n{page}"))
    for record in _records(env.scenario_type):
        console.print(f"\n{record.__name__}", style="bold")
        console.print(inspect.getdoc(record), markup=False, highlight=False)
        for name, field in record.model_fields.items():
            default = "" if field.is_required() else f", by default {field.default!r}"
            limits = "".join(f", {limit}" for limit in field.metadata)
            console.print(f"  {name}: {field.annotation}{limits}{default}", markup=False)
    console.print("\nThe scenario:", style="bold")
    console.print_json(env.scenario.model_dump_json())


def _records(scenario_type: type[Record]) -> list[type[Record]]:
    """Return the scenario's class and those of the parts that its fields hold."""
    found: list[type[Record]] = [scenario_type]
    for record in found:  # grows while it is read
        waiting: list[Any] = [field.annotation for field in record.model_fields.values()]
        while waiting:
            annotation = waiting.pop(0)
            waiting.extend(get_args(annotation))
            is_record = isinstance(annotation, type) and issubclass(annotation, Record)
            if is_record and annotation not in found:
                found.append(annotation)
    return found


def _solve(options: argparse.Namespace) -> None:
    import baselines

    env = _make(options)
    solution = baselines.solve(env)
    certificate = baselines.certify(env, episodes=options.episodes, seed=options.seed)
    if options.json:
        content = {
            "env_id": _env_id(options.env),
            "scenario": _inner(env).scenario.model_dump(mode="json"),
            "value": solution.value,
            "lower": solution.lower,
            "upper": solution.upper,
            "certificate": asdict(certificate),
        }
        _print_json(content)
        return
    simulation = certificate.simulation
    assert simulation is not None
    console.print(f"optimal value        {solution.value:.8f} (expected return of an episode)")
    if certificate.width:
        console.print(f"certified between    {solution.lower:.8f} and {solution.upper:.8f}")
    console.print(f"Bellman residual     {certificate.bellman_residual:.1e}")
    console.print(
        f"simulated            {simulation.mean:.4f} ± {simulation.stderr:.4f} over "
        f"{simulation.episodes:,} episodes: {certificate.deviation:+.2f} standard errors away",
        soft_wrap=True,
    )
    console.print()
    console.print(baselines.instructions(env), highlight=False)


def _score(options: argparse.Namespace) -> None:
    import baselines

    if options.model is None:
        env = _make(options)
        policies: dict[str, Any] = baselines.reference_policies(env)
    else:
        from agents.policies import load_policy

        policy, trained = load_policy(options.model)
        if options.observation not in (None, trained["observation"]):
            raise ValueError(
                f"--observation {options.observation}: the model sees {trained['observation']}"
            )
        options.observation = trained["observation"]
        options.scenario = options.scenario or trained["scenario"]
        env = _make(options)
        policies = {options.model: policy}
    scores = {name: baselines.score(env, policy) for name, policy in policies.items()}
    if options.json:
        _print_json({name: asdict(score) for name, score in scores.items()})
        return
    ranked = sorted(scores.items(), key=lambda item: item[1].regret)
    _print_table(
        _env_id(options.env), [{"policy": name, **asdict(score)} for name, score in ranked]
    )


def _train(options: argparse.Namespace) -> None:
    import yaml

    from agents.experiment import Experiment, Problem, Training, runs_of, train_run
    from qc_gym.core.scenario import validated

    settings: dict[str, Any] = {}
    for pair in options.set:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set {pair}: NAME=VALUE is needed")
        try:
            settings[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"--set {pair}: the value is not YAML: {error}") from error
    training = {
        "total_timesteps": options.timesteps,
        "num_envs": options.num_envs,
        "hyperparameters": settings,
    }
    problem = Problem(
        env_id=_env_id(options.env),
        scenario=options.scenario,
        observation=options.observation or "belief",
        algorithms={options.algorithm: validated(Training, training, "train")},
    )
    experiment = {"name": "train", "seeds": [options.seed], "problems": [problem]}
    (run,) = runs_of(validated(Experiment, experiment, "train"), where="train")
    _make(options).close()  # a scenario that cannot be used must fail before the training
    options.out.mkdir(parents=True, exist_ok=True)
    with _Board() as board:
        board.add(run.name, run.total_timesteps)
        result = train_run(run, options.out, board)
    _print_table(run.name, [result["score"]])
    console.print(f"written to {options.out / run.name}", soft_wrap=True)


def _bench(options: argparse.Namespace) -> None:
    from agents.experiment import carry_out, read_experiment, runs_of
    from agents.report import leaderboards, write_report

    experiment = read_experiment(options.config)
    out = options.out / experiment.name
    with _Board() as board:
        for run in runs_of(experiment):
            board.add(run.name, run.total_timesteps)
        folders = carry_out(experiment, out / "runs", report=board.show, finished=board.finish)
    rows = write_report(folders, out)
    for title, table in leaderboards(rows).items():
        _print_table(title, table)
    console.print(f"written to {out}: results.csv, leaderboard.md, figures/, runs/", soft_wrap=True)


def _report(options: argparse.Namespace) -> None:
    from agents.report import finished_runs, leaderboards, write_report

    runs = finished_runs(options.folder)
    rows = write_report(runs, options.folder)
    if options.json:
        _print_json(rows)
        return
    for title, table in leaderboards(rows).items():
        _print_table(title, table)


class _Board:
    """The progress of runs: a bar for each on a terminal, a line for each finished one elsewhere."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:>9,.0f} steps"),
            TextColumn("normalised {task.fields[normalised]:.4f}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> _Board:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def add(self, name: str, total: int) -> None:
        """Show a run that has not begun."""
        self._tasks[name] = self._progress.add_task(name, total=total, start=False, normalised=0.0)

    def show(self, name: str, timesteps: int, normalised: float) -> None:
        """Show how far a run has come."""
        self._progress.start_task(self._tasks[name])
        self._progress.update(self._tasks[name], completed=timesteps, normalised=normalised)

    def put(self, message: tuple[str, int, float]) -> None:
        """Show a message of a run in this process."""
        self.show(*message)

    def finish(self, name: str, result: Mapping[str, Any]) -> None:
        """Show a finished run."""
        score = result["score"]["normalised"]
        self._progress.stop_task(self._tasks[name])
        console.print(f"{name}: normalised {score:.4f} in {result['seconds']:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
