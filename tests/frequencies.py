"""Comparing a simulation with the probabilities that it should have."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats


def assert_frequencies(counts: Any, probabilities: Any) -> None:
    """Assert that counts of categories agree with their probabilities (chi-square, 1 in 10,000)."""
    counts = np.asarray(counts, float).ravel()
    expected = np.asarray(probabilities, float).ravel() * counts.sum()
    assert expected.sum() == pytest.approx(counts.sum(), rel=1e-9)
    assert counts[expected < 1e-6].sum() == 0, "something impossible has happened"
    order = np.argsort(expected)
    counts, expected = counts[order], expected[order]
    rare = max(int((np.cumsum(expected) < 10).sum()), int((expected < 10).sum()))
    if rare:  # pool what is too rare for the approximation with the next category
        counts = np.r_[counts[: rare + 1].sum(), counts[rare + 1 :]]
        expected = np.r_[expected[: rare + 1].sum(), expected[rare + 1 :]]
    assert len(counts) > 1, "nothing left to compare"
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4


def assert_mean(values: NDArray[np.float64], mean: Any, variance: Any) -> None:
    """Assert that an average is within 4 standard errors of what it should be."""
    assert abs(values.mean() - mean) < 4 * np.sqrt(variance / len(values))
