"""The scenarios that differ from one in a field or two."""

from __future__ import annotations

import copy
import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qc_gym.core.errors import ScenarioError, shown
from qc_gym.core.fields import MONEY, find_field, set_field
from qc_gym.core.numbers import whole_number
from qc_gym.core.scenario import Scenario

MAX_POINTS = 10_000
"""Most scenarios of one variation."""


@dataclass(frozen=True)
class Variation:
    """A field that goes through a range.

    Attributes
    ----------
    name
        Of the field, dotted where it is inside another.
    unit
        Its unit, in words; empty if it has none.
    values
        Evenly spaced, ascending.
    base
        What the scenario itself has there.
    is_whole
        Whether it is a whole number.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    base: Any
    is_whole: bool

    @property
    def is_money(self) -> bool:
        """Whether it is money, in which the value of every policy is linear."""
        return self.unit == MONEY

    @property
    def label(self) -> str:
        """Its name with its unit, as an axis is labelled."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


class Variations:
    """A scenario, and those that differ from it in a field or two.

    Parameters
    ----------
    scenario
        The base.
    fields
        Name of a field → (low, high, steps).

    Raises
    ------
    ScenarioError
        No field or more than two, a range that is none, a field that the scenario does not have, or a value
        in the range that is not allowed; the message names it.
    """

    def __init__(self, scenario: Scenario, fields: Mapping[str, Sequence[float]]) -> None:
        if not isinstance(fields, Mapping) or len(fields) not in (1, 2):
            raise ScenarioError(
                f"fields = {shown(fields)}: one or two are needed, {{name: (low, high, steps)}}"
            )
        self.scenario = scenario
        self._given = scenario.model_dump(mode="json", exclude_unset=True)
        values = {name: _values(name, spread) for name, spread in fields.items()}
        count = math.prod(map(len, values.values()))
        if count > MAX_POINTS:
            raise ScenarioError(
                f"{' × '.join(values)}: {count:,} scenarios; at most {MAX_POINTS:,} are solved"
            )
        self._names = tuple(values)
        self._scenarios = {
            point: self._made(point) for point in itertools.product(*values.values())
        }
        first = next(iter(self._scenarios.values()))
        self.fields = tuple(
            Variation(
                name=name,
                unit=find_field(first, name)[1],
                values=values[name],
                base=_base(scenario, name),
                is_whole=isinstance(find_field(first, name)[0], int),
            )
            for name in self._names
        )

    def __contains__(self, point: object) -> bool:
        return point in self._scenarios

    def at(self, *point: float) -> Scenario:
        """Return the scenario with these values of the fields, in their order."""
        known = self._scenarios.get(point)
        return self._made(point) if known is None else known

    def _made(self, point: tuple[float, ...]) -> Scenario:
        fields = copy.deepcopy(self._given)
        for name, value in zip(self._names, point, strict=True):
            set_field(fields, name, value)
        with warnings.catch_warnings():  # of what a scenario of many is
            warnings.simplefilter("ignore", UserWarning)
            made = type(self.scenario).parse(fields)
        assert isinstance(made, Scenario)  # what is set are numbers
        return made


def _values(name: str, spread: Any) -> tuple[float, ...]:
    """Return the values of a range, ascending; whole numbers stay such where both ends are."""
    try:
        low, high, steps = spread
        is_whole = all(isinstance(end, int | np.integer) for end in (low, high))
        ends = float(low), float(high)
    except (TypeError, ValueError):
        raise ScenarioError(
            f"{name} = {shown(spread)}: (low, high, steps) is needed, three numbers"
        ) from None
    steps = whole_number(f"steps of {name}", steps, 1, MAX_POINTS)
    if not (math.isfinite(ends[1] - ends[0]) and ends[0] < ends[1]):
        raise ScenarioError(f"{name} = {shown(spread)}: low < high is needed, both finite")
    between = [ends[0] + (ends[1] - ends[0]) * i / steps for i in range(1, steps)]
    # As a person would write them: 0.03 and not 0.030000000000000002.
    values = [ends[0], *(float(f"{value:.15g}") for value in between), ends[1]]
    if len(set(values)) < len(values):
        raise ScenarioError(f"{name} = {shown(spread)}: so many steps are not told apart")
    return tuple(int(one) if is_whole and one.is_integer() else one for one in values)


def _base(scenario: Scenario, name: str) -> Any:
    """Return what a scenario has at a dotted name; None where it has nothing."""
    try:
        return find_field(scenario, name)[0]
    except (KeyError, TypeError):
        return None
