"""Records: what is read from a mapping, validated before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from qc_gym.core.errors import ScenarioError, explain

Model = TypeVar("Model", bound=BaseModel)


class Record(BaseModel):
    """Base of everything read from a mapping: frozen, no unknown fields, no NaN, no coercion."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


def validated(model: type[Model], fields: Mapping[str, Any], where: str) -> Model:
    """Return the model of ``fields``, or raise a ScenarioError that names each bad field."""
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        raise ScenarioError("\n".join(explain(model, fields, error, where))) from None


def hashable(value: Any) -> Any:
    """Return what a hash is taken of: the same for equal values, mappings and lists included."""
    if isinstance(value, Mapping):
        return frozenset((name, hashable(one)) for name, one in value.items())
    return tuple(map(hashable, value)) if isinstance(value, list | tuple) else value
