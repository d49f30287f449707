"""The steady state of the K-stage inspection network, for any number of plants at once.

The network is that of Yang (2010). New items, a fraction p0 of them nonconforming, pass K stages of
inspection, each followed by the rework of what it finds; rework leaves a fraction pR nonconforming.
They are pooled with what comes back and packed into lots of N, of which n items are inspected. A lot
without a nonconforming item among those is delivered; any other is re-inspected to the last item.
What re-inspection and the customer find is reworked and pooled again.

With p_K = p0 pR^K after the stages and λ = n/N, the fraction nonconforming in the pool is the root
of p_K (1 − (1−λ)x)(1−x)^n = (1−pR) x (equation 10 there). In the odds w = x/(1−x), and with
a = p_K/(1−pR), this is

    w (1+w)^n = a (1+λw),

where nothing is subtracted, so that its logarithm gives w to full relative precision however small
a is. The model that Yang compares with is the same equation with λ = 0.

Inspectors who err (docs/theory/kstage.md) have a balance of their own: :mod:`qc_gym.kstage.imperfect`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from qc_gym.core.inspection import check_errors
from qc_gym.kstage.imperfect import solve_imperfect_plant

Array = NDArray[np.float64]
_FLOWS = 8
"""Number of fields of :class:`SteadyState`."""
_LAST_STEP = 1e-9
"""Relative length of a Newton step after which the next would be below the square of this."""


@dataclass(frozen=True, eq=False)
class SteadyState:
    """Fractions nonconforming, and items a day, in the steady state; arrays of one shape.

    Attributes
    ----------
    stages_fraction
        p_K, of the items that leave the stages.
    pool_fraction
        p_E, of the items in the pool from which lots are made.
    outgoing_fraction
        The average outgoing quality (AOQ), of the items that the customer gets.
    pooled
        N_E, items packed into lots.
    stage_inspections, source_inspections, reinspections
        NIN1, NIN2, NIN3: items inspected in the stages, in samples of lots, in rejected lots.
    reworks
        NRW, items reworked, wherever that is; the same for every K while no inspector errs.
    """

    stages_fraction: Array
    pool_fraction: Array
    outgoing_fraction: Array
    pooled: Array
    stage_inspections: Array
    source_inspections: Array
    reinspections: Array
    reworks: Array

    @property
    def inspections(self) -> Array:
        """Items inspected a day, NIN1 + NIN2 + NIN3."""
        return self.stage_inspections + self.source_inspections + self.reinspections

    def cost(self, inspection_cost: float | Array, rework_cost: float | Array) -> Array:
        """Return the money spent a day on inspection and rework, at costs per item."""
        return inspection_cost * self.inspections + rework_cost * self.reworks


def steady_state(
    fraction_defective: ArrayLike,
    rework_fraction_defective: ArrayLike,
    lot_size: ArrayLike,
    sample_size: ArrayLike,
    stages: ArrayLike,
    daily_demand: ArrayLike = 1.0,
    *,
    false_alarm: ArrayLike = 0.0,
    miss: ArrayLike = 0.0,
) -> SteadyState:
    """Return the steady state (Yang 2010, section 3; docs/theory/kstage.md).

    The arguments are numbers or arrays that broadcast together; all K of one plant are
    ``stages=numpy.arange(max_stages + 1)``.

    Parameters
    ----------
    fraction_defective, rework_fraction_defective
        p0 and pR: fractions nonconforming of new and of reworked items, strictly within (0, 1).
    lot_size, sample_size
        N and n, whole numbers, 1 ≤ n ≤ N.
    stages
        K, whole numbers, at least 0.
    daily_demand
        Q, conforming items that the customer uses a day, above 0.
    false_alarm, miss
        Probabilities, in [0, 1), that a conforming item is judged nonconforming and that a
        nonconforming one is judged conforming, wherever items are inspected; their sum is below 1.
        Where next to no lot is accepted the flows may be infinite.

    Raises
    ------
    ValueError
        An argument out of range or not of numbers, or shapes that do not fit; the message names it.
    """
    given = _Given(
        fraction_defective, rework_fraction_defective, lot_size, sample_size, stages, daily_demand
    )
    if _is_zero(false_alarm) and _is_zero(miss):
        p0, pr, lot, sample, k, demand = _checked(given)
        return _flows(p0, pr, lot, sample, sample, k, demand)
    arrays = _checked(given, {"false_alarm": false_alarm, "miss": miss})
    flows = np.empty((_FLOWS, arrays[0].size))
    p0, pr, lot, sample, k, demand, alarms, misses = (array.ravel() for array in arrays)
    _solve_imperfect(p0, pr, lot, sample, k, demand, alarms, misses, flows)
    return SteadyState(*flows.reshape(_FLOWS, *arrays[0].shape))


def earlier_steady_state(
    fraction_defective: ArrayLike,
    rework_fraction_defective: ArrayLike,
    lot_size: ArrayLike,
    sample_size: ArrayLike,
    stages: ArrayLike,
    daily_demand: ArrayLike = 1.0,
) -> SteadyState:
    """Return the steady state as Yang & Kim (2009) have it; arguments as of :func:`steady_state`.

    They take the number of nonconforming items in a lot as a constant: p_K (1−x)^(n+1) = (1−pR) x,
    and the AOQ is x itself (Yang 2010, section 4; docs/theory/kstage.md).
    """
    p0, pr, lot, sample, k, demand = _checked(
        _Given(
            fraction_defective,
            rework_fraction_defective,
            lot_size,
            sample_size,
            stages,
            daily_demand,
        )
    )
    return _flows(p0, pr, lot, sample, np.zeros_like(lot), k, demand)


def cost_table(
    fraction_defective: ArrayLike,
    rework_fraction_defective: float,
    lot_size: int,
    sample_size: int,
    inspection_cost: float,
    rework_cost: float,
    max_stages: int,
    false_alarm: float = 0.0,
    miss: float = 0.0,
) -> Array:
    """Return the cost of each K for one plant, (max_stages + 1,): money per conforming item used.

    Of several ``fraction_defective``, (m,), in rows: (m, max_stages + 1). The arguments are not checked:
    they are the fields of a scenario.
    """
    rates = np.asarray(fraction_defective, np.float64)
    costs = np.empty((rates.size, max_stages + 1))
    _fill_costs(
        rates.reshape(-1),
        rework_fraction_defective,
        float(lot_size),
        float(sample_size),
        inspection_cost,
        rework_cost,
        false_alarm,
        miss,
        costs,
    )
    return costs.reshape(*rates.shape, max_stages + 1)


@njit(cache=True, error_model="numpy")
def least_costs(  # type: ignore[no-untyped-def]
    p0, pr, lot, sample, inspection_cost, rework_cost, max_stages, false_alarm, miss
):
    """Return the cost of the best K for each of many plants, (n,): the least of :func:`cost_table`.

    All arguments are float64 (n,), and fields of scenarios.
    """
    least = np.full(len(p0), np.inf)
    for i in range(len(p0)):
        for stages in range(int(max_stages[i]) + 1):
            cost = _cost(
                p0[i],
                pr[i],
                lot[i],
                sample[i],
                inspection_cost[i],
                rework_cost[i],
                false_alarm[i],
                miss[i],
                stages,
            )
            least[i] = min(least[i], cost)
    return least


@njit(cache=True, error_model="numpy")
def _fill_costs(  # type: ignore[no-untyped-def]
    rates, pr, lot, sample, inspection_cost, rework_cost, false_alarm, miss, costs
):
    for i, stages in np.ndindex(costs.shape):
        costs[i, stages] = _cost(
            rates[i], pr, lot, sample, inspection_cost, rework_cost, false_alarm, miss, stages
        )


@njit(cache=True, error_model="numpy")
def _cost(  # type: ignore[no-untyped-def]
    p0, pr, lot, sample, inspection_cost, rework_cost, false_alarm, miss, stages
):
    flows = _solve_any_plant(p0, pr, lot, sample, float(stages), 1.0, false_alarm, miss)
    return inspection_cost * (flows[4] + flows[5] + flows[6]) + rework_cost * flows[7]


@njit(cache=True, error_model="numpy")
def _solve_imperfect(p0, pr, lot, sample, k, demand, false_alarm, miss, flows):  # type: ignore[no-untyped-def]
    """Write the fields of SteadyState, (8, m), of m plants; all arguments are float64 (m,)."""
    for i in range(len(p0)):
        plant = _solve_any_plant(
            p0[i], pr[i], lot[i], sample[i], k[i], demand[i], false_alarm[i], miss[i]
        )
        for j in range(_FLOWS):
            flows[j, i] = plant[j]


@njit(cache=True, error_model="numpy")
def _solve_any_plant(p0, pr, lot, sample, k, demand, false_alarm, miss):  # type: ignore[no-untyped-def]
    """Return the fields of SteadyState of one plant, by the balance that its inspectors ask for."""
    if false_alarm == 0.0 and miss == 0.0:
        return _solve_plant(p0, pr, lot, sample, sample, k, demand)
    return solve_imperfect_plant(p0, pr, lot, sample, k, demand, false_alarm, miss)


def _flows(
    p0: Array, pr: Array, lot: Array, sample: Array, known: Array, k: Array, demand: Array
) -> SteadyState:
    """Return the steady state of checked arrays of one shape.

    ``known`` is how many items of an accepted lot are known to conform: n, or 0 in the earlier model.
    """
    flows = np.empty((_FLOWS, p0.size))
    _solve(
        p0.ravel(),
        pr.ravel(),
        lot.ravel(),
        sample.ravel(),
        known.ravel(),
        k.ravel(),
        demand.ravel(),
        flows,
    )
    return SteadyState(*flows.reshape(_FLOWS, *p0.shape))


@njit(cache=True, error_model="numpy")
def _solve(p0, pr, lot, sample, known, k, demand, flows):  # type: ignore[no-untyped-def]
    """Write the fields of SteadyState, (8, m), of m plants; all arguments are float64 (m,)."""
    for i in range(len(p0)):
        plant = _solve_plant(p0[i], pr[i], lot[i], sample[i], known[i], k[i], demand[i])
        for j in range(_FLOWS):
            flows[j, i] = plant[j]


@njit(cache=True, error_model="numpy")
def _solve_plant(p0, pr, lot, sample, known, k, demand):  # type: ignore[no-untyped-def]
    """Return the fields of SteadyState of one plant, all arguments float64."""
    stages_fraction = p0 * pr**k
    scale = stages_fraction / (1.0 - pr)
    odds = _solve_odds(scale, sample, known / lot)
    pool_fraction = odds / (1.0 + odds)
    # Where p_K is too small for a float64 the pool holds what the stages deliver, and no more.
    pooled = demand * (scale / pool_fraction if pool_fraction > 0.0 else 1.0)
    stage_inspections = 0.0
    if k > 0.0:
        found = -math.expm1((k - 1.0) * math.log(pr)) / (1.0 - pr)
        stage_inspections = demand * (1.0 + p0 * found)
    return (
        stages_fraction,
        pool_fraction,
        (lot - known) / lot * pool_fraction,
        pooled,
        stage_inspections,
        sample / lot * pooled,
        -math.expm1(-sample * math.log1p(odds)) * pooled,
        p0 * demand / (1.0 - pr),
    )


@njit(cache=True, error_model="numpy")
def _solve_odds(a, n, share):  # type: ignore[no-untyped-def]
    """Return the root w of w (1+w)^n = a (1+λw), n ≥ 1, λ ≤ 1.

    Newton's method on log w + n log(1+w) − log a − log(1+λw) as a function of log w, where the
    slope lies between 1 and n + 1; a step that leaves the bracket is replaced by bisection.
    """
    low, high = 0.0, a  # 1 + λw ≤ (1+w)^n: the root is at most a
    w = min(math.log1p(n * a) / n, a)
    step = 1.0 if a > 0.0 else 0.0
    while abs(step) > _LAST_STEP:
        known = share * w
        excess = math.log(w / a) + n * math.log1p(w) - math.log1p(known)
        if excess > 0.0:
            high = w
        else:
            low = w
        step = excess / (1.0 + n * w / (1.0 + w) - known / (1.0 + known))
        moved = w * math.exp(-step)
        if not low <= moved <= high:
            moved = 0.5 * (low + high)
            step = 1.0 if low < moved < high else 0.0  # 0: the bracket is one number wide
        w = moved
    return w


class _Given(NamedTuple):
    """What describes a plant without errors, as it was given."""

    fraction_defective: ArrayLike
    rework_fraction_defective: ArrayLike
    lot_size: ArrayLike
    sample_size: ArrayLike
    stages: ArrayLike
    daily_demand: ArrayLike


def _is_zero(value: ArrayLike) -> bool:
    return isinstance(value, float) and value == 0.0


def _checked(plant: _Given, errors: Mapping[str, ArrayLike] | None = None) -> list[Array]:
    """Return the arguments as float64 arrays of one shape, or raise a ValueError."""
    given = {**plant._asdict(), **(errors or {})}
    arrays = {name: _as_floats(name, value) for name, value in given.items()}
    try:
        np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError as error:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"shapes must broadcast together: {shapes}") from error
    for name in ("fraction_defective", "rework_fraction_defective"):
        value = arrays[name]
        _require(name, value, (value > 0.0) & (value < 1.0), "strictly between 0 and 1")
    for name, least in (("lot_size", 1), ("sample_size", 1), ("stages", 0)):
        value = arrays[name]
        is_whole = np.isfinite(value) & (value == np.floor(value))
        _require(name, value, is_whole & (value >= least), f"a whole number of at least {least}")
    value = arrays["daily_demand"]
    _require("daily_demand", value, (value > 0.0) & np.isfinite(value), "above 0 and finite")
    if errors:
        _check_errors(arrays["false_alarm"], arrays["miss"])
    sample, lot = np.broadcast_arrays(arrays["sample_size"], arrays["lot_size"])
    _require("sample_size", sample, sample <= lot, "at most lot_size")
    return [array.copy() for array in np.broadcast_arrays(*arrays.values())]


def _check_errors(false_alarm: Array, miss: Array) -> None:
    for name, value in (("false_alarm", false_alarm), ("miss", miss)):
        _require(name, value, (value >= 0.0) & (value < 1.0), "at least 0 and less than 1")
    alarms, misses = np.broadcast_arrays(false_alarm, miss)
    if alarms.size:
        worst = int(np.argmax(alarms + misses))
        check_errors(float(alarms.flat[worst]), float(misses.flat[worst]))


def _as_floats(name: str, value: ArrayLike) -> Array:
    try:
        return np.asarray(value, np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} = {value!r}: must be a number or an array of numbers") from error


def _require(name: str, value: Array, is_allowed: NDArray[np.bool_], allowed: str) -> None:
    """Raise a ValueError that names the first number which is not allowed."""
    if not np.all(is_allowed):
        wrong = float(value[~is_allowed].flat[0])
        raise ValueError(f"{name} = {wrong:g}: must be {allowed}")
