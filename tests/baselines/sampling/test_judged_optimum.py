"""The optimum, the risks and the plans where inspectors err: every truth and every judgement."""

import itertools
import math
from fractions import Fraction
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from judged_lots import JudgedLots, judged_lots
from numpy.typing import NDArray
from scipy import stats
from strategies import beta_lot, two_point_lot

import baselines
from baselines.core.references import NoPlanError
from baselines.sampling import exact_plan, least_sample_test, risks, sprt_lines, stopping_bounds
from baselines.sampling.characteristics import (
    Risks,
    boundary_walk,
    forward_pass,
    lattice_counts,
    lattice_size,
    table_from_boundaries,
)
from baselines.sampling.posterior import posterior
from qc_gym.core.inspection import judged
from qc_gym.sampling.judgements import lot_chances
from qc_gym.sampling.scenario import SequentialSamplingScenario

ID = "qc_gym/SequentialSampling-v0"
ERRORS = {"false_alarm": 0.1, "miss": 0.25}
PRESETS = SequentialSamplingScenario.presets
quick = settings(max_examples=60, deadline=None)


def parse(fields: Any) -> SequentialSamplingScenario:
    scenario = SequentialSamplingScenario.parse(fields)
    assert isinstance(scenario, SequentialSamplingScenario)
    return scenario


def row_of(n: int, d: int) -> int:
    return n * (n + 1) // 2 + d


@quick
@given(fields=judged_lots(most=4))
def test_the_value_is_the_best_over_all_histories(fields: dict[str, Any]) -> None:
    """Policies on whole sequences of judgements gain nothing on policies on the counts."""
    scenario = parse(fields)
    expected = -float(JudgedLots(scenario).least_cost())
    solved = baselines.solve(ID, scenario=fields)
    assert solved.value == pytest.approx(expected, rel=1e-12, abs=1e-11)
    assert stopping_bounds(scenario).value == pytest.approx(expected, rel=1e-12, abs=1e-11)


@quick
@given(fields=judged_lots())
def test_the_posterior_is_bayes_rule(fields: dict[str, Any]) -> None:
    scenario = parse(fields)
    lots, known = JudgedLots(scenario), posterior(scenario)
    for history, belief in lots.histories():
        row, total = row_of(len(history), sum(history)), sum(belief.values())
        bad = sum(weight for (i, _), weight in belief.items() if lots.is_bad[i]) / total
        assert known.prob_bad[row] == pytest.approx(float(bad), rel=1e-11, abs=1e-14)
        accept, reject = (float(loss / total) for loss in lots.losses(belief))
        assert known.accept_loss[row] == pytest.approx(accept, rel=1e-11, abs=1e-13)
        assert known.reject_loss[row] == pytest.approx(reject, rel=1e-11, abs=1e-13)
        if len(history) < (scenario.lot_size or math.inf):
            share = sum(lots.after(belief, len(history))[1].values()) / total
            assert known.prob_defective[row] == pytest.approx(float(share), rel=1e-11)


@pytest.mark.parametrize("loss", ["indicator", "linear"])
def test_the_posterior_under_a_beta_prior_of_ones_is_a_polynomial(loss: str) -> None:
    """Beta(2, 3): integrals of polynomials, exactly; the tail beyond the limit included."""
    limit, false_alarm, miss = Fraction(1, 8), Fraction(1, 16), Fraction(1, 4)
    prior = {"kind": "beta", "a": 2.0, "b": 3.0, "limit": float(limit)}
    errors = {"false_alarm": float(false_alarm), "miss": float(miss)}
    fields = beta_lot(2.0, 3.0, None, prior=prior, max_samples=12, loss=loss, **errors)
    known = posterior(parse(fields))

    def product(*factors: list[Fraction]) -> list[Fraction]:
        result = [Fraction(1)]
        for factor in factors:
            added = [Fraction(0)] * (len(result) + len(factor) - 1)
            for i, j in itertools.product(range(len(result)), range(len(factor))):
                added[i + j] += result[i] * factor[j]
            result = added
        return result

    def integral(polynomial: list[Fraction], low: Fraction, high: Fraction) -> Fraction:
        return sum(
            (c / (i + 1) * (high ** (i + 1) - low ** (i + 1)) for i, c in enumerate(polynomial)),
            Fraction(0),
        )

    density = product([Fraction(0), Fraction(1)], *[[Fraction(1), Fraction(-1)]] * 2)
    found = [false_alarm, 1 - miss - false_alarm]  # in powers of p
    passed = [1 - false_alarm, false_alarm + miss - 1]
    distance = [-limit, Fraction(1)] if loss == "linear" else [Fraction(1)]
    zero, one = Fraction(0), Fraction(1)
    for n, d in ((0, 0), (1, 0), (1, 1), (7, 2), (12, 0), (12, 5), (12, 12)):
        weight = product(density, *[found] * d, *[passed] * (n - d))
        total, row = integral(weight, zero, one), row_of(n, d)
        bad = float(integral(weight, limit, one) / total)
        assert known.prob_bad[row] == pytest.approx(bad, rel=1e-12)
        share = float(integral(product(weight, found), zero, one) / total)
        assert known.prob_defective[row] == pytest.approx(share, rel=1e-12)
        far = product(weight, distance)
        accept = 70 * float(integral(far, limit, one) / total)
        assert known.accept_loss[row] == pytest.approx(accept, rel=1e-11)
        sign = -1 if loss == "linear" else 1
        reject = 30 * sign * float(integral(far, zero, limit) / total)
        assert known.reject_loss[row] == pytest.approx(reject, rel=1e-11)


@pytest.mark.parametrize("name", ["tired-eyes", "worn-gauge"])
@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_the_optimum_is_what_its_policy_earns_from_hidden_truths(
    name: str, observation: str
) -> None:
    env = gym.make(ID, scenario=name, observation=observation)
    certificate = baselines.certify(env, episodes=400_000, seed=16)
    assert certificate.bellman_residual <= 1e-10
    assert certificate.deviation is not None
    assert abs(certificate.deviation) <= 4
    assert stopping_bounds(parse(name)).value == pytest.approx(certificate.value, rel=1e-12)


@pytest.mark.parametrize(
    "fields",
    [
        beta_lot(1.5, 8.0, None, max_samples=40, inspection_cost=0.05, **ERRORS),
        two_point_lot(60, max_samples=60, inspection_cost=0.2, **ERRORS),
    ],
    ids=["beta", "two-point lot"],
)
def test_the_other_kinds_too(fields: dict[str, Any]) -> None:
    certificate = baselines.certify(gym.make(ID, scenario=fields), episodes=400_000, seed=16)
    assert abs(certificate.deviation or 0.0) <= 4
    assert certificate.simulation is not None
    assert certificate.simulation.mean_length > 3
    assert stopping_bounds(parse(fields)).value == pytest.approx(certificate.value, rel=1e-12)


@pytest.mark.parametrize("name", PRESETS)
def test_errors_cost_and_worthless_inspection_decides_at_once(name: str) -> None:
    fields = {**PRESETS[name], "false_alarm": 0.0, "miss": 0.0}
    values = [
        stopping_bounds(parse({**fields, "false_alarm": alarm, "miss": miss})).value
        for alarm, miss in ((0.0, 0.0), (0.0, 0.2), (0.05, 0.2), (0.4, 0.6 - 1e-9))
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[2]
    known = posterior(parse(fields))
    at_once = -min(known.accept_loss[0], known.reject_loss[0])
    assert values[-1] == pytest.approx(at_once, rel=1e-9)
    last = stopping_bounds(parse({**fields, "false_alarm": 0.4, "miss": 0.6 - 1e-9}))
    assert last.acceptance_numbers[0] == 0 or last.rejection_numbers[0] == 0


@pytest.mark.parametrize(
    ("name", "cost", "perfect"), [("tired-eyes", 103.71, 82.64), ("worn-gauge", 98.75, 71.62)]
)
def test_the_costs_that_the_documentation_states(name: str, cost: float, perfect: float) -> None:
    fields = PRESETS[name]
    assert -stopping_bounds(parse(fields)).value == pytest.approx(cost, abs=0.005)
    without = parse({**fields, "false_alarm": 0.0, "miss": 0.0})
    assert -stopping_bounds(without).value == pytest.approx(perfect, abs=0.005)


def test_the_posterior_is_kept_and_not_to_be_written() -> None:
    known = posterior(parse("worn-gauge"))
    assert posterior(parse(dict(PRESETS["worn-gauge"]))) is known
    with pytest.raises(ValueError, match="read-only"):
        known.prob_bad[0] = 0.0
    large = parse({**PRESETS["aql10-rql20"], "max_samples": 2_001})
    assert posterior(large) is not posterior(large)


def test_two_rates_that_err_are_two_other_rates() -> None:
    fields = PRESETS["tired-eyes"]
    prior, errors = fields["prior"], (fields["false_alarm"], fields["miss"])
    rates = {name: judged(prior[name], *errors) for name in ("good", "bad")}
    other = {**fields, "prior": {**prior, **rates}, "false_alarm": 0.0, "miss": 0.0}
    one, two = (baselines.solve(ID, scenario=scenario) for scenario in (fields, other))
    assert one.value == pytest.approx(two.value, rel=1e-13)
    np.testing.assert_array_equal(one.policy.actions, two.policy.actions)


def test_a_whole_lot_judged_by_those_who_miss_nothing_is_the_lot() -> None:
    """miss = 0 and all inspected: a lot of no defectives may be taken for any, one of N never for less."""
    scenario = parse(beta_lot(1.0, 1.0, 6, max_samples=6, false_alarm=0.25))
    known = posterior(scenario)
    assert known.prob_bad[row_of(6, 0)] == 0.0
    # P(M | 6 judged defective) ∝ P(M) 0.25^(6 − M), P(M) = 1/7; bad from M = 1 on, as .15 · 6 < 1.
    weights = 0.25 ** np.arange(6, -1, -1.0)
    expected = weights[1:].sum() / weights.sum()
    assert known.prob_bad[row_of(6, 6)] == pytest.approx(expected, rel=1e-13)


# Risks


def brute_risks(
    table: NDArray[np.float64], p: float, max_samples: int, lot_size: int | None, errors: Any
) -> tuple[float, float]:
    """P(accept) and ASN at p, judgement by judgement, with the items that truly were inspected."""
    false_alarm, miss = errors
    accepted = number = 0.0
    reach = {(0, 0): 1.0}  # by d judged and k truly defective
    for n in range(max_samples + 1):
        following: dict[tuple[int, int], float] = {}
        for (d, k), here in reach.items():
            chance = table[row_of(n, d)]
            accepted += here * chance[1]
            onward = here * chance[0] if n < max_samples else 0.0
            number += onward
            share = p if lot_size is None else (round(p * lot_size) - k) / max(lot_size - n, 1)
            for truth, result in itertools.product((0, 1), (0, 1)):
                alarm = 1 - miss if truth else false_alarm
                step = (share if truth else 1 - share) * (alarm if result else 1 - alarm)
                key = d + result, k + truth
                following[key] = following.get(key, 0.0) + onward * step
        reach = following
    return accepted, number


@pytest.mark.parametrize("lot_size", [None, 8, 11])
@pytest.mark.parametrize("errors", [(0.1, 0.25), (0.0, 0.3), (0.2, 0.0)])
def test_the_risks_of_any_policy_at_true_rates(lot_size: int | None, errors: Any) -> None:
    max_samples = 8
    generator = np.random.default_rng(3)
    table = generator.dirichlet((3.0, 1.0, 1.0), lattice_size(max_samples))
    rates = np.linspace(0, 1, 12) if lot_size is None else np.arange(lot_size + 1) / lot_size
    found = forward_pass(table, rates, max_samples, lot_size, *errors)
    expected = [brute_risks(table, p, max_samples, lot_size, errors) for p in rates]
    np.testing.assert_allclose(np.transpose(found), expected, rtol=1e-12)
    good, bad = (0.1, 0.4) if lot_size is None else (1 / lot_size, 4 / lot_size)
    both = Risks.of(
        table, [], max_samples, good=good, bad=bad, lot_size=lot_size, false_alarm=errors[0],
        miss=errors[1],
    )  # fmt: skip
    assert both.producer_risk == pytest.approx(
        1 - brute_risks(table, good, max_samples, lot_size, errors)[0]
    )
    assert both.consumer_risk == pytest.approx(
        brute_risks(table, bad, max_samples, lot_size, errors)[0]
    )


@pytest.mark.parametrize("errors", [(-0.1, 0.0), (0.0, -0.1), (0.6, 0.5), (math.nan, 0.0)])
def test_errors_that_are_none_are_refused(errors: Any) -> None:
    with pytest.raises(ValueError, match="false_alarm"):
        forward_pass(np.full((3, 3), 1 / 3), [0.1], 1, None, *errors)


def test_the_mean_of_the_risks_over_the_prior_is_the_value() -> None:
    """Σ P(M) (ASN · cost + losses at M) of the optimum is its value, in a finite lot with errors."""
    fields = PRESETS["worn-gauge"]
    scenario, optimum = parse(fields), baselines.solve(ID, scenario="worn-gauge")
    lot, prior = fields["lot_size"], fields["prior"]
    m = np.arange(lot + 1)
    at = risks(optimum.policy, p=m / lot)
    excess = m / lot - prior["limit"]
    loss = np.where(
        excess > 0,
        at.acceptance_probability * fields["accept_bad_cost"] * excess,
        (1 - at.acceptance_probability) * fields["reject_good_cost"] * -excess,
    )
    weights = stats.betabinom.pmf(m, lot, prior["a"], prior["b"])
    cost = weights @ (loss + scenario.inspection_cost * at.average_sample_number)
    assert cost == pytest.approx(-optimum.value, rel=1e-9)


# Plans


@pytest.mark.parametrize("lot_size", [None, 300])
def test_the_exact_plan_is_the_smallest_that_meets_both_risks(lot_size: int | None) -> None:
    case = (0.02, 0.12, 0.10, 0.10)
    plan = exact_plan(*case, lot_size, 300, **ERRORS)

    def meets(n: int, c: int) -> bool:
        accepted = []
        for rate in case[:2]:
            q = [0.1, 0.75]
            if lot_size is None:
                accepted.append(stats.binom.cdf(c, n, judged(rate, **ERRORS)))
                continue
            k = np.arange(n + 1)
            true = stats.hypergeom.pmf(k, lot_size, round(rate * lot_size), n)
            given = [
                np.convolve(stats.binom.pmf(np.arange(i + 1), i, q[1]),
                            stats.binom.pmf(np.arange(n - i + 1), n - i, q[0]))[: c + 1].sum()
                for i in k[true > 1e-12]
            ]  # fmt: skip
            accepted.append(true[true > 1e-12] @ given)
        return bool(1 - accepted[0] <= case[2] and accepted[1] <= case[3])

    n, c = plan.sample_size, plan.acceptance_number
    assert meets(n, c)
    assert not any(meets(n - 1, k) for k in range(n // 2))
    assert not any(meets(n // 2, k) for k in range(n // 4))


@pytest.mark.parametrize("lot_size", [None, 90])
def test_the_test_of_least_sample_number_meets_its_risks(lot_size: int | None) -> None:
    good, bad, alpha, beta, most = 0.1, 0.4, 0.10, 0.10, 80
    test = least_sample_test(good, bad, alpha, beta, most, lot_size, **ERRORS)
    table = np.eye(3)[test.actions]
    accepted, number = forward_pass(table, [good, bad], most, lot_size, **ERRORS)
    np.testing.assert_allclose(
        [1 - accepted[0], accepted[1]], [test.producer_risk, test.consumer_risk]
    )
    np.testing.assert_allclose(number, test.average_sample_numbers)
    assert test.producer_risk <= alpha + 1e-9
    assert test.consumer_risk <= beta + 1e-9
    assert test.lower_bound <= test.mean_sample_number <= 1.02 * test.lower_bound
    randomised = test.randomised_probabilities
    accepted, number = forward_pass(randomised, [good, bad], most, lot_size, **ERRORS)
    assert number.mean() == pytest.approx(test.lower_bound, rel=1e-6)
    rates = [judged(rate, **ERRORS) for rate in (good, bad)]
    lines = sprt_lines(*rates, alpha, beta)
    walk = table_from_boundaries(lines.acceptance_numbers(most), lines.rejection_numbers(most))
    wald = forward_pass(np.eye(3)[walk], [good, bad], most, lot_size, **ERRORS)
    if 1 - wald[0][0] <= test.producer_risk and wald[0][1] <= test.consumer_risk:
        assert test.mean_sample_number <= wald[1].mean()


def test_least_test_of_all_tests_on_small_lots() -> None:
    """No deterministic test, monotone or not, that meets the risks has a mean below the bound."""
    good, bad, most, lot = 1 / 5, 4 / 5, 3, 5
    limits = 0.35, 0.35
    test = least_sample_test(good, bad, *limits, most, lot, false_alarm=0.05, miss=0.1)
    n, _ = lattice_counts(most)
    best = math.inf
    for actions in itertools.product(*[(1, 2) if k == most else (0, 1, 2) for k in n[:6]]):
        table = np.eye(3)[[*actions, 1, 1, 2, 2]]
        accepted, number = forward_pass(table, [good, bad], most, lot, 0.05, 0.1)
        if 1 - accepted[0] <= limits[0] and accepted[1] <= limits[1]:
            best = min(best, number.mean())
    assert test.lower_bound <= best + 1e-12
    assert best < math.inf


def test_a_walk_with_chances_is_the_forward_pass() -> None:
    chances = lot_chances(9, 60, 30, 0.1, 0.25)
    n = np.arange(31)
    accept, reject = np.maximum(n // 4 - 2, -1), n // 4 + 3
    accept[-1], reject[-1] = 7, 8
    walk = boundary_walk(0.15, 9.0, 60, accept, reject, np.empty(0), chances)
    table = np.eye(3)[table_from_boundaries(accept, reject)]
    (accepted,), (number,) = forward_pass(table, [0.15], 30, 60, 0.1, 0.25)
    np.testing.assert_allclose(walk[:2], [number, accepted], rtol=1e-12)


@pytest.mark.parametrize("name", ["tired-eyes", "worn-gauge"])
def test_references_are_designed_for_judged_rates(name: str) -> None:
    references = baselines.reference_policies(ID, scenario=name)
    optimum = baselines.solve(ID, scenario=name)
    for policy in references.values():
        score = baselines.score(gym.make(ID, scenario=name), policy)
        assert score.regret >= -1e-9
    design = references["sprt"].design
    errors = (PRESETS[name]["false_alarm"], PRESETS[name]["miss"])
    rates = [design["good"], design["bad"]]
    assert [design["judged_good"], design["judged_bad"]] == [judged(p, *errors) for p in rates]
    lines = sprt_lines(design["judged_good"], design["judged_bad"], 0.10, 0.05)
    assert design["slope"] == lines.slope
    assert "judged defective" in optimum.describe_state(0)
    assert "judged" in optimum.plan().text()


def test_rates_that_errors_hide_make_no_plan() -> None:
    fields = two_point_lot(None, max_samples=5, false_alarm=0.5, miss=0.5 - 2.0**-53)
    references = baselines.reference_policies(ID, scenario=fields)
    assert "sprt" not in set(references)
    assert "judged defective at rates" in references.left_out["sprt"]
    with pytest.raises(NoPlanError):
        exact_plan(0.1, 0.35, 0.1, 0.05, 1000, 50, 0.5, 0.5 - 2.0**-53)


def test_ranges_of_errors() -> None:
    """Each drawn scenario is solved, and its policy plays where beliefs are computed at each step."""
    fields: dict[str, Any] = beta_lot(1.5, 8.0, 30, max_samples=12, inspection_cost=0.05)
    fields |= {"false_alarm": {"low": 0.0, "high": 0.1}, "miss": {"choices": [0.0, 0.2, 0.4]}}
    env = gym.make(ID, scenario=fields)
    observation, _ = env.reset(seed=4)
    assert observation.shape == (6,)
    for _ in range(25):
        observation, info = env.reset()
        best = baselines.solve(ID, scenario=info["scenario"])
        terminated = False
        while not terminated:
            action, _ = best.policy.predict(observation)
            observation, _, terminated, _, _ = env.step(action)
    varied = [{**fields, "false_alarm": 0.05, "miss": miss} for miss in (0.0, 0.2, 0.4)]
    values = [baselines.solve(ID, scenario=one).value for one in varied]
    assert (np.diff(values) < 0).all()
