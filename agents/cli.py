"""The command line, ``qc-gym``."""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import gymnasium as gym
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import qc_gym
from agents.board import Board
from agents.tables import explain_none, finite, format_cell
from qc_gym.core.env import QCEnv
from qc_gym.core.errors import close_names
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.record import Record
from qc_gym.core.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.figure import Figure

console = Console()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns 0; or 1 where some runs failed or cannot be used and the others were reported; or 2 for
    bad input; with a message on standard error.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except ModuleNotFoundError as error:
        print(f"qc-gym: {error}; agents need: pip install 'qc-gym[agents]'", file=sys.stderr)
        return 2
    except (ValueError, TypeError, OSError) as error:
        print(f"qc-gym: {error}", file=sys.stderr)
        return 2


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
    command.add_argument("--figures", type=Path, metavar="DIR", help="folder for the figures")
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

    command = commands.add_parser("reproduce", help="the papers' numbers, recomputed")
    command.add_argument("paper", nargs="?", metavar="PAPER", help="one of them; default all")
    shape = command.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="for a program to read")
    shape.add_argument("--markdown", action="store_true", help="as a page")
    command.add_argument("--figures", type=Path, metavar="DIR", help="folder for the figures")
    command.set_defaults(command=_reproduce)
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
    print(json.dumps(finite(content), indent=2, allow_nan=False))


def _print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in rows[0]:
        numeric = all(isinstance(row[name], int | float | None) for row in rows)
        table.add_column(
            name, justify="right" if numeric else "left", no_wrap=True, overflow="fold"
        )
    for row in rows:
        table.add_row(*(escape(format_cell(value)) for value in row.values()))
    # A file or a pipe has no width: no number is folded there.
    (console if console.is_terminal else Console(width=10_000)).print(table)


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
        for documented in record.__mro__:
            if issubclass(documented, Record) and documented not in (Scenario, Record):
                console.print(inspect.getdoc(documented), markup=False, highlight=False)
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
    if options.figures is not None:
        _write_figures(baselines.figures(env, {}), options.figures, _inner(env).family)
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
    console.print(baselines.instructions(env), highlight=False, markup=False, soft_wrap=True)


def _score(options: argparse.Namespace) -> None:
    import baselines

    if options.model is None:
        env = _make(options)
        policies: Mapping[str, Any] = baselines.reference_policies(env)
    else:
        from agents.policies import load_policy

        policy, trained = load_policy(options.model)
        if trained["env_id"] != _env_id(options.env):
            raise ValueError(f"{options.env}: the model was trained on {trained['env_id']}")
        if options.observation not in (None, trained["observation"]):
            raise ValueError(
                f"--observation {options.observation}: the model sees {trained['observation']}"
            )
        options.observation = trained["observation"]
        options.scenario = options.scenario or trained["scenario"]
        env = _make(options)
        if policy.observation_space.shape != env.observation_space.shape:
            raise ValueError(
                f"--scenario {options.scenario}: its observations are of shape "
                f"{env.observation_space.shape}; the model sees {policy.observation_space.shape}"
            )
        policies = {options.model: policy}
    scores = {name: baselines.score(env, policy) for name, policy in policies.items()}
    if options.json:
        _print_json({name: asdict(score) for name, score in scores.items()})
        return
    ranked = sorted(scores.items(), key=lambda item: item[1].regret)
    _print_table(
        _env_id(options.env), [{"policy": name, **asdict(score)} for name, score in ranked]
    )
    if options.model is not None:
        _print_disagreements(env, policies[options.model], scores[options.model].regret)


def _print_disagreements(env: gym.Env[Any, Any], policy: Any, regret: float) -> None:
    """Show where the regret of a policy comes from."""
    import baselines

    rows = baselines.disagreements(env, policy)
    if rows:
        _print_table("Where the regret comes from", [asdict(row) for row in rows])
    else:
        console.print(explain_none(regret), soft_wrap=True)


def _train(options: argparse.Namespace) -> None:
    import yaml

    from agents.experiment import Experiment, Problem, Training, runs_of
    from agents.runs import train_run
    from qc_gym.core.record import validated

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
    options.out.mkdir(parents=True, exist_ok=True)
    with Board(console) as board:
        board.add(run.name, run.total_timesteps)
        result = train_run(run, options.out, board)
    _print_table(run.name, [result["score"]])
    console.print(f"written to {options.out / run.name}", soft_wrap=True)


def _bench(options: argparse.Namespace) -> int:
    from agents.experiment import read_experiment, runs_of, write_manifest
    from agents.report import write_report
    from agents.runs import carry_out

    experiment = read_experiment(options.config)
    out = options.out / experiment.name
    runs = list(runs_of(experiment))
    write_manifest(experiment, out)
    with Board(console) as board:
        for run in runs:
            board.add(run.name, run.total_timesteps)
        folders, failures = carry_out(
            runs,
            out / "runs",
            workers=experiment.workers,
            report=board.show,
            finished=board.finish,
            failed=board.fail,
        )
    report = write_report(folders, out, failures)
    for title, table in report.tables.items():
        _print_table(title, table)
    console.print(
        f"written to {out}: report.html, leaderboard.md, results.csv, figures/, runs/",
        soft_wrap=True,
    )
    return _print_left_out(report.left_out)


def _report(options: argparse.Namespace) -> int:
    from agents.report import run_folders, write_report

    report = write_report(run_folders(options.folder), options.folder)
    if options.json:
        _print_json(report.rows)
    else:
        for title, table in report.tables.items():
            _print_table(title, table)
    return _print_left_out(report.left_out)


def _print_left_out(left_out: Mapping[str, str]) -> int:
    """Say which runs are not in a report; return 1 if there are any."""
    for name, reason in left_out.items():
        print(f"qc-gym: left out: {name}: {reason}", file=sys.stderr)
    return 1 if left_out else 0


def _write_figures(figures: Mapping[str, Figure], folder: Path, prefix: str) -> None:
    from agents.files import png, write_whole

    for name, figure in figures.items():
        write_whole(folder / f"{prefix}-{name}.png", png(figure))


def _reproduce(options: argparse.Namespace) -> None:
    from baselines import papers
    from baselines.papers.figures import figures

    ledgers = papers.ledgers() if options.paper is None else [papers.ledger(options.paper)]
    if options.figures is not None:
        for ledger in ledgers:
            _write_figures(figures(ledger.paper), options.figures, ledger.paper)
    if options.json:
        _print_json([ledger.record() for ledger in ledgers])
        return
    if options.markdown:
        print(papers.page(ledgers), end="")
        return
    for ledger in ledgers:
        for title, table in ledger.tables().items():
            rows, notes = papers.numbered(table)
            _print_table(f"{ledger.paper}: {title}", rows)
            for number, note in enumerate(notes, 1):
                console.print(f"{number:>4}  {note}", markup=False, highlight=False, soft_wrap=True)
    _print_table("printed values by verdict", papers.summary(ledgers))


if __name__ == "__main__":
    sys.exit(main())
