"""An optimum as a page on which one moves through its states, decides, and sees what that loses.

The page holds the decision process as data: states in words and numbers, allowed actions, what each
loses against the best, rewards, and what may follow with which chance. A *world*, a few functions of
JavaScript, reads the data: ``tables.js`` those of :func:`explore_tables`; a family whose beliefs are
a continuum brings its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.pages import in_script, render, text_of
from baselines.core.plan import Fact, in_words
from baselines.core.policy import tabulate
from baselines.core.solver import evaluate
from qc_gym.core.policy import Player

if TYPE_CHECKING:
    from baselines.core.optimum import Optimum
    from baselines.core.tabular import TabularOptimum

MAX_CELLS = 100_000
"""Most pairs of a state and an action on a page: some six to ten megabytes."""
WANDERING = 0.1
"""How often whoever decides which states a page holds does anything that is allowed."""


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """An optimum to explore.

    Attributes
    ----------
    title, subtitle
        What is explored.
    facts
        What is known before one begins.
    notes
        What the reader of the numbers must know, in sentences.
    scenario
        The parameters, as JSON can hold them.
    data
        The decision process, as JSON can hold it.
    world
        JavaScript that defines ``makeWorld(data)``; ``tables.js`` tells what it returns.
    """

    title: str
    subtitle: str
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    scenario: Mapping[str, Any]
    data: Mapping[str, Any]
    world: str

    def html(self) -> str:
        """Return a self-contained page, which asks nothing of any network."""
        return render(
            "baselines.core",
            "explore.html",
            title=self.title,
            subtitle=self.subtitle,
            facts=[(fact.name, in_words(fact)) for fact in self.facts],
            notes=self.notes,
            scenario=json.dumps(self.scenario, indent=2, ensure_ascii=False),
            data=in_script(self.data),
            world=self.world,
            script=text_of("baselines.core", "explore.js"),
        )


def explored(
    optimum: Optimum[Any], title: str, subtitle: str, player: Player | None, **held: Any
) -> Exploration:
    """Return an optimum to explore; its kind gives the ``notes``, the ``data`` and the ``world``."""
    facts = [Fact("optimal value", optimum.value, "money an episode")]
    if player is not None and (worth := optimum.evaluate(player)) is not None:
        facts.append(Fact("the agent loses of it", worth.regret, "money"))
    return Exploration(
        title=title,
        subtitle=subtitle,
        facts=tuple(facts),
        scenario=optimum.scenario.model_dump(mode="json"),
        **held,
    )


def untold(player: Player, why: str) -> ValueError:
    """Return the error for a policy of which no page tells what it does."""
    return ValueError(
        f"policy of type {type(player.policy).__name__}: {why}, so that no state tells what it does; "
        "explore without it, or one that answers the observation alone"
    )


def explore_tables(optimum: TabularOptimum[Any], player: Player | None) -> dict[str, Any]:
    """Return the decision process of tables as data, beside what a policy does.

    Where the tables are more than a page holds, those states are left out that one comes to least,
    if one does as the optimum does and now and then (``WANDERING``) anything else.

    Returns
    -------
    ``states``, words of each state; ``all``, how many there are beside those left out;
    ``coordinates`` and ``beliefs``, by name a number for each state, null where it has none;
    ``values``, what optimal play still earns; ``words``, of actions, and ``actions``, which of them
    each action of each state has; ``allowed``; ``gaps``, what each loses, null where it has no bound;
    ``best``; ``rewards``; ``next``, for each action [chance, state, …], the state −1 where it is left
    out: what is missing to one ends the episode; ``start``, [chance, state, …]; ``resolution``, by
    which two actions must differ; ``agent``, for each state [action, chance, …], or null.

    Raises
    ------
    ValueError
        The policy remembers: no state tells what it does.
    """
    model, solution = optimum.model, optimum.solution
    rows = _kept(optimum)
    number = np.full(model.num_states, -1)
    number[rows] = np.arange(len(rows))
    words: dict[str, int] = {}
    actions = [
        [
            words.setdefault(optimum.describe_action(row, action), len(words))
            for action in range(model.num_actions)
        ]
        for row in rows.tolist()
    ]
    every = np.repeat(rows, model.num_actions), np.tile(np.arange(model.num_actions), len(rows))
    return {
        "states": [optimum.describe_state(row) for row in rows.tolist()],
        "all": model.num_states,
        "coordinates": _columns(optimum.coordinates(rows)),
        "beliefs": _columns(optimum.beliefs(rows)),
        "values": numbers(solution.values[rows]),
        "words": list(words),
        "actions": actions,
        "allowed": model.allowed[rows].astype(int).tolist(),
        "gaps": numbers(solution.gaps_at(*every).reshape(len(rows), -1)),
        "best": solution.actions[rows].tolist(),
        "rewards": numbers(model.rewards[rows]),
        "next": [_following(optimum, row, number) for row in rows.tolist()],
        "start": _pairs(model.initial_probabilities, number[model.initial_states]),
        "resolution": optimum.resolution,
        "agent": None if player is None else _answers(optimum, player, rows),
    }


def _kept(optimum: TabularOptimum[Any]) -> NDArray[np.int64]:
    """Return the rows of the states that a page holds, ascending."""
    model = optimum.model
    most = MAX_CELLS // model.num_actions
    if model.num_states <= most:
        return np.arange(model.num_states)
    anything = model.allowed / model.allowed.sum(axis=1, keepdims=True)
    mixed = (1.0 - WANDERING) * optimum.policy.probabilities + WANDERING * anything
    visits = evaluate(model, mixed).occupancy
    order = np.argsort(-visits, kind="stable")[:most]
    return np.sort(order[visits[order] > 0.0])


def _following(
    optimum: TabularOptimum[Any], row: int, number: NDArray[np.int64]
) -> list[list[float]]:
    """Return what may follow each action of a state; nothing for one that is not allowed."""
    model = optimum.model
    pairs = range(row * model.num_actions, (row + 1) * model.num_actions)
    return [
        _pairs(
            model.probabilities[model.first[pair] : model.first[pair + 1]],
            number[model.successors[model.first[pair] : model.first[pair + 1]]],
        )
        if allowed
        else []
        for pair, allowed in zip(pairs, model.allowed[row], strict=True)
    ]


def _answers(
    optimum: TabularOptimum[Any], player: Player, rows: NDArray[np.int64]
) -> list[list[float]]:
    table = tabulate(player, optimum.model)
    if table is None:
        raise untold(player, "it remembers")
    return [_pairs(line[line > 0.0], np.flatnonzero(line > 0.0)) for line in table[rows]]


def _pairs(chances: NDArray[np.float64], places: NDArray[np.int64]) -> list[float]:
    """Return [chance, place, …], each place once, without what has no chance."""
    total: dict[int, float] = {}
    for chance, place in zip(chances.tolist(), places.tolist(), strict=True):
        if chance > 0.0:
            total[place] = total.get(place, 0.0) + chance
    return [part for place, chance in total.items() for part in (chance, place)]


def _columns(columns: Mapping[str, NDArray[Any]]) -> dict[str, list[Any]]:
    # What is float32 has no more digits than these.
    return {
        name: numbers(column if column.dtype.kind != "f" else column.astype(float).round(7))
        for name, column in columns.items()
    }


def numbers(array: NDArray[Any]) -> list[Any]:
    """Return an array as lists, null where JSON has no such number."""
    known = array.astype(object)
    known[~np.isfinite(array)] = None
    listed: list[Any] = known.tolist()
    return listed
