"""What certainty equivalence loses: Section 4 of [R] as the decision that it passes over.

The report puts the mean rates into its recursion and takes the plan that is best there. Here that plan is
paid at the true rates (``qc_gym/PilotRun-v0``): beside the plan of the highest expectation, with
the report's own posteriors and no test to be had; and beside the optimal pilot run, with the rates
estimated from ten items of the presets ``cumcm-1`` … ``cumcm-6``.
"""

from __future__ import annotations

import baselines
from baselines.papers.cumcm_2024b_model import SAMPLE_SIZE, posterior_of
from baselines.papers.entries import PolicyWorth
from baselines.papers.two_parts import CASES, scenario_of
from qc_gym.core.record import validated
from qc_gym.pilot.scenario import PilotRunScenario

ENVIRONMENT = "qc_gym/PilotRun-v0"
PLAN = "the plan that is best at E[p]"


def without_tests(preset: str) -> PilotRunScenario:
    """Return a case with the report's posteriors, an order of one unit and no test to be had."""
    fields = scenario_of(preset).model_dump(include={"price", "return_loss", "nodes"})
    for node in fields["nodes"].values():
        a, b = posterior_of(node["defect_rate"])
        node["defect_rate"] = {"a": a, "b": b}
    return validated(PilotRunScenario, {**fields, "order_size": 1}, preset)


def worths_of_certainty_equivalence() -> list[PolicyWorth]:
    """Return what the plan that is best at the mean rates earns, and the optimum, in each case."""
    worths = []
    for i, preset in enumerate(CASES, 1):
        problems = {
            f"{preset}, posteriors of {SAMPLE_SIZE}, no test": without_tests(preset),
            f"PilotRun-v0 {preset}": preset,
        }
        for problem, scenario in problems.items():
            policy = baselines.reference_policies(ENVIRONMENT, scenario=scenario)[
                "certainty_equivalent"
            ]
            score = baselines.score(ENVIRONMENT, policy, scenario=scenario)
            where = f"Section 4.3, scenario {i}"
            worths.append(PolicyWorth(where, PLAN, problem, score.value, score.optimum))
    return worths
