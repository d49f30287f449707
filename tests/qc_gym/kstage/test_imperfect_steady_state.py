"""The steady state with inspectors who err: against its balance in many digits, and identities."""

from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qc_gym.core.inspection import judged
from qc_gym.kstage.steady_state import SteadyState, cost_table, earlier_steady_state, steady_state

FIELDS = SteadyState.__dataclass_fields__
NAMES = (
    "fraction_defective", "rework_fraction_defective", "lot_size", "sample_size", "daily_demand",
    "false_alarm", "miss",
)  # fmt: skip
PLANT = dict(zip(NAMES, (0.2, 0.1, 100, 10, 1000, 0.02, 0.1), strict=True))


@st.composite
def plants(draw: st.DrawFn, most: float = 0.9) -> dict[str, Any]:
    """Draw a plant whose inspectors err, seldom or often; its rates are at most ``most``."""
    rate = st.one_of(st.floats(1e-3, most), st.floats(-12.0, -1.0).map(lambda power: 10.0**power))
    lot_size = draw(st.one_of(st.integers(1, 10), st.integers(1, 2_000)))
    return {
        "fraction_defective": draw(rate),
        "rework_fraction_defective": draw(rate),
        "lot_size": lot_size,
        "sample_size": draw(st.integers(1, min(lot_size, 200))),
        "daily_demand": draw(st.floats(0.1, 1e6)),
        "false_alarm": draw(st.one_of(st.just(0.0), rate.map(lambda value: 0.3 * value))),
        "miss": draw(st.one_of(st.just(0.0), rate.map(lambda value: 0.5 * value))),
    }


def exactly(plant: dict[str, Any]) -> list[Any]:
    return [mpmath.mpf(plant[name]) for name in NAMES]


def judged_exactly(p: Any, false_alarm: Any, miss: Any) -> Any:
    return p * (1 - miss) + (1 - p) * false_alarm


def stages_exactly(plant: dict[str, Any], stages: int) -> tuple[Any, Any, Any]:
    """Return p_K, and items inspected and reworked per new item, stage by stage."""
    p0, pr, _, _, _, false_alarm, miss = exactly(plant)
    entering, fraction = mpmath.mpf(1), p0
    passed_bad = inspected = reworked = mpmath.mpf(0)
    for _ in range(stages):
        inspected += entering
        passed_bad += entering * fraction * miss
        entering *= judged_exactly(fraction, false_alarm, miss)
        reworked += entering
        fraction = pr
    return passed_bad + entering * fraction, inspected, reworked


def pool_exactly(plant: dict[str, Any], stages: int, x: Any) -> dict[str, Any]:
    """Return what the formulas of docs/theory/kstage.md say if x of the pool is nonconforming.

    ``balance`` is what enters the pool nonconforming minus x, per pooled item.
    """
    _, pr, lot, n, demand, false_alarm, miss = exactly(plant)
    p, inspected, stage_reworks = stages_exactly(plant, stages)
    share = n / lot
    passed = 1 - judged_exactly(x, false_alarm, miss)
    accepted = passed**n
    outgoing = (1 - share) * x + share * x * miss / passed
    bad = x - accepted * outgoing
    good = (1 - accepted) - bad
    reworked = (1 - miss) * bad + false_alarm * good + accepted * outgoing
    used = accepted * (1 - outgoing)
    pooled = demand / used
    return {
        "balance": p * used + miss * bad + pr * reworked - x,
        "stages_fraction": p,
        "pool_fraction": x,
        "outgoing_fraction": outgoing,
        "pooled": pooled,
        "stage_inspections": demand * inspected,
        "source_inspections": share * pooled,
        "reinspections": (1 - accepted) * pooled,
        "reworks": demand * stage_reworks + pooled * reworked,
    }


def root(plant: dict[str, Any], stages: int) -> Any:
    return mpmath.mpf(float(steady_state(**plant, stages=stages).pool_fraction))


def test_another_implementations_numbers() -> None:
    steady = steady_state(**PLANT, stages=1)
    assert float(steady.pool_fraction) == pytest.approx(0.02893959126773791, rel=1e-14)
    assert float(steady.pooled) == pytest.approx(1635.635025762174, rel=1e-14)
    assert float(steady.inspections) == pytest.approx(1772.136667724873, rel=1e-14)
    assert float(steady.reworks) == pytest.approx(253.07334259229822, rel=1e-14)


@settings(max_examples=150, deadline=None)
@given(plant=plants(), stages=st.integers(0, 8), shares=st.lists(st.floats(0.0, 1.0), max_size=5))
def test_the_balance_holds_to_full_precision(
    plant: dict[str, Any], stages: int, shares: list[float]
) -> None:
    assume(plant["false_alarm"] + plant["miss"] > 0.0)
    with mpmath.workdps(60):
        x = root(plant, stages)
        assume(1e-290 < x < 1 - 1e-3)
        below = x * (1 - mpmath.mpf("1e-12"))
        assert pool_exactly(plant, stages, below)["balance"] > 0
        assert pool_exactly(plant, stages, x * (1 + mpmath.mpf("1e-12")))["balance"] < 0
        for share in shares:  # it is the least root
            assert pool_exactly(plant, stages, below * share)["balance"] > 0


@settings(max_examples=150, deadline=None)
@given(plant=plants(), stages=st.integers(0, 8))
def test_flows_in_many_digits(plant: dict[str, Any], stages: int) -> None:
    steady = steady_state(**plant, stages=stages)
    with mpmath.workdps(60):
        x = root(plant, stages)
        assume(1e-290 < x < 1 - 1e-3 and np.isfinite(steady.pooled))
        expected = pool_exactly(plant, stages, x)
        # N_E is that of float64's p_E: an error of it counts n times.
        loss = 1e-12 * (1 + float(plant["sample_size"] * x / (1 - x)))
        for name in FIELDS:
            assert float(getattr(steady, name)) == pytest.approx(float(expected[name]), rel=loss), (
                name
            )


@settings(max_examples=60, deadline=None)
@given(plant=plants(), power=st.integers(-290, -12), stages=st.integers(0, 3))
def test_relative_precision_of_a_nearly_clean_pool(
    plant: dict[str, Any], power: int, stages: int
) -> None:
    plant.update(fraction_defective=10.0**power, false_alarm=0.0)
    with mpmath.workdps(60):
        x = root(plant, stages)
        assume(x > 1e-300)
        for factor, sign in ((1 - mpmath.mpf("1e-12"), 1), (1 + mpmath.mpf("1e-12"), -1)):
            assert sign * pool_exactly(plant, stages, x * factor)["balance"] > 0


@pytest.mark.parametrize(
    ("rework", "sample_size", "false_alarm", "miss", "balances"),
    [
        (0.99, 200, 5e-4, 0.95, 3),
        (0.998, 200, 1e-4, 0.95, 3),
        (0.9995, 100, 3e-5, 0.9, 3),
        (0.9995, 100, 2e-4, 0.9, 1),
        (0.99, 50, 5e-4, 0.8, 1),
    ],
)
def test_of_several_balances_it_is_that_of_a_pool_that_begins_clean(
    rework: float, sample_size: int, false_alarm: float, miss: float, balances: int
) -> None:
    # Rework that nearly always fails, and most nonconforming items are missed: a pool once bad stays so.
    plant = dict(zip(NAMES, (1e-5, rework, 1000, sample_size, 1, false_alarm, miss), strict=True))
    with mpmath.workdps(30):
        points = [mpmath.exp(power) for power in mpmath.linspace(-14, -1e-4, 1500)]
        signs = [pool_exactly(plant, 0, point)["balance"] > 0 for point in points]
        first = signs.index(False)
        assert points[first - 1] <= root(plant, 0) <= points[first]
    assert sum(one != other for one, other in pairwise(signs)) == balances


@settings(max_examples=80, deadline=None)
@given(plant=plants(), stages=st.integers(0, 8))
def test_without_errors_it_is_what_it_was_bit_for_bit(plant: dict[str, Any], stages: int) -> None:
    plant.update(false_alarm=0.0, miss=0.0)
    now = steady_state(**plant, stages=stages)
    del plant["false_alarm"], plant["miss"]
    before = steady_state(**plant, stages=stages)
    # One plant among others whose inspectors err.
    among = steady_state(
        **plant, stages=stages, false_alarm=np.array([0.0, 0.1]), miss=np.array([0.0, 0.2])
    )
    for name in FIELDS:
        assert getattr(now, name) == getattr(before, name) == getattr(among, name)[0]
    fixed = {name: value for name, value in plant.items() if name != "daily_demand"}
    money = {"inspection_cost": 0.7, "rework_cost": 1.9, "max_stages": stages}
    np.testing.assert_array_equal(
        cost_table(**fixed, **money), cost_table(**fixed, **money, false_alarm=0.0, miss=0.0)
    )


@settings(max_examples=80, deadline=None)
@given(plant=plants(), stages=st.integers(0, 8))
def test_errors_that_vanish_change_nothing(plant: dict[str, Any], stages: int) -> None:
    plant.update(false_alarm=1e-200, miss=1e-200)
    nearly = steady_state(**plant, stages=stages)
    plant.update(false_alarm=0.0, miss=0.0)
    none = steady_state(**plant, stages=stages)
    assume(none.pool_fraction > 1e-150)
    for name in FIELDS:
        assert getattr(nearly, name) == pytest.approx(float(getattr(none, name)), rel=1e-9), name


@settings(max_examples=80, deadline=None)
@given(plant=plants(0.5), stages=st.integers(1, 6), false_alarm=st.floats(0.001, 0.3))
def test_inspection_that_tells_nothing(
    plant: dict[str, Any], stages: int, false_alarm: float
) -> None:
    # miss → 1 − false_alarm: what is judged does not depend on what is, so that the items are reworked
    # at random, and delivered as they are.
    plant.update(false_alarm=false_alarm, miss=(1.0 - false_alarm) * (1.0 - 1e-13), sample_size=3)
    plant["lot_size"] = max(plant["lot_size"], 3)
    assume(plant["false_alarm"] + plant["miss"] < 1.0)
    steady = steady_state(**plant, stages=stages)
    demand, x = plant["daily_demand"], float(steady.pool_fraction)
    accepted = (1.0 - false_alarm) ** 3
    assert float(steady.outgoing_fraction) == pytest.approx(x, rel=1e-9)
    assert float(steady.pooled) == pytest.approx(demand / accepted / (1.0 - x), rel=1e-9)
    assert float(steady.reinspections) == pytest.approx((1 - accepted) * steady.pooled, rel=1e-9)
    inspected = demand * sum(false_alarm**k for k in range(stages))
    assert float(steady.stage_inspections) == pytest.approx(inspected, rel=1e-9)


@settings(max_examples=80, deadline=None)
@given(plant=plants(), stages=st.integers(0, 6))
def test_a_nonconforming_items_way_through_the_stages(plant: dict[str, Any], stages: int) -> None:
    # Without false alarms: at each stage it is missed, or reworked and perhaps still nonconforming.
    plant["false_alarm"] = 0.0
    leaves_bad = 1.0
    for _ in range(stages):
        found = (1.0 - plant["miss"]) * plant["rework_fraction_defective"] * leaves_bad
        leaves_bad = plant["miss"] + found
    expected = plant["fraction_defective"] * leaves_bad
    steady = steady_state(**plant, stages=stages)
    assert float(steady.stages_fraction) == pytest.approx(expected, rel=1e-12)


def test_judged() -> None:
    p = np.array([0.0, 0.3, 1.0])
    np.testing.assert_allclose(judged(p, 0.1, 0.2), [0.1, 0.31, 0.8], rtol=1e-15)
    assert judged(0.1 + 0.2, 0.0, 0.0) == 0.1 + 0.2
    assert judged(0.4, 0.25, 0.75) == 0.25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"false_alarm": -0.1}, r"false_alarm = -0\.1: must be at least 0 and less than 1"),
        ({"miss": 1.0}, "miss = 1: must be at least 0 and less than 1"),
        ({"miss": np.nan}, "miss = nan: "),
        ({"miss": "often"}, "miss = 'often': must be a number"),
        (
            {"false_alarm": [0.1, 0.3], "miss": 0.7},
            r"false_alarm = 0\.3 and miss = 0\.7: their sum must be less than 1",
        ),
        (
            {"false_alarm": [0.1, 0.3, 0.2], "stages": [1, 2]},
            r"shapes must broadcast together: .*false_alarm \(3,\)",
        ),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        steady_state(**{**PLANT, "stages": 1, **changes})


def test_the_earlier_model_has_no_errors() -> None:
    with pytest.raises(TypeError, match="false_alarm"):
        earlier_steady_state(**PLANT, stages=1)


def test_arguments_broadcast() -> None:
    plant = {**PLANT, "false_alarm": np.array([[0.0], [0.02]]), "miss": np.array([0.0, 0.1, 0.3])}
    steady = steady_state(**plant, stages=1)
    assert steady.pooled.shape == (2, 3)
    one = steady_state(**PLANT, stages=1)
    for name in FIELDS:
        assert getattr(steady, name)[1, 1] == getattr(one, name)
    assert steady_state(0.1, 0.1, 10, 1, [], false_alarm=[], miss=0.1).pooled.shape == (0,)
