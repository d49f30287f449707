"""Plants that wander are validated before anything runs."""

import json
import pickle
from typing import Any

import numpy as np
import pytest

from qc_gym.core.errors import ScenarioError
from qc_gym.kstage.scenario import KStageScenario
from qc_gym.kstage_control.scenario import KStageControlScenario

PRESETS = KStageControlScenario.presets
BLU = PRESETS["blu-quarter"]
PAIR = PRESETS["two-suppliers"]


def parse(source: Any) -> Any:
    return KStageControlScenario.parse(source)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_json(name: str) -> None:
    scenario = parse(name)
    again = parse(json.loads(json.dumps(scenario.model_dump(mode="json"))))
    assert again == scenario
    assert hash(again) == hash(scenario)
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert again.record().tobytes() == scenario.record().tobytes()
    assert pickle.loads(pickle.dumps(scenario.kernel)) == scenario.kernel


def test_a_level_costs_what_the_plant_of_its_rate_costs() -> None:
    scenario = parse("blu-quarter")
    plant = {name: BLU[name] for name in KStageScenario.model_fields if name in BLU}
    for level, rate in enumerate(BLU["levels"]):
        alone = KStageScenario.parse({**plant, "fraction_defective": rate})
        assert isinstance(alone, KStageScenario)
        assert scenario.record()["cost"][0, level].tobytes() == alone.record()["cost"][0].tobytes()


def test_no_rounding_leads_to_a_level_without_probability() -> None:
    third = 1.0 / 3.0
    row = [third, third, 1.0 - 2.0 * third, 0.0]
    fields = {**BLU, "levels": [0.01, 0.02, 0.03, 0.04], "transition": [row, row, row, row]}
    cumulated = parse(fields).record()["cumulated"][0]
    assert (cumulated[:, 2:] == 1.0).all()
    np.testing.assert_allclose(cumulated[:4, :2], [[third, 2 * third]] * 4, rtol=1e-15)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "worse than chance": (
        {"false_alarm": 0.5, "miss": 0.5},
        r"false_alarm = 0\.5 and miss = 0\.5: their sum must be less than 1",
    ),
    "no lot is accepted": ({"false_alarm": 0.8}, "next to no lot is accepted"),
    "level 0": ({"levels": [0.0, 0.1]}, r"levels\.0 = 0\.0: .*greater than 0"),
    "level 1": ({"levels": [0.1, 1.0]}, r"levels\.1 = 1\.0: .*less than 1"),
    "no levels": ({"levels": []}, r"levels = \[\]: .*at least 1"),
    "many levels": ({"levels": [0.1] * 11}, "levels = .*at most 10"),
    "too few rows": ({"transition": [[0.5, 0.5]]}, "transition has 1 rows: .*each of the 2 levels"),
    "too many levels": ({"levels": [0.1, 0.2, 0.3]}, "transition has 2 rows: .*the 3 levels"),
    "a long row": (
        {"transition": [[0.5, 0.5], [0.5, 0.25, 0.25]]},
        r"transition\.1 has 3 probabilities: .*each of the 2 levels",
    ),
    "sum": (
        {"transition": [[0.5, 0.4], [0.5, 0.5]]},
        r"transition\.0 = .*must sum to 1, sums to 0\.9",
    ),
    "negative": (
        {"transition": [[1.5, -0.5], [0.5, 0.5]]},
        r"transition\.0\.0 = 1\.5: .*less than",
    ),
    "n > N": ({"sample_size": 301}, "sample_size = 301: must be at most lot_size = 300"),
    "rework": ({"rework_fraction_defective": 0.0}, r"rework_fraction_defective = 0\.0: "),
    "days": ({"days": 0}, "days = 0: .*greater than or equal to 1"),
    "first level": ({"initial_level": 2}, "initial_level = 2: must be at most 1"),
    "first stages": ({"initial_stages": 3}, "initial_stages = 3: must be at most 2"),
    "negative K": ({"max_stages": -1}, "max_stages = -1: "),
    "changeover": ({"changeover_cost": -0.1}, r"changeover_cost = -0\.1: "),
    "unknown": ({"level": 1}, "unknown field 'level'; did you mean 'levels'"),
    "too large": (
        {"days": 10_000, "max_stages": 100},
        "days = 10000, 2 levels and max_stages = 100 make 408,040,000 successions: .*50,000,000",
    ),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse({**PAIR, **changes})


REQUIRED = [
    name for name, field in KStageControlScenario.model_fields.items() if field.is_required()
]


@pytest.mark.parametrize("name", REQUIRED)
def test_missing_fields_are_named(name: str) -> None:
    with pytest.raises(ScenarioError, match=f"field '{name}' is missing"):
        parse({field: value for field, value in PAIR.items() if field != name})


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("max_stages", [2, 3]),
        ("levels", [[0.1, 0.2], [0.1, 0.2, 0.3]]),
    ],
)
def test_the_size_may_not_vary(name: str, choices: Any) -> None:
    with pytest.raises(ScenarioError, match=f"{name}|the 3 levels"):
        parse({**PAIR, name: {"choices": choices}})


def test_lists_may_be_choices() -> None:
    levels = [[0.03, 0.2], [0.05, 0.3], [0.01, 0.1]]
    scenarios = parse({**PAIR, "levels": {"choices": levels}, "days": {"low": 2, "high": 5}})
    generator = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        scenario = scenarios.draw(generator)
        features = dict(zip(scenarios.ranges, scenarios.features(scenario).tolist(), strict=True))
        assert features["levels",] == levels.index(list(scenario.levels)) / 2
        assert features["days",] == pytest.approx((scenario.days - 2) / 3)
        seen.add((scenario.levels, scenario.days))
    assert len(seen) == 12
