"""Ranges of plants whose new items differ from day to day: how much, and what following them costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TRAIN: Mapping[str, Any] = {
    # From a process that is well in hand to one that is not; each has better and worse days.
    "levels": {
        "choices": [
            [0.01, 0.03, 0.08],
            [0.015, 0.045, 0.12],
            [0.02, 0.06, 0.161],
            [0.03, 0.09, 0.20],
            [0.04, 0.12, 0.25],
        ]
    },
    "transition": [[0.90, 0.10, 0.0], [0.06, 0.86, 0.08], [0.0, 0.15, 0.85]],
    "rework_fraction_defective": {"low": 0.02, "high": 0.20},
    "lot_size": 240,
    "sample_size": {"low": 8, "high": 24},
    "daily_demand": 4800.0,
    "inspection_cost": {"low": 0.5, "high": 2.0},
    "rework_cost": {"low": 0.0, "high": 2.0},
    "max_stages": 3,
    "changeover_cost": {"low": 0.3, "high": 3.0},
    "days": 60,
}

RANGES: Mapping[str, Mapping[str, Any]] = {
    "train": _TRAIN,
    "interpolation": _TRAIN,
    # Changes that cost more than any before, and rework that is worse.
    "extrapolation": {
        **_TRAIN,
        "rework_fraction_defective": {"low": 0.20, "high": 0.40},
        "changeover_cost": {"low": 3.0, "high": 6.0},
    },
}
"""The plant of Yang (2010) over 60 days, around the preset ``blu-quarter``.

Varied are the levels of its process, its rework, the sample that a lot is accepted by, both costs and
that of a changeover. ``extrapolation`` leaves the intervals of ``train`` in the rework and the changeovers.
"""
