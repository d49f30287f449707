"""From finished runs to a leaderboard: the rows, their order, the figures, and damaged folders."""

import csv
import dataclasses
import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file
from strategies import SMALL_LOT

import baselines
from agents.experiment import Experiment, write_manifest
from agents.report import (
    Report,
    improvements,
    leaderboards,
    overall,
    prices_of_not_seeing,
    reached,
    read_result,
    read_results,
    read_rows,
    run_folders,
    write_report,
)
from agents.report.figures import learning_curves
from agents.report.leaderboard import once_each, profiles
from agents.report.records import SETTINGS
from agents.runs import digest, sealed, train_run, write_run
from qc_gym.core.record import validated

ID = "qc_gym/SequentialSampling-v0"
ROLLOUTS = {"n_steps": 16, "batch_size": 32, "n_epochs": 2}
PPO = {"total_timesteps": 192, "num_envs": 4, "hyperparameters": ROLLOUTS}
DQN = {
    "total_timesteps": 128,
    "num_envs": 4,
    "hyperparameters": {"learning_starts": 32, "buffer_size": 500, "batch_size": 16},
}
COLUMNS = [
    "env_id",
    "scenario",
    "observation",
    "policy",
    "seed",
    "normalised",
    "regret",
    "value",
    "stderr",
    "optimum",
    "timesteps",
    "seconds",
    "timesteps_to_target",
    "seconds_to_target",
    "run",
]
CURVE_COLUMNS = ["timesteps", "seconds", "value", "regret", "normalised", "stderr"]
PROBLEMS = {"belief": {"ppo": PPO, "dqn": DQN}, "outcome": {"recurrent_ppo": PPO}}


def carry_out_here(content: dict[str, Any], folder: Path) -> list[Path]:
    """Carry out an experiment in this process, which saves the start of others."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = list(validated(Experiment, content, "test").runs)
    for run in runs:
        write_run(train_run(run), run, folder)
    return [folder / run.name for run in runs]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Finished runs of two problems; their scenario is a file that is there no more."""
    folder = tmp_path_factory.mktemp("runs")
    path = folder / "small-lots.yaml"
    path.write_text(yaml.safe_dump(SMALL_LOT), encoding="utf-8")
    problem = {"env_id": ID, "scenario": str(path)}
    problems = [
        {**problem, "observation": observation, "algorithms": algorithms}
        for observation, algorithms in PROBLEMS.items()
    ]
    content = {"name": "tiny", "seeds": [0, 1], "scores": 3, "problems": problems}
    folders = carry_out_here(content, folder / "runs")
    path.unlink()
    return folders


@pytest.fixture(scope="module")
def written(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    folder = tmp_path_factory.mktemp("report") / "made" / "here"
    return folder, write_report(runs, folder)


def read_csv(folder: Path, name: str = "results.csv") -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- rows -----------------------------------------------------------------------------------


def test_csv_has_a_row_for_each_run_and_reference(
    written: tuple[Path, Report], runs: list[Path]
) -> None:
    folder, report = written
    table = read_csv(folder)
    rows = report.rows
    assert report.left_out == {}
    assert list(table[0]) == COLUMNS
    assert [
        {name: "" if row[name] is None else str(row[name]) for name in row} for row in rows
    ] == (table)
    keys = [(row["observation"], row["policy"], row["seed"]) for row in table]
    assert len(keys) == len(set(keys))
    env = gym.make(ID, scenario=SMALL_LOT)
    references = {"optimum", *baselines.reference_policies(env)}
    for observation, algorithms in PROBLEMS.items():
        expected = {(name, seed) for name in algorithms for seed in "01"}
        expected |= {(name, "") for name in references}
        assert {key[1:] for key in keys if key[0] == observation} == expected
    assert {(row["env_id"], row["scenario"]) for row in table} == {(ID, "small-lots")}


def test_rows_are_read_as_they_were_written(written: tuple[Path, Report], tmp_path: Path) -> None:
    folder, report = written
    rows = read_rows(folder / "results.csv")
    assert rows == report.rows
    assert leaderboards(rows) == leaderboards(report.rows)
    for text in ("a,b\n1,2\n", (folder / "results.csv").read_text().replace("ppo,0,", "ppo,x,")):
        (tmp_path / "other.csv").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match=r"other\.csv: does not hold the rows of a report"):
            read_rows(tmp_path / "other.csv")


def test_runs_and_curves_are_those_of_the_folders(
    written: tuple[Path, Report], runs: list[Path]
) -> None:
    """Every number, to the last bit, as the folders of the runs hold it."""
    table = {row["run"]: row for row in read_csv(written[0], "runs.csv")}
    assert set(table) == {folder.name for folder in runs}
    points: list[dict[str, str]] = []
    for folder in runs:
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        run, row = content["run"], dict(table[folder.name])
        assert json.loads(row.pop("hyperparameters")) == run["hyperparameters"]
        assert json.loads(row.pop("machine")) == content["machine"]
        names = {name: run[name] for name in ("env_id", "observation", "algorithm", "seed")}
        names |= {"run": folder.name, "scenario": run["scenario_name"]}
        settings = {name: run[name] for name in SETTINGS}
        made = {name: content[name] for name in ("seconds", "version", "code")}
        expected = {**names, **settings, **content["score"], **made}
        assert row == {name: str(value) for name, value in expected.items()}
        with (folder / "curve.csv").open(newline="", encoding="utf-8") as file:
            points += [{**names, **point} for point in csv.DictReader(file)]
    curves = read_csv(written[0], "curves.csv")
    assert len(curves) == len(points)
    for row, point in zip(curves, points, strict=True):
        for name, value in point.items():
            same = (
                float(row[name]) == float(value)
                if name in CURVE_COLUMNS
                else row[name] == str(value)
            )
            assert same, name


def test_rows_of_runs_hold_what_the_runs_do(written: tuple[Path, Report], runs: list[Path]) -> None:
    rows = {(row["policy"], row["seed"]): row for row in written[1].rows}
    for folder in runs:
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        row = rows[content["run"]["algorithm"], content["run"]["seed"]]
        for name in ("normalised", "regret", "value", "stderr", "optimum"):
            assert row[name] == content["score"][name]
        assert row["seconds"] == content["seconds"]
        steps = [line.split(",")[0] for line in (folder / "curve.csv").read_text().splitlines()]
        assert row["timesteps"] == int(steps[-1]) == content["run"]["total_timesteps"]


def test_rows_of_references_are_their_scores(
    written: tuple[Path, Report],
) -> None:
    for observation in PROBLEMS:
        env = gym.make(ID, scenario=SMALL_LOT, observation=observation)
        rows = {
            row["policy"]: row
            for row in written[1].rows
            if row["observation"] == observation and row["seed"] is None
        }
        for name, policy in baselines.reference_policies(env).items():
            score = asdict(baselines.score(env, policy))
            assert {key: rows[name][key] for key in score if key in COLUMNS} == {
                key: value for key, value in score.items() if key in COLUMNS
            }
        assert rows["optimum"]["regret"] == pytest.approx(0.0, abs=1e-12)
        assert rows["optimum"]["normalised"] == pytest.approx(1.0, abs=1e-12)
        assert rows["random"]["normalised"] == pytest.approx(0.0, abs=1e-12)
        for row in rows.values():
            assert row["timesteps"] is row["seconds"] is row["timesteps_to_target"] is None


# --- leaderboard ----------------------------------------------------------------------------


def test_leaderboard_is_ordered_and_averages_seeds(
    written: tuple[Path, Report],
) -> None:
    tables = leaderboards(written[1].rows)
    assert list(tables) == [
        f"{ID}, small-lots, {observation} observations" for observation in PROBLEMS
    ]
    for observation, table in zip(PROBLEMS, tables.values(), strict=True):
        regrets = [row["regret"] for row in table]
        assert regrets == sorted(regrets)
        assert table[0]["policy"] == "optimum"
        for standing in table:
            rows = [
                row
                for row in read_csv(written[0])
                if (row["observation"], row["policy"]) == (observation, standing["policy"])
            ]
            for name in ("normalised", "regret", "value"):
                mean = np.mean([float(row[name]) for row in rows])
                assert standing[name] == pytest.approx(mean, abs=1e-12)
            assert standing["worst"] == min(float(row["normalised"]) for row in rows)
            is_agent = standing["policy"] in PROBLEMS[observation]
            assert standing["seeds"] == (2 if is_agent else None)
            assert len(rows) == (2 if is_agent else 1)


def test_markdown_shows_the_leaderboards(written: tuple[Path, Report]) -> None:
    lines = (written[0] / "leaderboard.md").read_text(encoding="utf-8").splitlines()
    tables = written[1].tables
    assert list(tables)[:3] == [
        "Over all problems",
        "Probability of improvement",
        "The price of not seeing the belief",
    ]
    for title, table in tables.items():
        begin = lines.index(f"## {title}") + 2
        cells = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in lines[begin : begin + 2 + len(table)]
        ]
        assert cells[0] == list(table[0])
        assert set(cells[1]) == {"---"}
        for shown, row in zip(cells[2:], table, strict=True):
            for text, value in zip(shown, row.values(), strict=True):
                if isinstance(value, float):
                    assert float(text) == pytest.approx(value, abs=5.1e-5)
                else:
                    assert text == ("–" if value is None else str(value))


def row_of(policy: str, seed: int | None, normalised: float, seconds: float | None) -> Any:
    return {
        **dict.fromkeys(COLUMNS),
        "env_id": ID,
        "scenario": "x",
        "observation": "belief",
        "policy": policy,
        "seed": seed,
        "normalised": normalised,
        "regret": 10.0 * (1 - normalised),
        "value": -20.0 - 10.0 * (1 - normalised),
        "stderr": 0.0,
        "seconds_to_target": seconds,
        "timesteps_to_target": None if seconds is None else int(1000 * seconds),
    }


def test_standings_of_rows_made_by_hand() -> None:
    rows = [
        row_of("slow", 0, 0.996, 30.0),
        row_of("slow", 1, 1.0, 50.0),
        row_of("unsure", 0, 1.0, 5.0),
        row_of("unsure", 1, 0.5, None),
        row_of("optimum", None, 1.0, None),
    ]
    (table,) = leaderboards(rows).values()
    assert [row["policy"] for row in table] == ["optimum", "slow", "unsure"]
    assert [row["s to 0.99"] for row in table] == [None, 40.0, None]
    assert [row["steps to 0.99"] for row in table] == [None, 40_000.0, None]
    assert [row["worst"] for row in table] == [1.0, 0.996, 0.5]
    assert [row["seeds"] for row in table] == [None, 2, 2]
    assert table[1]["regret"] == pytest.approx(0.02)


def of_problem(row: Any, scenario: str) -> Any:
    return {**row, "scenario": scenario}


def test_overall_of_rows_made_by_hand() -> None:
    rows = [
        of_problem(row_of(policy, seed, score, seconds), scenario)
        for scenario, policy, seed, score, seconds in (
            ("x", "good", 0, 1.0, 1.0),
            ("x", "good", 1, 0.8, None),
            ("y", "good", 0, 0.995, 3.0),
            ("y", "good", 1, 0.2, 5.0),
            ("x", "bad", 0, 0.9, None),
            ("x", "bad", 1, -math.inf, None),
            ("x", "optimum", None, 1.0, None),
            ("y", "optimum", None, 1.0, None),
            ("y", "of one family", None, 0.7, None),
        )
    ]
    table = overall(rows)
    assert [row["policy"] for row in table] == ["optimum", "good", "bad"]
    optimum, good, bad = table
    assert (optimum["problems"], optimum["runs"], optimum["low"]) == (2, None, None)
    assert (good["problems"], good["runs"], bad["problems"], bad["runs"]) == (2, 4, 1, 2)
    assert good["iqm"] == pytest.approx((0.8 + 0.995) / 2)  # of four, the middle two
    assert good["reached 0.99"] == 0.5
    assert good["worst"] == 0.2
    assert (good["steps to 0.99"], good["s to 0.99"]) == (4000.0, 4.0)  # of 1, 3, 5 and never
    assert bad["iqm"] == bad["worst"] == -math.inf
    assert (bad["steps to 0.99"], bad["reached 0.99"]) == (None, 0.0)
    # In x, of the pairs (1, .9) (1, −inf) (.8, .9) (.8, −inf), three are won.
    (pair,) = improvements(rows)
    assert (pair["policy"], pair["against"], pair["problems"]) == ("good", "bad", 1)
    assert pair["probability"] == 0.75
    assert 0.0 <= pair["low"] <= 0.75 <= pair["high"] <= 1.0


def test_agents_of_a_range_count_once() -> None:
    rows = [
        {**of_problem(row_of(policy, seed, score, 1.0), scenario), "run": run}
        for scenario, policy, seed, score, run in (
            ("range-near", "good", 0, 1.0, "a"),
            ("range-near", "good", 1, 0.9, "b"),
            ("range-near", "random", None, 0.0, None),
            ("range-far", "good", 0, 0.1, "a"),
            ("range-far", "good", 1, 0.2, "b"),
            ("range-far", "random", None, 0.0, None),
            ("x", "good", 0, 0.8, "c"),
            ("x", "random", None, 0.0, None),
        )
    ]
    near_and_x = [row for row in rows if row["scenario"] != "range-far"]
    assert once_each(rows) == near_and_x
    good, random = overall(rows)
    assert (good["problems"], good["runs"], good["worst"]) == (2, 3, 0.8)
    assert random["problems"] == 2
    assert overall(rows) == overall(near_and_x)
    assert improvements(rows) == improvements(near_and_x)
    mine, others = profiles(rows)["good"], profiles(near_and_x)["good"]
    assert all(np.array_equal(mine[name], others[name]) for name in mine)
    assert len(leaderboards(rows)) == 3


def test_the_price_of_not_seeing_the_belief_of_rows_made_by_hand() -> None:
    def row(observation: str, policy: str, seed: int | None, regret: float, stderr: float) -> Any:
        shown = {"observation": observation, "regret": regret, "stderr": stderr}
        return {**row_of(policy, seed, 0.5, None), **shown}

    rows = [
        row("belief", "ppo", 0, 1.0, 0.0),
        row("belief", "ppo", 1, 3.0, 0.0),
        row("belief", "dqn", 0, 5.0, 0.0),
        row("belief", "optimum", None, 0.0, 0.0),
        row("outcome", "recurrent_ppo", 0, 6.0, 0.6),
        row("outcome", "recurrent_ppo", 1, 8.0, 0.8),
        row("outcome", "a2c", 0, 9.0, 0.0),
        row("outcome", "optimum", None, 0.0, 0.0),
    ]
    # Another scenario is trained with one observation only, and has no price.
    rows.append(of_problem(row("outcome", "ppo", 0, 0.5, 0.1), "y"))
    (price,) = prices_of_not_seeing(rows)
    assert (price["env_id"], price["scenario"]) == (ID, "x")
    assert (price["on beliefs"], price["on outcomes"]) == ("ppo", "recurrent_ppo")
    assert (price["belief regret"], price["outcome regret"], price["price"]) == (2.0, 7.0, 5.0)
    assert price["±"] == pytest.approx(0.7)  # of .6 and .8: both seeds play the same episodes
    assert prices_of_not_seeing(rows[:4]) == []


def test_simulated_scores_show_their_error() -> None:
    rows = [row_of("lstm", 0, 0.9, None), row_of("lstm", 1, 0.8, None)]
    rows[0]["stderr"], rows[1]["stderr"] = 0.3, 0.4
    (table,) = leaderboards(rows).values()
    # Both play the same episodes: of their mean the error may be as large as their errors' mean.
    assert table[0]["±"] == pytest.approx(0.35)
    (exact,) = leaderboards([row_of("ppo", 0, 0.9, None)]).values()
    assert exact[0]["±"] is None


# --- when the target was reached ------------------------------------------------------------

CURVES: dict[str, tuple[list[float], int | None]] = {
    "never": ([0.1, 0.5, 0.98999], None),
    "at once": ([0.99, 1.0, 0.995], 0),
    "exactly": ([0.2, 0.99], 1),
    "at the end": ([0.2, 0.5, 0.991], 2),
    "for good": ([0.2, 0.995, 0.98, 0.99, 0.992], 3),
    "lost again": ([0.2, 0.995, 0.999, 0.7], None),
    "below zero": ([-3.0, 0.999], 1),
}


def rows_of(normalised: list[float]) -> list[dict[str, float]]:
    return [
        dict(zip(CURVE_COLUMNS, (100 * i, 1.5 * i, -1.0, 1.0, one, 0.0), strict=True))
        for i, one in enumerate(normalised)
    ]


@pytest.mark.parametrize("name", CURVES)
def test_when_the_target_was_reached(name: str) -> None:
    normalised, index = CURVES[name]
    curve = rows_of(normalised)
    assert reached(curve) == (None if index is None else curve[index])


def test_the_target_may_be_another() -> None:
    curve = rows_of([0.1, 0.6, 0.4, 0.7, 0.8])
    assert reached(curve, 0.7) == curve[3]
    assert reached(curve, 0.0) == curve[0]
    assert reached(curve, 0.9) is None


def write_curve_by_hand(path: Path, normalised: list[float]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CURVE_COLUMNS)
        writer.writeheader()
        writer.writerows(rows_of(normalised))


def test_report_tells_when_the_target_was_reached(runs: list[Path], tmp_path: Path) -> None:
    folders = [shutil.copytree(run, tmp_path / run.name) for run in runs[:3]]
    for folder, name in zip(folders, ("for good", "exactly", "never"), strict=True):
        write_curve_by_hand(folder / "curve.csv", CURVES[name][0])
        reseal(folder)
    report = write_report(folders, tmp_path)
    arrivals = {
        (row["policy"], row["seed"]): (row["timesteps_to_target"], row["seconds_to_target"])
        for row in read_csv(tmp_path)
    }
    assert arrivals["ppo", "0"] == ("300", "4.5")
    assert arrivals["ppo", "1"] == ("100", "1.5")
    assert arrivals["dqn", "0"] == ("", "")
    (table,) = leaderboards(report.rows).values()
    standings = {row["policy"]: row["s to 0.99"] for row in table}
    assert standings["ppo"] == 3.0
    assert standings["dqn"] is None


# --- files ----------------------------------------------------------------------------------


def test_figures_are_pictures(written: tuple[Path, Report]) -> None:
    paths = sorted((written[0] / "figures").iterdir())
    stem = "qc_gym-SequentialSampling-v0-small-lots"
    assert [path.name for path in paths] == [
        "all-intervals.png",
        "all-profiles.png",
        f"{stem}-belief-decision_maps.png",
        f"{stem}-belief-disagreements.png",
        f"{stem}-belief-learning_curves.png",
        f"{stem}-belief-operating_characteristics.png",
        f"{stem}-belief-regret_maps.png",
        f"{stem}-outcome-disagreements.png",
        f"{stem}-outcome-learning_curves.png",
    ]
    for path in paths:
        with Image.open(path) as image:
            image.verify()
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) >= 150
            assert max(image.size) >= 800
            assert len(np.unique(np.asarray(image.convert("RGB")), axis=None)) > 20  # not blank


def test_a_regret_too_small_for_the_axis_is_said_to_be_so(runs: list[Path]) -> None:
    """With the target at a regret of 1, no less than 1e-4 is drawn."""
    results = [read_result(folder) for folder in runs[:2]]
    for regrets, note in (((2.0, 1e-4), ""), ((2.0, 0.0), "\nless than 0.0001 is drawn there")):
        curve = [dict(results[0].curve[0], regret=one) for one in regrets]
        figure = learning_curves([dataclasses.replace(one, curve=curve) for one in results], 1.0)
        ax = figure.axes[0]
        assert ax.get_ylabel() == f"exact regret (money){note}"
        assert list(ax.lines[0].get_ydata()) == [2.0, 1e-4]
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == [
            "ppo, seed 0",
            "ppo, seed 1",
        ]


def test_report_twice_gives_the_same_files(written: tuple[Path, Report], runs: list[Path]) -> None:
    folder, report = written
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    before = {path: path.read_bytes() for path in paths}
    tables = ["results.csv", "runs.csv", "curves.csv", "leaderboard.md"]
    assert len(before) == 9 + len([*tables, "report.html"])
    stale = folder / "figures" / "of-an-earlier-report.png"
    stale.write_bytes(b"")
    assert write_report(runs, folder) == report
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} == (
        before
    )


# --- damaged folders ------------------------------------------------------------------------


def reseal(folder: Path) -> None:
    """Make a run's folder whole again after its files were changed on purpose."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = json.loads(files.pop("run.json"))
    (folder / "run.json").write_bytes(
        sealed(files, {name: value for name, value in result.items() if name != "digest"})[
            "run.json"
        ]
    )


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def edit(path: Path, field: str, value: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    *parents, last = field.split(".")
    node = content
    for name in parents:
        node = node[name]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    path.write_text(json.dumps(content), encoding="utf-8")


DAMAGES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "no run.json": ("run.json", lambda folder: (folder / "run.json").unlink()),
    "cut run.json": ("JSON", lambda folder: cut(folder / "run.json", 200)),
    "a list": ("run.json|list", lambda folder: (folder / "run.json").write_text("[]")),
    "no score": ("score", lambda folder: edit(folder / "run.json", "score", ...)),
    "no regret": ("regret", lambda folder: edit(folder / "run.json", "score.regret", ...)),
    "no algorithm": ("algorithm", lambda folder: edit(folder / "run.json", "run.algorithm", ...)),
    "no seed": ("seed", lambda folder: edit(folder / "run.json", "run.seed", "zero")),
    "no seconds": ("seconds", lambda folder: edit(folder / "run.json", "seconds", ...)),
    "no curve": ("curve.csv", lambda folder: (folder / "curve.csv").unlink()),
    "empty curve": ("curve.csv", lambda folder: cut(folder / "curve.csv", 0)),
    "curve of no rows": ("curve.csv", lambda folder: write_curve_by_hand(folder / "curve.csv", [])),
    "curve of other columns": (
        "normalised",
        lambda folder: (folder / "curve.csv").write_text(
            "timesteps,seconds,value,regret,stderr\n0,0,0,0,0\n"
        ),
    ),
    "curve of words": (
        "float",
        lambda folder: (folder / "curve.csv").write_text(
            "timesteps,seconds,value,regret,normalised,stderr\n0,0.0,low,1.0,0.5,0.0\n"
        ),
    ),
    "cut curve": (
        "float",
        # Within the last row, behind its first number: wherever the digits of a run may end.
        lambda folder: cut(
            folder / "curve.csv",
            (text := (folder / "curve.csv").read_bytes()).index(b",", text.rstrip().rindex(b"\n"))
            + 1,
        ),
    ),
    "no policy": ("policy.json", lambda folder: (folder / "policy.json").unlink()),
    "cut weights": (
        "policy.safetensors",
        lambda folder: cut(folder / "policy.safetensors", 500),
    ),
}


def fill(path: Path, size: int) -> None:
    """Make a file of zeros, which takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(size)


def hold(name: str, path: Path) -> None:
    """Say of a file that belongs to no run that it does."""
    edit(path / "run.json", "files", {name: "0" * 64})
    result = json.loads((path / "run.json").read_text())
    edit(path / "run.json", "digest", digest(result))


DAMAGES |= {
    "run.json of 1 GB": (
        r"run\.json: is larger than 16,000,000 bytes",
        lambda folder: fill(folder / "run.json", 10**9),
    ),
    "a deep run.json": (
        r"run\.json: is nested too deep",
        lambda folder: (folder / "run.json").write_text('{"run":' * 10**5),
    ),
    "a curve of 1 GB": (
        r"curve\.csv: is larger than 16,000,000 bytes",
        lambda folder: fill(folder / "curve.csv", 10**9),
    ),
    "a curve of one cell": (
        r"curve\.csv: is not CSV",
        lambda folder: (folder / "curve.csv").write_text("timesteps\n" + "1" * 10**6),
    ),
    "an environment that is a module": (
        r"run\.json: env_id = 'antigravity:.*': that of policy\.json is",
        lambda folder: edit(folder / "run.json", "run.env_id", f"antigravity:{ID}"),
    ),
    "another scenario than the policy's": (
        r"run\.json: scenario = {}: that of policy\.json is",
        lambda folder: edit(folder / "run.json", "run.scenario", {}),
    ),
    "a file of no run": (
        r"'\.\./notes' is not what the training wrote",
        lambda folder: hold("../notes", folder),
    ),
}


def to_another_version(folder: Path) -> None:
    edit(folder / "run.json", "version", "0.0.7")


DAMAGES["another version"] = (r"version 0\.0\.7, this is ", to_another_version)
DAMAGES["no folder"] = ("run.json", shutil.rmtree)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_folders_are_named_and_the_others_read(
    damage: str, runs: list[Path], tmp_path: Path
) -> None:
    message, spoil = DAMAGES[damage]
    good, bad = (shutil.copytree(run, tmp_path / run.name) for run in runs[:2])
    spoil(bad)
    results, left_out = read_results([bad, good])
    assert [result.folder for result in results] == [good]
    assert list(left_out) == [bad.name]
    assert str(bad) in left_out[bad.name]
    assert re.search(message, left_out[bad.name])


def means_the_same(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


@pytest.mark.parametrize("name", ["run.json", "curve.csv", "policy.json", "policy.safetensors"])
def test_no_change_of_a_file_goes_unseen(name: str, runs: list[Path], tmp_path: Path) -> None:
    """A bit is flipped here and there: the run is named and left out, whatever it makes of the file."""
    whole = (runs[0] / name).read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 40)):
        changed = bytearray(whole)
        changed[at] ^= 1
        if name == "run.json" and means_the_same(whole, bytes(changed)):
            continue  # the last digit of a number in full may not matter
        good, bad = (shutil.copytree(run, tmp_path / f"{at}-{run.name}") for run in runs[:2])
        shutil.rmtree(bad)
        shutil.copytree(runs[0], bad)
        (bad / name).write_bytes(changed)
        results, left_out = read_results([bad, good])
        assert [result.folder for result in results] == [good], (at, left_out)
        assert list(left_out) == [bad.name]


def test_a_sealed_score_that_cannot_be_is_left_out(runs: list[Path], tmp_path: Path) -> None:
    for field, value in (("regret", -5.0), ("normalised", math.nan), ("value", None)):
        bad = shutil.copytree(runs[0], tmp_path / field)
        edit(bad / "run.json", f"score.{field}", value)
        reseal(bad)
        _, left_out = read_results([bad])
        assert f"score.{field} = {value!r}" in left_out[field]


def test_weights_that_are_not_numbers_are_left_out(runs: list[Path], tmp_path: Path) -> None:
    bad = shutil.copytree(runs[0], tmp_path / "bad")
    weights = load_file(bad / "policy.safetensors")
    next(iter(weights.values()))[:1] = math.nan
    save_file(weights, bad / "policy.safetensors")
    reseal(bad)
    _, left_out = read_results([bad])
    assert "not finite" in left_out["bad"]


def test_one_reference_that_fails_does_not_take_the_rest(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("no such lines")

    monkeypatch.setattr(baselines.sampling.reference, "sprt_policy", fail)
    baselines.core.family._optimum.cache_clear()
    report = write_report(runs[:2], tmp_path)
    (name,) = report.left_out
    assert name.endswith(": sprt")
    assert "no such lines" in report.left_out[name]
    policies = {row["policy"] for row in report.rows}
    assert {"optimum", "random", "best_constant", "ppo"} <= policies
    assert "sprt" not in policies


def test_a_report_names_what_is_left_out(runs: list[Path], tmp_path: Path) -> None:
    good, bad = (shutil.copytree(run, tmp_path / run.name) for run in runs[-2:])
    cut(bad / "policy.safetensors", 500)
    failures = {"the-other": "the-other: MemoryError: too <big>"}
    report = write_report([bad, good], tmp_path / "report", failures)
    assert list(report.left_out) == ["the-other", bad.name]
    assert [row["run"] for row in read_csv(tmp_path / "report") if row["run"]] == [good.name]
    markdown, page = (
        (tmp_path / "report" / name).read_text(encoding="utf-8")
        for name in ("leaderboard.md", "report.html")
    )
    assert bad.name in markdown
    assert bad.name in page
    assert "too &lt;big>" in markdown
    assert "too &lt;big&gt;" in page
    with pytest.raises(ValueError, match="no run can be reported") as caught:
        write_report([bad], tmp_path / "nothing")
    assert str(bad) in str(caught.value)
    assert not (tmp_path / "nothing").exists()


def test_runs_of_other_code_are_not_mixed(runs: list[Path], tmp_path: Path) -> None:
    """Those of the present code are kept; if there are none, those of the code of most."""
    folders = [shutil.copytree(run, tmp_path / run.name) for run in runs[:3]]
    edit(folders[0] / "run.json", "code", "00000000")
    reseal(folders[0])
    results, left_out = read_results(folders)
    assert [result.folder for result in results] == folders[1:]
    assert list(left_out) == [folders[0].name]
    assert "code 00000000" in left_out[folders[0].name]
    edit(folders[1] / "run.json", "code", "00000000")
    edit(folders[2] / "run.json", "code", "11111111")
    for folder in folders[1:]:
        reseal(folder)
    assert list(read_results(folders)[1]) == [folders[2].name]


def test_scenarios_of_one_name_are_not_mixed(runs: list[Path], tmp_path: Path) -> None:
    """Two files may have the same name, or a file may have changed between two runs."""
    path = tmp_path / "small-lots.yaml"
    path.write_text(yaml.safe_dump({**SMALL_LOT, "max_samples": 7}), encoding="utf-8")
    problem = {"env_id": ID, "scenario": str(path), "algorithms": {"dqn": DQN}}
    content = {"name": "other", "seeds": [5], "scores": 1, "problems": [problem]}
    (other,) = carry_out_here(content, tmp_path / "runs")
    _, left_out = read_results([runs[0], other])
    assert list(left_out) == [other.name]
    assert "scenario small-lots is not that of" in left_out[other.name]


def test_only_seeds_that_are_alike_are_put_together(runs: list[Path], tmp_path: Path) -> None:
    folders = [tmp_path / folder.name for folder in runs if "-ppo-" in folder.name]
    for folder in folders:
        shutil.copytree(runs[0].parent / folder.name, folder)
    again, other = tmp_path / "again", tmp_path / "other"
    for folder, change in ((again, {}), (other, {"seed": 7, "total_timesteps": 256})):
        shutil.copytree(folders[0], folder)
        for name, value in change.items():
            edit(folder / "run.json", f"run.{name}", value)
        reseal(folder)
    # The one that differs comes first: most decide, not the order.
    results, left_out = read_results([other, *folders, again])
    assert [result.folder for result in results] == folders
    assert left_out == {
        "other": f"{other}: total_timesteps: not as in most runs of ppo on small-lots; report it from a "
        "folder of its own",
        "again": f"{again}: another run is ppo, seed 0 too",
    }


def test_runs_of_an_earlier_configuration_do_not_come_back(
    runs: list[Path], tmp_path: Path
) -> None:
    for run in runs:
        shutil.copytree(run, tmp_path / "runs" / run.name)
    (tmp_path / "runs" / ".partial-of-a-run").mkdir()
    assert run_folders(tmp_path) == sorted(tmp_path / "runs" / run.name for run in runs)
    problem = {"env_id": ID, "scenario": SMALL_LOT, "algorithms": {"dqn": DQN}}
    content = {"name": "later", "seeds": [5], "problems": [problem]}
    experiment = validated(Experiment, content, "test")
    write_manifest(experiment, tmp_path)
    assert run_folders(tmp_path) == [tmp_path / "runs" / run.name for run in experiment.runs]
    with pytest.raises(ValueError, match="no finished runs"):
        run_folders(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"runs": 3}'])
def test_a_damaged_manifest(text: str, tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"experiment\.json: cannot be read"):
        run_folders(tmp_path)


@pytest.mark.parametrize("name", ["../../other", "/etc", "..", ".", "", "a/b", "a\\b", 3, None])
def test_a_manifest_leads_to_no_other_folder(name: Any, tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps({"runs": [name]}))
    with pytest.raises(ValueError, match="the name of a folder is needed"):
        run_folders(tmp_path)
