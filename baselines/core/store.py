"""Optima that took long to solve, kept on disk for all processes that ask for the same.

What an optimum consists of is arrays. They are files, memory-mapped, so that processes of one machine
share the memory as well. Each is held to its digest when it is read: what is damaged is solved again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.folders import remove_partial, whole_folder

Arrays = Mapping[str, NDArray[Any]]
LEAST_BYTES = 500_000
"""Size below which nothing is kept: solving again takes a tenth of a second at most."""
MOST_BYTES = 4_000_000_000
"""Size of all in a folder beyond which nothing is added: a range has any number of scenarios."""
_DIGESTS = "digests.json"


@dataclass(frozen=True)
class Store:
    """A folder of arrays, each set of them in a folder of its own, by what they were computed from.

    Any number of processes may use it at once.

    Attributes
    ----------
    folder
        Where they are; made when the first are kept.
    code
        Digest of the code that computes them: another finds nothing of it.
    """

    folder: Path
    code: str

    def find(self, key: Mapping[str, Any]) -> Arrays | None:
        """Return the arrays that are kept by a key, which JSON can hold; None if they are not, whole."""
        path = self._path(key)
        try:
            digests = json.loads((path / _DIGESTS).read_text(encoding="utf-8"))
            return {name: _read(path / f"{name}.npy", digests[name]) for name in digests}
        except (OSError, ValueError, TypeError):
            return None

    def keep(self, key: Mapping[str, Any], arrays: Arrays) -> None:
        """Keep arrays that are large enough, in place of damaged ones, where there is room."""
        size = sum(array.nbytes for array in arrays.values())
        try:
            if size < LEAST_BYTES or size + self._size() > MOST_BYTES:
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_folder(self._path(key)) as partial:
                for name, array in arrays.items():
                    np.save(partial / f"{name}.npy", array, allow_pickle=False)
                digests = {name: _digest(partial / f"{name}.npy") for name in arrays}
                (partial / _DIGESTS).write_text(json.dumps(digests), encoding="utf-8")
        except OSError:
            pass  # no room, or another process was quicker: who needs them can compute them

    def tidy(self) -> None:
        """Remove what is of other code, and what processes that were ended from outside were writing."""
        remove_partial(self.folder)
        for path in self.folder.glob("*/"):
            if not path.name.startswith(f"{self.code}-"):
                shutil.rmtree(path, ignore_errors=True)

    def _path(self, key: Mapping[str, Any]) -> Path:
        content = json.dumps(key, sort_keys=True).encode()
        return self.folder / f"{self.code}-{hashlib.sha256(content).hexdigest()[:32]}"

    def _size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("*/*.npy"))


def _read(path: Path, digest: str) -> NDArray[Any]:
    if _digest(path) != digest:
        raise ValueError(f"{path}: is not what was written")
    # Copied on write, and writeable so: to compiled functions read-only arrays are another type.
    return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_in_use: ContextVar[Store | None] = ContextVar("store", default=None)


@contextmanager
def using(store: Store | None) -> Iterator[None]:
    """Have optima that are solved in the block kept in a store and taken from it; None for none."""
    token = _in_use.set(store)
    try:
        yield
    finally:
        _in_use.reset(token)


def store_in_use() -> Store | None:
    """Return the store in which optima are kept; None if there is none."""
    return _in_use.get()
