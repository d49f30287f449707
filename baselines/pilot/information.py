"""What it is worth to know more before an order is produced.

Raiffa & Schlaifer (1961): the value of perfect information, of the best pilot run whose sizes are fixed
beforehand, and of the best one that looks at each result before the next test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from scipy.special import betainc, betaln

from baselines.pilot.beliefs import Axis, Beliefs, Floats
from baselines.pilot.lattice import Lattice, best_tests, certainty_equivalent_plans, plan_payoffs
from qc_gym.core.lattice import row_start
from qc_gym.pilot.dynamics import PLANS, Moments, plan_cost
from qc_gym.pilot.scenario import BetaRate, PilotRunScenario

Sizes = tuple[int, int, int]
_STEP, _STEP_OF_ONE = 0.12, 0.002
"""Steps of the outer rules on the logistic scale, times the root of a + b: of two parts, of one."""
_REACH = 25.0
"""Beyond so far on the logistic scale, a rate is taken for 0, or one of 1 for this one."""
_PANELS, _TABLE = 128, 4096
"""Of the product's rate: panels in each of which the best plan is sought, points of its integrals."""
_LEAST_WEIGHT = 1e-11


@dataclass(frozen=True)
class ValueOfInformation:
    """What the order is expected to earn, tests paid, by how much is learnt before; all in money.

    Attributes
    ----------
    certainty_equivalent
        Commit at once to the plan that is best at the mean rates ([R], Section 4).
    at_once
        Commit at once to the plan of the highest expected profit.
    best_fixed
        The best pilot run of fixed sizes.
    sequential
        The optimal pilot run.
    perfect
        The best plan for the true rates, as if they were known; to about 1e-6 of what knowing them
        is worth.
    sizes
        The fixed sizes of ``best_fixed``: tests of part 1, part 2 and builds.
    """

    certainty_equivalent: float
    at_once: float
    best_fixed: float
    sequential: float
    perfect: float
    sizes: Sizes

    @property
    def evsi_fixed(self) -> float:
        """Expected value of the information of the best pilot run of fixed sizes, net of its cost."""
        return self.best_fixed - self.at_once

    @property
    def evsi_sequential(self) -> float:
        """Expected value of the information of the optimal pilot run, net of its cost."""
        return self.sequential - self.at_once

    @property
    def evpi(self) -> float:
        """Expected value of perfect information."""
        return self.perfect - self.at_once


def value_of_information(
    scenario: PilotRunScenario, lattice: Lattice | None = None
) -> ValueOfInformation:
    """Return what it is worth to learn the rates of a scenario before committing."""
    lattice = lattice or Lattice.of(scenario)
    beliefs = lattice.beliefs
    sizes, best_fixed = best_sizes(lattice)
    first = beliefs.start()
    return ValueOfInformation(
        certainty_equivalent=float(plan_payoffs(first)[0, certainty_equivalent_plans(first)[0]]),
        at_once=float(lattice.payoffs[0]),
        best_fixed=best_fixed,
        sequential=lattice.value,
        perfect=perfect_value(beliefs),
        sizes=sizes,
    )


class OrderSizesCurve(NamedTuple):
    """Gains on committing at once, in money, by the size of the order; each (m,)."""

    sizes: Floats
    fixed: Floats
    sequential: Floats
    perfect: Floats


def order_sizes_curve(
    lattice: Lattice, known: ValueOfInformation, points: int = 25
) -> OrderSizesCurve:
    """Return what a pilot run is worth for orders a hundredth to a hundred times as large.

    What plans earn grows with the order, what tests cost does not; the best plans stay the same.
    """
    beliefs = lattice.beliefs
    factors = np.logspace(-2.0, 2.0, points)
    fixed, sequential = np.empty((2, points))
    for i, factor in enumerate(factors):
        payoffs = factor * lattice.payoffs
        fixed[i] = fixed_values(beliefs, payoffs).max() - payoffs[0]
        sequential[i] = best_tests(beliefs, payoffs)[0][0] - payoffs[0]
    return OrderSizesCurve(
        factors * beliefs.scenario.order_size, fixed, sequential, factors * known.evpi
    )


def best_sizes(lattice: Lattice) -> tuple[Sizes, float]:
    """Return the sizes of the best pilot run that fixes them beforehand, and what it earns."""
    beliefs = lattice.beliefs
    worth = fixed_values(beliefs, lattice.payoffs)
    best = np.unravel_index(int(worth.argmax()), worth.shape)
    return (int(best[0]), int(best[1]), int(best[2])), float(worth[best])


def fixed_values(beliefs: Beliefs, payoffs: Floats) -> Floats:
    """Return what pilot runs of all fixed sizes earn, (N1 + 1, N2 + 1, N3 + 1), in money.

    Parameters
    ----------
    payoffs
        What committing then earns in each state of the lattice, (S,), in money.
    """
    worth = payoffs.reshape(beliefs.shape)
    for k, axis in enumerate(beliefs.axes):
        shape = [1, 1, 1]
        shape[k] = len(axis)
        sizes = np.arange(axis.node.max_samples + 1)
        worth = np.add.reduceat(worth * axis.reached.reshape(shape), row_start(sizes), axis=k)
        shape[k] = len(sizes)
        worth = worth - (axis.node.sample_cost * sizes).reshape(shape)
    return worth


def perfect_value(beliefs: Beliefs) -> float:
    """Return the expectation of what the best plan for the true rates earns, in money.

    Over the product's rate exactly, panel by panel between the rates at which the best plan changes; over
    the parts' rates by the trapezoidal rule on the logistic scale, whose error is that of the edges
    between plans, second order in the step.
    """
    one, two, product = beliefs.axes
    step = _STEP_OF_ONE if one.is_known or two.is_known else _STEP
    cost = _perfect_cost(
        beliefs.scenario.record()[0],
        _outer_rule(one, step),
        _outer_rule(two, step),
        table := _inner_table(product),
        _panel_ends(table),
    )
    scenario = beliefs.scenario
    return float(scenario.order_size * (scenario.price - cost))


def _outer_rule(axis: Axis, step: float) -> tuple[Floats, Floats, Floats]:
    """Return p, 1 − p and the weights of an expectation over a rate before any test, each (m,).

    The trapezoidal rule under Beta(a, b − 1), with (1 − p) f(p) for f; what is beyond ``_REACH`` is added
    to the ends.
    """
    rate = axis.node.defect_rate
    if not isinstance(rate, BetaRate):
        return np.array([rate]), np.array([1.0 - rate]), np.ones(1)
    a, b = rate.a, rate.b - 1.0
    step /= np.sqrt(max(a + b + 1.0, 6.0))
    t = np.arange(-np.ceil(_REACH / step), np.ceil(_REACH / step) + 1.0) * step
    log_p, log_good = -np.logaddexp(0.0, -t), -np.logaddexp(0.0, t)
    weights = step * np.exp(a * log_p + b * log_good - betaln(a, b))
    weights[[0, -1]] /= 2.0
    weights[0] += betainc(a, b, np.exp(log_p[0]))
    weights[-1] += betainc(b, a, np.exp(log_good[-1]))
    used = weights > _LEAST_WEIGHT
    good = np.exp(log_good[used])
    return np.exp(log_p[used]), good, weights[used] * (a + b) / b * good


def _inner_table(axis: Axis) -> Floats:
    """Return t, and the integrals up to t of 1 / (1 − q), 1 and 1 − q with their derivatives, (7, m).

    A known rate is one column, whose integrals are the values.
    """
    rate = axis.node.defect_rate
    if not isinstance(rate, BetaRate):
        good = 1.0 - rate
        return np.array([[0.0, 1.0 / good, 1.0, good, 0.0, 0.0, 0.0]]).T
    a, b = rate.a, rate.b
    t = np.linspace(*_inner_reach(a, b), _TABLE)
    log_p, log_good = -np.logaddexp(0.0, -t), -np.logaddexp(0.0, t)
    p, table = np.exp(log_p), [t]
    means = (float(axis.tries[0]), 1.0, float(axis.good[0]))
    for mean, shape in zip(means, (b - 1.0, b, b + 1.0), strict=True):
        table.append(mean * betainc(a, shape, p))
        table[-1][0], table[-1][-1] = 0.0, mean  # what is beyond is in the first and last panel
    for mean, shape in zip(means, (b - 1.0, b, b + 1.0), strict=True):
        table.append(mean * np.exp(a * log_p + shape * log_good - betaln(a, shape)))
    return np.array(table)


def _inner_reach(a: float, b: float) -> tuple[float, float]:
    """Return the logistic scale from where to where the law of a rate is not negligible."""
    t = np.linspace(-_REACH, _REACH, 2001)
    p, good = 1.0 / (1.0 + np.exp(-t)), 1.0 / (1.0 + np.exp(t))
    inside = (betainc(a, b, p) > _LEAST_WEIGHT) & (betainc(b - 1.0, a, good) > _LEAST_WEIGHT)
    found = t[inside]
    return float(found[0]), float(found[-1])


def _panel_ends(table: Floats) -> Floats:
    """Return t, 1 / (1 − q) and 1 − q at the ends of the panels, (3, panels + 1)."""
    if table.shape[1] == 1:
        return table[[0, 1, 3]]
    t = np.linspace(table[0, 0], table[0, -1], _PANELS + 1)
    return np.array([t, 1.0 + np.exp(t), 1.0 / (1.0 + np.exp(t))])


@njit(cache=True, error_model="numpy")
def _perfect_cost(record, first, second, table, ends):  # type: ignore[no-untyped-def]
    """Return the expected cost of a good unit by the best plan for the true rates."""
    lines = np.empty((PLANS, 3))
    total = 0.0
    for i in range(len(first[0])):
        for j in range(len(second[0])):
            _lines_at(record, first[0][i], first[1][i], second[0][j], second[1][j], lines)
            cost = _least_cost(lines, table, ends)
            total += first[2][i] * second[2][j] * cost
    return total


@njit(cache=True, error_model="numpy")
def _lines_at(record, rate_1, good_1, rate_2, good_2, lines):  # type: ignore[no-untyped-def]
    """Write the coefficients of 1 / (1 − q), 1 and 1 − q in the cost of each plan, (16, 3)."""
    some_good = good_1 + rate_1 * good_2
    both, last_1, last_2 = rate_1 * rate_2 / some_good, good_2 / some_good, good_1 / some_good
    g1, g2 = 1.0 / good_1, 1.0 / good_2
    for plan in range(PLANS):
        constant = plan_cost(record, plan, Moments(g1, g2, 0.0, 0.0, both, last_1, last_2))
        tries = plan_cost(record, plan, Moments(g1, g2, 1.0, 0.0, both, last_1, last_2))
        good = plan_cost(record, plan, Moments(g1, g2, 0.0, 1.0, both, last_1, last_2))
        lines[plan, 0], lines[plan, 1], lines[plan, 2] = tries - constant, constant, good - constant


@njit(cache=True, error_model="numpy")
def _least_cost(lines, table, ends):  # type: ignore[no-untyped-def]
    """Return the expectation over q of the least of the costs."""
    chosen, total = _cheapest(lines, ends[1, 0], ends[2, 0]), 0.0
    if ends.shape[1] == 1:
        return lines[chosen, 0] * ends[1, 0] + lines[chosen, 1] + lines[chosen, 2] * ends[2, 0]
    below = np.zeros(3)
    for panel in range(1, ends.shape[1]):
        following = _cheapest(lines, ends[1, panel], ends[2, panel])
        if following != chosen:
            t = _crossing(lines[chosen], lines[following], ends[0, panel - 1], ends[0, panel])
            total += _segment(lines[chosen], table, t, below)
            chosen = following
    return total + _segment(lines[chosen], table, ends[0, -1], below)


@njit(cache=True, error_model="numpy")
def _cheapest(lines, tries, good):  # type: ignore[no-untyped-def]
    best, least = 0, np.inf
    for plan in range(PLANS):
        cost = lines[plan, 0] * tries + lines[plan, 1] + lines[plan, 2] * good
        if cost < least:
            best, least = plan, cost
    return best


@njit(cache=True, error_model="numpy")
def _crossing(line, other, begin, end):  # type: ignore[no-untyped-def]
    """Return where ``other`` becomes cheaper than ``line`` between ``begin`` and ``end``."""
    for _ in range(40):
        middle = 0.5 * (begin + end)
        odds = np.exp(middle)
        difference = (other[0] - line[0]) * (1.0 + odds) + (other[1] - line[1])
        difference += (other[2] - line[2]) / (1.0 + odds)
        if difference < 0.0:
            end = middle
        else:
            begin = middle
    return end


@njit(cache=True, error_model="numpy")
def _segment(line, table, t, below):  # type: ignore[no-untyped-def]
    """Return the integral of a cost from where the last one ended to t; ``below`` holds it so far."""
    step = table[0, 1] - table[0, 0]
    place = min(int((t - table[0, 0]) / step), table.shape[1] - 2)
    x = (t - table[0, place]) / step
    total = 0.0
    for k in range(3):
        start, stop = table[1 + k, place], table[1 + k, place + 1]
        rise, final = step * table[4 + k, place], step * table[4 + k, place + 1]
        value = (
            start * (1.0 + 2.0 * x) * (1.0 - x) ** 2
            + rise * x * (1.0 - x) ** 2
            + stop * x * x * (3.0 - 2.0 * x)
            + final * x * x * (x - 1.0)
        )
        total += line[k] * (value - below[k])
        below[k] = value
    return total
