"""Ordinary scenarios of every family whose numbers often lie at the boundary of what is allowed."""

import math
from collections.abc import Mapping
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from lots import boundary_lots

MONEY = st.sampled_from([0.0, 0.0, 5e-324, 1.0, 1e-6, 1e9]) | st.floats(0.0, 10.0)
SHARE = st.sampled_from([0.0, 1e-12, 0.5, 0.999999]) | st.floats(0.0, 0.99)
INNER = st.sampled_from([1e-12, 1e-9, 0.5, 1.0 - 1e-9, 1.0 - 1e-12]) | st.floats(0.001, 0.999)
"""Rates that may be neither 0 nor 1."""
SHAPE = st.sampled_from([0.001, 0.5, 1.0, 100_000.0]) | st.floats(0.01, 50.0)


ERRORS = st.sampled_from(
    [
        {},
        {"false_alarm": 0.01, "miss": 0.2},
        {"miss": 0.999},
        {"false_alarm": 1.0 - 1e-9},
        {"false_alarm": 1e-12, "miss": 1.0 - 1e-9},
        {"false_alarm": 1e-300, "miss": 1e-300},
        {"false_alarm": 0.5, "miss": 0.5 - 2.0**-53},  # judgements that say next to nothing
    ]
)
"""Errors of inspectors: none, usual ones, and ends."""


@st.composite
def boundary_samplings(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a scenario of sequential sampling: one item, whole lots, no money, shapes below 1."""
    most = draw(st.sampled_from([1, 2]) | st.integers(1, 25))
    fields: dict[str, Any] = {
        "inspection_cost": draw(MONEY),
        "accept_bad_cost": draw(MONEY),
        "reject_good_cost": draw(MONEY),
        "max_samples": most,
        "lot_size": draw(st.sampled_from([None, most, most + 1, 1_000_000])),
        **draw(ERRORS),
    }
    if draw(st.booleans()):
        shapes = {"a": draw(SHAPE), "b": draw(SHAPE), "limit": draw(INNER)}
        loss = draw(st.sampled_from(["indicator", "linear"]))
        return {**fields, "prior": {"kind": "beta", **shapes}, "loss": loss}
    good, bad = sorted(draw(st.lists(INNER, min_size=2, max_size=2, unique=True)))
    lot = fields["lot_size"]
    assume(lot is None or round(lot * good) != round(lot * bad))
    prior = {"kind": "two_point", "good": good, "bad": bad, "prob_bad": draw(INNER)}
    return {**fields, "prior": prior}


@st.composite
def boundary_assemblies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a product of a part, of three, of an assembly of two, or of a part and an assembly of one.

    No other number of nodes or of sets: the world is compiled for each, which takes seconds.
    """
    nodes: dict[str, Any] = {}

    def part(name: str) -> str:
        costs = {"purchase_cost": draw(MONEY), "inspection_cost": draw(MONEY)}
        nodes[name] = {"defect_rate": draw(SHARE), **costs}
        return name

    def assembly(name: str, children: list[str]) -> str:
        costs = ("assembly_cost", "inspection_cost", "dismantle_cost")
        nodes[name] = {
            "children": children,
            "defect_rate": draw(SHARE),
            **{cost: draw(MONEY) for cost in costs},
        }
        return name

    shape = draw(st.sampled_from(["part", "parts", "assembly of two", "assembly of one"]))
    count = {"part": 1, "parts": 3, "assembly of two": 2, "assembly of one": 1}[shape]
    children = [part(f"part_{i}") for i in range(count)]
    if shape.startswith("assembly"):
        children = [assembly("inner", children)]
    if shape == "assembly of one":
        children.append(part("other"))
    assembly("product", children)
    # A good one in 10^11 is refused: float64 cannot follow how many it takes.
    assume(math.prod(1.0 - node["defect_rate"] for node in nodes.values()) > 1e-11)
    return {
        "price": draw(MONEY),
        "return_loss": draw(MONEY),
        "max_blind_failures": draw(st.sampled_from([0, 2])),
        "discard_recovered": draw(st.booleans()),
        "nodes": nodes,
    }


@st.composite
def plants(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what both families of plants have in common."""
    lot = draw(st.sampled_from([1, 2, 1_000_000]) | st.integers(1, 500))
    return {
        "rework_fraction_defective": draw(INNER),
        "lot_size": lot,
        "sample_size": draw(st.sampled_from([1, lot]) | st.integers(1, lot)),
        "daily_demand": draw(st.sampled_from([1e-6, 1.0, 1e9]) | st.floats(1.0, 10_000.0)),
        "inspection_cost": draw(MONEY),
        "rework_cost": draw(MONEY),
        "max_stages": draw(st.integers(0, 4)),
    }


@st.composite
def boundary_plants(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a plant whose K is decided once."""
    return {**draw(plants()), "fraction_defective": draw(INNER)}


@st.composite
def boundary_controls(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a plant that wanders, among levels that may never be left, or never be reached."""
    plant, count = draw(plants()), draw(st.integers(1, 3))
    rows = []
    for _ in range(count):
        weights = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
        assume(sum(weights) > 0)
        rows.append([weight / sum(weights) for weight in weights])
    return {
        **plant,
        "levels": draw(st.lists(INNER, min_size=count, max_size=count)),
        "transition": rows,
        "changeover_cost": draw(MONEY),
        "days": draw(st.sampled_from([1, 2]) | st.integers(1, 12)),
        "initial_level": draw(st.integers(0, count - 1)),
        "initial_stages": draw(st.integers(0, plant["max_stages"])),
    }


@st.composite
def boundary_pilots(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a pilot run of rates that are known, nearly known or hardly known."""
    names = ("part_1", "part_2", "product")
    nodes: dict[str, Any] = {}
    for name in names:
        nodes[name] = {"inspection_cost": draw(MONEY), "sample_cost": draw(MONEY)}
        if draw(st.booleans()):
            above_one = st.sampled_from([1.001, 10_000.0]) | st.floats(1.1, 50.0)
            shape = st.sampled_from([0.001, 1.0, 10_000.0]) | st.floats(0.01, 50.0)
            nodes[name]["defect_rate"] = {"a": draw(shape), "b": draw(above_one)}
            nodes[name]["max_samples"] = draw(st.integers(0, 4))
        else:
            nodes[name]["defect_rate"] = draw(SHARE)
        if name == "product":
            costs = {"assembly_cost": draw(MONEY), "dismantle_cost": draw(MONEY)}
            nodes[name] |= {"children": list(names[:2]), **costs}
        else:
            nodes[name]["purchase_cost"] = draw(MONEY)
    return {
        "nodes": nodes,
        "price": draw(MONEY),
        "return_loss": draw(MONEY),
        "order_size": draw(st.sampled_from([1, 1_000_000_000]) | st.integers(1, 1000)),
    }


BOUNDARIES: Mapping[str, st.SearchStrategy[dict[str, Any]]] = {
    "qc_gym/SequentialSampling-v0": boundary_samplings(),
    "qc_gym/Assembly-v0": boundary_assemblies(),
    "qc_gym/KStage-v0": boundary_plants(),
    "qc_gym/KStageControl-v0": boundary_controls(),
    "qc_gym/InspectOrStop-v0": boundary_lots(),
    "qc_gym/PilotRun-v0": boundary_pilots(),
}
