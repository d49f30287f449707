"""Values of scenarios as Python's own: what data frames and arrays hold becomes numbers and lists."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from qc_gym.core.errors import shown

MAX_VALUES = 100_000
"""Most values that a mapping may hold, in all its parts: an alias in a YAML file can stand for many."""
MAX_DEPTH = 32
"""Most levels to which its parts may be nested."""
_PLAIN = (str, int, float, bool, type(None))


def is_mapping(value: Any) -> bool:
    """Return whether ``value`` has names and values: a mapping, a row of a data frame, a record."""
    if isinstance(value, np.void):
        return value.dtype.names is not None
    return isinstance(value, Mapping) or (
        callable(getattr(value, "keys", None)) and getattr(value, "ndim", 1) == 1
    )


def rows_of(source: Any) -> list[Any] | None:
    """Return the parts of a list or array, or the rows of a table; None for anything else."""
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        return list(source)
    if isinstance(source, np.ndarray) and source.ndim == 1:
        return list(source)
    if getattr(source, "ndim", 0) == 2 and hasattr(source, "columns"):  # a data frame
        return list(source.to_dict("records"))
    return None


def as_python(fields: Any) -> dict[Any, Any]:
    """Return a copy of a mapping in Python's own types, in which nothing is shared with ``fields``.

    Numbers of numpy and all that can index become ``int`` and ``float``, arrays and sequences
    lists, rows of a data frame mappings. In a row that its data frame made floats of, what is whole
    is a whole number again.

    Raises
    ------
    ValueError
        More than ``MAX_VALUES`` values, nested deeper than ``MAX_DEPTH``, or what has no order where
        a list is; the message names the field.
    """
    counter = _Counter()
    copy = {}
    for name, value in _items(fields):
        try:
            copy[name] = counter.copy(value, 1)
        except _UnusableError as error:
            raise ValueError(f"{shown(name)}: {error}") from None
    return copy


def hashable(value: Any) -> Any:
    """Return what a hash is taken of: the same for equal values, mappings and lists included."""
    if isinstance(value, Mapping):
        return frozenset((name, hashable(one)) for name, one in value.items())
    return tuple(map(hashable, value)) if isinstance(value, list | tuple) else value


class _UnusableError(Exception):
    """A value that cannot be copied; the caller knows its name."""


class _Counter:
    """Copies values, and counts them."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def copy(self, value: Any, depth: int) -> Any:
        if type(value) in _PLAIN:
            self._count(1)
            return value
        if depth > MAX_DEPTH:
            raise _UnusableError(f"is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, np.generic | np.ndarray) or hasattr(value, "__array__"):
            return self._copy_array(value, depth)
        if isinstance(value, Mapping):
            self._count(1)
            return {_name(name): self.copy(one, depth + 1) for name, one in value.items()}
        if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
            self._count(1)
            return [self.copy(one, depth + 1) for one in value]
        if isinstance(value, Set) or hasattr(value, "__next__"):
            raise _UnusableError(f"is a {type(value).__name__}; a list is needed")
        self._count(1)
        return _scalar(value)

    def _copy_array(self, value: Any, depth: int) -> Any:
        if isinstance(value, np.void) and value.dtype.names:
            return {name: self.copy(value[name], depth + 1) for name in value.dtype.names}
        try:
            array = np.asarray(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise _UnusableError(
                f"{type(value).__name__}: is no array of numbers: {error}"
            ) from None
        self._count(array.size)
        if array.dtype.kind in "mM":  # numpy would make whole numbers of dates
            raise _UnusableError(f"holds {array.dtype}; numbers are needed")
        if array.dtype.kind in "OV":
            return self.copy(array.tolist(), depth + 1)
        if array.dtype == np.longdouble:
            array = array.astype(np.float64)
        return array.tolist()

    def _count(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise _UnusableError(f"the mapping holds more than {MAX_VALUES:,} values")


def _items(fields: Any) -> list[tuple[Any, Any]]:
    if isinstance(fields, np.void):
        return [(name, fields[name]) for name in fields.dtype.names or ()]
    if isinstance(fields, Mapping):
        return [(_name(name), value) for name, value in fields.items()]
    is_float = getattr(getattr(fields, "dtype", None), "kind", "") == "f"
    items = [(_name(name), fields[name]) for name in fields.keys()]  # noqa: SIM118
    if not is_float:
        return items
    return [(name, int(value) if float(value).is_integer() else value) for name, value in items]


def _name(name: Any) -> Any:
    return str(name) if isinstance(name, str) else name


def _scalar(value: Any) -> Any:
    """Return a number of another package as an int; anything else as it is, for others to refuse."""
    if isinstance(value, int | float | str):
        return value
    try:
        return operator.index(value)
    except TypeError:
        return value
