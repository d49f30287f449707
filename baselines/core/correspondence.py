"""Which states of two tables are the same: those that the same actions and results lead to.

What a plan does is a function of what was done and seen. A plan made for one scenario is therefore
carried to another one by following both tables side by side from their starts, whatever numbers their
states are known by.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from baselines.core.model import TabularModel


def counterparts(model: TabularModel[Any], other: TabularModel[Any]) -> NDArray[np.int64]:
    """Return for each state of ``model`` the row of the same state of ``other``, or −1, (S,).

    States are the same that the same actions and results lead to. Where a result cannot come in one of
    the two (a rate of 0), those behind it are the same that have the same key in both worlds.
    """
    rows = np.full(model.num_states, -1)
    if model.observation != other.observation:
        return rows
    if _have_one_shape(model, other):
        return np.arange(model.num_states)
    starts = min(len(model.initial_states), len(other.initial_states))
    _walk(
        model.first,
        model.successors,
        model.num_actions,
        other.first,
        other.successors,
        other.num_actions,
        model.initial_states[:starts],
        other.initial_states[:starts],
        rows,
    )
    missing = np.flatnonzero(rows < 0)
    if len(missing) and model.kernel == other.kernel:
        found = np.minimum(np.searchsorted(other.keys, model.keys[missing]), other.num_states - 1)
        # Keys may number states in an order that the scenario decides: both have to know it by this one.
        _, _, seen = other.kernel.describe(other.record, model.states[missing], model.observation)
        same = (other.keys[found] == model.keys[missing]) & (seen == model.keys[missing])
        rows[missing[same]] = found[same]
    return rows


def _have_one_shape(model: TabularModel[Any], other: TabularModel[Any]) -> bool:
    return model is other or (
        model.rewards.shape == other.rewards.shape
        and np.array_equal(model.initial_states, other.initial_states)
        and np.array_equal(model.first, other.first)
        and np.array_equal(model.successors, other.successors)
    )


@njit(cache=True, error_model="numpy")
def _walk(  # type: ignore[no-untyped-def]
    first, successors, count, other_first, other_successors, other_count, starts, others, rows
):
    """Follow both tables from their starts, as far as their successions are alike."""
    stack = np.empty(len(rows), np.int64)
    height = 0
    for i in range(len(starts)):
        if rows[starts[i]] < 0:
            rows[starts[i]] = others[i]
            stack[height] = starts[i]
            height += 1
    while height > 0:
        height -= 1
        state = stack[height]
        for action in range(min(count, other_count)):
            here = first[state * count + action]
            there = other_first[rows[state] * other_count + action]
            length = first[state * count + action + 1] - here
            if other_first[rows[state] * other_count + action + 1] - there != length:
                continue
            for j in range(length):
                following = successors[here + j]
                if rows[following] < 0:
                    rows[following] = other_successors[there + j]
                    stack[height] = following
                    height += 1
