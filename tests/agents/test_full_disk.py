"""A disk that is full or may not be written: the error names the file, and nothing is torn."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine_here import this_process
from strategies import SMALL_LOT

import agents.cli.training
from agents.cli import main
from agents.files import only_writer, write_whole

AMPLE = "16m"
TRAININGS: dict[str, Any] = {
    "ppo": {
        "total_timesteps": 192,
        "num_envs": 4,
        "hyperparameters": {"n_steps": 16, "batch_size": 32, "n_epochs": 2},
    },
    "dqn": {
        "total_timesteps": 128,
        "num_envs": 4,
        "hyperparameters": {"learning_starts": 32, "buffer_size": 500, "batch_size": 16},
    },
}


class Disk:
    """A disk of its own, in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def remount(self, options: str) -> None:
        """Change how it may be used."""
        _run("mount", "-o", f"remount,{options}", str(self.path))


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk with ample room; only the system's administrator may have one."""
    path = tmp_path / "disk"
    path.mkdir()
    if sys.platform != "linux":
        pytest.skip("needs Linux to mount a disk in memory")
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={AMPLE}", "tmpfs", str(path))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("may not mount a disk")
    try:
        yield Disk(path)
    finally:
        _run("umount", str(path))


@pytest.mark.parametrize(
    ("options", "reason"),
    [("ro", "Read-only file system"), ("size=64k", "No space left on device")],
)
def test_a_file_that_cannot_be_written_is_as_before(options: str, reason: str, disk: Disk) -> None:
    path = disk.path / "results.csv"
    write_whole(path, "of before")
    disk.remount(options)
    with pytest.raises(OSError, match=reason) as caught:
        write_whole(path, bytes(100_000))
    assert caught.value.filename == str(path)
    disk.remount(f"rw,size={AMPLE}")
    assert [file.name for file in disk.path.iterdir()] == [path.name]
    assert path.read_text(encoding="utf-8") == "of before"
    write_whole(path, bytes(100_000))
    assert path.read_bytes() == bytes(100_000)


def test_writers_of_the_same_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([letter]) * 200_000 for letter in b"ab"]
    write_whole(path, contents[0])
    with ThreadPoolExecutor(2) as pool:
        writers = [
            pool.submit(lambda mine: [write_whole(path, mine) for _ in range(100)], content)
            for content in contents
        ]
        while not all(writer.done() for writer in writers):
            assert path.read_bytes() in contents
    assert [writer.result() for writer in writers] == [[None] * 100] * 2
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("before", [True, False], ids=["used before", "new"])
def test_a_lock_that_cannot_be_written_names_the_folder(before: bool, disk: Disk) -> None:
    folder = disk.path / "sweep"
    if before:
        with only_writer(folder):
            pass
    disk.remount("ro")
    with pytest.raises(OSError, match="Read-only file system") as caught, only_writer(folder):
        pass
    assert str(caught.value.filename).startswith(str(folder))


@pytest.fixture
def config(tmp_path: Path) -> str:
    """An experiment of two runs: the checkpoints of one do not fit on a full disk, and its folder."""
    problem = {
        "env_id": "qc_gym/SequentialSampling-v0",
        "scenario": SMALL_LOT,
        "algorithms": TRAININGS,
    }
    path = tmp_path / "two.yaml"
    content = {"name": "two", "seeds": [0], "scores": 3, "problems": [problem]}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def test_runs_that_cannot_be_written_are_named_and_leave_nothing(
    config: str, disk: Disk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(agents.cli.training, "engine_of", lambda *_: this_process)
    disk.remount("size=32k")
    assert main(["bench", config, "--out", str(disk.path)]) == 2
    complaint = capsys.readouterr().err
    folder = disk.path / "two"
    for algorithm in TRAININGS:
        where = rf"'{re.escape(str(folder))}/runs/\S*custom-{algorithm}-0-\S*'"
        assert re.search(rf"OSError: \[Errno 28\] No space left on device: {where}", complaint)
    assert list((folder / "runs").iterdir()) == []
    assert {path.name for path in folder.iterdir()} == {".lock", "experiment.json", "runs"}


@pytest.mark.parametrize("before", [True, False], ids=["used before", "new"])
def test_nothing_is_trained_for_a_folder_that_cannot_be_written(
    before: bool,
    config: str,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def start() -> None:
        pytest.fail("a training was started")

    monkeypatch.setattr(agents.cli.training, "engine_of", lambda *_: start)
    if before:
        (disk.path / "two" / "runs").mkdir(parents=True)
    disk.remount("ro")
    assert main(["bench", config, "--out", str(disk.path)]) == 2
    complaint = capsys.readouterr().err
    assert re.search(rf"qc-gym: {re.escape(str(disk.path))}/two\S*: Read-only file", complaint)
