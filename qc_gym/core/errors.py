"""What is wrong with a scenario, in words: the name of the field, its value, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError

MAX_LINES = 20
"""Most faults of one mapping that are told."""
_LONGEST = 200
_WORDS = {
    "model_type": "a mapping of fields is needed",
    "model_attributes_type": "a mapping of fields is needed",
    "tuple_type": "a list is needed",
    "invalid_key": "the name of a field must be text",
}
"""What is said in place of the validator's message, by its type of error."""


class ScenarioError(ValueError):
    """A scenario, or a part of one, that cannot be used; the message names the field."""


def close_names(name: str, known: Sequence[str]) -> str:
    """Return the hint of an error message about an unknown name."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{hint}Known: {', '.join(known)}"


def shown(value: Any) -> str:
    """Return a value as an error message shows it: its ``repr``, the middle of a long one left out."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes no whole number of thousands of digits
        return f"a {type(value).__name__} too large to be shown"
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


def explain(
    model: type[BaseModel], fields: Mapping[str, Any], error: ValidationError, where: str
) -> Iterator[str]:
    """Yield a line for each field that failed: its name, its value, what is allowed."""
    problems = error.errors(include_url=False)
    for problem in islice(problems, MAX_LINES):
        yield f"{where}: {_fault(model, fields, problem)}"
    if len(problems) > MAX_LINES:
        yield f"{where}: {len(problems) - MAX_LINES:,} more"


def _fault(model: type[BaseModel], fields: Mapping[str, Any], problem: Mapping[str, Any]) -> str:
    """Return what is wrong with one field."""
    path, kind = problem["loc"], problem["type"]
    field = ".".join(_written(fields, path, may_be_absent=kind == "missing"))
    if kind == "extra_forbidden":
        hint = close_names(str(path[-1]), known_fields(model, path[:-1]))
        return f"unknown field {shown(field)}; {hint}"
    if kind == "missing":
        return f"field {field!r} is missing"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _tag_fault(field, model, problem)
    if kind == "value_error" and not field:
        return str(problem["ctx"]["error"])
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{field} = {shown(problem['input'])}: {_WORDS.get(kind, message)}"


def _tag_fault(field: str, model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    """Return what is wrong with the field that says of which of several kinds a part is."""
    name = problem["ctx"]["discriminator"].strip("'")
    tags = _tags(model, problem["loc"])
    if problem["type"] == "union_tag_not_found":
        return f"field {f'{field}.{name}'!r} is missing; known: {', '.join(tags)}"
    tag = problem["input"][name]
    hint = close_names(tag, tags) if isinstance(tag, str) else f"Known: {', '.join(tags)}"
    return f"{field}.{name} = {shown(tag)}: is unknown; {hint}"


def _written(fields: Any, path: Sequence[int | str], *, may_be_absent: bool) -> Iterator[str]:
    """Yield the parts of an error's path that the user wrote.

    Where a field has a ``kind``, pydantic puts the kind into the path as well; where it has one of
    several types, the type that was tried.
    """
    for i, part in enumerate(path):
        is_last = i == len(path) - 1
        if isinstance(fields, Mapping):
            if part not in fields:
                if is_last and may_be_absent:
                    yield str(part)
                continue
            fields = fields[part]
        elif isinstance(fields, list | tuple) and isinstance(part, int) and part < len(fields):
            fields = fields[part]
        else:
            continue
        yield str(part)


def known_fields(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Return the names of the fields of the part of ``model`` at ``path``."""
    schema = model.model_json_schema()
    return list(_resolve(schema, _node(schema, path)).get("properties", {}))


def _tags(model: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    """Return the kinds that the part of ``model`` at ``path`` may be of."""
    return list(_node(model.model_json_schema(), path)["discriminator"]["mapping"])


def _node(schema: Mapping[str, Any], path: Sequence[int | str]) -> Mapping[str, Any]:
    node: Mapping[str, Any] = schema
    for part in path:
        node = _resolve(schema, node)
        if "oneOf" in node and "discriminator" in node:
            node = {"$ref": node["discriminator"]["mapping"].get(part, "")}
            continue
        if "oneOf" in node:  # told apart by what is given: only one of them has fields
            kinds = (_resolve(schema, kind) for kind in node["oneOf"])
            node = next((kind for kind in kinds if "properties" in kind), {})
            continue
        each = node.get("items") or node.get("additionalProperties") or {}
        node = node.get("properties", {}).get(part, each)
    return node


def _resolve(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = node.get("$ref", "")
    return schema["$defs"][reference.rsplit("/", 1)[-1]] if reference else node
