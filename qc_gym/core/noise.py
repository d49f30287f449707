"""The random numbers of every simulator: one counter-based stream per sub-environment.

A stream is a 64-bit counter passed through the SplitMix64 finaliser (Steele, Lea & Flood 2014).
It is small enough to live beside the state, so that a batch of thousands of sub-environments
steps without a call back into Python, and each sub-environment draws the same numbers alone as in
a batch. A stream starts where a :class:`numpy.random.Generator` says (:func:`first_counter`): all
randomness comes from ``reset(seed=…)``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

NOISE = np.dtype([("counter", np.uint64)], align=True)
"""One stream. Pass ``noise[i]`` of an array of this dtype to the functions below."""


def first_counter(generator: np.random.Generator) -> int:
    """Draw where a stream starts."""
    return int(generator.integers(0, 2**64, dtype=np.uint64))


def streams(generator: np.random.Generator, size: int) -> NDArray[np.void]:
    """Return ``size`` independent streams, drawn from ``generator``. Shape (size,)."""
    noise = np.empty(size, NOISE)
    noise["counter"] = generator.integers(0, 2**64, size=size, dtype=np.uint64)
    return noise


@njit(inline="always", error_model="numpy")
def next_bits(noise):
    """Return the next 64 random bits of the stream."""
    counter = noise.counter + np.uint64(0x9E3779B97F4A7C15)
    noise.counter = counter
    z = (counter ^ (counter >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(inline="always", error_model="numpy")
def uniform(noise):
    """Return a float64 uniform on [0, 1), a multiple of 2^-53."""
    return np.float64(next_bits(noise) >> np.uint64(11)) * 2.0**-53


class Stream:
    """A stream as a source of uniforms for code that is not compiled.

    Parameters
    ----------
    noise
        The stream, an array of shape (1,); it advances.
    """

    def __init__(self, noise: NDArray[np.void]) -> None:
        self._noise = noise

    def random(self, size: int) -> NDArray[np.float64]:
        """Return ``size`` numbers uniform on [0, 1)."""
        drawn = np.empty(size)
        _fill(self._noise, drawn)
        return drawn


@njit(cache=True, error_model="numpy")
def _fill(noise, drawn):
    for i in range(len(drawn)):
        drawn[i] = uniform(noise[0])


@njit(error_model="numpy")
def normal(noise):
    """Return a standard normal variate (Box & Muller 1958; one of the pair)."""
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(noise)))
    return radius * math.cos(2.0 * math.pi * uniform(noise))


@njit(error_model="numpy")
def log_gamma_variate(noise, shape):
    """Return the logarithm of a Gamma(shape, 1) variate (Marsaglia & Tsang 2000).

    The logarithm, because for a small shape the variate itself underflows.
    """
    boost = 0.0
    if shape < 1.0:
        boost = math.log(1.0 - uniform(noise)) / shape
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(noise)
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        if math.log(1.0 - uniform(noise)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return boost + math.log(d * v)


@njit(error_model="numpy")
def beta_variate(noise, a, b):
    """Return a Beta(a, b) variate."""
    log_x = log_gamma_variate(noise, a)
    log_y = log_gamma_variate(noise, b)
    return 1.0 / (1.0 + math.exp(log_y - log_x))


@njit(error_model="numpy")
def binomial_variate(noise, trials, p):
    """Return a Binomial(trials, p) variate.

    The trials are halved by drawing the median of that many uniforms, a Beta variate, and
    keeping the half on which the outcome still depends (Relles 1972): exact, and logarithmic in
    ``trials``.
    """
    successes = 0
    while trials > 32:
        median = trials // 2 + 1
        x = beta_variate(noise, np.float64(median), np.float64(trials + 1 - median))
        if x <= p:
            successes += median
            trials -= median
            p = (p - x) / (1.0 - x)
        else:
            trials = median - 1
            p = p / x
    for _ in range(trials):
        successes += np.int64(uniform(noise) < p)
    return successes
