"""The sixteen static plans of a product of two parts, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from qc_gym.pilot.dynamics import DISMANTLE, INSPECT_1, INSPECT_2, INSPECT_PRODUCT, PLANS


class Plan(NamedTuple):
    """What is done with all of an order; recovered parts not known to be good are always inspected."""

    inspect_part_1: bool
    inspect_part_2: bool
    inspect_product: bool
    dismantle: bool

    @classmethod
    def of(cls, number: int) -> Plan:
        """Return the plan of a number from 0 to 15; action 3 + number commits to it."""
        bits = (INSPECT_1, INSPECT_2, INSPECT_PRODUCT, DISMANTLE)
        return cls(*(bool(number & bit) for bit in bits))

    def words(self, names: Sequence[str]) -> str:
        """Return the plan in words; ``names`` are those of part 1, part 2 and the product."""
        inspected = [name for name, flag in zip(names, self, strict=False) if flag]
        inspection = f"inspect {_listed(inspected)}" if inspected else "inspect nothing"
        return f"{inspection}, {'dismantle' if self.dismantle else 'scrap'} what fails"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def action_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return what each action does, in words; ``names`` are those of part 1, part 2 and the product."""
    plans = (f"commit: {Plan.of(number).words(names)}" for number in range(PLANS))
    return *(f"test {name}" for name in names), *plans
