"""Static policies against a Markov chain, the belief model, a simulation, and published optima."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.assembly.model import build_model
from baselines.assembly.static import (
    GRID_SIZES,
    StaticPolicy,
    assemblies,
    enumerate_static,
    evaluate_static,
    law_grid,
)
from baselines.assembly.static_search import (
    always_inspect,
    best_static,
    myopic_actions,
    never_inspect,
    static_actions,
)
from baselines.core.solver import evaluate
from qc_gym.assembly.scenario import AssemblyScenario

# Known optima, published to four decimals.
OPTIMA = {
    "cumcm-1": 18.9222,
    "cumcm-2": 12.0000,
    "cumcm-3": 16.6533,
    "cumcm-4": 14.7500,
    "cumcm-5": 15.4500,
    "cumcm-6": 21.6787,
    "cumcm-8part": 60.2222,
}


def preset(name: str, **changes: Any) -> AssemblyScenario:
    return AssemblyScenario(**{**AssemblyScenario.presets[name], **changes})


def value_of(scenario: AssemblyScenario, policy: StaticPolicy) -> float:
    inspect = np.array([[policy.inspect[name] for name in scenario.order]])
    dismantle = np.array([[policy.dismantle[name] for name in assemblies(scenario)]])
    return float(evaluate_static(scenario, inspect, dismantle.reshape(1, -1))[0])


rates = st.one_of(st.just(0.0), st.floats(0.001, 0.7))
money = st.floats(0.0, 20.0)


@st.composite
def trees(draw: st.DrawFn, most_parts: int, rates: st.SearchStrategy[float]) -> AssemblyScenario:
    nodes: dict[str, Any] = {}

    def common() -> dict[str, float]:
        return {"defect_rate": draw(rates), "inspection_cost": draw(money)}

    free = [f"part_{i}" for i in range(draw(st.integers(1, most_parts)))]
    for name in free:
        nodes[name] = {**common(), "purchase_cost": draw(money)}
    while len(free) > 1 or not draw(st.booleans()):
        children = [
            free.pop() for _ in range(draw(st.integers(min(len(free), 2), min(len(free), 4))))
        ]
        name = f"assembly_{len(nodes)}"
        nodes[name] = {
            **common(),
            "children": children,
            "assembly_cost": draw(money),
            "dismantle_cost": draw(money),
        }
        free.append(name)
        if len(free) == 1:
            break
    failures = draw(st.integers(0, 2))
    return AssemblyScenario(
        price=100.0, return_loss=draw(money), max_blind_failures=failures, nodes=nodes
    )


# --- the two-part product as a Markov chain on what is really so --------------------------------

KNOWN, GOOD, BAD = 0, 1, 2


def chain_value(scenario: AssemblyScenario, inspect: Any, dismantle: bool) -> float:
    """Profit from the nine states (part 1, part 2) about to be assembled."""
    *parts, product = (scenario.nodes[name] for name in scenario.order)

    def new(i: int) -> tuple[float, list[float]]:
        part, p = parts[i], parts[i].defect_rate
        if inspect[i]:
            return (part.make_cost + part.inspection_cost) / (1 - p), [1.0, 0.0, 0.0]
        return part.make_cost, [0.0, 1 - p, p]

    states = list(itertools.product(range(3), repeat=2))
    matrix, costs = np.eye(9), np.zeros(9)
    for row, state in enumerate(states):
        fails = 1.0 if BAD in state else product.defect_rate
        costs[row] = product.make_cost
        costs[row] += product.inspection_cost if inspect[2] else fails * scenario.return_loss
        is_blind = state != (KNOWN, KNOWN)
        taken_apart = dismantle and not (is_blind and scenario.max_blind_failures == 0)
        costs[row] += fails * (product.dismantle_cost or 0.0) * taken_apart
        laws = []
        for i, what in enumerate(state):
            cost, law = new(i)
            if taken_apart:
                costs[row] += fails * parts[i].inspection_cost * (what != KNOWN)
                if what != BAD:
                    cost, law = 0.0, [1.0, 0.0, 0.0]
            costs[row] += fails * cost
            laws.append(law)
        for column, (one, two) in enumerate(states):
            matrix[row, column] -= fails * laws[0][one] * laws[1][two]
    expected = np.linalg.solve(matrix, costs)
    first = [new(i) for i in range(2)]
    start = sum(cost for cost, _ in first)
    start += np.outer(first[0][1], first[1][1]).ravel() @ expected
    return float(scenario.price - start)


@st.composite
def two_part_products(draw: st.DrawFn) -> AssemblyScenario:
    any_rate = st.one_of(rates, st.floats(0.9, 0.9999))
    shared = [{"defect_rate": draw(any_rate), "inspection_cost": draw(money)} for _ in range(3)]
    nodes = {f"part_{i}": {**shared[i], "purchase_cost": draw(money)} for i in range(2)}
    costs = {"assembly_cost": draw(money), "dismantle_cost": draw(money)}
    return AssemblyScenario(
        price=100.0,
        return_loss=draw(money),
        max_blind_failures=draw(st.integers(0, 2)),
        nodes={**nodes, "product": {**shared[2], **costs, "children": list(nodes)}},
    )


@settings(max_examples=60, deadline=None)
@given(two_part_products())
def test_the_value_is_that_of_a_markov_chain(scenario: AssemblyScenario) -> None:
    inspect, dismantle, values = enumerate_static(scenario)
    expected = [
        chain_value(scenario, *flags) for flags in zip(inspect, dismantle[:, 0], strict=True)
    ]
    np.testing.assert_allclose(values, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("p", [0.3, 0.9, 0.999, 1 - 1e-5, 1 - 1e-8])
@pytest.mark.parametrize("q", [0.0, 0.2, 0.99])
def test_long_laws(p: float, q: float) -> None:
    good = np.array([1 - p])
    grid = next(
        grid
        for grid in map(law_grid, GRID_SIZES)
        if grid.is_exact(grid.geometric(good)).all() and grid.points[-1] > 5000
    )
    law = grid.geometric(good)
    assert law @ grid.weights == pytest.approx(p / good, rel=1e-12)
    assert grid.chances(law) @ grid.weights == pytest.approx(1.0, rel=1e-12)
    longer = grid.add_faults(law, q)
    assert longer @ grid.weights == pytest.approx(p / good + q / (1 - q), rel=1e-12)
    # P(X + G = n) = (1−p)(1−q) (p^(n+1) − q^(n+1)) / (p − q), summed over n > r.
    n = grid.points + 1
    p_part = p * (1 - q) * np.exp(n * np.log(p))
    q_part = q * (1 - p) * (q**n)
    np.testing.assert_allclose(longer[0], (p_part - q_part) / (p - q), rtol=1e-9, atol=1e-13)


# --- any tree, by simulation ---------------------------------------------------------------------


@dataclass
class Item:
    is_bad: bool
    is_known: bool = False
    children: dict[str, Item] = field(default_factory=dict)


@dataclass
class Workshop:
    """The environment's rules, played with real items."""

    scenario: AssemblyScenario
    policy: StaticPolicy
    random: np.random.Generator
    spent: float = 0.0

    def make(self, name: str) -> Item:
        children = self.scenario.nodes[name].children or ()
        return self.finish(name, {child: self.make(child) for child in children})

    def finish(self, name: str, children: dict[str, Item]) -> Item:
        """Buy or assemble, and inspect if the flag says so."""
        node = self.scenario.nodes[name]
        self.spent += node.make_cost
        is_bad = any(child.is_bad for child in children.values())
        is_bad |= bool(self.random.random() < node.defect_rate)
        item = Item(is_bad, False, children)
        if self.policy.inspect[name]:
            item = self.inspect(name, item)
        return item

    def inspect(self, name: str, item: Item) -> Item:
        self.spent += self.scenario.nodes[name].inspection_cost
        if item.is_bad:
            return self.repair(name, item)
        self.verify(item)
        return item

    def verify(self, item: Item) -> None:
        item.is_known = True
        for child in item.children.values():
            self.verify(child)

    def repair(self, name: str, item: Item) -> Item:
        if not item.children or not self.policy.dismantle[name]:
            return self.make(name)
        if not self.scenario.max_blind_failures and not all(
            child.is_known for child in item.children.values()
        ):
            return self.make(name)
        self.spent += self.scenario.nodes[name].dismantle_cost or 0.0
        children = {
            child: part if part.is_known else self.inspect(child, part)
            for child, part in item.children.items()
        }
        return self.finish(name, children)

    def sell(self) -> float:
        root = self.scenario.order[-1]
        item = self.make(root)
        while item.is_bad:
            self.spent += self.scenario.return_loss
            item = self.repair(root, item)
        return self.scenario.price - self.spent


@pytest.mark.parametrize("max_blind_failures", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_the_value_is_the_mean_of_a_simulation(seed: int, max_blind_failures: int) -> None:
    scenario = preset("gearbox", max_blind_failures=max_blind_failures)
    random = np.random.default_rng(seed)
    blind = seed == 0  # the hardest: nothing inspected when new, everything dismantled
    policy = StaticPolicy(
        {name: not blind and bool(random.random() < 0.4) for name in scenario.order},
        {name: blind or bool(random.random() < 0.7) for name in assemblies(scenario)},
        np.nan,
    )
    profits = [Workshop(scenario, policy, random).sell() for _ in range(20_000)]
    error = np.std(profits) / np.sqrt(len(profits))
    assert abs(np.mean(profits) - value_of(scenario, policy)) < 4 * error
    assert error < 1.5


# --- on belief states ----------------------------------------------------------------------------


@pytest.mark.parametrize("max_blind_failures", [0, 1, 2])
@pytest.mark.parametrize("name", ["cumcm-1", "cumcm-3", "single-part", "gearbox"])
def test_as_a_table_it_earns_the_same(name: str, max_blind_failures: int) -> None:
    scenario = preset(name, max_blind_failures=max_blind_failures)
    tables = build_model(scenario)
    inspect, dismantle, values = enumerate_static(scenario)
    rows = np.arange(len(values))
    if len(rows) > 60:
        rows = np.random.default_rng(7).choice(rows, 60, replace=False)
    refused = 0
    for row in rows:
        policy = StaticPolicy(
            dict(zip(scenario.order, inspect[row].tolist(), strict=True)),
            dict(zip(assemblies(scenario), dismantle[row].tolist(), strict=True)),
            float(values[row]),
        )
        try:
            actions = static_actions(scenario, policy, tables)
        except ValueError:
            refused += 1
            continue
        assert evaluate(tables, actions).value == pytest.approx(values[row], rel=1e-9)
    if max_blind_failures == 0 or name == "single-part":
        assert refused == 0
    elif name.startswith("cumcm"):
        assert refused == 2  # both parts blind and dismantled; the product inspected or not
    else:
        assert refused < len(rows) / 2


def test_a_policy_that_needs_memory_is_refused_as_a_table() -> None:
    scenario = preset("cumcm-1")
    parts = {"part_1": False, "part_2": False, "product": True}
    policy = StaticPolicy(parts, {"product": True}, 0.0)
    with pytest.raises(
        ValueError, match="'product' is dismantled and its children 'part_1', 'part_2'"
    ):
        static_actions(scenario, policy, build_model(scenario))
    with pytest.raises(ValueError, match="another scenario"):
        static_actions(scenario, never_inspect(scenario), build_model(preset("cumcm-2")))


def test_reference_policies() -> None:
    scenario = preset("cumcm-1")
    # By hand: each attempt costs 28 and succeeds with .9³, each failure is a return of 6.
    assert never_inspect(scenario).value == pytest.approx(56 - 28 / 0.729 - 6 * 0.271 / 0.729)
    # (4 + 2 + 18 + 3) / .9, then 6 + 3 for each of 1 / .9 builds and 5 for each of 1 / 9 failures.
    assert always_inspect(scenario).value == pytest.approx(56 - 30 - 10 - 5 / 9)


def test_myopic_answers() -> None:
    # By hand: everything pays in case 4 and nothing in case 6, which is optimal in both.
    for name in ("cumcm-4", "cumcm-6"):
        tables = build_model(preset(name))
        assert evaluate(tables, myopic_actions(tables)).value == pytest.approx(
            OPTIMA[name], abs=5e-5
        )
    # Case 1: a failed build costs 6 + 3 + 5 = 14, and .1 × 14 is less than the inspection's 2; but a
    # customer's return costs 6, and .271 × 6 is less than 3.
    tables = build_model(preset("cumcm-1"))
    assert myopic_actions(tables)[tables.initial_states] == [0]
    assert evaluate(tables, myopic_actions(tables)).value < OPTIMA["cumcm-1"]


# --- all of them, and the best -------------------------------------------------------------------


@pytest.mark.parametrize(("name", "optimum"), OPTIMA.items())
def test_the_best_static_policy_against_the_optimum(name: str, optimum: float) -> None:
    scenario = preset(name)
    inspect, dismantle, values = enumerate_static(scenario)
    assert len(values) == (65_536 if name == "cumcm-8part" else 16)
    assert len(np.unique(np.hstack([inspect, dismantle]), axis=0)) == len(values)
    best = best_static(scenario)
    assert best.value == pytest.approx(values.max(), rel=1e-12)
    assert best.value <= optimum + 5e-5
    # In the other cases the optimum inspects what it recovers, as a static policy does.
    if name == "cumcm-3":
        assert best.value < optimum - 0.05
    else:
        assert best.value == pytest.approx(optimum, abs=5e-5)


@settings(max_examples=60, deadline=None)
@given(trees(most_parts=4, rates=rates))
def test_the_search_finds_the_best(scenario: AssemblyScenario) -> None:
    _, _, values = enumerate_static(scenario)
    best = best_static(scenario)
    assert best.value == pytest.approx(values.max(), rel=1e-9, abs=1e-9)
    assert value_of(scenario, best) == pytest.approx(best.value, rel=1e-9, abs=1e-9)


def test_thousands_of_parts() -> None:
    random = np.random.default_rng(5)

    def common() -> dict[str, float]:
        return {
            "defect_rate": random.uniform(0.01, 0.3),
            "inspection_cost": random.uniform(0.0, 4.0),
        }

    free = [f"part_{i}" for i in range(2000)]
    nodes: dict[str, Any] = {
        name: {**common(), "purchase_cost": random.uniform(1.0, 10.0)} for name in free
    }
    while len(free) > 1:
        size = min(len(free), int(random.integers(2, 6)))
        children = [free.pop(random.integers(len(free))) for _ in range(size)]
        costs = {
            "assembly_cost": random.uniform(1.0, 10.0),
            "dismantle_cost": random.uniform(0.0, 12.0),
        }
        free.append(f"assembly_{len(nodes)}")
        nodes[free[-1]] = {**common(), **costs, "children": children}
    scenario = AssemblyScenario(price=0.0, return_loss=50.0, nodes=nodes)
    best = best_static(scenario)
    assert value_of(scenario, best) == pytest.approx(best.value, rel=1e-12)
    # No single flag turned over is better.
    inspect = np.array([[best.inspect[name] for name in scenario.order]])
    dismantle = np.array([[best.dismantle[name] for name in assemblies(scenario)]])
    turned = np.repeat(inspect, 40, axis=0)
    turned[np.arange(40), random.choice(len(scenario.order), 40, replace=False)] ^= True
    assert (
        evaluate_static(scenario, turned, dismantle.repeat(40, axis=0)).max() <= best.value + 1e-6
    )


def test_wrong_arguments() -> None:
    scenario = preset("gearbox")
    with pytest.raises(ValueError, match=r"2\^10 static policies, more than max_policies = 1,000"):
        enumerate_static(scenario, max_policies=1000)
    with pytest.raises(ValueError, match=r"dismantle: shape \(1, 3\) is needed, got \(1, 2\)"):
        evaluate_static(scenario, np.zeros((1, 7), np.bool_), np.zeros((1, 2), np.bool_))
