"""Tabulated policies as stable-baselines3 plays them, and any policy as a table."""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv
from strategies import scenarios

import baselines
from baselines.core.model import TabularModel
from baselines.core.policy import TabularPolicy, constant_policy, uniform_policy
from baselines.core.policy import tabulate as tabulate_player
from baselines.sampling.model import build_model
from qc_gym.core import policy as asking
from qc_gym.core.policy import Player, Policy, feature_lens
from qc_gym.sampling.scenario import SequentialSamplingScenario

ID = "qc_gym/SequentialSampling-v0"
INSPECT, ACCEPT, REJECT = range(3)
SMALL: dict[str, Any] = {
    "prior": {"kind": "two_point", "good": 0.1, "bad": 0.4, "prob_bad": 0.4},
    "inspection_cost": 1.0,
    "accept_bad_cost": 40.0,
    "reject_good_cost": 30.0,
    "max_samples": 12,
}
LOT = {**SMALL, "lot_size": 20}
BETA = {
    **SMALL,
    "prior": {"kind": "beta", "a": 1.5, "b": 4.0, "limit": 0.25},
    "loss": "linear",
    "accept_bad_cost": 400.0,
    "reject_good_cost": 300.0,
}
SCENARIOS = [pytest.param(s, id=n) for s, n in ((SMALL, "small"), (LOT, "lot"), (BETA, "beta"))]


def make_env(scenario: Any = SMALL, observation: str = "belief") -> gym.Env[Any, Any]:
    return gym.make(ID, scenario=scenario, observation=observation)


def tables_of(scenario: Any = SMALL, observation: str = "belief") -> TabularModel:
    parsed = SequentialSamplingScenario.parse(scenario)
    assert isinstance(parsed, SequentialSamplingScenario)
    return build_model(parsed, observation)


def tabulate(
    policy: Any,
    tables: TabularModel,
    features: np.ndarray | None = None,
    deterministic: bool | None = None,
) -> np.ndarray | None:
    lenses = [] if features is None else [feature_lens(features)]
    return tabulate_player(Player(policy, 3, lenses, deterministic=deterministic), tables)


def lattice(most: int) -> list[tuple[int, int]]:
    return [(n, d) for n in range(most + 1) for d in range(n + 1)]


def drawn_actions(tables: TabularModel, seed: int) -> np.ndarray:
    """Return actions that any state may take: mostly inspect, so that episodes are long."""
    rng = np.random.default_rng(seed)
    actions = rng.choice(3, tables.num_states, p=[0.8, 0.1, 0.1])
    actions[0] = INSPECT
    return actions


def spread(tables: TabularModel, over: TabularModel, actions: np.ndarray) -> np.ndarray:
    """Return actions on (n, d) as actions on the states of a model of the same scenario."""
    assert over.num_states % tables.num_states == 0
    return np.repeat(actions, over.num_states // tables.num_states)


# --- where the observation tells the state -----------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_batch_and_single_answers_are_those_of_the_table(scenario: Any) -> None:
    tables = tables_of(scenario)
    table = drawn_actions(tables, 1)
    policy = TabularPolicy.of(tables, table)
    order = np.random.default_rng(2).integers(0, tables.num_states, 300)
    actions, state = policy.predict(tables.observations[order])
    assert state is None
    np.testing.assert_array_equal(actions, table[order])
    for row in range(tables.num_states):
        action, state = policy.predict(tables.observations[row])
        assert np.shape(action) == ()
        assert action == table[row]
        assert state is None


@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_a_single_answer_is_an_action_of_the_environment(observation: str) -> None:
    env = make_env(observation=observation)
    policy = baselines.solve(env).policy
    seen, _ = env.reset(seed=0)
    action, _ = policy.predict(seen)
    assert env.action_space.contains(action)
    env.step(action)


def test_numbers_beyond_the_models_own_are_not_read() -> None:
    tables = tables_of()
    policy = TabularPolicy.of(tables, drawn_actions(tables, 3))
    extended = np.concatenate([tables.observations, np.full((tables.num_states, 2), 0.7)], axis=1)
    np.testing.assert_array_equal(policy.predict(extended)[0], policy.actions)
    np.testing.assert_array_equal(policy.action_probabilities(extended), policy.probabilities)
    assert policy.predict(extended[5])[0] == policy.actions[5]


def test_an_observation_of_another_scenario_is_an_error() -> None:
    tables, other = tables_of(), tables_of({**SMALL, "max_samples": 13})
    policy = constant_policy(tables, ACCEPT)
    foreign = other.observations[4]
    with pytest.raises(ValueError, match="another scenario"):
        policy.predict(foreign)
    batch = tables.observations[:9].copy()
    policy.predict(batch)
    batch[7] = foreign
    with pytest.raises(ValueError, match="another scenario"):
        policy.predict(batch)
    with pytest.raises(ValueError, match="another scenario"):
        policy.action_probabilities(batch)
    batch[7] = np.nan
    with pytest.raises(ValueError, match="another scenario"):
        policy.predict(batch)


@pytest.mark.parametrize("name", SequentialSamplingScenario.presets)
def test_beliefs_tell_the_state_and_outcomes_do_not(name: str) -> None:
    tables, outcome = tables_of(name), tables_of(name, "outcome")
    assert tables.is_observed
    np.testing.assert_array_equal(tables.rows_of(tables.observations), np.arange(tables.num_states))
    assert not outcome.is_observed


# --- where it does not: memory -----------------------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_by_the_outcomes_alone_it_plays_as_with_the_belief(scenario: Any) -> None:
    """The same seed makes the same world: the same actions, rewards and lengths must follow."""
    tables, outcome = tables_of(scenario), tables_of(scenario, "outcome")
    optimum = baselines.solve(make_env(scenario)).policy.actions
    for table in (optimum, drawn_actions(tables, 4), drawn_actions(tables, 5)):
        seeing = TabularPolicy.of(tables, table)
        remembering = TabularPolicy.of(outcome, spread(tables, outcome, table))
        histories = []
        for policy, observation in ((seeing, "belief"), (remembering, "outcome")):
            env, history = make_env(scenario, observation), []
            memory: Any = None
            start = np.ones(1, bool)
            for seed in range(60):
                seen, _ = env.reset(seed=seed)
                ended = False
                while not ended:
                    action, memory = policy.predict(seen, state=memory, episode_start=start)
                    seen, reward, ended, _, _ = env.step(action)
                    history.append((int(action), float(reward), ended))
                    start = np.array([ended])
            histories.append(history)
        assert histories[0] == histories[1]
        assert len(histories[0]) > 60


def test_a_batch_remembers_each_episode_on_its_own() -> None:
    """Episodes of a batch end at different times, and begin again within the same step."""
    tables, outcome = tables_of(), tables_of(observation="outcome")
    table = drawn_actions(tables, 6)
    seeing = TabularPolicy.of(tables, table)
    remembering = TabularPolicy.of(outcome, spread(tables, outcome, table))
    beliefs, outcomes = (
        gym.make_vec(
            ID,
            num_envs=9,
            scenario=SMALL,
            observation=observation,
            autoreset_mode=AutoresetMode.SAME_STEP,
        )
        for observation in ("belief", "outcome")
    )
    seen, _ = beliefs.reset(seed=7)
    heard, _ = outcomes.reset(seed=7)
    starts, memory, ends = np.ones(9, bool), None, 0
    for _ in range(200):
        actions, _ = seeing.predict(seen)
        guesses, memory = remembering.predict(heard, state=memory, episode_start=starts)
        np.testing.assert_array_equal(guesses, actions)
        seen, *_ = beliefs.step(actions)
        heard, _, starts, _, _ = outcomes.step(guesses)
        assert np.asarray(memory).shape[0] == 9
        ends += int(starts.sum())
    assert 50 < ends < 9 * 200


@pytest.mark.parametrize("num_envs", [1, 3])
def test_stable_baselines3_evaluates_both_alike(num_envs: int) -> None:
    returns = []
    for observation in ("belief", "outcome"):
        policy = baselines.solve(make_env(observation=observation)).policy
        env = DummyVecEnv([lambda kind=observation: make_env(observation=kind)] * num_envs)
        env.seed(11)
        found = evaluate_policy(
            policy,  # type: ignore[arg-type]  # it names predict as it is typed here
            env,
            n_eval_episodes=40,
            return_episode_rewards=True,
            warn=False,
        )
        returns.append(found)
    assert returns[0] == returns[1]
    assert len(set(returns[0][0])) > 5


def test_without_what_it_returned_it_cannot_follow() -> None:
    env = make_env(observation="outcome")
    policy = constant_policy(tables_of(observation="outcome"), INSPECT)
    first, _ = env.reset(seed=0)
    second, *_ = env.step(INSPECT)
    _, memory = policy.predict(first)
    policy.predict(second, state=memory)
    with pytest.raises(ValueError, match="episode_start"):
        policy.predict(second)
    with pytest.raises(ValueError, match="episode_start"):
        policy.predict(second, episode_start=np.array([False]))
    with pytest.raises(ValueError, match="episode_start"):
        policy.predict(first, state=memory)
    action, _ = policy.predict(first, state=memory, episode_start=np.array([True]))
    assert action == INSPECT


def test_what_depends_on_memory_has_no_probabilities_by_observation() -> None:
    outcome = tables_of(observation="outcome")
    with pytest.raises(ValueError, match="memory"):
        uniform_policy(outcome).action_probabilities(outcome.observations[:3])


# --- drawn actions -----------------------------------------------------------------------------


@pytest.mark.parametrize("chances", [(0.2, 0.5, 0.3), (0.0, 0.999, 0.001), (0.5, 0.0, 0.5)])
def test_drawn_actions_come_as_often_as_the_table_says(chances: tuple[float, ...]) -> None:
    tables = tables_of()
    policy = TabularPolicy.of(tables, np.tile(chances, (tables.num_states, 1)))
    draws = 40_000
    seen = np.tile(tables.observations[3], (draws, 1))
    actions, _ = policy.predict(seen, deterministic=False)
    for action, chance in enumerate(chances):
        spread_of_count = np.sqrt(draws * chance * (1 - chance))
        assert abs((actions == action).sum() - draws * chance) <= 4 * spread_of_count
    likeliest, _ = policy.predict(seen[:100], deterministic=True)
    assert set(likeliest) == {int(np.argmax(chances))}


def test_each_row_of_a_batch_draws_from_its_own_state() -> None:
    tables = tables_of()
    table = drawn_actions(tables, 8)
    policy = TabularPolicy.of(tables, table)
    actions, _ = policy.predict(tables.observations, deterministic=False)
    np.testing.assert_array_equal(actions, table)
    outcome = tables_of(observation="outcome")
    start = np.repeat(outcome.observations[:1], 500, axis=0)
    drawn, memory = uniform_policy(outcome).predict(start, deterministic=False)
    assert set(drawn) == {INSPECT, ACCEPT, REJECT}
    np.testing.assert_array_equal(
        memory[:, 1], drawn
    )  # it remembers what it did, not the likeliest


def test_random_and_constant_policies() -> None:
    tables = tables_of()
    random = uniform_policy(tables).probabilities
    for row, (n, _) in enumerate(lattice(12)):
        expected = [1 / 3, 1 / 3, 1 / 3] if n < 12 else [0, 0.5, 0.5]
        assert random[row].tolist() == pytest.approx(expected)
    for action in range(3):
        always = constant_policy(tables, action)
        np.testing.assert_array_equal(always.actions, np.full(tables.num_states, action))
        assert isinstance(always, Policy)
    with pytest.raises(ValueError, match="allowed are 0 to 2"):
        constant_policy(tables, 3)
    with pytest.raises(ValueError, match="shape"):
        TabularPolicy.of(tables, np.zeros(5, int))


# --- any policy as a table ---------------------------------------------------------------------


class Rule:
    """A user's rule on (n, d): inspects four, then decides by the number of defectives."""

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    @staticmethod
    def action(n: int, d: int) -> int:
        if n < 4:
            return INSPECT
        return ACCEPT if d <= 1 else REJECT

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic=True
    ) -> tuple[Any, Any]:
        counts = np.rint(np.atleast_2d(observation)[:, :2] * 12).astype(int)
        self.asked.append(np.array(observation))
        return np.array([self.action(n, d) for n, d in counts]), None


def test_a_users_rule_is_tabulated_at_every_count() -> None:
    tables = tables_of()
    probabilities = tabulate(Rule(), tables)
    assert probabilities is not None
    expected = np.eye(3)[[Rule.action(n, d) for n, d in lattice(12)]]
    np.testing.assert_array_equal(probabilities, expected)


@pytest.mark.parametrize("batch_size", [1, 7, 91, 1000])
def test_batches_ask_for_every_state_once(batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_BATCH", batch_size)
    tables, rule = tables_of(), Rule()
    assert tables.num_states == 91
    whole = tabulate(Rule(), tables)
    np.testing.assert_array_equal(tabulate(rule, tables), whole)
    # The first question is whether it has memory, the last whether it repeats its first answers.
    asked = rule.asked[1:-1]
    np.testing.assert_array_equal(rule.asked[-1], tables.observations)
    assert max(map(len, asked)) <= batch_size
    np.testing.assert_array_equal(np.concatenate(asked), tables.observations)


def test_features_are_appended_to_what_the_policy_sees() -> None:
    tables, rule = tables_of(), Rule()
    features = np.array([0.25, 1.0], np.float32)
    tabulate(rule, tables, features)
    for asked in rule.asked:
        assert asked.shape[1] == 6
        assert asked.dtype == np.float32
        assert (asked[:, 4:] == features).all()
    np.testing.assert_array_equal(rule.asked[-1][:, :4], tables.observations)


class Soft(Rule):
    """The same rule, taken with probability .9, and a uniform action otherwise."""

    def action_probabilities(self, observations: np.ndarray) -> np.ndarray:
        actions, _ = self.predict(observations)
        return (0.1 / 3 + 0.9 * np.eye(3)[actions]).astype(np.float32)


def test_drawing_policies_are_asked_for_their_probabilities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables = tables_of()
    hard = tabulate(Rule(), tables)
    assert hard is not None
    for batch_size in (10, 65_536):
        monkeypatch.setattr(asking, "_BATCH", batch_size)
        soft = tabulate(Soft(), tables, deterministic=False)
        assert soft is not None
        np.testing.assert_allclose(soft, 0.1 / 3 + 0.9 * hard, atol=1e-7)
        np.testing.assert_allclose(soft.sum(axis=1), 1.0, rtol=1e-15)
    for deterministic in (None, True):
        np.testing.assert_array_equal(tabulate(Soft(), tables, deterministic=deterministic), hard)
    with pytest.raises(TypeError, match="action_probabilities"):
        tabulate(Rule(), tables, deterministic=False)


class Masked:
    """Inspects wherever that is allowed, as the masks say it."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_masks: Any = None,
    ) -> tuple[Any, Any]:
        assert action_masks.shape == (len(observation), 3)
        assert action_masks.dtype == bool
        return np.where(action_masks[:, INSPECT], INSPECT, REJECT), None


class MaskedByKeyword(Masked):
    def predict(  # type: ignore[override]
        self, observation: Any, state=None, episode_start=None, deterministic=True, *, action_masks
    ) -> tuple[Any, Any]:
        return super().predict(observation, action_masks=action_masks)


@pytest.mark.parametrize("policy", [Masked(), MaskedByKeyword()], ids=["argument", "keyword"])
@pytest.mark.parametrize("batch_size", [5, 65_536])
def test_masks_are_given_to_a_policy_that_takes_them(
    policy: Any, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "_BATCH", batch_size)
    probabilities = tabulate(policy, tables_of())
    expected = np.eye(3)[[INSPECT if n < 12 else REJECT for n, _ in lattice(12)]]
    np.testing.assert_array_equal(probabilities, expected)


class Counting(Rule):
    """Has a memory: the number of calls."""

    def predict(self, observation: Any, state: Any = None, *_: Any, **__: Any) -> tuple[Any, Any]:
        return super().predict(observation)[0], 1 if state is None else state + 1


def test_a_policy_with_memory_has_no_table() -> None:
    assert tabulate(Counting(), tables_of()) is None
    outcome = tables_of(observation="outcome")
    assert tabulate(constant_policy(tables_of(observation="outcome"), ACCEPT), outcome) is None


def test_a_tabulated_policy_is_its_own_table() -> None:
    for observation in ("belief", "outcome"):
        tables = tables_of(observation=observation)
        policy = uniform_policy(tables)
        for deterministic in (None, False):
            np.testing.assert_array_equal(
                tabulate(policy, tables, deterministic=deterministic), policy.probabilities
            )
        likeliest = tabulate(policy, tables, deterministic=True)
        np.testing.assert_array_equal(likeliest, np.eye(3)[policy.probabilities.argmax(axis=1)])


def test_a_policy_made_for_the_same_observations_is_looked_up() -> None:
    """With other costs the states look the same, with or without features of a range."""
    tables, cheaper = tables_of(), tables_of({**SMALL, "inspection_cost": 0.5})
    rng = np.random.default_rng(0)
    policy = TabularPolicy.of(cheaper, rng.dirichlet(np.ones(3), cheaper.num_states))
    for features in (None, np.array([0.5], np.float32)):
        found = tabulate(policy, tables, features)
        np.testing.assert_allclose(found, policy.probabilities, rtol=1e-15)
        likeliest = tabulate(policy, tables, features, deterministic=True)
        np.testing.assert_array_equal(likeliest, np.eye(3)[policy.actions])


@pytest.mark.parametrize("thing", [None, 3, np.zeros((91, 3)), Rule])
def test_what_cannot_predict_is_no_policy(thing: Any) -> None:
    with pytest.raises(TypeError, match="predict"):
        tabulate(thing, tables_of())


@pytest.mark.parametrize(
    "answer", [3, -1, 0.5, [0, 0], np.nan], ids=["large", "negative", "half", "pairs", "nan"]
)
def test_answers_that_are_no_actions_are_errors(answer: Any) -> None:
    class Wrong:
        def predict(self, observation: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            return np.array([answer] * len(observation)), None

    with pytest.raises(ValueError, match="policy"):
        tabulate(Wrong(), tables_of())


# --- the model's observations ------------------------------------------------------------------


def test_a_model_that_contradicts_the_environment_is_an_error() -> None:
    tables = tables_of()
    with pytest.raises(ValueError, match="allowed actions"):
        _ = replace(tables, allowed=np.ones_like(tables.allowed)).observations
    backwards = replace(
        tables, make_states=lambda: tables.states[::-1].copy(), allowed=tables.allowed[::-1].copy()
    )
    with pytest.raises(ValueError, match="order"):
        _ = backwards.keys
    foreign = tables.states[-1:].copy()
    foreign["n"] += 1
    with pytest.raises(ValueError, match="does not hold"):
        tables.rows_of_states(foreign)


@given(scenario=scenarios(max_samples=st.integers(1, 12)), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_rows_are_found_by_state_and_by_observation(scenario: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    for observation in ("belief", "outcome"):
        tables = tables_of(scenario, observation)
        rows = rng.integers(0, tables.num_states, 20)
        np.testing.assert_array_equal(tables.rows_of_states(tables.states[rows]), rows)
        shown = tables.observations[tables.rows_of(tables.observations[rows])]
        np.testing.assert_array_equal(shown, tables.observations[rows])


def test_a_rule_that_draws_cannot_pass_for_deterministic() -> None:
    class Drawing:
        def __init__(self) -> None:
            self.generator = np.random.default_rng(0)

        def predict(
            self,
            observation: np.ndarray,
            state: object = None,
            episode_start: object = None,
            deterministic: bool = True,
        ) -> tuple[np.ndarray, None]:
            return self.generator.integers(3, size=len(observation)), None

    env = gym.make("qc_gym/SequentialSampling-v0", scenario="lot-200")
    with pytest.raises(ValueError, match="does not repeat"):
        baselines.score(env, Drawing())
