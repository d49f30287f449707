"""The parameters of inspect-or-stop: what is read, what is refused, and ranges of them."""

from __future__ import annotations

import json
import math
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from qc_gym.core.errors import ScenarioError
from qc_gym.core.ranges import ScenarioRange
from qc_gym.lot.dynamics import MAX_LOT
from qc_gym.lot.env import InspectOrStopEnv, InspectOrStopVectorEnv
from qc_gym.lot.scenario import InspectionNeverPays, InspectOrStopScenario

parse = InspectOrStopScenario.parse
PRESETS = InspectOrStopScenario.presets
LOT = dict(PRESETS["weibull-30"])
SIZING = dict(PRESETS["lot-sizing-20"])
NAN, INF = math.nan, math.inf


def table(*survival: float, **fields: Any) -> dict[str, Any]:
    return {**LOT, "lot_size": 3, "shift": {"kind": "table", "survival": list(survival)}, **fields}


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


# --- what is read ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_text(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scenario = parse(name)
    text = json.dumps(scenario.model_dump(mode="json"))
    again = parse(json.loads(text))
    assert again == scenario
    assert hash(again) == hash(scenario)
    assert parse(yaml.safe_load(yaml.safe_dump(json.loads(text)))) == scenario
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert again.record().tobytes() == scenario.record().tobytes()


def test_presets_that_others_rely_on() -> None:
    assert next(iter(PRESETS)) == "weibull-30"
    assert parse(None) == parse("weibull-30")
    assert {scenario.shift.kind for scenario in map(parse, PRESETS)} == {
        "discrete_weibull", "geometric", "table",
    }  # fmt: skip
    sizing = {name: parse(name).demand for name in PRESETS if parse(name).lot_size is None}
    assert sizing == {"lot-sizing-20": 20, "lot-sizing-200": 200}


def test_the_record_holds_what_was_said() -> None:
    (record,) = parse("weibull-30").record()
    assert [record[name] for name in ("demand", "lot_size", "longest")] == [20, 30, 30]
    assert record["likelihood_in"].tolist() == pytest.approx([0.05, 0.95])
    assert record["likelihood_out"].tolist() == pytest.approx([0.8, 0.2])
    assert (record["inspection_cost"], record["shortage_cost"]) == (1.0, 4.0)
    (record,) = parse(SIZING).record()
    assert [record[name] for name in ("demand", "lot_size", "longest")] == [20, 0, 60]
    assert (record["setup_cost"], record["unit_cost"]) == (10.0, 1.0)


# --- the survival function ---------------------------------------------------------------------


def test_survival_of_a_discrete_weibull_shift() -> None:
    # Nakagawa & Osaki (1975): q^(j^beta).
    expected = [math.exp(math.log(0.98) * math.exp(1.2 * math.log(j))) for j in range(1, 31)]
    scenario = parse("weibull-30")
    assert scenario.survival.tolist() == pytest.approx([1.0, *expected], rel=1e-13)
    (record,) = scenario.record()
    assert record["survival"][:31].tolist() == scenario.survival.tolist()
    assert not record["survival"][31:].any()


@given(hazard=st.floats(0.0, 0.99), size=st.integers(1, MAX_LOT))
def test_survival_of_a_geometric_shift(hazard: float, size: int) -> None:
    fields = {**LOT, "lot_size": size, "shift": {"kind": "geometric", "hazard": hazard}}
    expected = np.cumprod(np.r_[1.0, np.full(size, 1.0 - hazard)])
    np.testing.assert_allclose(parse(fields).survival, expected, rtol=1e-12, atol=1e-300)
    weibull = {"kind": "discrete_weibull", "q": 1.0 - hazard, "beta": 1.0}
    np.testing.assert_array_equal(
        parse({**fields, "shift": weibull}).survival, parse(fields).survival
    )


def test_survival_of_a_table() -> None:
    assert parse(table(0.9, 0.9, 0.0)).survival.tolist() == [1.0, 0.9, 0.9, 0.0]
    longer = parse(table(0.9, 0.8, 0.7, 0.6, 0.5))  # what is beyond the lot is not needed
    assert longer.survival.tolist() == [1.0, 0.9, 0.8, 0.7]


@pytest.mark.parametrize(("q", "beta"), [(1e-300, 100.0), (0.5, 3.0), (1.0, 100.0), (0.999, 0.01)])
def test_survival_never_rises_and_stays_a_probability(q: float, beta: float) -> None:
    shift = {"kind": "discrete_weibull", "q": q, "beta": beta}
    survival = parse({**LOT, "lot_size": MAX_LOT, "shift": shift}).survival
    assert survival.shape == (MAX_LOT + 1,)
    assert survival[0] == 1.0
    assert (np.diff(survival) <= 0).all()
    assert (survival >= 0).all()  # false for NaN


# --- equality ----------------------------------------------------------------------------------


def test_equal_scenarios_have_equal_hashes() -> None:
    spelt = parse({**LOT, "shortage_cost": 4, "unit_cost": -0.0, "max_lot_size": None})
    assert spelt == parse(LOT)
    assert hash(spelt) == hash(parse(LOT))
    assert len({hash(parse(name)) for name in PRESETS}) == len(PRESETS)


def test_frozen() -> None:
    scenario = parse(None)
    with pytest.raises(ValidationError, match="frozen"):
        scenario.demand = 5
    with pytest.raises(ValidationError, match="frozen"):
        scenario.shift.q = 0.5


# --- what is refused ---------------------------------------------------------------------------

WRONG: dict[str, tuple[Any, str]] = {
    "yields equal": ({**LOT, "yield_out": 0.95}, r"yield_out = 0\.95: .*less than yield_in = 0\.95"),
    "yields reversed": ({**LOT, "yield_out": 0.99}, r"yield_out = 0\.99: .*yield_in"),
    "no lot": (without(LOT, "lot_size"), r"neither lot_size nor max_lot_size"),
    "two lots": ({**LOT, "max_lot_size": 40}, r"max_lot_size = 40: not with lot_size = 30"),
    "setup of a lot": ({**LOT, "setup_cost": 2.0}, r"setup_cost = 2\.0: not with lot_size = 30"),
    "cost of a unit": ({**LOT, "unit_cost": 2.0}, r"unit_cost = 2\.0: not with lot_size = 30"),
    "rising": (table(0.9, 0.8, 0.85), r"survival: F\(3\) = 0\.85 must not exceed F\(2\) = 0\.8"),
    "short": (table(0.9, 0.8), r"shift\.survival has 2 values: .*lot_size = 3"),
    "short for production": (
        {**SIZING, "shift": {"kind": "table", "survival": [0.5] * 59}},
        r"shift\.survival has 59 values: .*max_lot_size = 60",
    ),
    "empty": (table(), r"shift\.survival = \[\]: .*at least 1"),
    "above one": (table(1.1, 0.8, 0.7), r"shift\.survival\.0 = 1\.1: "),
    "below zero": (table(0.9, 0.8, -0.1), r"shift\.survival\.2 = -0\.1: "),
    "nan in the table": (table(0.9, NAN, 0.1), r"shift\.survival\.1 = nan: "),
    "unknown kind": (
        {**LOT, "shift": {"kind": "weibull", "q": 0.9, "beta": 1.0}},
        r"shift.kind = 'weibull'.*did you mean 'discrete_weibull'",
    ),
    "field of another kind": (
        {**LOT, "shift": {"kind": "geometric", "hazard": 0.1, "beta": 1.0}},
        r"unknown field 'shift\.beta'; .*hazard",
    ),
    "unknown field": ({**LOT, "demnad": 3}, r"unknown field 'demnad'; did you mean 'demand'"),
}  # fmt: skip
for _name in ("demand", "lot_size"):
    for _size in (0, -3, 2.5, "3", True, NAN):
        WRONG[f"{_name} {_size!r}"] = ({**LOT, _name: _size}, rf"{_name} = {_size!r}: ")
WRONG["lot_size too large"] = ({**LOT, "lot_size": 1001}, r"lot_size = 1001: .*1000")
WRONG["max_lot_size too large"] = ({**SIZING, "max_lot_size": 1001}, r"max_lot_size = 1001: .*1000")
WRONG["max_lot_size 0"] = ({**SIZING, "max_lot_size": 0}, r"max_lot_size = 0: ")
for _money in (-1.0, NAN, INF, "1"):
    for _name in ("inspection_cost", "shortage_cost", "unit_cost", "setup_cost"):
        WRONG[f"{_name} {_money!r}"] = ({**SIZING, _name: _money}, rf"{_name} = {_money!r}: ")
for _rate in (-0.1, 1.1, NAN, "0.5", None):
    for _name in ("yield_in", "yield_out"):
        WRONG[f"{_name} {_rate!r}"] = ({**LOT, _name: _rate}, rf"{_name} = {_rate!r}: ")
for _hazard in (-0.1, 1.0, NAN):
    WRONG[f"hazard {_hazard!r}"] = (
        {**LOT, "shift": {"kind": "geometric", "hazard": _hazard}},
        rf"shift\.hazard = {_hazard!r}: ",
    )
for _name, _values in {"q": (0.0, 1.1, NAN), "beta": (0.0, -1.0, 101.0, NAN)}.items():
    for _value in _values:
        WRONG[f"{_name} {_value!r}"] = (
            {**LOT, "shift": {"kind": "discrete_weibull", "q": 0.9, "beta": 1.0, _name: _value}},
            rf"shift\.{_name} = {_value!r}: ",
        )


@pytest.mark.parametrize(("fields", "message"), WRONG.values(), ids=WRONG)
def test_wrong_value(fields: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=f"(?s){message}"):
        parse(fields)


@pytest.mark.parametrize(
    "name", ["demand", "yield_in", "yield_out", "shift", "inspection_cost", "shortage_cost"]
)
def test_missing_field(name: str) -> None:
    with pytest.raises(ScenarioError, match=f"field '{name}' is missing"):
        parse(without(LOT, name))


def test_missing_field_of_the_shift() -> None:
    with pytest.raises(ScenarioError, match=r"field 'shift\.beta' is missing"):
        parse({**LOT, "shift": without(LOT["shift"], "beta")})
    with pytest.raises(ScenarioError, match=r"'shift\.kind' is missing; known: .*geometric"):
        parse({**LOT, "shift": without(LOT["shift"], "kind")})


@pytest.mark.parametrize("cost", [3.8, 4.0, 100.0])
def test_that_inspecting_never_pays_is_said(cost: float) -> None:
    with pytest.warns(InspectionNeverPays, match=rf"inspection_cost = {cost} .*yield_in = 3\.8: "):
        scenario = parse({**LOT, "inspection_cost": cost})
    assert scenario.inspection_cost == cost
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parse({**LOT, "inspection_cost": 3.79})


# --- files and ranges --------------------------------------------------------------------------


def test_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(dict(PRESETS["table-16"])))
    assert parse(path) == parse("table-16")


RANGES: dict[str, tuple[dict[str, Any], list[float]]] = {
    "inspection_cost": ({"inspection_cost": {"low": 0.5, "high": 2.5}}, [0.25]),
    "yield_in": ({"yield_in": {"low": 0.6, "high": 1.0}}, [0.875]),
    "shift.q": ({"shift": {**LOT["shift"], "q": {"low": 0.9, "high": 1.0}}}, [0.8]),
    "lot_size": ({"lot_size": {"low": 10, "high": 50}}, [0.5]),
    "demand": ({"demand": {"choices": [10, 20, 40]}}, [0.5]),
    "two": ({"lot_size": {"low": 10, "high": 50}, "yield_out": {"low": 0.1, "high": 0.3}}, [0.5, 0.5]),
}  # fmt: skip


@pytest.mark.parametrize(("spread", "features"), RANGES.values(), ids=RANGES)
def test_a_field_may_be_a_range(spread: dict[str, Any], features: list[float]) -> None:
    spreads = parse({**LOT, **spread})
    assert isinstance(spreads, ScenarioRange)
    assert spreads.features(parse(LOT)).tolist() == pytest.approx(features, rel=1e-6)
    drawn = {spreads.draw(np.random.default_rng(seed)) for seed in range(20)}
    assert len(drawn) > 2
    env = InspectOrStopEnv(spreads)
    assert env.reset(seed=0)[0].shape == (5 + len(features),)


@pytest.mark.parametrize(
    ("field", "spread"),
    [
        ("shift", {"kind": "table", "survival": {"choices": [[0.9, 0.8, 0.7], [0.5, 0.5, 0.0]]}}),
        ("shift", {"choices": [table(0.9, 0.8, 0.7)["shift"], {"kind": "geometric", "hazard": 0.5}]}),
    ],
    ids=["tables", "kinds"],
)  # fmt: skip
def test_shifts_may_be_choices(field: str, spread: Any) -> None:
    env = InspectOrStopEnv({**table(0.9, 0.9, 0.9), field: spread})
    seen = set()
    for seed in range(20):
        observation, info = env.reset(seed=seed)
        first = info["scenario"].survival[1]
        assert observation[2] == np.float32(first)
        assert observation[5] == (first == 0.5)
        seen.add(first)
    assert seen == {0.9, 0.5}


def test_lots_of_many_sizes_side_by_side() -> None:
    env = InspectOrStopVectorEnv(64, {**LOT, "lot_size": {"low": 1, "high": 1000}, "demand": 1000})
    env.reset(seed=0)
    sizes = np.array([scenario.lot_size for scenario in env.scenario_of])  # type: ignore[attr-defined]
    assert len(np.unique(sizes)) > 30
    for n in range(1, 100):
        observations, _, terminated, _, _ = env.step(np.ones(64, np.int64))
        first = sizes >= n  # their first episode; the others have drawn another scenario since
        np.testing.assert_allclose(observations[first, 0], n / sizes[first], rtol=1e-6)
        assert (terminated[first] == (sizes[first] == n)).all()
    assert 0 < first.sum() < 64
    each = InspectOrStopVectorEnv(2, ["weibull-30", "lot-sizing-200"])
    observations, _ = each.reset(seed=0)
    assert observations[:, 4].tolist() == [0.0, 1.0]


def test_an_end_that_is_not_valid_is_refused() -> None:
    with pytest.raises(ScenarioError, match=r"shift\.survival has 3 values: .*lot_size = 4"):
        parse(table(0.9, 0.8, 0.7, lot_size={"low": 2, "high": 4}))
    with pytest.raises(ScenarioError, match=r"yield_in = 1\.2"):
        parse({**LOT, "yield_in": {"low": 0.9, "high": 1.2}})
