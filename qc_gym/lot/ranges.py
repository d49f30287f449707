"""Ranges of lots of 30 units: the demand, the process that made them and the money at stake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TRAIN: Mapping[str, Any] = {
    "demand": {"low": 15, "high": 25},
    "lot_size": 30,
    "yield_in": {"low": 0.88, "high": 0.98},
    "yield_out": {"low": 0.05, "high": 0.4},
    "shift": {
        "kind": "discrete_weibull",
        "q": {"low": 0.95, "high": 0.995},
        "beta": {"low": 1.0, "high": 1.6},
    },
    "inspection_cost": {"low": 0.5, "high": 1.5},
    "shortage_cost": {"low": 3.0, "high": 6.0},
}

RANGES: Mapping[str, Mapping[str, Any]] = {
    "train": _TRAIN,
    "interpolation": _TRAIN,
    # A process that goes out of control sooner.
    "extrapolation": {
        **_TRAIN,
        "shift": {**_TRAIN["shift"], "q": {"low": 0.85, "high": 0.95}},
    },
}
"""Lots that are produced before they are inspected, around the preset ``weibull-30``.

All but the size of the lot is varied: the demand, the yields in and out of control, when control is
lost, what an inspection and a unit short cost. ``extrapolation`` leaves the intervals of ``train`` in q,
the chance that the first unit is still made in control.
"""
