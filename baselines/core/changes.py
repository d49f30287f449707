"""Where the optimal decision changes as a number of the scenario goes through a range.

Two neighbouring scenarios are compared state by state, in the states that optimal play comes to often
enough. Where an action that is optimal in the one no longer is in the other, the number at which both are
worth the same is the root of a continuous function, the difference of their losses, and is found by
bracketing it (Brent 1973), not read off a grid.

Changes that come and go between two neighbours leave no trace there. For a number that enters rewards
linearly and nothing else, as money does, they can be excluded: a policy's value is then linear in it and
the optimal value, a maximum of lines, convex. What a plan loses against the optimum is convex too, so that
between two points it loses nowhere more than at the worse of them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any

from scipy.optimize import brentq

from baselines.core.decision import Decision
from baselines.core.optimum import Optimum

_EPS = 4.0 * sys.float_info.epsilon
_ZERO = 1e-6
"""Difference of two losses that is taken for none, as a share of the money that is told apart."""
_BESIDE = 1e-5
"""Distance at which both sides of a change are looked at, as a share of the stretch it is in."""


@dataclass(frozen=True)
class Change:
    """A change of the optimal decision.

    Attributes
    ----------
    value
        Of the field, where both actions are worth the same; of a whole number, the first for which
        ``after`` is better.
    precision
        By how much ``value`` may be off; 0 for a whole number.
    state, before, after
        Where, and the actions below and above, in words.
    occupancy
        How often optimal play comes there in an episode, on average.
    optimum
        The optimal value there, in money.
    """

    value: float
    precision: float
    state: str
    before: str
    after: str
    occupancy: float
    optimum: float


class _GoneError(Exception):
    """A state that was followed does not exist for some value in between."""


class Follower:
    """Follows the decisions of the optimum along a field.

    Parameters
    ----------
    at
        The optimum at a value of the field.
    start
        The value to begin with.
    is_whole
        Whether the field is a whole number.
    least
        Expected visits in an episode below which a state is not followed.

    Attributes
    ----------
    lost
        How many times a state could not be followed, because a neighbouring scenario does not have it.
    """

    def __init__(
        self, at: Callable[[float], Optimum[Any]], start: float, is_whole: bool, least: float
    ) -> None:
        self.at = at
        self.is_whole = is_whole
        self.least = least
        self.lost = 0
        self._here, self._optimum = start, at(start)
        # Actions that have been optimal since the last change, by state.
        self._followed: dict[Hashable, frozenset[int]] = {}

    def advance(self, to: float) -> list[Change]:
        """Return the changes between the last value and a larger one, in order."""
        before, after = self._optimum, self.at(to)
        places = {one.state: one.equals for one in before.decisions(self.least)}
        for one in after.decisions(self.least):
            same = before.same_decision(one.state, after)
            if same is None:
                self.lost += 1
            else:
                places.setdefault(same.state, same.equals)
        found: list[Change] = []
        followed: dict[Hashable, frozenset[int]] = {}
        for state, equals in places.items():
            there = after.same_decision(state, before)
            if there is None:
                self.lost += 1
                continue
            equals = self._followed.get(state, equals)
            stay = frozenset(one for one in equals if there.loss(one) <= after.resolution)
            if not stay:
                stay = there.equals
                last = min(equals, key=lambda one, there=there: (there.loss(one), one))  # type: ignore[misc]
                try:
                    found += self._changes(_Place(before, state), last, self._here, to)
                except _GoneError:
                    self.lost += 1
            followed[there.state] = stay
        self._here, self._optimum, self._followed = to, after, followed
        return _merged(found)

    def _changes(self, place: _Place, action: int, low: float, high: float) -> Iterator[Change]:
        """Yield the changes of the decision in a state, from ``low`` on, where ``action`` is optimal."""
        end = place.decision(self.at(high))
        if end.loss(action) <= self.at(high).resolution:
            return
        left, right = self._crossing(place, action, end.action, low, high)
        here, there = place.decision(self.at(left)), place.decision(self.at(right))
        # A third one is better in between. The stretch must shrink: rounding may leave a loss at its end.
        if left < high and here.loss(action) > self.at(left).resolution:
            yield from self._changes(place, action, low, left)
            action = here.action
        is_end = right <= low or there.loss(end.action) <= self.at(right).resolution
        following = end.action if is_end else there.action
        if following != action:
            yield from self._told(place, action, following, left, right, (low, high))
        if not is_end:
            yield from self._changes(place, following, right, high)

    def _crossing(
        self, place: _Place, action: int, other: int, low: float, high: float
    ) -> tuple[float, float]:
        """Return neighbouring values: at the one ``action`` is the better one, at the other it is not."""

        def advantage(value: float) -> float:
            decision = place.decision(self.at(value))
            difference = decision.loss(other) - decision.loss(action)
            is_none = abs(difference) <= _ZERO * self.at(value).resolution
            return 0.0 if is_none else difference

        if self.is_whole:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if advantage(middle) < 0.0 else (middle, high)
            return low, high
        if advantage(low) <= 0.0:
            return low, low
        root = float(brentq(advantage, low, high, xtol=_EPS * max(abs(low), abs(high)), rtol=_EPS))
        return root, root

    def _told(
        self,
        place: _Place,
        action: int,
        following: int,
        left: float,
        right: float,
        stretch: tuple[float, float],
    ) -> Iterator[Change]:
        """Yield the change, unless optimal play hardly comes to the state where it takes place."""
        optimum = self.at(right)
        decision = place.decision(optimum)
        sides, precision = [left, right], 0.0
        if not self.is_whole:
            beside = _BESIDE * (stretch[1] - stretch[0])
            sides = [max(left - beside, stretch[0]), min(right + beside, stretch[1])]
            first, second = (place.decision(self.at(side)) for side in sides)
            moved = first.loss(following) - first.loss(action)
            moved += second.loss(action) - second.loss(following)
            slope = abs(moved) / (sides[1] - sides[0])
            rounded = _EPS * max(map(abs, stretch))
            precision = max(rounded, optimum.resolution / slope if slope > 0.0 else beside)
        occupancy = max(place.decision(self.at(side)).occupancy for side in sides)
        if occupancy >= self.least:
            yield Change(
                value=right,
                precision=precision,
                state=optimum.describe_state(decision.state),
                before=optimum.describe_action(decision.state, action),
                after=optimum.describe_action(decision.state, following),
                occupancy=occupancy,
                optimum=optimum.value,
            )


@dataclass(frozen=True)
class _Place:
    """A state, as one of the optima knows it."""

    home: Optimum[Any]
    state: Hashable

    def decision(self, optimum: Optimum[Any]) -> Decision:
        """Return what an optimum does in it."""
        found = optimum.same_decision(self.state, self.home)
        if found is None:
            raise _GoneError
        return found


def _merged(changes: Sequence[Change]) -> list[Change]:
    """Return the changes in order; those at one value and in the same words, of like states, as one."""
    merged: list[Change] = []
    for one in sorted(changes, key=lambda one: (one.value, -one.occupancy)):
        for i, other in enumerate(merged):
            is_near = abs(one.value - other.value) <= one.precision + other.precision
            if is_near and _words(one) == _words(other):
                merged[i] = replace(other, occupancy=other.occupancy + one.occupancy)
                break
        else:
            merged.append(one)
    return merged


def _words(change: Change) -> tuple[str, str, str]:
    return change.state, change.before, change.after


Line = tuple[float, float]
"""What a plan loses at the two ends of a stretch, in money."""


def most_hidden(
    regret: Callable[[float, float], float],
    low: float,
    high: float,
    changes: Sequence[Change],
    enough: float,
) -> float:
    """Return the most that any plan may gain on the plans between which the changes lie, in money.

    For a field in which the value of every policy is linear; see the module's words.

    Parameters
    ----------
    regret
        (home, value) → what the optimal plan of one value of the field loses at another, in money.
    low, high
        Neighbouring values.
    changes
        All that were found between them, in order.
    enough
        Money that is not told from nothing.
    """
    worst = 0.0
    for begin, end in pairwise(sorted({low, *(one.value for one in changes), high})):
        homes = [home for home in {low, high} if home in (begin, end)]
        lines = [_line(regret, home, begin, end) for home in homes]
        if _worst_of_best(lines) > enough:
            lines.append(_line(regret, 0.5 * (begin + end), begin, end))
        worst = max(worst, _worst_of_best(lines))
    return worst


def _line(regret: Callable[[float, float], float], home: float, begin: float, end: float) -> Line:
    first, last = (0.0 if home == one else max(regret(home, one), 0.0) for one in (begin, end))
    return first, last


def _worst_of_best(lines: Sequence[Line]) -> float:
    """Return the largest regret in a stretch that leaves one the choice of some plans, at most.

    The regret of each is convex, and so below the line between its ends.
    """
    places = [0.0, 1.0]
    for (a, b), (c, d) in combinations(lines, 2):
        slope = (b - a) - (d - c)
        if slope != 0.0 and 0.0 < (c - a) / slope < 1.0:
            places.append((c - a) / slope)
    return max(min((a + (b - a) * x for a, b in lines), default=math.inf) for x in places)
