"""A lot's inspection as a finite machine that a person can follow by counting, without a probability.

The belief says all that results tell of the process, but no foreman computes it. He keeps a *standing*: a
number, of a handful for each (n, found), that changes with each result by a table. It stands for an
interval of beliefs. The ends are the threshold itself and the beliefs from which results lead to a
later threshold, the likeliest first (:func:`baselines.lot.cells.marks`). With all of them the machine
would decide as the thresholds do, result by result; they multiply (thousands after 30 units), so that
a card keeps some, and its exact cost says what that loses: the machine and the hidden truth are
together a Markov chain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.lot.belief import Lot, chances, spent
from baselines.lot.cells import MAX_MARKS, marks
from baselines.lot.evaluation import BeliefRule

END = -1
ENOUGH = 5e-3
"""A card that costs at most this share of the optimum more is fine enough."""


@dataclass(frozen=True)
class Standings:
    """What is kept of the results at one (n, found), the least promising first.

    Attributes
    ----------
    comes
        float64 (standings, 2): how often one comes here, the next unit out of, in control.
    inspects
        bool (standings,): whether the next unit is inspected.
    after
        int64 (standings, 2): the standing that follows a nonconforming and a conforming unit, at the
        (n + 1, found) that it leads to; ``END`` where the inspection ends.
    """

    comes: NDArray[np.float64]
    inspects: NDArray[np.bool_]
    after: NDArray[np.int64]


@dataclass(frozen=True)
class Card:
    """A machine for a lot.

    Attributes
    ----------
    places
        Its standings by (n, found), where results lead.
    cost, inspected
        Exact expected cost of following it, in money, and number of units inspected.
    """

    places: dict[tuple[int, int], Standings]
    cost: float
    inspected: float


def best_card(lot: Lot, thresholds: NDArray[np.float64], least_cost: float) -> Card:
    """Return the card with the fewest standings that is fine enough, or else the finest.

    Parameters
    ----------
    lot
        The lot.
    thresholds
        The belief from which on inspecting is optimal, (size, found).
    least_cost
        The expected cost of the optimum.
    """
    places, weights, number = marks(BeliefRule.from_thresholds(thresholds), lot)
    best = None
    for most in range(MAX_MARKS + 1):
        ends = {
            (n, k): _heaviest(places[n, k, : number[n, k]], weights[n, k, : number[n, k]], most)
            for n, k in np.ndindex(number.shape)
        }
        card = follow(lot, thresholds, ends)
        if best is None or card.cost < best.cost:
            best = card
        if best.cost <= least_cost * (1.0 + ENOUGH):
            break
    assert best is not None
    return best


def _heaviest(
    places: NDArray[np.float64], weights: NDArray[np.float64], most: int
) -> NDArray[np.float64]:
    kept = np.argsort(-weights, kind="stable")[:most]
    return np.sort(places[kept])


def follow(
    lot: Lot, thresholds: NDArray[np.float64], ends: dict[tuple[int, int], NDArray[np.float64]]
) -> Card:
    """Return the machine whose standings at each (n, found) are the intervals between ``ends``.

    A standing decides, and goes on, as the mean belief of those who come to it.
    """
    found: dict[tuple[int, int], Standings] = {}
    coming = {(0, 0): {0: np.array([1.0 - lot.stay[0], lot.stay[0]])}} if lot.size else {}
    cost = inspected = 0.0
    for n in range(lot.size):
        following: dict[tuple[int, int], dict[int, NDArray[np.float64]]] = {}
        for (_, k), arrivals in sorted(coming.items()):
            comes = np.array([arrivals[i] for i in sorted(arrivals)])
            beliefs = comes[:, 1] / comes.sum(axis=1)
            inspects = beliefs >= thresholds[n, k]
            here = comes.sum(axis=1)
            inspected += float(here[inspects].sum())
            cost += float(spent(lot, comes[inspects, 0].sum(), comes[inspects, 1].sum()))
            cost += lot.shortage_cost * (lot.demand - k) * float(here[~inspects].sum())
            after = np.full((len(comes), 2), END)
            for i in np.flatnonzero(inspects):
                for conforming in range(2):
                    moved = _moved(lot, n, comes[i], conforming)
                    chance = float(moved.sum())
                    to = (n + 1, k + conforming)
                    if chance == 0.0 or to[1] == lot.demand:
                        continue
                    if n + 1 == lot.size:
                        cost += chance * lot.shortage_cost * (lot.demand - to[1])
                        continue
                    standing = int(np.searchsorted(ends[to], moved[1] / chance, side="right"))
                    after[i, conforming] = standing
                    entry = following.setdefault(to, {}).setdefault(standing, np.zeros(2))
                    entry += moved
            found[n, k] = Standings(comes, inspects, after)
        for place, arrivals in following.items():
            # Numbered by those that occur.
            rank = {standing: i for i, standing in enumerate(sorted(arrivals))}
            for conforming in range(2):
                before = found.get((n, place[1] - conforming))
                if before is not None:
                    column = before.after[:, conforming]
                    column[column != END] = [rank[int(one)] for one in column[column != END]]
        coming = following
    return Card(found, cost, inspected)


def _moved(lot: Lot, n: int, comes: NDArray[np.float64], conforming: int) -> NDArray[np.float64]:
    """Return the chances, out of and in control for the one after next, with a result of the next."""
    chance_in, chance_out = chances(lot, conforming)
    follows = float(lot.stay[n + 1]) if n + 1 < lot.size else 0.0
    stays = comes[1] * chance_in
    return np.array([comes[0] * chance_out + stays * (1.0 - follows), stays * follows])
