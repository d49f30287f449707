"""Pilot runs are validated before anything runs."""

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.core.errors import ScenarioError
from qc_gym.pilot.scenario import BetaRate, PilotRunScenario

PRESETS = PilotRunScenario.presets
CASE = PRESETS["cumcm-1"]


def parse(source: Any) -> Any:
    return PilotRunScenario.parse(source)


def changed(path: str, value: Any, fields: Any = CASE) -> dict[str, Any]:
    """Return a copy of the fields with another value at a dotted path."""
    fields = copy.deepcopy(dict(fields))
    target = fields
    *way, last = path.split(".")
    for name in way:
        target = target[name]
    target[last] = value
    return fields


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_json(name: str) -> None:
    scenario = parse(name)
    again = parse(json.loads(json.dumps(scenario.model_dump(mode="json"))))
    assert again == scenario
    assert hash(again) == hash(scenario)
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert again.record().tobytes() == scenario.record().tobytes()


@pytest.mark.parametrize("case", range(1, 7))
def test_the_cases_are_those_of_the_contest_with_estimated_rates(case: int) -> None:
    scenario, known = parse(f"cumcm-{case}"), AssemblyScenario.parse(f"cumcm-{case}")
    assert isinstance(known, AssemblyScenario)
    assert scenario.order == known.order
    assert (scenario.price, scenario.return_loss) == (known.price, known.return_loss)
    for name in known.order:
        node, rate = scenario.nodes[name], scenario.nodes[name].defect_rate
        seen = 10 * known.nodes[name].defect_rate  # k of n0 = 10
        assert (rate.a, rate.b) == pytest.approx((seen + 1, 11 - seen))
        assert node.make_cost == known.nodes[name].make_cost
        assert node.inspection_cost == known.nodes[name].inspection_cost
        assert node.dismantle_cost == known.nodes[name].dismantle_cost


def test_parts_are_numbered_as_the_product_names_them() -> None:
    scenario = parse(changed("nodes.product.children", ["part_2", "part_1"]))
    assert scenario.order == ("part_2", "part_1", "product")
    assert scenario.record()["make_cost"][0].tolist() == [18.0, 4.0, 6.0]


def test_a_rate_is_a_prior_or_known() -> None:
    record = parse("new-supplier").record()
    assert record["is_known"][0].tolist() == [1, 0, 0]
    assert record["defect_rate"][0].tolist() == [0.02, 1 / 12, 1 / 16]
    assert record["scale"][0].tolist() == [0.0, 0.05, 0.1]
    assert BetaRate(a=1.0, b=3.0).mean == 0.25


PART = CASE["nodes"]["part_1"]
WRONG: dict[str, tuple[str, Any, str]] = {
    "b of 1": ("nodes.part_1.defect_rate.b", 1.0, r"defect_rate.*b = 1\.0: .*greater than 1"),
    "a of 0": (
        "nodes.part_2.defect_rate.a",
        0.0,
        r"part_2\.defect_rate.*a = 0\.0: .*greater than 0",
    ),
    "b of -1": ("nodes.product.defect_rate.b", -1.0, r"product\.defect_rate.*b = -1\.0: "),
    "no b": ("nodes.part_1.defect_rate", {"a": 1.0}, r"'nodes\.part_1\.defect_rate.*b' is missing"),
    "a rate of 1": (
        "nodes.part_1",
        {**PART, "defect_rate": 1.0, "max_samples": 0},
        r"part_1\.defect_rate.* = 1\.0: .*less than 1",
    ),
    "text": ("nodes.part_1.defect_rate", "few", r"part_1\.defect_rate.* = 'few': "),
    "known and tested": (
        "nodes.part_1.defect_rate",
        0.1,
        r"max_samples = 10: must be 0, as defect_rate = 0\.1 is known",
    ),
    "three parts": (
        "nodes.part_3",
        PART,
        r"nodes: 3 parts \('part_1', 'part_2', 'part_3'\) and 1 assemblies .*exactly two parts",
    ),
    "one child": (
        "nodes.product.children",
        ["part_1"],
        r"nodes\.product\.children = \['part_1'\]: ",
    ),
    "a child twice": ("nodes.product.children", ["part_1", "part_1"], r"must be the two parts"),
    "no nodes": ("nodes", {}, r"nodes: 0 parts \(none\) and 0 assemblies \(none\)"),
    "order of 0": ("order_size", 0, r"order_size = 0: .*greater than or equal to 1"),
    "half a unit": ("order_size", 0.5, r"order_size = 0\.5: "),
    "sample cost": ("nodes.part_1.sample_cost", -1.0, r"part_1\.sample_cost = -1\.0: "),
    "max samples": ("nodes.part_1.max_samples", -1, r"part_1\.max_samples = -1: "),
    "unknown": ("nodes.part_1.sample_price", 1.0, r"'nodes\.part_1\.sample_price'; did you mean"),
    "unknown shape": (
        "nodes.part_1.defect_rate.c",
        1.0,
        r"unknown field 'nodes\.part_1\.defect_rate\.c'; .*Known: a, b",
    ),
    "too many": (
        "nodes.part_2.max_samples",
        200,
        r"max_samples \(part_1 10, part_2 200, product 5\) make 28,137,186 combinations of counts: "
        r"must be at most 2,500,000",
    ),
}


@pytest.mark.parametrize(("path", "value", "message"), WRONG.values(), ids=WRONG)
def test_bad_input_is_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse(changed(path, value))


@pytest.mark.parametrize("name", ["nodes", "price", "return_loss", "order_size"])
def test_missing_fields_are_named(name: str) -> None:
    with pytest.raises(ScenarioError, match=f"field '{name}' is missing"):
        parse({field: value for field, value in CASE.items() if field != name})


def test_ranges() -> None:
    fields = changed("order_size", {"low": 10, "high": 5000})
    fields = changed("nodes.part_1.defect_rate.b", {"low": 4.0, "high": 30.0}, fields)
    fields = changed("nodes.part_2.max_samples", {"choices": [0, 3]}, fields)
    scenarios = parse(fields)
    drawn = scenarios.draw(np.random.default_rng(0))
    by_name = dict(zip(scenarios.ranges, scenarios.features(drawn).tolist(), strict=True))
    assert by_name["order_size",] == pytest.approx((drawn.order_size - 10) / 4990)
    b = drawn.nodes["part_1"].defect_rate.b
    assert by_name["nodes", "part_1", "defect_rate", "b"] == pytest.approx((b - 4) / 26)
    assert by_name["nodes", "part_2", "max_samples"] == (drawn.nodes["part_2"].max_samples == 3)
