"""Scenarios: the parameters of an environment, validated before anything runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from qc_gym.core.errors import ScenarioError, close_names, shown
from qc_gym.core.files import SUFFIXES, read_mapping
from qc_gym.core.ranges import ScenarioRange, find_ranges
from qc_gym.core.record import Record, validated
from qc_gym.core.table import NO_TABLE, Table
from qc_gym.core.values import as_python, hashable, is_mapping

if TYPE_CHECKING:
    from qc_gym.core.kernel import Kernel


class Scenario(Record):
    """Base of the parameters of a family of environments.

    Subclasses declare the fields, the named ``presets`` (the first is the default), the named ``ranges``
    (``train``; ``interpolation``, of the same intervals, whose draws are new as long as their seed is; and
    ``extrapolation``, every scenario of which is outside the intervals of ``train``), :attr:`kernel`,
    :attr:`action_names` and :meth:`record`.
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    ranges: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @property
    def kernel(self) -> Kernel:
        """The family's compiled world, in the shape that the scenario needs."""
        raise NotImplementedError

    @property
    def action_names(self) -> tuple[str, ...]:
        """What each action does, in words, one for each of the kernel's actions."""
        raise NotImplementedError

    def record(self) -> NDArray[np.void]:
        """Return the parameters as the kernel reads them: one record, shape (1,)."""
        raise NotImplementedError

    def table(self) -> Table:
        """Return what the kernel looks up and need not compute, float64 (1, size), read only.

        It saves time and changes nothing: where sub-environments draw their scenarios from a range they
        have none, and the kernel computes what it would hold. A family without such a table has
        nothing to define, and its compiled functions no parameter for it.
        """
        return NO_TABLE

    @classmethod
    def all_agree(cls, columns: Mapping[str, NDArray[Any]]) -> bool:
        """Return whether many scenarios are known to be valid at once, whose fields are each allowed.

        A family of which thousands are solved in the time that it takes to make one says here whether
        the rules between its fields hold, as far as that is quickly told; scenarios of which it is not
        are made, and validated, one by one.

        Parameters
        ----------
        columns
            Each field of the scenarios, (n,).
        """
        return False

    def __hash__(self) -> int:
        # Not of the JSON text: it tells 0.0 from -0.0, and mappings that differ in order, which
        # are equal.
        return hash((type(self), hashable(self.model_dump())))

    @classmethod
    def parse(cls, source: Any = None) -> Self | ScenarioRange:
        """Return the scenario, or the range of scenarios, that ``source`` describes.

        Parameters
        ----------
        source
            The name of a preset or of a range, a mapping of fields (or a row of a data frame), the path
            of a YAML or JSON file that holds such a mapping, a scenario or a range; None is the first
            preset.

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
        named = {**cls.presets, **cls.ranges}
        if isinstance(source, str) and source in named:
            return cls._from_mapping(named[source])
        if isinstance(source, str | os.PathLike):
            return cls._from_file(source)
        if is_mapping(source):
            return cls._from_mapping(source)
        raise ScenarioError(
            f"scenario: got {shown(source)} of type {type(source).__name__}; allowed are the name of "
            f"a preset or a range, a mapping of fields, the path of a YAML or JSON file or a {cls.__name__}"
        )

    @classmethod
    def _from_file(cls, source: str | os.PathLike[str]) -> Self | ScenarioRange:
        path = Path(source)
        if path.suffix in SUFFIXES:
            return cls._from_mapping(read_mapping(path), where=str(path))
        hint = close_names(str(source), [*cls.presets, *cls.ranges])
        for suffix in SUFFIXES:
            if os.path.isfile(f"{path}{suffix}"):
                hint = f"the file is named {f'{path}{suffix}'!r}. {hint}"
        if os.path.isfile(path):
            hint = f"the name of a scenario file ends in {' or '.join(SUFFIXES)}. {hint}"
        raise ScenarioError(f"scenario: unknown preset {shown(str(source))}; {hint}")

    @classmethod
    def _from_mapping(
        cls, source: Mapping[str, Any], where: str = "scenario"
    ) -> Self | ScenarioRange:
        try:
            fields = as_python(source)
        except ValueError as error:
            raise ScenarioError(f"{where}: {error}") from None
        ranges = dict(find_ranges(fields))
        if ranges:
            return ScenarioRange(cls, fields, ranges)
        return cls._validated(fields, where)

    @classmethod
    def _validated(cls, fields: Mapping[str, Any], where: str = "scenario") -> Self:
        return validated(cls, fields, where, is_python=True)
