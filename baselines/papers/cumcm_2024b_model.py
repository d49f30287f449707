"""The recursion of a report on problem B of the 2024 contest in mathematical modelling [R].

It is Section 2.2, C = (C_path + P_fail · loss) / (1 − P_fail), profit
= price − C, where C_path is what a product costs on its way to the customer. The report does not write
C_path down; it is read here as what its Section 2.3 says:

- an inspected part that is bad is bought again;
- an inspected product that is bad is dismantled, or scrapped, and made again; what is dismantled saves
  the purchase of its parts (V(S') = V(S) + C_buy), which are as good as new ones;
- an uninspected bad product comes back: all that it cost is lost.

``READINGS`` are the eight ways of counting or not that a bad part is bought again, that recovered parts
save their purchase, and that a bad product is made again; none gives any profit of Table 2. (Section 2.3
writes V_no_inspect with (1 − P_fail) price where Section 2.2 has the price: P_fail · price is left out.)
The exact model (docs/theory/assembly.md) differs: recovered parts carry what has been learnt, and a product
that comes back is dismantled too.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import roots_jacobi

from baselines.assembly.static import assemblies
from baselines.papers.two_parts import DECISIONS, Decision
from qc_gym.assembly.scenario import AssemblyScenario

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SAMPLE_SIZE = 100
"""n from which each defect rate is taken to be estimated, Section 4.1."""
_QUADRATURE_POINTS = 24


class Reading(NamedTuple):
    """What C_path takes into account; see the module."""

    replaces_bad_parts: bool = True
    credits_recovered: bool = True
    makes_again: bool = True


AS_PRINTED = Reading()
READINGS = tuple(Reading(*flags) for flags in product((False, True), repeat=3))


class Handed(NamedTuple):
    """An item as the next assembly gets it: what it cost, P(it is bad), and what recovering it saves."""

    cost: Floats
    bad: Floats
    saved: Floats


def printed_profits(
    scenario: AssemblyScenario,
    inspect: Flags,
    dismantle: Flags,
    rates: Floats | None = None,
    reading: Reading = AS_PRINTED,
) -> Floats:
    """Return the profit per delivered unit of decisions, [R] Sections 2.2 and 3.1, in money.

    Parameters
    ----------
    inspect, dismantle
        bool (P, nodes) in the order of ``scenario.order``, and (P, assemblies).
    rates
        float64 (M, nodes), defect rates in place of the scenario's.
    reading
        What C_path takes into account.

    Returns
    -------
    float64 (P, M)
    """
    if rates is None:
        rates = np.array([[scenario.tree[name].defect_rate for name in scenario.order]])
    column = {name: i for i, name in enumerate(assemblies(scenario))}
    handed: dict[str, Handed] = {}
    for i, name in enumerate(scenario.order):
        node = scenario.tree[name]
        tested, rate = inspect[:, i, np.newaxis], rates[np.newaxis, :, i]
        children = [handed[child] for child in node.children]
        cost = node.make_cost + sum((child.cost for child in children), start=np.zeros(1))
        cost = cost + node.inspection_cost * tested
        good = 1.0 - rate
        for child in children:
            good = good * (1.0 - child.bad)
        taken_apart = dismantle[:, [column[name]]] if children else np.zeros_like(tested)
        saved = sum((child.saved for child in children), start=np.zeros(1))
        undone = (node.dismantle_cost or 0.0) - saved * reading.credits_recovered
        cost = cost + tested * (1.0 - good) * undone * taken_apart
        repeats = reading.makes_again if children else reading.replaces_bad_parts
        cost = np.where(tested & repeats, cost / good, cost)
        bad = np.where(tested, 0.0, 1.0 - good)
        handed[name] = Handed(cost, bad, cost if children else np.full(1, node.make_cost))
    path, fails, _ = handed[scenario.order[-1]]
    return scenario.price - (path + fails * scenario.return_loss) / (1.0 - fails)


def decisions_as_arrays(decisions: tuple[Decision, ...] = DECISIONS) -> tuple[Flags, Flags]:
    """Return two-part decisions as ``inspect`` (P, 3) and ``dismantle`` (P, 1)."""
    flags = np.array(decisions)
    return flags[:, :3], flags[:, 3:]


def best_by_recursion(
    scenario: AssemblyScenario, preferred: Decision, rates: Floats | None = None
) -> tuple[Decision, float]:
    """Return the best of the sixteen decisions by the printed recursion, and its profit.

    Decisions that earn the same are told apart by ``preferred``: of these the one most like it.
    """
    profits = printed_profits(scenario, *decisions_as_arrays(), rates).mean(axis=1)
    best = np.flatnonzero(profits > profits.max() - 1e-9)
    alike = [sum(a == b for a, b in zip(DECISIONS[i], preferred, strict=True)) for i in best]
    chosen = int(best[int(np.argmax(alike))])
    return DECISIONS[chosen], float(profits[chosen])


def profits_by_all_readings(scenario: AssemblyScenario, decision: Decision) -> list[float]:
    """Return the profit of a decision by each of ``READINGS``."""
    inspect, dismantle = decisions_as_arrays((decision,))
    return [
        float(printed_profits(scenario, inspect, dismantle, reading=reading)[0, 0])
        for reading in READINGS
    ]


def readings_that_choose(scenario: AssemblyScenario, decision: Decision) -> int:
    """Return by how many of ``READINGS`` a decision is the best of the sixteen, or as good."""
    chosen = DECISIONS.index(decision)
    arrays = decisions_as_arrays()
    profits = [printed_profits(scenario, *arrays, reading=reading)[:, 0] for reading in READINGS]
    return sum(bool(each[chosen] > each.max() - 1e-9) for each in profits)


def posterior_of(rate: float) -> tuple[float, float]:
    """Return a and b of the Beta posterior of an estimated rate, Section 4.1."""
    count = round(rate * SAMPLE_SIZE)
    return count + 1.0, SAMPLE_SIZE - count + 1.0


def posterior_means(scenario: AssemblyScenario) -> Floats:
    """Return E[p] of every node, (1, nodes): the certainty-equivalent rates of Section 4.3."""
    posteriors = [posterior_of(scenario.tree[name].defect_rate) for name in scenario.order]
    return np.array([[a / (a + b) for a, b in posteriors]])


def with_rates(scenario: AssemblyScenario, rates: Floats) -> AssemblyScenario:
    """Return the scenario with other defect rates, (nodes,)."""
    fields = scenario.model_dump()
    for name, rate in zip(scenario.order, rates.tolist(), strict=True):
        fields["nodes"][name]["defect_rate"] = rate
    return AssemblyScenario(**fields)


def expected_profits(scenario: AssemblyScenario, points: int = _QUADRATURE_POINTS) -> Floats:
    """Return E[V(p)] of the sixteen decisions, (16,), over independent Beta posteriors.

    By Gauss–Jacobi quadrature with ``points`` nodes a rate: a decision's profit is a rational
    function of the rates whose only pole is at 1, where the posterior vanishes to the 80th order.
    """
    posteriors = [posterior_of(scenario.tree[name].defect_rate) for name in scenario.order]
    rules = [roots_jacobi(points, b - 1.0, a - 1.0) for a, b in posteriors]
    grids = np.meshgrid(*(0.5 * (nodes + 1.0) for nodes, _ in rules), indexing="ij")
    rates = np.stack([grid.ravel() for grid in grids], axis=1)
    weight = np.ones(1)
    for _, weights in rules:
        weight = np.outer(weight, weights / weights.sum()).ravel()
    expected: Floats = printed_profits(scenario, *decisions_as_arrays(), rates) @ weight
    return expected


def best_of_tree(
    scenario: AssemblyScenario, preferred: Flags
) -> tuple[dict[str, bool], bool, float]:
    """Return what is inspected, whether all is dismantled, and the profit, at the best by Section 3.1.

    All 2^(nodes + assemblies) decisions are compared; ``preferred`` (nodes + assemblies,) tells
    those apart that earn the same.
    """
    nodes, count = len(scenario.order), len(assemblies(scenario))
    bits = np.arange(2 ** (nodes + count))[:, np.newaxis] >> np.arange(nodes + count) & 1
    flags = bits.astype(np.bool_)
    profits = printed_profits(scenario, flags[:, :nodes], flags[:, nodes:])[:, 0]
    best = np.flatnonzero(profits > profits.max() - 1e-9)
    chosen = flags[best[int(np.argmax((flags[best] == preferred).sum(axis=1)))]]
    inspected = dict(zip(scenario.order, chosen[:nodes].tolist(), strict=True))
    return inspected, bool(chosen[nodes:].all()), float(profits.max())
