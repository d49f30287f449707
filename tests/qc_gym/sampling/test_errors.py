"""Inspectors who err: what is drawn, judged and believed, against every truth and judgement."""

import math
from typing import Any

import numpy as np
import pytest
from frequencies import assert_frequencies, assert_mean
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_lots import JudgedLots, judged_lots
from numpy.typing import NDArray
from scipy import integrate, stats
from strategies import beta_lot, two_point_lot

from qc_gym.core.errors import ScenarioError
from qc_gym.core.table import NO_TABLE
from qc_gym.sampling.dynamics import INSPECT, KERNEL, STATE
from qc_gym.sampling.env import SequentialSamplingVectorEnv
from qc_gym.sampling.judgements import beta_binomial_row, hypergeometric_row, judged_row
from qc_gym.sampling.scenario import SequentialSamplingScenario

ERRORS = {"false_alarm": 0.1, "miss": 0.25}
FLOAT32 = {"rtol": 0.0, "atol": 1.2e-7}
MANY = 200_000
PRESETS = SequentialSamplingScenario.presets


def parse(fields: Any) -> SequentialSamplingScenario:
    scenario = SequentialSamplingScenario.parse(fields)
    assert isinstance(scenario, SequentialSamplingScenario)
    return scenario


def observe(scenario: SequentialSamplingScenario, n: Any, d: Any) -> list[NDArray[np.float32]]:
    """Return the observations of states (n, d): looked up, and computed."""
    states = np.zeros(len(n), STATE)
    states["n"], states["d"] = n, d
    tables = scenario.table(), NO_TABLE
    return [KERNEL.describe(scenario.record(), states, "belief", table)[0] for table in tables]


def play(scenario: Any, inspections: int) -> SequentialSamplingVectorEnv:
    env = SequentialSamplingVectorEnv(MANY, scenario, autoreset_mode="Disabled")
    env.np_random = np.random.default_rng(16)
    env.reset()
    for _ in range(inspections):
        env.step(np.full(MANY, INSPECT))
    return env


# What is allowed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"miss": 1.0}, "miss = 1.0: should be less than 1"),
        ({"false_alarm": -0.1}, "false_alarm = -0.1"),
        ({"false_alarm": 0.5, "miss": 0.5}, "their sum must be less than 1"),
        ({"miss": 0.1, "max_samples": 2001}, "max_samples = 2001: .* at most 2,000"),
        ({"false_alarm": math.nan}, "false_alarm"),
    ],
)
def test_errors_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse(beta_lot(1.0, 2.0, None, **changes))


def test_two_rates_of_independent_items_have_no_such_bound() -> None:
    parse(two_point_lot(None, max_samples=10_000, **ERRORS))
    with pytest.raises(ScenarioError, match="max_samples = 10000"):
        parse(two_point_lot(10_000, max_samples=10_000, **ERRORS))


# What is judged


@pytest.mark.parametrize("inspections", [1, 3, 6])
def test_judgements_in_a_finite_lot(inspections: int) -> None:
    """The joint frequencies of the truth, of what truly was inspected, and of judgements."""
    lot = 6
    states = play(beta_lot(1.5, 3.0, lot, max_samples=lot, **ERRORS), inspections).states
    m, k, d = np.ogrid[: lot + 1, : inspections + 1, : inspections + 1]
    judged = np.zeros((inspections + 1, inspections + 1))
    for true in range(inspections + 1):
        caught = stats.binom.pmf(np.arange(true + 1), true, 0.75)
        alarms = stats.binom.pmf(np.arange(inspections - true + 1), inspections - true, 0.1)
        judged[true] = np.convolve(caught, alarms)
    joint = stats.betabinom.pmf(m, lot, 1.5, 3.0) * stats.hypergeom.pmf(k, lot, m, inspections)
    counts = np.zeros((lot + 1, inspections + 1, inspections + 1))
    np.add.at(counts, (states["defectives"], states["defectives_inspected"], states["d"]), 1)
    assert_frequencies(counts, joint * judged[k, d])


def test_judgements_of_independent_items() -> None:
    states = play(two_point_lot(None, **ERRORS), 5).states
    for is_bad, p in ((False, 0.1), (True, 0.35)):
        found = states["d"][states["is_bad"] == is_bad]
        q = p * 0.75 + (1 - p) * 0.1
        assert_frequencies(np.bincount(found, minlength=6), stats.binom.pmf(np.arange(6), 5, q))
    states = play(beta_lot(0.8, 2.0, None, **ERRORS), 5).states
    q = states["fraction_defective"] * 0.65 + 0.1
    assert_mean(states["d"] - 5 * q, 0.0, (5 * q * (1 - q)).mean())


def test_one_number_says_what_an_item_is_and_what_it_is_judged() -> None:
    """Streams do not depend on the errors: the same lots, the same items, other judgements."""
    fields = beta_lot(1.5, 3.0, 6, max_samples=6)
    plain, judged = play(fields, 5).states, play({**fields, **ERRORS}, 5).states
    for name in ("defectives", "fraction_defective", "defectives_inspected"):
        assert (plain[name] == judged[name]).all()
    assert (plain["d"] == plain["defectives_inspected"]).all()
    assert (judged["d"] != judged["defectives_inspected"]).any()


def test_the_last_result_is_the_judgement() -> None:
    env = SequentialSamplingVectorEnv(500, two_point_lot(None, **ERRORS), "outcome", "Disabled")
    env.reset(seed=0)
    before = env.states["d"]
    observations, *_ = env.step(np.zeros(500, int))
    assert (observations[:, 2] == env.states["d"] - before).all()
    assert (observations[:, 1] == 1 - observations[:, 2]).all()


# What is believed


@settings(max_examples=100, deadline=None)
@given(fields=judged_lots())
def test_the_belief_is_bayes_rule_over_all_truths_and_judgements(fields: dict[str, Any]) -> None:
    scenario = parse(fields)
    lots, most = JudgedLots(scenario), scenario.lot_size or math.inf
    for history, belief in lots.histories():
        n, d, total = len(history), sum(history), sum(belief.values())
        bad = sum(weight for (i, _), weight in belief.items() if lots.is_bad[i]) / total
        following = sum(lots.after(belief, n)[1].values()) / total if n < most else None
        for seen in observe(scenario, [n], [d]):
            np.testing.assert_allclose(seen[0, 2], float(bad), **FLOAT32)
            if following is not None:
                np.testing.assert_allclose(seen[0, 3], float(following), **FLOAT32)


@pytest.mark.parametrize(("a", "b", "limit"), [(0.3, 2.5, 0.1), (1.7, 0.6, 0.8), (12.5, 90.2, 0.1)])
def test_the_belief_under_a_beta_prior_is_the_integral(a: float, b: float, limit: float) -> None:
    prior = {"kind": "beta", "a": a, "b": b, "limit": limit}
    scenario = parse(beta_lot(a, b, None, prior=prior, max_samples=30, **ERRORS))
    cases = [(0, 0), (1, 0), (1, 1), (10, 3), (30, 2), (30, 30)]
    seen, computed = observe(scenario, *np.array(cases).T)
    np.testing.assert_allclose(seen, computed, **FLOAT32)
    for (n, d), (*_, prob_bad, prob_defective) in zip(cases, seen, strict=True):

        def integral(low: float, high: float, more: int, n: int = n, d: int = d) -> float:
            """Integrate over p; its powers are weights of the rule, so that it takes the ends."""
            left, right = (a - 1 if low == 0.0 else 0.0), (b - 1 if high == 1.0 else 0.0)

            def rest(p: float) -> float:
                q = p * 0.75 + (1 - p) * 0.1
                powers = p ** (a - 1 - left) * (1 - p) ** (b - 1 - right)
                return powers * q ** (d + more) * (1 - q) ** (n - d)

            value, _ = integrate.quad(
                rest, low, high, weight="alg", wvar=(left, right), epsabs=0.0, epsrel=1e-11
            )
            return value

        below, above = integral(0.0, limit, 0), integral(limit, 1.0, 0)
        assert prob_bad == pytest.approx(above / (below + above), rel=1e-6, abs=1e-7)
        found = integral(0.0, limit, 1) + integral(limit, 1.0, 1)
        assert prob_defective == pytest.approx(found / (below + above), rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(0, 12),
    a=st.sampled_from([1e-9, 0.3, 1.0, 2.5, 900.0]),
    b=st.sampled_from([1e-9, 0.3, 1.0, 2.5, 900.0]),
    false_alarm=st.sampled_from([0.0, 1e-200, 0.02, 0.4]),
    miss=st.sampled_from([0.0, 1e-200, 0.3, 0.55]),
)
def test_rows_of_counts(n: int, a: float, b: float, false_alarm: float, miss: float) -> None:
    row = beta_binomial_row(n, a, b)
    np.testing.assert_allclose(row, stats.betabinom.pmf(np.arange(n + 1), n, a, b), rtol=1e-6)
    lot = hypergeometric_row(n, 5, 20)
    expected = stats.hypergeom.pmf(np.arange(n + 1), 20, 5, n)
    np.testing.assert_allclose(lot, expected, rtol=1e-12, atol=1e-300)
    channel = np.zeros((n + 1, n + 1))
    for k in range(n + 1):
        caught = stats.binom.pmf(np.arange(k + 1), k, 1 - miss)
        alarms = stats.binom.pmf(np.arange(n - k + 1), n - k, false_alarm)
        channel[k] = np.convolve(caught, alarms)
    both = np.stack([row, lot])
    np.testing.assert_allclose(
        judged_row(both, false_alarm, miss), both @ channel, rtol=1e-9, atol=1e-300
    )


def test_nearly_worthless_inspection_teaches_nothing() -> None:
    fields = two_point_lot(9, max_samples=9, false_alarm=0.3, miss=0.7 - 1e-12)
    n, d = np.tril_indices(10)
    for seen in observe(parse(fields), n, d):
        np.testing.assert_allclose(seen[:, 2], 0.3, atol=1e-7)
        np.testing.assert_allclose(seen[n < 9, 3], 0.3, atol=1e-7)


@pytest.mark.parametrize("miss", [0.0, 1e-300, 0.2])
@pytest.mark.parametrize("false_alarm", [0.0, 1e-300, 0.3])
@pytest.mark.parametrize("lot", [beta_lot, two_point_lot], ids=["beta", "two-point"])
def test_no_state_has_a_belief_outside_its_space(lot: Any, false_alarm: float, miss: float) -> None:
    shapes = (1e-5, 1e-5) if lot is beta_lot else ()
    fields = lot(*shapes, 40, max_samples=40, false_alarm=false_alarm, miss=miss)
    for seen in observe(parse(fields), *np.tril_indices(41)):
        assert ((seen >= 0) & (seen <= 1)).all()


def test_judged_words() -> None:
    for name in ("tired-eyes", "worn-gauge"):
        env = SequentialSamplingVectorEnv(1, name, render_mode="ansi")
        env.reset(seed=0)
        env.step(np.zeros(1, int))
        (text,) = env.render() or ()
        assert "1 item inspected" in text
        assert "judged defective" in text
        assert f"misses {PRESETS[name]['miss']}" in text
