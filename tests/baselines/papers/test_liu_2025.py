"""[L]: its objective as printed, solved twice, gives other decisions and profits than its Table 4."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from baselines import papers
from baselines.papers import Verdict
from baselines.papers.liu_2025 import (
    implied_lot_sizes,
    nearest_lot_size,
    objective_terms,
    printed_profit,
    solve_by_listing,
    solve_by_program,
)
from baselines.papers.two_parts import CASES, DECISIONS, Case, Decision, case_of

PRINTED = (34600, 14600, 36000, 24400, 31800, 36000)
PER_UNIT = (18.9, 12.8, 18.9, 13.8, 19.9, 21.7)


def test_the_objective_by_hand() -> None:
    # Case 1, (no, no, yes, yes): 56·.9 sold; 22 + 6 + 3 spent; a tenth dismantled at 5.
    assert printed_profit(case_of("cumcm-1"), Decision(False, False, True, True)) == pytest.approx(
        56 * 0.9 - 31 - 0.1 * 5
    )
    # Case 2, (yes, no, yes, no): 56·.8·.8 sold; .2·2 for tests; .2 + .8·.2 bad, a loss of 6 each.
    assert printed_profit(case_of("cumcm-2"), Decision(True, False, True, False)) == pytest.approx(
        56 * 0.64 - 31 - 0.4 - 0.36 * 6
    )
    # Case 5, (no, yes, yes, no): 56·.9·.8; .2·1 for tests, 2 for the product's; .1 + .9·.2, at 10.
    assert printed_profit(case_of("cumcm-5"), Decision(False, True, True, False)) == pytest.approx(
        56 * 0.72 - 28 - 2 - 0.2 - 0.28 * 10
    )

    # Case 1, all yes: 56·.9³ sold; .1·2 and .1·3 for tests; .1 + .9·.1 dismantled at 5.
    assert printed_profit(case_of("cumcm-1"), Decision(True, True, True, True)) == pytest.approx(
        56 * 0.729 - 31 - 0.5 - 0.19 * 5
    )


@pytest.mark.parametrize("preset", CASES)
def test_the_linearised_objective_is_the_printed_one(preset: str) -> None:
    terms = objective_terms(case_of(preset))
    for decision in DECISIONS:
        taken = {
            name for name, flag in zip(("x1", "x2", "xf", "xd"), decision, strict=True) if flag
        }
        value = sum(coefficient for term, coefficient in terms.items() if term <= taken)
        assert value == pytest.approx(printed_profit(case_of(preset), decision), abs=1e-12)


@pytest.mark.parametrize(("preset", "value"), [*zip(CASES, PER_UNIT, strict=True)])
def test_program_and_listing_agree(preset: str, value: float) -> None:
    listed, solved = solve_by_listing(case_of(preset)), solve_by_program(case_of(preset))
    assert solved[0] == listed[0]
    assert solved[1] == pytest.approx(listed[1], abs=1e-9)
    assert solved[1] == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_they_agree_on_other_data(seed: int) -> None:
    random = np.random.default_rng(seed)
    p1, p2, pf = random.uniform(0.0, 0.9, 3).tolist()
    c1, c2, ca, t1, t2, tf, cd, cr = random.uniform(0.0, 20.0, 8).tolist()
    price = float(random.uniform(0.0, 100.0))
    case = Case((p1, p2, pf), (c1, c2), ca, (t1, t2, tf), cd, cr, price)
    decision, value = solve_by_program(case)
    assert value == pytest.approx(max(printed_profit(case, each) for each in DECISIONS), abs=1e-6)
    assert printed_profit(case, decision) == pytest.approx(value, abs=1e-6)


def test_no_lot_size_gives_two_of_the_profits() -> None:
    # Even were they rounded to hundreds: the intervals of N are disjoint.
    intervals = sorted(
        ((printed - 50) / value, (printed + 50) / value)
        for printed, value in zip(PRINTED, PER_UNIT, strict=True)
    )
    assert all(before[1] < after[0] for before, after in pairwise(intervals))
    expected = [printed / value for printed, value in zip(PRINTED, PER_UNIT, strict=True)]
    np.testing.assert_allclose(implied_lot_sizes(), expected)


def test_the_nearest_lot_size_is_the_best_of_all() -> None:
    def worst(size: float) -> float:
        return max(
            abs(size * value / printed - 1)
            for printed, value in zip(PRINTED, PER_UNIT, strict=True)
        )

    nearest = nearest_lot_size()
    assert all(worst(nearest) <= worst(size) + 1e-12 for size in np.linspace(1000, 2000, 2001))


def test_table_4() -> None:
    table = {one.what: one for one in papers.ledger("liu-2025").entries if one.where == "Table 4"}
    profits = [table[f"case {i}, profit"] for i in range(1, 7)]
    assert {one.verdict for one in profits} == {Verdict.NOT_DERIVABLE}
    decisions = [table[f"case {i}, decision"].verdict for i in range(1, 7)]
    # Each (no, no, yes, …); dismantling at 5, or 40 in case 6, against a loss of 6, 30 or 10.
    assert decisions == [
        Verdict.REPRODUCED,
        *[Verdict.NOT_DERIVABLE] * 4,
        Verdict.REPRODUCED,
    ]


def test_what_the_paper_leaves_open() -> None:
    design, savings = papers.ledger("liu-2025").entries[:2]
    assert design.verdict is savings.verdict is Verdict.INPUTS_NOT_PRINTED
    assert design.missing == ("p1", "alpha", "beta")


def test_equation_11_as_printed_misses_the_consumers_risk() -> None:
    z_producer, z_consumer = 1.2815515655446004, 1.6448536269514722  # for .10 and .05
    meant, printed = papers.ledger("liu-2025").plans
    sizes = [int(plan.plan.split(",")[0].removeprefix("n = ")) for plan in (meant, printed)]
    assert sizes[0] >= ((z_producer * 0.3 + z_consumer * 0.4) / 0.1) ** 2

    def left_side(n: int) -> float:
        return (0.1 + z_producer * (n * 0.09) ** 0.5 - n * 0.2) / (n * 0.16) ** 0.5

    assert left_side(sizes[1]) <= -z_consumer < left_side(sizes[1] - 1)
    assert meant.consumer_risk < 0.06
    assert printed.consumer_risk > 0.3


def test_true_profits() -> None:
    policies = papers.ledger("liu-2025").policies
    assert [policy.problem for policy in policies] == list(CASES)
    assert all(policy.regret > 0.2 for policy in policies)
    # Case 3, (no, no, yes, no), scraps what fails: 31 for each build until one is good.
    assert policies[2].value == pytest.approx(56 - 31 / 0.9**3)
