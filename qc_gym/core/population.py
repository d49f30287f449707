"""Populations: many scenarios at once, as a list, a table of fields, or so many draws from a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Generic, NamedTuple, TypeVar, Union, get_args, get_origin, overload

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.errors import ScenarioError, shown
from qc_gym.core.fields import within_bounds
from qc_gym.core.numbers import whole_number
from qc_gym.core.ranges import ScenarioRange, find_ranges
from qc_gym.core.scenario import Scenario
from qc_gym.core.values import as_python, is_mapping, rows_of

ScenarioT = TypeVar("ScenarioT", bound=Scenario)
Columns = Mapping[str, NDArray[np.generic]]


class Population(NamedTuple, Generic[ScenarioT]):
    """Many scenarios of one family.

    Attributes
    ----------
    scenarios
        One after the other: a tuple, or a :class:`ScenarioTable`.
    spread
        The range that they were drawn from; None if they were given one by one.
    """

    scenarios: Sequence[ScenarioT]
    spread: ScenarioRange | None


class ScenarioTable(Sequence[ScenarioT]):
    """Valid scenarios in columns of numbers, each of which is made when it is asked for.

    To make a scenario takes longer than to solve one of the smallest: of what is solved by the column
    none need be made.

    Parameters
    ----------
    scenario_type
        The family's scenario.
    columns
        For each of its fields a column, all of one length.
    """

    def __init__(self, scenario_type: type[ScenarioT], columns: Columns) -> None:
        self._type = scenario_type
        self._columns = columns

    def __len__(self) -> int:
        return len(next(iter(self._columns.values())))

    @overload
    def __getitem__(self, index: int) -> ScenarioT: ...
    @overload
    def __getitem__(self, index: slice) -> ScenarioTable[ScenarioT]: ...
    def __getitem__(self, index: int | slice) -> ScenarioT | ScenarioTable[ScenarioT]:
        cut = {name: column[index] for name, column in self._columns.items()}
        if isinstance(index, slice):
            return ScenarioTable(self._type, cut)
        return self._type._validated({name: value.item() for name, value in cut.items()})

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a field of each, float64 (n,)."""
        return np.ascontiguousarray(self._columns[name], np.float64)

    def __repr__(self) -> str:
        return f"ScenarioTable({len(self):,} of {self._type.__name__})"


def column_of(scenarios: Sequence[Scenario], name: str) -> NDArray[np.float64]:
    """Return a field that holds a number, of each scenario, float64 (n,)."""
    if isinstance(scenarios, ScenarioTable):
        return scenarios.column(name)
    return np.array([getattr(one, name) for one in scenarios], np.float64)


def read_population(
    scenario_type: type[ScenarioT], source: Any, count: int | None = None, seed: int = 0
) -> Population[ScenarioT]:
    """Return the scenarios that ``source`` describes.

    Parameters
    ----------
    scenario_type
        The family's scenario.
    source
        A list of scenarios, each as :meth:`Scenario.parse` takes it; a data frame with a row for each;
        a mapping of fields (``"prior.good"`` for one that is nested) to columns, arrays or lists of one
        length, or to a value that all share; a range, of which ``count`` are drawn; or one scenario.
    count, seed
        How many are drawn from a range, and the seed of these draws.

    Raises
    ------
    ScenarioError
        A scenario that is not valid, by its number; columns that differ in length; a range without
        ``count``, or ``count`` without a range.
    """
    columns = _columns_of(scenario_type, source)
    if columns:
        _refuse_count(count)
        return Population(_read_columns(scenario_type, source, columns), None)
    rows = rows_of(source)
    if rows is not None:
        _refuse_count(count)
        read = [_read(scenario_type, row, f"scenarios[{i}]") for i, row in enumerate(rows)]
        return Population(tuple(read), None)
    found = scenario_type.parse(source)
    if isinstance(found, ScenarioRange):
        if count is None:
            raise ScenarioError("scenarios: of a range, count says how many are drawn")
        generator = np.random.default_rng(whole_number("seed", seed, 0))
        drawn = [found.draw(generator) for _ in range(whole_number("count", count, 1))]
        return Population(tuple(drawn), found)  # type: ignore[arg-type]
    _refuse_count(count)
    return Population((found,), None)


def _refuse_count(count: int | None) -> None:
    if count is not None:
        raise ScenarioError(
            f"count = {count!r}: goes with a range, of which it says how many are drawn"
        )


def _columns_of(scenario_type: type[Scenario], source: Any) -> dict[str, Any]:
    """Return the columns of a table of fields; a list is the value of a field that holds lists."""
    if not isinstance(source, Mapping):
        return {}
    fields = scenario_type.model_fields
    return {
        name: value
        for name, value in source.items()
        if getattr(value, "ndim", 0) == 1
        or (
            isinstance(value, Sequence)
            and not isinstance(value, str | bytes)
            and not (name in fields and _holds_lists(fields[name].annotation))
        )
    }


def _holds_lists(annotation: Any) -> bool:
    if get_origin(annotation) in (tuple, list):
        return True
    return get_origin(annotation) in (Union, UnionType) and any(
        map(_holds_lists, get_args(annotation))
    )


def _read_columns(
    scenario_type: type[ScenarioT], source: Mapping[str, Any], lists: Mapping[str, Any]
) -> Sequence[ScenarioT]:
    """Return the scenarios of a table of fields, of which ``lists`` are the columns."""
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length:,}" for name, length in lengths.items())
        raise ScenarioError(f"scenarios: columns of one length are needed; {told}")
    shared: dict[str, Any] = {}
    for name, value in source.items():
        if name not in lists:
            _put(shared, name, value)
    # What arrays of numbers hold is a number: the rest of a row need not be looked through each time.
    numbers = all(
        getattr(values, "dtype", np.dtype(object)).kind in "biuf" for values in lists.values()
    )
    if numbers:
        shared = as_python(shared)
        for path, _ in find_ranges(shared):
            raise ScenarioError(f"scenarios: {'.'.join(path)}: a range goes without columns")
        length = next(iter(lengths.values()))
        columns = _columns_of_numbers(scenario_type, {**shared, **lists}, length)
        if columns is not None and scenario_type.all_agree(columns):
            return ScenarioTable(scenario_type, columns)
    each = [values.tolist() if hasattr(values, "tolist") else values for values in lists.values()]
    read = []
    for i, values in enumerate(zip(*each, strict=True)):
        row = dict(shared)
        for name, value in zip(lists, values, strict=True):
            _put(row, name, value)
        where = f"scenarios[{i}]"
        one = scenario_type._validated(row, where) if numbers else _read(scenario_type, row, where)
        read.append(one)
    return tuple(read)


def _columns_of_numbers(
    scenario_type: type[Scenario], given: Mapping[str, Any], length: int
) -> Columns | None:
    """Return a column of each field, defaults included; None if a value may not be allowed by itself.

    A field that is missing, unknown or no number is for others to name.
    """
    fields = scenario_type.model_fields
    if not given.keys() <= fields.keys():
        return None
    columns = {}
    for name, field in fields.items():
        column = np.asarray(given.get(name, field.default))
        if not within_bounds(field, column):
            return None
        columns[name] = np.broadcast_to(column, length)
    return columns


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    """Set a field by its dotted name."""
    if "." not in name:
        fields[name] = value
        return
    *path, last = name.split(".")
    for part in path:
        inner = fields.get(part, {})
        if not is_mapping(inner):
            raise ScenarioError(f"scenarios: {name}: {part} is {shown(inner)}, which has no fields")
        fields[part] = fields = dict(inner)
    fields[last] = value


def _read(scenario_type: type[ScenarioT], source: Any, where: str) -> ScenarioT:
    try:
        found = scenario_type.parse(source)
    except ScenarioError as error:
        raise ScenarioError(f"{where}: {error}") from None
    if isinstance(found, ScenarioRange):
        raise ScenarioError(f"{where}: is a range; a list may hold scenarios only")
    return found
