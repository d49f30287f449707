"""Training an agent on the native vector environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback, ConvertCallback
from stable_baselines3.common.logger import Logger

import qc_gym
from agents.algorithms import arguments, find_algorithm, linear
from agents.callbacks import EntropySchedule, ExactRegret
from agents.checkpoint import Checkpoints, restore
from agents.hyperparameters import MAX_FRAMES, MAX_SEED, MAX_WEIGHTS
from agents.vec_env import SB3VecEnv, random_actions
from qc_gym.core.errors import close_names
from qc_gym.core.numbers import whole_number
from qc_gym.core.ranges import fields_of
from qc_gym.core.registry import plain_id
from qc_gym.core.vector import QCVectorEnv


def train(
    algorithm: str,
    env_id: str,
    *,
    scenario: Any = None,
    observation: str = "belief",
    seed: int = 0,
    total_timesteps: int | None = None,
    num_envs: int | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    reward_scale: float | None = None,
    exploring_starts: float = 0.0,
    frames: int = 1,
    callback: Any = None,
    tensorboard_log: str | None = None,
    threads: int = 1,
    checkpoint: str | Path | None = None,
    replay: bool = False,
) -> BaseAlgorithm:
    """Train an agent and return it; a stable-baselines3 model is a policy that can be scored.

    Parameters
    ----------
    algorithm
        A name of :data:`agents.ALGORITHMS`.
    env_id, scenario, observation
        What to train on; see the environment.
    seed
        Seed of the network, the exploration and the environments.
    total_timesteps, num_envs, hyperparameters
        By default those of the algorithm's entry; ``hyperparameters`` go over its defaults. Of a budget
        well below what the defaults are made for, they scale with it; see
        :meth:`agents.Algorithm.settle`.
    reward_scale
        What rewards are multiplied by; by default the algorithm's ``return_deviation`` over the standard
        deviation of the return of uniformly random play, so that learning rates mean the same in every
        currency.
    exploring_starts
        Share of the training episodes that start in the midst of another one, after one action at random
        (Sutton & Barto's exploring starts, from where the agent itself comes to). What it would seldom
        see, or never do again, it goes on learning about. Only with ``observation="belief"``.
    frames
        How many of the last observations the agent sees at a time. With more than one, what plays is
        ``agents.FrameStack(model, frames)``, a policy that keeps them.
    callback
        A callback of stable-baselines3, or a list of them; for instance :class:`agents.ExactRegret`.
    tensorboard_log
        Folder for TensorBoard's files, or None.
    checkpoint
        A file in which the state of the training is kept, at the points of the curve of an
        :class:`agents.ExactRegret` among the callbacks. Where it is there, the training goes on from it, to
        the same agent bit for bit; that of a training with other arguments is refused. Where it cannot
        be written, a warning says so and the training goes on.
    replay
        Whether checkpoints hold the replay buffer; without, an algorithm that has one leaves none.
    threads
        Threads of torch while training: networks this small become slower with more than one. The
        caller's number holds again afterwards.

    Raises
    ------
    ValueError
        A number of steps, sub-environments, frames or threads, or a seed, that is not whole or too
        small; an unknown algorithm, environment or hyperparameter; a checkpoint of another training;
        the message names it.
    """
    entry = find_algorithm(algorithm)
    if total_timesteps is not None:
        total_timesteps = whole_number("total_timesteps", total_timesteps, 1)
    if num_envs is not None:
        num_envs = whole_number("num_envs", num_envs, 1)
    total_timesteps, num_envs, resolved = entry.settle(total_timesteps, num_envs, hyperparameters)
    seed = whole_number("seed", seed, 0, MAX_SEED)
    frames, threads = (
        whole_number("frames", frames, 1, MAX_FRAMES),
        whole_number("threads", threads, 1),
    )
    entry.check_rollout(num_envs, resolved)
    env = make_training_env(env_id, num_envs, scenario, observation)
    if reward_scale is None:
        reward_scale = entry.return_deviation / return_deviation(env, first_env_seed(seed))
    reward_scale = float(reward_scale)
    vec_env = SB3VecEnv(env, reward_scale, exploring_starts, frames)
    with torch_threads(threads):
        try:
            model = entry.type(
                entry.policy,
                vec_env,
                seed=seed,
                device="cpu",
                tensorboard_log=tensorboard_log,
                **arguments(resolved),
            )
        except AssertionError as error:  # how stable-baselines3 refuses hyperparameters
            raise ValueError(f"{algorithm}: {error}") from error
        description = {
            "algorithm": algorithm,
            "hyperparameters": resolved,
            "env_id": plain_id(env_id),
            "scenario": [fields_of(one) for one in env.scenario_of]
            if env.has_own_scenarios
            else fields_of(env.scenarios),
            "observation": observation,
            "frames": frames,
        }
        if not env.has_own_scenarios:  # a policy that is kept tells of one, or of a range
            model.description = description  # type: ignore[attr-defined]  # for save_policy
        vec_env.seed(first_env_seed(seed))  # in place of the seed itself, which the model gave it
        weights = sum(parameter.numel() for parameter in model.policy.parameters())
        if weights > 2 * MAX_WEIGHTS:
            raise ValueError(
                f"{algorithm}: policy_kwargs = {resolved.get('policy_kwargs')!r}: makes networks of "
                f"{weights:,} weights here; at most {2 * MAX_WEIGHTS:,} are allowed"
            )
        if tensorboard_log is None:
            model.set_logger(Logger(None, []))  # its own would leave a folder among temporary files
        done = 0
        callbacks = list(callback) if isinstance(callback, list | tuple) else [callback]
        callbacks = [
            one if isinstance(one, BaseCallback) else ConvertCallback(one)
            for one in callbacks
            if one is not None
        ]
        if isinstance(resolved.get("ent_coef"), Mapping):
            callbacks.append(EntropySchedule(linear("ent_coef", resolved["ent_coef"])))
        if checkpoint is not None:
            curve = next((one for one in callbacks if isinstance(one, ExactRegret)), None)
            if curve is None:
                raise ValueError(
                    "checkpoint: goes with an ExactRegret among the callbacks, which says when"
                )
            training = {
                **description,
                "seed": seed,
                "total_timesteps": total_timesteps,
                "num_envs": num_envs,
                "reward_scale": reward_scale,
                "exploring_starts": exploring_starts,
            }
            if restore(Path(checkpoint), model, curve, training):
                done = model.num_timesteps
            callbacks.append(Checkpoints(Path(checkpoint), curve, training, replay))
        return model.learn(
            total_timesteps - done, callback=callbacks, reset_num_timesteps=done == 0
        )


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads, and the caller's number again afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make_training_env(
    env_id: str, num_envs: int, scenario: Any = None, observation: str = "belief"
) -> QCVectorEnv:
    """Return the native vector environment with the autoreset that training needs."""
    try:
        env = gym.make_vec(
            env_id,
            num_envs=num_envs,
            scenario=scenario,
            observation=observation,
            autoreset_mode="SameStep",
        )
    except gym.error.UnregisteredEnv as error:
        known = close_names(env_id, list(qc_gym.ENVIRONMENTS))
        raise ValueError(f"unknown env_id {env_id!r}; {known}") from error
    assert isinstance(env, QCVectorEnv)
    return env


def first_env_seed(seed: int) -> int:
    """Return the seed of a training's first sub-environment; that of the next one is one more, and so on.

    Were it ``seed``, trainings of neighbouring seeds would see nearly all the same episodes, and not
    be the independent samples that intervals over seeds take them for.
    """
    return int(np.random.SeedSequence(seed).generate_state(1)[0])


def return_deviation(env: QCVectorEnv, seed: int, steps: int = 256) -> float:
    """Return the standard deviation of the return of random play, in money; 1 if there is none."""
    generator = np.random.default_rng(seed)
    _, infos = env.reset(seed=seed)
    total, finished = np.zeros(env.num_envs), []
    for _ in range(steps):
        actions = random_actions(infos["action_mask"], generator)
        _, rewards, terminated, truncated, infos = env.step(actions)
        total += rewards
        ended = terminated | truncated
        finished.append(total[ended])
        total[ended] = 0.0
    deviation = float(np.concatenate(finished).std()) if any(map(len, finished)) else 0.0
    return deviation or 1.0
