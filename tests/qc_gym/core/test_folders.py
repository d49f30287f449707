"""Folders that are written whole or not at all, by any number of writers."""

import errno
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qc_gym.core.folders import remove_partial, whole_folder


def _write(folder: Path, content: str) -> None:
    with whole_folder(folder) as partial:
        (partial / "content").write_text(content, encoding="utf-8")


def _files(folder: Path) -> list[tuple[str, str]]:
    """What is under a folder, hidden files too."""
    return [
        (str(path.relative_to(folder)), path.read_text(encoding="utf-8"))
        for path in folder.rglob("*")
        if path.is_file()
    ]


@pytest.fixture
def before_renaming(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Callable[[Path, Path], None]], None]:
    """Have a function called with what is renamed next, and with its new name."""
    rename = Path.rename
    is_called = False

    def install(function: Callable[[Path, Path], None]) -> None:
        def renamed(self: Path, target: Path) -> Path:
            nonlocal is_called
            if not is_called:  # the function may rename, too
                is_called = True
                function(self, target)
                is_called = False
            return rename(self, target)

        monkeypatch.setattr(Path, "rename", renamed)

    return install


def test_another_writer_between_the_steps_of_one(
    tmp_path: Path, before_renaming: Callable[[Callable[[Path, Path], None]], None]
) -> None:
    """Whatever a writer does next, another has just put its own folder there, or moved it away."""
    folder = tmp_path / "run"
    steps: list[str] = []

    def meet(source: Path, target: Path) -> None:
        steps.append("moves" if source == folder else "places")
        if len(steps) <= 5:
            _write(folder, f"of another {len(steps)}")

    _write(folder, "before")
    before_renaming(meet)
    _write(folder, "of this one")
    assert _files(tmp_path) == [("run/content", "of this one")]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert steps == ["moves", "places"] * 3


def test_the_folder_is_moved_by_another_writer(
    tmp_path: Path, before_renaming: Callable[[Callable[[Path, Path], None]], None]
) -> None:
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"

    def meet(source: Path, target: Path) -> None:
        if source == folder and not elsewhere.exists():
            folder.rename(elsewhere)

    _write(folder, "before")
    before_renaming(meet)
    _write(folder, "of this one")
    assert _files(folder) == [("content", "of this one")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "run"]


@pytest.mark.parametrize("step", ["moves", "places"])
def test_ctrl_c_in_between_leaves_what_was_there(
    step: str, tmp_path: Path, before_renaming: Callable[[Callable[[Path, Path], None]], None]
) -> None:
    folder = tmp_path / "run"

    def interrupt(source: Path, target: Path) -> None:
        if (source == folder) == (step == "moves"):
            before_renaming(lambda *_: None)
            raise KeyboardInterrupt

    _write(folder, "before")
    before_renaming(interrupt)
    with pytest.raises(KeyboardInterrupt):
        _write(folder, "new")
    assert _files(tmp_path) == [("run/content", "before")]
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


class _Killed(BaseException):
    """In place of the signal after which nothing is tidied up."""


@pytest.mark.parametrize("others", [True, False], ids=["another has written", "nobody has"])
def test_what_a_killed_process_was_about_to_replace_is_put_back(
    others: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = tmp_path / "a-run-of-1", Path.rename
    _write(folder, "before")

    def killed(self: Path, target: Path) -> Path:
        if target == folder:
            raise _Killed
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(_Killed):
        _write(folder, "new")
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 2
    if others:
        _write(folder, "of another")
    remove_partial(tmp_path)
    content = "of another" if others else "before"
    assert _files(tmp_path) == [("a-run-of-1/content", content)]
    assert len(list(tmp_path.iterdir())) == 1


def test_writers_at_once_leave_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"

    def work(name: str) -> None:
        for _ in range(50):
            _write(folder, name)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, name) for name in "abcd"]:
            done.result()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert [name for name, _ in _files(folder)] == ["content"]


def test_a_folder_that_cannot_be_replaced_is_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "before").write_text("kept", encoding="utf-8")
    rename = Path.rename

    def fail_for_the_new_one(self: Path, target: Path) -> Path:
        if target == folder and not (self / "before").exists():
            raise PermissionError(errno.EACCES, "held open")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_one)
    with pytest.raises(PermissionError) as caught, whole_folder(folder) as partial:
        (partial / "new").write_text("new", encoding="utf-8")
    assert caught.value.filename == str(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (folder / "before").read_text(encoding="utf-8") == "kept"
    monkeypatch.undo()
    with whole_folder(folder) as partial:
        (partial / "new").write_text("new", encoding="utf-8")
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "new"]
