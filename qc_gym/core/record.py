"""Records: what is read from a mapping, validated before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator

from qc_gym.core.errors import ScenarioError, explain
from qc_gym.core.values import as_python

Model = TypeVar("Model", bound=BaseModel)
_MOST_SHOWN = 8
_IS_PYTHON = object()
"""Context of a validation of what :func:`as_python` has made."""


class Record(BaseModel):
    """Base of everything read from a mapping: frozen, no unknown fields, no NaN, no coercion.

    Numbers and arrays of numpy are taken as what they are in Python.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _as_python(cls, fields: Any, info: ValidationInfo) -> Any:
        is_python = info.context is _IS_PYTHON or not isinstance(fields, Mapping)
        return fields if is_python else as_python(fields)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            is_long = isinstance(value, tuple) and len(value) > _MOST_SHOWN
            yield name, _Shortened(value) if is_long else value


class _Shortened:
    """A long tuple that is shown by its first and last values."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        self._values = values

    def __repr__(self) -> str:
        first, last = self._values[: _MOST_SHOWN // 2], self._values[-1]
        return f"({', '.join(map(repr, first))}, …, {last!r}: {len(self._values):,} values)"


def validated(
    model: type[Model], fields: Mapping[str, Any], where: str, *, is_python: bool = False
) -> Model:
    """Return the model of ``fields``, or raise a ScenarioError that names each bad field.

    ``is_python`` says that :func:`as_python` has made them.
    """
    try:
        fields = fields if is_python else as_python(fields)
    except ValueError as error:
        raise ScenarioError(f"{where}: {error}") from None
    try:
        return model.model_validate(fields, context=_IS_PYTHON)
    except ValidationError as error:
        raise ScenarioError("\n".join(explain(model, fields, error, where))) from None
