"""The certified optimum of inspecting one lot: bounds that no rounding of beliefs can cross.

The least expected cost V(n, d, b) of inspecting on, after n units with d of the demand still open and
the belief b, is concave in b. It is held at the points of a grid, for each (n, d):

- *lower*: a number below V at the point. Between points the chord is below V, as V is concave.
- *a line*: the true cost of a real policy, ``inside`` if the next unit is in control, ``outside`` if it
  is not. The cost of a fixed policy is linear in b, so the least of the lines is above V everywhere.

Both are carried backwards through the optimality equation. A new point is put where the two
neighbouring lines cross, the farthest place from the chord, until chord and lines are close there;
V is nearly flat over most of its range, so that few points are needed and those near the threshold.
This is the sandwich algorithm for convex functions (Rote 1992) inside a dynamic programme.

Memory: 32 bytes per point. There are about size · demand − demand² / 2 pairs (n, d) at most (a demand
above the units left counts as these units), with 30 to 150 points each at the default width where a
result tells much, ten times as many where it tells little (yields .7 and .3); they grow about as
the inverse fourth root of the width. 120 units for a demand of 100 take 4 to 8 MB, 1,000 for 800 0.6 GB.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from baselines.lot.belief import Lot, chances, cost_of_inspecting, reach, update

RELATIVE_WIDTH = 1e-8
"""Width of the bracket at the first belief, as a share of the value, at most."""
_RAREST = 1e-4
"""Probability of (n, d) below which the tolerance does not grow any more."""
_NARROW = 1e-13
"""Beliefs this close are not told apart."""
_LEAST_SHARE = 1e-4
_RELATIVE = sys.float_info.min / sys.float_info.epsilon
"""Money below which rounding is no longer relative."""
_ROUNDS = 24


class BracketError(ArithmeticError):
    """A bracket that cannot be narrowed as far as it should be."""


class Points(NamedTuple):
    """Where the bounds are held: what the compiled functions take.

    Attributes
    ----------
    begin, number
        int64 (size, demand + 1): the points of (n, d) are ``begin`` to ``begin + number`` below.
    grid, lower, inside, outside
        float64 (points,): belief, lower bound there, and the line above V that is best there.
    """

    begin: NDArray[np.int64]
    number: NDArray[np.int64]
    grid: NDArray[np.float64]
    lower: NDArray[np.float64]
    inside: NDArray[np.float64]
    outside: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bracket:
    """Bounds on the least cost of inspecting a lot, from every (n, d) and belief.

    Attributes
    ----------
    lot
        The lot.
    points
        Where they are held.
    """

    lot: Lot
    points: Points

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds (lower, upper) on the least expected cost of the whole lot, in money.

        Rounded outward: each unit adds some ten operations on costs, all positive and at most what
        losing the demand costs, and as many on the belief, so that errors add up to that many roundings
        of this sum and of what the belief decides.
        """
        lot = self.lot
        lower, upper = self.computed
        at_stake = lot.shortage_cost * lot.demand + _steepness(lot)
        if lower == upper == 0.0 and not 0.0 < at_stake < _RELATIVE:
            return 0.0, 0.0
        slack = 16.0 * sys.float_info.epsilon * (lot.size + 1) * at_stake + sys.float_info.min
        return max(lower - slack, 0.0), upper + slack

    @property
    def computed(self) -> tuple[float, float]:
        """The bounds as computed, without their rounding."""
        lot = self.lot
        if lot.size == 0:
            return 0.0, 0.0
        lower, inside, outside = _look_up(0, lot.demand, float(lot.stay[0]), self.points)
        upper = float(lot.stay[0]) * inside + (1.0 - float(lot.stay[0])) * outside
        return min(lower, upper), max(lower, upper)

    @cached_property
    def thresholds(self) -> NDArray[np.float64]:
        """The belief from which on inspecting is right, between two bounds: (2, size, demand + 1).

        Below the first, stopping is certainly right, and above the second, inspecting. Infinite
        where inspecting is never right; NaN where no results lead (a demand above the units left
        counts as these units).
        """
        return np.stack([_thresholds(of, self.lot, self.points) for of in (0, 1)])

    def action_costs(
        self, n: NDArray[np.int64], d: NDArray[np.int64], belief: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return bounds on the least cost after each action: [state, action, (lower, upper)].

        Parameters
        ----------
        n, d, belief
            (B,): units inspected (below the lot's size), demand still open (up to any number), and
            the belief, in [0, 1].
        """
        costs = np.empty((len(n), 2, 2))
        _action_costs(n, d, belief, costs, self.lot, self.points)
        return costs


def find_bracket(lot: Lot, relative_width: float = RELATIVE_WIDTH) -> Bracket:
    """Return bounds on the least cost of inspecting a lot, at most ``relative_width`` of it apart.

    Where that cost is less than a ten-thousandth of what losing the whole demand costs, the
    width is measured by the latter: sums of money are not known to more digits. Where it cannot be
    made less by more points, it may be what units out of control cost at beliefs that are not told
    apart: so it can be where one delivered costs some 1e5 times what one short does.

    Raises
    ------
    ValueError
        ``relative_width`` is not a positive number.
    BracketError
        The bounds cannot be brought so close (rounding, at widths below about 1e-12).
    """
    if not relative_width > 0.0:
        raise ValueError(f"relative_width = {relative_width!r}: a positive number is needed")
    if lot.size == 0:
        none = np.zeros((0, 1), np.int64)
        return Bracket(lot, Points(none, none, *np.zeros((4, 0))))
    low, high, chance = reach(lot)
    # The least points for a given width, if V is equally curved everywhere: errors are weighted by
    # the probability of coming there, at most that of coming there when every unit is inspected.
    weights = np.maximum(chance, _RAREST) ** (-2.0 / 3.0)
    tolerance = 1e-3 * lot.shortage_cost * max(lot.demand, 1) / max(lot.size, 1)
    blurred = _NARROW * _steepness(lot)
    before = np.inf
    for _ in range(_ROUNDS):
        found = Bracket(lot, Points(*_solve(lot, low, high, weights * tolerance)))
        lower, upper = found.computed
        wanted = relative_width * max(lower, _LEAST_SHARE * lot.shortage_cost * lot.demand)
        wanted = max(wanted, sys.float_info.min)
        if upper - lower <= wanted or before <= upper - lower <= blurred:
            return found
        # No narrower than before: the next point is far below the tolerance.
        most = 0.5 if upper - lower < before else 0.02
        tolerance, before = tolerance * min(most, 0.7 * wanted / (upper - lower)), upper - lower
    raise BracketError(f"the bounds {lower!r} and {upper!r} do not come {relative_width!r} close")


def _steepness(lot: Lot) -> float:
    """Return how fast, at most, what returns cost changes with the belief, in money.

    V is concave and between 0 and what losing the demand costs: at a belief b its slope is no more
    than that over 1 − b, and no belief exceeds the largest chance of staying in control.
    """
    returns = lot.size * lot.missed_out
    least = 1.0 - float(lot.stay.max(initial=0.0))  # P(out of control)
    lost = lot.shortage_cost * lot.demand
    return min(returns, lost / least) if least > 0.0 else returns


@njit(cache=True, error_model="numpy")
def _look_up(n, d, belief, points):  # type: ignore[no-untyped-def]
    """Return the lower bound at a belief, and the better of the two lines beside it."""
    grid, lower, inside, outside = points.grid, points.lower, points.inside, points.outside
    left, right = points.begin[n, d], points.begin[n, d] + points.number[n, d] - 1
    while right - left > 1:
        middle = (left + right) // 2
        if grid[middle] <= belief:
            left = middle
        else:
            right = middle
    share = (belief - grid[left]) / (grid[right] - grid[left])
    bound = lower[left] + share * (lower[right] - lower[left])
    at_left = belief * inside[left] + (1.0 - belief) * outside[left]
    at_right = belief * inside[right] + (1.0 - belief) * outside[right]
    best = left if at_left <= at_right else right
    return bound, inside[best], outside[best]


@njit(cache=True, error_model="numpy")
def _inspect(n, d, belief, lot, points):  # type: ignore[no-untyped-def]
    """Return the lower bound, and the line, of inspecting unit n + 1."""
    left = len(lot.stay) - n - 1
    follows = lot.stay[n + 1] if left > 0 else 0.0
    bound = cost_of_inspecting(lot, belief)
    line_in = lot.inspection_cost + lot.missed_in
    line_out = lot.inspection_cost + lot.missed_out
    for conforming in range(2):
        chance_in, chance_out = chances(lot, conforming)
        open_ = d - conforming
        lost = lot.shortage_cost * max(open_ - left, 0)
        below, if_in, if_out = 0.0, 0.0, 0.0
        chance, after = update(belief, chance_in, chance_out, follows)
        if open_ > 0 and left > 0:
            below, if_in, if_out = _look_up(n + 1, min(open_, left), after, points)
        bound += chance * (below + lost)
        line_in += chance_in * (follows * if_in + (1.0 - follows) * if_out + lost)
        line_out += chance_out * (if_out + lost)
    return bound, line_in, line_out


@njit(cache=True, error_model="numpy")
def _solve(lot, low, high, tolerances):  # type: ignore[no-untyped-def]
    """Return the arrays of :class:`Points`, whose chords and lines part by no more than the tolerances."""
    size, demand = len(lot.stay), lot.demand
    begin = np.zeros((size, demand + 1), np.int64)
    count = np.zeros((size, demand + 1), np.int64)
    points = np.empty((4, 1024))  # grid, lower, inside, outside
    waiting = np.empty((4, 256))
    used = 0
    for n in range(size - 1, -1, -1):
        for d in range(max(demand - n, 1), min(demand, size - n) + 1):
            stop = lot.shortage_cost * d
            begin[n, d] = used
            # A stack of points from right to left; those at 0 and 1 make the bounds hold everywhere,
            # also where no results lead but a line of another policy may.
            waiting[0, 0], number = 1.0, 1
            for place in (high[n, d], low[n, d]):
                if _NARROW < place < waiting[0, number - 1] - _NARROW:
                    waiting[0, number] = place
                    number += 1
            waiting[0, number] = 0.0
            number += 1
            for i in range(number):
                _set(waiting, i, n, d, stop, lot, begin, count, points)
            while number > 0:
                if used == points.shape[1]:
                    larger = np.empty((4, 2 * used))
                    larger[:, :used] = points
                    points = larger
                points[:, used] = waiting[:, number - 1]
                used += 1
                number -= 1
                while number > 0 and number < waiting.shape[1]:
                    right = waiting[:, number - 1]
                    left = points[:, used - 1]
                    if right[0] > high[n, d] + _NARROW or left[0] < low[n, d] - _NARROW:
                        break  # no results lead between these points
                    place = _crossing(left, right, tolerances[n, d])
                    if place < 0.0:
                        break
                    waiting[0, number] = place
                    _set(waiting, number, n, d, stop, lot, begin, count, points)
                    number += 1
            count[n, d] = used - begin[n, d]
    return (
        begin,
        count,
        points[0, :used].copy(),
        points[1, :used].copy(),
        points[2, :used].copy(),
        points[3, :used].copy(),
    )


@njit(cache=True, error_model="numpy")
def _set(waiting, i, n, d, stop, lot, begin, count, points):  # type: ignore[no-untyped-def]
    """Write the lower bound and the best line at the belief ``waiting[0, i]``."""
    belief = waiting[0, i]
    solved = Points(begin, count, points[0], points[1], points[2], points[3])
    bound, line_in, line_out = _inspect(n, d, belief, lot, solved)
    if belief * line_in + (1.0 - belief) * line_out >= stop:
        line_in = line_out = stop
    waiting[1, i], waiting[2, i], waiting[3, i] = min(bound, stop), line_in, line_out


@njit(cache=True, error_model="numpy", inline="always")
def _crossing(left, right, tolerance):  # type: ignore[no-untyped-def]
    """Return the belief where the lines of two points cross, or −1 where they are near the chord."""
    width = right[0] - left[0]
    slope_left, slope_right = left[2] - left[3], right[2] - right[3]
    bend = slope_left - slope_right
    if width <= 2.0 * _NARROW or bend == 0.0:
        return -1.0
    share = ((right[3] - left[3]) / bend - left[0]) / width
    share = min(max(share, 0.0), 1.0)
    place = left[0] + share * width
    line = min(left[3] + place * slope_left, right[3] + place * slope_right)
    at_left = left[3] + left[0] * slope_left
    at_right = right[3] + right[0] * slope_right
    if line - at_left - share * (at_right - at_left) <= tolerance:
        return -1.0
    return left[0] + min(max(share, 0.05), 0.95) * width


@njit(cache=True, error_model="numpy")
def _thresholds(of, lot, points):  # type: ignore[no-untyped-def]
    """Return the least beliefs where inspecting costs less than stopping, (size, demand + 1).

    By the lower (``of`` 0) or the upper bound (1) on the cost of inspecting.
    """
    begin, count, grid = points.begin, points.number, points.grid
    thresholds = np.full(begin.shape, np.nan)
    for n, d in np.ndindex(begin.shape):
        if count[n, d] == 0:
            continue
        stop = lot.shortage_cost * d
        if inspect_bounds(n, d, 0.0, lot, points)[of] < stop:
            thresholds[n, d] = 0.0
        elif inspect_bounds(n, d, 1.0, lot, points)[of] >= stop:
            thresholds[n, d] = np.inf
        else:
            left, right = begin[n, d], begin[n, d] + count[n, d] - 1
            while right - left > 1:  # the grid tells most of the way
                middle = (left + right) // 2
                if inspect_bounds(n, d, grid[middle], lot, points)[of] < stop:
                    right = middle
                else:
                    left = middle
            low, high = _switch(of, n, d, grid[left], grid[right], lot, points)
            thresholds[n, d] = low if of == 0 else high
    return thresholds


@njit(cache=True, error_model="numpy")
def _switch(of, n, d, low, high, lot, points):  # type: ignore[no-untyped-def]
    """Narrow to ``_NARROW`` apart: stopping costs no more at the first, inspecting less at the other."""
    stop = lot.shortage_cost * d
    above = inspect_bounds(n, d, low, lot, points)[of] - stop
    below = inspect_bounds(n, d, high, lot, points)[of] - stop
    probe = 0
    while high - low > _NARROW:
        # The bound is made of pieces of lines: where the one through both ends crosses, and a hair to
        # each side, mostly ends it; a bisection after these two sees to the rest.
        if probe == 0:
            crossing = low + above / (above - below) * (high - low)
        belief = 0.5 * (low + high)
        if probe < 2:
            belief = crossing + (0.4 if probe else -0.4) * _NARROW
        probe = (probe + 1) % 3
        if low < belief < high:
            excess = inspect_bounds(n, d, belief, lot, points)[of] - stop
            if excess < 0.0:
                high, below = belief, excess
            else:
                low, above = belief, excess
    return low, high


@njit(cache=True, error_model="numpy")
def inspect_bounds(n, d, belief, lot, points):  # type: ignore[no-untyped-def]
    """Return bounds (lower, upper) on the least cost of inspecting unit n + 1, d ≤ units left."""
    bound, line_in, line_out = _inspect(n, d, belief, lot, points)
    return bound, belief * line_in + (1.0 - belief) * line_out


@njit(cache=True, error_model="numpy")
def _action_costs(n, d, belief, costs, lot, points):  # type: ignore[no-untyped-def]
    """Write what :meth:`Bracket.action_costs` returns."""
    for i in range(len(n)):
        left = len(lot.stay) - n[i]
        lost = lot.shortage_cost * max(d[i] - left, 0)
        below, above = inspect_bounds(n[i], min(d[i], left), belief[i], lot, points)
        costs[i, 0, :] = lot.shortage_cost * d[i]
        costs[i, 1, 0], costs[i, 1, 1] = below + lost, above + lost
