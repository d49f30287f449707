"""The optimum against every history, enumerated by a filter that shares no code with it."""

from typing import Any

import pytest
from assembly_histories import Histories
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.assembly import AssemblyOptimum, build_model
from qc_gym.assembly.scenario import AssemblyScenario

LOW = -1e4
RATE = st.integers(1, 8).map(lambda twentieths: twentieths / 20)
MONEY = st.floats(0.0, 30.0).map(lambda amount: round(amount, 2))


def part(draw: st.DrawFn) -> dict[str, float]:
    return {
        "defect_rate": draw(RATE),
        "purchase_cost": draw(MONEY),
        "inspection_cost": draw(MONEY),
    }


def assembly(draw: st.DrawFn, *children: str) -> dict[str, Any]:
    return {
        "children": list(children),
        "defect_rate": draw(RATE),
        "assembly_cost": draw(MONEY),
        "inspection_cost": draw(MONEY),
        "dismantle_cost": draw(MONEY) / 3,
    }


@st.composite
def products(draw: st.DrawFn, is_deep: bool) -> dict[str, Any]:
    """Draw two parts and a product, or one part in a part of the product."""
    nodes = {"part_1": part(draw), "part_2": part(draw)}
    children = ["part_1", "part_2"]
    if is_deep:
        nodes["inner"] = assembly(draw, "part_1")
        children = ["inner", "part_2"]
    nodes["product"] = assembly(draw, *children)
    return {
        "price": draw(MONEY),
        "return_loss": draw(MONEY),
        "max_blind_failures": draw(st.integers(0, 1 if is_deep else 2)),
        "discard_recovered": draw(st.booleans()),
        "nodes": nodes,
    }


def agree(fields: dict[str, Any]) -> None:
    scenario = AssemblyScenario.parse(fields)
    assert isinstance(scenario, AssemblyScenario)
    value = AssemblyOptimum.of(build_model(scenario)).value
    histories, failures, low, high = Histories(scenario), 8, LOW, -LOW
    while high - low > 1e-6:
        failures *= 2
        assert failures < 5_000
        low, high = histories.bracket(failures, LOW)
        assert low - 1e-8 <= value <= high + 1e-8


@settings(max_examples=12, deadline=None)
@given(products(is_deep=False))
def test_two_parts(fields: dict[str, Any]) -> None:
    agree(fields)


@settings(max_examples=4, deadline=None)
@given(products(is_deep=True))
def test_a_part_within_a_part(fields: dict[str, Any]) -> None:
    agree(fields)


@pytest.mark.parametrize("discard_recovered", [False, True])
def test_three_parts(discard_recovered: bool) -> None:
    """With three, what two failures say of the one part that was in both is not what one says."""
    nodes = {
        "cheap": {"defect_rate": 0.1, "purchase_cost": 4.0, "inspection_cost": 8.0},
        "dear": {"defect_rate": 0.2, "purchase_cost": 18.0, "inspection_cost": 1.0},
        "middling": {"defect_rate": 0.1, "purchase_cost": 7.0, "inspection_cost": 5.0},
        "product": {
            "children": ["cheap", "dear", "middling"],
            "defect_rate": 0.2,
            "assembly_cost": 3.0,
            "inspection_cost": 4.0,
            "dismantle_cost": 2.0,
        },
    }
    agree(
        {
            "price": 100.0,
            "return_loss": 12.0,
            "max_blind_failures": 1,
            "discard_recovered": discard_recovered,
            "nodes": nodes,
        }
    )
