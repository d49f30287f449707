"""Exact characteristics against enumeration, binomial laws and Wald's published example."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from baselines.sampling.characteristics import (
    Risks,
    boundary_walk,
    forward_pass,
    lattice_counts,
    lattice_size,
    table_from_boundaries,
)

quick = settings(max_examples=60, deadline=None)


def random_policy(seed, max_samples):
    """Rows with exact zeros and ones among them, so that some states are never reached."""
    rng = np.random.default_rng(seed)
    table = rng.random((lattice_size(max_samples), 3)) * (rng.random((1, 3)) < 0.8)
    table[:, 0] += 0.5
    sure = rng.random(len(table)) < 0.3
    table[sure] = np.eye(3)[rng.integers(0, 3, sure.sum())]
    return table / table.sum(axis=1, keepdims=True)


def follow(table, items, max_samples):
    """P(accept) and the expected number inspected when the items come in this order."""
    alive, accepted, number, d = 1.0, 0.0, 0.0, 0
    for n in range(max_samples + 1):
        inspect, accept, _ = table[n * (n + 1) // 2 + d]
        accepted += alive * accept
        if n == max_samples:
            break
        alive *= inspect
        number += alive
        d += items[n]
    return accepted, number


def one_hot(actions):
    return np.eye(3)[actions]


def single_plan(n, c, max_samples):
    """Table of the plan: inspect n items, accept when at most c are defective."""
    counts, defectives = lattice_counts(max_samples)
    return one_hot(np.where(counts < n, 0, np.where(defectives <= c, 1, 2)))


def sprt(p0, p1, alpha, beta, max_samples):
    step = math.log(p1 / p0) + math.log((1 - p0) / (1 - p1))
    s = math.log((1 - p0) / (1 - p1)) / step
    h0 = -math.log(beta / (1 - alpha)) / step
    h1 = math.log((1 - beta) / alpha) / step
    n = np.arange(max_samples + 1)
    return s * n - h0, s * n + h1


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.floats(0.0, 1.0))
def test_independent_items_against_all_histories(seed, max_samples, p):
    table = random_policy(seed, max_samples)
    accepted = number = 0.0
    for items in itertools.product((0, 1), repeat=max_samples):
        weight = p ** sum(items) * (1.0 - p) ** (max_samples - sum(items))
        a, m = follow(table, items, max_samples)
        accepted += weight * a
        number += weight * m
    result = forward_pass(table, [p], max_samples)
    np.testing.assert_allclose(np.ravel(result), [accepted, number], rtol=1e-12, atol=1e-14)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(0, 3))
def test_finite_lot_against_all_arrangements(seed, max_samples, spare):
    size = max_samples + spare
    table = random_policy(seed, max_samples)
    expected = []
    for defectives in range(size + 1):
        runs = [
            follow(table, [int(i in places) for i in range(size)], max_samples)
            for places in itertools.combinations(range(size), defectives)
        ]
        expected.append(np.mean(runs, axis=0))
    result = forward_pass(table, np.arange(size + 1) / size, max_samples, size)
    np.testing.assert_allclose(np.transpose(result), expected, rtol=1e-12, atol=1e-14)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.floats(0.0, 1.0), st.integers(0, 9))
def test_boundary_walk_is_the_forward_pass_of_its_table(seed, max_samples, p, spare):
    rng = np.random.default_rng(seed)
    accept = rng.integers(-1, np.arange(max_samples + 1) // 2 + 1)
    reject = accept + rng.integers(1, 5, accept.size)
    reject[-1] = accept[-1] + 1
    table = one_hot(table_from_boundaries(accept, reject))
    size = max_samples + spare
    for lot_size, rate in ((None, p), (size, round(p * size) / size)):
        occupancy = np.zeros(len(table))
        defectives = 0.0 if lot_size is None else rate * size
        walk = boundary_walk(rate, np.rint(defectives), lot_size or 0, accept, reject, occupancy)
        (accepted,), (number,) = forward_pass(table, [rate], max_samples, lot_size)
        np.testing.assert_allclose(walk, [number, accepted, 1.0 - accepted], atol=1e-14)
        assert (occupancy * table[:, 0]).sum() == pytest.approx(number, abs=1e-13)


def test_sprt_of_the_published_example():
    good, bad, alpha, beta = 0.1, 0.2, 0.1, 0.05
    max_samples = 600  # at 400 truncation still shows: producer's risk .0787, ASN 50.60 at .2
    table = one_hot(table_from_boundaries(*sprt(good, bad, alpha, beta, max_samples)))
    risks = Risks.of(table, [good, bad], max_samples, good=good, bad=bad)
    assert round(risks.producer_risk, 4) == 0.0786
    assert round(risks.consumer_risk, 4) == 0.0481
    np.testing.assert_array_equal(np.round(risks.average_sample_number, 2), [68.83, 50.61])


def test_wald_inequalities_bound_the_sprt_that_is_hardly_ever_cut_off():
    # Wald 1947, 3.2: beta' / (1 - alpha') <= beta / (1 - alpha), alpha' / (1 - beta') likewise.
    for good, bad, alpha, beta in (
        (0.1, 0.2, 0.1, 0.05),
        (0.3, 0.6, 0.02, 0.1),
        (0.5, 0.7, 0.2, 0.2),
    ):
        table = one_hot(table_from_boundaries(*sprt(good, bad, alpha, beta, 700)))
        risks = Risks.of(table, [good], 700, good=good, bad=bad)
        assert risks.consumer_risk / (1 - risks.producer_risk) <= beta / (1 - alpha) + 1e-12
        assert risks.producer_risk / (1 - risks.consumer_risk) <= alpha / (1 - beta) + 1e-12


@pytest.mark.parametrize(("n", "c", "max_samples"), [(1, 0, 1), (20, 3, 25), (80, 7, 80)])
def test_single_plan_is_binomial_or_hypergeometric(n, c, max_samples):
    table = single_plan(n, c, max_samples)
    p = np.linspace(0.0, 1.0, 41)
    accepted, number = forward_pass(table, p, max_samples)
    np.testing.assert_allclose(accepted, stats.binom.cdf(c, n, p), atol=1e-14)
    np.testing.assert_allclose(number, n, rtol=1e-13)
    lot_size = 120
    defectives = np.arange(lot_size + 1)
    accepted, number = forward_pass(table, defectives / lot_size, max_samples, lot_size)
    np.testing.assert_allclose(
        accepted, stats.hypergeom.cdf(c, lot_size, defectives, n), atol=1e-13
    )
    np.testing.assert_allclose(number, n, rtol=1e-13)


def test_long_plan_does_not_underflow():
    n = 1500  # a single history has chance 2^-1500
    accepted, number = forward_pass(single_plan(n, n // 2, n), [0.5], n)
    assert accepted[0] == pytest.approx(stats.binom.cdf(n // 2, n, 0.5), abs=1e-12)
    assert number[0] == pytest.approx(n, rel=1e-12)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
def test_all_good_and_all_bad_follow_one_path(seed, max_samples):
    table = random_policy(seed, max_samples)
    expected = [follow(table, [x] * max_samples, max_samples) for x in (0, 1)]
    np.testing.assert_allclose(
        np.transpose(forward_pass(table, [0.0, 1.0], max_samples)), expected, atol=1e-14
    )


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
def test_characteristics_stay_in_range(seed, max_samples):
    p = np.linspace(0.0, 1.0, 11)
    accepted, number = forward_pass(random_policy(seed, max_samples), p, max_samples)
    assert accepted.dtype == number.dtype == np.float64
    assert accepted.shape == number.shape == p.shape
    assert ((accepted >= 0.0) & (accepted <= 1.0)).all()
    assert ((number >= 0.0) & (number <= max_samples + 1e-12)).all()


def test_whole_lot_inspected_has_no_risk():
    accepted, _ = forward_pass(single_plan(10, 3, 10), np.arange(11) / 10, 10, 10)
    np.testing.assert_allclose(accepted, np.arange(11) <= 3, atol=1e-14)


def test_inspecting_at_the_end_rejects_and_inspects_nothing():
    table = one_hot(np.zeros(lattice_size(4), dtype=int))
    accepted, number = forward_pass(table, [0.3], 4)
    assert accepted[0] == 0.0
    assert number[0] == pytest.approx(4.0, rel=1e-15)


def test_lattice_counts_are_in_index_order():
    n, d = lattice_counts(7)
    assert n.size == d.size == lattice_size(7) == 36
    np.testing.assert_array_equal(n * (n + 1) // 2 + d, np.arange(36))
    assert ((d >= 0) & (d <= n) & (n <= 7)).all()


def test_table_from_boundaries_state_by_state():
    accept, reject = [-1.0, -0.5, 0.4, 1.0], [1.0, 1.5, math.inf, 2.5]
    actions = table_from_boundaries(accept, reject)
    assert actions.dtype == np.int8
    n, d = lattice_counts(3)
    for action, n_, d_ in zip(actions, n, d, strict=True):
        assert action == (1 if d_ <= accept[n_] else 2 if d_ >= reject[n_] else 0)
    assert actions[-2] == 0  # undecided at the end: acts as reject


@pytest.mark.parametrize(
    ("accept", "reject", "message"),
    [
        ([0, 1], [1, 1], "got 1.0 and 1.0 at n=1"),
        ([0, math.nan], [1, 2], "at n=1"),
        ([0, 0, 0], [1, 1], r"shape \(max_samples \+ 1,\)"),
        ([0], [1], "max_samples >= 1"),
    ],
)
def test_boundaries_that_cross_are_named(accept, reject, message):
    with pytest.raises(ValueError, match=message):
        table_from_boundaries(accept, reject)


GOOD_TABLE = np.full((6, 3), 1.0 / 3.0)


@pytest.mark.parametrize(
    ("table", "p", "max_samples", "lot_size", "message"),
    [
        (GOOD_TABLE, [1.2], 2, None, r"p must be in \[0, 1\]; got 1.2"),
        (GOOD_TABLE, [math.nan], 2, None, r"p must be in \[0, 1\]"),
        (GOOD_TABLE, [[0.1]], 2, None, r"shape \(P,\)"),
        (GOOD_TABLE, [0.1], 2, 7, r"whole number.*p=0.1 with lot_size=7"),
        (GOOD_TABLE, [0.5], 2, 1, "lot_size must be None or .* at least max_samples=2"),
        (GOOD_TABLE, [0.5], 2, 4.0, "lot_size must be None or a whole number"),
        (GOOD_TABLE, [0.1], 0, None, "max_samples must be a whole number"),
        (GOOD_TABLE, [0.1], 3, None, r"shape \(10, 3\)"),
        (GOOD_TABLE * 1.01, [0.1], 2, None, "sum to 1.*row 0"),
        (np.where(GOOD_TABLE > 0, math.nan, 0), [0.1], 2, None, "finite"),
        (np.tile([1.5, -0.5, 0.0], (6, 1)), [0.1], 2, None, "non-negative"),
    ],
)
def test_bad_inputs_are_named(table, p, max_samples, lot_size, message):
    with pytest.raises(ValueError, match=message):
        forward_pass(table, p, max_samples, lot_size)


def test_risks_at_the_pair():
    table = single_plan(20, 3, 20)
    risks = Risks.of(table, [0.05, 0.5], 20, good=0.1, bad=0.3)
    assert risks.producer_risk == pytest.approx(stats.binom.sf(3, 20, 0.1), abs=1e-14)
    assert risks.consumer_risk == pytest.approx(stats.binom.cdf(3, 20, 0.3), abs=1e-14)
    np.testing.assert_array_equal(risks.p, [0.05, 0.5])
    assert risks.acceptance_probability.shape == risks.average_sample_number.shape == (2,)
    alone = Risks.of(table, 0.1, 20)
    assert alone.producer_risk is None
    assert alone.acceptance_probability[0] == pytest.approx(stats.binom.cdf(3, 20, 0.1))


def test_risks_of_a_lot_are_those_of_whole_defectives():
    risks = Risks.of(single_plan(20, 3, 20), [0.0], 20, good=0.1, bad=0.31, lot_size=47)
    assert (risks.good, risks.bad) == (5 / 47, 15 / 47)
    assert risks.producer_risk == pytest.approx(stats.hypergeom.sf(3, 47, 5, 20))
    assert risks.consumer_risk == pytest.approx(stats.hypergeom.cdf(3, 47, 15, 20))


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ({"good": 0.1}, "both good and bad"),
        ({"good": 0.3, "bad": 0.2}, "good=0.3, bad=0.2"),
    ],
)
def test_risks_need_a_proper_pair(pair, message):
    with pytest.raises(ValueError, match=message):
        Risks.of(GOOD_TABLE, [0.1], 2, **pair)


def test_plot_shows_both_curves_and_the_pair(tmp_path):
    table = single_plan(20, 3, 20)
    p = np.linspace(0.0, 0.5, 51)
    risks = Risks.of(table, p, 20, good=0.1, bad=0.3)
    path = tmp_path / "oc.png"
    oc, asn = risks.plot(path).axes
    assert path.stat().st_size > 10_000
    assert "acceptance" in oc.get_ylabel()
    assert "sample number" in asn.get_ylabel()
    assert all("fraction defective" in axes.get_xlabel() for axes in (oc, asn))
    np.testing.assert_allclose(oc.lines[0].get_xydata()[:, 0], 100.0 * p)
    np.testing.assert_allclose(
        oc.lines[0].get_xydata()[:, 1], stats.binom.cdf(3, 20, p), atol=1e-14
    )
    marks = {float(line.get_xdata()[0]) for line in oc.lines[1:3]}
    assert marks == {100.0 * 0.1, 100.0 * 0.3}


def test_plot_draws_on_given_axes():
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 2)
    assert Risks.of(GOOD_TABLE, [0.0, 0.5, 1.0], 2).plot(axes) is figure
