"""The evidence for an optimum: its residual, the width of its bounds, and a simulation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from baselines.core.policy import TabularPolicy
from qc_gym.core.noise import streams
from qc_gym.core.numbers import whole_number
from qc_gym.core.scenario import Scenario
from qc_gym.core.vector import QCVectorEnv


class OracleError(AssertionError):
    """An identity that must hold between an optimum and a policy's value does not: a bug."""


@dataclass(frozen=True)
class Simulation:
    """Returns of simulated episodes of the environment, with its hidden truth.

    Attributes
    ----------
    mean, stderr
        Mean return and its standard error, in money.
    mean_length
        Mean number of decisions in an episode.
    episodes
        Number of episodes.
    """

    mean: float
    stderr: float
    mean_length: float
    episodes: int


@dataclass(frozen=True)
class Certificate:
    """Evidence that an optimum is one.

    Attributes
    ----------
    bellman_residual
        Largest violation of the optimality equation, in money.
    value
        The optimal value.
    simulation
        Returns of the optimal policy in the environment, or None if it was not simulated.
    width
        Distance of the certified bounds on the value, in money; 0.0 where the solution is exact.
    """

    bellman_residual: float
    value: float
    simulation: Simulation | None = None
    width: float = 0.0

    @property
    def deviation(self) -> float | None:
        """Simulated mean minus value, in standard errors."""
        if self.simulation is None:
            return None
        difference = self.simulation.mean - self.value
        return difference / self.simulation.stderr if self.simulation.stderr else difference


def simulate(policy: TabularPolicy[Scenario], episodes: int, seed: int) -> Simulation:
    """Play whole episodes of a tabulated policy in the environment, in one compiled loop.

    Parameters
    ----------
    episodes
        Number of episodes, at least 2.
    seed
        Seed of all randomness.
    """
    episodes, seed = whole_number("episodes", episodes, 2), whole_number("seed", seed, 0)
    model = policy.model
    returns = np.empty(episodes)
    lengths = np.empty(episodes, np.int64)
    missing = model.kernel.roll_out(
        model.record,
        np.zeros(1, model.kernel.state_dtype),
        streams(np.random.default_rng(seed), 1),
        model.observation == "outcome",
        model.keys,
        policy.probabilities,
        returns,
        lengths,
    )
    if missing >= 0:
        raise OracleError(f"the environment came to a state, key {missing}, not in the model")
    # Around the first, so that returns which are all the same have no error, that of rounding neither.
    around = returns - returns[0]
    return Simulation(
        mean=float(returns[0] + around.mean()),
        stderr=float(around.std(ddof=1) / math.sqrt(episodes)),
        mean_length=float(lengths.mean()),
        episodes=episodes,
    )


def simulate_policy(policy: Any, env: QCVectorEnv, seed: int) -> Simulation:
    """Play one whole episode of a policy in each sub-environment, asking it at every step.

    For policies that are not tables: :func:`simulate` is quicker.

    Parameters
    ----------
    env
        A vector environment with as many sub-environments as there are episodes, at least 2.
    seed
        Seed of all randomness.
    """
    if env.num_envs < 2:
        raise ValueError(f"env.num_envs = {env.num_envs}: at least 2 episodes are needed")
    env.np_random = np.random.default_rng(seed)  # quicker than a seed for each sub-environment
    observations, _ = env.reset()
    returns, lengths = np.zeros((2, env.num_envs))
    memory: Any = None
    starts = np.ones(env.num_envs, np.bool_)
    playing = starts.copy()
    while playing.any():
        actions, memory = policy.predict(observations, state=memory, episode_start=starts)
        observations, rewards, terminated, truncated, _ = env.step(np.asarray(actions))
        returns[playing] += rewards[playing]
        lengths[playing] += 1
        playing &= ~(terminated | truncated)
        starts = np.zeros(env.num_envs, np.bool_)
    return Simulation(
        mean=float(returns.mean()),
        stderr=float(returns.std(ddof=1) / math.sqrt(env.num_envs)),
        mean_length=float(lengths.mean()),
        episodes=env.num_envs,
    )
