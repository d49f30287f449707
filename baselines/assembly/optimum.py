"""The optimum of an assembly tree, and what it offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from baselines.assembly.model import build_model
from baselines.assembly.plan import action_in_words, plan, state_in_words
from baselines.assembly.reference import designs
from baselines.core.family import Family
from baselines.core.plan import Plan
from baselines.core.references import Reference
from baselines.core.solver import optimal_value
from baselines.core.tabular import TabularOptimum
from qc_gym.assembly.dynamics import ABSENT, NODE_FEATURES
from qc_gym.assembly.env import AssemblyEnv
from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.core.policy import Player

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class AssemblyOptimum(TabularOptimum[AssemblyScenario]):
    """The optimum of an assembly tree, on the belief states that can be reached."""

    def designs(self) -> Mapping[str, Reference]:
        """Return a plant's policies; see :func:`baselines.assembly.reference.designs`."""
        return designs(self.model)

    def describe_state(self, row: int) -> str:
        """Return what is asked in a state, in words."""
        return state_in_words(self.model, row)

    def describe_action(self, row: int, action: int) -> str:
        """Return what an answer does in a state, in words."""
        return action_in_words(self.model, row, action)

    def beliefs(self, rows: NDArray[np.int64]) -> Mapping[str, NDArray[np.floating]]:
        """Return P(bad) of every item that is there."""
        shown = self.model.describe(rows, "belief")
        there = self.model.states[rows]["status"] != ABSENT
        return {
            f"P({name} is bad)": np.where(
                there[:, node], shown[:, NODE_FEATURES * node + 3], np.nan
            )
            for node, name in enumerate(self.scenario.order)
        }

    def plan(self) -> Plan:
        """Return the optimum as a table for the shop floor."""
        return plan(self)

    def figures(self, policies: Mapping[str, Player]) -> dict[str, Figure]:
        """Return the diagram of the optimum's steps."""
        from baselines.assembly.figures import figures  # matplotlib is slow to import

        return figures(self, policies)


def solve(scenario: AssemblyScenario, observation: str = "belief") -> AssemblyOptimum:
    """Return the optimum of an assembly tree."""
    return AssemblyOptimum.of(build_model(scenario, observation))


def values(scenarios: Sequence[AssemblyScenario]) -> NDArray[np.float64]:
    """Return the optimal values of many scenarios, (n,)."""
    return np.array([optimal_value(build_model(scenario)) for scenario in scenarios])


FAMILY = Family(AssemblyEnv, solve, values, kept=AssemblyOptimum)
