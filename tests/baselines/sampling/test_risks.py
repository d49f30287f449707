"""What any policy of sequential sampling risks, and its true value made of that."""

import math
from fractions import Fraction
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sampling_histories import (
    ACCEPT,
    INSPECT,
    REJECT,
    TWO_POINT_PRESETS,
    make_env,
    money_at_stake,
    parse,
    quick,
    row_of,
)
from scipy import stats
from strategies import scenario_ranges, scenarios

import baselines
from baselines.core.policy import TabularPolicy, constant_policy
from baselines.core.solver import solve
from baselines.sampling import (
    risks,
    sprt_policy,
)
from baselines.sampling.model import build_model
from qc_gym.sampling.scenario import BetaPrior, SequentialSamplingScenario, TwoPointPrior


def test_sprt_has_the_published_risks() -> None:
    """Risks and ASN of Wald's test at the contest's rates, which is not truncated."""
    tables = build_model(parse("aql10-rql20", max_samples=1000))
    found = risks(sprt_policy(tables, 0.1, 0.2, 0.10, 0.05), p=[0.1, 0.2])
    assert found.producer_risk is not None
    assert found.consumer_risk is not None
    assert round(found.producer_risk, 4) == 0.0786
    assert round(found.consumer_risk, 4) == 0.0481
    assert [round(float(n), 2) for n in found.average_sample_number] == [68.83, 50.61]
    assert (found.good, found.bad) == (0.1, 0.2)
    # The preset's 400 items truncate it: one lot in 8,000 of the good ones is rejected there.
    preset = risks(baselines.reference_policies(make_env("aql10-rql20"))["sprt"], p=[0.1, 0.2])
    assert preset.producer_risk == pytest.approx(0.0786, abs=1.5e-4)
    assert preset.consumer_risk == pytest.approx(0.0481, abs=5e-5)
    np.testing.assert_allclose(preset.average_sample_number, [68.83, 50.61], atol=0.01)


def test_the_least_sample_test_beats_walds_at_the_same_risks() -> None:
    policies = baselines.reference_policies(make_env("aql10-rql20"))
    least, sprt = (risks(policies[name], p=[0.1, 0.2]) for name in ("least_asn", "sprt"))
    assert (least.producer_risk or 1) <= 0.10
    assert (least.consumer_risk or 1) <= 0.05
    assert least.average_sample_number.mean() <= 55.5
    assert sprt.average_sample_number.mean() == pytest.approx(59.7, abs=0.05)


@pytest.mark.parametrize("name", TWO_POINT_PRESETS)
def test_values_are_made_of_risks_and_sample_numbers(name: str) -> None:
    """A policy's value by the lattice's backward sweep, and by its forward one at the two rates."""
    scenario, env = parse(name), make_env(name)
    policies = {"optimum": baselines.solve(env).policy, **baselines.reference_policies(env)}
    for policy in policies.values():
        check_two_point_identity(scenario, policy, env)


@quick
@given(
    fields=scenarios(max_samples=st.integers(1, 25), kinds=("two_point",)), seed=st.integers(0, 99)
)
def test_random_values_are_made_of_risks_and_sample_numbers(
    fields: dict[str, Any], seed: int
) -> None:
    scenario = parse(fields)
    tables = build_model(scenario)
    drawn = np.random.default_rng(seed).dirichlet(np.ones(3), tables.num_states)
    env = make_env(scenario)
    for table in (solve(tables).actions, drawn):
        check_two_point_identity(scenario, TabularPolicy.of(tables, table), env)


def check_two_point_identity(
    scenario: SequentialSamplingScenario, policy: TabularPolicy, env: gym.Env[Any, Any]
) -> None:
    prior = scenario.prior
    assert isinstance(prior, TwoPointPrior)
    rates = np.array([prior.good, prior.bad])
    if scenario.lot_size is not None:
        rates = np.rint(rates * scenario.lot_size) / scenario.lot_size
    found = risks(policy, p=rates)
    accepted, number = found.acceptance_probability, found.average_sample_number
    weights = np.array([1 - prior.prob_bad, prior.prob_bad])
    value = -scenario.inspection_cost * (weights @ number)
    value -= weights[1] * scenario.accept_bad_cost * accepted[1]
    value -= weights[0] * scenario.reject_good_cost * (1 - accepted[0])
    score = baselines.score(env, policy)
    assert score.value == pytest.approx(value, rel=1e-9, abs=1e-9 * money_at_stake(scenario))
    last = policy.probabilities[row_of(scenario.max_samples, 0) :, INSPECT]
    if not last.any():  # the decision itself is one step more than the inspections
        assert score.expected_length == pytest.approx(1 + weights @ number, rel=1e-9)
    if found.good is not None:
        np.testing.assert_allclose([found.good, found.bad], rates, rtol=1e-15)
        assert found.producer_risk == pytest.approx(1 - accepted[0], abs=1e-12)
        assert found.consumer_risk == pytest.approx(accepted[1], abs=1e-12)


def test_values_under_a_beta_prior_are_integrals_over_the_true_rate() -> None:
    scenario, env = parse("aql10-beta"), make_env("aql10-beta")
    prior = scenario.prior
    assert isinstance(prior, BetaPrior)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for policy in (baselines.solve(env).policy, baselines.reference_policies(env)["sprt"]):
        value = 0.0
        for low, high in ((0.0, prior.limit), (prior.limit, 0.5), (0.5, 1.0)):
            p = low + (nodes + 1) / 2 * (high - low)
            found = risks(policy, p=p)
            accepted = found.acceptance_probability
            loss = 200 * (accepted if low >= prior.limit else 1 - accepted)
            cost = found.average_sample_number + loss
            density = stats.beta.pdf(p, prior.a, prior.b) * weights / 2 * (high - low)
            value -= float(density @ cost)
        assert baselines.score(env, policy).value == pytest.approx(value, rel=1e-9)


def test_values_in_a_lot_under_a_beta_prior_are_sums_over_its_defectives() -> None:
    """With the linear loss, at every number of defectives that the lot may hold."""
    scenario, env = parse("lot-500-linear"), make_env("lot-500-linear")
    prior, lot = scenario.prior, 500
    assert isinstance(prior, BetaPrior)
    p = np.arange(lot + 1) / lot
    chances = stats.betabinom.pmf(np.arange(lot + 1), lot, prior.a, prior.b)
    for policy in (baselines.solve(env).policy, baselines.reference_policies(env)["least_asn"]):
        found = risks(policy, p=p)
        accepted = found.acceptance_probability
        wrong = np.where(p > prior.limit, 5000.0 * accepted, 2500.0 * (1 - accepted))
        cost = found.average_sample_number + wrong * np.abs(p - prior.limit)
        value = baselines.score(env, policy).value
        assert value == pytest.approx(-float(chances @ cost), rel=1e-9)


class Counts:
    """A user's rule: inspects 20 items, accepts with two defectives at most."""

    def __init__(self, most: int) -> None:
        self.most = most

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        counts = np.rint(np.asarray(observation)[:, :2] * self.most)
        decided = np.where(counts[:, 1] <= 2, ACCEPT, REJECT)
        return np.where(counts[:, 0] < 20, INSPECT, decided), state


def test_risks_of_a_users_rule_are_binomial() -> None:
    env = make_env("aql10-rql20")
    rates = [0.0, 0.05, 0.1, 0.2, 1.0]
    found = risks(Counts(400), p=rates, env=env)
    expected = [
        float(sum(math.comb(20, d) * Fraction(p) ** d * Fraction(1 - p) ** (20 - d) for d in range(3)))
        for p in rates
    ]  # fmt: skip
    np.testing.assert_allclose(found.acceptance_probability, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(found.average_sample_number, 20.0, rtol=1e-12)
    assert found.producer_risk == pytest.approx(1 - expected[2], rel=1e-12)
    assert found.consumer_risk == pytest.approx(expected[3], rel=1e-12)
    policy = TabularPolicy.of(baselines.model(env), np.eye(3)[np.zeros(80_601, int)])
    same = risks(policy, p=rates, env=env)
    np.testing.assert_array_equal(same.p, risks(policy, p=rates).p)


def test_risks_of_a_users_rule_in_a_lot_are_hypergeometric() -> None:
    env = make_env("lot-200")
    found = risks(Counts(200), env=env)
    top = 2 * 0.15 * 200
    np.testing.assert_allclose(found.p * 200, np.arange(top + 1), atol=1e-9)
    for p, accepted in zip(found.p, found.acceptance_probability, strict=True):
        defectives = round(p * 200)
        ways = sum(math.comb(defectives, d) * math.comb(200 - defectives, 20 - d) for d in range(3))
        assert accepted == pytest.approx(float(Fraction(ways, math.comb(200, 20))), rel=1e-11)


class Mixed(Counts):
    """Half of the time at once accepts what it would inspect."""

    def action_probabilities(self, observations: np.ndarray) -> np.ndarray:
        actions, _ = self.predict(observations)
        return 0.5 * np.eye(3)[actions] + 0.5 * np.eye(3)[np.full(len(actions), ACCEPT)]


def test_risks_of_drawn_actions() -> None:
    env = make_env("aql10-rql20")
    found = risks(Mixed(400), p=[0.1], env=env, deterministic=False)
    # It inspects while the coin says so, 20 times at most.
    expected = sum(0.5**i for i in range(1, 21))
    np.testing.assert_allclose(found.average_sample_number, [expected], rtol=1e-12)
    likeliest = risks(Mixed(400), p=[0.1], env=env)
    np.testing.assert_allclose(likeliest.average_sample_number, [20.0], rtol=1e-12)


@quick
@given(fields=scenario_ranges(), seed=st.integers(0, 99))
def test_risks_on_a_range_are_those_of_the_scenario_drawn(
    fields: dict[str, Any], seed: int
) -> None:
    env = make_env(fields)
    env.reset(seed=seed)
    drawn = env.unwrapped.scenario

    class Extended(Counts):
        def predict(self, observation: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            assert observation.shape[1:] == env.observation_space.shape
            features = env.unwrapped.scenarios.features(drawn)
            np.testing.assert_array_equal(observation[0, 4:], features)
            return super().predict(observation, *args, **kwargs)

    rates = [0.0, 1.0]
    found = risks(Extended(drawn.max_samples), p=rates, env=env)
    fixed = risks(Counts(drawn.max_samples), p=rates, env=make_env(drawn))
    np.testing.assert_array_equal(found.acceptance_probability, fixed.acceptance_probability)
    np.testing.assert_array_equal(found.average_sample_number, fixed.average_sample_number)


class Forgetful(Counts):
    def predict(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return super().predict(*args, **kwargs)[0], "memory"


def test_what_has_no_risks_is_an_error_that_says_why() -> None:
    env, outcome = make_env("aql10-rql20"), make_env("aql10-rql20", "outcome")
    with pytest.raises(TypeError, match="env = None"):
        risks(Counts(400))
    for stranger in (gym.make("CartPole-v1"), "aql10-rql20", 3):
        with pytest.raises(TypeError, match="SequentialSampling"):
            risks(Counts(400), env=stranger)
    with pytest.raises(TypeError, match="predict"):
        risks(None, env=env)
    with pytest.raises(TypeError, match="action_probabilities"):
        risks(Counts(400), env=env, deterministic=False)
    with pytest.raises(ValueError, match="without memory"):
        risks(Forgetful(400), env=env)
    for policy in (baselines.solve(outcome).policy, constant_policy(baselines.model(outcome), 1)):
        with pytest.raises(ValueError, match="sees beliefs"):
            risks(policy)
        with pytest.raises(ValueError, match="sees beliefs"):
            risks(policy, env=outcome)
    with pytest.raises(ValueError, match="another scenario"):
        risks(baselines.solve(make_env("aql1-rql5")).policy, env=env)
    for rate in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            risks(baselines.solve(env).policy, p=rate)
    with pytest.raises(ValueError, match="whole number of defectives"):
        risks(baselines.solve(make_env("lot-200")).policy, p=0.1234)
