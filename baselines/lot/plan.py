"""The optimum of inspect-or-stop as a card that a foreman follows by counting, without a probability."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.core.plan import Fact, Plan
from baselines.lot.card import END, Card, best_card
from baselines.lot.sizes import fixed_cost, lot_of, production_cost

if TYPE_CHECKING:
    from baselines.lot.solution import LotOptimum

_COLUMNS = {
    "inspected": "units inspected so far, n",
    "conforming": "conforming units among them",
    "standing": "what the results so far say, 1 is the most promising; empty: the counts tell all",
    "do": "inspect the next unit, or stop",
    "if conforming": "the standing after a conforming unit; empty: the counts tell all, or it is the last",
    "if nonconforming": "the standing after a nonconforming unit",
    "lots": "share of all lots that come here",
}
_GUIDANCE = (
    "Inspect in the order of production. Count the units inspected and the conforming ones, look up their "
    "row and do what it says. Where a result leads to counts with more than one row, it names the "
    "standing to look up there.",
    "A demand that is met ends the inspection, and so does the last unit.",
)


def plan(optimum: LotOptimum) -> Plan:
    """Return what to do at all counts that can come, with standings where the counts do not decide.

    The card keeps as few standings as cost at most half a percent more than the optimum, if so few there
    are; a fact says what it loses exactly. See :mod:`baselines.lot.card`.
    """
    scenario, size = optimum.scenario, optimum.best_size
    lot, fixed = lot_of(scenario, size), fixed_cost(scenario, size)
    least = 0.0 - optimum.value
    card = best_card(lot, optimum.thresholds(size), least - fixed)
    facts = [
        Fact("expected cost", least, "money"),
        Fact("of this, whatever is inspected", fixed, "money"),
        Fact("more by following this card", max(card.cost + fixed - least, 0.0), "money"),
        Fact("units inspected, on average", card.inspected),
    ]
    if scenario.lot_size is None:
        production = Fact("of this, production", production_cost(scenario, size), "money")
        facts = [Fact("lot to produce", size, "units"), facts[0], production, *facts[1:]]
    return Plan(
        title="Inspect the next unit, or stop",
        facts=tuple(facts),
        guidance=_GUIDANCE if size else ("Produce nothing; nothing is inspected.",),
        columns=_COLUMNS,
        rows=tuple(row for place in sorted(card.places) for row in _rows(place, card)),
        scenario=scenario.model_dump(mode="json"),
    )


def _rows(place: tuple[int, int], card: Card) -> Iterator[dict[str, Any]]:
    """Yield the rows of one (n, found), the most promising standing first."""
    n, k = place
    here = card.places[place]
    count = len(here.inspects)
    for i in range(count - 1, -1, -1):
        yield {
            "inspected": n,
            "conforming": k,
            "standing": count - i if count > 1 else None,
            "do": "inspect" if here.inspects[i] else "stop",
            "if conforming": _number(card, (n + 1, k + 1), int(here.after[i, 1])),
            "if nonconforming": _number(card, (n + 1, k), int(here.after[i, 0])),
            "lots": float(np.sum(here.comes[i])),
        }


def _number(card: Card, place: tuple[int, int], standing: int) -> int | None:
    """Return a standing as the card numbers it; None where there is one only, or none."""
    count = len(card.places[place].inspects) if standing != END else 0
    return count - standing if count > 1 else None
