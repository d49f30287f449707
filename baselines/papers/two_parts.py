"""The contest problem that three of the papers solve: two parts, a product, six cases.

Its data is Table 3 of [L]; each case is a preset ``cumcm-1`` … ``cumcm-6`` of ``qc_gym/Assembly-v0``.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import gymnasium as gym
import numpy as np

import baselines
from baselines.assembly import evaluate_static
from baselines.papers.entries import PolicyWorth
from qc_gym.assembly.scenario import AssemblyScenario

CASES = tuple(f"cumcm-{i}" for i in range(1, 7))


class Decision(NamedTuple):
    """What a plant does with all of its products: a static policy of two parts."""

    inspect_part_1: bool
    inspect_part_2: bool
    inspect_product: bool
    dismantle: bool

    @classmethod
    def parse(cls, text: str, yes: str = "yes") -> Decision:
        """Return the decision that a paper prints, such as "no, no, yes, yes"."""
        inspect_part_1, inspect_part_2, inspect_product, dismantle = (
            flag == yes for flag in text.split(", ")
        )
        return cls(inspect_part_1, inspect_part_2, inspect_product, dismantle)

    def __str__(self) -> str:
        return ", ".join("yes" if flag else "no" for flag in self)


DECISIONS = tuple(Decision(*flags) for flags in product((False, True), repeat=4))


class Case(NamedTuple):
    """The numbers of a case, in money or as shares; part 1, part 2 and then the product."""

    defect_rates: tuple[float, float, float]
    purchase_costs: tuple[float, float]
    assembly_cost: float
    inspection_costs: tuple[float, float, float]
    dismantle_cost: float
    return_loss: float
    price: float


def scenario_of(preset: str) -> AssemblyScenario:
    """Return a preset of the assembly family."""
    scenario = AssemblyScenario.parse(preset)
    assert isinstance(scenario, AssemblyScenario)
    return scenario


def case_of(preset: str) -> Case:
    """Return the numbers of one of ``CASES``."""
    scenario = scenario_of(preset)
    part_1, part_2, product_ = (scenario.nodes[name] for name in ("part_1", "part_2", "product"))
    assert product_.dismantle_cost is not None
    return Case(
        (part_1.defect_rate, part_2.defect_rate, product_.defect_rate),
        (part_1.make_cost, part_2.make_cost),
        product_.make_cost,
        (part_1.inspection_cost, part_2.inspection_cost, product_.inspection_cost),
        product_.dismantle_cost,
        scenario.return_loss,
        scenario.price,
    )


def optimum(scenario: AssemblyScenario) -> float:
    """Return the exact optimal expected profit per delivered unit, in money."""
    return baselines.solve(gym.make("qc_gym/Assembly-v0", scenario=scenario)).value


def worth_of_decision(
    where: str, problem: str, decision: Decision, scenario: AssemblyScenario | None = None
) -> PolicyWorth:
    """Return what a decision earns per delivered unit in the exact model, and the optimum.

    Recovered parts not known to be good are inspected: the papers do not say what becomes of them.
    ``scenario`` is the preset ``problem`` unless given.
    """
    scenario = scenario or scenario_of(problem)
    inspect, dismantle = np.array([decision[:3]]), np.array([decision[3:]])
    (value,) = evaluate_static(scenario, inspect, dismantle)
    return PolicyWorth(where, str(decision), problem, float(value), optimum(scenario))
