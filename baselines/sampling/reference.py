"""The practitioner's tests as policies, and the exact risks of any policy."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from baselines.core.policy import TabularPolicy, tabulate
from baselines.core.problem import problem_of
from baselines.core.references import NoPlanError, Reference
from baselines.core.tabular import TabularOptimum
from baselines.sampling.characteristics import Risks, table_from_boundaries
from baselines.sampling.least_asn import least_sample_test
from baselines.sampling.model import SamplingModel, SamplingPolicy
from baselines.sampling.plans import (
    SingleSamplingPlan,
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
PRODUCER_RISK, CONSUMER_RISK = 0.10, 0.05
"""The risks that the reference tests are designed for: those of the 2024 contest problem."""


def designs(
    tables: SamplingModel,
) -> dict[str, Reference]:
    """Return the practitioner's tests for a scenario, designed for its good and bad rates.

    Where inspectors err, for the rates at which such lots are judged defective.

    ``sprt`` (Wald), ``least_asn`` (the test of least average sample number with the same risks) and
    single plans: ``single_normal`` (normal approximation), ``single_precision`` and
    ``single_power`` (the two sample-size formulas), ``single_exact``, and
    ``single_exact_curtailed``, which stops as soon as the decision is settled. A test that needs more than
    ``max_samples`` items, or does not exist, is left out.
    """
    scenario = tables.scenario
    lot, most = scenario.lot_size, scenario.max_samples
    errors = scenario.false_alarm, scenario.miss

    @cache
    def pair() -> tuple[float, float, float, float]:
        good, bad = design_rates(scenario)
        if not 0.0 < good < bad < 1.0:  # a NaN too
            raise NoPlanError(
                f"prior: the mean rates of good and of bad lots are {good!r} and {bad!r}, which no "
                "test tells apart in float64"
            )
        return good, bad, PRODUCER_RISK, CONSUMER_RISK

    @cache
    def judged_pair() -> tuple[float, float, float, float]:
        good, bad = (scenario.judged(rate) for rate in pair()[:2])
        if not 0.0 < good < bad < 1.0:
            raise NoPlanError(
                f"false_alarm, miss: good and bad lots are judged defective at rates {good!r} and "
                f"{bad!r}, which no test tells apart in float64"
            )
        return good, bad, PRODUCER_RISK, CONSUMER_RISK

    def risks_asked() -> dict[str, float]:
        good, bad, alpha, beta = pair()
        asked = {"good": good, "bad": bad, "alpha": alpha, "beta": beta}
        if scenario.has_errors:
            asked["judged_good"], asked["judged_bad"] = judged_pair()[:2]
        return asked

    def single(find: Callable[[], SingleSamplingPlan], curtailed: bool = False) -> Reference:
        words = "single sampling plan: inspect n, accept at most c defectives"

        def design() -> tuple[SamplingPolicy, dict[str, float]]:
            plan = find()
            numbers = {"n": plan.sample_size, "c": plan.acceptance_number, **risks_asked()}
            return single_plan_policy(tables, plan, curtailed), numbers

        return Reference(words + (", stopped once that is settled" * curtailed), design)

    @cache
    def exact() -> SingleSamplingPlan:
        judged_pair()
        return exact_plan(*pair(), lot, most, *errors)

    def precision() -> SingleSamplingPlan:
        good, bad, alpha, _ = judged_pair()
        size = precision_sample_size(good, bad - good, 1 - alpha)
        return one_sided_test_plan(size, good, 1 - alpha)

    def power() -> SingleSamplingPlan:
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


def single_plan_policy(
    tables: SamplingModel,
    plan: SingleSamplingPlan,
    curtailed: bool = False,
) -> SamplingPolicy:
    """Return a single sampling plan as a policy.

    ``curtailed`` stops when the items still to come cannot change the decision, which leaves the
    operating characteristic as it is.

    Raises
    ------
    NoPlanError
        The plan needs more than max_samples items.
    """
    most = tables.scenario.max_samples
    size, c = plan.sample_size, plan.acceptance_number
    if size > most:
        raise NoPlanError(f"sample_size = {size}: at most max_samples = {most}")
    n = np.arange(most + 1)
    acceptance = np.minimum(c - (size - n), c)
    rejection = np.full(most + 1, c + 1)
    if not curtailed:
        acceptance = np.where(n < size, -1, acceptance)
        rejection = np.where(n < size, n + 1, rejection)
    return boundary_policy(tables, np.maximum(acceptance, -1), rejection)


def boundary_policy(
    tables: SamplingModel,
    acceptance_numbers: NDArray[np.int64],
    rejection_numbers: NDArray[np.int64],
) -> SamplingPolicy:
    """Return the policy that accepts at d ≤ acceptance_numbers[n], rejects at d ≥ rejection_numbers[n].

    Both shape (max_samples + 1,); between them it inspects one more item.
    """
    actions = table_from_boundaries(acceptance_numbers, rejection_numbers)
    split = tables.num_states // len(actions)
    return TabularPolicy.of(tables, np.repeat(actions.astype(np.int64), split))


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
