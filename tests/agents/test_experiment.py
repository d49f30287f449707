"""Experiments: every mistake is found before anything is trained, and runs are whole or absent."""

import copy
import errno
import json
import multiprocessing
import queue
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
import yaml
from engine_here import this_process
from strategies import SMALL_LOT

import agents.experiment
import agents.runs
import agents.training
import baselines
import qc_gym
from agents import ALGORITHMS, load_policy, train
from agents.checkpoint import restore
from agents.engines import Workers, processes
from agents.experiment import (
    Experiment,
    Run,
    code_version,
    make_env,
    read_experiment,
    write_manifest,
)
from agents.report import read_result
from agents.runs import carry_out, checkpoint_of, is_whole, train_run, write_run
from qc_gym.core.errors import ScenarioError
from qc_gym.core.record import validated
from qc_gym.sampling.scenario import SequentialSamplingScenario

ID = "qc_gym/SequentialSampling-v0"
PPO = {
    "total_timesteps": 192,
    "num_envs": 4,
    "hyperparameters": {"n_steps": 16, "batch_size": 32, "n_epochs": 2},
}
DQN = {
    "total_timesteps": 128,
    "num_envs": 4,
    "hyperparameters": {"learning_starts": 32, "buffer_size": 500, "batch_size": 16},
}
CONTENT: dict[str, Any] = {
    "name": "tiny",
    "seeds": [3],
    "scores": 3,
    "workers": 1,
    "problems": [{"env_id": ID, "scenario": SMALL_LOT, "algorithms": {"ppo": PPO, "dqn": DQN}}],
}
FULL_SCENARIO = SequentialSamplingScenario.model_validate(SMALL_LOT).model_dump(mode="json")
FILES = {"run.json", "curve.csv", "policy.json", "policy.safetensors"}


def change(path: str, value: Any) -> dict[str, Any]:
    """Return the content of the experiment with the value at a dotted path replaced, or removed."""
    content: Any = copy.deepcopy(CONTENT)
    node = content
    *parents, last = [int(name) if name.isdigit() else name for name in path.split(".")]
    for name in parents:
        node = node[name]
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return content


def write(folder: Path, content: Any) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def runs_in(content: Any = CONTENT) -> list[Run]:
    return list(validated(Experiment, content, "test").runs)


def test_full_ids_are_taken() -> None:
    env_id = CONTENT["problems"][0]["env_id"]
    assert runs_in(change("problems.0.env_id", f"qc_gym:{env_id}")) == runs_in()


# --- what is wrong is named -----------------------------------------------------------------

TRAINING = "problems.0.algorithms.ppo"
MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown environment": (
        change("problems.0.env_id", "qc_gym/SequentialSamplin-v0"),
        r"env_id 'qc_gym/SequentialSamplin-v0'; did you mean 'qc_gym/SequentialSampling-v0'",
    ),
    "environment of another package": (change("problems.0.env_id", "CartPole-v1"), r"env_id 'Cart"),
    "unknown algorithm": (
        change("problems.0.algorithms", {"pppo": PPO}),
        r"algorithm 'pppo'; did you mean 'ppo'",
    ),
    "unknown hyperparameter": (
        change(f"{TRAINING}.hyperparameters.nsteps", 4),
        r"ppo: unknown hyperparameter 'nsteps'; did you mean 'n_steps'",
    ),
    "reserved hyperparameter": (
        change(f"{TRAINING}.hyperparameters.seed", 4),
        r"ppo: seed is not a hyperparameter",
    ),
    "half a schedule": (
        change(f"{TRAINING}.hyperparameters.learning_rate", {"initial": 0.1}),
        r"learning_rate = \{'initial': 0\.1\}",
    ),
    "number as text": (
        change(f"{TRAINING}.hyperparameters.learning_rate", "3e-4"),
        r"ppo: learning_rate = '3e-4': is text",
    ),
    "value of another type": (
        change(f"{TRAINING}.hyperparameters.n_steps", 1.5),
        r"ppo: n_steps = 1\.5: should be a valid integer",
    ),
    "value out of its range": (
        change(f"{TRAINING}.hyperparameters.gamma", 1.5),
        r"ppo: gamma = 1\.5: should be less than or equal to 1",
    ),
    "a network of no size": (
        change(f"{TRAINING}.hyperparameters.policy_kwargs", {"net_arch": [-1]}),
        r"ppo: policy_kwargs: net_arch = \[-1\]: should be a list of layer sizes",
    ),
    "a roll-out of one step": (
        change(TRAINING, {"num_envs": 1, "hyperparameters": {"n_steps": 1}}),
        r"ppo: n_steps = 1 with num_envs = 1: their product should be at least 2",
    ),
    "unknown preset": (
        change("problems.0.scenario", "lot-20"),
        r"unknown preset 'lot-20'; did you mean 'lot-200'",
    ),
    "missing scenario file": (change("problems.0.scenario", "no/such.yaml"), r"no/such\.yaml"),
    "bad scenario": (
        change("problems.0.scenario.inspection_cost", -1.0),
        r"inspection_cost = -1\.0: .*greater",
    ),
    "held-out scenarios of a single one": (
        change("problems.0.held_out", {"sets": {"other": "train"}}),
        r"held_out: goes with a range",
    ),
    "unknown observation": (change("problems.0.observation", "all"), r"problems\.0\.observation"),
    "unknown field": (change("seed", [1]), r"unknown field 'seed'; did you mean 'seeds'"),
    "unknown field of a problem": (
        change("problems.0.scenarios", "lot-200"),
        r"unknown field 'problems\.0\.scenarios'; did you mean 'scenario'",
    ),
    "unknown field of a training": (
        change(f"{TRAINING}.timesteps", 5),
        r"field 'problems\.0\.algorithms\.ppo\.timesteps'; did you mean 'total_timesteps'",
    ),
    "missing field": (change("seeds", ...), r"field 'seeds' is missing"),
    "a seed that generators do not take": (change("seeds", [2**32]), r"seeds\.0.* 4294967295"),
    "no seeds": (change("seeds", []), r"seeds = \[\]"),
    "one seed, no list": (change("seeds", 0), r"seeds = 0"),
    "negative seed": (change("seeds", [0, -1]), r"seeds\.1 = -1"),
    "seed as text": (change("seeds", ["0"]), r"seeds\.0 = '0'"),
    "duplicate seed": (change("seeds", [0, 1, 0]), r"seeds = \[0, 1, 0\]"),
    "duplicate problem": (
        change("problems", CONTENT["problems"] * 2),
        r"problems\.1: .*problems\.0",
    ),
    "two scenarios of one name": (
        change(
            "problems",
            CONTENT["problems"] + change("problems.0.scenario.max_samples", 9)["problems"],
        ),
        r"problems\.1: .*custom.*problems\.0",
    ),
    "no problems": (change("problems", []), r"problems = \[\]"),
    "no algorithms": (change("problems.0.algorithms", {}), r"problems\.0\.algorithms = \{\}"),
    "nothing of an algorithm": (change(TRAINING, None), r"problems\.0\.algorithms\.ppo = None"),
    "negative steps": (change(f"{TRAINING}.total_timesteps", -5), r"ppo\.total_timesteps = -5"),
    "no steps": (change(f"{TRAINING}.total_timesteps", 0), r"ppo\.total_timesteps = 0"),
    "steps as text": (change(f"{TRAINING}.total_timesteps", "1e6"), r"total_timesteps = '1e6'"),
    "no environments": (change(f"{TRAINING}.num_envs", 0), r"ppo\.num_envs = 0"),
    "no thread": (change(f"{TRAINING}.threads", 0), r"ppo\.threads = 0"),
    "no share": (change(f"{TRAINING}.exploring_starts", 1.5), r"ppo\.exploring_starts = 1\.5"),
    "no frames": (change(f"{TRAINING}.frames", 0), r"ppo\.frames = 0"),
    "many frames": (change(f"{TRAINING}.frames", 1001), r"ppo\.frames = 1001: .*1000"),
    "no scale of rewards": (change(f"{TRAINING}.reward_scale", 2.0), r"ppo\.reward_scale"),
    "no scores": (change("scores", 0), r"scores = 0"),
    "no workers": (change("workers", 0), r"workers = 0"),
    "name that leaves the folder": (change("name", "../tiny"), r"name = '\.\./tiny'"),
    "hidden name": (change("name", ".tiny"), r"name = '\.tiny'"),
    "empty name": (change("name", ""), r"name = ''"),
    "name of two lines": (change("name", "tiny\n"), r"name = 'tiny\\n'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_before_anything_is_trained(mistake: str, tmp_path: Path) -> None:
    content, message = MISTAKES[mistake]
    path = write(tmp_path, content)
    with pytest.raises(ScenarioError, match=message) as caught:
        read_experiment(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_every_mistake_of_a_file_is_named(tmp_path: Path) -> None:
    content = change("seeds", []) | {"scores": 0, "seed": 1}
    with pytest.raises(ScenarioError) as caught:
        read_experiment(write(tmp_path, content))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    for field in ("seeds = []", "scores = 0", "unknown field 'seed'"):
        assert any(field in line for line in lines)


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: tiny\nseeds: [0]\nproblems:\n  - env_id: {\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"(?s)broken\.yaml: is not YAML: .*line 5"):
        read_experiment(path)


def test_a_key_given_twice_names_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("name: tiny\nseeds: [0]\nscores: 3\nseeds: [1]\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"(?s)'seeds' is there already in line 2.*line 4"):
        read_experiment(path)
    path.write_text("algorithms:\n  ppo: {num_envs: 1, num_envs: 2}\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"(?s)'num_envs' is there already in line 2.*line 2"):
        read_experiment(path)


def test_keys_are_merged_and_overridden(tmp_path: Path) -> None:
    """YAML's merge key brings no key twice."""
    path = tmp_path / "merged.yaml"
    path.write_text(
        "name: merged\nseeds: [0]\nproblems:\n"
        f"  - env_id: {ID}\n"
        "    algorithms:\n"
        "      ppo: &short {num_envs: 7, total_timesteps: 192}\n"
        "      a2c: {<<: *short, num_envs: 4}\n",
        encoding="utf-8",
    )
    algorithms = read_experiment(path).problems[0].algorithms
    sizes = {name: (one.num_envs, one.total_timesteps) for name, one in algorithms.items()}
    assert sizes == {"ppo": (7, 192), "a2c": (4, 192)}


def test_a_scenarios_file_is_beside_the_experiments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, change("problems.0.scenario", "lots/factory.yaml"))
    (tmp_path / "lots").mkdir()
    (tmp_path / "lots" / "factory.yaml").write_text(yaml.safe_dump(SMALL_LOT), encoding="utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    runs = list(read_experiment(path).runs)
    assert {run.scenario_name for run in runs} == {"factory"}
    assert all(run.scenario == FULL_SCENARIO for run in runs)
    monkeypatch.chdir(tmp_path)  # the same runs, wherever they are started
    assert list(read_experiment(Path("experiment.yaml")).runs) == runs


def test_the_manifest_names_the_runs(tmp_path: Path) -> None:
    experiment = validated(Experiment, CONTENT, "test")
    write_manifest(experiment, tmp_path / "new")
    content = json.loads((tmp_path / "new" / "experiment.json").read_text(encoding="utf-8"))
    assert content["runs"] == [run.name for run in runs_in()]
    assert validated(Experiment, content["experiment"], "manifest") == experiment
    assert (content["version"], content["code"]) == code_version()


@pytest.mark.parametrize("text", ["", "- tiny\n", "tiny\n"])
def test_a_file_that_holds_no_mapping(text: str, tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"list\.yaml: .*mapping"):
        read_experiment(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.yaml: cannot be read"):
        read_experiment(tmp_path / "none.yaml")


# --- runs -----------------------------------------------------------------------------------


def test_reading_gives_what_was_written(tmp_path: Path) -> None:
    experiment = read_experiment(write(tmp_path, CONTENT))
    assert experiment.model_dump(exclude_unset=True) == CONTENT


def test_runs_resolve_the_defaults() -> None:
    content = change("problems.0.algorithms", {"dqn": {}, "ppo": PPO}) | {"seeds": [4, 2]}
    runs = runs_in(content)
    assert [(run.algorithm, run.seed) for run in runs] == [
        ("dqn", 4),
        ("dqn", 2),
        ("ppo", 4),
        ("ppo", 2),
    ]
    dqn, ppo = runs[0], runs[2]
    entry = ALGORITHMS["dqn"]
    assert (dqn.total_timesteps, dqn.num_envs) == (entry.total_timesteps, entry.num_envs)
    assert dqn.hyperparameters == entry.defaults
    assert dqn.threads == 1
    assert (ppo.total_timesteps, ppo.num_envs) == (192, 4)
    scaled = ALGORITHMS["ppo"].settle(192, 4, PPO["hyperparameters"])[2]
    assert ppo.hyperparameters == scaled
    assert {name: scaled[name] for name in PPO["hyperparameters"]} == PPO["hyperparameters"]
    for run in runs:
        assert (run.env_id, run.observation, run.scenario_name) == (ID, "belief", "custom")
        assert run.scenario == FULL_SCENARIO
        assert run.scores == 3


def test_names_tell_what_a_run_is(tmp_path: Path) -> None:
    (tmp_path / "factory.yaml").write_text(yaml.safe_dump(SMALL_LOT), encoding="utf-8")
    for scenario, name in (
        ("lot-200", "lot-200"),
        (SMALL_LOT, "custom"),
        (None, "default"),
        (str(tmp_path / "factory.yaml"), "factory"),
    ):
        ppo, dqn = runs_in(change("problems.0.scenario", scenario))
        assert ppo.name.startswith(f"SequentialSampling-v0-{name}-ppo-3-")
        assert dqn.name.startswith(f"SequentialSampling-v0-{name}-dqn-3-")


def test_names_differ_where_runs_do(monkeypatch: pytest.MonkeyPatch) -> None:
    run = runs_in()[0]
    fields = run.model_dump()
    others = [
        {"scenario": {**FULL_SCENARIO, "max_samples": 9}},
        {"scenario_name": "another"},
        {"observation": "outcome"},
        {"algorithm": "a2c"},
        {"seed": 4},
        {"scores": 4},
        {"total_timesteps": 193},
        {"num_envs": 5},
        {"threads": 2},
        {"exploring_starts": 0.5},
        {"frames": 2},
    ]
    for name, value in run.hyperparameters.items():
        new = {**value, "final": 0.5} if isinstance(value, dict) else value + 1
        others.append({"hyperparameters": {**run.hyperparameters, name: new}})
    others.append({"hyperparameters": {**run.hyperparameters, "vf_coef": 0.25}})
    names = {run.name, *(validated(Run, fields | other, "test").name for other in others)}
    assert len(names) == 1 + len(others)
    # Neither the process nor the order of the hyperparameters matters, but the version does.
    reordered = dict(reversed(run.hyperparameters.items()))
    assert validated(Run, fields | {"hyperparameters": reordered}, "test").name == run.name
    monkeypatch.setattr(qc_gym, "__version__", "99")
    assert validated(Run, fields, "test").name not in names
    monkeypatch.undo()
    assert run.name in names
    monkeypatch.setattr(agents.experiment, "_digest_sources", lambda: "another digest")
    assert validated(Run, fields, "test").name not in names


# --- carrying them out ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def carried_out(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A tiny experiment, carried out here, with what was reported, and again in two processes."""
    experiment = validated(Experiment, CONTENT, "test")
    first, second = (tmp_path_factory.mktemp(name) / "deep" / "runs" for name in ("one", "two"))
    progress: list[tuple[str, int, float]] = []
    results: dict[str, Any] = {}
    folders, failures = carry_out(
        experiment.runs,
        first,
        engine=this_process,
        report=lambda *message: progress.append(message),
        finished=lambda name, result: results.update({name: result}),
    )
    assert failures == {}
    return {
        "folders": folders,
        "again": carry_out(experiment.runs, second, engine=processes(2))[0],
        "progress": progress,
        "results": results,
    }


def test_each_run_leaves_a_whole_folder(carried_out: dict[str, Any]) -> None:
    folders = carried_out["folders"]
    assert [folder.name for folder in folders] == [run.name for run in runs_in()]
    assert sorted(folders[0].parent.iterdir()) == sorted(folders)  # nothing else, nothing partial
    for folder, run in zip(folders, runs_in(), strict=True):
        assert {path.name for path in folder.iterdir()} == FILES
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        assert validated(Run, content["run"], "run.json") == run
        assert (content["version"], content["code"]) == code_version()
        assert content["seconds"] > 0
        assert folder.stat().st_mode == folder.parent.stat().st_mode


def test_the_score_is_that_of_the_saved_policy(carried_out: dict[str, Any]) -> None:
    env = gym.make(ID, scenario=SMALL_LOT)
    for folder in carried_out["folders"]:
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        policy, description = load_policy(folder)
        assert asdict(baselines.score(env, policy)) == content["score"]
        assert description["algorithm"] == content["run"]["algorithm"]
        result = read_result(folder)
        assert result.curve[-1]["regret"] == content["score"]["regret"]
        assert result.curve[0]["timesteps"] == 0
        assert result.curve[-1]["timesteps"] >= content["run"]["total_timesteps"]
        assert len(result.curve) == CONTENT["scores"] + 1


def test_progress_is_reported(carried_out: dict[str, Any]) -> None:
    names = [folder.name for folder in carried_out["folders"]]
    assert sorted(carried_out["results"]) == sorted(names)
    for folder in carried_out["folders"]:
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        assert carried_out["results"][folder.name] == content
        curve = [(row["timesteps"], row["normalised"]) for row in read_result(folder).curve]
        told = [message[1:] for message in carried_out["progress"] if message[0] == folder.name]
        assert told[0] == curve[0]
        assert told[-1] == curve[-1]
        assert set(curve) <= set(told)


def without_seconds(folder: Path) -> dict[str, Any]:
    result = read_result(folder)
    curve = [{**row, "seconds": None} for row in result.curve]
    return {"run": result.run, "score": result.score, "curve": curve}


def test_two_executions_are_the_same(carried_out: dict[str, Any]) -> None:
    for folder, again in zip(carried_out["folders"], carried_out["again"], strict=True):
        assert folder != again
        assert without_seconds(folder) == without_seconds(again)
        for name in ("policy.json", "policy.safetensors"):
            assert (folder / name).read_bytes() == (again / name).read_bytes()


def test_what_is_there_and_whole_is_not_trained_again(
    carried_out: dict[str, Any], tmp_path: Path
) -> None:
    folder = shutil.copytree(carried_out["folders"][0].parent, tmp_path / "runs")
    whole, damaged = (folder / run.name for run in runs_in())
    torn = folder / ".partial-abc"
    torn.mkdir()
    (torn / "curve.csv").write_text("timesteps", encoding="utf-8")
    weights = (damaged / "policy.safetensors").read_bytes()
    (damaged / "policy.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    written = (whole / "run.json").stat().st_mtime_ns
    found: list[str] = []
    finished: list[str] = []
    told = {"found": found.append, "finished": lambda name, result: finished.append(name)}
    folders, failures = carry_out(runs_in(), folder, engine=this_process, **told)  # type: ignore[arg-type]
    assert (found, finished, failures) == ([whole.name], [damaged.name], {})
    assert folders == [whole, damaged]
    assert (whole / "run.json").stat().st_mtime_ns == written
    assert (damaged / "policy.safetensors").read_bytes() == weights
    assert sorted(folder.iterdir()) == sorted(folders)
    for missing in ("curve.csv", "run.json"):
        (whole / missing).unlink()
        assert not is_whole(whole)
        carry_out(runs_in()[:1], folder, engine=this_process)
        assert is_whole(whole)


def test_fresh_trains_all_again(carried_out: dict[str, Any], tmp_path: Path) -> None:
    folder = shutil.copytree(carried_out["folders"][0].parent, tmp_path / "runs")
    finished: list[str] = []
    carry_out(
        runs_in(),
        folder,
        engine=this_process,
        fresh=True,
        finished=lambda name, result: finished.append(name),
    )
    assert finished == [run.name for run in runs_in()]


def test_a_run_of_its_own_is_the_same(carried_out: dict[str, Any], tmp_path: Path) -> None:
    (run, _) = runs_in()
    result = write_run(train_run(run), run, tmp_path)
    assert without_seconds(tmp_path / run.name) == without_seconds(carried_out["folders"][0])
    assert result == json.loads((tmp_path / run.name / "run.json").read_text(encoding="utf-8"))


def test_a_run_is_a_training_with_its_arguments(tmp_path: Path) -> None:
    training = {**PPO, "threads": 2}
    content = change("problems.0.algorithms", {"ppo": training})
    content["problems"][0]["observation"] = "outcome"
    (run,) = runs_in(content)
    write_run(train_run(run), run, tmp_path)
    model = train("ppo", ID, scenario=SMALL_LOT, observation="outcome", seed=3, **training)
    weights = model.policy.state_dict()
    saved = load_policy(tmp_path / run.name)[0].state_dict()
    assert list(saved) == list(weights)
    assert all(torch.equal(saved[name], weights[name]) for name in weights)


def test_a_failing_run_is_reported_and_leaves_the_others(
    carried_out: dict[str, Any], tmp_path: Path
) -> None:
    impossible = {"learning_starts": 32, "buffer_size": 10**15}  # no machine has the memory
    failing = {"total_timesteps": 64, "num_envs": 2, "hyperparameters": impossible}
    content = change("problems.0.algorithms", {"dqn": failing, "ppo": PPO})
    experiment = read_experiment(write(tmp_path, content))  # nothing to see before the training
    folder = tmp_path / "runs"
    earlier = folder / carried_out["folders"][1].name
    shutil.copytree(carried_out["folders"][1], earlier)
    finished: list[str] = []
    failed: dict[str, str] = {}
    folders, failures = carry_out(
        experiment.runs,
        folder,
        finished=lambda name, result: finished.append(name),
        failed=lambda name, message: failed.update({name: message}),
    )
    bad, good = experiment.runs
    assert folders == [folder / good.name]
    assert finished == [good.name]
    assert list(failures) == [bad.name]
    assert failures == failed
    assert re.search("Error: .*allocate", failures[bad.name])
    assert {path.name for path in folder.iterdir()} == {good.name, earlier.name}
    assert without_seconds(folder / good.name) == without_seconds(carried_out["folders"][0])
    assert without_seconds(earlier) == without_seconds(carried_out["folders"][1])


def test_a_process_that_is_ended_does_not_stop_the_others(
    carried_out: dict[str, Any], tmp_path: Path
) -> None:
    """Whenever the first of two runs tells of itself, all processes that train are killed."""
    bad, good = runs_in()
    # So long that it is killed while it trains, however late this process hears of it.
    bad = Run(**{**bad.model_dump(), "total_timesteps": 10**8})
    killed: list[str] = []

    def kill(name: str, timesteps: int, normalised: float) -> None:
        if name == bad.name and timesteps == 0:
            killed.append(name)
            for process in multiprocessing.active_children():
                if not process.name.startswith("SyncManager"):
                    process.kill()

    folders, failures = carry_out([bad, good], tmp_path, engine=processes(2), report=kill)
    assert killed == [bad.name] * 2
    assert list(failures) == [bad.name]
    assert "ended from outside, twice" in failures[bad.name]
    assert folders == [tmp_path / good.name]
    assert without_seconds(folders[0]) == without_seconds(carried_out["folders"][1])


class _BrokenOff(BaseException):
    """As Ctrl-C and a failing machine do, whatever is under way."""


class _Messages(queue.Queue[Any]):
    """Breaks off at the so manyeth message."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self.left -= 1
        if self.left < 0:
            raise _BrokenOff
        super().put(item, block, timeout)


@contextmanager
def broken_off() -> Iterator[Workers]:
    with this_process() as workers:
        yield replace(workers, queue=lambda: _Messages(2))


@pytest.mark.parametrize(
    ("number", "options", "goes_on"),
    [
        (0, {}, True),
        (0, {"fresh": True}, False),
        (1, {"replay": True}, True),
        (1, {}, False),
    ],
    ids=["ppo", "ppo, afresh", "dqn with its replay buffer", "dqn"],
)
def test_a_run_that_was_broken_off_goes_on_where_it_was(
    number: int,
    options: dict[str, Any],
    goes_on: bool,
    carried_out: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = runs_in()[number]
    begun: list[bool] = []
    monkeypatch.setattr(
        agents.training,
        "restore",
        lambda *arguments: begun.append(restore(*arguments)) or begun[-1],
    )
    other = checkpoint_of(runs_in(change("seeds", [4]))[0], tmp_path)
    other.write_bytes(b"of a run of another experiment")
    with pytest.raises(_BrokenOff):
        carry_out([run], tmp_path, engine=broken_off, replay=options.get("replay", False))
    kept = number == 0 or "replay" in options
    assert list(tmp_path.iterdir()) == [checkpoint_of(run, tmp_path)] * kept
    folders, failures = carry_out([run], tmp_path, engine=this_process, **options)
    assert begun == [False, goes_on]
    assert not failures
    assert list(tmp_path.iterdir()) == folders
    assert without_seconds(folders[0]) == without_seconds(carried_out["folders"][number])


def test_what_was_trained_is_kept_when_all_is_broken_off(
    carried_out: dict[str, Any], tmp_path: Path
) -> None:
    """The second of two runs has ended, and nobody has heard of it yet, when the first tells of itself."""

    @contextmanager
    def both_at_once() -> Iterator[Workers]:
        with this_process() as workers:
            yield replace(workers, number=lambda: 2)

    def interrupt(*_: Any) -> None:
        raise _BrokenOff

    with pytest.raises(_BrokenOff):
        carry_out(runs_in(), tmp_path, engine=both_at_once, report=interrupt)
    for run, expected in zip(runs_in(), carried_out["folders"], strict=True):
        assert without_seconds(tmp_path / run.name) == without_seconds(expected)


@pytest.mark.parametrize("writes", range(5))
def test_a_run_that_cannot_be_written_leaves_nothing(
    writes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the first write, or at any later one."""
    (run, _) = runs_in()
    earlier = tmp_path / run.name
    earlier.mkdir()
    (earlier / "run.json").write_text("of an earlier run", encoding="utf-8")
    checkpoint = checkpoint_of(run, tmp_path)
    files = train_run(run, checkpoint)
    assert set(files) == FILES
    left = iter(range(writes))

    def limited(original: Any) -> Any:
        def write(*arguments: Any, **options: Any) -> Any:
            if next(left, None) is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            return original(*arguments, **options)

        return write

    monkeypatch.setattr(tempfile, "mkdtemp", limited(tempfile.mkdtemp))
    monkeypatch.setattr(Path, "write_bytes", limited(Path.write_bytes))
    with pytest.raises(OSError, match=f"No space left on device: '{re.escape(str(earlier))}'"):
        write_run(files, run, tmp_path)
    # Nothing of it but what the training can go on from.
    assert set(tmp_path.iterdir()) == {earlier, checkpoint}
    assert (earlier / "run.json").read_text(encoding="utf-8") == "of an earlier run"
    monkeypatch.undo()
    write_run(files, run, tmp_path)
    assert list(tmp_path.iterdir()) == [earlier]
    assert is_whole(earlier)


@pytest.mark.parametrize("algorithm", ["a2c", "qrdqn"])
def test_networks_of_ones_own(algorithm: str, tmp_path: Path) -> None:
    """These algorithms write into the policy_kwargs that they are given."""
    steps = {"n_steps": 4} if algorithm == "a2c" else DQN["hyperparameters"]
    training = {**DQN, "hyperparameters": {**steps, "policy_kwargs": {"net_arch": [8]}}}
    (run,) = runs_in(change("problems.0.algorithms", {algorithm: training}))
    name = run.name
    default = ALGORITHMS[algorithm].defaults.get("policy_kwargs", {})
    assert run.hyperparameters["policy_kwargs"] == {**default, "net_arch": [8]}
    write_run(train_run(run), run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert read_result(tmp_path / name).run == run
    shapes = {tuple(value.shape) for value in load_policy(tmp_path / name)[0].parameters()}
    assert (8, 4) in shapes  # the first layer: four numbers in, eight out


def test_the_environment_of_a_run() -> None:
    (run, _) = runs_in(change("problems.0.observation", "outcome"))
    env = make_env(run)
    assert env.spec is not None
    assert env.spec.id == ID
    assert env.observation_space.shape == (3,)
    assert env.unwrapped.scenario.model_dump(exclude_defaults=True) == SMALL_LOT
