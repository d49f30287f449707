"""Reading the rule of any policy without memory from its answers.

A deterministic policy that sees beliefs is, at each (n, d), a set of intervals of the belief. It is
asked at points of each reachable interval, and between neighbours that differ the switch is
bisected to a few millionths. What is certified is the cost of the rule so found: that the policy
acts alike between neighbouring points with the same answer is assumed. A network, which is smooth,
has at most one switch in most intervals; two switches between two points would not be seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.lot.belief import reach
from baselines.lot.evaluation import BeliefRule, ResultRule, Rule
from baselines.lot.sizes import lot_of
from qc_gym.core.policy import Player
from qc_gym.lot.dynamics import CONFORMING, NO_RESULT, NONCONFORMING
from qc_gym.lot.scenario import InspectOrStopScenario

_QUESTIONS = 60_000
_LEAST, _MOST = 5, 129
_BISECTIONS = 16


def probe(
    player: Player, scenario: InspectOrStopScenario, observation: str
) -> tuple[int, Rule] | None:
    """Return the lot size that a policy produces and its rule, or None if it has memory.

    Raises
    ------
    ValueError
        Its answers are no actions, or do not repeat themselves.
    """
    asked = _Asked(player, scenario, observation)
    start = np.zeros(1, scenario.kernel.state_dtype)
    start["d"], start["b"] = scenario.demand, scenario.survival[1]
    start["lot_size"] = scenario.lot_size or 0
    start["is_producing"] = scenario.lot_size is None
    if player.remembers(*asked.shown(start)):
        return None
    size = scenario.lot_size
    if size is None:
        states = np.repeat(start, scenario.longest_lot + 1)
        states["lot_size"] = np.arange(len(states))
        ends = asked(states) == 0
        ends[-1] = True
        size = int(np.argmax(ends))
    if size == 0:
        return 0, ResultRule(np.zeros((0, 0, 3)))
    return size, _results(asked, size) if observation == "outcome" else _beliefs(asked, size)


class _Asked:
    """A policy, and the environment's own description of the states that it is asked about."""

    def __init__(self, player: Player, scenario: InspectOrStopScenario, observation: str) -> None:
        self.player, self.scenario, self.observation = player, scenario, observation
        self._record = scenario.record()

    def shown(self, states: NDArray[np.void]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the observations and allowed actions of states."""
        kernel = self.scenario.kernel
        observations, allowed, _ = kernel.describe(self._record, states, self.observation)
        return observations, allowed

    def __call__(self, states: NDArray[np.void]) -> NDArray[np.int64]:
        """Return the policy's actions in states, (B,)."""
        return self.player.answers(*self.shown(states))

    def states(
        self, size: int, n: NDArray[np.int64], found: NDArray[np.int64], belief: NDArray[np.float64]
    ) -> NDArray[np.void]:
        """Return the kernel's records of decisions in a lot, (B,)."""
        states = np.zeros(len(n), self.scenario.kernel.state_dtype)
        states["lot_size"], states["n"], states["b"] = size, n, belief
        states["d"] = self.scenario.demand - found
        return states


def _results(asked: _Asked, size: int) -> ResultRule:
    """Return the rule of a policy that sees outcomes: n, the units left and the last result."""
    n, last = np.indices((size, 3)).reshape(2, -1)
    states = asked.states(size, n, np.zeros_like(n), np.zeros(len(n)))
    states["last_result"] = last
    possible = np.where(n == 0, last == NO_RESULT, (last == CONFORMING) | (last == NONCONFORMING))
    chances = np.zeros(len(n))
    chances[possible] = asked(states[possible])
    found = min(size, asked.scenario.demand)
    return ResultRule(np.repeat(chances.reshape(size, 1, 3), found, axis=1))


def _beliefs(asked: _Asked, size: int) -> BeliefRule:
    """Return the rule of a policy that sees beliefs."""
    lot = lot_of(asked.scenario, size)
    low, high, _ = reach(lot)
    n, k = (index.ravel() for index in np.indices((size, lot.demand)))
    d = np.minimum(lot.demand - k, size - n)
    comes = np.flatnonzero((k <= n) & (low[n, d] <= high[n, d]))
    points = int(np.clip(_QUESTIONS // len(comes), _LEAST, _MOST))
    ends = low[n[comes], d[comes]], high[n[comes], d[comes]]
    grid = np.linspace(*ends, points, axis=1)  # (pairs, points)
    rows = np.repeat(comes, points)
    answers = asked(asked.states(size, n[rows], k[rows], grid.ravel())).reshape(grid.shape)
    pair, before = np.nonzero(answers[:, 1:] != answers[:, :-1])
    left, right = grid[pair, before], grid[pair, before + 1]
    rows, action = comes[pair], answers[pair, before]
    for _ in range(_BISECTIONS if len(pair) else 0):
        middle = 0.5 * (left + right)
        same = asked(asked.states(size, n[rows], k[rows], middle)) == action
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    first = np.zeros(len(n), np.int8)
    first[comes] = answers[:, 0]
    begin = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(n)))])
    return BeliefRule(first.reshape(size, lot.demand), begin, np.stack([left, right]))
