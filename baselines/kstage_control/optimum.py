"""The optimum of K-stage control, and what it offers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from baselines.core.decision import Decision
from baselines.core.family import Family
from baselines.core.plan import Plan
from baselines.core.references import Reference
from baselines.core.tabular import TabularOptimum
from baselines.kstage.reference import in_words
from baselines.kstage_control.model import build_model, optimal_value
from baselines.kstage_control.plan import plan
from baselines.kstage_control.reference import designs
from qc_gym.core.policy import Player
from qc_gym.kstage_control.env import KStageControlEnv
from qc_gym.kstage_control.scenario import KStageControlScenario

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class KStageControlOptimum(TabularOptimum[KStageControlScenario]):
    """The optimum of K-stage control, by finite-horizon dynamic programming."""

    def designs(self) -> Mapping[str, Reference]:
        """Return a plant's rules; see :func:`baselines.kstage_control.reference.designs`."""
        return designs(self.model)

    @property
    def visits(self) -> NDArray[np.float64]:
        """How often optimal play comes to a level with yesterday's stages, on any day, (S,)."""
        of_day = self.evaluation.occupancy.reshape(self.scenario.days, -1)
        return np.where(of_day > 0.0, of_day.sum(axis=0), 0.0).ravel()

    def decisions(self, least: float) -> list[Decision]:
        """Return what is decided in the middle of the episode; on other days where one comes only then.

        Only near the end is the same level with the same stages yesterday another state to the optimum.
        """
        of_day = self.evaluation.occupancy.reshape(self.scenario.days, -1)
        middle = self.scenario.days // 2
        size = of_day.shape[1]
        return [
            one
            for one in super().decisions(least)
            if one.state // size == middle or of_day[middle, one.state % size] == 0.0
        ]

    def describe_state(self, row: int) -> str:
        """Return a state in words; days are counted from 1, as in the plan."""
        state = self.model.states[row]
        yesterday = in_words(int(state["stages"]))
        return f"day {state['day'] + 1}, level {state['level']}, {yesterday} yesterday"

    def describe_action(self, row: int, action: int) -> str:
        """Return how many stages are run, in words."""
        return in_words(action)

    def coordinates(self, rows: NDArray[np.int64]) -> Mapping[str, NDArray[np.integer]]:
        """Return day, level and yesterday's stages; days are counted from 1."""
        states = self.model.states[rows]
        return {
            "day": states["day"] + 1,
            "level": states["level"],
            "stages yesterday": states["stages"],
        }

    def plan(self) -> Plan:
        """Return the optimum as a table for the shop floor."""
        return plan(self)

    def figures(self, policies: Mapping[str, Player]) -> dict[str, Figure]:
        """Return maps of the K of each policy."""
        from baselines.kstage_control.figures import figures  # matplotlib is slow to import

        return figures(self, policies)


def solve(scenario: KStageControlScenario, observation: str = "belief") -> KStageControlOptimum:
    """Return the optimum of K-stage control."""
    return KStageControlOptimum.of(build_model(scenario, observation))


def values(scenarios: Sequence[KStageControlScenario]) -> NDArray[np.float64]:
    """Return the optimal values of many scenarios, (n,)."""
    return np.array(list(map(optimal_value, scenarios)))


FAMILY = Family(KStageControlEnv, solve, values)
