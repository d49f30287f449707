"""A disk that is full or may not be written: the error names the file, and nothing is torn."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.files import only_writer, write_whole

AMPLE = "16m"


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
