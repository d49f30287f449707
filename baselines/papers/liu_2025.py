"""X. Liu, 2025: hypothesis testing and a mixed-integer program over four decisions [L].

The objective is Section 4.1, kept here as printed, per product: the lot size N is not printed. It is
solved as the paper does, as a mixed-integer program with the products of decisions linearised, and by
listing all sixteen decisions. The objective differs from the exact model (docs/theory/assembly.md) in sign
and substance: untested parts never make a product bad (p1 stands beside x1, not 1 − x1), a tested part
that is bad is a lost sale, a test costs p1 t1 instead of t1, an untested product earns nothing, and
dismantling saves the return's loss but recovers no part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import product

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.special import ndtri

from baselines.papers import cumcm_2024b
from baselines.papers.entries import Entry, Ledger, PlanRisks, PolicyWorth
from baselines.papers.two_parts import (
    CASES,
    DECISIONS,
    Case,
    Decision,
    case_of,
    worth_of_decision,
)
from baselines.sampling.lot_plans import SinglePlan
from baselines.sampling.plans import normal_approximation_plan

NAME = "liu-2025"
TITLE = "X. Liu: Decision Optimization Model for Electronic Product Production, 2025"
PRINTED_TABLE_4 = (
    ("no, no, yes, yes", "34600"),
    ("yes, no, yes, yes", "14600"),
    ("no, no, yes, no", "36000"),
    ("yes, no, yes, no", "24400"),
    ("no, yes, yes, yes", "31800"),
    ("no, no, yes, no", "36000"),
)
SAMPLING: Mapping[str, float | None] = {"p0": 0.10, "p1": None, "alpha": None, "beta": None}
"""The inputs of Section 3; None where the paper prints no value."""
SAVINGS: Mapping[str, float | None] = {"the policy compared with": None, "the lot size": None}
"""The inputs of the savings that the abstract claims."""

Polynomial = Mapping[frozenset[str], float]
"""A polynomial in decisions of 0 and 1 (x² = x): the coefficient of each product of them."""


def printed_profit(case: Case, decision: Decision) -> float:
    """Return the printed objective of Section 4.1 per product, in money."""
    x1, x2, xf, xd = decision
    p1, p2, pf = case.defect_rates
    t1, t2, tf = case.inspection_costs
    c1, c2 = case.purchase_costs
    sales = case.price * (1 - pf) * (1 - p1 * x1) * (1 - p2 * x2) * xf
    made = c1 + c2 + p1 * t1 * x1 + p2 * t2 * x2 + case.assembly_cost + xf * tf
    bad = pf + (1 - pf) * p1 * x1 + (1 - pf) * (1 - x1) * p2 * x2
    return sales - made - bad * (xd * case.dismantle_cost + (1 - xd) * case.return_loss)


def solve_by_listing(case: Case) -> tuple[Decision, float]:
    """Return the best of the sixteen decisions, Section 4.2, and its profit per product."""
    best = max(DECISIONS, key=lambda decision: printed_profit(case, decision))
    return best, printed_profit(case, best)


def solve_by_program(case: Case) -> tuple[Decision, float]:
    """Return the optimum of the mixed-integer linear program and its profit per product.

    Each product of decisions becomes a variable z with z ≤ each of them and z ≥ their sum minus their
    number plus 1.
    """
    objective = objective_terms(case)
    names = ["x1", "x2", "xf", "xd"]
    products = [term for term in objective if len(term) > 1]
    count = len(names) + len(products)
    rows, highest = [], []
    for i, term in enumerate(products, len(names)):
        for name in sorted(term):
            rows.append(_row(count, {i: 1.0, names.index(name): -1.0}))
            highest.append(0.0)
        rows.append(_row(count, {i: -1.0, **{names.index(name): 1.0 for name in term}}))
        highest.append(len(term) - 1.0)
    cost = [-objective.get(frozenset([name]), 0.0) for name in names]
    cost += [-objective[term] for term in products]
    result = milp(
        cost,
        integrality=[1] * len(names) + [0] * len(products),
        bounds=Bounds(0.0, 1.0),
        constraints=LinearConstraint(np.array(rows), -np.inf, highest),
    )
    if not result.success:
        raise RuntimeError(f"the mixed-integer program of {case} has no solution: {result.message}")
    decision = Decision(*(bool(round(value)) for value in result.x[: len(names)]))
    return decision, objective.get(frozenset(), 0.0) - float(result.fun)


def ledger() -> Ledger:
    """Return what the paper prints beside what is computed here."""
    return Ledger(NAME, TITLE, [*_inputs(), *_table_4()], _policies(), _plans())


def published_decisions() -> tuple[Decision, ...]:
    """Return the six decisions of Table 4."""
    return tuple(Decision.parse(text) for text, _ in PRINTED_TABLE_4)


def plan_of_printed_equation(
    good: float, bad: float, producer_risk: float, consumer_risk: float
) -> SinglePlan:
    """Return the plan of equation 11 as printed, with p0 where n p0 is meant, and equation 8.

    With σ² = p (1 − p) it asks that n p1 − (z_α σ0 + z_β σ1) √n − p0 ≥ 0.
    """
    spread = -float(ndtri(producer_risk)) * math.sqrt(good * (1.0 - good))
    total = spread - float(ndtri(consumer_risk)) * math.sqrt(bad * (1.0 - bad))
    size = math.ceil(((total + math.sqrt(total**2 + 4.0 * bad * good)) / (2.0 * bad)) ** 2)
    return SinglePlan(size, math.ceil(size * good + spread * math.sqrt(size)))


def implied_lot_sizes() -> list[float]:
    """Return the lot size that each of the six printed profits needs, by the optimum of its case."""
    return [
        float(printed) / solve_by_program(case_of(preset))[1]
        for preset, (_, printed) in zip(CASES, PRINTED_TABLE_4, strict=True)
    ]


def nearest_lot_size() -> float:
    """Return the lot size whose largest relative error over the six profits is least."""
    sizes = implied_lot_sizes()
    # N / N_i runs from 1 − e at the largest N_i to 1 + e at the smallest.
    return 2.0 / (1.0 / min(sizes) + 1.0 / max(sizes))


def objective_terms(case: Case) -> Polynomial:
    """Return the printed objective as a polynomial, by the same factors as ``printed_profit``."""
    x1, x2, xf, xd = ({frozenset([name]): 1.0} for name in ("x1", "x2", "xf", "xd"))
    p1, p2, pf = case.defect_rates
    t1, t2, tf = case.inspection_costs
    sales = _times(
        [
            _number(case.price * (1 - pf)),
            _sum([(1.0, _number(1.0)), (-p1, x1)]),
            _sum([(1.0, _number(1.0)), (-p2, x2)]),
            xf,
        ]
    )
    made = _number(sum(case.purchase_costs) + case.assembly_cost)
    made = _sum([(1.0, made), (p1 * t1, x1), (p2 * t2, x2), (tf, xf)])
    others = _times([_sum([(1.0, _number(1.0)), (-1.0, x1)]), x2])
    bad = _sum([(1.0, _number(pf)), ((1 - pf) * p1, x1), ((1 - pf) * p2, others)])
    loss, dismantling = case.return_loss, case.dismantle_cost
    handling = _sum([(1.0, _number(loss)), (dismantling - loss, xd)])
    return _sum([(1.0, sales), (-1.0, made), (-1.0, _times([bad, handling]))])


def _number(value: float) -> Polynomial:
    return {frozenset(): value}


def _sum(terms: Iterable[tuple[float, Polynomial]]) -> Polynomial:
    total: dict[frozenset[str], float] = {}
    for factor, polynomial in terms:
        for term, coefficient in polynomial.items():
            total[term] = total.get(term, 0.0) + factor * coefficient
    return total


def _times(factors: Iterable[Polynomial]) -> Polynomial:
    def pair(left: Polynomial, right: Polynomial) -> Polynomial:
        pairs = product(left.items(), right.items())
        return _sum((a * b, {one | other: 1.0}) for (one, a), (other, b) in pairs)

    return reduce(pair, factors)


def _row(count: int, entries: Mapping[int, float]) -> list[float]:
    return [entries.get(i, 0.0) for i in range(count)]


def _inputs() -> list[Entry]:
    """Return what cannot be computed, with the names of what the paper leaves open."""
    sampling = tuple(name for name, value in SAMPLING.items() if value is None)
    savings = tuple(name for name, value in SAVINGS.items() if value is None)
    reason = (
        "eq. 11 prints p0 for n p0, eqs. 5 and 9 bound the risk at every p > p0, which no plan can, and "
        "the approximation is said to need a rate from 0.2 to 0.8: the nominal one is 0.1"
    )
    return [
        Entry("Section 3", "sample size n and cut-off c", "–", None, reason, missing=sampling),
        Entry("Section 1", "savings", "more than 15%", None, missing=savings),
    ]


def _table_4() -> list[Entry]:
    sizes, nearest = implied_lot_sizes(), nearest_lot_size()
    entries = []
    for i, (preset, (decision, profit)) in enumerate(zip(CASES, PRINTED_TABLE_4, strict=True), 1):
        case = case_of(preset)
        best, value = solve_by_program(case)
        theirs = printed_profit(case, published_decisions()[i - 1])
        reason = (
            ""
            if str(best) == decision
            else (
                f"per product the objective gives {value:.4g}, and {theirs:.4g} for the printed decision"
            )
        )
        entries.append(Entry("Table 4", f"case {i}, decision", decision, str(best), reason))
        reason = (
            f"{value:.4g} per product: N = {sizes[i - 1]:,.1f} here, {min(sizes):,.1f} to "
            f"{max(sizes):,.1f} over the six; ours is by the nearest to all, {nearest:,.1f}"
        )
        entries.append(Entry("Table 4", f"case {i}, profit", profit, nearest * value, reason))
    return entries


def _plans() -> list[PlanRisks]:
    """Return the designs of Section 3 for the rates and risks that the report [R] assumes."""
    good, bad = cumcm_2024b.GOOD, cumcm_2024b.BAD
    asked = good, bad, cumcm_2024b.PRODUCER_RISK, cumcm_2024b.CONSUMER_RISK
    meant, printed = normal_approximation_plan(*asked), plan_of_printed_equation(*asked)
    return [
        PlanRisks.of_single("Eqs. 6-11 as derived, inputs of [R]", meant, good, bad),
        PlanRisks.of_single("Eq. 11 as printed, inputs of [R]", printed, good, bad),
    ]


def _policies() -> list[PolicyWorth]:
    return [
        worth_of_decision(f"Table 4, case {i}", preset, decision)
        for i, (preset, decision) in enumerate(zip(CASES, published_decisions(), strict=True), 1)
    ]
