"""The passes over a lot that value a rule, compiled; :mod:`baselines.lot.evaluation` says what they do."""

from __future__ import annotations

import numpy as np
from numba import njit

from baselines.lot.belief import chances, prospect, spent, update
from baselines.lot.bracket import inspect_bounds

MAX_MARKS = 8
"""Most beliefs, for each (n, k), between which cells are kept apart."""
_STRADDLING = 0.03
"""How much smaller a cell must be that grows across a mark."""


@njit(cache=True, error_model="numpy")
def follow_results(probabilities, lot):  # type: ignore[no-untyped-def]
    """Return what :class:`RuleCosts` holds: costs and decisions."""
    size, found = probabilities.shape[:2]
    stay, demand, shortage_cost = lot.stay, lot.demand, lot.shortage_cost
    chance = np.zeros(
        (found + 1, 3, 2)
    )  # of k, the last result and the next unit out of, in control
    chance[0, 0, 1], chance[0, 0, 0] = stay[0], 1.0 - stay[0]
    costs, paid, decisions = np.empty(size + 1), 0.0, 0.0
    for n in range(size):
        costs[n] = paid + _shortage(chance.sum(axis=2).sum(axis=1), demand, shortage_cost)
        following = np.zeros_like(chance)
        for k in range(min(found, n + 1)):
            for last in range(3):
                inspected = probabilities[n, k, last]
                here = chance[k, last, 0] + chance[k, last, 1]
                decisions += here
                paid += inspected * spent(lot, chance[k, last, 0], chance[k, last, 1])
                paid += here * (1.0 - inspected) * shortage_cost * (demand - k)
                for conforming in range(2):
                    chance_in, chance_out = chances(lot, conforming)
                    inside = inspected * chance[k, last, 1] * chance_in
                    follows = stay[n + 1] if n + 1 < size else 0.0
                    to = following[k + conforming, 1 + conforming]
                    to[1] += inside * follows
                    to[0] += inside * (1.0 - follows)
                    to[0] += inspected * chance[k, last, 0] * chance_out
        chance = following
        if found == demand:
            chance[found] = 0.0  # the demand is met
    costs[size] = paid + _shortage(chance.sum(axis=2).sum(axis=1), demand, shortage_cost)
    return costs, decisions


@njit(cache=True, error_model="numpy")
def _shortage(chance, demand, shortage_cost):  # type: ignore[no-untyped-def]
    """Return the expected shortage cost of the demand open, by the number found (found + 1,)."""
    cost = 0.0
    for k in range(len(chance)):
        cost += chance[k] * shortage_cost * (demand - k)
    return cost


@njit(cache=True, error_model="numpy", inline="always")
def _acts(rule, row, n, k, belief):  # type: ignore[no-untyped-def]
    """Return the action of the rule at a belief."""
    action = rule.first[n, k]
    for i in range(rule.begin[row], rule.begin[row + 1]):
        if belief >= rule.switches[1, i]:
            action = 1 - action
    return action


@njit(cache=True, error_model="numpy")
def departures(rule, rows, beliefs, answers):  # type: ignore[no-untyped-def]
    """Return which answers are not the rule's, bool (B,), at n · found + k and beliefs.

    Between the two beliefs of a switch the rule says nothing.
    """
    found = rule.first.shape[1]
    departs = np.zeros(len(rows), np.bool_)
    for i in range(len(rows)):
        row, belief = rows[i], beliefs[i]
        departs[i] = _acts(rule, row, row // found, row % found, belief) != answers[i]
        for j in range(rule.begin[row], rule.begin[row + 1]):
            if rule.switches[0, j] < belief < rule.switches[1, j]:
                departs[i] = False
    return departs


@njit(cache=True, error_model="numpy")
def worst_regrets(rule, low, high, lot, points):  # type: ignore[no-untyped-def]
    """Return bounds on what following the rule from (n, k) costs above the optimum, at any belief.

    (size + 1, found + 1). Inspecting against the optimum costs most at the lowest belief where the
    rule does it, stopping at the highest, as the cost of inspecting on falls with the belief.
    """
    first, begin, switches = rule
    size, found = first.shape
    regrets = np.zeros((size + 1, found + 1))
    for n in range(size - 1, -1, -1):
        for k in range(min(found, n + 1)):
            d, row = min(lot.demand - k, size - n), n * found + k
            if high[n, d] < low[n, d]:
                continue
            stop = lot.shortage_cost * d
            start = low[n, d]
            for i in range(begin[row], begin[row + 1] + 1):
                is_last = i == begin[row + 1]
                end = high[n, d] if is_last else min(switches[1, i], high[n, d])
                if start <= end:
                    action = (first[n, k] + i - begin[row]) % 2
                    at = start if action else end
                    below, above = inspect_bounds(n, d, at, lot, points)
                    worst = above - stop if action else stop - below
                    worst = max(worst, 0.0)
                    if action:
                        ahead = 0.0
                        for belief in (start, end):
                            p = prospect(lot, belief)
                            ahead = max(
                                ahead, p * regrets[n + 1, k + 1] + (1.0 - p) * regrets[n + 1, k]
                            )
                        worst += ahead + above - below
                    regrets[n, k] = max(regrets[n, k], worst)
                if not is_last:
                    start = max(start, switches[0, i])
    return regrets


@njit(cache=True, error_model="numpy")
def marks(rule, lot):  # type: ignore[no-untyped-def]
    """Return beliefs between which cells are not joined, their weights, and how many: actions change soon.

    (size, found, MAX_MARKS), ascending; the weight is the chance that it comes to that. The switches of
    (n, k), and the beliefs from which a result leads to a mark of what follows, those first that the
    likeliest results lead to.
    """
    first, begin, switches = rule
    size, found = first.shape
    places, weights = np.empty((size, found, MAX_MARKS)), np.empty((size, found, MAX_MARKS))
    number = np.zeros((size, found), np.int64)
    beliefs, weight = np.empty((2, 2 * MAX_MARKS + len(switches[0])))
    for n in range(size - 1, -1, -1):
        for k in range(min(found, n + 1)):
            row = n * found + k
            count = begin[row + 1] - begin[row]
            beliefs[:count] = switches[1, begin[row] : begin[row + 1]]
            weight[:count] = 1.0
            for conforming in range(2):
                if n + 1 == size or k + conforming == found:
                    continue
                chance_in, chance_out = chances(lot, conforming)
                for i in range(number[n + 1, k + conforming]):
                    posterior = places[n + 1, k + conforming, i] / lot.stay[n + 1]
                    if posterior >= 1.0:
                        continue
                    total = posterior * chance_out + (1.0 - posterior) * chance_in
                    if total <= 0.0:
                        continue
                    belief = posterior * chance_out / total
                    chance = belief * chance_in + (1.0 - belief) * chance_out
                    beliefs[count] = belief
                    weight[count] = chance * weights[n + 1, k + conforming, i]
                    count += 1
            kept = np.argsort(-weight[:count])[:MAX_MARKS]
            kept = kept[np.argsort(beliefs[:count][kept])]
            number[n, k] = len(kept)
            places[n, k, : len(kept)] = beliefs[:count][kept]
            weights[n, k, : len(kept)] = weight[:count][kept]
    return places, weights, number


@njit(cache=True, error_model="numpy")
def follow_beliefs(rule, marks, number, regrets, cell_size, most, lot, points):  # type: ignore[no-untyped-def]
    """Return costs, bound on the error and decisions; see :class:`RuleCosts`.

    And whether all was done with at most ``most`` cells. Neighbouring cells are joined where
    probability times width stays below ``cell_size``.
    """
    first, begin, switches = rule
    size, found = first.shape
    stay, demand, shortage_cost = lot.stay, lot.demand, lot.shortage_cost
    # Joint probability with the unit in control and out of control, lowest and highest belief: the
    # cells of k are edges[k] to edges[k + 1], by their mean beliefs.
    cells, edges = np.empty((4, 64)), np.ones(found + 2, np.int64)
    edges[0] = 0
    cells[:, 0] = stay[0], 1.0 - stay[0], stay[0], stay[0]
    costs, paid = np.empty(size + 1), 0.0
    error, decisions, count = 0.0, 0.0, 0
    for n in range(size):
        costs[n] = paid + _open_shortage(cells, edges, found, demand, shortage_cost)
        count += edges[found]
        if count > most:
            return costs, error, decisions, False
        for k in range(found):
            d, row = min(demand - k, size - n), n * found + k
            for i in range(edges[k], edges[k + 1]):
                here = cells[0, i] + cells[1, i]
                decisions += here
                for j in range(begin[row], begin[row + 1]):
                    if cells[2, i] < switches[1, j] and switches[0, j] <= cells[3, i]:
                        error += here * _difference(
                            n, k, d, cells[2, i], cells[3, i], regrets, lot, points
                        )
                        break
                if _acts(rule, row, n, k, cells[0, i] / here):
                    paid += spent(lot, cells[1, i], cells[0, i])
                else:
                    paid += here * shortage_cost * (demand - k)
                    cells[0, i] = cells[1, i] = 0.0
        follows = stay[n + 1] if n + 1 < size else 0.0
        ahead = min(n + 1, size - 1)  # after the last unit it does not matter what is joined
        cells, edges = _inspect_cells(
            cells,
            edges,
            marks[ahead],
            number[ahead],
            lot,
            follows,
            cell_size,
        )
    costs[size] = paid + _open_shortage(cells, edges, found, demand, shortage_cost)
    return costs, error, decisions, True


@njit(cache=True, error_model="numpy")
def _open_shortage(cells, edges, found, demand, shortage_cost):  # type: ignore[no-untyped-def]
    """Return the expected shortage cost of the demand open."""
    cost = 0.0
    for k in range(found + 1):
        for i in range(edges[k], edges[k + 1]):
            cost += (cells[0, i] + cells[1, i]) * shortage_cost * (demand - k)
    return cost


@njit(cache=True, error_model="numpy")
def _difference(n, k, d, low, high, regrets, lot, points):  # type: ignore[no-untyped-def]
    """Return a bound on what the wrong action changes, at a belief between ``low`` and ``high``."""
    stop = lot.shortage_cost * d
    below, _ = inspect_bounds(n, d, high, lot, points)
    _, above = inspect_bounds(n, d, low, lot, points)
    ahead = 0.0
    for belief in (low, high):
        p = prospect(lot, belief)
        ahead = max(ahead, p * regrets[n + 1, k + 1] + (1.0 - p) * regrets[n + 1, k])
    return max(stop - below, above + ahead - stop, 0.0)


@njit(cache=True, error_model="numpy")
def _inspect_cells(cells, edges, marks, number, lot, follows, cell_size):  # type: ignore[no-untyped-def]
    """Return the cells after one more unit was inspected in each, and their edges."""
    found = len(number)
    total = edges[found]
    following, new_edges = np.empty((4, 2 * total + 1)), np.zeros(found + 2, np.int64)
    used = 0
    pair = np.empty((2, 5))  # the next cell from k − 1 and from k: as above, and its mean belief
    for k in range(found + 1):
        start = used
        # What was nonconforming comes from k, what was conforming from k − 1; both in their order.
        at = np.array([edges[k], edges[max(k - 1, 0)]])
        end = np.array([edges[k + 1] if k < found else edges[k], edges[k] if k > 0 else edges[0]])
        if k == lot.demand:
            end[:] = at  # the demand is met
        for source in range(2):
            pair[source, 4] = 2.0
            at[source] = _advance(
                cells, at[source], end[source], source, lot, follows, pair[source]
            )
        while pair[0, 4] < 2.0 or pair[1, 4] < 2.0:
            source = 0 if pair[0, 4] <= pair[1, 4] else 1
            cell = pair[source]
            is_joined = False
            if used > start:
                last = following[:, used - 1]
                near = marks[k, : number[k]] if k < found else marks[0, :0]
                is_joined = _may_join(last, cell, near, cell_size)
            if is_joined:
                last[0] += cell[0]
                last[1] += cell[1]
                last[2], last[3] = min(last[2], cell[2]), max(last[3], cell[3])
            else:
                for i in range(4):
                    following[i, used] = cell[i]
                used += 1
            at[source] = _advance(
                cells, at[source], end[source], source, lot, follows, pair[source]
            )
        new_edges[k + 1] = used
    return following, new_edges


@njit(cache=True, error_model="numpy", inline="always")
def _may_join(one, other, marks, cell_size):  # type: ignore[no-untyped-def]
    """Return whether two neighbouring cells may become one: it is small, and has no mark inside.

    Cells with a mark inside join each other, or they would multiply without end.
    """
    low, high = min(one[2], other[2]), max(one[3], other[3])
    extent = (one[0] + one[1] + other[0] + other[1]) * (high - low)
    if extent > cell_size:
        return False
    if not _is_between(low, high, marks):
        return True
    straddling = _is_between(one[2], one[3], marks) + _is_between(other[2], other[3], marks)
    return straddling == 2 or (straddling == 1 and extent <= _STRADDLING * cell_size)


@njit(cache=True, error_model="numpy", inline="always")
def _is_between(low, high, marks):  # type: ignore[no-untyped-def]
    """Return whether one of the ascending marks lies above ``low`` and not above ``high``."""
    i = np.searchsorted(marks, low, side="right")
    return i < len(marks) and marks[i] <= high


@njit(cache=True, error_model="numpy", inline="always")
def _advance(cells, at, end, conforming, lot, follows, cell):  # type: ignore[no-untyped-def]
    """Write the next cell that is possible after this result; return where to look for the next."""
    chance_in, chance_out = chances(lot, conforming)
    while at < end:
        joint = cells[0, at] * chance_in
        inside = joint * follows
        outside = cells[1, at] * chance_out + joint - inside
        at += 1
        if inside + outside > 0.0:
            cell[0], cell[1] = inside, outside
            cell[2] = update(cells[2, at - 1], chance_in, chance_out, follows)[1]
            cell[3] = update(cells[3, at - 1], chance_in, chance_out, follows)[1]
            cell[4] = inside / (inside + outside)
            return at
    cell[4] = 2.0
    return at
