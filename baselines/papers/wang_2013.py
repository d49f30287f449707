"""C.-H. Wang, 2013: how large a lot to make and how much of it to inspect, first produced first [W].

The printed model, with the formulas that the text lacks restored (models.md, section 3):

- equation 1: the belief that the next unit was produced in control, given all results;
- the reduction of Section 3 that keeps only the last result: the belief given it alone;
- Lemma 1: inspect while the belief is at least (c/s − θ2) / (θ1 − θ2);
- the algorithm: along a simulated sequence of results the beliefs are known numbers, with which the
  remaining expected costs (equations 4–6) are solved backwards; the average over many sequences is taken
  for the expected cost of a lot, and the first lot size after which it grows for the best.

The beliefs of such a sequence know its later results, so this average is no policy's cost; the exact
model solves on the belief instead.

**Figure 1.** A sequence is drawn by its own predictive probabilities, so its expected belief in the n-th
unit is, by the law of total probability, F(n): what the figure averages decreases as F does.

The values of the parameters are printed in neither example. ``OWN`` is an example of this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.papers.ledger import Entry, Ledger, Printed

NAME = "wang-2013"
TITLE = (
    "C.-H. Wang: Production and inspection under the first-produced, first-inspected strategy, 2013"
)
Floats = NDArray[np.float64]

EXAMPLE_2: Mapping[str, float | None] = {
    "theta_1": None,
    "theta_2": None,
    "inspection cost": None,
    "shortage cost": None,
    "q": None,
    "beta": None,
}
"""What Example 2 uses; None where the text prints no value."""
EXAMPLE_3: Mapping[str, float | None] = {
    **EXAMPLE_2,
    "demand": None,
    "unit cost": None,
    "setup cost": None,
}
PRINTED_EXAMPLE_2 = {"threshold of Lemma 1": "0.0667", "first unit not to be inspected": "54"}
PRINTED_TREND = "decreasing"
PRINTED_EXAMPLE_3: Mapping[int, Mapping[str, str]] = {
    1200: {"lot size": "59", "unmet demand": "7.5833", "cost": "199.0653"},
    3600: {"unmet demand": "7.7803", "cost": "199.4059"},
    7200: {"unmet demand": "7.8043", "cost": "199.5970"},
}
"""By number of simulations. The text has no lot size for the last two."""
PRINTED_LAST_RESULT = {"lot size": "31", "cost": "207.8792"}
PRINTED_DIFFERENCE = "4.15%"


class Factory(NamedTuple):
    """A process and the money at stake; the survival function is F(j) = q^(j^beta)."""

    theta_1: float
    theta_2: float
    q: float
    beta: float
    demand: int
    inspection_cost: float
    shortage_cost: float
    unit_cost: float
    setup_cost: float

    def survival(self, units: int) -> Floats:
        """Return F(0), …, F(units)."""
        shares: Floats = self.q ** (np.arange(units + 1.0) ** self.beta)
        return shares


_UNITS = 60
OWN = Factory(0.95, 0.2, 0.98, 1.2, 20, 1.0, 4.0, 0.5, 10.0)


def threshold(factory: Factory) -> float:
    """Return the belief from which on Lemma 1 inspects."""
    ratio = factory.inspection_cost / factory.shortage_cost
    return (ratio - factory.theta_2) / (factory.theta_1 - factory.theta_2)


def simulated_beliefs(
    factory: Factory, units: int, simulations: int, seed: int, *, last_only: bool = False
) -> Floats:
    """Return the belief in each unit along simulated sequences of results, (simulations, units).

    Each unit conforms with its predictive probability given all results before it (Example 2);
    ``last_only`` returns the beliefs given the last result alone, of the same sequences.
    """
    survival, random = factory.survival(units), np.random.default_rng(seed)
    belief = np.full(simulations, survival[1])
    last = belief.copy()
    beliefs = np.empty((simulations, units))
    for n in range(units):
        beliefs[:, n] = last if last_only else belief
        conforming = random.random(simulations) < predictive(factory, belief)
        if n + 1 < units:
            stay = survival[n + 2] / survival[n + 1]
            belief = _posterior(factory, belief, conforming) * stay
            prior = np.full(simulations, survival[n + 1])
            last = _posterior(factory, prior, conforming) * stay
    return beliefs


def predictive(factory: Factory, belief: Floats) -> Floats:
    """Return P(the next unit conforms) by the belief that it was produced in control."""
    return factory.theta_2 + (factory.theta_1 - factory.theta_2) * belief


def average_cost(factory: Factory, lot_size: int, beliefs: Floats) -> float:
    """Return the algorithm's average total cost of a lot, in money: Step 3 and equations 4–6.

    Parameters
    ----------
    beliefs
        float64 (simulations, units), of :func:`simulated_beliefs`; units ≥ ``lot_size``.
    """
    limit = threshold(factory)
    unmet = np.arange(factory.demand + 1.0)
    stop = factory.shortage_cost * unmet
    cost = np.broadcast_to(stop, (len(beliefs), len(unmet)))  # none left to inspect
    for n in range(lot_size - 1, -1, -1):
        belief = beliefs[:, n, np.newaxis]
        conforms = predictive(factory, belief)
        inspect = np.zeros((len(beliefs), len(unmet)))  # nothing costs anything without demand
        inspect[:, 1:] = factory.inspection_cost + conforms * cost[:, :-1]
        inspect[:, 1:] += (1.0 - conforms) * cost[:, 1:]
        cost = np.where(belief >= limit, inspect, np.minimum(inspect, stop))
    made = factory.setup_cost + factory.unit_cost * lot_size
    return float(made + cost[:, -1].mean())


def best_lot_size(factory: Factory, beliefs: Floats) -> tuple[int, float]:
    """Return the lot size after which the average cost grows first, from the demand on, and that cost.

    Raises
    ------
    ValueError
        It still falls at the last unit of ``beliefs``.
    """
    size, cost = factory.demand, average_cost(factory, factory.demand, beliefs)
    while size < beliefs.shape[1]:
        following = average_cost(factory, size + 1, beliefs)
        if following >= cost:
            return size, cost
        size, cost = size + 1, following
    raise ValueError(f"beliefs: {beliefs.shape[1]} units are too few, the cost still falls there")


def ledger() -> Ledger:
    """Return what the paper prints beside what is computed here."""
    return Ledger(NAME, TITLE, [*_example_2(), *_example_3()])


def whole_total(printed: str, count: int) -> int | None:
    """Return the whole number whose average over ``count`` rounds to the printed one, if any."""
    number = Printed.parse(printed)
    assert number is not None
    total = round(number.value * count)
    return total if number.agrees(total / count) else None


def _posterior(factory: Factory, belief: Floats, conforming: NDArray[np.bool_]) -> Floats:
    """Return P(the unit was produced in control | its result), equation 1."""
    in_control = np.where(conforming, factory.theta_1, 1.0 - factory.theta_1)
    out_of_control = np.where(conforming, factory.theta_2, 1.0 - factory.theta_2)
    joint = belief * in_control
    return np.asarray(joint / (joint + (1.0 - belief) * out_of_control))


def _missing(inputs: Mapping[str, float | None]) -> tuple[str, ...]:
    return tuple(name for name, value in inputs.items() if value is None)


def _example_2() -> list[Entry]:
    missing = _missing(EXAMPLE_2)
    falls = bool((np.diff(OWN.survival(_UNITS)) < 0.0).all())
    trend = PRINTED_TREND if falls else f"not {PRINTED_TREND}"
    reason = (
        "its expectation is the survival function F, whatever the inputs; here of our own example"
    )
    return [
        *(
            Entry("Example 2", what, printed, None, missing=missing)
            for what, printed in PRINTED_EXAMPLE_2.items()
        ),
        Entry("Figure 1", "average belief from unit to unit", PRINTED_TREND, trend, reason),
    ]


def _example_3() -> list[Entry]:
    missing = _missing(EXAMPLE_3)
    entries = []
    for count, values in PRINTED_EXAMPLE_3.items():
        for what, printed in values.items():
            reason = ""
            if what == "unmet demand":
                total = whole_total(printed, count)
                fits = f"{total} / {count}" if total is not None else f"no whole number / {count}"
                reason = f"an average of whole numbers: {fits}"
            name = f"{what}, {count} simulations"
            entries.append(Entry("Example 3", name, printed, None, reason, missing=missing))
    for what, printed in PRINTED_LAST_RESULT.items():
        name = f"{what}, last result only"
        entries.append(Entry("Example 3", name, printed, None, missing=missing))
    all_results, last = (
        float(text) for text in (PRINTED_EXAMPLE_3[7200]["cost"], PRINTED_LAST_RESULT["cost"])
    )
    name = "cost difference, last result only"
    entries.append(
        Entry("Example 3", name, PRINTED_DIFFERENCE, last / all_results - 1, "of the printed costs")
    )
    return entries
