"""What a policy costs in one lot, computed and not simulated.

Two kinds of rules are told apart by what they look at:

- a :class:`ResultRule` looks at counts and the last result. The process is then a Markov chain with the
  truth as part of its state, and one pass forward gives the exact cost.
- a :class:`BeliefRule` looks at the belief, which takes exponentially many values. One pass forward
  carries *cells*: neighbouring beliefs with their probability, jointly with the unit in control and
  out of control. As both add up and are carried forward linearly, a cell is as good as its
  beliefs one by one until the rule acts differently on its ends. Cells are kept so small that this
  concerns little probability, and what it may change is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.lot.belief import Lot, reach
from baselines.lot.bracket import Bracket
from baselines.lot.cells import follow_beliefs, follow_results, marks, worst_regrets

MAX_CELLS = 1_000_000
"""Most cells of one evaluation: one or two tenths of a second."""
PRECISION = 1e-8
"""Bound on the error of a cost, as a share of it, below which it is made no smaller."""
_FIRST_SIZE, _SMALLER, _LEAST_SIZE = 1e-4, 0.1, 1e-16
"""Of cells: at the last every belief has its own, and what lies inside a switch stays undecided."""


class BeliefRule(NamedTuple):
    """Which beliefs are inspected on, for each n and number of conforming units found.

    Attributes
    ----------
    first
        int8 (size, found): whether the lowest beliefs are inspected on.
    begin
        int64 (size · found + 1,): the switches of (n, k) are ``begin[n · found + k]`` to
        the next below.
    switches
        float64 (2, switches): beliefs between which the action changes, ascending; equal where
        it is known exactly, and the upper of the two beliefs then has the new action.
    """

    first: NDArray[np.int8]
    begin: NDArray[np.int64]
    switches: NDArray[np.float64]

    @classmethod
    def from_thresholds(cls, thresholds: NDArray[np.float64]) -> BeliefRule:
        """Return the rule that inspects from a belief on, (size, found); never where not finite."""
        switching = np.isfinite(thresholds) & (thresholds > 0.0)
        begin = np.concatenate([[0], np.cumsum(switching.ravel())]).astype(np.int64)
        switches = np.tile(thresholds[switching], (2, 1))
        return cls((thresholds <= 0.0).astype(np.int8), begin, switches)


@dataclass(frozen=True, eq=False)
class ResultRule:
    """A rule that looks at counts and the last result.

    Attributes
    ----------
    probabilities
        float64 (size, found, 3): P(inspect the next) after n units of which k were found conforming,
        by the last result (``NO_RESULT``, ``NONCONFORMING``, ``CONFORMING``).
    """

    probabilities: NDArray[np.float64]


Rule = BeliefRule | ResultRule


def as_rule(table: NDArray[np.float64]) -> Rule:
    """Return the rule of thresholds on the belief, (size, found), or of probabilities, (…, 3)."""
    return BeliefRule.from_thresholds(table) if table.ndim == 2 else ResultRule(table)


@dataclass(frozen=True, eq=False)
class RuleCosts:
    """What a rule costs in a lot.

    Attributes
    ----------
    costs
        float64 (size + 1,): expected cost of a lot of 0, 1, …, size units under the same rule.
    tolerance
        Bound on the error of the last of them.
    decisions
        Expected number of decisions in the lot.
    """

    costs: NDArray[np.float64]
    tolerance: float
    decisions: float


def evaluate_results(lot: Lot, rule: ResultRule) -> RuleCosts:
    """Return the exact cost of a rule that looks at counts and the last result."""
    costs, decisions = follow_results(rule.probabilities, lot)
    return RuleCosts(costs, 0.0, float(decisions))


def evaluate_beliefs(bounds: Bracket, rule: BeliefRule, precision: float = PRECISION) -> RuleCosts:
    """Return the cost of a rule that looks at the belief, with a certified bound on its error.

    The cells are made smaller until the bound is ``precision`` of the cost, there are ``MAX_CELLS``, or
    every belief has its own. What a cell on both sides of a switch may change is at most its probability
    times the difference that the action makes there. The difference vanishes as the rule approaches the
    optimum, which switches where it is none; the bound does so with it, but for the width of the
    cells.
    """
    lot = bounds.lot
    low, high, _ = reach(lot)
    regrets = worst_regrets(rule, low, high, lot, bounds.points)
    places, _, number = marks(rule, lot)
    found = RuleCosts(np.full(lot.size + 1, np.nan), np.inf, np.nan)
    size, most = _FIRST_SIZE, np.iinfo(np.int64).max
    while size > _LEAST_SIZE and (
        found.tolerance > precision * found.costs[-1] or np.isinf(found.tolerance)
    ):
        costs, tolerance, decisions, is_whole = follow_beliefs(
            rule, places, number, regrets, size, most, lot, bounds.points
        )
        if not is_whole:
            break
        if tolerance < found.tolerance:
            found = RuleCosts(costs, float(tolerance), float(decisions))
        size, most = size * _SMALLER, MAX_CELLS
    return found
