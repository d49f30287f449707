"""Optima solved per second on one core by ``solve_many``, beside a loop of ``solve``.

Reading the scenarios is counted in both.

python -m benchmarks.many [--count 200]
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

import baselines
from baselines.core.problem import env_type_of

SAMPLING = {
    "inspection_cost": {"low": 0.5, "high": 2.0},
    "accept_bad_cost": {"low": 300.0, "high": 900.0},
}
PLANT = {"rework_fraction_defective": {"low": 0.02, "high": 0.3}}
RANGES: Mapping[str, tuple[str, str, Mapping[str, Any], int]] = {
    "sampling, two rates, 400 samples": ("SequentialSampling-v0", "aql10-rql20", SAMPLING, 1),
    "sampling, Beta prior, 400 samples": ("SequentialSampling-v0", "aql10-beta", SAMPLING, 1),
    "assembly, two parts": ("Assembly-v0", "cumcm-1", {"price": {"low": 40.0, "high": 70.0}}, 10),
    "inspect or stop, 30 units": (
        "InspectOrStop-v0",
        "weibull-30",
        {"inspection_cost": {"low": 0.5, "high": 2.0}},
        1,
    ),
    "K-stage": ("KStage-v0", "blu-2010", PLANT, 500),
    "K-stage control, 60 days": ("KStageControl-v0", "blu-quarter", PLANT, 50),
    "pilot run": ("PilotRun-v0", "initial-samples", {"price": {"low": 40.0, "high": 70.0}}, 1),
}
"""What is varied of which preset, and how many times as many scenarios as of the slowest."""
MOST_LOOPED = 50
"""Most scenarios that are solved one by one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="scenarios of the slowest family")
    count = parser.parse_args().count
    print(f"{'':36}{'solve_many':>14}{'a loop':>12}{'ratio':>8}")
    for name, (environment, preset, varied, times) in RANGES.items():
        env_id = f"qc_gym/{environment}"
        baselines.solve_many(env_id, table_of(env_id, preset, varied, 2))  # compiles
        table = table_of(env_id, preset, varied, times * count)
        many = rate(times * count, partial(baselines.solve_many, env_id, table))
        rows = [
            dict(zip(table, row, strict=True))
            for row in zip(*map(cells, table.values()), strict=False)
        ]
        rows = rows[:MOST_LOOPED]
        loop = rate(len(rows), partial(solve_each, env_id, rows))
        print(f"{name:36}{many:>12,.0f}/s{loop:>10,.0f}/s{many / loop:>8.1f}")


def solve_each(env_id: str, rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Solve scenarios one by one."""
    return [baselines.solve(env_id, scenario=row).value for row in rows]


def cells(column: Any) -> Iterable[Any]:
    """Return the values of a column, or again and again the one that all share."""
    return column.tolist() if isinstance(column, np.ndarray) else itertools.repeat(column)


def table_of(env_id: str, preset: str, varied: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Return the fields of a preset with columns for those that are varied."""
    presets = env_type_of(env_id).scenario_type.presets
    generator = np.random.default_rng(0)
    drawn = {
        name: generator.uniform(spread["low"], spread["high"], count)
        for name, spread in varied.items()
    }
    return {**presets[preset], **drawn}


def rate(count: int, work: Callable[[], object]) -> float:
    """Return how many are done a second."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
