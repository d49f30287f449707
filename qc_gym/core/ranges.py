"""Ranges of scenarios: what is drawn anew at every reset."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.errors import ScenarioError, shown
from qc_gym.core.record import Record
from qc_gym.core.values import hashable

if TYPE_CHECKING:
    from qc_gym.core.kernel import Kernel
    from qc_gym.core.scenario import Scenario

_ATTEMPTS = 1000
MAX_CORNERS = 512
"""Most combinations of ends and choices for which a range is checked when it is made."""
MAX_CHOICES = 10_000
"""Most choices of a range."""
LARGEST_WHOLE = 2**53
"""Largest whole number that a range may reach to: those beyond are not told apart by the draw."""


def find_ranges(
    fields: Mapping[str, Any], prefix: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield (path, range) for each value in ``fields`` that is ``{low, high}`` or ``{choices}``.

    A mapping of mappings is none: its parts have such a name, as a node of an assembly tree may.
    """
    for name, value in fields.items():
        if not isinstance(value, Mapping):
            continue
        is_range = set(value) in ({"low", "high"}, {"choices"})
        if is_range and not any(isinstance(part, Mapping) for part in value.values()):
            yield (*prefix, str(name)), value
        else:
            yield from find_ranges(value, (*prefix, str(name)))


class ScenarioRange:
    """Scenarios that differ from episode to episode.

    Some fields are ``{low, high}`` (uniform between them; whole numbers when both are) or
    ``{choices: […]}`` (each equally likely). Every reset draws a scenario, from the range's
    :class:`~qc_gym.core.pool.ScenarioPool`, and the observation is extended by one feature for each
    such field, scaled to [0, 1] over its range.

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
        kernels: dict[tuple[float, ...], Kernel] = {}
        # As a scenario holds them: a list as a tuple, a part with its defaults filled in.
        self._choices: dict[tuple[str, ...], dict[Any, int]] = {
            path: {} for path, spread in self.ranges.items() if "choices" in spread
        }
        for corner in _corners([_ends(spread) for spread in self.ranges.values()]):
            scenario = self.at(corner)
            kernels[tuple(corner)] = scenario.kernel
            self.action_names = scenario.action_names
            for share, path in zip(corner, self.ranges, strict=True):
                if path in self._choices:
                    number = _number(self.ranges[path], share)
                    self._choices[path].setdefault(_chosen(scenario, path), number)
        self.kernel = next(iter(kernels.values()))
        if any(kernel != self.kernel for kernel in kernels.values()):
            raise ScenarioError(
                f"{', '.join(self._sizing(kernels))}: all scenarios of a range must have states and "
                "actions of one size"
            )

    def draw(self, generator: np.random.Generator) -> Scenario:
        """Return a scenario of the range; combinations that are not valid are drawn again."""
        for _ in range(_ATTEMPTS - 1):
            with suppress(ScenarioError):
                return self.at(generator.random(len(self.ranges)).tolist())
        return self.at(generator.random(len(self.ranges)).tolist())

    def at(self, shares: Sequence[float]) -> Scenario:
        """Return the scenario at the given share, in [0, 1), of each range, in their order.

        Raises
        ------
        ScenarioError
            The combination is not valid.
        """
        fields: dict[str, Any] = dict(self.fields)
        for (path, spread), share in zip(self.ranges.items(), shares, strict=True):
            target = fields
            for name in path[:-1]:  # of what is shared, only the mappings on the way are copied
                target[name] = dict(target[name])
                target = target[name]
            target[path[-1]] = _pick(spread, share)
        return self.scenario_type._validated(fields, "scenario (drawn from a range)")

    def features(self, scenario: Scenario) -> NDArray[np.float32]:
        """Return the numbers of ``scenario`` that the range varies, scaled to [0, 1]. Shape (m,).

        Those of a scenario beyond the range are below 0 or above 1.

        Raises
        ------
        ScenarioError
            It has what is none of the choices, or not a field that is varied.
        """
        features = []
        for path, spread in self.ranges.items():
            if "choices" in spread:
                number = self._choices[path].get(_chosen(scenario, path))
                if number is None:
                    raise ScenarioError(
                        f"{'.'.join(path)} = {shown(_at_path(scenario, path))}: is none of the choices "
                        "of the range"
                    )
                features.append(number / max(len(spread["choices"]) - 1, 1))
            else:
                value = _at_path(scenario, path)
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


def _at_path(scenario: Scenario, path: Sequence[str]) -> Any:
    value: Any = scenario
    for name in path:
        try:
            value = value[name] if isinstance(value, Mapping) else getattr(value, name)
        except (AttributeError, KeyError):
            raise ScenarioError(
                f"{'.'.join(path)}: the scenario has no such field, which the range varies"
            ) from None
    return value


def _chosen(scenario: Scenario, path: Sequence[str]) -> Any:
    """Return what is at a path of a scenario, to be looked up among the choices."""
    value = _at_path(scenario, path)
    if isinstance(value, Mapping):
        return hashable({name: _dumped(part) for name, part in value.items()})
    return hashable(_dumped(value))


def _dumped(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Record) else value


def fields_of(scenarios: Scenario | ScenarioRange) -> dict[str, Any]:
    """Return all fields of a scenario, or of a range with its ranges, as JSON can hold them."""
    if isinstance(scenarios, ScenarioRange):
        return dict(scenarios.fields)
    return scenarios.model_dump(mode="json")


def _check_range(field: str, spread: Mapping[str, Any]) -> None:
    if "choices" in spread:
        choices = spread["choices"]
        if not isinstance(choices, list | tuple) or not 0 < len(choices) <= MAX_CHOICES:
            raise ScenarioError(
                f"scenario: {field}.choices = {shown(choices)}: a non-empty list is needed, of at "
                f"most {MAX_CHOICES:,}"
            )
        return
    for end in ("low", "high"):
        value = spread[end]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ScenarioError(f"scenario: {field}.{end} = {shown(value)}: a number is needed")
        if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
            raise ScenarioError(
                f"scenario: {field}.{end} = {shown(value)}: must lie within ±{LARGEST_WHOLE:,}"
            )
    if not spread["low"] < spread["high"]:
        raise ScenarioError(
            f"scenario: {field}.low = {spread['low']!r}: must be less than high = {spread['high']!r}"
        )


def _number(spread: Mapping[str, Any], share: float) -> int:
    """Return the number, from 0, of the choice at a share in [0, 1)."""
    return int(share * len(spread["choices"]))


def _pick(spread: Mapping[str, Any], share: float) -> Any:
    if "choices" in spread:
        return spread["choices"][_number(spread, share)]
    low, high = spread["low"], spread["high"]
    if isinstance(low, int) and isinstance(high, int):
        return min(low + int(share * (high - low + 1)), high)
    return low + share * (high - low)
