"""What fallible judgements say of a lot, from the distribution of the true counts among them.

Of n items inspected k are truly defective; each of these is judged defective with probability 1 − miss,
each of the others with probability false_alarm. So the number judged defective, given k, has the
generating function A(z)^k B(z)^(n − k), with A = miss + (1 − miss) z and B = 1 − false_alarm +
false_alarm z, whatever the lot: errors are a channel from the true counts to the judged ones.

Judgements are exchangeable. Of n with d judged defective any one is equally likely to be such a one,
so the weights of a row follow from those of the next one,

    w(n, d) = (n + 1 − d)/(n + 1) w(n + 1, d) + (d + 1)/(n + 1) w(n + 1, d + 1),

and the second term over the sum is P(the next one is judged defective | n, d). All terms are positive:
nothing cancels. A weight is a probability of the counts, times whatever is known of the lot given the true
ones, so that a quotient of two weights is what is known given the judged ones.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qc_gym.core.lattice import row_start

UNSEEN = 1e-290
"""Counts less likely than this take what is known at the nearest ones: their own may have underflowed."""


@njit(cache=True, error_model="numpy")
def judged_row(weights, false_alarm, miss):  # type: ignore[no-untyped-def]
    """Return weights by the number judged defective, of weights (m, n + 1) by the true number.

    By Horner's rule in the two polynomials, in O(m n²).
    """
    m, size = weights.shape
    result = np.zeros((m, size))
    power = np.zeros(size)  # of A
    power[0] = 1.0
    result[:, 0] = weights[:, 0]
    for k in range(1, size):
        power[k] = power[k - 1] * (1.0 - miss)
        for d in range(k - 1, 0, -1):
            power[d] = power[d] * miss + power[d - 1] * (1.0 - miss)
        power[0] *= miss
        for i in range(m):
            result[i, k] = result[i, k - 1] * false_alarm
            for d in range(k - 1, 0, -1):
                passed = result[i, d] * (1.0 - false_alarm)
                result[i, d] = passed + result[i, d - 1] * false_alarm
            result[i, 0] *= 1.0 - false_alarm
            weight = weights[i, k]
            if weight > 0.0:
                for d in range(k + 1):
                    result[i, d] += weight * power[d]
    return result


@njit(cache=True, error_model="numpy")
def read_row(weights, n, known):  # type: ignore[no-untyped-def]
    """Write what is known at (n, d), (m − 1, at least n + 1): the weights (m, …) over those of the counts.

    The first of the weights is P(d judged defective of n).
    """
    reference = -1
    for d in range(n + 1):
        if weights[0, d] > UNSEEN:
            reference = d
            break
    for d in range(n + 1):
        if weights[0, d] > UNSEEN:
            reference = d
        for i in range(known.shape[0]):
            known[i, d] = weights[i + 1, reference] / weights[0, reference]


@njit(cache=True, error_model="numpy")
def thin_row(weights, n, chances):  # type: ignore[no-untyped-def]
    """Turn the weights of row n + 1, (m, at least n + 2), into those of row n, in place.

    Writes ``chances``, (at least n + 1,): P(the next one is judged defective | n, d).
    """
    reference = -1
    for d in range(n + 1):
        stay, go = (n + 1.0 - d) / (n + 1.0), (d + 1.0) / (n + 1.0)
        found = go * weights[0, d + 1]
        for i in range(weights.shape[0]):
            weights[i, d] = stay * weights[i, d] + go * weights[i, d + 1]
        if weights[0, d] > UNSEEN:
            chances[d] = min(found / weights[0, d], 1.0)
            if reference < 0:
                chances[:d] = chances[d]
            reference = d
        elif reference >= 0:
            chances[d] = chances[reference]


@njit(cache=True, error_model="numpy")
def judged_lattice(weights):  # type: ignore[no-untyped-def]
    """Return what is known (m − 1, size) and the chances (size,) at every (n, d).

    ``weights``, (m, max_samples + 1), are those of the last row; they are overwritten. In that row
    the chances are 0: nothing is inspected after it.
    """
    m, most = weights.shape[0], weights.shape[1] - 1
    size = row_start(most + 1)
    known, chances = np.empty((m - 1, size)), np.zeros(size)
    read_row(weights, most, known[:, size - most - 1 :])
    for n in range(most - 1, -1, -1):
        start = row_start(n)
        thin_row(weights, n, chances[start : start + n + 1])
        read_row(weights, n, known[:, start : start + n + 1])
    return known, chances


@njit(cache=True, error_model="numpy")
def beta_binomial_row(n, a, b):  # type: ignore[no-untyped-def]
    """Return P(k of n), k = 0, …, n, for BetaBinomial(n, a, b), float64 (n + 1,).

    From the likeliest number outwards, by the ratio of neighbours.
    """
    row = np.zeros(n + 1)
    if a < 1.0 and b < 1.0:  # both ends are likely, and with shapes near 0 nothing between them
        top = 0.0
        for k in range(n):
            row[k + 1] = row[k] + np.log((n - k) / (k + 1.0)) + np.log(a + k)
            row[k + 1] -= np.log(n - k - 1.0 + b)
            top = max(top, row[k + 1])
        row = np.exp(row - top)
        return row / row.sum()
    mode = n if a > b else 0
    if a > 1.0 and b > 1.0:
        mode = min(max(int((n + 1) * ((a - 1.0) / (a + b - 2.0))), 0), n)
    row[mode] = 1.0
    for k in range(mode, n):
        row[k + 1] = row[k] * ((n - k) / (k + 1.0) * ((a + k) / (n - k - 1.0 + b)))
    for k in range(mode, 0, -1):
        row[k - 1] = row[k] * (k / (n - k + 1.0) * ((n - k + b) / (a + k - 1.0)))
    return row / row.sum()


@njit(cache=True, error_model="numpy")
def hypergeometric_row(n, defectives, lot_size):  # type: ignore[no-untyped-def]
    """Return P(k of n), k = 0, …, n, drawn from a lot that holds so many defectives, (n + 1,)."""
    row = np.zeros(n + 1)
    low, high = max(n - (lot_size - defectives), 0), min(n, defectives)
    mode = (n + 1) * (defectives + 1) // (lot_size + 2)
    mode = min(max(mode, low), high)
    row[mode] = 1.0
    for k in range(mode, high):
        ratio = (defectives - k) / (k + 1.0) * ((n - k) / (lot_size - defectives - n + k + 1.0))
        row[k + 1] = row[k] * ratio
    for k in range(mode, low, -1):
        ratio = k / (defectives - k + 1.0) * ((lot_size - defectives - n + k) / (n - k + 1.0))
        row[k - 1] = row[k] * ratio
    return row / row.sum()


def lot_chances(
    defectives: int, lot_size: int, max_samples: int, false_alarm: float, miss: float
) -> NDArray[np.float64]:
    """Return P(the next one is judged defective | n, d) in a lot that holds so many defectives.

    float64 (size,), at every (n, d), 0 ≤ d ≤ n ≤ max_samples, in the order of n·(n + 1)/2 + d. In the last
    row, after which nothing is inspected, it is 0.
    """
    row = hypergeometric_row(max_samples, defectives, lot_size)[np.newaxis]
    chances: NDArray[np.float64] = judged_lattice(judged_row(row, false_alarm, miss))[1]
    return chances


def lot_counts(
    n: int, defectives: int, lot_size: int, false_alarm: float, miss: float
) -> NDArray[np.float64]:
    """Return P(d of n are judged defective), d = 0, …, n, in a lot with so many defectives, (n + 1,)."""
    row = hypergeometric_row(n, defectives, lot_size)[np.newaxis]
    counts: NDArray[np.float64] = judged_row(row, false_alarm, miss)[0]
    return counts
