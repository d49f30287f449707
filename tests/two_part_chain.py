"""Two parts and a product, item by item: a Markov chain over what is in hand, solved as equations.

For tests: independent of the closed form in ``qc_gym.pilot.dynamics``, and exact with fractions.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

TO_BUY, GOOD_UNTESTED, BAD_UNTESTED, KNOWN_GOOD = range(4)


class Costs(NamedTuple):
    """Money: of parts 1 and 2, and then of the product."""

    make: tuple[Any, Any, Any]
    inspection: tuple[Any, Any, Any]
    dismantling: Any
    return_loss: Any
    price: Any


def costs_of(scenario: Any) -> Costs:
    """Return the costs of a scenario of the pilot run."""
    nodes = scenario.in_order
    return Costs(
        tuple(node.make_cost for node in nodes),  # type: ignore[arg-type]
        tuple(node.inspection_cost for node in nodes),  # type: ignore[arg-type]
        nodes[2].dismantle_cost,
        scenario.return_loss,
        scenario.price,
    )


def chain_profit(costs: Costs, plan: Sequence[bool], rates: Sequence[Any]) -> Any:
    """Return the expected profit of a good unit, in the numbers that are given."""
    states = list(product(range(4), repeat=2))
    number = {state: i for i, state in enumerate(states)}
    rows = []
    for state in states:
        cost, moves = _move(costs, plan, rates, state)
        row = [Fraction(0)] * len(states) + [cost]
        row[number[state]] += 1
        for chance, following in moves:
            row[number[following]] -= chance
        rows.append(row)
    return costs.price - _solve(rows)[number[TO_BUY, TO_BUY]]


def _move(costs: Costs, plan: Sequence[bool], rates: Sequence[Any], state: tuple[int, int]) -> Any:
    """Return what the next thing done costs, and the probabilities of what is in hand then."""
    for k in (0, 1):
        if state[k] == TO_BUY:
            good, bad = (KNOWN_GOOD, TO_BUY) if plan[k] else (GOOD_UNTESTED, BAD_UNTESTED)
            cost = costs.make[k] + (costs.inspection[k] if plan[k] else 0)
            return cost, [
                (1 - rates[k], _put(state, k, good)),
                (rates[k], _put(state, k, bad)),
            ]
    fails = 1 if BAD_UNTESTED in state else rates[2]
    cost = costs.make[2] + (costs.inspection[2] if plan[2] else fails * costs.return_loss)
    if not plan[3]:
        return cost, [(fails, (TO_BUY, TO_BUY))]
    cost += fails * costs.dismantling
    after = list(state)
    for k in (0, 1):
        if state[k] != KNOWN_GOOD:
            cost += fails * costs.inspection[k]
            after[k] = KNOWN_GOOD if state[k] == GOOD_UNTESTED else TO_BUY
    return cost, [(fails, (after[0], after[1]))]


def _put(state: tuple[int, int], k: int, item: int) -> tuple[int, int]:
    return (item, state[1]) if k == 0 else (state[0], item)


def _solve(rows: list[list[Any]]) -> list[Any]:
    """Return the solution of linear equations, the right side last in each row (Gauss–Jordan)."""
    size = len(rows)
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(size):
            if r != i and rows[r][i] != 0:
                factor = rows[r][i]
                rows[r] = [x - factor * y for x, y in zip(rows[r], rows[i], strict=True)]
    return [row[size] for row in rows]
