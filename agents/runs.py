"""Carrying out the runs of an experiment: training, exact score, and a folder for each."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.managers import SyncManager
from pathlib import Path
from typing import Any

import gymnasium as gym

import baselines
from agents.callbacks import ExactRegret, write_curve
from agents.experiment import Run, code_version, make_env
from agents.files import sha256, write_whole
from agents.held_out import COLUMNS as HELD_OUT_COLUMNS
from agents.held_out import mean_score, score_rows, score_sets
from agents.policies import DESCRIPTION, WEIGHTS, save_policy
from agents.tables import format_csv
from agents.training import torch_threads, train
from baselines import Score, Scores
from qc_gym.core.env import QCEnv
from qc_gym.core.ranges import ScenarioRange

RUN, CURVE, HELD_OUT = "run.json", "curve.csv", "held_out.csv"
_PARTIAL, _CHECKPOINT = ".partial-", ".checkpoint-"
"""How the names begin of folders that are being written, and of the state of trainings broken off."""


def carry_out(
    runs: Iterable[Run],
    folder: str | Path,
    *,
    workers: int = 1,
    fresh: bool = False,
    replay: bool = False,
    found: Callable[[str], None] = lambda name: None,
    report: Callable[[str, int, float], None] = lambda name, timesteps, normalised: None,
    finished: Callable[[str, dict[str, Any]], None] = lambda name, result: None,
    failed: Callable[[str, str], None] = lambda name, message: None,
) -> tuple[list[Path], dict[str, str]]:
    """Train runs and leave a folder for each, but for those whose folder is there, whole.

    A folder's name tells the configuration and the code of its run. A run that fails does not stop the
    others. Nor does one whose process is ended from outside: it is begun again once, alone, as are the runs
    that were beside it.

    A run's folder appears when the run is complete, and replaces an earlier one of the same name.

    Parameters
    ----------
    runs
        What to train; see :attr:`agents.experiment.Experiment.runs`.
    folder
        Where the folders of the runs go; made if missing.
    workers
        Trainings that run at the same time, each in a process of its own.
    fresh
        Whether to train those again whose folder is there.
    replay
        Whether the state of trainings that are broken off holds replay buffers; without, those of
        algorithms that have one begin again.
    found
        Called with the name of each whose folder was there.
    report
        Called with a run's name, its steps so far and its last normalised score.
    finished
        Called with a run's name and its result.
    failed
        Called with a run's name and what went wrong.

    Returns
    -------
    folders, failures
        The folders of the finished runs, in the order given; what went wrong with the others, by name.
    """
    runs, folder = list(runs), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    failures: dict[str, str] = {}

    def end(name: str, future: Future[dict[str, Any]]) -> None:
        error = future.exception()
        if error is None:
            finished(name, future.result())
        else:
            failures[name] = f"{type(error).__name__}: {error}"
            failed(name, failures[name])

    _clear(folder, {run.name for run in runs}, fresh)
    waiting: deque[Run] = deque()
    for run in runs:
        if not fresh and is_whole(folder / run.name):
            _checkpoint_of(run, folder).unlink(missing_ok=True)
            found(run.name)
        else:
            waiting.append(run)
    suspects: deque[Run] = deque()
    while waiting:
        suspects += _use_pool(waiting, workers, folder, replay, report, end)
    # A worker that is ended from outside (out of memory, most often) takes those beside it along:
    # each once more, now alone, so that it is seen which one cannot be carried out.
    while suspects:
        for run in _use_pool(suspects, 1, folder, replay, report, end):
            failures[run.name] = "its process was ended from outside, twice; out of memory?"
            failed(run.name, failures[run.name])
    return [folder / run.name for run in runs if run.name not in failures], failures


def _clear(folder: Path, names: Container[str], fresh: bool) -> None:
    """Remove what runs that were ended from outside left behind, and no training will go on from."""
    for torn in folder.glob(f"{_PARTIAL}*"):
        shutil.rmtree(torn, ignore_errors=True)
    for checkpoint in folder.glob(f"{_CHECKPOINT}*"):
        if fresh or checkpoint.stem.removeprefix(_CHECKPOINT) not in names:
            checkpoint.unlink(missing_ok=True)


def _checkpoint_of(run: Run, folder: Path) -> Path:
    return folder / f"{_CHECKPOINT}{run.name}.npz"


def _use_pool(
    waiting: deque[Run],
    workers: int,
    folder: Path,
    replay: bool,
    report: Callable[[str, int, float], None],
    end: Callable[[str, Future[dict[str, Any]]], None],
) -> list[Run]:
    """Carry out runs from the front until none waits or a worker died; return those then lost."""
    running: dict[str, tuple[Run, Future[dict[str, Any]]]] = {}
    lost: list[Run] = []
    broken = False
    with worker_processes(workers) as (submit, manager):
        # One queue for all: a worker's (name, timesteps, normalised), and a run's name at its end.
        messages = manager.Queue()
        while True:
            # Never more than there are workers: what runs can then be told from what waits.
            while waiting and not broken and len(running) < workers:
                try:
                    future = submit(train_run, waiting[0], folder, messages, replay)
                except BrokenProcessPool:
                    broken = True
                    break
                run = waiting.popleft()
                running[run.name] = run, future
                future.add_done_callback(partial(tell_end, messages, run.name))
            if not running:
                return lost
            message = messages.get()
            if not isinstance(message, str):
                report(*message)
                continue
            run, future = running.pop(message)
            if isinstance(future.exception(), BrokenProcessPool):
                broken = True
                lost.append(run)
            else:
                end(run.name, future)


@contextmanager
def worker_processes(
    workers: int,
) -> Iterator[tuple[Callable[..., Future[Any]], SyncManager]]:
    """Give processes to submit calls to, and a manager for the queues between them and this one.

    Ctrl-C is for this process alone to answer; whatever goes wrong in the block ends the others at once.
    """
    context = multiprocessing.get_context("spawn")
    with _ending_children():
        manager = SyncManager(ctx=context)
        with _deaf_to_interrupts():
            manager.start(end_with_parent)
        with (
            manager,
            ProcessPoolExecutor(workers, context, initializer=end_with_parent) as pool,
            # Here too: the pool would wait for the trainings that are under way.
            _ending_children(),
        ):

            def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
                with _deaf_to_interrupts():
                    return pool.submit(function, *arguments)

            yield submit, manager


@contextmanager
def _ending_children() -> Iterator[None]:
    """End the processes that are started here if anything goes wrong, and wait for none of them."""
    others = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Have processes that are started here ignore Ctrl-C, from their first moment on.

    It goes to all processes of a terminal, and is for the parent alone to answer: one that comes
    meanwhile waits until they are started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which unblocks the signal when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however that came about.

    A parent that is killed cannot tell its workers to end, and they would train on for hours.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def tell_end(messages: Any, name: str, future: Future[Any]) -> None:
    """Put the name of what has ended into the queue of messages."""
    if not future.cancelled():
        messages.put(name)


@torch_threads(1)
def train_run(run: Run, folder: Path, messages: Any = None, replay: bool = False) -> dict[str, Any]:
    """Train one run, score it exactly and write its folder. Return what ``run.json`` holds.

    A training that was broken off goes on from its last checkpoint, to the same agent.

    With the run's own number of threads, so that the result does not depend on how the work was divided.
    """
    env = make_env(run)
    curve = _Messages(env, run, messages)
    checkpoint = _checkpoint_of(run, folder)
    model = train(
        run.algorithm,
        run.env_id,
        scenario=run.scenario,
        observation=run.observation,
        seed=run.seed,
        total_timesteps=run.total_timesteps,
        num_envs=run.num_envs,
        hyperparameters=run.hyperparameters,
        threads=run.threads,
        callback=curve,
        # The scenarios that a range has drawn are no arrays: broken off, such a training begins again.
        checkpoint=None if run.held_out is not None else checkpoint,
        replay=replay,
    )
    version, code = code_version()
    held_out = _held_out_scores(run, model)
    score = mean_score(next(iter(held_out.values()))) if held_out else baselines.score(env, model)
    result = {
        "run": run.model_dump(),
        "version": version,
        "code": code,
        "score": asdict(score),
        "seconds": curve.rows[-1]["seconds"],
    }
    partial = Path(tempfile.mkdtemp(dir=folder, prefix=_PARTIAL))
    partial.chmod(folder.stat().st_mode)  # mkdtemp keeps it to its owner
    try:
        save_policy(model, partial, policy_description(run, env))
        write_curve(curve.rows, partial / CURVE)
        if held_out:
            rows = score_rows(held_out, _range_of(env))
            write_whole(partial / HELD_OUT, format_csv(rows, HELD_OUT_COLUMNS))
        seal(partial, result)
        shutil.rmtree(folder / run.name, ignore_errors=True)
        partial.rename(folder / run.name)
        checkpoint.unlink(missing_ok=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result


def _held_out_scores(run: Run, model: Any) -> dict[str, Scores]:
    """Return the scores of an agent that was trained on a range, by the sets that it is scored on."""
    if run.held_out is None:
        return {}
    return score_sets(run.env_id, run.held_out, model, run.observation, run.scenario)


def _range_of(env: gym.Env[Any, Any]) -> ScenarioRange:
    inner = env.unwrapped
    assert isinstance(inner, QCEnv)
    assert isinstance(inner.scenarios, ScenarioRange)
    return inner.scenarios


def seal(folder: Path, result: dict[str, Any]) -> None:
    """Write ``run.json`` beside the other files of a run, with the digests of all."""
    names = sorted(path.name for path in folder.iterdir() if path.name != RUN)
    result["files"] = {name: sha256((folder / name).read_bytes()) for name in names}
    result["digest"] = digest(result)
    write_whole(folder / RUN, json.dumps(result, indent=2) + "\n")


def digest(result: Mapping[str, Any]) -> str:
    """Return the digest of what ``run.json`` holds, its own left out."""
    rest = {name: value for name, value in result.items() if name != "digest"}
    return sha256(json.dumps(rest, sort_keys=True).encode())


def check_seal(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` holds.

    Raises
    ------
    OSError, LookupError, TypeError, ValueError
        A file is missing or is not what the training wrote; the message names it.
    """
    result = json.loads((folder / RUN).read_text(encoding="utf-8"))
    if result["digest"] != digest(result):
        raise ValueError(f"{RUN} is not what the training wrote; train it again")
    for name, wanted in result["files"].items():
        if Path(name).name != name or sha256((folder / name).read_bytes()) != wanted:
            raise ValueError(f"{name} is not what the training wrote; train it again")
    if missing := {CURVE, DESCRIPTION, WEIGHTS} - set(result["files"]):
        raise ValueError(f"{', '.join(sorted(missing))}: missing; train it again")
    return dict(result)


def is_whole(folder: Path) -> bool:
    """Return whether a folder is that of a finished run, as its training wrote it."""
    try:
        check_seal(folder)
    except (OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError):
        return False
    return True


class _Messages(ExactRegret):
    """The exact curve, told to the process that shows the progress."""

    def __init__(self, env: Any, run: Run, messages: Any) -> None:
        drawn = (
            {}
            if run.held_out is None
            else {"count": run.held_out.curve_count, "seed": run.held_out.seed}
        )
        super().__init__(env, max(1, run.total_timesteps // run.scores), **drawn)
        self._name = run.name
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
    is_range = isinstance(inner.scenarios, ScenarioRange)
    return {
        "algorithm": run.algorithm,
        "hyperparameters": run.hyperparameters,
        "env_id": run.env_id,
        "scenario": run.scenario if is_range else inner.scenario.model_dump(mode="json"),
        "observation": run.observation,
    }
