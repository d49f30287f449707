"""Ranges of lots: how good and how bad a supplier's are, how often, and what is at stake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TRAIN: Mapping[str, Any] = {
    "prior": {
        "kind": "two_point",
        "good": {"low": 0.01, "high": 0.12},
        "bad": {"low": 0.15, "high": 0.30},
        "prob_bad": {"low": 0.1, "high": 0.6},
    },
    "inspection_cost": {"low": 0.5, "high": 2.0},
    "accept_bad_cost": {"low": 100.0, "high": 600.0},
    "reject_good_cost": {"low": 100.0, "high": 400.0},
    "max_samples": 400,
}

RANGES: Mapping[str, Mapping[str, Any]] = {
    "train": _TRAIN,
    "interpolation": _TRAIN,
    # Items that are dear to inspect, and lots that cost more than any before where they were accepted.
    "extrapolation": {
        **_TRAIN,
        "inspection_cost": {"low": 2.0, "high": 5.0},
        "accept_bad_cost": {"low": 600.0, "high": 1500.0},
    },
}
"""Lots of two possible qualities, as contracts name them: an acceptable and a rejectable level.

Both levels are varied, how often lots are bad, and all the money; ``extrapolation`` leaves the intervals of
``train`` in the cost of inspection and in that of accepting a bad lot.
"""
