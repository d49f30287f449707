"""The parameters of an assembly tree."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property
from itertools import pairwise
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from qc_gym.assembly.dynamics import (
    KERNEL,
    NUM_ACTIONS,
    belief_size,
    outcome_size,
    scenario_dtype,
    state_dtype,
)
from qc_gym.assembly.ranges import RANGES
from qc_gym.core.fields import Money, Share
from qc_gym.core.kernel import Kernel
from qc_gym.core.record import Record
from qc_gym.core.scenario import Scenario

MAX_ITEMS = 10_000
"""Most items that a product may be made of, itself included."""


class Use(Record):
    """Several of one part in an assembly.

    Attributes
    ----------
    part
        Name of a node.
    quantity
        How many of them.
    """

    part: str
    quantity: Annotated[int, Field(ge=1, le=MAX_ITEMS)] = 1


class Node(Record):
    """A part, or an assembly of other nodes.

    Attributes
    ----------
    defect_rate
        P(bad) of a bought part; of an assembly, P(bad | all its children are good).
    purchase_cost
        Parts only: paid each time one is bought.
    children
        Assemblies only: the names of what it is built from, in the order in which that is asked about.
        Of what is used several times, the name as often, or ``{part: name, quantity: 2}``.
    assembly_cost, dismantle_cost
        Assemblies only: paid each time one is built, each time one is taken apart.
    inspection_cost
        Paid each time one is inspected. Inspection is perfect.
    """

    defect_rate: Share
    inspection_cost: Money
    purchase_cost: Money | None = None
    children: Annotated[tuple[str | Use, ...], Field(min_length=1, strict=False)] | None = None
    assembly_cost: Money | None = None
    dismantle_cost: Money | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        assembly = {"assembly_cost": self.assembly_cost, "dismantle_cost": self.dismantle_cost}
        if self.children is None:
            if self.purchase_cost is None:
                raise ValueError(
                    "neither children nor purchase_cost: a part is bought, an assembly has children"
                )
            for name, value in assembly.items():
                if value is not None:
                    raise ValueError(f"{name} = {value}: only an assembly, with children, has one")
            return self
        if self.purchase_cost is not None:
            raise ValueError(f"purchase_cost = {self.purchase_cost}: an assembly is not bought")
        for name, value in assembly.items():
            if value is None:
                raise ValueError(f"{name} is missing: an assembly needs it")
        return self

    @property
    def make_cost(self) -> float:
        """What one costs to buy or to assemble, in money."""
        cost = self.purchase_cost if self.children is None else self.assembly_cost
        assert cost is not None
        return cost

    @property
    def parts(self) -> Iterator[str]:
        """The names of the nodes of its children, each as often as it is used."""
        for child in self.children or ():
            if isinstance(child, Use):
                yield from itertools.repeat(child.part, child.quantity)
            else:
                yield child


class Item(NamedTuple):
    """An item of the tree that a product is: each use of a node is one of its own.

    Attributes
    ----------
    node
        Name of the node that it is an instance of.
    children
        The names of the items that it is built from; none of a bought part.
    defect_rate, make_cost, inspection_cost, dismantle_cost
        Those of the node; 0 to dismantle a part.
    """

    node: str
    children: tuple[str, ...]
    defect_rate: float
    make_cost: float
    inspection_cost: float
    dismantle_cost: float


def _part(rate: float, price: float, inspection: float) -> dict[str, float]:
    return {"defect_rate": rate, "purchase_cost": price, "inspection_cost": inspection}


def _assembly(
    children: list[str], rate: float, cost: float, inspection: float, dismantling: float
) -> dict[str, Any]:
    return {
        "children": children,
        "defect_rate": rate,
        "assembly_cost": cost,
        "inspection_cost": inspection,
        "dismantle_cost": dismantling,
    }


def _cumcm(
    rates: tuple[float, float, float],
    inspections: tuple[float, float, float],
    return_loss: float,
    dismantling: float,
) -> dict[str, Any]:
    """Return a case of the 2024 contest problem B, question 2: two parts and a product."""
    return {
        "price": 56.0,
        "return_loss": return_loss,
        "nodes": {
            "part_1": _part(rates[0], 4.0, inspections[0]),
            "part_2": _part(rates[1], 18.0, inspections[1]),
            "product": _assembly(["part_1", "part_2"], rates[2], 6.0, inspections[2], dismantling),
        },
    }


def _cumcm_8part() -> dict[str, Any]:
    """Return question 3 of the same problem: eight parts, three semi-products, a product."""
    purchases = (2.0, 8.0, 12.0, 2.0, 8.0, 12.0, 8.0, 12.0)
    inspections = (1.0, 1.0, 2.0, 1.0, 1.0, 2.0, 1.0, 2.0)
    nodes: dict[str, Any] = {
        f"part_{i + 1}": _part(0.10, purchases[i], inspections[i]) for i in range(8)
    }
    groups = ((1, 2, 3), (4, 5, 6), (7, 8))
    for i, group in enumerate(groups):
        children = [f"part_{j}" for j in group]
        nodes[f"semi_product_{i + 1}"] = _assembly(children, 0.10, 8.0, 4.0, 6.0)
    children = [f"semi_product_{i + 1}" for i in range(3)]
    nodes["product"] = _assembly(children, 0.10, 8.0, 6.0, 10.0)
    return {"price": 200.0, "return_loss": 40.0, "nodes": nodes}


class AssemblyScenario(Scenario):
    """A product, the tree of what it is assembled from, and the money at stake.

    Attributes
    ----------
    price
        Revenue when a good unit is delivered.
    return_loss
        Lost each time a bad one is shipped and comes back.
    max_blind_failures
        A bad assembly whose present children have failed more often than this may be taken apart only
        if all of them are known to be good.
    discard_recovered
        Whether a recovered item that is not known to be good may be thrown away untested.
    nodes
        Parts and assemblies by name; the root, the product, is the node that is nobody's child. A node may
        be used in several places: a bill of materials, which :attr:`tree` spells out.
    """

    price: Money
    return_loss: Money
    max_blind_failures: Annotated[int, Field(ge=0, le=100)] = 2
    discard_recovered: bool = False
    nodes: Annotated[dict[str, Node], Field(min_length=1)]

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cumcm-1": _cumcm((0.10, 0.10, 0.10), (2.0, 3.0, 3.0), 6.0, 5.0),
        "cumcm-2": _cumcm((0.20, 0.20, 0.20), (2.0, 3.0, 3.0), 6.0, 5.0),
        "cumcm-3": _cumcm((0.10, 0.10, 0.10), (2.0, 3.0, 3.0), 30.0, 5.0),
        "cumcm-4": _cumcm((0.20, 0.20, 0.20), (1.0, 1.0, 2.0), 30.0, 5.0),
        "cumcm-5": _cumcm((0.10, 0.20, 0.10), (8.0, 1.0, 2.0), 10.0, 5.0),
        "cumcm-6": _cumcm((0.05, 0.05, 0.05), (2.0, 3.0, 3.0), 10.0, 40.0),
        "cumcm-5-discard": {
            **_cumcm((0.10, 0.20, 0.10), (8.0, 1.0, 2.0), 10.0, 5.0),
            "discard_recovered": True,
        },
        "cumcm-8part": _cumcm_8part(),
        "gearbox": {
            "price": 240.0,
            "return_loss": 60.0,
            "nodes": {
                "gear": _part(0.08, 9.0, 3.0),
                "shaft": _part(0.05, 14.0, 4.0),
                "bearing": _part(0.12, 6.0, 1.0),
                "drive": _assembly(["gear", "shaft"], 0.06, 7.0, 4.0, 5.0),
                "train": _assembly(["drive", "bearing"], 0.08, 9.0, 5.0, 6.0),
                "housing": _part(0.03, 25.0, 2.0),
                "gearbox": _assembly(["train", "housing"], 0.05, 12.0, 8.0, 9.0),
            },
        },
        "single-part": {
            "price": 30.0,
            "return_loss": 12.0,
            "nodes": {
                "part": _part(0.15, 6.0, 1.5),
                "product": _assembly(["part"], 0.10, 4.0, 2.0, 1.0),
            },
        },
    }
    ranges: ClassVar[Mapping[str, Mapping[str, Any]]] = RANGES

    @model_validator(mode="after")
    def _check(self) -> Self:
        used: set[str] = set()
        for name, node in self.nodes.items():
            for child in dict.fromkeys(node.parts):
                if child not in self.nodes:
                    raise ValueError(
                        f"nodes.{name}.children: {child!r} is not a node; known: "
                        f"{', '.join(self.nodes)}"
                    )
                used.add(child)
        roots = [name for name in self.nodes if name not in used]
        if len(roots) > 1:
            raise ValueError(f"nodes: two roots, {roots[0]!r} and {roots[1]!r}; one is needed")
        counts = _count_items(self.nodes)
        if counts[roots[0]] > MAX_ITEMS:
            raise ValueError(
                f"nodes: {roots[0]!r} is made of {counts[roots[0]]:,} items, itself included; at most "
                f"{MAX_ITEMS:,} are allowed"
            )
        _ = self.tree
        return self

    @cached_property
    def tree(self) -> Mapping[str, Item]:
        """The items by name, children first and left to right, the product last.

        Of a node that is used several times the items are called ``"name 1"``, ``"name 2"``, … in this
        order.
        """
        used = {child for node in self.nodes.values() for child in node.parts}
        (root,) = (name for name in self.nodes if name not in used)
        return _spell_out(self.nodes, root)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The names of the items, children first and left to right: the kernel's numbers."""
        return tuple(self.tree)

    @property
    def action_names(self) -> tuple[str, ...]:
        """What each action does."""
        names = ("use, ship or scrap", "inspect or dismantle", "discard")
        return names if self.discard_recovered else names[:2]

    @property
    def kernel(self) -> Kernel:
        """The compiled world of assembly, in the size of this tree."""
        return _kernel(len(self.tree), self.max_blind_failures, self.discard_recovered)

    def record(self) -> NDArray[np.void]:
        """Return the parameters as the kernel reads them: one record, shape (1,)."""
        record = np.zeros(1, scenario_dtype(len(self.tree)))
        for name in ("price", "return_loss", "max_blind_failures", "discard_recovered"):
            record[name] = getattr(self, name)
        number = {name: i for i, name in enumerate(self.order)}
        items = list(self.tree.values())
        first, parent, child, sibling = ([-1] * len(items) for _ in range(4))
        for i, item in enumerate(items):
            children = [number[name] for name in item.children]
            first[i] = min((first[j] for j in children), default=i)
            child[i] = children[0] if children else -1
            for j in children:
                parent[j] = i
            for j, following in pairwise(children):
                sibling[j] = following
        links = {"first": first, "parent": parent, "child": child, "sibling": sibling}
        for name, values in links.items():
            record[name] = values
        for name in ("defect_rate", "make_cost", "inspection_cost", "dismantle_cost"):
            record[name] = [getattr(item, name) for item in items]
        return record


@cache
def _kernel(size: int, max_blind_failures: int, discard_recovered: bool) -> Kernel:
    """Return the compiled world of a tree of ``size`` items."""
    most_sets = max_blind_failures + 1 if discard_recovered else 0
    return replace(
        KERNEL,
        scenario_dtype=scenario_dtype(size),
        state_dtype=state_dtype(size, max(most_sets, 1)),
        num_actions=NUM_ACTIONS + discard_recovered,
        belief_size=belief_size(size, most_sets),
        outcome_size=outcome_size(size),
    )


def _count_items(nodes: Mapping[str, Node]) -> dict[str, int]:
    """Return how many items one of each node is made of, itself included.

    Raises
    ------
    ValueError
        A node that is part of itself.
    """
    counts: dict[str, int] = {}
    for start in nodes:
        stack = [(start, iter(dict.fromkeys(nodes[start].parts)))]
        above = {start: None}  # in order
        while stack:
            name, children = stack[-1]
            child = next((one for one in children if one not in counts), None)
            if child is None:
                stack.pop()
                above.pop(name)
                counts[name] = 1 + sum(counts[one] for one in nodes[name].parts)
            elif child in above:
                names = list(above)
                cycle = [*names[names.index(child) :], child]
                raise ValueError(f"nodes.{child}: is part of a cycle: {' → '.join(cycle)}")
            else:
                above[child] = None
                stack.append((child, iter(dict.fromkeys(nodes[child].parts))))
    return counts


def _spell_out(nodes: Mapping[str, Node], root: str) -> dict[str, Item]:
    """Return the items of one ``root`` by name, children before parents, left to right.

    Raises
    ------
    ValueError
        A node is called as one of the items of another.
    """
    found: list[tuple[str, list[int]]] = []  # node and children of each item, parents first
    stack: list[tuple[str, int | None]] = [(root, None)]
    while stack:  # parents first and right to left, then turned round
        name, parent = stack.pop()
        if parent is not None:
            found[parent][1].append(len(found))
        stack.extend((child, len(found)) for child in nodes[name].parts)
        found.append((name, []))
    total = Counter(name for name, _ in found)
    seen: Counter[str] = Counter()
    names: dict[int, str] = {}
    tree: dict[str, Item] = {}
    for i in reversed(range(len(found))):
        name, children = found[i]
        seen[name] += 1
        names[i] = name if total[name] == 1 else f"{name} {seen[name]}"
        if names[i] != name and names[i] in nodes:
            raise ValueError(
                f"nodes.{names[i]}: is what one of the items of {name!r} is called, which is used "
                "several times; choose another name"
            )
        node = nodes[name]
        below = tuple(names[child] for child in reversed(children))
        tree[names[i]] = Item(
            name,
            below,
            node.defect_rate,
            node.make_cost,
            node.inspection_cost,
            node.dismantle_cost or 0.0,
        )
    return tree
