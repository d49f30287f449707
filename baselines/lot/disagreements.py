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

_KEY = ("is_producing", "lot_size", "n", "d")
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

    Beliefs being a continuum, those at which the policy errs in the same way are put together for each
    lot size, units inspected and open demand: the state names their range, ``gap`` is the mean
    over them. Departures that cost no more than the bracket is wide are left out: the bounds
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
    keys, beliefs, gaps = _departures(
        solution, policy, env, episodes, seed, deterministic, features
    )
    if len(keys) == 0:
        return []
    groups, member = np.unique(keys, axis=0, return_inverse=True)
    times = np.bincount(member)
    low, high = np.full(len(groups), np.inf), np.full(len(groups), -np.inf)
    np.minimum.at(low, member, beliefs)
    np.maximum.at(high, member, beliefs)
    played = -(-episodes // env.num_envs) * env.num_envs
    regrets = np.bincount(member, gaps) / played
    told = np.flatnonzero(regrets > solution.upper - solution.lower)
    rows = []
    for i in told[np.argsort(-regrets[told], kind="stable")]:
        is_producing, lot_size, n, d, action = groups[i].tolist()
        words = _WORDS[bool(is_producing)]
        rows.append(
            Disagreement(
                state=f"{lot_size} produced"
                if is_producing
                else f"{n} of {lot_size} inspected, {d} still wanted, {_range(low[i], high[i])}",
                optimum=words[1 - action],
                policy=words[action],
                occupancy=float(times[i] / played),
                gap=float(regrets[i] * played / times[i]),
                regret=float(regrets[i]),
                share=float(regrets[i] / regrets.sum()),
            )
        )
    return rows


def _departures(
    solution: LotSolution, policy: Policy, env: QCVectorEnv, episodes: int, *played_with: Any
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return each decision that costs something: ``_KEY`` and the action (B, 5), belief and gap (B,)."""
    keys, beliefs, gaps = [np.zeros((0, 5), np.int64)], [np.zeros(0)], [np.zeros(0)]
    for actions, _, active in play(policy, env, episodes, *played_with):
        states, chosen = env.states[active], actions[active]
        lost = solution.gaps(states, chosen)
        wrong = lost > 0.0
        states = states[wrong]
        keys.append(np.stack([*(states[name] for name in _KEY), chosen[wrong]], axis=1))
        beliefs.append(states["b"])
        gaps.append(lost[wrong])
    return np.concatenate(keys), np.concatenate(beliefs), np.concatenate(gaps)


def _range(low: float, high: float) -> str:
    """Return beliefs from ``low`` to ``high`` in words."""
    return "belief " + " to ".join(dict.fromkeys((f"{low:.3g}", f"{high:.3g}")))
