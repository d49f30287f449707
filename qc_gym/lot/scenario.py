"""The parameters of inspect-or-stop."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from qc_gym.core.fields import ErrorRate, Money, Probability
from qc_gym.core.inspection import check_errors
from qc_gym.core.kernel import Kernel
from qc_gym.core.record import Record
from qc_gym.core.scenario import Scenario
from qc_gym.lot.dynamics import KERNEL, MAX_LOT, SCENARIO
from qc_gym.lot.ranges import RANGES

LotSize = Annotated[int, Field(gt=0, le=MAX_LOT)]


class InspectionNeverPays(UserWarning):
    """Even a unit that is surely in control is not worth inspecting: the optimum is to stop at once."""


class DiscreteWeibullShift(Record):
    """F(j) = q^(j^beta) (Nakagawa & Osaki 1975).

    Attributes
    ----------
    q
        F(1), P(the first unit is produced in control).
    beta
        How the hazard of a shift moves: it increases where beta > 1.
    """

    kind: Literal["discrete_weibull"]
    q: Annotated[float, Field(gt=0, le=1)]
    beta: Annotated[float, Field(gt=0, le=100)]

    def survival_of(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return F at the given numbers of units, same shape."""
        return self.q ** (units**self.beta)


class GeometricShift(Record):
    """The process shifts at each unit with the same probability: F(j) = (1 − hazard)^j.

    Attributes
    ----------
    hazard
        P(a unit is the first out of control | those before it are in control).
    """

    kind: Literal["geometric"]
    hazard: Annotated[float, Field(ge=0, lt=1)]

    def survival_of(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return F at the given numbers of units, same shape."""
        return (1.0 - self.hazard) ** units


class TableShift(Record):
    """F(j) is given for each j; F(0) is 1.

    Attributes
    ----------
    survival
        F(1), F(2), …, which never increases.
    """

    kind: Literal["table"]
    survival: Annotated[tuple[Probability, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for j, (before, after) in enumerate(pairwise(self.survival), start=1):
            if after > before:
                raise ValueError(
                    f"survival: F({j + 1}) = {after} must not exceed F({j}) = {before}"
                )
        return self

    def survival_of(self, units: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return F at the given numbers of units, same shape."""
        return np.array([1.0, *self.survival])[units.astype(np.int64)]


def _weibull(q: float, beta: float) -> dict[str, Any]:
    return {"kind": "discrete_weibull", "q": q, "beta": beta}


class InspectOrStopScenario(Scenario):
    """A lot, the process that makes it, the demand for its conforming units, and the money at stake.

    Attributes
    ----------
    demand
        Conforming units wanted, D.
    lot_size
        Units in the lot, Q, whose production is paid for. None: the lot is produced first, unit by
        unit.
    max_lot_size
        Most units that may be produced; needed where ``lot_size`` is None, and only there.
    yield_in, yield_out
        P(conforming) of a unit produced in control and out of control.
    shift
        The survival function F(j) = P(units 1, …, j are all produced in control).
    inspection_cost
        Money per unit inspected.
    shortage_cost
        Money per unit of the demand that is not met.
    unit_cost, setup_cost
        Money per unit produced, and once, with the first of them; only where ``lot_size`` is None.
    false_alarm, miss
        P(a conforming unit is judged nonconforming), P(a nonconforming one is judged conforming); their
        sum is less than 1. A unit judged conforming is delivered and counts against the demand.
    warranty_cost
        Money per nonconforming unit delivered, paid when it is; no observation shows it.
    """

    demand: Annotated[int, Field(gt=0, le=1_000_000)]
    lot_size: LotSize | None = None
    max_lot_size: LotSize | None = None
    yield_in: Probability
    yield_out: Probability
    shift: Annotated[
        DiscreteWeibullShift | GeometricShift | TableShift, Field(discriminator="kind")
    ]
    inspection_cost: Money
    shortage_cost: Money
    unit_cost: Money = 0.0
    setup_cost: Money = 0.0
    false_alarm: ErrorRate = 0.0
    miss: ErrorRate = 0.0
    warranty_cost: Money = 0.0

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "weibull-30": {
            "demand": 20,
            "lot_size": 30,
            "yield_in": 0.95,
            "yield_out": 0.2,
            "shift": _weibull(0.98, 1.2),
            "inspection_cost": 1.0,
            "shortage_cost": 4.0,
        },
        "weibull-120": {
            "demand": 100,
            "lot_size": 120,
            "yield_in": 0.95,
            "yield_out": 0.2,
            "shift": _weibull(0.999, 1.5),
            "inspection_cost": 1.0,
            "shortage_cost": 4.0,
        },
        "geometric-40": {
            "demand": 30,
            "lot_size": 40,
            "yield_in": 0.9,
            "yield_out": 0.3,
            "shift": {"kind": "geometric", "hazard": 0.03},
            "inspection_cost": 2.0,
            "shortage_cost": 5.0,
        },
        "table-16": {
            "demand": 10,
            "lot_size": 16,
            "yield_in": 0.9,
            "yield_out": 0.1,
            # A tool that mostly survives its first shift of eight units, and is worn out in the second
            "shift": {
                "kind": "table",
                "survival": [
                    *(0.98, 0.97, 0.96, 0.95, 0.94, 0.93, 0.92, 0.90),
                    *(0.70, 0.55, 0.40, 0.28, 0.18, 0.10, 0.05, 0.02),
                ],
            },
            "inspection_cost": 1.0,
            "shortage_cost": 3.0,
        },
        "lot-sizing-20": {
            "demand": 20,
            "max_lot_size": 60,
            "yield_in": 0.95,
            "yield_out": 0.1,
            "shift": _weibull(0.98, 1.2),
            "inspection_cost": 1.0,
            "shortage_cost": 6.0,
            "unit_cost": 1.0,
            "setup_cost": 10.0,
        },
        "lot-sizing-200": {
            "demand": 200,
            "max_lot_size": 400,
            "yield_in": 0.95,
            "yield_out": 0.1,
            "shift": _weibull(0.9995, 1.4),
            "inspection_cost": 1.0,
            "shortage_cost": 6.0,
            "unit_cost": 1.0,
            "setup_cost": 100.0,
        },
        # Inspectors who let one bad unit in eight pass, which comes back: fewer lots are worth finishing.
        "weibull-30-errors": {
            "demand": 20,
            "lot_size": 30,
            "yield_in": 0.95,
            "yield_out": 0.2,
            "shift": _weibull(0.98, 1.2),
            "inspection_cost": 1.0,
            "shortage_cost": 4.0,
            "false_alarm": 0.02,
            "miss": 0.12,
            "warranty_cost": 8.0,
        },
    }
    ranges: ClassVar[Mapping[str, Mapping[str, Any]]] = RANGES

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.yield_out >= self.yield_in:
            raise ValueError(
                f"yield_out = {self.yield_out}: must be less than yield_in = {self.yield_in}"
            )
        check_errors(self.false_alarm, self.miss)
        self._check_lot()
        if isinstance(self.shift, TableShift) and len(self.shift.survival) < self.longest_lot:
            raise ValueError(
                f"shift.survival has {len(self.shift.survival)} values: must be at least as many as "
                f"{'max_lot_size' if self.lot_size is None else 'lot_size'} = {self.longest_lot}"
            )
        judged_in, _ = self.judged_yields
        missed_in, _ = self.missed_costs
        if self.shortage_cost * judged_in <= self.inspection_cost + missed_in:
            warnings.warn(
                f"inspection_cost = {self.inspection_cost} (and {missed_in} for nonconforming units "
                f"delivered) is not less than shortage_cost · P(judged conforming) = "
                f"{self.shortage_cost * judged_in}, in control: inspecting never pays"
                if missed_in
                else f"inspection_cost = {self.inspection_cost} is not less than shortage_cost · yield_in "
                f"= {self.shortage_cost * judged_in}: inspecting never pays",
                InspectionNeverPays,
                stacklevel=2,
            )
        return self

    def _check_lot(self) -> None:
        if self.lot_size is None and self.max_lot_size is None:
            raise ValueError(
                "neither lot_size nor max_lot_size: give the size of the lot, or the most units that "
                "may be produced"
            )
        if self.lot_size is None:
            return
        if self.max_lot_size is not None:
            raise ValueError(
                f"max_lot_size = {self.max_lot_size}: not with lot_size = {self.lot_size}, which is "
                "not produced any more"
            )
        for name in ("unit_cost", "setup_cost"):
            if getattr(self, name) != 0.0:
                raise ValueError(
                    f"{name} = {getattr(self, name)}: not with lot_size = {self.lot_size}, whose "
                    "production is paid for"
                )

    @property
    def longest_lot(self) -> int:
        """Units in the lot, or most units that may be produced."""
        size = self.max_lot_size if self.lot_size is None else self.lot_size
        assert size is not None
        return size

    @property
    def judged_yields(self) -> tuple[float, float]:
        """P(judged conforming) of a unit produced in control and out of control."""
        return (
            self.yield_in * (1.0 - self.false_alarm) + (1.0 - self.yield_in) * self.miss,
            self.yield_out * (1.0 - self.false_alarm) + (1.0 - self.yield_out) * self.miss,
        )

    @property
    def missed_costs(self) -> tuple[float, float]:
        """What a unit inspected costs, on average, by being delivered nonconforming: in, out of control."""
        return (
            self.warranty_cost * self.miss * (1.0 - self.yield_in),
            self.warranty_cost * self.miss * (1.0 - self.yield_out),
        )

    @property
    def survival(self) -> NDArray[np.float64]:
        """F(0) = 1, F(1), …, F(longest_lot), shape (longest_lot + 1,)."""
        return self.shift.survival_of(np.arange(self.longest_lot + 1.0))

    @property
    def action_names(self) -> tuple[str, ...]:
        """What each action does."""
        return ("stop or end production", "inspect or produce")

    @property
    def kernel(self) -> Kernel:
        """The compiled world of inspect-or-stop; the same for every scenario."""
        return KERNEL

    def record(self) -> NDArray[np.void]:
        """Return the parameters as the kernel reads them: one record, shape (1,)."""
        record = np.zeros(1, SCENARIO)
        money = ("inspection_cost", "shortage_cost", "unit_cost", "setup_cost", "warranty_cost")
        for name in ("demand", *money):
            record[name] = getattr(self, name)
        record["lot_size"] = self.lot_size or 0
        record["longest"] = self.longest_lot
        record["unit_share"] = 1.0 / self.longest_lot
        record["demand_share"] = 1.0 / self.demand
        for where, judged, rate in zip(
            ("in", "out"), self.judged_yields, (self.yield_in, self.yield_out), strict=True
        ):
            record[f"likelihood_{where}"] = 1.0 - judged, judged
            passed = rate * (1.0 - self.false_alarm)
            record[f"draws_{where}"] = passed, rate, rate + (1.0 - rate) * self.miss
        record["survival"][0, : self.longest_lot + 1] = self.survival
        return record
