"""The optimum of sequential sampling, and what it offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.family import Family
from baselines.core.plan import Plan
from baselines.core.references import Reference, References
from baselines.core.tabular import TabularOptimum
from baselines.sampling.iso2859 import Level
from baselines.sampling.model import build_model
from baselines.sampling.plan import plan
from baselines.sampling.practice import references
from baselines.sampling.stopping import stopping_bounds
from qc_gym.core.policy import Player
from qc_gym.sampling.dynamics import CONFORMING, DEFECTIVE
from qc_gym.sampling.env import SequentialSamplingEnv
from qc_gym.sampling.scenario import SequentialSamplingScenario

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LAST = {CONFORMING: "conforming", DEFECTIVE: "defective"}


class SamplingOptimum(TabularOptimum[SequentialSamplingScenario]):
    """The optimum of sequential sampling, on the counts (n, d)."""

    asks = ("alpha", "beta", "aql", "level")

    def designs(
        self,
        alpha: float | None = None,
        beta: float | None = None,
        aql: float = 1.0,
        level: Level = "II",
    ) -> Mapping[str, Reference]:
        """Return the plans that practice uses; see :func:`baselines.sampling.practice.references`."""
        return references(self.model, alpha, beta, aql, level)

    def references(self, **asked: Any) -> References:
        """Return ``random``, ``best_constant`` and :meth:`designs`, for what these are asked for."""
        return self.all_references(self.designs(**asked))

    def describe_state(self, row: int) -> str:
        """Return a state in words: the counts, and the last result where the state holds it."""
        state, judged = self.model.states[row], "judged " * self.scenario.has_errors
        counts = f"n = {state['n']} inspected, d = {state['d']} {judged}defective"
        last = _LAST.get(int(state["last_result"]))
        return counts if last is None else f"{counts}, the last one {judged}{last}"

    def describe_action(self, row: int, action: int) -> str:
        """Return an action in words."""
        return self.model.scenario.action_names[action]

    def coordinates(self, rows: NDArray[np.int64]) -> Mapping[str, NDArray[np.integer]]:
        """Return the counts of states."""
        states = self.model.states[rows]
        return {"n": states["n"], "d": states["d"]}

    def beliefs(self, rows: NDArray[np.int64]) -> Mapping[str, NDArray[np.floating]]:
        """Return what the counts tell of the lot."""
        shown = self.model.describe(rows, "belief")
        judged = "judged " * self.scenario.has_errors
        return {
            "P(the lot is bad)": shown[:, 2],
            f"P(the next item is {judged}defective)": shown[:, 3],
        }

    def plan(self) -> Plan:
        """Return the optimum as a table for the shop floor."""
        return plan(self)

    def figures(self, policies: Mapping[str, Player]) -> dict[str, Figure]:
        """Return maps of decisions and regret over (n, d), and the operating characteristics."""
        from baselines.sampling.figures import figures  # matplotlib is slow to import

        return figures(self, policies)


def solve(scenario: SequentialSamplingScenario, observation: str = "belief") -> SamplingOptimum:
    """Return the optimum of a sequential sampling scenario."""
    return SamplingOptimum.of(build_model(scenario, observation))


def values(scenarios: Sequence[SequentialSamplingScenario]) -> NDArray[np.float64]:
    """Return the optimal values of many scenarios, (n,), without their tables."""
    return np.array([stopping_bounds(scenario).value for scenario in scenarios])


FAMILY = Family(SequentialSamplingEnv, solve, values)
