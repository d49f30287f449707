"""Pools: what is drawn from a range is drawn evenly, and every field of it is played, seen and solved."""

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import baselines
from qc_gym.core.env import QCEnv
from qc_gym.core.errors import ScenarioError
from qc_gym.core.pool import ScenarioPool, pool_of
from qc_gym.core.ranges import ScenarioRange
from qc_gym.kstage.scenario import KStageScenario
from qc_gym.sampling.scenario import SequentialSamplingScenario

MONEY = {"inspection_cost": 1.0, "accept_bad_cost": 40.0, "reject_good_cost": 30.0}
TWO_POINT = {
    "prior": {"kind": "two_point", "good": 0.1, "bad": 0.3, "prob_bad": 0.4},
    **MONEY,
    "max_samples": 12,
}
BETA = {
    "prior": {"kind": "beta", "a": 2.0, "b": 14.0, "limit": 0.1},
    "inspection_cost": 1.0,
    "accept_bad_cost": 200.0,
    "reject_good_cost": 200.0,
    "max_samples": 12,
}
WEIBULL = {
    "demand": 8,
    "lot_size": 12,
    "yield_in": 0.95,
    "yield_out": 0.2,
    "shift": {"kind": "discrete_weibull", "q": 0.95, "beta": 1.2},
    "inspection_cost": 1.0,
    "shortage_cost": 4.0,
}
PLANT = {
    "rework_fraction_defective": 0.45,
    "lot_size": 500,
    "sample_size": 20,
    "daily_demand": 2000.0,
    "inspection_cost": 0.4,
    "rework_cost": 2.5,
    "max_stages": 3,
}
FAMILIES: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "SequentialSampling-v0",
        TWO_POINT,
        ["prior.good", "prior.bad", "prior.prob_bad", *MONEY, "max_samples"],
    ),
    ("SequentialSampling-v0", BETA, ["prior.a", "prior.b", "prior.limit", *MONEY, "max_samples"]),
    (
        "SequentialSampling-v0",
        {**TWO_POINT, "lot_size": 60, "miss": 0.1, "false_alarm": 0.05},
        ["lot_size", "miss", "false_alarm"],
    ),
    (
        "InspectOrStop-v0",
        WEIBULL,
        ["demand", "lot_size", "yield_in", "yield_out", "shift.q", "shift.beta"]
        + ["inspection_cost", "shortage_cost"],
    ),
    (
        "KStage-v0",
        {**PLANT, "fraction_defective": 0.3, "miss": 0.1, "false_alarm": 0.01},
        ["fraction_defective", "rework_fraction_defective", "lot_size", "sample_size", "miss"]
        + ["inspection_cost", "rework_cost", "false_alarm"],
    ),
    (
        "KStageControl-v0",
        {
            **PLANT,
            "levels": [0.05, 0.3],
            "transition": [[0.8, 0.2], [0.3, 0.7]],
            "changeover_cost": 0.3,
            "days": 6,
        },
        ["rework_fraction_defective", "lot_size", "sample_size", "inspection_cost", "rework_cost"]
        + ["changeover_cost", "days"],
    ),
    (
        "Assembly-v0",
        {
            "price": 30.0,
            "return_loss": 12.0,
            "nodes": {
                "part": {"defect_rate": 0.15, "purchase_cost": 6.0, "inspection_cost": 4.0},
                "product": {
                    "children": ["part"],
                    "defect_rate": 0.1,
                    "assembly_cost": 4.0,
                    "inspection_cost": 2.0,
                    "dismantle_cost": 1.0,
                },
            },
        },
        ["price", "return_loss", "nodes.part.defect_rate", "nodes.part.purchase_cost"]
        + ["nodes.product.defect_rate", "nodes.product.assembly_cost"],
    ),
    (
        "PilotRun-v0",
        {
            "price": 90.0,
            "return_loss": 25.0,
            "order_size": 100,
            "nodes": {
                "board": {"defect_rate": 0.02, "purchase_cost": 12.0, "inspection_cost": 1.5},
                "display": {
                    "defect_rate": {"a": 0.5, "b": 4.0},
                    "purchase_cost": 20.0,
                    "inspection_cost": 8.0,
                    "sample_cost": 24.0,
                    "max_samples": 2,
                },
                "meter": {
                    "children": ["board", "display"],
                    "defect_rate": {"a": 2.0, "b": 38.0},
                    "assembly_cost": 8.0,
                    "inspection_cost": 6.0,
                    "dismantle_cost": 9.0,
                },
            },
        },
        ["price", "return_loss", "order_size", "nodes.board.defect_rate"]
        + ["nodes.board.purchase_cost", "nodes.display.defect_rate.a", "nodes.meter.assembly_cost"],
    ),
]
CASES = [
    pytest.param(env_id, fields, name, id=f"{env_id}-{fields.get('prior', {}).get('kind')}-{name}")
    for env_id, fields, names in FAMILIES
    for name in names
]
PLANT_RANGE = {
    **PLANT,
    "fraction_defective": {"low": 0.1, "high": 0.4},
    "sample_size": {"choices": [5, 10, 20]},
}


def with_field(fields: dict[str, Any], name: str, change: Any) -> dict[str, Any]:
    """Return a copy in which the field at a dotted name is what ``change`` makes of it."""
    changed = copy.deepcopy(fields)
    *path, last = name.split(".")
    target = changed
    for part in path:
        target = target[part]
    target[last] = change(target[last])
    return changed


def spread_of(value: float) -> dict[str, float]:
    """Return a range whose high end is the value, and whose low end is well below."""
    low = value - max(value // 3, 1) if isinstance(value, int) else 0.7 * value
    return {"low": low, "high": value}


@pytest.mark.parametrize(("env_id", "fields", "name"), CASES)
def test_every_varied_field_reaches_the_kernel_the_observation_and_the_optimum(
    env_id: str, fields: dict[str, Any], name: str
) -> None:
    env_id = f"qc_gym/{env_id}"
    env = gym.make(env_id, scenario=with_field(fields, name, spread_of)).unwrapped
    assert isinstance(env, QCEnv)
    assert isinstance(env.scenarios, ScenarioRange)
    spread = spread_of(read(fields, name))
    records, values = set(), set()
    for seed in range(5):
        observation, info = env.reset(seed=seed)
        scenario = info["scenario"]
        drawn = read(scenario.model_dump(), name)
        assert observation[-1] == np.float32(
            (drawn - spread["low"]) / (spread["high"] - spread["low"])
        )
        played, expected = env._record, scenario.record()
        for part in expected.dtype.names:
            np.testing.assert_array_equal(played[part], expected[part])
        alone = with_field(fields, name, lambda value, drawn=drawn: drawn)
        solved = baselines.solve(env_id, scenario=alone).value
        assert baselines.solve(env).value == solved
        records.add((drawn, played.tobytes()))
        values.add((drawn, solved))
    of_kernel, of_optimum = {one for _, one in records}, {one for _, one in values}
    numbers = {drawn for drawn, _ in records}
    assert len(numbers) > 1
    assert len(of_kernel) == len(numbers)
    assert len(of_optimum) > 1


def read(fields: Any, name: str) -> Any:
    for part in name.split("."):
        fields = fields[part]
    return fields


def plants(fields: Any) -> ScenarioPool:
    spread = KStageScenario.parse(fields)
    assert isinstance(spread, ScenarioRange)
    return pool_of(spread)


def drawn_from(pool: ScenarioPool, size: int, seed: int = 0) -> np.ndarray:
    env_noise = np.zeros(size, [("counter", np.uint64)])
    env_noise["counter"] = np.random.default_rng(seed).integers(2**63, size=size)
    numbers = np.full(size, -1)
    pool.draw(env_noise, np.ones(size, np.bool_), numbers)
    return numbers


def test_a_field_is_distributed_as_it_is_in_the_range() -> None:
    pool = plants(PLANT_RANGE)
    pool.make(np.arange(pool.size))
    rates = np.sort([scenario.fraction_defective for scenario in pool.scenarios])
    parts = np.linspace(0.1, 0.4, pool.size + 1)
    assert (parts[:-1] <= rates).all()  # one in each of so many equal parts
    assert (rates <= parts[1:]).all()
    sizes = np.array([scenario.sample_size for scenario in pool.scenarios])
    assert all(abs((sizes == size).sum() - pool.size / 3) <= 1 for size in (5, 10, 20))
    assert abs(np.corrcoef(rates, sizes)[0, 1]) < 5 / np.sqrt(pool.size)


def test_each_scenario_of_a_pool_is_equally_likely() -> None:
    pool = plants(PLANT_RANGE)
    counts = np.bincount(drawn_from(pool, 40 * pool.size), minlength=pool.size)
    excess = ((counts - 40) ** 2 / 40).sum() - pool.size
    assert abs(excess) < 5 * np.sqrt(2 * pool.size)


def test_combinations_that_are_not_valid_are_drawn_again() -> None:
    # Some samples in the middle are larger than their lots, those at the ends are not.
    pool = plants(
        {
            **PLANT_RANGE,
            "lot_size": {"choices": [20, 4, 20]},
            "sample_size": {"choices": [4, 2, 4]},
            "max_stages": 1,
        }
    )
    assert pool.size > 1
    numbers = drawn_from(pool, 200)
    assert all(isinstance(pool.scenarios[number], KStageScenario) for number in numbers)


@given(seed=st.integers(0, 2**31))
def test_the_selected_alone_draw(seed: int) -> None:
    pool = plants(PLANT_RANGE)
    noise = np.zeros(6, [("counter", np.uint64)])
    noise["counter"] = np.random.default_rng(seed).integers(2**63, size=6)
    before, numbers = noise.copy(), np.full(6, -1)
    selected = np.array([True, False, True, False, False, True])
    pool.draw(noise, selected, numbers)
    assert ((noise != before) == selected).all()
    assert ((numbers >= 0) == selected).all()


def test_equal_ranges_share_a_pool_and_pickles_hold_none() -> None:
    pool = plants(PLANT_RANGE)
    assert plants(copy.deepcopy(PLANT_RANGE)) is pool
    assert pickle.loads(pickle.dumps(pool)) is pool
    assert len(pickle.dumps(pool)) < 2000
    # 1 and 1.0 are equal, but whole numbers are drawn as such.
    whole = plants({**PLANT_RANGE, "rework_cost": {"low": 1, "high": 2}})
    assert plants({**PLANT_RANGE, "rework_cost": {"low": 1.0, "high": 2.0}}) is not whole


def test_vector_environments_go_on_after_a_pickle() -> None:
    env = gym.make_vec("qc_gym/KStage-v0", num_envs=5, scenario=PLANT_RANGE)
    env.reset(seed=0)
    other = pickle.loads(pickle.dumps(env))
    for step in range(6):
        actions = np.full(5, step % 3)
        one, two = env.step(actions), other.step(actions)
        assert one[0].tobytes() == two[0].tobytes()
        assert list(one[4]["scenario"]) == list(two[4]["scenario"])
    assert env.unwrapped.scenario_of == other.unwrapped.scenario_of


def test_what_sub_environments_play_reads_as_an_array() -> None:
    env = gym.make_vec("qc_gym/KStage-v0", num_envs=4, scenario=PLANT_RANGE)
    played = env.reset(seed=0)[1]["scenario"]
    each = env.unwrapped.scenario_of
    assert len(played) == 4
    assert tuple(played) == each == tuple(np.asarray(played))
    assert played[-1] == each[3]
    mask = np.array([True, False, False, True])
    assert tuple(played[mask]) == (each[0], each[3])
    assert tuple(played[1:3]) == each[1:3]


def test_a_pool_without_a_valid_scenario_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = plants({**PLANT_RANGE, "rework_cost": {"low": 3, "high": 9}})

    def refuse(self: ScenarioRange, shares: Any) -> None:
        raise ScenarioError("scenario: none will do")

    monkeypatch.setattr(ScenarioRange, "at", refuse)
    for _ in range(2):
        with pytest.raises(ScenarioError, match="none will do"):
            drawn_from(pool, 3)


@pytest.mark.parametrize("failures", [0, 2, 999, 1000])
def test_what_is_no_scenario_is_drawn_again(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {**TWO_POINT, "inspection_cost": {"low": 0.5, "high": 1.5}}
    spread = SequentialSamplingScenario.parse(fields)
    drawn: list[float] = []

    def at(shares: list[float]) -> float:
        drawn.extend(shares)
        if len(drawn) <= failures:
            raise ScenarioError("not together")
        return shares[0]

    monkeypatch.setattr(spread, "at", at)
    expected = np.random.default_rng(0).random(1000)
    if failures == 1000:  # it is given up
        with pytest.raises(ScenarioError, match="not together"):
            spread.draw(np.random.default_rng(0))
    else:
        assert spread.draw(np.random.default_rng(0)) == expected[failures]
    assert drawn == expected[: failures + 1].tolist()


def test_a_scenario_is_drawn_by_no_thread_before_it_is_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pool is shared by the threads of a process: what is marked as valid can be played."""
    spread = SequentialSamplingScenario.parse(
        {**TWO_POINT, "inspection_cost": {"low": 1, "high": 2}}
    )
    assert isinstance(spread, ScenarioRange)
    pool = ScenarioPool(spread)
    seen: list[tuple[bool, bool]] = []

    def watched(self: ScenarioRange, scenario: Any) -> Any:
        seen.append((pool._status[3] == unknown, pool.scenarios[3] is not None))
        return features(self, scenario)

    unknown, features = pool._status[3], ScenarioRange.features
    monkeypatch.setattr(ScenarioRange, "features", watched)
    pool.make(np.array([3]))
    assert seen == [(True, True)]
    assert pool._status[3] != unknown
