"""Ranges of scenarios: what is drawn anew at every reset."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.errors import ScenarioError
from qc_gym.core.record import Record, hashable

if TYPE_CHECKING:
    from qc_gym.core.kernel import Kernel
    from qc_gym.core.scenario import Scenario

_ATTEMPTS = 1000
MAX_CORNERS = 512
"""Most combinations of ends and choices for which a range is checked when it is made."""


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
                choices = [hashable(choice) for choice in spread["choices"]]
                features.append(choices.index(hashable(value)) / max(len(choices) - 1, 1))
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
