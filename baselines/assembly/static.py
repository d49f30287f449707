"""Static policies of an assembly tree: each one's exact expected profit, without belief states.

A static policy has a flag "inspect when new" for each node (for the root: before shipping) and a flag
"dismantle" for each assembly; recovered items not known to be good are always inspected. What is
bought again or built again is new. Its failures are explained or its children verified after every
dismantling, so k is 1 at most: ``max_blind_failures`` ≥ 1 never binds. With 0 an assembly with an
unverified child cannot be taken apart, so its flag counts only if all its children are inspected.

**What a parent must know of a child.** Let X be the number of times a child's maker hands over a bad
item before a good one, if each bad one is found out and repaired (a part is bought again; an assembly is
scrapped or dismantled by its flag, and built again). X depends on the child's own subtree alone.

- A parent that *scraps* sees only first items: the summary is (F, g), the expected cost of a new item and
  P(it is good). With own rate q the parent's are F = Σ F_j + assembly cost, g = (1−q) Π g_j; every
  attempt starts from nothing, so X is geometric: P(X > r) = (1−g)^(r+1), and the cost until good is F / g.
- A parent that *dismantles* inspects, after each failed build, every child not yet verified: those
  found good stay, those found bad are repaired. So build r (from 0) holds item r of each child with
  X_j ≥ r, and for the others the good one. It is good iff r ≥ max_j X_j and its own fault does not
  occur; faults are independent, so the number of failed builds is Y = max_j X_j + G,
  P(G = n) = (1−q) q^n. The X_j are independent: P(max ≤ r) = Π P(X_j ≤ r). Child j is inspected
  min(Y, X_j + 1) = X_j + 1{Y > X_j} times, where P(Y = X_j) = (1−q) P(X_i ≤ X_j for all i ≠ j), and
  costs T_j, the expected cost until a good one, whatever the others do. So the summary is
  (T, law of X), and the parent's own law is that of Y.

That is the whole summary, (F, g) below a scrapping parent and (T, law of X) below a dismantling one;
three numbers do not do, because a repaired assembly keeps its verified children and is bad less often
than a new one: X is not geometric. An inspected node has X = 0 and F = T. This is the model of
the environment's rules, restricted to these policies.

**Laws.** P(X > r) is a sum of exponentials in r. It is held at r = 0 … 48, or 256, all that matters if
it falls below 1e-16 there. A longer law is held on intervals [a, 2a] at 24 Chebyshev points, which
determine it to rounding: e^(−sr) on [a, 2a] is a polynomial of degree 23 to 1e-17, for every s > 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from qc_gym.assembly.scenario import AssemblyScenario, Item

MAX_POLICIES = 2**22
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
_SHORT, _LONG, _DEGREE = 48, 256, 23
GRID_SIZES = (0, 1, 11, 41)
"""The last holds laws of up to 256 · 2^40 failures."""
_BLOCK = 2**18
_LEAST = 1e-200


@dataclass(frozen=True)
class StaticPolicy:
    """Flags by the name of the node, and the expected profit in money.

    ``inspect`` has all nodes, ``dismantle`` the assemblies.
    """

    inspect: Mapping[str, bool]
    dismantle: Mapping[str, bool]
    value: float


def evaluate_static(scenario: AssemblyScenario, inspect: Flags, dismantle: Flags) -> Floats:
    """Return the expected profit of static policies, float64 (P,), in money.

    Parameters
    ----------
    inspect
        bool (P, nodes), in the order of ``scenario.order``.
    dismantle
        bool (P, assemblies), in the same order without the parts.

    Returns
    -------
    float64 (P,); −inf for a policy that fails so often that float64 cannot tell it from always.

    Raises
    ------
    ValueError
        Another shape.
    """
    inspect, dismantle = np.asarray(inspect, np.bool_), np.asarray(dismantle, np.bool_)
    names, count = assemblies(scenario), len(inspect)
    for label, flags, width in (
        ("inspect", inspect, len(scenario.order)),
        ("dismantle", dismantle, len(names)),
    ):
        if flags.shape != (count, width):
            raise ValueError(f"{label}: shape {(count, width)} is needed, got {flags.shape}")
    values = np.full(count, -np.inf)
    rows = np.arange(count)
    for size in GRID_SIZES:
        grid, missing = law_grid(size), []
        block = max(1, _BLOCK // len(grid.points))
        for begin in range(0, len(rows), block):
            some = rows[begin : begin + block]
            found, is_exact = _profits(scenario, grid, inspect[some], dismantle[some])
            values[some[is_exact]] = found[is_exact]
            missing.append(some[~is_exact])
        rows = np.concatenate(missing) if missing else rows
        if not len(rows):
            break
    return values


def enumerate_static(
    scenario: AssemblyScenario, max_policies: int = MAX_POLICIES
) -> tuple[Flags, Flags, Floats]:
    """Return (inspect, dismantle, values) of all 2^(nodes + assemblies) static policies.

    Raises
    ------
    ValueError
        They are more than ``max_policies``.
    """
    nodes, count = len(scenario.order), len(assemblies(scenario))
    if 2 ** (nodes + count) > max_policies:
        raise ValueError(
            f"scenario: {nodes} nodes and {count} assemblies have 2^{nodes + count} static policies, "
            f"more than max_policies = {max_policies:,}; best_static finds the best without listing"
        )
    bits = np.arange(2 ** (nodes + count))[:, np.newaxis] >> np.arange(nodes + count) & 1
    inspect, dismantle = bits[:, :nodes].astype(np.bool_), bits[:, nodes:].astype(np.bool_)
    return inspect, dismantle, evaluate_static(scenario, inspect, dismantle)


def assemblies(scenario: AssemblyScenario) -> tuple[str, ...]:
    """Return the names of the assemblies in the order of ``scenario.order``."""
    return tuple(name for name in scenario.order if scenario.tree[name].children)


# --- laws --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LawGrid:
    """Where P(X > r) is held.

    Attributes
    ----------
    points, weights
        float64 (m,): r; from the values of a function at them, the weights of its sum over all r.
    changes
        float64 (intervals, 23, 24): from the values on an interval, f(r) − f(r − 1) at all its points but
        the first. The intervals follow the points 0, 1, 2, …, and share their ends.
    """

    points: Floats
    weights: Floats
    changes: Floats

    def _intervals(self) -> Iterator[tuple[int, slice, Floats]]:
        first = len(self.points) - _DEGREE * len(self.changes)
        for begin, change in zip(
            range(first, len(self.points), _DEGREE), self.changes, strict=True
        ):
            yield begin - 1, slice(begin, begin + _DEGREE), change

    def geometric(self, good: Floats) -> Floats:
        """Return P(X > r) = (1 − good)^(r + 1), (n,) → (n, m)."""
        with np.errstate(divide="ignore"):  # good = 1
            return np.exp(np.log1p(-good)[:, np.newaxis] * (self.points + 1.0))

    def chances(self, survival: Floats) -> Floats:
        """Return P(X = r) from P(X > r), (n, m) → (n, m)."""
        result = -np.diff(survival, axis=1, prepend=1.0)
        for before, rows, change in self._intervals():
            result[:, rows] = -survival[:, before : rows.stop] @ change.T
        return result

    def add_faults(self, survival: Floats, rate: float) -> Floats:
        """Return the law of X + G, P(G = n) = (1 − rate) rate^n, from that of X, (n, m) → (n, m)."""
        start = np.full((len(survival), 1), rate)
        result, _ = lfilter([1.0 - rate], [1.0, -rate], survival, axis=1, zi=start)
        for before, rows, change in self._intervals():
            system = (1.0 - rate) * np.eye(_DEGREE) + rate * change[:, 1:]
            known = (1.0 - rate) * survival[:, rows].T
            known -= rate * change[:, :1] * result[:, before]
            result[:, rows] = np.linalg.solve(system, known).T
        return np.asarray(result)

    def is_exact(self, survival: Floats) -> Flags:
        """Return whether what lies beyond the last point is below rounding, (n, m) → (n,)."""
        return np.asarray(np.abs(survival[:, -1]) * self.points[-1] < 1e-16)


@cache
def law_grid(size: int) -> LawGrid:
    """Return a grid: 0 … 48 for size 0, else 0 … 256 and ``size`` − 1 intervals."""
    points = np.arange(1.0 + (_LONG if size else _SHORT))
    weights, changes = np.ones(len(points)), np.zeros((max(0, size - 1), _DEGREE, _DEGREE + 1))
    for change in changes:
        nodes = points[-1] * (1.5 - 0.5 * np.cos(np.pi * np.arange(1, _DEGREE + 1) / _DEGREE))
        points = np.concatenate([points, np.round(nodes)])
        change[:] = _changes(points[-_DEGREE - 1 :])
        # The sum is the function with these changes; its last value is what is asked for.
        last = np.linalg.solve(change[:, 1:].T, np.eye(_DEGREE)[-1])
        weights = np.concatenate([weights, last])
    return LawGrid(points, weights, changes)


def _changes(points: Floats) -> Floats:
    """Return f(r) − f(r − 1) at all points but the first, f their interpolation, (n − 1, n)."""
    n = len(points)
    result = np.zeros((n - 1, n))
    for row in range(1, n):
        for k in range(n):
            if k != row:
                others = np.delete(points, k)
                terms = (points[row] - 1.0 - others) / (points[k] - others)
                result[row - 1, k] = -np.prod(terms)
        # A constant does not change: this way without cancellation, however long the interval.
        result[row - 1, row] = -result[row - 1].sum()
    return result


# --- the recursion -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Supply:
    """What a parent must know of a child, for n ways to make it; see the module's theory.

    Attributes
    ----------
    fresh, good
        float64 (n,): expected cost of a new one in money, P(it is good).
    total, mean, survival
        float64 (n,), (n,), (n, m): expected cost until a good one, in money; E[X]; P(X > r).
    is_verified
        bool (n,): inspected when new.
    """

    fresh: Floats
    good: Floats
    total: Floats
    mean: Floats
    survival: Floats
    is_verified: Flags

    def __getitem__(self, rows: NDArray[np.integer] | Flags) -> Supply:
        return Supply(
            self.fresh[rows],
            self.good[rows],
            self.total[rows],
            self.mean[rows],
            self.survival[rows],
            self.is_verified[rows],
        )

    def inspected(self, inspection_cost: float, is_inspected: Flags) -> Supply:
        """Return the same ways with each new item inspected where ``is_inspected`` says so."""
        cost = self.total + inspection_cost * (self.mean + 1.0)
        return Supply(
            np.where(is_inspected, cost, self.fresh),
            np.where(is_inspected, 1.0, self.good),
            np.where(is_inspected, cost, self.total),
            np.where(is_inspected, 0.0, self.mean),
            np.where(is_inspected[:, np.newaxis], 0.0, self.survival),
            is_inspected,
        )


def supply_afresh(grid: LawGrid, fresh: Floats, good: Floats) -> Supply:
    """Return the supply of items whose every attempt starts from nothing, from (F, g)."""
    good = np.maximum(good, _LEAST)
    unverified = np.zeros(len(fresh), np.bool_)
    mean = (1.0 - good) / good
    return Supply(fresh, good, fresh / good, mean, grid.geometric(good), unverified)


def supply_of_part(grid: LawGrid, node: Item, count: int) -> Supply:
    """Return ``count`` equal ways to buy a part, not inspected when new."""
    ones = np.ones(count)
    return supply_afresh(grid, ones * node.make_cost, ones * (1.0 - node.defect_rate))


def first_items(node: Item, children: Sequence[Supply]) -> tuple[Floats, Floats]:
    """Return (F, g) of an assembly from those of its children."""
    fresh = sum((child.fresh for child in children), start=np.asarray(node.make_cost))
    good = np.full(fresh.shape, 1.0 - node.defect_rate)
    for child in children:
        good = good * child.good
    return fresh, good


def supply_by_dismantling(
    grid: LawGrid, node: Item, children: Sequence[Supply], inspection_costs: Sequence[float]
) -> Supply:
    """Return the supply of an assembly that is dismantled when bad, not inspected when new."""
    q = node.defect_rate
    shape = children[0].survival.shape
    longest, alone = (
        np.zeros(shape),
        np.zeros(shape),
    )  # P(max X > r); Σ_j cost_j P(X_j = r ≥ others)
    total = np.zeros(shape[0])
    for child, cost in zip(children, inspection_costs, strict=True):
        costs = np.where(child.is_verified, 0.0, cost)
        total += child.total + costs * (child.mean + 1.0)
        chances = costs[:, np.newaxis] * grid.chances(child.survival)
        alone += chances * (1.0 - longest) - alone * child.survival
        longest += child.survival * (1.0 - longest)
    failures = longest @ grid.weights + q / (1.0 - q)
    total -= (1.0 - q) * (alone @ grid.weights)
    total += node.make_cost * (failures + 1.0) + (node.dismantle_cost or 0.0) * failures
    fresh, good = first_items(node, children)
    survival = grid.add_faults(longest, q)
    return Supply(fresh, good, total, failures, survival, np.zeros(shape[0], np.bool_))


def profits_of(scenario: AssemblyScenario, made: Supply, is_inspected: Flags) -> Floats:
    """Return the expected profits of ways to make the product, (n,), in money."""
    cost = scenario.tree[scenario.order[-1]].inspection_cost
    selling = np.where(is_inspected, cost * (made.mean + 1.0), scenario.return_loss * made.mean)
    return np.asarray(scenario.price - made.total - selling)


def _profits(
    scenario: AssemblyScenario, grid: LawGrid, inspect: Flags, dismantle: Flags
) -> tuple[Floats, Flags]:
    """Return the profits (P,), and where the grid is long enough for them."""
    column = {name: i for i, name in enumerate(assemblies(scenario))}
    supplies: dict[str, Supply] = {}
    rows: dict[str, NDArray[np.integer]] = {}  # the row of each policy in a node's supply
    is_exact = np.ones(len(inspect), np.bool_)
    for i, name in enumerate(scenario.order):
        node = scenario.tree[name]
        # A subtree's flags repeat from policy to policy: each combination is worked out once.
        below = [rows.pop(child) for child in node.children]
        columns = [inspect[:, i].astype(np.int64), *below]
        if node.children:
            columns.append(dismantle[:, column[name]].astype(np.int64))
        code, some = _combinations(columns)
        if not node.children:
            made = supply_of_part(grid, node, len(some))
        else:
            children = [
                supplies.pop(child)[row[some]]
                for child, row in zip(node.children, below, strict=True)
            ]
            costs = [scenario.tree[child].inspection_cost for child in node.children]
            is_dismantled = dismantle[some, column[name]]
            if scenario.max_blind_failures == 0:
                is_dismantled &= np.all([child.is_verified for child in children], axis=0)
            made, enough = _make(grid, node, children, costs, is_dismantled)
            is_exact &= enough[code]
        supplies[name] = made.inspected(node.inspection_cost, inspect[some, i])
        rows[name] = code
    return profits_of(scenario, made[code], inspect[:, -1]), is_exact


def _make(
    grid: LawGrid,
    node: Item,
    children: Sequence[Supply],
    inspection_costs: Sequence[float],
    is_dismantled: Flags,
) -> tuple[Supply, Flags]:
    """Return the supply of an assembly, and in which rows the grid is long enough."""
    made = supply_afresh(grid, *first_items(node, children))
    children = [child[is_dismantled] for child in children]
    kept = supply_by_dismantling(grid, node, children, inspection_costs)
    made.total[is_dismantled], made.mean[is_dismantled] = kept.total, kept.mean
    made.survival[is_dismantled] = kept.survival
    is_exact = np.ones(len(is_dismantled), np.bool_)
    is_exact[is_dismantled] = np.all([grid.is_exact(c.survival) for c in children], axis=0)
    return made, is_exact


def _combinations(
    columns: Sequence[NDArray[np.integer]],
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return a number for each row's combination of values (P,), and a row for each number (U,)."""
    code, size = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        width = int(column.max(initial=0)) + 1
        if size * width > 2**62:
            distinct, code = np.unique(code, return_inverse=True)
            size = len(distinct)
        code, size = code * width + column, size * width
    _, some, code = np.unique(code, return_index=True, return_inverse=True)
    return code, some
