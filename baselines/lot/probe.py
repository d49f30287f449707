"""Reading the rule of any policy without memory from its answers.

A deterministic policy that sees beliefs is, at each (n, d), a set of intervals of the belief. It is
asked at points of each reachable interval, and between neighbours that differ the switch is
bisected to a few millionths. Two switches between two points are not seen so. Therefore it is then
asked at the beliefs of ``LOTS`` lots, drawn as it inspects them; where it departs from the rule that
was read, the belief becomes a point, and the rule is read again.

What is certified is the cost of the last rule, from which the policy departed in none of those lots. One
that departs in a share p of all lots passes with the probability (1 − p)^``LOTS``: below a millionth for
p = 0.7 %. Where no rule passes, the policy is to be simulated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from baselines.lot.belief import Lot, prospect, reach, updated
from baselines.lot.cells import departures
from baselines.lot.evaluation import BeliefRule, ResultRule, Rule
from baselines.lot.sizes import lot_of
from qc_gym.core.policy import Player
from qc_gym.lot.dynamics import CONFORMING, NO_RESULT, NONCONFORMING
from qc_gym.lot.scenario import InspectOrStopScenario

_QUESTIONS = 60_000
_LEAST, _MOST = 5, 129
_BISECTIONS = 16
LOTS = 2048
"""Lots in which a policy must not depart from the rule that is read of it."""
_READINGS = 4
"""Most rules that are read of a policy before it is simulated."""


def probe(
    player: Player, scenario: InspectOrStopScenario, observation: str
) -> tuple[int, Rule] | None:
    """Return the lot size that a policy produces and its rule, or None if it has memory or shows no rule.

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
    rule = _results(asked, size) if observation == "outcome" else _beliefs(asked, size)
    return None if rule is None else (size, rule)


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


def _beliefs(asked: _Asked, size: int) -> BeliefRule | None:
    """Return the rule of a policy that sees beliefs, or None if it departs from every one that is read."""
    lot = lot_of(asked.scenario, size)
    rows, beliefs = _grid(lot)
    for reading in range(_READINGS):
        rule = _read(asked, lot, rows, beliefs)
        more_rows, more_beliefs = _departures(asked, lot, rule, reading)
        if not len(more_rows):
            return rule
        rows, beliefs = np.append(rows, more_rows), np.append(beliefs, more_beliefs)
    return None


def _grid(lot: Lot) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return points over the beliefs that can come: n · demand + conforming units found, and the belief."""
    low, high, _ = reach(lot)
    n, k = (index.ravel() for index in np.indices((lot.size, lot.demand)))
    d = np.minimum(lot.demand - k, lot.size - n)
    comes = np.flatnonzero((k <= n) & (low[n, d] <= high[n, d]))
    points = int(np.clip(_QUESTIONS // len(comes), _LEAST, _MOST))
    grid = np.linspace(low[n[comes], d[comes]], high[n[comes], d[comes]], points, axis=1)
    return np.repeat(comes, points), grid.ravel()


def _read(
    asked: _Asked, lot: Lot, rows: NDArray[np.int64], beliefs: NDArray[np.float64]
) -> BeliefRule:
    """Return the rule that answers at points as the policy does, and switches once where they differ."""
    order = np.lexsort((beliefs, rows))
    rows, beliefs = rows[order], beliefs[order]
    answers = _answers(asked, lot, rows, beliefs)
    (before,) = np.nonzero((rows[1:] == rows[:-1]) & (answers[1:] != answers[:-1]))
    left, right = beliefs[before], beliefs[before + 1]
    at, action = rows[before], answers[before]
    for _ in range(_BISECTIONS if len(before) else 0):
        middle = 0.5 * (left + right)
        same = _answers(asked, lot, at, middle) == action
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    first = np.zeros(lot.size * lot.demand, np.int8)
    comes, lowest = np.unique(rows, return_index=True)
    first[comes] = answers[lowest]
    begin = np.concatenate([[0], np.cumsum(np.bincount(at, minlength=len(first)))])
    return BeliefRule(first.reshape(lot.size, lot.demand), begin, np.stack([left, right]))


def _departures(
    asked: _Asked, lot: Lot, rule: BeliefRule, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return where a policy does not do what its rule says, in ``LOTS`` lots that it inspects.

    Rows and beliefs as of :func:`_grid`.
    """
    generator = np.random.default_rng(seed)
    found, belief = np.zeros(LOTS, np.int64), np.full(LOTS, lot.stay[0])
    rows, beliefs = np.zeros(0, np.int64), np.zeros(0)
    for n in range(lot.size):
        here = n * lot.demand + found
        answers = _answers(asked, lot, here, belief)
        departs = departures(rule, here, belief, answers)
        rows, beliefs = np.append(rows, here[departs]), np.append(beliefs, belief[departs])
        inspected = answers == 1
        found, belief = found[inspected], belief[inspected]
        conforming = generator.random(len(found)) < prospect(lot, belief)
        found, belief = found + conforming, updated(lot, n, belief, conforming)
        is_open = found < lot.demand
        found, belief = found[is_open], belief[is_open]
        if not len(found):
            break
    return rows, beliefs


def _answers(
    asked: _Asked, lot: Lot, rows: NDArray[np.int64], beliefs: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Return what a policy does after n units of which k conformed, row = n · demand + k, at beliefs."""
    n, found = np.divmod(rows, lot.demand)
    return asked(asked.states(lot.size, n, found, beliefs))
