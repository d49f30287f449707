"""[W]: Lemma 1, the belief and the algorithm on an example of this project's; theirs is not printed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from baselines import papers
from baselines.papers import Verdict
from baselines.papers.wang_2013 import (
    OWN,
    Factory,
    average_cost,
    best_lot_size,
    predictive,
    simulated_beliefs,
    threshold,
    whole_total,
)

SMALL = Factory(0.9, 0.3, 0.9, 1.3, 2, 1.0, 2.0, 0.1, 1.0)


def belief_by_enumeration(factory: Factory, results: tuple[bool, ...]) -> float:
    """P(unit n + 1 in control | results of n), summing over the unit at which the process shifts."""
    units = len(results) + 1
    survival = factory.survival(units)
    joint = []
    for good_units in range(units + 1):  # the first so many in control
        after = survival[good_units + 1] if good_units < units else 0.0
        chance = survival[good_units] - after
        for n, conforming in enumerate(results):
            rate = factory.theta_1 if n < good_units else factory.theta_2
            chance *= rate if conforming else 1 - rate
        joint.append(chance)
    return joint[-1] / sum(joint)


def cost_along(factory: Factory, beliefs: list[float], unmet: int) -> float:
    """The remaining cost along a sequence of beliefs, by recursion without Lemma 1."""
    if not beliefs or not unmet:
        return factory.shortage_cost * unmet
    conforms = factory.theta_2 + (factory.theta_1 - factory.theta_2) * beliefs[0]
    inspect = factory.inspection_cost
    inspect += conforms * cost_along(factory, beliefs[1:], unmet - 1)
    inspect += (1 - conforms) * cost_along(factory, beliefs[1:], unmet)
    return min(inspect, factory.shortage_cost * unmet)


def test_lemma_1_is_where_one_inspection_pays() -> None:
    for factory in (OWN, SMALL):
        limit = threshold(factory)
        for belief, pays in ((limit + 1e-9, True), (limit - 1e-9, False)):
            (conforms,) = predictive(factory, np.array([belief]))
            assert (factory.inspection_cost < conforms * factory.shortage_cost) == pays


def test_beliefs_are_those_of_bayes() -> None:
    beliefs = simulated_beliefs(SMALL, 5, 400, seed=1)
    known = {
        n: {belief_by_enumeration(SMALL, results) for results in product((True, False), repeat=n)}
        for n in range(5)
    }
    for n in range(5):
        for value in np.unique(beliefs[:, n]):
            assert min(abs(value - other) for other in known[n]) < 1e-12
    assert len(np.unique(beliefs[:, 2].round(12))) == 4  # all results of two units were drawn


def test_beliefs_by_the_last_result_are_those_of_bayes() -> None:
    beliefs = simulated_beliefs(SMALL, 4, 400, seed=1, last_only=True)
    survival = SMALL.survival(4)
    for n in range(1, 4):
        expected = []
        for rates in ((0.9, 0.3), (0.1, 0.7)):
            evidence = survival[n] * rates[0] + (1 - survival[n]) * rates[1]
            expected.append(survival[n + 1] * rates[0] / evidence)
        found = np.unique(beliefs[:, n].round(12))
        np.testing.assert_allclose(found, np.sort(expected), atol=1e-11)


@pytest.mark.parametrize("factory", [OWN, SMALL])
def test_the_average_belief_decreases_as_the_survival_function(factory: Factory) -> None:
    count, units = 20_000, 40
    beliefs = simulated_beliefs(factory, units, count, seed=3)
    stderr = beliefs.std(axis=0) / np.sqrt(count)
    assert (
        np.abs(beliefs.mean(axis=0) - factory.survival(units)[1:]) <= 4.5 * stderr + 1e-12
    ).all()


def test_the_algorithm_by_plain_recursion() -> None:
    beliefs = simulated_beliefs(SMALL, 7, 30, seed=5)
    for size in (2, 5, 7):
        costs = [cost_along(SMALL, path[:size].tolist(), SMALL.demand) for path in beliefs]
        expected = 1.0 + 0.1 * size + float(np.mean(costs))
        # Lemma 1 changes no cost: where it inspects, inspecting is best.
        assert average_cost(SMALL, size, beliefs) == pytest.approx(expected, abs=1e-12)


def test_the_best_lot_size() -> None:
    beliefs = simulated_beliefs(OWN, 40, 200, seed=7)
    size, cost = best_lot_size(OWN, beliefs)
    costs = [average_cost(OWN, each, beliefs) for each in range(OWN.demand, 41)]
    assert cost == min(costs)
    assert size == OWN.demand + int(np.argmin(costs))
    with pytest.raises(ValueError, match="20 units are too few"):
        best_lot_size(OWN, beliefs[:, :20])


def test_averages_of_whole_numbers() -> None:
    assert whole_total("7.5833", 1200) == 9100
    assert whole_total("7.5838", 1200) is None  # 9100 / 1200 = 7.58333, 9101 / 1200 = 7.58417


def test_ledger() -> None:
    entries = papers.ledger("wang-2013").entries
    trend, difference = (one for one in entries if one.ours is not None)
    assert (trend.where, trend.verdict) == ("Figure 1", Verdict.REPRODUCED)
    assert difference.ours == pytest.approx(207.8792 / 199.5970 - 1)
    assert difference.verdict is Verdict.REPRODUCED
    others = [one for one in entries if one not in (trend, difference)]
    assert {one.printed for one in others} >= {"0.0667", "54", "59", "31", "199.0653", "207.8792"}
    assert {one.verdict for one in others} == {Verdict.INPUTS_NOT_PRINTED}
