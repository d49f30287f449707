"""Assembly trees drawn from a seed: of every shape, with parts that are used several times."""

from typing import Any

import numpy as np


def random_tree(seed: int, items: int, failures: int, *, discard: bool) -> dict[str, Any]:
    """Return the fields of a scenario whose product is made of so many items, itself included.

    Trees of one size share the code that is compiled for it; where ``discard``, of one number of blind
    ``failures``.
    """
    generator = np.random.default_rng(seed)

    def money(most: float) -> float:
        return round(float(generator.uniform(0.5, most)), 2)

    def rate() -> float:
        return float(generator.choice([0.0, 0.02, 0.1, 0.3, 0.7]))

    def part() -> dict[str, float]:
        return {"defect_rate": rate(), "purchase_cost": money(20), "inspection_cost": money(6)}

    def grow(size: int) -> str:
        """Add a node of ``size`` items; return its name."""
        name = f"of {size}, {len(nodes) + 1}"
        if size == 1:
            nodes[name] = part()
            return name
        nodes[name] = {}  # its place in the count of names
        left, children = size - 1, []
        while left:
            each = int(generator.integers(1, left + 1))
            quantity = int(generator.integers(1, left // each + 1))
            children.append({"part": grow(each), "quantity": quantity})
            left -= each * quantity
        nodes[name] = {
            "children": children,
            "defect_rate": rate(),
            "assembly_cost": money(10),
            "inspection_cost": money(8),
            "dismantle_cost": money(12),
        }
        return name

    nodes: dict[str, Any] = {}
    grow(items)
    return {
        "price": money(150),
        "return_loss": money(60),
        "max_blind_failures": failures,
        "discard_recovered": discard,
        "nodes": nodes,
    }
