"""Statistics over runs, against cases worked out by hand and against scipy."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from agents.report.statistics import (
    interquartile_mean,
    performance_profile,
    pooled_interquartile_mean,
    probability_of_improvement,
    stratified_bootstrap,
)

SCORES = st.floats(-10, 1, allow_nan=False)
GROUPS = st.lists(st.lists(SCORES, min_size=1, max_size=6).map(np.array), min_size=1, max_size=4)


# --- interquartile mean ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([7.0], 7.0),
        ([1.0, 2.0, 6.0], 3.0),  # of three, none is left out
        ([0.0, 4.0, 5.0, 100.0], 4.5),
        ([-50.0, 0.9, 0.8, 1.0, 0.7], (0.9 + 0.8 + 0.7) / 3),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 90.0], 4.5),
        ([-math.inf, 0.5, 0.7, 1.0], 0.6),
        ([-math.inf, -math.inf, 0.7, 1.0], -math.inf),
    ],
)
def test_interquartile_mean_by_hand(scores: list[float], expected: float) -> None:
    assert interquartile_mean(scores) == pytest.approx(expected, rel=1e-15)


def middle(scores: list[float]) -> list[float]:
    """What is left without a quarter, rounded down, at either end."""
    quarter = len(scores) // 4
    return sorted(scores)[quarter : len(scores) - quarter]


@given(st.lists(SCORES, min_size=1, max_size=40))
def test_interquartile_mean_is_the_mean_of_the_middle(scores: list[float]) -> None:
    assert interquartile_mean(scores) == pytest.approx(statistics.fmean(middle(scores)), abs=1e-12)


def test_interquartile_mean_of_many_at_once() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 5, 9))
    expected = [[statistics.fmean(middle(list(row))) for row in block] for block in scores]
    assert interquartile_mean(scores) == pytest.approx(np.array(expected), abs=1e-12)


def test_no_scores() -> None:
    with pytest.raises(ValueError, match="at least one"):
        interquartile_mean([])


# --- performance profile --------------------------------------------------------------------


def test_profile_by_hand() -> None:
    groups = [np.array([0.0, 0.5, 1.0, 1.0]), np.array([0.5, 0.9])]
    # Above −1: all of both. Above 0: 3/4 and 2/2; 0.5: 2/4 and 1/2; 0.9: 2/4 and 0; 1: none.
    profile = performance_profile(groups, [-1.0, 0.0, 0.5, 0.9, 1.0])
    assert profile.tolist() == [1.0, 0.875, 0.5, 0.25, 0.0]


@given(GROUPS)
def test_profile_is_one_minus_the_distribution(groups: list[np.ndarray]) -> None:
    levels = np.linspace(-11, 2, 30)
    expected = [stats.ecdf(group).sf.evaluate(levels) for group in groups]
    assert performance_profile(groups, levels) == pytest.approx(np.mean(expected, axis=0))


# --- probability of improvement -------------------------------------------------------------


def test_improvement_by_hand() -> None:
    # First problem: pairs (1, 0) (1, 2) (3, 0) (3, 2), three wins of four. Second: a tie and a loss.
    ours = [np.array([1.0, 3.0]), np.array([0.5])]
    theirs = [np.array([0.0, 2.0]), np.array([0.5, 0.6])]
    assert probability_of_improvement(ours, theirs) == pytest.approx((0.75 + 0.25) / 2)


@given(GROUPS, st.data())
def test_improvement_is_the_mann_whitney_statistic(
    groups: list[np.ndarray], data: st.DataObject
) -> None:
    others = [
        np.array(data.draw(st.lists(SCORES | st.just(group[0]), min_size=1, max_size=5)))
        for group in groups
    ]
    expected = [
        stats.mannwhitneyu(x, y).statistic / (len(x) * len(y))
        for x, y in zip(groups, others, strict=True)
    ]
    there = probability_of_improvement(groups, others)
    assert there == pytest.approx(np.mean(expected))
    assert there + probability_of_improvement(others, groups) == pytest.approx(1.0)


def test_improvement_needs_the_same_problems() -> None:
    one = np.array([1.0])
    with pytest.raises(ValueError, match="2 and 1 problems"):
        probability_of_improvement([one, one], [one])


# --- bootstrap ------------------------------------------------------------------------------


def test_bootstrap_of_two_seeds_by_hand() -> None:
    """Of the seeds {0, 1}, the mean is 0 once in four, ½ twice, 1 once."""
    group = [np.array([0.0, 1.0])]
    for confidence, expected in ((0.4, (0.5, 0.5)), (0.6, (0.0, 1.0))):
        low, high = stratified_bootstrap(
            group, pooled_interquartile_mean, resamples=20_000, confidence=confidence
        )
        assert (low, high) == expected


def test_bootstrap_against_all_resamples() -> None:
    """The 4⁴ equally likely resamples of four seeds, each trimmed, give the exact quantiles."""
    group = np.array([0.1, 0.4, 0.5, 0.95])
    exact = np.sort([stats.trim_mean(draw, 0.25) for draw in itertools.product(group, repeat=4)])
    low, high = stratified_bootstrap(
        [group], pooled_interquartile_mean, resamples=40_000, confidence=0.8
    )
    # Within the exact quantiles at tails of 0.10 ± 0.01: six standard errors of a share of 40,000.
    assert exact[int(0.09 * 256)] <= low <= exact[int(0.11 * 256)]
    assert exact[int(0.89 * 256)] <= high <= exact[int(0.91 * 256)]


def test_bootstrap_draws_each_problem_on_its_own() -> None:
    """Problems in which all seeds agree leave nothing to vary, however far apart they are."""
    groups = [np.full(3, -5.0), np.full(7, 1.0)]
    for statistic in (
        pooled_interquartile_mean,
        lambda drawn: performance_profile(drawn, [0.0, 0.5]),
    ):
        low, high = stratified_bootstrap(groups, statistic, resamples=50)
        assert np.array_equal(low, high)
        assert np.array_equal(low, statistic(groups))


def test_bootstrap_of_two_algorithms() -> None:
    ours, theirs = [np.array([0.0, 1.0])], [np.array([0.5, 0.5])]
    low, high = stratified_bootstrap(
        [*ours, *theirs],
        lambda drawn: probability_of_improvement(drawn[:1], drawn[1:]),
        confidence=0.4,  # the middle of {0: ¼, ½: ½, 1: ¼}
    )
    assert (low, high) == (0.5, 0.5)


def test_bootstrap_is_seeded() -> None:
    groups = [np.random.default_rng(1).normal(size=9)]
    first, again, other = (
        stratified_bootstrap(groups, pooled_interquartile_mean, seed=seed) for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@settings(max_examples=25)
@given(GROUPS)
def test_bootstrap_stays_within_the_scores(groups: list[np.ndarray]) -> None:
    low, high = stratified_bootstrap(groups, pooled_interquartile_mean, resamples=100)
    pooled = np.concatenate(groups)
    assert pooled.min() - 1e-12 <= low <= high <= pooled.max() + 1e-12


def test_bootstrap_of_policies_that_may_never_end() -> None:
    low, high = stratified_bootstrap(
        [np.array([-math.inf, 0.5])], pooled_interquartile_mean, resamples=1000
    )
    assert (low, high) == (-math.inf, 0.5)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, math.nan])
def test_bootstrap_refuses_a_confidence(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence = "):
        stratified_bootstrap([np.ones(2)], pooled_interquartile_mean, confidence=confidence)


@pytest.mark.parametrize("groups", [[], [np.ones(2), np.array([])]])
def test_groups_without_scores(groups: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="at least one score of each problem"):
        stratified_bootstrap(groups, pooled_interquartile_mean)
    with pytest.raises(ValueError, match="at least one score of each problem"):
        performance_profile(groups, [0.5])


def test_bootstrap_needs_resamples() -> None:
    with pytest.raises(ValueError, match="resamples = 0"):
        stratified_bootstrap([np.ones(2)], pooled_interquartile_mean, resamples=0)
