"""What plans earn at given rates, what tests tell, what an episode pays."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from two_part_chain import chain_profit, costs_of

import qc_gym  # noqa: F401
from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.pilot.dynamics import moments_at, order_profit
from qc_gym.pilot.plans import Plan
from qc_gym.pilot.scenario import PilotRunScenario

ID = "qc_gym/PilotRun-v0"
PRESETS = PilotRunScenario.presets
PUBLISHED = (18.9222, 12.0, 16.5889, 14.75, 15.45, 21.6787)
"""What the best static plan of cases 1 to 6 earns; the best of each is known to four decimals."""
RATES = st.floats(0.0, 0.97)
MONEY = st.floats(0.0, 100.0)


def profits_at(scenario: Any, rates: tuple[float, float, float]) -> list[float]:
    """Return what each plan earns on the order at given rates."""
    moments = moments_at(*rates)
    return [order_profit(scenario.record()[0], plan, moments) for plan in range(16)]


@pytest.mark.parametrize(("case", "published"), tuple(enumerate(PUBLISHED, 1)))
def test_the_best_plan_at_the_rates_of_the_cases(case: int, published: float) -> None:
    scenario = PilotRunScenario.parse(
        {**AssemblyScenario.presets[f"cumcm-{case}"], "order_size": 1}
    )
    assert isinstance(scenario, PilotRunScenario)
    part_1, part_2, product = (node.mean_rate for node in scenario.in_order)
    assert max(profits_at(scenario, (part_1, part_2, product))) == pytest.approx(
        published, abs=5e-5
    )


@given(
    rates=st.tuples(RATES, RATES, RATES),
    money=st.lists(MONEY, min_size=8, max_size=8),
    order_size=st.integers(1, 1000),
)
@settings(max_examples=40, deadline=None)
def test_plans_earn_what_the_chain_of_items_earns(
    rates: tuple[float, float, float], money: list[float], order_size: int
) -> None:
    fields: dict[str, Any] = {
        "price": 50.0,
        "return_loss": money[7],
        "order_size": order_size,
        "nodes": {
            "one": {"defect_rate": 0.1, "purchase_cost": money[0], "inspection_cost": money[1]},
            "two": {"defect_rate": 0.1, "purchase_cost": money[2], "inspection_cost": money[3]},
            "both": {
                "children": ["one", "two"],
                "defect_rate": 0.1,
                "assembly_cost": money[4],
                "inspection_cost": money[5],
                "dismantle_cost": money[6],
            },
        },
    }
    scenario = PilotRunScenario.parse(fields)
    assert isinstance(scenario, PilotRunScenario)
    costs = costs_of(scenario)
    for number, profit in enumerate(profits_at(scenario, rates)):
        expected = order_size * chain_profit(costs, Plan.of(number), rates)
        assert profit == pytest.approx(expected, rel=1e-9, abs=1e-9 * order_size * 50.0)


@pytest.mark.parametrize("preset", PRESETS)
def test_an_episode(preset: str) -> None:
    env = gym.make(ID, scenario=preset)
    blind = gym.make(ID, scenario=preset, observation="outcome")
    scenario: Any = env.unwrapped.scenario
    nodes = scenario.in_order
    shown, info = env.reset(seed=3)
    seen, _ = blind.reset(seed=3)
    rates = env.unwrapped.state["rate"]
    tested, defective, made, last = [0, 0, 0], [0, 0, 0], 0, -1
    most = sum(node.max_samples for node in nodes)
    found = False
    while info["action_mask"][:3].any():
        np.testing.assert_allclose(shown, belief(scenario, tested, defective), rtol=1e-6)
        outcome = [float(k == last) for k in range(3)] + [float(found), made / most]
        np.testing.assert_array_equal(seen, np.array(outcome, np.float32))
        assert info["action_mask"].tolist()[:3] == [
            int(tested[k] < nodes[k].max_samples) for k in range(3)
        ]
        last = int(np.flatnonzero(info["action_mask"][:3])[made % info["action_mask"][:3].sum()])
        shown, reward, terminated, truncated, info = env.step(last)
        seen, *_ = blind.step(last)
        assert (reward, terminated, truncated) == (-nodes[last].sample_cost, False, False)
        found = bool(env.unwrapped.state["d"][last] > defective[last])
        tested[last] += 1
        defective[last] += found
        made += 1
    assert made == most
    _, reward, terminated, *_ = env.step(3 + 6)
    assert terminated
    expected = chain_profit(costs_of(scenario), Plan.of(6), rates.tolist())
    assert reward == pytest.approx(scenario.order_size * expected, rel=1e-9)


def belief(scenario: Any, tested: list[int], defective: list[int]) -> list[float]:
    """Return the belief observation, from the moments of Beta distributions."""
    numbers: list[float] = []
    for node, n, d in zip(scenario.in_order, tested, defective, strict=True):
        if isinstance(node.defect_rate, float):
            numbers += [0.0, 0.0, node.defect_rate, 0.0]
            continue
        a, b = node.defect_rate.a + d, node.defect_rate.b + n - d
        variance = a * b / ((a + b) ** 2 * (a + b + 1))
        most = node.max_samples
        shares = [n / most, d / most] if most else [0.0, 0.0]
        numbers += [*shares, a / (a + b), 2.0 * np.sqrt(variance)]
    return numbers


def test_a_test_that_is_not_allowed_commits_to_plan_0() -> None:
    env = gym.make(ID, scenario="new-supplier")
    env.reset(seed=0)
    rates = env.unwrapped.state["rate"].tolist()
    _, reward, terminated, *_ = env.step(0)  # the board's rate is known
    scenario: Any = env.unwrapped.scenario
    assert terminated
    expected = chain_profit(costs_of(scenario), (False,) * 4, rates)
    assert reward == pytest.approx(scenario.order_size * expected, rel=1e-9)


def test_true_rates_are_drawn_from_their_priors_and_tests_from_them() -> None:
    vector = gym.make_vec(ID, num_envs=20_000, scenario="cumcm-5")
    vector.reset(seed=5)
    rates = vector.unwrapped.states["rate"]
    for k, node in enumerate(PRESETS["cumcm-5"]["nodes"].values()):
        a, b = node["defect_rate"]["a"], node["defect_rate"]["b"]
        mean, variance = a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))
        assert abs(rates[:, k].mean() - mean) < 4 * np.sqrt(variance / len(rates))
        assert rates[:, k].var() == pytest.approx(variance, rel=0.06)
    for _ in range(5):
        vector.step(np.full(len(rates), 1))
    found = vector.unwrapped.states["d"][:, 1]
    spread = np.sqrt((5 * rates[:, 1] * (1 - rates[:, 1])).sum())
    assert abs(found.sum() - 5 * rates[:, 1].sum()) < 4 * spread


def test_plans_in_words() -> None:
    names = ("cell", "case", "battery")
    assert Plan.of(0).words(names) == "inspect nothing, scrap what fails"
    assert Plan.of(8).words(names) == "inspect cell, scrap what fails"
    assert Plan.of(7).words(names) == "inspect case and battery, dismantle what fails"
    assert Plan.of(15).words(names) == "inspect cell, case and battery, dismantle what fails"
