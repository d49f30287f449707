"""The search of configurations: spaces, trials that are kept, and what bench is given."""

import contextlib
import copy
import json
import math
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState
from PIL import Image
from strategies import SMALL_LOT
from terminals import running

import agents.tuning.trials
import baselines
from agents import ALGORITHMS, ExactRegret, train
from agents.algorithms import find_algorithm
from agents.cli import main
from agents.engines import Workers
from agents.experiment import Problem, make_env, read_experiment
from agents.tuning import (
    Space,
    Tuning,
    best_rows,
    default_space,
    ended,
    open_study,
    read_space,
    write_figures,
)
from agents.tuning.study import worth
from agents.tuning.trials import PrunedError, carry_out_trial
from qc_gym.core.errors import ScenarioError
from qc_gym.core.record import validated

pytestmark = pytest.mark.filterwarnings("ignore:.*expect an agent short")
ROOT = Path(__file__).parents[2]
ID = "qc_gym/SequentialSampling-v0"
FIELDS: dict[str, Any] = {
    "num_envs": {"choices": [4, 8]},
    "hyperparameters": {
        "n_steps": 16,
        "batch_size": {"choices": [32, 64]},
        "n_epochs": {"low": 1, "high": 3},
        "learning_rate": {"initial": {"low": 1e-4, "high": 1e-2, "log": True}, "final": 0.0},
        "policy_kwargs": {"net_arch": {"choices": [[8], [16, 16]]}},
    },
}
NAMES = {"num_envs", "batch_size", "n_epochs", "learning_rate.initial", "policy_kwargs.net_arch"}


def space_of(fields: Mapping[str, Any] = FIELDS, algorithm: str = "ppo") -> Space:
    return Space(find_algorithm(algorithm), fields)


def tuning_of(fields: Mapping[str, Any] = FIELDS, steps: int = 384, **others: Any) -> Tuning:
    budget = {"total_timesteps": steps}
    problem = {"env_id": ID, "scenario": SMALL_LOT, "algorithms": {"ppo": budget}}
    others = {"seeds": (3, 4), "scores": 3, **others}
    return Tuning(Problem.model_validate(problem), space_of(fields), **others)


class Told:
    """What a search says of its trials; Ctrl-C after so many points of curves."""

    def __init__(self, interrupted_at: float = math.inf) -> None:
        self.lines: list[tuple[str, ...]] = []
        self._left = interrupted_at

    def add(self, name: str, total: int) -> None:
        self.lines.append((name, "add", str(total)))

    def show(self, name: str, timesteps: int, normalised: float) -> None:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt

    def finish(self, name: str, result: Mapping[str, Any]) -> None:
        assert result["seconds"] > 0
        self.lines.append((name, "finish", repr(result["score"]["normalised"])))

    def drop(self, name: str, message: str) -> None:
        self.lines.append((name, "drop", message))

    def fail(self, name: str, message: str) -> None:
        self.lines.append((name, "fail", message))


@contextlib.contextmanager
def thread() -> Iterator[Workers]:
    """Stand for the process of a search, which takes seconds to start."""
    queues: list[queue.Queue[Any]] = []

    def channel() -> "queue.Queue[Any]":
        queues.append(queue.Queue())
        return queues[-1]

    with ThreadPoolExecutor(1) as pool:
        try:
            yield Workers(pool.submit, channel, lambda: 1)
        finally:
            for one in queues:
                one.put(False)


@contextlib.contextmanager
def two_at_once() -> Iterator[Workers]:
    """Stand for two of them: two trials are begun before the first has ended."""
    with thread() as workers:
        yield replace(workers, number=lambda: 2)


search = partial(agents.tuning.search, engine=thread)


def points(study: optuna.Study) -> list[Any]:
    """Return what a study holds of its ended trials, their numbers apart."""
    return [
        (one.state, one.params, one.value, one.intermediate_values, one.user_attrs)
        for one in ended(study)
    ]


# --- spaces ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("share", [1.0, 0.3, 0.1])
def test_the_space_of_an_algorithm_holds_its_default(name: str, share: float) -> None:
    steps = int(share * ALGORITHMS[name].total_timesteps)
    problem = {"env_id": ID, "algorithms": {name: {"total_timesteps": steps}}}
    tuning = Tuning(Problem.model_validate(problem), default_space(name), (0, 1))
    runs = tuning.candidate(tuning.default_parameters).runs
    assert [run.seed for run in runs] == [0, 1]
    count, default = ALGORITHMS[name].settle(steps)[1:]
    for run in runs:
        assert (run.total_timesteps, run.num_envs) == (steps, count)
        given = run.hyperparameters
        assert {key: given[key] for key in default} == default
        # What else is given is what the algorithm's class does by itself.
        assert set(given) - set(default) <= {"vf_coef", "max_grad_norm"}
        assert all(given[key] == 0.5 for key in set(given) - set(default))


def test_points_of_a_space() -> None:
    space = space_of()
    assert set(space.distributions()) == NAMES
    point = {
        "num_envs": 8,
        "batch_size": 64,
        "n_epochs": 2,
        "learning_rate.initial": 3e-3,
        "policy_kwargs.net_arch": "[16, 16]",
    }
    training = space.training(point)
    assert training.num_envs == 8
    assert training.hyperparameters == {
        "n_steps": 16,
        "batch_size": 64,
        "n_epochs": 2,
        "learning_rate": {"initial": 3e-3, "final": 0.0},
        "policy_kwargs": {"net_arch": [16, 16]},
    }
    assert space.parameters(training.model_dump()) == point
    for name, value in (("n_epochs", 4), ("batch_size", 48), ("n_steps", 8)):
        with pytest.raises(ValueError, match=rf"hyperparameters\.{name}: .*{value}"):
            space.parameters(
                {"num_envs": 8, "hyperparameters": {**training.hyperparameters, name: value}}
            )


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("num_env", {"choices": [4]}, "unknown field 'num_env'; did you mean 'num_envs'"),
        ("num_envs", {"choices": [0, 4]}, "num_envs = 0: should be greater than or equal to 1"),
        ("num_envs", {"choices": []}, "num_envs: choices = .*at least 1 item"),
        ("num_envs", {"choices": [4, 4]}, "num_envs: choices holds 4 twice"),
        ("num_envs", {"low": 8, "high": 4}, "num_envs: low = 8, high = 4: low must be below high"),
        ("num_envs", {"low": 8}, "num_envs: field 'high' is missing"),
        ("num_envs", {"low": 8, "high": 9, "lag": True}, "unknown field 'lag'; .*Known: low, high"),
        ("num_envs", {"low": "few", "high": 9}, "num_envs: low = 'few': .*valid"),
        ("hyperparameters.n_step", {"choices": [4]}, "unknown hyperparameter 'n_step'; did you"),
        ("hyperparameters.gae_lambda", {"low": 0.5, "high": 1.5}, "gae_lambda = 1.5: .*equal to 1"),
        ("hyperparameters.ent_coef", {"low": 0.0, "high": 1.0, "log": True}, "low = 0.*above 0"),
        ("hyperparameters.n_epochs", {"low": 1.5, "high": 3.0}, "n_epochs = 1.5: .*integer"),
        (
            "hyperparameters.batch_size",
            {"choices": [1, 32]},
            "batch_size = 1: should be at least 2",
        ),
        ("hyperparameters.learning_rate", {"choices": ["1e-3"]}, "'1e-3': is text; YAML"),
    ],
)
def test_a_space_that_cannot_be_used(place: str, value: Any, message: str, tmp_path: Path) -> None:
    fields = copy.deepcopy(FIELDS)
    part = fields
    *parents, last = place.split(".")
    for name in parents:
        part = part[name]
    part[last] = value
    path = tmp_path / "space.yaml"
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    with pytest.raises(ScenarioError, match=rf"^{path}: .*{message}"):
        read_space(path, "ppo")


def test_a_space_without_a_range_or_an_algorithm(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="holds no range"):
        space_of({"num_envs": 4, "hyperparameters": {"n_steps": 16}})
    with pytest.raises(ValueError, match="unknown algorithm 'pp0'"):
        default_space("pp0")


@pytest.mark.parametrize(("score", "nines"), [(0.9, 1.0), (0.999, 3.0), (-9.0, -1.0), (0.0, 0.0)])
def test_the_objectives(score: float, nines: float) -> None:
    assert worth(score, "score") == score
    assert worth(score, "log") == pytest.approx(nines, abs=1e-12)


def test_the_objectives_at_the_ends() -> None:
    assert worth(1.0, "log") == 12.0
    assert worth(-math.inf, "log") == worth(-math.inf, "score") == -math.inf


# --- trials ---------------------------------------------------------------------------------------


def test_a_trial_says_how_it_stands() -> None:
    """Each point is the mean of the seeds so far, as trainings and curves made apart say."""
    tuning = tuning_of()
    parameters = {
        name: spread.high if hasattr(spread, "high") else spread.choices[0]
        for name, spread in tuning.space.distributions().items()
    }
    runs = tuning.candidate(parameters).runs
    curves, finals = [], []
    for run in runs:
        curve = ExactRegret(make_env(run), 128)
        finals.append(
            baselines.score(make_env(run), train(**run.training, callback=curve)).normalised
        )
        curves.append({row["timesteps"]: row["normalised"] for row in curve.rows})
    messages: queue.Queue[Any] = queue.Queue()
    answers = SimpleNamespace(get=lambda: True)
    assert carry_out_trial(7, runs, "score", messages, answers) == finals
    told = [messages.get_nowait() for _ in range(messages.qsize())]
    assert [(one[0], one[1], one[2]) for one in told] == [
        (7, step, 128 * step) for step in range(1, 7)
    ]
    for _, step, _, score, standing in told:
        if step in (1, 2):
            assert standing == score == curves[0][128 * step]
        if step in (4, 5):
            assert score == curves[1][128 * (step - 3)]
            assert standing == pytest.approx((finals[0] + score) / 2, abs=1e-12)
    answers = SimpleNamespace(get=lambda: False)
    with pytest.raises(PrunedError, match="pruned after 128 steps"):
        carry_out_trial(7, runs, "score", messages, answers)


def test_a_search_broken_off_is_the_search_undisturbed(tmp_path: Path) -> None:
    tuning, out = tuning_of(), tmp_path / "best.yaml"
    whole = search(tuning, tmp_path / "whole.db", out, Told(), trials=4, seed=5)
    assert [one.state for one in whole.trials] == [TrialState.COMPLETE] * 4
    assert len({str(one.params) for one in whole.trials}) == 4
    parts = tmp_path / "parts.db"
    search(tuning, parts, out, Told(), trials=1, seed=5)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            search(tuning, parts, out, Told(interrupted_at=8), trials=4, seed=5)
    again = search(tuning, parts, out, Told(), trials=4, seed=5)
    assert points(again) == points(whole)
    assert sum(one.state == TrialState.FAIL for one in again.trials) == 2
    told = Told()
    assert points(search(tuning, parts, out, told, trials=4, seed=5)) == points(whole)
    assert told.lines == []


def test_bench_trains_what_was_found(tmp_path: Path) -> None:
    tuning, out = tuning_of(objective="log"), tmp_path / "best.yaml"
    study = search(tuning, tmp_path / "s.db", out, Told(), trials=3)
    scores = study.best_trial.user_attrs["scores"]
    assert study.best_value == pytest.approx(
        -sum(math.log10(1 - score) for score in scores) / 2, abs=1e-12
    )
    experiment = read_experiment(out)
    assert [run.seed for run in experiment.runs] == [3, 4]
    for run, score in zip(experiment.runs, scores, strict=True):
        assert run.hyperparameters["gamma"] == 1.0  # every value is there, defaults too
        assert baselines.score(make_env(run), train(**run.training)).normalised == score
    best, *others = best_rows(tuning, study, 5)
    assert best["trial"] == study.best_trial.number
    assert best["normalised"] == pytest.approx(sum(scores) / 2)
    assert len(others) == 2
    figures = write_figures(study, out, "log")
    assert [path.name for path in figures] == ["best-history.png", "best-importances.png"]
    for path in figures:
        with Image.open(path) as image:
            assert len(image.convert("RGB").getcolors(1 << 20) or []) > 10


def test_a_trial_below_the_others_is_pruned(tmp_path: Path) -> None:
    tuning = tuning_of()
    study = open_study(tuning, tmp_path / "s.db")
    distributions = tuning.space.distributions()
    parameters = {
        name: getattr(one, "low", None) or one.choices[0] for name, one in distributions.items()
    }
    for _ in range(5):  # better than any can be
        study.add_trial(
            optuna.trial.create_trial(
                params=parameters,
                distributions=distributions,
                value=2.0,
                intermediate_values=dict.fromkeys(range(1, 7), 2.0),
                user_attrs={"scores": [2.0, 2.0]},
            )
        )
    told = Told()
    search(tuning, tmp_path / "s.db", tmp_path / "best.yaml", told, trials=7)
    states = [one.state for one in study.trials]
    assert states == [TrialState.COMPLETE] * 5 + [TrialState.PRUNED] * 2
    assert [line[1] for line in told.lines] == ["add", "drop"] * 2
    assert "pruned after 128 steps" in told.lines[1][2]


def test_a_trial_that_fails_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    fields = copy.deepcopy(FIELDS)
    fields["hyperparameters"]["learning_rate"] = {"choices": [1e-3, 1e30]}
    told, tuning = Told(), tuning_of(fields)
    study = search(tuning, tmp_path / "s.db", tmp_path / "best.yaml", told, trials=6)
    failed = {one.number: one for one in study.trials if one.state == TrialState.FAIL}
    assert 0 < len(failed) < 6
    assert all(one.params["learning_rate"] == 1e30 for one in failed.values())
    named = {line[0]: line[2] for line in told.lines if line[1] == "fail"}
    assert named == {f"trial {number}": one.user_attrs["error"] for number, one in failed.items()}
    assert all("nan" in message for message in named.values())
    assert len(ended(study)) == 6


AGAIN = "its process was ended from outside; it is tried again"
TWICE = "its process was ended from outside, twice; out of memory?"


@pytest.mark.parametrize(
    ("lost", "trials", "ends"),
    [
        ([1], 3, [("finish", "0.5"), ("drop", AGAIN), ("finish", "0.5"), ("finish", "0.5")]),
        ([0, 1], 2, [("drop", AGAIN), ("fail", TWICE), ("finish", "0.5")]),
    ],
)
def test_a_trial_whose_process_is_ended_is_tried_once_more(
    lost: list[int],
    trials: int,
    ends: list[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def carry_out(number: int, *arguments: Any) -> list[float]:
        if number in lost:
            raise BrokenProcessPool
        return [0.25, 0.75]

    monkeypatch.setattr(agents.tuning.trials, "ONE_PROCESS", thread)
    monkeypatch.setattr(agents.tuning.trials, "carry_out_trial", carry_out)
    told = Told()
    study = search(tuning_of(), tmp_path / "s.db", tmp_path / "best.yaml", told, trials=trials)
    assert study.trials[lost[0]].params == study.trials[lost[0] + 1].params
    assert [line for line in told.lines if line[1] != "add"] == [
        (f"trial {number}", *end) for number, end in enumerate(ends)
    ]


def test_a_trial_beside_one_whose_process_is_ended_does_not_fail_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is tried beside trial 0 is lost with it, and that again, unless it is tried alone."""
    alone: list[str] = []

    @contextlib.contextmanager
    def one_process() -> Iterator[Workers]:
        with thread() as workers:
            alone.append("begins")
            yield workers

    def carry_out(number: int, runs: Any, *arguments: Any) -> list[float]:
        if number == 0:
            deadly.append(runs[0].hyperparameters)
        if number < 2 or runs[0].hyperparameters in deadly:
            raise BrokenProcessPool
        return [0.25, 0.75]

    deadly: list[Any] = []
    monkeypatch.setattr(agents.tuning.trials, "ONE_PROCESS", one_process)
    monkeypatch.setattr(agents.tuning.trials, "carry_out_trial", carry_out)
    path, told = tmp_path / "s.db", Told()
    study = search(tuning_of(), path, tmp_path / "b.yaml", told, trials=3, engine=two_at_once)
    ends = {line[0]: line[1:] for line in told.lines if line[1] != "add"}
    assert ends["trial 0"] == ends["trial 1"] == ("drop", AGAIN)
    by_hyperparameters = {
        json.dumps(one.params): ends[f"trial {one.number}"] for one in study.trials
    }
    assert list(by_hyperparameters.values()).count(("fail", TWICE)) == 1
    assert by_hyperparameters[json.dumps(study.trials[1].params)] == ("finish", "0.5")
    assert len(alone) == 2  # the deadly one breaks the first


def test_lost_trials_are_tried_alone_after_others_that_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a search that was broken off come first: they are no suspects, and change nothing."""
    tuning, path = tuning_of(), tmp_path / "s.db"
    study = open_study(tuning, path)
    for _ in range(4):
        trial = study.ask(tuning.space.distributions())
        study.tell(trial, state=TrialState.FAIL)
        study.enqueue_trial(trial.params)
    begun: list[tuple[int, int]] = []
    number = [2]

    @contextlib.contextmanager
    def one_process() -> Iterator[Workers]:
        number[0] = 1
        with thread() as workers:
            yield workers
        number[0] = 2

    def carry_out(trial: int, runs: Any, *arguments: Any) -> list[float]:
        begun.append((trial, number[0]))
        if len(begun) <= 2:
            raise BrokenProcessPool
        return [0.25, 0.75]

    monkeypatch.setattr(agents.tuning.trials, "ONE_PROCESS", one_process)
    monkeypatch.setattr(agents.tuning.trials, "carry_out_trial", carry_out)
    search(tuning, path, tmp_path / "b.yaml", Told(), trials=8, engine=two_at_once)
    assert [alone for _, alone in begun[:2]] == [2, 2]
    lost = {json.dumps(study.trials[trial].params) for trial, _ in begun[:2]}
    again = [alone for trial, alone in begun[2:] if json.dumps(study.trials[trial].params) in lost]
    assert again == [1, 1]


def test_a_trial_that_another_search_took_over_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning = tuning_of()
    path = tmp_path / "s.db"

    def carry_out(number: int, *arguments: Any) -> list[float]:
        if number == 0:  # as a search would that finds no sign of life of this one
            open_study(tuning, path).tell(0, state=TrialState.FAIL)
        return [0.25, 0.75]

    monkeypatch.setattr(agents.tuning.trials, "carry_out_trial", carry_out)
    told = Told()
    search(tuning, path, tmp_path / "best.yaml", told, trials=1)
    assert [line for line in told.lines if line[1] != "add"] == [
        ("trial 0", "drop", "was taken over by another search of the study"),
        ("trial 1", "finish", "0.5"),
    ]


def test_no_trial_begins_after_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that stands still but for a minute a trial."""
    now = [1000.0]

    def carry_out(*arguments: Any) -> list[float]:
        now[0] += 60.0
        return [0.25, 0.75]

    clock = SimpleNamespace(monotonic=lambda: now[0], perf_counter=time.perf_counter)
    monkeypatch.setattr(agents.tuning.trials, "time", clock)
    monkeypatch.setattr(agents.tuning.trials, "carry_out_trial", carry_out)
    study = search(tuning_of(), tmp_path / "s.db", tmp_path / "b.yaml", Told(), seconds=100.0)
    assert len(ended(study)) == 2  # at 0 and at 60


def test_searches_of_one_study_do_not_try_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each trial of the one begins while one of the other is under way."""
    tuning, path, begun = tuning_of(), tmp_path / "s.db", [0]

    def carry_out(*arguments: Any) -> list[float]:
        begun[0] += 1
        if begun[0] < 4:
            search(tuning, path, tmp_path / "b.yaml", Told(), trials=begun[0])
        return [0.25, 0.75]

    monkeypatch.setattr(agents.tuning.trials, "carry_out_trial", carry_out)
    study = search(tuning, path, tmp_path / "best.yaml", Told(), trials=1)
    tried = [json.dumps(trial.params, sort_keys=True) for trial in study.get_trials()]
    assert len(tried) == len(set(tried)) >= 4


def test_what_the_space_searches_is_not_given() -> None:
    given = {"algorithms": {"ppo": {"total_timesteps": 192, "frames": 2, "hyperparameters": {}}}}
    problem = validated(Problem, {"env_id": ID, "scenario": SMALL_LOT, **given}, "test")
    with pytest.raises(ScenarioError, match="ppo: frames, hyperparameters: only total_timesteps"):
        replace(tuning_of(), problem=problem)


def test_searches_for_something_else_are_other_studies(tmp_path: Path) -> None:
    tuning = tuning_of()
    others = [
        tuning_of(steps=400),
        tuning_of(seeds=(3,)),
        tuning_of(objective="log"),
        tuning_of({**FIELDS, "num_envs": 4}),
    ]
    assert tuning.name == tuning_of().name
    assert len({one.name for one in (tuning, *others)}) == 5
    for one in (tuning, *others):
        assert open_study(one, tmp_path / "s.db").study_name == one.name
    # A new study begins with the default, where the space holds it.
    assert open_study(tuning, tmp_path / "s.db").trials == []
    fields = {"hyperparameters": {"gae_lambda": {"low": 0.5, "high": 1.0}}}
    (first,) = open_study(tuning_of(fields), tmp_path / "s.db").trials
    assert first.system_attrs["fixed_params"] == {"gae_lambda": 0.99}


# --- the command ----------------------------------------------------------------------------------

COMMAND = ["tune", "SequentialSampling-v0", "ppo"]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    names = {
        "lots": "small lots.yaml",
        "space": "space.yaml",
        "best": "best.yaml",
        "study": "made/s.db",
    }
    paths = {name: tmp_path / path for name, path in names.items()}
    for name, content in (("lots", SMALL_LOT), ("space", FIELDS)):
        paths[name].write_text(yaml.safe_dump(content), encoding="utf-8")
    return {name: str(path) for name, path in paths.items()}


def words(files: Mapping[str, str], *others: str) -> list[str]:
    named = ["--scenario", files["lots"], "--space", files["space"], "--out", files["best"]]
    return [*COMMAND, *named, "--study", files["study"], *others]


def test_tune(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """With processes, two at a time."""
    options = ["--timesteps", "384", "--seeds", "0,1", "--workers", "2", "--trials", "2"]
    assert main(words(files, *options)) == 0
    text = capsys.readouterr().out
    assert "2 trials: 2 completed, 0 pruned, 0 failed" in text
    assert all(f"trial {number}: normalised" in text for number in range(2))
    assert files["best"] in text
    experiment = read_experiment(files["best"])
    (run, _) = experiment.runs
    assert experiment.name == "tuned-small-lots-ppo"
    assert (run.scenario_name, run.total_timesteps) == ("small lots", 384)
    assert run.scenario["max_samples"] == 8
    before = Path(files["best"]).read_bytes()
    assert main(words(files, *options)) == 0
    assert "trial 2" not in capsys.readouterr().out
    assert Path(files["best"]).read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--trials or --time is needed"),
        (["--trials", "0"], "0 is not at least 1"),
        (["--time", "soon"], "'soon' is no time above 0, such as 90s, 25m or 1.5h"),
        (["--time", "0"], "'0' is no time above 0"),
        (["--trials", "1", "--seeds", "0,x"], "'x' is not a whole number"),
        (["--trials", "1", "--seeds", "0,0"], "each may be listed once"),
        (["--trials", "1", "--seeds", "-1"], "seeds.0 = -1: should be greater than or equal to 0"),
        (["--trials", "1", "--set", "max_samples=0"], "max_samples = 0: should be"),
        (["--trials", "1", "--workers", "0"], "0 is not at least 1"),
        (["--trials", "1", "--space", "none.yaml"], "none.yaml: cannot be read"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    options: list[str], message: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(files, *options)) == 2
    assert message in capsys.readouterr().err
    assert not Path(files["study"]).parent.exists()


def test_a_file_that_is_no_study(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(files["study"])
    path.parent.mkdir()
    path.write_text("notes, and nothing that a database would be" * 100, encoding="utf-8")
    before = path.read_bytes()
    assert main(words(files, "--trials", "1", "--timesteps", "384")) == 2
    error = capsys.readouterr().err
    assert f"{path}: cannot be used as a study: file is not a database" in error
    assert path.read_bytes() == before


WITHOUT_OPTUNA = """
import sys
sys.modules["optuna"] = None
from agents.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_optuna(tmp_path: Path) -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_OPTUNA, *COMMAND, "--trials", "1"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2
    assert "tune needs it: in a clone of the project: pip install '.[agents,tune]'" in done.stderr
    assert not list(tmp_path.iterdir())


def begun(path: str) -> bool:
    """Return whether a study holds a trial with its parameters."""
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database,
    ):
        found = database.execute("SELECT count(*) FROM trial_params").fetchone()
        return bool(found[0] >= len(NAMES))
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals to a group of processes")
def test_an_interrupt_keeps_what_is_done(files: dict[str, str]) -> None:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [
        sys.executable,
        "-m",
        "agents.cli",
        *words(files, "--trials", "9", "--timesteps", "1e9"),
    ]
    with running(command, {**os.environ, "PYTHONPATH": path}) as process:
        until = time.monotonic() + 300.0
        while process.poll() is None and not begun(files["study"]) and time.monotonic() < until:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=60)  # until no process holds the streams any more
    assert process.returncode == 130
    assert error.decode().splitlines() == ["qc-gym: interrupted"]
    (name,) = optuna.get_all_study_names(f"sqlite:///{files['study']}")
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{files['study']}")
    assert [one.state for one in study.trials] == [TrialState.FAIL, TrialState.WAITING]
    assert study.trials[1].system_attrs["fixed_params"] == study.trials[0].params
