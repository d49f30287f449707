"""Plants are validated before anything runs."""

import json
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import qc_gym  # noqa: F401
from qc_gym.core.errors import ScenarioError
from qc_gym.core.ranges import ScenarioRange
from qc_gym.kstage.scenario import KStageScenario

PRESETS = KStageScenario.presets
BLU = PRESETS["blu-2010"]


def parse(source: Any) -> Any:
    return KStageScenario.parse(source)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_survive_json(name: str) -> None:
    scenario = parse(name)
    again = parse(json.loads(json.dumps(scenario.model_dump(mode="json"))))
    assert again == scenario
    assert hash(again) == hash(scenario)
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert again.record().tobytes() == scenario.record().tobytes()
    costs = scenario.record()["cost"][0]
    assert np.array_equal(
        costs[: scenario.max_stages + 1], scenario.costs(scenario.fraction_defective)
    )
    assert (costs[scenario.max_stages :] == costs[scenario.max_stages]).all()
    assert scenario.kernel.num_actions == scenario.max_stages + 1
    assert pickle.loads(pickle.dumps(scenario.kernel)) == scenario.kernel


def test_plants_of_several_sizes_share_the_compiled_loops() -> None:
    plant = PRESETS["blu-2010"]
    layouts = [
        parse({**plant, "max_stages": stages}).kernel.scenario_dtype for stages in range(101)
    ]
    assert len(set(layouts)) == 5


def test_the_default_is_the_papers_case() -> None:
    # Section 4 of Yang (2010).
    scenario = parse(None)
    assert (scenario.daily_demand, scenario.fraction_defective) == (4800, 0.161)
    assert (scenario.rework_fraction_defective, scenario.lot_size) == (0.05, 240)
    assert (scenario.sample_size, scenario.max_stages) == (16, 6)


def best(scenario: Any) -> int:
    return int(scenario.record()["cost"].argmin())


def test_the_presets_have_different_optima() -> None:
    scenarios = [parse(name) for name in PRESETS]
    faultless = [scenario for scenario in scenarios if not scenario.has_errors]
    assert len({best(scenario) for scenario in faultless}) == len(faultless)
    for scenario in scenarios:
        if scenario.has_errors:  # they decide
            fields = {**scenario.model_dump(), "false_alarm": 0.0, "miss": 0.0}
            assert best(parse(fields)) != best(scenario)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "rate 0": ({"fraction_defective": 0.0}, r"fraction_defective = 0\.0: .*greater than 0"),
    "rate 1": ({"fraction_defective": 1.0}, r"fraction_defective = 1\.0: .*less than 1"),
    "rework": ({"rework_fraction_defective": 1.2}, r"rework_fraction_defective = 1\.2: "),
    "nan": ({"fraction_defective": float("nan")}, "fraction_defective = nan: "),
    "n > N": ({"sample_size": 241}, "sample_size = 241: must be at most lot_size = 240"),
    "n = 0": ({"sample_size": 0}, "sample_size = 0: .*greater than or equal to 1"),
    "no lot": ({"lot_size": 0}, "lot_size = 0: .*greater than or equal to 1"),
    "half an item": ({"lot_size": 240.5}, r"lot_size = 240\.5: "),
    "no demand": ({"daily_demand": 0.0}, r"daily_demand = 0\.0: .*greater than 0"),
    "negative K": ({"max_stages": -1}, "max_stages = -1: .*greater than or equal to 0"),
    "many stages": ({"max_stages": 101}, "max_stages = 101: .*less than or equal to 100"),
    "money": ({"inspection_cost": -1.0}, r"inspection_cost = -1\.0: "),
    "rework money": ({"rework_cost": -1.0}, r"rework_cost = -1\.0: "),
    "false alarm 1": ({"false_alarm": 1.0}, r"false_alarm = 1\.0: .*less than 1"),
    "miss below 0": ({"miss": -0.1}, r"miss = -0\.1: .*greater than or equal to 0"),
    "worse than chance": (
        {"false_alarm": 0.4, "miss": 0.6},
        r"false_alarm = 0\.4 and miss = 0\.6: their sum must be less than 1",
    ),
    "no lot is accepted": (
        {"false_alarm": 0.8},
        r"sample_size = 16 with false_alarm = 0\.8 and miss = 0\.0: next to no lot is accepted; "
        r"\S+ items are packed for one that is used, must be at most 1,000,000,000",
    ),
    "none at all": ({"false_alarm": 0.999, "sample_size": 240}, "inf items are packed"),
    "unknown": ({"lot": 3}, "unknown field 'lot'; did you mean 'lot_size'"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse({**BLU, **changes})


@pytest.mark.parametrize(
    "name", [name for name, field in KStageScenario.model_fields.items() if field.is_required()]
)
def test_missing_fields_are_named(name: str) -> None:
    with pytest.raises(ScenarioError, match=f"field '{name}' is missing"):
        parse({field: value for field, value in BLU.items() if field != name})


def test_the_number_of_actions_may_not_vary() -> None:
    fields = {**BLU, "max_stages": {"low": 3, "high": 5}, "rework_cost": {"low": 0.0, "high": 1.0}}
    with pytest.raises(ScenarioError, match=r"^max_stages: all scenarios of a range must have"):
        parse(fields)


def test_inspectors_do_not_err_unless_it_is_said() -> None:
    scenario = parse(BLU)
    assert (scenario.false_alarm, scenario.miss, scenario.has_errors) == (0.0, 0.0, False)
    none = parse({**BLU, "false_alarm": 0.0, "miss": 0.0})
    assert none == scenario
    assert none.record().tobytes() == scenario.record().tobytes()


def test_errors_may_be_a_range() -> None:
    fields = {
        **BLU,
        "false_alarm": {"low": 0.0, "high": 0.05},
        "miss": {"choices": [0.0, 0.1, 0.3]},
    }
    scenarios = parse(fields)
    generator = np.random.default_rng(0)
    drawn = [scenarios.draw(generator) for _ in range(50)]
    assert {one.miss for one in drawn} == {0.0, 0.1, 0.3}
    np.testing.assert_allclose(
        [scenarios.features(one) for one in drawn],
        [(one.false_alarm / 0.05, [0.0, 0.1, 0.3].index(one.miss) / 2) for one in drawn],
        rtol=1e-6,
    )
    with pytest.raises(ScenarioError, match="their sum must be less than 1"):
        parse({**BLU, "false_alarm": {"low": 0.0, "high": 0.5}, "miss": {"low": 0.1, "high": 0.6}})


def test_a_negative_number_of_stages_is_no_action() -> None:
    env = gym.make("qc_gym/KStage-v0", scenario="clean-process", disable_env_checker=True)
    env.reset(seed=0)
    for stages in (-1, 5):
        with pytest.raises(ValueError, match=f"action = {stages}: .*0 to 4.*4: run 4 stages"):
            env.unwrapped.step(stages)


def test_samples_larger_than_their_lot_are_not_drawn() -> None:
    fields = {
        **BLU,
        "lot_size": {"low": 20, "high": 40},
        "sample_size": {"low": 1, "high": 20},
        "fraction_defective": {"low": 0.01, "high": 0.3},
    }
    scenarios = parse(fields)
    assert isinstance(scenarios, ScenarioRange)
    generator = np.random.default_rng(0)
    drawn = [scenarios.draw(generator) for _ in range(300)]
    assert all(1 <= one.sample_size <= one.lot_size for one in drawn)
    assert {one.sample_size for one in drawn} == set(range(1, 21))
    features = np.array([scenarios.features(one) for one in drawn])
    assert features.min() >= 0.0
    assert features.max() <= 1.0
    varied = list(scenarios.ranges).index(("lot_size",))
    np.testing.assert_allclose(features[:, varied], [(one.lot_size - 20) / 20 for one in drawn])
