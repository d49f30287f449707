"""The optimum of a single item."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from baselines import Fact, Family, Plan, Reference, TabularModel, TabularOptimum
from baselines.core.policy import constant_policy
from qc_gym.core.policy import Player
from single_item.dynamics import INSPECT, KERNEL, USE
from single_item.env import SingleItemEnv
from single_item.scenario import SingleItemScenario

_STATUS = ("not inspected", "good", "bad")


def _states() -> NDArray[np.void]:
    states = np.zeros(3, KERNEL.state_dtype)
    states["status"] = np.arange(3)
    return states


def tables(scenario: SingleItemScenario, observation: str) -> TabularModel[SingleItemScenario]:
    """Return the three states of an item: not inspected, good, bad."""
    p, gain, loss = scenario.defect_rate, scenario.gain, scenario.loss
    # What the world does at INSPECT where it is known already: it ends, and nothing is paid.
    rewards = np.array(
        [[(1 - p) * gain - p * loss, 0, -scenario.inspection_cost], [gain, 0, 0], [-loss, 0, 0]]
    )
    first = np.full(10, 2)
    first[:3] = 0
    return TabularModel(
        kernel=KERNEL,
        scenario=scenario,
        observation=observation,
        make_states=_states,
        rewards=rewards,
        allowed=np.array([[True, True, True], [True, True, False], [True, True, False]]),
        first=first,
        successors=np.array([1, 2], np.int32),
        probabilities=np.array([1 - p, p]),
        initial_states=np.zeros(1, np.int64),
        initial_probabilities=np.ones(1),
    )


class SingleItemOptimum(TabularOptimum[SingleItemScenario]):
    """The optimum of a single item."""

    def designs(self) -> Mapping[str, Reference]:
        return {
            "trusting": Reference(
                "uses it as it is", lambda: (constant_policy(self.model, USE), {})
            )
        }

    def describe_state(self, row: int) -> str:
        return f"the item is {_STATUS[row]}"

    def describe_action(self, row: int, action: int) -> str:
        return self.scenario.action_names[action]

    def plan(self) -> Plan:
        return Plan(
            title="What to do with the item",
            facts=(Fact("expected gain", self.value, "money"),),
            guidance=(),
            columns={"where": "what is known of the item", "do": "what to do"},
            rows=tuple(
                {"where": self.describe_state(row), "do": self.describe_action(row, int(action))}
                for row, action in enumerate(self.policy.actions)
            ),
            scenario=self.scenario.model_dump(mode="json"),
        )

    def figures(self, policies: Mapping[str, Player]) -> dict[str, Figure]:
        figure = Figure()
        ax = figure.subplots()
        for name, policy in self.tables(policies).items():
            ax.plot(policy.probabilities[:, INSPECT], label=name)
        return {"inspects": figure}


def solve(scenario: SingleItemScenario, observation: str = "belief") -> SingleItemOptimum:
    """Return the optimum of a single item."""
    return SingleItemOptimum.of(tables(scenario, observation))


FAMILY = Family(SingleItemEnv, solve)
