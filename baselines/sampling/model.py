"""Sequential sampling as tables (Wald 1947; Arrow, Blackwell & Girshick 1949)."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from baselines.core.budget import check_budget
from baselines.core.model import TabularModel
from baselines.core.policy import TabularPolicy
from baselines.sampling.characteristics import lattice_counts, lattice_size
from baselines.sampling.posterior import posterior
from qc_gym.core.lattice import row_start
from qc_gym.sampling.dynamics import (
    ACCEPT,
    CONFORMING,
    DEFECTIVE,
    INSPECT,
    KERNEL,
    NO_RESULT,
    NUM_ACTIONS,
    REJECT,
)
from qc_gym.sampling.scenario import SequentialSamplingScenario

_RESULTS = 3
_BYTES_PER_STATE = 200
"""Of the tables, their solution and a policy."""

SamplingModel = TabularModel[SequentialSamplingScenario]
SamplingPolicy = TabularPolicy[SequentialSamplingScenario]


def build_model(scenario: SequentialSamplingScenario, observation: str = "belief") -> SamplingModel:
    """Return the decision problem: its states are the counts (n, d), in the order of the lattice.

    With ``observation="outcome"`` each point of the lattice is three states, one for each last
    result (none, conforming, defective), because that is what the agent sees.

    Raises
    ------
    StateBudgetError
        The tables would take more memory than is allowed.
    """
    split = _RESULTS if observation == "outcome" else 1
    points = lattice_size(scenario.max_samples)
    check_budget(
        f"max_samples = {scenario.max_samples:,} makes",
        points * split,
        _BYTES_PER_STATE,
        "baselines.sampling.stopping_bounds(scenario) gives the value and the acceptance and "
        "rejection numbers without tables",
    )
    known = posterior(scenario)
    inspected_before_last = row_start(scenario.max_samples)
    num_states, continuing = points * split, inspected_before_last * split
    rewards = np.empty((points, NUM_ACTIONS))
    rewards[:, INSPECT] = -known.reject_loss
    rewards[:inspected_before_last, INSPECT] = -scenario.inspection_cost
    rewards[:, ACCEPT] = -known.accept_loss
    rewards[:, REJECT] = -known.reject_loss
    allowed = np.ones((num_states, NUM_ACTIONS), np.bool_)
    allowed[continuing:, INSPECT] = False
    successions = np.zeros((num_states, NUM_ACTIONS), np.int64)
    successions[:continuing, INSPECT] = 2
    first = np.zeros(num_states * NUM_ACTIONS + 1, np.int64)
    np.cumsum(successions.ravel(), out=first[1:])
    prob_defective = np.repeat(known.prob_defective[:inspected_before_last], split)
    return TabularModel(
        kernel=KERNEL,
        scenario=scenario,
        observation=observation,
        make_states=partial(_states, scenario.max_samples, split),
        rewards=np.repeat(rewards + 0.0, split, axis=0),  # + 0.0 makes −0.0 a plain zero
        allowed=allowed,
        first=first,
        successors=_successors(scenario.max_samples, split),
        probabilities=np.stack([1.0 - prob_defective, prob_defective], axis=1).ravel(),
        initial_states=np.zeros(1, np.int64),
        initial_probabilities=np.ones(1),
    )


def _successors(max_samples: int, split: int) -> NDArray[np.int32]:
    """Return the states after a conforming and after a defective item, interleaved."""
    n = lattice_counts(max_samples)[0][: row_start(max_samples)]
    conforming = np.arange(len(n)) + n + 1
    defective = conforming + 1
    if split > 1:
        conforming = np.repeat(conforming * split + CONFORMING, split)
        defective = np.repeat(defective * split + DEFECTIVE, split)
    return np.stack([conforming, defective], axis=1).ravel().astype(np.int32)


def _states(max_samples: int, split: int) -> NDArray[np.void]:
    n, d = lattice_counts(max_samples)
    states = np.zeros(len(n) * split, KERNEL.state_dtype)
    states["n"], states["d"] = np.repeat(n, split), np.repeat(d, split)
    states["last_result"] = np.tile(np.arange(NO_RESULT, split), len(n)) if split > 1 else NO_RESULT
    return states
