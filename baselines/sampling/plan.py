"""The optimum of sequential sampling as an inspector's table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.plan import Fact, Plan
from baselines.core.solver import evaluate
from baselines.core.tabular import TabularOptimum
from baselines.sampling.characteristics import Risks, lattice_counts
from baselines.sampling.reference import design_rates
from qc_gym.sampling.dynamics import ACCEPT, INSPECT, REJECT
from qc_gym.sampling.scenario import SequentialSamplingScenario, TwoPointPrior

_COLUMNS = {
    "inspected": "items inspected so far, n",
    "accept if defective ≤": "accept the lot at this many defectives or fewer; empty: not yet",
    "reject if defective ≥": "reject the lot at this many defectives or more; empty: not yet",
    "lots": "share of all lots that come as far",
}
_JUDGED = (
    "Count what is judged defective, as it is judged: the numbers of the table allow for items that are "
    "judged wrongly.",
)


def plan(optimum: TabularOptimum[SequentialSamplingScenario]) -> Plan:
    """Return the acceptance and rejection number after each item, as far as any lot comes.

    Between the two numbers one more item is inspected. The facts are the risks and the mean number of
    items at the two rates that a plan is to tell apart, and what the expected cost is made of.
    """
    model, most = optimum.model, optimum.scenario.max_samples
    n, d = lattice_counts(most)
    split = model.num_states // len(n)
    visits = optimum.evaluation.occupancy.reshape(-1, split).sum(axis=1)
    comes = np.bincount(n, visits)
    last = int(np.flatnonzero(comes > 0.0).max())
    possible = evaluate(model, np.full(model.num_states, INSPECT)).occupancy
    possible = possible.reshape(-1, split).sum(axis=1) > 0.0
    actions = optimum.policy.actions[::split]
    rows = []
    for i in range(last + 1):
        here = (n == i) & possible
        accepted, rejected = d[here & (actions == ACCEPT)], d[here & (actions == REJECT)]
        rows.append(
            {
                "inspected": i,
                "accept if defective ≤": int(accepted.max()) if len(accepted) else None,
                "reject if defective ≥": int(rejected.min()) if len(rejected) else None,
                "lots": float(comes[i]),
            }
        )
    return Plan(
        title="Accept, reject, or inspect one more",
        facts=_facts(optimum, actions, last),
        guidance=(
            "Inspect one item after another. Count the items inspected and the defective ones among them; "
            "look up the row of the items inspected: accept, reject, or else inspect one more.",
            *(_JUDGED if optimum.scenario.has_errors else ()),
        ),
        columns=_COLUMNS,
        rows=tuple(rows),
        scenario=optimum.scenario.model_dump(mode="json"),
    )


def _facts(
    optimum: TabularOptimum[SequentialSamplingScenario], actions: NDArray[Any], last: int
) -> tuple[Fact, ...]:
    scenario = optimum.scenario
    taken = optimum.evaluation.occupancy[:, np.newaxis] * optimum.policy.probabilities
    parts = -(taken * optimum.model.rewards).sum(axis=0)
    items = float(taken[:, INSPECT].sum())
    facts = [
        Fact("expected cost of a lot", 0.0 - optimum.value, "money"),
        Fact("of this, inspection", float(parts[INSPECT]), "money"),
        Fact("of this, accepting bad lots", float(parts[ACCEPT]), "money"),
        Fact("of this, rejecting good lots", float(parts[REJECT]), "money"),
        Fact("items inspected, on average", items),
        Fact("items inspected, at most", last),
    ]
    good, bad = design_rates(scenario)
    if not 0.0 <= good < bad <= 1.0:  # a prior so sharp that one of them is not to be computed
        return tuple(facts)
    lot: dict[str, Any] = {
        name: getattr(scenario, name) for name in ("lot_size", "false_alarm", "miss")
    }
    at = Risks.of(
        np.eye(3)[actions],
        np.zeros(0),
        scenario.max_samples,
        good=good,
        bad=bad,
        **lot,
    )
    rates = np.array([at.good, at.bad], np.float64)
    numbers = Risks.of(np.eye(3)[actions], rates, scenario.max_samples, **lot).average_sample_number
    mean = "" if isinstance(scenario.prior, TwoPointPrior) else ", the mean of such lots"
    facts += [
        Fact(
            "producer's risk", float(at.producer_risk or 0.0), f"at {at.good:.4g} defective{mean}"
        ),
        Fact("consumer's risk", float(at.consumer_risk or 0.0), f"at {at.bad:.4g} defective{mean}"),
        Fact("average sample number, good lot", float(numbers[0])),
        Fact("average sample number, bad lot", float(numbers[1])),
    ]
    return tuple(facts)
