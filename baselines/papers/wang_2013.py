"""C.-H. Wang, 2013: how large a lot to make and how much of it to inspect, first produced first [W].

The formulas are missing from the text; docs/theory/lot.md restores them, and :mod:`baselines.lot` has
the paper's model: Lemma 1 (:func:`~baselines.lot.lemma_1`), the algorithm
(:class:`~baselines.lot.PaperAlgorithm`) and its reduction to the last result
(:class:`~baselines.lot.LastResult`). The beliefs of a simulated path know its later results, so the cost
that the algorithm averages is no policy's cost; the exact model solves on the belief instead.

**Figure 1.** A path is drawn by its own predictive probabilities, so its expected belief in the n-th
unit is, by the law of total probability, F(n): what the figure averages decreases as F does.

The values of the parameters are printed in neither example. ``OWN`` is an example of this project.
"""

from __future__ import annotations

from collections.abc import Mapping

import gymnasium as gym
import numpy as np

import baselines
from baselines.lot import averaged_beliefs
from baselines.papers.entries import Entry, Ledger, PolicyWorth, Printed
from qc_gym.lot.scenario import DiscreteWeibullShift, InspectOrStopScenario

NAME = "wang-2013"
TITLE = (
    "C.-H. Wang: Production and inspection under the first-produced, first-inspected strategy, 2013"
)

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
OWN = InspectOrStopScenario(
    demand=20,
    max_lot_size=60,
    yield_in=0.95,
    yield_out=0.2,
    shift=DiscreteWeibullShift(kind="discrete_weibull", q=0.98, beta=1.2),
    inspection_cost=1.0,
    shortage_cost=4.0,
    unit_cost=0.5,
    setup_cost=10.0,
)
OWN_LOT = "weibull-30"
"""The preset of a lot that the process of ``OWN`` has produced."""
POLICIES = {
    "lemma_1": ("Lemma 1", "inspect while Lemma 1 does"),
    "paper": ("Section 3", "the algorithm"),
    "last_result": ("Section 3", "the last result only"),
}
"""Where the paper has what the inspect-or-stop family names so, and in words what it is."""


def ledger() -> Ledger:
    """Return what the paper prints beside what is computed here."""
    return Ledger(NAME, TITLE, [*_example_2(), *_example_3()], _policies())


def whole_total(printed: str, count: int) -> int | None:
    """Return the whole number whose average over ``count`` rounds to the printed one, if any."""
    number = Printed.parse(printed)
    assert number is not None
    total = round(number.value * count)
    return total if number.agrees(total / count) else None


def _missing(inputs: Mapping[str, float | None]) -> tuple[str, ...]:
    return tuple(name for name, value in inputs.items() if value is None)


def _example_2() -> list[Entry]:
    missing = _missing(EXAMPLE_2)
    falls = bool((np.diff(averaged_beliefs(OWN)) < 0.0).all())
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


def _policies() -> list[PolicyWorth]:
    """Return what the paper's rules are worth for a lot of this project's."""
    env = gym.make("qc_gym/InspectOrStop-v0", scenario=OWN_LOT)
    references = baselines.reference_policies(env)
    scores = {name: baselines.score(env, references[name]) for name in POLICIES}
    return [
        PolicyWorth(
            where, policy, f"{OWN_LOT}, a lot of ours", scores[name].value, scores[name].optimum
        )
        for name, (where, policy) in POLICIES.items()
    ]
