"""The vector environments of ``qc_gym`` as stable-baselines3 wants them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env.base_vec_env import VecEnv, VecEnvIndices, VecEnvStepReturn

from qc_gym.core.numbers import whole_number
from qc_gym.core.vector import QCVectorEnv


def random_actions(masks: NDArray[np.bool_], generator: np.random.Generator) -> NDArray[np.int64]:
    """Return an action for each row of masks (n, actions), each that is allowed being as likely."""
    # The largest of independent uniforms is equally likely to be at each.
    return (generator.random(masks.shape) * masks).argmax(axis=1)


def stack(seen: NDArray[np.float32], observations: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the last observations of each row, (n, frames · size), with one more, the oldest left out."""
    size = observations.shape[1]
    return np.concatenate((seen[:, size:], observations), axis=1)


def stacked_space(space: gym.Space[Any], frames: int) -> gym.spaces.Box:
    """Return the space of so many observations side by side, zeros among them."""
    assert isinstance(space, gym.spaces.Box)
    if frames == 1:
        return space
    low = np.tile(np.minimum(space.low, 0.0), frames)
    return gym.spaces.Box(low, np.tile(np.maximum(space.high, 0.0), frames), dtype=np.float32)


def check_exploring_starts(exploring_starts: float, observation: str, frames: int) -> None:
    """Raise a ValueError for no share, or where an episode may not start in the midst of another one.

    An agent that is to remember what it saw would stand there without having seen it.
    """
    if not 0 <= exploring_starts <= 1:
        raise ValueError(f"exploring_starts = {exploring_starts!r}: a share from 0 to 1 is needed")
    if exploring_starts and (observation != "belief" or frames > 1):
        raise ValueError(
            f"exploring_starts = {exploring_starts!r}: goes with observation 'belief' and 1 frame, as an "
            "agent that must remember would have nothing to remember there"
        )


class SB3VecEnv(VecEnv):
    """An adapter: one native vector environment behind stable-baselines3's ``VecEnv``.

    Parameters
    ----------
    env
        A vector environment of ``qc_gym`` with ``SAME_STEP`` autoreset.
    reward_scale
        What rewards are multiplied by for training. Episode statistics stay in money.
    exploring_starts
        Share of the episodes that start where another one stands, after one action at random there,
        unless that would end them: what the agent would seldom come to, or never do, is seen from the
        step after it. Their reports tell of the part that was played.
    frames
        How many of the last observations of an episode are seen at a time, the newest last and zeros for
        those before the first.
    """

    def __init__(
        self,
        env: QCVectorEnv,
        reward_scale: float = 1.0,
        exploring_starts: float = 0.0,
        frames: int = 1,
    ) -> None:
        if not isinstance(env, QCVectorEnv) or env.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise TypeError(
                f"env = {env!r}: a vector environment of qc_gym with autoreset_mode 'SameStep' is "
                "needed; make_vec(…, autoreset_mode='SameStep')"
            )
        if not 0.0 < reward_scale < math.inf:
            raise ValueError(f"reward_scale = {reward_scale!r}: a positive number is needed")
        frames = whole_number("frames", frames, 1)
        check_exploring_starts(exploring_starts, env.observation, frames)
        if exploring_starts and env.has_own_scenarios:
            raise ValueError(
                f"exploring_starts = {exploring_starts!r}: 0 is needed where sub-environments have "
                "scenarios of their own, which none may leave for another's"
            )
        self.env = env
        self.frames = frames
        self.reward_scale = reward_scale
        self.exploring_starts = exploring_starts
        self._seed = 0
        self._steps = np.zeros(1, np.int64)
        super().__init__(
            env.num_envs,
            stacked_space(env.single_observation_space, frames),
            env.single_action_space,
        )
        self._seen = np.zeros((env.num_envs, *(self.observation_space.shape or ())), np.float32)
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, np.int64)
        self._masks: NDArray[np.bool_] | None = None
        self._actions: NDArray[np.int64] | None = None

    def reset(self) -> NDArray[np.float32]:
        """Start an episode in every sub-environment, with the seeds given to :meth:`seed`."""
        if any(self._options):
            raise ValueError(f"options = {self._options}: the environments take none")
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        observations, infos = self.env.reset(seed=seeds)
        self._seed, self._steps[0] = self._seeds[0] or 0, 0
        self._reset_seeds()
        self._reset_options()
        self._returns[:] = 0.0
        self._lengths[:] = 0
        self._masks = infos["action_mask"].astype(bool)
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self._remembered(observations, np.ones(self.num_envs, np.bool_))

    def step_async(self, actions: NDArray[np.int64]) -> None:
        """Note the actions (num_envs,) of the step to take."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Take the step. Return observations, rewards, dones and a dict for each sub-environment."""
        assert self._actions is not None
        observations, rewards, terminated, truncated, infos = self.env.step(self._actions)
        self._masks = infos["action_mask"].astype(bool)
        self._steps += 1
        self._returns += rewards
        self._lengths += 1
        dones = terminated | truncated
        each: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        rows = np.flatnonzero(dones)
        final = infos["final_obs"][rows] if len(rows) else ()
        if self.frames > 1 and len(rows):
            final = stack(self._seen[rows], np.stack(final))
        for i, seen in zip(rows, final, strict=True):
            each[i] = {
                "terminal_observation": seen,
                "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
                # What stable-baselines3's Monitor reports of an episode: return and length.
                "episode": {"r": float(self._returns[i]), "l": int(self._lengths[i])},
            }
        self._returns[dones] = 0.0
        self._lengths[dones] = 0
        if self.exploring_starts:
            self._start_elsewhere(dones, observations, self._masks)
        seen = self._remembered(observations, dones)
        return seen, (rewards * self.reward_scale).astype(np.float32), dones, each

    def _remembered(
        self, observations: NDArray[np.float32], starts: NDArray[np.bool_]
    ) -> NDArray[np.float32]:
        """Return what is seen now beside what is kept, of which episodes that start have nothing."""
        if self.frames == 1:
            return observations
        self._seen[starts] = 0.0
        self._seen = stack(self._seen, observations)
        return self._seen.copy()

    def _start_elsewhere(
        self,
        dones: NDArray[np.bool_],
        observations: NDArray[np.float32],
        masks: NDArray[np.bool_],
    ) -> None:
        """Let a share of the new episodes start where others stand, after one action at random.

        ``observations`` and ``masks`` become what is seen and allowed there.
        """
        # A generator of this step's own: where a training goes on, only the number of steps is needed.
        generator = np.random.default_rng((self._seed, int(self._steps[0])))
        rows = np.flatnonzero(dones & (generator.random(self.num_envs) < self.exploring_starts))
        under_way = np.flatnonzero(~dones)
        if not len(rows) or not len(under_way):
            return
        sources = generator.choice(under_way, len(rows))
        actions = random_actions(masks[sources], generator)
        moved, seen, allowed = self.env.branch(rows, sources, actions)
        observations[rows[moved]], masks[rows[moved]] = seen[moved], allowed[moved]

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return all that the episodes under way depend on, as arrays."""
        assert self._masks is not None, "reset first"
        mine = {
            "returns": self._returns,
            "lengths": self._lengths,
            "masks": self._masks,
            "steps": self._steps,
            "seen": self._seen,
        }
        return {**self.env.snapshot(), **{name: value.copy() for name, value in mine.items()}}

    def restore(self, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Go on where another environment of the same arguments was when :meth:`snapshot` was asked."""
        self.env.restore(snapshot)
        self._seed = self._seeds[0] or 0
        self._reset_seeds()
        self._returns[:], self._lengths[:] = snapshot["returns"], snapshot["lengths"]
        self._steps[:] = snapshot["steps"]
        self._seen[:] = snapshot["seen"]
        self._masks = snapshot["masks"].copy()
        self.reset_infos = [{} for _ in range(self.num_envs)]

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return the attribute of the vector environment, once for each index."""
        value = getattr(self.env, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Refuse: the sub-environments are rows of arrays and have no attributes of their own."""
        raise NotImplementedError("the sub-environments of a native vector environment share all")

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Call a method of each sub-environment; only ``action_masks`` is known."""
        if method_name != "action_masks":
            raise AttributeError(
                f"method_name = {method_name!r}: only 'action_masks' can be called on the "
                "sub-environments of a native vector environment"
            )
        assert self._masks is not None, "reset first"
        return [self._masks[i] for i in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: VecEnvIndices = None) -> list[bool]:
        """Return whether episodes are reported as by that wrapper: True for ``Monitor`` alone.

        The infos hold the return and the length of each episode, in money; what evaluates a policy
        asks for a ``Monitor`` to know that, and would else add up the scaled rewards.
        """
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """Return a picture of each sub-environment."""
        frames: Iterable[Any] = self.env.render() or ()
        return list(frames)
