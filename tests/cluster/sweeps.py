"""Sweeps on a Ray cluster of several nodes on this machine: `make cluster`."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray.cluster_utils import Cluster
from strategies import SMALL_LOT
from terminals import running

import agents.cluster
from agents.cli import main
from agents.cluster import cluster
from agents.experiment import Experiment, Run
from agents.files import sha256
from agents.runs import carry_out, check_seal
from qc_gym.core.record import validated

SAMPLING = "qc_gym/SequentialSampling-v0"
PPO = {
    "total_timesteps": 3_000,
    "num_envs": 4,
    "hyperparameters": {"n_steps": 16, "batch_size": 32, "n_epochs": 2},
}
IMPOSSIBLE = {
    "total_timesteps": 64,
    "num_envs": 2,
    "hyperparameters": {"learning_starts": 32, "buffer_size": 10**15},
}
LONG = {**PPO, "total_timesteps": 10_000_000}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Two nodes of one CPU each; tests may add others."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    yield made
    made.shutdown()


def content_of(training: dict[str, Any], seeds: int, **others: Any) -> dict[str, Any]:
    problem = {"env_id": SAMPLING, "scenario": SMALL_LOT, "algorithms": {"ppo": training, **others}}
    return {"name": "sweep", "seeds": list(range(seeds)), "scores": 5, "problems": [problem]}


def runs_of(content: dict[str, Any]) -> tuple[Run, ...]:
    return validated(Experiment, content, "test").runs


def results(folder: Path) -> dict[str, Any]:
    """Return what the runs in a folder hold, the time that they took apart."""
    found = {}
    for one in folder.iterdir():
        result = check_seal(one)
        curve = (one / "curve.csv").read_text(encoding="utf-8")
        table = [line.split(",") for line in curve.splitlines()]
        apart = table[0].index("seconds")
        weights = sha256((one / "policy.safetensors").read_bytes())
        rows = [[*row[:apart], *row[apart + 1 :]] for row in table]
        found[one.name] = result["score"], weights, rows
    return found


def tasks() -> list[str]:
    """Return the processes of Ray that carry out our tasks."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if line.startswith("ray::_carry_out")]


def test_a_node_that_is_lost_in_mid_sweep_leaves_the_sweep_whole(
    nodes: Cluster, tmp_path: Path
) -> None:
    runs = runs_of(content_of(PPO, 8))
    carry_out(runs, tmp_path / "here")
    lost = nodes.add_node(num_cpus=2)
    told: list[str] = []

    def lose_node(name: str, timesteps: int, normalised: float) -> None:
        told.append(name)
        if len(set(told)) == 4 and lost in nodes.worker_nodes:  # all CPUs are at work
            nodes.remove_node(lost, allow_graceful=False)

    folders, failures = carry_out(
        runs, tmp_path / "cluster", engine=cluster(nodes.address), report=lose_node
    )
    assert lost not in nodes.worker_nodes
    assert failures == {}
    assert [folder.name for folder in folders] == [run.name for run in runs]
    assert results(tmp_path / "cluster") == results(tmp_path / "here")
    first = {name for name in told if told.count(name) > 1 + 5}  # told of from the start twice
    assert first


def test_bench_lists_what_failed_and_writes_the_rest(
    nodes: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "sweep.yaml"
    config.write_text(yaml.safe_dump(content_of(PPO, 2, dqn=IMPOSSIBLE)), encoding="utf-8")
    options = ["--engine", "ray", "--address", nodes.address, "--out", str(tmp_path)]
    assert main(["bench", str(config), *options]) == 1
    said = capsys.readouterr()
    assert len(re.findall("left out: .*dqn.*Error: .*allocate", said.err)) == 2
    assert len(results(tmp_path / "sweep" / "runs")) == 2
    assert "ppo" in (tmp_path / "sweep" / "leaderboard.md").read_text(encoding="utf-8")
    assert not ray.is_initialized()


def test_tune_searches_on_the_cluster(nodes: Cluster, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    scenario = tmp_path / "lot.yaml"
    scenario.write_text(yaml.safe_dump(SMALL_LOT), encoding="utf-8")
    where = ["--engine", "ray", "--address", nodes.address, "--out", str(tmp_path / "best.yaml")]
    how = ["--timesteps", "384", "--trials", "3", "--study", str(tmp_path / "study.db")]
    command = ["tune", "SequentialSampling-v0", "ppo", "--scenario", str(scenario)]
    assert main([*command, *how, *where]) == 0
    assert yaml.safe_load((tmp_path / "best.yaml").read_text(encoding="utf-8"))["problems"]


def test_ctrl_c_leaves_no_task_behind(nodes: Cluster, tmp_path: Path) -> None:
    config = tmp_path / "sweep.yaml"
    config.write_text(yaml.safe_dump(content_of(LONG, 3)), encoding="utf-8")
    options = ["--engine", "ray", "--address", nodes.address, "--out", str(tmp_path)]
    command = [sys.executable, "-m", "agents.cli", "bench", str(config), *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with running(command, environment) as bench:
        wait_for(lambda: len(tasks()) == 2)
        os.killpg(bench.pid, signal.SIGINT)
        _, complained = bench.communicate(timeout=60)
        assert bench.returncode == 130, complained.decode()
    wait_for(lambda: not tasks())
    assert not list((tmp_path / "sweep" / "runs").iterdir())


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_node_of_other_code_is_told(nodes: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.cluster, "code_version", lambda: ("0.0", "other"))
    with cluster(nodes.address)() as workers:
        future = workers.submit(math.sqrt, 4.0)
        with pytest.raises(
            RuntimeError, match=r"the code of this node is .*; it was .* 0\.0 other"
        ):
            future.result()


def test_no_cluster_is_an_error_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "sweep.yaml"
    config.write_text(yaml.safe_dump(content_of(PPO, 1)), encoding="utf-8")
    address = ["--address", "127.0.0.1:1"]
    assert main(["bench", str(config), "--engine", "ray", *address, "--out", str(tmp_path)]) == 2
    assert "no Ray cluster at 127.0.0.1:1" in capsys.readouterr().err
    assert main(["bench", str(config), *address, "--out", str(tmp_path)]) == 2
    assert "--engine ray" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [config]
