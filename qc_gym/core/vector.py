"""The vector environment, generic over families: one compiled loop over all sub-environments."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from qc_gym.core import noise
from qc_gym.core.env import (
    OBSERVATIONS,
    PlainSpec,
    QCEnv,
    check_choice,
    check_options,
    numbered,
    observation_space,
)
from qc_gym.core.errors import ScenarioError, shown
from qc_gym.core.numbers import whole_number
from qc_gym.core.pool import PlayedScenarios, ScenarioPool, pool_of
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.scenario import Scenario
from qc_gym.core.table import NO_TABLE, stacked
from qc_gym.core.values import rows_of

_SNAPSHOT = ("states", "noise", "elapsed", "ended", "played")
"""The arrays that the episodes under way depend on."""


def _is_list(seed: Any) -> bool:
    """Return whether a seed is one for each sub-environment."""
    if isinstance(seed, np.ndarray):
        return seed.ndim > 0
    return isinstance(seed, Sequence) and not isinstance(seed, str | bytes)


def _whole_numbers(name: str, given: Any, count: int) -> NDArray[np.int64]:
    """Return whole numbers as the compiled loops take them; a ValueError for anything else."""
    array = np.asarray(given)
    if array.shape != (count,) or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name}: whole numbers of shape ({count},) are needed, got {array.dtype} of shape "
            f"{array.shape}"
        )
    if array.dtype != np.int64 or not array.flags.carray:  # else the loop is compiled once more
        return np.require(array, np.int64, ["C", "W", "A"])
    return array


class QCVectorEnv(PlainSpec, VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
    """``num_envs`` sub-environments of one family, stepped by one compiled loop.

    Equal bit for bit, infos included, to ``gymnasium.vector.SyncVectorEnv`` over scalar
    environments seeded alike.

    Parameters
    ----------
    num_envs
        Number of sub-environments.
    scenario, observation, render_mode
        As for the scalar environment; ``scenario`` may also be a list of ``num_envs`` of them, or a
        data frame of as many rows, one for each sub-environment.
    autoreset_mode
        What happens to a sub-environment whose episode is over: reset by the next step
        (``NEXT_STEP``), within the same step (``SAME_STEP``, with ``final_obs`` and ``final_info``)
        or by the user (``DISABLED``, with ``options={"reset_mask": bool (num_envs,)}``).
    max_episode_steps
        Steps after which an episode is truncated; None for no limit.
    """

    env_type: ClassVar[type[QCEnv]]

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Any = None,
        observation: str = "belief",
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = num_envs = whole_number("num_envs", num_envs, 1)
        if max_episode_steps is not None:
            max_episode_steps = whole_number(
                "max_episode_steps", max_episode_steps, 1, or_none="for no limit"
            )
        modes = [mode.value for mode in AutoresetMode]
        name = autoreset_mode.value if isinstance(autoreset_mode, AutoresetMode) else autoreset_mode
        self.autoreset_mode = AutoresetMode(check_choice("autoreset_mode", name, modes))
        self.observation = check_choice("observation", observation, OBSERVATIONS)
        if render_mode is not None:
            check_choice("render_mode", render_mode, ("ansi", "rgb_array"))
        self.render_mode = render_mode
        self.max_episode_steps = max_episode_steps
        self.metadata = {
            **self.env_type.metadata,
            "render_modes": ["ansi", "rgb_array"],
            "autoreset_mode": self.autoreset_mode,
        }
        self._init_scenarios(scenario)
        self.single_observation_space = observation_space(self.scenarios, observation)
        self.single_action_space = gym.spaces.Discrete(self.kernel.num_actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._states = np.zeros(num_envs, self.kernel.state_dtype)
        self._noise = np.zeros(num_envs, noise.NOISE)
        self._elapsed = np.zeros(num_envs, np.int64)
        self._ended = np.ones(num_envs, np.bool_)
        self._terminated = np.zeros(num_envs, np.bool_)
        self._everyone = np.ones(num_envs, np.bool_)
        self._stream_source: np.random.Generator | None = None

    def _init_scenarios(self, source: Any) -> None:
        """Set ``scenarios``, the kernel's records and which of them each sub-environment plays."""
        parse = self.env_type.scenario_type.parse
        self._played = np.zeros(self.num_envs, np.int64)
        self._pool: ScenarioPool | None = None
        self._features: NDArray[np.float32] | None = None
        rows = rows_of(source)
        if rows is not None:
            if len(rows) != self.num_envs:
                raise ScenarioError(
                    f"scenario: a list of {len(rows)} was given for num_envs = {self.num_envs}"
                )
            each = [parse(one) for one in rows]
            if not all(isinstance(one, Scenario) for one in each):
                raise ScenarioError("scenario: a list of scenarios may not hold a range")
            self.scenarios: Scenario | ScenarioRange = each[0]
            self.kernel = each[0].kernel
            if any(one.kernel != self.kernel for one in each):
                raise ScenarioError("scenario: those of a list must be of the same size")
            self._each: Sequence[Scenario] = each  # type: ignore[assignment]
            self._records = np.concatenate([one.record() for one in self._each])
            self._played[:] = np.arange(self.num_envs)
            self._tabulate()
            return
        self.scenarios = parse(source)
        self.kernel = self.scenarios.kernel
        if isinstance(self.scenarios, ScenarioRange):
            self._pool = pool_of(self.scenarios)
            self._records, self._features = self._pool.records, self._pool.features
        else:
            self._each = (self.scenarios,) * self.num_envs
            self._records = self.scenarios.record()
        self._tabulate()

    def _tabulate(self) -> None:
        """Take the tables of the scenarios; those that are drawn at every reset have none."""
        self._tables = NO_TABLE
        if self._pool is not None:
            return
        if len(self._records) == 1:
            self._tables = self._each[0].table()
        else:
            self._tables = stacked((one.table() for one in self._each), self.num_envs)

    def _parameters(self) -> tuple[Any, ...]:
        """Return the first arguments of the compiled loops: the scenarios, and who plays which."""
        played = self._played if len(self._records) > 1 else None
        return self._records, self._tables, self._features, played

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_tables": None}
        return state if self._pool is None else {**state, "_records": None, "_features": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._pool is not None:
            self._records, self._features = self._pool.records, self._pool.features
            if self._stream_source is not None:
                self._pool.make(self._played)
        self._tabulate()

    @property
    def scenario_of(self) -> Sequence[Scenario]:
        """The scenario that each sub-environment is playing; None before the first reset draws it."""
        if self._pool is None:
            return self._each
        present = np.full(self.num_envs, self._stream_source is not None)
        return tuple(PlayedScenarios(self._pool, self._played, present))

    @property
    def has_own_scenarios(self) -> bool:
        """Whether sub-environments were given scenarios of their own, which they play in every episode."""
        return self._pool is None and len(self._records) > 1

    @property
    def states(self) -> NDArray[np.void]:
        """The states of the worlds, hidden truth included, records (num_envs,); a copy."""
        return self._states.copy()

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start an episode in every sub-environment, or in those of ``options["reset_mask"]``.

        Sub-environment i is seeded with ``seed + i``, or with ``seed[i]`` of a list; None goes on
        with its stream.
        """
        check_options(options, allowed=("reset_mask",))
        selected = self._selected(options)
        self._seed(seed, selected)
        if self._pool is not None:
            self._pool.draw(self._noise, selected, self._played)
        observations, masks = self._buffers()
        if not selected.all():
            self._describe(observations, masks)  # the others show again what they last showed
            masks[...] = 0
        self._reset_selected(selected, observations, masks)
        return observations, self._infos(masks, selected.copy())

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[
        NDArray[np.float32],
        NDArray[np.float64],
        NDArray[np.bool_],
        NDArray[np.bool_],
        dict[str, Any],
    ]:
        """Take one action in each sub-environment.

        Parameters
        ----------
        actions
            Integers, shape (num_envs,). Those of sub-environments that are due for a reset
            (``NEXT_STEP``) are not used, but must be valid.

        Raises
        ------
        ValueError
            Wrong shape or type, or an action out of range; nothing has moved then.
        gymnasium.error.ResetNeeded
            Before the first reset, or (``DISABLED``) a sub-environment whose episode is over.
        """
        given, actions = actions, self._checked(actions)
        if self._pool is not None and self._ended.any():
            self._check_range(actions, np.asarray(given))
            self._pool.draw(self._noise, self._ended, self._played)
        n = self.num_envs
        observations, masks = self._buffers()
        rewards = np.empty(n, np.float64)
        terminated, truncated = np.empty(n, np.bool_), np.empty(n, np.bool_)
        in_range = self.kernel.step_batch(
            *self._parameters(),
            self._states,
            self._noise,
            self._elapsed,
            self._ended,
            actions,
            self.max_episode_steps or 0,
            self.observation == "outcome",
            observations,
            rewards,
            terminated,
            truncated,
            masks,
        )
        if not in_range:
            self._check_range(actions, np.asarray(given))
        if self.render_mode is not None:
            self._terminated = terminated.copy()
        infos: dict[str, Any] = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._ended.any():
            infos = self._final(observations, masks)
            selected = self._ended.copy()
            if self._pool is not None:
                self._pool.draw(self._noise, selected, self._played)
            self._reset_selected(selected, observations, masks)
        infos.update(self._infos(masks, self._everyone.copy()))
        return observations, rewards, terminated, truncated, infos

    def branch(
        self, rows: NDArray[np.int64], sources: NDArray[np.int64], actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.bool_]]:
        """Put sub-environments where others stand, after one action more; their streams stay their own.

        The hidden truth comes along, so that of what is seen there it is as likely as ever. A branch
        that the action would end is not taken: its sub-environment stays where it is.

        Parameters
        ----------
        rows
            The sub-environments to move, shape (k,), each once.
        sources
            Where each goes to: sub-environments whose episodes are under way, shape (k,).
        actions
            The action that each takes there, shape (k,); its reward belongs to nobody.

        Returns
        -------
        moved
            Which of the k were.
        observations, masks
            What the sub-environments that moved now see, float32 (k, size), and may do, bool
            (k, actions); of no use for the others.

        Raises
        ------
        ValueError
            Sub-environments that have scenarios of their own; not whole numbers of one and the same
            shape (k,), or one that is out of range; nothing has moved then.
        gymnasium.error.ResetNeeded
            Before the first reset, or the episode of a source is over.
        """
        if self.has_own_scenarios:
            raise ValueError(
                "scenario: each sub-environment has its own here, which it would leave"
            )
        rows, sources, actions = self._checked_branch(rows, sources, actions)
        played = self._played[sources] if len(self._records) > 1 else None
        states, elapsed = self._states[sources], self._elapsed[sources]
        streams, ended = self._noise[rows], np.zeros(len(rows), np.bool_)
        observations, masks = self._buffers(len(rows))
        terminated, truncated = np.empty(len(rows), np.bool_), np.empty(len(rows), np.bool_)
        self.kernel.step_batch(
            self._records,
            self._tables,
            self._features,
            played,
            states,
            streams,
            elapsed,
            ended,
            actions,
            self.max_episode_steps or 0,
            self.observation == "outcome",
            observations,
            np.empty(len(rows), np.float64),
            terminated,
            truncated,
            masks,
        )
        moved = ~(terminated | truncated)
        to = rows[moved]
        self._states[to], self._noise[to] = states[moved], streams[moved]
        self._elapsed[to], self._played[to] = elapsed[moved], self._played[sources[moved]]
        self._ended[to] = False
        return moved, observations, masks.astype(bool)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return all that the episodes under way depend on, as arrays; see :meth:`restore`."""
        return {name: getattr(self, f"_{name}").copy() for name in _SNAPSHOT}

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Go on where another environment of the same arguments was when :meth:`snapshot` was asked.

        Raises
        ------
        ValueError
            It is of another number of sub-environments, or of another family.
        """
        if self._stream_source is None:
            self.reset(seed=0)
        for name in _SNAPSHOT:
            mine, other = getattr(self, f"_{name}"), snapshot[name]
            if mine.shape != other.shape or mine.dtype != other.dtype:
                raise ValueError(
                    f"snapshot: {name} of {other.dtype} and shape {other.shape}; {mine.dtype} of shape "
                    f"{mine.shape} is needed"
                )
        for name in _SNAPSHOT:
            getattr(self, f"_{name}")[:] = snapshot[name]
        if self._pool is not None:
            self._pool.make(self._played)

    def action_masks(self) -> NDArray[np.bool_]:
        """Return which actions are allowed now, bool (num_envs, actions)."""
        if self._stream_source is None:
            raise gym.error.ResetNeeded("call reset() before action_masks()")
        observations, masks = self._buffers()
        self._describe(observations, masks)
        return masks.astype(bool)

    def render(self) -> tuple[Any, ...] | None:
        """Return a picture of each sub-environment, without the history of its episode."""
        if self.render_mode is None:
            return super().render()
        if self._stream_source is None:
            raise gym.error.ResetNeeded("call reset() before render()")
        frames = []
        for i, scenario in enumerate(self.scenario_of):
            env = self.env_type(scenario, self.observation, self.render_mode)
            env.reset(seed=0)
            env._states[:] = self._states[i]
            # What was cut off goes on, for all that a picture can tell.
            env._is_running = not (self._ended[i] and self._terminated[i])
            env._on_reset()
            frames.append(env.render())
        return tuple(frames)

    def _seed(self, seed: int | Sequence[int | None] | None, selected: NDArray[np.bool_]) -> None:
        """Start the streams of the selected sub-environments where ``seed`` says."""
        counters = started = None
        if _is_list(seed):
            seeds, given = self._listed(seed)  # type: ignore[arg-type]
            chosen = selected & given
            started = np.flatnonzero(chosen)
            if len(started) < len(seeds):
                seeds = list(compress(seeds, chosen))
            counters = noise.first_counters(seeds)
            seed = None
        elif seed is not None:
            seed = whole_number("seed", seed, 0, or_none="to go on with the streams")
            started = np.flatnonzero(selected)
            counters = noise.first_counters(range(seed, seed + self.num_envs))[started]
        if seed is not None:
            super().reset(seed=seed)
        elif self._stream_source is not self.np_random:
            self._noise[:] = noise.streams(self.np_random, self.num_envs)
        self._stream_source = self.np_random
        if started is not None:
            self._noise["counter"][started] = counters

    def _listed(self, seeds: Sequence[int | None]) -> tuple[list[int], NDArray[np.bool_]]:
        """Return a list of seeds, 0 for None, and which of them are given."""
        if len(seeds) != self.num_envs:
            raise ValueError(
                f"seed: a list of {len(seeds)} was given for num_envs = {self.num_envs}"
            )
        if isinstance(seeds, np.ndarray):
            seeds = seeds.tolist()
        given = np.array([one is not None for one in seeds], np.bool_)
        numbers = [0 if one is None else one for one in seeds]
        # A million of them in one go: only what is wrong or of another type is looked at one by one.
        if set(map(type, numbers)) != {int} or min(numbers) < 0:
            numbers = [whole_number(f"seed[{i}]", one, 0) for i, one in enumerate(numbers)]
        return numbers, given

    def _selected(self, options: dict[str, Any] | None) -> NDArray[np.bool_]:
        if not options or "reset_mask" not in options:
            return self._everyone
        mask = options["reset_mask"]
        if (
            not isinstance(mask, np.ndarray)
            or mask.dtype != np.bool_
            or mask.shape != (self.num_envs,)
            or not mask.any()
        ):
            raise ValueError(
                f"options['reset_mask'] = {shown(mask)}: a bool array of shape ({self.num_envs},) with "
                "at least one True is needed"
            )
        if self._stream_source is None and not mask.all():
            raise gym.error.ResetNeeded("the first reset must be of all sub-environments")
        return mask

    def _checked(self, actions: Any) -> NDArray[np.int64]:
        if self._stream_source is None:
            raise gym.error.ResetNeeded("call reset() before step()")
        checked = _whole_numbers("actions", actions, self.num_envs)
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            i = int(self._ended.argmax())
            raise gym.error.ResetNeeded(
                f"the episode of sub-environment {i} is over: reset it with "
                "options={'reset_mask': …} first"
            )
        return checked

    def _checked_branch(
        self, rows: Any, sources: Any, actions: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        if self._stream_source is None:
            raise gym.error.ResetNeeded("call reset() before branch()")
        count = np.size(rows)
        given = {"rows": rows, "sources": sources, "actions": actions}
        arrays = {name: _whole_numbers(name, value, count) for name, value in given.items()}
        for name, array in arrays.items():
            most = self.kernel.num_actions if name == "actions" else self.num_envs
            outside = (array < 0) | (array >= most)
            if outside.any():
                i = int(outside.argmax())
                raise ValueError(f"{name}[{i}] = {array[i]}: allowed are 0 to {most - 1}")
        if len(np.unique(arrays["rows"])) < count:
            raise ValueError("rows: each sub-environment may be moved once")
        over = self._ended[arrays["sources"]]
        if over.any():
            i = int(over.argmax())
            raise gym.error.ResetNeeded(
                f"sources[{i}] = {arrays['sources'][i]}: the episode of that sub-environment is over"
            )
        return arrays["rows"], arrays["sources"], arrays["actions"]

    def _check_range(self, actions: NDArray[np.int64], given: NDArray[Any]) -> None:
        """Raise a ValueError for the first action that is not one of 0, …, actions − 1."""
        if (
            actions.view(np.uint64).max() >= self.kernel.num_actions
        ):  # a negative one is a great one
            i = int((actions.view(np.uint64) >= self.kernel.num_actions).argmax())
            raise ValueError(
                f"actions[{i}] = {given[i]}: allowed are {numbered(self.scenarios.action_names)}"
            )

    def _reset_selected(
        self,
        selected: NDArray[np.bool_],
        observations: NDArray[np.float32],
        masks: NDArray[np.int8],
    ) -> None:
        self.kernel.reset_batch(
            *self._parameters(),
            self._states,
            self._noise,
            self._elapsed,
            self._ended,
            selected,
            self.observation == "outcome",
            observations,
            masks,
        )

    def _describe(self, observations: NDArray[np.float32], masks: NDArray[np.int8]) -> None:
        self.kernel.describe_batch(
            *self._parameters(),
            self._states,
            self.observation == "outcome",
            observations,
            masks,
            np.empty(self.num_envs, np.uint64),
        )

    def _buffers(self, count: int | None = None) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
        """Return new arrays for observations and masks: a user keeps what was handed out."""
        count = self.num_envs if count is None else count
        shape = self.single_observation_space.shape or ()
        observations = np.empty((count, *shape), np.float32)
        return observations, np.empty((count, self.kernel.num_actions), np.int8)

    def _infos(self, masks: NDArray[np.int8], present: NDArray[np.bool_]) -> dict[str, Any]:
        infos: dict[str, Any] = {"action_mask": masks, "_action_mask": present}
        if self._pool is not None:
            infos["scenario"] = PlayedScenarios(self._pool, self._played.copy(), present)
            infos["_scenario"] = present.copy()
        return infos

    def _final(self, observations: NDArray[np.float32], masks: NDArray[np.int8]) -> dict[str, Any]:
        """Return what ``SAME_STEP`` hands out of the episodes that are over."""
        ended = self._ended.copy()
        final_obs = np.full(self.num_envs, None, object)
        for i in np.flatnonzero(ended):
            final_obs[i] = observations[i].copy()
        final_masks = np.where(ended[:, np.newaxis], masks, np.int8(0))
        return {
            "final_obs": final_obs,
            "_final_obs": ended,
            "final_info": self._infos(final_masks, ended.copy()),
            "_final_info": ended.copy(),
        }


def vector_type(env_type: type[QCEnv]) -> type[QCVectorEnv]:
    """Return the vector environment of a scalar one: ``…VectorEnv`` beside ``…Env``."""
    module = importlib.import_module(env_type.__module__)
    name = env_type.__name__.removesuffix("Env") + "VectorEnv"
    found: type[QCVectorEnv] = getattr(module, name)
    return found
