"""The command line: what it prints, what it leaves, and what it says of bad input."""

import csv
import dataclasses
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import yaml
from engine_here import this_process
from strategies import SMALL_LOT

import agents.cli.training
import baselines
import qc_gym
from agents import load_policy
from agents.cli import main
from agents.experiment import read_experiment
from agents.machine import machine
from agents.report import read_result
from agents.tables import format_rounded

ROOT = Path(__file__).parents[2]
ID = "qc_gym/SequentialSampling-v0"
ROLLOUTS = ("n_steps=16", "batch_size=32", "n_epochs=2")


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a scenario's file."""
    path = tmp_path_factory.mktemp("scenario") / "tiny-lots.yaml"
    path.write_text(yaml.safe_dump(SMALL_LOT), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def trained(scenario: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that the command line trained."""
    out = tmp_path_factory.mktemp("trained") / "made" / "runs"
    settings = [word for setting in ROLLOUTS for word in ("--hyper", setting)]
    command = ["train", "SequentialSampling-v0", "ppo", "--scenario", scenario, "--seed", "3"]
    command += ["--timesteps", "192", "--num-envs", "4", "--out", str(out), *settings]
    assert main(command) == 0
    (folder,) = out.iterdir()
    return folder


def read_json(capsys: pytest.CaptureFixture[str], command: Sequence[str]) -> Any:
    assert main(command) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return json.loads(printed.out)


# --- what is printed ------------------------------------------------------------------------


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    listed = read_json(capsys, ["list", "--json"])
    types = {env_id: gym.make(env_id).unwrapped.scenario_type for env_id in qc_gym.ENVIRONMENTS}
    assert listed == {
        env_id: {
            "make": f"qc_gym:{env_id}",
            "presets": list(one.presets),
            "ranges": list(one.ranges),
        }
        for env_id, one in types.items()
    }
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    for env_id, named in listed.items():
        assert named["make"] == f"qc_gym:{env_id}"
        assert all(name in text for name in (named["make"], *named["presets"], *named["ranges"]))


@pytest.mark.parametrize("name", [ID, "SequentialSampling-v0", f"qc_gym:{ID}"])
def test_show(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["show", name, "--scenario", "lot-200"]) == 0
    text = capsys.readouterr().out
    for expected in ("inspect one more item", "accept_bad_cost", "lot_size: 200\n", "observation"):
        assert expected in text
    assert "two_point or beta" in text
    assert "whole number, > 0, ≤ 10,000" in " ".join(text.split())
    for raw in ("class '", "typing.", "Annotated", "NoneType", "TwoPointPrior", "Ge("):
        assert raw not in text


@pytest.mark.parametrize("name", ["KStage-v0", "KStageControl-v0"])
def test_show_describes_inherited_fields(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", name]) == 0
    text = capsys.readouterr().out
    for word in (
        "N items to a lot,",
        "sample_size",
        "rework_cost",
    ):  # of the plants of both families
        assert word in text
    assert "Base of" not in text


@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_solve(observation: str, scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["solve", ID, "--scenario", scenario, "--observation", observation]
    solved = read_json(capsys, [*command, "--json", "--episodes", "2000", "--seed", "5"])
    env = gym.make(ID, scenario=SMALL_LOT, observation=observation)
    optimum = baselines.solve(env)
    assert solved["env_id"] == ID
    assert {name: solved["scenario"][name] for name in SMALL_LOT} == SMALL_LOT
    assert [solved[name] for name in ("value", "lower", "upper")] == [optimum.value] * 3
    certificate = solved["certificate"]
    assert certificate == asdict(baselines.certify(env, episodes=2000, seed=5))
    simulation = certificate["simulation"]
    assert simulation["episodes"] == 2000
    assert abs(simulation["mean"] - optimum.value) < 4 * simulation["stderr"]

    assert main([*command, "--episodes", "2000"]) == 0
    text = capsys.readouterr().out
    assert f"{optimum.value:.8f}" in text
    assert baselines.plan(env).summary().strip() in text
    assert baselines.plan(env).table().strip() in text


@pytest.mark.parametrize("kind", ["txt", "csv", "json", "html"])
def test_a_plan_is_written(kind: str, scenario: str, tmp_path: Path) -> None:
    path = tmp_path / f"card.{kind}"
    command = ["solve", "SequentialSampling-v0", "--scenario", scenario, "--no-check"]
    assert main([*command, "--plan", str(path)]) == 0
    plan = baselines.plan(ID, scenario=scenario)
    form = {"txt": plan.text, "csv": plan.csv, "json": plan.json, "html": plan.html}[kind]
    assert path.read_text(encoding="utf-8") == form()


def test_a_plan_of_another_kind_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "card.pdf"
    assert main(["solve", "SequentialSampling-v0", "--plan", str(path)]) == 2
    assert ".txt, .csv, .json, .html" in capsys.readouterr().err
    assert not path.exists()


def test_score_of_the_reference_policies(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["score", "SequentialSampling-v0", "--scenario", scenario]
    env = gym.make(ID, scenario=SMALL_LOT)
    expected = {
        name: asdict(baselines.score(env, policy))
        for name, policy in baselines.reference_policies(env).items()
    }
    assert read_json(capsys, [*command, "--json"]) == expected
    assert main(command) == 0
    words = capsys.readouterr().out.partition("What they are")[0].split()
    for name, score in expected.items():  # in full: no name or number is cut
        assert name in words
        assert f"{score['regret']:.4f}" in words
        assert f"{score['value']:.4f}" in words
    order = sorted(expected, key=lambda name: expected[name]["regret"])
    assert [word for word in words if word in expected] == order


# --- training, and what it leaves -----------------------------------------------------------


def test_train_leaves_a_run(trained: Path, scenario: str) -> None:
    assert {path.name for path in trained.iterdir()} == {
        "run.json",
        "curve.csv",
        "policy.json",
        "policy.safetensors",
    }
    run = read_result(trained).run
    assert trained.name == run.name
    assert run.name.startswith("SequentialSampling-v0-tiny-lots-ppo-3-")
    assert (run.env_id, run.scenario_name, run.observation) == (ID, "tiny-lots", "belief")
    assert {name: run.scenario[name] for name in SMALL_LOT} == SMALL_LOT
    assert (run.algorithm, run.seed, run.total_timesteps, run.num_envs) == ("ppo", 3, 192, 4)
    settings = dict(yaml.safe_load(setting.replace("=", ": ")).popitem() for setting in ROLLOUTS)
    assert settings == {name: run.hyperparameters[name] for name in settings}


def test_a_trained_agent_scores_as_its_run_says(
    trained: Path, scenario: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", ID, str(trained), "--scenario", scenario]
    scores = read_json(capsys, [*command, "--json"])
    content = json.loads((trained / "run.json").read_text(encoding="utf-8"))
    assert scores == {str(trained): content["score"]}
    assert main(command) == 0
    words = capsys.readouterr().out.split()
    assert str(trained) in words
    assert f"{content['score']['regret']:.4f}" in words


def test_score_tells_where_the_regret_comes_from(
    trained: Path,
    scenario: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ["score", ID, str(trained), "--scenario", scenario]
    env = gym.make(ID, scenario=scenario)
    policy, score = load_policy(trained)[0], baselines.score
    expected = baselines.disagreements(env, policy)
    assert expected  # 192 steps do not make an optimum
    assert main(command) == 0
    text = capsys.readouterr().out
    words = text.split("Where the regret comes from")[1].replace(",", " ").split()
    for row in expected:
        assert row.state in text
        numbers = (row.occupancy, row.gap, row.regret, row.share)
        cells = [f"{one:.4f}" if one > 5e-5 else f"{one:.2e}" for one in numbers]
        assert {row.optimum, row.policy, *cells} <= set(words)

    monkeypatch.setattr(baselines, "disagreements", lambda *_, **__: [])
    assert main(command) == 0
    assert "It does what the optimum does" in capsys.readouterr().out
    endless = dataclasses.replace(score(env, policy), value=-math.inf, regret=math.inf)
    monkeypatch.setattr(baselines, "score", lambda *_, **__: endless)
    assert main(command) == 0
    text = capsys.readouterr().out
    assert "It may go on for ever: its regret has no bound" in text
    assert "It does what" not in text


def test_training_again_replaces_the_run(trained: Path, scenario: str, tmp_path: Path) -> None:
    settings = [word for setting in ROLLOUTS for word in ("--hyper", setting)]
    command = ["train", ID, "ppo", "--scenario", scenario, "--seed", "3", "--timesteps", "192"]
    command += ["--num-envs", "4", "--out", str(tmp_path), *settings]
    for _ in range(2):
        assert main(command) == 0
        (folder,) = tmp_path.iterdir()
        assert folder.name == trained.name
        assert read_result(folder).score == read_result(trained).score


def test_train_says_where_the_run_is(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / ("a-long-name-" * 10)  # in one line, however long
    command = ["train", ID, "dqn", "--scenario", scenario, "--timesteps", "64", "--num-envs", "4"]
    for setting in ("learning_starts=16", "batch_size=8", "buffer_size=200"):
        command += ["--hyper", setting]
    assert main([*command, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    (folder,) = out.iterdir()
    assert f"written to {folder}" in text.splitlines()
    assert f"{read_result(folder).score['regret']:.4f}" in text.split()


def test_a_schedule_as_a_setting(scenario: str, tmp_path: Path) -> None:
    command = ["train", ID, "a2c", "--scenario", scenario, "--timesteps", "64", "--num-envs", "4"]
    schedule = "learning_rate={initial: 0.5, final: 1.0e-3}"
    assert (
        main([*command, "--hyper", schedule, "--hyper", "n_steps=4", "--out", str(tmp_path)]) == 0
    )
    (folder,) = tmp_path.iterdir()
    rate = read_result(folder).run.hyperparameters["learning_rate"]
    assert rate == {"initial": 0.5, "final": 0.001}


# --- experiments ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench(scenario: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of results that bench wrote, and the path of its configuration."""
    folder = tmp_path_factory.mktemp("bench")
    training = {
        "total_timesteps": 128,
        "num_envs": 4,
        "hyperparameters": {"n_steps": 16, "batch_size": 32, "n_epochs": 1},
    }
    problem = {"env_id": ID, "scenario": scenario, "algorithms": {"maskable_ppo": training}}
    content = {"name": "tiny", "seeds": [0, 1], "scores": 2, "workers": 1, "problems": [problem]}
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert main(["bench", str(config), "--out", str(folder / "results")]) == 0
    return folder / "results" / "tiny", str(config)


def test_bench_started_again_trains_what_is_missing(
    bench: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(agents.cli.training, "engine_of", lambda *_: this_process)
    folder = shutil.copytree(bench[0], tmp_path / "tiny")
    first, second = (folder / "runs" / run.name for run in read_experiment(bench[1]).runs)
    shutil.rmtree(second)
    assert main(["bench", bench[1], "--out", str(tmp_path)]) == 0
    told = capsys.readouterr().out.replace("\n", "")
    assert f"{first.name}: finished before" in told
    assert f"{second.name}: normalised" in told
    for name in ("results.csv", "leaderboard.md"):
        lines = [
            (one / name).read_text(encoding="utf-8").splitlines() for one in (folder, bench[0])
        ]
        assert len(lines[0]) == len(lines[1])
    assert (second / "policy.safetensors").read_bytes() == (
        bench[0] / "runs" / second.name / "policy.safetensors"
    ).read_bytes()
    assert main(["bench", bench[1], "--out", str(tmp_path), "--fresh"]) == 0
    assert "finished before" not in capsys.readouterr().out


def test_two_benches_do_not_write_into_one_folder(
    bench: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does the lock outlive a process that is killed."""
    code = (
        "import sys, time; from agents.files import only_writer\n"
        f"with only_writer({str(tmp_path / 'tiny')!r}): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert main(["bench", bench[1], "--out", str(tmp_path)]) == 2
        assert "tiny: another process is writing into it" in capsys.readouterr().err
        assert not (tmp_path / "tiny" / "experiment.json").exists()
        other.kill()
    shutil.copytree(bench[0] / "runs", tmp_path / "tiny" / "runs")
    assert main(["bench", bench[1], "--out", str(tmp_path)]) == 0


def test_bench_leaves_a_report(bench: tuple[Path, str]) -> None:
    folder, config = bench
    names = {path.name for path in folder.iterdir()} - {".lock"}
    assert names == {
        "experiment.json",
        "runs",
        "figures",
        "results.csv",
        "runs.csv",
        "curves.csv",
        "leaderboard.md",
        "report.html",
    }
    runs = [run.name for run in read_experiment(config).runs]
    assert {path.name for path in (folder / "runs").iterdir()} == set(runs)
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows if row["policy"] == "maskable_ppo"] == ["0", "1"]


def test_report_writes_the_same_again(
    bench: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bench[0]
    before = {
        name: (folder / name).read_bytes()
        for name in ("results.csv", "runs.csv", "curves.csv", "leaderboard.md", "report.html")
    }
    for name in before:
        (folder / name).unlink()
    shutil.rmtree(folder / "figures")
    rows = read_json(capsys, ["report", str(folder), "--json"])
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert len(list((folder / "figures").glob("*.png"))) == 7
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows] == table

    assert main(["report", str(folder)]) == 0
    words = capsys.readouterr().out.split()
    for policy in {row["policy"] for row in table}:
        assert policy in words


def test_pages_hold_the_numbers_of_the_report(
    bench: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, pages = bench[0], tmp_path / "docs" / "results"
    rows = read_json(capsys, ["report", str(folder), "--pages", str(pages), "--json"])
    texts = {path.name: path.read_text(encoding="utf-8") for path in pages.glob("*.md")}
    index = texts.pop("index.md")
    listed = re.findall(r"^(?:speed|qc_gym-.*)$", index, re.MULTILINE)
    assert {f"{name}.md" for name in listed} == set(texts)
    for text in (index, *texts.values()):
        for target in re.findall(r"\]\((?!\.\.)([^)]+)\)", text):
            assert (pages / target).is_file()
    for policy in {row["policy"] for row in rows if row["seed"]}:
        of = [row for row in rows if row["policy"] == policy]
        mean = format_rounded(sum(float(row["normalised"]) for row in of) / len(of), "normalised")
        assert re.search(rf"^\| .*{re.escape(mean)}.* \|$", index, re.MULTILINE)
        (page,) = (text for name, text in texts.items() if name != "speed.md")
        for row in of:
            assert format_rounded(float(row["normalised"]), "normalised") in page
    assert "seconds" in texts["speed.md"]
    assert "seconds" not in index
    told = {"trainings": "2", **machine()}
    header, _, row = index.partition("## Made with")[2].split("\n\n")[1].splitlines()
    cells = [line.strip("| ").split(" | ") for line in (header, row)]
    assert dict(zip(*cells, strict=True)) == told
    before = {path.name: path.read_bytes() for path in pages.iterdir()}
    assert main(["report", str(folder), "--pages", str(pages)]) == 0
    assert {path.name: path.read_bytes() for path in pages.iterdir()} == before


def test_pages_replace_nothing_else(bench: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "index.md").write_text("# Results of an election", encoding="utf-8")
    (tmp_path / "votes.csv").write_text("a,b", encoding="utf-8")
    assert main(["report", str(bench[0]), "--pages", str(tmp_path)]) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"index.md", "votes.csv"}


def test_train_and_score_give_the_numbers_of_the_leaderboard(
    bench: tuple[Path, str], scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (bench[0] / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["seed"] == "1"]
    command = ["train", ID, "maskable_ppo", "--scenario", scenario, "--seed", "1"]
    command += ["--timesteps", "128", "--num-envs", "4", "--out", str(tmp_path)]
    for setting in ("n_steps=16", "batch_size=32", "n_epochs=1"):
        command += ["--hyper", setting]
    assert main(command) == 0
    capsys.readouterr()
    (folder,) = tmp_path.iterdir()
    (score,) = read_json(capsys, ["score", ID, str(folder), "--json"]).values()
    (row,) = rows
    for name in ("value", "regret", "normalised", "stderr", "optimum"):
        assert repr(score[name]) == row[name]


def test_report_of_a_damaged_run_names_it(
    bench: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(bench[0], tmp_path / "copy")
    bad, good = sorted((folder / "runs").iterdir())
    weights = bad / "policy.safetensors"
    weights.write_bytes(weights.read_bytes()[:300])
    assert main(["report", str(folder)]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"qc-gym: left out: {bad.name}: ")
    assert "policy.safetensors: cannot be read" in printed.err
    assert len(printed.err.splitlines()) == 1
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        assert [row["run"] for row in csv.DictReader(file) if row["run"]] == [good.name]
    shutil.rmtree(good)
    assert main(["report", str(folder)]) == 2
    assert "no run can be reported" in capsys.readouterr().err


def test_bench_goes_on_without_a_run_that_fails(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = {"total_timesteps": 64, "num_envs": 4}
    algorithms = {
        "dqn": {**short, "hyperparameters": {"buffer_size": 10**15}},  # no machine has the memory
        "a2c": {**short, "hyperparameters": {"n_steps": 4}},
    }
    problem = {"env_id": ID, "scenario": scenario, "algorithms": algorithms}
    content = {"name": "half", "seeds": [0], "scores": 1, "workers": 1, "problems": [problem]}
    text = yaml.safe_dump(content, sort_keys=False)
    (tmp_path / "half.yaml").write_text(text, encoding="utf-8")
    assert main(["bench", str(tmp_path / "half.yaml"), "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    failed, finished = (run.name for run in read_experiment(tmp_path / "half.yaml").runs)
    assert f"qc-gym: left out: {failed}: " in printed.err
    assert f"{failed}: failed: " in printed.out
    assert f"{finished}: normalised" in printed.out
    assert [path.name for path in (tmp_path / "half" / "runs").iterdir()] == [finished]
    assert failed in (tmp_path / "half" / "leaderboard.md").read_text(encoding="utf-8")


CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def test_configs_are_there() -> None:
    assert "quick.yaml" in {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_configs_can_be_carried_out(path: Path) -> None:
    experiment = read_experiment(path)
    assert experiment.name == path.stem
    assert list(experiment.runs)


# --- bad input ------------------------------------------------------------------------------

TRAIN = ("train", ID, "ppo")
MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "unknown environment": (
        ("solve", "SequentialSamplin-v0"),
        "unknown environment 'SequentialSamplin-v0'; did you mean 'qc_gym/SequentialSampling-v0'",
    ),
    "unknown preset": (("show", ID, "--scenario", "lot-20"), "did you mean 'lot-200'"),
    "missing scenario": (("score", ID, "--scenario", "none.yaml"), "none.yaml: cannot be read"),
    "range to go through": (
        ("solve", ID, "--scenario", "range.yaml", "--vary", "accept_bad_cost=1:2:3"),
        "range.yaml: is a range",
    ),
    "plan of a range": (
        ("solve", ID, "--scenario", "range.yaml", "--plan", "plan.txt"),
        "--plan: is of one scenario, and a range holds many",
    ),
    "curves of a range": (
        ("score", ID, "--scenario", "range.yaml", "--plan", "80,5"),
        "--plan: is of one scenario, and a range holds many",
    ),
    "count of one scenario": (
        ("score", ID, "--count", "5"),
        "--count: goes with a range of scenarios",
    ),
    "none of a range": (
        ("solve", ID, "--scenario", "range.yaml", "--count", "0"),
        "count = 0",
    ),
    "range to tune on": (
        ("tune", ID, "ppo", "--scenario", "range.yaml", "--trials", "1"),
        "scenario: is a range",
    ),
    "one episode": (("solve", ID, "--episodes", "1"), "episodes = 1"),
    "missing model": (("score", ID, "none"), "none/policy.json: cannot be read"),
    "unknown algorithm": (("train", ID, "pppo"), "unknown algorithm 'pppo'; did you mean 'ppo'"),
    "unknown hyperparameter": (
        (*TRAIN, "--hyper", "gama=1.0"),
        "unknown hyperparameter 'gama'; did you mean 'gamma'",
    ),
    "hyperparameter of no value": ((*TRAIN, "--hyper", "gamma"), "--hyper gamma: NAME=VALUE"),
    "hyperparameter of no name": ((*TRAIN, "--hyper", "=1"), "--hyper =1: NAME=VALUE"),
    "hyperparameter that is not YAML": (
        (*TRAIN, "--hyper", "gamma={"),
        "--hyper gamma={: the value is not YAML",
    ),
    "hyperparameter given twice": (
        (*TRAIN, "--hyper", "gamma=0.9", "--hyper", "gamma=0.8"),
        "--hyper gamma=0.8: gamma is set already, to 0.9",
    ),
    "number as text": ((*TRAIN, "--hyper", "learning_rate='3e-4'"), "= '3e-4': is text"),
    "hyperparameter for a field": ((*TRAIN, "--set", "gamma=1"), "a hyperparameter is --hyper"),
    "field of no value": (("show", ID, "--set", "max_samples"), "--set max_samples: NAME=VALUE"),
    "unknown field": (
        ("solve", ID, "--set", "inspection_cots=1"),
        "unknown field 'inspection_cots'; did you mean 'inspection_cost'",
    ),
    "unknown part": (
        ("solve", ID, "--set", "prior.god=0.1"),
        "unknown field 'prior.god'; did you mean 'good'",
    ),
    "field out of range": (("score", ID, "--set", "prior.good=2"), "prior.good = 2"),
    "part of a number": (
        ("solve", ID, "--set", "max_samples.x=1"),
        "--set max_samples.x: max_samples = 400: has no parts",
    ),
    "entry that is not there": (
        ("solve", "KStageControl-v0", "--set", "levels.7=0.2"),
        "--set levels.7: levels has 3 entries, from 0; got '7'",
    ),
    "impossible hyperparameters": (
        (*TRAIN, "--hyper", "n_steps=1", "--num-envs", "1"),
        "n_steps",
    ),
    "no steps": ((*TRAIN, "--timesteps", "0"), "total_timesteps = 0"),
    "no environments": ((*TRAIN, "--num-envs", "0"), "num_envs = 0"),
    "negative seed": ((*TRAIN, "--seed", "-1"), "seeds.0 = -1"),
    "a file for a folder": ((*TRAIN, "--timesteps", "1", "--out", "range.yaml"), "range.yaml"),
    "missing experiment": (("bench", "none.yaml"), "none.yaml: cannot be read"),
    "a scenario for an experiment": (("bench", "range.yaml"), "range.yaml: unknown field 'prior'"),
    "no runs": (("report", "."), "holds no finished runs"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_bad_input(
    mistake: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    spread = {**SMALL_LOT, "inspection_cost": {"low": 1.0, "high": 2.0}}
    Path("range.yaml").write_text(yaml.safe_dump(spread), encoding="utf-8")
    command, message = MISTAKES[mistake]
    assert main(command) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("qc-gym: ")
    assert message in printed.err
    assert printed.out == ""
    left = {path.name for path in Path().rglob("*") if path.is_file()}
    assert left == {"range.yaml"}


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("nonsense",),
        ("solve",),
        ("solve", ID, "--observation", "all"),
        ("solve", ID, "--episodes", "many"),
        ("list", "--xml"),
    ],
)
def test_usage(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.startswith("qc-gym: ")
    assert "Usage: qc-gym" in error
    assert "Value error" not in error  # the validator's own words


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == qc_gym.__version__


def test_a_model_of_other_observations(
    trained: Path, scenario: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", ID, str(trained), "--scenario", scenario, "--observation", "outcome"]
    assert main(command) == 2
    assert "observation outcome: the model sees belief" in capsys.readouterr().err


def test_a_model_of_another_environment(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "Assembly-v0", str(trained)]) == 2
    assert f"qc_gym/Assembly-v0: the model was trained on {ID}" in capsys.readouterr().err


# --- without torch --------------------------------------------------------------------------

WITHOUT_TORCH = """
import sys

class Missing:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in {"torch", "stable_baselines3", "sb3_contrib", "tensorboard"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing)
from agents.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run_without_torch(*command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *command],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )


def test_environments_and_optima_need_no_torch(scenario: str) -> None:
    for command in (("list",), ("solve", ID), ("score", ID)):
        options = ("--scenario", scenario) if command[0] != "list" else ()
        done = run_without_torch(*command, *options)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    done = run_without_torch("train", ID, "ppo", "--scenario", scenario)
    assert done.returncode == 2
    assert re.match(
        "qc-gym: No module named '(torch|stable_baselines3|sb3_contrib)'; .*pip install",
        done.stderr,
    )
    assert "Traceback" not in done.stderr


def test_solve_draws_the_optimum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["solve", "Assembly-v0", "--scenario", "cumcm-3", "--episodes", "100"]
    assert main([*command, "--figures", str(tmp_path / "new")]) == 0
    (picture,) = (tmp_path / "new").iterdir()
    assert picture.name == "assembly-decision_diagram.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
