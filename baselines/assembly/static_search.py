"""The best static policy by one pass over the tree, and static and myopic policies as tables.

**Search.** By the theory of :mod:`baselines.assembly.static` a parent that scraps needs (F, g) of a
child, and one that dismantles (T, law of X): two sets of ways to make each node are kept, for the two
kinds of parent. The best inspected way (cost K, X = 0) is in both; of the others only those that may
be part of the best policy are kept:

- Below a scrapping parent only first items matter, and a ratio (F + s) / g decides, where s ≥ the parent's
  assembly cost and what its other children cost at least. If g' ≥ g and (F' + s) / g' ≤ (F + s) / g, this
  holds for every larger s too, and all the way up to where a node is inspected or taken apart: there both
  the cost until good and the law are no worse. So the other way is not needed.
- Below a dismantling parent, with X' ≤ X in law and T' ≤ T the other way is not needed: the parent's number
  of builds, each child's inspections and its own law are monotone in the law of X. Nor is one with
  T + c (E[X] + q) ≥ K (c its inspection cost, q the parent's rate): it costs at least that much.

Nothing else is left out, so the result is the best of all 2^(nodes + assemblies).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numba import njit
from numpy.typing import NDArray

from baselines.assembly.model import AssemblyModel
from baselines.assembly.static import (
    GRID_SIZES,
    Flags,
    Floats,
    LawGrid,
    StaticPolicy,
    Supply,
    assemblies,
    evaluate_static,
    law_grid,
    profits_of,
    supply_afresh,
    supply_by_dismantling,
)
from qc_gym.assembly.dynamics import BAD, prob_bad
from qc_gym.assembly.scenario import AssemblyScenario, Item

Picks = NDArray[np.int64]


MAX_COMBINATIONS = 2**16


@dataclass(frozen=True, eq=False)
class _Ways:
    """Ways to make a node, n of them.

    Attributes
    ----------
    supply
        What the parent must know of each.
    dismantle
        bool (n,).
    picks
        int64 (n, children): which way each child is made, of those kept for a dismantling or for a
        scrapping parent.
    """

    supply: Supply
    dismantle: Flags
    picks: Picks

    def __getitem__(self, rows: NDArray[np.integer] | Flags) -> _Ways:
        return _Ways(self.supply[rows], self.dismantle[rows], self.picks[rows])


def best_static(scenario: AssemblyScenario) -> StaticPolicy:
    """Return the best of all static policies, in time that grows with the tree about linearly.

    Raises
    ------
    ValueError
        The ways to make an assembly that would have to be compared are more than
        ``MAX_COMBINATIONS``, or fail too often for float64. Neither happens unless inspecting costs
        many times what is inspected.
    """
    for size in GRID_SIZES:
        policy = _Search(scenario, law_grid(size)).run()
        if policy is not None:
            return policy
    raise ValueError("scenario: defect rates so near to 1 that static policies cannot be compared")


class _Search:
    """One pass over the tree, children first."""

    def __init__(self, scenario: AssemblyScenario, grid: LawGrid) -> None:
        self.scenario, self.grid, self.nodes = scenario, grid, scenario.tree
        self.parents = {child: name for name, node in self.nodes.items() for child in node.children}
        self.least = _make_costs(scenario)
        self.kept: dict[str, tuple[_Ways, _Ways]] = {}  # for a scrapping and a dismantling parent

    def run(self) -> StaticPolicy | None:
        """Return the best policy, or None if the grid is too short for it."""
        for name in self.scenario.order[:-1]:
            self.kept[name] = self._keep(name, *self._ways(name))
            if not self.grid.is_exact(self.kept[name][1].supply.survival).all():
                return None
        root = self.scenario.order[-1]
        fresh, kept = self._ways(root)
        ways = _join(fresh, kept)
        options = [
            profits_of(self.scenario, ways.supply, np.array([flag])) for flag in (False, True)
        ]
        best = int(np.argmax(np.maximum(*options)))
        is_inspected = bool(options[1][best] > options[0][best])
        value = float(max(options[0][best], options[1][best]))
        return self._unfold(ways, best, is_inspected, value)

    def _ways(self, name: str) -> tuple[_Ways, _Ways]:
        """Return the ways with each bad one scrapped, and those with it dismantled, not inspected."""
        node = self.nodes[name]
        children = [self.kept[child] for child in node.children]
        picks, fresh, good = self._scrapping_picks(node)
        scrapped = _Ways(
            supply_afresh(self.grid, fresh, good), np.zeros(len(fresh), np.bool_), picks
        )
        if not children:
            return scrapped, scrapped[np.arange(0)]
        sets = [ways.supply for _, ways in children]
        sizes = [len(way.mean) for way in sets]
        if prod(sizes) > MAX_COMBINATIONS:
            raise ValueError(
                f"scenario: {prod(sizes):,} ways to make {name!r} are left to compare, more than "
                f"{MAX_COMBINATIONS:,}; its inspections cost far more than what they save"
            )
        picks = _product(sizes)
        supplies = [way[pick] for way, pick in zip(sets, picks.T, strict=True)]
        costs = [self.nodes[child].inspection_cost for child in node.children]
        supply = supply_by_dismantling(self.grid, node, supplies, costs)
        return scrapped, _Ways(supply, np.ones(len(picks), np.bool_), picks)

    def _scrapping_picks(self, node: Item) -> tuple[Picks, Floats, Floats]:
        """Return the useful choices of the children below a scrapping node, with their (F, g)."""
        picks = np.zeros((1, 0), np.int64)
        fresh, good = np.array([node.make_cost]), np.array([1.0 - node.defect_rate])
        coming = sum(self.least[child] for child in node.children)
        for child in node.children:
            supply = self.kept[child][0].supply
            coming -= self.least[child]
            old, new = _product([len(fresh), len(supply.fresh)]).T
            fresh, good = fresh[old] + supply.fresh[new], good[old] * supply.good[new]
            rows = _least_ratios(fresh, good, coming)
            picks = np.column_stack([picks[old[rows]], new[rows]])
            fresh, good = fresh[rows], good[rows]
        return picks, fresh, good

    def _keep(self, name: str, scrapped: _Ways, dismantled: _Ways) -> tuple[_Ways, _Ways]:
        """Return the ways that may be part of the best policy, for the two kinds of parent."""
        node, parent = self.nodes[name], self.nodes[self.parents[name]]
        cost = node.inspection_cost
        ways = _join(scrapped, dismantled)
        inspected = ways.supply.inspected(cost, np.ones(len(ways.dismantle), np.bool_))
        best = np.array([inspected.total.argmin()])
        verified = _Ways(inspected[best], ways.dismantle[best], ways.picks[best])
        others = parent.make_cost + sum(self.least[child] for child in parent.children)
        first = _join(verified, scrapped)
        rows = _least_ratios(first.supply.fresh, first.supply.good, others - self.least[name])
        if self.scenario.max_blind_failures == 0:
            return first[rows], verified  # else it could not be taken apart
        supply = ways.supply
        least = supply.total + cost * (supply.mean + parent.defect_rate)
        useful = _join(verified, ways[least < verified.supply.total])
        undominated = _least_laws(useful.supply.total, useful.supply.survival)
        return first[rows], useful[undominated]

    def _unfold(self, ways: _Ways, best: int, is_inspected: bool, value: float) -> StaticPolicy:
        inspect, dismantle = {}, {}
        stack = [(self.scenario.order[-1], ways, best, is_inspected)]
        while stack:
            name, ways, row, inspect[name] = stack.pop()
            children = self.nodes[name].children
            if not children:  # a part
                continue
            dismantle[name] = bool(ways.dismantle[row])
            for child, pick in zip(children, ways.picks[row], strict=True):
                below = self.kept[child][dismantle[name]]
                stack.append((child, below, int(pick), bool(below.supply.is_verified[pick])))
        order = self.scenario.order
        return StaticPolicy(
            {name: inspect[name] for name in order},
            {name: dismantle[name] for name in order if name in dismantle},
            value,
        )


def _make_costs(scenario: AssemblyScenario) -> dict[str, float]:
    """Return what a new one of each node costs at least: all that is bought and built in it."""
    costs: dict[str, float] = {}
    for name in scenario.order:
        node = scenario.tree[name]
        costs[name] = node.make_cost + sum(costs[child] for child in node.children)
    return costs


def _product(sizes: Sequence[int]) -> Picks:
    """Return all combinations of one row from each set, (product of sizes, sets)."""
    return np.indices(sizes).reshape(len(sizes), -1).T


def _join(first: _Ways, second: _Ways) -> _Ways:
    a, b = first.supply, second.supply
    supply = Supply(
        *(
            np.concatenate([getattr(a, name), getattr(b, name)])
            for name in Supply.__dataclass_fields__
        )
    )
    return _Ways(
        supply,
        np.concatenate([first.dismantle, second.dismantle]),
        np.concatenate([first.picks, second.picks]),
    )


def _least_ratios(fresh: Floats, good: Floats, others: float) -> NDArray[np.integer]:
    """Return the rows that no row beats in both (F + others) / g and g."""
    order = np.lexsort((-good, (fresh + others) / good))
    best = np.maximum.accumulate(good[order])
    return order[np.concatenate([[True], good[order][1:] > best[:-1]])]


def _least_laws(total: Floats, survival: Floats) -> NDArray[np.integer]:
    """Return the rows that no row beats in both T and all of P(X > r)."""
    order = np.lexsort((survival[:, 0], total))
    kept: list[int] = []
    for row in order:
        if not any(np.all(survival[other] <= survival[row]) for other in kept):
            kept.append(int(row))
    return np.array(kept)


# --- as tables ---------------------------------------------------------------------------------


def never_inspect(scenario: AssemblyScenario) -> StaticPolicy:
    """Return the policy that inspects nothing and scraps what comes back."""
    return _uniform(scenario, False)


def always_inspect(scenario: AssemblyScenario) -> StaticPolicy:
    """Return the policy that inspects everything and dismantles what is bad."""
    return _uniform(scenario, True)


def _uniform(scenario: AssemblyScenario, flag: bool) -> StaticPolicy:
    names = assemblies(scenario)
    shape = 1, len(scenario.order)
    value = evaluate_static(scenario, np.full(shape, flag), np.full((1, len(names)), flag))
    return StaticPolicy(
        dict.fromkeys(scenario.order, flag), dict.fromkeys(names, flag), float(value[0])
    )


def static_actions(
    scenario: AssemblyScenario, policy: StaticPolicy, model: AssemblyModel
) -> NDArray[np.int64]:
    """Return a static policy as an action for each belief state, (S,).

    An item is recovered, and inspected, if the assembly it was in has a failure that is not
    explained. That tells all recovered items if no assembly that is dismantled has more than one
    child that is not inspected when new. With two it does not: when one is found bad, the failure is
    explained, and the belief state of the other is that of a new one. The policy then needs a memory
    that no table of belief states has.

    Raises
    ------
    ValueError
        The policy needs memory (score it by ``evaluate_static``), or the model is of another scenario.
    """
    if model.scenario != scenario:
        raise ValueError("model: it is one of another scenario")
    for name, is_dismantled in policy.dismantle.items():
        blind = [child for child in scenario.tree[name].children if not policy.inspect[child]]
        if is_dismantled and len(blind) > 1 and scenario.max_blind_failures > 0:
            raise ValueError(
                f"policy: {name!r} is dismantled and its children {', '.join(map(repr, blind))} are "
                "not inspected when new, so after a failure recovered and new ones cannot be told "
                "apart by their belief state; use evaluate_static"
            )
    order, states = scenario.order, model.states
    rows, asked = np.arange(model.num_states), states["asked"]
    inspect = np.array([policy.inspect[name] for name in order])[asked]
    dismantle = np.array([policy.dismantle.get(name, False) for name in order])[asked]
    parent = model.record["parent"][0][asked]
    is_recovered = (parent >= 0) & (states["failures"][rows, parent] > 0)
    is_bad = states["status"][rows, asked] == BAD
    answer = np.where(is_bad, dismantle & model.allowed[:, 1], inspect | is_recovered)
    return answer.astype(np.int64)


def myopic_actions(model: AssemblyModel) -> NDArray[np.int64]:
    """Return the answers that cost least if one looks no further than the next build, (S,).

    - An item is inspected if its inspection costs less than P(bad) × what a failed build of the assembly
      that it goes into costs: building it, finding the failure (by inspection, or at the root by a
      return if that is cheaper), then dismantling it or, if cheaper, making its children again.
    - The product is inspected if that costs less than P(bad) × return_loss.
    - A bad assembly is dismantled if that costs less than the good children it recovers are worth: P(good)
      × all that is bought and built in each.

    Raises
    ------
    TypeError
        The model is not one of assembly.
    """
    scenario = model.scenario
    if not isinstance(scenario, AssemblyScenario):
        raise TypeError(f"model: one of assembly is needed, not of {type(scenario).__name__}")
    order, record = scenario.order, model.record[0]
    worth = np.array(list(_make_costs(scenario).values()))
    finding = record["inspection_cost"].copy()
    finding[-1] = min(finding[-1], scenario.return_loss)
    again = np.minimum(record["dismantle_cost"], worth - record["make_cost"])
    failed_build = record["make_cost"] + finding + again
    asked, bad = model.states["asked"], _bad_chances(model.record, model.states)
    own = bad[np.arange(model.num_states), asked]
    parent = record["parent"][asked]
    loss = np.where(parent < 0, scenario.return_loss, failed_build[parent])
    children = record["parent"] == np.arange(len(order))[:, np.newaxis]
    recovered = (children[asked] * (1.0 - bad) * worth).sum(axis=1)
    is_bad = model.states["status"][np.arange(model.num_states), asked] == BAD
    dismantles = (record["dismantle_cost"][asked] < recovered) & model.allowed[:, 1]
    inspects = record["inspection_cost"][asked] < own * loss
    return np.where(is_bad, dismantles, inspects).astype(np.int64)


@njit(cache=True, error_model="numpy")
def _bad_chances(record, states):  # type: ignore[no-untyped-def]
    """Return P(bad) of each node in each state, (S, nodes)."""
    result = np.zeros((len(states), len(states[0].status)))
    for s in range(len(states)):
        for i in range(result.shape[1]):
            result[s, i] = prob_bad(record[0], states[s], i)
    return result
