"""The score of a policy: its true value against the optimum.

A policy without memory is tabulated on all decision states and evaluated exactly. One with memory is
scored by the sum of the gaps V*(s) − Q*(s, a) along simulated episodes of the environment: its
expectation is the regret, because the gaps of a policy telescope to V* − V (the performance
difference, Kakade & Langford 2002), and its variance vanishes as the policy approaches the optimum.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from baselines.core.certificate import Certificate, OracleError, simulate
from baselines.core.model import TabularModel
from baselines.core.policy import (
    TabularPolicy,
    constant_policy,
    extend,
    mask_arguments,
    tabulate,
    uniform_policy,
)
from baselines.core.solver import Evaluation, Optimum, bellman_residual, evaluate, solve
from qc_gym.core.vector import QCVectorEnv

_ROUNDING = 1e-9


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

    A family without tables gives its own class, with ``value`` to ``certificate`` and the members
    below; the scoring asks for nothing else.
    """

    value: float
    lower: float
    upper: float
    policy: TabularPolicy
    certificate: Certificate
    model: TabularModel
    optimum: Optimum

    @cached_property
    def random_value(self) -> float:
        """The value of uniformly random play over the allowed actions, in money."""
        return evaluate(self.model, uniform_policy(self.model).probabilities).value

    def score(
        self, policy: Any, features: NDArray[np.float32] | None, deterministic: bool | None
    ) -> Score | None:
        """Return the exact score of a policy, or None if it depends on memory."""
        probabilities = tabulate(policy, self.model, features, deterministic)
        return None if probabilities is None else score_exactly(self, probabilities)

    def tables(self, policies: Mapping[str, Any]) -> dict[str, TabularPolicy]:
        """Return the optimum and the given policies as tables; those with memory are left out."""
        tabulated = {"optimum": self.policy}
        for name, policy in policies.items():
            probabilities = tabulate(policy, self.model)
            if probabilities is not None:
                tabulated[name] = TabularPolicy(self.model, probabilities)
        return tabulated

    def gaps(self, states: NDArray[np.void], actions: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return V*(s) − Q*(s, a) at states of the environment, records (n,), and actions (n,)."""
        rows = self.model.rows_of_states(states)
        optimum = self.optimum
        return np.asarray(optimum.values[rows] - optimum.action_values[rows, actions])

    def certify(self, episodes: int, seed: int) -> Certificate:
        """Return the certificate with a simulation of the optimal policy added."""
        return replace(self.certificate, simulation=simulate(self.policy, episodes, seed))

    def reference_policies(self) -> dict[str, TabularPolicy]:
        """Return ``random`` and ``best_constant``: uniform play, and always the same action."""
        tables = self.model
        constants = [constant_policy(tables, action) for action in range(tables.num_actions)]
        values = [evaluate(tables, policy.probabilities).value for policy in constants]
        return {
            "random": uniform_policy(tables),
            "best_constant": constants[int(np.argmax(values))],
        }


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
    tolerance
        Bound on the error of an exact ``value``, in money; 0.0 where it is that of rounding.
    """

    value: float
    optimum: float
    regret: float
    normalised: float
    stderr: float
    exact: bool
    expected_length: float
    tolerance: float = 0.0


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
    return make_score(solution, regret, 0.0, True, evaluation.expected_length)


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
    solution: Any,
    policy: Any,
    env: QCVectorEnv,
    episodes: int,
    seed: int,
    deterministic: bool,
    features: NDArray[np.float32] | None = None,
) -> Score:
    """Return the score of a policy that may have memory, from the gaps along simulated episodes.

    Parameters
    ----------
    env
        A vector environment of the model's scenario with ``SAME_STEP`` autoreset.
    episodes
        Number of episodes; rounded up to a multiple of the number of sub-environments.
    features
        Numbers that the policy sees appended to the observations, (m,).
    """
    count, rounds = env.num_envs, -(-episodes // env.num_envs)
    lost, lengths = np.zeros((2, rounds, count))
    each = np.arange(count)
    for actions, played, active in play(policy, env, episodes, seed, deterministic, features):
        gaps = solution.gaps(env.states, actions)
        lost[played[active], each[active]] += gaps[active]
        lengths[played[active], each[active]] += 1
    if lost.min() < -_ROUNDING * max(1.0, abs(solution.value)):
        raise OracleError(f"an episode's gaps sum to {lost.min()!r}")
    stderr = float(lost.std(ddof=1) / math.sqrt(lost.size)) if lost.size > 1 else math.inf
    return make_score(solution, float(lost.mean()), stderr, False, float(lengths.mean()))


def play(
    policy: Any,
    env: QCVectorEnv,
    episodes: int,
    seed: int,
    deterministic: bool,
    features: NDArray[np.float32] | None = None,
) -> Iterator[tuple[NDArray[np.integer], NDArray[np.int64], NDArray[np.bool_]]]:
    """Play episodes of a policy that may have memory; yield before each step of the environment.

    Every sub-environment plays the same number of episodes, so that short ones are not favoured.

    Yields
    ------
    actions, played, active
        What the policy does now in each sub-environment, whose states are ``env.states``; how many
        episodes each has ended; whether it has any left. Shape (num_envs,).
    """
    if env.autoreset_mode is not AutoresetMode.SAME_STEP:
        raise ValueError(f"env.autoreset_mode = {env.autoreset_mode}: SAME_STEP is needed")
    count, rounds = env.num_envs, -(-episodes // env.num_envs)
    # Not seed itself: sub-environment i + 1 would then play what i plays with the next seed.
    seeds = np.random.default_rng(seed).integers(2**63, size=count)
    observations, infos = env.reset(seed=seeds.tolist())
    memory: Any = None
    starts = np.ones(count, np.bool_)
    played = np.zeros(count, np.int64)
    while (active := played < rounds).any():
        allowed = infos["action_mask"].astype(bool)
        answer, memory = policy.predict(
            extend(observations, features),
            state=memory,
            episode_start=starts,
            deterministic=deterministic,
            **mask_arguments(policy.predict, allowed),
        )
        actions = np.asarray(answer)
        yield actions, played, active
        observations, _, terminated, truncated, infos = env.step(actions)
        starts = terminated | truncated
        played += starts & active


def make_score(
    solution: Any,
    regret: float,
    stderr: float,
    exact: bool,
    expected_length: float,
    tolerance: float = 0.0,
) -> Score:
    """Return the score of a policy of that regret; see :class:`Score`."""
    range_ = solution.value - solution.random_value
    return Score(
        value=solution.value - regret,
        optimum=solution.value,
        regret=regret,
        normalised=1.0 - regret / range_ if range_ > 0 else 1.0,
        stderr=stderr,
        exact=exact,
        expected_length=expected_length,
        tolerance=tolerance,
    )
