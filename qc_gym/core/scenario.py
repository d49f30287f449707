"""Scenarios: the parameters of an environment, validated before anything runs."""

from __future__ import annotations

import difflib
import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

if TYPE_CHECKING:
    from qc_gym.core.kernel import Kernel

Model = TypeVar("Model", bound=BaseModel)
_ATTEMPTS = 1000
MAX_CORNERS = 512
"""Most combinations of ends and choices for which a range is checked when it is made."""


class ScenarioError(ValueError):
    """A scenario, or a part of one, that cannot be used; the message names the field."""


def close_names(name: str, known: Sequence[str]) -> str:
    """Return the hint of an error message about an unknown name."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{hint}Known: {', '.join(known)}"


class Record(BaseModel):
    """Base of everything read from a mapping: frozen, no unknown fields, no NaN, no coercion."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class Scenario(Record):
    """Base of the parameters of a family of environments.

    Subclasses declare the fields, the named ``presets`` (the first is the default), :attr:`kernel`
    and :meth:`record`.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]

    @property
    def kernel(self) -> Kernel:
        """The family's compiled world, in the shape that the scenario needs."""
        raise NotImplementedError

    def record(self) -> NDArray[np.void]:
        """Return the parameters as the kernel reads them: one record, shape (1,)."""
        raise NotImplementedError

    def __hash__(self) -> int:
        # Not of the JSON text: it tells 0.0 from -0.0, and mappings that differ in order, which
        # are equal.
        return hash((type(self), _hashable(self.model_dump())))

    @classmethod
    def parse(cls, source: Any = None) -> Self | ScenarioRange:
        """Return the scenario, or the range of scenarios, that ``source`` describes.

        Parameters
        ----------
        source
            The name of a preset, a mapping of fields, the path of a YAML file that holds such a
            mapping, a scenario or a range; None is the first preset.

        Raises
        ------
        ScenarioError
            An unknown preset, a file that is not a mapping, an unknown field or a value that is
            not allowed; the message names it.
        """
        if isinstance(source, cls):
            return source
        if isinstance(source, ScenarioRange):
            if source.scenario_type is cls:
                return source
            raise ScenarioError(
                f"scenario: expected a range of {cls.__name__}, "
                f"got one of {source.scenario_type.__name__}"
            )
        if source is None:
            source = next(iter(cls.presets))
        if isinstance(source, Mapping):
            return cls._from_mapping(source)
        if isinstance(source, str) and source in cls.presets:
            return cls._from_mapping(cls.presets[source])
        if isinstance(source, str | os.PathLike):
            return cls._from_file(source)
        raise ScenarioError(
            f"scenario: got {source!r} of type {type(source).__name__}; allowed are the name of "
            f"a preset, a mapping of fields, the path of a YAML file or a {cls.__name__}"
        )

    @classmethod
    def _from_file(cls, source: str | os.PathLike[str]) -> Self | ScenarioRange:
        path = Path(source)
        if path.suffix not in {".yaml", ".yml"}:
            raise ScenarioError(
                f"scenario: unknown preset {str(source)!r}; {close_names(str(source), list(cls.presets))}"
            )
        return cls._from_mapping(read_mapping(path), where=str(path))

    @classmethod
    def _from_mapping(
        cls, fields: Mapping[str, Any], where: str = "scenario"
    ) -> Self | ScenarioRange:
        fields = _copy(fields)
        ranges = dict(find_ranges(fields))
        if ranges:
            return ScenarioRange(cls, fields, ranges)
        return cls._validated(fields, where)

    @classmethod
    def _validated(cls, fields: Mapping[str, Any], where: str = "scenario") -> Self:
        return validated(cls, fields, where)


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


def validated(model: type[Model], fields: Mapping[str, Any], where: str) -> Model:
    """Return the model of ``fields``, or raise a ScenarioError that names each bad field."""
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        raise ScenarioError("\n".join(explain(model, fields, error, where))) from None


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


def find_ranges(
    fields: Mapping[str, Any], prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield (path, range) for each value in ``fields`` that is ``{low, high}`` or ``{choices}``."""
    for name, value in fields.items():
        if not isinstance(value, Mapping):
            continue
        if set(value) in ({"low", "high"}, {"choices"}):
            yield (*prefix, str(name)), value
        else:
            yield from find_ranges(value, (*prefix, str(name)))


class Uniforms(Protocol):
    """What scenarios are drawn with: a :class:`numpy.random.Generator`, or a stream of noise."""

    def random(self, size: int) -> NDArray[np.float64]:
        """Return so many numbers uniform on [0, 1)."""


class ScenarioRange:
    """Scenarios that differ from episode to episode.

    Some fields are ``{low, high}`` (uniform between them; whole numbers when both are) or
    ``{choices: […]}`` (each equally likely). Every reset draws a scenario, and the observation is
    extended by one feature for each such field, scaled to [0, 1] over its range.

    Parameters
    ----------
    scenario_type
        The family's scenario.
    fields
        The mapping, ranges included.
    ranges
        The ranges in it by path, as :func:`find_ranges` gives them.

    Raises
    ------
    ScenarioError
        A bound that is not a number, ``low`` ≥ ``high``, empty choices, or a combination of ends
        and choices that is not a valid scenario. Each end and each choice is tried, and all their
        combinations where there are at most ``MAX_CORNERS``.
    """

    def __init__(
        self,
        scenario_type: type[Scenario],
        fields: Mapping[str, Any],
        ranges: Mapping[tuple[str, ...], Mapping[str, Any]],
    ) -> None:
        self.scenario_type = scenario_type
        self.fields = fields
        self.ranges = dict(ranges)
        for path, spread in self.ranges.items():
            _check_range(".".join(path), spread)
        kernels = {
            tuple(corner): self._at(dict(zip(self.ranges, corner, strict=True))).kernel
            for corner in _corners([_ends(spread) for spread in self.ranges.values()])
        }
        self.kernel = next(iter(kernels.values()))
        if any(kernel != self.kernel for kernel in kernels.values()):
            raise ScenarioError(
                f"{', '.join(self._sizing(kernels))}: all scenarios of a range must have states and "
                "actions of one size"
            )

    def draw(self, generator: Uniforms) -> Scenario:
        """Return a scenario of the range; combinations that are not valid are drawn again."""
        for attempt in range(_ATTEMPTS):
            shares = generator.random(len(self.ranges)).tolist()
            try:
                return self._at(dict(zip(self.ranges, shares, strict=True)))
            except ScenarioError:
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    def features(self, scenario: Scenario) -> NDArray[np.float32]:
        """Return the numbers of ``scenario`` that the range varies, scaled to [0, 1]. Shape (m,)."""
        features = []
        for path, spread in self.ranges.items():
            value: Any = scenario
            for name in path:
                value = value[name] if isinstance(value, Mapping) else getattr(value, name)
            if "choices" in spread:
                # A list or a mapping that was chosen is a tuple or a record in the scenario.
                value = value.model_dump() if isinstance(value, Record) else value
                choices = [_hashable(choice) for choice in spread["choices"]]
                features.append(choices.index(_hashable(value)) / max(len(choices) - 1, 1))
            else:
                features.append((value - spread["low"]) / (spread["high"] - spread["low"]))
        return np.array(features, np.float32)

    def _sizing(self, kernels: Mapping[tuple[float, ...], Kernel]) -> list[str]:
        """Return the fields with which alone, of the corners tried, the kernel changes."""
        found = []
        for i, path in enumerate(self.ranges):
            sizes: dict[tuple[float, ...], Kernel] = {}
            for corner, kernel in kernels.items():
                if sizes.setdefault(corner[:i] + corner[i + 1 :], kernel) != kernel:
                    found.append(".".join(path))
                    break
        return found or [".".join(path) for path in self.ranges]

    def _at(self, shares: Mapping[tuple[str, ...], float]) -> Scenario:
        """Return the scenario at the given share, in [0, 1), of each range."""
        fields: dict[str, Any] = dict(self.fields)
        for path, spread in self.ranges.items():
            target = fields
            for name in path[:-1]:  # of what is shared, only the mappings on the way are copied
                target[name] = dict(target[name])
                target = target[name]
            target[path[-1]] = _pick(spread, shares[path])
        return self.scenario_type._validated(fields, "scenario (drawn from a range)")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ScenarioRange)
            and self.scenario_type is other.scenario_type
            and self.fields == other.fields
        )

    __hash__ = None  # type: ignore[assignment]  # it holds mappings

    def __repr__(self) -> str:
        return f"ScenarioRange({self.scenario_type.__name__}, {dict(self.fields)})"


def _ends(spread: Mapping[str, Any]) -> list[float]:
    """Return the shares, in [0, 1), that pick the two ends of a range, or each of its choices."""
    if "choices" in spread:
        size = len(spread["choices"])
        return [(i + 0.5) / size for i in range(size)]
    return [0.0, 1.0 - 2.0**-53]


def _corners(ends: Sequence[Sequence[float]]) -> Iterator[Sequence[float]]:
    """Yield combinations of one of each of ``ends``: all of them, or enough to have each once."""
    if math.prod(map(len, ends)) <= MAX_CORNERS:
        yield from itertools.product(*ends)
        return
    for i in range(max(map(len, ends))):
        yield [shares[i % len(shares)] for shares in ends]


def _check_range(field: str, spread: Mapping[str, Any]) -> None:
    if "choices" in spread:
        if not isinstance(spread["choices"], list | tuple) or not spread["choices"]:
            raise ScenarioError(
                f"scenario: {field}.choices = {spread['choices']!r}: a non-empty list is needed"
            )
        return
    for end in ("low", "high"):
        if isinstance(spread[end], bool) or not isinstance(spread[end], int | float):
            raise ScenarioError(f"scenario: {field}.{end} = {spread[end]!r}: a number is needed")
    if not spread["low"] < spread["high"]:
        raise ScenarioError(
            f"scenario: {field}.low = {spread['low']!r}: must be less than high = {spread['high']!r}"
        )


def _pick(spread: Mapping[str, Any], share: float) -> Any:
    if "choices" in spread:
        return spread["choices"][int(share * len(spread["choices"]))]
    low, high = spread["low"], spread["high"]
    if isinstance(low, int) and isinstance(high, int):
        return low + int(share * (high - low + 1))
    return low + share * (high - low)


def _hashable(value: Any) -> Any:
    """Return what a hash is taken of: the same for equal values, mappings and lists included."""
    if isinstance(value, Mapping):
        return frozenset((name, _hashable(one)) for name, one in value.items())
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _copy(value: Any) -> Any:
    """Return a copy in which no mapping or list is shared with ``value``."""
    if isinstance(value, Mapping):
        return {name: _copy(one) for name, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value
