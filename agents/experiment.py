"""Experiments: which agents to train on which environments, as a YAML file describes them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import gymnasium as gym
from pydantic import AfterValidator, Field, model_validator

import agents
import baselines
import qc_gym
from agents.algorithms import find_algorithm
from agents.files import write_whole
from agents.held_out import HeldOut, name_of_set
from agents.hyperparameters import MAX_FRAMES, MAX_SEED
from agents.vec_env import check_exploring_starts
from baselines.core.store import Store
from qc_gym.core.env import QCEnv
from qc_gym.core.errors import ScenarioError, close_names
from qc_gym.core.files import SUFFIXES, read_mapping
from qc_gym.core.ranges import ScenarioRange, fields_of
from qc_gym.core.record import Record, validated
from qc_gym.core.registry import plain_id
from qc_gym.core.scenario import Scenario

Count = Annotated[int, Field(ge=1)]
MANIFEST, OPTIMA = "experiment.json", "optima"
_SHOWING = {"cli", "report"}
"""The packages of ``agents`` that show results and cannot change them; all other sources may."""


class Training(Record):
    """How one algorithm is trained: what :func:`agents.train` takes; None is its default."""

    total_timesteps: Count | None = None
    num_envs: Count | None = None
    threads: Count = 1
    exploring_starts: Annotated[float, Field(ge=0, le=1)] = 0.0
    frames: Annotated[int, Field(ge=1, le=MAX_FRAMES)] = 1
    hyperparameters: dict[str, Any] = {}


class Problem(Record):
    """An environment with its scenario or range, and the algorithms to train on it.

    Attributes
    ----------
    held_out
        With a range: what the agents are scored on; by default, other draws from the range.
    """

    env_id: Annotated[str, AfterValidator(plain_id)]
    scenario: str | dict[str, Any] | None = None
    observation: Literal["belief", "outcome"] = "belief"
    algorithms: Annotated[dict[str, Training], Field(min_length=1)]
    held_out: HeldOut | None = None

    @property
    def titles(self) -> list[tuple[str, str, str]]:
        """What it is called in reports: environment, scenario, observation; then each of its sets."""
        name, sets = scenario_name(self.scenario), self.held_out.sets if self.held_out else ()
        told = [name, *(name_of_set(name, one) for one in sets)]
        return [(self.env_id, one, self.observation) for one in told]


class Experiment(Record):
    """A whole benchmark, as its YAML file describes it.

    Attributes
    ----------
    name
        Names the folder of results.
    seeds
        Each algorithm is trained once for each.
    scores
        Number of exact scores along each training, the curve's points.
    workers
        Trainings that run at the same time, each with the threads of its own, one by default.
    problems
        What is trained.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seeds: Annotated[list[Annotated[int, Field(ge=0, le=MAX_SEED)]], Field(min_length=1)]
    scores: Count = 40
    workers: Count = 2
    problems: Annotated[list[Problem], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {self.seeds}: each may be listed once")
        numbers: dict[tuple[str, str, str], int] = {}
        for i, problem in enumerate(self.problems):
            for title in problem.titles:
                if title in numbers:
                    raise ValueError(
                        f"problems.{i}: is called {', '.join(title)} as problems.{numbers[title]} "
                        "is; list all algorithms of a problem in one place, and give each scenario of "
                        "your own a file, which names it"
                    )
                numbers[title] = i
        return self

    @functools.cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs, seeds innermost, each fully resolved.

        Raises
        ------
        ScenarioError
            An environment, scenario, algorithm or hyperparameter that cannot be used.
        """
        return tuple(
            Run(**resolved, seed=seed, scores=self.scores)
            for problem in self.problems
            for algorithm, training in problem.algorithms.items()
            for resolved in [_resolve(problem, algorithm, training)]
            for seed in self.seeds
        )


class Run(Record):
    """One training of an experiment, fully resolved: no file or default stands behind it.

    Attributes
    ----------
    scenario, scenario_name
        All fields of the scenario or the range, and what it is called: a preset, the stem of a file,
        ``default`` or ``custom``.
    held_out
        What it is scored on, if it is trained on a range.
    """

    env_id: str
    scenario: dict[str, Any]
    scenario_name: str
    observation: Literal["belief", "outcome"]
    algorithm: str
    seed: int
    scores: int
    total_timesteps: int
    num_envs: int
    threads: int
    exploring_starts: float
    frames: int
    hyperparameters: dict[str, Any]
    held_out: HeldOut | None = None

    @functools.cached_property
    def name(self) -> str:
        """Name of the run's folder: what it is, and a hash of its configuration and the code's version."""
        content = json.dumps([self.model_dump(), *code_version()], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:8]
        env = self.env_id.split("/")[-1]
        return f"{env}-{self.scenario_name}-{self.algorithm}-{self.seed}-{digest}"

    @property
    def training(self) -> dict[str, Any]:
        """The arguments of :func:`agents.train`; what is left out names, measures and scores it."""
        return self.model_dump(exclude={"scenario_name", "scores", "held_out"})


def code_version() -> tuple[str, str]:
    """Return the version of the package, and a digest of the sources that decide a run's result.

    The version alone would not tell runs apart between which the code was changed.
    """
    return qc_gym.__version__, _digest_sources()


@functools.cache
def _digest_sources() -> str:
    digest = hashlib.sha256()
    for package in (qc_gym, baselines, agents):
        root = Path(package.__path__[0])
        for path in sorted(root.rglob("*.py")):
            place = path.relative_to(root)
            if package is agents and place.parts[0] in _SHOWING:
                continue
            digest.update(f"{root.name}/{place.as_posix()}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def optima_in(folder: Path) -> Store:
    """Return the store of the optima of an experiment, of this code, in its folder of results."""
    return Store(folder / OPTIMA, code_version()[1])


def scenario_name(scenario: str | Mapping[str, Any] | None) -> str:
    """Return what a scenario is called in names of files and tables."""
    if isinstance(scenario, str):
        return Path(scenario).stem
    return "default" if scenario is None else "custom"


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment and check every part of it before anything is trained.

    A scenario's file is looked for beside the experiment's.

    Raises
    ------
    ScenarioError
        The file cannot be read, a field is wrong, or an environment, scenario, algorithm or
        hyperparameter does not exist or has no possible value; the message names it.
    """
    path = Path(path)
    experiment = validated(Experiment, read_mapping(path), str(path))
    problems = [
        problem.model_copy(update=_beside(path, problem)) for problem in experiment.problems
    ]
    experiment = experiment.model_copy(update={"problems": problems})
    try:
        _ = experiment.runs
    except ValueError as error:
        raise ScenarioError(f"{path}: {error}") from error
    return experiment


def _beside(path: Path, problem: Problem) -> dict[str, Any]:
    """Return the fields of a problem that name files, which are looked for beside the experiment's."""

    def found(source: Any) -> Any:
        if isinstance(source, list):
            return [found(one) for one in source]
        if isinstance(source, str) and source.endswith(SUFFIXES):
            return str(path.parent / source)
        return source

    fields: dict[str, Any] = {}
    if isinstance(problem.scenario, str):
        fields["scenario"] = found(problem.scenario)
    if problem.held_out is not None:
        sets = {name: found(source) for name, source in problem.held_out.sets.items()}
        fields["held_out"] = problem.held_out.model_copy(update={"sets": sets})
    return fields


def _resolve(problem: Problem, algorithm: str, training: Training) -> dict[str, Any]:
    """Return the fields of the runs of one algorithm on one problem, without those of a single run."""
    try:
        if problem.env_id not in qc_gym.ENVIRONMENTS:
            known = close_names(problem.env_id, list(qc_gym.ENVIRONMENTS))
            raise ScenarioError(f"unknown env_id {problem.env_id!r}; {known}")
        entry = find_algorithm(algorithm)
        total_timesteps, num_envs, hyperparameters = entry.settle(
            training.total_timesteps, training.num_envs, training.hyperparameters
        )
        entry.check_rollout(num_envs, hyperparameters)
        check_exploring_starts(training.exploring_starts, problem.observation, training.frames)
        inner = make_env(problem).unwrapped
        assert isinstance(inner, QCEnv)
        scenario, held_out = _scored_on(problem, inner.scenarios)
    except ValueError as error:
        raise ScenarioError(f"{problem.env_id}, {algorithm}: {error}") from error
    return {
        **training.model_dump(),
        "env_id": problem.env_id,
        "scenario": scenario,
        "scenario_name": scenario_name(problem.scenario),
        "observation": problem.observation,
        "algorithm": algorithm,
        "total_timesteps": total_timesteps,
        "num_envs": num_envs,
        "hyperparameters": hyperparameters,
        "held_out": held_out,
    }


def _scored_on(
    problem: Problem, scenarios: Scenario | ScenarioRange
) -> tuple[dict[str, Any], HeldOut | None]:
    """Return the fields of a scenario or a range, and what agents that are trained on it are scored on."""
    fields = fields_of(scenarios)
    if isinstance(scenarios, ScenarioRange):
        held_out = problem.held_out or HeldOut(sets={scenario_name(problem.scenario): fields})
        return fields, held_out.resolved(problem.env_id, scenarios)
    if problem.held_out is not None:
        raise ScenarioError("held_out: goes with a range of scenarios")
    return fields, None


def make_env(run: Run | Problem) -> gym.Env[Any, Any]:
    """Return the scalar environment of a run.

    Raises
    ------
    ScenarioError
        The scenario cannot be used.
    """
    return gym.make(run.env_id, scenario=run.scenario, observation=run.observation)


def write_manifest(experiment: Experiment, folder: str | Path) -> None:
    """Write which runs an experiment consists of, whole or not at all, for its report to read.

    Written before the first run: a report of an experiment that was broken off names what is missing.
    """
    version, code = code_version()
    content = {
        "experiment": experiment.model_dump(),
        "version": version,
        "code": code,
        "runs": [run.name for run in experiment.runs],
    }
    write_whole(Path(folder) / MANIFEST, json.dumps(content, indent=2) + "\n")
