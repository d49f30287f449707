"""What an environment asks of a policy: the scenario, and what wrappers make of it.

A policy is scored as it plays behind the environment's wrappers. Those that only change what is seen, one
observation at a time, or rename actions, become lenses, so that the score stays exact; behind
those with a memory of their own, or that cut episodes off, the wrapped environment itself is played.
"""

from __future__ import annotations

import copy
import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import wrappers
from gymnasium.wrappers import vector as vector_wrappers
from numpy.typing import NDArray

from baselines.core.family import (
    Family,
    checked_optimum,
    family_named,
    family_of,
    optimum_of,
)
from baselines.core.optimum import Optimum
from baselines.core.rule import Rule
from baselines.core.scoring import Worth, worth_by_simulation
from baselines.core.stage import worth_on_stage
from qc_gym.core.env import QCEnv
from qc_gym.core.errors import ScenarioError, close_names, shown
from qc_gym.core.policy import Lens, Player, feature_lens
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.registry import ENVIRONMENTS
from qc_gym.core.scenario import Scenario
from qc_gym.core.vector import QCVectorEnv

_WANTED = (
    "env = {!r}: an environment of qc_gym is needed, or the id of one, for instance "
    "gymnasium.make('qc_gym/SequentialSampling-v0')"
)
_ARENA = 256
"""Sub-environments in which policies are simulated, at most."""
_TRANSPARENT = (
    wrappers.OrderEnforcing,
    wrappers.PassiveEnvChecker,
    wrappers.RecordEpisodeStatistics,
    wrappers.RecordVideo,
    wrappers.RenderCollection,
    wrappers.HumanRendering,
    wrappers.AddWhiteNoise,
    wrappers.ObstructView,
    vector_wrappers.RecordEpisodeStatistics,
    vector_wrappers.RecordVideo,
    vector_wrappers.HumanRendering,
    vector_wrappers.DictInfoToList,
)
"""Wrappers that change neither what is seen nor what is done."""
_OF_REWARDS = (
    gym.RewardWrapper,
    wrappers.NormalizeReward,
    gym.vector.VectorRewardWrapper,
    vector_wrappers.NormalizeReward,
)


@dataclass
class Problem:
    """What an environment asks of a policy.

    Attributes
    ----------
    env_type, scenario, observation
        The environment without its wrappers.
    lenses
        What a policy sees of the observations.
    actions
        int64 (actions of the policy,), what each means in the environment; None where they are the same.
    limit
        Steps after which episodes are cut off; None where they are not.
    stage
        The wrapped environment, where it must be played itself; None where lenses tell all.
    normalises
        Whether a wrapper of stable-baselines3 normalises what is seen.
    scenarios
        The range that the scenario was drawn from, which observations tell; None where there is none.
    own_optimum
        The optimum, where nobody else is to keep it.
    """

    env_type: type[QCEnv]
    scenario: Scenario
    observation: str
    lenses: list[Lens] = field(default_factory=list)
    actions: NDArray[np.int64] | None = None
    limit: int | None = None
    stage: gym.Env[Any, Any] | None = None
    normalises: bool = False
    scenarios: ScenarioRange | None = None
    own_optimum: Optimum[Scenario] | None = None

    @property
    def family(self) -> Family[Scenario]:
        """The family of the environment."""
        return family_of(self.env_type)

    @property
    def optimum(self) -> Optimum[Scenario]:
        """The optimum, checked; kept for the next who asks, unless it is this problem's own."""
        if self.own_optimum is not None:
            return self.own_optimum
        return optimum_of(self.env_type, self.scenario, self.observation)

    def player(self, policy: Any, deterministic: bool | None = None) -> Player:
        """Return a policy as it plays here, behind the wrappers and its own normalisation.

        Raises
        ------
        TypeError
            It is no policy, or it sees observations of another shape.
        """
        if isinstance(policy, Rule):
            policy = policy.policy(self.optimum)
        lenses = [] if self.stage is not None else self._all_lenses()
        own = None if self.normalises else _own_normalisation(policy)
        if own is not None:
            lenses.append(own)
        elif not lenses and self.stage is None:
            _warn_of_training_wrappers(policy)
        num_actions = self.scenario.kernel.num_actions
        actions = None if self.stage is not None else self.actions
        player = Player(policy, num_actions, lenses, actions, deterministic)
        _check_shape(policy, self._shown() if own is None else own(self._shown()))
        return player

    def moved(self, scenario: Scenario) -> Problem:
        """Return the same problem with another scenario, solved; its optimum is its own.

        Raises
        ------
        TypeError
            A limit of steps would cut episodes of that scenario off.
        """
        optimum = checked_optimum(self.family, scenario, self.observation)
        longest = optimum.longest_episode
        if self.limit is not None and (longest is None or self.limit < longest):
            raise TypeError(
                f"env: its limit of {self.limit} steps cuts off episodes, of {longest or 'any number of'} "
                f"steps in {scenario!r}"
            )
        return replace(self, scenario=scenario, own_optimum=optimum)

    def worth(self, player: Player, episodes: int, seed: int) -> Worth:
        """Return what a policy loses, computed where it can be and else from simulated episodes."""
        optimum = self.optimum
        if self.stage is not None:
            return worth_on_stage(optimum, player, self.stage, episodes, seed)
        computed = optimum.evaluate(player)
        return computed or worth_by_simulation(
            optimum.gaps, optimum.stakes, player, self.arena(episodes), episodes, seed
        )

    def arena(self, episodes: int) -> QCVectorEnv:
        """Return the vector environment in which so many episodes are simulated."""
        return self.family.arena(min(episodes, _ARENA), self.scenario, self.observation)

    def without_stage(self) -> Problem:
        """Return it, unless the wrapped environment itself would have to be played.

        Raises
        ------
        TypeError
            It would.
        """
        if self.stage is not None:
            raise TypeError(
                f"env = {self.stage!r}: behind its wrappers a policy is no map over the states; "
                "score() plays it"
            )
        return self

    def _shown(self) -> NDArray[Any]:
        """Return an observation as the wrappers show it, (1, size)."""
        if self.stage is not None:
            return np.zeros((1, *(self.stage.observation_space.shape or ())), np.float32)
        size = self.scenario.kernel.observation_size(self.observation)
        observation: NDArray[Any] = np.zeros((1, size), np.float32)
        for lens in self._all_lenses():
            observation = lens(observation)
        return observation

    def _all_lenses(self) -> list[Lens]:
        if self.scenarios is None:
            return list(self.lenses)
        return [feature_lens(self.scenarios.features(self.scenario)), *self.lenses]


def problem_of(env: Any, scenario: Any = None, observation: str | None = None) -> Problem:
    """Return what an environment, or the id of one with a scenario, asks of a policy.

    Raises
    ------
    TypeError
        Neither an environment of ``qc_gym`` nor an id of one; or wrappers that cannot be scored
        behind, by name.
    ScenarioError
        A scenario that is not valid, or a range of them.
    """
    if isinstance(env, str):
        made = _made(env, scenario, observation or "belief")
        if isinstance(getattr(made.unwrapped, "scenarios", None), ScenarioRange):
            raise ScenarioError(
                f"scenario = {shown(scenario)}: a range of scenarios, none of which is drawn; "
                "baselines.solve_many and score_many take it, or an environment that was reset"
            )
        return problem_of(made)
    for name, value in {"scenario": scenario, "observation": observation}.items():
        if value is not None:
            raise TypeError(f"{name} = {value!r}: goes with an id; an environment has its own")
    env, outer = _single(env)
    inner = getattr(env, "unwrapped", None)
    if isinstance(inner, QCEnv):
        problem = Problem(type(inner), inner.scenario, inner.observation)
        if isinstance(inner.scenarios, ScenarioRange):
            problem.scenarios = inner.scenarios
        layers = [*_layers(env, inner), *outer]
    elif isinstance(inner, QCVectorEnv):
        problem = _of_vector(inner)
        layers = [*_layers(env, inner), *outer]
    else:
        raise TypeError(_WANTED.format(env))
    opaque = [layer for layer in layers if not _add(problem, layer)]
    _settle(problem, env, inner, opaque)
    return problem


def env_type_of(env_id: str) -> type[QCEnv]:
    """Return the environment of an id.

    Raises
    ------
    TypeError
        Not the id of an environment of ``qc_gym``.
    """
    return family_named(ENVIRONMENTS[_registered(env_id)].family).environment


def _registered(env_id: str) -> str:
    """Return an id without the module that registers it, which is imported."""
    module, _, name = env_id.rpartition(":") if isinstance(env_id, str) else ("", "", env_id)
    if module:
        importlib.import_module(module)
    if name not in ENVIRONMENTS:
        raise TypeError(f"{_WANTED.format(env_id)}; {close_names(str(name), list(ENVIRONMENTS))}")
    return name


def _made(env_id: str, scenario: Any, observation: str) -> gym.Env[Any, Any]:
    name = _registered(env_id)
    return gym.make(name, scenario=scenario, observation=observation, disable_env_checker=True)


def _of_vector(inner: QCVectorEnv) -> Problem:
    if not isinstance(inner.scenarios, Scenario) or len(set(inner.scenario_of)) > 1:
        raise TypeError(
            "env: a vector environment whose sub-environments play different scenarios has no one "
            "optimum; ask with a scalar environment of the scenario"
        )
    return Problem(
        inner.env_type, inner.scenarios, inner.observation, limit=inner.max_episode_steps
    )


def _single(env: Any) -> tuple[Any, list[Any]]:
    """Return one environment of a vector of stable-baselines3's or Gymnasium's, and what is around."""
    outer: list[Any] = []
    if isinstance(env, gym.vector.SyncVectorEnv):
        return _one_of(env.envs), outer
    if isinstance(env, gym.vector.AsyncVectorEnv):
        return _made_again(env), outer
    vec = _loaded("stable_baselines3.common.vec_env", "VecEnv")
    if vec is None or not isinstance(env, vec):
        return env, outer
    while isinstance(env, _loaded("stable_baselines3.common.vec_env", "VecEnvWrapper")):
        outer.insert(0, env)
        env = env.venv
    if isinstance(env, _loaded("stable_baselines3.common.vec_env", "DummyVecEnv")):
        return _one_of(env.envs), outer
    if isinstance(getattr(env, "env", None), QCVectorEnv):  # the adapter of agents
        return env.env, outer
    raise TypeError(
        f"env = {env!r}: its environments are in other processes; score one of them, made here"
    )


def _made_again(env: gym.vector.AsyncVectorEnv) -> gym.Env[Any, Any]:
    """Return one of the environments of other processes, made here by the function that made it there."""
    made = [make() for make in env.env_fns]
    if any(isinstance(getattr(one.unwrapped, "scenarios", None), ScenarioRange) for one in made):
        raise TypeError(
            f"env = {env!r}: its scenarios are drawn in other processes, from a range; ask with an "
            "environment of one of them"
        )
    one = _one_of(made)
    for other in made[1:]:
        other.close()
    if any(isinstance(layer, wrappers.NormalizeObservation) for layer in _around(one)):
        raise TypeError(
            f"env = {env!r}: the statistics of its NormalizeObservation are in other processes; score "
            "an environment that is made here"
        )
    return one


def _one_of(envs: Sequence[gym.Env[Any, Any]]) -> gym.Env[Any, Any]:
    """Return the first of the environments, all of which pose the same problem.

    Raises
    ------
    TypeError
        They do not; the message says in what the first that differs does.
    """
    first, *others = map(_told, envs)
    for number, other in enumerate(others, 1):
        for what, value in first.items():
            if other[what] == value:
                continue
            if what == "scenario":
                raise TypeError(
                    "env: a vector environment whose sub-environments play different scenarios has no "
                    "one optimum; ask with a scalar environment of the scenario"
                )
            raise TypeError(
                f"env: its sub-environments differ in {what}: {value} in the first and {other[what]} "
                f"in number {number}; ask with one of them"
            )
    return envs[0]


def _told(env: gym.Env[Any, Any]) -> dict[str, Any]:
    """Return by name all that must be equal in environments that pose the same problem."""
    inner, layers = env.unwrapped, _around(env)
    told: dict[str, Any] = {"environment": type(inner).__name__}
    if isinstance(inner, QCEnv):
        told["scenario"] = inner.scenario
        told["observation"] = inner.observation
    told["wrappers"] = [type(layer).__name__ for layer in layers]
    told["limit of steps"] = [
        layer._max_episode_steps for layer in layers if isinstance(layer, wrappers.TimeLimit)
    ]
    told["normalisation"] = [
        (layer.obs_rms.mean.tolist(), layer.obs_rms.var.tolist(), layer.epsilon)
        for layer in layers
        if isinstance(layer, wrappers.NormalizeObservation)
    ]
    return told


def _around(env: gym.Env[Any, Any]) -> list[Any]:
    return _layers(env, env.unwrapped)


def _layers(env: Any, inner: Any) -> list[Any]:
    """Return the wrappers, the innermost first."""
    layers: list[Any] = []
    while env is not inner:
        layers.insert(0, env)
        env = env.env
    return layers


def _add(problem: Problem, layer: Any) -> bool:
    """Note what a wrapper does; return whether it can be told without playing it."""
    if isinstance(layer, _TRANSPARENT) or _is_sb3(layer, "Monitor", "VecMonitor", "VecCheckNan"):
        return True
    if isinstance(layer, _OF_REWARDS):
        warnings.warn(
            f"{type(layer).__name__} changes rewards: scores are in the environment's own money, "
            "and do not count it",
            stacklevel=4,
        )
        return True
    if isinstance(layer, wrappers.TimeLimit):
        steps = layer._max_episode_steps
        problem.limit = steps if problem.limit is None else min(steps, problem.limit)
        return True
    lens = _lens_of(layer)
    if lens is not None:
        problem.lenses.append(lens)
        problem.normalises |= _is_sb3(layer, "VecNormalize")
        return True
    if isinstance(layer, wrappers.TransformAction) and isinstance(
        layer.action_space, gym.spaces.Discrete
    ):
        space = layer.action_space
        meant = np.array([int(layer.action(action)) for action in range(int(space.n))], np.int64)
        problem.actions = meant if problem.actions is None else problem.actions[meant]
        return True
    return False


def _lens_of(layer: Any) -> Lens | None:
    """Return what a wrapper makes of observations, if that needs no memory."""
    if isinstance(layer, wrappers.NormalizeObservation | vector_wrappers.NormalizeObservation):
        # Its statistics as they stand now, whether or not they would go on to change.
        mean, scale = layer.obs_rms.mean, np.sqrt(layer.obs_rms.var + layer.epsilon)
        return lambda observations: ((observations - mean) / scale).astype(np.float32)
    if isinstance(layer, wrappers.AddRenderObservation):
        return None
    if isinstance(layer, wrappers.TransformObservation):
        return _row_by_row(layer.func)
    if isinstance(layer, vector_wrappers.VectorizeTransformObservation):
        return _row_by_row(layer.wrapper.func)
    if isinstance(layer, vector_wrappers.TransformObservation):
        transform: Lens = layer.func
        return transform
    if _is_sb3(layer, "VecNormalize"):
        return _frozen_normalisation(layer)
    return None


def _row_by_row(transform: Callable[[Any], Any]) -> Lens:
    def lens(observations: NDArray[Any]) -> NDArray[Any]:
        return np.stack([np.asarray(transform(row)) for row in observations])

    return lens


def _settle(problem: Problem, env: Any, inner: Any, opaque: list[Any]) -> None:
    """Decide whether the wrapped environment must be played, or refuse to."""
    cuts = False
    if problem.limit is not None:
        longest = problem.optimum.longest_episode
        cuts = longest is None or problem.limit < longest
    if not opaque and not cuts:
        return
    if isinstance(inner, QCEnv) and all(isinstance(layer, gym.Wrapper) for layer in opaque):
        problem.stage = env
    elif not opaque:
        scalar = problem.env_type(problem.scenario, problem.observation)
        assert problem.limit is not None
        problem.stage = wrappers.TimeLimit(scalar, problem.limit)
        for lens in problem.lenses:
            problem.stage = _seen_through(problem.stage, lens)
    else:
        names = ", ".join(type(layer).__name__ for layer in opaque)
        raise TypeError(
            f"env: a policy behind {names} cannot be scored; wrap a scalar environment in its "
            "counterpart, or leave it out"
        )


def _seen_through(env: gym.Env[Any, Any], lens: Lens) -> gym.Env[Any, Any]:
    """Return the environment with observations as a lens shows them."""
    shape = lens(np.zeros((1, *(env.observation_space.shape or ())), np.float32)).shape[1:]
    space = gym.spaces.Box(-np.inf, np.inf, shape, np.float32)
    return wrappers.TransformObservation(env, lambda row: lens(row[np.newaxis])[0], space)


def _own_normalisation(policy: Any) -> Lens | None:
    """Return the normalisation that a stable-baselines3 model was trained behind, if any."""
    ask = getattr(policy, "get_vec_normalize_env", None)
    found = ask() if callable(ask) else None
    return None if found is None else _frozen_normalisation(found)


def _frozen_normalisation(layer: Any) -> Lens:
    statistics = copy.deepcopy(layer.obs_rms)
    frozen = copy.copy(layer)
    frozen.obs_rms = statistics

    def lens(observations: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(frozen.normalize_obs(observations))

    return lens


def _warn_of_training_wrappers(policy: Any) -> None:
    """Say where a model was trained behind wrappers that the environment scored does not have."""
    ask = getattr(policy, "get_env", None)
    trained = ask() if callable(ask) else None
    dummy = _loaded("stable_baselines3.common.vec_env", "DummyVecEnv")
    while trained is not None and hasattr(trained, "venv"):
        trained = trained.venv
    if dummy is None or not isinstance(trained, dummy):
        return
    env = trained.envs[0]
    names = [
        type(layer).__name__
        for layer in _layers(env, env.unwrapped)
        if isinstance(layer, gym.ObservationWrapper)
    ]
    if names:
        warnings.warn(
            f"the model was trained behind {', '.join(names)} and is scored without; score it on its "
            "own environment, model.get_env()",
            stacklevel=4,
        )


def _check_shape(policy: Any, shown: NDArray[Any]) -> None:
    """Raise a TypeError if a policy tells that it sees observations of another shape."""
    space = getattr(policy, "observation_space", None)
    if isinstance(space, gym.spaces.Box) and space.shape != shown.shape[1:]:
        raise TypeError(
            f"policy of type {type(policy).__name__}: sees observations of shape {space.shape}; the "
            f"environment shows {shown.shape[1:]}. Was it trained behind wrappers, or for another "
            "scenario?"
        )


def _loaded(module: str, name: str) -> Any:
    """Return a class of a module that the user has imported; None if he has not."""
    return getattr(sys.modules.get(module), name, None)


def _is_sb3(layer: Any, *names: str) -> bool:
    kinds: Iterable[Any] = (
        _loaded(module, name)
        for name in names
        for module in ("stable_baselines3.common.vec_env", "stable_baselines3.common.monitor")
    )
    return any(kind is not None and isinstance(layer, kind) for kind in kinds)
