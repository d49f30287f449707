"""The optimum of a pilot run, and what it offers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from baselines.core.certificate import OracleError, rounding
from baselines.core.family import Family
from baselines.core.plan import Plan
from baselines.core.references import Reference
from baselines.core.solver import Solution
from baselines.core.tabular import TabularOptimum
from baselines.pilot.information import ValueOfInformation, value_of_information
from baselines.pilot.lattice import Lattice
from baselines.pilot.model import PilotModel, PilotPolicy, build_model, lattice_rows
from baselines.pilot.plan import counts_in_words, plan
from baselines.pilot.reference import designs
from qc_gym.core.fields import money_in
from qc_gym.core.policy import Player
from qc_gym.pilot.dynamics import COMMIT, FEATURES
from qc_gym.pilot.env import PilotRunEnv
from qc_gym.pilot.scenario import PilotRunScenario

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class PilotRunOptimum(TabularOptimum[PilotRunScenario]):
    """The optimum of a pilot run, from a compiled sweep over its lattice of counts.

    The tables, of nineteen actions for each state, are made when a policy is to be scored on them.

    Parameters
    ----------
    lattice
        The optimum on the lattice.
    observation
        Which observation the environment shows.
    """

    lattice: Lattice

    def __init__(self, lattice: Lattice, observation: str) -> None:
        # The base is a frozen record of the tables, which are not made yet.
        self.__dict__.update(lattice=lattice, _observation=observation)

    @property
    def scenario(self) -> PilotRunScenario:  # type: ignore[override]
        """The scenario solved."""
        return self.lattice.beliefs.scenario

    @property
    def observation(self) -> str:  # type: ignore[override]
        """Which observation the environment shows."""
        return str(self.__dict__["_observation"])

    @property
    def value(self) -> float:
        """Optimal expected return of an episode, in money."""
        return self.lattice.value

    @cached_property
    def model(self) -> PilotModel:
        """The tables."""
        return build_model(self.lattice.beliefs, self.observation)

    @cached_property
    def solution(self) -> Solution:
        """Optimal values, action values and actions on the tables."""
        tables, rows = self.model, lattice_rows(self.model)
        action_values = tables.rewards.copy()
        chances = tables.probabilities.reshape(-1, 2)
        after = self.lattice.values[rows[tables.successors].reshape(-1, 2)]
        action_values[:, :COMMIT][tables.allowed[:, :COMMIT]] += (chances * after).sum(axis=1)
        actions = self.lattice.actions[rows].astype(np.int64)
        values = action_values[np.arange(len(rows)), actions]
        return Solution(self.value, values, action_values, actions)

    @cached_property
    def value_of_information(self) -> ValueOfInformation:
        """What it is worth to learn the rates before committing."""
        return value_of_information(self.scenario, self.lattice)

    @property
    def span(self) -> float:
        """By how much the returns of two episodes can differ, in money: a whole order's."""
        return self.stakes + self.scenario.order_size * money_in(self.scenario)

    def check(self) -> None:
        """Raise an OracleError unless the optimal policy earns the optimal value, step by step."""
        lattice, costs = self.lattice, self.scenario.record()["sample_cost"][0]
        actions, visits = lattice.actions, lattice.occupancy
        commits = actions >= COMMIT
        earned = np.where(commits, lattice.payoffs, -costs[np.where(commits, 0, actions)])
        found, moved = float(visits @ earned), float(visits @ np.abs(earned))
        if not abs(found - self.value) <= rounding(moved):
            raise OracleError(f"the optimal policy earns {found!r}, the optimum is {self.value!r}")

    def play(self, actions: NDArray[np.integer]) -> PilotPolicy:
        """Return the policy of actions on the lattice."""
        return PilotPolicy.of(self.model, actions[lattice_rows(self.model)].astype(np.int64))

    def designs(self) -> Mapping[str, Reference]:
        """Return ways to commit; see :func:`baselines.pilot.reference.designs`."""
        return designs(self.lattice, self.play)

    def describe_state(self, row: int) -> str:
        """Return the counts of a state in words."""
        state = self.model.states[row]
        return counts_in_words(self.scenario, state["n"], state["d"])

    def describe_action(self, row: int, action: int) -> str:
        """Return what an action does in a state, in words."""
        done = action if self.model.allowed[row, action] else COMMIT
        return self.scenario.action_names[done]

    def coordinates(self, rows: NDArray[np.int64]) -> Mapping[str, NDArray[np.integer]]:
        """Return the counts of the nodes that may be tested."""
        states = self.model.states[rows]
        return {
            f"{name} {word}": states[field][:, node]
            for node, name in enumerate(self.scenario.order)
            if self.scenario.record()["max_samples"][0, node] > 0
            for word, field in (("tested", "n"), ("defective", "d"))
        }

    def beliefs(self, rows: NDArray[np.int64]) -> Mapping[str, NDArray[np.floating]]:
        """Return mean and standard deviation of the rates, given the counts."""
        shown = self.model.describe(rows, "belief")
        told: dict[str, NDArray[np.floating]] = {}
        for node, name in enumerate(self.scenario.order):
            told[f"expected defect rate of {name}"] = shown[:, FEATURES * node + 2]
            told[f"its standard deviation, {name}"] = shown[:, FEATURES * node + 3] / 2.0
        return told

    def plan(self) -> Plan:
        """Return the optimum as a table for the shop floor."""
        return plan(self.lattice)

    def figures(self, policies: Mapping[str, Player]) -> dict[str, Figure]:
        """Return the value of information against the order's size, and what each policy does."""
        from baselines.pilot.figures import figures  # matplotlib is slow to import

        return figures(self, policies)


def solve(scenario: PilotRunScenario, observation: str = "belief") -> PilotRunOptimum:
    """Return the optimum of a pilot run."""
    return PilotRunOptimum(Lattice.of(scenario), observation)


FAMILY = Family(PilotRunEnv, solve)
