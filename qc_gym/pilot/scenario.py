"""The parameters of a pilot run: what the product costs, what is believed of its defect rates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag, model_validator

from qc_gym.assembly.scenario import AssemblyScenario, Node
from qc_gym.core.fields import Money, Share
from qc_gym.core.kernel import Kernel
from qc_gym.core.lattice import row_start
from qc_gym.core.record import Record
from qc_gym.core.scenario import Scenario
from qc_gym.pilot.dynamics import KERNEL, NODES, SCENARIO
from qc_gym.pilot.plans import action_names
from qc_gym.pilot.ranges import RANGES

MAX_STATES = 2_500_000
"""Most combinations of counts of a scenario: the optimum has a value for each."""
MAX_SHAPE = 10_000.0


class BetaRate(Record):
    """A defect rate that is not known: Beta(a, b), the fewer a + b the less is known.

    ``b`` is above 1: at 1 the expected cost of a good item, 1 / (1 − rate), is not finite.

    Attributes
    ----------
    a, b
        Shapes of the distribution.
    """

    a: Annotated[float, Field(gt=0, le=MAX_SHAPE)]
    b: Annotated[float, Field(gt=1, le=MAX_SHAPE)]

    @property
    def mean(self) -> float:
        """The expected rate."""
        return self.a / (self.a + self.b)


def _kind(rate: Any) -> str:
    return "unknown" if isinstance(rate, Mapping | BetaRate) else "known"


Rate = Annotated[
    Annotated[Share, Tag("known")] | Annotated[BetaRate, Tag("unknown")], Discriminator(_kind)
]


class PilotNode(Node):
    """A part, or the product; the fields of an assembly's node, and what a pilot test of it takes.

    Attributes
    ----------
    defect_rate
        ``{a, b}``, a Beta prior of the rate, or the rate itself where it is known. P(bad) of a bought
        part; of the product, P(bad | both parts are good).
    sample_cost
        Money per pilot test: of a part, or of a product built from two good parts.
    max_samples
        Most pilot tests of it; 0 for none.
    """

    defect_rate: Rate  # type: ignore[assignment]  # wider than an assembly's
    sample_cost: Money = 0.0
    max_samples: Annotated[int, Field(ge=0, le=10_000)] = 0

    @model_validator(mode="after")
    def _check_tests(self) -> Self:
        if self.max_samples > 0 and not isinstance(self.defect_rate, BetaRate):
            raise ValueError(
                f"max_samples = {self.max_samples}: must be 0, as defect_rate = {self.defect_rate} is "
                "known and a test would tell nothing; {a, b} makes it unknown"
            )
        return self

    @property
    def mean_rate(self) -> float:
        """The defect rate, its expectation where it is not known."""
        rate = self.defect_rate
        return rate.mean if isinstance(rate, BetaRate) else rate


PRIOR_SIZE = 10
"""n0 of the presets: rates are believed as after so many items, had all been alike before."""
MOST_TESTS = (10, 10, 5)
"""``max_samples`` of the presets ``cumcm-1`` … ``cumcm-6``."""


def _cumcm(case: str) -> dict[str, Any]:
    """Return a case of the 2024 contest problem B whose rates k / n0 are estimates.

    They are Beta(k + 1, n0 − k + 1). A test costs the item and its inspection; a build, both parts too.
    """
    fields = AssemblyScenario.presets[case]
    nodes, spent = {}, 0.0
    for (name, node), most in zip(fields["nodes"].items(), MOST_TESTS, strict=True):
        spent += node["assembly_cost"] if "children" in node else node["purchase_cost"]
        item = spent if "children" in node else node["purchase_cost"]
        count = PRIOR_SIZE * node["defect_rate"]
        nodes[name] = {
            **node,
            "defect_rate": {"a": count + 1.0, "b": PRIOR_SIZE - count + 1.0},
            "sample_cost": item + node["inspection_cost"],
            "max_samples": most,
        }
    return {**fields, "nodes": nodes, "order_size": 2000}


class PilotRunScenario(Scenario):
    """A product of two parts, what is believed of its defect rates, and an order of it.

    Attributes
    ----------
    nodes
        Exactly two parts and their product by name; parts 1 and 2 are the product's children, in
        their order.
    price
        Revenue for each good unit.
    return_loss
        Lost each time a bad one is shipped and comes back.
    order_size
        Units of the order.
    """

    nodes: dict[str, PilotNode]
    price: Money
    return_loss: Money
    order_size: Annotated[int, Field(ge=1, le=1_000_000_000)]

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **{f"cumcm-{case}": _cumcm(f"cumcm-{case}") for case in range(1, 7)},
        # One part from a supplier of many years, the other from one whose first ten were all good.
        "new-supplier": {
            "price": 90.0,
            "return_loss": 25.0,
            "order_size": 500,
            "nodes": {
                "board": {
                    "defect_rate": 0.02,
                    "purchase_cost": 12.0,
                    "inspection_cost": 1.5,
                },
                "display": {
                    "defect_rate": {"a": 1.0, "b": 11.0},
                    "purchase_cost": 20.0,
                    "inspection_cost": 4.0,
                    "sample_cost": 24.0,
                    "max_samples": 20,
                },
                "meter": {
                    "children": ["board", "display"],
                    "defect_rate": {"a": 2.0, "b": 30.0},
                    "assembly_cost": 8.0,
                    "inspection_cost": 6.0,
                    "dismantle_cost": 9.0,
                    "sample_cost": 46.0,
                    "max_samples": 10,
                },
            },
        },
        # A supplier is either good or hopeless, and has sent two initial samples; nothing can be built
        # before the order.
        "initial-samples": {
            "price": 90.0,
            "return_loss": 25.0,
            "order_size": 1000,
            "nodes": {
                "board": {
                    "defect_rate": 0.02,
                    "purchase_cost": 12.0,
                    "inspection_cost": 1.5,
                },
                "display": {
                    "defect_rate": {"a": 0.5, "b": 4.0},
                    "purchase_cost": 20.0,
                    "inspection_cost": 8.0,
                    "sample_cost": 24.0,
                    "max_samples": 2,
                },
                "meter": {
                    "children": ["board", "display"],
                    "defect_rate": {"a": 2.0, "b": 38.0},
                    "assembly_cost": 8.0,
                    "inspection_cost": 6.0,
                    "dismantle_cost": 9.0,
                },
            },
        },
    }
    ranges: ClassVar[Mapping[str, Mapping[str, Any]]] = RANGES

    @model_validator(mode="after")
    def _check(self) -> Self:
        products = [name for name, node in self.nodes.items() if node.children is not None]
        if len(self.nodes) != NODES or len(products) != 1:
            raise ValueError(
                f"nodes: {len(self.nodes) - len(products)} parts ({self._named(parts=True)}) and "
                f"{len(products)} assemblies ({self._named(parts=False)}); exactly two parts and one "
                "product are needed"
            )
        children = list(self.nodes[products[0]].parts)
        parts = [name for name in self.nodes if name != products[0]]
        if sorted(children) != sorted(parts):
            raise ValueError(
                f"nodes.{products[0]}.children = {children}: must be the two parts, "
                f"{parts[0]!r} and {parts[1]!r}"
            )
        if self.num_states > MAX_STATES:
            sizes = ", ".join(f"{name} {self.nodes[name].max_samples}" for name in self.order)
            raise ValueError(
                f"nodes: max_samples ({sizes}) make {self.num_states:,} combinations of counts: must "
                f"be at most {MAX_STATES:,}"
            )
        return self

    def _named(self, *, parts: bool) -> str:
        names = [name for name, node in self.nodes.items() if (node.children is None) == parts]
        return ", ".join(map(repr, names)) or "none"

    @cached_property
    def order(self) -> tuple[str, str, str]:
        """The names of part 1, part 2 and the product."""
        product = next(name for name, node in self.nodes.items() if node.children is not None)
        part_1, part_2 = self.nodes[product].parts
        return part_1, part_2, product

    @property
    def in_order(self) -> tuple[PilotNode, ...]:
        """The nodes in :attr:`order`."""
        return tuple(self.nodes[name] for name in self.order)

    @property
    def num_states(self) -> int:
        """Number of combinations of counts, ∏ (n + 1)(n + 2) / 2."""
        return math.prod(row_start(n + 1) for n in (x.max_samples for x in self.in_order))

    @property
    def kernel(self) -> Kernel:
        """The compiled world of the pilot run; the same for every scenario."""
        return KERNEL

    @cached_property
    def action_names(self) -> tuple[str, ...]:
        """What each action does, in words."""
        return action_names(self.order)

    def record(self) -> NDArray[np.void]:
        """Return the parameters as the kernel reads them: one record, shape (1,)."""
        record = np.zeros(1, SCENARIO)
        nodes = self.in_order
        for k, node in enumerate(nodes):
            rate = node.defect_rate
            if isinstance(rate, BetaRate):
                record["a"][0, k], record["b"][0, k] = rate.a, rate.b
            record["is_known"][0, k] = not isinstance(rate, BetaRate)
            record["defect_rate"][0, k] = node.mean_rate
            record["make_cost"][0, k] = node.make_cost
            for name in ("inspection_cost", "sample_cost", "max_samples"):
                record[name][0, k] = getattr(node, name)
            record["scale"][0, k] = 1.0 / node.max_samples if node.max_samples else 0.0
        total = sum(node.max_samples for node in nodes)
        record["total_scale"] = 1.0 / total if total else 0.0
        record["dismantle_cost"] = nodes[-1].dismantle_cost
        for name in ("price", "return_loss", "order_size"):
            record[name] = getattr(self, name)
        return record
