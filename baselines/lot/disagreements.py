"""Where a policy's regret comes from: its costliest disagreements with the optimum, along episodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from baselines.core.disagreements import Disagreement
from baselines.core.scoring import play
from qc_gym.core.policy import Player
from qc_gym.core.vector import QCVectorEnv

if TYPE_CHECKING:
    from baselines.lot.solution import LotOptimum

_BANDS = 10
"""In so many parts of the longest lot disagreements are told apart."""
_WORDS = {False: ("stop", "inspect"), True: ("end production", "produce")}
"""The two actions, by whether the lot is still being produced."""


def find_disagreements(
    optimum: LotOptimum, player: Player, arena: QCVectorEnv, episodes: int, seed: int
) -> list[Disagreement]:
    """Return a policy's disagreements with the optimum along simulated episodes, the costliest first.

    Beliefs being a continuum, decisions at which the policy errs in the same way within the same
    tenth of the longest lot are put together: the state names the ranges that they are in, and ``gap`` is
    their mean. Disagreements that cost no more than the bracket is wide are left out: the bounds
    cannot tell them from none.

    Parameters
    ----------
    arena
        A vector environment of the scenario with ``SAME_STEP`` autoreset.
    episodes
        Number of episodes; rounded up to a multiple of the number of sub-environments.
    """
    states, actions, gaps = _costly(optimum, player, arena, episodes, seed)
    if len(states) == 0:
        return []
    producing = states["is_producing"]
    band = _BANDS * np.where(producing, states["lot_size"], states["n"])
    band //= optimum.scenario.longest_lot
    groups, member = np.unique(
        np.stack([producing, actions, band], axis=1), axis=0, return_inverse=True
    )
    played = -(-episodes // arena.num_envs) * arena.num_envs
    regrets = np.bincount(member, gaps) / played
    told = np.flatnonzero(regrets > optimum.upper - optimum.lower)
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


def _costly(
    optimum: LotOptimum, player: Player, arena: QCVectorEnv, episodes: int, seed: int
) -> tuple[NDArray[np.void], NDArray[np.int64], NDArray[np.float64]]:
    """Return the state, action and gap, each (B,), of every decision that costs something."""
    states = [arena.states[:0]]
    actions, gaps = [np.zeros(0, np.int64)], [np.zeros(0)]
    for answer, _, active in play(player, arena, episodes, seed):
        lost = np.where(active, optimum.gaps(arena.states, answer), 0.0)
        wrong = lost > 0.0
        states.append(arena.states[wrong])
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
