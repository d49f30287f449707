"""Small lots and inspectors who err, in exact rationals: every truth, every sequence of judgements.

Independent of the code under test: no formula for counts, no channel, no symmetry is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from qc_gym.sampling.scenario import SequentialSamplingScenario, TwoPointPrior

Belief = dict[tuple[int, int], Fraction]
"""P(truth, judgements so far), by the number of the truth and the defectives truly inspected."""
RATES = [0.0, 1e-3, 0.125, 0.4]


@st.composite
def judged_lots(draw: st.DrawFn, most: int = 5, errors: Any = None) -> dict[str, Any]:
    """Draw the mapping of a small scenario: two rates, or a finite lot with a Beta prior."""
    money = st.sampled_from([0.0, 0.5, 20.0, 45.0])
    lot_size = draw(st.integers(2, most))
    fields: dict[str, Any] = {
        "inspection_cost": draw(st.sampled_from([0.0, 0.25, 1.0])),
        "accept_bad_cost": draw(money),
        "reject_good_cost": draw(money),
        "max_samples": draw(st.integers(1, lot_size)),
        "lot_size": lot_size,
        "false_alarm": draw(st.sampled_from(RATES)),
        "miss": draw(st.sampled_from([*RATES, 0.5])),
        **(errors or {}),
    }
    if draw(st.booleans()):
        shape = st.sampled_from([0.25, 1.0, 3.0])
        prior = {"kind": "beta", "a": draw(shape), "b": draw(shape), "limit": draw(LIMIT)}
        return {**fields, "prior": prior, "loss": draw(st.sampled_from(["indicator", "linear"]))}
    good = draw(st.integers(0, lot_size - 1))
    bad = draw(st.integers(good + 1, lot_size))
    if draw(st.booleans()):
        fields["lot_size"] = None
    rates = {"good": (good + 0.25) / (lot_size + 1), "bad": (bad + 0.25) / (lot_size + 1)}
    if fields["lot_size"]:
        rates = {"good": max(good, 0.01) / lot_size, "bad": min(bad, lot_size - 0.01) / lot_size}
    return {**fields, "prior": {"kind": "two_point", **rates, "prob_bad": draw(LIMIT)}}


LIMIT = st.sampled_from([0.0625, 0.3, 0.5, 0.75])


class JudgedLots:
    """What a lot may be, each with its probability, and what judgements then are likely.

    Attributes
    ----------
    rates, is_bad, factors
        Of each truth: p or M/N, whether it is bad, and what its loss is multiplied by.
    prior
        The belief before anything is inspected.
    """

    def __init__(self, scenario: SequentialSamplingScenario) -> None:
        self.scenario, prior, lot = scenario, scenario.prior, scenario.lot_size
        self.false_alarm, self.miss = Fraction(scenario.false_alarm), Fraction(scenario.miss)
        if isinstance(prior, TwoPointPrior):
            bad = Fraction(prior.prob_bad)
            weights = [1 - bad, bad]
            self.rates = [Fraction(prior.good), Fraction(prior.bad)]
            if lot is not None:
                self.rates = [Fraction(round(lot * float(rate)), lot) for rate in self.rates]
            self.is_bad = [False, True]
            self.factors = [Fraction(1)] * 2
        else:
            assert lot is not None
            a, b, limit = (Fraction(one) for one in (prior.a, prior.b, prior.limit))
            weights = [
                math.comb(lot, m) * _rising(a, m) * _rising(b, lot - m) / _rising(a + b, lot)
                for m in range(lot + 1)
            ]
            self.rates = [Fraction(m, lot) for m in range(lot + 1)]
            self.is_bad = [rate > limit for rate in self.rates]
            is_linear = scenario.loss == "linear"
            self.factors = [abs(rate - limit) if is_linear else Fraction(1) for rate in self.rates]
        self.prior: Belief = {(i, 0): weight for i, weight in enumerate(weights)}

    def after(self, belief: Belief, n: int) -> tuple[Belief, Belief]:
        """Return the belief with item n + 1 judged conforming, and judged defective."""
        results: tuple[Belief, Belief] = {}, {}
        lot = self.scenario.lot_size
        for (i, inspected), weight in belief.items():
            share = self.rates[i]
            if lot is not None:
                share = (share * lot - inspected) / (lot - n)
            for truth, chance in ((0, 1 - share), (1, share)):
                alarm = 1 - self.miss if truth else self.false_alarm
                for result, judgement in ((0, 1 - alarm), (1, alarm)):
                    if weight * chance * judgement > 0:
                        key = (i, inspected + truth)
                        more = weight * chance * judgement
                        results[result][key] = results[result].get(key, Fraction(0)) + more
        return results

    def histories(self) -> Iterator[tuple[tuple[int, ...], Belief]]:
        """Yield every possible sequence of judgements with its belief."""
        stack: list[tuple[tuple[int, ...], Belief]] = [((), self.prior)]
        while stack:
            history, belief = stack.pop()
            yield history, belief
            if len(history) < self.scenario.max_samples:
                for result, following in enumerate(self.after(belief, len(history))):
                    if following:
                        stack.append(((*history, result), following))

    def losses(self, belief: Belief) -> tuple[Fraction, Fraction]:
        """Return the expected losses of accepting and of rejecting, times P(judgements)."""
        expected = [Fraction(0), Fraction(0)]
        for (i, _), weight in belief.items():
            expected[self.is_bad[i]] += weight * self.factors[i]
        accept, reject = self.scenario.accept_bad_cost, self.scenario.reject_good_cost
        return expected[True] * Fraction(accept), expected[False] * Fraction(reject)

    def least_cost(self, history: tuple[int, ...] = (), belief: Belief | None = None) -> Fraction:
        """Return the least expected cost of any policy on whole histories, times P(judgements)."""
        belief = self.prior if belief is None else belief
        least = min(self.losses(belief))
        if len(history) == self.scenario.max_samples or not belief:
            return least
        inspecting = sum(belief.values()) * Fraction(self.scenario.inspection_cost)
        for result, following in enumerate(self.after(belief, len(history))):
            inspecting += self.least_cost((*history, result), following)
        return min(least, inspecting)


def _rising(x: Fraction, times: int) -> Fraction:
    return math.prod((x + i for i in range(times)), start=Fraction(1))
