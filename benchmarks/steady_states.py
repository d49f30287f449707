"""Steady states of the K-stage network solved per second on one core, all K of many plants at once.

python -m benchmarks.steady_states
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from qc_gym.kstage.steady_state import steady_state

PLANTS = 100_000
STAGES = np.arange(10)
ROUNDS = 11


def main() -> None:
    generator = np.random.default_rng(0)
    column = PLANTS, 1
    arguments = (
        generator.uniform(0.001, 0.5, column),
        generator.uniform(0.01, 0.6, column),
        generator.integers(100, 1000, column),
        generator.integers(1, 100, column),
    )
    steady_state(*arguments, STAGES)  # compiles
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        steady_state(*arguments, STAGES)
        seconds.append(time.perf_counter() - began)
    solved = PLANTS * len(STAGES) / statistics.median(seconds)
    print(f"{solved / 1e6:.2f} million steady states a second")


if __name__ == "__main__":
    main()
