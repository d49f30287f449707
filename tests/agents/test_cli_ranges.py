"""``solve``, ``score`` and ``show`` on ranges of scenarios."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import baselines
from agents import train
from agents.cli import main
from agents.policies import save_policy

SAMPLING, PLANT = "qc_gym/SequentialSampling-v0", "qc_gym/KStage-v0"
SHORT = ("--set", "max_samples=12")
"""Lots of which next to nothing may be inspected, to be solved at once."""


@pytest.fixture(scope="module")
def generalist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str]:
    """An agent trained on a range of plants, and its folder."""
    settings = {"n_steps": 16, "batch_size": 32, "n_epochs": 1}
    model = train(
        "ppo", PLANT, scenario="train", total_timesteps=64, num_envs=4, hyperparameters=settings
    )
    folder = tmp_path_factory.mktemp("generalist")
    fields = gym.make(PLANT, scenario="train").unwrapped.scenarios.fields  # type: ignore[attr-defined]
    description = {"algorithm": "ppo", "hyperparameters": {}, "env_id": PLANT}
    save_policy(model, folder, {**description, "scenario": fields, "observation": "belief"})
    return model, str(folder)


def read_json(capsys: pytest.CaptureFixture[str], *command: str) -> Any:
    assert main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def read_text(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main(command) == 0
    return capsys.readouterr().out


def test_solve_tells_of_a_sample(capsys: pytest.CaptureFixture[str]) -> None:
    command = ("solve", PLANT, "--scenario", "train", "--count", "30", "--seed", "7")
    told = read_json(capsys, *command)
    values = baselines.solve_many(PLANT, "train", count=30, seed=7).values
    assert told["scenarios"] == 30
    assert told["mean_optimal_value"] == pytest.approx(values.mean(), rel=1e-12)
    assert told["stderr"] == pytest.approx(values.std(ddof=1) / 30**0.5, rel=1e-12)
    assert told["median"] == np.median(values)
    assert told["least"] == values.min()
    assert f"{values.min():.4f}" in read_text(capsys, *command)


def test_the_worst_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    named = ("--scenario", "train", *SHORT, "--set", "inspection_cost={low: 1.0, high: 3.0}")
    text = read_text(capsys, "solve", SAMPLING, *named, "--count", "5")
    words = shlex.split(text.partition("least value: ")[2])
    assert words[:4] == ["--scenario", "train", *SHORT]
    solved = read_json(capsys, "solve", SAMPLING, *words, "--episodes", "0")
    least = read_json(capsys, "solve", SAMPLING, *named, "--count", "5")["least"]
    assert solved["value"] == pytest.approx(least, rel=1e-12)
    assert solved["scenario"]["max_samples"] == 12


def test_lists_and_nested_fields_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    named = ("KStageControl-v0", "--scenario", "train", "--set", "days=3")
    told = read_json(capsys, "solve", *named, "--count", "3")
    text = read_text(capsys, "solve", *named, "--count", "3")
    words = shlex.split(text.partition("least value: ")[2])
    scenario = read_json(capsys, "show", "KStageControl-v0", *words)["scenario"]
    assert scenario["days"] == 3
    assert scenario | told["worst"] == scenario


def test_score_designs_the_references_anew(capsys: pytest.CaptureFixture[str]) -> None:
    command = ("score", SAMPLING, "--scenario", "train", *SHORT, "--count", "6", "--seed", "2")
    told = read_json(capsys, *command)
    fields = gym.make(SAMPLING, scenario="train").unwrapped.scenarios.fields  # type: ignore[attr-defined]
    scenarios = {**fields, "max_samples": 12}
    assert "sprt" in told
    for name in ("sprt", "random"):
        scores = baselines.score_many(SAMPLING, scenarios, name, count=6, seed=2)
        row = told[name]
        assert row["mean_regret"] == pytest.approx(scores.mean_regret, rel=1e-9)
        assert row["stderr"] == pytest.approx(scores.mean_regret_stderr, rel=1e-9)
        assert row["worst_regret"] == pytest.approx(np.nanmax(scores.regrets), rel=1e-9)
        normalised = scores.normalised[scores.scored]
        assert row["median_normalised"] == pytest.approx(np.median(normalised), rel=1e-9)
        assert row["worst"]["prior.good"] == scores.scenarios[scores.worst].prior.good  # type: ignore[attr-defined]
    assert "loses most at --scenario train" in read_text(capsys, *command)


def test_a_generalist_is_scored_over_the_range_of_its_training(
    generalist: tuple[Any, str], capsys: pytest.CaptureFixture[str]
) -> None:
    model, folder = generalist
    for name in ("train", "extrapolation"):
        told = read_json(capsys, "score", PLANT, folder, "--scenario", name, "--count", "20")
        scores = baselines.score_many(PLANT, name, model, count=20, trained_on="train")
        assert told[folder]["mean_regret"] == pytest.approx(scores.mean_regret, rel=1e-9)
    # By default on the range itself.
    own = read_json(capsys, "score", PLANT, folder, "--count", "20")
    assert own == read_json(capsys, "score", PLANT, folder, "--scenario", "train", "--count", "20")


def test_a_generalist_is_scored_on_one_scenario(
    generalist: tuple[Any, str], capsys: pytest.CaptureFixture[str]
) -> None:
    model, folder = generalist
    told = read_json(capsys, "score", PLANT, folder, "--scenario", "blu-2010")
    scores = baselines.score_many(PLANT, ["blu-2010"], model, trained_on="train")
    assert told[folder]["regret"] == pytest.approx(scores.regrets[0], rel=1e-9)


def test_a_generalist_is_not_scored_on_what_it_cannot_play(
    generalist: tuple[Any, str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = generalist
    assert main(["score", PLANT, folder, "--scenario", "clean-process"]) == 2
    assert "not of the size" in capsys.readouterr().err


def test_a_specialist_is_scored_on_a_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"n_steps": 16, "batch_size": 32, "n_epochs": 1}
    model = train("ppo", PLANT, total_timesteps=64, num_envs=4, hyperparameters=settings)
    preset = gym.make(PLANT).unwrapped.scenario  # type: ignore[attr-defined]
    description = {"algorithm": "ppo", "hyperparameters": {}, "env_id": PLANT}
    fields = {"scenario": preset.model_dump(mode="json"), "observation": "belief"}
    save_policy(model, tmp_path, {**description, **fields})
    told = read_json(capsys, "score", PLANT, str(tmp_path), "--scenario", "train", "--count", "9")
    scores = baselines.score_many(PLANT, "train", model, count=9, trained_on="blu-2010")
    assert told[str(tmp_path)]["mean_regret"] == pytest.approx(scores.mean_regret, rel=1e-9)
    # It plays one K whatever the plant: what that costs is known without the network.
    stages = int(model.predict(gym.make(PLANT).reset(seed=0)[0], deterministic=True)[0])
    losses = [one.costs(one.fraction_defective) for one in scores.scenarios]  # type: ignore[attr-defined]
    assert scores.regrets == pytest.approx([loss[stages] - loss.min() for loss in losses], abs=1e-9)
