"""The Bayes optimum of sequential sampling, its reference policies and their risks.

Against published numbers, a recursion over histories in exact rationals, numerical quadrature, and
millions of simulated episodes.
"""

import functools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from strategies import scenario_ranges, scenarios

import baselines
from baselines.core.policy import TabularPolicy, constant_policy, uniform_policy
from baselines.core.solver import bellman_residual, solve
from baselines.sampling import (
    SamplingOptimum,
    SinglePlan,
    boundary_policy,
    risks,
    sprt_policy,
)
from baselines.sampling.model import build_model
from baselines.sampling.posterior import posterior
from baselines.sampling.reference import design_rates
from qc_gym.sampling.scenario import BetaPrior, SequentialSamplingScenario, TwoPointPrior

ID = "qc_gym/SequentialSampling-v0"
INSPECT, ACCEPT, REJECT = range(3)
PRESETS = list(SequentialSamplingScenario.presets)
TWO_POINT_PRESETS = ["aql10-rql20", "lot-200", "aql1-rql5"]
FEW = st.integers(1, 6)
quick = settings(max_examples=60, deadline=None)


def parse(source: Any, **changes: Any) -> SequentialSamplingScenario:
    if isinstance(source, str):
        source = SequentialSamplingScenario.presets[source]
    scenario = SequentialSamplingScenario.parse({**source, **changes})
    assert isinstance(scenario, SequentialSamplingScenario)
    return scenario


def make_env(scenario: Any, observation: str = "belief") -> gym.Env[Any, Any]:
    return gym.make(ID, scenario=scenario, observation=observation)


def row_of(n: int, d: int) -> int:
    return n * (n + 1) // 2 + d


def money_at_stake(scenario: SequentialSamplingScenario) -> float:
    return max(
        1.0,
        scenario.accept_bad_cost,
        scenario.reject_good_cost,
        scenario.max_samples * scenario.inspection_cost,
    )


# --- an independent computation in exact rationals ---------------------------------------------


class Truths:
    """What the lot may be, each with its probability; the exact Bayes problem over histories.

    Attributes
    ----------
    weights
        P(truth), summing to one.
    defective
        P(next item defective | truth, n, d).
    """

    def __init__(self, scenario: SequentialSamplingScenario) -> None:
        self.scenario, prior = scenario, scenario.prior
        lot = scenario.lot_size
        if isinstance(prior, TwoPointPrior):
            bad = Fraction(prior.prob_bad)
            self.weights = [1 - bad, bad]
            rates = [Fraction(prior.good), Fraction(prior.bad)]
            self.is_bad = [False, True]
            self.factor = [Fraction(1), Fraction(1)]
            counts = [round(lot * float(rate)) for rate in rates] if lot else []
        else:
            assert lot is not None
            a, b = Fraction(prior.a), Fraction(prior.b)
            counts = list(range(lot + 1))
            self.weights = [
                math.comb(lot, m) * rising(a, m) * rising(b, lot - m) / rising(a + b, lot)
                for m in counts
            ]
            rates = [Fraction(m, lot) for m in counts]
            self.is_bad = [m / lot > prior.limit for m in counts]
            distances = [abs(rate - Fraction(prior.limit)) for rate in rates]
            self.factor = distances if scenario.loss == "linear" else [Fraction(1)] * len(counts)
        self.rates, self.counts = rates, counts

    def defective(self, i: int, n: int, d: int) -> Fraction:
        if self.scenario.lot_size is None:
            return self.rates[i]
        return Fraction(self.counts[i] - d, self.scenario.lot_size - n)

    def losses(self, joint: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
        """Return the expected losses of accepting and of rejecting, times P(history)."""
        expected = [Fraction(0), Fraction(0)]
        for weight, factor, is_bad in zip(joint, self.factor, self.is_bad, strict=True):
            expected[is_bad] += weight * factor
        return (
            expected[True] * Fraction(self.scenario.accept_bad_cost),
            expected[False] * Fraction(self.scenario.reject_good_cost),
        )

    def after(self, joint: Sequence[Fraction], n: int, d: int) -> tuple[list[Fraction], ...]:
        """Return P(truth, history) with one more item conforming, and with it defective."""
        shares = [self.defective(i, n, d) if w else Fraction(0) for i, w in enumerate(joint)]
        return (
            [w * (1 - share) for w, share in zip(joint, shares, strict=True)],
            [w * share for w, share in zip(joint, shares, strict=True)],
        )

    def cost(self, history: tuple[int, ...] = (), joint: Sequence[Fraction] | None = None) -> Any:
        """Return the least expected cost from a history on, times P(history)."""
        joint = self.weights if joint is None else joint
        least = min(self.losses(joint))
        if len(history) == self.scenario.max_samples or not any(joint):
            return least
        conforming, defective = self.after(joint, len(history), sum(history))
        inspecting = sum(joint) * Fraction(self.scenario.inspection_cost)
        inspecting += self.cost((*history, 0), conforming) + self.cost((*history, 1), defective)
        return min(least, inspecting)


def rising(x: Fraction, count: int) -> Fraction:
    """Return x (x + 1) … (x + count − 1)."""
    return math.prod((x + i for i in range(count)), start=Fraction(1))


@functools.cache
def beta_tail(x: Fraction, a: int, b: int) -> Fraction:
    """Return P(p ≤ x) under Beta(a, b) with whole a and b: a binomial sum."""
    n = a + b - 1
    return sum(
        (math.comb(n, j) * x**j * (1 - x) ** (n - j) for j in range(a, n + 1)), start=Fraction(0)
    )


def beta_losses(scenario: SequentialSamplingScenario, n: int, d: int) -> tuple[Fraction, Fraction]:
    """Return the expected losses of accepting, rejecting under Beta(a + d, b + n − d), whole a, b."""
    prior = scenario.prior
    assert isinstance(prior, BetaPrior)
    a, b, limit = int(prior.a) + d, int(prior.b) + n - d, Fraction(prior.limit)
    good = beta_tail(limit, a, b)
    accept, reject = 1 - good, good
    if scenario.loss == "linear":
        mean = Fraction(a, a + b)
        below = mean * beta_tail(limit, a + 1, b)  # E[p; p ≤ limit]
        accept, reject = (mean - below) - limit * (1 - good), limit * good - below
    return accept * Fraction(scenario.accept_bad_cost), reject * Fraction(scenario.reject_good_cost)


def beta_cost(scenario: SequentialSamplingScenario, history: tuple[int, ...] = ()) -> Fraction:
    """Return the least expected cost from a history on; infinite lot, whole a and b."""
    prior = scenario.prior
    assert isinstance(prior, BetaPrior)
    n, d = len(history), sum(history)
    least = min(beta_losses(scenario, n, d))
    if n == scenario.max_samples:
        return least
    share = Fraction(int(prior.a) + d, int(prior.a) + int(prior.b) + n)
    inspecting = Fraction(scenario.inspection_cost)
    inspecting += share * beta_cost(scenario, (*history, 1))
    inspecting += (1 - share) * beta_cost(scenario, (*history, 0))
    return min(least, inspecting)


@st.composite
def lots(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a scenario of few samples whose truths are finitely many, and not too many."""
    fields = draw(scenarios(max_samples=FEW))
    if fields["prior"]["kind"] == "beta":
        fields["lot_size"] = fields["max_samples"] + draw(st.integers(0, 15))
    return fields


@st.composite
def whole_betas(draw: st.DrawFn, max_samples: st.SearchStrategy[int] = FEW) -> dict[str, Any]:
    """Draw a scenario with an infinite lot and a Beta prior of whole numbers."""
    fields = draw(scenarios(max_samples=max_samples, kinds=("beta",)))
    fields.pop("lot_size", None)
    fields["prior"] |= {"a": float(draw(st.integers(1, 30))), "b": float(draw(st.integers(1, 60)))}
    return fields


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


# --- risks -------------------------------------------------------------------------------------


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
