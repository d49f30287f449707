"""A bill of materials, in which a part is used in several places, is the tree that it spells out."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import baselines
from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.core.ranges import ScenarioRange

ID = "qc_gym/Assembly-v0"


def assembly(*children: Any, rate: float = 0.05) -> dict[str, Any]:
    costs = {"assembly_cost": 6.0, "inspection_cost": 3.0, "dismantle_cost": 5.0}
    return {"children": list(children), "defect_rate": rate, **costs}


def part(rate: float) -> dict[str, Any]:
    return {"defect_rate": rate, "purchase_cost": 4.0, "inspection_cost": 2.0}


def parse(nodes: dict[str, Any]) -> AssemblyScenario:
    found = AssemblyScenario.parse({"price": 90.0, "return_loss": 20.0, "nodes": nodes})
    assert isinstance(found, AssemblyScenario)
    return found


BILL = {
    "bolt": part(0.02),
    "plate": part(0.1),
    "frame": assembly("plate", {"part": "bolt", "quantity": 2}),
    "product": assembly("frame", "bolt"),
}
SPELLED_OUT = {
    "plate": part(0.1),
    "bolt 1": part(0.02),
    "bolt 2": part(0.02),
    "bolt 3": part(0.02),
    "frame": assembly("plate", "bolt 1", "bolt 2"),
    "product": assembly("frame", "bolt 3"),
}


def test_a_bill_is_the_tree_that_it_spells_out() -> None:
    bill, tree = parse(BILL), parse(SPELLED_OUT)
    assert bill.order == tree.order == ("plate", "bolt 1", "bolt 2", "frame", "bolt 3", "product")
    assert [item.node for item in bill.tree.values()] == [
        "plate",
        "bolt",
        "bolt",
        "frame",
        "bolt",
        "product",
    ]
    assert bill.record().tobytes() == tree.record().tobytes()
    assert baselines.solve(ID, scenario=bill).value == baselines.solve(ID, scenario=tree).value
    assert baselines.plan(ID, scenario=bill).table() == baselines.plan(ID, scenario=tree).table()
    texts = []
    for scenario in (bill, tree):
        env = gym.make(ID, scenario=scenario, render_mode="ansi")
        env.reset(seed=3)
        for action in (1, 0, 1, 0, 0, 1):
            env.step(action)
        texts.append(env.render())
    assert texts[0] == texts[1]
    assert "bolt 1" in str(texts[0])


def test_as_often_by_name_is_a_quantity() -> None:
    by_name = {**BILL, "frame": assembly("plate", "bolt", {"part": "bolt"})}
    assert parse(by_name).tree == parse(BILL).tree
    assert parse(by_name) != parse(BILL)  # written otherwise, and kept as it is written


def test_a_shared_assembly_brings_its_parts_each_time() -> None:
    wheel = {"rim": part(0.03), "tyre": part(0.08), "wheel": assembly("rim", "tyre")}
    scenario = parse({**wheel, "axle": assembly("wheel", "wheel"), "cart": assembly("axle")})
    assert scenario.order == (
        "rim 1",
        "tyre 1",
        "wheel 1",
        "rim 2",
        "tyre 2",
        "wheel 2",
        "axle",
        "cart",
    )
    assert scenario.tree["wheel 2"].children == ("rim 2", "tyre 2")


@st.composite
def bills(draw: st.DrawFn) -> dict[str, Any]:
    """Draw nodes of which each is used by a later one, as often as it likes."""
    size = draw(st.integers(1, 5))
    nodes = {"0": part(draw(st.floats(0.0, 0.5)))}
    for i in range(1, size):
        below = [str(draw(st.integers(0, i - 1))) for _ in range(draw(st.integers(0, 2)))]
        last = {"part": str(i - 1), "quantity": draw(st.integers(1, 3))}
        nodes[str(i)] = assembly(*below, last, rate=draw(st.floats(0.0, 0.5)))
    return nodes


@given(nodes=bills())
def test_items_are_counted_once_for_each_use(nodes: dict[str, Any]) -> None:
    scenario = parse(nodes)
    sizes: dict[str, int] = {}
    for name, node in scenario.nodes.items():
        sizes[name] = 1 + sum(sizes[child] for child in node.parts)
    assert len(scenario.tree) == sizes[scenario.order[-1]]
    children = [child for item in scenario.tree.values() for child in item.children]
    assert sorted([*children, scenario.order[-1]]) == sorted(scenario.tree)  # each has one parent
    spelled_out = {
        name: {**nodes[item.node], **({"children": list(item.children)} if item.children else {})}
        for name, item in scenario.tree.items()
    }
    assert parse(spelled_out).record().tobytes() == scenario.record().tobytes()
    assert AssemblyScenario.parse(scenario.model_dump(mode="json")) == scenario


def test_a_field_that_varies_is_drawn_once_for_all_uses(tmp_path: Path) -> None:
    rate = {"low": 0.01, "high": 0.2}
    nodes = {**BILL, "bolt": {**part(0.02), "defect_rate": rate}}
    path = tmp_path / "bill.yaml"
    path.write_text(yaml.safe_dump({"price": 90, "return_loss": 20, "nodes": nodes}))
    spread = AssemblyScenario.parse(str(path))
    assert isinstance(spread, ScenarioRange)
    drawn = spread.draw(np.random.default_rng(0))
    assert isinstance(drawn, AssemblyScenario)
    rates = {drawn.tree[f"bolt {i}"].defect_rate for i in (1, 2, 3)}
    assert len(rates) == 1
    assert rates != {0.02}
    assert spread.features(drawn).shape == (1,)


def test_rates_that_cannot_be_followed_are_named_by_their_field() -> None:
    nodes = {**BILL, "bolt": part(1 - 1e-5)}
    with pytest.raises(ValueError, match=r"nodes\.bolt\.defect_rate = 0\.99999"):
        baselines.solve(ID, scenario={"price": 90.0, "return_loss": 20.0, "nodes": nodes})
