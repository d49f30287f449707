"""What a scenario tabulates: beliefs and lots, the same as computed, shared and never copied."""

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import beta_lot, scenarios, two_point_lot

import baselines
from baselines.sampling.posterior import posterior
from qc_gym.core.noise import streams
from qc_gym.core.table import MAX_NUMBERS, NO_TABLE, as_table, stacked
from qc_gym.sampling.dynamics import GUIDES, KERNEL, MAX_FACTORS, STATE
from qc_gym.sampling.scenario import MAX_DRAWN, MAX_TABULATED, SequentialSamplingScenario

ID = "qc_gym/SequentialSampling-v0"
PRESETS = SequentialSamplingScenario.presets


def parse(fields: Any) -> SequentialSamplingScenario:
    scenario = SequentialSamplingScenario.parse(fields)
    assert isinstance(scenario, SequentialSamplingScenario)
    return scenario


def beliefs_of(scenario: SequentialSamplingScenario) -> np.ndarray:
    """Return P(bad) and P(next one judged defective) in the table, (states, 2)."""
    most = scenario.max_samples
    return scenario.table()[0, : (most + 1) * (most + 2)].reshape(-1, 2)


@settings(max_examples=80, deadline=None)
@given(
    fields=scenarios(max_samples=st.integers(1, 300), kinds=("beta",)),
    errors=st.sampled_from([{}, {"miss": 0.2}, {"false_alarm": 0.1, "miss": 0.3}]),
)
def test_beliefs_are_those_of_the_model(fields: dict[str, Any], errors: dict[str, Any]) -> None:
    """Two codes for Bayes' rule: the kernel's special functions, and scipy's."""
    scenario = parse({**fields, **errors})
    known, table = posterior(scenario), beliefs_of(scenario)
    np.testing.assert_allclose(table[:, 0], known.prob_bad, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(table[:, 1], known.prob_defective, rtol=1e-12)


@pytest.mark.parametrize("errors", [{}, {"false_alarm": 0.05, "miss": 0.1}])
def test_beliefs_of_a_two_point_lot_are_those_of_the_model(errors: dict[str, Any]) -> None:
    scenario = parse({**PRESETS["lot-200"], **errors})
    known, table = posterior(scenario), beliefs_of(scenario)
    n, d = np.tril_indices(201)
    # A lot holds 10 defectives or 30; what no lot can show has no belief.
    is_met = np.ones(len(n), np.bool_)
    if not errors:
        is_met = ((d <= 10) & (n - d <= 190)) | ((d <= 30) & (n - d <= 170))
    np.testing.assert_allclose(table[is_met, 0], known.prob_bad[is_met], rtol=1e-9, atol=1e-12)
    is_met &= n < 200
    np.testing.assert_allclose(
        table[is_met, 1], known.prob_defective[is_met], rtol=1e-9, atol=1e-14
    )


@pytest.mark.parametrize("most", [3, 400, 1500])
@pytest.mark.parametrize("name", ["aql10-rql20", "tired-eyes"])
def test_two_rates_of_independent_items_need_factors_only(name: str, most: int) -> None:
    scenario = parse({**PRESETS[name], "max_samples": most})
    count = min(most + 1, MAX_FACTORS)
    assert scenario.table().shape == (1, 2 * count)
    known = posterior(scenario)
    n, d = np.tril_indices(most + 1)
    states = np.zeros(len(n), STATE)
    states["n"], states["d"] = n, d
    told = []
    for table in (scenario.table(), NO_TABLE):
        seen, _, _ = scenario.kernel.describe(scenario.record(), states, "belief", table)
        np.testing.assert_allclose(seen[:, 2], known.prob_bad, rtol=1e-6, atol=1e-11)
        np.testing.assert_allclose(seen[:, 3], known.prob_defective, rtol=1e-6)
        told.append(seen)
    np.testing.assert_allclose(told[0], told[1], rtol=2e-7, atol=1e-15)


def test_beyond_the_stated_sizes_there_is_none() -> None:
    small = beta_lot(2.0, 14.0, None, max_samples=MAX_TABULATED)
    assert parse(small).table().size == (MAX_TABULATED + 1) * (MAX_TABULATED + 2)
    assert parse({**small, "max_samples": MAX_TABULATED + 1}).table() is NO_TABLE
    lot = beta_lot(2.0, 14.0, MAX_DRAWN, max_samples=MAX_TABULATED + 1)
    assert parse(lot).table().size == MAX_DRAWN + 1 + GUIDES
    assert parse({**lot, "lot_size": MAX_DRAWN + 1}).table() is NO_TABLE


@pytest.mark.parametrize(
    ("a", "b", "lot_size"), [(1.0, 19.0, 500), (0.3, 0.4, 33), (40.0, 60.0, 1000), (1e-3, 5.0, 7)]
)
def test_a_lot_is_the_same_drawn_with_a_table_and_without(
    a: float, b: float, lot_size: int
) -> None:
    scenario = parse(beta_lot(a, b, lot_size))
    drawn = []
    for table in (scenario.table(), NO_TABLE):
        n = 20_000
        states, noise = np.zeros(n, STATE), streams(np.random.default_rng(1), n)
        KERNEL.reset_batch(
            scenario.record(), table, None, None, states, noise,
            np.zeros(n, np.int64), np.ones(n, np.bool_), np.ones(n, np.bool_), False,
            np.empty((n, 4), np.float32), np.empty((n, 3), np.int8),
        )  # fmt: skip
        drawn.append((states, noise))
    assert drawn[0][0].tobytes() == drawn[1][0].tobytes()
    assert drawn[0][1].tobytes() == drawn[1][1].tobytes()
    assert drawn[0][0]["defectives"].max() <= lot_size


@pytest.mark.parametrize("name", ["aql10-beta", "worn-gauge"])
def test_environments_share_the_table_of_their_scenario(name: str) -> None:
    vector = gym.make_vec(ID, num_envs=3, scenario=name)
    single = gym.make(ID, scenario=dict(PRESETS[name])).unwrapped
    assert np.shares_memory(vector._tables, single._table)
    assert vector._tables.shape[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        vector._tables[0, 0] = 0.0
    for env in (vector, single):
        pickled = pickle.dumps(env)
        assert len(pickled) < 60_000  # without a copy of it
        for other in (pickle.loads(pickled), copy.deepcopy(env)):
            table = other._tables if env is vector else other._table
            assert np.shares_memory(table, vector._tables)


def test_scenarios_of_a_list_have_each_their_own() -> None:
    each = [beta_lot(2.0, 14.0, None), two_point_lot(None), beta_lot(1.0, 9.0, 20, max_samples=9)]
    vector = gym.make_vec(ID, num_envs=3, scenario=each)
    tables = [parse(one).table()[0] for one in each]
    assert vector._tables.shape == (3, max(map(len, tables)))
    for row, table in zip(vector._tables, tables, strict=True):
        assert (row[: len(table)] == table).all()


def test_tables_that_would_be_too_large_are_left_out() -> None:
    big = as_table(np.empty(MAX_NUMBERS // 2 + 1))
    assert stacked([NO_TABLE, big], 2) is NO_TABLE
    assert stacked([NO_TABLE, NO_TABLE], 2) is NO_TABLE
    asked = iter([big, NO_TABLE])
    assert stacked(asked, 2) is NO_TABLE
    assert len(list(asked)) == 1  # those of a long list are not all made first


def test_scenarios_of_a_range_have_none() -> None:
    fields = {**PRESETS["aql10-beta"], "inspection_cost": {"low": 0.5, "high": 2.0}}
    vector, single = gym.make_vec(ID, num_envs=2, scenario=fields), gym.make(ID, scenario=fields)
    vector.reset(seed=0), single.reset(seed=0)
    assert vector._tables is NO_TABLE
    assert single.unwrapped._table is NO_TABLE


@pytest.mark.parametrize("name", ["aql10-beta", "worn-gauge"])
def test_a_policy_knows_a_state_by_an_observation_that_was_computed(name: str) -> None:
    """In a range it is computed, in the model looked up: they may differ in last bits."""
    model = baselines.solve(ID, scenario=name).model
    rows = np.arange(0, model.num_states, 400)
    computed = model.kernel.describe(model.record, model.states[rows], "belief")[0]
    np.testing.assert_array_equal(model.rows_of(computed), rows)
    computed[:, 2] = np.nextafter(computed[:, 2], np.float32(0.5))
    assert (computed != model.observations[rows]).any(axis=1).all()
    np.testing.assert_array_equal(model.rows_of(computed), rows)
    with pytest.raises(ValueError, match="is not one that this scenario shows"):
        model.rows_of(computed + np.float32(1e-5))
