"""Reference policies: the plans that practice uses, each designed when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from qc_gym.core.errors import close_names
from qc_gym.core.policy import DesignedPolicy


class NoPlanError(ValueError):
    """The numbers of a scenario carry no plan of the kind that was asked for."""


@dataclass(frozen=True)
class Reference:
    """A reference policy, and how it is designed.

    Attributes
    ----------
    description
        What it is, in words.
    design
        Makes the policy and the numbers of its design, by name; raises a :class:`NoPlanError`
        where the scenario's numbers carry no such plan.
    """

    description: str
    design: Callable[[], tuple[DesignedPolicy, Mapping[str, Any]]]


class References(Mapping[str, DesignedPolicy]):
    """Reference policies by name, each designed once, when it is asked for.

    Going through the mapping, or asking for its length, designs all of them; a plan that the
    scenario's numbers cannot carry is left out (:attr:`left_out` says why), and asking for it by its
    name raises the reason.

    Parameters
    ----------
    references
        How each is designed, by name.
    """

    def __init__(self, references: Mapping[str, Reference]) -> None:
        self._references = dict(references)
        self._designed: dict[str, DesignedPolicy] = {}
        self._refused: dict[str, NoPlanError] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """All names, those of plans that may turn out not to exist included; designs nothing."""
        return tuple(self._references)

    @property
    def left_out(self) -> Mapping[str, str]:
        """The plans that do not exist for this scenario, and why; designs all."""
        list(self)
        return {name: str(error) for name, error in self._refused.items()}

    def describe(self, name: str) -> str:
        """Return what a reference is, in words; designs nothing."""
        return self._references[name].description

    def __getitem__(self, name: str) -> DesignedPolicy:
        if name in self._refused:
            raise self._refused[name]
        if name not in self._designed:
            if name not in self._references:
                raise KeyError(
                    f"no reference policy {name!r}; {close_names(str(name), self.names)}"
                )
            reference = self._references[name]
            try:
                policy, design = reference.design()
            except NoPlanError as error:
                self._refused[name] = error
                raise
            self._designed[name] = policy.described(reference.description, design)
        return self._designed[name]

    def __contains__(self, name: object) -> bool:
        try:
            return name in self._references and self[str(name)] is not None
        except NoPlanError:
            return False

    def __iter__(self) -> Iterator[str]:
        for name in self._references:
            try:
                self[name]
            except NoPlanError:
                continue
            yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"References({', '.join(self._references)})"
