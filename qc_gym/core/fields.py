"""Types of fields that scenarios of all families share: what they allow, and their unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, Field

MAX_MONEY = 1e12
"""Most money of one field: no sum in an episode comes near the largest float64, however long it is."""
_MONEY: dict[str, Any] = {"unit": "money"}
_SHARE: dict[str, Any] = {"unit": "share"}
Money = Annotated[float, Field(ge=0, le=MAX_MONEY, json_schema_extra=_MONEY)]
Probability = Annotated[float, Field(ge=0, le=1, json_schema_extra=_SHARE)]
Share = Annotated[float, Field(ge=0, lt=1, json_schema_extra=_SHARE)]
"""A probability that cannot be 1."""
Rate = Annotated[float, Field(gt=0, lt=1, json_schema_extra=_SHARE)]
"""A probability that can be neither 0 nor 1."""
ErrorRate = Share
"""A probability that an inspector errs; :func:`qc_gym.core.inspection.check_errors` bounds two together."""


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
        if any(kind.get("unit") == _MONEY["unit"] for kind in [field, *field.get("anyOf", [])])
    )
