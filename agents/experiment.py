"""Experiments: which agents to train on which environments, and how their runs are carried out."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import gymnasium as gym
import torch
from pydantic import Field, model_validator

import baselines
import qc_gym
from agents.algorithms import arguments, find_algorithm
from agents.callbacks import ExactRegret, write_curve
from agents.policies import save_policy
from agents.training import train
from baselines import Score
from qc_gym.core.env import QCEnv
from qc_gym.core.scenario import (
    Record,
    ScenarioError,
    ScenarioRange,
    close_names,
    read_mapping,
    validated,
)

Count = Annotated[int, Field(ge=1)]
RUN, CURVE = "run.json", "curve.csv"


class Training(Record):
    """How one algorithm is trained: what :func:`agents.train` takes; None is its default."""

    total_timesteps: Count | None = None
    num_envs: Count | None = None
    reward_scale: Annotated[float, Field(gt=0)] | None = None
    hyperparameters: dict[str, Any] = {}


class Problem(Record):
    """An environment with its scenario, and the algorithms to train on it."""

    env_id: str
    scenario: str | dict[str, Any] | None = None
    observation: Literal["belief", "outcome"] = "belief"
    algorithms: Annotated[dict[str, Training], Field(min_length=1)]


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
        Trainings that run at the same time, one thread each.
    problems
        What is trained.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    scores: Count = 40
    workers: Count = 2
    problems: Annotated[list[Problem], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {self.seeds}: each may be listed once")
        titles: list[tuple[str, str, str]] = []
        for i, problem in enumerate(self.problems):
            title = problem.env_id, scenario_name(problem.scenario), problem.observation
            if title in titles:
                raise ValueError(
                    f"problems.{i}: is called {', '.join(title)} as problems.{titles.index(title)} "
                    "is; list all algorithms of a problem in one place, and give each scenario of "
                    "your own a file, which names it"
                )
            titles.append(title)
        return self


class Run(Record):
    """One training of an experiment, fully resolved."""

    env_id: str
    scenario: str | dict[str, Any] | None
    observation: Literal["belief", "outcome"]
    algorithm: str
    seed: int
    scores: int
    total_timesteps: int
    num_envs: int
    reward_scale: float | None
    hyperparameters: dict[str, Any]

    @property
    def scenario_name(self) -> str:
        """The scenario's name, or ``custom``."""
        return scenario_name(self.scenario)

    @property
    def name(self) -> str:
        """Name of the run's folder: what it is, and a hash of its configuration and the version."""
        content = json.dumps([self.model_dump(), qc_gym.__version__], sort_keys=True)
        digest = hashlib.sha256(content.encode()).hexdigest()[:8]
        env = self.env_id.split("/")[-1]
        return f"{env}-{self.scenario_name}-{self.algorithm}-{self.seed}-{digest}"


def scenario_name(scenario: str | Mapping[str, Any] | None) -> str:
    """Return what a scenario is called in names of files and tables."""
    if isinstance(scenario, str):
        return Path(scenario).stem
    return "default" if scenario is None else "custom"


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment and check every part of it before anything is trained.

    Raises
    ------
    ScenarioError
        The file cannot be read, a field is wrong, or an environment, scenario, algorithm or
        hyperparameter does not exist; the message names it.
    """
    path = Path(path)
    experiment = validated(Experiment, read_mapping(path), str(path))
    for run in runs_of(experiment, where=str(path)):
        try:
            make_env(run).close()
            find_algorithm(run.algorithm).hyperparameters(run.hyperparameters)
            arguments(run.hyperparameters)
        except ValueError as error:
            raise ScenarioError(f"{path}: {run.env_id}, {run.algorithm}: {error}") from error
    return experiment


def runs_of(experiment: Experiment, where: str = "experiment") -> Iterator[Run]:
    """Yield the runs of an experiment, seeds innermost.

    Raises
    ------
    ScenarioError
        An unknown environment or algorithm.
    """
    for problem in experiment.problems:
        if problem.env_id not in qc_gym.ENVIRONMENTS:
            known = close_names(problem.env_id, list(qc_gym.ENVIRONMENTS))
            raise ScenarioError(f"{where}: unknown env_id {problem.env_id!r}; {known}")
        for algorithm, training in problem.algorithms.items():
            try:
                entry = find_algorithm(algorithm)
                hyperparameters = entry.hyperparameters(training.hyperparameters)
            except ValueError as error:
                raise ScenarioError(f"{where}: {problem.env_id}: {error}") from error
            for seed in experiment.seeds:
                yield Run(
                    env_id=problem.env_id,
                    scenario=problem.scenario,
                    observation=problem.observation,
                    algorithm=algorithm,
                    seed=seed,
                    scores=experiment.scores,
                    total_timesteps=training.total_timesteps or entry.total_timesteps,
                    num_envs=training.num_envs or entry.num_envs,
                    reward_scale=training.reward_scale,
                    hyperparameters=hyperparameters,
                )


def make_env(run: Run | Problem) -> gym.Env[Any, Any]:
    """Return the scalar environment of a run.

    Raises
    ------
    ScenarioError
        The scenario cannot be used, or is a range.
    """
    env = gym.make(run.env_id, scenario=run.scenario, observation=run.observation)
    assert isinstance(env.unwrapped, QCEnv)
    if isinstance(env.unwrapped.scenarios, ScenarioRange):
        raise ScenarioError("scenario: is a range, which has no one optimum to score against")
    return env


def carry_out(
    experiment: Experiment,
    folder: str | Path,
    report: Callable[[str, int, float], None] = lambda name, timesteps, normalised: None,
    finished: Callable[[str, dict[str, Any]], None] = lambda name, result: None,
) -> list[Path]:
    """Train every run of an experiment and leave a folder for each.

    A run's folder appears when the run is complete, and replaces an earlier one of the same name.

    Parameters
    ----------
    folder
        Where the folders of the runs go; made if missing.
    report
        Called with a run's name, its steps so far and its last normalised score.
    finished
        Called with a run's name and its result.

    Returns
    -------
    list of Path
        The runs' folders, in the order of the experiment.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    runs = list(runs_of(experiment))
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(experiment.workers, context) as pool:
        messages = manager.Queue()
        futures: dict[Future[dict[str, Any]], Run] = {
            pool.submit(train_run, run, folder, messages): run for run in runs
        }
        try:
            waiting = set(futures)
            while waiting:
                _drain(messages, report)
                done = {future for future in waiting if future.done()}
                for future in as_completed(done):
                    finished(futures[future].name, future.result())
                waiting -= done
                time.sleep(0.2)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [folder / run.name for run in runs]


def _drain(messages: Any, report: Callable[[str, int, float], None]) -> None:
    while not messages.empty():
        report(*messages.get())


def train_run(run: Run, folder: Path, messages: Any = None) -> dict[str, Any]:
    """Train one run, score it exactly and write its folder. Return what ``run.json`` holds.

    One thread, so that the result does not depend on how the work was divided.
    """
    torch.set_num_threads(1)
    env = make_env(run)
    curve = _Messages(env, max(1, run.total_timesteps // run.scores), run.name, messages)
    model = train(
        run.algorithm,
        run.env_id,
        scenario=run.scenario,
        observation=run.observation,
        seed=run.seed,
        total_timesteps=run.total_timesteps,
        num_envs=run.num_envs,
        hyperparameters=run.hyperparameters,
        reward_scale=run.reward_scale,
        callback=curve,
    )
    result = {
        "run": run.model_dump(),
        "version": qc_gym.__version__,
        "score": asdict(baselines.score(env, model)),
        "seconds": curve.rows[-1]["seconds"],
    }
    partial = Path(tempfile.mkdtemp(dir=folder, prefix=".partial-"))
    partial.chmod(folder.stat().st_mode)  # mkdtemp keeps it to its owner
    try:
        save_policy(model, partial, policy_description(run, env))
        write_curve(curve.rows, partial / CURVE)
        (partial / RUN).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(folder / run.name, ignore_errors=True)
        partial.rename(folder / run.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result


class _Messages(ExactRegret):
    """The exact curve, told to the process that shows the progress."""

    def __init__(self, env: Any, every: int, name: str, messages: Any) -> None:
        super().__init__(env, every)
        self._name = name
        self._messages = messages

    def measure(self) -> Score:
        score = super().measure()
        if self._messages is not None:
            self._messages.put((self._name, self.num_timesteps, score.normalised))
        return score


def policy_description(run: Run, env: gym.Env[Any, Any]) -> dict[str, Any]:
    """Return what :func:`agents.save_policy` needs to know of a run."""
    inner = env.unwrapped
    assert isinstance(inner, QCEnv)
    return {
        "algorithm": run.algorithm,
        "hyperparameters": run.hyperparameters,
        "env_id": run.env_id,
        "scenario": inner.scenario.model_dump(mode="json"),
        "observation": run.observation,
    }
