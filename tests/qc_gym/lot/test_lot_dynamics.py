"""The world of inspect-or-stop against money counted by hand and Bayes' rule by enumeration."""

from __future__ import annotations

from itertools import product as cartesian
from typing import Any

import numpy as np
import pytest
from frequencies import assert_frequencies, assert_mean
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qc_gym.core import noise
from qc_gym.lot.dynamics import (
    CONFORMING,
    KERNEL,
    KEY_LEVELS,
    MAX_LOT,
    NO_RESULT,
    NONCONFORMING,
    STATE,
)
from qc_gym.lot.env import InspectOrStopEnv, InspectOrStopVectorEnv
from qc_gym.lot.scenario import InspectOrStopScenario

STOP = END = 0
INSPECT = PRODUCE = 1
MANY = 20_000
IN_CONTROL, OUT_OF_CONTROL = 0.0, 1.0  # quantiles of a shift after, and before, every unit

SHIFTS: dict[str, dict[str, Any]] = {
    "weibull": {"kind": "discrete_weibull", "q": 0.8, "beta": 1.3},
    "decreasing hazard": {"kind": "discrete_weibull", "q": 0.7, "beta": 0.6},
    "geometric": {"kind": "geometric", "hazard": 0.25},
    "table": {"kind": "table", "survival": [0.9, 0.9, 0.4, 0.1, 0.0]},
}


def lot(size: int | None = 5, demand: int = 3, **fields: Any) -> dict[str, Any]:
    return {
        "demand": demand,
        "lot_size": size,
        "yield_in": 0.9,
        "yield_out": 0.25,
        "shift": SHIFTS["weibull"],
        "inspection_cost": 0.5,
        "shortage_cost": 7.0,
        **fields,
    }


def sizing(longest: int = 4, demand: int = 3, **fields: Any) -> dict[str, Any]:
    costs = {"unit_cost": 1.25, "setup_cost": 10.0}
    return lot(None, demand, max_lot_size=longest, **{**costs, **fields})


def parsed(fields: Any) -> InspectOrStopScenario:
    scenario = InspectOrStopScenario.parse(fields)
    assert isinstance(scenario, InspectOrStopScenario)
    return scenario


def start(fields: Any, **options: Any) -> InspectOrStopEnv:
    env = InspectOrStopEnv(fields, **options)
    env.reset(seed=0)
    return env


def many(fields: Any, size: int = MANY, observation: str = "belief") -> InspectOrStopVectorEnv:
    env = InspectOrStopVectorEnv(size, fields, observation, "Disabled")
    env.reset(seed=1)
    return env


def inspect_all(env: InspectOrStopVectorEnv, units: int) -> NDArray[np.int64]:
    """Return the results of the first units, 1 conforming, (num_envs, units); none may end before."""
    results = np.empty((env.num_envs, units), np.int64)
    for unit in range(units):
        env.step(np.ones(env.num_envs, np.int64))
        results[:, unit] = env.states["last_result"] == CONFORMING
    return results


# --- Bayes' rule by enumeration ----------------------------------------------------------------


def joint(scenario: InspectOrStopScenario, results: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return P(exactly the first t units are in control, and the results), (…, longest + 1).

    For t = 0, …, longest; the last is all of them. Results are (…, n), 1 conforming.
    """
    last = np.append(-np.diff(scenario.survival), scenario.survival[-1])
    chances = [
        rate * (1.0 - scenario.false_alarm) + (1.0 - rate) * scenario.miss
        for rate in (scenario.yield_in, scenario.yield_out)
    ]
    inside, outside = (np.where(results == 1, chance, 1.0 - chance) for chance in chances)
    n = results.shape[-1]
    chances = [
        last[t] * inside[..., :t].prod(axis=-1) * outside[..., min(t, n) :].prod(axis=-1)
        for t in range(scenario.longest_lot + 1)
    ]
    return np.stack(chances, axis=-1)


def posterior(scenario: InspectOrStopScenario, results: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return P(the next unit is in control | the results), for results (…, n)."""
    weights = joint(scenario, results)
    return weights[..., results.shape[-1] + 1 :].sum(axis=-1) / weights.sum(axis=-1)


def sequences(length: int) -> NDArray[np.int64]:
    """Return all results of so many units, (2^length, length)."""
    return np.array(list(cartesian((0, 1), repeat=length)), np.int64).reshape(-1, length)


# --- the belief --------------------------------------------------------------------------------

PROBABILITY = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0.0, 1.0))


@st.composite
def lots(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the mapping of a scenario whose lot may be inspected to its end."""
    size = draw(st.integers(1, 12))
    yields = draw(st.lists(PROBABILITY, min_size=2, max_size=2, unique=True).map(sorted))
    table = sorted(draw(st.lists(PROBABILITY, min_size=size, max_size=size)), reverse=True)
    shift = draw(
        st.sampled_from([*list(SHIFTS.values())[:3], {"kind": "table", "survival": table}])
    )
    costs = {"inspection_cost": 0.0, "shortage_cost": 1e9}  # so that inspecting pays
    return lot(size, size + 1, yield_out=yields[0], yield_in=yields[1], shift=shift, **costs)


@settings(max_examples=150, deadline=None)
@given(fields=lots(), seed=st.integers(0, 2**32))
def test_belief_is_bayes_rule_over_the_shift_time(fields: Any, seed: int) -> None:
    scenario = parsed(fields)
    env = InspectOrStopVectorEnv(16, fields)
    observations, _ = env.reset(seed=seed)
    results = np.empty((16, 0), np.int64)
    for n in range(1, scenario.longest_lot + 1):
        states = env.states
        np.testing.assert_allclose(states["b"], posterior(scenario, results), rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(observations[:, 2], states["b"].astype(np.float32))
        observations, *_ = env.step(np.ones(16, np.int64))
        found = env.states["last_result"] == CONFORMING
        results = np.column_stack([results, found.astype(np.int64)])
        assert (env.states["n"] == n).all()
    assert (env.states["b"] == 0.0).all()  # no unit is next


@pytest.mark.parametrize("name", [n for n in InspectOrStopScenario.presets if "sizing" not in n])
def test_belief_of_whole_lots(name: str) -> None:
    """Whatever the truth: shifts are forced to be early, late and absent."""
    scenario = parsed({**InspectOrStopScenario.presets[name], "demand": 1000})
    env = many(scenario, 40)
    env._states["quantile"] = np.linspace(0.0, 1.0, 40)
    results = np.empty((40, 0), np.int64)
    for _ in range(scenario.longest_lot - 1):
        env.step(np.ones(40, np.int64))
        found = env.states["last_result"] == CONFORMING
        results = np.column_stack([results, found.astype(np.int64)])
        np.testing.assert_allclose(env.states["b"], posterior(scenario, results), rtol=1e-8)


def test_perfect_yields_tell_the_truth() -> None:
    """The paper's case without manufacturing variations: the first nonconforming unit is the shift."""
    scenario = parsed(lot(6, 7, yield_in=1.0, yield_out=0.0, shift=SHIFTS["geometric"]))
    env = many(scenario, 400)
    in_control = np.ones(400, bool)
    for _ in range(5):
        env.step(np.ones(400, np.int64))
        in_control &= env.states["last_result"] == CONFORMING
        assert env.states["b"].tolist() == pytest.approx(0.75 * in_control)
    assert 0 < in_control.sum() < 400


def test_a_hazard_of_one_ends_all_hope() -> None:
    scenario = parsed(lot(5, 6, shift={"kind": "table", "survival": [1.0, 0.6, 0.0, 0.0, 0.0]}))
    env = many(scenario, 200)
    assert (env.states["b"] == 1.0).all()
    for n in range(1, 5):
        env.step(np.ones(200, np.int64))
        assert ((env.states["b"] > 0.0) == (n < 2)).all()


def test_impossible_results_do_no_harm() -> None:
    """A state that cannot be, given to the kernel: no NaN comes of it."""
    fields = lot(5, 6, yield_in=1.0, yield_out=0.0)
    for b, quantile in ((1.0, OUT_OF_CONTROL), (0.0, IN_CONTROL)):
        env = start(fields)
        env._states["b"], env._states["quantile"] = b, quantile
        observation, *_ = env.step(INSPECT)
        assert observation[2] == 0.0


# --- the truth ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", SHIFTS.values(), ids=SHIFTS)
def test_results_are_as_frequent_as_they_should_be(shift: Any) -> None:
    scenario = parsed(lot(5, 6, shift=shift))
    results = inspect_all(many(scenario), 5)
    possible = sequences(5)
    counts = np.bincount(results @ (1 << np.arange(4, -1, -1)), minlength=32)
    assert_frequencies(counts, joint(scenario, possible).sum(axis=-1))


@pytest.mark.parametrize("shift", SHIFTS.values(), ids=SHIFTS)
def test_the_shift_is_as_frequent_as_it_should_be(shift: Any) -> None:
    scenario = parsed(lot(5, 6, yield_in=1.0, yield_out=0.0, shift=shift))
    results = inspect_all(many(scenario), 5)
    assert (np.diff(results, axis=1) <= 0).all()  # for good
    assert_frequencies(
        np.bincount(results.sum(axis=1), minlength=6),
        np.append(-np.diff(scenario.survival), scenario.survival[-1]),
    )


def test_belief_is_how_often_the_next_unit_is_in_control() -> None:
    scenario = parsed(lot(5, 6))
    env = many(scenario)
    for n in range(1, 5):
        states = env.states
        in_control = states["quantile"] < scenario.survival[n]
        assert_mean(in_control - states["b"], 0.0, states["b"].var() + 0.25)
        for b in np.unique(states["b"]):
            here = states["b"] == b
            if here.sum() > 100:
                assert_mean(in_control[here], b, b * (1.0 - b) + 1e-9)
        env.step(np.ones(MANY, np.int64))


# --- money and the end of an episode -----------------------------------------------------------


def script(env: InspectOrStopEnv, steps: list[tuple[int, float, bool, bool]]) -> None:
    """Assert what each step of (action, reward, is the next unit conforming, terminated) brings.

    The yields are 1 and 0, so that the process being in control is the unit being conforming.
    """
    for i, (action, reward, is_conforming, terminated) in enumerate(steps):
        env._states["quantile"] = IN_CONTROL if is_conforming else OUT_OF_CONTROL
        _, got, ended, truncated, _ = env.step(action)
        assert (got, ended, truncated) == (reward, terminated, False), f"step {i}"


CERTAIN = {"yield_in": 1.0, "yield_out": 0.0}


def test_the_last_unit_of_the_lot_ends_the_episode() -> None:
    script(
        start(lot(3, 2, **CERTAIN)),
        [
            (INSPECT, -0.5, False, False),
            (INSPECT, -0.5, True, False),
            (INSPECT, -0.5 - 7.0, False, True),
        ],
    )
    script(start(lot(1, 4, **CERTAIN)), [(INSPECT, -0.5 - 3 * 7.0, True, True)])


def test_the_unit_that_meets_the_demand_ends_the_episode() -> None:
    script(
        start(lot(3, 2, **CERTAIN)),
        [(INSPECT, -0.5, True, False), (INSPECT, -0.5, True, True)],
    )
    script(start(lot(1, 1, **CERTAIN)), [(INSPECT, -0.5, True, True)])


def test_stopping_ends_the_episode() -> None:
    script(start(lot(3, 2, **CERTAIN)), [(STOP, -14.0, True, True)])
    env = start(lot(3, 2, **CERTAIN))
    script(env, [(INSPECT, -0.5, True, False)])
    before = env.state
    script(env, [(STOP, -7.0, True, True)])
    before["quantile"] = env.state["quantile"]
    assert env.state == before


def test_production_is_paid_for() -> None:
    script(
        start(sizing(4, 3, **CERTAIN)),
        [
            (PRODUCE, -10.0 - 1.25, True, False),
            (PRODUCE, -1.25, True, False),
            (END, 0.0, True, False),
            (INSPECT, -0.5, True, False),
            (INSPECT, -0.5 - 2 * 7.0, False, True),
        ],
    )


def test_a_lot_without_units_is_possible() -> None:
    env = start(sizing(4, 3))
    script(env, [(END, -3 * 7.0, True, True)])  # nothing produced, nothing set up
    assert (env.state["lot_size"], env.state["n"], env.state["d"]) == (0, 0, 3)


def test_production_ends_at_the_largest_lot() -> None:
    env = start(sizing(2, 3, **CERTAIN))
    assert env.action_masks().tolist() == [True, True]
    script(env, [(PRODUCE, -11.25, True, False), (PRODUCE, -1.25, True, False)])
    assert env.action_masks().tolist() == [True, False]
    script(env, [(PRODUCE, 0.0, True, False)])  # acts as the end of production
    assert env.state["lot_size"] == 2
    assert not env.state["is_producing"]
    assert env.action_masks().tolist() == [True, True]
    script(env, [(INSPECT, -0.5, True, False), (STOP, -14.0, True, True)])


def test_a_lot_is_the_same_whether_given_or_produced() -> None:
    for size in (1, 4, 9):
        given, made = many(lot(size, 3), 300), many(sizing(9, 3), 300)
        going = np.ones(300, bool)
        for action in (*(PRODUCE,) * size, END):
            _, rewards, terminated, _, _ = made.step(np.full(300, action))
            assert not terminated.any()
        assert (rewards == 0).all()
        for _ in range(size):
            assert (given.states[going] == made.states[going]).all()
            one, other = (env.step(np.ones(300, np.int64)) for env in (given, made))
            assert (given.states[going] == made.states[going]).all()
            for i in (1, 2):
                assert (one[i][going] == other[i][going]).all()
            ended = one[2]
            going &= ~ended
            if ended.any():  # both go on with new episodes; the first of each is compared
                given.reset(options={"reset_mask": ended})
                made.reset(options={"reset_mask": ended})
        assert not going.any()


# --- what the agent sees -----------------------------------------------------------------------


def test_observations() -> None:
    fields = sizing(8, 4, **CERTAIN, shift=SHIFTS["geometric"])
    seen: dict[str, list[list[float]]] = {}
    for observation in ("belief", "outcome"):
        env = InspectOrStopEnv(fields, observation)
        seen[observation] = [env.reset(seed=0)[0].tolist()]
        for action, quantile in (
            (PRODUCE, 0.0), (PRODUCE, 0.0), (PRODUCE, 0.0), (END, 0.0),
            (INSPECT, IN_CONTROL), (INSPECT, OUT_OF_CONTROL),
        ):  # fmt: skip
            env._states["quantile"] = quantile
            seen[observation].append(env.step(action)[0].tolist())
    # n / 8, d / 4, b, units left / 8, producing
    assert seen["belief"] == [
        [0, 1, 0.75, 0, 1], [0, 1, 0.75, 0.125, 1], [0, 1, 0.75, 0.25, 1], [0, 1, 0.75, 0.375, 1],
        [0, 1, 0.75, 0.375, 0], [0.125, 0.75, 0.75, 0.25, 0], [0.25, 0.75, 0, 0.125, 0],
    ]  # fmt: skip
    # n / 8, units left / 8, conforming, nonconforming, producing
    assert seen["outcome"] == [
        [0, 0, 0, 0, 1], [0, 0.125, 0, 0, 1], [0, 0.25, 0, 0, 1], [0, 0.375, 0, 0, 1],
        [0, 0.375, 0, 0, 0], [0.125, 0.25, 1, 0, 0], [0.25, 0.125, 0, 1, 0],
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(fields=lots(), observation=st.sampled_from(("belief", "outcome")), seed=st.integers(0, 99))
def test_no_observation_reads_the_truth(fields: Any, observation: str, seed: int) -> None:
    scenario = parsed(fields)
    generator = np.random.default_rng(seed)
    states = np.zeros(50, STATE)
    states["lot_size"] = scenario.longest_lot
    states["n"] = generator.integers(0, scenario.longest_lot + 1, 50)
    states["d"] = scenario.demand - generator.integers(0, states["n"] + 1)
    states["b"] = generator.random(50)
    states["last_result"] = generator.integers(0, 3, 50)
    expected = KERNEL.describe(scenario.record(), states, observation)
    seen = {"is_producing", "lot_size", "n", "d", "b", "last_result"}
    assert set(STATE.names or ()) - seen == {"quantile"}
    states["quantile"] = generator.choice([0.0, 0.3, 1.0, np.nan], 50)
    for one, other in zip(
        KERNEL.describe(scenario.record(), states, observation), expected, strict=True
    ):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_keys_tell_apart_what_the_agent_may_know(observation: str) -> None:
    scenario = parsed(sizing(6, 9))
    rows = [
        (True, size, 0, 9, 0.7, NO_RESULT) for size in range(7)
    ] + [
        (False, size, n, 9 - found, b, result)
        for size in range(1, 7)
        for n in range(size + 1)
        for found in range(n + 1)
        for b in (0.0, 3e-9, 0.5, 0.5 + 3e-9, 1.0)
        for result in (NO_RESULT, NONCONFORMING, CONFORMING)
    ]  # fmt: skip
    states = np.zeros(len(rows), STATE)
    for name, column in zip(
        ("is_producing", "lot_size", "n", "d", "b", "last_result"), zip(*rows, strict=True), strict=True
    ):  # fmt: skip
        states[name] = column
    keys = KERNEL.describe(scenario.record(), states, observation)[2]
    assert (keys < 2**63).all()
    expected = {row if observation == "outcome" else row[:-1] for row in rows}
    assert len(np.unique(keys)) == len(expected)
    if observation == "outcome":
        # An episode goes from smaller keys to larger ones: sorted by them, a table is acyclic.
        first = [(not producing, size, n, 9 - d) for producing, size, n, d, _, _ in rows]
        order = np.argsort(keys)
        assert [first[i] for i in order] == sorted(first)


def test_keys_of_the_largest_lot_are_distinct_and_fit() -> None:
    scenario = parsed(sizing(MAX_LOT, 1_000_000))
    states = np.zeros(3, STATE)
    states["lot_size"] = states["n"] = MAX_LOT
    states["d"], states["b"], states["last_result"] = 1_000_000 - MAX_LOT, 1.0, CONFORMING
    states["n"][1] -= 1
    states["b"][2] -= 1.01 / (KEY_LEVELS - 1)
    keys = KERNEL.describe(scenario.record(), states, "outcome")[2]
    assert len(set(keys.tolist())) == 3
    assert max(keys.tolist()) < 2**63


# --- many episodes -----------------------------------------------------------------------------


def test_roll_out_is_the_same_world() -> None:
    """The returns of "inspect, and stop after two nonconforming units in a row"."""
    scenario = parsed(lot(4, 3))
    states, actions = [], []
    returns: dict[float, float] = {}

    def visit(*results: int) -> None:
        found, is_hopeless = sum(results), results[-2:] == (0, 0)
        has_ended = found == 3 or len(results) == 4
        seen = np.array(results, np.int64)
        if not has_ended:
            state = np.zeros(1, STATE)
            state["lot_size"], state["n"], state["d"] = 4, len(results), 3 - found
            state["b"] = posterior(scenario, seen)
            states.append(state)
            actions.append(STOP if is_hopeless else INSPECT)
        if has_ended or is_hopeless:
            total = -0.5 * len(results) - 7.0 * (3 - found)
            returns[total] = returns.get(total, 0.0) + joint(scenario, seen).sum()
        else:
            visit(*results, 0)
            visit(*results, 1)

    visit()
    keys = KERNEL.describe(scenario.record(), np.concatenate(states), "belief")[2]
    keys, rows = np.unique(keys, return_index=True)
    assert len(keys) == len(states)
    got, lengths = np.empty(100_000), np.empty(100_000, np.int64)
    missing = KERNEL.roll_out(
        scenario.record(),
        scenario.table(),
        np.zeros(1, STATE),
        noise.streams(np.random.default_rng(0), 1),
        False,
        keys,
        np.eye(2)[np.array(actions)[rows]],
        got,
        lengths,
    )
    assert missing == -1
    values, counts = np.unique(got, return_counts=True)
    assert sum(returns.values()) == pytest.approx(1.0)
    assert values.tolist() == sorted(returns)
    assert_frequencies(counts, [returns[value] for value in sorted(returns)])


@settings(max_examples=25, deadline=None)
@given(
    size=st.sampled_from([3, {"low": 1, "high": 6}, None]),
    observation=st.sampled_from(("belief", "outcome")),
    seed=st.integers(0, 2**31),
)
def test_vector_equals_scalar(size: Any, observation: str, seed: int) -> None:
    fields = sizing(5, 3) if size is None else lot(size, 3)
    vector = InspectOrStopVectorEnv(3, fields, observation)
    scalars = [InspectOrStopEnv(fields, observation) for _ in range(3)]
    seen, _ = vector.reset(seed=seed)
    for i, env in enumerate(scalars):
        assert env.reset(seed=seed + i)[0].tobytes() == seen[i].tobytes()
    generator = np.random.default_rng(seed)
    ended = [False] * 3
    for _ in range(40):
        actions = (generator.random(3) < 0.8).astype(np.int64)
        seen, rewards, terminated, _, infos = vector.step(actions)
        for i, env in enumerate(scalars):
            if ended[i]:
                (observed, info), reward, ended[i] = env.reset(), 0.0, False
            else:
                observed, reward, ended[i], _, info = env.step(actions[i])
            assert observed.tobytes() == seen[i].tobytes()
            assert (reward, ended[i]) == (rewards[i], terminated[i])
            assert info["action_mask"].tolist() == infos["action_mask"][i].tolist()
