"""A report on problem B of the 2024 contest in mathematical modelling, in Chinese [R].

Four parts: a sequential test, a recursion for two parts, its generalisation to a tree, and the same with
estimated defect rates. Its model is :mod:`baselines.papers.cumcm_2024b_model`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import gymnasium as gym
import numpy as np

import baselines
from baselines.assembly import evaluate_static
from baselines.assembly.static import Flags, assemblies
from baselines.papers.cumcm_2024b_model import (
    READINGS,
    best_by_recursion,
    best_of_tree,
    decisions_as_arrays,
    expected_profits,
    posterior_means,
    posterior_of,
    printed_profits,
    profits_by_all_readings,
    readings_that_choose,
    with_rates,
)
from baselines.papers.cumcm_2024b_pilot import worths_of_certainty_equivalence
from baselines.papers.entries import Bound, Entry, Ledger, PlanRisks, PolicyWorth
from baselines.papers.two_parts import (
    CASES,
    Case,
    Decision,
    case_of,
    optimum,
    scenario_of,
    worth_of_decision,
)
from baselines.sampling import Risks, SprtLines, boundary_policy, sprt_lines
from baselines.sampling.characteristics import table_from_boundaries
from baselines.sampling.model import build_model
from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.core.record import validated
from qc_gym.sampling.scenario import SequentialSamplingScenario

NAME = "cumcm-2024b-report-zh"
TITLE = "A report on problem B of the 2024 contest (CUMCM), in Chinese"
GOOD, BAD, PRODUCER_RISK, CONSUMER_RISK = 0.10, 0.20, 0.10, 0.05
DATA_SAYS = "ours is in the data of the problem"
MOST_ITEMS = 600
"""Where the sequential test is cut off; later does not change four digits of its risks."""
SAMPLING_PRESET = "aql10-rql20"
TREE_PRESET = "cumcm-8part"
PRINTED_LINES = {"s": "0.145", "-h0": "-3.56", "h1": "2.77"}
PRINTED_RISKS = {"producer's": "10%", "consumer's": "5%"}
PRINTED_TABLE_2 = (
    ("no, no, yes, yes", "25.15"),
    ("yes, yes, yes, yes", "-4.85"),
    ("no, no, yes, yes", "13.97"),
    ("yes, yes, no, yes", "2.05"),
    ("no, yes, yes, yes", "17.62"),
    ("yes, yes, yes, no", "25.12"),
)
PRINTED_TABLE_3: Mapping[str, tuple[str, str]] = {
    "part_1": ("yes", "1"),
    "part_2": ("yes", "1"),
    "part_3": ("yes", "2"),
    "part_4": ("yes", "1"),
    "part_5": ("yes", "1"),
    "part_6": ("yes", "2"),
    "part_7": ("yes", "1"),
    "part_8": ("yes", "2"),
    "semi_product_1": ("yes", "6"),
    "semi_product_2": ("yes", "4"),
    "semi_product_3": ("yes", "4"),
    "product": ("yes", "10"),
}
"""By node: whether it is inspected, and the inspection cost that the reason quotes."""
PRINTED_TREE = {"dismantle everywhere": "yes", "profit": "106.48", "return loss": "40"}
PRINTED_TABLE_4 = {
    "cumcm-2": ("yes, yes, yes", "-4.85", "yes, yes, yes", "-6.91"),
    "cumcm-4": ("yes, yes, no", "2.05", "yes, yes, yes", "1.12"),
}
"""By scenario: decisions and profit at the estimated rates, and at their posterior means."""


def ledger() -> Ledger:
    """Return what the report prints beside what is computed here."""
    entries = [*_test(), *_table_2(), *_table_3(), *_posteriors(), *_table_4()]
    return Ledger(NAME, TITLE, entries, _policies(), _plans())


def published_decisions() -> tuple[Decision, ...]:
    """Return the six decisions of Table 2."""
    return tuple(Decision.parse(text) for text, _ in PRINTED_TABLE_2)


def _lines() -> SprtLines:
    return sprt_lines(GOOD, BAD, PRODUCER_RISK, CONSUMER_RISK)


def _printed_lines() -> SprtLines:
    s, minus_h0, h1 = (float(text) for text in PRINTED_LINES.values())
    return SprtLines(s, -minus_h0, h1)


# --- section 1: the sequential test -------------------------------------------------------------


def _test() -> list[Entry]:
    lines, rounded = _lines(), _printed_lines()
    g0, g1 = math.log(BAD / GOOD), math.log((1 - GOOD) / (1 - BAD))
    exact = {"s": lines.slope, "-h0": -lines.accept_intercept, "h1": lines.reject_intercept}
    numbers = np.arange(100)
    accepting = int(numbers[lines.acceptance_numbers(99) >= 0][0])
    waiting = int(numbers[lines.rejection_numbers(99) > 4][0])
    steps = [
        ("g0", "0.693", g0),
        ("g1", "0.118", g1),
        ("g0 + g1", "0.811", g0 + g1),
        ("s", "0.145", lines.slope),
        ("-ln(beta / (1 - alpha))", "2.890", -math.log(CONSUMER_RISK / (1 - PRODUCER_RISK))),
        ("ln((1 - beta) / alpha)", "2.251", math.log((1 - CONSUMER_RISK) / PRODUCER_RISK)),
        ("h0", "3.56", lines.accept_intercept),
        ("h1", "2.77", lines.reject_intercept),
        ("n that accepts without a defective", "24.55", rounded.accept_intercept / rounded.slope),
        ("items to accept without a defective", "25", float(accepting)),
        ("n up to which 4 reject", "8.48", (4 - rounded.reject_intercept) / rounded.slope),
        ("items at which 4 no longer reject", "9", float(waiting)),
    ]
    reasons = {
        "24.55": f"with lines that are not rounded {lines.accept_intercept / lines.slope:.4f}",
        "8.48": f"with lines that are not rounded {(4 - lines.reject_intercept) / lines.slope:.4f}",
    }
    plan = _wald()
    true = {"producer's": plan.producer_risk, "consumer's": plan.consumer_risk}
    return [
        *(Entry("Section 1.3", what, text, x, reasons.get(text, "")) for what, text, x in steps),
        *(Entry("Table 1", name, text, exact[name]) for name, text in PRINTED_LINES.items()),
        *(
            Entry(
                "Table 1",
                f"{who} risk",
                text,
                true[who],
                "nominal; Wald's limits meet it only nearly",
            )
            for who, text in PRINTED_RISKS.items()
        ),
    ]


def _wald() -> PlanRisks:
    return _risks_of("Section 1.2", "Wald's lines", _lines())


def _risks_of(where: str, name: str, lines: SprtLines) -> PlanRisks:
    accept, reject = (f(MOST_ITEMS) for f in (lines.acceptance_numbers, lines.rejection_numbers))
    probabilities = np.eye(3)[table_from_boundaries(accept, reject)]
    found = Risks.of(probabilities, [GOOD, BAD], MOST_ITEMS, good=GOOD, bad=BAD)
    asn = found.average_sample_number.tolist()
    assert found.producer_risk is not None
    assert found.consumer_risk is not None
    return PlanRisks(where, name, GOOD, BAD, found.producer_risk, found.consumer_risk, *asn)


# --- section 2: two parts -----------------------------------------------------------------------


def _table_2() -> list[Entry]:
    entries = []
    for i, (preset, (decision, profit)) in enumerate(zip(CASES, PRINTED_TABLE_2, strict=True), 1):
        entries += _scenario_entries("Table 2", f"scenario {i}", preset, decision, profit)
    second, fourth = (case_of(f"cumcm-{i}") for i in (2, 4))
    parts = sum(case_of("cumcm-6").purchase_costs)
    return [
        *entries,
        Entry(
            "Section 2.4",
            "scenario 4, price, to scenario 2",
            "lower",
            "lower" if fourth.price < second.price else "not lower",
            DATA_SAYS,
        ),
        Entry(
            "Section 2.4",
            "scenario 4, every cost, to scenario 2",
            "lower",
            "lower" if not (higher := _not_lower(fourth, second)) else f"not {', '.join(higher)}",
            DATA_SAYS,
        ),
        Entry("Section 2.4", "scenario 6, price of both parts", "22", parts),
    ]


def _not_lower(case: Case, other: Case) -> list[str]:
    """Return in words which costs of a case are not lower than the other's."""
    costs = {
        "purchases": (case.purchase_costs, other.purchase_costs),
        "assembly": ((case.assembly_cost,), (other.assembly_cost,)),
        "inspections": (case.inspection_costs, other.inspection_costs),
        "dismantling": ((case.dismantle_cost,), (other.dismantle_cost,)),
        "return": ((case.return_loss,), (other.return_loss,)),
    }
    return [
        name
        for name, (ours, theirs) in costs.items()
        if any(one >= another for one, another in zip(ours, theirs, strict=True))
    ]


def _contradiction(preset: str, decision: Decision) -> str:
    """Return whether another scenario of Table 2 must have the same profit and prints another."""
    case = case_of(preset)
    printed = dict(zip(CASES, PRINTED_TABLE_2, strict=True))
    for other, (text, profit) in printed.items():
        same = case_of(other)._replace(return_loss=case.return_loss) == case
        if same and Decision.parse(text) == decision and profit != printed[preset][1]:
            return (
                f"{other} differs only in the return loss, and by these decisions no product comes "
                f"back, yet its profit is {profit}"
            )
    return ""


def _scenario_entries(
    where: str,
    what: str,
    preset: str,
    decision: str,
    profit: str,
    scenario: AssemblyScenario | None = None,
) -> list[Entry]:
    """Return the decisions and the profit of a scenario.

    Table 4 does not print whether bad products are dismantled: as in Table 2, they are.
    """
    chosen = Decision.parse(decision if decision.count(",") == 3 else f"{decision}, yes")
    scenario = scenario or scenario_of(preset)
    best, value = best_by_recursion(scenario, chosen)
    printed = decision.count(",") + 1
    ours = ", ".join(str(best).split(", ")[:printed])
    (by_theirs,) = printed_profits(scenario, *decisions_as_arrays((chosen,)))[0]
    by_readings = profits_by_all_readings(scenario, chosen)
    gap = min(abs(float(profit) - reading) for reading in by_readings)
    reason = (
        f"the printed decisions earn {by_theirs:.2f} by the recursion; its other readings give them "
        f"{min(by_readings):.2f} to {max(by_readings):.2f}, none within {gap:.2f}"
    )
    if where == "Table 2" and chosen.inspect_product:
        reason = "; ".join(text for text in (_contradiction(preset, chosen), reason) if text)
    bound = Bound(*_most(preset, chosen))
    count = readings_that_choose(scenario, chosen)
    choosing = f"the printed ones are best by {count} of {len(READINGS)} readings"
    return [
        Entry(where, f"{what}, decisions", decision, ours, choosing),
        Entry(where, f"{what}, profit", profit, value, reason, bound),
    ]


def _most(preset: str, decision: Decision) -> tuple[float, str]:
    """Return what a decision earns at most, as if nothing were ever bad, and how that is counted."""
    case = case_of(preset)
    spent = [*case.purchase_costs, case.assembly_cost]
    spent += [c for c, flag in zip(case.inspection_costs, decision, strict=False) if flag]
    counted = " - ".join(f"{cost:g}" for cost in [case.price, *spent])
    return case.price - sum(spent), f"{counted}, parts, assembly and inspections once each"


# --- section 3: the tree ------------------------------------------------------------------------


def _table_3() -> list[Entry]:
    scenario = scenario_of(TREE_PRESET)
    nodes = scenario.nodes
    preferred = [PRINTED_TABLE_3[name][0] == "yes" for name in scenario.order]
    everywhere = PRINTED_TREE["dismantle everywhere"] == "yes"
    preferred += [everywhere] * len(assemblies(scenario))
    inspected, dismantled, value = best_of_tree(scenario, np.array(preferred))
    entries = []
    for name, (decision, cost) in PRINTED_TABLE_3.items():
        ours = "yes" if inspected[name] else "no"
        entries.append(Entry("Table 3", f"inspect {name}", decision, ours))
        quoted = f"inspection cost of {name}"
        entries.append(Entry("Table 3", quoted, cost, nodes[name].inspection_cost, DATA_SAYS))
    spent = sum(node.make_cost for node in nodes.values())
    bound = Bound(
        scenario.price - spent,
        f"price {scenario.price:g} - purchases and assemblies {spent:g}, without a defect or an inspection",
    )
    (theirs,) = printed_profits(scenario, *_tree_flags(scenario))[0]
    reason = f"the printed decisions earn {theirs:.2f} by the recursion"
    loss = PRINTED_TREE["return loss"]
    return [
        *entries,
        Entry(
            "Table 3",
            "dismantle everywhere",
            PRINTED_TREE["dismantle everywhere"],
            "yes" if dismantled else "no",
        ),
        Entry("Table 3", "profit", PRINTED_TREE["profit"], value, reason, bound),
        Entry("Table 3", "return loss", loss, scenario.return_loss, DATA_SAYS),
    ]


def _tree_flags(scenario: AssemblyScenario) -> tuple[Flags, Flags]:
    inspect = [[PRINTED_TABLE_3[name][0] == "yes" for name in scenario.order]]
    everywhere = PRINTED_TREE["dismantle everywhere"] == "yes"
    return np.array(inspect), np.full((1, len(assemblies(scenario))), everywhere)


# --- section 4: estimated rates -----------------------------------------------------------------


def _posteriors() -> list[Entry]:
    entries = []
    for rate, mean in ((0.10, "10.78%"), (0.20, "20.59%")):
        a, b = posterior_of(rate)
        if rate == GOOD:
            text = f"Beta({a:g}, {b:g})"
            entries.append(Entry("Section 4.1", f"posterior of {rate:.0%}", "Beta(11, 91)", text))
        entries.append(
            Entry("Section 4", f"mean of the posterior of {rate:.0%}", mean, a / (a + b))
        )
    return entries


def _table_4() -> list[Entry]:
    entries = []
    for preset, (decision, profit, uncertain, uncertain_profit) in PRINTED_TABLE_4.items():
        what, scenario = f"scenario {preset[-1]}", scenario_of(preset)
        means = with_rates(scenario, posterior_means(scenario)[0])
        entries += _scenario_entries("Table 4", f"{what}, at p", preset, decision, profit)
        entries += _scenario_entries(
            "Table 4", f"{what}, at E[p]", preset, uncertain, uncertain_profit, means
        )
        at_means = printed_profits(means, *decisions_as_arrays()).max()
        expected = float(expected_profits(scenario).max())
        relation = "≠" if abs(at_means - expected) > 1e-9 else "="
        entries.append(
            Entry(
                "Section 4.2",
                f"{what}, E[V(p)] and V(E[p])",
                "≠",
                relation,
                f"by the recursion V(E[p]) = {at_means:.4f}, and E[V(p)] = {expected:.4f} by quadrature, "
                "with decisions made before p is known as in the equation there",
            )
        )
    return entries


# --- what the decisions are worth ---------------------------------------------------------------


def _policies() -> list[PolicyWorth]:
    worths = [_worth_of_test("Section 1.2", "Wald's lines", _lines())]
    worths.append(_worth_of_test("Table 1", "the printed lines", _printed_lines()))
    for i, (preset, decision) in enumerate(zip(CASES, published_decisions(), strict=True), 1):
        worths.append(worth_of_decision(f"Table 2, scenario {i}", preset, decision))
    tree = scenario_of(TREE_PRESET)
    (value,) = evaluate_static(tree, *_tree_flags(tree))
    worths.append(
        PolicyWorth("Table 3", "inspect and dismantle all", TREE_PRESET, value, optimum(tree))
    )
    for preset, (_, _, uncertain, _) in PRINTED_TABLE_4.items():
        scenario = scenario_of(preset)
        means = with_rates(scenario, posterior_means(scenario)[0])
        where, problem = f"Table 4, scenario {preset[-1]}", f"{preset} at E[p]"
        worths.append(worth_of_decision(where, problem, Decision.parse(f"{uncertain}, yes"), means))
    return worths + worths_of_certainty_equivalence()


def _worth_of_test(where: str, name: str, lines: SprtLines) -> PolicyWorth:
    env = gym.make("qc_gym/SequentialSampling-v0", scenario=SAMPLING_PRESET)
    preset = SequentialSamplingScenario.presets[SAMPLING_PRESET]
    tables = build_model(validated(SequentialSamplingScenario, preset, SAMPLING_PRESET))
    most = tables.scenario.max_samples
    policy = boundary_policy(tables, lines.acceptance_numbers(most), lines.rejection_numbers(most))
    score = baselines.score(env, policy)
    return PolicyWorth(where, name, SAMPLING_PRESET, score.value, score.optimum)


def _plans() -> list[PlanRisks]:
    return [_wald(), _risks_of("Table 1", "the printed lines", _printed_lines())]
