"""The optimal pilot run by backward induction on the lattice of counts.

V = max( max over plans of E[profit | counts],
         max over k of −sample_cost_k + m V(defective) + (1 − m) V(good) ),

m the posterior mean of rate k (Raiffa & Schlaifer 1961, Chapters 4 and 5). One compiled sweep; what a plan
is expected to earn is worked out on the way, so that the memory is a few numbers for each state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from baselines.pilot.beliefs import Beliefs, Floats
from qc_gym.pilot.dynamics import COMMIT, NODES, PLANS, Moments, moments_at, order_profit
from qc_gym.pilot.scenario import PilotRunScenario


@dataclass(frozen=True, eq=False)
class Lattice:
    """Beliefs, and what is to be done under each of them; S = T1 T2 T3 states.

    Attributes
    ----------
    beliefs
        The lattice of counts.
    payoffs, plans
        float64 (S,), int8 (S,): the most that committing now is expected to earn, in money, and the
        plan that earns it.
    values, actions
        float64 (S,), int8 (S,): optimal expected return from there on, in money, and an optimal action;
        a test that gains nothing is not made.
    """

    beliefs: Beliefs
    payoffs: Floats
    plans: NDArray[np.int8]
    values: Floats
    actions: NDArray[np.int8]

    @classmethod
    def of(cls, scenario: PilotRunScenario) -> Lattice:
        """Return the optimum of a scenario."""
        beliefs = Beliefs.of(scenario)
        payoffs, plans = best_plans(beliefs)
        values, actions = best_tests(beliefs, payoffs)
        return cls(beliefs, payoffs, plans, values, np.where(actions < 0, COMMIT + plans, actions))

    @property
    def value(self) -> float:
        """Optimal expected return, in money."""
        return float(self.values[0])

    @cached_property
    def occupancy(self) -> Floats:
        """How often the optimal policy comes to each state, (S,)."""
        return visits(self.beliefs, self.actions)


def best_plans(beliefs: Beliefs) -> tuple[Floats, NDArray[np.int8]]:
    """Return the most that committing to a plan is expected to earn, and which plan, both (S,)."""
    one, two, product = beliefs.axes
    states = len(one) * len(two) * len(product)
    payoffs, plans = np.empty(states), np.empty(states, np.int8)
    _best_plans(
        beliefs.scenario.record()[0],
        (one.tries, two.tries, product.tries),
        product.good,
        beliefs.coupled,
        payoffs,
        plans,
    )
    return payoffs, plans


def plan_payoffs(beliefs: Beliefs) -> Floats:
    """Return what each plan is expected to earn on the order, (S, 16), in money."""
    one, two, product = beliefs.axes
    table = np.empty((len(one) * len(two) * len(product), PLANS))
    _plan_payoffs(
        beliefs.scenario.record()[0],
        (one.tries, two.tries, product.tries),
        product.good,
        beliefs.coupled,
        table,
    )
    return table


def certainty_equivalent_plans(beliefs: Beliefs) -> NDArray[np.int8]:
    """Return the plan that is best at the mean rates, (S,): [R], Section 4."""
    one, two, product = beliefs.axes
    plans = np.empty(len(one) * len(two) * len(product), np.int8)
    means = (one.mean, two.mean, product.mean)
    _certainty_equivalent_plans(beliefs.scenario.record()[0], means, plans)
    return plans


def best_tests(beliefs: Beliefs, payoffs: Floats) -> tuple[Floats, NDArray[np.int8]]:
    """Return the optimal values and the node to be tested next, −1 for none, both (S,).

    Parameters
    ----------
    payoffs
        What committing earns in each state, (S,), in money.
    """
    values, tests = payoffs.copy(), np.full(len(payoffs), -1, np.int8)
    _best_tests(_lattice_of(beliefs), values, tests)
    return values, tests


def look_ahead(beliefs: Beliefs, payoffs: Floats) -> NDArray[np.int8]:
    """Return the node whose one test, before committing, gains the most, −1 where none gains, (S,)."""
    tests = np.full(len(payoffs), -1, np.int8)
    _look_ahead(_lattice_of(beliefs), payoffs, tests)
    return tests


def visits(beliefs: Beliefs, actions: NDArray[np.integer]) -> Floats:
    """Return how often a policy, given by its actions (S,), comes to each state, (S,)."""
    occupancy = np.zeros(len(actions))
    occupancy[0] = 1.0
    _visits(_lattice_of(beliefs), actions, occupancy)
    return occupancy


class _Lattice(NamedTuple):
    """What the sweeps ask of the beliefs; of part 1, part 2 and the product."""

    means: tuple[Floats, Floats, Floats]
    tested: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
    max_samples: NDArray[np.int64]
    sample_cost: Floats
    strides: tuple[int, int, int]


def _lattice_of(beliefs: Beliefs) -> _Lattice:
    one, two, product = beliefs.axes
    record = beliefs.scenario.record()[0]
    return _Lattice(
        (one.mean, two.mean, product.mean),
        (one.n, two.n, product.n),
        record["max_samples"],
        record["sample_cost"],
        beliefs.strides,
    )


@njit(cache=True, error_model="numpy")
def _moments(tries, good_product, coupled, i, j, k):  # type: ignore[no-untyped-def]
    both, last_1, last_2 = coupled
    return Moments(
        tries[0][i],
        tries[1][j],
        tries[2][k],
        good_product[k],
        both[i, j],
        last_1[i, j],
        last_2[i, j],
    )


@njit(cache=True, error_model="numpy")
def _best_plans(record, tries, good_product, coupled, payoffs, plans):  # type: ignore[no-untyped-def]
    row = 0
    for i in range(len(tries[0])):
        for j in range(len(tries[1])):
            for k in range(len(tries[2])):
                moments = _moments(tries, good_product, coupled, i, j, k)
                best, chosen = -np.inf, 0
                for plan in range(PLANS):
                    profit = order_profit(record, plan, moments)
                    if profit > best:
                        best, chosen = profit, plan
                payoffs[row], plans[row] = best, chosen
                row += 1


@njit(cache=True, error_model="numpy")
def _plan_payoffs(record, tries, good_product, coupled, table):  # type: ignore[no-untyped-def]
    row = 0
    for i in range(len(tries[0])):
        for j in range(len(tries[1])):
            for k in range(len(tries[2])):
                moments = _moments(tries, good_product, coupled, i, j, k)
                for plan in range(PLANS):
                    table[row, plan] = order_profit(record, plan, moments)
                row += 1


@njit(cache=True, error_model="numpy")
def _certainty_equivalent_plans(record, means, plans):  # type: ignore[no-untyped-def]
    row = 0
    for i in range(len(means[0])):
        for j in range(len(means[1])):
            for k in range(len(means[2])):
                moments = moments_at(means[0][i], means[1][j], means[2][k])
                best, chosen = -np.inf, 0
                for plan in range(PLANS):
                    profit = order_profit(record, plan, moments)
                    if profit > best:
                        best, chosen = profit, plan
                plans[row] = chosen
                row += 1


@njit(cache=True, error_model="numpy")
def _after_test(lattice, node, row, point, values):  # type: ignore[no-untyped-def]
    """Return the expectation of ``values`` after a test of a node whose counts are at ``point``."""
    mean, stride = lattice.means[node][point], lattice.strides[node]
    after = row + stride * (lattice.tested[node][point] + 1)
    return (1.0 - mean) * values[after] + mean * values[after + stride]


@njit(cache=True, error_model="numpy")
def _best_tests(lattice, values, tests):  # type: ignore[no-untyped-def]
    row = len(values)
    for i in range(len(lattice.means[0]) - 1, -1, -1):
        for j in range(len(lattice.means[1]) - 1, -1, -1):
            for k in range(len(lattice.means[2]) - 1, -1, -1):
                row -= 1
                point = (i, j, k)
                for node in range(NODES):
                    if lattice.tested[node][point[node]] < lattice.max_samples[node]:
                        value = -lattice.sample_cost[node] + _after_test(
                            lattice, node, row, point[node], values
                        )
                        if value > values[row]:
                            values[row], tests[row] = value, node


@njit(cache=True, error_model="numpy")
def _look_ahead(lattice, payoffs, tests):  # type: ignore[no-untyped-def]
    row = 0
    for i in range(len(lattice.means[0])):
        for j in range(len(lattice.means[1])):
            for k in range(len(lattice.means[2])):
                point, best = (i, j, k), payoffs[row]
                for node in range(NODES):
                    if lattice.tested[node][point[node]] < lattice.max_samples[node]:
                        value = -lattice.sample_cost[node] + _after_test(
                            lattice, node, row, point[node], payoffs
                        )
                        if value > best:
                            best, tests[row] = value, node
                row += 1


@njit(cache=True, error_model="numpy")
def _visits(lattice, actions, occupancy):  # type: ignore[no-untyped-def]
    row = 0
    for i in range(len(lattice.means[0])):
        for j in range(len(lattice.means[1])):
            for k in range(len(lattice.means[2])):
                node = actions[row]
                if node < NODES and occupancy[row] > 0.0:
                    point = (i, j, k)[node]
                    after = row + lattice.strides[node] * (lattice.tested[node][point] + 1)
                    mean = lattice.means[node][point]
                    occupancy[after] += (1.0 - mean) * occupancy[row]
                    occupancy[after + lattice.strides[node]] += mean * occupancy[row]
                row += 1
