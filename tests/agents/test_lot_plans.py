"""Sampling plans on the command line: scored, told at every quality, refused."""

import csv
import json
from pathlib import Path

import pytest

import baselines
from agents.cli import main
from baselines.sampling import DoublePlan, SinglePlan, curves

ID = "qc_gym/SequentialSampling-v0"
FACTORY = str(Path(__file__).parents[2] / "configs" / "scenarios" / "factory.yaml")
SCORE = ["score", "SequentialSampling-v0", "--scenario", FACTORY]
PLANS = {"80,5": SinglePlan(80, 5), "50,1,4,50,4": DoublePlan(50, 1, 4, 50, 4)}


def test_plans_are_scored_beside_the_references(capsys: pytest.CaptureFixture[str]) -> None:
    command = [*SCORE, *(word for plan in PLANS for word in ("--plan", plan))]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    references = baselines.reference_policies(ID, scenario=FACTORY)
    assert set(told) == {*PLANS, *references}
    for name, plan in PLANS.items():
        assert told[name]["regret"] == baselines.score(ID, plan, scenario=FACTORY).regret
    assert main(command) == 0
    output = capsys.readouterr().out
    for name, reference in references.items():
        assert f"\n{name} " in output
        assert reference.description in output
    assert curves(ID, PLANS, scenario=FACTORY).text() in output


def test_curves_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, folder = tmp_path / "curves.csv", tmp_path / "figures"
    command = [*SCORE, "--plan", "80,5", "--csv", str(table), "--figures", str(folder)]
    assert main(command) == 0
    expected = curves(ID, {"80,5": SinglePlan(80, 5)}, scenario=FACTORY).csv()
    assert table.read_text(encoding="utf-8") == expected
    assert (folder / "sampling-plans.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_of_curves_fits_eighty_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*SCORE, "--plan", "50,1,4,50,4", "--plan", "best_sprt"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_the_standards_plan(
    observation: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lot of 1,000 at level I is G; at AQL 4.0 that is 32 items with acceptance number 3."""
    table = tmp_path / "curves.csv"
    asked = ["--aql", "4.0", "--level", "I", "--observation", observation]
    assert main([*SCORE, "--plan", "iso2859", *asked, "--csv", str(table), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["iso2859"]
    expected = baselines.score(ID, SinglePlan(32, 3), scenario=FACTORY)
    assert found["value"] == pytest.approx(expected.value, rel=1e-12)
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert {row["plan"] for row in rows} == {"iso2859"}
    own = curves(ID, {"own": SinglePlan(32, 3)}, scenario=FACTORY)["own"]
    accepted = [float(row["acceptance_probability"]) for row in rows]
    assert accepted == pytest.approx(own.risks.acceptance_probability.tolist(), rel=1e-12)


def test_risks_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SCORE, "--alpha", "0.2", "--beta", "0.3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    for name, policy in baselines.reference_policies(
        ID, scenario=FACTORY, alpha=0.2, beta=0.3
    ).items():
        assert told[name]["value"] == baselines.score(ID, policy, scenario=FACTORY).value


def test_what_is_left_out_is_told_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "SequentialSampling-v0", "--set", "max_samples=30"]) == 0
    output = capsys.readouterr().out
    assert "Left out: iso2859: lot_size = None: ISO 2859-1 goes by the size of the lot" in output
    assert "Left out: single_exact: " in output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plan", "80"], "n,c are needed"),
        (["--plan", "80,90"], "acceptance_number = 90"),
        (["--plan", "301,5"], "at most max_samples = 300"),
        (["--plan", "iso2859", "--set", "lot_size=null"], "lot_size = None"),
        (["--aql", "1.1"], "aql = 1.1"),
        (["--alpha", "1.5"], "alpha = 1.5"),
        (["--alpha", "0.6", "--beta", "0.5"], "sum must be less than 1"),
        (["--csv", "curves.csv"], "name one by --plan"),
        (["--figures", "figures"], "name one by --plan"),
    ],
)
def test_what_is_no_plan_is_refused(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*SCORE, *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_plan_is_kept_while_a_field_varies(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["solve", "SequentialSampling-v0", "--scenario", FACTORY]
    vary = ["--vary", "inspection_cost=2:3:2", "--policy", "80,5", "--json"]
    assert main([*command, *vary]) == 0
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)["regrets"]}
    assert told["80,5"]["kind"] == "fixed"
    base = baselines.score(ID, PLANS["80,5"], scenario=FACTORY).regret
    assert told["80,5"]["values"][1] == pytest.approx(base, rel=1e-12)
    assert main([*command, *vary[:3], "80,90"]) == 2
    assert "acceptance_number = 90" in capsys.readouterr().err


def test_plans_are_of_one_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "KStage-v0", "--plan", "8,1"]) == 2
    assert "of SequentialSampling-v0 only" in capsys.readouterr().err
    assert main(["score", "KStage-v0", "--aql", "1"]) == 2
    assert "aql: " in capsys.readouterr().err


def test_a_plan_of_ones_own_is_not_the_card_of_the_optimum(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["solve", "SequentialSampling-v0", "--plan", "80,5"]) == 2
    assert "qc-gym score" in capsys.readouterr().err
    assert main([*SCORE, "--plan", "card.html"]) == 2
    assert "qc-gym solve" in capsys.readouterr().err
