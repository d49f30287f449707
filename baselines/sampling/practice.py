"""What factories use, as references: the best plan of each usual kind, and the standard's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from baselines.core.references import Reference
from baselines.sampling import tuned
from baselines.sampling.iso2859 import Level, standard_plan
from baselines.sampling.lot_plans import LotPlan, boundary_policy
from baselines.sampling.model import SamplingModel, SamplingPolicy, build_model
from baselines.sampling.plans import sprt_lines
from baselines.sampling.reference import design_rates, designs, risks, risks_for

Design = Callable[[], tuple[SamplingPolicy, Mapping[str, Any]]]


def references(
    tables: SamplingModel,
    alpha: float | None = None,
    beta: float | None = None,
    aql: float = 1.0,
    level: Level = "II",
) -> dict[str, Reference]:
    """Return the plans that practice uses, each with its numbers and with both its true risks.

    Those designed for risks (:func:`baselines.sampling.reference.designs`); those tuned to the money at
    stake, ``best_single``, ``best_curtailed``, ``best_double`` and ``best_sprt``
    (:mod:`baselines.sampling.tuned`); and ``iso2859``, the standard's plan for the lot.

    Parameters
    ----------
    alpha, beta
        Producer's and consumer's risk; see :func:`baselines.sampling.reference.risks_for`.
    aql, level
        Of ISO 2859-1, in percent and a general inspection level.

    Raises
    ------
    ValueError
        Risks, an AQL or a level that cannot be used, before anything is designed.
    """
    known = designs(tables, alpha, beta) | _tuned(tables) | _standard(tables, aql, level)
    return {
        name: Reference(one.description, _with_risks(tables, one.design))
        for name, one in known.items()
    }


def _tuned(tables: SamplingModel) -> dict[str, Reference]:
    @cache
    def stakes() -> tuned.Stakes:
        return tuned.Stakes.of(tables)

    def plan(find: Callable[[tuned.Stakes], tuned.Tuned[LotPlan]]) -> Design:
        def design() -> tuple[SamplingPolicy, dict[str, int]]:
            found = find(stakes()).plan
            return found.on(tables), found.numbers

        return design

    def lines() -> tuple[SamplingPolicy, dict[str, float]]:
        found = tuned.best_lines(stakes(), _slopes(tables, stakes())).plan
        most = tables.scenario.max_samples
        numbers = found.acceptance_numbers(most), found.rejection_numbers(most)
        return boundary_policy(tables, *numbers), found._asdict()

    cost = "of least expected cost"
    return {
        "best_single": Reference(f"the single sampling plan {cost}", plan(tuned.best_single)),
        "best_curtailed": Reference(
            f"the single sampling plan {cost} that stops once its decision is settled",
            plan(tuned.best_curtailed),
        ),
        "best_double": Reference(f"the double sampling plan {cost}", plan(tuned.best_double)),
        "best_sprt": Reference(f"the two parallel lines {cost}, as of Wald's test", lines),
    }


def _slopes(tables: SamplingModel, stakes: tuned.Stakes) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the slopes at which the search for lines begins: Wald's, and the mean rate found."""
    mean = float(np.clip(stakes.prob_defective[0], 1e-4, 1.0 - 1e-4))
    scenario = tables.scenario
    good, bad = (scenario.judged(rate) for rate in design_rates(scenario))
    try:
        wald = sprt_lines(good, bad, *risks_for(scenario)).slope
    except ValueError:  # a prior so sharp that one of the rates is not to be computed
        return np.array([mean])
    return np.array([wald, mean])


def _standard(tables: SamplingModel, aql: float, level: Level) -> dict[str, Reference]:
    standard_plan(2, aql, level)  # what is no AQL or level is refused now

    def design() -> tuple[SamplingPolicy, dict[str, Any]]:
        found = standard_plan(tables.scenario.lot_size, aql, level)
        numbers = {**found.plan.numbers, "aql": aql, "level": level, "letter": found.letter}
        return found.plan.on(tables), numbers

    return {
        "iso2859": Reference(
            "the single sampling plan of ISO 2859-1 for the lot, normal inspection", design
        )
    }


def _with_risks(tables: SamplingModel, design: Callable[[], Any]) -> Design:
    """Return a design that tells the true risks of its plan too, where good and bad rates exist."""

    def told() -> tuple[SamplingPolicy, Mapping[str, Any]]:
        policy, numbers = design()
        good, bad = design_rates(tables.scenario)
        if not 0.0 <= good < bad <= 1.0:
            return policy, numbers
        counted = policy
        if (
            tables.observation != "belief"
        ):  # the same plan where the last result is no part of a state
            belief = build_model(tables.scenario)
            split = tables.num_states // belief.num_states
            counted = type(policy)(belief, policy.probabilities[::split])
        found = risks(counted, np.zeros(0))
        true = {"producer_risk": found.producer_risk, "consumer_risk": found.consumer_risk}
        return policy, {**numbers, **true}

    return told
