"""The simulator of sequential sampling against independent probability (scipy, Bayes)."""

from typing import Any

import numpy as np
import pytest
from frequencies import assert_frequencies, assert_mean
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from strategies import beta_lot, scenarios, two_point_lot

from qc_gym.core import noise
from qc_gym.sampling.dynamics import ACCEPT, INSPECT, KERNEL, REJECT, STATE
from qc_gym.sampling.env import SequentialSamplingVectorEnv
from qc_gym.sampling.scenario import SequentialSamplingScenario

PRESETS = SequentialSamplingScenario.presets
MANY = 100_000


def play(
    scenario: Any, inspections: int = 0, size: int = MANY, seed: int = 0
) -> SequentialSamplingVectorEnv:
    """Return a batch of episodes in which the first items have been inspected."""
    env = SequentialSamplingVectorEnv(size, scenario, autoreset_mode="Disabled")
    env.np_random = np.random.default_rng(seed)
    env.reset()
    for _ in range(inspections):
        env.step(np.full(size, INSPECT))
    return env


# The truth drawn by reset


@pytest.mark.parametrize("name", ["aql10-rql20", "aql1-rql5", "lot-200"])
def test_two_point_truth(name: str) -> None:
    fields = PRESETS[name]
    prior, lot_size = fields["prior"], fields.get("lot_size")
    states = play(name).states
    assert_mean(states["is_bad"], prior["prob_bad"], prior["prob_bad"] * (1 - prior["prob_bad"]))
    expected = np.where(states["is_bad"], prior["bad"], prior["good"])
    assert (states["fraction_defective"] == expected).all()
    if lot_size is None:
        assert (states["defectives"] == 0).all()
    else:
        assert (lot_size, prior["good"], prior["bad"]) == (200, 0.05, 0.15)
        assert (states["defectives"] == np.where(states["is_bad"], 30, 10)).all()


@pytest.mark.parametrize(("a", "b"), [(2.0, 14.0), (1.0, 1.0), (0.3, 0.4), (150.0, 800.0)])
def test_beta_truth(a: float, b: float) -> None:
    states = play(beta_lot(a, b, None)).states
    assert stats.kstest(states["fraction_defective"], stats.beta(a, b).cdf).pvalue > 1e-4
    assert (states["is_bad"] == (states["fraction_defective"] > 0.15)).all()


@pytest.mark.parametrize(
    ("a", "b", "lot_size"), [(1.0, 19.0, 500), (2.0, 3.0, 20), (0.3, 0.4, 33), (40.0, 60.0, 1000)]
)
def test_beta_binomial_truth(a: float, b: float, lot_size: int) -> None:
    states = play(beta_lot(a, b, lot_size)).states
    counts = np.bincount(states["defectives"], minlength=lot_size + 1)
    assert_frequencies(counts, stats.betabinom.pmf(np.arange(lot_size + 1), lot_size, a, b))
    assert (states["fraction_defective"] == states["defectives"] / lot_size).all()
    assert (states["is_bad"] == (states["defectives"] / lot_size > 0.15)).all()


def test_a_lot_exactly_at_the_limit_is_good() -> None:
    states = play(beta_lot(2.0, 9.0, 20)).states
    at_limit = states[states["defectives"] == 3]
    assert len(at_limit) > 1000
    assert not at_limit["is_bad"].any()
    assert states[states["defectives"] == 4]["is_bad"].all()


# What inspections find


@pytest.mark.parametrize("inspections", [1, 5])
def test_results_of_an_infinite_lot(inspections: int) -> None:
    states = play(two_point_lot(None), inspections).states
    for is_bad, p in ((False, 0.1), (True, 0.35)):
        found = states["d"][states["is_bad"] == is_bad]
        counts = np.bincount(found, minlength=inspections + 1)
        assert_frequencies(counts, stats.binom.pmf(np.arange(inspections + 1), inspections, p))


def test_results_follow_the_hidden_fraction() -> None:
    n = 5
    states = play(beta_lot(0.8, 2.0, None), n).states
    p, found = states["fraction_defective"], states["d"]
    residual = found - n * p  # mean 0 and variance n p (1 − p) at every p
    for low, high in ((0.0, 0.05), (0.05, 0.3), (0.3, 0.7), (0.7, 1.0)):
        there = (p >= low) & (p < high)
        assert there.sum() > 1000
        assert_mean(residual[there], 0.0, (n * p * (1 - p))[there].mean())


@pytest.mark.parametrize("inspections", [1, 4, 9])
def test_results_without_replacement(inspections: int) -> None:
    lot = 12
    states = play(beta_lot(1.5, 3.0, lot, max_samples=lot), inspections).states
    assert (states["n"] == inspections).all()
    m, d = np.arange(lot + 1)[:, np.newaxis], np.arange(inspections + 1)
    joint = stats.betabinom.pmf(m, lot, 1.5, 3.0) * stats.hypergeom.pmf(d, lot, m, inspections)
    counts = np.zeros((lot + 1, inspections + 1))
    np.add.at(counts, (states["defectives"], states["d"]), 1)
    assert_frequencies(counts, joint)


@pytest.mark.parametrize(
    "scenario",
    [two_point_lot(20, max_samples=20), beta_lot(0.5, 0.5, 20, max_samples=20), "lot-200"],
    ids=["two-point", "beta", "lot-200"],
)
def test_inspecting_the_whole_lot_finds_every_defective(scenario: Any) -> None:
    lot_size = SequentialSamplingScenario.parse(scenario).lot_size
    env = play(scenario, lot_size, size=3000)
    assert (env.states["d"] == env.states["defectives"]).all()
    assert len(np.unique(env.states["d"])) > 1
    assert (env.states["n"] == lot_size).all()


def test_successive_results_are_exchangeable() -> None:
    size, items = 50_000, 4
    env = play(two_point_lot(20, max_samples=20), 0, size)
    results = np.empty((size, items), int)
    for i in range(items):
        env.step(np.zeros(size, int))
        results[:, i] = env.states["last_result"] - 1
    bad = env.states["is_bad"]
    for is_bad, m in ((False, 2), (True, 7)):
        rows = results[bad == is_bad]
        counts = np.bincount(rows @ 2 ** np.arange(items), minlength=2**items)
        ones = np.array([code.bit_count() for code in range(2**items)])
        # Every order of the same results is equally likely.
        orders = special.comb(items, ones)
        assert_frequencies(counts, stats.hypergeom.pmf(ones, 20, m, items) / orders)


# Rewards


@pytest.mark.parametrize("inspections", [0, 3, 5])
@pytest.mark.parametrize("action", [ACCEPT, REJECT])
@pytest.mark.parametrize("lot_size", [None, 20])
@pytest.mark.parametrize("kind", ["two_point", "indicator", "linear"])
def test_reward_of_a_decision(
    kind: str, lot_size: int | None, action: int, inspections: int
) -> None:
    fields = two_point_lot(lot_size) if kind == "two_point" else beta_lot(1, 4, lot_size, loss=kind)
    env = play(fields, inspections, size=500)
    before = env.states
    # The truth as it shows: the two rates, or M / N, or p.
    p = before["defectives"] / lot_size if lot_size else before["fraction_defective"]
    is_bad = p > (0.2 if kind == "two_point" else 0.15)
    loss = np.where(action == ACCEPT, np.where(is_bad, 70.0, 0.0), np.where(is_bad, 0.0, 30.0)) * (
        abs(p - 0.15) if kind == "linear" else 1.0
    )
    _, rewards, terminated, truncated, _ = env.step(np.full(500, action))
    assert np.unique(rewards == 0).size == 2, "one of the two cases is missing"
    np.testing.assert_allclose(rewards, -loss, rtol=1e-15)
    assert terminated.all()
    assert not truncated.any()
    assert (env.states == before).all()


def test_inspecting_costs_and_goes_on() -> None:
    env = play(two_point_lot(None), 0, size=100)
    for n in range(1, 6):
        before = env.states
        _, rewards, terminated, truncated, _ = env.step(np.zeros(100, int))
        found = env.states["d"] - before["d"]
        assert (rewards == -0.5).all()
        assert not (terminated | truncated).any()
        assert (env.states["n"] == n).all()
        assert np.isin(found, (0, 1)).all()
        assert (env.states["last_result"] == 1 + found).all()
        assert (env.states["is_bad"] == before["is_bad"]).all()


@pytest.mark.parametrize("fields", [two_point_lot(None), beta_lot(1, 4, 5, loss="linear")])
def test_one_more_after_the_last_sample_is_a_rejection(fields: Any) -> None:
    one_more, rejected = play(fields, 5, size=400), play(fields, 5, size=400)
    assert (one_more.action_masks() == [False, True, True]).all()
    result, expected = (
        env.step(np.full(400, action)) for env, action in ((one_more, INSPECT), (rejected, REJECT))
    )
    assert (result[1] == expected[1]).all()
    assert (result[1] != 0).any()
    assert result[2].all()
    assert (one_more.states == rejected.states).all()


# What the agent sees


@pytest.mark.parametrize(
    "fields",
    [
        two_point_lot(None),
        two_point_lot(20),
        beta_lot(1.0, 4.0, None),
        beta_lot(1.0, 4.0, 20),
    ],
    ids=["two-point", "two-point finite", "beta", "beta finite"],
)
def test_belief_is_how_often_the_simulated_lot_is_bad(fields: Any) -> None:
    env = play(fields, 4)
    before = env.states
    record = SequentialSamplingScenario.parse(fields).record()
    belief = KERNEL.describe(record, before, "belief")[0]
    env.step(np.zeros(MANY, int))
    found = env.states["d"] - before["d"]
    for d in range(5):
        here = before["d"] == d
        assert here.sum() > 100
        for share, event in ((belief[here, 2][0], before["is_bad"]), (belief[here, 3][0], found)):
            assert_mean(event[here], share, share * (1 - share) + 1e-9)


def test_outcome_observation() -> None:
    env = SequentialSamplingVectorEnv(200, two_point_lot(None), "outcome", "Disabled")
    observations, _ = env.reset(seed=0)
    assert (observations == 0).all()
    for n in range(1, 6):
        before = env.states["d"]
        observations, *_ = env.step(np.zeros(200, int))
        found = env.states["d"] - before
        assert (observations[:, 0] == np.float32(n / 5)).all()
        assert (observations[:, 1] == 1 - found).all()
        assert (observations[:, 2] == found).all()


@settings(max_examples=60, deadline=None)
@given(
    fields=scenarios(max_samples=st.integers(1, 60), may_err=True),
    observation=st.sampled_from(("belief", "outcome")),
    seed=st.integers(0, 2**32),
)
def test_no_observation_reads_the_truth(fields: Any, observation: str, seed: int) -> None:
    scenario = SequentialSamplingScenario.parse(fields)
    generator = np.random.default_rng(seed)
    states = np.zeros(50, STATE)
    states["n"] = generator.integers(0, scenario.max_samples + 1, 50)
    states["d"] = generator.integers(0, states["n"] + 1)
    states["last_result"] = generator.integers(0, 3, 50)
    expected = KERNEL.describe(scenario.record(), states, observation)
    hidden = set(STATE.names) - {"n", "d", "last_result"}
    assert hidden == {"is_bad", "fraction_defective", "defectives", "defectives_inspected"}
    states["is_bad"] = generator.integers(0, 2, 50)
    states["fraction_defective"] = generator.choice([0.0, 0.3, 1.0, np.nan], 50)
    states["defectives"] = generator.integers(-5, 100, 50)
    states["defectives_inspected"] = generator.integers(-5, 100, 50)
    for one, other in zip(
        KERNEL.describe(scenario.record(), states, observation), expected, strict=True
    ):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_keys_tell_apart_what_the_agent_may_know(observation: str) -> None:
    scenario = SequentialSamplingScenario.parse(beta_lot(1, 1, None, max_samples=30))
    n, d = np.tril_indices(31)
    states = np.zeros(3 * len(n), STATE)
    states["n"], states["d"] = np.tile(n, 3), np.tile(d, 3)
    states["last_result"] = np.repeat([0, 1, 2], len(n))
    keys = KERNEL.describe(scenario.record(), states, observation)[2]
    assert len(np.unique(keys)) == (1 if observation == "belief" else 3) * len(n)
    if observation == "belief":
        assert (np.sort(keys[: len(n)]) == np.arange(len(n))).all()


def test_roll_out_is_the_same_world() -> None:
    """The mean return of "inspect twice, then accept unless a defective was found"."""
    scenario = SequentialSamplingScenario.parse(two_point_lot(None))
    n, d = np.tril_indices(6)
    probabilities = np.zeros((len(n), 3))
    probabilities[np.arange(len(n)), np.where(n < 2, INSPECT, np.where(d > 0, REJECT, ACCEPT))] = 1
    returns, lengths = np.empty(MANY), np.empty(MANY, np.int64)
    missing = KERNEL.roll_out(
        scenario.record(),
        scenario.table(),
        np.zeros(1, STATE),
        noise.streams(np.random.default_rng(0), 1),
        False,
        np.arange(len(n), dtype=np.uint64),
        probabilities,
        returns,
        lengths,
    )
    assert missing == -1
    assert (lengths == 3).all()
    wrong = {70.0: 0.3 * 0.65**2, 30.0: 0.7 * (1 - 0.9**2)}
    losses = {0.0: 1 - sum(wrong.values()), **wrong}
    values, counts = np.unique(returns, return_counts=True)
    expected = dict(sorted((-1.0 - loss, share) for loss, share in losses.items()))
    assert values.tolist() == list(expected)
    assert_frequencies(counts, list(expected.values()))
