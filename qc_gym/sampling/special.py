"""Tails of the Beta and the beta-binomial distribution, compiled: what a belief is made of."""

from __future__ import annotations

import math

from numba import njit


@njit(error_model="numpy")
def log_choose(n, k):  # type: ignore[no-untyped-def]
    """Return the logarithm of the number of k-subsets of n items."""
    return math.lgamma(n + 1.0) - math.lgamma(k + 1.0) - math.lgamma(n - k + 1.0)


@njit(error_model="numpy")
def beta_binomial_tail(k, trials, a, b):  # type: ignore[no-untyped-def]
    """Return P(X ≥ k) for X ~ BetaBinomial(trials, a, b), 1 ≤ k ≤ trials.

    Sums away from the mean, starting from one probability taken in logarithms: the terms fall.
    """
    upward = k > trials * a / (a + b)
    x = k if upward else k - 1
    term = math.exp(log_choose(trials, x) + log_beta(x + a, trials - x + b) - log_beta(a, b))
    total = 0.0
    while 0 <= x <= trials and term > 0.0:
        total += term
        if upward:
            term *= (trials - x) * (x + a) / ((x + 1.0) * (trials - x - 1.0 + b))
            x += 1
        else:
            term *= x * (trials - x + b) / ((trials - x + 1.0) * (x - 1.0 + a))
            x -= 1
    total = min(total, 1.0)
    return total if upward else 1.0 - total


@njit(error_model="numpy")
def log_beta(a, b):  # type: ignore[no-untyped-def]
    """Return the logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@njit(error_model="numpy")
def upper_beta_tail(x, a, b):  # type: ignore[no-untyped-def]
    """Return P(p > x) under Beta(a, b), 1 − I_x(a, b); a small one is exact too."""
    if x > (a + 1.0) / (a + b + 2.0):
        return regularised_beta(1.0 - x, b, a)
    return 1.0 - regularised_beta(x, a, b)


@njit(error_model="numpy")
def regularised_beta(x, a, b):  # type: ignore[no-untyped-def]
    """Return I_x(a, b) for x below about the mean, where its continued fraction is quick.

    By Lentz's method (DLMF 8.17.22).
    """
    tiny = 1e-300
    f, c, d = 1.0, 1.0, 0.0
    for i in range(500):
        m = i // 2
        if i == 0:
            numerator = 1.0
        elif i % 2 == 0:
            numerator = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        else:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        d = 1.0 + numerator * d
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = 1.0 + numerator / c
        c = c if abs(c) > tiny else tiny
        f *= c * d
        if abs(1.0 - c * d) < 1e-14:
            break
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - log_beta(a, b)) / a
    return front * (f - 1.0)
