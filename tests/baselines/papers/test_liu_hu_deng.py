"""The recursion of [H] reproduces its Table 1; what its decisions earn is another matter."""

from __future__ import annotations

import math
from fractions import Fraction

import gymnasium as gym
import pytest

import baselines
from baselines import papers
from baselines.papers import Verdict
from baselines.papers.liu_hu_deng import printed_return, published_decisions
from baselines.papers.two_parts import CASES, DECISIONS, case_of

# Table 3 of [L]: rates, tests, return loss, dismantling; the parts cost 4 and 18, assembly 6, price 56.
DATA = (
    ((10, 10, 10), (2, 3, 3), 6, 5),
    ((20, 20, 20), (2, 3, 3), 6, 5),
    ((10, 10, 10), (2, 3, 3), 30, 5),
    ((20, 20, 20), (1, 1, 2), 30, 5),
    ((10, 20, 10), (8, 1, 2), 10, 5),
    ((5, 5, 5), (2, 3, 3), 10, 40),
)


def exact_return(case: int, s1: bool, s2: bool, s3: bool, s4: bool) -> Fraction:
    """The return of 100 pairs in rational arithmetic, stage by stage."""
    percents, (t1, t2, t3), m, h = DATA[case]
    r1, r2, r3 = (Fraction(percent, 100) for percent in percents)
    kept = min(1 - r1 if s1 else Fraction(1), 1 - r2 if s2 else Fraction(1))
    assembled = 100 * kept
    good = assembled * (1 if s1 else 1 - r1) * (1 if s2 else 1 - r2) * (1 - r3)
    stage_3 = Fraction(0)
    if s4:
        tests = (t1 if s1 else 0) + (t2 if s2 else 0) + (t3 + 6 if s3 else 0)
        stage_3 = (assembled - good) * (22 - h - tests) * kept
    sold = assembled * (1 - r3) * 56 - assembled * t3 if s3 else assembled * (56 - r3 * m)
    stage_1 = 2200 + (100 * t1 if s1 else 0) + (100 * t2 if s2 else 0)
    if not s3:
        stage_1 += 100 * m * ((0 if s1 else r1) + (0 if s2 else r2))
    return sold - 6 * assembled + stage_3 - stage_1


@pytest.mark.parametrize("case", range(6))
def test_the_recursion_in_rational_arithmetic(case: int) -> None:
    for decision in DECISIONS:
        expected = float(exact_return(case, *decision))
        assert printed_return(case_of(CASES[case]), decision) == pytest.approx(expected, rel=1e-12)


def test_table_1() -> None:
    returns = (3081, 3270, 2361, 1919, 2998, 2650)
    for case, (decision, printed) in enumerate(zip(published_decisions(), returns, strict=True)):
        assert round(exact_return(case, *decision)) == printed
        assert all(
            exact_return(case, *other) <= exact_return(case, *decision) for other in DECISIONS
        )
    entries = [one for one in papers.ledger("liu-hu-deng").entries if one.where == "Table 1"]
    assert len(entries) == 12
    assert {one.verdict for one in entries} == {Verdict.REPRODUCED}


def test_returns_above_what_perfect_parts_would_earn_are_marked() -> None:
    marked = {one.printed for one in papers.ledger("liu-hu-deng").entries if one.is_bound_broken}
    # 100 good products sold for 56, made of parts for 22 and assembled for 6 each, earn 2800.
    assert marked == {"3081", "3270", "2998"}


def test_figure_2() -> None:
    rows = [one for one in papers.ledger("liu-hu-deng").entries if one.where == "Figure 2"]
    z = 1.2815515655446004  # the 90 % quantile
    for one, rate in zip(rows, (0.04, 0.08), strict=True):
        assert one.ours == math.ceil(rate * (1 - rate) * (z / (0.10 - rate)) ** 2)
        assert one.verdict is Verdict.REPRODUCED
    assert "302" in rows[1].note  # by the printed z = 1.28: .0736 · 64² = 301.5


def test_true_profits() -> None:
    policies = papers.ledger("liu-hu-deng").policies
    # Case 6 ships all and scraps what comes back: 28 a build, 10 a return, until one is good.
    good = 0.95**3
    assert policies[5].value == pytest.approx(56 - (28 + 10 * (1 - good)) / good, abs=1e-9)
    assert policies[5].regret == pytest.approx(0.0, abs=1e-9)
    assert all(policy.regret > 0.3 for policy in policies[:5])
    for policy, preset in zip(policies, CASES, strict=True):
        optimum = baselines.solve(gym.make("qc_gym/Assembly-v0", scenario=preset)).value
        assert policy.regret == pytest.approx(optimum - policy.value, abs=1e-12)
        assert policy.value < 28.0


def test_risks_of_the_plans_are_binomial_sums() -> None:
    plans = papers.ledger("liu-hu-deng").plans
    assert len(plans) == 8 + 5
    for plan in plans:
        n, c = (int(text.split(" = ")[1]) for text in plan.plan.split(", "))
        accept = [
            sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(c + 1))
            for p in (plan.good, plan.bad)
        ]
        assert plan.producer_risk == pytest.approx(1 - accept[0], abs=1e-12)
        assert plan.consumer_risk == pytest.approx(accept[1], abs=1e-12)
        assert plan.asn_good == plan.asn_bad == n
    # The paper asks for a second error of at most .1, and designs for it at rates that are good.
    assert min(plan.consumer_risk for plan in plans) > 0.4
