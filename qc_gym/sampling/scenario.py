"""The parameters of sequential sampling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from qc_gym.core.fields import ErrorRate, Money, Rate
from qc_gym.core.inspection import Fraction, check_errors, judged, log_passed
from qc_gym.core.kernel import Kernel
from qc_gym.core.lattice import row_start
from qc_gym.core.record import Record
from qc_gym.core.scenario import Scenario
from qc_gym.core.table import Table
from qc_gym.sampling.dynamics import KERNEL, MAX_FACTORS, SCENARIO
from qc_gym.sampling.ranges import RANGES
from qc_gym.sampling.tables import make_table

Shape = Annotated[float, Field(ge=1e-6, le=100_000)]
LEAST_RATE = 1e-300
"""Of a two-point prior: what inspectors judge, and how two lots compare, are then numbers of float64."""
MAX_TABULATED = 2_000
"""Most items for which beliefs are tabulated; beyond that they are computed at each step."""
MAX_DRAWN = 4_096
"""Most items in a lot whose defectives are drawn from a table of their distribution."""
NEGLIGIBLE = 1e-280


class TwoPointPrior(Record):
    """The lot is either good or bad.

    Attributes
    ----------
    good, bad
        Fraction defective p of a good lot, and of a bad one.
    prob_bad
        P(the lot is bad).
    """

    kind: Literal["two_point"]
    good: Rate
    bad: Rate
    prob_bad: Rate

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.good >= self.bad:
            raise ValueError(f"good = {self.good}: must be less than bad = {self.bad}")
        if self.good < LEAST_RATE:
            raise ValueError(f"good = {self.good}: should be at least {LEAST_RATE}")
        return self


class BetaPrior(Record):
    """The fraction defective p is Beta(a, b).

    Attributes
    ----------
    a, b
        Shapes of the distribution: as after a − 1 defective and b − 1 conforming items, had all values
        of p been alike before.
    limit
        The lot is bad where p exceeds it.
    """

    kind: Literal["beta"]
    a: Shape
    b: Shape
    limit: Rate


class SequentialSamplingScenario(Scenario):
    """A supplier's lot and the money at stake.

    Attributes
    ----------
    prior
        What is believed of the fraction defective p before anything is inspected.
    inspection_cost
        Money per item inspected.
    accept_bad_cost, reject_good_cost
        Losses of a wrong decision, in money; with ``loss="linear"`` in money per unit of
        |p − limit|.
    loss
        ``"indicator"``, or ``"linear"`` (Beta prior only).
    max_samples
        Most items that may be inspected.
    lot_size
        None: items are independent. Otherwise the lot holds this many items and is sampled without
        replacement; the number of defectives is round(lot_size · rate) under a two-point prior and
        BetaBinomial(lot_size, a, b) under a Beta prior.
    false_alarm, miss
        Probabilities that a conforming item is judged defective, and a defective one conforming;
        in [0, 1), their sum below 1. What is seen and counted are judgements; the losses are of the
        lot's true quality. With errors, and a Beta prior or a finite lot, ``max_samples`` is at most
        2,000.
    """

    prior: Annotated[TwoPointPrior | BetaPrior, Field(discriminator="kind")]
    inspection_cost: Money
    accept_bad_cost: Money
    reject_good_cost: Money
    loss: Literal["indicator", "linear"] = "indicator"
    max_samples: Annotated[int, Field(gt=0, le=10_000)]
    lot_size: Annotated[int, Field(gt=0, le=10_000_000)] | None = None
    false_alarm: ErrorRate = 0.0
    miss: ErrorRate = 0.0

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "aql10-rql20": {
            "prior": {"kind": "two_point", "good": 0.10, "bad": 0.20, "prob_bad": 0.5},
            "inspection_cost": 1.0,
            "accept_bad_cost": 200.0,
            "reject_good_cost": 200.0,
            "max_samples": 400,
        },
        "aql10-beta": {
            "prior": {"kind": "beta", "a": 2.0, "b": 14.0, "limit": 0.10},
            "inspection_cost": 1.0,
            "accept_bad_cost": 200.0,
            "reject_good_cost": 200.0,
            "max_samples": 400,
        },
        "lot-200": {
            "prior": {"kind": "two_point", "good": 0.05, "bad": 0.15, "prob_bad": 0.3},
            "inspection_cost": 1.0,
            "accept_bad_cost": 300.0,
            "reject_good_cost": 150.0,
            "max_samples": 200,
            "lot_size": 200,
        },
        "aql1-rql5": {
            "prior": {"kind": "two_point", "good": 0.01, "bad": 0.05, "prob_bad": 0.2},
            "inspection_cost": 1.0,
            "accept_bad_cost": 1000.0,
            "reject_good_cost": 400.0,
            "max_samples": 500,
        },
        "lot-500-linear": {
            "prior": {"kind": "beta", "a": 1.0, "b": 19.0, "limit": 0.05},
            "inspection_cost": 1.0,
            "accept_bad_cost": 5000.0,
            "reject_good_cost": 2500.0,
            "loss": "linear",
            "max_samples": 300,
            "lot_size": 500,
        },
        # All of a small lot may be inspected, and what is left to be judged shrinks with every item: no
        # test with two straight lines is optimal.
        "small-lot": {
            "prior": {"kind": "beta", "a": 1.0, "b": 9.0, "limit": 0.10},
            "inspection_cost": 1.0,
            "accept_bad_cost": 200.0,
            "reject_good_cost": 100.0,
            "max_samples": 60,
            "lot_size": 60,
        },
        # An inspector at the end of a shift: one defective item in seven is missed.
        "tired-eyes": {
            "prior": {"kind": "two_point", "good": 0.02, "bad": 0.08, "prob_bad": 0.3},
            "inspection_cost": 1.0,
            "accept_bad_cost": 600.0,
            "reject_good_cost": 300.0,
            "max_samples": 400,
            "false_alarm": 0.01,
            "miss": 0.15,
        },
        # A gauge that is out of adjustment, and a lot of which something may be known.
        "worn-gauge": {
            "prior": {"kind": "beta", "a": 1.5, "b": 22.0, "limit": 0.08},
            "inspection_cost": 1.0,
            "accept_bad_cost": 20_000.0,
            "reject_good_cost": 12_000.0,
            "loss": "linear",
            "max_samples": 200,
            "lot_size": 400,
            "false_alarm": 0.04,
            "miss": 0.10,
        },
    }
    ranges: ClassVar[Mapping[str, Mapping[str, Any]]] = RANGES

    @model_validator(mode="after")
    def _check(self) -> Self:
        prior = self.prior
        if self.loss == "linear" and prior.kind == "two_point":
            raise ValueError("loss = 'linear': needs a prior of kind 'beta', which has a limit")
        check_errors(self.false_alarm, self.miss)
        if self.hides_counts and self.max_samples > MAX_TABULATED:
            raise ValueError(
                f"max_samples = {self.max_samples}: with false_alarm or miss, and a Beta prior or a "
                f"lot_size, must be at most {MAX_TABULATED:,}"
            )
        if self.lot_size is None:
            return self
        if self.lot_size < self.max_samples:
            raise ValueError(
                f"lot_size = {self.lot_size}: must be at least max_samples = {self.max_samples}"
            )
        if isinstance(prior, TwoPointPrior):
            good, bad = self.defectives(prior.good), self.defectives(prior.bad)
            if good == bad:
                raise ValueError(
                    f"lot_size = {self.lot_size}: too small to tell prior.good = {prior.good} from "
                    f"prior.bad = {prior.bad}; both round to {good} defectives"
                )
        return self

    @property
    def has_errors(self) -> bool:
        """Whether inspectors err."""
        return self.false_alarm > 0.0 or self.miss > 0.0

    @property
    def hides_counts(self) -> bool:
        """Whether the belief depends on the true number of defectives inspected, which is hidden.

        With errors it does, except for two rates of independent items: their judgements are
        independent too.
        """
        is_independent = self.lot_size is None and isinstance(self.prior, TwoPointPrior)
        return self.has_errors and not is_independent

    def judged(self, fraction_defective: Fraction) -> Fraction:
        """Return the fraction of items judged defective where ``fraction_defective`` are."""
        return judged(fraction_defective, self.false_alarm, self.miss)

    def log_passed(self, fraction_defective: float) -> float:
        """Return the logarithm of the fraction judged conforming."""
        return log_passed(fraction_defective, self.false_alarm, self.miss)

    def defectives(self, fraction_defective: float) -> int:
        """Return the number of defectives in the finite lot: round(lot_size · rate)."""
        assert self.lot_size is not None
        return round(self.lot_size * fraction_defective)

    @property
    def action_names(self) -> tuple[str, ...]:
        """What each action does."""
        return ("inspect", "accept", "reject")

    @property
    def kernel(self) -> Kernel:
        """The compiled world of sequential sampling; the same for every scenario."""
        return KERNEL

    def record(self) -> NDArray[np.void]:
        """Return the parameters as the kernel reads them: one record, shape (1,)."""
        record = np.zeros(1, SCENARIO)
        money = ("inspection_cost", "accept_bad_cost", "reject_good_cost")
        for name in ("max_samples", "false_alarm", "miss", *money):
            record[name] = getattr(self, name)
        record["scale"] = 1.0 / self.max_samples
        record["lot_size"] = self.lot_size or 0
        record["is_beta"] = self.prior.kind == "beta"
        record["is_linear"] = self.loss == "linear"
        for name, value in self.prior.model_dump(exclude={"kind"}).items():
            record[name] = value
        if isinstance(self.prior, TwoPointPrior):
            record["judged_good"] = self.judged(self.prior.good)
            record["judged_bad"] = self.judged(self.prior.bad)
            if self.lot_size is not None:
                record["good_defectives"] = self.defectives(self.prior.good)
                record["bad_defectives"] = self.defectives(self.prior.bad)
        record["first_chance"] = self._first_chance()
        if self.lot_size is None and isinstance(self.prior, TwoPointPrior):
            good, bad, prob_bad = self.prior.good, self.prior.bad, self.prior.prob_bad
            record["log_odds"] = math.log(prob_bad) - math.log1p(-prob_bad)
            record["log_defective"] = math.log(self.judged(bad)) - math.log(self.judged(good))
            record["log_conforming"] = self.log_passed(bad) - self.log_passed(good)
            record["factors"] = min(self.max_samples + 1, MAX_FACTORS)
        elif self.max_samples <= MAX_TABULATED:
            record["tabulated"] = row_start(self.max_samples + 1)
        return record

    def table(self) -> Table:
        """Return the beliefs at every (n, d), and the distribution of a finite lot's defectives.

        Its layout is that of the record's ``tabulated``; where beliefs are products it holds their factors,
        as many as ``factors`` says. The last scenarios' are kept. Beyond ``MAX_TABULATED`` items beliefs
        are left out.
        """
        return _table_of(self)

    def _first_chance(self) -> float:
        """Return P(M = 0) where M is drawn by inversion, from M = 0 on; else 0."""
        prior, lot = self.prior, self.lot_size
        if lot is None or lot > MAX_DRAWN or not isinstance(prior, BetaPrior):
            return 0.0
        i = np.arange(lot)
        chance = float(np.prod((prior.b + i) / (prior.a + prior.b + i)))
        return chance if chance > NEGLIGIBLE else 0.0


@lru_cache(maxsize=4)
def _table_of(scenario: SequentialSamplingScenario) -> Table:
    return make_table(scenario.record()[0])
