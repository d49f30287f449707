"""The steady state of the K-stage network: Yang's (2010) tables and properties, and its precision."""

from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from qc_gym.kstage.steady_state import SteadyState, earlier_steady_state, steady_state

BLU: dict[str, Any] = {
    "fraction_defective": 0.161,
    "rework_fraction_defective": 0.05,
    "lot_size": 240,
    "sample_size": 16,
    "daily_demand": 4800,
}
STAGES = np.arange(7)
# Tables 1 and 2 of Yang (2010), K = 0, …, 6.
TABLE_1 = {
    "stages_fraction": "16.1000% 0.8050% 0.0403% 0.0020% 0.0001% 0.0000% 0.0000%",
    "pooled": "13,619 5,449 4,834 4,802 4,800 4,800 4,800",
    "pool_fraction": "5.9733% 0.7464% 0.0421% 0.0021% 0.0001% 0.0000% 0.0000%",
    "stage_inspections": "0 4,800 5,573 5,611 5,613 5,613 5,613",
    "source_inspections": "908 363 322 320 320 320 320",
    "reinspections": "8,535 616 32 2 0 0 0",
    "inspections": "9,443 5,779 5,928 5,933 5,933 5,933 5,933",
    "outgoing_fraction": "5.5750% 0.6966% 0.0393% 0.0020% 0.0001% 0.0000% 0.0000%",
}
TABLE_2 = {
    "pooled": "0.2031% 0.0444% 0.0028% 0.0001% 0.0000% 0.0000% 0.0000%",
    "pool_fraction": "-0.2035% -0.0445% -0.0028% -0.0001% -0.0000% -0.0000% -0.0000%",
    "stage_inspections": "n.a. 0.0000% 0.0000% 0.0000% 0.0000% 0.0000% 0.0000%",
    "source_inspections": "0.2031% 0.0444% 0.0028% 0.0001% 0.0000% 0.0000% 0.0000%",
    "reinspections": "0.0801% 0.0025% 0.0000% 0.0000% 0.0000% 0.0000% 0.0000%",
    "inspections": "0.0920% 0.0031% 0.0002% 0.0000% 0.0000% 0.0000% 0.0000%",
    "outgoing_fraction": "6.9253% 7.0953% 7.1399% 7.1427% 7.1428% 7.1429% 7.1429%",
}


@st.composite
def plants(draw: st.DrawFn, least: float = 1e-3) -> dict[str, Any]:
    """Draw a valid plant whose rates are at least ``least`` and at most one minus that."""
    rate = st.floats(least, 1.0 - least)
    lot_size = draw(st.one_of(st.integers(1, 10), st.integers(1, 10_000)))
    return {
        "fraction_defective": draw(rate),
        "rework_fraction_defective": draw(rate),
        "lot_size": lot_size,
        "sample_size": draw(st.integers(1, lot_size)),
        "daily_demand": draw(st.floats(0.1, 1e6)),
    }


def resolved_stages(plant: dict[str, Any]) -> np.ndarray:
    """Return K = 0, 1, … as far as p_K is large enough for float64 to show that it falls."""
    p0, pr = plant["fraction_defective"], plant["rework_fraction_defective"]
    most = int(np.log(1e-9 / p0) / np.log(pr))
    assume(most >= 1)
    return np.arange(min(most, 40) + 1)


# --- the paper's tables ------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE_1)
def test_table_1(name: str) -> None:
    values = getattr(steady_state(**BLU, stages=STAGES), name)
    is_share = "%" in TABLE_1[name]
    printed = [f"{100 * value:.4f}%" if is_share else f"{value:,.0f}" for value in values]
    assert printed == TABLE_1[name].split()


@pytest.mark.parametrize("name", TABLE_2)
def test_table_2(name: str) -> None:
    current, earlier = (
        getattr(model(**BLU, stages=STAGES), name) for model in (steady_state, earlier_steady_state)
    )
    for now, before, printed in zip(current, earlier, TABLE_2[name].split(), strict=True):
        if printed == "n.a.":
            assert now == before == 0.0
        else:
            # Relative to the earlier output, as N_E p_E, which both models share, shows; only the
            # AOQ's errors are relative to the current one, as the paper says that all are.
            base = now if name == "outgoing_fraction" else before
            error = f"{100 * (before - now) / base:.4f}%"
            assert error.replace("-0.0000", "0.0000") == printed.replace("-0.0000", "0.0000")


def test_the_numbers_of_the_papers_text() -> None:
    now, before = (model(**BLU, stages=1) for model in (steady_state, earlier_steady_state))
    # The earlier total is printed as 5779.1; its own formulas give 5779.047.
    assert f"{now.inspections:.1f}" == "5778.9"
    assert before.inspections == pytest.approx(5779.1, abs=0.06)
    assert f"{now.pooled:.0f} {before.pooled:.0f}" == "5449 5452"
    assert f"{now.pool_fraction:.4%} {before.pool_fraction:.4%}" == "0.7464% 0.7461%"
    assert f"{now.outgoing_fraction:.4%} {before.outgoing_fraction:.4%}" == "0.6966% 0.7461%"
    assert f"{now.reworks:.0f}" == "813"


# --- the paper's properties --------------------------------------------------------------------


def balance(plant: dict[str, Any], stages: int, x: Any, earlier: bool = False) -> Any:
    """Return f(x) of Property 1, in the precision of mpmath's context."""
    p0, pr = (
        mpmath.mpf(plant[name]) for name in ("fraction_defective", "rework_fraction_defective")
    )
    n, lot = plant["sample_size"], plant["lot_size"]
    share = mpmath.mpf(0 if earlier else n) / lot
    return p0 * pr**stages * (1 - (1 - share) * x) * (1 - x) ** n - (1 - pr) * x


def root(plant: dict[str, Any], stages: int, earlier: bool) -> Any:
    model = earlier_steady_state if earlier else steady_state
    return mpmath.mpf(float(model(**plant, stages=stages).pool_fraction))


@settings(max_examples=80, deadline=None)
@given(plant=plants(1e-9), stages=st.integers(0, 30), shares=st.lists(st.floats(0.0, 1.0)))
@pytest.mark.parametrize("earlier", [False, True])
def test_property_1_one_root(
    earlier: bool, plant: dict[str, Any], stages: int, shares: list[float]
) -> None:
    with mpmath.workdps(60):
        x = root(plant, stages, earlier)
        assume(x > 1e-250)
        below, above = x * (1 - mpmath.mpf("1e-12")), x * (1 + mpmath.mpf("1e-12"))
        assert 0 < x < 1
        # The sign changes within a relative 1e-12, and nowhere else.
        assert balance(plant, stages, below, earlier) > 0
        assert balance(plant, stages, above, earlier) < 0
        for share in shares:
            assert balance(plant, stages, below * share, earlier) > 0
            assert balance(plant, stages, above + (1 - above) * share, earlier) < 0


@settings(max_examples=80, deadline=None)
@given(plant=plants(), exponent=st.integers(-300, -1), share=st.floats(0.1, 1.0))
@pytest.mark.parametrize("earlier", [False, True])
def test_relative_precision_down_to_1e_300(
    earlier: bool, plant: dict[str, Any], exponent: int, share: float
) -> None:
    plant["fraction_defective"] = max(share * 10.0**exponent, 1e-300)
    with mpmath.workdps(60):
        x = root(plant, 0, earlier)
        assert balance(plant, 0, x * (1 - mpmath.mpf("1e-12")), earlier) > 0
        assert balance(plant, 0, x * (1 + mpmath.mpf("1e-12")), earlier) < 0


@settings(max_examples=80, deadline=None)
@given(plant=plants())
def test_property_2_the_pool_gets_better_and_smaller(plant: dict[str, Any]) -> None:
    steady = steady_state(**plant, stages=resolved_stages(plant))
    assert (np.diff(steady.pool_fraction) < 0).all()
    assert (np.diff(steady.pooled) < 0).all()
    limit = steady_state(**plant, stages=1_000_000)
    assert limit.pool_fraction == 0.0
    assert limit.pooled == plant["daily_demand"]


@settings(max_examples=80, deadline=None)
@given(plant=plants(), stages=st.integers(0, 10))
def test_property_3_when_the_pool_is_better_than_the_stages(
    plant: dict[str, Any], stages: int
) -> None:
    steady = steady_state(**plant, stages=stages)
    p = float(steady.stages_fraction)
    share = plant["sample_size"] / plant["lot_size"]
    bound = 1.0 - (1.0 - (1.0 - share) * p) * (1.0 - p) ** plant["sample_size"]
    assume(abs(bound - plant["rework_fraction_defective"]) > 1e-9)
    assert (steady.pool_fraction < p) == (plant["rework_fraction_defective"] < bound)


@settings(max_examples=80, deadline=None)
@given(plant=plants())
def test_property_4_rework_does_not_depend_on_the_stages(plant: dict[str, Any]) -> None:
    p0, pr = plant["fraction_defective"], plant["rework_fraction_defective"]
    stages = resolved_stages(plant)
    steady = steady_state(**plant, stages=stages)
    # Reworked after the stages, and what the pool sends to rework (equation 8): each by itself.
    within = sum(p0 * pr**k * plant["daily_demand"] * (k < stages) for k in range(len(stages)))
    after = steady.pool_fraction * steady.pooled
    np.testing.assert_allclose(within + after, p0 * plant["daily_demand"] / (1.0 - pr), rtol=1e-9)
    np.testing.assert_allclose(steady.reworks, within + after, rtol=1e-9)


@settings(max_examples=80, deadline=None)
@given(plant=plants())
def test_property_5_inspections(plant: dict[str, Any]) -> None:
    p0, pr = plant["fraction_defective"], plant["rework_fraction_defective"]
    demand = plant["daily_demand"]
    steady = steady_state(**plant, stages=resolved_stages(plant))
    assert (np.diff(steady.stage_inspections) > 0).all()
    assert (np.diff(steady.stage_inspections, 2) < 0).all()
    assert (np.diff(steady.source_inspections) < 0).all()
    assert (np.diff(steady.reinspections) < 0).all()
    limit = steady_state(**plant, stages=1_000_000)
    share = plant["sample_size"] / plant["lot_size"]
    assert limit.stage_inspections == pytest.approx((1 + p0 / (1 - pr)) * demand, rel=1e-12)
    assert limit.source_inspections == pytest.approx(share * demand, rel=1e-12)
    assert limit.reinspections == 0.0


@settings(max_examples=80, deadline=None)
@given(plant=plants(), stages=st.integers(0, 10))
def test_flows_balance(plant: dict[str, Any], stages: int) -> None:
    # Yang's equations 2, 4 and 5: lots accepted reach the customer, the others are re-inspected.
    steady = steady_state(**plant, stages=stages)
    accepted = (1.0 - steady.pool_fraction) ** plant["sample_size"] * steady.pooled
    delivered = plant["daily_demand"] / (1.0 - steady.outgoing_fraction)
    assume(accepted > 1e-12 * steady.pooled)
    assert accepted == pytest.approx(delivered, rel=1e-6)
    assert steady.reinspections == pytest.approx(steady.pooled - delivered, rel=1e-6, abs=1e-6)


# --- shapes and bad input ----------------------------------------------------------------------


def test_arguments_broadcast() -> None:
    rates = np.array([[0.1], [0.2]])
    steady = steady_state(rates, 0.05, 240, np.array([1, 16, 240]), 2)
    assert steady.pooled.shape == (2, 3)
    one = steady_state(0.2, 0.05, 240, 16, 2)
    for name in SteadyState.__dataclass_fields__:
        assert getattr(steady, name)[1, 1] == getattr(one, name)
    assert (steady.outgoing_fraction[:, 2] == 0.0).all()  # every item of a lot is inspected
    assert one.cost(2.0, 3.0) == 2.0 * one.inspections + 3.0 * one.reworks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fraction_defective": 0.0}, "fraction_defective = 0: must be strictly between 0 and 1"),
        ({"fraction_defective": [0.1, 1.0]}, "fraction_defective = 1: "),
        ({"rework_fraction_defective": 1.5}, r"rework_fraction_defective = 1\.5: "),
        ({"rework_fraction_defective": np.nan}, "rework_fraction_defective = nan: "),
        ({"lot_size": 2.5}, r"lot_size = 2\.5: must be a whole number of at least 1"),
        ({"sample_size": 0}, "sample_size = 0: must be a whole number of at least 1"),
        ({"sample_size": 241}, "sample_size = 241: must be at most lot_size"),
        ({"stages": [0, -1]}, "stages = -1: must be a whole number of at least 0"),
        ({"stages": np.inf}, "stages = inf: "),
        ({"daily_demand": 0.0}, "daily_demand = 0: must be above 0 and finite"),
        ({"daily_demand": np.inf}, "daily_demand = inf: must be above 0 and finite"),
        ({"lot_size": "many"}, "lot_size = 'many': must be a number or an array of numbers"),
        (
            {"stages": [1, 2, 3], "lot_size": [240, 250]},
            r"shapes must broadcast together: .*lot_size \(2,\).*stages \(3,\)",
        ),
        ({"stages": None}, "stages = nan: must be a whole number"),
        ({"stages": [[0], [1, 2]]}, r"stages = \[\[0\], \[1, 2\]\]: must be a number or an array"),
    ],
)
@pytest.mark.parametrize("model", [steady_state, earlier_steady_state])
def test_bad_input_is_named(model: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        model(**{**BLU, "stages": 1, **changes})
