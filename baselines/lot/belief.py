"""What results teach of the process: the belief of one lot, and where it can be.

The belief b is the probability that the next unit was produced in control, given the results so far
(docs/theory/lot.md; Wang 2013, eq. 1).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Lot(NamedTuple):
    """A lot to be inspected, as plain numbers: what the compiled functions take.

    Attributes
    ----------
    demand
        Conforming units wanted of it, at most its size (what a lot can never meet is a constant cost
        that the caller adds).
    stay
        float64 (size,): P(unit n + 1 in control | unit n in control) = F(n + 1)/F(n), n = 0, 1, …;
        ``stay[0]`` is the first belief.
    yield_in, yield_out
        P(judged conforming) in control and out of control.
    missed_in, missed_out
        What a unit inspected in control and out of control costs, on average, by being delivered
        nonconforming, in money.
    inspection_cost, shortage_cost
        Money per unit inspected, and per unit of unmet demand.
    """

    demand: int
    stay: NDArray[np.float64]
    yield_in: float
    yield_out: float
    missed_in: float
    missed_out: float
    inspection_cost: float
    shortage_cost: float

    @property
    def size(self) -> int:
        """Units in the lot."""
        return len(self.stay)


@njit(cache=True, error_model="numpy", inline="always")
def chances(lot, conforming):  # type: ignore[no-untyped-def]
    """Return P(the next unit is judged so | it is in, out of control)."""
    if conforming:
        return lot.yield_in, lot.yield_out
    return 1.0 - lot.yield_in, 1.0 - lot.yield_out


@njit(cache=True, error_model="numpy", inline="always")
def prospect(lot, belief):  # type: ignore[no-untyped-def]
    """Return P(the next unit is judged conforming) at a belief."""
    return belief * lot.yield_in + (1.0 - belief) * lot.yield_out


@njit(cache=True, error_model="numpy", inline="always")
def cost_of_inspecting(lot, belief):  # type: ignore[no-untyped-def]
    """Return what the next unit costs at a belief: inspection, and delivering it nonconforming."""
    return lot.inspection_cost + (belief * lot.missed_in + (1.0 - belief) * lot.missed_out)


@njit(cache=True, error_model="numpy", inline="always")
def spent(lot, outside, inside):  # type: ignore[no-untyped-def]
    """Return the same of a unit that is out of and in control with these probabilities."""
    missed = inside * lot.missed_in + outside * lot.missed_out
    return (outside + inside) * lot.inspection_cost + missed


@njit(cache=True, error_model="numpy", inline="always")
def update(belief, chance_in, chance_out, stay):  # type: ignore[no-untyped-def]
    """Return P(this result) and the next belief; ``chance_…`` are P(result | in, out of control)."""
    joint = belief * chance_in
    total = joint + (1.0 - belief) * chance_out
    if total <= 0.0:
        return 0.0, 0.0
    return total, joint / total * stay


@njit(cache=True, error_model="numpy")
def updated(lot, n, beliefs, conforming):  # type: ignore[no-untyped-def]
    """Return beliefs after results of unit n + 1, (lots,); 0 after the last, as the kernel has it."""
    stay = lot.stay[n + 1] if n + 1 < len(lot.stay) else 0.0
    after = np.empty(len(beliefs))
    for i in range(len(beliefs)):
        chance_in, chance_out = chances(lot, conforming[i])
        after[i] = update(beliefs[i], chance_in, chance_out, stay)[1]
    return after


@njit(cache=True, error_model="numpy")
def reach(lot):  # type: ignore[no-untyped-def]
    """Return where inspection can come to: lowest and highest belief, and probability, of each (n, d).

    All three (size, demand + 1), for inspecting every unit; demand above the units left counts as
    those units (it can never be met, and changes no decision). Where nothing comes, the lowest
    belief is above the highest.
    """
    stay, demand = lot.stay, lot.demand
    size = len(stay)
    low = np.full((size, demand + 1), 2.0)
    high = np.full((size, demand + 1), -1.0)
    chance = np.zeros((size, demand + 1, 2))  # jointly with the next unit in, out of control
    low[0, demand] = high[0, demand] = stay[0]
    chance[0, demand, 0], chance[0, demand, 1] = stay[0], 1.0 - stay[0]
    for n in range(size - 1):
        for d in range(1, demand + 1):
            if high[n, d] < 0.0:
                continue
            for conforming in range(2):
                to = min(d - conforming, size - n - 1)
                chance_in, chance_out = chances(lot, conforming)
                inside = chance[n, d, 0] * chance_in
                chance[n + 1, to, 0] += inside * stay[n + 1]
                chance[n + 1, to, 1] += inside * (1.0 - stay[n + 1])
                chance[n + 1, to, 1] += chance[n, d, 1] * chance_out
                for start in (low[n, d], high[n, d]):
                    possible, belief = update(start, chance_in, chance_out, stay[n + 1])
                    if possible > 0.0:
                        low[n + 1, to] = min(low[n + 1, to], belief)
                        high[n + 1, to] = max(high[n + 1, to], belief)
    return low, high, chance.sum(axis=2)
