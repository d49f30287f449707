"""The policies that a plant would use, and the optimum in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.references import Reference
from baselines.lot.paper import LastResult, PaperAlgorithm
from baselines.lot.policies import LotPolicy, lot_policy, random_policy
from baselines.lot.sizes import fixed_cost
from qc_gym.lot.scenario import DiscreteWeibullShift, GeometricShift, InspectOrStopScenario

if TYPE_CHECKING:
    from baselines.lot.solution import LotOptimum

Designed = tuple[LotPolicy, Mapping[str, Any]]
_RARE = 1e-6
_LINES = 12


def designs(optimum: LotOptimum) -> dict[str, Reference]:
    """Return the policies of practice and of the paper for the scenario solved.

    ``random`` takes each allowed action with the same probability, ``best_constant`` always the better
    one. ``lemma_1`` inspects whenever the belief is at least (c/s − θ2)/(θ1 − θ2), where one more unit
    pays by itself (Wang 2013, Lemma 1); ``inspect_until_satisfied`` goes on until the demand is met or
    the lot is used up; ``stop_at_once`` inspects nothing. Where the lot is to be produced, each
    of them has the lot size that costs it least. ``paper`` and ``last_result`` are the paper's
    algorithm and its reduction, with the lot sizes that they find best by their own reckoning.
    """
    scenario, observation = optimum.scenario, optimum.observation

    def from_belief(threshold: float) -> Callable[[], Designed]:
        def rule(size: int) -> NDArray[np.float64]:
            return np.full((size, min(size, scenario.demand)), threshold)

        def design() -> Designed:
            size = best_size(optimum, rule)
            return lot_policy(scenario, observation, size, rule), {
                "lot_size": size,
                "threshold": threshold,
            }

        return design

    def reckoned(method: PaperAlgorithm | LastResult) -> Designed:
        if isinstance(method, PaperAlgorithm):
            rule, numbers = method.thresholds, {"paths": method.paths}
        else:
            rule, numbers = method.probabilities, {}
        policy = lot_policy(scenario, observation, method.lot_size, rule)
        return policy, {"lot_size": method.lot_size, **numbers}

    def always(action: float) -> LotPolicy:
        def rule(size: int) -> NDArray[np.float64]:
            return np.full((size, min(size, scenario.demand), 3), action)

        return lot_policy(scenario, observation, scenario.longest_lot if action else 0, rule)

    def best_constant() -> Designed:
        constants = always(0.0), always(1.0)
        costs = [optimum.cost(policy).cost for policy in constants]
        best = int(np.argmin(costs))
        return constants[best], {"action": best}

    return {
        "random": Reference(
            "each allowed action with the same probability",
            lambda: (random_policy(scenario, observation), {}),
        ),
        "best_constant": Reference(
            "the best policy that always takes the same action", best_constant
        ),
        "lemma_1": Reference(
            "inspects while one more unit pays by itself", from_belief(lemma_1(scenario))
        ),
        "inspect_until_satisfied": Reference(
            "inspects until the demand is met or the lot is used up", from_belief(0.0)
        ),
        "stop_at_once": Reference("inspects nothing", from_belief(np.inf)),
        "paper": Reference(
            "the algorithm of Wang (2013)", lambda: reckoned(PaperAlgorithm(scenario))
        ),
        "last_result": Reference(
            "its reduction to the last result", lambda: reckoned(LastResult(scenario))
        ),
    }


def lemma_1(scenario: InspectOrStopScenario) -> float:
    """Return the belief from which on one more inspection pays by itself (Wang 2013, Lemma 1).

    Infinite where nothing is lost by a shortage.
    """
    if scenario.shortage_cost == 0.0:
        return np.inf
    ratio = scenario.inspection_cost / scenario.shortage_cost
    return (ratio - scenario.yield_out) / (scenario.yield_in - scenario.yield_out)


def best_size(optimum: LotOptimum, rule: Callable[[int], NDArray[np.float64]]) -> int:
    """Return the lot size that costs least with a rule that does not depend on it."""
    scenario = optimum.scenario
    if scenario.lot_size is not None:
        return scenario.lot_size
    return int(optimum.costs_by_size(rule(scenario.longest_lot)).argmin())


def instructions(optimum: LotOptimum) -> str:
    """Return the optimum as a foreman's table: how much to produce, and when to stop inspecting.

    The probability that decides is worked out by the rule stated; a line for some of the numbers of
    units inspected (all of them in short lots) gives the answer for every number found conforming that
    can have come by then.
    """
    scenario, size = optimum.scenario, optimum.best_size
    lines = []
    if scenario.lot_size is None:
        lines.append(f"Produce a lot of {size} units.")
    if size == 0:
        return "\n".join([*lines, "Nothing is inspected."])
    lines += _belief_in_words(optimum)
    thresholds = optimum.thresholds(size)
    comes = optimum.sizes.chances(size) > _RARE
    for n in np.unique(np.linspace(0, size - 1, _LINES).astype(int)):
        found = np.flatnonzero(comes[n])
        if len(found):
            lines.append(f"  {n} inspected: {_words(thresholds[n], found)}")
    lines.append(f"A demand that is met ends the inspection. Expected cost {-optimum.value:.4f}.")
    fixed = fixed_cost(scenario, size)
    if fixed:
        lines[-1] += f" Of this, {fixed:.4f} is spent whatever is inspected."
    return "\n".join(lines)


def _belief_in_words(optimum: LotOptimum) -> list[str]:
    """Return how the probability that decides is worked out, and what it decides."""
    scenario = optimum.scenario
    survival, yield_in, yield_out = scenario.survival, scenario.yield_in, scenario.yield_out

    def after(chance_in: float, chance_out: float) -> str:
        return f"{chance_in:.4g} p / ({chance_in:.4g} p + {chance_out:.4g} (1 - p))"

    return [
        "Inspect in the order of production. Let p be the probability that the next unit was produced "
        f"in control, {survival[1]:.4g} for the first. After a conforming unit p becomes "
        f"{after(yield_in, yield_out)}, after a nonconforming one "
        f"{after(1.0 - yield_in, 1.0 - yield_out)}, and then times F(n + 1) / F(n) after n units "
        f"inspected, the chance that the process stayed in control; {_survival_in_words(scenario)}.",
        "Before each unit, by the conforming ones found so far: go on, stop, or go on if p is at least "
        "the number given.",
    ]


def _survival_in_words(scenario: InspectOrStopScenario) -> str:
    shift = scenario.shift
    if isinstance(shift, DiscreteWeibullShift):
        return f"F(j) = {shift.q:.6g}^(j^{shift.beta:.6g})"
    if isinstance(shift, GeometricShift):
        return f"F(j) = {1.0 - shift.hazard:.6g}^j"
    return "F(j) is the j-th number of the table of survival"


def _words(thresholds: NDArray[np.float64], found: NDArray[np.int64]) -> str:
    """Return what to do for every number found, in words; neighbours that do the same together."""
    rules: list[tuple[str, int, int]] = []  # what to do, from, to
    for k in found.tolist():
        threshold = thresholds[k]
        number = f"{threshold:.3f}" if threshold >= 0.01 else f"{threshold:.2g}"
        rule = "stop" if threshold > 1.0 else number if threshold > 0.0 else "go on"
        begin = rules.pop()[1] if rules and rules[-1][0] == rule else k
        rules.append((rule, begin, k))
    if len(rules) == 1:
        return rules[0][0]
    numbers = (str(low) if low == high else f"{low} to {high}" for _, low, high in rules)
    return ", ".join(f"{of} found: {rule[0]}" for of, rule in zip(numbers, rules, strict=True))
