"""Agents trained on ranges: what they are scored on, and what their runs leave."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
import yaml
from engine_here import this_process

import agents.report.generalists
import baselines
from agents import load_policy
from agents.experiment import Experiment, Run, read_experiment
from agents.held_out import distance, mean_score
from agents.report import write_report
from agents.runs import carry_out
from baselines import Scores
from qc_gym.core.errors import ScenarioError
from qc_gym.core.record import validated

PLANT = "qc_gym/KStage-v0"
SETS = {
    "interpolation": "interpolation",
    "extrapolation": "extrapolation",
    "published": ["blu-2010"],
}
ROLLOUTS = {"n_steps": 16, "batch_size": 32, "n_epochs": 1}


def content(held_out: Any) -> dict[str, Any]:
    training = {"total_timesteps": 128, "num_envs": 4, "hyperparameters": ROLLOUTS}
    problem = {
        "env_id": PLANT,
        "scenario": "train",
        "algorithms": {"ppo": training},
        "held_out": held_out,
    }
    return {"name": "tiny", "seeds": [0], "scores": 2, "problems": [problem]}


def specialist() -> Run:
    """Return a run on the published scenario alone."""
    alone = content(None)
    alone["problems"][0] |= {"scenario": "blu-2010"}
    return validated(Experiment, alone, "tiny").runs[0]


def runs_of(held_out: Any) -> tuple[Run, ...]:
    return validated(Experiment, content(held_out), "tiny").runs


HELD_OUT = {
    "sets": SETS,
    "count": 12,
    "curve_count": 5,
    "seed": 77,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run of a generalist, and its folder."""
    (run,) = runs_of(HELD_OUT)
    (folder,), failures = carry_out([run], tmp_path_factory.mktemp("runs"), engine=this_process)
    assert not failures
    return run, folder


def test_a_run_holds_all_fields() -> None:
    (run,) = runs_of(HELD_OUT)
    assert run.scenario_name == "train"
    assert run.scenario["fraction_defective"] == {"low": 0.03, "high": 0.30}
    assert run.held_out is not None
    assert run.held_out.sets["extrapolation"]["sample_size"]["high"] == 7  # type: ignore[index,call-overload]
    (published,) = run.held_out.sets["published"]
    assert published["fraction_defective"] == 0.161  # type: ignore[index,call-overload]
    again = Run.model_validate_json(run.model_dump_json())
    assert again == run
    assert again.name == run.name


def test_by_default_it_is_scored_on_other_draws_of_its_range() -> None:
    (run,) = runs_of(None)
    assert run.held_out is not None
    assert run.held_out.sets == {"train": run.scenario}


def test_files_of_scenarios_are_beside_the_experiments(tmp_path: Path) -> None:
    plant = gym.make(PLANT, scenario="blu-2010").unwrapped.scenario  # type: ignore[attr-defined]
    (tmp_path / "plant.json").write_text(plant.model_dump_json(), encoding="utf-8")
    plants = content({"sets": {"mine": ["plant.json", "blu-2010"]}})
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(plants), encoding="utf-8")
    (run,) = read_experiment(tmp_path / "experiment.yaml").runs
    assert run.held_out is not None
    assert run.held_out.sets["mine"] == [plant.model_dump(mode="json")] * 2


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({}, "sets"),
        ({"one": "blu-2010"}, r"held_out\.sets\.one: is one scenario"),
        ({"none": "interpolate"}, r"held_out\.sets\.none: .*interpolation"),
        ({"other": ["clean-process"]}, r"held_out\.sets\.other: .*not of the size"),
    ],
)
def test_what_cannot_be_held_out(sets: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        _ = runs_of({"sets": sets})


def test_scores_of_a_run_are_exact(finished: tuple[Run, Path]) -> None:
    run, folder = finished
    policy, description = load_policy(folder)
    assert description["scenario"] == run.scenario
    with (folder / "held_out.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name, source in HELD_OUT["sets"].items():  # type: ignore[attr-defined]
        mine = [row for row in rows if row["set"] == name]
        count = {} if isinstance(source, list) else {"count": 12}
        scores = baselines.score_many(PLANT, source, policy, seed=77, trained_on="train", **count)
        assert [float(row["regret"]) for row in mine] == pytest.approx(scores.regrets, abs=1e-12)
        # Of a plant that runs K stages, the regret is known without the network or the solver.
        for row, one in zip(mine, scores.scenarios, strict=True):
            costs = one.costs(one.fraction_defective)  # type: ignore[attr-defined]
            features = np.array(json.loads(row["features"]), np.float32)
            shown = np.concatenate([gym.make(PLANT).reset(seed=0)[0], features])
            with torch.no_grad():
                stages = int(policy.predict(shown, deterministic=True)[0])
            assert float(row["regret"]) == pytest.approx(costs[stages] - costs.min(), abs=1e-9)
    score = json.loads((folder / "run.json").read_text(encoding="utf-8"))["score"]
    first = [float(row["regret"]) for row in rows if row["set"] == "interpolation"]
    assert score["regret"] == pytest.approx(np.mean(first), abs=1e-12)
    assert score["stderr"] == pytest.approx(np.std(first, ddof=1) / 12**0.5, abs=1e-12)


def test_the_curve_is_over_fixed_scenarios(finished: tuple[Run, Path]) -> None:
    _, folder = finished
    policy, _ = load_policy(folder)
    with (folder / "curve.csv").open(encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    scores = baselines.score_many(PLANT, "train", policy, count=5, seed=77)
    assert float(last["regret"]) == pytest.approx(scores.mean_regret, abs=1e-12)
    assert float(last["normalised"]) == pytest.approx(np.median(scores.normalised), abs=1e-12)


def test_the_mean_score_is_over_scenarios() -> None:
    scores = baselines.score_many(PLANT, "train", "random", count=9)
    score = mean_score(scores)
    assert score.regret == pytest.approx(score.optimum - score.value, rel=1e-12)
    assert score.normalised == 0.0
    assert score.expected_length == 1.0
    assert score.exact
    alone = mean_score(baselines.score_many(PLANT, ["blu-2010"], "random"))
    assert alone.stderr == 0.0


def test_distance_is_in_widths_of_the_intervals() -> None:
    assert distance(np.array([0.0, 0.5, 1.0], np.float32)) == 0.0
    assert distance(np.array([-3.0, 0.5, 5.0], np.float32)) == pytest.approx(5.0)


def test_the_report_tells_of_each_set(finished: tuple[Run, Path], tmp_path: Path) -> None:
    _, folder = finished
    report = write_report([folder], tmp_path)
    assert not report.left_out
    rows = {(row["scenario"], row["policy"]): row for row in report.rows}
    for name in SETS:
        (told,) = (row for row in report.generalists if row["set"] == name)
        ours, optimum = rows[f"train-{name}", "ppo"], rows[f"train-{name}", "optimum"]
        assert ours["regret"] == told["mean regret"]
        assert ours["normalised"] == told["median"]
        assert told["5th percentile"] <= told["median"]
        assert optimum["value"] == pytest.approx(ours["optimum"], rel=1e-12)
        assert rows[f"train-{name}", "random"]["normalised"] == 0.0
        assert rows[f"train-{name}", "best_fixed"]["regret"] >= 0.0
        count = 1 if name == "published" else 12
        assert told["scenarios"] == count
    source = SETS["extrapolation"]
    scores = baselines.score_many(PLANT, source, "random", count=12, seed=77)
    assert rows["train-extrapolation", "random"]["regret"] == pytest.approx(scores.mean_regret)
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    stem = "qc_gym-KStage-v0-train-interpolation-belief"
    assert {f"{stem}-{name}.png" for name in ("scenarios", "distance", "surface")} <= drawn
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Generalists" in page
    assert "train-extrapolation" in page


def change_scores(
    monkeypatch: pytest.MonkeyPatch,
    reference: str,
    change: Callable[[dict[str, Scores]], dict[str, Scores]],
) -> None:
    """Have a report find other scores of a reference policy, by set."""
    original = agents.report.generalists.score_sets

    def changed(env_id: str, held_out: Any, policy: Any, *more: Any) -> dict[str, Scores]:
        found = original(env_id, held_out, policy, *more)
        return change(found) if policy == reference else found

    monkeypatch.setattr(agents.report.generalists, "score_sets", changed)


def test_a_reference_that_fails_is_named_and_leaves_the_others(
    finished: tuple[Run, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = finished

    def fail(found: dict[str, Scores]) -> dict[str, Scores]:
        raise ZeroDivisionError("no such stage")

    change_scores(monkeypatch, "stages_3", fail)
    report = write_report([folder], tmp_path)
    (name,) = report.left_out
    assert name.endswith(": stages_3")
    assert "no such stage" in report.left_out[name]
    policies = {row["policy"] for row in report.rows}
    assert {"optimum", "random", "best_fixed", "stages_2", "ppo"} <= policies
    assert "stages_3" not in policies


def test_a_reference_that_some_scenarios_do_not_have_has_no_mean_over_the_others(
    finished: tuple[Run, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = finished

    def lacking(found: dict[str, Scores]) -> dict[str, Scores]:
        one = replace(found["interpolation"], left_out={4: "no such stage"})
        return {**found, "interpolation": one}

    change_scores(monkeypatch, "stages_3", lacking)
    report = write_report([folder], tmp_path)
    (name,) = report.left_out
    assert name.endswith(": stages_3, interpolation")
    assert "not on 1 of 12 scenarios; the first of them, 4: no such stage" in report.left_out[name]
    having = {row["scenario"] for row in report.rows if row["policy"] == "stages_3"}
    assert having == {"train-extrapolation", "train-published"}


def test_the_goal_of_a_learning_curve_is_of_the_scenarios_it_is_scored_on(
    finished: tuple[Run, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundredth of what random play loses on these, whatever sets agents are scored on."""
    _, folder = finished
    goals: list[float] = []
    draw = agents.report.generalists.learning_curves

    def noted(group: Any, goal: float) -> Any:
        goals.append(goal)
        return draw(group, goal)

    monkeypatch.setattr(agents.report.generalists, "learning_curves", noted)
    write_report([folder], tmp_path)
    scores = baselines.score_many(PLANT, "train", "random", count=5, seed=77)
    assert goals == [pytest.approx(0.01 * scores.mean_regret, rel=1e-12)]


def test_a_set_may_not_be_called_as_another_problem() -> None:
    two = content({"sets": {"b": "interpolation"}})
    two["problems"].append({**two["problems"][0], "scenario": "train-b.yaml", "held_out": None})
    with pytest.raises(
        ScenarioError, match=r"problems\.1: is called .*train-b, belief as problems\.0"
    ):
        validated(Experiment, two, "two")


def test_a_generalist_stands_beside_the_specialist_of_a_scenario(
    finished: tuple[Run, Path], tmp_path: Path
) -> None:
    _, folder = finished
    (alone,), failures = carry_out([specialist()], tmp_path / "runs", engine=this_process)
    assert not failures
    report = write_report([folder, alone], tmp_path)
    (row,) = report.tables["Generalists beside specialists"]
    assert (row["scenario"], row["run"], row["specialists"]) == ("blu-2010", "ppo, seed 0", 1)
    earned = {one["scenario"]: one for one in report.rows if one["policy"] == "ppo"}
    assert row["generalist"] == earned["train-published"]["normalised"]
    assert row["specialist"] == earned["blu-2010"]["normalised"]
    assert "Generalists beside specialists" not in write_report([folder], tmp_path).tables
