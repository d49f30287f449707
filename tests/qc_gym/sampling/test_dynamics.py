"""The simulator of sequential sampling against independent probability: scipy, Bayes, identities."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numpy.typing import NDArray
from scipy import special, stats
from strategies import scenarios

from qc_gym.core import noise
from qc_gym.sampling.dynamics import ACCEPT, INSPECT, KERNEL, REJECT, STATE
from qc_gym.sampling.env import SequentialSamplingVectorEnv
from qc_gym.sampling.scenario import SequentialSamplingScenario

PRESETS = SequentialSamplingScenario.presets
FLOAT32 = {"rtol": 0.0, "atol": 1.2e-7}  # two units in the last place of a float32 just below 1
MANY = 100_000


def beta_lot(a: float, b: float, lot_size: int | None, **fields: Any) -> dict[str, Any]:
    """Return a scenario with a Beta prior."""
    return {
        "prior": {"kind": "beta", "a": a, "b": b, "limit": 0.15},
        "inspection_cost": 0.5,
        "accept_bad_cost": 70.0,
        "reject_good_cost": 30.0,
        "max_samples": 5,
        "lot_size": lot_size,
        **fields,
    }


def two_point_lot(lot_size: int | None, **fields: Any) -> dict[str, Any]:
    """Return a scenario with a two-point prior."""
    prior = {"kind": "two_point", "good": 0.1, "bad": 0.35, "prob_bad": 0.3}
    return beta_lot(1.0, 1.0, lot_size, prior=prior, **fields)


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


# The belief


def lattice(max_samples: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all (n, d) with d ≤ n ≤ max_samples."""
    n, d = np.tril_indices(max_samples + 1)
    return n.astype(np.int64), d.astype(np.int64)


def observe(
    scenario: SequentialSamplingScenario, n: Any, d: Any, observation: str = "belief"
) -> NDArray[np.float32]:
    """Return the observations of states (n, d)."""
    states = np.zeros(len(n), STATE)
    states["n"], states["d"] = n, d
    return KERNEL.describe(scenario.record(), states, observation)[0]


def two_point_truth(
    scenario: SequentialSamplingScenario, n: Any, d: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return P(bad), P(next defective) by Bayes' rule, and which (n, d) are possible."""
    prior, lot = scenario.prior, scenario.lot_size
    if lot is None:
        log_good = special.xlogy(d, prior.good) + special.xlog1py(n - d, -prior.good)
        log_bad = special.xlogy(d, prior.bad) + special.xlog1py(n - d, -prior.bad)
        next_good, next_bad = prior.good, prior.bad
    else:
        m_good, m_bad = round(lot * prior.good), round(lot * prior.bad)
        log_good = stats.hypergeom.logpmf(d, lot, m_good, n)
        log_bad = stats.hypergeom.logpmf(d, lot, m_bad, n)
        left = np.maximum(lot - n, 1)
        next_good, next_bad = (m_good - d) / left, (m_bad - d) / left
    log_good = log_good + np.log1p(-prior.prob_bad)
    log_bad = log_bad + np.log(prior.prob_bad)
    possible = np.isfinite(np.maximum(log_good, log_bad))
    with np.errstate(invalid="ignore"):
        prob_bad = special.expit(log_bad - log_good)
        predictive = np.where(prob_bad < 1, (1 - prob_bad) * next_good, 0) + np.where(
            prob_bad > 0, prob_bad * next_bad, 0
        )
    return prob_bad, predictive, possible


def beta_truth(
    scenario: SequentialSamplingScenario, n: Any, d: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return P(bad) and P(next defective) under a Beta prior."""
    a, b = scenario.prior.a + d, scenario.prior.b + n - d
    lot, limit = scenario.lot_size, scenario.prior.limit
    if lot is None:
        return special.betaincc(a, b, limit), a / (a + b)
    is_bad = np.arange(lot + 1) / lot > limit
    if len(n) == (lot + 1) * (lot + 2) // 2:  # the whole lattice of the whole lot
        # The belief is a martingale that ends at the truth: no special function is needed.
        prob_bad = np.zeros((lot + 1, lot + 1))
        prob_bad[lot] = is_bad
        for k in range(lot - 1, -1, -1):
            i = np.arange(k + 1)
            up = (scenario.prior.a + i) / (scenario.prior.a + scenario.prior.b + k)
            prob_bad[k, : k + 1] = up * prob_bad[k + 1, 1 : k + 2]
            prob_bad[k, : k + 1] += (1 - up) * prob_bad[k + 1, : k + 1]
        return prob_bad[n, d], a / (a + b)
    most_good = int(np.flatnonzero(~is_bad)[-1])
    result = [
        stats.betabinom.pmf(np.arange(max(most_good - one_d, -1) + 1, lot - one_n + 1), *rest).sum()
        for one_n, one_d, *rest in zip(n, d, lot - n, a, b, strict=True)
    ]
    return np.array(result), a / (a + b)


def check_belief(scenario: SequentialSamplingScenario, n: Any, d: Any) -> None:
    """Assert that the observations of states (n, d) are what probability theory says."""
    seen = observe(scenario, n, d)
    assert seen.dtype == np.float32
    assert ((seen >= 0) & (seen <= 1)).all()  # false for NaN
    np.testing.assert_allclose(seen[:, 0], n / scenario.max_samples, **FLOAT32)
    np.testing.assert_allclose(seen[:, 1], d / scenario.max_samples, **FLOAT32)
    if scenario.prior.kind == "two_point":
        prob_bad, predictive, possible = two_point_truth(scenario, n, d)
        assert possible.any()
    else:
        prob_bad, predictive = beta_truth(scenario, n, d)
        possible = np.ones(len(n), bool)
    if scenario.lot_size is not None:
        possible &= n <= scenario.lot_size
    np.testing.assert_allclose(seen[possible, 2], prob_bad[possible], **FLOAT32)
    if scenario.lot_size is not None:
        possible &= n < scenario.lot_size  # nothing is next when all have been inspected
    np.testing.assert_allclose(seen[possible, 3], predictive[possible], **FLOAT32)


@pytest.mark.parametrize("name", PRESETS)
def test_belief_over_the_whole_lattice(name: str) -> None:
    scenario = SequentialSamplingScenario.parse(name)
    if scenario.prior.kind == "beta" and scenario.lot_size is not None:
        # Over the whole lot, so that the truth can be had by recursion from its end.
        scenario = scenario.model_copy(update={"max_samples": scenario.lot_size})
    check_belief(scenario, *lattice(scenario.max_samples))


@settings(max_examples=150, deadline=None)
@given(fields=scenarios(max_samples=st.integers(1, 40)))
def test_belief_of_any_scenario(fields: Any) -> None:
    scenario = SequentialSamplingScenario.parse(fields)
    check_belief(scenario, *lattice(scenario.max_samples))


@settings(max_examples=60, deadline=None)
@given(fields=scenarios(max_samples=st.integers(5_000, 10_000)), seed=st.integers(0, 2**32))
def test_belief_after_thousands_of_samples(fields: Any, seed: int) -> None:
    scenario = SequentialSamplingScenario.parse(fields)
    n_max = scenario.max_samples
    generator = np.random.default_rng(seed)
    n = generator.integers(0, n_max + 1, 12)
    d = generator.binomial(n, generator.beta(0.3, 0.3, 12))
    corners_n, corners_d = [0, n_max, n_max, 1, 1], [0, 0, n_max, 0, 1]
    check_belief(scenario, np.r_[n, corners_n], np.r_[d, corners_d])


HUGE = 10_000_000
STATES_OF_A_HUGE_LOT = [(0, 0), (50, 0), (50, 9), (1000, 90), (10_000, 1000), (10_000, 1490)]


def test_belief_of_a_huge_two_point_lot() -> None:
    fields = two_point_lot(HUGE, max_samples=10_000)
    fields["prior"] |= {"good": 0.1, "bad": 0.2}
    scenario = SequentialSamplingScenario.parse(fields)
    truths = []
    for n, d in STATES_OF_A_HUGE_LOT:

        def log_likelihood(m: int, n: int = n, d: int = d) -> float:
            """Return log m (m − 1) … (N − m) (N − m − 1) …, the order of the results aside."""
            return math.fsum(math.log(m - i) for i in range(d)) + math.fsum(
                math.log(HUGE - m - i) for i in range(n - d)
            )

        log_odds = log_likelihood(HUGE // 5) - log_likelihood(HUGE // 10) + special.logit(0.3)
        truths.append(special.expit(log_odds))
    assert 0 < min(truths) < 0.01 < 0.9 < max(truths)
    n, d = np.array(STATES_OF_A_HUGE_LOT).T
    np.testing.assert_allclose(observe(scenario, n, d)[:, 2], truths, **FLOAT32)


@pytest.mark.parametrize("lot_size", [1000, 100_000, HUGE])
@pytest.mark.parametrize(("a", "b"), [(2, 14), (1, 1), (20, 180)])
def test_belief_of_a_huge_beta_lot(a: int, b: int, lot_size: int) -> None:
    prior = {"kind": "beta", "a": float(a), "b": float(b), "limit": 0.1}
    fields = beta_lot(1, 1, lot_size, prior=prior, max_samples=min(lot_size, 10_000))
    scenario = SequentialSamplingScenario.parse(fields)
    n, d = np.array([one for one in STATES_OF_A_HUGE_LOT if one[0] < lot_size]).T
    left, a_left, b_left = lot_size - n, a + d, b + n - d
    # X ~ BetaBinomial(left, a, b) with whole a and b: of left + a + b − 1 items in random order,
    # a + b − 1 of them marked, X is how many come unmarked before the a-th marked one.
    most_good = lot_size // 10 - d
    among = left + a_left + b_left - 1
    truth = stats.hypergeom.cdf(a_left - 1, among, a_left + b_left - 1, most_good + a_left)
    np.testing.assert_allclose(observe(scenario, n, d)[:, 2], truth, **FLOAT32)


@settings(max_examples=100, deadline=None)
@given(fields=scenarios(max_samples=st.integers(1, 600)))
def test_no_state_of_the_lattice_has_a_belief_outside_its_space(fields: Any) -> None:
    """Not even those that cannot happen: pictures ask a policy about all of them."""
    scenario = SequentialSamplingScenario.parse(fields)
    n, d = lattice(scenario.max_samples)
    chosen = slice(None, None, max(1, len(n) // 5000))
    seen = observe(scenario, n[chosen], d[chosen])
    assert ((seen >= 0) & (seen <= 1)).all()


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
    belief = observe(SequentialSamplingScenario.parse(fields), before["n"], before["d"])
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
    fields=scenarios(max_samples=st.integers(1, 60)),
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
    assert hidden == {"is_bad", "fraction_defective", "defectives"}
    states["is_bad"] = generator.integers(0, 2, 50)
    states["fraction_defective"] = generator.choice([0.0, 0.3, 1.0, np.nan], 50)
    states["defectives"] = generator.integers(-5, 100, 50)
    for one, other in zip(
        KERNEL.describe(scenario.record(), states, observation), expected, strict=True
    ):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_keys_tell_apart_what_the_agent_may_know(observation: str) -> None:
    scenario = SequentialSamplingScenario.parse(beta_lot(1, 1, None, max_samples=30))
    n, d = lattice(30)
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
    n, d = lattice(5)
    probabilities = np.zeros((len(n), 3))
    probabilities[np.arange(len(n)), np.where(n < 2, INSPECT, np.where(d > 0, REJECT, ACCEPT))] = 1
    returns, lengths = np.empty(MANY), np.empty(MANY, np.int64)
    missing = KERNEL.roll_out(
        scenario.record(),
        np.zeros(1, STATE),
        noise.streams(np.random.default_rng(0), 1),
        False,
        np.arange(len(n), dtype=np.uint64),
        probabilities,
        1000,
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


# The random numbers


@njit(cache=True)
def draw_bits(streams: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] = noise.next_bits(streams[0])


@njit(cache=True)
def draw_uniform(streams: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] = noise.uniform(streams[0])


@njit(cache=True)
def draw_normal(streams: Any, out: Any) -> None:
    for i in range(len(out)):
        out[i] = noise.normal(streams[0])


@njit(cache=True)
def draw_log_gamma(streams: Any, out: Any, shape: float) -> None:
    for i in range(len(out)):
        out[i] = noise.log_gamma_variate(streams[0], shape)


@njit(cache=True)
def draw_beta(streams: Any, out: Any, a: float, b: float) -> None:
    for i in range(len(out)):
        out[i] = noise.beta_variate(streams[0], a, b)


@njit(cache=True)
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
    ("a", "b"), [(1.0, 1.0), (2.0, 14.0), (0.5, 0.5), (0.05, 2.0), (800.0, 40.0)]
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
