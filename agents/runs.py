"""Carrying out the runs of an experiment: training, exact score, and a folder for each."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym

import baselines
from agents.callbacks import ExactRegret, curve_csv
from agents.engines import ONE_PROCESS, Engine, holding_interrupts, tell_end
from agents.experiment import Run, code_version, make_env
from agents.files import MAX_TEXT, read_json, sha256
from agents.held_out import COLUMNS as HELD_OUT_COLUMNS
from agents.held_out import mean_score, score_rows, score_sets
from agents.machine import machine
from agents.policies import DESCRIPTION, WEIGHTS, as_played, policy_files
from agents.tables import format_csv
from agents.training import torch_threads, train
from baselines import Score, Scores
from baselines.core.store import Store, using
from qc_gym.core.env import QCEnv
from qc_gym.core.errors import shown
from qc_gym.core.files import read_bounded
from qc_gym.core.folders import remove_partial, whole_folder
from qc_gym.core.ranges import ScenarioRange

RUN, CURVE, HELD_OUT = "run.json", "curve.csv", "held_out.csv"
_MOST = {CURVE: MAX_TEXT, HELD_OUT: MAX_TEXT, DESCRIPTION: MAX_TEXT, WEIGHTS: 100_000_000}
"""Largest files of a run beside ``run.json``, in bytes."""
_CHECKPOINT = ".checkpoint-"
"""How the names begin of the state of trainings broken off."""


def carry_out(
    runs: Iterable[Run],
    folder: str | Path,
    *,
    engine: Engine = ONE_PROCESS,
    fresh: bool = False,
    replay: bool = False,
    optima: Store | None = None,
    found: Callable[[str], None] = lambda name: None,
    report: Callable[[str, int, float], None] = lambda name, timesteps, normalised: None,
    finished: Callable[[str, dict[str, Any]], None] = lambda name, result: None,
    failed: Callable[[str, str], None] = lambda name, message: None,
) -> tuple[list[Path], dict[str, str]]:
    """Train runs and leave a folder for each, but for those whose folder is there, whole.

    A folder's name tells the configuration and the code of its run. A run that fails, or whose folder
    cannot be written, does not stop the others. Nor does one whose process is ended from outside: it is
    begun again once, alone, as are the runs that were beside it.

    A run's folder appears when the run is complete, and replaces an earlier one of the same name.

    Parameters
    ----------
    runs
        What to train; see :attr:`agents.experiment.Experiment.runs`.
    folder
        Where the folders of the runs go; made if missing.
    engine
        Where they are trained. A training that is broken off goes on only in a process of this machine:
        elsewhere it begins again.
    fresh
        Whether to train those again whose folder is there.
    replay
        Whether the state of trainings that are broken off holds replay buffers; without, those of
        algorithms that have one begin again.
    optima
        Where large optima are kept, for the trainings of this machine to share.
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

    def end(run: Run, future: Future[Files]) -> None:
        try:
            result = write_run(future.result(), run, folder)
        except Exception as error:
            failures[run.name] = f"{type(error).__name__}: {error}"
            failed(run.name, failures[run.name])
        else:
            finished(run.name, result)

    _clear(folder, {run.name for run in runs}, fresh)
    if optima is not None:
        optima.tidy()
    waiting: deque[Run] = deque()
    for run in runs:
        if not fresh and is_whole(folder / run.name):
            checkpoint_of(run, folder).unlink(missing_ok=True)
            found(run.name)
        else:
            waiting.append(run)
    suspects: deque[Run] = deque()
    while waiting:
        suspects += _use(engine, waiting, folder, replay, optima, report, end)
    # A worker that is ended from outside (out of memory, most often) takes those beside it along:
    # each once more, now alone, so that it is seen which one cannot be carried out.
    while suspects:
        for run in _use(ONE_PROCESS, suspects, folder, replay, optima, report, end):
            failures[run.name] = "its process was ended from outside, twice; out of memory?"
            failed(run.name, failures[run.name])
    return [folder / run.name for run in runs if run.name not in failures], failures


def _clear(folder: Path, names: Container[str], fresh: bool) -> None:
    """Remove what runs that were ended from outside left behind, and no training will go on from."""
    remove_partial(folder)
    for checkpoint in folder.glob(f"{_CHECKPOINT}*"):
        if fresh or checkpoint.stem.removeprefix(_CHECKPOINT) not in names:
            checkpoint.unlink(missing_ok=True)


def checkpoint_of(run: Run, folder: Path) -> Path:
    """Return the file that holds the state of a training whose run goes into ``folder``."""
    return folder / f"{_CHECKPOINT}{run.name}.npz"


def _use(
    engine: Engine,
    waiting: deque[Run],
    folder: Path,
    replay: bool,
    optima: Store | None,
    report: Callable[[str, int, float], None],
    end: Callable[[Run, Future[Files]], None],
) -> list[Run]:
    """Carry out runs from the front until none waits or a worker died; return those then lost."""
    running: dict[str, tuple[Run, Future[Files]]] = {}
    lost: list[Run] = []
    broken = False
    with engine() as workers, _keeping(running, end):
        # One queue for all: a worker's (name, timesteps, normalised), and a run's name at its end.
        messages = workers.queue()
        while True:
            # Never more than there are workers: what runs can then be told from what waits.
            while waiting and not broken and len(running) < workers.number():
                run = waiting[0]
                # Elsewhere there is none of the folders of this machine.
                checkpoint, store = (
                    (checkpoint_of(run, folder), optima) if workers.is_here else (None, None)
                )
                try:
                    future = workers.submit(train_run, run, checkpoint, messages, replay, store)
                except BrokenProcessPool:
                    broken = True
                    break
                waiting.popleft()
                running[run.name] = run, future
                future.add_done_callback(partial(tell_end, messages, run.name))
            if not running:
                return lost
            message = messages.get()
            if not isinstance(message, str):
                report(*message)
                continue
            with holding_interrupts():  # or what was trained would be lost
                run, future = running.pop(message)
                if isinstance(future.exception(), BrokenProcessPool):
                    broken = True
                    lost.append(run)
                else:
                    end(run, future)


@contextmanager
def _keeping(
    running: Mapping[str, tuple[Run, Future[Files]]], end: Callable[[Run, Future[Files]], None]
) -> Iterator[None]:
    """Whatever breaks the block off: end the runs that were trained meanwhile."""
    try:
        yield
    except BaseException:
        with holding_interrupts():
            for run, future in running.values():
                if future.done() and not future.cancelled() and future.exception() is None:
                    end(run, future)
        raise


Files = dict[str, bytes]
"""The files of a finished run by name."""


@torch_threads(1)
def train_run(
    run: Run,
    checkpoint: Path | None = None,
    messages: Any = None,
    replay: bool = False,
    optima: Store | None = None,
) -> Files:
    """Train one run and score it exactly. Return the files of its folder: a pure function of the run.

    With the run's own number of threads, so that the result does not depend on how the work was divided.

    Parameters
    ----------
    checkpoint
        The file in which the training keeps its state, and from which it goes on, to the same agent, if it
        was broken off; None for no such file.
    messages
        A queue that is told how far it has come: (name, timesteps, normalised).
    replay, optima
        See :func:`carry_out`.
    """
    env = make_env(run)
    curve = _Messages(env, run, messages)
    with using(optima):
        model = train(**run.training, callback=curve, checkpoint=checkpoint, replay=replay)
        agent = as_played(model, run.frames)
        held_out = _held_out_scores(run, agent)
        score = (
            mean_score(next(iter(held_out.values()))) if held_out else baselines.score(env, agent)
        )
    version, code = code_version()
    result = {
        "run": run.model_dump(),
        "version": version,
        "code": code,
        "machine": machine(),
        "score": asdict(score),
        "seconds": curve.rows[-1]["seconds"],
    }
    files = policy_files(model)
    files[CURVE] = curve_csv(curve.rows).encode()
    if held_out:
        rows = score_rows(held_out, _range_of(env))
        files[HELD_OUT] = format_csv(rows, HELD_OUT_COLUMNS).encode()
    return sealed(files, result)


def write_run(files: Files, run: Run, folder: Path) -> dict[str, Any]:
    """Write the folder of a finished run into ``folder``, whole or not at all; return its result.

    It replaces an earlier one of the same name. What the training could have gone on from is removed.

    Raises
    ------
    OSError
        It cannot be written; the error names it. The training's last state is then still there.
    """
    with whole_folder(folder / run.name) as partial:
        for name, content in files.items():
            (partial / name).write_bytes(content)
    checkpoint_of(run, folder).unlink(missing_ok=True)
    return dict(json.loads(files[RUN]))


def sealed(files: Files, result: Mapping[str, Any]) -> Files:
    """Return the files of a run with ``run.json``: its result, and the digests of all."""
    content = {**result, "files": {name: sha256(files[name]) for name in sorted(files)}}
    content["digest"] = digest(content)
    return {**files, RUN: (json.dumps(content, indent=2) + "\n").encode()}


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


def digest(result: Mapping[str, Any]) -> str:
    """Return the digest of what ``run.json`` holds, its own left out."""
    rest = {name: value for name, value in result.items() if name != "digest"}
    return sha256(json.dumps(rest, sort_keys=True).encode())


def check_seal(folder: Path) -> dict[str, Any]:
    """Return what ``run.json`` holds.

    Raises
    ------
    OSError, LookupError, TypeError, ValueError
        A file is missing, too large or not what the training wrote; the message names it.
    """
    result = read_json(folder / RUN)
    if result["digest"] != digest(result):
        raise ValueError(f"{RUN} is not what the training wrote; train it again")
    for name, wanted in result["files"].items():
        if name not in _MOST or sha256(read_bounded(folder / name, _MOST[name])) != wanted:
            raise ValueError(f"{shown(name)} is not what the training wrote; train it again")
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
