"""The plans that practice uses, each tuned to the money at stake [M].

What a usual plan loses is fair to say only of the best of its kind. The expected cost of a plan is a sum
over the lattice of counts, under the chances that the model's own predictions give; nothing here knows of
priors, lots or inspectors, all of which stand in the tables.

- Single plans, curtailed or not: every (n, c), from running sums over the lattice, O(n²) in all.
- Double plans: for each n1 + n2, the best last acceptance number and by one backward sweep the value of a
  second sample at every n1, whose best c1 and r1 are one pass; O(n³) in all, or a grid of n1 + n2 (see
  `double_sizes`).
- Two parallel lines: the exact cost of each by a forward walk, over a grid of slopes and intercepts that
  holds Wald's for any risks closely, then from the best of each slope by tries ever closer to it. The tries
  are drawn from a fixed seed. A search and no proof that no lines are better.

[M] docs/theory/sampling.md, the plans that practice uses.
"""

from __future__ import annotations

import math
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from baselines.sampling.characteristics import UNSEEN, lattice_size
from baselines.sampling.lot_plans import DoublePlan, SinglePlan
from baselines.sampling.model import SamplingModel
from baselines.sampling.plans import SprtLines
from qc_gym.core.lattice import row_start
from qc_gym.sampling.dynamics import ACCEPT, INSPECT, REJECT

PlanT_co = TypeVar("PlanT_co", covariant=True)
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_SWEEPS = 1e8
"""Steps over counts that the search for double plans may take: about a second."""
_KEPT, _TRIES, _ROUNDS, _SHRINK = 4, 40, 30, 0.8
"""Of the search for lines: how many of each slope are refined, by how many tries how often, and by how much
these then come closer."""
_LEAST_INTERCEPT = 0.02
"""Intercept at which the grids begin, beside 0, in defectives."""
_LEAST_GAP = 1e-3
"""Distance that two lines keep, in defectives: no count both accepts and rejects."""


class Stakes(NamedTuple):
    """What is at stake at each point of the lattice of counts, (T,), as the model has it.

    Attributes
    ----------
    inspection_cost
        Money per item.
    accept_loss, reject_loss
        Expected loss of accepting, of rejecting at (n, d), in money.
    prob_defective
        P(the next item is found defective); 0 in the last row, where none is inspected.
    max_samples
        The last n.
    """

    inspection_cost: float
    accept_loss: FloatArray
    reject_loss: FloatArray
    prob_defective: FloatArray
    max_samples: int

    @classmethod
    def of(cls, tables: SamplingModel) -> Self:
        """Return what is at stake in a scenario, from its tables."""
        most = tables.scenario.max_samples
        points = lattice_size(most)
        split = tables.num_states // points
        rewards = tables.rewards[::split]
        prob_defective = np.zeros(points)
        prob_defective[: points - most - 1] = tables.probabilities.reshape(-1, 2)[::split, 1]
        return cls(
            0.0 - float(rewards[0, INSPECT]),
            np.ascontiguousarray(-rewards[:, ACCEPT]),
            np.ascontiguousarray(-rewards[:, REJECT]),
            prob_defective,
            most,
        )

    @property
    def most_worth(self) -> int:
        """The most items that a plan without a stop in between can be worth inspecting.

        More cost more than the loss that they could spare.
        """
        if not self.inspection_cost > 0.0:
            return self.max_samples
        spared = float(np.minimum(self.accept_loss, self.reject_loss).max())
        return int(min(2.0 * spared / self.inspection_cost + 1.0, self.max_samples))


class Tuned(NamedTuple, Generic[PlanT_co]):
    """The best plan of a kind, and what it is expected to cost, in money."""

    plan: PlanT_co
    cost: float


def best_single(stakes: Stakes) -> Tuned[SinglePlan]:
    """Return the single sampling plan of least expected cost: of all 1 ≤ n ≤ max_samples, 0 ≤ c < n."""
    n, c, cost = _best_single(*stakes, False)
    return Tuned(SinglePlan(n, c), cost)


def best_curtailed(stakes: Stakes) -> Tuned[SinglePlan]:
    """Return the curtailed single sampling plan of least expected cost, of all n and c."""
    n, c, cost = _best_single(*stakes, True)
    return Tuned(SinglePlan(n, c, curtailed=True), cost)


def best_double(stakes: Stakes) -> Tuned[DoublePlan]:
    """Return the double sampling plan of least expected cost, over all n1, c1, r1, n2 and c2.

    Where n1 + n2 may be large, over those of :func:`double_sizes` and all between the neighbours of the
    best of them. A single plan, which has no second sample, is one of them.
    """
    single = best_single(stakes)
    chances = _chances(stakes.prob_defective, stakes.max_samples)
    n, c = single.plan.sample_size, single.plan.acceptance_number
    best = Tuned(DoublePlan(n, c, c + 1, 0, c), single.cost)
    sizes = double_sizes(stakes)
    # Again between the neighbours of what was found: nothing, where all sizes were tried.
    for _ in range(2):
        *numbers, cost = _best_double(*stakes, chances, sizes, best.cost)
        if cost >= best.cost:
            break
        best = Tuned(DoublePlan(*numbers), cost)
        at = int(np.searchsorted(sizes, best.plan.items))
        before, after = sizes[max(at - 1, 0)], sizes[min(at + 1, sizes.size - 1)]
        sizes = np.setdiff1d(np.arange(before + 1, after), sizes)
    return best


def double_sizes(stakes: Stakes) -> IntArray:
    """Return the n1 + n2 that the search for double plans tries: all, or a geometric series.

    All where the last is at most about 800 items; of the series, neighbours differ by a few percent. The
    last is max_samples, or where the two samples cost all that they could spare.
    """
    most = stakes.most_worth
    if most**3 / 6.0 <= _SWEEPS:
        return np.arange(2, most + 1)
    # The sweeps of a geometric series of ratio q cost most² / 2 / (1 − q⁻²) steps.
    ratio = 1.0 / math.sqrt(1.0 - most**2 / 2.0 / _SWEEPS)
    count = math.ceil(math.log(most / 2.0) / math.log(ratio)) + 1
    return np.unique(np.rint(np.geomspace(2.0, most, count))).astype(np.int64)


def best_lines(stakes: Stakes, slopes: FloatArray) -> Tuned[SprtLines]:
    """Return the two parallel lines of least expected cost that a search finds.

    Parameters
    ----------
    slopes
        Where to begin: Wald's, for instance, whose intercepts for any risks are then near the grid's.
    """
    # Lines that cost more than deciding at once, which some of them do, need not be counted out.
    at_once = min(stakes.accept_loss[0], stakes.reject_loss[0])
    starts = []
    for lines in _first_lines(stakes, slopes):
        costs = _line_costs(*stakes, lines, np.full(len(lines), at_once))
        found, first = np.unique(costs, return_index=True)  # lines of one cost are the same test
        starts.append(lines[first[np.isfinite(found)][:_KEPT]])
    best = np.concatenate(starts)
    costs = _line_costs(*stakes, best, np.full(len(best), np.inf))
    steps = np.array([0.25, 0.35, 0.35])  # of the slope's log odds, of the intercepts' logarithms
    generator = np.random.default_rng(0)
    for _ in range(_ROUNDS):
        around = _moved(best, steps * generator.normal(size=(_TRIES, 3)))  # (starts, tries, 3)
        limits = np.repeat(costs, _TRIES)
        moved = _line_costs(*stakes, around.reshape(-1, 3), limits).reshape(-1, _TRIES)
        chosen = moved.argmin(axis=1)
        better = np.flatnonzero(moved.min(axis=1) < costs)
        best[better] = around[better, chosen[better]]
        costs[better] = moved[better, chosen[better]]
        steps = _SHRINK * steps
        kept = costs.argsort()[: max(4 * costs.size // 5, 3 * _KEPT)]
        best, costs = best[kept], costs[kept]
    slope, accept_intercept, reject_intercept = best[costs.argmin()].tolist()
    return Tuned(SprtLines(slope, accept_intercept, reject_intercept), float(costs.min()))


def _first_lines(stakes: Stakes, slopes: FloatArray) -> list[FloatArray]:
    """Return the lines that the search begins with, each (K, 3): a grid for every slope.

    Around the slopes given, more slopes with a coarser grid.
    """
    chances = _chances(stakes.prob_defective, stakes.max_samples)
    grids = []
    for shift in (0.0, -0.3, 0.3, -0.6, 0.6, -1.2, 1.2, -2.0, 2.0, -3.0, 3.0):
        for slope in slopes:
            tilted = 1.0 / (1.0 + (1.0 - slope) / slope * math.exp(-shift))
            high = _furthest(*stakes, chances, tilted) + 1.0
            count = math.ceil(math.log(high / _LEAST_INTERCEPT) / (0.3 if shift else 0.12))
            intercepts = np.append(0.0, np.geomspace(_LEAST_INTERCEPT, high, count))
            grid = np.stack(np.meshgrid(tilted, intercepts, intercepts), axis=-1).reshape(-1, 3)
            grids.append(grid[grid[:, 1] + grid[:, 2] >= _LEAST_GAP])
    return grids


def _moved(lines: FloatArray, shifts: FloatArray) -> FloatArray:
    """Return lines beside each: slopes' log odds and intercepts' logarithms shifted, (S, 3) → (S, K, 3)."""
    slope = lines[:, np.newaxis, 0]
    tilted = slope / (slope + (1.0 - slope) * np.exp(-shifts[:, 0]))
    intercepts = lines[:, np.newaxis, 1:] * np.exp(shifts[:, 1:])
    apart = intercepts.sum(axis=-1, keepdims=True)
    intercepts = intercepts * np.maximum(1.0, _LEAST_GAP / apart)
    return np.concatenate([tilted[..., np.newaxis], intercepts], axis=-1)


@njit(cache=True, error_model="numpy")
def _best_single(inspection_cost, accept_loss, reject_loss, prob_defective, max_samples, curtailed):  # type: ignore[no-untyped-def]
    """Return n, c and the cost of the best single plan.

    A curtailed plan has inspected k < n items where at most c are defective and at most n − c − 1
    conforming; of these two only one can fail, so that the chances of both add up.
    """
    chance = np.zeros(max_samples + 2)
    chance[0] = 1.0
    few_defective = np.zeros(max_samples + 1)  # sum over k < n of P(at most c of k are defective)
    few_conforming = np.zeros(max_samples + 1)
    best_n, best_c, best = 0, 0, np.inf
    for n in range(max_samples + 1):
        row = row_start(n)
        if n > 0:
            cost = 0.0
            for d in range(n + 1):
                cost += chance[d] * reject_loss[row + d]
            for c in range(n):
                cost += chance[c] * (accept_loss[row + c] - reject_loss[row + c])
                number = float(n)
                if curtailed:
                    number = few_defective[c] + few_conforming[n - c - 1] - n
                total = cost + inspection_cost * number
                if total < best:
                    best_n, best_c, best = n, c, total
        if n == max_samples:
            break
        below, above = 0.0, 0.0
        for d in range(max_samples + 1):
            if d <= n:
                below += chance[d]
                above += chance[n - d]
            few_defective[d] += below
            few_conforming[d] += above
        for d in range(n, -1, -1):
            p = prob_defective[row + d]
            chance[d + 1] += chance[d] * p
            chance[d] *= 1.0 - p
    return best_n, best_c, best


@njit(cache=True, error_model="numpy")
def _chances(prob_defective, max_samples):  # type: ignore[no-untyped-def]
    """Return P(d defective of n) of every point of the lattice, (T,), if all items are inspected."""
    chances = np.zeros(prob_defective.size)
    chances[0] = 1.0
    for n in range(max_samples):
        row, following = row_start(n), row_start(n + 1)
        for d in range(n + 1):
            here, p = chances[row + d], prob_defective[row + d]
            chances[following + d] += here * (1.0 - p)
            chances[following + d + 1] += here * p
    return chances


@njit(cache=True, error_model="numpy")
def _furthest(  # type: ignore[no-untyped-def]
    inspection_cost, accept_loss, reject_loss, prob_defective, max_samples, chances, slope
):
    """Return how far from a line of a slope, in defectives, one more item can still be worth its cost.

    Of counts that are not all but impossible.
    """
    furthest, i = 0.0, 0
    for n in range(max_samples):
        for d in range(n + 1):
            if chances[i] > 1e-9 and min(accept_loss[i], reject_loss[i]) > inspection_cost:
                furthest = max(furthest, abs(d - slope * n))
            i += 1
    return furthest


@njit(cache=True, error_model="numpy")
def _best_double(  # type: ignore[no-untyped-def]
    inspection_cost, accept_loss, reject_loss, prob_defective, max_samples, chances, sizes, limit
):
    """Return n1, c1, r1, n2, c2 and the cost of the best double plan below a limit; n1 = 0: none is."""
    best_n1, best_c1, best_r1, best_n2, best_c2, best = 0, 0, 0, 0, 0, limit
    value = np.empty(max_samples + 2)
    for size in sizes:
        row = row_start(size)
        # What was seen before does not change what (size, d) means: one acceptance number is best for all.
        c2, lowest, cost = 0, np.inf, 0.0
        for c in range(size):
            cost += chances[row + c] * (accept_loss[row + c] - reject_loss[row + c])
            if cost < lowest:
                c2, lowest = c, cost
        for d in range(size + 1):
            value[d] = accept_loss[row + d] if d <= c2 else reject_loss[row + d]
        for n in range(size - 1, 0, -1):
            row = row_start(n)
            for d in range(n + 1):
                p = prob_defective[row + d]
                value[d] = p * value[d + 1] + (1.0 - p) * value[d]
            if inspection_cost * n >= best:
                continue
            more = inspection_cost * (size - n)
            total = inspection_cost * n
            for d in range(n + 1):
                total += chances[row + d] * reject_loss[row + d]
            # From rejecting whatever the first sample shows: accepting d ≤ c1 instead of going on, and
            # going on at d < r1 instead of rejecting, are gains that add up.
            going, accepting, least, c1 = 0.0, 0.0, 0.0, -1
            for r1 in range(1, n + 2):
                d = r1 - 1
                weight, goes_on = chances[row + d], value[d] + more
                going += weight * (goes_on - reject_loss[row + d])
                if total + going + least < best:
                    best_n1, best_c1, best_r1, best_n2, best_c2 = n, c1, r1, size - n, c2
                    best = total + going + least
                accepting += weight * (accept_loss[row + d] - goes_on)
                if accepting < least and d < n:
                    least, c1 = accepting, d
    return best_n1, best_c1, best_r1, best_n2, best_c2, best


@njit(cache=True, error_model="numpy")
def _line_costs(  # type: ignore[no-untyped-def]
    inspection_cost, accept_loss, reject_loss, prob_defective, max_samples, lines, limits
):
    """Return the expected cost of each pair of lines, (K, 3) → (K,); inf where it exceeds its limit, (K,).

    The last item leaves nothing open: what is then between the lines is rejected.
    """
    costs = np.empty(len(lines))
    reach = np.empty(max_samples + 2)
    for i in range(len(lines)):
        slope, accept_intercept, reject_intercept = lines[i, 0], lines[i, 1], lines[i, 2]
        reach[0] = 1.0
        low, high, cost = 0, 0, 0.0
        for n in range(max_samples + 1):
            row = row_start(n)
            # As SprtLines has it: a line within 1e-9 of a whole number passes through it.
            accept = max(math.floor(slope * n - accept_intercept + 1e-9), -1)
            reject = math.ceil(slope * n + reject_intercept - 1e-9)
            if n == max_samples:
                reject = min(reject, accept + 1)
            for d in range(low, min(accept, high) + 1):
                cost += reach[d] * accept_loss[row + d]
            for d in range(max(reject, low), high + 1):
                cost += reach[d] * reject_loss[row + d]
            low, high = max(low, accept + 1), min(high, reject - 1)
            carried, largest = 0.0, 0.0
            for d in range(low, high + 1):
                here = reach[d]
                cost += here * inspection_cost
                largest = max(largest, here)
                p = prob_defective[row + d]
                reach[d] = here * (1.0 - p) + carried
                carried = here * p
            if largest < UNSEEN:
                break
            high += 1
            reach[high] = carried
            if cost > limits[i]:
                cost = np.inf
                break
        costs[i] = cost
    return costs
