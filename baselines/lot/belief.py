"""What results teach of the process: the belief of one lot, and where it can be.

The belief b is the probability that the next unit was produced in control, given the results so far
(docs/theory/lot.md; Wang 2013, eq. 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Lot:
    """A lot to be inspected, as plain numbers.

    Attributes
    ----------
    size, demand
        Units in the lot, and conforming units wanted of it; demand ≤ size (what a lot can never meet
        is a constant cost that the caller adds).
    stay
        float64 (size,): P(unit n + 1 in control | unit n in control) = F(n + 1)/F(n), n = 0, 1, …;
        ``stay[0]`` is the first belief.
    yield_in, yield_out
        P(conforming) in control and out of control.
    inspection_cost, shortage_cost
        Money per unit inspected, and per unit of unmet demand.
    """

    size: int
    demand: int
    stay: NDArray[np.float64]
    yield_in: float
    yield_out: float
    inspection_cost: float
    shortage_cost: float

    @property
    def numbers(self) -> tuple[NDArray[np.float64], int, float, float, float, float]:
        """The lot as the compiled functions take it."""
        return (
            self.stay,
            self.demand,
            self.yield_in,
            self.yield_out,
            self.inspection_cost,
            self.shortage_cost,
        )


@njit(cache=True, error_model="numpy", inline="always")
def update(belief, chance_in, chance_out, stay):  # type: ignore[no-untyped-def]
    """Return P(this result) and the next belief; ``chance_…`` are P(result | in, out of control)."""
    joint = belief * chance_in
    total = joint + (1.0 - belief) * chance_out
    if total <= 0.0:
        return 0.0, 0.0
    return total, joint / total * stay


@njit(cache=True, error_model="numpy")
def reach(stay, demand, yield_in, yield_out):  # type: ignore[no-untyped-def]
    """Return where inspection can come to: lowest and highest belief, and probability, of each (n, d).

    All three (size, demand + 1), for inspecting every unit; demand above the units left counts as
    those units (it can never be met, and changes no decision). Where nothing comes, the lowest
    belief is above the highest.
    """
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
                chance_in = yield_in if conforming else 1.0 - yield_in
                chance_out = yield_out if conforming else 1.0 - yield_out
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
