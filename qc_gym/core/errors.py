"""What is wrong with a scenario, in words: the name of the field, its value, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError


class ScenarioError(ValueError):
    """A scenario, or a part of one, that cannot be used; the message names the field."""


def close_names(name: str, known: Sequence[str]) -> str:
    """Return the hint of an error message about an unknown name."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{hint}Known: {', '.join(known)}"


def explain(
    model: type[BaseModel], fields: Mapping[str, Any], error: ValidationError, where: str
) -> Iterator[str]:
    """Yield a line for each field that failed: its name, its value, what is allowed."""
    for problem in error.errors():
        field = ".".join(_written(fields, problem["loc"]))
        if problem["type"] == "extra_forbidden":
            known = known_fields(model, problem["loc"][:-1])
            hint = close_names(str(problem["loc"][-1]), known)
            yield f"{where}: unknown field {field!r}; {hint}"
        elif problem["type"] == "missing":
            yield f"{where}: field {field!r} is missing"
        elif problem["type"] == "value_error" and not field:
            yield f"{where}: {problem['ctx']['error']}"
        else:
            message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
            yield f"{where}: {field} = {problem['input']!r}: {message}"


def _written(fields: Any, path: Sequence[int | str]) -> Iterator[str]:
    """Yield the parts of an error's path that the user wrote.

    Where a field has a ``kind``, pydantic puts the kind into the path as well.
    """
    for i, part in enumerate(path):
        if isinstance(fields, Mapping) and part not in fields and fields.get("kind") == part:
            continue
        yield str(part)
        if i < len(path) - 1:
            fields = fields[part] if not isinstance(fields, Mapping) else fields.get(part)


def known_fields(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Return the names of the fields of the part of ``model`` at ``path``."""
    schema = model.model_json_schema()
    node: Mapping[str, Any] = schema
    for part in path:
        node = _resolve(schema, node)
        if "oneOf" in node and "discriminator" in node:
            node = {"$ref": node["discriminator"]["mapping"].get(part, "")}
            continue
        each = node.get("items") or node.get("additionalProperties") or {}
        node = node.get("properties", {}).get(part, each)
    return list(_resolve(schema, node).get("properties", {}))


def _resolve(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = node.get("$ref", "")
    return schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else node
