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
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any, NamedTuple

from baselines.core.decision import Decision
from baselines.core.optimum import Optimum

_EPS = 4.0 * sys.float_info.epsilon
_ZERO = 1e-6
"""Difference of two losses that is taken for none, as a share of the money that is told apart."""
_BESIDE = 1e-6
"""Least distance over which a slope is taken, as a share of the stretch."""


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


@dataclass(frozen=True)
class _Look:
    """What is kept of an optimum that was looked at: its value, resolution and some decisions."""

    value: float
    resolution: float
    decisions: Mapping[Hashable, Decision | None]

    def decision(self, state: Hashable) -> Decision:
        """Return what is decided in a state."""
        found = self.decisions[state]
        if found is None:
            raise _GoneError
        return found


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
    earned
        (home, value) → what the optimal plan of one value of the field earns at another, at least; −inf
        where that is not known. None for a field in which the value of a plan is not linear.

    Attributes
    ----------
    changes
        Those found so far, in order.
    hidden
        The most that any plan may gain on the plans between which they lie, in money; inf where nothing is
        proved.
    lost
        How many times a state could not be followed, because a neighbouring scenario does not have it.
    """

    def __init__(
        self,
        at: Callable[[float], Optimum[Any]],
        start: float,
        is_whole: bool,
        least: float,
        earned: Callable[[float, float], float] | None = None,
    ) -> None:
        self.at = at
        self.is_whole = is_whole
        self.least = least
        self.earned = earned
        self.changes: list[Change] = []
        self.hidden = math.inf if earned is None else 0.0
        self.lost = 0
        self._here, self._optimum = start, at(start)
        # Actions that have been optimal since the last change, by state.
        self._followed: dict[Hashable, frozenset[int]] = {}
        # Of the stretch at hand: the states that change, as the optimum at its beginning knows them.
        self._changing: list[Hashable] = []
        self._looks: dict[float, _Look] = {}

    def advance(self, to: float) -> None:
        """Add the changes between the last value and a larger one."""
        after = self.at(to)
        changing, followed = self._compared(after)
        self._changing, self._looks = list(changing), {}
        found: list[Change] = []
        for state, action in changing.items():
            try:
                found += self._changes(state, action, self._here, to)
            except _GoneError:
                self.lost += 1
        merged = _merged(found)
        self.changes += merged
        if self.earned is not None:
            self.hidden = max(self.hidden, self._most_hidden(merged, to))
        self._here, self._optimum, self._followed = to, after, followed

    def _compared(
        self, after: Optimum[Any]
    ) -> tuple[dict[Hashable, int], dict[Hashable, frozenset[int]]]:
        """Return what no longer is optimal, by state, and what has remained, as ``after`` knows states."""
        before = self._optimum
        states = {one.state: one.equals for one in before.decisions(self.least)}
        for one in after.decisions(self.least):
            same = before.same_decision(one.state, after)
            if same is None:
                self.lost += 1
            else:
                states.setdefault(same.state, same.equals)
        changing: dict[Hashable, int] = {}
        remaining: dict[Hashable, frozenset[int]] = {}
        for state, equals in states.items():
            there = after.same_decision(state, before)
            if there is None:
                self.lost += 1
                continue
            losses = {action: there.loss(action) for action in self._followed.get(state, equals)}
            stay = frozenset(one for one in losses if losses[one] <= after.resolution)
            if not stay:  # the last to leave, if several were worth the same
                changing[state] = min(sorted(losses), key=losses.__getitem__)
            remaining[there.state] = stay or there.equals
        return changing, remaining

    def _most_hidden(self, changes: Sequence[Change], to: float) -> float:
        """Return the most that any plan may gain in this stretch on those between which changes lie."""
        low, high = self._here, to
        values = {one.value: one.optimum for one in changes}
        values |= {low: self._optimum.value, high: self.at(to).value}
        stretches = list(pairwise(sorted(values.items())))
        enough = self.at(to).resolution
        lines = [*self._line(low, to), *self._line(high, to)]
        open_ = [(a, b) for a, b in stretches if _worst_of_best(lines, a, b) > enough]
        for a, b in open_:
            lines += self._line(0.5 * (a[0] + b[0]), to)
        return max([0.0, *(_worst_of_best(lines, a, b) for a, b in open_)])

    def _line(self, home: float, to: float) -> Iterator[_Line]:
        """Yield what the optimal plan of a value earns in this stretch, if that is known."""
        assert self.earned is not None
        far = self._here if home - self._here >= to - home else to
        there, here = self.earned(home, far), self.at(home).value
        if there > -math.inf:
            yield _Line(home, here, (there - here) / (far - home))

    def _look(self, value: float) -> _Look:
        """Return what all states that change decide at a value; each look helps to find all of them."""
        if value not in self._looks:
            optimum = self.at(value)
            decisions = {
                state: optimum.same_decision(state, self._optimum) for state in self._changing
            }
            self._looks[value] = _Look(optimum.value, optimum.resolution, decisions)
        return self._looks[value]

    def _changes(self, state: Hashable, action: int, low: float, high: float) -> Iterator[Change]:
        """Yield the changes of the decision in a state, from ``low`` on, where ``action`` is optimal."""
        end = self._look(high).decision(state)
        if end.loss(action) <= self._look(high).resolution:
            return
        left, right = self._crossing(state, action, end.action, low, high)
        here, there = self._look(left), self._look(right)
        # A third one is better in between. The stretch must shrink: rounding may leave a loss at its end.
        if left < high and here.decision(state).loss(action) > here.resolution:
            yield from self._changes(state, action, low, left)
            action = here.decision(state).action
        is_end = right <= low or there.decision(state).loss(end.action) <= there.resolution
        following = end.action if is_end else there.decision(state).action
        if following != action:
            yield from self._told(state, action, following, left, right)
        if not is_end:
            yield from self._changes(state, following, right, high)

    def _crossing(
        self, state: Hashable, action: int, other: int, low: float, high: float
    ) -> tuple[float, float]:
        """Return neighbouring values: at the one ``action`` is the better one, at the other it is not."""
        from scipy.optimize import brentq  # slow to import

        def advantage(value: float) -> float:
            return self._advantage(state, action, other, value)

        # What was looked at for other states has narrowed the stretch already.
        known = sorted(one for one in {low, high, *self._looks} if low <= one <= high)
        first = next(i for i, one in enumerate(known) if i > 0 and advantage(one) < 0.0)
        low, high = known[first - 1], known[first]
        if self.is_whole:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if advantage(middle) < 0.0 else (middle, high)
            return low, high
        if advantage(low) <= 0.0:
            return low, low
        root = float(brentq(advantage, low, high, xtol=_EPS * max(abs(low), abs(high)), rtol=_EPS))
        return root, root

    def _advantage(self, state: Hashable, action: int, other: int, value: float) -> float:
        """Return by how much one action is better than another, in money."""
        look = self._look(value)
        decision = look.decision(state)
        difference = decision.loss(other) - decision.loss(action)
        return 0.0 if abs(difference) <= _ZERO * look.resolution else difference

    def _told(
        self, state: Hashable, action: int, following: int, left: float, right: float
    ) -> Iterator[Change]:
        """Yield the change, unless optimal play hardly comes to the state where it takes place."""
        sides = [self._look(side).decision(state) for side in (left, right)]
        occupancy = max(side.occupancy for side in sides)
        if occupancy < self.least:
            return
        optimum = self.at(right)
        words = optimum.same_decision(state, self._optimum)
        assert words is not None
        yield Change(
            value=right,
            precision=0.0 if self.is_whole else self._precision(state, action, following, right),
            state=optimum.describe_state(words.state),
            before=optimum.describe_action(words.state, action),
            after=optimum.describe_action(words.state, following),
            occupancy=occupancy,
            optimum=optimum.value,
        )

    def _precision(self, state: Hashable, action: int, following: int, value: float) -> float:
        """Return by how much a root may be off: the money that is not told from nothing, over the slope."""
        known = sorted(self._looks)
        beside = _BESIDE * (known[-1] - known[0])
        low = max((one for one in known if one < value - beside), default=value)
        high = min((one for one in known if one > value + beside), default=value)
        # The flatter of both sides: the function may have a kink between.
        slopes = [
            abs(self._advantage(state, action, following, one)) / abs(one - value)
            for one in (low, high)
            if one != value
        ]
        rounded = _EPS * max(map(abs, known))
        if not slopes or min(slopes) == 0.0:
            return high - low
        return max(rounded, self._look(value).resolution / min(slopes))


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


class _Line(NamedTuple):
    """What a plan earns along a field in which that is linear: at one value, and the slope."""

    at: float
    value: float
    slope: float

    def loss(self, value: float, optimum: float) -> float:
        """Return what it loses against the optimal value at another value, in money."""
        return max(
            optimum - self.value - self.slope * (value - self.at), 0.0
        )  # rounding may be below


def _worst_of_best(
    lines: Sequence[_Line], begin: tuple[float, float], end: tuple[float, float]
) -> float:
    """Return the most that is lost in a stretch by the best of some plans, at most, in money.

    The loss of each is convex, and so below the line between its losses at the ends, which are given as
    a value of the field and the optimal value there.
    """
    losses = [(line.loss(*begin), line.loss(*end)) for line in lines]
    places = [0.0, 1.0]
    for (a, b), (c, d) in combinations(losses, 2):
        slope = (b - a) - (d - c)
        if slope != 0.0 and 0.0 < (c - a) / slope < 1.0:
            places.append((c - a) / slope)
    return max(min((a + (b - a) * x for a, b in losses), default=math.inf) for x in places)
