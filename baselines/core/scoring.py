"""The score of a policy: its true value against the optimum.

A policy without memory is tabulated on all decision states and evaluated exactly. One with memory is
scored by the sum of the gaps V*(s) − Q*(s, a) along simulated episodes of the environment: its
expectation is the regret, because the gaps of a policy telescope to V* − V (the performance
difference, Kakade & Langford 2002), and its variance vanishes as the policy approaches the optimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from baselines.core.model import TabularModel
from baselines.core.policy import TabularPolicy, mask_arguments, tabulate, uniform_policy
from baselines.core.solver import Evaluation, Optimum, bellman_residual, evaluate, solve
from qc_gym.core.noise import streams
from qc_gym.core.vector import QCVectorEnv

_ROUNDING = 1e-9


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
    """

    bellman_residual: float
    value: float
    simulation: Simulation | None = None

    @property
    def deviation(self) -> float | None:
        """Simulated mean minus value, in standard errors."""
        if self.simulation is None:
            return None
        difference = self.simulation.mean - self.value
        return difference / self.simulation.stderr if self.simulation.stderr else difference


@dataclass(frozen=True, eq=False)
class Solution:
    """The optimum of an environment.

    Attributes
    ----------
    value, lower, upper
        Optimal expected return of an episode, in money, and bounds on it (equal to it where the
        solution is exact).
    policy
        An optimal policy; it plays the environment through ``predict``.
    certificate
        The Bellman residual; :func:`baselines.certify` adds a simulation.
    model, optimum
        The tables behind it.
    """

    value: float
    lower: float
    upper: float
    policy: TabularPolicy
    certificate: Certificate
    model: TabularModel
    optimum: Optimum


@dataclass(frozen=True)
class Score:
    """What a policy is worth.

    Attributes
    ----------
    value
        Expected return of an episode, in money.
    optimum
        That of the optimal policy.
    regret
        ``optimum − value``, in money.
    normalised
        1 for the optimum, 0 for the uniformly random policy over the allowed actions.
    stderr
        Standard error of ``value``; 0.0 when exact.
    exact
        Whether the value was computed and not simulated.
    expected_length
        Expected number of decisions in an episode.
    """

    value: float
    optimum: float
    regret: float
    normalised: float
    stderr: float
    exact: bool
    expected_length: float


def solve_model(model: TabularModel) -> Solution:
    """Return the optimum of a model, with its Bellman residual."""
    optimum = solve(model)
    return Solution(
        value=optimum.value,
        lower=optimum.value,
        upper=optimum.value,
        policy=TabularPolicy.of(model, optimum.actions),
        certificate=Certificate(bellman_residual(model, optimum), optimum.value),
        model=model,
        optimum=optimum,
    )


def score_exactly(solution: Solution, probabilities: NDArray[np.float64]) -> Score:
    """Return the score of a policy given as probabilities over the states of the model, (S, A)."""
    model = solution.model
    evaluation = evaluate(model, probabilities)
    regret = solution.value - evaluation.value
    if math.isfinite(regret):
        _check_regret(solution, probabilities, evaluation, regret)
    return _score(solution, regret, 0.0, True, evaluation.expected_length)


def _check_regret(
    solution: Solution,
    probabilities: NDArray[np.float64],
    evaluation: Evaluation,
    regret: float,
) -> None:
    """Raise an OracleError unless regret = Σ occupancy · gap ≥ 0."""
    gap = (probabilities * solution.optimum.gaps()).sum(axis=1)
    reached = evaluation.occupancy > 0
    lost = float(evaluation.occupancy[reached] @ gap[reached])
    tolerance = _ROUNDING * max(1.0, abs(solution.value), abs(evaluation.value))
    if regret < -tolerance or abs(regret - lost) > tolerance:
        raise OracleError(f"regret {regret!r} is negative, or is not the sum of gaps {lost!r}")


def score_by_simulation(
    solution: Solution,
    policy: Any,
    env: QCVectorEnv,
    episodes: int,
    seed: int,
    deterministic: bool,
) -> Score:
    """Return the score of a policy that may have memory, from the gaps along simulated episodes.

    Every sub-environment plays the same number of episodes, so that short ones are not favoured.

    Parameters
    ----------
    env
        A vector environment of the model's scenario with ``SAME_STEP`` autoreset.
    episodes
        Number of episodes; rounded up to a multiple of the number of sub-environments.
    """
    if env.autoreset_mode is not AutoresetMode.SAME_STEP:
        raise ValueError(f"env.autoreset_mode = {env.autoreset_mode}: SAME_STEP is needed")
    model, gaps = solution.model, solution.optimum.gaps()
    count, rounds = env.num_envs, -(-episodes // env.num_envs)
    # Not seed itself: sub-environment i + 1 would then play what i plays with the next seed.
    seeds = np.random.default_rng(seed).integers(2**63, size=count)
    observations, infos = env.reset(seed=seeds.tolist())
    memory: Any = None
    starts = np.ones(count, np.bool_)
    lost, lengths = np.zeros((2, rounds, count))
    played = np.zeros(count, np.int64)
    each = np.arange(count)
    while (active := played < rounds).any():
        allowed = infos["action_mask"].astype(bool)
        actions, memory = policy.predict(
            observations,
            state=memory,
            episode_start=starts,
            deterministic=deterministic,
            **mask_arguments(policy, allowed),
        )
        rows = model.rows_of_states(env.states)
        lost[played[active], each[active]] += gaps[rows, actions][active]
        lengths[played[active], each[active]] += 1
        observations, _, terminated, truncated, infos = env.step(np.asarray(actions))
        starts = terminated | truncated
        played += starts & active
    if lost.min() < -_ROUNDING * max(1.0, abs(solution.value)):
        raise OracleError(f"an episode's gaps sum to {lost.min()!r}")
    stderr = float(lost.std(ddof=1) / math.sqrt(lost.size)) if lost.size > 1 else math.inf
    return _score(solution, float(lost.mean()), stderr, False, float(lengths.mean()))


def _score(
    solution: Solution, regret: float, stderr: float, exact: bool, expected_length: float
) -> Score:
    random_value = evaluate(solution.model, uniform_policy(solution.model).probabilities).value
    range_ = solution.value - random_value
    return Score(
        value=solution.value - regret,
        optimum=solution.value,
        regret=regret,
        normalised=1.0 - regret / range_ if range_ > 0 else 1.0,
        stderr=stderr,
        exact=exact,
        expected_length=expected_length,
    )


def simulate(policy: TabularPolicy, episodes: int, seed: int) -> Simulation:
    """Play whole episodes of a tabulated policy in the environment, in one compiled loop.

    Parameters
    ----------
    episodes
        Number of episodes, at least 2.
    seed
        Seed of all randomness.
    """
    if episodes < 2:
        raise ValueError(f"episodes = {episodes}: at least 2 are needed for a standard error")
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
        np.iinfo(np.int64).max,
        returns,
        lengths,
    )
    if missing >= 0:
        raise OracleError(f"the environment came to a state, key {missing}, not in the model")
    return Simulation(
        mean=float(returns.mean()),
        stderr=float(returns.std(ddof=1) / math.sqrt(episodes)),
        mean_length=float(lengths.mean()),
        episodes=episodes,
    )


def certify(solution: Solution, episodes: int, seed: int) -> Certificate:
    """Return the solution's certificate with a simulation of its policy added."""
    return Certificate(
        solution.certificate.bellman_residual,
        solution.value,
        simulate(solution.policy, episodes, seed),
    )


__all__ = [
    "Certificate",
    "OracleError",
    "Score",
    "Simulation",
    "Solution",
    "certify",
    "score_by_simulation",
    "score_exactly",
    "simulate",
    "solve_model",
    "tabulate",
]
