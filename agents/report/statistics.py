"""Statistics over runs: what a few seeds tell, and how surely (Agarwal et al. 2021).

R. Agarwal, M. Schwarzer, P. S. Castro, A. Courville, M. Bellemare, "Deep reinforcement learning at the
edge of the statistical precipice", NeurIPS 2021. Scores come in *groups*: one array of shape (seeds,)
for each problem, which may differ in length. The exact score of a run has no noise of evaluation, so
what the intervals show is the variation between trainings alone.

Scores may be −inf (a policy that may never end); quantiles of resamples are therefore values of
resamples, never between two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Groups = Sequence[NDArray[np.float64]]
Statistic = Callable[[Groups], NDArray[np.float64]]


def interquartile_mean(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of the middle half of the scores, over the last axis.

    Of n scores, the ⌊n/4⌋ lowest and the ⌊n/4⌋ highest are left out; of fewer than 4, none.

    Parameters
    ----------
    scores
        float64 (…, n), n ≥ 1.

    Returns
    -------
    float64 (…).
    """
    scores = np.asarray(scores, np.float64)
    if scores.shape[-1] == 0:
        raise ValueError("scores: at least one is needed")
    return np.asarray(stats.trim_mean(scores, 0.25, axis=-1))


def pooled_interquartile_mean(groups: Groups) -> NDArray[np.float64]:
    """Return the interquartile mean of the runs of all problems together, each (…, seeds)."""
    return interquartile_mean(np.concatenate(list(groups), axis=-1))


def performance_profile(groups: Groups, thresholds: ArrayLike) -> NDArray[np.float64]:
    """Return for each threshold the share of runs that score more, each problem counting the same.

    Parameters
    ----------
    groups
        Scores of each problem, (…, seeds).
    thresholds
        (T,).

    Returns
    -------
    float64 (…, T), falling.
    """
    levels = np.asarray(thresholds, np.float64)
    _check(groups)
    shares = [(np.asarray(group)[..., np.newaxis] > levels).mean(axis=-2) for group in groups]
    return np.asarray(np.mean(shares, axis=0))


def probability_of_improvement(ours: Groups, theirs: Groups) -> NDArray[np.float64]:
    """Return how likely a run of ours beats one of theirs, on a problem drawn at random.

    The mean over problems of P(X > Y) + ½ P(X = Y), the Mann–Whitney statistic by its pairs.

    Parameters
    ----------
    ours, theirs
        Scores of the same problems, in the same order, (…, seeds) each.

    Returns
    -------
    float64 (…).
    """
    _check(ours)
    if len(ours) != len(theirs):
        raise ValueError(
            f"ours and theirs: {len(ours)} and {len(theirs)} problems; both must be on the same"
        )
    chances = []
    for x, y in zip(ours, theirs, strict=True):
        first, second = np.asarray(x)[..., :, np.newaxis], np.asarray(y)[..., np.newaxis, :]
        wins = (first > second) + 0.5 * (first == second)
        chances.append(wins.mean(axis=(-2, -1)))
    return np.asarray(np.mean(chances, axis=0))


def stratified_bootstrap(
    groups: Groups,
    statistic: Statistic,
    *,
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the percentile interval of a statistic when the seeds are drawn again in each problem.

    Parameters
    ----------
    groups
        Scores of each problem, (seeds,). Each is drawn again with replacement on its own.
    statistic
        Takes resampled groups, (resamples, seeds) each, and returns (resamples, …): one of the
        functions above.
    seed
        Of the resampling; the same seed gives the same interval.
    resamples
        Number of times the runs are drawn again.
    confidence
        Probability that the interval is to cover, above 0 and below 1.

    Returns
    -------
    low, high
        float64 (…). With one seed in every problem, both are the statistic itself: one run tells
        nothing of how runs vary.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence = {confidence!r}: above 0 and below 1 is needed")
    if resamples < 1:
        raise ValueError(f"resamples = {resamples!r}: at least 1 is needed")
    _check(groups)
    generator = np.random.default_rng(seed)
    drawn = [
        np.asarray(group)[generator.integers(len(group), size=(resamples, len(group)))]
        for group in groups
    ]
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(
        statistic(drawn), [tail, 1.0 - tail], axis=0, method="inverted_cdf"
    ).astype(np.float64)
    return np.asarray(low), np.asarray(high)


def _check(groups: Groups) -> None:
    """Raise a ValueError unless there is a problem, and a score in each."""
    sizes = [np.shape(group) for group in groups]
    if not sizes or any(size == () or size[-1] == 0 for size in sizes):
        raise ValueError(f"groups of shapes {sizes}: at least one score of each problem is needed")
