"""What is searched for, the study that keeps the trials, and what is written of it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from agents.experiment import Experiment, Problem, Run, Training, code_version
from agents.files import png, write_whole
from agents.tuning.space import SEARCHED, Space
from qc_gym.core.errors import ScenarioError
from qc_gym.core.files import SUFFIXES
from qc_gym.core.record import validated

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

Objective = Literal["score", "log"]
DIGITS = 12
"""Most digits that the logarithmic objective tells apart: a score is a double."""
HEARTBEAT = 10
"""Seconds between two signs of life of a trial; one without any for six times as long has been killed."""
FIRST = 5
"""Trials that are carried out to their end before any is pruned."""
ERROR, SCORES = "error", "scores"
"""What is noted of a trial: what went wrong, or the normalised scores of its seeds."""


@dataclass(frozen=True)
class Tuning:
    """A search for the best configuration of an algorithm on a problem.

    Attributes
    ----------
    problem
        The environment and its scenario; ``algorithms`` holds the one algorithm with its budget and
        threads, whose other fields the space fills.
    space
        The configurations.
    seeds
        Each configuration is trained once for each.
    scores
        Number of exact scores along each training, at which it may be pruned.
    objective
        What is maximised, the mean over seeds of it: the normalised score, or the number of nines in
        it, −log10(1 − score).

    Raises
    ------
    ScenarioError
        A problem, budget or seed that cannot be used.
    """

    problem: Problem
    space: Space
    seeds: Sequence[int] = (0,)
    scores: int = 20
    objective: Objective = "score"

    def __post_init__(self) -> None:
        for name, training in self.problem.algorithms.items():
            other = sorted(training.model_fields_set - {"total_timesteps", "threads"})
            if other:
                raise ScenarioError(
                    f"{name}: {', '.join(other)}: only total_timesteps and threads are given; what else a "
                    "training has is searched, as the space says, or a default"
                )
        _ = self._default_runs

    def experiment(self, training: Training) -> Experiment:
        """Return the experiment that trains one configuration, its budget and threads apart."""
        (name,), (budget,) = zip(*self.problem.algorithms.items(), strict=True)
        fixed = {"total_timesteps": budget.total_timesteps, "threads": budget.threads}
        whole = training.model_copy(update=fixed)
        content = {
            "name": "tuned",
            "seeds": list(self.seeds),
            "scores": self.scores,
            "workers": 1,
            "problems": [
                {**self.problem.model_dump(), "algorithms": {name: whole.model_dump()}},
            ],
        }
        return validated(Experiment, content, "tune")

    def candidate(self, parameters: Mapping[str, Any]) -> Experiment:
        """Return the experiment of a point of the space, resolved; by name as Optuna holds it.

        Raises
        ------
        ValueError
            The algorithm does not take it.
        """
        with quiet():
            experiment = self.experiment(self.space.training(parameters))
            _ = experiment.runs
        return experiment

    @cached_property
    def _default_runs(self) -> tuple[Run, ...]:
        runs = self.experiment(Training()).runs
        if runs[0].held_out is not None:
            raise ScenarioError(
                "scenario: is a range, and configurations are searched on one scenario"
            )
        return runs

    @property
    def default_parameters(self) -> dict[str, Any]:
        """Today's default at this budget as a point of the space.

        Raises
        ------
        ValueError
            The space does not hold it.
        """
        run = self._default_runs[0]
        return self.space.parameters(run.model_dump(include=set(SEARCHED)))

    @property
    def total_timesteps(self) -> int:
        """Steps of one training."""
        return self._default_runs[0].total_timesteps

    @cached_property
    def name(self) -> str:
        """Name of the study: what it is, and a hash of all that its trials have in common."""
        run = self._default_runs[0]
        common = run.model_dump(exclude={"seed", *SEARCHED})
        content = [common, list(self.seeds), self.objective, self.space.fields, *code_version()]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
        return f"{run.env_id.split('/')[-1]}-{run.scenario_name}-{run.algorithm}-{digest}"


def worth(score: float, objective: Objective) -> float:
    """Return what a normalised score counts: see :class:`Tuning`."""
    if objective == "score":
        return score
    return -math.log10(max(1.0 - score, 10.0**-DIGITS))


@contextmanager
def quiet() -> Iterator[None]:
    """Show no warnings: of parts of Optuna that may change, of configurations that nobody wrote."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Say which file it is where Optuna's storage fails, in the words of the database.

    Raises
    ------
    OSError
        The study cannot be read or written.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        inner: BaseException = error
        while isinstance(inner, StorageInternalError) and inner.__cause__ is not None:
            inner = inner.__cause__
        reason = getattr(inner, "orig", None) or inner
        raise OSError(f"{path}: cannot be used as a study: {reason}") from error


def open_study(tuning: Tuning, path: str | Path) -> optuna.Study:
    """Return the study of a search in an SQLite file: a new one, or as it was left.

    A file may hold several, and several processes may use one. Of a new one the first trial is
    the algorithm's default, if the space holds it; a trial whose process was killed is tried again.

    Raises
    ------
    OSError
        The file cannot be used.
    ModuleNotFoundError
        Optuna is not installed.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path), quiet():
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{path}",
            engine_kwargs={"connect_args": {"timeout": 60}},  # seconds to wait for another process
            heartbeat_interval=HEARTBEAT,
            grace_period=6 * HEARTBEAT,
            heartbeat_stale_trial_callback=try_again,
        )
        study = optuna.create_study(
            storage=storage,
            study_name=tuning.name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(FIRST, n_warmup_steps=tuning.scores // 3),
        )
        if not study.get_trials(deepcopy=False):
            try:
                parameters = tuning.default_parameters
            except ValueError:
                return study
            study.enqueue_trial(parameters, skip_if_exists=True)
    return study


def try_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Have the configuration of a trial that was broken off from outside tried again."""
    study.enqueue_trial(trial.params)


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that count: completed, pruned or failed, not those broken off from outside."""
    from optuna.trial import TrialState

    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or ERROR in trial.user_attrs
    ]


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """Return the completed trial of the highest value, the first of several; None if there is none."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(trials, key=lambda trial: (trial.value, -trial.number), default=None)


def write_best(tuning: Tuning, study: optuna.Study, path: str | Path) -> None:
    """Write the best configuration as an experiment that ``qc-gym bench`` takes, whole or not at all.

    It holds every value, defaults too, so that it trains the same agents whatever becomes of them.

    Raises
    ------
    ValueError
        No trial was completed.
    OSError
        It cannot be written.
    """
    path, best = Path(path), best_trial(study)
    if best is None:
        raise ValueError(f"{study.study_name}: no trial was completed")
    run = tuning.candidate(best.params).runs[0]
    problem: dict[str, Any] = {"env_id": run.env_id}
    scenario = tuning.problem.scenario
    if isinstance(scenario, str) and scenario.endswith(SUFFIXES):
        # An experiment looks for it beside itself.
        scenario = Path(os.path.relpath(scenario, path.parent)).as_posix()
    if scenario is not None:
        problem["scenario"] = scenario
    if run.observation != "belief":
        problem["observation"] = run.observation
    training = run.model_dump(include={"total_timesteps", "threads", *SEARCHED})
    content = {
        "name": re.sub("[^A-Za-z0-9._-]", "-", f"tuned-{run.scenario_name}-{run.algorithm}"),
        "seeds": list(tuning.seeds),
        "scores": tuning.scores,
        "problems": [{**problem, "algorithms": {run.algorithm: training}}],
    }
    scores = ", ".join(f"{score:.6f}" for score in best.user_attrs[SCORES])
    head = (
        f"# Trial {best.number} of the study {study.study_name}; its normalised scores: {scores}.\n"
    )
    write_whole(path, head + yaml.safe_dump(content, sort_keys=False, default_flow_style=None))


def write_figures(study: optuna.Study, path: str | Path, label: str) -> list[Path]:
    """Write Optuna's plots: the history of the search, and what the value depends on.

    The second needs two completed trials of different values.

    Returns
    -------
    Those written, PNG files beside that of the best configuration, ``path``, and called after it.
    """
    import matplotlib.pyplot as plt
    import optuna
    from matplotlib.ticker import MaxNLocator
    from optuna.visualization import matplotlib as plots

    written = []
    completed = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    drawn: dict[str, Callable[..., Any]] = {"history": plots.plot_optimization_history}
    if len({trial.value for trial in completed if math.isfinite(trial.value or 0.0)}) > 1:
        drawn["importances"] = plots.plot_param_importances
    with quiet(), plt.rc_context():
        for name, draw in drawn.items():
            axes = draw(study, target_name=label)
            figure = axes.figure
            figure.set_layout_engine("tight")  # or long names would be cut
            if name == "history":
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            try:
                content = png(figure)
            finally:
                plt.close(figure)
            written.append(Path(path).with_name(f"{Path(path).stem}-{name}.png"))
            write_whole(written[-1], content)
    return written


def best_rows(tuning: Tuning, study: optuna.Study, most: int) -> list[Mapping[str, Any]]:
    """Return the best completed trials as rows of a table, best first."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    trials.sort(key=lambda trial: (-(trial.value or 0.0), trial.number))
    return [
        {
            "trial": trial.number,
            "normalised": sum(trial.user_attrs[SCORES]) / len(trial.user_attrs[SCORES]),
            **trial.params,
        }
        for trial in trials[:most]
    ]
