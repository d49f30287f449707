"""Fields of scenarios: types that families share, with what they allow and their unit; fields by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, get_args, get_origin

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from qc_gym.core.errors import ScenarioError

MAX_MONEY = 1e12
"""Most money of one field: no sum in an episode comes near the largest float64, however long it is."""
MONEY = "money"
_MONEY: dict[str, Any] = {"unit": MONEY}
_SHARE: dict[str, Any] = {"unit": "share"}
Money = Annotated[float, Field(ge=0, le=MAX_MONEY, json_schema_extra=_MONEY)]
Probability = Annotated[float, Field(ge=0, le=1, json_schema_extra=_SHARE)]
Share = Annotated[float, Field(ge=0, lt=1, json_schema_extra=_SHARE)]
"""A probability that cannot be 1."""
Rate = Annotated[float, Field(gt=0, lt=1, json_schema_extra=_SHARE)]
"""A probability that can be neither 0 nor 1."""
ErrorRate = Share
"""A probability that an inspector errs; :func:`qc_gym.core.inspection.check_errors` bounds two together."""


def within_bounds(field: FieldInfo, column: NDArray[Any]) -> bool:
    """Return whether all numbers of a column are allowed, as far as can be told of the column at once.

    That is of a field that holds a number and has nothing but bounds.
    """
    if field.annotation not in _KINDS or column.dtype.kind not in _KINDS[field.annotation]:
        return False
    if not np.isfinite(column).all():
        return False
    for bound in field.metadata:
        holds = _BOUNDS.get(type(bound))
        if holds is None or not holds(column, bound).all():
            return False
    return True


_KINDS: Mapping[Any, str] = {int: "iu", float: "iuf"}
_BOUNDS: Mapping[type, Callable[[Any, Any], Any]] = {
    Ge: lambda column, bound: column >= bound.ge,
    Gt: lambda column, bound: column > bound.gt,
    Le: lambda column, bound: column <= bound.le,
    Lt: lambda column, bound: column < bound.lt,
}


def money_in(record: BaseModel) -> float:
    """Return the sum of all money that a record names, in its parts too."""
    total = 0.0
    for name in type(record).model_fields:
        value = getattr(record, name)
        parts = value.values() if isinstance(value, Mapping) else [value]
        total += sum(money_in(part) for part in parts if isinstance(part, BaseModel))
        if name in _fields_of_money(type(record)):
            total += value or 0.0
    return total


@cache
def _fields_of_money(record_type: type[BaseModel]) -> frozenset[str]:
    fields = record_type.model_json_schema()["properties"]
    return frozenset(
        name
        for name, field in fields.items()
        if any(kind.get("unit") == MONEY for kind in [field, *field.get("anyOf", [])])
    )


def unit_of(annotation: Any, metadata: Sequence[Any]) -> str:
    """Return the unit that an annotation names: ``json_schema_extra={"unit": …}`` of its field."""
    for field in metadata:
        if isinstance(field, FieldInfo) and isinstance(field.json_schema_extra, dict):
            return str(field.json_schema_extra.get("unit", ""))
    if get_origin(annotation) is Annotated:
        return unit_of(get_args(annotation)[0], get_args(annotation)[1:])
    if isinstance(annotation, type):  # another record has units of its own
        return ""
    return next(filter(None, (unit_of(one, []) for one in get_args(annotation))), "")


def set_field(fields: Any, name: str, value: Any) -> None:
    """Set the field at a dotted name: in parts by their fields, in lists by the number from 0.

    Where a ``kind`` is set to another one, what belonged to the former is gone.

    Raises
    ------
    ScenarioError
        The name is inside something that has no such part.
    """
    *path, last = name.split(".")
    target = fields
    for i, part in enumerate(path):
        key = _key(target, part, ".".join(path[:i]), name)
        if isinstance(target, dict) and target.get(key) is None:
            target[key] = {}
        target = target[key]
    key = _key(target, last, ".".join(path), name)
    if key == "kind" and target.get("kind") != value:
        target.clear()
    target[key] = value


def find_field(record: BaseModel, name: str) -> tuple[Any, str]:
    """Return the value at a dotted name of a record that has it, and the unit that its type names."""
    value: Any = record
    unit = ""
    for part in name.split("."):
        if isinstance(value, BaseModel):
            field = type(value).model_fields[part]
            value, unit = getattr(value, part), unit_of(field.annotation, [field])
        else:
            value = value[part if isinstance(value, Mapping) else int(part)]
    return value, unit


def _key(target: Any, part: str, where: str, name: str) -> Any:
    """Return what a part of a dotted name is in the mapping or list that holds it."""
    if isinstance(target, dict):
        return part
    if isinstance(target, list):
        if part.isdecimal() and int(part) < len(target):
            return int(part)
        raise ScenarioError(f"{name}: {where} has {len(target)} entries, from 0; got {part!r}")
    raise ScenarioError(f"{name}: {where} = {target!r}: has no parts")
