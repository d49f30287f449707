"""The policies that a plant would use, and those of the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.references import Reference
from baselines.lot.paper import LastResult, PaperAlgorithm
from baselines.lot.policies import LotPolicy, lot_policy, random_policy
from qc_gym.lot.scenario import InspectOrStopScenario

if TYPE_CHECKING:
    from baselines.lot.solution import LotOptimum

Designed = tuple[LotPolicy, Mapping[str, Any]]


def designs(optimum: LotOptimum) -> dict[str, Reference]:
    """Return the policies of practice and of the paper for the scenario solved.

    ``random`` takes each allowed action with the same probability, ``best_constant`` always the better
    one. ``lemma_1`` inspects whenever the belief is at least that of :func:`lemma_1`, where one more unit
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

    Where s θ(b) ≥ c(b), with the judged yield θ and the cost c of inspecting a unit, what its delivery
    costs if it is nonconforming included: both are linear in the belief b, the first rises and the second
    falls.
    Infinite where no belief is enough: where nothing is lost by a shortage, or where the judged yields are
    the same and do not pay for a unit.
    """
    s = scenario.shortage_cost
    if s == 0.0:
        return np.inf
    yield_in, yield_out = scenario.judged_yields
    missed_in, missed_out = scenario.missed_costs
    unit = max(s, missed_out)  # no quotient below overflows, whatever the money is counted in
    wanting = scenario.inspection_cost / unit + missed_out / unit - yield_out * (s / unit)
    rises = (yield_in - yield_out) * (s / unit) + (missed_out - missed_in) / unit
    if rises <= 0.0:  # a result says nothing: the units are alike whatever the belief
        return 0.0 if wanting <= 0.0 else np.inf
    return wanting / rises


def best_size(optimum: LotOptimum, rule: Callable[[int], NDArray[np.float64]]) -> int:
    """Return the lot size that costs least with a rule that does not depend on it."""
    scenario = optimum.scenario
    if scenario.lot_size is not None:
        return scenario.lot_size
    return int(optimum.costs_by_size(rule(scenario.longest_lot)).argmin())
