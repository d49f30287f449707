"""A policy is scored as it plays behind the wrappers, by every kind of wrapper there is."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import vector as vector_wrappers
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor, VecNormalize

import baselines
from qc_gym.core.errors import ScenarioError

ID = "qc_gym/SequentialSampling-v0"
INSPECT, ACCEPT, REJECT = range(3)
SMALL: dict[str, Any] = {
    "prior": {"kind": "two_point", "good": 0.1, "bad": 0.4, "prob_bad": 0.4},
    "inspection_cost": 1.0,
    "accept_bad_cost": 40.0,
    "reject_good_cost": 30.0,
    "max_samples": 12,
}


def make(**options: Any) -> gym.Env[Any, Any]:
    return gym.make(ID, scenario=SMALL, **options)


class Rule:
    """Inspects four items, then decides by the number of defectives; reads scaled observations."""

    def __init__(self, scale: float = 1.0, shift: float = 0.0, size: int = 4) -> None:
        self.scale, self.shift, self.size = scale, shift, size

    def predict(self, observation: Any, state: Any = None, *_: Any, **__: Any) -> tuple[Any, Any]:
        seen = (np.atleast_2d(observation).astype(np.float64) - self.shift) / self.scale
        assert seen.shape[1] == self.size
        n, d = np.rint(seen[:, :2] * 12).astype(int).T
        return np.where(n < 4, INSPECT, np.where(d <= 1, ACCEPT, REJECT)), None


PLAIN = baselines.score(make(), Rule())


# --- lenses: the score stays exact -------------------------------------------------------------


def test_what_changes_nothing_changes_no_score() -> None:
    env = wrappers.RecordEpisodeStatistics(Monitor(make()))
    assert baselines.score(env, Rule()) == PLAIN


def test_a_transformed_observation_is_what_the_policy_sees() -> None:
    space = gym.spaces.Box(-10.0, 10.0, (4,), np.float32)
    env = wrappers.TransformObservation(make(), lambda seen: 3.0 * seen - 1.0, space)
    assert baselines.score(env, Rule(3.0, -1.0)) == PLAIN
    assert baselines.score(env, Rule()).value != PLAIN.value
    narrow = gym.spaces.Box(0.0, 1.0, (2,), np.float32)
    two = wrappers.TransformObservation(make(), lambda seen: seen[:2], narrow)
    assert baselines.score(two, Rule(size=2)) == PLAIN
    with pytest.raises(AssertionError):
        baselines.score(make(), Rule(size=2))


def test_lenses_are_applied_from_the_inside_out() -> None:
    space = gym.spaces.Box(-10.0, 10.0, (4,), np.float32)
    inner = wrappers.TransformObservation(make(), lambda seen: seen + 1.0, space)
    env = wrappers.TransformObservation(inner, lambda seen: seen * 2.0, space)
    assert baselines.score(env, Rule(2.0, 2.0)) == PLAIN
    rescaled = wrappers.RescaleObservation(make(), np.float32(-1.0), np.float32(1.0))
    assert baselines.score(rescaled, Rule(2.0, -1.0)) == PLAIN


def test_normalised_observations_are_frozen_as_they_stand() -> None:
    env = wrappers.NormalizeObservation(make())
    for seed in range(20):
        env.reset(seed=seed)
        while not env.step(INSPECT)[2]:
            pass
    mean, scale = env.obs_rms.mean.copy(), np.sqrt(env.obs_rms.var + env.epsilon)
    count = env.obs_rms.count
    rule = Rule()
    rule.scale, rule.shift = 1.0 / scale, -mean / scale  # type: ignore[assignment]
    assert baselines.score(env, rule).value == pytest.approx(PLAIN.value, rel=1e-12)
    assert baselines.score(env, rule).exact
    assert env.obs_rms.count == count  # scoring has not taught it anything


def test_features_of_a_range_come_before_the_wrappers() -> None:
    fields = {**SMALL, "inspection_cost": {"low": 0.5, "high": 2.0}}
    space = gym.spaces.Box(-10.0, 10.0, (5,), np.float32)
    env = wrappers.TransformObservation(gym.make(ID, scenario=fields), lambda s: s * 2.0, space)
    env.reset(seed=3)
    drawn = env.unwrapped.scenario  # type: ignore[attr-defined]
    expected = baselines.score(gym.make(ID, scenario=drawn), Rule())
    assert baselines.score(env, Rule(2.0, size=5)) == expected


def test_renamed_actions_mean_what_the_wrapper_says() -> None:
    swapped = gym.spaces.Discrete(3)
    env = wrappers.TransformAction(make(), lambda action: (action + 1) % 3, swapped)

    class Swapped(Rule):
        def predict(self, *args: Any, **options: Any) -> tuple[Any, Any]:
            return (super().predict(*args, **options)[0] + 2) % 3, None

    assert baselines.score(env, Swapped()) == PLAIN
    assert baselines.score(env, Rule()).value != PLAIN.value


def test_an_optimal_policy_is_scored_behind_wrappers_as_it_plays_there() -> None:
    """Its actions, too, mean what the wrapper says; what it cannot read is no observation of its own."""
    renamed = wrappers.TransformAction(make(), lambda action: (action + 1) % 3, make().action_space)
    optimum = baselines.solve(make())
    own = optimum.policy

    class Asked:
        """The same policy, that nobody can know for the optimal one."""

        def predict(self, *args: Any, **options: Any) -> tuple[Any, Any]:
            return own.predict(*args)

    assert baselines.score(make(), own).regret == 0.0
    assert baselines.score(renamed, own) == baselines.score(renamed, Asked())
    assert baselines.score(renamed, own).regret > 1.0
    space = gym.spaces.Box(-10.0, 10.0, (4,), np.float32)
    shifted = wrappers.TransformObservation(make(), lambda seen: seen + 0.25, space)
    with pytest.raises(ValueError, match="observation"):
        baselines.score(shifted, own)
    flat = wrappers.FlattenObservation(make())
    assert baselines.score(flat, own).regret == 0.0


def test_an_optimal_lot_policy_is_scored_behind_wrappers_as_it_plays_there() -> None:
    env = gym.make("qc_gym/InspectOrStop-v0", scenario="weibull-30")
    own = baselines.solve(env).policy
    turned = wrappers.TransformAction(env, lambda action: 1 - action, env.action_space)
    assert baselines.score(env, own).regret <= baselines.score(env, own).tolerance
    assert baselines.score(turned, own).regret > 1.0
    outcome = gym.make("qc_gym/InspectOrStop-v0", scenario="weibull-30", observation="outcome")
    assert baselines.score(outcome, own).regret > 0.0  # it takes a flag for the belief


def test_vector_wrappers_are_lenses_too() -> None:
    env = gym.make_vec(ID, num_envs=3, scenario=SMALL)
    space = gym.spaces.Box(-10.0, 10.0, (4,), np.float32)
    batch = gym.spaces.Box(-10.0, 10.0, (3, 4), np.float32)
    whole = vector_wrappers.TransformObservation(env, lambda seen: seen * 2.0, batch, space)
    assert baselines.score(whole, Rule(2.0)) == PLAIN
    each = vector_wrappers.VectorizeTransformObservation(
        gym.make_vec(ID, num_envs=3, scenario=SMALL),
        wrappers.TransformObservation,
        func=lambda seen: seen * 2.0,
        observation_space=space,
    )
    assert baselines.score(each, Rule(2.0)) == PLAIN


# --- vectors of environments that Gymnasium makes -----------------------------------------------


@pytest.fixture
def in_processes() -> Iterator[Callable[..., gym.vector.AsyncVectorEnv]]:
    opened = []

    def start(*functions: Callable[[], gym.Env[Any, Any]]) -> gym.vector.AsyncVectorEnv:
        opened.append(gym.vector.AsyncVectorEnv(functions))
        return opened[-1]

    yield start
    for env in opened:
        env.close()


def test_environments_side_by_side_hold_one_problem() -> None:
    assert baselines.score(gym.vector.SyncVectorEnv([make, make]), Rule()) == PLAIN
    assert baselines.score(DummyVecEnv([make, make]), Rule()) == PLAIN


def test_environments_in_other_processes_hold_one_problem(in_processes: Any) -> None:
    env = in_processes(make, make)
    assert baselines.score(env, Rule()) == PLAIN
    assert baselines.solve(env).value == baselines.solve(make()).value
    assert env.reset(seed=0)[0].shape == (2, 4)  # it goes on as it was


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"observation": "outcome"}, "differ in observation: belief .* outcome in number 1"),
        ({"max_episode_steps": 20}, "differ in wrappers"),
        ({"scenario": {**SMALL, "inspection_cost": 2.0}}, "play different scenarios"),
    ],
)
def test_environments_side_by_side_that_differ_are_refused(
    options: dict[str, Any], message: str
) -> None:
    other = gym.make(ID, **{"scenario": SMALL, **options})
    stack = gym.vector.SyncVectorEnv([make])  # Gymnasium refuses some of these mixtures itself
    stack.envs = (stack.envs[0], other)
    with pytest.raises(TypeError, match=message):
        baselines.solve(stack)


def test_statistics_that_differ_are_refused() -> None:
    env = gym.vector.SyncVectorEnv([lambda: wrappers.NormalizeObservation(make())] * 2)
    env.reset(seed=0)
    env.step(np.array([INSPECT, ACCEPT]))
    with pytest.raises(TypeError, match="differ in normalisation"):
        baselines.score(env, Rule())


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: wrappers.NormalizeObservation(make()), "statistics of its NormalizeObservation"),
        (
            lambda: gym.make(ID, scenario={**SMALL, "inspection_cost": {"low": 1.0, "high": 2.0}}),
            "drawn in other processes",
        ),
    ],
)
def test_what_only_other_processes_know_is_refused(
    in_processes: Any, function: Any, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        baselines.score(in_processes(function), Rule())


# --- stable-baselines3 --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def normalised() -> Any:
    """A model trained behind VecNormalize, for whatever it is worth."""
    env = VecNormalize(VecMonitor(DummyVecEnv([make] * 4)))
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, seed=0, device="cpu")
    return model.learn(1024)


def test_a_model_brings_its_own_normalisation(normalised: Any) -> None:
    tables = baselines.model(make())
    seen = normalised.get_vec_normalize_env().normalize_obs(tables.observations)
    actions, _ = normalised.predict(seen, deterministic=True)
    expected = baselines.evaluate(tables, np.asarray(actions)).value
    assert baselines.score(make(), normalised).value == expected
    # Its own environment normalises already: not a second time.
    assert baselines.score(normalised.get_env(), normalised).value == expected
    plain, _ = normalised.predict(tables.observations, deterministic=True)
    assert not np.array_equal(plain, actions)


def test_drawing_from_a_normalised_model_sees_the_same(normalised: Any) -> None:
    from agents import StochasticPolicy

    tables = baselines.model(make())
    policy = StochasticPolicy(normalised)
    seen = normalised.get_vec_normalize_env().normalize_obs(tables.observations)
    expected = baselines.evaluate(tables, policy.action_probabilities(seen)).value
    assert baselines.score(make(), policy, deterministic=False).value == pytest.approx(expected)


def test_a_model_for_other_observations_is_refused_by_shape() -> None:
    stacked = VecFrameStack(DummyVecEnv([make]), 3)
    model = PPO("MlpPolicy", stacked, n_steps=8, batch_size=8, device="cpu")
    with pytest.raises(TypeError, match=r"\(12,\).*\(4,\)"):
        baselines.score(make(), model)
    with pytest.raises(TypeError, match="VecFrameStack"):
        baselines.score(stacked, model)


def test_wrappers_that_a_model_was_trained_behind_are_missed_aloud() -> None:
    env = wrappers.NormalizeObservation(make())
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=8, device="cpu")
    with pytest.warns(UserWarning, match="NormalizeObservation"):
        baselines.score(make(), model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert baselines.score(env, model).exact
        assert baselines.score(model.get_env(), model) == baselines.score(env, model)


# --- rewards -----------------------------------------------------------------------------------


def test_rewards_are_the_environments_own_and_that_is_said() -> None:
    env = wrappers.TransformReward(make(), lambda reward: 100.0 * reward)
    with pytest.warns(UserWarning, match="TransformReward.*own money"):
        assert baselines.score(env, Rule()) == PLAIN
    with pytest.warns(UserWarning, match="NormalizeReward"):
        assert baselines.score(wrappers.NormalizeReward(make()), Rule()) == PLAIN


# --- the wrapped environment itself is played ---------------------------------------------------


class Stacked(Rule):
    """Reads the last of three observations."""

    def predict(self, observation: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        assert observation.shape[1:] == (3, 4)
        return super().predict(observation[:, -1])


def test_a_stack_of_frames_is_played_and_has_an_error() -> None:
    env = wrappers.FrameStackObservation(make(), 3)
    score = baselines.score(env, Stacked(), episodes=3000, seed=1)
    assert not score.exact
    assert score.stderr > 0
    assert abs(score.value - PLAIN.value) <= 4 * score.stderr
    assert score == baselines.score(env, Stacked(), episodes=3000, seed=1)
    assert score != baselines.score(env, Stacked(), episodes=3000, seed=2)


_PLAYED: list[Any] = []


class _Noting(gym.Wrapper[Any, Any, Any, Any]):
    """Notes the scenario of each episode; unknown, so that it has to be played."""

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        found = super().reset(**options)
        _PLAYED.append(self.get_wrapper_attr("scenario"))
        return found


def test_of_a_range_the_present_scenario_is_played_in_every_episode() -> None:
    fields = {**SMALL, "inspection_cost": {"low": 0.5, "high": 2.0}}
    env = _Noting(gym.make(ID, scenario=fields))
    env.reset(seed=3)
    drawn = env.get_wrapper_attr("scenario")
    _PLAYED.clear()
    score = baselines.score(env, Rule(size=5), episodes=2000, seed=1)
    assert len(_PLAYED) >= 2000
    assert set(_PLAYED) == {drawn}
    exact = baselines.score(gym.make(ID, scenario=drawn), Rule())
    assert not score.exact
    assert abs(score.value - exact.value) <= 4 * score.stderr
    assert env.get_wrapper_attr("scenario") == drawn


def test_a_limit_that_cannot_bind_changes_nothing() -> None:
    assert baselines.score(wrappers.TimeLimit(make(), 13), Rule()) == PLAIN  # 12 items, a decision
    assert baselines.score(gym.make_vec(ID, num_envs=2, scenario=SMALL), Rule()) == PLAIN


class DecidesLate(Rule):
    """Inspects twelve items, then accepts."""

    def predict(self, observation: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
        return np.where(np.atleast_2d(observation)[:, 0] < 0.99, INSPECT, ACCEPT), None


@pytest.mark.parametrize("is_vector", [False, True])
def test_a_limit_that_binds_is_played(is_vector: bool) -> None:
    """Ten items that decide nothing cost ten: better than the optimum, because nothing is decided."""
    if is_vector:
        env: Any = gym.make_vec(ID, num_envs=2, scenario=SMALL, max_episode_steps=5)
    else:
        env = wrappers.TimeLimit(make(), 5)
    # Four items and a decision are never cut off.
    score = baselines.score(env, Rule(), episodes=2000)
    assert not score.exact
    assert abs(score.value - PLAIN.value) <= 4 * score.stderr
    with pytest.raises(ValueError, match="cut episodes off before they are paid for"):
        baselines.score(env, DecidesLate(), episodes=100)


def test_sticky_actions_are_played_as_they_stick() -> None:
    """Each action is the last one again with probability ¼: the world is that of the gaps."""
    env = wrappers.StickyAction(make(), 0.25)
    score = baselines.score(env, Rule(), episodes=4000, seed=3)
    assert not score.exact
    assert score.regret > 0
    assert score.value != pytest.approx(PLAIN.value, abs=2 * score.stderr)


def test_what_cannot_be_played_is_refused_by_name() -> None:
    vector = gym.make_vec(ID, num_envs=2, scenario=SMALL, autoreset_mode=AutoresetMode.NEXT_STEP)
    clipped = vector_wrappers.TransformAction(
        vector, lambda actions: actions, vector.action_space, vector.single_action_space
    )
    with pytest.raises(TypeError, match="TransformAction"):
        baselines.score(clipped, Rule())
    with pytest.raises(TypeError, match="behind its wrappers"):
        baselines.disagreements(wrappers.FrameStackObservation(make(), 3), Stacked())


def test_an_id_with_a_scenario_is_an_environment() -> None:
    assert baselines.score(ID, Rule(), scenario=SMALL) == PLAIN
    assert baselines.solve(ID, scenario=SMALL) is baselines.solve(make())
    assert baselines.solve(f"qc_gym:{ID}", scenario=SMALL) is baselines.solve(make())
    outcome = baselines.solve(ID, scenario=SMALL, observation="outcome")
    assert outcome.observation == "outcome"
    with pytest.raises(TypeError, match="did you mean 'qc_gym/SequentialSampling-v0'"):
        baselines.solve("SequentialSampling-v0")
    with pytest.raises(TypeError, match="goes with an id"):
        baselines.solve(make(), scenario=SMALL)
    for solve in (baselines.solve, baselines.plan):
        with pytest.raises(ScenarioError, match=r"scenario = 'train': a range .*solve_many"):
            solve(ID, scenario="train")
