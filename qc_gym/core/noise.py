"""The random numbers of every simulator: one counter-based stream per sub-environment.

A stream is a 64-bit counter passed through the SplitMix64 finaliser (Steele, Lea & Flood 2014).
It is small enough to live beside the state, so that a batch of thousands of sub-environments
steps without a call back into Python, and each sub-environment draws the same numbers alone as in
a batch. A stream starts where a :class:`numpy.random.Generator` says (:func:`first_counter`): all
randomness comes from ``reset(seed=…)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

NOISE = np.dtype([("counter", np.uint64)], align=True)
"""One stream. Pass ``noise[i]`` of an array of this dtype to the functions below."""


def first_counter(generator: np.random.Generator) -> int:
    """Draw where a stream starts."""
    return int(generator.integers(0, 2**64, dtype=np.uint64))


def first_counters(seeds: Sequence[int]) -> NDArray[np.uint64]:
    """Return where the streams start of generators seeded one by one. Shape (seeds,).

    The same, bit for bit, as :func:`first_counter` of ``numpy.random.default_rng(seed)`` for each
    of ``seeds``, a thousand times as fast.
    """
    counters = np.empty(len(seeds), np.uint64)
    if isinstance(seeds, range) and seeds.step == 1 and (not seeds or seeds[-1] < 2**64):
        first = np.uint64(seeds[0] if seeds else 0)
        _start(first + np.arange(len(seeds), dtype=np.uint64), counters)
        return counters
    try:
        _start(np.array(seeds, np.uint64), counters)
    except OverflowError:  # one is of more entropy than one word
        _start(np.array([seed % 2**64 for seed in seeds], np.uint64), counters)
        for i, seed in enumerate(seeds):
            if seed >= 2**64:
                counters[i] = first_counter(np.random.default_rng(seed))
    return counters


@njit(cache=True, error_model="numpy")
def _start(seeds, counters):
    """Write the first output of PCG64 seeded by SeedSequence(seed), as numpy promises to keep it."""
    pool = np.empty(4, np.uint32)
    words = np.empty(8, np.uint32)
    for k in range(len(seeds)):
        _mix_entropy(seeds[k], pool)
        constant = np.uint32(0x8B51F9DD)
        for i in range(8):
            word = pool[i % 4] ^ constant
            constant = np.uint32(constant * np.uint32(0x58F38DED))
            word = np.uint32(word * constant)
            words[i] = word ^ (word >> np.uint32(16))
        counters[k] = _first_output(words)


@njit(error_model="numpy")
def _mix_entropy(seed, pool):
    """Write SeedSequence's pool of entropy (O'Neill 2015, seed_seq)."""
    constant = np.uint32(0x43B0D7E5)
    for i in range(4):
        word = np.uint32(0)
        if i < 2:
            word = np.uint32((seed >> np.uint64(32 * i)) & np.uint64(0xFFFFFFFF))
        pool[i], constant = _hash(word, constant)
    for source in range(4):
        for target in range(4):
            if source != target:
                word, constant = _hash(pool[source], constant)
                mixed = np.uint32(
                    np.uint32(pool[target] * np.uint32(0xCA01F9DD))
                    - np.uint32(word * np.uint32(0x4973F715))
                )
                pool[target] = mixed ^ (mixed >> np.uint32(16))


@njit(error_model="numpy")
def _hash(word, constant):
    word = np.uint32(word ^ constant)
    constant = np.uint32(constant * np.uint32(0x931E8875))
    word = np.uint32(word * constant)
    return np.uint32(word ^ (word >> np.uint32(16))), constant


@njit(error_model="numpy")
def _first_output(words):
    """Return the first 64 bits of PCG64 (O'Neill 2014, XSL-RR) seeded with eight words."""
    shift = np.uint64(32)
    start_high = np.uint64(words[0]) | (np.uint64(words[1]) << shift)
    start_low = np.uint64(words[2]) | (np.uint64(words[3]) << shift)
    step_high = np.uint64(words[4]) | (np.uint64(words[5]) << shift)
    step_low = np.uint64(words[6]) | (np.uint64(words[7]) << shift)
    step_high = (step_high << np.uint64(1)) | (step_low >> np.uint64(63))
    step_low = (step_low << np.uint64(1)) | np.uint64(1)
    high, low = _add(step_high, step_low, start_high, start_low)
    high, low = _advance(high, low, step_high, step_low)
    high, low = _advance(high, low, step_high, step_low)
    rotation = high >> np.uint64(58)
    folded = high ^ low
    return (folded >> rotation) | (folded << ((np.uint64(64) - rotation) & np.uint64(63)))


@njit(error_model="numpy")
def _advance(high, low, step_high, step_low):
    """Return the next state of the 128-bit linear congruential generator."""
    by_high, by_low = np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645)
    carried, product = _multiply(low, by_low)
    return _add(carried + high * by_low + low * by_high, product, step_high, step_low)


@njit(error_model="numpy")
def _add(high, low, other_high, other_low):
    total = low + other_low
    return high + other_high + np.uint64(total < low), total


@njit(error_model="numpy")
def _multiply(a, b):
    """Return the high and the low word of a product of two words."""
    shift, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    a_high, a_low, b_high, b_low = a >> shift, a & mask, b >> shift, b & mask
    low = a_low * b_low
    middle = a_high * b_low + (low >> shift)
    other = a_low * b_high + (middle & mask)
    return a_high * b_high + (middle >> shift) + (other >> shift), a * b


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
    """Return a Beta(a, b) variate.

    By rejection from a log-logistic hat (Cheng 1978), his algorithm BB where both shapes exceed 1 and
    BC elsewhere: a logarithm and an exponential a trial, about 1.3 trials. With shapes near 0, whose
    variates are mostly next to 0 or 1, from two Gamma variates in logarithms.
    """
    low, high, total = min(a, b), max(a, b), a + b
    if low < 0.01:
        log_x = log_gamma_variate(noise, a)
        log_y = log_gamma_variate(noise, b)
        return 1.0 / (1.0 + math.exp(log_y - log_x))
    if low > 1.0:
        odds = _cheng_bb(noise, low, high, total)
        return odds / (high + odds) if a == low else high / (high + odds)
    odds = _cheng_bc(noise, low, high, total)
    return 1.0 / (1.0 + low / odds) if a == high else low / (low + odds)


@njit(error_model="numpy")
def _cheng_bb(noise, low, high, total):
    """Return W of algorithm BB: W / (high + W) is Beta(low, high); 1 < low ≤ high."""
    beta = math.sqrt((total - 2.0) / (2.0 * low * high - total))
    gamma = low + 1.0 / beta
    while True:
        first, second = uniform(noise) + 2.0**-54, uniform(noise)
        v = beta * math.log(first / (1.0 - first))
        w = low * math.exp(v)
        z = first * first * second
        r = gamma * v - 1.3862943611198906  # log 4
        s = low + r - w
        if s + 2.6094379124341003 >= 5.0 * z:  # 1 + log 5
            return w
        t = math.log(z)
        if s >= t or r + total * math.log(total / (high + w)) >= t:
            return w


@njit(error_model="numpy")
def _cheng_bc(noise, low, high, total):
    """Return W of algorithm BC: W / (low + W) is Beta(high, low); low ≤ 1, low ≤ high."""
    beta = 1.0 / low
    delta = 1.0 + high - low
    k1 = delta * (1.0 / 72.0 + low / 24.0) / (high * beta - 7.0 / 9.0)
    k2 = 0.25 + (0.5 + 0.25 / delta) * low
    while True:
        first, second = uniform(noise) + 2.0**-54, uniform(noise)
        z = first * first * second
        quickly = False
        if first < 0.5:
            y = first * second
            if 0.25 * second + z - y >= k1:
                continue
        elif z <= 0.25:
            quickly = True
        elif z >= k2:
            continue
        v = beta * math.log(first / (1.0 - first))
        w = high * math.exp(min(v, 700.0))
        if quickly:
            return w
        rest = math.log(total / (low + w)) + v if v < 700.0 else math.log(total / high)
        if total * rest - 1.3862943611198906 >= math.log(z):
            return w


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
