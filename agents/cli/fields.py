"""The fields of a scenario in words: what each means, what it may be, and a file to start from."""

from __future__ import annotations

import inspect
import re
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from qc_gym.core.fields import unit_of
from qc_gym.core.record import Record
from qc_gym.core.scenario import Scenario

_WORDS = {float: "number", int: "whole number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class Field:
    """A field of a scenario, or of a part of one, in words."""

    name: str
    meaning: str
    unit: str
    allowed: str
    default: str


@dataclass(frozen=True)
class Part:
    """A scenario or a part of one.

    Attributes
    ----------
    record
        Its class.
    title
        ``"scenario"``, or which field holds it, with its ``kind`` where there are several.
    description
        What it is, in words.
    """

    record: type[BaseModel]
    title: str
    description: str
    fields: Sequence[Field]


def parts_of(scenario_type: type[BaseModel]) -> list[Part]:
    """Return the scenario's own fields and those of the parts that its fields hold."""
    found: list[tuple[type[BaseModel], str]] = [(scenario_type, "scenario")]
    for record, _ in found:  # grows while it is read
        for name, field in record.model_fields.items():
            for held in _records(field.annotation):
                if held not in [one for one, _ in found]:
                    kind = kind_of(held)
                    found.append((held, f"{name}, kind: {kind}" if kind else f"each of {name}"))
    return [Part(record, title, _description(record), _fields(record)) for record, title in found]


def kind_of(record: type[BaseModel]) -> str | None:
    """Return the ``kind`` by which a part is told from others that may stand in its place."""
    field = record.model_fields.get("kind")
    return get_args(field.annotation)[0] if field and get_args(field.annotation) else None


def _records(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _records(inner)


def _fields(record: type[BaseModel]) -> list[Field]:
    meanings = _meanings(record)
    return [
        Field(
            name=name,
            meaning=meanings.get(name, ""),
            unit=unit_of(field.annotation, [field]),
            allowed=_allowed(field.annotation, field.metadata),
            default="required" if field.is_required() else _written(field.get_default()),
        )
        for name, field in record.model_fields.items()
        if not (name == "kind" and kind_of(record))
    ]


def _written(value: Any) -> str:
    """Return a value as YAML has it, in one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _allowed(annotation: Any, metadata: Sequence[Any]) -> str:
    """Return in words what values an annotation, with pydantic's limits beside it, lets through."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _allowed(inner[0], [*inner[1:], *metadata])
    if origin in (Union, types.UnionType):
        kinds = [_allowed(one, metadata) for one in inner if one is not type(None)]
        return " or ".join([*kinds, *(["null"] if type(None) in inner else [])])
    if origin is Literal:
        return " or ".join(map(str, inner))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return kind_of(annotation) or "fields below"
    limits = "".join(_limits(metadata))
    if origin in (dict, Mapping):
        return f"{_allowed(inner[1], [])} by name{limits}"
    if origin in (tuple, list):
        return f"list of: {_allowed(inner[0], [])}{limits}"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation))) + limits


def _limits(metadata: Sequence[Any]) -> Iterator[str]:
    for limit in metadata:
        if isinstance(limit, FieldInfo):
            yield from _limits(limit.metadata)
        elif isinstance(limit, annotated_types.Ge):
            yield f", ≥ {_number(limit.ge)}"
        elif isinstance(limit, annotated_types.Gt):
            yield f", > {_number(limit.gt)}"
        elif isinstance(limit, annotated_types.Le):
            yield f", ≤ {_number(limit.le)}"
        elif isinstance(limit, annotated_types.Lt):
            yield f", < {_number(limit.lt)}"
        elif isinstance(limit, annotated_types.MinLen):
            yield f"; at least {limit.min_length}"
        elif isinstance(limit, annotated_types.MaxLen):
            yield f"; at most {limit.max_length}"


def _number(limit: Any) -> str:
    """Return a limit as short as it can be written."""
    if isinstance(limit, float) and abs(limit) >= 1e6:
        return f"{limit:g}".replace("e+", "e")
    return f"{int(limit) if limit == int(limit) else limit:,}"


def _meanings(record: type[BaseModel]) -> dict[str, str]:
    """Return what the docstrings of a record and of those that it extends say of its fields."""
    meanings: dict[str, str] = {}
    for documented in reversed(_documented(record)):
        section = inspect.cleandoc(documented.__doc__ or "").partition("Attributes\n----------\n")[
            2
        ]
        names: list[str] = []
        for line in re.split(r"\n\n\S+.*\n-{3,}", section)[0].splitlines():
            if line and not line.startswith(" "):
                names = line.split(", ")
                meanings |= dict.fromkeys(names, "")
            for name in names if line.startswith(" ") else ():
                meanings[name] = _plain(f"{meanings[name]} {line.strip()}").strip()
    return meanings


def _description(record: type[BaseModel]) -> str:
    texts = (inspect.cleandoc(one.__doc__ or "") for one in _documented(record)[:1])
    paragraphs = (text.partition("\n\nAttributes\n")[0].split("\n\n") for text in texts)
    return "\n\n".join(_plain(" ".join(one.split())) for text in paragraphs for one in text)


def _documented(record: type[BaseModel]) -> list[type[BaseModel]]:
    return [
        one
        for one in record.__mro__
        if issubclass(one, BaseModel) and one not in (Scenario, Record, BaseModel)
    ]


def _plain(text: str) -> str:
    """Return a docstring's text without its markup."""
    return re.sub(r":\w+:`~?([^`]+)`", r"\1", text).replace("``", "")


def template(scenario_type: type[Scenario], fields: Mapping[str, Any], heading: str) -> str:
    """Return a scenario as a commented YAML file, every field with its meaning, to start from.

    Parameters
    ----------
    fields
        The values that are written; a field that has a default and is not among them is there as a
        comment.
    heading
        What the file is, in its first line.
    """
    parts = {part.record: part for part in parts_of(scenario_type)}
    lines = [f"# {heading}", *_comment(parts[scenario_type].description), ""]
    lines += _template_lines(scenario_type, fields, parts, "")
    return "\n".join(lines).rstrip() + "\n"


def _template_lines(
    record: type[BaseModel],
    fields: Mapping[str, Any],
    parts: Mapping[type[BaseModel], Part],
    indent: str,
) -> Iterator[str]:
    for field in parts[record].fields:
        default = "" if field.default == "required" else f"; by default {field.default}"
        yield from _comment(field.meaning, indent)
        yield from _comment(f"Allowed: {field.allowed}{default}", indent)
        held = list(_records(record.model_fields[field.name].annotation))
        value = fields.get(field.name)
        chosen = _held_by(value, held)
        for other in held:
            if other is not chosen:
                yield from _comment_part(parts[other], indent)
        if field.name not in fields:
            yield f"{indent}# {field.name}: {field.default}"
        elif chosen is not None and isinstance(value, Mapping):
            yield f"{indent}{field.name}:"
            if kind := kind_of(chosen):
                yield f"{indent}  kind: {kind}"
            yield from _template_lines(chosen, value, parts, indent + "  ")
            continue
        else:
            yield from (indent + line for line in dump({field.name: value}).splitlines())
        yield ""


def dump(fields: Mapping[str, Any]) -> str:
    """Return fields as YAML, one a line where they are short."""
    lines = []
    for name, value in fields.items():
        if isinstance(value, Mapping | list | tuple):
            held = {name: list(value) if isinstance(value, tuple) else value}
            text = yaml.safe_dump(
                held, sort_keys=False, allow_unicode=True, default_flow_style=None, width=88
            )
            lines.append(text)
        else:
            lines.append(f"{_written(name)}: {_written(value)}\n")
    return "".join(lines)


def _held_by(value: Any, held: Sequence[type[BaseModel]]) -> type[BaseModel] | None:
    """Return which of the parts that may stand at a field does, by its kind."""
    if isinstance(value, Mapping):
        return next(
            (one for one in held if kind_of(one) and kind_of(one) == value.get("kind")), None
        )
    return None


def _comment_part(part: Part, indent: str) -> Iterator[str]:
    """Yield the lines of a comment that says what a part is which does not stand there."""
    yield from _comment(f"{part.title[0].upper()}{part.title[1:]}. {part.description}", indent)
    for field in part.fields:
        default = "" if field.default == "required" else f"; by default {field.default}"
        yield from _comment(f"- {field.name} ({field.allowed}{default}): {field.meaning}", indent)


def _comment(text: str, indent: str = "") -> Iterator[str]:
    for paragraph in filter(None, text.split("\n\n")):
        start = f"{indent}# "
        yield from textwrap.wrap(
            paragraph,
            width=96,
            initial_indent=start,
            subsequent_indent=start + ("  " if paragraph.startswith("- ") else ""),
            break_long_words=False,
            break_on_hyphens=False,
        )
