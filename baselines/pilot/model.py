"""The pilot run as tables: a lattice of counts on which every test leads to a later row."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from baselines.core.budget import StateBudgetError
from baselines.core.model import TabularModel
from baselines.core.policy import TabularPolicy
from baselines.pilot.beliefs import Beliefs, Floats
from baselines.pilot.lattice import plan_payoffs
from qc_gym.pilot.dynamics import COMMIT, KERNEL, NO_TEST, NODES, NUM_ACTIONS, OUTCOMES
from qc_gym.pilot.scenario import MAX_STATES, PilotRunScenario

Points = NDArray[np.int64]
PilotModel = TabularModel[PilotRunScenario]
PilotPolicy = TabularPolicy[PilotRunScenario]


def build_model(beliefs: Beliefs, observation: str = "belief") -> PilotModel:
    """Return the decision problem: its states are the counts, in the order of their keys.

    With ``observation="outcome"`` each is as many states as the last test can have been there.

    Raises
    ------
    StateBudgetError
        With outcomes, more than ``MAX_STATES`` states.
    """
    points = np.indices(beliefs.shape, np.int32).reshape(NODES, -1)
    rows, last = np.arange(points.shape[1]), np.zeros(points.shape[1], np.int64)
    if observation == "outcome":
        rows, last = np.nonzero(_possible_outcomes(beliefs, points))
        if len(rows) > MAX_STATES:
            raise StateBudgetError(
                f"scenario: max_samples make {len(rows):,} states of counts and last test, more than "
                f"{MAX_STATES:,}; lower max_samples, or take observation='belief'"
            )
    allowed = np.ones((len(rows), NUM_ACTIONS), np.bool_)
    chances = np.empty((len(rows), NODES, 2))
    for k, axis in enumerate(beliefs.axes):
        point = points[k, rows]
        allowed[:, k] = axis.n[point] < axis.node.max_samples
        chances[:, k, 1] = axis.mean[point]
        chances[:, k, 0] = 1.0 - axis.mean[point]
    successions = np.zeros((len(rows), NUM_ACTIONS), np.int8)
    successions[:, :NODES] = 2 * allowed[:, :NODES]
    first = np.zeros(successions.size + 1, np.int64)
    np.cumsum(successions, out=first[1:])
    split = observation == "outcome"
    after = _successors(beliefs, points, rows, last, split)
    return TabularModel(
        kernel=KERNEL,
        scenario=beliefs.scenario,
        observation=observation,
        make_states=partial(_states, beliefs, points[:, rows], last),
        rewards=_rewards(beliefs, rows, allowed),
        allowed=allowed,
        first=first,
        successors=after[allowed[:, :NODES]].ravel(),
        probabilities=chances[allowed[:, :NODES]].ravel(),
        initial_states=np.zeros(1, np.int64),
        initial_probabilities=np.ones(1),
    )


def _rewards(beliefs: Beliefs, rows: Points, allowed: NDArray[np.bool_]) -> Floats:
    """Return the expected rewards, (S, 19): a test that is not allowed acts as plan 0."""
    rewards = np.empty((len(rows), NUM_ACTIONS))
    rewards[:, COMMIT:] = plan_payoffs(beliefs)[rows]
    costs = beliefs.scenario.record()["sample_cost"]
    rewards[:, :COMMIT] = np.where(allowed[:, :COMMIT], -costs, rewards[:, [COMMIT]])
    return rewards


def lattice_rows(model: PilotModel) -> Points:
    """Return the row of the lattice of each state of the tables, (S,)."""
    rows = model.keys.astype(np.int64)
    return rows // OUTCOMES if model.observation == "outcome" else rows


def _possible_outcomes(beliefs: Beliefs, points: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which last tests, of ``OUTCOMES``, can have led to each point, (P, OUTCOMES)."""
    possible = np.zeros((points.shape[1], OUTCOMES), np.bool_)
    possible[0, 0] = True
    for k, axis in enumerate(beliefs.axes):
        n, d = axis.n[points[k]], axis.d[points[k]]
        possible[:, 1 + 2 * k], possible[:, 2 + 2 * k] = n > d, d > 0
    return possible


def _successors(
    beliefs: Beliefs, points: NDArray[np.int32], rows: Points, last: Points, split: bool
) -> NDArray[np.int32]:
    """Return the states after a good and after a defective item of each node, (S, 3, 2).

    Where there is no such test, a number without meaning.
    """
    strides = beliefs.strides
    after = np.empty((len(rows), NODES, 2), np.int32)
    place = np.zeros(1, np.int32)
    if split:
        place = np.zeros(points.shape[1] * OUTCOMES, np.int32)
        place[rows * OUTCOMES + last] = np.arange(len(rows), dtype=np.int32)
    for k, axis in enumerate(beliefs.axes):
        for found in (0, 1):
            target = rows + strides[k] * (axis.n[points[k, rows]] + 1 + found)
            if split:
                target = place[np.minimum(target * OUTCOMES + 1 + 2 * k + found, len(place) - 1)]
            after[:, k, found] = target
    return after


def _states(beliefs: Beliefs, points: NDArray[np.int32], last: Points) -> NDArray[np.void]:
    states = np.zeros(points.shape[1], KERNEL.state_dtype)
    for k, axis in enumerate(beliefs.axes):
        states["n"][:, k], states["d"][:, k] = axis.n[points[k]], axis.d[points[k]]
    states["last_tested"] = np.where(last == 0, NO_TEST, (last - 1) // 2)
    states["last_defective"] = (last > 0) & (last % 2 == 0)
    return states
