"""Populations: many scenarios at once, as a list, a table of fields, or so many draws from a range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Generic, NamedTuple, TypeVar, Union, get_args, get_origin

import numpy as np

from qc_gym.core.errors import ScenarioError, shown
from qc_gym.core.numbers import whole_number
from qc_gym.core.ranges import ScenarioRange, find_ranges
from qc_gym.core.scenario import Scenario
from qc_gym.core.values import as_python, is_mapping, rows_of

ScenarioT = TypeVar("ScenarioT", bound=Scenario)


class Population(NamedTuple, Generic[ScenarioT]):
    """Many scenarios of one family.

    Attributes
    ----------
    scenarios
        One after the other.
    spread
        The range that they were drawn from; None if they were given one by one.
    """

    scenarios: tuple[ScenarioT, ...]
    spread: ScenarioRange | None


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
        return Population(tuple(_read_columns(scenario_type, source, columns)), None)
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
) -> Iterator[ScenarioT]:
    """Yield the scenarios of a table of fields, of which ``lists`` are the columns."""
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
    each = [values.tolist() if hasattr(values, "tolist") else values for values in lists.values()]
    for i, values in enumerate(zip(*each, strict=True)):
        row = dict(shared)
        for name, value in zip(lists, values, strict=True):
            _put(row, name, value)
        where = f"scenarios[{i}]"
        yield scenario_type._validated(row, where) if numbers else _read(scenario_type, row, where)


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
