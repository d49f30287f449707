"""Whole episodes of a policy, each step labelled by the optimum: data to learn from offline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.core.optimum import Optimum
from baselines.core.problem import Problem
from qc_gym.core.policy import Player
from qc_gym.core.scenario import Scenario
from qc_gym.core.vector import QCVectorEnv, vector_type

_AT_ONCE = 1024
"""Most episodes that are played side by side."""


class Episode(NamedTuple):
    """One episode of T steps.

    Attributes
    ----------
    observations
        float32 (T + 1, size): as the environment shows them, the last one after the last step.
    actions
        int64 (T,).
    rewards
        float64 (T,), in money.
    terminated
        bool (T,): true at the last step.
    action_masks
        bool (T + 1, actions): which actions are allowed.
    beliefs
        float32 (T + 1, belief size): the belief observation, whatever is observed.
    action_gaps
        float64 (T + 1, actions): V*(s) − Q*(s, a), what an action loses against the best one, in money; NaN
        for actions that are not allowed, and after the end.
    optimal_actions
        int64 (T + 1,): the first action that loses least; −1 after the end.
    """

    observations: NDArray[np.float32]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    action_masks: NDArray[np.bool_]
    beliefs: NDArray[np.float32]
    action_gaps: NDArray[np.float64]
    optimal_actions: NDArray[np.int64]


def play_labelled(problem: Problem, player: Player, episodes: int, seed: int) -> Iterator[Episode]:
    """Play whole episodes of a policy and label each step; see :func:`baselines.labelled_episodes`."""
    seeds = np.random.default_rng(seed).integers(2**63, size=episodes).tolist()
    for begin in range(0, episodes, _AT_ONCE):
        block = seeds[begin : begin + _AT_ONCE]
        env = vector_type(problem.env_type)(
            len(block), problem.scenario, problem.observation, autoreset_mode="Disabled"
        )
        yield from _play_block(problem.optimum, player, env, block)


def _play_block(
    optimum: Optimum[Scenario], player: Player, env: QCVectorEnv, seeds: list[int]
) -> Iterator[Episode]:
    """Play one episode in each sub-environment."""
    observations, infos = env.reset(seed=seeds)
    labels = [_label(optimum, env, observations, infos, np.arange(env.num_envs))]
    steps = []
    memory, playing = None, np.ones(env.num_envs, np.bool_)
    starts, lengths = playing.copy(), np.zeros(env.num_envs, np.int64)
    while playing.any():
        allowed = infos["action_mask"].astype(bool)
        actions, memory = player.act(observations, allowed, memory, starts)
        observations, rewards, ended, _, infos = env.step(actions)
        steps.append((actions, rewards, ended))
        lengths += playing
        playing &= ~ended
        labels.append(_label(optimum, env, observations, infos, np.flatnonzero(playing)))
        starts = ended  # they play on, unseen, beside those that have not ended
        if starts.any() and playing.any():
            observations, infos = env.reset(options={"reset_mask": starts})
    for i, length in enumerate(lengths):
        seen = [
            np.stack([one[i] for one in each[: length + 1]]) for each in zip(*labels, strict=True)
        ]
        done = [np.stack([one[i] for one in each[:length]]) for each in zip(*steps, strict=True)]
        yield Episode(seen[0], *done, *seen[1:])


def _label(
    optimum: Optimum[Scenario],
    env: QCVectorEnv,
    observations: NDArray[np.float32],
    infos: Mapping[str, NDArray[np.int8]],
    playing: NDArray[np.int64],
) -> tuple[NDArray[np.generic], ...]:
    """Return what is seen of every state, and what the optimum says of those that go on."""
    states, allowed = env.states, infos["action_mask"].astype(bool)
    scenario = optimum.scenario
    beliefs = scenario.kernel.describe(scenario.record(), states, "belief", scenario.table())[0]
    gaps = np.full(allowed.shape, np.nan)
    for action in range(allowed.shape[1]):
        here = playing[allowed[playing, action]]
        gaps[here, action] = optimum.gaps(states[here], np.full(len(here), action))
    best = np.full(len(states), -1, np.int64)
    best[playing] = np.nanargmin(gaps[playing], axis=1) if len(playing) else 0
    return observations, allowed, beliefs, gaps, best
