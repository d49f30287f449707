"""The algorithm of Wang (2013), and its reduction to the last result.

Both replace the belief in the recursion for V(n, d) (docs/theory/lot.md) by something simpler.

The algorithm (steps 1–4) draws a path of results from the beliefs' own predictions, takes the beliefs along
this path as if they were certain to come, and recurs backwards over (n, d); costs are averaged over many
paths, and the lot of least average cost is chosen. The paper inspects along its simulated paths
only. On a real lot the rule here takes the true belief for the next unit, as its equations 4 and 5
do, and the averaged cost for what comes after.

The reduction updates the chance F(n) by the last result alone, so that the recursion runs over
(n, d, last result) and needs no paths.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from baselines.lot.belief import Lot, chances, cost_of_inspecting, prospect, update
from baselines.lot.sizes import fixed_cost, lot_of
from qc_gym.lot.dynamics import CONFORMING, NO_RESULT, NONCONFORMING
from qc_gym.lot.scenario import InspectOrStopScenario

PATHS = 1200
"""The paper's smallest number of simulated paths."""
_WORK = 300_000_000
_FEWEST_PATHS = 50


class PaperAlgorithm:
    """The algorithm of the paper for a scenario.

    Parameters
    ----------
    scenario
        The scenario.
    paths
        Simulated paths; None takes 1200, or fewer, down to 50, where that would take long.
    seed
        Seed of the paths.
    """

    def __init__(
        self, scenario: InspectOrStopScenario, paths: int | None = None, seed: int = 0
    ) -> None:
        self.scenario = scenario
        if paths is None:
            sizes = np.arange(1, scenario.longest_lot + 1)
            work = int((sizes * np.minimum(sizes, scenario.demand)).sum())
            paths = int(np.clip(_WORK // work, _FEWEST_PATHS, PATHS))
        if paths < 1:
            raise ValueError(f"paths = {paths!r}: at least 1 is needed")
        self.paths, self.seed = paths, seed

    @cached_property
    def beliefs(self) -> NDArray[np.float64]:
        """The beliefs along the simulated paths, (paths, longest lot)."""
        lot = lot_of(self.scenario, self.scenario.longest_lot)
        uniforms = np.random.default_rng(self.seed).random((self.paths, lot.size))
        return _draw_beliefs(uniforms, lot)

    @cached_property
    def total_costs(self) -> NDArray[np.float64]:
        """The total cost that the algorithm expects of each lot size, (longest lot + 1,)."""
        scenario = self.scenario
        costs = np.array([fixed_cost(scenario, size) for size in range(scenario.longest_lot + 1)])
        for size in range(1, len(costs)):
            costs[size] += self._costs(size)[0, 0]
        return costs

    @cached_property
    def lot_size(self) -> int:
        """The lot size that the algorithm chooses, or the one given."""
        if self.scenario.lot_size is not None:
            return self.scenario.lot_size
        return int(self.total_costs.argmin())

    def thresholds(self, size: int) -> NDArray[np.float64]:
        """Return the belief from which on the rule inspects a lot, (size, found)."""
        lot = lot_of(self.scenario, size)
        costs = self._costs(size)
        open_ = lot.shortage_cost * (lot.demand - np.arange(lot.demand))
        saved = costs[1:, :-1] - costs[1:, 1:]  # by the next unit, if it is conforming
        needed = lot.inspection_cost + lot.missed_out + costs[1:, :-1] - open_
        # 0 also by underflow
        slope = (lot.yield_in - lot.yield_out) * saved + (lot.missed_out - lot.missed_in)
        thresholds = np.full((size, lot.demand), np.inf)
        with np.errstate(over="ignore"):  # to infinity, where hardly anything is saved
            np.divide(needed - lot.yield_out * saved, slope, out=thresholds, where=slope > 0.0)
        thresholds[(slope <= 0.0) & (needed < 0.0)] = 0.0
        return thresholds

    def _costs(self, size: int) -> NDArray[np.float64]:
        """Return the averaged cost from each (n, found) of a lot, (size + 1, found + 1)."""
        lot = lot_of(self.scenario, size)
        return _average_costs(self.beliefs[:, :size], lot)


class LastResult:
    """The reduction of the algorithm that keeps only the last result, for a scenario."""

    def __init__(self, scenario: InspectOrStopScenario) -> None:
        self.scenario = scenario

    @cached_property
    def total_costs(self) -> NDArray[np.float64]:
        """The total cost that the reduction expects of each lot size, (longest lot + 1,)."""
        scenario = self.scenario
        costs = [fixed_cost(scenario, size) for size in range(scenario.longest_lot + 1)]
        for size in range(1, len(costs)):
            costs[size] += self._solve(size)[1]
        return np.array(costs)

    @cached_property
    def lot_size(self) -> int:
        """The lot size that the reduction chooses, or the one given."""
        if self.scenario.lot_size is not None:
            return self.scenario.lot_size
        return int(self.total_costs.argmin())

    def probabilities(self, size: int) -> NDArray[np.float64]:
        """Return P(inspect the next), 0 or 1, (size, found, 3), by the last result."""
        return self._solve(size)[0]

    def _solve(self, size: int) -> tuple[NDArray[np.float64], float]:
        """Return the rule of a lot, and the cost that it expects without what is fixed."""
        lot = lot_of(self.scenario, size)
        table, cost = _solve_last(_last_beliefs(lot, self.scenario.survival), lot)
        return table, float(cost)


def averaged_beliefs(scenario: InspectOrStopScenario) -> NDArray[np.float64]:
    """Return the average of the belief before each unit when every unit is inspected, (longest lot,).

    What Figure 1 of the paper simulates. It needs no simulation: the average of a posterior
    probability is the prior one, F(n).
    """
    return scenario.survival[1:]


def _last_beliefs(lot: Lot, survival: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return P(next unit in control | only the last result is known), (size, 3)."""
    beliefs = np.zeros((lot.size, 3))
    beliefs[:1, NO_RESULT] = lot.stay[:1]
    for result in (NONCONFORMING, CONFORMING):
        chance_in, chance_out = chances(lot, result == CONFORMING)
        for n in range(1, lot.size):
            _, beliefs[n, result] = update(survival[n], chance_in, chance_out, lot.stay[n])
    return beliefs


@njit(cache=True, error_model="numpy")
def _draw_beliefs(uniforms, lot):  # type: ignore[no-untyped-def]
    """Return beliefs along paths of results drawn from their own predictions; uniforms (paths, size)."""
    beliefs = np.empty(uniforms.shape)
    for i in range(len(beliefs)):
        belief = lot.stay[0]
        for n in range(len(lot.stay)):
            beliefs[i, n] = belief
            chance_in, chance_out = chances(lot, uniforms[i, n] < prospect(lot, belief))
            if n + 1 < len(lot.stay):
                _, belief = update(belief, chance_in, chance_out, lot.stay[n + 1])
    return beliefs


@njit(cache=True, error_model="numpy")
def _average_costs(beliefs, lot):  # type: ignore[no-untyped-def]
    """Return the cost by the recursion along each path, averaged over the paths, by (n, found)."""
    paths, size = beliefs.shape
    demand, shortage_cost = lot.demand, lot.shortage_cost
    average, costs = np.zeros((2, size + 1, demand + 1))
    for i in range(paths):
        for k in range(demand + 1):
            costs[size, k] = shortage_cost * (demand - k)
        for n in range(size - 1, -1, -1):
            p, cost = prospect(lot, beliefs[i, n]), cost_of_inspecting(lot, beliefs[i, n])
            for k in range(min(n + 1, demand)):
                inspect = cost + p * costs[n + 1, k + 1] + (1.0 - p) * costs[n + 1, k]
                costs[n, k] = min(shortage_cost * (demand - k), inspect)
        average += costs
    return average / paths


@njit(cache=True, error_model="numpy")
def _solve_last(beliefs, lot):  # type: ignore[no-untyped-def]
    """Return the actions by (n, found, last result), and the cost, of the recursion over these."""
    size, demand, shortage_cost = len(beliefs), lot.demand, lot.shortage_cost
    actions = np.zeros((size, demand, 3))
    after = np.empty((demand + 1, 3))
    for k in range(demand + 1):
        after[k] = shortage_cost * (demand - k)
    for n in range(size - 1, -1, -1):
        here = np.zeros((demand + 1, 3))
        for k in range(demand):
            for last in range(3):
                p = prospect(lot, beliefs[n, last])
                inspect = (
                    cost_of_inspecting(lot, beliefs[n, last])
                    + p * after[k + 1, 2]
                    + (1.0 - p) * after[k, 1]
                )
                stop = shortage_cost * (demand - k)
                here[k, last] = min(stop, inspect)
                actions[n, k, last] = inspect < stop
        after = here
    return actions, after[0, 0]
