"""Files that are written whole or not at all, and read only up to a size: anybody may have written them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from qc_gym.core.files import read_bounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOCK = ".lock"
MAX_TEXT = 16_000_000
"""Largest JSON or CSV file that is read, in bytes."""


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file so that no reader ever finds a part of it; its folder is made if missing.

    Raises
    ------
    OSError
        It cannot be written; the error names it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of this writer alone: two that write the same file at a time replace one whole by another.
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        try:
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:  # that of a full disk names no file, that of the removal another
        raise OSError(error.errno, error.strerror, str(path)) from error


def read_json(path: str | Path) -> Any:
    """Return what a JSON file of at most ``MAX_TEXT`` bytes holds.

    Raises
    ------
    OSError, ValueError
        As :func:`qc_gym.core.files.read_bounded`; or it is not JSON, or nested too deep.
    """
    try:
        return json.loads(_text(path))
    except RecursionError:
        raise ValueError(f"{path}: is nested too deep") from None


def read_csv(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV file of at most ``MAX_TEXT`` bytes by the names in its first line.

    Raises
    ------
    OSError, ValueError
        As :func:`qc_gym.core.files.read_bounded`; or it is not CSV.
    """
    try:
        yield from csv.DictReader(io.StringIO(_text(path), newline=""))
    except csv.Error as error:
        raise ValueError(f"{path}: is not CSV: {error}") from error


def _text(path: str | Path) -> str:
    return read_bounded(path, MAX_TEXT).decode("utf-8")


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
