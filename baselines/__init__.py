"""Exact optima of the environments of ``qc_gym``, reference policies, and the score of any policy.

Examples
--------
>>> import baselines
>>> round(baselines.solve("qc_gym/SequentialSampling-v0", scenario="aql10-rql20").value, 4)
-60.2155
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from baselines.core.certificate import Certificate, OracleError, Simulation, simulate
from baselines.core.disagreements import Disagreement
from baselines.core.family import Family
from baselines.core.model import TabularModel
from baselines.core.optimum import Optimum
from baselines.core.plan import Fact, Plan
from baselines.core.policy import TabularPolicy
from baselines.core.problem import Problem, problem_of
from baselines.core.process import DecisionProcess
from baselines.core.references import NoPlanError, Reference, References
from baselines.core.scoring import Score, make_score, worth_by_simulation
from baselines.core.solver import ImproperPolicyError, evaluate
from baselines.core.stage import worth_on_stage
from baselines.core.tabular import TabularOptimum
from qc_gym.core.numbers import whole_number
from qc_gym.core.policy import Policy
from qc_gym.core.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Certificate",
    "DecisionProcess",
    "Disagreement",
    "Fact",
    "Family",
    "ImproperPolicyError",
    "NoPlanError",
    "Optimum",
    "OracleError",
    "Plan",
    "Policy",
    "Reference",
    "References",
    "Score",
    "Simulation",
    "TabularModel",
    "TabularOptimum",
    "TabularPolicy",
    "certify",
    "disagreements",
    "evaluate",
    "figures",
    "model",
    "plan",
    "reference_policies",
    "score",
    "simulate",
    "solve",
]

_FAMILIES = frozenset(module.name for module in pkgutil.iter_modules(__path__))
_ARENA = 256
"""Sub-environments in which policies are simulated, at most."""


def __getattr__(name: str) -> ModuleType:
    """Import a family's package when it is first named, as in ``baselines.sampling.risks``."""
    if name not in _FAMILIES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_FAMILIES})


def solve(env: Any, *, scenario: Any = None, observation: str | None = None) -> Optimum[Scenario]:
    """Return the exact optimum of an environment.

    Optima are kept: asking again for the same scenario costs nothing. With a range of
    scenarios, it is the optimum of the one that the last reset drew.

    Parameters
    ----------
    env
        An environment of ``qc_gym``, scalar or vector, wrapped or not; or the id of one.
    scenario, observation
        With an id: what ``gymnasium.make`` takes.

    Raises
    ------
    TypeError
        Not an environment of ``qc_gym``.
    OracleError
        The optimum does not stand its own check: a bug in this package.
    """
    return problem_of(env, scenario, observation).optimum


def model(
    env: Any, *, scenario: Any = None, observation: str | None = None
) -> TabularModel[Scenario]:
    """Return the decision problem of an environment as tables.

    Parameters
    ----------
    env, scenario, observation
        As for :func:`solve`.

    Raises
    ------
    TypeError
        A family whose beliefs are too many for tables.
    """
    optimum = solve(env, scenario=scenario, observation=observation)
    if not isinstance(optimum, TabularOptimum):
        raise TypeError(
            f"env = {env!r}: its beliefs are a continuum, so that there are no tables of it; "
            "baselines.solve(env) gives its optimum between bounds"
        )
    tables: TabularModel[Scenario] = optimum.model
    return tables


def score(
    env: Any,
    policy: Any,
    *,
    scenario: Any = None,
    observation: str | None = None,
    deterministic: bool | None = None,
    episodes: int = 10_000,
    seed: int = 0,
) -> Score:
    """Return what a policy is worth in an environment: its value, regret and normalised score.

    Exact for every policy without memory; simulated, with a standard error, for one with memory
    (and in inspect-or-stop for one that draws its actions).

    The policy is scored as it plays behind the environment's wrappers: what they make of
    observations, and the normalisation that a stable-baselines3 model was trained with, is applied as it
    stands. Behind wrappers with a memory of their own (frame stacks), and where a limit of steps may
    cut episodes off, the wrapped environment is simulated. Rewards are the environment's own: wrappers
    that change them do not count, which a warning says.

    Parameters
    ----------
    env, scenario, observation
        As for :func:`solve`. With a range of scenarios, the policy is scored on the one that the last
        reset drew.
    policy
        Anything with stable-baselines3's ``predict``; or a function or torch module that takes
        observations (B, size) and returns actions (B,) or logits (B, actions).
    deterministic
        True scores the policy's likeliest actions, False the actions that it draws (it then needs
        ``action_probabilities`` or logits, unless it has memory). None takes a policy of this package as
        its table says, any other as deterministic.
    episodes, seed
        For a policy that is simulated: episodes, and their seed.

    Raises
    ------
    TypeError
        Not an environment of ``qc_gym``, not a policy, or wrappers that cannot be scored behind.
    ValueError
        The policy's answers are no actions.
    OracleError
        The policy appears to beat the optimum: a bug in this package.
    """
    episodes, seed = whole_number("episodes", episodes, 1), whole_number("seed", seed, 0)
    problem = problem_of(env, scenario, observation)
    optimum, player = problem.optimum, problem.player(policy, deterministic)
    if problem.stage is not None:
        worth = worth_on_stage(optimum, player, problem.stage, episodes, seed)
    else:
        computed = optimum.evaluate(player)
        worth = computed or worth_by_simulation(
            optimum.gaps, optimum.stakes, player, _arena(problem, episodes), episodes, seed
        )
    return make_score(optimum.value, optimum.random_value, worth)


def disagreements(
    env: Any,
    policy: Any,
    *,
    scenario: Any = None,
    observation: str | None = None,
    top: int = 10,
    deterministic: bool | None = None,
    episodes: int = 10_000,
    seed: int = 0,
) -> list[Disagreement]:
    """Return where a policy's regret comes from: its costliest departures from the optimum.

    Exact for every policy without memory; for one with memory, how often it comes to a state is
    simulated, and for every policy of inspect-or-stop, whose beliefs are told in ranges
    (:mod:`baselines.lot.departures`). A policy that may never end has no finite regret to
    share out: the list is empty.

    Parameters
    ----------
    env, policy, scenario, observation, deterministic, episodes, seed
        As for :func:`score`.
    top
        How many at most, the costliest first.

    Raises
    ------
    TypeError
        Not an environment of ``qc_gym``, not a policy, or wrappers behind which the environment itself
        would have to be played.
    """
    top, episodes = whole_number("top", top, 1), whole_number("episodes", episodes, 1)
    seed = whole_number("seed", seed, 0)
    problem = _without_stage(problem_of(env, scenario, observation))
    player = problem.player(policy, deterministic)
    return problem.optimum.disagreements(player, _arena(problem, episodes), episodes, seed, top)


def certify(
    env: Any,
    *,
    scenario: Any = None,
    observation: str | None = None,
    episodes: int = 100_000,
    seed: int = 0,
) -> Certificate:
    """Return the evidence for an environment's optimum: Bellman residual and a simulation.

    Parameters
    ----------
    env, scenario, observation
        As for :func:`solve`.
    episodes
        To simulate, at least 2; 0 simulates nothing. Where the simulation fails, one of ten times
        as many decides.
    seed
        Of the simulation.
    """
    optimum = solve(env, scenario=scenario, observation=observation)
    if episodes == 0:
        return optimum.certificate
    return optimum.certify(whole_number("episodes", episodes, 2), whole_number("seed", seed, 0))


def reference_policies(
    env: Any, *, scenario: Any = None, observation: str | None = None, **asked: Any
) -> References:
    """Return the policies that a practitioner would use, by name, each designed when it is asked for.

    In every family: ``random`` (uniform over the allowed actions) and ``best_constant`` (the best
    policy that always does the same); the others are those of ``baselines.<family>``. Each tells what
    it is (``description``) and the numbers of its design (``design``).

    Parameters
    ----------
    env, scenario, observation
        As for :func:`solve`.
    asked
        What the family's plans are designed for. In sequential sampling: ``alpha`` and ``beta``, the
        producer's and the consumer's risk, ``aql`` (percent) and ``level`` of ISO 2859-1; see
        :func:`baselines.sampling.practice.references`.

    Raises
    ------
    TypeError
        No plan of the family is designed for such a number.
    ValueError
        A number that cannot be used.
    """
    optimum = solve(env, scenario=scenario, observation=observation)
    unknown = set(asked) - set(optimum.asks)
    if unknown:
        known = ", ".join(optimum.asks) or "nothing"
        raise TypeError(
            f"{', '.join(sorted(unknown))}: the plans of this environment are designed for {known} that "
            "is asked for"
        )
    return optimum.references(**asked)


def figures(
    env: Any,
    policies: Mapping[str, Any],
    *,
    scenario: Any = None,
    observation: str | None = None,
) -> dict[str, Figure]:
    """Return the pictures that a family draws of policies beside its optimum, by name.

    Parameters
    ----------
    env, scenario, observation
        As for :func:`solve`.
    policies
        Policies by name; those that the family's pictures cannot show, for instance because they
        have memory, are left out.
    """
    problem = _without_stage(problem_of(env, scenario, observation))
    players = {name: problem.player(policy) for name, policy in policies.items()}
    return problem.optimum.figures(players)


def plan(env: Any, *, scenario: Any = None, observation: str | None = None) -> Plan:
    """Return the optimum as a table for the shop floor, which a person on the line can follow.

    Its rows are given as ``.text()``, ``.csv()``, ``.json()`` and ``.html()``, a card to print.

    Parameters
    ----------
    env, scenario, observation
        As for :func:`solve`.
    """
    return solve(env, scenario=scenario, observation=observation).plan()


def _arena(problem: Problem, episodes: int) -> Any:
    return problem.family.arena(min(episodes, _ARENA), problem.scenario, problem.observation)


def _without_stage(problem: Problem) -> Problem:
    if problem.stage is not None:
        raise TypeError(
            f"env = {problem.stage!r}: behind its wrappers a policy is no map over the states; score() "
            "plays it"
        )
    return problem
