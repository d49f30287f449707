"""Ranges of plants: how good new and reworked items are, and what inspecting and reworking cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TRAIN: Mapping[str, Any] = {
    "fraction_defective": {"low": 0.03, "high": 0.30},
    "rework_fraction_defective": {"low": 0.02, "high": 0.30},
    "lot_size": 240,
    "sample_size": {"low": 8, "high": 24},
    "daily_demand": 4800.0,
    "inspection_cost": {"low": 0.5, "high": 2.0},
    "rework_cost": {"low": 0.0, "high": 2.0},
    "max_stages": 6,
}

RANGES: Mapping[str, Mapping[str, Any]] = {
    "train": _TRAIN,
    "interpolation": _TRAIN,
    # Smaller samples and worse rework than any before: often no stage pays, where most did.
    "extrapolation": {
        **_TRAIN,
        "sample_size": {"low": 2, "high": 7},
        "rework_fraction_defective": {"low": 0.30, "high": 0.45},
    },
}
"""Plants with the lots of Yang (2010).

What decides K is varied: the fractions nonconforming of new and of reworked items, the sample that a lot is
accepted by, and both costs. ``extrapolation`` leaves the intervals of ``train`` in the sample and the
rework.
"""
