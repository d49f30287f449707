"""The steady state of the K-stage network whose inspectors err.

Let f be the probability of a false alarm, u that of a miss, q = 1 − f, and s = q − (q−u) x the fraction
of the pool, x of it nonconforming, that is judged conforming. Of the pool's conforming items the
fraction g = sⁿ (1 + λ (q−u) x/s) is accepted with their lots, of the nonconforming ones
b = sⁿ (1 − λ + λu/s). With w = x/(1−x) the balance of docs/theory/kstage.md is

    (1−pR) w (1 − u (1−b)) = p_K g + pR f (1−g),

where every difference is of a kind that keeps relative precision: 1 − g and 1 − b are sums of small
numbers. Without errors it is the equation of :mod:`qc_gym.kstage.steady_state`.
"""

from __future__ import annotations

import math

from numba import njit

from qc_gym.core.inspection import judged

_LAST_STEP = 1e-9
"""Relative length of a Newton step after which the next would be below the square of this."""
_MOST_NEWTON = 60
"""Steps after which the bracket is halved only."""


@njit(cache=True, error_model="numpy")
def solve_imperfect_plant(p0, pr, lot, sample, k, demand, false_alarm, miss):  # type: ignore[no-untyped-def]
    """Return the fields of ``SteadyState`` of one plant, all arguments float64."""
    stages_fraction, stage_inspections, stage_reworks = _pass_stages(p0, pr, k, false_alarm, miss)
    share = sample / lot
    odds = _solve_odds(stages_fraction, pr, sample, share, false_alarm, miss)
    bad, good = odds / (1.0 + odds), 1.0 / (1.0 + odds)
    log_passed, passed = _passed(odds, false_alarm, miss)
    log_good, kept_bad, lost_bad = _accepted(odds, sample, share, false_alarm, miss)
    lost_good = -math.expm1(log_good)
    pooled = demand / good * math.exp(-log_good)
    found = (1.0 - miss) * bad * lost_bad + false_alarm * good * lost_good
    return (
        stages_fraction,
        bad,
        bad * (1.0 - share + share * miss / passed),
        pooled,
        demand * stage_inspections,
        share * pooled,
        -math.expm1(sample * log_passed) * pooled,
        demand * stage_reworks + pooled * (found + bad * kept_bad),
    )


@njit(cache=True, error_model="numpy")
def _pass_stages(p0, pr, k, false_alarm, miss):  # type: ignore[no-untyped-def]
    """Return p_K, and items inspected and reworked in the stages per new item."""
    if k == 0.0:
        return p0, 0.0, 0.0
    first, again = judged(p0, false_alarm, miss), judged(pr, false_alarm, miss)
    done = pr * miss + (1.0 - pr) * (1.0 - false_alarm)  # 1 − again
    # The items that are inspected a second time, a third time, …, and those reworked at the last.
    repeated = first * -math.expm1((k - 1.0) * math.log(again)) / done
    last = first * again ** (k - 1.0)
    return miss * (p0 + repeated * pr) + last * pr, 1.0 + repeated, repeated + last


@njit(cache=True, error_model="numpy")
def _passed(odds, false_alarm, miss):  # type: ignore[no-untyped-def]
    """Return log s and s."""
    found = (odds * (1.0 - miss) + false_alarm) / (1.0 + odds)
    passed = (odds * miss + (1.0 - false_alarm)) / (1.0 + odds)
    return (math.log1p(-found) if found < 0.5 else math.log(passed)), passed


@njit(cache=True, error_model="numpy")
def _accepted(odds, sample, share, false_alarm, miss):  # type: ignore[no-untyped-def]
    """Return log g, b and 1 − b."""
    log_passed, passed = _passed(odds, false_alarm, miss)
    gap = (1.0 - false_alarm - miss) / (1.0 + odds)
    lot_accepted = math.exp(sample * log_passed)
    log_good = sample * log_passed + math.log1p(share * gap * odds / passed)
    kept_bad = lot_accepted * (1.0 - share + share * miss / passed)
    lost_bad = -math.expm1(sample * log_passed) + lot_accepted * share * gap / passed
    return log_good, kept_bad, lost_bad


@njit(cache=True, error_model="numpy")
def _imbalance(odds, stages_fraction, pr, sample, share, false_alarm, miss):  # type: ignore[no-untyped-def]
    """Return log of (right side / left side) of the balance, and its derivative by log w."""
    log_passed, passed = _passed(odds, false_alarm, miss)
    log_good, kept_bad, _ = _accepted(odds, sample, share, false_alarm, miss)
    # By log w: −change is the derivative of s.
    change = (1.0 - false_alarm - miss) * odds / ((1.0 + odds) * (1.0 + odds))
    others = (sample - 1.0) * change / passed
    part = (1.0 - share) * change
    good_slope = -others - part / ((1.0 - share) * passed + share * (1.0 - false_alarm))
    bad_slope = -others * kept_bad - part * math.exp((sample - 1.0) * log_passed)
    kept = (1.0 - miss) + miss * kept_bad
    left = (1.0 - pr) * kept * odds
    if false_alarm == 0.0:  # g may be too small for a float64: its logarithm is not
        excess = math.log(stages_fraction / left) + log_good
        slope = good_slope
    else:
        good = math.exp(log_good)
        right = stages_fraction * good - pr * false_alarm * math.expm1(log_good)
        excess = math.log(right / left)
        slope = (stages_fraction - pr * false_alarm) * good * good_slope / right
    return excess, slope - miss * bad_slope / kept - 1.0


@njit(cache=True, error_model="numpy")
def _solve_odds(stages_fraction, pr, sample, share, false_alarm, miss):  # type: ignore[no-untyped-def]
    """Return the least root w of the balance.

    There is a second and a third one where rework fails nearly always and most nonconforming items are
    missed: a pool once bad then stays so, as lots are rejected and conforming items reworked for nothing.
    The least is where a pool comes to that begins clean. Newton's method on the logarithm as a function
    of log w climbs to it from below, since the curve is convex before it flattens; what leaves the
    bracket is replaced by the bracket's geometric middle.
    """
    returned = pr * false_alarm
    if stages_fraction == 0.0 and returned == 0.0:
        return 0.0
    high = max(stages_fraction, returned) / ((1.0 - pr) * (1.0 - miss))
    low, w = 0.0, _clean_start(stages_fraction, pr, sample, share, false_alarm, miss)
    step, steps = 1.0, 0
    while abs(step) > _LAST_STEP:
        excess, slope = _imbalance(w, stages_fraction, pr, sample, share, false_alarm, miss)
        if excess > 0.0:
            low = w
        else:
            high = w
        step = -excess / slope if slope < 0.0 else math.inf
        moved = w * math.exp(step)
        steps += 1
        if not low <= moved <= high or steps > _MOST_NEWTON:
            moved = math.sqrt(low) * math.sqrt(high) if low > 0.0 else high * 1e-6
            if not low < moved < high:  # the bracket is one number wide
                return w
            step = 1.0
        w = moved
    return w


@njit(cache=True, error_model="numpy")
def _clean_start(stages_fraction, pr, sample, share, false_alarm, miss):  # type: ignore[no-untyped-def]
    """Return the odds from which the root is sought.

    They are those which balance what a clean pool would get, at most the least root unless more
    rejected lots make the pool better; then they are brought near it, as without errors.
    """
    log_good, kept_bad, _ = _accepted(0.0, sample, share, false_alarm, miss)
    right = stages_fraction * math.exp(log_good) - pr * false_alarm * math.expm1(log_good)
    start = right / ((1.0 - pr) * ((1.0 - miss) + miss * kept_bad))
    if stages_fraction * (1.0 - miss) > pr * false_alarm:
        reach = sample * (1.0 - false_alarm - miss)
        start = min(start, math.log1p(reach * start) / reach)
    return start
