"""The parameters of a plant with K stages of inspection and rework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from qc_gym.core.fields import ErrorRate, Money, Rate
from qc_gym.core.inspection import check_errors
from qc_gym.core.kernel import Kernel
from qc_gym.core.scenario import Scenario
from qc_gym.kstage.dynamics import KERNEL, scenario_dtype
from qc_gym.kstage.ranges import RANGES
from qc_gym.kstage.steady_state import SteadyState, cost_table, steady_state

Size = Annotated[int, Field(ge=1, le=1_000_000)]
Stages = Annotated[int, Field(ge=0, le=100)]
Demand = Annotated[float, Field(gt=0, le=1e12)]
MAX_POOLED = 1e9
"""Most items packed into lots for one that is used: with more, next to no lot is accepted."""


def filled(costs: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return costs in the larger shape of a layout; beyond the last along each axis, that of the last."""
    beyond = [(0, room - taken) for room, taken in zip(shape, costs.shape, strict=True)]
    return np.pad(costs, beyond, "edge")


class PlantScenario(Scenario):
    """What is common to the plants of both families: everything but the rate of new items.

    Attributes
    ----------
    rework_fraction_defective
        pR, fraction nonconforming of reworked items.
    lot_size, sample_size
        N items to a lot, n of them inspected at the source; 1 ≤ n ≤ N.
    daily_demand
        Q, conforming items that the customer uses a day. It scales the flows that are shown; the
        reward is money per item used.
    inspection_cost, rework_cost
        Money per item inspected, per item reworked, wherever that is.
    max_stages
        Most stages of inspection and rework, K, that may be run.
    false_alarm, miss
        Probabilities that a conforming item is judged nonconforming, and a nonconforming one
        conforming, wherever items are inspected; in [0, 1), their sum below 1. The customer errs
        never.
    """

    rework_fraction_defective: Rate
    lot_size: Size
    sample_size: Size
    daily_demand: Demand
    inspection_cost: Money
    rework_cost: Money
    max_stages: Stages
    false_alarm: ErrorRate = 0.0
    miss: ErrorRate = 0.0

    @model_validator(mode="after")
    def _check_sample(self) -> Self:
        if self.sample_size > self.lot_size:
            raise ValueError(
                f"sample_size = {self.sample_size}: must be at most lot_size = {self.lot_size}"
            )
        check_errors(self.false_alarm, self.miss)
        return self

    @property
    def has_errors(self) -> bool:
        """Whether inspectors err."""
        return self.false_alarm > 0.0 or self.miss > 0.0

    def steady_state(self, fraction_defective: ArrayLike, stages: ArrayLike) -> SteadyState:
        """Return the steady state of this plant; the arguments broadcast together.

        Parameters
        ----------
        fraction_defective
            p0, of new items.
        stages
            K.
        """
        return steady_state(
            fraction_defective,
            self.rework_fraction_defective,
            self.lot_size,
            self.sample_size,
            stages,
            self.daily_demand,
            false_alarm=self.false_alarm,
            miss=self.miss,
        )

    def _check_deliveries(self, rates: ArrayLike) -> None:
        """Raise a ValueError if errors leave next to no lot accepted, at one of the ``rates`` (p0)."""
        if not self.has_errors:  # lots of conforming items are all accepted
            return
        pooled = self.steady_state(
            np.reshape(rates, (-1, 1)), np.arange(self.max_stages + 1)
        ).pooled
        most = float(pooled.max()) / self.daily_demand
        if not most <= MAX_POOLED:
            raise ValueError(
                f"sample_size = {self.sample_size} with false_alarm = {self.false_alarm} and miss = "
                f"{self.miss}: next to no lot is accepted; {most:.3g} items are packed for one that "
                f"is used, must be at most {MAX_POOLED:,.0f}"
            )

    @property
    def action_names(self) -> tuple[str, ...]:
        """What each action does: 0, 1, … stages."""
        return tuple(
            f"run {stages} stage{'' if stages == 1 else 's'}"
            for stages in range(self.max_stages + 1)
        )

    def costs(self, fraction_defective: ArrayLike) -> NDArray[np.float64]:
        """Return what an item used costs with K = 0, 1, … stages, in money, (max_stages + 1,).

        Parameters
        ----------
        fraction_defective
            p0, of new items; of several, (m,), the costs are (m, max_stages + 1).
        """
        return cost_table(
            fraction_defective,
            self.rework_fraction_defective,
            self.lot_size,
            self.sample_size,
            self.inspection_cost,
            self.rework_cost,
            self.max_stages,
            self.false_alarm,
            self.miss,
        )


class KStageScenario(PlantScenario):
    """A plant whose number of inspection stages is decided once.

    Attributes
    ----------
    fraction_defective
        p0, fraction nonconforming of new items.
    """

    fraction_defective: Rate

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # Section 4 of Yang (2010): money counts items inspected, as rework does not depend on K.
        "blu-2010": {
            "fraction_defective": 0.161,
            "rework_fraction_defective": 0.05,
            "lot_size": 240,
            "sample_size": 16,
            "daily_demand": 4800.0,
            "inspection_cost": 1.0,
            "rework_cost": 0.0,
            "max_stages": 6,
        },
        # Rework that fails nearly as often as not: stage after stage pays.
        "stubborn-defects": {
            "fraction_defective": 0.30,
            "rework_fraction_defective": 0.45,
            "lot_size": 500,
            "sample_size": 20,
            "daily_demand": 2000.0,
            "inspection_cost": 0.4,
            "rework_cost": 2.5,
            "max_stages": 5,
        },
        # A process so clean that the samples of lots are all the inspection that it needs.
        "clean-process": {
            "fraction_defective": 0.004,
            "rework_fraction_defective": 0.10,
            "lot_size": 1000,
            "sample_size": 50,
            "daily_demand": 10_000.0,
            "inspection_cost": 0.2,
            "rework_cost": 6.0,
            "max_stages": 4,
        },
        # Inspectors who err: with others who do not, this plant would run every stage, not none.
        "tired-eyes": {
            "fraction_defective": 0.25,
            "rework_fraction_defective": 0.35,
            "lot_size": 150,
            "sample_size": 6,
            "daily_demand": 1000.0,
            "inspection_cost": 0.4,
            "rework_cost": 3.0,
            "max_stages": 5,
            "false_alarm": 0.02,
            "miss": 0.15,
        },
    }
    ranges: ClassVar[Mapping[str, Mapping[str, Any]]] = RANGES

    @classmethod
    def all_agree(cls, columns: Mapping[str, NDArray[Any]]) -> bool:
        """Return whether many plants are known to be valid at once; with errors none is."""
        with_errors = columns["false_alarm"].any() or columns["miss"].any()
        return not with_errors and bool((columns["sample_size"] <= columns["lot_size"]).all())

    @model_validator(mode="after")
    def _check_pool(self) -> Self:
        self._check_deliveries(self.fraction_defective)
        return self

    @property
    def kernel(self) -> Kernel:
        """The compiled world of K-stage inspection, with an action for each K."""
        return replace(
            KERNEL,
            scenario_dtype=scenario_dtype(self.max_stages),
            num_actions=self.max_stages + 1,
        )

    def record(self) -> NDArray[np.void]:
        """Return the parameters as the kernel reads them: one record, shape (1,)."""
        record = np.zeros(1, scenario_dtype(self.max_stages))
        record["cost"][0] = filled(self.costs(self.fraction_defective), record["cost"].shape[1:])
        return record
