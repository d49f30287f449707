"""Tails of the number of defectives in a finite lot under a Beta prior, for all counts of a row.

After n items with d defectives the L = N − n others hold X defectives, X ~ BetaBinomial(L, a + d,
b + n − d), and the lot holds M = d + X. One more defective and one less conforming item make a large M
likelier by

    P(M ≥ K | d + 1) − P(M ≥ K | d) = (α + β) k (N + b − K) f(k) / ((L + 1) α β),   k = K − d,

where f is the probability of BetaBinomial(L + 1, α, β), α = a + d and β = b + n − 1 − d: both sides are
the same L + 1 items with one of them known, and the sum over f telescopes. The increments follow
from each other by a ratio, so that a row takes one lot's sum at each end and one in between.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


def tails(
    lot_size: int, n: int, threshold: int, a: float, b: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return P(M ≥ threshold) and P(M < threshold) after n items with d = 0, …, n defectives.

    Parameters
    ----------
    lot_size
        N.
    n
        Items inspected, 0 ≤ n ≤ N.
    threshold
        K, 1 ≤ K ≤ N.
    a, b
        The prior's shapes.

    Returns
    -------
    at_least, below
        float64 (n + 1,) each. Neither is one minus the other: small ones are exact too.
    """
    left = lot_size - n
    steps = np.zeros(n)
    first, last = max(threshold - left - 1, 0), min(n, threshold)
    if last > first:
        d = np.arange(first, last, dtype=np.float64)
        ratios = (threshold - d - 1.0) * (b + n - 1.0 - d)
        ratios /= (left + 2.0 - threshold + d) * (a + d + 1.0)
        # From the most probable count on, the increments fall to either side.
        most = int(np.argmax(np.append(ratios, 0.0)[: last - first] < 1.0))
        own = np.ones(last - first)
        own[most + 1 :] = np.cumprod(ratios[most : last - first - 1])
        own[:most] = np.cumprod((1.0 / ratios[:most])[::-1])[::-1]
        k, alpha, beta = threshold - d[most], a + d[most], b + n - 1.0 - d[most]
        chance = _mass(left + 1, alpha, beta, int(k), int(k))
        scale = (alpha + beta) * k * (lot_size + b - threshold) / ((left + 1.0) * alpha * beta)
        steps[first:last] = own * (scale * chance)
    at_least = np.empty(n + 1)
    below = np.empty(n + 1)
    at_least[0] = _mass(left, a, b + n, threshold, left)
    below[n] = _mass(left, a + n, b, 0, threshold - n - 1)
    np.cumsum(steps, out=at_least[1:])
    at_least[1:] += at_least[0]
    below[:n] = np.cumsum(steps[::-1])[::-1] + below[n]
    return np.minimum(at_least, 1.0), np.minimum(below, 1.0)


@njit(cache=True, error_model="numpy")
def _mass(trials, a, b, low, high):  # type: ignore[no-untyped-def]
    """Return P(low ≤ X ≤ high) for X ~ BetaBinomial(trials, a, b).

    Relative to the most probable number, outwards by the ratio of neighbours, and normalised by the
    sum of all: no logarithm of a factorial, whose rounding grows with the lot.
    """
    low, high = max(low, 0), min(high, trials)
    if low > high:
        return 0.0
    mode = 0
    if a > 1.0 and b > 1.0:
        mode = min(max(int((trials + 1) * ((a - 1.0) / (a + b - 2.0))), 0), trials)
    elif a > b:
        mode = trials
    total, inside = 0.0, 0.0
    for way in range(2):
        x, term = mode, 1.0
        while 0 <= x <= trials and term > 0.0:
            if way == 0 or x != mode:
                total += term
                if low <= x <= high:
                    inside += term
            if way == 0:
                term *= (trials - x) * (x + a) / ((x + 1.0) * (trials - x - 1.0 + b))
                x += 1
            else:
                term *= x * (trials - x + b) / ((trials - x + 1.0) * (x - 1.0 + a))
                x -= 1
    return inside / total
