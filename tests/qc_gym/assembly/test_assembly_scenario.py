"""Scenarios of assembly are validated before anything runs."""

import json
import pickle
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.core.errors import ScenarioError
from qc_gym.core.ranges import ScenarioRange

PRESETS = AssemblyScenario.presets
CASE = PRESETS["cumcm-1"]
NAN, INF = float("nan"), float("inf")


def parse(source: Any) -> Any:
    return AssemblyScenario.parse(source)


def changed(node: str, remove: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    """Return cumcm-1 with fields of a node replaced, or with another node."""
    copy = deepcopy(dict(CASE))
    nodes = copy["nodes"]
    old = {name: value for name, value in nodes.get(node, {}).items() if name not in remove}
    nodes[node] = {**old, **fields}
    return copy


def assembly(*children: str) -> dict[str, Any]:
    return {
        "children": list(children),
        "defect_rate": 0.1,
        "assembly_cost": 6.0,
        "inspection_cost": 3.0,
        "dismantle_cost": 5.0,
    }


def part(rate: float = 0.1) -> dict[str, Any]:
    return {"defect_rate": rate, "purchase_cost": 4.0, "inspection_cost": 2.0}


def tree(**nodes: Any) -> dict[str, Any]:
    return {"price": 56.0, "return_loss": 6.0, "nodes": nodes}


# --- presets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_json(name: str) -> None:
    scenario = parse(name)
    text = json.dumps(scenario.model_dump(mode="json"))
    again = parse(json.loads(text))
    assert again == scenario
    assert hash(again) == hash(scenario)
    assert parse(yaml.safe_load(yaml.safe_dump(json.loads(text)))) == scenario
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert scenario.record().shape == (1,)
    assert again.record().tobytes() == scenario.record().tobytes()


def test_the_six_cases_are_the_published_ones() -> None:
    # Rates, inspection costs (two parts, product), return loss, dismantling: Table 3 of [L].
    published = [
        ((0.10, 0.10, 0.10), (2, 3, 3), 6, 5),
        ((0.20, 0.20, 0.20), (2, 3, 3), 6, 5),
        ((0.10, 0.10, 0.10), (2, 3, 3), 30, 5),
        ((0.20, 0.20, 0.20), (1, 1, 2), 30, 5),
        ((0.10, 0.20, 0.10), (8, 1, 2), 10, 5),
        ((0.05, 0.05, 0.05), (2, 3, 3), 10, 40),
    ]
    for number, (rates, inspections, loss, dismantling) in enumerate(published, 1):
        scenario = parse(f"cumcm-{number}")
        (record,) = scenario.record()
        assert scenario.order == ("part_1", "part_2", "product")
        assert record["defect_rate"].tolist() == list(rates)
        assert record["inspection_cost"].tolist() == list(inspections)
        assert record["make_cost"].tolist() == [4, 18, 6]
        assert record["dismantle_cost"].tolist() == [0, 0, dismantling]
        assert (record["price"], record["return_loss"]) == (56, loss)
        assert record["max_blind_failures"] == 2


def test_the_eight_parts_are_the_published_ones() -> None:
    scenario = parse("cumcm-8part")
    nodes = scenario.nodes
    parts = [nodes[f"part_{i}"] for i in range(1, 9)]
    assert [node.purchase_cost for node in parts] == [2, 8, 12, 2, 8, 12, 8, 12]
    assert [node.inspection_cost for node in parts] == [1, 1, 2, 1, 1, 2, 1, 2]
    semis = [nodes[f"semi_product_{i}"] for i in range(1, 4)]
    assert [len(node.children) for node in semis] == [3, 3, 2]
    for node in semis:
        assert (node.assembly_cost, node.inspection_cost, node.dismantle_cost) == (8, 4, 6)
    product = nodes["product"]
    assert (product.assembly_cost, product.inspection_cost, product.dismantle_cost) == (8, 6, 10)
    assert {node.defect_rate for node in nodes.values()} == {0.10}
    assert (scenario.price, scenario.return_loss) == (200, 40)


def test_the_first_preset_is_the_default() -> None:
    assert parse(None) == parse("cumcm-1")


# --- numbering, equality -----------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_children_come_first_and_subtrees_are_runs(name: str) -> None:
    scenario = parse(name)
    order = list(scenario.order)
    (record,) = scenario.record()
    assert sorted(order) == sorted(scenario.nodes)
    assert record["parent"][-1] == -1

    def below(node: str) -> set[str]:
        children = scenario.nodes[node].children or ()
        return {node}.union(*(below(child) for child in children))

    for i, node in enumerate(order):
        assert set(order[record["first"][i] : i + 1]) == below(node)
        children = scenario.nodes[node].children or ()
        numbers = [order.index(child) for child in children]
        assert numbers == sorted(numbers), "children left to right"
        assert all(record["parent"][j] == i for j in numbers)


def test_numbering_does_not_depend_on_the_order_of_the_mapping() -> None:
    nodes = dict(reversed(list(PRESETS["gearbox"]["nodes"].items())))
    turned, scenario = parse({**PRESETS["gearbox"], "nodes": nodes}), parse("gearbox")
    assert turned.order == scenario.order
    assert turned.record().tobytes() == scenario.record().tobytes()
    assert turned == scenario
    assert hash(turned) == hash(scenario)


def test_equal_scenarios_have_equal_hashes() -> None:
    zero, minus_zero = parse({**CASE, "price": 0.0}), parse({**CASE, "price": -0.0})
    whole = parse({**CASE, "price": 0})
    assert zero == minus_zero == whole
    assert hash(zero) == hash(minus_zero) == hash(whole)
    used = parse("gearbox")
    assert used.order  # kept with the scenario, and no part of it
    assert used == parse("gearbox")
    assert hash(used) == hash(parse("gearbox"))


def test_scenarios_differ_by_their_hashes() -> None:
    others = [
        changed("part_1", defect_rate=0.11),
        changed("product", children=["part_2", "part_1"]),
    ]
    scenarios = [parse(source) for source in (*PRESETS, *others)]
    assert len({hash(scenario) for scenario in scenarios}) == len(scenarios)
    assert len(dict.fromkeys(scenarios)) == len(scenarios)


def test_frozen() -> None:
    scenario = parse(None)
    with pytest.raises(ValidationError, match="frozen"):
        scenario.price = 5.0
    with pytest.raises(ValidationError, match="frozen"):
        scenario.nodes["part_1"].defect_rate = 0.5


def test_a_product_may_be_a_part() -> None:
    scenario = parse(tree(part=part()))
    assert scenario.order == ("part",)
    assert scenario.record()["parent"].tolist() == [[-1]]


# --- what is refused ---------------------------------------------------------------------------

PRODUCT = assembly("part_1", "part_2")
WRONG: dict[str, tuple[Any, str]] = {
    "cycle": (
        tree(a=assembly("b"), b=assembly("a"), product=assembly("p"), p=part()),
        r"nodes\.a: .*cycle",
    ),
    "nothing but a cycle": (tree(a=assembly("b"), b=assembly("a")), r"nodes\.a: .*cycle"),
    "its own child": (changed("product", children=["product"]), r"cycle|roots"),
    "two roots": (changed("part_3", **part()), r"nodes: two roots, 'product' and 'part_3'"),
    "cycle below": (
        tree(
            p=part(), a=assembly("p", "b"), b=assembly("c"), c=assembly("a"), product=assembly("a")
        ),
        r"nodes\.a: is part of a cycle: a → b → c → a",
    ),
    "none of it": (
        changed("product", children=["part_1", {"part": "part_2", "quantity": 0}]),
        r"quantity = 0: .*at least 1|greater than or equal to 1",
    ),
    "half of it": (
        changed("product", children=["part_1", {"part": "part_2", "quantity": 1.5}]),
        r"quantity = 1\.5: ",
    ),
    "several of nothing": (
        changed("product", children=["part_1", "part_2", {"part": "part_3", "quantity": 2}]),
        r"nodes\.product\.children: 'part_3' is not a node",
    ),
    "unknown field of a use": (
        changed("product", children=["part_1", {"part": "part_2", "number": 2}]),
        r"number",
    ),
    "too many items": (
        tree(
            **{
                f"level_{i}": assembly({"part": f"level_{i - 1}", "quantity": 1000})
                for i in range(1, 9)
            },
            level_0=part(),
        ),
        r"'level_8' is made of 1,001,001,001,001,001,001,001,001 items, .*at most 10,000",
    ),
    "a name of an item": (
        tree(**{"bolt": part(), "bolt 2": part(), "product": assembly("bolt", "bolt", "bolt 2")}),
        r"nodes\.bolt 2: is what one of the items of 'bolt' is called",
    ),
    "missing child": (
        changed("product", children=["part_1", "part_3"]),
        r"nodes\.product\.children: 'part_3' is not a node; known: part_1, part_2, product",
    ),
    "no children": (changed("product", children=[]), r"nodes\.product\.children = \[\]: .*least 1"),
    "children as text": (changed("product", children="part_1"), r"nodes\.product\.children = "),
    "no nodes": ({**CASE, "nodes": {}}, r"nodes = \{\}: .*at least 1"),
    "nodes as a list": ({**CASE, "nodes": [part()]}, r"nodes = \[.*dictionary"),
    "no assembly cost": (
        changed("product", remove=("assembly_cost",)),
        r"nodes\.product = .*assembly_cost is missing",
    ),
    "no dismantling cost": (
        changed("product", remove=("dismantle_cost",)),
        r"nodes\.product = .*dismantle_cost is missing",
    ),
    "no inspection cost": (
        changed("product", remove=("inspection_cost",)),
        r"field 'nodes\.product\.inspection_cost' is missing",
    ),
    "bought assembly": (
        changed("product", purchase_cost=1.0),
        r"nodes\.product = .*purchase_cost = 1\.0: an assembly is not bought",
    ),
    "assembled part": (
        changed("part_1", assembly_cost=1.0),
        r"nodes\.part_1 = .*assembly_cost = 1\.0: only an assembly",
    ),
    "dismantled part": (
        changed("part_1", dismantle_cost=1.0),
        r"nodes\.part_1 = .*dismantle_cost = 1\.0: only an assembly",
    ),
    "neither": (
        changed("part_1", remove=("purchase_cost",)),
        r"nodes\.part_1 = .*neither children nor purchase_cost",
    ),
    "unknown field": ({**CASE, "pric": 1.0}, r"unknown field 'pric'; did you mean 'price'"),
    "unknown field of a node": (
        changed("part_1", defect_rat=0.1),
        r"unknown field 'nodes\.part_1\.defect_rat'; did you mean 'defect_rate'",
    ),
    "negative limit": ({**CASE, "max_blind_failures": -1}, r"max_blind_failures = -1: "),
    "fractional limit": ({**CASE, "max_blind_failures": 1.5}, r"max_blind_failures = 1\.5: "),
    "limit beyond int8": ({**CASE, "max_blind_failures": 101}, r"max_blind_failures = 101: "),
}
for _rate in (1.0, 1.5, -0.1, NAN, INF, "0.1", True, None):
    WRONG[f"rate {_rate!r}"] = (
        changed("part_2", defect_rate=_rate),
        rf"nodes\.part_2\.defect_rate = {_rate!r}: ",
    )
for _money in (-1.0, NAN, INF, "1"):
    for _name in ("price", "return_loss"):
        WRONG[f"{_name} {_money!r}"] = ({**CASE, _name: _money}, rf"{_name} = {_money!r}: ")
    for _node, _field in (
        ("part_1", "purchase_cost"),
        ("part_1", "inspection_cost"),
        ("product", "assembly_cost"),
        ("product", "dismantle_cost"),
    ):
        WRONG[f"{_field} {_money!r}"] = (
            changed(_node, **{_field: _money}),
            rf"nodes\.{_node}\.{_field} = {_money!r}: ",
        )


@pytest.mark.parametrize(("fields", "message"), WRONG.values(), ids=WRONG)
def test_wrong_value(fields: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=f"(?s){message}"):
        parse(fields)


@pytest.mark.parametrize("name", ["price", "return_loss", "nodes"])
def test_missing_field(name: str) -> None:
    with pytest.raises(ScenarioError, match=f"field '{name}' is missing"):
        parse({key: value for key, value in CASE.items() if key != name})


@given(rate=st.floats(0.0, 1.0, exclude_max=True))
def test_any_rate_below_one_is_allowed(rate: float) -> None:
    assert parse(changed("part_1", defect_rate=rate)).nodes["part_1"].defect_rate == rate


# --- files and ranges --------------------------------------------------------------------------


def test_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(deepcopy(dict(PRESETS["gearbox"]))))
    assert parse(path) == parse("gearbox")


def test_a_field_of_a_node_may_be_a_range() -> None:
    spread = parse(changed("part_1", defect_rate={"low": 0.05, "high": 0.2}))
    assert isinstance(spread, ScenarioRange)
    assert list(spread.ranges) == [("nodes", "part_1", "defect_rate")]
    with pytest.raises(ScenarioError, match=r"nodes\.part_1\.defect_rate"):
        parse(changed("part_1", defect_rate={"low": 0.05, "high": 1.2}))
