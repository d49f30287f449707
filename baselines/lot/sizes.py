"""The lots of a scenario: the bracket of each, and the best lot size, certified."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.lot.belief import Lot
from baselines.lot.bracket import RELATIVE_WIDTH, Bracket, find_bracket
from qc_gym.lot.scenario import InspectOrStopScenario

COARSE_WIDTH = 1e-6
"""Width of the brackets that tell most lot sizes from the best one."""


class BestLot(NamedTuple):
    """A lot size, and bounds on the least total cost over all sizes, in money."""

    size: int
    lower: float
    upper: float


def lot_of(scenario: InspectOrStopScenario, size: int) -> Lot:
    """Return the lot of the first ``size`` units that the process makes."""
    survival = scenario.survival[: size + 1]
    stay = np.divide(
        survival[1:], survival[:-1], out=np.zeros(size), where=survival[:-1] > 0.0
    )  # once surely out of control, always
    yield_in, yield_out = scenario.judged_yields
    missed_in, missed_out = scenario.missed_costs
    return Lot(
        demand=min(scenario.demand, size),
        stay=stay,
        yield_in=yield_in,
        yield_out=yield_out,
        missed_in=missed_in,
        missed_out=missed_out,
        inspection_cost=scenario.inspection_cost,
        shortage_cost=scenario.shortage_cost,
    )


def fixed_cost(scenario: InspectOrStopScenario, size: int) -> float:
    """Return what a lot costs whatever is inspected: production, and demand beyond its units."""
    beyond = scenario.shortage_cost * max(scenario.demand - size, 0)
    return production_cost(scenario, size) + beyond


def production_cost(scenario: InspectOrStopScenario, size: int) -> float:
    """Return setup and unit costs of a lot; those of a lot that exists are paid, and both 0."""
    return scenario.setup_cost * (size > 0) + scenario.unit_cost * size


def _below_and_above(exact: Fraction) -> tuple[float, float]:
    """Return the float64 next below a number and the next above it; itself where it is one."""
    nearest = float(exact)
    if nearest == exact:
        return nearest, nearest
    if nearest < exact:
        return nearest, math.nextafter(nearest, math.inf)
    return math.nextafter(nearest, -math.inf), nearest


@lru_cache(maxsize=4)
def lot_bracket(scenario: InspectOrStopScenario, size: int) -> Bracket:
    """Return the narrow bracket of the lot of that size; the last few are kept."""
    return find_bracket(lot_of(scenario, size))


class LotSizes:
    """The total cost of every lot size, solved as far as somebody asks.

    TC(Q) = K·[Q > 0] + vQ + V_Q(0, D, F(1)) (docs/theory/lot.md; Wang 2013, step 3). V_Q shares nothing
    with the V of other lots but bounds: one more unit never hurts, and it saves at most
    F(Q+1)·(s·θ1 − c1)⁺ + (1 − F(Q+1))·(s·θ2 − c2)⁺, with the judged yields θ and what a unit inspected
    costs, c, in and out of control: a policy for Q + 1 units can be played without the last one, whose
    expected gain is convex in the belief, of mean F(Q+1). A lot between two solved ones is therefore never
    better than these bounds, and a lot is solved only while they leave it a chance of being the best: first
    to a coarse bracket, then, if that does not decide, to a narrow one.
    """

    def __init__(self, scenario: InspectOrStopScenario) -> None:
        self.scenario = scenario
        self._production = np.array(
            [production_cost(scenario, size) for size in range(scenario.longest_lot + 1)]
        )
        survival, s = scenario.survival[1:], scenario.shortage_cost
        yields, missed = scenario.judged_yields, scenario.missed_costs
        gain_in, gain_out = (
            max(s * yields[i] - (scenario.inspection_cost + missed[i]), 0.0) for i in (0, 1)
        )
        gains = survival * gain_in + (1.0 - survival) * gain_out
        self._gains = np.concatenate([[0.0], np.cumsum(gains)])
        # Of V alone: added to the cost of production it would lose digits.
        self._bounds: dict[int, tuple[float, float, float]] = {}  # width asked, lower, upper
        self._best: dict[int, BestLot] = {}

    def bracket(self, size: int) -> Bracket:
        """Return the narrow bracket of a lot."""
        return lot_bracket(self.scenario, size)

    def chances(self, size: int) -> NDArray[np.float64]:
        """Return P(n units inspected have k conforming), (size, found), if every one is inspected."""
        lot = lot_of(self.scenario, size)
        results = np.zeros((size, lot.demand))
        yields = np.array([lot.yield_out, lot.yield_in])
        joint = np.zeros((lot.demand + 1, 2))  # with the next unit out of, in control
        joint[0] = 1.0 - lot.stay[0], lot.stay[0]
        for n in range(size):
            results[n] = joint[:-1].sum(axis=1)
            follows = lot.stay[n + 1] if n + 1 < size else 0.0
            moved = np.zeros_like(joint)
            moved[:-1] += joint[:-1] * (1.0 - yields)
            moved[1:] += joint[:-1] * yields
            joint = np.stack(
                [moved[:, 0] + moved[:, 1] * (1.0 - follows), moved[:, 1] * follows], axis=1
            )
        return results

    def bounds(self, size: int, relative_width: float = RELATIVE_WIDTH) -> tuple[float, float]:
        """Return bounds (lower, upper) on the least total cost with a lot of that size, in money."""
        lower, upper = self._inspection_bounds(size, relative_width)
        fixed = self._fixed(size)
        below, _ = _below_and_above(fixed + Fraction(lower))
        _, above = _below_and_above(fixed + Fraction(upper))
        return below, above

    def _fixed(self, size: int) -> Fraction:
        """Return :func:`fixed_cost` without its rounding."""
        scenario = self.scenario
        setup = Fraction(scenario.setup_cost) if size > 0 else Fraction(0)
        beyond = Fraction(scenario.shortage_cost) * max(scenario.demand - size, 0)
        return setup + Fraction(scenario.unit_cost) * size + beyond

    def _inspection_bounds(self, size: int, relative_width: float) -> tuple[float, float]:
        known = self._bounds.get(size)
        if known is None or known[0] > relative_width:
            if relative_width == RELATIVE_WIDTH:
                lower, upper = self.bracket(size).bounds
            else:
                lower, upper = find_bracket(lot_of(self.scenario, size), relative_width).bounds
            known = self._bounds[size] = relative_width, lower, upper
        return known[1:]

    def best(self, least: int = 0) -> BestLot:
        """Return the best lot of at least ``least`` units.

        Its size is certainly the best one where its upper bound is below the lower bounds of the
        others; otherwise no other is better by more than upper − lower.
        """
        if self.scenario.lot_size is not None:
            size = self.scenario.lot_size
            return BestLot(size, *self.bounds(size))
        if least not in self._best:
            self._best[least] = self._search(least)
        return self._best[least]

    def _search(self, least: int) -> BestLot:
        sizes = np.arange(least, self.scenario.longest_lot + 1)
        self._inspection_bounds(int(sizes[-1]), COARSE_WIDTH)
        while True:
            lower = self._lower_bounds()[sizes]
            solved = [int(size) for size in sizes if size in self._bounds]
            totals = {size: self.bounds(size, COARSE_WIDTH) for size in solved}
            best = min(solved, key=lambda size: totals[size][1])
            upper = totals[best][1]
            # The most promising that is not yet known narrowly.
            open_ = [
                size
                for size in sizes[np.argsort(lower, kind="stable")]
                if lower[size - least] < upper
                and self._bounds.get(int(size), (1.0,))[0] > RELATIVE_WIDTH
            ]
            if not open_:
                return BestLot(best, min(float(lower.min()), totals[best][0]), upper)
            size = int(open_[0])
            self._inspection_bounds(size, RELATIVE_WIDTH if size in self._bounds else COARSE_WIDTH)

    def _lower_bounds(self) -> NDArray[np.float64]:
        """Return a lower bound on the total cost of every lot size, (longest_lot + 1,)."""
        below = np.full(len(self._production), -np.inf)
        for size, (_, lower, _) in self._bounds.items():
            # With the demand beyond the lot, whose cost the bound of V leaves out.
            short = self.scenario.shortage_cost * max(self.scenario.demand - size, 0)
            below[size] = lower + short
        from_larger = np.maximum.accumulate(below[::-1])[::-1]
        reached = np.maximum.accumulate(below + self._gains)
        lost = 4.0 * np.finfo(float).eps * (self._gains + np.maximum(reached, 0.0))  # by rounding
        from_smaller = reached - self._gains - lost
        total = np.maximum(from_larger, from_smaller) + self._production
        slack = 4.0 * np.finfo(float).eps * np.abs(total) + sys.float_info.min
        return np.maximum(total - slack, 0.0)
