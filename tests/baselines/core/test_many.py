"""Many scenarios at once are solved and scored as each is by itself."""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from boundaries import BOUNDARIES, MONEY, SHARE
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import baselines
import qc_gym
from baselines.core.family import family_named
from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.core.errors import ScenarioError
from qc_gym.core.fields import money_in
from qc_gym.core.population import ScenarioTable, read_population
from qc_gym.kstage.scenario import KStageScenario
from qc_gym.kstage_control.scenario import KStageControlScenario
from qc_gym.sampling.scenario import SequentialSamplingScenario


def family_of(env_id: str) -> baselines.Family[Any]:
    return family_named(qc_gym.ENVIRONMENTS[env_id].family)


@st.composite
def two_part_trees(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a tree of one size, for which the world is compiled already."""
    preset = AssemblyScenario.presets["cumcm-1"]
    nodes = {name: {**node, "defect_rate": draw(SHARE)} for name, node in preset["nodes"].items()}
    assume(math.prod(1.0 - node["defect_rate"] for node in nodes.values()) > 1e-11)
    return {**preset, "nodes": nodes, "price": draw(MONEY), "return_loss": draw(MONEY)}


ASSEMBLY, SAMPLING, KSTAGE = (
    "qc_gym/Assembly-v0",
    "qc_gym/SequentialSampling-v0",
    "qc_gym/KStage-v0",
)
PRESET = SequentialSamplingScenario.presets["aql10-rql20"]
RANGE = {
    **PRESET,
    "inspection_cost": {"low": 0.5, "high": 2.0},
    "max_samples": {"low": 10, "high": 30},
}


@pytest.mark.parametrize(
    "env_id", [env_id for env_id in qc_gym.ENVIRONMENTS if family_of(env_id).values is not None]
)
@pytest.mark.filterwarnings("ignore:inspection_cost")
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_optima_are_those_of_each_by_itself(env_id: str, data: st.DataObject) -> None:
    drawn = two_part_trees() if env_id == ASSEMBLY else BOUNDARIES[env_id]
    scenarios = data.draw(st.lists(drawn, min_size=1, max_size=3))
    found = baselines.solve_many(env_id, scenarios)
    optima = [baselines.solve(env_id, scenario=scenario) for scenario in scenarios]
    for i, optimum in enumerate(optima):
        # A chance of 1e-9 that is 1 − p has an absolute error of 1e-16.
        stakes = 1e-12 * optimum.stakes + 1e-15 * money_in(optimum.scenario)
        assert found.values[i] == pytest.approx(optimum.value, rel=1e-12, abs=stakes)
        assert found.lower[i] == pytest.approx(optimum.lower, rel=1e-12, abs=stakes)
        assert found.upper[i] == pytest.approx(optimum.upper, rel=1e-12, abs=stakes)
    assert (found.lower <= found.values).all()
    assert (found.values <= found.upper).all()


@pytest.mark.parametrize("env_id", qc_gym.ENVIRONMENTS)
def test_policies_earn_the_values(env_id: str) -> None:
    names = list(gym.make(env_id).unwrapped.scenario_type.presets)[:2]  # type: ignore[attr-defined]
    found = baselines.solve_many(env_id, names, policies=True)
    assert len(found) == len(found.policies) == len(names)
    for name, value, policy in zip(names, found.values, found.policies, strict=True):
        score = baselines.score(env_id, policy, scenario=name)
        assert score.value == pytest.approx(value, rel=1e-6)
    assert not baselines.solve_many(env_id, names[:1]).policies


def test_processes_share_the_work() -> None:
    scenarios = [
        {**KStageScenario.presets["blu-2010"], "sample_size": n % 240}
        for n in range(1, 300)
        if n % 240
    ]
    alone = baselines.solve_many(KSTAGE, scenarios)
    shared = baselines.solve_many(KSTAGE, scenarios, workers=2)
    assert np.array_equal(alone.values, shared.values)


def test_a_population_is_read_from_any_table() -> None:
    base = SequentialSamplingScenario.presets["aql10-beta"]
    rows: list[dict[str, Any]] = [
        {**base, "prior": {**base["prior"], "a": a}, "max_samples": n}
        for a, n in zip((0.5, 1.0, 2.5), (4, 5, 6), strict=True)
    ]
    wanted = tuple(SequentialSamplingScenario.parse(row) for row in rows)
    columns = {
        **{name: value for name, value in base.items() if name != "prior"},
        **{f"prior.{name}": value for name, value in base["prior"].items()},
        "prior.a": np.array([0.5, 1.0, 2.5]),
        "max_samples": [4, 5, 6],
    }
    nested = {**base, "prior.a": (0.5, 1.0, 2.5), "max_samples": pd.Series([4, 5, 6])}
    arrays = {**columns, "max_samples": np.array([4, 5, 6], np.int32)}
    for source in (rows, tuple(rows), pd.DataFrame(rows), columns, arrays, nested):
        assert read_population(SequentialSamplingScenario, source) == (wanted, None)
    assert read_population(SequentialSamplingScenario, rows[0]) == (wanted[:1], None)
    assert read_population(SequentialSamplingScenario, []) == ((), None)
    lists = KStageControlScenario.presets["blu-quarter"]  # whose fields are lists
    (one,), _ = read_population(KStageControlScenario, lists)
    assert one == KStageControlScenario.parse("blu-quarter")


PLANT = KStageScenario.presets["blu-2010"]
SIZES = np.array([8, 16, 24, 240])


def test_columns_that_are_known_to_be_valid_are_solved_without_a_scenario_each() -> None:
    columns = {
        **PLANT,
        "sample_size": SIZES,
        "max_stages": np.array([0, 3, 6, 2], np.int8),
        "fraction_defective": np.array([0.05, 0.1, 0.2, 0.4]),
        "daily_demand": 4800,
    }
    rows = pd.DataFrame(columns).to_dict("records")
    scenarios, _ = read_population(KStageScenario, columns)
    assert isinstance(scenarios, ScenarioTable)
    assert list(scenarios) == [KStageScenario.parse(row) for row in rows]
    assert list(scenarios[1:3]) == list(scenarios)[1:3]
    assert scenarios[-1].sample_size == 240
    assert "4 of KStageScenario" in repr(scenarios)
    wanted = [baselines.solve(KSTAGE, scenario=row).value for row in rows]
    for workers in (1, 2):
        found = baselines.solve_many(KSTAGE, columns, workers=workers)
        assert found.values.tolist() == wanted
    scores = baselines.score_many(KSTAGE, columns, "random")
    assert scores.optima.tolist() == wanted


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sample_size": [8, 0]}, "sample_size = 0"),
        ({"sample_size": [8, 241]}, "sample_size = 241: must be at most lot_size = 240"),
        ({"sample_size": [8.0, 9.5]}, "sample_size = 8.0"),
        ({"inspection_cost": [1.0, math.nan]}, "inspection_cost = nan"),
        ({"daily_demand": [1.0, math.inf]}, "daily_demand = inf"),
        ({"rework_fraction_defective": [0.5, 1.0]}, "rework_fraction_defective = 1.0"),
        ({"miss": [0.1, 1.0]}, "miss = 1.0"),
        ({"miss": [0.1, 0.9], "false_alarm": 0.2}, "false_alarm"),
        ({"rework_cost": [True, False]}, "rework_cost = True"),
        ({"rework_cost": [1.0, 2.0], "inspection_cost": "dear"}, "inspection_cost = 'dear'"),
        ({"rework_cost": [1.0, 2.0], "max_stage": 3}, "max_stage"),
    ],
)
def test_what_columns_are_refused_names_the_scenario(columns: dict[str, Any], message: str) -> None:
    arrays = {
        name: np.array(value) if isinstance(value, list) else value
        for name, value in columns.items()
    }
    with pytest.raises(ScenarioError, match=rf"^scenarios\[[01]\]: (.|\n)*{message}"):
        baselines.solve_many(KSTAGE, {**PLANT, **arrays})


def test_columns_with_errors_are_read_one_by_one() -> None:
    columns = {**PLANT, "miss": np.array([0.0, 0.1])}
    scenarios, _ = read_population(KStageScenario, columns)
    assert isinstance(scenarios, tuple)
    wanted = [baselines.solve(KSTAGE, scenario=one).value for one in scenarios]
    assert baselines.solve_many(KSTAGE, columns).values.tolist() == wanted


def test_draws_are_those_of_the_seed() -> None:
    first, spread = read_population(SequentialSamplingScenario, RANGE, 20, 3)
    again, _ = read_population(SequentialSamplingScenario, RANGE, np.int64(20), 3)
    other, _ = read_population(SequentialSamplingScenario, RANGE, 20, 4)
    assert first == again != other
    assert spread == SequentialSamplingScenario.parse(RANGE)
    assert len(set(first)) == 20


@pytest.mark.parametrize(
    ("source", "count", "message"),
    [
        ([{}, "aql10-rql20"], None, r"^scenarios\[0\]: .*prior"),
        (["aql10-rql20", "aql10-rq"], None, r"^scenarios\[1\]: .*'aql10-rq'"),
        ([RANGE], None, r"^scenarios\[0\]: is a range"),
        (RANGE, None, "count says how many"),
        ("aql10-rql20", 3, "count = 3: goes with a range"),
        (["aql10-rql20"], 3, "count = 3: goes with a range"),
        (
            {"max_samples": [1, 2], "inspection_cost": [1.0]},
            None,
            "max_samples has 2, insp.* has 1",
        ),
        (
            {"prior": "beta", "prior.a": [1.0]},
            None,
            r"prior\.a: prior is 'beta', which has no fields",
        ),
        ({"max_samples": [1, 2]}, None, r"^scenarios\[0\]: .*prior"),
        ({"max_samples": np.arange(1, 3)}, None, r"^scenarios\[0\]: .*prior"),
        (
            {**PRESET, "max_samples": np.arange(1, -1, -1)},
            None,
            r"^scenarios\[1\]: max_samples = 0",
        ),
        ({**RANGE, "max_samples": np.arange(1, 3)}, None, "inspection_cost: a range goes without"),
    ],
)
def test_what_is_no_population(source: Any, count: int | None, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        baselines.solve_many(SAMPLING, source, count=count)


def test_other_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="count = 0"):
        baselines.solve_many(SAMPLING, RANGE, count=0)
    with pytest.raises(ValueError, match="workers = 0"):
        baselines.solve_many(SAMPLING, ["aql10-rql20"], workers=0)
    with pytest.raises(ValueError, match="observation = 'all'"):
        baselines.solve_many(SAMPLING, ["aql10-rql20"], observation="all")
    with pytest.raises(TypeError, match="SequentialSamplin-v0"):
        baselines.solve_many("qc_gym/SequentialSamplin-v0", ["aql10-rql20"])
    with pytest.raises(KeyError, match="nobody"):
        baselines.score_many(SAMPLING, ["aql10-rql20"], "nobody")


def test_scores_are_those_of_each_by_itself() -> None:
    scenarios, _ = read_population(SequentialSamplingScenario, RANGE, 5, 1)
    seen: list[int] = []

    def accept(observations: np.ndarray) -> np.ndarray:
        seen.append(observations.shape[1])
        return np.ones(len(observations), np.int64)

    found = baselines.score_many(SAMPLING, scenarios, accept)
    assert set(seen) == {4}
    for i, scenario in enumerate(scenarios):
        score = baselines.score(SAMPLING, accept, scenario=scenario)
        assert found.values[i] == score.value
        assert found.optima[i] == score.optimum
        assert found.regrets[i] == score.regret
        assert found.normalised[i] == score.normalised
    assert found.mean_regret == pytest.approx(found.regrets.mean())
    assert found.mean_regret_stderr == pytest.approx(found.regrets.std(ddof=1) / math.sqrt(5))
    assert found.regrets[found.worst] == found.regrets.max()
    assert "5 scenarios" in repr(found)
    assert "5 scenarios" in found._repr_html_()
    assert "5 scenarios" in repr(baselines.solve_many(SAMPLING, scenarios))


def test_a_policy_of_a_range_sees_the_numbers_of_each_scenario() -> None:
    """Whoever drew the scenarios: the range that it was trained on scales them."""
    seen: dict[bytes, np.ndarray] = {}

    def accept(observations: np.ndarray) -> np.ndarray:
        numbers = np.unique(observations[:, 4:], axis=0)
        seen[numbers.tobytes()] = numbers
        return np.ones(len(observations), np.int64)

    drawn, spread = read_population(SequentialSamplingScenario, RANGE, 3, 1)
    assert spread is not None
    baselines.score_many(SAMPLING, RANGE, accept, count=3, seed=1)
    wanted = [[spread.features(one)] for one in drawn]
    assert np.array_equal(list(seen.values()), wanted)
    seen.clear()
    baselines.score_many(SAMPLING, drawn, accept, trained_on=RANGE)
    assert np.array_equal(list(seen.values()), wanted)


def test_a_reference_is_designed_for_each_or_left_out() -> None:
    names = ["aql10-rql20", "lot-200"]
    found = baselines.score_many(SAMPLING, names, "sprt")
    for name, regret in zip(names, found.regrets, strict=True):
        sprt = baselines.reference_policies(SAMPLING, scenario=name)["sprt"]
        assert regret == baselines.score(SAMPLING, sprt, scenario=name).regret
    hard = {**SequentialSamplingScenario.presets["aql10-rql20"], "max_samples": 2}
    found = baselines.score_many(SAMPLING, [names[0], hard], "least_asn")
    assert list(found.left_out) == [1]
    assert "max_samples=2" in found.left_out[1]
    assert found.scored.tolist() == [True, False]
    assert math.isnan(found.regrets[1])
    assert found.worst == 0
    assert math.isnan(found.mean_regret_stderr)
    plan = baselines.score_many(SAMPLING, [names[0], hard], baselines.sampling.SinglePlan(80, 5))
    assert list(plan.left_out) == [1]
    assert "80" in plan.left_out[1]
    exact = baselines.score(SAMPLING, baselines.sampling.SinglePlan(80, 5), scenario=names[0])
    assert plan.regrets[0] == exact.regret


def test_a_reference_that_does_not_exist_is_named() -> None:
    references = baselines.reference_policies(SAMPLING, scenario="aql10-rql20")
    assert "sprtt" not in references
    assert not references._designed  # nothing was designed to know that
    assert "sprt" in references
    assert list(references._designed) == ["sprt"]
    message = "no reference policy 'sprtt'; did you mean 'sprt'"
    with pytest.raises(KeyError, match=message):
        references["sprtt"]
    with pytest.raises(KeyError, match=message):
        baselines.score_many(SAMPLING, ["aql10-rql20"], "sprtt")


@pytest.mark.parametrize(
    ("env_id", "preset"), [(SAMPLING, "aql10-rql20"), ("qc_gym/Assembly-v0", "cumcm-1")]
)
def test_a_plan_of_another_scenario_is_kept(env_id: str, preset: str) -> None:
    plan = baselines.solve(env_id, scenario=preset).policy
    scores = baselines.score_many(env_id, "train", plan, count=3, seed=5)
    assert not scores.left_out
    for i, one in enumerate(scores.scenarios):
        env = gym.make(env_id, scenario=one)
        kept = baselines.solve(env).carried(plan)
        assert scores.regrets[i] == pytest.approx(baselines.score(env, kept).regret, abs=1e-12)
        assert scores.regrets[i] >= 0.0
    own = baselines.score_many(env_id, [preset], plan)
    assert own.regrets[0] == pytest.approx(0.0, abs=1e-9)
