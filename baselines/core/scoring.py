"""The score of a policy: its true value against the optimum.

A policy without memory is evaluated exactly. One with memory is scored by the sum of the gaps
V*(s) − Q*(s, a) along simulated episodes of the environment: its expectation is the regret, because
the gaps of a policy telescope to V* − V (the performance difference, Kakade & Langford 2002), and its
variance vanishes as the policy approaches the optimum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from baselines.core.certificate import OracleError, rounding
from baselines.core.plan import Fact, render_card
from qc_gym.core.policy import Player
from qc_gym.core.vector import QCVectorEnv


@dataclass(frozen=True)
class Score:
    """What a policy is worth.

    Attributes
    ----------
    value
        Expected return of an episode, in money.
    optimum
        That of the optimal policy.
    regret
        ``optimum − value``, in money.
    normalised
        1 for the optimum, 0 for the uniformly random policy over the allowed actions.
    stderr
        Standard error of ``value``; 0.0 when exact.
    exact
        Whether the value was computed and not simulated.
    expected_length
        Expected number of decisions in an episode.
    tolerance
        Bound on the error of an exact ``value``, in money; 0.0 where it is that of rounding. Where beliefs
        are a continuum, it is that of the rule which is read from a policy's answers
        (docs/theory/lot.md says how sure it is that this is the policy's).
    """

    value: float
    optimum: float
    regret: float
    normalised: float
    stderr: float
    exact: bool
    expected_length: float
    tolerance: float = 0.0

    def _repr_html_(self) -> str:
        facts = [
            Fact("regret", self.regret, "money an episode"),
            Fact("normalised score", self.normalised),
            Fact("value", self.value, "money an episode"),
            Fact("optimum", self.optimum, "money an episode"),
            Fact("decisions in an episode", self.expected_length, "on average"),
        ]
        if not self.exact:
            facts.append(Fact("standard error", self.stderr, "money"))
        elif self.tolerance:
            facts.append(Fact("tolerance", self.tolerance, "money"))
        return render_card("Score, computed" if self.exact else "Score, simulated", facts)


class Worth(NamedTuple):
    """What a policy loses against the optimum.

    Attributes
    ----------
    regret
        In money.
    expected_length
        Expected number of decisions in an episode.
    stderr
        Standard error of ``regret``; 0.0 when it was computed.
    tolerance
        Bound on the error of a computed ``regret``, in money; 0.0 where it is that of rounding.
    exact
        Whether it was computed and not simulated.
    """

    regret: float
    expected_length: float
    stderr: float = 0.0
    tolerance: float = 0.0
    exact: bool = True


Gaps = Callable[[NDArray[np.void], NDArray[np.int64]], NDArray[np.float64]]
"""V*(s) − Q*(s, a) at states of the environment, records (n,), and actions (n,)."""


def make_score(optimum: float, random_value: float, worth: Worth) -> Score:
    """Return the score of a policy beside the values of the optimum and of random play."""
    range_ = optimum - random_value
    return Score(
        value=optimum - worth.regret,
        optimum=optimum,
        regret=worth.regret,
        normalised=1.0 - worth.regret / range_ if range_ > 0 else 1.0,
        stderr=worth.stderr,
        exact=worth.exact,
        expected_length=worth.expected_length,
        tolerance=worth.tolerance,
    )


def worth_by_simulation(
    gaps: Gaps, stakes: float, player: Player, arena: QCVectorEnv, episodes: int, seed: int
) -> Worth:
    """Return what a policy that may have memory loses, from the gaps along simulated episodes.

    Parameters
    ----------
    gaps
        Those of the optimum.
    stakes
        The money at stake in an episode, by which the rounding of gaps is measured.
    arena
        A vector environment of the scenario with ``SAME_STEP`` autoreset.
    episodes
        Number of episodes; rounded up to a multiple of the number of sub-environments.
    """
    count, rounds = arena.num_envs, -(-episodes // arena.num_envs)
    lost, lengths = np.zeros((2, rounds, count))
    each = np.arange(count)
    for actions, played, active in play(player, arena, episodes, seed):
        here = gaps(arena.states, actions)
        lost[played[active], each[active]] += here[active]
        lengths[played[active], each[active]] += 1
    if lost.min() < -rounding(stakes):
        raise OracleError(f"an episode's gaps sum to {lost.min()!r}")
    return Worth(float(lost.mean()), float(lengths.mean()), standard_error(lost), exact=False)


def standard_error(values: NDArray[np.float64]) -> float:
    """Return the standard error of the mean of values; infinite for one alone."""
    if values.size < 2:
        return math.inf
    # Around the first, so that values which are all the same have none, that of rounding neither.
    return float((values - values.flat[0]).std(ddof=1) / math.sqrt(values.size))


def play(
    player: Player, arena: QCVectorEnv, episodes: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]]:
    """Play episodes of a policy that may have memory; yield before each step of the environment.

    Every sub-environment plays the same number of episodes, so that short ones are not favoured.

    Yields
    ------
    actions, played, active
        What the policy does now in each sub-environment, whose states are ``arena.states``; how many
        episodes each has ended; whether it has any left. Shape (num_envs,).
    """
    if arena.autoreset_mode is not AutoresetMode.SAME_STEP:
        raise ValueError(f"arena.autoreset_mode = {arena.autoreset_mode}: SAME_STEP is needed")
    count, rounds = arena.num_envs, -(-episodes // arena.num_envs)
    # Not seed itself: sub-environment i + 1 would then play what i plays with the next seed.
    seeds = np.random.default_rng(seed).integers(2**63, size=count)
    observations, infos = arena.reset(seed=seeds.tolist())
    memory = None
    starts = np.ones(count, np.bool_)
    played = np.zeros(count, np.int64)
    while (active := played < rounds).any():
        allowed = infos["action_mask"].astype(bool)
        actions, memory = player.act(observations, allowed, memory, starts)
        yield actions, played, active
        observations, _, terminated, truncated, infos = arena.step(actions)
        starts = terminated | truncated
        played += starts & active
