"""Is the earlier model's average outgoing quality always higher? Yang (2010) conjectures that it is.

    python -m baselines.kstage.aoq_conjecture --count 1000000 --seed 0

searches for a counterexample among random plants, of rates from 1e-9 to almost 1. There is none, and
there can be none. Let c = 1−λ ≥ 0, let x solve p_K (1−cx)(1−x)^n = (1−pR) x, so that the AOQ is cx, and let
y solve the earlier p_K (1−y)^(n+1) = (1−pR) y, whose AOQ is y. At cx the difference of the two sides of the
earlier equation, which falls in its unknown, is

    p_K (1−cx)^(n+1) − (1−pR) cx = p_K (1−cx) [(1−cx)^n − c (1−x)^n] > 0,

as c < 1 and 1−cx > 1−x. Hence y > cx. And at x it is p_K (1−x)^n [(1−x) − (1−cx)] = −p_K (1−x)^n λx < 0,
hence y < x: the earlier AOQ is too high, by a factor between 1 and 1/(1−λ).
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from qc_gym.kstage.steady_state import earlier_steady_state, steady_state

_BLOCK = 100_000


class Search(NamedTuple):
    """What a search has found.

    Attributes
    ----------
    plants
        Plants compared.
    counterexamples
        Plants whose AOQ in the earlier model is not higher.
    lowest, highest
        Least and greatest logarithm of the ratio of the earlier AOQ to the AOQ, as a share of
        −log(1−λ); plants with λ = 1, whose AOQ is 0, do not count.
    """

    plants: int
    counterexamples: int
    lowest: float
    highest: float


def search(count: int, seed: int) -> Search:
    """Compare the two models on random plants.

    Parameters
    ----------
    count
        Number of plants, at least 1.
    seed
        Seed of all randomness.
    """
    if count < 1:
        raise ValueError(f"count = {count}: at least 1 is needed")
    generator = np.random.default_rng(seed)
    counterexamples, lowest, highest = 0, np.inf, -np.inf
    for begin in range(0, count, _BLOCK):
        size = min(_BLOCK, count - begin)
        p0, pr = _rates(generator, size), _rates(generator, size)
        lot = np.floor(10.0 ** generator.uniform(0.0, 4.0, size))
        sample = np.ceil(lot * generator.uniform(0.0, 1.0, size) ** 3).clip(1.0)
        stages = generator.integers(0, 11, size)
        current = steady_state(p0, pr, lot, sample, stages).outgoing_fraction
        earlier = earlier_steady_state(p0, pr, lot, sample, stages).outgoing_fraction
        counterexamples += int((earlier <= current).sum())
        partly = sample < lot
        share = np.log(earlier[partly] / current[partly]) / -np.log1p(-(sample / lot)[partly])
        lowest, highest = min(lowest, share.min()), max(highest, share.max())
    return Search(count, counterexamples, float(lowest), float(highest))


def _rates(generator: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Return random rates, half of them of any order of magnitude. Shape (size,)."""
    small = 10.0 ** generator.uniform(-9.0, -1e-6, size)
    return np.where(generator.random(size) < 0.5, small, generator.uniform(1e-9, 1.0 - 1e-9, size))


def main() -> None:
    """Search, and print what was found."""
    parser = argparse.ArgumentParser(description="Search for a counterexample.")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = search(arguments.count, arguments.seed)
    print(f"{found.plants:,} plants, {found.counterexamples} counterexamples")
    print(
        "logarithm of the earlier AOQ over the AOQ, as a share of −log(1−λ): "
        f"from {found.lowest:.3g} to {found.highest:.12g}"
    )


if __name__ == "__main__":
    main()
