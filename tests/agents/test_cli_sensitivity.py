"""``qc-gym solve --vary``: what is printed and written, and what is refused."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from strategies import SMALL_LOT

import baselines
from agents.cli import main

ID = "qc_gym/SequentialSampling-v0"
FIELDS = {"inspection_cost": (0.5, 3.5, 3)}
VARY = ("--vary", "inspection_cost=0.5:3.5:3")


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a scenario's file."""
    path = tmp_path_factory.mktemp("scenario") / "tiny-lots.yaml"
    path.write_text(yaml.safe_dump(SMALL_LOT), encoding="utf-8")
    return str(path)


def test_what_is_printed_and_written_is_what_python_gives(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = baselines.sensitivity(ID, FIELDS, "sprt", scenario=scenario)
    command = ["solve", "SequentialSampling-v0", "--scenario", scenario, *VARY, "--policy", "sprt"]
    table, folder = tmp_path / "made" / "table.csv", tmp_path / "figures"
    assert main([*command, "--csv", str(table), "--figures", str(folder)]) == 0
    assert capsys.readouterr().out == found.text()
    assert table.read_text(encoding="utf-8") == found.csv()
    assert [path.name for path in folder.iterdir()] == ["sampling-sensitivity.png"]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(found.json())


def test_set_and_least_are_heard(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["solve", ID, "--scenario", scenario, *VARY, "--set", "prior.good=0.2", "--json"]
    assert main([*command, "--least", "0.3"]) == 0
    content = json.loads(capsys.readouterr().out)
    fields = {**SMALL_LOT, "prior": {**SMALL_LOT["prior"], "good": 0.2}}
    found = baselines.sensitivity(ID, FIELDS, scenario=fields, least=0.3)
    assert content["optimal_values"] == found.values.tolist()
    assert content["followed_from_visits"] == 0.3
    assert all(one["occupancy"] >= 0.3 for one in content["changes"])


def test_two_fields(scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["solve", ID, "--scenario", scenario, "--csv", str(tmp_path / "map.csv")]
    assert main([*command, "--vary", "prior.good=0.05:0.1:1", "--vary", "max_samples=2:4:2"]) == 0
    assert "prior.good (share) from 0.05 to 0.1" in " ".join(capsys.readouterr().out.split())
    with (tmp_path / "map.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["prior.good"], row["max_samples"]) for row in rows] == [
        (good, most) for good in ("0.05", "0.1") for most in ("2", "3", "4")
    ]


def test_a_trained_agent_is_told_too(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", ID, "ppo", "--scenario", scenario, "--timesteps", "64", "--num-envs", "2"]
    command += ["--hyper", "n_steps=16", "--hyper", "batch_size=32", "--out", str(tmp_path)]
    assert main(command) == 0
    (folder,) = tmp_path.iterdir()
    capsys.readouterr()
    command = ["solve", ID, "--scenario", scenario, *VARY, "--policy", str(folder), "--json"]
    assert main(command) == 0
    _, model = json.loads(capsys.readouterr().out)["regrets"]
    assert (model["name"], model["kind"]) == (folder.name, "as it sees")
    assert all(regret > 0.0 for regret in model["values"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--vary", "prior.prob_bad=0.5:1.5:2"), "prob_bad = 1"),
        (("--vary", "inspection_costs=0:1:2"), "did you mean 'inspection_cost'"),
        (("--vary", "inspection_cost=0:1"), "FIELD=LOW:HIGH:STEPS is needed"),
        (("--vary", "inspection_cost=low:1:2"), "FIELD=LOW:HIGH:STEPS is needed"),
        ((*VARY, *VARY), "is set already"),
        (("--vary", "max_samples=2:5:2"), "max_samples = 3.5"),
        ((*VARY, "--policy", "sprtt"), "neither a folder nor a reference policy"),
        ((*VARY, "--plan", "card.html"), "a plan is of one scenario"),
        ((*VARY, "--no-check"), "--no-check"),
        ((*VARY, "--least", "0"), "least = 0"),
        (("--policy", "sprt"), "--policy goes with --vary"),
        (("--least", "0.2"), "--least goes with --vary"),
        (("--csv", "table.csv"), "--csv goes with --vary"),
    ],
)
def test_what_is_refused_says_why_and_writes_nothing(
    words: Sequence[str],
    said: str,
    scenario: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["solve", ID, "--scenario", scenario, *words]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert not list(tmp_path.iterdir())
