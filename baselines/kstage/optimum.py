"""The optimum of K-stage inspection, and what it offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from baselines.core.family import Family
from baselines.core.plan import Plan
from baselines.core.references import Reference
from baselines.core.tabular import TabularOptimum
from baselines.kstage.model import build_model
from baselines.kstage.plan import plan
from baselines.kstage.reference import designs, in_words
from qc_gym.core.policy import Player
from qc_gym.core.population import column_of
from qc_gym.kstage.env import KStageEnv
from qc_gym.kstage.scenario import KStageScenario
from qc_gym.kstage.steady_state import least_costs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class KStageOptimum(TabularOptimum[KStageScenario]):
    """The optimum of K-stage inspection, by enumeration."""

    def designs(self) -> Mapping[str, Reference]:
        """Return every number of stages as a policy."""
        return designs(self.model)

    def describe_state(self, row: int) -> str:
        """Return the only state in words."""
        return "the plant before its only decision"

    def describe_action(self, row: int, action: int) -> str:
        """Return how many stages are run, in words."""
        return in_words(action)

    def plan(self) -> Plan:
        """Return the optimum as a table for the shop floor."""
        return plan(self)

    def figures(self, policies: Mapping[str, Player]) -> dict[str, Figure]:
        """Return the costs by the number of stages."""
        from baselines.kstage.figures import figures  # matplotlib is slow to import

        return figures(self, policies)


def solve(scenario: KStageScenario, observation: str = "belief") -> KStageOptimum:
    """Return the optimum of K-stage inspection."""
    return KStageOptimum.of(build_model(scenario, observation))


def values(scenarios: Sequence[KStageScenario]) -> NDArray[np.float64]:
    """Return the optimal values of many scenarios, (n,)."""
    return 0.0 - least_costs(*(column_of(scenarios, name) for name in _COSTED))


_COSTED = (
    "fraction_defective",
    "rework_fraction_defective",
    "lot_size",
    "sample_size",
    "inspection_cost",
    "rework_cost",
    "max_stages",
    "false_alarm",
    "miss",
)
"""What the costs of a plant depend on, in the order of :func:`~qc_gym.kstage.steady_state.least_costs`."""


FAMILY = Family(KStageEnv, solve, values)
