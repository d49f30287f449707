"""[R]: its test holds; its profits follow from no reading of its recursion, and three cannot be."""

from __future__ import annotations

import math
from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from scipy.special import roots_jacobi

import baselines
from baselines import papers
from baselines.papers import Entry, Verdict
from baselines.papers.cumcm_2024b import DATA_SAYS, published_decisions
from baselines.papers.cumcm_2024b_model import (
    READINGS,
    Reading,
    best_by_recursion,
    best_of_tree,
    decisions_as_arrays,
    expected_profits,
    posterior_means,
    printed_profits,
    with_rates,
)
from baselines.papers.cumcm_2024b_pilot import without_tests
from baselines.papers.two_parts import CASES, DECISIONS, Decision, case_of, scenario_of
from baselines.pilot import value_of_information
from baselines.sampling import sprt_policy
from qc_gym.core.record import validated
from qc_gym.pilot.dynamics import moments_at, order_profit
from qc_gym.pilot.scenario import BetaRate, PilotRunScenario

NAME = "cumcm-2024b-report-zh"
ALL = Decision(True, True, True, True)
PROFITS = (25.15, -4.85, 13.97, 2.05, 17.62, 25.12)


def entries(where: str) -> dict[str, Entry]:
    return {one.what: one for one in papers.ledger(NAME).entries if one.where == where}


def profit(preset: str, decision: Decision, reading: Reading) -> float:
    """The recursion of Section 2.2 for one decision, written out for two parts."""
    case = case_of(preset)
    (p1, p2, pa), (t1, t2, tf) = case.defect_rates, case.inspection_costs
    build = case.assembly_cost + tf * decision.inspect_product
    bad_parts = 1.0
    for p, c, t, tested in zip((p1, p2), case.purchase_costs, (t1, t2), decision[:2], strict=True):
        if tested:
            build += (c + t) / (1 - p) if reading.replaces_bad_parts else c + t
        else:
            build += c
            bad_parts *= 1 - p
    fails = 1 - bad_parts * (1 - pa)
    if not decision.inspect_product:
        return case.price - (build + fails * case.return_loss) / (1 - fails)
    undone = 0.0
    if decision.dismantle:
        saved = sum(case.purchase_costs) if reading.credits_recovered else 0.0
        undone = case.dismantle_cost - saved
    path = build + fails * undone
    return case.price - (path / (1 - fails) if reading.makes_again else path)


# --- the sequential test ----------------------------------------------------------------------


def test_the_lines() -> None:
    g0, g1 = math.log(2), math.log(9 / 8)
    table = entries("Table 1")
    assert table["s"].ours == pytest.approx(g1 / (g0 + g1))
    assert table["-h0"].ours == pytest.approx(math.log(0.05 / 0.9) / (g0 + g1))
    assert table["h1"].ours == pytest.approx(math.log(0.95 / 0.1) / (g0 + g1))
    verdicts = {name: one.verdict for name, one in table.items()}
    # 2.7762 is 2.78.
    assert verdicts == {
        "s": Verdict.REPRODUCED,
        "-h0": Verdict.REPRODUCED,
        "h1": Verdict.NOT_DERIVABLE,
        "producer's risk": Verdict.NOT_DERIVABLE,
        "consumer's risk": Verdict.REPRODUCED,
    }
    assert table["h1"].note == "cut off, not rounded"


def test_the_worked_example() -> None:
    rows = entries("Section 1.3")
    differing = {name for name, one in rows.items() if one.verdict is not Verdict.REPRODUCED}
    assert differing == {"h1"}
    # No defective: 25 is the first n with 2^0 (8/9)^n ≤ .05 / .9; 4 defectives: ratio ≥ 9.5 until 8.
    likelihood = [2.0**d * (8 / 9) ** (n - d) for n, d in ((24, 0), (25, 0), (8, 4), (9, 4))]
    assert likelihood[0] > 0.05 / 0.9 >= likelihood[1]
    assert likelihood[2] >= 9.5 > likelihood[3]
    assert rows["items to accept without a defective"].ours == 25.0
    assert rows["items at which 4 no longer reject"].ours == 9.0


def test_risks_of_the_test() -> None:
    wald, printed = papers.ledger(NAME).plans
    # docs/theory/sampling.md
    assert round(wald.producer_risk, 4) == 0.0786
    assert round(wald.consumer_risk, 4) == 0.0481
    assert (round(wald.asn_good, 2), round(wald.asn_bad, 2)) == (68.83, 50.61)
    # h1 cut off from 2.776 to 2.77 rejects more readily
    assert printed.producer_risk > wald.producer_risk
    assert printed.consumer_risk < wald.consumer_risk


def test_loss_of_the_test() -> None:
    worth = papers.ledger(NAME).policies[0]
    env = gym.make("qc_gym/SequentialSampling-v0", scenario="aql10-rql20")
    tables = baselines.model(env)
    score = baselines.score(env, sprt_policy(tables, 0.10, 0.20, 0.10, 0.05))
    assert worth.regret == pytest.approx(score.regret, abs=1e-9)


# --- two parts --------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", CASES)
def test_the_recursion_written_out(preset: str) -> None:
    scenario = scenario_of(preset)
    for reading in READINGS:
        computed = printed_profits(scenario, *decisions_as_arrays(), reading=reading)[:, 0]
        expected = [profit(preset, decision, reading) for decision in DECISIONS]
        np.testing.assert_allclose(computed, expected, rtol=1e-12)


def test_the_recursion_is_exact_where_nothing_is_recovered() -> None:
    # Without dismantling nothing is learnt, and the recursion is the exact model.
    scenario = scenario_of("cumcm-4")
    inspect, dismantle = decisions_as_arrays(tuple(d for d in DECISIONS if not d.dismantle))
    exact = baselines.assembly.evaluate_static(scenario, inspect, dismantle)
    np.testing.assert_allclose(printed_profits(scenario, inspect, dismantle)[:, 0], exact)


def test_no_reading_gives_a_profit_of_table_2() -> None:
    for preset, printed in zip(CASES, PROFITS, strict=True):
        for reading, decision in product(READINGS, DECISIONS):
            assert abs(profit(preset, decision, reading) - printed) > 0.005
    for name, one in entries("Table 2").items():
        assert name.endswith("decisions") or one.verdict is not Verdict.REPRODUCED


def test_bounds_of_table_2() -> None:
    impossible = {
        name: one.bound.limit
        for name, one in entries("Table 2").items()
        if one.bound is not None and one.verdict is Verdict.IMPOSSIBLE
    }
    # 56 − 4 − 18 − 6 − 3; 56 − (4 + 2) − (18 + 3) − (6 + 3)
    assert impossible == {"scenario 1, profit": 25.0, "scenario 6, profit": 20.0}
    for policy, printed in zip(papers.ledger(NAME).policies[2:8], PROFITS, strict=True):
        one = entries("Table 2")[f"{policy.where.removeprefix('Table 2, ')}, profit"]
        assert one.bound is not None
        assert policy.value <= one.bound.limit
        assert abs(policy.value - printed) > 0.005


def test_bounds_hold_for_every_decision_even_by_the_exact_model() -> None:
    arrays = decisions_as_arrays()
    for preset in CASES:
        case = case_of(preset)
        exact = baselines.assembly.evaluate_static(scenario_of(preset), *arrays)
        for decision, value in zip(DECISIONS, exact.tolist(), strict=True):
            tests = sum(
                cost for cost, flag in zip(case.inspection_costs, decision[:3], strict=True) if flag
            )
            assert value <= 56 - 22 - 6 - tests + 1e-9


def test_two_profits_for_the_same_decisions() -> None:
    first, third = published_decisions()[0], published_decisions()[2]
    assert first == third
    assert first.inspect_product
    # The scenarios differ in the return loss alone, which an inspected product never pays.
    assert case_of("cumcm-1")._replace(return_loss=30.0) == case_of("cumcm-3")
    table = entries("Table 2")
    assert "yet its profit is 13.97" in table["scenario 1, profit"].note
    assert "yet its profit is 25.15" in table["scenario 3, profit"].note
    assert "yet its profit" not in table["scenario 5, profit"].note


def test_decisions_of_table_2() -> None:
    as_printed, table = Reading(), entries("Table 2")
    for i, preset in enumerate(CASES, 1):
        profits = {str(each): profit(preset, each, as_printed) for each in DECISIONS}
        one = table[f"scenario {i}, decisions"]
        assert isinstance(one.ours, str)
        assert profits[one.ours] == pytest.approx(max(profits.values()), abs=1e-9)
        is_best = profits[one.printed] > max(profits.values()) - 1e-9
        assert (one.verdict is Verdict.REPRODUCED) == is_best


def test_what_section_2_4_says_of_the_data() -> None:
    rows = entries("Section 2.4")
    assert {case_of(preset).price for preset in CASES} == {56.0}
    assert rows["scenario 4, price, to scenario 2"].verdict is Verdict.NOT_DERIVABLE
    # Table 3 of [L]: only the inspections of scenario 4 cost less; a return costs 30 and not 6.
    costs = rows["scenario 4, every cost, to scenario 2"]
    assert costs.verdict is Verdict.NOT_DERIVABLE
    assert costs.ours == "not purchases, assembly, dismantling, return"
    assert rows["scenario 6, price of both parts"].verdict is Verdict.REPRODUCED


def test_decisions_that_earn_the_same_are_told_apart_by_the_printed_ones() -> None:
    scenario = scenario_of("cumcm-1")
    ship = with_rates(scenario, np.zeros(3))
    for dismantle in (False, True):
        printed = Decision(False, False, False, dismantle)
        assert best_by_recursion(ship, printed) == (printed, 28.0)


# --- the tree ---------------------------------------------------------------------------------


def test_the_tree_of_two_parts_is_the_recursion() -> None:
    scenario = scenario_of("cumcm-5")
    _, _, value = best_of_tree(scenario, np.zeros(4, np.bool_))
    assert value == pytest.approx(best_by_recursion(scenario, ALL)[1])


def test_the_tree_that_inspects_all() -> None:
    scenario = scenario_of("cumcm-8part")
    flags = np.ones((1, 12), np.bool_), np.ones((1, 4), np.bool_)
    bought = {"semi_1": (2, 8, 12), "semi_2": (2, 8, 12), "semi_3": (8, 12)}
    tests = {"semi_1": (1, 1, 2), "semi_2": (1, 1, 2), "semi_3": (1, 2)}
    semis = 0.0
    for name, prices in bought.items():
        parts = sum((c + t) / 0.9 for c, t in zip(prices, tests[name], strict=True))
        semis += (parts + 8 + 4 + 0.1 * (6 - sum(prices))) / 0.9
    total = (semis + 8 + 6 + 0.1 * (10 - semis)) / 0.9
    assert printed_profits(scenario, *flags)[0, 0] == pytest.approx(200 - total)


def test_semi_products_are_better_not_inspected_by_the_recursion() -> None:
    parts = (2 + 1, 8 + 1, 12 + 2, 2 + 1, 8 + 1, 12 + 2, 8 + 1, 12 + 2)
    semis = sum(parts) / 0.9 + 3 * 8
    good = 0.9**4
    total = (semis + 8 + 6 + (1 - good) * (10 - semis)) / good
    table = entries("Table 3")
    assert table["profit"].ours == pytest.approx(200 - total)
    for name in ("semi_product_1", "semi_product_2", "semi_product_3"):
        assert table[f"inspect {name}"].verdict is Verdict.NOT_DERIVABLE
    others = [f"part_{i}" for i in range(1, 9)] + ["product"]
    assert all(table[f"inspect {name}"].verdict is Verdict.REPRODUCED for name in others)


def test_table_3() -> None:
    table = entries("Table 3")
    one = table["profit"]
    assert one.verdict is Verdict.IMPOSSIBLE
    assert one.bound is not None
    assert one.bound.limit == 200 - (2 + 8 + 12 + 2 + 8 + 12 + 8 + 12) - 4 * 8 == 104
    quoted = {name for name, x in table.items() if x.note == DATA_SAYS and x.ours is not None}
    wrong = {name for name in quoted if table[name].verdict is not Verdict.REPRODUCED}
    assert wrong == {"inspection cost of semi_product_1", "inspection cost of product"}
    worth = next(x for x in papers.ledger(NAME).policies if x.problem == "cumcm-8part")
    assert round(worth.optimum, 4) == 60.2222  # docs/theory/assembly.md
    assert 0 < worth.regret < worth.value < one.bound.limit


def test_the_printed_tree_in_the_exact_model() -> None:
    # All is known good or known bad: each failed assembly costs its tests and its dismantling again.
    semis = 0.0
    for parts in (2 + 1, 8 + 1, 12 + 2), (2 + 1, 8 + 1, 12 + 2), (8 + 1, 12 + 2):
        semis += sum(parts) / 0.9 + (8 + 4) / 0.9 + 6 * 0.1 / 0.9
    product_ = semis + (8 + 6) / 0.9 + 10 * 0.1 / 0.9
    worth = next(x for x in papers.ledger(NAME).policies if x.problem == "cumcm-8part")
    assert worth.value == pytest.approx(200 - product_)


# --- estimated rates --------------------------------------------------------------------------


def test_posterior_means() -> None:
    np.testing.assert_allclose(posterior_means(scenario_of("cumcm-1")), [[11 / 102] * 3])
    np.testing.assert_allclose(posterior_means(scenario_of("cumcm-6")), [[6 / 102] * 3])


@pytest.mark.parametrize("preset", ["cumcm-1", "cumcm-5"])
def test_expected_profit_in_closed_form(preset: str) -> None:
    # Inspect all, scrap: cost ((c1 + t1)/(1−p1) + (c2 + t2)/(1−p2) + ca + tf) / (1−pa), and under
    # Beta(a, b) the mean of 1 / (1 − p) is (a + b − 1) / (b − 1) = 101 / (100 − k).
    case = case_of(preset)
    inverse = [101 / (100 - round(100 * rate)) for rate in case.defect_rates]
    (c1, c2), (t1, t2, tf) = case.purchase_costs, case.inspection_costs
    cost = (c1 + t1) * inverse[0] + (c2 + t2) * inverse[1] + case.assembly_cost + tf
    index = DECISIONS.index(Decision(True, True, True, False))
    expected = expected_profits(scenario_of(preset))
    assert expected[index] == pytest.approx(case.price - cost * inverse[2], abs=1e-10)


def test_quadrature_has_converged() -> None:
    for preset in ("cumcm-2", "cumcm-4"):
        coarse, fine = (expected_profits(scenario_of(preset), points) for points in (16, 24))
        np.testing.assert_allclose(coarse, fine, atol=1e-10)


def test_uncertainty_costs_money_by_the_recursion() -> None:
    for preset in ("cumcm-2", "cumcm-4"):
        scenario = scenario_of(preset)
        at_means = printed_profits(scenario, *decisions_as_arrays(), posterior_means(scenario))
        # A cost of 1 / (1 − p) is convex: each decision earns less than at the mean rates.
        assert (expected_profits(scenario) < at_means[:, 0]).all()
        one = entries("Section 4.2")[f"scenario {preset[-1]}, E[V(p)] and V(E[p])"]
        assert one.verdict is Verdict.REPRODUCED


def test_table_4() -> None:
    table = entries("Table 4")
    assert len(table) == 8
    printed = {"2, at p": -4.85, "2, at E[p]": -6.91, "4, at p": 2.05, "4, at E[p]": 1.12}
    for name, value in printed.items():
        one = table[f"scenario {name}, profit"]
        assert float(one.printed) == value
        assert one.verdict is Verdict.NOT_DERIVABLE
    # The product's inspection, said to become worth it at E[p] in scenario 4, is so at p already.
    assert table["scenario 4, at p, decisions"].ours == table["scenario 4, at E[p], decisions"].ours
    assert str(table["scenario 4, at p, decisions"].ours).endswith("yes")


# --- certainty equivalence --------------------------------------------------------------------


def test_what_certainty_equivalence_loses() -> None:
    worths = [one for one in papers.ledger(NAME).policies if one.where.startswith("Section 4.3")]
    losses = {one.problem: one.regret for one in worths}
    assert len(losses) == 12
    for preset in CASES:
        scenario = without_tests(preset)
        profits, expected = at_means_and_expected(scenario)
        loss = expected.max() - expected[profits.argmax()]
        assert losses[f"{preset}, posteriors of 100, no test"] == pytest.approx(loss, abs=1e-8)
        value = value_of_information(
            validated(PilotRunScenario, PilotRunScenario.presets[preset], "")
        )
        loss = value.sequential - value.certainty_equivalent
        assert losses[f"PilotRun-v0 {preset}"] == pytest.approx(loss, abs=1e-8)
    # Only in scenario 6 is another plan best in expectation than at the mean rates.
    assert [name[:7] for name, loss in losses.items() if "100" in name and loss > 1e-6] == [
        "cumcm-6"
    ]


def at_means_and_expected(scenario: PilotRunScenario) -> tuple[np.ndarray, np.ndarray]:
    """Return the profits of the sixteen plans at the mean rates, and expected by quadrature."""
    rules, means, record = [], [], scenario.record()[0]
    for node in scenario.in_order:
        rate = node.defect_rate
        assert isinstance(rate, BetaRate)
        nodes, weights = roots_jacobi(8, rate.b - 1.0, rate.a - 1.0)
        rules.append((0.5 * (nodes + 1.0), weights / weights.sum()))
        means.append(rate.a / (rate.a + rate.b))

    def profits(rates: tuple[float, ...]) -> np.ndarray:
        moments = moments_at(*rates)
        return np.array([order_profit(record, plan, moments) for plan in range(16)])

    points = product(*(rule[0] for rule in rules))
    weights = product(*(rule[1] for rule in rules))
    expected = sum(
        math.prod(weight) * profits(rates) for rates, weight in zip(points, weights, strict=True)
    )
    return profits(tuple(means)), np.asarray(expected)
