"""Sequential sampling written down once more for the tests: exact rationals over all histories."""

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import gymnasium as gym
from hypothesis import settings
from hypothesis import strategies as st
from strategies import scenarios

from qc_gym.sampling.scenario import BetaPrior, SequentialSamplingScenario, TwoPointPrior

ID = "qc_gym/SequentialSampling-v0"
INSPECT, ACCEPT, REJECT = range(3)
PRESETS = list(SequentialSamplingScenario.presets)
TWO_POINT_PRESETS = ["aql10-rql20", "lot-200", "aql1-rql5"]
FEW = st.integers(1, 6)
quick = settings(max_examples=60, deadline=None)


def parse(source: Any, **changes: Any) -> SequentialSamplingScenario:
    if isinstance(source, str):
        source = SequentialSamplingScenario.presets[source]
    scenario = SequentialSamplingScenario.parse({**source, **changes})
    assert isinstance(scenario, SequentialSamplingScenario)
    return scenario


def make_env(scenario: Any, observation: str = "belief") -> gym.Env[Any, Any]:
    return gym.make(ID, scenario=scenario, observation=observation)


def row_of(n: int, d: int) -> int:
    return n * (n + 1) // 2 + d


def money_at_stake(scenario: SequentialSamplingScenario) -> float:
    return max(
        1.0,
        scenario.accept_bad_cost,
        scenario.reject_good_cost,
        scenario.max_samples * scenario.inspection_cost,
    )


# --- an independent computation in exact rationals ---------------------------------------------


class Truths:
    """What the lot may be, each with its probability; the exact Bayes problem over histories.

    Attributes
    ----------
    weights
        P(truth), summing to one.
    defective
        P(next item defective | truth, n, d).
    """

    def __init__(self, scenario: SequentialSamplingScenario) -> None:
        self.scenario, prior = scenario, scenario.prior
        lot = scenario.lot_size
        if isinstance(prior, TwoPointPrior):
            bad = Fraction(prior.prob_bad)
            self.weights = [1 - bad, bad]
            rates = [Fraction(prior.good), Fraction(prior.bad)]
            self.is_bad = [False, True]
            self.factor = [Fraction(1), Fraction(1)]
            counts = [round(lot * float(rate)) for rate in rates] if lot else []
        else:
            assert lot is not None
            a, b = Fraction(prior.a), Fraction(prior.b)
            counts = list(range(lot + 1))
            self.weights = [
                math.comb(lot, m) * rising(a, m) * rising(b, lot - m) / rising(a + b, lot)
                for m in counts
            ]
            rates = [Fraction(m, lot) for m in counts]
            self.is_bad = [m / lot > prior.limit for m in counts]
            distances = [abs(rate - Fraction(prior.limit)) for rate in rates]
            self.factor = distances if scenario.loss == "linear" else [Fraction(1)] * len(counts)
        self.rates, self.counts = rates, counts

    def defective(self, i: int, n: int, d: int) -> Fraction:
        if self.scenario.lot_size is None:
            return self.rates[i]
        return Fraction(self.counts[i] - d, self.scenario.lot_size - n)

    def losses(self, joint: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
        """Return the expected losses of accepting and of rejecting, times P(history)."""
        expected = [Fraction(0), Fraction(0)]
        for weight, factor, is_bad in zip(joint, self.factor, self.is_bad, strict=True):
            expected[is_bad] += weight * factor
        return (
            expected[True] * Fraction(self.scenario.accept_bad_cost),
            expected[False] * Fraction(self.scenario.reject_good_cost),
        )

    def after(self, joint: Sequence[Fraction], n: int, d: int) -> tuple[list[Fraction], ...]:
        """Return P(truth, history) with one more item conforming, and with it defective."""
        shares = [self.defective(i, n, d) if w else Fraction(0) for i, w in enumerate(joint)]
        return (
            [w * (1 - share) for w, share in zip(joint, shares, strict=True)],
            [w * share for w, share in zip(joint, shares, strict=True)],
        )

    def cost(self, history: tuple[int, ...] = (), joint: Sequence[Fraction] | None = None) -> Any:
        """Return the least expected cost from a history on, times P(history)."""
        joint = self.weights if joint is None else joint
        least = min(self.losses(joint))
        if len(history) == self.scenario.max_samples or not any(joint):
            return least
        conforming, defective = self.after(joint, len(history), sum(history))
        inspecting = sum(joint) * Fraction(self.scenario.inspection_cost)
        inspecting += self.cost((*history, 0), conforming) + self.cost((*history, 1), defective)
        return min(least, inspecting)


def rising(x: Fraction, count: int) -> Fraction:
    """Return x (x + 1) … (x + count − 1)."""
    return math.prod((x + i for i in range(count)), start=Fraction(1))


@functools.cache
def beta_tail(x: Fraction, a: int, b: int) -> Fraction:
    """Return P(p ≤ x) under Beta(a, b) with whole a and b: a binomial sum."""
    n = a + b - 1
    return sum(
        (math.comb(n, j) * x**j * (1 - x) ** (n - j) for j in range(a, n + 1)), start=Fraction(0)
    )


def beta_losses(scenario: SequentialSamplingScenario, n: int, d: int) -> tuple[Fraction, Fraction]:
    """Return the expected losses of accepting, rejecting under Beta(a + d, b + n − d), whole a, b."""
    prior = scenario.prior
    assert isinstance(prior, BetaPrior)
    a, b, limit = int(prior.a) + d, int(prior.b) + n - d, Fraction(prior.limit)
    good = beta_tail(limit, a, b)
    accept, reject = 1 - good, good
    if scenario.loss == "linear":
        mean = Fraction(a, a + b)
        below = mean * beta_tail(limit, a + 1, b)  # E[p; p ≤ limit]
        accept, reject = (mean - below) - limit * (1 - good), limit * good - below
    return accept * Fraction(scenario.accept_bad_cost), reject * Fraction(scenario.reject_good_cost)


def beta_cost(scenario: SequentialSamplingScenario, history: tuple[int, ...] = ()) -> Fraction:
    """Return the least expected cost from a history on; infinite lot, whole a and b."""
    prior = scenario.prior
    assert isinstance(prior, BetaPrior)
    n, d = len(history), sum(history)
    least = min(beta_losses(scenario, n, d))
    if n == scenario.max_samples:
        return least
    share = Fraction(int(prior.a) + d, int(prior.a) + int(prior.b) + n)
    inspecting = Fraction(scenario.inspection_cost)
    inspecting += share * beta_cost(scenario, (*history, 1))
    inspecting += (1 - share) * beta_cost(scenario, (*history, 0))
    return min(least, inspecting)


@st.composite
def lots(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a scenario of few samples whose truths are finitely many, and not too many."""
    fields = draw(scenarios(max_samples=FEW))
    if fields["prior"]["kind"] == "beta":
        fields["lot_size"] = fields["max_samples"] + draw(st.integers(0, 15))
    return fields


@st.composite
def whole_betas(draw: st.DrawFn, max_samples: st.SearchStrategy[int] = FEW) -> dict[str, Any]:
    """Draw a scenario with an infinite lot and a Beta prior of whole numbers."""
    fields = draw(scenarios(max_samples=max_samples, kinds=("beta",)))
    fields.pop("lot_size", None)
    fields["prior"] |= {"a": float(draw(st.integers(1, 30))), "b": float(draw(st.integers(1, 60)))}
    return fields
