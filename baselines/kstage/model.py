"""K-stage inspection as tables, and the whole table of costs behind its optimum."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from baselines.core.model import TabularModel
from baselines.core.policy import TabularPolicy
from qc_gym.core.kernel import Kernel
from qc_gym.kstage.dynamics import UNDECIDED
from qc_gym.kstage.scenario import KStageScenario
from qc_gym.kstage.steady_state import SteadyState

KStageModel = TabularModel[KStageScenario]
KStagePolicy = TabularPolicy[KStageScenario]


def build_model(scenario: KStageScenario, observation: str = "belief") -> KStageModel:
    """Return the decision problem: one state, in which K is decided."""
    choices = scenario.max_stages + 1
    return TabularModel(
        kernel=scenario.kernel,
        scenario=scenario,
        observation=observation,
        make_states=partial(_states, scenario.kernel),
        rewards=0.0 - scenario.costs(scenario.fraction_defective)[np.newaxis],
        allowed=np.ones((1, choices), np.bool_),
        first=np.zeros(choices + 1, np.int64),
        successors=np.zeros(0, np.int32),
        probabilities=np.zeros(0),
        initial_states=np.zeros(1, np.int64),
        initial_probabilities=np.ones(1),
    )


def steady_states(scenario: KStageScenario) -> SteadyState:
    """Return the plant's steady state with K = 0, …, max_stages; arrays (max_stages + 1,).

    It is the table by which Yang (2010, section 3.3) finds the best K: all of them.
    """
    return scenario.steady_state(scenario.fraction_defective, np.arange(scenario.max_stages + 1))


def _states(kernel: Kernel) -> NDArray[np.void]:
    states = np.zeros(1, kernel.state_dtype)
    states["stages"] = UNDECIDED
    return states
