"""Scenarios of sequential sampling are validated before anything runs."""

import json
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from strategies import scenario_ranges, scenarios

from qc_gym.core.errors import ScenarioError
from qc_gym.core.ranges import ScenarioRange
from qc_gym.sampling.scenario import SequentialSamplingScenario

PRESETS = SequentialSamplingScenario.presets
TWO_POINT = PRESETS["aql10-rql20"]
BETA = PRESETS["aql10-beta"]
NAN, INF = float("nan"), float("inf")


def parse(source: Any) -> Any:
    return SequentialSamplingScenario.parse(source)


def changed(fields: Any, **changes: Any) -> dict[str, Any]:
    """Return a copy with fields replaced; ``prior__good`` is ``good`` of ``prior``."""
    copy = deepcopy(dict(fields))
    for name, value in changes.items():
        target = copy
        *path, last = name.split("__")
        for part in path:
            target[part] = dict(target[part])
            target = target[part]
        target[last] = value
    return copy


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_json(name: str) -> None:
    scenario = parse(name)
    for field, value in PRESETS[name].items():
        expected = scenario.model_dump()[field]
        assert expected == value
    text = json.dumps(scenario.model_dump(mode="json"))
    assert parse(json.loads(text)) == scenario
    assert parse(yaml.safe_load(yaml.safe_dump(json.loads(text)))) == scenario
    assert hash(parse(json.loads(text))) == hash(scenario)
    assert scenario.record().shape == (1,)


def test_presets_are_those_of_the_models() -> None:
    first = parse(None)
    assert first == parse("aql10-rql20")
    assert first.model_dump() == {
        "prior": {"kind": "two_point", "good": 0.1, "bad": 0.2, "prob_bad": 0.5},
        "inspection_cost": 1,
        "accept_bad_cost": 200,
        "reject_good_cost": 200,
        "loss": "indicator",
        "max_samples": 400,
        "lot_size": None,
        "false_alarm": 0,
        "miss": 0,
    }
    assert parse("aql10-beta").prior.kind == "beta"
    assert parse("lot-200").lot_size == 200
    kinds = [parse(name).prior.kind for name in PRESETS]
    assert min(kinds.count("two_point"), kinds.count("beta")) >= 2


def test_every_way_to_give_a_scenario(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(yaml.safe_dump(dict(BETA)))
    scenario = parse("aql10-beta")
    assert parse(path) == parse(str(path)) == parse(dict(BETA)) == parse(scenario) == scenario
    assert isinstance(parse(changed(BETA, max_samples={"low": 1, "high": 2})), ScenarioRange)


@settings(max_examples=60, deadline=None)
@given(fields=scenarios())
def test_any_scenario_survives_json(fields: Any) -> None:
    scenario = parse(fields)
    assert parse(json.loads(json.dumps(scenario.model_dump(mode="json")))) == scenario


def test_frozen() -> None:
    scenario = parse(None)
    with pytest.raises(ValidationError, match="frozen"):
        scenario.max_samples = 5
    with pytest.raises(ValidationError, match="frozen"):
        scenario.prior.good = 0.01


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    *[
        (TWO_POINT, {f"prior__{name}": rate}, rf"{name} = {rate}: .*(greater|less) than [01]")
        for name in ("good", "bad", "prob_bad")
        for rate in (0.0, 1.0, -0.1, 1.5)
    ],
    *[(BETA, {"prior__limit": rate}, f"limit = {rate}: ") for rate in (0, 1, -1, 2)],
    *[
        (BETA, {f"prior__{name}": 0.0}, f"{name} = 0.0: .*greater than or equal to 0.000001")
        for name in "ab"
    ],
    (TWO_POINT, {"prior__good": 1e-301}, "good = 1e-301: should be at least 1e-300"),
    (TWO_POINT, {"prior__good": 0.2}, r"good = 0\.2: .*less than bad = 0\.2"),
    (TWO_POINT, {"prior__good": 0.3}, r"good = 0\.3: .*less than bad = 0\.2"),
    *[
        (BETA, {name: value}, rf"{name.split('__')[-1]} = {value}: ")
        for name in ("inspection_cost", "accept_bad_cost", "reject_good_cost", "prior__a")
        for value in (-1.0, NAN, INF, -INF)
    ],
    (BETA, {"max_samples": 0}, "max_samples = 0: .*greater than 0"),
    (BETA, {"max_samples": -5}, "max_samples = -5: .*greater than 0"),
    (BETA, {"max_samples": 10_001}, "max_samples = 10001: .*less than or equal to 10000"),
    (BETA, {"max_samples": 2.0}, r"max_samples = 2\.0: .*integer"),
    (BETA, {"max_samples": "400"}, "max_samples = '400': .*integer"),
    (BETA, {"max_samples": True}, "max_samples = True: .*integer"),
    (BETA, {"max_samples": None}, "max_samples = None: .*integer"),
    (BETA, {"inspection_cost": True}, "inspection_cost = True: .*number"),
    (BETA, {"inspection_cost": "1"}, "inspection_cost = '1': .*number"),
    (BETA, {"inspection_cost": [1]}, r"inspection_cost = \[1\]: .*number"),
    (BETA, {"lot_size": 0}, "lot_size = 0: .*greater than 0"),
    (BETA, {"lot_size": 20_000_000}, "lot_size = 20000000: .*less than or equal"),
    (BETA, {"lot_size": 399}, "lot_size = 399: must be at least max_samples = 400"),
    (
        TWO_POINT,
        {"lot_size": 8, "max_samples": 8, "prior__bad": 0.12},
        r"lot_size = 8: too small .*good = 0\.1 .*bad = 0\.12.* 1 defective",
    ),
    (TWO_POINT, {"loss": "linear"}, "loss = 'linear': needs a prior of kind 'beta'"),
    (BETA, {"loss": "quadratic"}, "loss = 'quadratic': .*'indicator' or 'linear'"),
    (BETA, {"prior__kind": "gamma"}, r"prior\.kind = 'gamma'.*beta, two_point"),
    (BETA, {"prior": 0.5}, r"prior = 0\.5: "),
    (BETA, {"prior": None}, "prior = None: "),
    (
        BETA,
        {"prior": {"a": 1.0, "b": 2.0, "limit": 0.1}},
        r"'prior\.kind' is missing; known: beta, two_point",
    ),
    (BETA, {"max_sample": 5}, "unknown field 'max_sample'; did you mean 'max_samples'"),
    (BETA, {"acept_bad_cost": 5}, "unknown field 'acept_bad_cost'; did you mean 'accept_bad_cost'"),
    (BETA, {"prior__limits": 0.1}, "unknown field '.*limits'; did you mean 'limit'"),
    (TWO_POINT, {"prior__probbad": 0.1}, "unknown field '.*probbad'; did you mean 'prob_bad'"),
    (BETA, {"qqqq": 0.1}, "unknown field 'qqqq'; Known: prior, inspection_cost"),
]


@pytest.mark.parametrize(
    ("fields", "changes", "message"), WRONG, ids=[str(case[1]) for case in WRONG]
)
def test_wrong_value(fields: Any, changes: Any, message: str) -> None:
    parse(fields)
    with pytest.raises(ScenarioError, match=message):
        parse(changed(fields, **changes))


@pytest.mark.parametrize(
    "name", ["prior", "inspection_cost", "accept_bad_cost", "reject_good_cost", "max_samples"]
)
def test_missing_field(name: str) -> None:
    fields = {key: value for key, value in BETA.items() if key != name}
    with pytest.raises(ScenarioError, match=f"field '{name}' is missing"):
        parse(fields)


@pytest.mark.parametrize("name", ["good", "bad", "prob_bad"])
def test_missing_field_of_the_prior(name: str) -> None:
    prior = {key: value for key, value in TWO_POINT["prior"].items() if key != name}
    with pytest.raises(ScenarioError, match=f"field 'prior.*{name}' is missing"):
        parse({**TWO_POINT, "prior": prior})


def test_every_wrong_field_is_named() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse(changed(BETA, max_samples=0, inspection_cost=-1.0, colour="red"))
    for part in ("max_samples = 0", "inspection_cost = -1.0", "'colour'"):
        assert part in str(caught.value)


def test_lot_as_large_as_max_samples_is_allowed() -> None:
    assert parse(changed(BETA, lot_size=400)).lot_size == 400
    assert parse(changed(TWO_POINT, lot_size=10, max_samples=10)).defectives(0.2) == 2


@pytest.mark.parametrize(
    ("name", "close"), [("aql10-beto", "aql10-beta"), ("lot-20", "lot-200"), ("lot200", "lot-200")]
)
def test_unknown_preset(name: str, close: str) -> None:
    with pytest.raises(ScenarioError, match=f"unknown preset '{name}'; did you mean .*'{close}'"):
        parse(name)


def test_unknown_preset_like_none_lists_them_all() -> None:
    with pytest.raises(ScenarioError, match=f"Known: {', '.join(PRESETS)}"):
        parse("zzz")


@pytest.mark.parametrize(
    "source", [5, 1.5, True, ["aql10-beta"], pytest.param(object(), id="object")], ids=str
)
def test_what_is_no_scenario(source: Any) -> None:
    with pytest.raises(ScenarioError, match=f"scenario: .*of type {type(source).__name__}"):
        parse(source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n- 2\n", "holds a list"),
        ("just words\n", "holds a str"),
        ("", "holds a NoneType"),
        ("max_samples: 5\nprior: {kind: beta\nlot_size: [\n", "is not YAML.*line [34]"),
        ("a: 1\n\tb: 2\n", "is not YAML.*line 2"),
        ("max_samples: 5\n", "field 'prior' is missing"),
        (yaml.safe_dump({**BETA, "max_samples": "many"}), "max_samples = 'many': .*integer"),
    ],
)
def test_yaml_file(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=f"(?s)mine.yaml.*{message}"):
        parse(path)


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"nothing.yaml: cannot be read .No such file"):
        parse(tmp_path / "nothing.yaml")
    folder = tmp_path / "folder.yaml"
    folder.mkdir()
    with pytest.raises(ScenarioError, match=r"folder.yaml: cannot be read"):
        parse(folder)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ScenarioError, match=r"binary.yaml: is not UTF-8 text"):
        parse(str(binary))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("kind", "good", "low", "high", "choices", "x")), inner)
    ),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(fields=scenarios(), name=st.sampled_from((*BETA, "lot_size", "loss", "x")), junk=JUNK)
def test_junk_never_raises_anything_but_a_scenario_error(fields: Any, name: str, junk: Any) -> None:
    with suppress(ScenarioError):
        scenario = parse({**fields, name: junk})
        if isinstance(scenario, ScenarioRange):
            scenario = scenario.draw(np.random.default_rng(0))
        scenario.record()


# Ranges


def values_of(scenario: Any, path: tuple[str, ...]) -> Any:
    value = scenario.model_dump()
    for name in path:
        value = value[name]
    return value


@settings(max_examples=60, deadline=None)
@given(fields=scenario_ranges(), seed=st.integers(0, 2**32))
def test_drawn_scenarios_are_within_the_range(fields: Any, seed: int) -> None:
    scenarios = parse(fields)
    generator = np.random.default_rng(seed)
    for _ in range(20):
        scenario = scenarios.draw(generator)
        features = scenarios.features(scenario)
        assert features.dtype == np.float32
        assert len(features) == len(scenarios.ranges) > 0
        for feature, (path, spread) in zip(features, scenarios.ranges.items(), strict=True):
            value = values_of(scenario, path)
            if "choices" in spread:
                share = spread["choices"].index(value) / max(1, len(spread["choices"]) - 1)
            else:
                assert spread["low"] <= value <= spread["high"]
                share = (value - spread["low"]) / (spread["high"] - spread["low"])
            assert 0.0 <= feature <= 1.0
            assert feature == pytest.approx(share, abs=1e-7)
    fixed = {name for name in fields if (name,) not in scenarios.ranges} - {"prior"}
    assert all(getattr(scenario, name) == fields[name] for name in fixed)


def test_draws_are_uniform() -> None:
    fields = changed(
        BETA,
        inspection_cost={"low": 1.0, "high": 3.0},
        max_samples={"low": 3, "high": 6},
        accept_bad_cost={"choices": [1.0, 10.0, 100.0]},
    )
    scenarios = parse(fields)
    generator = np.random.default_rng(0)
    drawn = [scenarios.draw(generator) for _ in range(4000)]
    for values, expected in (
        ([one.max_samples for one in drawn], dict.fromkeys((3, 4, 5, 6), 1000)),
        ([one.accept_bad_cost for one in drawn], dict.fromkeys((1.0, 10.0, 100.0), 4000 / 3)),
        (
            [int((one.inspection_cost - 1.0) * 2.5) for one in drawn],
            dict.fromkeys(range(5), 800),
        ),
    ):
        found, counts = np.unique(values, return_counts=True)
        assert found.tolist() == list(expected)
        share = np.array(list(expected.values())) / 4000
        assert (abs(counts / 4000 - share) < 4 * np.sqrt(share * (1 - share) / 4000)).all()


def test_any_kind_of_value_may_be_a_choice() -> None:
    priors = [BETA["prior"], TWO_POINT["prior"]]
    scenarios = parse(changed(BETA, prior={"choices": priors}, lot_size={"choices": [None, 500]}))
    generator = np.random.default_rng(0)
    seen = set()
    for _ in range(50):
        scenario = scenarios.draw(generator)
        first, second = scenarios.features(scenario)
        assert scenario.prior.model_dump() == priors[int(first)]
        assert scenario.lot_size == (None, 500)[int(second)]
        seen.add((first, second))
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_samples": {"low": 5, "high": 5}}, r"max_samples\.low = 5: .*less than high = 5"),
        ({"max_samples": {"low": 9, "high": 5}}, r"max_samples\.low = 9: .*less than high = 5"),
        ({"max_samples": {"low": "1", "high": 5}}, r"max_samples\.low = '1': a number"),
        ({"max_samples": {"low": 1, "high": True}}, r"max_samples\.high = True: a number"),
        ({"inspection_cost": {"low": NAN, "high": 5}}, r"inspection_cost\.low = nan"),
        ({"inspection_cost": {"low": 0.0, "high": INF}}, r"inspection_cost"),
        ({"prior__limit": {"low": 0.1, "high": None}}, r"prior\.limit\.high = None: a number"),
        ({"max_samples": {"choices": []}}, r"max_samples\.choices = \[\]: a non-empty list"),
        ({"max_samples": {"choices": 5}}, r"max_samples\.choices = 5: a non-empty list"),
        ({"loss": {"choices": "linear"}}, r"loss\.choices = 'linear': a non-empty list"),
    ],
)
def test_bad_bounds(changes: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse(changed(BETA, **changes))


@pytest.mark.parametrize(
    ("fields", "changes", "message"),
    [
        (BETA, {"inspection_cost": {"low": -1.0, "high": 5.0}}, "inspection_cost = -1.0"),
        (BETA, {"max_samples": {"low": 5, "high": 20_000}}, "max_samples = 20000"),
        (BETA, {"max_samples": {"low": 5.0, "high": 9.5}}, r"max_samples = .*integer"),
        (BETA, {"max_samples": {"choices": [5, "x", 7]}}, "max_samples = 'x'"),
        (BETA, {"colour": {"low": 1, "high": 2}}, "unknown field 'colour'"),
        # Only at a mixed corner: the highest good with the lowest bad.
        (
            TWO_POINT,
            {
                "prior__good": {"low": 0.05, "high": 0.25},
                "prior__bad": {"low": 0.2, "high": 0.4},
            },
            r"good = 0\.2\d+: must be less than bad = 0\.2",
        ),
        (
            BETA,
            {"max_samples": {"low": 5, "high": 50}, "lot_size": {"low": 40, "high": 60}},
            "lot_size = 40: must be at least max_samples = 50",
        ),
        (
            TWO_POINT,
            {"prior__kind": "two_point", "loss": {"choices": ["indicator", "linear", "indicator"]}},
            "loss = 'linear'",
        ),
    ],
)
def test_invalid_corner_is_found_at_once(fields: Any, changes: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse(changed(fields, **changes))


def test_range_with_many_fields_is_built_quickly_and_checked() -> None:
    # Four ranges with 40 choices and two with ends: not all the combinations can be tried.
    many = {
        "inspection_cost": {"choices": [float(k) for k in range(40)]},
        "accept_bad_cost": {"choices": [float(k) for k in range(40)]},
        "reject_good_cost": {"choices": [float(k) for k in range(40)]},
        "max_samples": {"low": 5, "high": 9},
        "prior__limit": {"low": 0.1, "high": 0.2},
        "prior__a": {"choices": [float(k + 1) for k in range(40)]},
    }
    assert len(parse(changed(BETA, **many)).ranges) == 6
    spoilt = [*many["accept_bad_cost"]["choices"], -1.0]
    with pytest.raises(ScenarioError, match=r"accept_bad_cost = -1.0"):
        parse(changed(BETA, **{**many, "accept_bad_cost": {"choices": spoilt}}))


def test_ranges_compare_by_their_fields() -> None:
    one, other = ({"low": 1, "high": high} for high in (5, 6))
    assert parse(changed(BETA, max_samples=one)) == parse(changed(BETA, max_samples=one))
    assert parse(changed(BETA, max_samples=one)) != parse(changed(BETA, max_samples=other))
    assert parse(parse(changed(BETA, max_samples=one))).ranges == {("max_samples",): one}


def test_a_range_keeps_what_it_was_given() -> None:
    fields = changed(BETA, max_samples={"low": 1, "high": 5})
    scenarios = parse(fields)
    fields["max_samples"]["high"] = 20_000
    assert scenarios.ranges == {("max_samples",): {"low": 1, "high": 5}}
    drawn = [scenarios.draw(np.random.default_rng(seed)).max_samples for seed in range(40)]
    assert set(drawn) == {1, 2, 3, 4, 5}
