"""Files that hold a mapping: scenarios, experiments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from qc_gym.core.errors import ScenarioError
from qc_gym.core.values import MAX_DEPTH, MAX_VALUES

SUFFIXES = (".yaml", ".yml", ".json")
"""How the name of a file that holds a scenario ends."""
MAX_BYTES = 1_000_000
"""Largest file that is read."""


def read_mapping(path: Path) -> Mapping[str, Any]:
    """Read a YAML or JSON file that holds a mapping.

    Raises
    ------
    ScenarioError
        No such file, one too large, not YAML or JSON, a key given twice (with the line), nested too
        deep or holding too much (aliases counted for what they stand for), or not a mapping.
    """
    text = _read(path)
    is_json = path.suffix == ".json"
    try:
        content = _from_json(text) if is_json else yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise ScenarioError(f"{path}: is not {'JSON' if is_json else 'YAML'}: {reason}") from None
    if not isinstance(content, Mapping):
        raise ScenarioError(
            f"{path}: holds a {type(content).__name__}; a mapping of field names to values is needed"
        )
    return content


def _read(path: Path) -> str:
    try:
        return read_bounded(path, MAX_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path}: is not UTF-8 text: {error}") from error
    except ValueError as error:
        raise ScenarioError(str(error)) from error


def read_bounded(path: str | Path, most: int) -> bytes:
    """Return what a file holds.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It holds more than ``most`` bytes, of which no more are read; or it is a pipe or a device, which
        may never end; or no file can be so called.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: cannot be read: is no file")
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except ValueError as error:  # a null character, half a pair of surrogates
        raise ValueError(f"{str(path)!r}: cannot be read ({error})") from error
    if len(content) > most:
        raise ValueError(f"{path}: is larger than {most:,} bytes")
    return content


def _from_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of the pairs, of two equal keys of which JSON would keep the second."""
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"the key {name!r} is there twice")
        content[name] = value
    return content


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, for text of which nothing is known.

    Of two equal keys it would silently keep the second; an alias may stand for a part that holds
    many, or for what it is itself in; a scalar that is not of its type raises whatever Python does.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._left = MAX_VALUES
        self._open: set[str] = set()  # the anchors of the nodes that are being composed
        self._extent: dict[int, tuple[int, int]] = {}  # values and levels of a node, by its id

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        anchor, is_alias = event.anchor, isinstance(event, yaml.AliasEvent)
        if is_alias and anchor in self._open:
            self._refuse(f"the alias {anchor!r} stands for a part that holds it", event)
        if self._depth >= MAX_DEPTH:
            self._refuse(f"nested deeper than {MAX_DEPTH} levels", event)
        before = self._left
        self._depth += 1
        if anchor is not None and not is_alias:
            self._open.add(anchor)
        node = super().compose_node(parent, index)
        if not is_alias:
            self._open.discard(anchor)
        self._depth -= 1
        if node is not None:
            self._measure(node, before, event, is_alias)
        return node

    def _measure(self, node: yaml.Node, before: int, event: yaml.Event, is_alias: bool) -> None:
        """Count the values of a node; those of an alias are those of what it stands for."""
        if is_alias:
            values, levels = self._extent[id(node)]
            self._left -= values
        else:
            self._left -= 1
            levels = 1 + max((self._extent[id(part)][1] for part in _parts(node)), default=0)
            self._extent[id(node)] = before - self._left, levels
        if self._left < 0:
            self._refuse(f"more than {MAX_VALUES:,} values, aliases included", event)
        if self._depth + levels > MAX_DEPTH:
            self._refuse(f"nested deeper than {MAX_DEPTH} levels", event)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                self._refuse(
                    f"the key {key.value!r} is there already in line {seen[key.value]}", key
                )
            if isinstance(key, yaml.ScalarNode):
                seen[key.value] = line
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError):
            kind = node.tag.rsplit(":", 1)[-1]
            self._refuse(f"{str(node.value)[:80]!r} cannot be read as {kind}", node)

    def _refuse(self, reason: str, at: Any) -> None:
        raise yaml.constructor.ConstructorError(None, None, reason, at.start_mark)


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
