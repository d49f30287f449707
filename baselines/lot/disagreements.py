"""Where a policy's regret comes from: its costliest departures from the optimum, along episodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.disagreements import Disagreement
from baselines.core.policy import Policy
from baselines.core.scoring import play
from baselines.lot.solution import LotSolution
from qc_gym.core.vector import QCVectorEnv

_BANDS = 10
"""In so many parts of the longest lot departures are told apart."""
_WORDS = {False: ("stop", "inspect"), True: ("end production", "produce")}
"""The two actions, by whether the lot is still being produced."""


def disagreements(
    solution: LotSolution,
    policy: Any,
    env: QCVectorEnv,
    episodes: int,
    seed: int,
    deterministic: bool,
    features: NDArray[np.float32] | None = None,
) -> list[Disagreement]:
    """Return a policy's departures from the optimum along simulated episodes, the costliest first.

    Beliefs being a continuum, decisions at which the policy errs in the same way within the same
    tenth of the longest lot are put together: the state names the ranges that they are in, and ``gap`` is
    their mean. Departures that cost no more than the bracket is wide are left out: the bounds
    cannot tell them from none.

    Parameters
    ----------
    env
        A vector environment of the scenario with ``SAME_STEP`` autoreset.
    episodes
        Number of episodes; rounded up to a multiple of the number of sub-environments.
    features
        Numbers that the policy sees appended to the observations, (m,).

    Raises
    ------
    TypeError
        Not a policy.
    """
    if not isinstance(policy, Policy):
        raise TypeError(f"policy = {policy!r}: an object with a method predict() is needed")
    states, actions, gaps = _departures(
        solution, policy, env, episodes, seed, deterministic, features
    )
    if len(states) == 0:
        return []
    producing = states["is_producing"]
    band = _BANDS * np.where(producing, states["lot_size"], states["n"])
    band //= solution.scenario.longest_lot
    groups, member = np.unique(
        np.stack([producing, actions, band], axis=1), axis=0, return_inverse=True
    )
    played = -(-episodes // env.num_envs) * env.num_envs
    regrets = np.bincount(member, gaps) / played
    told = np.flatnonzero(regrets > solution.upper - solution.lower)
    rows = []
    for i in told[np.argsort(-regrets[told], kind="stable")]:
        of_group = states[member == i]
        words, action = _WORDS[bool(groups[i, 0])], groups[i, 1]
        rows.append(
            Disagreement(
                state=_describe(of_group),
                optimum=words[1 - action],
                policy=words[action],
                occupancy=len(of_group) / played,
                gap=float(regrets[i] * played / len(of_group)),
                regret=float(regrets[i]),
                share=float(regrets[i] / regrets.sum()),
            )
        )
    return rows


def _departures(
    solution: LotSolution, policy: Policy, env: QCVectorEnv, episodes: int, *played_with: Any
) -> tuple[NDArray[np.void], NDArray[np.integer], NDArray[np.float64]]:
    """Return the state, action and gap, each (B,), of every decision that costs something."""
    states = [env.states[:0]]
    actions: list[NDArray[np.integer]] = [np.zeros(0, np.int64)]
    gaps = [np.zeros(0)]
    for answer, _, active in play(policy, env, episodes, *played_with):
        lost = np.where(active, solution.gaps(env.states, answer), 0.0)
        wrong = lost > 0.0
        states.append(env.states[wrong])
        actions.append(answer[wrong])
        gaps.append(lost[wrong])
    return np.concatenate(states), np.concatenate(actions), np.concatenate(gaps)


def _describe(states: NDArray[np.void]) -> str:
    """Return decisions of one phase in words, as the ranges that they are in."""
    size, n, d, belief = (_range(states[name]) for name in ("lot_size", "n", "d", "b"))
    if states["is_producing"][0]:
        return f"{size} produced"
    return f"{n} of {size} inspected, {d} still wanted, belief {belief}"


def _range(values: NDArray[np.generic]) -> str:
    ends = (round(end.item(), 4) for end in (values.min(), values.max()))
    return " to ".join(dict.fromkeys(map(str, ends)))
