"""Exact optima of the environments of ``qc_gym``, reference policies, and the score of any policy.

Examples
--------
>>> import gymnasium as gym, qc_gym, baselines
>>> env = gym.make("qc_gym/SequentialSampling-v0", scenario="aql10-rql20")
>>> round(baselines.solve(env).value, 4)
-60.2155
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from baselines.core.certificate import Certificate, OracleError, Simulation, simulate
from baselines.core.disagreements import (
    Disagreement,
    describe_record,
    exact_flow,
    largest_terms,
    simulated_flow,
)
from baselines.core.model import TabularModel
from baselines.core.policy import (
    Policy,
    TabularPolicy,
)
from baselines.core.scoring import Score, Solution, score_by_simulation, solve_model
from baselines.core.solver import ImproperPolicyError, evaluate
from qc_gym.core.env import QCEnv
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.scenario import Scenario
from qc_gym.core.vector import QCVectorEnv, vector_type

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from baselines.lot.solution import LotSolution

__all__ = [
    "Certificate",
    "Disagreement",
    "ImproperPolicyError",
    "OracleError",
    "Policy",
    "Score",
    "Simulation",
    "Solution",
    "TabularModel",
    "TabularPolicy",
    "certify",
    "disagreements",
    "evaluate",
    "figures",
    "instructions",
    "model",
    "reference_policies",
    "score",
    "simulate",
    "solve",
]


def model(env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any]) -> TabularModel:
    """Return the decision problem of an environment as tables.

    Raises
    ------
    TypeError
        A family whose beliefs are too many for tables.
    """
    solution = solve(env)
    if not isinstance(solution, Solution):
        raise TypeError(
            f"env = {env!r}: its beliefs are a continuum, so that there are no tables of it; "
            "baselines.solve(env) gives its optimum between bounds"
        )
    return solution.model


def solve(
    env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any],
) -> Solution | LotSolution:
    """Return the exact optimum of an environment.

    A :class:`Solution`; for inspect-or-stop, whose beliefs are a continuum, a
    :class:`baselines.lot.LotSolution`, exact to its certified bounds.

    Solutions are kept: asking again for the same scenario costs nothing. With a range of
    scenarios, it is the optimum of the one that the last reset drew.

    Parameters
    ----------
    env
        An environment of ``qc_gym``, scalar or vector, wrapped or not.

    Raises
    ------
    TypeError
        Not an environment of ``qc_gym``.
    """
    return _problem(env).solution


def score(
    env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any],
    policy: Any,
    *,
    deterministic: bool | None = None,
    episodes: int = 10_000,
    seed: int = 0,
) -> Score:
    """Return what a policy is worth in an environment: its value, regret and normalised score.

    Exact for every policy without memory; simulated, with a standard error, for one with memory
    (and in inspect-or-stop for one that draws its actions).

    Parameters
    ----------
    env
        An environment of ``qc_gym``. With a range of scenarios, the policy is scored on the one
        that the last reset drew.
    policy
        Anything with stable-baselines3's ``predict``.
    deterministic
        True scores the policy's likeliest actions, False the actions that it draws (it then needs
        ``action_probabilities``, unless it has memory). None takes a policy of this package as its
        table says, any other as deterministic.
    episodes, seed
        For a policy with memory: episodes to simulate, and their seed.

    Raises
    ------
    TypeError
        Not an environment of ``qc_gym``, or not a policy.
    OracleError
        The policy appears to beat the optimum: a bug in this package.
    """
    if not isinstance(episodes, int) or episodes < 1:
        raise ValueError(f"episodes = {episodes!r}: a whole number of at least 1 is needed")
    problem = _problem(env)
    solution = problem.solution
    exact = solution.score(policy, problem.features, deterministic)
    if exact is not None:
        return exact
    arena, deterministic = _arena(problem, policy, deterministic, episodes)
    return score_by_simulation(
        solution, policy, arena, episodes, seed, deterministic, problem.features
    )


def disagreements(
    env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any],
    policy: Any,
    *,
    top: int = 10,
    deterministic: bool | None = None,
    episodes: int = 10_000,
    seed: int = 0,
) -> list[Disagreement]:
    """Return where a policy's regret comes from: its costliest departures from the optimum.

    Exact for every policy without memory; for one with memory, how often it comes to a state is
    simulated, and for every policy of inspect-or-stop, whose beliefs are told in ranges
    (:func:`baselines.lot.disagreements`). A policy that may never end has no finite regret to
    share out: the list is empty.

    Parameters
    ----------
    env, policy, deterministic, episodes, seed
        As for :func:`score`.
    top
        How many at most, the costliest first.

    Raises
    ------
    TypeError
        Not an environment of ``qc_gym``, or not a policy.
    """
    for name, value in {"top": top, "episodes": episodes}.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} = {value!r}: a whole number of at least 1 is needed")
    problem = _problem(env)
    solution, room = problem.solution, _room(problem.env_type.family)
    if not isinstance(solution, Solution):
        arena, deterministic = _arena(problem, policy, deterministic, episodes)
        departures: list[Disagreement] = room.disagreements(
            solution, policy, arena, episodes, seed, deterministic, problem.features
        )
        return departures[:top]
    tables = solution.model
    flow = exact_flow(tables, policy, problem.features, deterministic)
    if flow is None:
        arena, deterministic = _arena(problem, policy, deterministic, episodes)
        flow = simulated_flow(
            tables, policy, arena, episodes, seed, deterministic, problem.features
        )
    describe_state = getattr(room, "describe_state", describe_record)
    return [
        Disagreement(
            state=describe_state(tables, row),
            optimum=_describe_action(problem, tables, row, int(solution.policy.actions[row])),
            policy=_describe_action(problem, tables, row, action),
            occupancy=occupancy,
            gap=gap,
            regret=occupancy * gap,
            share=share,
        )
        for row, action, occupancy, gap, share in largest_terms(solution, flow, top)
    ]


def certify(
    env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any],
    *,
    episodes: int = 100_000,
    seed: int = 0,
) -> Certificate:
    """Return the evidence for an environment's optimum: Bellman residual and a simulation."""
    return solve(env).certify(episodes, seed)


def reference_policies(
    env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any],
) -> dict[str, Policy]:
    """Return the policies that a practitioner would use, by name.

    In every family: ``random`` (uniform over the allowed actions) and ``best_constant`` (the best
    policy that always does the same); the others are those of ``baselines.<family>``.
    """
    problem = _problem(env)
    solution = problem.solution
    room = _room(problem.env_type.family)
    return {**solution.reference_policies(), **room.reference_policies(solution)}


def figures(
    env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any],
    policies: Mapping[str, Any],
) -> dict[str, Figure]:
    """Return the pictures that a family draws of policies beside its optimum, by name.

    Parameters
    ----------
    policies
        Policies by name; those that the family's pictures cannot show, for instance because they
        have memory, are left out.
    """
    problem = _problem(env)
    module = importlib.import_module(f"baselines.{problem.env_type.family}.figures")
    drawn: dict[str, Figure] = module.figures(problem.solution, policies)
    return drawn


def instructions(env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any]) -> str:
    """Return the optimum in words, as a person on the line can follow it."""
    problem = _problem(env)
    text: str = _room(problem.env_type.family).instructions(problem.solution)
    return text


class _Problem(NamedTuple):
    """What an environment asks: its class, scenario, observation, and what extends the latter."""

    env_type: type[QCEnv]
    scenario: Scenario
    observation: str
    features: NDArray[np.float32] | None

    @property
    def solution(self) -> Solution | LotSolution:
        return _solution(self.env_type.family, self.scenario, self.observation)


def _problem(env: Any) -> _Problem:
    inner = getattr(env, "unwrapped", None)
    if isinstance(inner, QCEnv):
        features = None
        if isinstance(inner.scenarios, ScenarioRange):
            features = inner.scenarios.features(inner.scenario)
        return _Problem(type(inner), inner.scenario, inner.observation, features)
    if isinstance(inner, QCVectorEnv):
        if isinstance(inner.scenarios, Scenario) and len(set(inner.scenario_of)) == 1:
            return _Problem(inner.env_type, inner.scenarios, inner.observation, None)
        raise TypeError(
            "env: a vector environment whose sub-environments play different scenarios has no one "
            "optimum; ask with a scalar environment of the scenario"
        )
    raise TypeError(
        f"env = {env!r}: an environment of qc_gym is needed, for instance "
        "gymnasium.make('qc_gym/SequentialSampling-v0')"
    )


def _arena(
    problem: _Problem, policy: Any, deterministic: bool | None, episodes: int
) -> tuple[QCVectorEnv, bool]:
    """Return where a policy that has no exact score is simulated, and whether deterministically."""
    arena = vector_type(problem.env_type)(
        min(episodes, 256), problem.scenario, problem.observation, autoreset_mode="SameStep"
    )
    if deterministic is None:  # the package's own policies are taken as they stand
        deterministic = not isinstance(policy, type(problem.solution.policy))
    return arena, deterministic


def _describe_action(problem: _Problem, tables: TabularModel, row: int, action: int) -> str:
    """Return an action in a state in the family's words, or by its name."""
    room = _room(problem.env_type.family)
    if hasattr(room, "describe_action"):
        words: str = room.describe_action(tables, row, action)
        return words
    return problem.env_type.action_names[action]


def _room(family: str) -> ModuleType:
    return importlib.import_module(f"baselines.{family}")


@lru_cache(maxsize=8)
def _solution(family: str, scenario: Scenario, observation: str) -> Solution | LotSolution:
    room = _room(family)
    if hasattr(room, "solve"):  # a family whose optimum does not come from tables
        solution: LotSolution = room.solve(scenario, observation)
        return solution
    return solve_model(room.model(scenario, observation))
