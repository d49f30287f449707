"""Ranges of orders before which a supplier sends initial samples: what is believed and at stake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _orders(order_size: Mapping[str, int]) -> dict[str, Any]:
    """Return orders of a number of units in an interval."""
    return {
        "price": {"low": 70.0, "high": 120.0},
        "return_loss": {"low": 10.0, "high": 50.0},
        "order_size": order_size,
        "nodes": {
            "board": {
                "defect_rate": 0.02,
                "purchase_cost": 12.0,
                "inspection_cost": 1.5,
            },
            "display": {
                "defect_rate": {"a": {"low": 0.3, "high": 1.5}, "b": {"low": 2.5, "high": 8.0}},
                "purchase_cost": 20.0,
                "inspection_cost": {"low": 3.0, "high": 12.0},
                "sample_cost": {"low": 20.0, "high": 60.0},
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
    }


RANGES: Mapping[str, Mapping[str, Any]] = {
    "train": _orders({"low": 200, "high": 2000}),
    "interpolation": _orders({"low": 200, "high": 2000}),
    # Orders that are larger than any before.
    "extrapolation": _orders({"low": 2001, "high": 6000}),
}
"""Orders of a meter whose display comes from a new supplier, around the preset ``initial-samples``.

Varied are the size of the order, the price, what a return loses, what is believed of the display's defect
rate, and what its inspection and a sample cost. ``extrapolation`` leaves the interval of ``train`` in the
size.
"""
