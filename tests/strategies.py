"""Scenarios that more than one test uses: hypothesis strategies, and small lots."""

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

RATE = st.floats(0.001, 0.999)
ERROR = st.one_of(st.just(0.0), st.floats(1e-6, 0.49))
MONEY = st.one_of(st.just(0.0), st.floats(0.01, 1000.0))
MAX_SAMPLES = st.one_of(st.integers(1, 8), st.integers(1, 10_000))
SMALL_LOT: dict[str, Any] = {
    "prior": {"kind": "two_point", "good": 0.1, "bad": 0.4, "prob_bad": 0.5},
    "inspection_cost": 1.0,
    "accept_bad_cost": 60.0,
    "reject_good_cost": 60.0,
    "max_samples": 8,
}
SHAPE = st.floats(-1.5, 2.5).map(lambda exponent: 10.0**exponent)


@st.composite
def scenarios(
    draw: st.DrawFn,
    max_samples: st.SearchStrategy[int] = MAX_SAMPLES,
    kinds: tuple[str, ...] = ("two_point", "beta"),
    may_err: bool = False,
) -> dict[str, Any]:
    """Draw the mapping of a valid scenario of sequential sampling; ``may_err``: of inspectors, too."""
    prior: dict[str, Any] = {"kind": draw(st.sampled_from(kinds))}
    if prior["kind"] == "two_point":
        good, bad = sorted(draw(st.lists(RATE, min_size=2, max_size=2, unique=True)))
        prior |= {"good": good, "bad": bad, "prob_bad": draw(RATE)}
    else:
        prior |= {"a": draw(SHAPE), "b": draw(SHAPE), "limit": draw(RATE)}
    fields: dict[str, Any] = {
        "prior": prior,
        "inspection_cost": draw(MONEY),
        "accept_bad_cost": draw(MONEY),
        "reject_good_cost": draw(MONEY),
        "max_samples": draw(max_samples),
    }
    if prior["kind"] == "beta":
        fields["loss"] = draw(st.sampled_from(("indicator", "linear")))
    if draw(st.booleans()):
        fields["lot_size"] = fields["max_samples"] + draw(st.integers(0, 200))
        if prior["kind"] == "two_point":
            good, bad = (round(fields["lot_size"] * prior[name]) for name in ("good", "bad"))
            assume(good != bad)
    if may_err:
        fields |= {"false_alarm": draw(ERROR), "miss": draw(ERROR)}
    return fields


@st.composite
def scenario_ranges(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the mapping of a valid range of scenarios of sequential sampling."""
    fields = draw(scenarios(max_samples=st.integers(1, 12), may_err=draw(st.booleans())))
    low = draw(st.floats(0.0, 10.0))
    spreads: dict[str, Any] = {
        "inspection_cost": {"low": low, "high": low + draw(st.floats(0.001, 10.0))},
        "accept_bad_cost": {"choices": draw(st.lists(MONEY, min_size=1, max_size=4, unique=True))},
        "reject_good_cost": {"low": 1, "high": draw(st.integers(2, 9))},
    }
    if "lot_size" not in fields:
        spreads["max_samples"] = {"low": fields["max_samples"], "high": fields["max_samples"] + 7}
    for name in draw(st.lists(st.sampled_from(sorted(spreads)), min_size=1, unique=True)):
        fields[name] = spreads[name]
    if draw(st.booleans()):
        prior = fields["prior"]
        name = "prob_bad" if prior["kind"] == "two_point" else "limit"
        fields["prior"] = {**prior, name: {"low": prior[name] / 2, "high": prior[name]}}
    return fields


def beta_lot(a: float, b: float, lot_size: int | None, **fields: Any) -> dict[str, Any]:
    """Return a scenario with a Beta prior."""
    return {
        "prior": {"kind": "beta", "a": a, "b": b, "limit": 0.15},
        "inspection_cost": 0.5,
        "accept_bad_cost": 70.0,
        "reject_good_cost": 30.0,
        "max_samples": 5,
        "lot_size": lot_size,
        **fields,
    }


def two_point_lot(lot_size: int | None, **fields: Any) -> dict[str, Any]:
    """Return a scenario with a two-point prior."""
    prior = {"kind": "two_point", "good": 0.1, "bad": 0.35, "prob_bad": 0.3}
    return beta_lot(1.0, 1.0, lot_size, prior=prior, **fields)
