"""The practitioner's tests as policies, and the exact risks of any policy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from baselines.core.policy import TabularPolicy, tabulate
from baselines.core.problem import problem_of
from baselines.core.references import NoPlanError, Reference
from baselines.core.tabular import TabularOptimum
from baselines.sampling.characteristics import Risks
from baselines.sampling.least_asn import least_sample_test
from baselines.sampling.lot_plans import SinglePlan, boundary_policy
from baselines.sampling.model import SamplingModel, SamplingPolicy
from baselines.sampling.plans import (
    exact_plan,
    normal_approximation_plan,
    one_sided_test_plan,
    power_sample_size,
    precision_sample_size,
    sprt_lines,
)
from qc_gym.core.policy import Player
from qc_gym.sampling.scenario import SequentialSamplingScenario, TwoPointPrior

_RARE = 1e-6
_UNDERFLOW = 1e-290
_WANTED = (
    "the qc_gym/SequentialSampling environment that the policy plays is needed, unless the policy is a "
    "TabularPolicy"
)
RISKS = 0.05, 0.10
"""The producer's and the consumer's risk that tests are designed for: the convention of factories."""
CONTEST_RISKS = 0.10, 0.05
"""Those of the 2024 contest problem, for the presets that come from it."""
_OF_CONTEST = ("aql10-rql20", "aql10-beta")


def designs(
    tables: SamplingModel, alpha: float | None = None, beta: float | None = None
) -> dict[str, Reference]:
    """Return the practitioner's tests for a scenario, designed for its good and bad rates.

    Where inspectors err, for the rates at which such lots are judged defective; and for the
    producer's risk ``alpha`` and the consumer's risk ``beta``, see :func:`risks_for`.

    ``sprt`` (Wald), ``least_asn`` (the test of least average sample number with the same risks) and
    single plans: ``single_normal`` (normal approximation), ``single_precision`` and
    ``single_power`` (the two sample-size formulas), ``single_exact``, and
    ``single_exact_curtailed``, which stops as soon as the decision is settled. A test that needs more than
    ``max_samples`` items, or does not exist, is left out.
    """
    scenario = tables.scenario
    lot, most = scenario.lot_size, scenario.max_samples
    errors = scenario.false_alarm, scenario.miss
    alpha, beta = risks_for(scenario, alpha, beta)

    @cache
    def pair() -> tuple[float, float, float, float]:
        good, bad = design_rates(scenario)
        if not 0.0 < good < bad < 1.0:  # a NaN too
            raise NoPlanError(
                f"prior: the mean rates of good and of bad lots are {good!r} and {bad!r}, which no "
                "test tells apart in float64"
            )
        return good, bad, alpha, beta

    @cache
    def judged_pair() -> tuple[float, float, float, float]:
        good, bad = (scenario.judged(rate) for rate in pair()[:2])
        if not 0.0 < good < bad < 1.0:
            raise NoPlanError(
                f"false_alarm, miss: good and bad lots are judged defective at rates {good!r} and "
                f"{bad!r}, which no test tells apart in float64"
            )
        return good, bad, alpha, beta

    def risks_asked() -> dict[str, float]:
        good, bad, alpha, beta = pair()
        asked = {"good": good, "bad": bad, "alpha": alpha, "beta": beta}
        if scenario.has_errors:
            asked["judged_good"], asked["judged_bad"] = judged_pair()[:2]
        return asked

    def single(find: Callable[[], SinglePlan], curtailed: bool = False) -> Reference:
        words = "single sampling plan: inspect n, accept at most c defectives"

        def design() -> tuple[SamplingPolicy, dict[str, float]]:
            plan = replace(find(), curtailed=curtailed)
            return plan.on(tables), {**plan.numbers, **risks_asked()}

        return Reference(words + (", stopped once that is settled" * curtailed), design)

    @cache
    def exact() -> SinglePlan:
        judged_pair()
        return exact_plan(*pair(), lot, most, *errors)

    def precision() -> SinglePlan:
        good, bad, alpha, _ = judged_pair()
        size = precision_sample_size(good, bad - good, 1 - alpha)
        return one_sided_test_plan(size, good, 1 - alpha)

    def power() -> SinglePlan:
        good, bad, _, beta = judged_pair()
        return one_sided_test_plan(power_sample_size(good, bad, 1 - beta), good, 0.5)

    def sprt() -> tuple[SamplingPolicy, dict[str, float]]:
        lines = sprt_lines(*judged_pair())
        return sprt_policy(tables, *judged_pair()), {**lines._asdict(), **risks_asked()}

    def least() -> tuple[SamplingPolicy, dict[str, float]]:
        judged_pair()
        test = least_sample_test(*pair(), most, lot, false_alarm=errors[0], miss=errors[1])
        policy = boundary_policy(tables, test.acceptance_numbers, test.rejection_numbers)
        return policy, risks_asked()

    return {
        "sprt": Reference("Wald's sequential probability ratio test", sprt),
        "least_asn": Reference("the test of least average sample number with its risks", least),
        "single_normal": single(lambda: normal_approximation_plan(*judged_pair())),
        "single_precision": single(precision),
        "single_power": single(power),
        "single_exact": single(exact),
        "single_exact_curtailed": single(exact, curtailed=True),
    }


def risks_for(
    scenario: SequentialSamplingScenario, alpha: float | None = None, beta: float | None = None
) -> tuple[float, float]:
    """Return the producer's and the consumer's risk that tests are designed for.

    Those given; by default ``RISKS``, and ``CONTEST_RISKS`` where the prior is one of the 2024 contest.

    Raises
    ------
    ValueError
        They are not between 0 and 1, or their sum is not less than 1.
    """
    presets = (SequentialSamplingScenario.presets[name] for name in _OF_CONTEST)
    contest = (SequentialSamplingScenario.model_validate(preset).prior for preset in presets)
    default = CONTEST_RISKS if scenario.prior in contest else RISKS
    asked = (default[0] if alpha is None else alpha, default[1] if beta is None else beta)
    for name, risk in zip(("alpha", "beta"), asked, strict=True):
        if not (isinstance(risk, Real) and 0.0 < risk < 1.0):
            raise ValueError(f"{name} = {risk!r}: a risk strictly between 0 and 1 is needed")
    if sum(asked) >= 1.0:
        raise ValueError(f"alpha = {asked[0]}, beta = {asked[1]}: their sum must be less than 1")
    return float(asked[0]), float(asked[1])


def design_rates(scenario: SequentialSamplingScenario) -> tuple[float, float]:
    """Return the good and the bad true fraction defective that a test is designed to tell apart.

    Under a Beta prior, the means of p among the good and among the bad lots.
    """
    prior = scenario.prior
    if isinstance(prior, TwoPointPrior):
        return prior.good, prior.bad
    good = _mean_below(prior.limit, prior.a, prior.b)
    return good, 1.0 - _mean_below(1.0 - prior.limit, prior.b, prior.a)


def _mean_below(limit: float, a: float, b: float) -> float:
    """Return E[p; p ≤ limit] / P(p ≤ limit) under Beta(a, b)."""
    share = special.betainc(a, b, limit)
    if share > _UNDERFLOW:
        return float(a / (a + b) * special.betainc(a + 1.0, b, limit) / share)
    # The ratio of the incomplete beta functions' power series (DLMF 8.17.8): a tail, near its limit.
    ratio = _series(a + b + 1.0, a + 2.0, limit) / _series(a + b, a + 1.0, limit)
    return float(limit * a / (a + 1.0) * ratio)


def _series(b: float, c: float, x: float) -> float:
    """Return the hypergeometric function F(1, b; c; x), b, c > 0, by its series of positive terms.

    Far in a tail, where b x < c, the terms fall from the first on.
    """
    total, term, k = 1.0, 1.0, 0
    while term > 1e-17 * total:
        term *= (b + k) / (c + k) * x
        total += term
        k += 1
    return total


def sprt_policy(
    tables: SamplingModel,
    good: float,
    bad: float,
    producer_risk: float,
    consumer_risk: float,
) -> SamplingPolicy:
    """Return Wald's sequential probability ratio test (Wald 1947), truncated at max_samples."""
    lines = sprt_lines(good, bad, producer_risk, consumer_risk)
    most = tables.scenario.max_samples
    return boundary_policy(tables, lines.acceptance_numbers(most), lines.rejection_numbers(most))


def risks(
    policy: Any, p: ArrayLike | None = None, env: Any = None, deterministic: bool | None = None
) -> Risks:
    """Return the exact operating characteristic, average sample number and risks of any policy.

    All at true fractions defective, whatever the scenario's inspectors take items for.

    Parameters
    ----------
    policy
        A tabulated policy, or anything with ``predict`` (then ``env`` is needed), without memory.
    p
        True fractions defective (P,); in a finite lot multiples of 1 / lot_size. By default 201
        points up to twice the bad rate, or every fraction of a finite lot up to there.
    env
        The ``SequentialSampling`` environment that the policy plays, with belief observations.
    deterministic
        As for :func:`baselines.score`.

    Raises
    ------
    TypeError
        ``env`` is missing, or of another family.
    ValueError
        A policy with memory, or one that plays by the last result: it has no table over (n, d).
    """
    if env is None and isinstance(policy, TabularPolicy):
        tables = policy.model
        player = Player(policy, tables.num_actions, deterministic=deterministic)
    else:
        problem = problem_of(env)
        optimum = problem.optimum
        if not isinstance(optimum, TabularOptimum):
            raise TypeError(f"env = {env!r}: {_WANTED}")
        tables, player = optimum.model, problem.player(policy, deterministic)
    scenario = tables.scenario
    if not isinstance(scenario, SequentialSamplingScenario):
        raise TypeError(f"env = {env!r}: {_WANTED}")
    probabilities = tabulate(player, tables)
    if probabilities is None or tables.observation != "belief":
        raise ValueError("policy: one without memory that sees beliefs is needed")
    lot_size = scenario.lot_size
    good, bad = design_rates(scenario)
    if p is None:
        top = min(1.0, 2.0 * bad)
        p = (
            np.linspace(0.0, top, 201)
            if lot_size is None
            else np.arange(math.floor(top * lot_size + 1e-9) + 1) / lot_size
        )
    return Risks.of(
        probabilities,
        p,
        scenario.max_samples,
        good=good,
        bad=bad,
        lot_size=lot_size,
        false_alarm=scenario.false_alarm,
        miss=scenario.miss,
    )
