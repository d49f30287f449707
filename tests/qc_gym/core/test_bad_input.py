"""What cannot be used is refused with a message that names it, and changes nothing."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

import qc_gym  # noqa: F401
from qc_gym.core.errors import ScenarioError

ID = "qc_gym/SequentialSampling-v0"
RANGE = {
    "prior": {"kind": "beta", "a": 2.0, "b": 9.0, "limit": {"low": 0.1, "high": 0.2}},
    "inspection_cost": 1.0,
    "accept_bad_cost": 40.0,
    "reject_good_cost": 30.0,
    "max_samples": 9,
}


def make(**kwargs: Any) -> Any:
    return gym.make(ID, disable_env_checker=True, **kwargs).unwrapped


def make_vec(num_envs: int = 3, **kwargs: Any) -> Any:
    return gym.make_vec(ID, num_envs=num_envs, **kwargs)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (-1, "-1.*0 to 2.*inspect"),
        (3, "3.*0 to 2"),
        (np.int64(7), "7.*0 to 2"),
        (np.uint64(2**64 - 1), "18446744073709551615"),
        (1.0, "1.0.*whole number"),
        (np.float32(2.0), "2.0.*whole number"),
        (True, "True.*whole number"),
        (np.array([0, 1]), r"\[0, 1\].*whole number"),
        (np.array([], np.int64), "whole number"),
        ("1", "'1'.*whole number"),
        (None, "None.*whole number"),
    ],
    ids=str,
)
def test_action(action: Any, message: str) -> None:
    env, twin = make(scenario="aql10-beta"), make(scenario="aql10-beta")
    env.reset(seed=0), twin.reset(seed=0)
    with pytest.raises(ValueError, match=f"action = .*{message}"):
        env.step(action)
    assert env.state == twin.state
    for _ in range(20):
        assert env.step(0)[0].tobytes() == twin.step(0)[0].tobytes()


@pytest.mark.parametrize("action", [0, np.int8(1), np.uint64(2), np.array(0), np.array([1])])
def test_every_integer_type_is_an_action(action: Any) -> None:
    env, twin = make(), make()
    env.reset(seed=0), twin.reset(seed=0)
    assert env.step(action)[1:4] == twin.step(int(np.asarray(action).item()))[1:4]


@pytest.mark.parametrize("scenario", ["aql10-beta", RANGE], ids=["fixed", "range"])
@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (np.array([0, 0, -1]), r"actions\[2\] = -1: .*0 to 2.*inspect"),
        (np.array([0, 3, 9]), r"actions\[1\] = 3: .*0 to 2"),
        (np.array([0, 0, 2**64 - 1], np.uint64), r"actions\[2\] = 18446744073709551615"),
        (np.array([0.0, 1.0, 2.0]), "actions: .*float64"),
        (np.array([True, False, True]), "actions: .*bool"),
        (np.array([0, 1]), r"actions: .*\(3,\).*\(2,\)"),
        (np.zeros((3, 1), np.int64), r"actions: .*\(3,\).*\(3, 1\)"),
        (1, r"actions: .*\(3,\).*\(\)"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value).replace("\n", ""),
)
def test_actions_of_the_vector_environment(
    actions: Any, message: str, mode: AutoresetMode, scenario: Any
) -> None:
    vector, twin = (make_vec(scenario=scenario, autoreset_mode=mode) for _ in range(2))
    for env in (vector, twin):
        env.reset(seed=0)
        if mode is AutoresetMode.NEXT_STEP:
            env.step(np.array([0, 1, 0]))  # so that one sub-environment is due for a reset
    with pytest.raises(ValueError, match=message):
        vector.step(actions)
    assert (vector.states == twin.states).all()
    for _ in range(5):
        result, expected = vector.step(np.zeros(3, np.int64)), twin.step(np.zeros(3, np.int64))
        for one, other in zip(result[:4], expected[:4], strict=True):
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    "actions",
    [[0, 1, 2], np.array([0, 1, 2], ">i4"), np.array([0, 9, 1, 9, 2], np.uint8)[::2]],
    ids=["list", "big-endian", "strided"],
)
def test_every_array_of_integers_is_actions(actions: Any) -> None:
    vector, twin = make_vec(), make_vec()
    vector.reset(seed=0), twin.reset(seed=0)
    frozen = np.array([0, 1, 2])
    frozen.flags.writeable = False
    for one, other in zip(vector.step(actions)[:4], twin.step(frozen)[:4], strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("scenario", ["aql10-beta", RANGE], ids=["fixed", "range"])
def test_before_the_first_reset(scenario: Any) -> None:
    env, vector = make(scenario=scenario), make_vec(scenario=scenario)
    with pytest.raises(ResetNeeded, match=r"reset\(\)"):
        env.step(0)
    with pytest.raises(ResetNeeded, match=r"reset\(\)"):
        vector.step(np.zeros(3, np.int64))
    with pytest.raises(ResetNeeded, match=r"reset\(\)"):
        env.action_masks()
    with pytest.raises(ResetNeeded, match=r"reset\(\)"):
        vector.action_masks()
    with pytest.raises(ResetNeeded, match="reset"):
        vector.reset(options={"reset_mask": np.array([True, False, True])})
    if scenario is RANGE:
        with pytest.raises(ResetNeeded, match=r"reset\(\)"):
            env.scenario  # noqa: B018


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("last", [1, 2])
def test_step_after_the_end(last: int, wrapped: bool) -> None:
    env = gym.make(ID) if wrapped else make()
    env.reset(seed=0)
    assert env.step(last)[2] is True
    for action in range(3):
        with pytest.raises(ResetNeeded, match="is over"):
            env.step(action)
    env.reset()
    assert env.step(0)[2] is False


def test_step_after_the_end_with_autoreset_disabled() -> None:
    vector, twin = (make_vec(autoreset_mode=AutoresetMode.DISABLED) for _ in range(2))
    for env in (vector, twin):
        env.reset(seed=0)
        env.step(np.array([0, 1, 0]))
    with pytest.raises(ResetNeeded, match=r"sub-environment 1 is over.*reset_mask"):
        vector.step(np.zeros(3, np.int64))
    assert (vector.states == twin.states).all()
    vector.reset(options={"reset_mask": np.array([False, True, False])})
    assert not vector.step(np.zeros(3, np.int64))[2].any()


@pytest.mark.parametrize("num_envs", [0, -1, 2.0, True, "3", None])
def test_num_envs(num_envs: Any) -> None:
    with pytest.raises(ValueError, match=f"num_envs = {num_envs!r}"):
        make_vec(num_envs=num_envs)


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, "5"])
def test_max_episode_steps(limit: Any) -> None:
    with pytest.raises(ValueError, match=f"max_episode_steps = {limit!r}"):
        make_vec(max_episode_steps=limit)


@pytest.mark.parametrize("builder", [make, make_vec])
@pytest.mark.parametrize("observation", ["beliefs", "", None, 3, ["belief"]])
def test_observation(observation: Any, builder: Any) -> None:
    with pytest.raises(ValueError, match=r"observation = .*'belief', 'outcome'") as caught:
        builder(observation=observation)
    assert repr(observation) in str(caught.value)


@pytest.mark.parametrize("setting", ["observation", "render_mode", "autoreset_mode"])
@pytest.mark.parametrize(
    "value", [np.array([]), np.array(["belief", "ansi"]), 10**5000, [[]]], ids="abcd"
)
def test_arrays_and_endless_numbers_are_no_choices(value: Any, setting: str) -> None:
    with pytest.raises(ValueError, match=f"^{setting} = .*: allowed are '"):
        make_vec(**{setting: value})


def test_numbers_too_large_to_be_shown_are_named() -> None:
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action = a int too large to be shown"):
        env.step(10**5000)
    with pytest.raises(ValueError, match="options = a int too large to be shown"):
        env.reset(options=10**5000)
    with pytest.raises(ValueError, match="the option a int too large to be shown is unknown"):
        env.reset(options={10**5000: 1})
    vector = make_vec()
    vector.reset(seed=0)
    with pytest.raises(ValueError, match=r"\['reset_mask'\] = a int too large to be shown"):
        vector.reset(options={"reset_mask": 10**5000})


def test_render_mode() -> None:
    from qc_gym.sampling.env import SequentialSamplingEnv

    with pytest.raises(ValueError, match=r"render_mode = 'hologram'.*'ansi', 'rgb_array', 'human'"):
        SequentialSamplingEnv(render_mode="hologram")
    with pytest.raises(ValueError, match=r"render_mode = 'hologram'.*'ansi', 'rgb_array'"):
        make_vec(render_mode="hologram")
    with pytest.raises(ValueError, match=r"render_mode = 'human'.*'ansi', 'rgb_array'"):
        make_vec(render_mode="human")


def test_autoreset_mode() -> None:
    with pytest.raises(ValueError, match="'Tomorrow'"):
        make_vec(autoreset_mode="Tomorrow")


def test_unknown_reset_option() -> None:
    env, env_twin, vector, twin = make(), make(), make_vec(), make_vec()
    for one in (env, env_twin, vector, twin):
        one.reset(seed=0)
    with pytest.raises(ValueError, match="'quality'"):
        env.reset(seed=5, options={"quality": 0.1})
    with pytest.raises(ValueError, match="'reset_mask'"):
        env.reset(options={"reset_mask": np.array([True])})
    with pytest.raises(ValueError, match=r"'quality'.*'reset_mask'"):
        vector.reset(seed=5, options={"quality": 0.1})
    assert env.state == env_twin.state
    assert (vector.states == twin.states).all()
    assert env.reset()[0].tobytes() == env_twin.reset()[0].tobytes()
    assert env.state == env_twin.state, "the seed of the refused reset was used"
    vector.reset(), twin.reset()
    assert (vector.states == twin.states).all(), "the seed of the refused reset was used"


@pytest.mark.parametrize(
    "mask",
    [
        [True, False, True],
        np.array([1, 0, 1]),
        np.array([True, False]),
        np.array([[True, False, True]]),
        np.zeros(3, np.bool_),
        None,
    ],
    ids=["list", "integers", "short", "matrix", "nothing chosen", "None"],
)
def test_reset_mask(mask: Any) -> None:
    vector, twin = make_vec(), make_vec()
    vector.reset(seed=0), twin.reset(seed=0)
    with pytest.raises(ValueError, match=r"reset_mask'\] = .*bool array of shape \(3,\)"):
        vector.reset(seed=1, options={"reset_mask": mask})
    assert (vector.states == twin.states).all()
    vector.reset(), twin.reset()
    assert (vector.states == twin.states).all(), "the seed of the refused reset was used"


@pytest.mark.parametrize("seed", [[1, 2], [1, 2, 3, 4], []])
def test_list_of_seeds_of_the_wrong_length(seed: Any) -> None:
    vector = make_vec()
    vector.reset(seed=0)
    before = vector.states
    with pytest.raises(ValueError, match=f"seed: a list of {len(seed)} .*num_envs = 3"):
        vector.reset(seed=seed)
    assert (vector.states == before).all()


@pytest.mark.parametrize("seed", [-1, [1, -1, 2]])
def test_negative_seed(seed: Any) -> None:
    vector, twin = make_vec(), make_vec()
    vector.reset(seed=0), twin.reset(seed=0)
    with pytest.raises(ValueError, match=r"seed(\[1\])? = -1: a whole number of at least 0"):
        vector.reset(seed=seed)
    vector.reset(), twin.reset()
    assert (vector.states == twin.states).all(), "a part of the refused seeds was used"


def test_list_of_scenarios() -> None:
    with pytest.raises(ScenarioError, match=r"scenario: a list of 2 .*num_envs = 3"):
        make_vec(scenario=["aql10-beta", "lot-200"])
    with pytest.raises(ScenarioError, match=r"scenario: .*range"):
        make_vec(scenario=["aql10-beta", "lot-200", RANGE])
    with pytest.raises(ScenarioError, match=r"'lot-20'.*'lot-200'"):
        make_vec(scenario=["aql10-beta", "lot-200", "lot-20"])
    with pytest.raises(ScenarioError, match="list"):
        make(scenario=["aql10-beta"])


def test_show_policy() -> None:
    with pytest.raises(TypeError, match=r"policy = 5.*predict"):
        make().show_policy(5)
