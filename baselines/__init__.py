"""Exact optima of the environments of ``qc_gym``, reference policies, and the score of any policy.

Examples
--------
>>> import baselines
>>> round(baselines.solve("qc_gym/SequentialSampling-v0", scenario="aql10-rql20").value, 4)
-60.2155
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.core.certificate import Certificate, OracleError, Simulation, simulate
from baselines.core.disagreements import Disagreement
from baselines.core.episodes import Episode, play_labelled
from baselines.core.exploration import Exploration
from baselines.core.family import Family
from baselines.core.many import Optima, Scores, optima_of
from baselines.core.model import TabularModel
from baselines.core.optimum import Optimum
from baselines.core.plan import Fact, Plan
from baselines.core.policy import TabularPolicy
from baselines.core.problem import Problem, env_type_of, problem_of
from baselines.core.process import DecisionProcess
from baselines.core.references import NoPlanError, Reference, References
from baselines.core.rule import Rule
from baselines.core.scoring import Score, make_score
from baselines.core.sensitivity import Sensitivity
from baselines.core.solver import ImproperPolicyError, evaluate
from baselines.core.sweep import vary
from baselines.core.tabular import TabularOptimum
from qc_gym.core.env import OBSERVATIONS, check_choice
from qc_gym.core.numbers import whole_number
from qc_gym.core.policy import DesignedPolicy, Policy, feature_lens
from qc_gym.core.population import read_population
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.registry import registration_of
from qc_gym.core.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Certificate",
    "DecisionProcess",
    "Disagreement",
    "Episode",
    "Exploration",
    "Fact",
    "Family",
    "ImproperPolicyError",
    "NoPlanError",
    "Optima",
    "Optimum",
    "OracleError",
    "Plan",
    "Policy",
    "Reference",
    "References",
    "Score",
    "Scores",
    "Sensitivity",
    "Simulation",
    "TabularModel",
    "TabularOptimum",
    "TabularPolicy",
    "certify",
    "disagreements",
    "evaluate",
    "explore",
    "figures",
    "labelled_episodes",
    "model",
    "plan",
    "reference_policies",
    "score",
    "score_many",
    "sensitivity",
    "simulate",
    "solve",
    "solve_many",
]

_FAMILIES = frozenset(module.name for module in pkgutil.iter_modules(__path__))


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
    ScenarioError
        A scenario that is not valid, or a range of them.
    ValueError
        The model would have more states than is allowed (``StateBudgetError``), or rates so extreme that
        float64 cannot follow it.
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
    return _scored(problem, policy, deterministic, episodes, seed)


def _scored(
    problem: Problem, policy: Any, deterministic: bool | None, episodes: int, seed: int
) -> Score:
    optimum, player = problem.optimum, problem.player(policy, deterministic)
    worth = problem.worth(player, episodes, seed)
    return make_score(optimum.value, optimum.random_value, worth)


def solve_many(
    env_id: str,
    scenarios: Any,
    *,
    count: int | None = None,
    seed: int = 0,
    observation: str = "belief",
    policies: bool = False,
    workers: int = 1,
) -> Optima:
    """Return the exact optima of many scenarios of one environment.

    Only the values are kept: memory is that of one optimum. With ``policies`` each policy keeps the tables
    of its scenario, which may be megabytes.

    Parameters
    ----------
    env_id
        Id of the environment.
    scenarios
        A list of scenarios (presets, mappings, files), a data frame with a row for each, a mapping of
        fields (``"prior.good"`` for one that is nested) to columns, or a range.
    count, seed
        How many scenarios are drawn from a range, and the seed of these draws.
    observation
        As for the environment.
    policies
        Whether to keep an optimal policy of each.
    workers
        Processes among which the scenarios are divided; those that are asked for policies share none.

    Raises
    ------
    ScenarioError
        A scenario that is not valid, by its number.
    OracleError
        An optimum does not stand its own check: a bug in this package.
    """
    env_type = env_type_of(env_id)
    population = read_population(env_type.scenario_type, scenarios, count, seed)
    workers = whole_number("workers", workers, 1)
    check_choice("observation", observation, OBSERVATIONS)
    return optima_of(env_type, population, observation, policies, workers)


def score_many(
    env_id: str,
    scenarios: Any,
    policy: Any,
    *,
    count: int | None = None,
    seed: int = 0,
    observation: str = "belief",
    trained_on: Any = None,
    deterministic: bool | None = None,
    episodes: int = 10_000,
) -> Scores:
    """Return what one policy is worth on each of many scenarios; see :func:`score`.

    Parameters
    ----------
    env_id, scenarios, count, observation
        As for :func:`solve_many`.
    policy
        As for :func:`score`; or the name of a reference policy, which is designed anew for each scenario.
        A policy of this package that was made for another scenario is kept as it is: the same actions
        after the same actions and results; left out where it does not say what to do.
    trained_on
        The range of scenarios that the policy was trained on: it sees each scenario's numbers beside the
        observation, scaled over that range. By default the range that the scenarios are drawn from.
        One scenario, if it was trained on that alone: it sees the observation only.
    deterministic, episodes, seed
        As for :func:`score`; the seed is also that of the draws from a range.

    Raises
    ------
    ScenarioError
        A scenario that is not valid, by its number.
    KeyError
        No reference policy has that name.
    TypeError, ValueError, OracleError
        As for :func:`score`.
    """
    env_type = env_type_of(env_id)
    population = read_population(env_type.scenario_type, scenarios, count, seed)
    spread = population.spread
    if trained_on is not None:
        given = env_type.scenario_type.parse(trained_on)
        spread = given if isinstance(given, ScenarioRange) else None
    episodes, seed = whole_number("episodes", episodes, 1), whole_number("seed", seed, 0)
    check_choice("observation", observation, OBSERVATIONS)
    rows = np.full((6, len(population.scenarios)), np.nan)
    left_out: dict[int, str] = {}
    for i, one in enumerate(population.scenarios):
        problem = Problem(env_type, one, observation)
        try:
            played = problem.optimum.references()[policy] if isinstance(policy, str) else policy
            if isinstance(played, Rule):
                played = played.policy(problem.optimum)
            if isinstance(played, DesignedPolicy):
                played = problem.optimum.carried(played)
        except NoPlanError as error:
            left_out[i] = str(error)
            continue
        if spread is not None and not isinstance(policy, str):
            problem.lenses.append(feature_lens(spread.features(one)))
        found = _scored(problem, played, deterministic, episodes, seed)
        money = found.value, found.optimum, found.regret
        rows[:, i] = *money, found.normalised, found.stderr, found.expected_length
    values, optima, regrets, normalised, stderrs, lengths = rows
    return Scores(
        population.scenarios, values, optima, regrets, normalised, stderrs, lengths, left_out
    )


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
    """Return where a policy's regret comes from: its costliest disagreements with the optimum.

    Exact for every policy without memory; for one with memory, how often it comes to a state is
    simulated, and for every policy of inspect-or-stop, whose beliefs are told in ranges
    (:mod:`baselines.lot.disagreements`). A policy that may never end has no finite regret to
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
    problem = problem_of(env, scenario, observation).without_stage()
    player = problem.player(policy, deterministic)
    return problem.optimum.disagreements(player, problem.arena(episodes), episodes, seed, top)


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
    problem = problem_of(env, scenario, observation).without_stage()
    players = {name: problem.player(policy) for name, policy in policies.items()}
    return problem.optimum.figures(players)


def sensitivity(
    env: Any,
    fields: Mapping[str, Sequence[float]],
    policy: Any = None,
    *,
    scenario: Any = None,
    observation: str | None = None,
    least: float = 0.1,
    deterministic: bool | None = None,
    episodes: int = 10_000,
    seed: int = 0,
) -> Sensitivity:
    """Return how the optimum moves, where it changes and what plans lose as a field or two vary.

    For one field, the values at which the optimal decision changes are found to the precision that each
    states, and not read off the grid (:mod:`baselines.core.changes`). Always told is the regret of the
    optimal plan of the base, kept while the field moves.

    Parameters
    ----------
    env, scenario, observation
        As for :func:`solve`: the base.
    fields
        One or two of the scenario's, ``{name: (low, high, steps)}``, the name dotted where a field is
        inside another; ``steps`` + 1 values evenly spaced are solved.
    policy
        Whose regret to tell as well: the name of a reference policy, or anything that :func:`score` takes;
        or several of them by name. A reference is told twice: *fixed*, as designed at the base, and
        *redesigned* at each point. A policy of this package is kept as it is. In families with tables a
        plan that is kept does the same after the same actions and results; in inspect-or-stop it has the
        same lot size and the same thresholds on the belief, which is that of each point. Any other policy
        answers what the environment of each point shows.
    least
        Expected visits in an episode below which a state's decision is not followed, above 0.
    deterministic, episodes, seed
        As for :func:`score`.

    Raises
    ------
    ScenarioError
        A field that the scenario does not have, or a value in its range that is not allowed, by name;
        before anything is run.
    ValueError
        No reference of that name.
    TypeError
        Not an environment of ``qc_gym``, or wrappers behind which the environment itself would have to
        be played.

    Examples
    --------
    >>> import baselines
    >>> found = baselines.sensitivity("qc_gym/KStage-v0", {"inspection_cost": (0.5, 5.0, 40)})
    >>> found.values.shape
    (41,)
    """
    is_number = isinstance(least, Real) and not isinstance(least, bool | np.bool_)
    if not (is_number and 0.0 < least < math.inf):
        raise ValueError(f"least = {least!r}: a number above 0 is needed")
    policies = {} if policy is None else policy
    if isinstance(policy, str):
        policies = {policy: policy}
    elif not isinstance(policies, Mapping):
        policies = {"policy": policy}
    return vary(
        problem_of(env, scenario, observation).without_stage(),
        fields,
        policies,
        least=float(least),
        deterministic=deterministic,
        episodes=whole_number("episodes", episodes, 1),
        seed=whole_number("seed", seed, 0),
    )


def labelled_episodes(
    env: Any,
    policy: Any,
    *,
    scenario: Any = None,
    observation: str | None = None,
    deterministic: bool | None = None,
    episodes: int = 1_000,
    seed: int = 0,
) -> Iterator[Episode]:
    """Play whole episodes of a policy, each step labelled by the optimum: data to learn from offline.

    Each comes with the belief, with what every action loses against the best one in the state that the
    episode is in, and with the best one; the sum of the losses of the actions taken is, on average, the
    policy's regret.

    Parameters
    ----------
    env, policy, scenario, observation, deterministic
        As for :func:`score`. With a range of scenarios, the one that the last reset drew.
    episodes
        Number of episodes.
    seed
        Of the environments.

    Yields
    ------
    The episodes, one after another.

    Raises
    ------
    TypeError
        Not an environment of ``qc_gym``, not a policy, or wrappers behind which the environment itself
        would have to be played.
    ValueError
        The policy's answers are no actions.
    """
    episodes, seed = whole_number("episodes", episodes, 1), whole_number("seed", seed, 0)
    problem = problem_of(env, scenario, observation).without_stage()
    return play_labelled(problem, problem.player(policy, deterministic), episodes, seed)


def plan(env: Any, *, scenario: Any = None, observation: str | None = None) -> Plan:
    """Return the optimum as a table for the shop floor, which a person on the line can follow.

    Its rows are given as ``.text()``, ``.csv()``, ``.json()`` and ``.html()``, a card to print.

    Parameters
    ----------
    env, scenario, observation
        As for :func:`solve`.
    """
    return solve(env, scenario=scenario, observation=observation).plan()


def explore(
    env: Any,
    policy: Any = None,
    *,
    scenario: Any = None,
    observation: str | None = None,
    deterministic: bool | None = None,
) -> Exploration:
    """Return the optimum as a page to explore: one decides, state by state, and sees what that loses.

    ``.html()`` is the page, which needs no other file and no network; ``.data`` what it shows.

    Parameters
    ----------
    env, scenario, observation, deterministic
        As for :func:`score`. With a range of scenarios, the one that the last reset drew.
    policy
        As for :func:`score`: what it does is told beside the optimum; by default none.

    Raises
    ------
    TypeError
        Not an environment of ``qc_gym``, not a policy, or wrappers behind which the environment itself
        would have to be played.
    ValueError
        A scenario that no page holds, by its fields; or a policy that remembers.
    """
    problem = problem_of(env, scenario, observation).without_stage()
    player = None if policy is None else problem.player(policy, deterministic)
    title = f"{registration_of(problem.env_type).env_id}, {problem.observation} observations"
    subtitle = (inspect.getdoc(problem.env_type) or "").partition("\n")[0]
    return problem.optimum.exploration(title, subtitle, player)
