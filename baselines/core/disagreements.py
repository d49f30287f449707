"""Where a policy's regret comes from: the states at which it acts otherwise than the optimum.

By the performance difference identity the regret is the sum over states s and actions a of the
expected number of times that the policy takes a in s, times the gap V*(s) − Q*(s, a). Each term is
the money that this one disagreement costs, so that the shares add up to the whole regret.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from baselines.core.model import ScenarioT_co, TabularModel
from baselines.core.scoring import play
from qc_gym.core.policy import Player
from qc_gym.core.vector import QCVectorEnv


@dataclass(frozen=True)
class Disagreement:
    """A state at which a policy does not do what the optimum does, and what that costs.

    Attributes
    ----------
    state
        The state in words.
    optimum, policy
        What the optimum and what the policy does there.
    occupancy
        Expected number of times in an episode that the policy does it.
    gap
        V*(s) − Q*(s, a), what it loses each time, in money.
    regret
        ``occupancy · gap``, its part of the regret, in money.
    share
        That part as a share of the whole regret.
    """

    state: str
    optimum: str
    policy: str
    occupancy: float
    gap: float
    regret: float
    share: float


def simulated_flow(
    model: TabularModel[ScenarioT_co], player: Player, arena: QCVectorEnv, episodes: int, seed: int
) -> NDArray[np.float64]:
    """Return the mean number of times that a policy takes each action in each state, (S, A).

    Parameters
    ----------
    arena
        A vector environment of the model's scenario with ``SAME_STEP`` autoreset.
    episodes
        Number of episodes; rounded up to a multiple of the number of sub-environments.
    """
    flow = np.zeros(model.rewards.shape)
    for actions, _, active in play(player, arena, episodes, seed):
        rows = model.rows_of_states(arena.states[active])
        np.add.at(flow, (rows, actions[active]), 1.0)
    return flow / (-(-episodes // arena.num_envs) * arena.num_envs)


def largest_terms(
    flow: NDArray[np.float64], gaps: NDArray[np.float64], top: int
) -> Iterator[tuple[int, int, float, float, float]]:
    """Yield (state, action, occupancy, gap, share) of the costliest disagreements, the worst first.

    Parameters
    ----------
    flow
        How often the policy takes each action in each state, (S, A).
    gaps
        V*(s) − Q*(s, a), (S, A).
    top
        How many at most.
    """
    # Where the flow is zero the gap may be infinite: an action that leads where nothing ends.
    terms = np.multiply(flow, gaps, out=np.zeros_like(flow), where=flow > 0)
    total = terms.sum()
    # Stable, so that equal terms come in the order of the states.
    order = np.argsort(-terms, axis=None, kind="stable")[:top]
    for row, action in zip(*np.unravel_index(order, terms.shape), strict=True):
        if terms[row, action] > 0:
            share = float(terms[row, action] / total)
            yield int(row), int(action), float(flow[row, action]), float(gaps[row, action]), share
