"""Files that hold a mapping: scenarios, experiments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from qc_gym.core.errors import ScenarioError


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which of two equal keys would silently keep the second."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key {key.value!r} is there already in line {seen[key.value]}",
                    key.start_mark,
                )
            if isinstance(key, yaml.ScalarNode):
                seen[key.value] = line
        return super().construct_mapping(node, deep)


def read_mapping(path: Path) -> Mapping[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises
    ------
    ScenarioError
        No such file, not YAML or a key given twice (with the line), or not a mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: is not YAML: {error}") from error
    if not isinstance(content, Mapping):
        raise ScenarioError(
            f"{path}: holds a {type(content).__name__}; a mapping of field names to values is needed"
        )
    return content
