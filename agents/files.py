"""Files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOCK = ".lock"


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file so that no reader ever finds a part of it; its folder is made if missing.

    Raises
    ------
    OSError
        It cannot be written; the error names it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        try:
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:  # that of a full disk names no file, that of the removal another
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def only_writer(folder: str | Path) -> Iterator[None]:
    """Be the only process that writes into a folder, which is made if missing.

    The lock is the operating system's: a process that ends, however that came about, keeps none.

    Raises
    ------
    BlockingIOError
        Another process is writing into it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BlockingIOError(
            f"{folder}: another process is writing into it; wait for it, or choose another folder"
        ) from None
    try:
        yield
    finally:
        lock.release()


def sha256(content: bytes) -> str:
    """Return the digest by which content is told from any other."""
    return hashlib.sha256(content).hexdigest()


def png(figure: Figure) -> bytes:
    """Return a figure as the content of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120, format="png")
    return buffer.getvalue()
