"""Numbers, arrays, rows and files that scenarios are given as; what is refused, and how."""

from collections import deque
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from gymnasium.envs.registration import EnvSpec
from pydantic import ValidationError

import qc_gym
from qc_gym.core.errors import MAX_LINES, ScenarioError, shown
from qc_gym.core.fields import MAX_MONEY
from qc_gym.core.numbers import whole_number
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.values import as_python
from qc_gym.kstage.scenario import KStageScenario
from qc_gym.kstage_control.scenario import KStageControlScenario
from qc_gym.lot.scenario import InspectOrStopScenario
from qc_gym.sampling.scenario import SequentialSamplingScenario

SAMPLING = SequentialSamplingScenario.presets["aql10-rql20"]
PLANT = KStageScenario.presets["blu-2010"]
CONTROL = KStageControlScenario.presets["two-suppliers"]


class Indexable:
    """A whole number of some other package."""

    def __index__(self) -> int:
        return 7


@pytest.mark.parametrize(
    "value", [7, np.int8(7), np.uint64(7), np.array(7), Indexable()], ids=lambda v: type(v).__name__
)
def test_whole_numbers(value: Any) -> None:
    number = whole_number("n", value, 0, 7)
    assert (number, type(number)) == (7, int)
    scenario = SequentialSamplingScenario.parse({**SAMPLING, "max_samples": value})
    assert scenario == SequentialSamplingScenario.parse({**SAMPLING, "max_samples": 7})


@pytest.mark.parametrize("value", [7.0, np.float64(7.0), True, np.bool_(True), "7", None, [7], 1j])
def test_no_whole_numbers(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^n = .*a whole number of at least 1 is needed"):
        whole_number("n", value, 1)
    with pytest.raises(ScenarioError, match="scenario: max_samples = "):
        SequentialSamplingScenario.parse({**SAMPLING, "max_samples": value})


def test_bounds_of_whole_numbers() -> None:
    with pytest.raises(ValueError, match=r"n = 0: a whole number from 1 to 5 is needed"):
        whole_number("n", 0, 1, 5)
    with pytest.raises(
        ValueError, match=r"n = 6: a whole number of at most 5, or None for no limit,"
    ):
        whole_number("n", 6, most=5, or_none="for no limit")
    with pytest.raises(ValueError, match="n = a int too large to be shown"):
        whole_number("n", 10**5000, most=5)


@pytest.mark.parametrize(
    "value", [np.float32(0.5), np.float16(0.5), np.longdouble(0.5), np.array(0.5)]
)
def test_floats_of_numpy(value: Any) -> None:
    scenario = SequentialSamplingScenario.parse({**SAMPLING, "inspection_cost": value})
    assert (scenario.inspection_cost, type(scenario.inspection_cost)) == (0.5, float)  # type: ignore[union-attr]
    assert (
        SequentialSamplingScenario(**{**scenario.model_dump(), "inspection_cost": value})
        == scenario
    )


def test_a_scenario_made_directly_takes_numpy_and_refuses_bool() -> None:
    fields = {**SAMPLING, "max_samples": np.int64(9)}
    assert SequentialSamplingScenario(**fields).max_samples == 9
    with pytest.raises(ValidationError):
        SequentialSamplingScenario(**{**fields, "max_samples": True})


@pytest.mark.parametrize("kind", [np.array, pd.DataFrame, list, lambda m: tuple(map(deque, m))])
def test_matrices(kind: Any) -> None:
    scenario = KStageControlScenario.parse({**CONTROL, "transition": kind(CONTROL["transition"])})
    assert scenario == KStageControlScenario.parse(CONTROL)


@pytest.mark.parametrize("kind", [np.array, pd.Series, tuple])
def test_survival_tables(kind: Any) -> None:
    fields = InspectOrStopScenario.presets["table-16"]
    shift = {"kind": np.str_("table"), "survival": kind(fields["shift"]["survival"])}
    assert InspectOrStopScenario.parse({**fields, "shift": shift}) == InspectOrStopScenario.parse(
        fields
    )


def test_rows_of_tables() -> None:
    expected = KStageScenario.parse(PLANT)
    frame = pd.DataFrame([PLANT, PLANT])
    assert frame.iloc[0].dtype == np.float64  # the whole numbers among them too
    assert KStageScenario.parse(frame.iloc[0]) == expected
    assert KStageScenario.parse(frame.astype(object).iloc[0]) == expected
    assert KStageScenario.parse(frame.to_records(index=False)[0]) == expected
    vector: Any = gym.make_vec(
        "qc_gym/KStage-v0", num_envs=np.int64(2), scenario=[row for _, row in frame.iterrows()]
    )
    assert list(vector.scenario_of) == [expected, expected]
    for table in (frame, frame.to_records(index=False)):
        vector = gym.make_vec("qc_gym/KStage-v0", num_envs=2, scenario=table)
        assert list(vector.scenario_of) == [expected, expected]  # type: ignore[attr-defined]
    with pytest.raises(ScenarioError, match="type DataFrame"):
        KStageScenario.parse(frame)


def test_the_specification_of_what_numpy_and_tables_say_is_json() -> None:
    frame = pd.DataFrame([PLANT, PLANT])
    matrix = {**CONTROL, "transition": np.array(CONTROL["transition"]), "days": np.int8(20)}
    for scenario in (frame.iloc[0], frame.to_records(index=False)[0], dict(frame.iloc[0])):
        if isinstance(scenario, dict):  # whose whole numbers are floats
            scenario |= {
                name: np.int64(scenario[name]) for name, v in PLANT.items() if type(v) is int
            }
        env = gym.make("qc_gym/KStage-v0", scenario=scenario)
        again = gym.make(EnvSpec.from_json(env.spec.to_json()))  # type: ignore[union-attr]
        assert again.unwrapped.scenario == env.unwrapped.scenario  # type: ignore[attr-defined]
    env = gym.make("qc_gym/KStageControl-v0", scenario=matrix)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))  # type: ignore[union-attr]
    assert again.unwrapped.scenario == env.unwrapped.scenario  # type: ignore[attr-defined]
    for table in (frame, frame.to_records(index=False)):
        vector = gym.make_vec("qc_gym/KStage-v0", num_envs=np.int64(2), scenario=table)
        remade = gym.make_vec(EnvSpec.from_json(vector.spec.to_json()))  # type: ignore[union-attr]
        assert list(remade.scenario_of) == list(vector.scenario_of)  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", [np.int64(5), np.array(5), Indexable()])
def test_seeds_of_any_type(seed: Any) -> None:
    number = seed.__index__()
    for make in (gym.make, lambda env_id: gym.make_vec(env_id, num_envs=3)):
        env, twin = make("qc_gym/KStageControl-v0"), make("qc_gym/KStageControl-v0")
        observation, _ = env.unwrapped.reset(seed=seed)  # type: ignore[arg-type]
        assert observation.tobytes() == twin.unwrapped.reset(seed=number)[0].tobytes()
    vector: Any = gym.make_vec("qc_gym/KStage-v0", num_envs=2, max_episode_steps=np.int16(4))
    assert type(vector.max_episode_steps) is int
    vector.reset(seed=np.array([1, 2]))


@pytest.mark.parametrize("seed", [1.5, "1", True, -1, np.float64(2)])
def test_no_seeds(seed: Any) -> None:
    vector = gym.make_vec("qc_gym/KStage-v0", num_envs=2)
    with pytest.raises(ValueError, match=r"seed = .*a whole number of at least 0"):
        gym.make("qc_gym/KStage-v0").reset(seed=seed)
    with pytest.raises(ValueError, match="seed"):
        vector.reset(seed=seed)
    with pytest.raises(ValueError, match=r"seed\[1\] = "):
        vector.reset(seed=[3, seed])


BIG = 2**64 + 5


@pytest.mark.parametrize(
    "seeds",
    [
        [3, 2**64 - 1, 3],
        (0, 1, 2),
        [3, BIG, 2**130],
        [np.int64(3), np.uint8(4), BIG],
        np.array([7, 5, 6], np.uint8),
        np.array([7, 2**64 - 1, 6], np.uint64),
        range(4, 7),
    ],
)
@pytest.mark.parametrize("left_out", [None, 1])
def test_a_list_of_seeds_is_one_for_each(seeds: Any, left_out: int | None) -> None:
    kind = {"id": "qc_gym/SequentialSampling-v0", "scenario": "aql10-beta"}
    vector, undisturbed = (gym.make_vec(**kind, num_envs=3).unwrapped for _ in range(2))
    undisturbed.reset(seed=50)
    undisturbed.reset()
    vector.reset(seed=50)
    each = [None if i == left_out else one for i, one in enumerate(seeds)]
    vector.reset(seed=seeds if left_out is None else each)
    for i, seed in enumerate(each):
        scalar: Any = gym.make(**kind).unwrapped
        scalar.reset(seed=seed if seed is None else int(seed))
        expected = undisturbed.states[i] if seed is None else scalar.state
        assert vector.states[i].item() == expected.item()


def test_options_that_are_no_mapping() -> None:
    for env in (gym.make("qc_gym/KStage-v0"), gym.make_vec("qc_gym/KStage-v0", num_envs=2)):
        with pytest.raises(ValueError, match="options = 5: a mapping"):
            env.unwrapped.reset(options=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("env_id", qc_gym.ENVIRONMENTS)
def test_every_action_has_a_name(env_id: str) -> None:
    default = gym.make(env_id).unwrapped
    for preset in default.scenario_type.presets:  # type: ignore[attr-defined]
        env: Any = gym.make(env_id, scenario=preset).unwrapped
        assert len(env.action_names) == env.action_space.n == len(set(env.action_names))
        env.reset(seed=0)
        with pytest.raises(ValueError, match=f"0 to {env.action_space.n - 1}.*") as caught:
            env.step(99)
        assert env.action_names[-1] in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "two_pont",
            r"prior\.kind = 'two_pont': .*did you mean 'two_point'\? Known: beta, two_point",
        ),
        (3, r"prior\.kind = 3: is unknown; Known: beta, two_point"),
        (None, r"prior\.kind = None: is unknown; Known: beta, two_point"),
    ],
)
def test_kinds(kind: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        SequentialSamplingScenario.parse({**SAMPLING, "prior": {**SAMPLING["prior"], "kind": kind}})


def test_many_faults_are_counted() -> None:
    with pytest.raises(ScenarioError) as caught:
        SequentialSamplingScenario.parse({**SAMPLING, **{f"x{i}": 1 for i in range(500)}})
    assert len(str(caught.value).splitlines()) == MAX_LINES + 1
    assert f"{500 - MAX_LINES} more" in str(caught.value)


def test_long_values_are_shown_short() -> None:
    assert len(shown(list(range(10_000)))) < 250
    fields = InspectOrStopScenario.presets["table-16"]
    scenario = InspectOrStopScenario.parse(
        {**fields, "shift": {"kind": "table", "survival": [0.5] * 900}}
    )
    assert "900 values" in repr(scenario)
    assert len(repr(scenario)) < 400


def every_money() -> list[Any]:
    """Return (environment, scenario, path of a field) for every field of money that presets have."""
    found = []
    for env_id in qc_gym.ENVIRONMENTS:
        scenario_type = gym.make(env_id).unwrapped.scenario_type  # type: ignore[attr-defined]
        for preset, fields in scenario_type.presets.items():
            paths = [(name,) for name in fields]
            paths += [
                ("nodes", node, name) for node, n in fields.get("nodes", {}).items() for name in n
            ]
            for path in paths:
                if path[-1].endswith(("_cost", "price", "_loss")):
                    found.append(
                        pytest.param(scenario_type, fields, path, id=f"{preset}-{'.'.join(path)}")
                    )
    return found


@pytest.mark.filterwarnings("ignore::qc_gym.lot.scenario.InspectionNeverPays")
@pytest.mark.parametrize(("scenario_type", "fields", "path"), every_money())
def test_money_is_bounded(scenario_type: Any, fields: Any, path: tuple[str, ...]) -> None:
    def given(value: float) -> Any:
        mapping = as_python(fields)
        part = mapping
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = value
        return scenario_type.parse(mapping)

    for allowed in (0.0, MAX_MONEY):
        given(allowed)
    for wrong in (-1e-300, np.nextafter(MAX_MONEY, np.inf), 1e308, 10**400):
        with pytest.raises(ScenarioError, match=path[-1]):
            given(wrong)


def test_most_money_makes_finite_rewards() -> None:
    fields = {
        **SAMPLING,
        "inspection_cost": MAX_MONEY,
        "accept_bad_cost": MAX_MONEY,
        "max_samples": 10_000,
    }
    env = gym.make("qc_gym/SequentialSampling-v0", scenario=fields)
    env.reset(seed=0)
    total = sum(float(env.step(0)[1]) for _ in range(10_000))
    assert total == pytest.approx(-1e4 * MAX_MONEY)


def part(rate: float, **fields: Any) -> dict[str, Any]:
    return {"defect_rate": rate, "inspection_cost": 1.0, "purchase_cost": 2.0, **fields}


TREE = {"price": 10.0, "return_loss": 1.0}


@pytest.mark.parametrize("names", [("choices",), ("low", "high")])
def test_nodes_with_the_names_of_a_range(names: tuple[str, ...]) -> None:
    nodes: dict[str, Any] = {name: part(0.1) for name in names}
    if len(names) == 2:
        nodes["high"] = {
            "children": ["low"],
            "defect_rate": 0.2,
            "inspection_cost": 1.0,
            "assembly_cost": 1.0,
            "dismantle_cost": 1.0,
        }
    env: Any = gym.make("qc_gym/Assembly-v0", scenario={**TREE, "nodes": nodes}).unwrapped
    assert set(env.scenario.nodes) == set(names)


def test_choices_of_whole_parts() -> None:
    trees = [{"x": part(0.1)}, {"x": part(0.3, purchase_cost=np.float64(5))}, {"y": part(0.2)}]
    env: Any = gym.make(
        "qc_gym/Assembly-v0", scenario={**TREE, "nodes": {"choices": trees}}
    ).unwrapped
    seen = set()
    for seed in range(30):
        observation, info = env.reset(seed=seed)
        name, node = next(iter(info["scenario"].nodes.items()))
        number = [("x", 0.1), ("x", 0.3), ("y", 0.2)].index((name, node.defect_rate))
        assert observation[-1] == np.float32(number / 2)
        seen.add(number)
    assert seen == {0, 1, 2}
    nested = {**TREE, "nodes": {"x": {"choices": [trees[0]["x"], trees[1]["x"]]}}}
    assert isinstance(env.scenario_type.parse(nested), ScenarioRange)
    gym.make("qc_gym/Assembly-v0", scenario=nested).reset(seed=0)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 10**400), (-(10**400), 5), (1, 2**53 + 1), (0.5, 10**309), (0, 2**2000)]
)
def test_ranges_with_huge_whole_numbers(low: Any, high: Any) -> None:
    with pytest.raises(ScenarioError, match=r"max_samples\.(low|high) = .*must lie within"):
        SequentialSamplingScenario.parse({**SAMPLING, "max_samples": {"low": low, "high": high}})


def test_large_scenarios_are_made_without_their_tables() -> None:
    env: Any = gym.make(
        "qc_gym/SequentialSampling-v0", scenario={**SAMPLING, "max_samples": 10_000}
    )
    assert sum(array.nbytes for array in (env.unwrapped._record, env.unwrapped._states)) < 100_000
    fields = {
        **TREE,
        "max_blind_failures": 100,
        "discard_recovered": True,
        "nodes": {"x": part(0.1)},
    }
    assembly: Any = gym.make("qc_gym/Assembly-v0", scenario=fields)
    assert (
        sum(array.nbytes for array in (assembly.unwrapped._record, assembly.unwrapped._states))
        < 10_000
    )
