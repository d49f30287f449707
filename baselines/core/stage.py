"""Playing a wrapped environment itself, where no lens can tell what its wrappers do.

Copies of the environment are played side by side, with a ledger between the innermost wrapper and the
environment: what happens there is what counts, whatever wrappers repeat, delay or cut off. An episode that
ends by itself is scored by its gaps; where episodes are cut off, by the money.
"""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import wrappers
from numpy.typing import NDArray

from baselines.core.certificate import OracleError, rounding
from baselines.core.optimum import Optimum
from baselines.core.scoring import Worth, standard_error
from qc_gym.core.env import QCEnv
from qc_gym.core.policy import Player
from qc_gym.core.scenario import Scenario

_COPIES = 64
_BY_CHANCE = 5.0
"""Standard errors by which a policy may beat the optimum before its episodes are said to be cut short."""


class _Ledger(gym.Wrapper[Any, Any, Any, Any]):
    """Notes the state, action and reward of every step of the environment itself."""

    def __init__(self, env: QCEnv) -> None:
        super().__init__(env)
        self.states: list[NDArray[np.void]] = []
        self.actions: list[int] = []
        self.money = 0.0
        self.has_ended = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode, and a new page."""
        self.states, self.actions, self.money, self.has_ended = [], [], 0.0, False
        return super().reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step, and note it."""
        inner = self.env.unwrapped
        assert isinstance(inner, QCEnv)
        before = np.array([inner.state])
        observation, reward, terminated, truncated, info = super().step(action)
        self.states.append(before)
        self.actions.append(int(np.asarray(action).item()))
        self.money += float(reward)
        self.has_ended = terminated
        return observation, reward, terminated, truncated, info


def worth_on_stage(
    optimum: Optimum[Scenario], player: Player, stage: gym.Env[Any, Any], episodes: int, seed: int
) -> Worth:
    """Return what a policy loses in a wrapped environment, from simulated episodes.

    Parameters
    ----------
    stage
        The wrapped environment; it is copied and stays as it is.

    Raises
    ------
    ValueError
        Episodes are cut off before they are paid for, so that the policy earns more than the optimum.
    """
    count = min(episodes, _COPIES)
    copies = [_copy(stage) for _ in range(count)]
    seeds = np.random.default_rng(seed).integers(2**31, size=count)
    lost, earned, lengths = [], [], []
    is_cut = False
    shown = [env.reset(seed=int(one))[0] for (env, _), one in zip(copies, seeds, strict=True)]
    starts, memory = np.ones(count, np.bool_), None
    left = [episodes // count + (i < episodes % count) for i in range(count)]
    while any(left):
        allowed = np.stack([_masks(env) for env, _ in copies])
        actions, memory = player.act(np.stack(shown), allowed, memory, starts)
        for i, (env, ledger) in enumerate(copies):
            starts[i] = False
            if not left[i]:
                continue
            shown[i], _, terminated, truncated, _ = env.step(actions[i])
            if terminated or truncated:
                gaps = optimum.gaps(np.concatenate(ledger.states), np.array(ledger.actions))
                lost.append(float(gaps.sum()))
                earned.append(ledger.money)
                lengths.append(len(ledger.actions))
                is_cut |= not ledger.has_ended
                left[i] -= 1
                shown[i], starts[i] = env.reset()[0], True
    regrets = optimum.value - np.array(earned) if is_cut else np.array(lost)
    found = Worth(
        float(regrets.mean()), float(np.mean(lengths)), standard_error(regrets), exact=False
    )
    if found.regret < -max(rounding(optimum.stakes), _BY_CHANCE * found.stderr):
        if is_cut:
            raise ValueError(
                "env: its wrappers cut episodes off before they are paid for, so that the policy earns "
                f"{-found.regret:.6g} more than the optimum; raise the limit of steps"
            )
        raise OracleError(f"an episode's gaps sum to {found.regret!r}")
    return found


def _copy(stage: gym.Env[Any, Any]) -> tuple[gym.Env[Any, Any], _Ledger]:
    """Return a copy that plays the present scenario with frozen statistics, and its ledger."""
    env = copy.deepcopy(stage)
    inner = env.unwrapped
    assert isinstance(inner, QCEnv)
    inner._draw_scenario = lambda: None  # type: ignore[method-assign]  # of a range, the present one stays
    ledger = _Ledger(inner)
    layer: Any = env
    while layer.env is not inner:
        if isinstance(layer, wrappers.NormalizeObservation):
            layer.update_running_mean = False
        layer = layer.env
    if isinstance(layer, wrappers.NormalizeObservation):
        layer.update_running_mean = False
    layer.env = ledger
    return env, ledger


def _masks(env: gym.Env[Any, Any]) -> NDArray[np.bool_]:
    inner = env.unwrapped
    assert isinstance(inner, QCEnv)
    return inner.action_masks()
