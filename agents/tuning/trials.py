"""The search: trials in processes of their own, told to a study by the one that started them."""

from __future__ import annotations

import json
import math
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

import baselines
from agents.callbacks import ExactRegret
from agents.engines import ONE_PROCESS, Engine, Workers, holding_interrupts, tell_end
from agents.experiment import Run, make_env
from agents.training import train
from agents.tuning.study import (
    ERROR,
    HEARTBEAT,
    SCORES,
    Objective,
    Tuning,
    best_trial,
    ended,
    naming,
    open_study,
    quiet,
    try_again,
    worth,
    write_best,
)

if TYPE_CHECKING:
    import optuna

LOST = "its process was ended from outside, twice; out of memory?"


class Progress(Protocol):
    """What is told of a search while it runs; :class:`agents.cli.board.Board` shows it."""

    def add(self, name: str, total: int) -> None:
        """Take in a trial of so many steps."""

    def show(self, name: str, timesteps: int, normalised: float) -> None:
        """Take in how far it has come, and its last score."""

    def finish(self, name: str, result: Mapping[str, Any]) -> None:
        """Take in its mean score and seconds."""

    def drop(self, name: str, message: str) -> None:
        """Take in that it was pruned."""

    def fail(self, name: str, message: str) -> None:
        """Take in that it failed, and why."""


class PrunedError(Exception):
    """A trial that would not be among the best."""


@dataclass
class _Trial:
    """A trial that is under way."""

    trial: optuna.Trial
    runs: Sequence[Run]
    answers: Any
    future: Future[list[float]]
    began: float = field(default_factory=time.perf_counter)

    @property
    def name(self) -> str:
        return f"trial {self.trial.number}"


def search(
    tuning: Tuning,
    path: str | Path,
    out: str | Path,
    progress: Progress,
    *,
    trials: int | None = None,
    seconds: float | None = None,
    engine: Engine = ONE_PROCESS,
    seed: int = 0,
) -> optuna.Study:
    """Search until so many trials have ended, those of earlier searches included, or time is up.

    A trial that is broken off (Ctrl-C, a process that was killed) is not lost: it is the next of
    the next search. One that fails is noted as failed, with its error, and the rest goes on.

    Parameters
    ----------
    tuning
        What to search for.
    path
        SQLite file of the study. Processes that search at the same time may share it.
    out
        Where the best configuration is written, each time that a better one is found.
    progress
        Is told of each trial.
    trials
        That the study is to hold in the end, whether completed, pruned or failed.
    seconds
        After which no trial is begun any more.
    engine
        Where trials are carried out, as many at the same time as it has workers.
    seed
        Of the sampler. One trial at a time, the same seed makes the same search, broken off by Ctrl-C
        or not.

    Raises
    ------
    OSError
        The study or the configuration cannot be written.
    ModuleNotFoundError
        Optuna is not installed.
    """
    study = open_study(tuning, path)
    with naming(path):
        one = _Search(tuning, study, Path(out), progress, trials, seconds, engine, seed)
        try:
            while one.may_begin():
                one.use_pool()
        except BaseException:
            one.break_off()
            raise
    return study


class _Search:
    def __init__(
        self,
        tuning: Tuning,
        study: optuna.Study,
        out: Path,
        progress: Progress,
        trials: int | None,
        seconds: float | None,
        engine: Engine,
        seed: int,
    ) -> None:
        self._tuning = tuning
        self._study = study
        self._out = out
        self._progress = progress
        self._most = math.inf if trials is None else trials
        self._until = math.inf if seconds is None else time.monotonic() + seconds
        self._engine = engine
        self._seed = seed
        self._running: dict[int, _Trial] = {}
        self._lost: set[str] = set()
        self._beat = time.monotonic()

    def may_begin(self) -> bool:
        """Return whether another trial is to be begun."""
        if time.monotonic() >= self._until:
            return False
        return len(ended(self._study)) + len(self._running) < self._most

    def use_pool(self) -> None:
        """Carry out trials until none is to be begun, or a worker died and all have ended."""
        alone, broken = self._has_suspects(), False
        with (ONE_PROCESS if alone else self._engine)() as workers:
            messages = workers.queue()
            while True:
                with holding_interrupts():
                    while not broken and self._may_begin_now(workers):
                        if alone and not self._has_suspects():
                            break
                        broken = not self._begin(workers, messages)
                    if not self._running:
                        return
                    if time.monotonic() >= self._beat:
                        self._keep_alive()
                try:
                    message = messages.get(timeout=HEARTBEAT / 2)
                except queue.Empty:
                    continue
                with holding_interrupts():
                    if isinstance(message, str):
                        one = self._running.pop(int(message))
                        broken |= isinstance(one.future.exception(), BrokenProcessPool)
                        self._end(one)
                    elif message[0] in self._running:
                        self._judge(*message)

    def break_off(self) -> None:
        """Note the trials that are under way as broken off, to be tried again."""
        for one in self._running.values():
            self._try_again(one.trial)

    def _has_suspects(self) -> bool:
        """Return whether a trial waits whose process was ended from outside, to be tried alone."""
        from optuna.trial import TrialState

        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        fixed = (trial.system_attrs.get("fixed_params", {}) for trial in waiting)
        return any(_configuration(parameters) in self._lost for parameters in fixed)

    def _may_begin_now(self, workers: Workers) -> bool:
        return len(self._running) < workers.number() and self.may_begin()

    def _begin(self, workers: Workers, messages: Any) -> bool:
        """Begin a trial; return whether there are processes for it."""
        trial = self._ask()
        name = f"trial {trial.number}"
        self._progress.add(name, self._tuning.total_timesteps * len(self._tuning.seeds))
        try:
            runs = self._tuning.candidate(trial.params).runs
        except ValueError as error:
            self._fail(trial, name, str(error))
            return True
        answers = workers.queue()
        try:
            future = workers.submit(
                carry_out_trial, trial.number, runs, self._tuning.objective, messages, answers
            )
        except BrokenProcessPool:
            self._lose(trial, name)
            return False
        self._running[trial.number] = _Trial(trial, runs, answers, future)
        future.add_done_callback(partial(tell_end, messages, str(trial.number)))
        return True

    def _ask(self) -> optuna.Trial:
        """Return the next trial; what it is depends on those before it and on their number alone."""
        import optuna
        from optuna.trial import TrialState

        self._keep_alive()  # or those of a machine that slept would be taken for dead
        with quiet():
            optuna.storages.fail_stale_trials(self._study)
        # Those of other searches of the study too: they would draw the same.
        under_way = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        number = len(ended(self._study)) + len(under_way)
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        with quiet():
            return self._study.ask(self._tuning.space.distributions())

    def _judge(self, number: int, step: int, timesteps: int, score: float, value: float) -> None:
        """Take in a point of a trial's curve and answer whether the trial goes on."""
        from optuna.exceptions import UpdateFinishedTrialError

        one = self._running[number]
        self._progress.show(one.name, timesteps, score)
        try:
            one.trial.report(value, step)
            goes_on = not one.trial.should_prune()
        except UpdateFinishedTrialError:  # see _end
            goes_on = False
        one.answers.put(goes_on)

    def _end(self, one: _Trial) -> None:
        """Tell the study of a trial how it ended.

        Where this search gave no sign of life for long (its machine slept), another one that shares the
        study has taken the trial for broken off, and tries it again: it is dropped here.
        """
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            self._tell(one)
        except UpdateFinishedTrialError:
            self._progress.drop(one.name, "was taken over by another search of the study")

    def _tell(self, one: _Trial) -> None:
        from optuna.trial import TrialState

        error = one.future.exception()
        if isinstance(error, PrunedError):
            self._study.tell(one.trial, state=TrialState.PRUNED, skip_if_finished=True)
            self._progress.drop(one.name, str(error))
            return
        if isinstance(error, BrokenProcessPool):
            self._lose(one.trial, one.name)
            return
        if error is not None:
            self._fail(one.trial, one.name, f"{type(error).__name__}: {error}")
            return
        scores = one.future.result()
        value = float(np.mean([worth(score, self._tuning.objective) for score in scores]))
        if math.isnan(value):
            self._fail(one.trial, one.name, f"the scores {scores} are not numbers")
            return
        one.trial.set_user_attr(SCORES, scores)
        self._study.tell(one.trial, value, skip_if_finished=True)
        mean, seconds = float(np.mean(scores)), time.perf_counter() - one.began
        self._progress.finish(one.name, {"score": {"normalised": mean}, "seconds": seconds})
        best = best_trial(self._study)
        if best is not None and best.number == one.trial.number:
            write_best(self._tuning, self._study, self._out)

    def _fail(self, trial: optuna.Trial, name: str, reason: str) -> None:
        from optuna.trial import TrialState

        trial.set_user_attr(ERROR, reason)
        self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        self._progress.fail(name, reason)

    def _lose(self, trial: optuna.Trial, name: str) -> None:
        """Have a trial tried again whose process was ended from outside; the second time, it has failed.

        One process that is ended takes those of the trials beside it along: each is tried again alone,
        so that it is seen which one cannot be carried out.
        """
        configuration = _configuration(trial.params)
        if configuration in self._lost:
            self._fail(trial, name, LOST)
            return
        self._lost.add(configuration)
        self._try_again(trial)
        self._progress.drop(name, "its process was ended from outside; it is tried again")

    def _try_again(self, trial: optuna.Trial) -> None:
        from optuna.trial import TrialState

        told = self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
        try_again(self._study, told)

    def _keep_alive(self) -> None:
        """Give the signs of life of the trials that are under way."""
        self._beat = time.monotonic() + HEARTBEAT
        storage: Any = self._study._storage  # Optuna gives its own loop alone a name for this
        for one in self._running.values():
            storage.record_heartbeat(one.trial._trial_id)


def _configuration(parameters: Mapping[str, Any]) -> str:
    """Return what tells the parameters of a trial from others."""
    return json.dumps(parameters, sort_keys=True)


def carry_out_trial(
    number: int, runs: Sequence[Run], objective: Objective, messages: Any, answers: Any
) -> list[float]:
    """Train one configuration with each seed and return the normalised scores.

    At each point of the curves it says how it stands: the mean of what the seeds that are trained
    count and the one that is, which all trials have at the same points.

    Raises
    ------
    PrunedError
        The answer was not to go on.
    """
    scores: list[float] = []

    def tell(point: int, timesteps: int, score: float) -> None:
        step, so_far = (len(scores) * one for one in (runs[0].scores, runs[0].total_timesteps))
        standing = float(np.mean([worth(one, objective) for one in (*scores, score)]))
        messages.put((number, step + point, so_far + timesteps, score, standing))
        if not answers.get():
            raise PrunedError(f"pruned after {so_far + timesteps:,} steps, at {score:.4f}")

    with quiet():
        for run in runs:
            env = make_env(run)
            model = train(**run.training, callback=_ToldCurve(env, run, tell))
            scores.append(baselines.score(env, model).normalised)
    return scores


class _ToldCurve(ExactRegret):
    """The exact curve of a run, each point of which within the training is told, once."""

    def __init__(self, env: Any, run: Run, tell: Callable[[int, int, float], None]) -> None:
        super().__init__(env, max(1, run.total_timesteps // run.scores))
        self._run = run
        self._tell = tell
        self._told = 0

    def _on_step(self) -> bool:
        points = len(self.rows)
        going = super()._on_step()
        steps, total = self.num_timesteps, self._run.total_timesteps
        point = min(self._run.scores, steps * self._run.scores // total)
        if len(self.rows) > points and point > self._told:
            self._told = point
            self._tell(point, min(steps, total), self.rows[-1]["normalised"])
        return going
