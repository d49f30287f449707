"""Z. Liu, Y. Hu, Y. Deng: hypothesis testing and dynamic programming in three stages [H].

100 pairs of parts are bought, tested or not (s1, s2), assembled, the products tested or not (s3), the
bad ones dismantled or not (s4). Its recursion is Section III.B, equations (1)–(13), kept here exactly
as printed. Its economics is not that of the exact model (docs/theory/assembly.md): an untested product is
sold at the full price whether it is good or not; the loss of a return is charged for the products' own
rate only, and once more for each untested part; what is dismantled is credited with the price of new
parts, without a product being made from them. So its return can *grow* with the defect rate: case 2 is
case 1 with twice the rates. The values of Figure 1 are only in its picture, which is drawn again.
"""

from __future__ import annotations

import math

from scipy.special import ndtri

from baselines.papers.entries import Bound, Entry, Ledger, PlanRisks, PolicyWorth
from baselines.papers.two_parts import (
    CASES,
    DECISIONS,
    Case,
    Decision,
    case_of,
    worth_of_decision,
)
from baselines.sampling.plans import (
    one_sided_test_plan,
    power_sample_size,
    precision_sample_size,
)

NAME = "liu-hu-deng"
TITLE = "Z. Liu, Y. Hu, Y. Deng: Establishment and Solution of a Multi-Stage Decision Model"
PAIRS = 100
NOMINAL_RATE = 0.10
CONFIDENCE, POWER = 0.95, 0.90
MARGINS = tuple(i / 100 for i in range(2, 10))
"""d of Figure 1."""
ACTUAL_RATES = tuple(i / 100 for i in range(4, 9))
"""p1 of Figure 2."""
PRINTED_QUANTILES = {CONFIDENCE: "1.645", POWER: "1.28"}
PRINTED_SIZES = {0.04: "18", 0.08: "303"}
PRINTED_TABLE_1 = (
    ("0, 0, 0, 1", "3081"),
    ("0, 0, 0, 1", "3270"),
    ("0, 0, 0, 1", "2361"),
    ("0, 0, 1, 1", "1919"),
    ("0, 0, 0, 1", "2998"),
    ("0, 0, 0, 0", "2650"),
)


def printed_return(case: Case, decision: Decision, pairs: int = PAIRS) -> float:
    """Return the total return V1 of a decision, in money for all pairs, [H] III.B (1)–(13)."""
    s1, s2, s3, s4 = decision
    r1, r2, r3 = case.defect_rates
    t1, t2, t3 = case.inspection_costs
    c1, c2 = case.purchase_costs
    c3, h1, m, w = case.assembly_cost, case.dismantle_cost, case.return_loss, case.price
    yield_of_tests = min((1 - r1) ** s1, (1 - r2) ** s2)
    n2 = pairs * yield_of_tests  # (1)
    n3 = n2 * (1 - r1) ** (1 - s1) * (1 - r2) ** (1 - s2) * (1 - r3)  # (2)
    saved = -h1 + (c1 + c2) - (s1 * t1 + s2 * t2 + s3 * (t3 + c3))
    v3 = s4 * (n2 - n3) * saved * yield_of_tests  # (6), (7)
    sold = -t3 * n2 + (1 - r3) * w * n2 if s3 else -r3 * m * n2 + w * n2
    v2 = -c3 * n2 + sold + v3  # (8), (9)
    untested = (1 - s1) * r1 * pairs + (1 - s2) * r2 * pairs
    tests = s1 * t1 * pairs + s2 * t2 * pairs
    return -(c1 * pairs + c2 * pairs + tests + untested * m * (1 - s3)) + v2  # (10)–(13)


def printed_optimum(case: Case) -> tuple[Decision, float]:
    """Return the decision of largest return over all sixteen, as [H] III.C does, and that return."""
    best = max(DECISIONS, key=lambda decision: printed_return(case, decision))
    return best, printed_return(case, best)


def ledger() -> Ledger:
    """Return what the paper prints beside what is computed here."""
    return Ledger(NAME, TITLE, [*_sampling(), *_table_1()], _policies(), _plans())


def published_decisions() -> tuple[Decision, ...]:
    """Return the six decisions of Table 1."""
    return tuple(Decision.parse(text, yes="1") for text, _ in PRINTED_TABLE_1)


def _sampling() -> list[Entry]:
    entries = [
        Entry(where, f"z of {level:.0%}", PRINTED_QUANTILES[level], float(ndtri(level)))
        for where, level in (("II.B (3)", CONFIDENCE), ("II.C", POWER))
    ]
    for rate, printed in PRINTED_SIZES.items():
        size = power_sample_size(NOMINAL_RATE, rate, POWER)
        z = float(PRINTED_QUANTILES[POWER])
        by_printed_z = math.ceil(rate * (1 - rate) * (z / (rate - NOMINAL_RATE)) ** 2)
        reason = f"the printed z = {z} would give {by_printed_z}" if by_printed_z != size else ""
        entries.append(Entry("Figure 2", f"n at p1 = {rate}", printed, float(size), reason))
    return entries


def _table_1() -> list[Entry]:
    entries = []
    for i, (preset, (decision, value)) in enumerate(zip(CASES, PRINTED_TABLE_1, strict=True), 1):
        case = case_of(preset)
        best, ours = printed_optimum(case)
        flags = ", ".join(str(int(flag)) for flag in best)
        unit = case.price - sum(case.purchase_costs) - case.assembly_cost
        bound = Bound(
            PAIRS * unit,
            f"{PAIRS} pairs without a defect or a test earn {PAIRS} × {unit:g}; the recursion sells "
            "bad products at the full price and credits what it dismantles",
        )
        entries.append(Entry("Table 1", f"case {i}, s1, s2, s3, s4", decision, flags))
        entries.append(Entry("Table 1", f"case {i}, return", value, ours, bound=bound))
    return entries


def _policies() -> list[PolicyWorth]:
    return [
        worth_of_decision(f"Table 1, case {i}", preset, decision)
        for i, (preset, decision) in enumerate(zip(CASES, published_decisions(), strict=True), 1)
    ]


def _plans() -> list[PlanRisks]:
    """Return the risks of the plans behind both figures.

    Those of Figure 2 decide by whether the sample fraction exceeds the nominal rate; all p1 lie below
    it, so that what the paper calls a type II error is the rejection of a good lot.
    """
    plans = []
    for margin in MARGINS:
        size = precision_sample_size(NOMINAL_RATE, margin, CONFIDENCE)
        plan = one_sided_test_plan(size, NOMINAL_RATE, CONFIDENCE)
        plans.append(
            PlanRisks.of_single(
                f"Figure 1, d = {margin:.2f}", plan, NOMINAL_RATE, NOMINAL_RATE + margin
            )
        )
    for rate in ACTUAL_RATES:
        size = power_sample_size(NOMINAL_RATE, rate, POWER)
        plan = one_sided_test_plan(size, NOMINAL_RATE, 0.5)
        plans.append(PlanRisks.of_single(f"Figure 2, p1 = {rate:.2f}", plan, rate, NOMINAL_RATE))
    return plans
