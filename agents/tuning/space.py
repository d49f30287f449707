"""Spaces of configurations: a training with ranges in place of values, as YAML files hold them."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from agents.algorithms import Algorithm, find_algorithm
from agents.experiment import Training
from qc_gym.core.errors import ScenarioError, close_names, shown
from qc_gym.core.files import read_mapping
from qc_gym.core.record import Record, validated

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_FOLDER = Path(__file__).parent / "spaces"
SEARCHED = ("num_envs", "exploring_starts", "hyperparameters")
"""What of a training a space may hold."""
Place = tuple[str, ...]


class Span(Record):
    """Numbers from ``low`` to ``high``, whole when both are; ``log`` spreads them over magnitudes."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low = {self.low}, high = {self.high}: low must be below high")
        if self.log and self.low <= 0:
            raise ValueError(f"low = {self.low}: must be above 0 where log is true")
        return self

    @property
    def ends(self) -> list[Any]:
        """The values that stand for all."""
        return [self.low, self.high]

    @property
    def _is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    def distribution(self) -> BaseDistribution:
        """Return it as Optuna knows it."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self._is_whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def encode(self, value: Any) -> Any:
        """Return a value as Optuna holds it.

        Raises
        ------
        ValueError
            The range does not hold it.
        """
        if isinstance(value, bool) or not isinstance(value, int if self._is_whole else int | float):
            raise ValueError(f"{value!r} is no number of the range")
        if not self.low <= value <= self.high:
            raise ValueError(f"{value!r} is not between {self.low} and {self.high}")
        return value

    def decode(self, held: Any) -> Any:
        """Return the value that Optuna holds."""
        return held


class Choice(Record):
    """One of several values of any type."""

    choices: Annotated[list[Any], Field(min_length=1)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        texts = [json.dumps(value, sort_keys=True) for value in self.choices]
        for i, text in enumerate(texts):
            if text in texts[:i]:
                raise ValueError(f"choices holds {text} twice")
        return self

    @property
    def ends(self) -> list[Any]:
        """The values that stand for all: all of them."""
        return self.choices

    def distribution(self) -> BaseDistribution:
        """Return it as Optuna knows it."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([_as_scalar(value) for value in self.choices])

    def encode(self, value: Any) -> Any:
        """Return a value as Optuna holds it.

        Raises
        ------
        ValueError
            The range does not hold it.
        """
        return _as_scalar(self.choices[self.choices.index(value)])

    def decode(self, held: Any) -> Any:
        """Return the value that Optuna holds."""
        return next(value for value in self.choices if _as_scalar(value) == held)


def _as_scalar(value: Any) -> Any:
    """Return a choice as Optuna can store it, a list as its JSON."""
    return (
        value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)
    )


@dataclass(frozen=True)
class Space:
    """The configurations of an algorithm among which is searched.

    Attributes
    ----------
    algorithm
        Whose they are.
    fields
        Some of :data:`SEARCHED`, as a file holds them: values, and in their place ranges
        ``{low, high}`` (with ``log: true`` if wanted) or ``{choices: […]}``, at any depth. What is not
        there is the algorithm's default.
    where
        What to call it in a message.

    Raises
    ------
    ScenarioError
        An unknown name, a bad range, or an end or choice that the algorithm does not take; the
        message names it and says what is allowed.
    """

    algorithm: Algorithm
    fields: Mapping[str, Any]
    where: str = "space"

    def __post_init__(self) -> None:
        for name in self.fields:
            if name not in SEARCHED:
                hint = close_names(str(name), SEARCHED)
                raise ScenarioError(f"{self.where}: unknown field {shown(name)}; {hint}")
        if not self.ranges:
            raise ScenarioError(
                f"{self.where}: holds no range, {{low, high}} or {{choices}}, to search in"
            )
        first = {path: spread.ends[0] for path, spread in self.ranges.items()}
        for path, spread in self.ranges.items():
            for end in spread.ends:
                self._check({**first, path: end})

    @cached_property
    def ranges(self) -> dict[Place, Span | Choice]:
        """The ranges by where they are."""
        found: dict[Place, Span | Choice] = {}
        for path, spread in _find_ranges(self.fields):
            where = f"{self.where}: {'.'.join(path)}"
            model: type[Span | Choice] = Choice if "choices" in spread else Span
            found[path] = validated(model, spread, where)
        return found

    @cached_property
    def names(self) -> dict[Place, str]:
        """What each range is called: its place, without the ``hyperparameters`` in front."""
        return {path: ".".join(path).removeprefix("hyperparameters.") for path in self.ranges}

    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the ranges as Optuna knows them, by name."""
        return {self.names[path]: spread.distribution() for path, spread in self.ranges.items()}

    def training(self, parameters: Mapping[str, Any]) -> Training:
        """Return the configuration with these parameters, by name as Optuna holds them."""
        values = {
            path: spread.decode(parameters[self.names[path]])
            for path, spread in self.ranges.items()
        }
        return self._at(values)

    def parameters(self, resolved: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a resolved configuration, by name as Optuna holds them.

        Parameters
        ----------
        resolved
            Each of :data:`SEARCHED`.

        Raises
        ------
        ValueError
            The space does not hold it; the message names what is outside.
        """
        known = inspect.signature(self.algorithm.type).parameters
        classes = {name: one.default for name, one in known.items()}
        hyperparameters = {**classes, **resolved["hyperparameters"]}
        given = {**resolved, "hyperparameters": hyperparameters}
        found: dict[str, Any] = {}
        for path, value in _leaves(self.fields):
            try:
                actual: Any = given
                for part in path:
                    actual = actual[part]
                if path in self.ranges:
                    found[self.names[path]] = self.ranges[path].encode(actual)
                elif actual != value:
                    raise ValueError(f"{actual!r} is not {value!r}")
            except (LookupError, TypeError, ValueError) as error:
                raise ValueError(f"{'.'.join(path)}: {error}") from error
        return found

    def _at(self, values: Mapping[Place, Any]) -> Training:
        fields = copy.deepcopy(dict(self.fields))
        for path, value in values.items():
            part = fields
            for name in path[:-1]:
                part = part[name]
            part[path[-1]] = value
        return validated(Training, fields, self.where)

    def _check(self, values: Mapping[Place, Any]) -> None:
        training = self._at(values)
        try:
            hyperparameters = self.algorithm.hyperparameters(training.hyperparameters)
            num_envs = training.num_envs or self.algorithm.num_envs
            self.algorithm.check_rollout(num_envs, hyperparameters)
        except ValueError as error:
            raise ScenarioError(f"{self.where}: {error}") from error


def _is_range(value: Any) -> bool:
    """Return whether a value is a range, or meant as one."""
    return isinstance(value, Mapping) and any(name in value for name in ("low", "high", "choices"))


def _leaves(fields: Mapping[str, Any], prefix: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield all that is in ``fields`` that is not a mapping of further parts, by where it is."""
    for name, value in fields.items():
        path = (*prefix, str(name))
        if isinstance(value, Mapping) and not _is_range(value):
            yield from _leaves(value, path)
        else:
            yield path, value


def _find_ranges(fields: Mapping[str, Any]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    return ((path, value) for path, value in _leaves(fields) if _is_range(value))


def read_space(path: str | Path, algorithm: str) -> Space:
    """Read a space of configurations of an algorithm and check every end and choice in it.

    Raises
    ------
    ScenarioError
        As :class:`Space`; or the file cannot be read.
    ValueError
        An unknown algorithm.
    """
    return Space(find_algorithm(algorithm), read_mapping(Path(path)), str(path))


def default_space(algorithm: str) -> Space:
    """Return the space that comes with an algorithm.

    Raises
    ------
    ValueError
        An unknown algorithm.
    """
    return read_space(_FOLDER / f"{find_algorithm(algorithm).name}.yaml", algorithm)
