"""The Bayes optimum of sequential sampling: published numbers, histories, quadrature, episodes."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_histories import (
    ACCEPT,
    INSPECT,
    PRESETS,
    REJECT,
    Truths,
    beta_cost,
    beta_losses,
    beta_tail,
    lots,
    make_env,
    money_at_stake,
    parse,
    quick,
    row_of,
    whole_betas,
)
from scipy import integrate
from strategies import scenarios

import baselines
from baselines.core.policy import TabularPolicy, uniform_policy
from baselines.core.solver import bellman_residual, solve
from baselines.sampling.model import build_model
from baselines.sampling.posterior import posterior
from qc_gym.sampling.scenario import BetaPrior

# --- the optimum -------------------------------------------------------------------------------


def test_published_value() -> None:
    solution = baselines.solve(make_env("aql10-rql20"))
    assert round(solution.value, 8) == -60.21553804
    assert solution.certificate.bellman_residual <= 1e-10


@quick
@given(fields=lots())
def test_optimum_is_that_of_the_recursion_over_histories(fields: dict[str, Any]) -> None:
    scenario = parse(fields)
    expected = -float(Truths(scenario).cost())
    found = solve(build_model(scenario)).value
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12 * money_at_stake(scenario))


@quick
@given(fields=whole_betas())
def test_optimum_under_a_beta_prior_is_that_of_the_recursion_over_histories(
    fields: dict[str, Any],
) -> None:
    scenario = parse(fields)
    expected = -float(beta_cost(scenario))
    found = solve(build_model(scenario)).value
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12 * money_at_stake(scenario))


def possible(truths: Truths) -> dict[tuple[int, int], list[Fraction]]:
    """Return P(truth, history) for one history of each (n, d) that can be."""
    found = {(0, 0): truths.weights}
    for n in range(truths.scenario.max_samples):
        for d in range(n + 1):
            if (n, d) in found:
                for more, joint in enumerate(truths.after(found[n, d], n, d)):
                    if any(joint):
                        found[n + 1, d + more] = joint
    return found


@quick
@given(fields=lots())
def test_posterior_is_bayes_rule(fields: dict[str, Any]) -> None:
    scenario = parse(fields)
    truths, known = Truths(scenario), posterior(scenario)
    scale = money_at_stake(scenario)
    for (n, d), joint in possible(truths).items():
        total, row = sum(joint), row_of(n, d)
        bad = sum(w for w, is_bad in zip(joint, truths.is_bad, strict=True) if is_bad) / total
        assert known.prob_bad[row] == pytest.approx(float(bad), rel=1e-9, abs=1e-12)
        accept, reject = (float(loss / total) for loss in truths.losses(joint))
        assert known.accept_loss[row] == pytest.approx(accept, rel=1e-9, abs=1e-12 * scale)
        assert known.reject_loss[row] == pytest.approx(reject, rel=1e-9, abs=1e-12 * scale)
        if n < (scenario.lot_size or math.inf):
            share = sum(truths.after(joint, n, d)[1]) / total
            assert known.prob_defective[row] == pytest.approx(float(share), rel=1e-9, abs=1e-12)


@quick
@given(fields=whole_betas(st.integers(1, 40)))
def test_posterior_under_a_whole_beta_prior_is_a_binomial_sum(fields: dict[str, Any]) -> None:
    scenario = parse(fields)
    prior, known = scenario.prior, posterior(scenario)
    assert isinstance(prior, BetaPrior)
    scale = money_at_stake(scenario)
    for n in range(0, scenario.max_samples + 1, 5):
        for d in {0, n // 7, n // 2, n}:
            row, a, b = row_of(n, d), int(prior.a) + d, int(prior.b) + n - d
            bad = float(1 - beta_tail(Fraction(prior.limit), a, b))
            assert known.prob_bad[row] == pytest.approx(bad, rel=1e-9, abs=1e-300)
            assert known.prob_defective[row] == pytest.approx(a / (a + b), rel=1e-12)
            accept, reject = map(float, beta_losses(scenario, n, d))
            assert known.accept_loss[row] == pytest.approx(accept, rel=1e-9, abs=1e-12 * scale)
            assert known.reject_loss[row] == pytest.approx(reject, rel=1e-9, abs=1e-12 * scale)


@pytest.mark.parametrize("loss", ["indicator", "linear"])
@pytest.mark.parametrize(("a", "b", "limit"), [(0.3, 2.5, 0.1), (1.7, 0.6, 0.8), (12.5, 90.2, 0.1)])
def test_posterior_under_a_broken_beta_prior_is_the_integral(
    a: float, b: float, limit: float, loss: str
) -> None:
    fields = {
        "prior": {"kind": "beta", "a": a, "b": b, "limit": limit},
        "inspection_cost": 1.0,
        "accept_bad_cost": 70.0,
        "reject_good_cost": 50.0,
        "loss": loss,
        "max_samples": 30,
    }
    known = posterior(parse(fields))
    for n, d in ((0, 0), (1, 0), (1, 1), (10, 3), (30, 2), (30, 30)):
        alpha, beta = a + d, b + n - d

        def expected(low: float, high: float, weight: Callable[[float], float]) -> float:
            """Integrate over p; the powers are weights of the rule, so that it takes the ends."""
            left, right = (alpha - 1, 0.0) if low == 0.0 else (0.0, beta - 1)  # noqa: B023
            rest = (lambda p: (1 - p) ** (beta - 1)) if low == 0.0 else lambda p: p ** (alpha - 1)  # noqa: B023
            integral, _ = integrate.quad(
                lambda p: weight(p) * rest(p), low, high, weight="alg", wvar=(left, right),
                epsabs=0.0, epsrel=1e-11,
            )  # fmt: skip
            return integral / math.exp(
                math.lgamma(alpha) + math.lgamma(beta) - math.lgamma(alpha + beta)  # noqa: B023
            )

        far = (lambda p: abs(p - limit)) if loss == "linear" else lambda p: 1.0
        row = row_of(n, d)
        assert known.prob_bad[row] == pytest.approx(expected(limit, 1.0, lambda p: 1.0), rel=1e-8)
        accept, reject = 70 * expected(limit, 1.0, far), 50 * expected(0.0, limit, far)
        assert known.accept_loss[row] == pytest.approx(accept, rel=1e-8, abs=1e-12)
        assert known.reject_loss[row] == pytest.approx(reject, rel=1e-8, abs=1e-12)
        mean = expected(0.0, limit, lambda p: p) + expected(limit, 1.0, lambda p: p)
        assert known.prob_defective[row] == pytest.approx(mean, rel=1e-8)


@pytest.mark.parametrize("name", PRESETS)
def test_episodes_of_the_optimum_earn_its_value(name: str) -> None:
    """A million episodes of the world with its hidden truth, against beliefs."""
    certificate = baselines.certify(make_env(name), episodes=1_000_000, seed=2024)
    assert certificate.bellman_residual <= 1e-10
    assert certificate.simulation is not None
    assert certificate.simulation.stderr < 0.005 * abs(certificate.value)
    assert abs(certificate.deviation or 0.0) <= 4


@settings(max_examples=60, deadline=None)
@given(fields=scenarios(max_samples=st.integers(1, 40)), seed=st.integers(0, 10**6))
def test_episodes_of_random_scenarios_earn_their_values(fields: dict[str, Any], seed: int) -> None:
    tables = build_model(parse(fields))
    optimum = solve(tables)
    for table in (optimum.actions, uniform_policy(tables).probabilities):
        policy = TabularPolicy.of(tables, table)
        expected = baselines.evaluate(tables, policy.probabilities)
        found = baselines.simulate(policy, 20_000, seed)
        # A loss so rare that it may not come at all has no standard error to measure by.
        rare = 10 * money_at_stake(tables.scenario) / 20_000
        assert abs(found.mean - expected.value) <= 4.5 * found.stderr + rare
        assert found.mean_length == pytest.approx(expected.expected_length, rel=0.05, abs=0.05)


# --- the model is the environment --------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_what_a_person_on_the_line_sees_is_worth_as_much(name: str) -> None:
    """One remembers what came before; the statuses of the last item add nothing."""
    belief = baselines.solve(make_env(name)).value
    assert baselines.solve(make_env(name, "outcome")).value == pytest.approx(belief, rel=1e-13)


@quick
@given(fields=scenarios(max_samples=st.integers(1, 15)))
def test_both_observations_have_the_same_optimum(fields: dict[str, Any]) -> None:
    scenario = parse(fields)
    belief, outcome = solve(build_model(scenario)), solve(build_model(scenario, "outcome"))
    assert outcome.value == pytest.approx(belief.value, rel=1e-12, abs=1e-300)
    thrice = np.repeat(belief.values, 3)
    np.testing.assert_allclose(outcome.values, thrice, rtol=1e-12, atol=1e-300)


@quick
@given(fields=scenarios(max_samples=st.integers(1, 25)), seed=st.integers(0, 10**6))
def test_the_environment_shows_and_allows_what_the_model_says(
    fields: dict[str, Any], seed: int
) -> None:
    scenario, rng = parse(fields), np.random.default_rng(seed)
    known = posterior(scenario)
    most = scenario.max_samples
    for observation in ("belief", "outcome"):
        env, tables = make_env(scenario, observation), build_model(scenario, observation)
        assert tables.observations.shape == (tables.num_states, *env.observation_space.shape)
        for _ in range(5):
            seen, info = env.reset(seed=int(rng.integers(10**6)))
            n = d = last = 0
            while True:
                row = row_of(n, d) if observation == "belief" else row_of(n, d) * 3 + last
                np.testing.assert_array_equal(seen, tables.observations[row])
                np.testing.assert_array_equal(info["action_mask"].astype(bool), tables.allowed[row])
                np.testing.assert_array_equal(env.unwrapped.action_masks(), tables.allowed[row])
                assert tables.allowed[row].tolist() == [n < most, True, True]
                if observation == "belief":
                    shown = [n / most, d / most, known.prob_bad[row]]
                    np.testing.assert_allclose(seen[:3], shown, rtol=1e-6, atol=1e-7)
                    if n < (scenario.lot_size or math.inf):
                        assert seen[3] == pytest.approx(known.prob_defective[row], 1e-5, 1e-7)
                else:
                    shown = [n / most, last == 1, last == 2]
                    np.testing.assert_allclose(seen, shown, rtol=1e-6)
                if n == most:
                    break
                seen, reward, ended, _, info = env.step(INSPECT)
                assert not ended
                assert float(reward) == tables.rewards[row, INSPECT] == -scenario.inspection_cost
                found = int(env.unwrapped.state["d"]) - d
                n, d, last = n + 1, d + found, 1 + found
            _, _, ended, _, _ = env.step(int(rng.integers(3)))
            assert ended


@quick
@given(fields=scenarios(max_samples=st.integers(1, 15)))
def test_the_models_rewards_are_the_posteriors_losses(fields: dict[str, Any]) -> None:
    scenario = parse(fields)
    tables, known = build_model(scenario), posterior(scenario)
    tables.check()
    np.testing.assert_array_equal(tables.rewards[:, ACCEPT], -known.accept_loss)
    np.testing.assert_array_equal(tables.rewards[:, REJECT], -known.reject_loss)
    last = slice(row_of(scenario.max_samples, 0), None)
    np.testing.assert_array_equal(tables.rewards[last, INSPECT], -known.reject_loss[last])
    optimum = solve(tables)
    assert bellman_residual(tables, optimum) <= 1e-12 * money_at_stake(scenario)
    # No policy may decide better than at once and for nothing, nor worse than by the prior.
    assert -min(known.accept_loss[0], known.reject_loss[0]) <= optimum.value <= 0


# --- many samples ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["aql10-rql20", "aql10-beta", "aql1-rql5"])
def test_more_samples_are_never_worse_and_in_the_end_no_better(name: str) -> None:
    sizes = (1, 5, 50, 100, 400, 2000)
    values = [solve(build_model(parse(name, max_samples=size))).value for size in sizes]
    assert np.isfinite(values).all()
    steps = np.diff(values)
    assert (steps >= -1e-11).all()
    assert (steps[:4] > 1e-4).all()
    if name != "aql1-rql5":  # which has use for a thousand items
        assert steps[-1] <= 1e-6


def test_five_thousand_samples() -> None:
    tables = build_model(parse("aql10-rql20", max_samples=5000))
    assert np.isfinite(tables.rewards).all()
    optimum = solve(tables)
    assert np.isfinite(optimum.values).all()
    assert np.isfinite(optimum.action_values).all()
    assert optimum.value == pytest.approx(-60.21553804, abs=1e-6)


@pytest.mark.parametrize(("good", "bad"), [(0.1, 0.2), (0.001, 0.9), (1e-3, 2e-3)])
def test_posterior_odds_of_thousands_of_items_are_exact(good: float, bad: float) -> None:
    """As rationals with thousands of digits; beyond the range of float64 it is exactly 0 or 1."""
    prior = {"kind": "two_point", "good": good, "bad": bad, "prob_bad": 0.3}
    known = posterior(parse("aql10-rql20", prior=prior, max_samples=3000))
    assert np.isfinite(known.prob_bad).all()
    p, q = Fraction(good), Fraction(bad)
    for n, d in ((0, 0), (100, 14), (1000, 140), (3000, 0), (3000, 3000), (3000, 435), (3000, 5)):
        weights = (
            Fraction(0.7) * p**d * (1 - p) ** (n - d),
            Fraction(0.3) * q**d * (1 - q) ** (n - d),
        )
        total = sum(weights)
        expected = weights[1] / total
        row = row_of(n, d)
        assert known.prob_bad[row] == pytest.approx(float(expected), rel=1e-9, abs=1e-300)
        accept, reject = 200 * float(expected), 200 * float(weights[0] / total)
        assert known.accept_loss[row] == pytest.approx(accept, rel=1e-9, abs=1e-300)
        assert known.reject_loss[row] == pytest.approx(reject, rel=1e-9, abs=1e-13)
