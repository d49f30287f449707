"""The evidence for an optimum: its residual, the width of its bounds, and a simulation."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from baselines.core.policy import TabularPolicy
from qc_gym.core.noise import streams
from qc_gym.core.numbers import whole_number
from qc_gym.core.policy import Player
from qc_gym.core.scenario import Scenario
from qc_gym.core.vector import QCVectorEnv

ROUNDING = 1e-9
"""Error that rounding may make, as a share of the money at stake."""
_RESIDUAL = 1e-7
"""Largest violation of the optimality equation that is no failure, as a share of the same."""
_CHANCE = math.log(2.0 / 1e-9)
"""Minus the logarithm of half the probability that a simulation is too far on one side by chance: one in
1000 million, and a failure is simulated again."""


def rounding(stakes: float) -> float:
    """Return the error that rounding may make where so much money is at stake."""
    return ROUNDING * stakes + sys.float_info.min  # below which it is no longer relative


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
    stakes
        The money that changes hands in an episode, by which rounding is measured.
    simulation
        Returns of the optimal policy in the environment, or None if it was not simulated.
    width
        Distance of the certified bounds on the value, in money; 0.0 where the solution is exact.
    span
        By how much the returns of two episodes can differ, in money: what an event that is too rare
        for the simulation to have seen may be worth.
    """

    bellman_residual: float
    value: float
    stakes: float
    simulation: Simulation | None = None
    width: float = 0.0
    span: float = 0.0

    @property
    def chance(self) -> float:
        """By how much the simulated mean may be away from the value by chance, in money.

        The empirical Bernstein bound (Maurer & Pontil 2009, theorem 4), which counts on no normal
        distribution: 6.5 standard errors, and 50 spans in as many episodes as there were.
        """
        if self.simulation is None:
            return math.inf
        seen = math.sqrt(2.0 * _CHANCE) * self.simulation.stderr
        return seen + 7.0 * _CHANCE * self.span / (3.0 * (self.simulation.episodes - 1))

    @property
    def deviation(self) -> float | None:
        """Simulated mean minus value, in standard errors; 0.0 where they differ by rounding only.

        None if it was not simulated; infinite where no two episodes differed and the value is another.
        """
        if self.simulation is None:
            return None
        difference = self.simulation.mean - self.value
        if abs(difference) <= self.width + rounding(self.stakes):
            return 0.0
        if self.simulation.stderr == 0.0:
            return math.copysign(math.inf, difference)
        return difference / self.simulation.stderr

    @property
    def passed(self) -> bool | None:
        """Whether the evidence holds; None where nothing was simulated and the residual is in order."""
        if self._misses:
            return False
        deviation = self.deviation
        return None if deviation is None else deviation == 0.0 or self._is_chance

    @property
    def verdict(self) -> str:
        """What the evidence says, in words."""
        if self._misses:
            return f"FAILS: the optimality equation is missed by {self.bellman_residual:.3g}"
        deviation = self.deviation
        if deviation is None:
            return "not simulated"
        assert self.simulation is not None
        if not self.passed:
            if self.simulation.stderr == 0.0:
                difference = self.simulation.mean - self.value
                return (
                    f"FAILS: the simulation is {difference:+.6g} away, and no two episodes differed"
                )
            return f"FAILS: the simulation is {deviation:+.1f} standard errors away"
        if abs(deviation) > math.sqrt(2.0 * _CHANCE):
            return "agrees with the simulation, but for what is too rare to be seen in it"
        if self.simulation.stderr == 0.0:
            return "agrees with the simulation, in which no two episodes differed"
        return f"agrees with the simulation ({deviation:+.2f} standard errors, chance)"

    @property
    def _misses(self) -> bool:
        """Whether the optimality equation is missed by more than rounding, absolute where money is tiny."""
        return self.bellman_residual > _RESIDUAL * self.stakes + 2.0 * sys.float_info.min

    @property
    def _is_chance(self) -> bool:
        assert self.simulation is not None
        return abs(self.simulation.mean - self.value) <= self.width + self.chance


def confirmed(certificate: Certificate, simulate: Callable[[int, int], Simulation]) -> Certificate:
    """Return the certificate with a simulation, and where that fails with a longer one.

    The first may fail by a rare and costly event that it has not seen, so that its standard error is
    too small; a second one of ten times the episodes and with another seed decides.

    Parameters
    ----------
    simulate
        (factor, seed added) → a simulation of that many times the episodes.
    """
    found = replace(certificate, simulation=simulate(1, 0))
    return found if found.passed else replace(certificate, simulation=simulate(10, 1))


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
        model.scenario.table(),
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
    return _summary(returns, lengths)


def simulate_policy(player: Player, env: QCVectorEnv, seed: int) -> Simulation:
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
    observations, infos = env.reset()
    returns, lengths = np.zeros((2, env.num_envs))
    memory = None
    starts = np.ones(env.num_envs, np.bool_)
    playing = starts.copy()
    while playing.any():
        allowed = infos["action_mask"].astype(bool)
        actions, memory = player.act(observations, allowed, memory, starts)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        returns[playing] += rewards[playing]
        lengths[playing] += 1
        playing &= ~(terminated | truncated)
        starts = np.zeros(env.num_envs, np.bool_)
    return _summary(returns, lengths)


def _summary(
    returns: NDArray[np.float64], lengths: NDArray[np.float64] | NDArray[np.int64]
) -> Simulation:
    # Around the first, so that returns which are all the same have no error, that of rounding neither.
    around = returns - returns[0]
    return Simulation(
        mean=float(returns[0] + around.mean()),
        stderr=float(around.std(ddof=1) / math.sqrt(len(returns))),
        mean_length=float(np.mean(lengths)),
        episodes=len(returns),
    )
