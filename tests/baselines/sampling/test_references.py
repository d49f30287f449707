"""The reference policies of sequential sampling, and the rates that they are designed for."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sampling_histories import (
    ACCEPT,
    FEW,
    INSPECT,
    PRESETS,
    REJECT,
    make_env,
    money_at_stake,
    parse,
    quick,
)
from strategies import scenarios

import baselines
from baselines.core.policy import TabularPolicy
from baselines.core.solver import solve
from baselines.sampling import (
    SamplingOptimum,
    SinglePlan,
    boundary_policy,
    risks,
)
from baselines.sampling.model import build_model
from baselines.sampling.reference import design_rates
from qc_gym.sampling.scenario import BetaPrior

# --- reference policies ------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_no_reference_policy_beats_the_optimum(name: str) -> None:
    env = make_env(name)
    optimum = baselines.solve(env).value
    policies = baselines.reference_policies(env)
    expected = {"random", "best_constant", "sprt", "least_asn", "single_normal", "single_precision"}
    expected |= {"single_power", "single_exact", "single_exact_curtailed"}
    expected |= {"best_single", "best_curtailed", "best_double", "best_sprt"}
    assert set(policies) == expected | ({"iso2859"} if env.unwrapped.scenario.lot_size else set())  # type: ignore[attr-defined]
    for policy in policies.values():
        score = baselines.score(env, policy)
        assert score.exact
        assert score.regret >= 0.0
        assert score.value <= optimum
    exact, curtailed = (
        baselines.score(env, policies[name]) for name in ("single_exact", "single_exact_curtailed")
    )
    assert curtailed.value > exact.value  # the same decisions, of fewer items
    assert curtailed.expected_length < exact.expected_length


@settings(max_examples=40, deadline=None)
@given(fields=scenarios(max_samples=st.integers(1, 30)))
def test_no_reference_policy_beats_a_random_optimum(fields: dict[str, Any]) -> None:
    env = make_env(parse(fields))
    for policy in baselines.reference_policies(env).values():
        assert baselines.score(env, policy).regret >= -1e-12 * money_at_stake(parse(fields))


def test_reference_policies_of_outcomes_are_the_same_tests() -> None:
    belief, outcome = (make_env("lot-200", kind) for kind in ("belief", "outcome"))
    seen, heard = baselines.reference_policies(belief), baselines.reference_policies(outcome)
    assert list(seen) == list(heard)
    for name, policy in seen.items():
        expected = baselines.score(belief, policy)
        found = baselines.score(outcome, heard[name])
        assert found.exact
        assert found.value == pytest.approx(expected.value, rel=1e-12)
        assert found.expected_length == pytest.approx(expected.expected_length, rel=1e-12)


def test_a_boundary_policy_decides_at_its_numbers() -> None:
    tables = build_model(parse("aql10-rql20", max_samples=3))
    accept, reject = np.array([-1, -1, 0, 1]), np.array([1, 1, 2, 2])
    actions = boundary_policy(tables, accept, reject).actions.tolist()
    i, a, r = INSPECT, ACCEPT, REJECT
    assert actions == [i, i, r, a, i, r, a, a, r, r]
    plan = SinglePlan(3, 1)
    assert plan.on(tables).actions.tolist() == [i, i, i, i, i, i, a, a, r, r]
    # With two defectives it is rejected whatever comes, with none of two accepted.
    curtailed = SinglePlan(3, 1, curtailed=True).on(tables)
    assert curtailed.actions.tolist() == [i, i, i, a, i, r, a, a, r, r]
    with pytest.raises(ValueError, match="at most max_samples = 3"):
        SinglePlan(4, 1).on(tables)


# --- the rates that tests are designed for -----------------------------------------------------


def test_design_rates_of_two_points_are_the_points() -> None:
    assert design_rates(parse("aql1-rql5")) == (0.01, 0.05)


@quick
@given(fields=scenarios(max_samples=FEW, kinds=("beta",)))
def test_design_rates_under_a_beta_prior_are_means_on_either_side(fields: dict[str, Any]) -> None:
    """By quadrature in the logarithm of p (of 1 − p), which any a and b allow."""
    scenario = parse(fields)
    prior = scenario.prior
    assert isinstance(prior, BetaPrior)
    good, bad = design_rates(scenario)
    assert 0 < good < prior.limit < bad < 1
    assert good == pytest.approx(mean_below(prior.limit, prior.a, prior.b), rel=1e-6)
    rest = mean_below(1 - prior.limit, prior.b, prior.a)
    assert 1 - bad == pytest.approx(rest, rel=1e-6, abs=1e-13)


def mean_below(limit: float, a: float, b: float) -> float:
    """Return E[p | p ≤ limit] under Beta(a, b), by Gauss's rule on pieces of t = log(limit / p)."""
    edges = np.concatenate([[0.0], np.geomspace(1e-9, 1.0, 400), np.linspace(1.0, 60.0, 4000)[1:]])
    edges /= min(a, 1.0)
    nodes, weights = np.polynomial.legendre.leggauss(12)
    pieces = np.diff(edges)[:, np.newaxis]
    t = edges[:-1, np.newaxis] + pieces * (nodes + 1) / 2
    p = limit * np.exp(-t)
    # p^(a−1) (1−p)^(b−1) dp = p^a (1−p)^(b−1) dt
    log_density = a * (math.log(limit) - t) + (b - 1) * np.log1p(-p)
    density = pieces * weights * np.exp(log_density - log_density.max())
    return float((density * p).sum() / density.sum())


def test_reference_policies_of_a_certain_prior_are_made_or_left_out() -> None:
    """P(good) underflows here: a design is still possible, or the policy is not offered."""
    prior = {"kind": "beta", "a": 300.0, "b": 0.05, "limit": 0.01}
    scenario = parse("aql10-beta", prior=prior, max_samples=10)
    tables = build_model(scenario)
    optimum = solve(tables).value
    for policy in SamplingOptimum.of(tables).references().values():
        assert baselines.evaluate(tables, policy.probabilities).value <= optimum + 1e-12
    found = risks(TabularPolicy.of(tables, solve(tables).actions), p=[0.5])
    assert found.good is not None
    assert found.bad is not None
    assert 0 < found.good < 0.01 < found.bad < 1
