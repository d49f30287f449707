"""The vector environment is n scalar ones seeded alike, bit for bit."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from itertools import combinations
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import scenario_ranges, scenarios

import qc_gym
from qc_gym.core.pool import PlayedScenarios

ID = "qc_gym/SequentialSampling-v0"
RANGE = {
    "prior": {"kind": "beta", "a": {"low": 1.0, "high": 3.0}, "b": 9.0, "limit": 0.1},
    "inspection_cost": {"choices": [0.5, 1, 2]},
    "accept_bad_cost": 40.0,
    "reject_good_cost": 30.0,
    "max_samples": {"low": 3, "high": 6},
}
MODES = st.sampled_from(AutoresetMode)
OBSERVATIONS = st.sampled_from(("belief", "outcome"))
LIMITS = st.one_of(st.none(), st.integers(1, 9))
SEEDS = st.integers(0, 2**31)


def make_pair(
    scenario: Any,
    n: int,
    mode: AutoresetMode,
    observation: str,
    limit: int | None,
    env_id: str = ID,
) -> tuple[gym.vector.VectorEnv, SyncVectorEnv]:
    """Return the vector environment and gymnasium's vector of scalar ones."""
    each = scenario if isinstance(scenario, list) else [scenario] * n
    vector = gym.make_vec(
        env_id,
        num_envs=n,
        scenario=scenario,
        observation=observation,
        autoreset_mode=mode,
        max_episode_steps=limit,
    )
    scalar = SyncVectorEnv(
        [
            partial(
                gym.make,
                env_id,
                scenario=one,
                observation=observation,
                max_episode_steps=limit,
                disable_env_checker=True,
            )
            for one in each
        ],
        autoreset_mode=mode,
    )
    return vector, scalar


def assert_identical(actual: Any, expected: Any, where: str = "") -> None:
    """Assert that types, dtypes, shapes, keys and every bit are the same."""
    if isinstance(actual, PlayedScenarios):
        actual = np.asarray(actual)
    if isinstance(expected, PlayedScenarios):
        expected = np.asarray(expected)
    assert type(actual) is type(expected), where
    if isinstance(actual, dict):
        assert set(actual) == set(expected), where
        for key in actual:
            assert_identical(actual[key], expected[key], f"{where}[{key!r}]")
    elif isinstance(actual, tuple | list):
        assert len(actual) == len(expected), where
        for i, (one, other) in enumerate(zip(actual, expected, strict=True)):
            assert_identical(one, other, f"{where}[{i}]")
    elif isinstance(actual, np.ndarray):
        assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape), where
        if actual.dtype == object:
            assert_identical(list(actual), list(expected), where)
        else:
            assert actual.tobytes() == expected.tobytes(), f"{where}: {actual} != {expected}"
    else:
        assert actual == expected, where


def random_actions(generator: np.random.Generator, n: int, num_actions: int = 3) -> np.ndarray:
    """Draw actions that are mostly 0: episodes also reach the last sample and go beyond it."""
    others = (0.2 / (num_actions - 1),) * (num_actions - 1)
    return generator.choice(num_actions, size=n, p=(0.8, *others))


def play_both(
    vector: gym.vector.VectorEnv,
    scalar: SyncVectorEnv,
    steps: int,
    generator: np.random.Generator,
) -> None:
    """Assert that both say the same in ``steps`` steps; where nobody resets, reset at random."""
    n = vector.num_envs
    disabled = vector.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    for step in range(steps):
        actions = random_actions(generator, n, int(vector.single_action_space.n))
        actual, expected = vector.step(actions), scalar.step(actions)
        assert_identical(actual, expected, f"step {step}")
        ended = actual[2] | actual[3]
        if disabled and ended.any():
            mask = ended | (generator.random(n) < 0.2)
            seed: Any = [None, int(generator.integers(100)), generator.integers(100, size=n)][
                generator.integers(3)
            ]
            if isinstance(seed, np.ndarray):
                seed = [None if one < 50 else int(one) for one in seed]
            assert_identical(
                vector.reset(seed=seed, options={"reset_mask": mask.copy()}),
                scalar.reset(seed=seed, options={"reset_mask": mask.copy()}),
                f"masked reset after step {step}",
            )


@settings(max_examples=120, deadline=None)
@given(
    scenario=st.one_of(
        scenarios(),
        scenarios(max_samples=st.integers(1, 5)),
        scenarios(max_samples=st.integers(1, 30), may_err=True),
        scenario_ranges(),
    ),
    n=st.integers(1, 4),
    mode=MODES,
    observation=OBSERVATIONS,
    limit=LIMITS,
    seed=SEEDS,
)
def test_vector_equals_scalar(
    scenario: Any, n: int, mode: AutoresetMode, observation: str, limit: int | None, seed: int
) -> None:
    vector, scalar = make_pair(scenario, n, mode, observation, limit)
    assert vector.single_observation_space == scalar.single_observation_space
    assert vector.observation_space == scalar.observation_space
    assert vector.action_space == scalar.action_space
    generator = np.random.default_rng(seed)
    assert_identical(vector.reset(seed=seed), scalar.reset(seed=seed), "reset")
    play_both(vector, scalar, 25, generator)
    assert_identical(vector.reset(), scalar.reset(), "reset without a seed")
    play_both(vector, scalar, 5, generator)
    assert_identical(vector.reset(seed=seed), scalar.reset(seed=seed), "the seed again")
    play_both(vector, scalar, 5, generator)


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("env_id", qc_gym.ENVIRONMENTS)
def test_every_preset_of_every_environment(env_id: str, mode: AutoresetMode) -> None:
    presets = list(gym.make(env_id).unwrapped.scenario_type.presets)
    for i, preset in enumerate(presets):
        observation, limit = ("belief", "outcome")[i % 2], (None, 30)[i // 2 % 2]
        vector, scalar = make_pair(preset, 3, mode, observation, limit, env_id)
        assert_identical(vector.reset(seed=i), scalar.reset(seed=i), preset)
        play_both(vector, scalar, 80, np.random.default_rng(i))


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("scenario", [None, RANGE], ids=["fixed", "range"])
def test_lists_of_seeds(scenario: Any, mode: AutoresetMode) -> None:
    vector, scalar = make_pair(scenario, 3, mode, "belief", 6)
    generator = np.random.default_rng(0)
    for seed in ([7, 7, 1], [3, None, None], [None, None, None], None):
        assert_identical(vector.reset(seed=seed), scalar.reset(seed=seed), f"{seed}")
        play_both(vector, scalar, 20, generator)


@settings(max_examples=20, deadline=None)
@given(
    each=st.lists(scenarios(max_samples=st.integers(1, 6), may_err=True), min_size=1, max_size=4),
    mode=MODES,
    observation=OBSERVATIONS,
    limit=LIMITS,
    seed=SEEDS,
)
def test_a_scenario_for_each_sub_environment(
    each: list[Any], mode: AutoresetMode, observation: str, limit: int | None, seed: int
) -> None:
    vector, scalar = make_pair(each, len(each), mode, observation, limit)
    assert [one.model_dump()["prior"] for one in vector.scenario_of] == [
        one["prior"] for one in each
    ]
    assert_identical(vector.reset(seed=seed), scalar.reset(seed=seed), "reset")
    play_both(vector, scalar, 25, np.random.default_rng(seed))


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("scenario", ["lot-200", RANGE], ids=["fixed", "range"])
def test_masked_reset_leaves_the_others_alone(scenario: Any, mode: AutoresetMode) -> None:
    vector, scalar = make_pair(scenario, 4, mode, "belief", None)
    generator = np.random.default_rng(1)
    vector.reset(seed=5), scalar.reset(seed=5)
    for seed in (None, 11, [1, 2, 3, 4]):
        for _ in range(2):
            vector.step(np.zeros(4, np.int64)), scalar.step(np.zeros(4, np.int64))
        mask = np.array([True, False, True, False])
        before = vector.states
        options = {"reset_mask": mask}
        observations, infos = vector.reset(seed=seed, options=options)
        expected = scalar.reset(seed=seed, options={"reset_mask": mask.copy()})
        assert options == {"reset_mask": mask}, "the user's options were changed"
        assert_identical((observations, infos), expected, f"seed {seed}")
        assert (vector.states[~mask] == before[~mask]).all()
        assert (vector.states["n"][mask] == 0).all()
        play_both(vector, scalar, 10, generator)
        vector.reset(), scalar.reset()


def test_the_reset_mask_is_not_kept() -> None:
    vector = gym.make_vec(ID, num_envs=3, autoreset_mode=AutoresetMode.DISABLED)
    vector.reset(seed=0)
    mask = np.array([True, False, True])
    _, infos = vector.reset(options={"reset_mask": mask})
    mask[:] = False
    assert infos["_action_mask"].tolist() == [True, False, True]


def arrays_in(value: Any) -> list[np.ndarray]:
    """Return every array handed out in ``value``."""
    if isinstance(value, np.ndarray):
        return [value] + [one for item in value if value.dtype == object for one in arrays_in(item)]
    if isinstance(value, dict):
        return arrays_in(tuple(value.values()))
    return [one for item in value for one in arrays_in(item)] if isinstance(value, tuple) else []


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("scenario", ["lot-200", RANGE], ids=["fixed", "range"])
def test_no_buffer_is_written_again_or_read_back(scenario: Any, mode: AutoresetMode) -> None:
    def make() -> gym.vector.VectorEnv:
        return gym.make_vec(
            ID, num_envs=3, scenario=scenario, autoreset_mode=mode, max_episode_steps=4
        )

    vector, twin = make(), make()
    given_out: list[tuple[Any, Any]] = []

    def spoil(result: Any, expected: Any) -> None:
        assert_identical(result, expected)
        for array in arrays_in(result):
            if array.dtype != object:
                array[...] = 1
        given_out.append((result, copy.deepcopy(result)))

    spoil(vector.reset(seed=0), twin.reset(seed=0))
    for _ in range(12):
        actions = np.zeros(3, np.int64)
        result, expected = vector.step(actions), twin.step(actions)
        over = (expected[2] | expected[3]).any()
        spoil(result, expected)
        if over and mode is AutoresetMode.DISABLED:
            options = {"reset_mask": np.ones(3, np.bool_)}
            spoil(vector.reset(options=options), twin.reset(options=options))
    for result, noted in given_out:
        assert_identical(result, noted)
    lists = [arrays_in(result) for result, _ in given_out]
    for one, other in combinations(lists, 2):
        assert not any(np.shares_memory(a, b) for a in one for b in other)
    for arrays in lists:
        assert not any(np.shares_memory(a, b) for a, b in combinations(arrays, 2))


def test_each_instance_has_its_own_metadata() -> None:
    one = gym.make_vec(ID, num_envs=1, autoreset_mode=AutoresetMode.SAME_STEP)
    other = gym.make_vec(ID, num_envs=1, autoreset_mode="NextStep")
    assert one.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert other.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    one.metadata["render_modes"].append("smoke")
    one.metadata["fire"] = True
    for untouched in (other, gym.make_vec(ID, num_envs=1), gym.make(ID)):
        assert "smoke" not in untouched.metadata["render_modes"]
        assert "fire" not in untouched.metadata
    assert "autoreset_mode" not in gym.make(ID).unwrapped.metadata


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
}


@pytest.mark.parametrize("scenario", ["aql10-beta", RANGE], ids=["fixed", "range"])
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_continues_identically(copied: Any, scenario: Any) -> None:
    env = gym.make(ID, scenario=scenario, max_episode_steps=5).unwrapped
    vector = gym.make_vec(ID, num_envs=4, scenario=scenario, max_episode_steps=5)
    env.reset(seed=3), vector.reset(seed=3)
    env.step(0), vector.step(np.zeros(4, np.int64))
    env_copy, vector_copy = copied(env), copied(vector)
    generator = np.random.default_rng(2)
    for _ in range(30):
        actions = random_actions(generator, 4)
        assert_identical(vector_copy.step(actions), vector.step(actions))
        result = env.step(int(actions[0]))
        assert_identical(env_copy.step(int(actions[0])), result)
        if result[2]:
            assert_identical(env_copy.reset(), env.reset())
    assert_identical(vector_copy.reset(), vector.reset())
    assert_identical(vector_copy.reset(seed=1), vector.reset(seed=1))


def test_a_pickle_continues_in_another_process() -> None:
    vector = gym.make_vec(ID, num_envs=4, scenario=RANGE)
    vector.reset(seed=3)
    actions = np.array([0, 0, 1, 2])
    vector.step(actions)  # fills numba's cache on disk, if it was empty
    program = (
        "import pickle, sys, numpy as np\n"
        "vector = pickle.load(sys.stdin.buffer)\n"
        "out = [vector.step(np.array([0, 0, 1, 2])) for _ in range(6)]\n"
        "compiled = sum(vector.kernel.step_batch.stats.cache_misses.values())\n"
        "sys.stdout.buffer.write(pickle.dumps((out, compiled)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(vector), capture_output=True, check=True
    )
    expected = [vector.step(actions) for _ in range(6)]
    out, compiled = pickle.loads(done.stdout)
    assert_identical(out, expected)
    assert compiled == 0, "the kernel was compiled again, instead of being taken from the cache"


@pytest.mark.parametrize("scenario", ["aql10-beta", RANGE], ids=["fixed", "range"])
def test_seeds(scenario: Any) -> None:
    def play(seed: int) -> tuple[list[Any], np.ndarray]:
        vector = gym.make_vec(ID, num_envs=32, scenario=scenario, autoreset_mode="SameStep")
        trajectory: list[Any] = [vector.reset(seed=seed)]
        truth = vector.states["fraction_defective"]
        generator = np.random.default_rng(0)
        trajectory += [vector.step(random_actions(generator, 32)) for _ in range(20)]
        return trajectory, truth

    (first, truth), (again, _), (other, other_truth) = play(0), play(0), play(1000)
    assert_identical(first, again)
    assert len(np.unique(np.concatenate([truth, other_truth]))) == 64
    assert any((one[0] != two[0]).any() for one, two in zip(first[1:], other[1:], strict=True))


def test_episodes_of_one_stream_differ() -> None:
    env = gym.make(ID, scenario="aql10-beta").unwrapped
    env.reset(seed=0)
    truths = [env.state["fraction_defective"]]
    for _ in range(9):
        env.reset()
        truths.append(env.state["fraction_defective"])
    assert len(set(truths)) == 10


# --- branches -------------------------------------------------------------------------------


def numbers(rows: np.ndarray) -> list[bytes]:
    """Return what records hold, bit for bit, without what stands between their fields."""
    return [rows[name].tobytes() for name in rows.dtype.names or ()] or [rows.tobytes()]


def named_ranges(env_id: str) -> Mapping[str, Any]:
    """Return the ranges of a family by name; one of another package may have none."""
    return gym.make(env_id).unwrapped.scenario_type.ranges


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize(
    ("env_id", "scenario"),
    [
        (env_id, scenario)
        for env_id in qc_gym.ENVIRONMENTS
        for scenario in (None, "train")
        if scenario is None or scenario in named_ranges(env_id)
    ],
)
def test_a_branch_is_the_step_from_where_the_other_stands(
    env_id: str, scenario: str | None, observation: str
) -> None:
    """As of an environment whose rows were put there by hand; the others do not move."""
    n = 12
    kwargs = {"num_envs": n, "scenario": scenario, "observation": observation}
    env = gym.make_vec(env_id, **kwargs, autoreset_mode="SameStep", max_episode_steps=6)
    twin = gym.make_vec(env_id, **kwargs, autoreset_mode="Disabled", max_episode_steps=6)
    generator = np.random.default_rng(5)
    env.reset(seed=3)
    masks = env.action_masks()
    taken = refused = 0
    for _ in range(40):
        draws = generator.random(masks.shape) * masks
        masks = env.step(draws.argmax(axis=1))[4]["action_mask"].astype(bool)
        rows = generator.permutation(n)[:4]
        sources = generator.integers(n, size=4)
        actions = (generator.random((4, masks.shape[1])) * masks[sources]).argmax(axis=1)
        before = env.snapshot()
        put = {name: value.copy() for name, value in before.items()}
        for name in ("states", "elapsed", "played"):
            put[name][rows] = before[name][sources]
        twin.restore(put)
        anywhere = np.zeros(n, np.int64)
        anywhere[rows] = actions
        seen, _, terminated, truncated, infos = twin.step(anywhere)
        over = (terminated | truncated)[rows]
        moved, observations, allowed = env.branch(rows, sources, actions)
        np.testing.assert_array_equal(moved, ~over)
        np.testing.assert_array_equal(observations[moved], seen[rows[moved]])
        np.testing.assert_array_equal(allowed[moved], infos["action_mask"][rows[moved]] == 1)
        after, there, went = env.snapshot(), twin.snapshot(), np.zeros(n, bool)
        went[rows[moved]] = True
        for name, value in after.items():
            assert numbers(value[went]) == numbers(there[name][went])
            assert numbers(value[~went]) == numbers(before[name][~went])
        masks = env.action_masks()
        taken, refused = taken + moved.sum(), refused + over.sum()
    if env_id != "qc_gym/KStage-v0":  # one decision, which ends it
        assert taken > 5
    assert refused > 5


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        (([0, 1], [1, 2], [0]), r"actions: .*shape \(2,\).*got int64 of shape \(1,\)"),
        (([0.0], [1], [0]), r"rows: .*got float64"),
        (([[0]], [1], [0]), r"rows: .*got int64 of shape \(1, 1\)"),
        (([0, 4], [1, 2], [0, 0]), r"rows\[1\] = 4: allowed are 0 to 3"),
        (([0], [-1], [0]), r"sources\[0\] = -1: allowed are 0 to 3"),
        (([0], [1], [3]), r"actions\[0\] = 3: allowed are 0 to 2"),
        (([2, 2], [1, 0], [0, 0]), r"rows: each sub-environment may be moved once"),
    ],
)
def test_no_branch(branch: tuple[Any, Any, Any], message: str) -> None:
    env = gym.make_vec(ID, num_envs=4, autoreset_mode="Disabled")
    with pytest.raises(gym.error.ResetNeeded, match=r"before branch\(\)"):
        env.branch(*map(np.array, branch))
    env.reset(seed=1)
    before = env.snapshot()
    with pytest.raises(ValueError, match=message):
        env.branch(*map(np.array, branch))
    for name, value in env.snapshot().items():
        assert numbers(value) == numbers(before[name])


def test_no_branch_leaves_the_scenario_that_a_sub_environment_was_given() -> None:
    env = gym.make_vec(ID, num_envs=2, scenario=["aql10-rql20", "lot-200"])
    env.reset(seed=1)
    with pytest.raises(ValueError, match="scenario: each sub-environment has its own"):
        env.branch(np.array([0]), np.array([1]), np.array([0]))


def test_an_ended_episode_is_drawn_as_ended() -> None:
    env = gym.make_vec(ID, num_envs=2, render_mode="ansi", autoreset_mode="Disabled")
    alone = gym.make(ID, render_mode="ansi")
    env.reset(seed=1)
    alone.reset(seed=1)
    for action in (0, 1):
        env.step(np.array([action, 0]))
        alone.step(action)
        assert env.render()[0].splitlines()[0] == alone.render().splitlines()[0]


def test_an_episode_that_was_cut_off_is_drawn_as_it_stands() -> None:
    env_id = "qc_gym/Assembly-v0"
    env = gym.make_vec(
        env_id, num_envs=2, render_mode="ansi", autoreset_mode="Disabled", max_episode_steps=1
    )
    alone = gym.wrappers.TimeLimit(gym.make(env_id, render_mode="ansi"), 1)
    env.reset(seed=1)
    alone.reset(seed=1)
    action = 0
    assert env.step(np.array([action, action]))[3].all()
    assert alone.step(action)[3]
    asked = "part_2: use it or inspect it?"
    assert env.render()[0].splitlines()[-1] == alone.render().splitlines()[-1] == asked


def test_a_branch_needs_an_episode_under_way_and_begins_one() -> None:
    env = gym.make_vec(ID, num_envs=3, autoreset_mode="Disabled")
    env.reset(seed=1)
    env.step(np.array([1, 0, 0]))  # the first lot is accepted
    with pytest.raises(gym.error.ResetNeeded, match=r"sources\[1\] = 0: .*is over"):
        env.branch(np.array([1, 2]), np.array([2, 0]), np.array([0, 0]))
    moved, *_ = env.branch(np.array([0]), np.array([1]), np.array([0]))
    assert moved.all()
    observations = env.step(np.zeros(3, np.int64))[0]
    assert (observations[:, 0] * 400).round().tolist() == [3, 2, 2]
