"""The practitioner's tests as policies, and the exact risks of any policy."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from baselines.core.model import TabularModel
from baselines.core.policy import TabularPolicy, tabulate
from baselines.core.scoring import Solution
from baselines.core.solver import evaluate
from baselines.sampling.characteristics import Risks, lattice_counts, table_from_boundaries
from baselines.sampling.least_sample_test import least_sample_test
from baselines.sampling.model import model
from baselines.sampling.plans import (
    NoPlanError,
    SingleSamplingPlan,
    exact_plan,
    normal_approximation_plan,
    one_sided_test_plan,
    power_sample_size,
    precision_sample_size,
    sprt_lines,
)
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.scenario import Scenario
from qc_gym.sampling.dynamics import ACCEPT, CONFORMING, DEFECTIVE, REJECT
from qc_gym.sampling.env import SequentialSamplingEnv
from qc_gym.sampling.scenario import SequentialSamplingScenario, TwoPointPrior

_RARE = 1e-6
_UNDERFLOW = 1e-290
PRODUCER_RISK, CONSUMER_RISK = 0.10, 0.05
"""The risks that the reference tests are designed for: those of the 2024 contest problem."""


def reference_policies(solution: Solution) -> dict[str, TabularPolicy]:
    """Return the practitioner's tests for the scenario solved, designed for its good and bad rates.

    ``sprt`` (Wald), ``least_asn`` (the test of least average sample number with the same risks) and
    single plans: ``single_normal`` (normal approximation), ``single_precision`` and
    ``single_power`` (the two sample-size formulas), ``single_exact``, and
    ``single_exact_curtailed``, which stops as soon as the decision is settled. A test that needs more than
    ``max_samples`` items, or does not exist, is left out.
    """
    tables = solution.model
    scenario = _scenario(tables)
    good, bad = design_rates(scenario)
    pair = good, bad, PRODUCER_RISK, CONSUMER_RISK
    lot = scenario.lot_size

    def single(design: Callable[[], SingleSamplingPlan]) -> TabularPolicy:
        return single_plan_policy(tables, design())

    @cache
    def exact() -> SingleSamplingPlan:
        return exact_plan(*pair, lot, scenario.max_samples)

    def least() -> TabularPolicy:
        test = least_sample_test(*pair, scenario.max_samples, lot)
        return boundary_policy(tables, test.acceptance_numbers, test.rejection_numbers)

    designs: dict[str, Callable[[], TabularPolicy]] = {
        "sprt": lambda: sprt_policy(tables, *pair),
        "least_asn": least,
        "single_normal": lambda: single(lambda: normal_approximation_plan(*pair)),
        "single_precision": lambda: single(
            lambda: one_sided_test_plan(
                precision_sample_size(good, bad - good, 1 - PRODUCER_RISK), good, 1 - PRODUCER_RISK
            )
        ),
        "single_power": lambda: single(
            lambda: one_sided_test_plan(power_sample_size(good, bad, 1 - CONSUMER_RISK), good, 0.5)
        ),
        "single_exact": lambda: single(exact),
        "single_exact_curtailed": lambda: single_plan_policy(tables, exact(), curtailed=True),
    }
    policies = {}
    for name, design in designs.items():
        try:
            policies[name] = design()
        except NoPlanError:
            continue
    return policies


def describe_state(model: TabularModel, row: int) -> str:
    """Return a state in words: the counts, and the last result where the state holds it."""
    state = model.states[row]
    last = {CONFORMING: ", the last one conforming", DEFECTIVE: ", the last one defective"}
    return f"n = {state['n']} inspected, d = {state['d']} defective" + last.get(
        int(state["last_result"]), ""
    )


def design_rates(scenario: SequentialSamplingScenario) -> tuple[float, float]:
    """Return the good and the bad fraction defective that a test is designed to tell apart.

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
    series = special.hyp2f1(a + b + 1.0, 1.0, a + 2.0, limit) / special.hyp2f1(
        a + b, 1.0, a + 1.0, limit
    )
    return float(limit * a / (a + 1.0) * series)


def sprt_policy(
    tables: TabularModel, good: float, bad: float, producer_risk: float, consumer_risk: float
) -> TabularPolicy:
    """Return Wald's sequential probability ratio test (Wald 1947), truncated at max_samples."""
    lines = sprt_lines(good, bad, producer_risk, consumer_risk)
    most = _scenario(tables).max_samples
    return boundary_policy(tables, lines.acceptance_numbers(most), lines.rejection_numbers(most))


def single_plan_policy(
    tables: TabularModel, plan: SingleSamplingPlan, curtailed: bool = False
) -> TabularPolicy:
    """Return a single sampling plan as a policy.

    ``curtailed`` stops when the items still to come cannot change the decision, which leaves the
    operating characteristic as it is.

    Raises
    ------
    NoPlanError
        The plan needs more than max_samples items.
    """
    most = _scenario(tables).max_samples
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
    tables: TabularModel,
    acceptance_numbers: NDArray[np.int64],
    rejection_numbers: NDArray[np.int64],
) -> TabularPolicy:
    """Return the policy that accepts at d ≤ acceptance_numbers[n], rejects at d ≥ rejection_numbers[n].

    Both shape (max_samples + 1,); between them it inspects one more item.
    """
    actions = table_from_boundaries(acceptance_numbers, rejection_numbers)
    split = tables.num_states // len(actions)
    return TabularPolicy.of(tables, np.repeat(actions.astype(np.int64), split))


def instructions(solution: Solution) -> str:
    """Return the optimum as an inspector's table: when to accept and when to reject.

    A line for each stretch of n over which the two numbers stay the same, as far as more than one
    lot in a million comes.
    """
    tables = solution.model
    most = _scenario(tables).max_samples
    split = tables.num_states * 2 // ((most + 1) * (most + 2))
    n, _ = lattice_counts(most)
    visits = evaluate(tables, solution.policy.probabilities).occupancy.reshape(-1, split)
    last = int(np.flatnonzero(np.bincount(n, visits.sum(axis=1)) > _RARE).max())
    inspecting = evaluate(tables, np.zeros(tables.num_states, np.int64)).occupancy
    possible = inspecting.reshape(-1, split).sum(axis=1) > 0
    actions = np.where(possible, solution.policy.actions[::split], -1)
    rules = [_rule(actions[n == i]) for i in range(last + 1)]
    lines = ["Inspect one item after another. After n items with d defectives:"]
    begin = 0
    for i in range(1, last + 2):
        if i > last or rules[i] != rules[begin]:
            span = f"n = {begin}" if i - 1 == begin else f"n = {begin} to {i - 1}"
            lines.append(f"  {span}: {rules[begin]}")
            begin = i
    if last < most:
        lines.append(f"Fewer than one lot in a million needs more than {last} items.")
    return "\n".join(lines)


def _rule(actions: NDArray[np.int64]) -> str:
    """Return the decision at one n in words, from the actions at d = 0, …, n; −1 is impossible."""
    possible = np.flatnonzero(actions >= 0)
    accepts, rejects = np.flatnonzero(actions == ACCEPT), np.flatnonzero(actions == REJECT)
    if len(accepts) == len(possible):
        return "accept"
    if len(rejects) == len(possible):
        return "reject"
    parts = []
    if len(accepts):
        parts.append(f"accept if d ≤ {accepts.max()}")
    if len(rejects):
        parts.append(f"reject if d ≥ {rejects.min()}")
    if len(accepts) + len(rejects) < len(possible):
        parts.append("else inspect one more" if parts else "inspect one more")
    return ", ".join(parts)


def risks(
    policy: Any, p: ArrayLike | None = None, env: Any = None, deterministic: bool | None = None
) -> Risks:
    """Return the exact operating characteristic, average sample number and risks of any policy.

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
    features = None
    if env is None and isinstance(policy, TabularPolicy):
        tables = policy.model
    else:
        inner = getattr(env, "unwrapped", None)
        if not isinstance(inner, SequentialSamplingEnv):
            raise TypeError(
                f"env = {env!r}: the qc_gym/SequentialSampling environment that the policy plays is "
                "needed, unless the policy is a TabularPolicy"
            )
        tables = model(_checked(inner.scenario), inner.observation)
        if isinstance(inner.scenarios, ScenarioRange):
            features = inner.scenarios.features(inner.scenario)
    probabilities = tabulate(policy, tables, features, deterministic)
    if probabilities is None or tables.observation != "belief":
        raise ValueError("policy: one without memory that sees beliefs is needed")
    scenario = _scenario(tables)
    lot_size = scenario.lot_size
    good, bad = design_rates(scenario)
    if p is None:
        top = min(1.0, 2.0 * bad)
        p = (
            np.linspace(0.0, top, 201)
            if lot_size is None
            else np.arange(int(top * lot_size) + 1) / lot_size
        )
    return Risks.of(probabilities, p, scenario.max_samples, good=good, bad=bad, lot_size=lot_size)


def _scenario(tables: TabularModel) -> SequentialSamplingScenario:
    return _checked(tables.scenario)


def _checked(scenario: Scenario) -> SequentialSamplingScenario:
    if not isinstance(scenario, SequentialSamplingScenario):
        raise TypeError(f"scenario = {scenario!r}: one of sequential sampling is needed")
    return scenario
