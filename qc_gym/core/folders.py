"""Folders that are written whole or not at all."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL, BEFORE = ".partial-", ".before-"
"""How the names begin of folders that are being written, and of those that they replace meanwhile."""
ANOTHER_STANDS_THERE = (errno.ENOTEMPTY, errno.EEXIST)
"""What a folder's renaming fails with where another has that name."""


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder, beside ``path``, to write into; it takes the place of ``path`` at the end.

    If anything goes wrong in the block, nothing of it is left, and ``path`` is as it was.

    Raises
    ------
    OSError
        It cannot be written; the error names ``path``.
    """
    try:
        partial = Path(tempfile.mkdtemp(dir=path.parent, prefix=PARTIAL))
        try:
            partial.chmod(path.parent.stat().st_mode)  # mkdtemp keeps it to its owner
            yield partial
            _replace(path, partial)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:  # that of a full disk names no file
        raise OSError(error.errno, error.strerror, str(path)) from error


def _replace(path: Path, new: Path) -> None:
    """Put a folder in the place of another, which is moved back if that fails.

    Of several writers that meet here, the one that comes last leaves its folder. One has to try again
    only because another has put its own there, so that all of them come to an end.
    """
    # Tells what it was, for who finds it after a process was ended here.
    old = new.with_name(f"{BEFORE}{new.name.removeprefix(PARTIAL)}-{path.name}")
    while True:
        try:
            if path.is_dir():
                with suppress(FileNotFoundError):  # another writer has moved it
                    path.rename(old)
            new.rename(path)
        except BaseException as error:  # Ctrl-C too
            if isinstance(error, OSError) and error.errno in ANOTHER_STANDS_THERE:
                shutil.rmtree(old, ignore_errors=True)
                if not (old.exists() or path.is_file()):
                    continue
            with suppress(OSError):  # there was none
                old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
        return


def remove_partial(folder: Path) -> None:
    """Remove from a folder what processes that were ended from outside were writing.

    What they were about to replace is put back. Other processes must not be writing into the folder.
    """
    for old in folder.glob(f"{BEFORE}*-*"):
        path = folder / old.name.split("-", 2)[2]
        if not path.exists():
            old.rename(path)
    for name in (PARTIAL, BEFORE):
        for torn in folder.glob(f"{name}*"):
            shutil.rmtree(torn, ignore_errors=True)
