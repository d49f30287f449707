"""The optimum of inspect-or-stop as a page to explore.

The beliefs are a continuum. The page carries the world's own rules, which move a belief by Bayes'
rule, and for each (n, d) of a lot the least cost after inspecting the next unit, as the chords of a
concave function: between two points the cost is above the chord by at most twice what it is above in the
middle, so that points are added until that is within a stated tolerance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.exploration import Exploration, explored, untold
from baselines.core.pages import text_of
from baselines.core.plan import shown
from baselines.lot.belief import reach
from baselines.lot.evaluation import BeliefRule, Rule
from baselines.lot.probe import probe
from baselines.lot.sizes import lot_of, production_cost
from qc_gym.core.policy import Player
from qc_gym.lot.scenario import InspectOrStopScenario

if TYPE_CHECKING:
    from baselines.lot.solution import LotOptimum

MAX_PAIRS = 40_000
"""Most pairs of units inspected and demand open, over all lots that may be produced, on a page."""
TOLERANCE = 1e-6
"""By how much a chord may be wrong, as a share of what losing the whole demand costs."""
_NARROW = 1e-9
"""Beliefs so close are not divided further."""


def explore(optimum: LotOptimum, title: str, subtitle: str, player: Player | None) -> Exploration:
    """Return the page.

    Raises
    ------
    ValueError
        There are more (n, d) than a page holds, by the fields that make it so; or the policy remembers.
    """
    scenario = optimum.scenario
    _check_size(scenario)
    tolerance = TOLERANCE * scenario.shortage_cost * scenario.demand
    return explored(
        optimum,
        title,
        subtitle,
        player,
        notes=(
            "The belief is followed exactly. Losses are read between points of certified bounds, and "
            f"are right to {shown(tolerance + optimum.upper - optimum.lower)}.",
        ),
        data=_data(optimum, tolerance, player),
        world=text_of("baselines.lot", "explore.js"),
    )


def _sizes(scenario: InspectOrStopScenario) -> range:
    """Return the sizes of the lots that can be inspected."""
    return range(scenario.lot_size or 1, scenario.longest_lot + 1)


def _check_size(scenario: InspectOrStopScenario) -> None:
    """Raise a ValueError if the lots have more (n, d) than a page holds."""
    pairs = 0
    for size in _sizes(scenario):
        n, demand = np.arange(size), min(scenario.demand, size)
        most, least = np.minimum(demand, size - n), np.maximum(demand - n, 1)
        pairs += int(np.maximum(most - least + 1, 0).sum())
    if pairs > MAX_PAIRS:
        name = "max_lot_size" if scenario.lot_size is None else "lot_size"
        lots = "each lot up to it" if scenario.lot_size is None else "it"
        raise ValueError(
            f"{name} = {scenario.longest_lot}, demand = {scenario.demand}: {lots} can be inspected from "
            f"{pairs:,} pairs of units inspected and demand open; a page holds at most {MAX_PAIRS:,}: "
            f"lower {name} or demand"
            + (", or give the lot_size" if scenario.lot_size is None else "")
        )


def _data(optimum: LotOptimum, tolerance: float, player: Player | None) -> dict[str, Any]:
    """Return what ``explore.js`` reads: the world's numbers, and the costs of all lots.

    Returns
    -------
    ``size``, of the lot that is given, or null; ``longest``; ``demand``; ``stay``, P(unit n + 1 in control
    | unit n in control); ``yields`` and ``missed``, in and out of control; ``inspection``, ``shortage``,
    ``unit`` and ``setup``, money; ``lots``, for each size and n the points [belief, cost, …] of each d;
    ``production``, for each number of units what ending loses, going on loses, and optimal play still
    earns, or null; ``resolution``; ``agent``, or null.
    """
    scenario, sizes = optimum.scenario, optimum.sizes
    lots = {}
    for size in _sizes(scenario):
        lots[str(size)] = _points(optimum, size, tolerance)
        sizes.bounds(size)  # of the bracket at hand, for what producing costs
    longest = lot_of(scenario, scenario.longest_lot)
    return {
        "size": scenario.lot_size,
        "longest": scenario.longest_lot,
        "demand": scenario.demand,
        "stay": longest.stay.tolist(),
        "yields": list(scenario.judged_yields),
        "missed": list(scenario.missed_costs),
        "inspection": scenario.inspection_cost,
        "shortage": scenario.shortage_cost,
        "unit": scenario.unit_cost,
        "setup": scenario.setup_cost,
        "lots": lots,
        "production": _production(optimum) if scenario.lot_size is None else None,
        "resolution": tolerance + optimum.resolution,
        "agent": None if player is None else _agent(optimum, player),
    }


def _points(optimum: LotOptimum, size: int, tolerance: float) -> list[dict[str, list[float]]]:
    """Return for each n the points [belief, cost of inspecting, …] of each d, the belief ascending."""
    bounds = optimum.sizes.bracket(size)
    low, high, _ = reach(bounds.lot)
    n, d = np.nonzero(low <= high)

    def costs(pair: NDArray[np.int64], belief: NDArray[np.float64]) -> NDArray[np.float64]:
        return bounds.action_costs(n[pair], d[pair], belief)[:, 1].mean(axis=1)

    pair = np.arange(len(n))
    left, right = low[n, d], high[n, d]
    at_left, at_right = costs(pair, left), costs(pair, right)
    found = [(pair, left, at_left)]
    wide = right > left
    found.append((pair[wide], right[wide], at_right[wide]))
    while pair.size:
        middle = 0.5 * (left + right)
        at_middle = costs(pair, middle)
        split = (2.0 * (at_middle - 0.5 * (at_left + at_right)) > tolerance) & (
            right - left > _NARROW
        )
        pair, left, middle, right = (one[split] for one in (pair, left, middle, right))
        at_left, at_middle, at_right = (one[split] for one in (at_left, at_middle, at_right))
        found.append((pair, middle, at_middle))
        pair = np.tile(pair, 2)
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        at_left = np.concatenate([at_left, at_middle])
        at_right = np.concatenate([at_middle, at_right])
    pair, belief, cost = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.lexsort((belief, pair))
    flat = np.stack([belief[order], cost[order]], axis=1)
    parts = np.split(flat, np.cumsum(np.bincount(pair, minlength=len(n)))[:-1])
    tables: list[dict[str, list[float]]] = [{} for _ in range(size)]
    for i, part in enumerate(parts):
        tables[n[i]][str(d[i])] = part.ravel().tolist()
    return tables


def _production(optimum: LotOptimum) -> dict[str, list[float]]:
    """Return what ending production and going on lose at each number of units, and what is still earned."""
    scenario, sizes = optimum.scenario, optimum.sizes
    end = [sizes.bounds(size)[1] for size in range(scenario.longest_lot + 1)]
    on = [sizes.best(size + 1).upper for size in range(scenario.longest_lot)]
    least = [min(both) for both in zip(end, [*on, np.inf], strict=True)]
    return {
        "end": [cost - best for cost, best in zip(end, least, strict=True)],
        "on": [cost - best for cost, best in zip(on, least, strict=False)],
        "values": [production_cost(scenario, size) - best for size, best in enumerate(least)],
    }


def _agent(optimum: LotOptimum, player: Player) -> dict[str, Any]:
    """Return the lot that a policy produces, and its rule in it."""
    plan = probe(player, optimum.scenario, optimum.observation)
    if plan is None:
        raise untold(player, "it remembers, or follows no rule that can be read")
    size, rule = plan
    return {"size": size, **_rule(rule)}


def _rule(rule: Rule) -> dict[str, Any]:
    """Return a rule: by the last result, or at the least belief with the beliefs where it changes."""
    if not isinstance(rule, BeliefRule):
        return {"results": rule.probabilities.tolist()}
    switches = np.split(rule.switches[1], rule.begin[1:-1])
    found = rule.first.shape[1]
    changes = [
        [each.tolist() for each in switches[i : i + found]] for i in range(0, len(switches), found)
    ]
    return {"first": rule.first.tolist(), "switches": changes}
