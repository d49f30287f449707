"""What an optimum of inspect-or-stop decides: how large a lot, and after which results to go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from baselines.core.decision import Decision
from baselines.lot.belief import chances, update

if TYPE_CHECKING:
    from baselines.lot.bracket import Bracket
    from baselines.lot.solution import LotOptimum

STOP, INSPECT = 0, 1


class Results(NamedTuple):
    """What has been seen of a lot: its size if it was chosen, and whether each unit was conforming."""

    size: int
    results: tuple[bool, ...]


PRODUCTION = Results(-1, ())
"""Before there is a lot; the actions are its sizes."""
_GIVEN = 0
"""Size of a lot that was not chosen: a larger one is the same state after the same results."""


class _Standing(NamedTuple):
    """How probable results are if every unit is inspected, the demand that is open, and the belief."""

    chance: float
    demand: int
    belief: float


def decisions(optimum: LotOptimum, least: float) -> list[Decision]:
    """Return the decisions that optimal play comes to in at least that share of all lots."""
    found = []
    size = optimum.best_size
    if optimum.scenario.lot_size is None and least <= 1.0:
        found.append(_production(optimum))
    if size == 0:
        return found
    seen = Results(size if optimum.scenario.lot_size is None else _GIVEN, ())
    open_ = [(seen, _start(optimum, seen))]
    while open_:
        seen, standing = open_.pop()
        if standing.chance < least:
            continue
        found.append(_inspection(optimum, seen, standing, standing.chance))
        if found[-1].action == INSPECT:
            open_ += _following(optimum, seen, standing)
    return found


def decision(optimum: LotOptimum, seen: Results) -> Decision | None:
    """Return what is decided after some results; None where they cannot come, or nothing is left open."""
    given = optimum.scenario.lot_size
    if seen == PRODUCTION:
        return _production(optimum) if given is None else None
    is_chosen = seen.size != _GIVEN
    if is_chosen != (given is None) or seen.size > optimum.scenario.longest_lot:
        return None
    standing = _start(optimum, seen)
    comes = not is_chosen or seen.size == optimum.best_size
    for n in range(len(seen.results)):
        past = Results(seen.size, seen.results[:n])
        comes = comes and _inspection(optimum, past, standing, 1.0).action == INSPECT
        following = dict(_following(optimum, past, standing))
        after = following.get(Results(seen.size, seen.results[: n + 1]))
        if after is None:
            return None
        standing = after
    return _inspection(optimum, seen, standing, standing.chance if comes else 0.0)


def _bracket(optimum: LotOptimum, seen: Results) -> Bracket:
    return optimum.sizes.bracket(seen.size if seen.size != _GIVEN else optimum.best_size)


def _start(optimum: LotOptimum, seen: Results) -> _Standing:
    lot = _bracket(optimum, seen).lot
    return _Standing(1.0, lot.demand, float(lot.stay[0]))


def _production(optimum: LotOptimum) -> Decision:
    def cost(size: int) -> float:
        return sum(optimum.sizes.bounds(size)) / 2.0

    best = optimum.best_size

    def loss(size: int) -> float:
        return cost(size) - cost(best) if size <= optimum.scenario.longest_lot else np.inf

    return Decision(PRODUCTION, best, frozenset([best]), 1.0, loss)


def _inspection(
    optimum: LotOptimum, seen: Results, standing: _Standing, occupancy: float
) -> Decision:
    costs = (
        _bracket(optimum, seen)
        .action_costs(
            np.array([len(seen.results)]),
            np.array([standing.demand]),
            np.array([standing.belief]),
        )[0]
        .mean(axis=1)
    )
    losses = costs - costs.min()
    return Decision(
        state=seen,
        action=int(costs.argmin()),
        equals=frozenset(np.flatnonzero(losses <= optimum.resolution).tolist()),
        occupancy=occupancy,
        loss=lambda action: float(losses[action]),
    )


def _following(
    optimum: LotOptimum, seen: Results, standing: _Standing
) -> Iterator[tuple[Results, _Standing]]:
    """Yield what one more result leads to, unless it is impossible or ends the inspection."""
    lot = _bracket(optimum, seen).lot
    n = len(seen.results)
    if n + 1 >= lot.size:
        return
    for conforming in (False, True):
        chance_in, chance_out = chances(lot, conforming)
        chance, belief = update(standing.belief, chance_in, chance_out, lot.stay[n + 1])
        demand = standing.demand - conforming
        if chance > 0.0 and demand > 0:
            yield (
                Results(seen.size, (*seen.results, conforming)),
                _Standing(standing.chance * chance, demand, belief),
            )


def results_in_words(seen: Results) -> str:
    """Return what has been seen in words."""
    if seen == PRODUCTION:
        return "the lot to produce"
    lot = "" if seen.size == _GIVEN else f"lot of {seen.size}, "
    if not seen.results:
        return f"{lot}nothing inspected"
    faults = [str(n) for n, conforming in enumerate(seen.results, 1) if not conforming]
    count = _units(len(seen.results))
    if not faults:
        return f"{lot}{count} inspected, all conforming"
    return f"{lot}{count} inspected, nonconforming: number {', '.join(faults)}"


def action_in_words(seen: Results, action: int) -> str:
    """Return what an action does after some results."""
    if seen == PRODUCTION:
        return _units(action) if action else "nothing"
    return "inspect the next" if action == INSPECT else "stop"


def _units(number: int) -> str:
    return f"{number} unit{'s' * (number != 1)}"
