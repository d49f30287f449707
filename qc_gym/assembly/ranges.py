"""Ranges of products of two parts: their defect rates, their tests and what a failure costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RATE: Mapping[str, float] = {"low": 0.03, "high": 0.22}


def _products(rate: Mapping[str, float]) -> dict[str, Any]:
    """Return products whose parts and assembly have defect rates in an interval."""
    return {
        "price": 56.0,
        "return_loss": {"low": 5.0, "high": 35.0},
        "nodes": {
            "part_1": {
                "defect_rate": rate,
                "purchase_cost": 4.0,
                "inspection_cost": {"low": 0.5, "high": 9.0},
            },
            "part_2": {
                "defect_rate": rate,
                "purchase_cost": 18.0,
                "inspection_cost": {"low": 0.5, "high": 4.0},
            },
            "product": {
                "children": ["part_1", "part_2"],
                "defect_rate": rate,
                "assembly_cost": 6.0,
                "inspection_cost": {"low": 1.0, "high": 4.0},
                "dismantle_cost": {"low": 3.0, "high": 42.0},
            },
        },
    }


RANGES: Mapping[str, Mapping[str, Any]] = {
    "train": _products(_RATE),
    "interpolation": _products(_RATE),
    # Suppliers and an assembly line that are worse than any before.
    "extrapolation": _products({"low": _RATE["high"], "high": 0.35}),
}
"""The product of the 2024 contest problem B, question 2, between and around its six cases.

All that differs from case to case is varied: the three defect rates, the costs of the three tests, what a
return loses and what dismantling costs. ``extrapolation`` leaves the intervals of ``train`` in the rates.
"""
