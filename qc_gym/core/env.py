"""The scalar environment, generic over families."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from qc_gym.core import noise
from qc_gym.core.errors import shown
from qc_gym.core.numbers import whole_number
from qc_gym.core.policy import DesignedPolicy, Player, feature_lens
from qc_gym.core.pool import ScenarioPool, pool_of
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.record import Record
from qc_gym.core.scenario import Scenario
from qc_gym.core.table import NO_TABLE
from qc_gym.core.values import as_python, is_mapping, rows_of

OBSERVATIONS = ("belief", "outcome")


class PlainSpec:
    """Mixed into an environment: its specification holds what JSON can hold.

    A scenario object is replaced by its fields, and an enumeration by its value.
    """

    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """The specification from which ``gymnasium.make`` can make the environment again."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec.kwargs = {name: _plain(value) for name, value in spec.kwargs.items()}
        self._spec = spec


def _plain(value: Any) -> Any:
    """Return a keyword argument of an environment as JSON can hold it."""
    if isinstance(value, Record):
        return value.model_dump(mode="json")
    if isinstance(value, ScenarioRange):
        return _plain(value.fields)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if is_mapping(value):
        return as_python(value)
    rows = rows_of(value)
    if rows is not None:
        return [_plain(one) for one in rows]
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


class QCEnv(PlainSpec, gym.Env[NDArray[np.float32], np.int64]):
    """A quality-control decision problem: a family's compiled world behind Gymnasium's interface.

    A family subclasses it, names its parts and draws its pictures (:meth:`_frame`,
    :meth:`_text`); everything else is here.

    Parameters
    ----------
    scenario
        What :meth:`Scenario.parse` takes: the name of a preset, a mapping or a row of a table, the path
        of a YAML or JSON file, a scenario object or a range. None is the family's first preset.
    observation
        ``"belief"`` shows a sufficient statistic; ``"outcome"`` only what a person on the line sees.
    render_mode
        ``"ansi"``, ``"rgb_array"``, ``"human"`` or None.

    Raises
    ------
    ScenarioError
        The scenario cannot be used; the message names the field.
    ValueError
        An unknown observation or render mode.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rgb_array", "human"], "render_fps": 4}
    family: ClassVar[str]
    scenario_type: ClassVar[type[Scenario]]
    forbidden_acts_as: ClassVar[int] = 0
    """The action that the world takes in place of one that it forbids."""

    def __init__(
        self,
        scenario: Any = None,
        observation: str = "belief",
        render_mode: str | None = None,
    ) -> None:
        self.scenarios = self.scenario_type.parse(scenario)
        self.observation = check_choice("observation", observation, OBSERVATIONS)
        if render_mode is not None:
            check_choice("render_mode", render_mode, self.metadata["render_modes"])
        self.render_mode = render_mode
        self.kernel = self.scenarios.kernel
        self.observation_space = observation_space(self.scenarios, observation)
        self.action_space = gym.spaces.Discrete(self.kernel.num_actions)
        self._is_outcome = observation == "outcome"
        self._states = np.zeros(1, self.kernel.state_dtype)
        self._noise = np.zeros(1, noise.NOISE)
        self._elapsed = np.zeros(1, np.int64)
        self._ended = np.ones(1, np.bool_)
        self._is_running = False
        self._stream_source: np.random.Generator | None = None
        self._features: NDArray[np.float32] | None = None
        self._overlay: Player | None = None
        self._viewer: Any = None
        self._pool: ScenarioPool | None = None
        if isinstance(self.scenarios, ScenarioRange):
            self._pool = pool_of(self.scenarios)
        else:
            self._scenario = self.scenarios
            self._record = self.scenarios.record()
        self._tabulate()

    def _draw_scenario(self) -> None:
        assert self._pool is not None
        numbers = np.empty(1, np.int64)
        self._pool.draw(self._noise, np.ones(1, np.bool_), numbers)
        number = int(numbers[0])
        self._scenario = self._pool.scenarios[number]
        self._record = self._pool.records[number : number + 1]
        self._features = self._pool.features[number : number + 1]

    def _tabulate(self) -> None:
        """Take the scenario's table; one that is drawn anew at every reset has none."""
        self._table = NO_TABLE
        if isinstance(self.scenarios, Scenario):
            self._table = self.scenarios.table()

    @property
    def scenario(self) -> Scenario:
        """The scenario being played: the only one, or the one that the last reset drew."""
        if self._pool is not None and self._features is None:
            raise gym.error.ResetNeeded("call reset() first: it draws the scenario from the range")
        return self._scenario

    @property
    def action_names(self) -> tuple[str, ...]:
        """What each action does, in words, one for each action."""
        return self.scenarios.action_names

    @property
    def state(self) -> np.void:
        """The state of the world, hidden truth included (for pictures and tests, not for agents)."""
        return np.void(self._states[0])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode. ``options`` must be empty: nothing can be chosen.

        Returns the observation and ``{"action_mask": int8 (actions,)}``, with ``"scenario"`` when
        scenarios are drawn from a range.
        """
        check_options(options, allowed=())
        if seed is not None:
            seed = whole_number("seed", seed, 0)
        super().reset(seed=seed)
        generator = self.np_random
        if seed is not None or self._stream_source is not generator:
            # Without a seed the stream goes on, as it does in a batch that resets itself.
            self._noise["counter"] = noise.first_counter(generator)
            self._stream_source = generator
        if self._pool is not None:
            self._draw_scenario()
        observation, mask = self._buffers()
        self.kernel.reset_batch(
            self._record,
            self._table,
            self._features,
            None,
            self._states,
            self._noise,
            self._elapsed,
            self._ended,
            np.ones(1, np.bool_),
            self._is_outcome,
            observation[np.newaxis],
            mask[np.newaxis],
        )
        self._is_running = True
        self._on_reset()
        if self.render_mode == "human":
            self.render()
        return observation, self._info(mask)

    def step(
        self, action: Any
    ) -> tuple[NDArray[np.float32], SupportsFloat, bool, bool, dict[str, Any]]:
        """Take ``action``. The reward is money received minus money spent.

        Raises
        ------
        ValueError
            ``action`` is not one of 0, …, actions − 1.
        gymnasium.error.ResetNeeded
            Before the first reset, or after the end of the episode.
        """
        if not self._is_running:
            raise gym.error.ResetNeeded("the episode has not begun or is over: call reset() first")
        if type(action) is not int:
            action = as_action(action)
        if not 0 <= action < self.kernel.num_actions:
            raise ValueError(f"action = {shown(action)}: allowed are {numbered(self.action_names)}")
        observation, mask = self._buffers()
        reward, terminated = self.kernel.step_one(
            self._record,
            self._table,
            self._features,
            self._states,
            self._noise,
            action,
            self._is_outcome,
            observation,
            mask,
        )
        self._is_running = not terminated
        if self.render_mode is not None:
            self._on_step(action, reward)
            if self.render_mode == "human":
                self.render()
        return observation, reward, terminated, False, self._info(mask)

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions are allowed now, bool (actions,), as sb3-contrib asks for it."""
        if self._stream_source is None:
            raise gym.error.ResetNeeded("call reset() before action_masks()")
        _, allowed, _ = self._described(self._states)
        return allowed[0]

    def show_policy(self, policy: Any) -> None:
        """Draw the decisions of ``policy`` behind the episode in the pictures; None draws none.

        ``policy`` is whatever ``baselines.score`` takes: an optimum's, a reference policy, a trained
        model, a function. A family draws it where the observation tells what the picture shows: not
        with outcome observations, which a map over the states cannot use, and not a policy with memory.
        With a range of scenarios, a policy that was made for one of them is drawn when that is played.

        Raises
        ------
        TypeError
            Not a policy.
        ValueError
            A policy that was made for another scenario.
        """
        if policy is None:
            self._overlay = None
            return
        player = Player(policy, self.kernel.num_actions, [self._with_features], deterministic=True)
        is_foreign = isinstance(policy, DesignedPolicy) and policy.scenario != self.scenarios
        if is_foreign and isinstance(self.scenarios, Scenario):
            raise ValueError(
                f"policy of type {type(policy).__name__}: was made for another scenario, "
                f"{policy.scenario!r}"
            )
        self._overlay = player

    def render(self) -> Any:
        """Return the picture: text for ``ansi``, uint8 (height, width, 3) for ``rgb_array``."""
        if self.render_mode is None:
            gym.logger.warn(
                "render() was called on an environment without render_mode; name one of "
                f"{self.metadata['render_modes']} in gym.make"
            )
            return None
        if self._stream_source is None:
            raise gym.error.ResetNeeded("call reset() before render()")
        if self.render_mode == "ansi":
            return self._text()
        frame = self._frame()
        if self.render_mode == "rgb_array":
            return frame
        from qc_gym.core.viewer import Viewer  # pygame is needed for a window only

        if self._viewer is None:
            self._viewer = Viewer(self.metadata["render_fps"])
        self._viewer.show(frame)
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._viewer is not None:
            self._viewer.close()
            self._viewer = None

    def _frame(self) -> NDArray[np.uint8]:
        """Return the picture of the present state, uint8 (height, width, 3)."""
        raise NotImplementedError

    def _text(self) -> str:
        """Return the present state in words."""
        raise NotImplementedError

    def _on_reset(self) -> None:
        """Note for the pictures that an episode begins."""

    def _on_step(self, action: int, reward: float) -> None:
        """Note for the pictures what happened."""

    def _answers(self, states: NDArray[np.void]) -> NDArray[np.int64] | None:
        """Return what the policy shown does in each of the states; None if that cannot be said.

        A forbidden action is shown as what it acts as.
        """
        player = self._overlay
        if player is None or self._is_outcome:
            return None  # what to do after an outcome depends on those before it
        if isinstance(player.policy, DesignedPolicy) and player.policy.scenario != self._scenario:
            return None
        if len(states) == 0:
            return np.empty(0, np.int64)
        observations, allowed, _ = self._described(states)
        chosen, memory = player.act(observations, allowed)
        if memory is not None:
            return None
        return np.where(allowed[np.arange(len(states)), chosen], chosen, self.forbidden_acts_as)

    def _described(
        self, states: NDArray[np.void]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.uint64]]:
        return self.kernel.describe(self._record, states, self.observation, self._table)

    def _with_features(self, observations: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return observations as an agent sees them, with the numbers of a drawn scenario."""
        if self._features is None:
            return observations
        return np.asarray(feature_lens(self._features[0])(observations))

    def _advice(self) -> int | None:
        """Return what the policy shown would do now; None if that cannot be said."""
        answers = self._answers(self._states)
        return None if answers is None else int(answers[0])

    def _buffers(self) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Return new arrays for an observation and its mask: a user keeps what was handed out."""
        observation = np.empty(self.observation_space.shape or (0,), np.float32)
        return observation, np.empty(self.kernel.num_actions, np.int8)

    def _info(self, mask: NDArray[np.int8]) -> dict[str, Any]:
        if self._pool is None:
            return {"action_mask": mask}
        return {"action_mask": mask, "scenario": self._scenario}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_viewer": None, "_table": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._tabulate()


def observation_space(
    scenarios: Scenario | ScenarioRange, observation: str
) -> gym.Space[NDArray[np.float32]]:
    """Return the space of one observation: [0, 1] in every direction, float32."""
    size = scenarios.kernel.observation_size(observation)
    extra = len(scenarios.ranges) if isinstance(scenarios, ScenarioRange) else 0
    return gym.spaces.Box(0.0, 1.0, (size + extra,), np.float32)


def check_choice(name: str, value: Any, allowed: Any) -> Any:
    """Return ``value`` if it is one of ``allowed``; else raise a ValueError that lists them."""
    if not (value is None or isinstance(value, str)) or value not in allowed:
        raise ValueError(f"{name} = {shown(value)}: allowed are {', '.join(map(repr, allowed))}")
    return value


def numbered(names: Sequence[str]) -> str:
    """Return the actions as an error message lists them: their numbers, and the first and last names."""
    listed = [f"{number}: {name}" for number, name in enumerate(names)]
    if len(listed) > 5:
        listed[3:-1] = ["…"]
    return f"the whole numbers 0 to {len(names) - 1} ({', '.join(listed)})"


def check_options(options: Mapping[str, Any] | None, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError for an option of ``reset`` that is not known."""
    if options is not None and not isinstance(options, Mapping):
        raise ValueError(
            f"options = {shown(options)}: a mapping of names to values, or None, is needed"
        )
    for name in options or ():
        if name not in allowed:
            known = f"allowed are {', '.join(map(repr, allowed))}" if allowed else "there are none"
            raise ValueError(f"options: the option {shown(name)} is unknown; {known}")


def as_action(action: Any) -> int:
    """Return the action, a whole number of any integer type or an array of one; else raise."""
    array = np.asarray(action)
    if array.size != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"action = {shown(action)}: one whole number is needed")
    return int(array.item())
