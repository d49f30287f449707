"""The least-sample test against full enumeration, dense dynamic programming and published bounds."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from baselines.sampling.characteristics import forward_pass, lattice_counts, table_from_boundaries
from baselines.sampling.least_asn import LeastSampleTest, least_sample_test

EXAMPLE = (0.1, 0.2, 0.1, 0.05)  # good, bad, producer's risk, consumer's risk
CASES = [  # good, bad, producer's risk, consumer's risk, max_samples, lot_size, weights
    (*EXAMPLE, 400, None, (0.5, 0.5)),
    (*EXAMPLE, 200, 200, (0.5, 0.5)),
    (0.01, 0.05, 0.02, 0.15, 300, None, (0.8, 0.2)),
    (0.1, 0.2, 0.1, 0.05, 150, 1000, (1.0, 0.0)),
    (0.3, 0.6, 0.01, 0.02, 90, None, (0.0, 1.0)),
    (0.05, 0.15, 0.05, 0.075, 60, 100, (0.5, 0.5)),
    (0.02, 0.3, 0.1, 0.1, 20, 50, (0.5, 0.5)),
    # A first pair of tests with a risk of a millionth of its limit, at which HiGHS's simplex gives up.
    (0.04917137989725017, 0.16389197282982698, 0.05, 0.10, 400, None, (0.5, 0.5)),
]


@cache
def solved(case):
    return least_sample_test(*case)


def chance(rate, lot_size, n, d):
    """P(next item defective) from first principles; n and d may be arrays."""
    return rate if lot_size is None else np.clip((rate * lot_size - d) / (lot_size - n), 0.0, 1.0)


def dense_least_cost(good, bad, max_samples, lot_size, weights, prices):
    """Least w0 ASN(good) + w1 ASN(bad) + prices . risks, on the whole lattice, by likelihoods."""
    rows = [(np.ones(1), np.ones(1))]
    for n in range(max_samples):
        nxt = []
        for rate, reach in zip((good, bad), rows[-1], strict=True):
            p = chance(rate, lot_size, n, np.arange(n + 1)) * np.ones(n + 1)
            # Chance of one given path to (n, d): all paths to a state are equally likely.
            path = np.zeros(n + 2)
            path[:-1] = reach * (1.0 - p)
            path[-1] = reach[-1] * p[-1]
            nxt.append(path)
        rows.append(tuple(nxt))
    value = None
    for n in range(max_samples, -1, -1):
        on_good, on_bad = rows[n]
        stop = np.minimum(prices[0] * on_good, prices[1] * on_bad)
        if value is None:
            value = stop
        else:
            value = np.minimum(
                stop, weights[0] * on_good + weights[1] * on_bad + value[:-1] + value[1:]
            )
    return value[0]


def every_table(max_samples):
    """All deterministic tests, monotone or not, as action tables."""
    n, _ = lattice_counts(max_samples)
    choices = [(1, 2) if k == max_samples else (0, 1, 2) for k in n]
    return np.array(list(itertools.product(*choices)))


def history_chance(items, rate, lot_size):
    p, d = 1.0, 0
    for n, item in enumerate(items):
        defective = chance(rate, lot_size, n, d)
        p *= defective if item else 1.0 - defective
        d += item
    return p


def measures(tables, good, bad, max_samples, lot_size):
    """ASN(good), ASN(bad), producer's and consumer's risk (4, tables), history by history."""
    result = np.zeros((4, len(tables)))
    for items in itertools.product((0, 1), repeat=max_samples):
        still = np.ones(len(tables), dtype=bool)
        number, verdict, d = np.zeros(len(tables)), np.zeros(len(tables)), 0
        for n in range(max_samples + 1):
            action = tables[:, n * (n + 1) // 2 + d]
            stops = still & (action != 0)
            number[stops], verdict[stops] = n, action[stops]
            still &= ~stops
            d += items[n] if n < max_samples else 0
        for row, rate, wrong in ((0, good, 2), (1, bad, 1)):
            p = history_chance(items, rate, lot_size)
            result[row] += p * number
            result[row + 2] += p * (verdict == wrong)
    return result


def sprt_means(good, bad, alpha, beta, max_samples):
    step = math.log(bad / good) + math.log((1 - good) / (1 - bad))
    s = math.log((1 - good) / (1 - bad)) / step
    h0 = -math.log(beta / (1 - alpha)) / step
    h1 = math.log((1 - beta) / alpha) / step
    n = np.arange(max_samples + 1)
    table = np.eye(3)[table_from_boundaries(s * n - h0, s * n + h1)]
    return forward_pass(table, [good, bad], max_samples)[1]


def test_beats_the_sprt_of_the_published_example():
    test = solved(CASES[0])
    assert test.producer_risk <= 0.10 + 1e-12
    assert test.consumer_risk <= 0.05 + 1e-12
    assert test.mean_sample_number <= 55.5
    wald = sprt_means(*EXAMPLE, 400)
    np.testing.assert_array_equal(np.round(wald, 1), [68.8, 50.6])  # 68.83 and 50.61 uncut
    assert (test.average_sample_numbers < wald).all()


@pytest.mark.parametrize("case", CASES)
def test_reported_measures_are_those_of_the_table(case):
    test, (*_, alpha, beta, max_samples, lot_size, weights) = solved(case), case
    table = np.eye(3)[test.actions]
    accepted, number = forward_pass(table, [test.good, test.bad], max_samples, lot_size)
    assert test.producer_risk == pytest.approx(1.0 - accepted[0], abs=1e-13)
    assert test.consumer_risk == pytest.approx(accepted[1], abs=1e-13)
    np.testing.assert_allclose(test.average_sample_numbers, number, rtol=1e-12)
    assert test.mean_sample_number == pytest.approx(np.dot(weights, number), rel=1e-12)
    assert test.producer_risk <= alpha + 1e-12
    assert test.consumer_risk <= beta + 1e-12


@pytest.mark.parametrize("case", CASES)
def test_bound_is_met_by_the_randomised_test_and_nearly_by_the_reported_one(case):
    test, (*_, alpha, beta, max_samples, lot_size, weights) = solved(case), case
    accepted, number = forward_pass(
        test.randomised_probabilities, [test.good, test.bad], max_samples, lot_size
    )
    # A slack risk could be sold for items, so at the optimum both bind.
    assert 1.0 - accepted[0] == pytest.approx(alpha, rel=1e-8)
    assert accepted[1] == pytest.approx(beta, rel=1e-8)
    assert np.dot(weights, number) == pytest.approx(test.lower_bound, rel=1e-8)
    assert test.lower_bound <= test.mean_sample_number
    if max_samples >= 60:  # with few items, not to randomise costs more
        assert test.mean_sample_number <= 1.01 * test.lower_bound


@pytest.mark.parametrize("case", CASES)
def test_bound_is_the_dense_dynamic_programme_at_its_prices(case):
    test, (*_, alpha, beta, max_samples, lot_size, weights) = solved(case), case

    def bound(prices):
        cost = dense_least_cost(test.good, test.bad, max_samples, lot_size, weights, prices)
        return cost - prices[0] * alpha - prices[1] * beta

    assert test.lower_bound == pytest.approx(bound(test.prices), rel=1e-9)
    for factors in itertools.product((0.7, 0.99, 1.01, 1.4), repeat=2):
        assert bound(np.multiply(test.prices, factors)) <= test.lower_bound * (1.0 + 1e-9)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(0.02, 0.9),
    st.floats(0.05, 0.9),
    st.integers(8, 40),
    st.one_of(st.none(), st.integers(0, 60)),
    st.floats(0.0, 1.0),
    st.floats(0.05, 0.95),
    st.floats(0.3, 0.95),
)
def test_bound_holds_for_any_problem(good, ratio, max_samples, spare, weight, share, effort):
    bad = good + ratio * (1.0 - good)
    lot_size = None if spare is None else max_samples + spare
    if lot_size is not None:
        good, bad = round(good * lot_size) / lot_size, round(bad * lot_size) / lot_size
        assume(0.0 < good < bad < 1.0)
    case = (good, bad, effort * share, effort * (1 - share), max_samples, lot_size)
    weights = (weight, 1.0 - weight)
    try:
        test = least_sample_test(*case, weights)
    except ValueError as error:
        if "is too small" in str(error) or "only randomised" in str(error):
            return
        raise
    cost = dense_least_cost(good, bad, max_samples, lot_size, weights, test.prices)
    bound = cost - np.dot(test.prices, case[2:4])
    assert test.lower_bound == pytest.approx(bound, rel=1e-8, abs=1e-9)
    assert test.lower_bound <= test.mean_sample_number * (1.0 + 1e-9)
    assert test.producer_risk <= case[2] + 1e-12
    assert test.consumer_risk <= case[3] + 1e-12
    accepted, number = forward_pass(test.randomised_probabilities, [good, bad], *case[4:])
    np.testing.assert_allclose([1 - accepted[0], accepted[1]], case[2:4], atol=1e-9)
    assert np.dot(weights, number) == pytest.approx(test.lower_bound, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize(
    ("good", "bad", "alpha", "beta", "lot_size"),
    [
        (0.1, 0.6, 0.2, 0.3, None),
        (0.3, 0.7, 0.35, 0.3, None),
        (0.05, 0.5, 0.15, 0.15, None),
        (0.2, 0.9, 0.12, 0.2, None),
        (0.25, 0.75, 0.3, 0.25, 4),
        (1 / 6, 4 / 6, 0.2, 0.3, 6),
        (2 / 9, 7 / 9, 0.3, 0.2, 9),
    ],
)
@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.9, 0.1)])
def test_against_every_deterministic_test(good, bad, alpha, beta, lot_size, weights):
    tables = every_table(3)
    assert len(tables) == 3**6 * 2**4
    numbers = measures(tables, good, bad, 3, lot_size)
    mean, risks = np.dot(weights, numbers[:2]), numbers[2:]
    limits = np.array([alpha, beta])
    mixed = linprog(mean, A_ub=risks, b_ub=limits, A_eq=np.ones((1, len(tables))), b_eq=[1.0])
    best = mean[(risks <= limits[:, None] + 1e-12).all(axis=0)].min()
    test = least_sample_test(good, bad, alpha, beta, 3, lot_size, weights)
    assert test.lower_bound == pytest.approx(mixed.fun, abs=1e-7)
    assert test.lower_bound <= best + 1e-12
    assert test.mean_sample_number == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("case", [case for case in CASES if case[5] is None])
def test_bound_is_above_that_of_wald(case):
    # Wald 1947, A.4.7: the least conceivable ASN of any test with these risks, from the information
    # that one item gives.
    good, bad, alpha, beta, *_, weights = case
    one_good = good * math.log(good / bad) + (1 - good) * math.log((1 - good) / (1 - bad))
    one_bad = bad * math.log(bad / good) + (1 - bad) * math.log((1 - bad) / (1 - good))
    accept, reject = math.log((1 - alpha) / beta), math.log((1 - beta) / alpha)
    at_good = ((1 - alpha) * accept - alpha * reject) / one_good
    at_bad = ((1 - beta) * reject - beta * accept) / one_bad
    assert solved(case).lower_bound >= weights[0] * at_good + weights[1] * at_bad


@pytest.mark.parametrize("case", CASES[2:])
def test_exchanging_good_and_bad_changes_nothing(case):
    good, bad, alpha, beta, max_samples, lot_size, weights = case
    mirror = (1 - bad, 1 - good, beta, alpha, max_samples, lot_size, weights[::-1])
    assert solved(mirror).lower_bound == pytest.approx(solved(case).lower_bound, rel=1e-8)


def test_bound_falls_with_more_items_and_larger_risks():
    good, bad, alpha, beta = EXAMPLE
    bounds = [least_sample_test(*EXAMPLE, most).lower_bound for most in (110, 150, 250)]
    assert bounds[0] > bounds[1] > bounds[2]
    looser = least_sample_test(good, bad, alpha, 1.2 * beta, 150).lower_bound
    assert looser < bounds[1]
    # Without replacement an item tells more, the less so the larger the lot.
    lots = [least_sample_test(*EXAMPLE, 150, size).lower_bound for size in (200, 1000)]
    assert lots[0] < lots[1] < bounds[1]


def test_many_items_neither_underflow_nor_cost_much():
    # Paths of 3,000 items have chances down to .3^3000; truncation is long invisible by then.
    few, many = (least_sample_test(0.3, 0.5, 1e-3, 1e-3, most) for most in (1200, 3000))
    assert many.lower_bound == pytest.approx(few.lower_bound, rel=1e-6)
    assert many.mean_sample_number <= 1.01 * many.lower_bound
    assert np.isfinite(many.average_sample_numbers).all()


@pytest.mark.parametrize("case", CASES)
def test_boundaries_are_in_their_ranges(case):
    test, n = solved(case), np.arange(case[4] + 1)
    assert isinstance(test, LeastSampleTest)
    assert ((test.acceptance_numbers >= -1) & (test.rejection_numbers <= n + 1)).all()
    assert (test.acceptance_numbers < test.rejection_numbers).all()
    assert test.acceptance_numbers[-1] + 1 == test.rejection_numbers[-1]
    assert test.actions.dtype == np.int8
    assert sum(weight for weight, *_ in test.mixture) == pytest.approx(1.0, abs=1e-12)


def test_the_search_is_deterministic():
    one, two = (least_sample_test(*CASES[5]) for _ in range(2))
    np.testing.assert_array_equal(one.actions, two.actions)
    assert one.lower_bound == two.lower_bound


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"good": 0.0}, "good=0.0"),
        ({"bad": 1.0}, "bad=1.0"),
        ({"good": 0.2}, "good=0.2, bad=0.2"),
        ({"good": math.nan}, "good=nan"),
        ({"producer_risk": 0.0}, "producer_risk=0.0"),
        ({"consumer_risk": 0.95}, "sum below 1.*consumer_risk=0.95"),
        ({"consumer_risk": math.nan}, "consumer_risk=nan"),
        ({"max_samples": 0}, "max_samples must be a whole number of at least 1; got 0"),
        ({"max_samples": 2.5}, "max_samples must be a whole number"),
        ({"lot_size": 100}, "lot_size must be .* at least max_samples=150; got 100"),
        ({"good": 0.199, "lot_size": 160}, "good and bad must differ.*32 defectives"),
        ({"weights": (0.5, 0.6)}, r"weights must .*\(0.5, 0.6\)"),
        ({"weights": (-0.5, 1.5)}, "weights must be two non-negative"),
        ({"weights": (1.0,)}, "weights must be two"),
    ],
)
def test_bad_inputs_are_named(change, message):
    arguments = dict(zip(("good", "bad", "producer_risk", "consumer_risk"), EXAMPLE, strict=True))
    with pytest.raises(ValueError, match=message):
        least_sample_test(**{**arguments, "max_samples": 150, **change})


def test_risks_out_of_reach_say_what_can_be_reached():
    # One item: reject a defective one with chance .05 / .1, so accept bad with chance 1 - .5 * .5.
    with pytest.raises(
        ValueError, match=r"max_samples=1 is too small.* below 0\.75 .*0\.6 is asked"
    ):
        least_sample_test(0.1, 0.5, 0.05, 0.6, 1)
    # Two of a lot of four with one or two defectives, both defective: 1/6 under bad, 0 under good.
    # Rejecting one defective of two (1/2 under good, 4/6 under bad) with chance .2 on top:
    with pytest.raises(ValueError, match=r"below 0\.7 "):
        least_sample_test(0.25, 0.5, 0.1, 0.5, 2, 4)


def test_risks_that_only_chance_can_meet_are_refused():
    # With one item and risks .5 * .1 and .75 only the randomised test above is left.
    with pytest.raises(ValueError, match="only randomised tests"):
        least_sample_test(0.1, 0.5, 0.05, 0.7500001, 1)
