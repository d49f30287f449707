"""The random numbers against their distributions.

The loops below are compiled without a cache on disk, which would not notice a change of
core/noise.py.
"""

from typing import Any

import numpy as np
import pytest
from frequencies import assert_frequencies, assert_mean
from hypothesis import example, given
from hypothesis import strategies as st
from numba import njit
from numpy.typing import NDArray
from scipy import special, stats

from qc_gym.core import noise

MANY = 100_000


@njit
def draw_bits(streams: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] = noise.next_bits(streams[0])


@njit
def draw_uniform(streams: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] = noise.uniform(streams[0])


@njit
def draw_normal(streams: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] = noise.normal(streams[0])


@njit
def draw_log_gamma(streams: Any, out: Any, shape: float) -> None:
    for i in range(len(out)):
        out[i] = noise.log_gamma_variate(streams[0], shape)


@njit
def draw_beta(streams: Any, out: Any, a: float, b: float) -> None:
    for i in range(len(out)):
        out[i] = noise.beta_variate(streams[0], a, b)


@njit
def draw_binomial(streams: Any, out: Any, trials: int, p: float) -> None:
    for i in range(len(out)):
        out[i] = noise.binomial_variate(streams[0], trials, p)


def draws(function: Any, *args: Any, size: int = MANY, seed: int = 0) -> NDArray[np.float64]:
    """Return variates of one stream."""
    out = np.empty(size)
    function(noise.streams(np.random.default_rng(seed), 1), out, *args)
    return out


def test_bits_are_splitmix64() -> None:
    # The sequence from 1234567 of the published reference (Vigna, splitmix64.c), as tabulated at
    # rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64.
    streams = np.zeros(1, noise.NOISE)
    streams["counter"] = 1234567
    out = np.empty(5, np.uint64)
    draw_bits(streams, out)
    assert out.tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_uniform() -> None:
    sample = draws(draw_uniform, size=1_000_000)
    assert sample.min() >= 0
    assert sample.max() < 1
    assert (sample * 2.0**53 % 1 == 0).all()
    assert_mean(sample, 1 / 2, 1 / 12)
    assert_mean((sample - 1 / 2) ** 2, 1 / 12, 1 / 180)
    assert stats.kstest(sample, "uniform").pvalue > 1e-4
    centred = sample - 1 / 2
    for lag in range(1, 33):
        assert_mean(centred[:-lag] * centred[lag:], 0.0, 1 / 144)
    pairs = (sample[:-1:2] * 16).astype(int) * 16 + (sample[1::2] * 16).astype(int)
    assert_frequencies(np.bincount(pairs, minlength=256), np.full(256, 1 / 256))


def test_uniforms_of_different_streams_are_independent() -> None:
    seeded = np.zeros(20_000, noise.NOISE)
    for i in range(len(seeded)):  # as the sub-environments of a vector environment are seeded
        seeded["counter"][i] = noise.first_counter(np.random.default_rng(i))
    spawned = noise.streams(np.random.default_rng(0), 20_000)
    for streams in (seeded, spawned):
        assert len(np.unique(streams["counter"])) == len(streams)
        first = np.empty((len(streams), 2))
        for i in range(len(streams)):
            draw_uniform(streams[i : i + 1], first[i])
        assert stats.kstest(first[:, 0], "uniform").pvalue > 1e-4
        centred = first - 1 / 2
        assert_mean(centred[:, 0] * centred[:, 1], 0.0, 1 / 144)
        assert_mean(centred[:-1, 0] * centred[1:, 0], 0.0, 1 / 144)


def test_normal() -> None:
    assert stats.kstest(draws(draw_normal), "norm").pvalue > 1e-4


@pytest.mark.parametrize("shape", [1e-3, 0.05, 0.5, 1.0, 3.7, 2_000.0])
def test_log_gamma(shape: float) -> None:
    sample = draws(draw_log_gamma, shape)
    assert np.isfinite(sample).all()
    # Compared on the logarithmic scale, where a small shape does not underflow.
    assert stats.kstest(sample, stats.loggamma(shape).cdf).pvalue > 1e-4
    assert_mean(sample, special.digamma(shape), special.polygamma(1, shape))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        *[(1.0, 1.0), (2.0, 14.0), (0.5, 0.5), (0.05, 2.0), (800.0, 40.0)],
        # Each algorithm, and the ends of what it is for: both shapes above 1, one not, both near 0.
        *[(1.0001, 1.0001), (14.0, 2.0), (1e5, 1e5), (1.5, 3e4)],
        *[(1.0, 19.0), (19.0, 1.0), (0.01, 4.0), (3.0, 0.5), (0.7, 1e5)],
        *[(0.0099, 0.5), (0.009, 5.0)],
    ],
)
def test_beta(a: float, b: float) -> None:
    assert stats.kstest(draws(draw_beta, a, b), stats.beta(a, b).cdf).pvalue > 1e-4


@pytest.mark.parametrize("shape", [1e-3, 1e-6, 1e-9, 1e-300])
def test_beta_of_small_shapes_is_a_coin(shape: float) -> None:
    sample = draws(draw_beta, shape, 3 * shape)
    assert ((sample >= 0) & (sample <= 1)).all()  # false for NaN
    mean, total = 1 / 4, 4 * shape
    assert_mean(sample, mean, mean * (1 - mean) / (total + 1))
    assert_mean(sample > 1 / 2, stats.beta(shape, 3 * shape).sf(0.5), 1 / 4)


@pytest.mark.parametrize("trials", [0, 1, 32, 33, 200, 5_000])
@pytest.mark.parametrize("p", [0.003, 0.2, 0.5, 0.97])
def test_binomial(trials: int, p: float) -> None:
    sample = draws(draw_binomial, trials, p).astype(int)
    assert sample.min() >= 0
    assert sample.max() <= trials
    if trials:
        support = np.arange(trials + 1)
        counts = np.bincount(sample, minlength=trials + 1)
        assert_frequencies(counts, stats.binom.pmf(support, trials, p))


@pytest.mark.parametrize("trials", [10, 33, 10_000_000])
def test_binomial_at_the_ends(trials: int) -> None:
    assert (draws(draw_binomial, trials, 0.0, size=1000) == 0).all()
    assert (draws(draw_binomial, trials, 1.0, size=1000) == trials).all()


def test_binomial_of_ten_million_trials() -> None:
    trials, p = 10_000_000, 0.037
    sample = draws(draw_binomial, trials, p, size=20_000)
    assert_mean(sample, trials * p, trials * p * (1 - p))
    standardised = (sample - trials * p) / np.sqrt(trials * p * (1 - p))
    assert_mean(standardised**2, 1.0, 2.0)


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 2**130), max_size=20))
@example([0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64, 2**128])
def test_many_streams_start_where_numpys_generators_say(seeds: list[int]) -> None:
    expected = [noise.first_counter(np.random.default_rng(seed)) for seed in seeds]
    assert noise.first_counters(seeds).tolist() == expected


@pytest.mark.parametrize("first", [0, 2**32 - 5, 2**64 - 10, 2**64 - 5, 2**70])
def test_streams_of_seeds_in_a_row(first: int) -> None:
    seeds = range(first, first + 10)
    expected = [noise.first_counter(np.random.default_rng(seed)) for seed in seeds]
    assert noise.first_counters(seeds).tolist() == expected
