"""Scores: exact for policies without memory, unbiased for those with; and never a clipped regret."""

import itertools
import math
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import scenario_ranges, scenarios
from stub_policies import Remembering

import baselines
from baselines.core.certificate import Certificate, OracleError, Simulation
from baselines.core.policy import TabularPolicy, constant_policy, uniform_policy
from baselines.core.scoring import Score, worth_by_simulation
from baselines.sampling import SamplingOptimum
from baselines.sampling.model import build_model
from qc_gym.core.policy import Player
from qc_gym.sampling.env import SequentialSamplingVectorEnv
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
RANGE = {
    **SMALL,
    "inspection_cost": {"low": 0.5, "high": 2.0},
    "max_samples": {"choices": [8, 12]},
}
EXACT_PRESETS = list(SequentialSamplingScenario.presets)


def make_env(scenario: Any = SMALL, observation: str = "belief") -> gym.Env[Any, Any]:
    return gym.make(ID, scenario=scenario, observation=observation)


class Rule:
    """Inspects until ``size`` items are seen or ``limit`` defectives, as a user would write it."""

    def __init__(self, most: int = 12, size: int = 6, limit: int = 2) -> None:
        self.most, self.size, self.limit = most, size, limit

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        counts = np.rint(np.atleast_2d(observation)[:, :2] * self.most)
        n, d = counts[:, 0], counts[:, 1]
        actions = np.where(d >= self.limit, REJECT, np.where(n >= self.size, ACCEPT, INSPECT))
        return (actions if np.ndim(observation) == 2 else actions[0]), None


class Slipping:
    """The optimum, but for a share of its actions, which it draws from all three; has a memory."""

    def __init__(self, policy: TabularPolicy, share: float, seed: int) -> None:
        self.policy, self.share = policy, share
        self.generator = np.random.default_rng(seed)

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        actions, _ = self.policy.predict(observation)
        slips = self.generator.random(len(actions)) < self.share
        return np.where(slips, self.generator.integers(0, 3, len(actions)), actions), "memory"

    def exact(self) -> np.ndarray:
        """Return the probabilities of its actions in every state."""
        return (1 - self.share) * self.policy.probabilities + self.share / 3


# --- exact scores ------------------------------------------------------------------------------


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("name", EXACT_PRESETS)
def test_the_optimum_scores_one_and_the_random_policy_zero(name: str, observation: str) -> None:
    env = make_env(name, observation)
    solution = baselines.solve(env)
    best = baselines.score(env, solution.policy)
    assert (best.value, best.regret, best.normalised) == (solution.value, 0.0, 1.0)
    random = baselines.score(env, uniform_policy(solution.model))
    assert random.normalised == 0.0
    assert random.regret > 0.0
    for score in (best, random):
        assert score.exact
        assert score.stderr == 0.0
        assert score.optimum == solution.value == solution.lower == solution.upper
        assert score.value == pytest.approx(score.optimum - score.regret, rel=1e-12)


def test_a_users_rule_is_scored_as_its_episodes_are_paid() -> None:
    """All 2^n results of the rule's inspections, for a good and for a bad lot."""
    value = length = 0.0
    for chance, rate, accept_loss, reject_loss in ((0.6, 0.1, 0.0, 30.0), (0.4, 0.4, 40.0, 0.0)):
        open_paths = [(0, 0, chance)]
        while open_paths:
            n, d, probability = open_paths.pop()
            length += probability
            if d >= 2 or n >= 6:
                value -= probability * (reject_loss if d >= 2 else accept_loss)
                continue
            value -= probability * 1.0
            open_paths.append((n + 1, d + 1, probability * rate))
            open_paths.append((n + 1, d, probability * (1 - rate)))
    env = make_env()
    score = baselines.score(env, Rule())
    assert score.exact
    assert score.value == pytest.approx(value, rel=1e-12)
    assert score.expected_length == pytest.approx(length, rel=1e-12)
    assert score.regret == pytest.approx(baselines.solve(env).value - value, rel=1e-12)
    random = baselines.score(env, baselines.reference_policies(env)["random"]).value
    assert score.normalised == pytest.approx((value - random) / (score.optimum - random))


@given(scenario=scenarios(max_samples=st.integers(1, 12)), seed=st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_no_policy_has_a_negative_regret(scenario: dict[str, Any], seed: int) -> None:
    env = make_env(scenario)
    solution = baselines.solve(env)
    rng = np.random.default_rng(seed)
    size = solution.model.num_states
    scale = max(1.0, abs(solution.value), scenario["accept_bad_cost"], scenario["reject_good_cost"])
    for table in (rng.integers(0, 3, size), rng.dirichlet(np.ones(3), size)):
        score = baselines.score(env, TabularPolicy.of(solution.model, table))
        assert score.regret >= -1e-12 * scale
        assert score.normalised <= 1 + 1e-9
    assert baselines.score(env, solution.policy).regret == 0.0


def test_reference_policies_hold_the_random_and_the_best_constant_one() -> None:
    # Accepting always: −.4 · 40 = −16; rejecting always: −.6 · 30 = −18; inspecting always: −12
    # and then, as inspecting at the last acts as rejecting, −18.
    env = make_env()
    policies = baselines.reference_policies(env)
    assert baselines.score(env, policies["best_constant"]).value == pytest.approx(-16.0)
    assert set(policies["best_constant"].actions) == {ACCEPT}
    tables = baselines.model(env)
    for action, value in enumerate((-30.0, -16.0, -18.0)):
        constant = constant_policy(tables, action)
        assert baselines.score(env, constant).value == pytest.approx(value)
    np.testing.assert_allclose(
        policies["random"].probabilities,
        tables.allowed / tables.allowed.sum(axis=1, keepdims=True),
    )


class SB3Like:
    """The interface of a stable-baselines3 model, with its networks in single precision."""

    def __init__(self) -> None:
        self.policy = object()
        self.weights = np.random.default_rng(5).normal(0, 3, (4, 3)).astype(np.float32)

    def logits(self, observations: np.ndarray) -> np.ndarray:
        return observations[:, :4] @ self.weights

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        assert isinstance(observation, np.ndarray)
        assert observation.dtype == np.float32
        if deterministic:
            return self.logits(observation).argmax(axis=1), state
        return np.zeros(len(observation), int), state

    def action_probabilities(self, observations: np.ndarray) -> np.ndarray:
        powers = np.exp(self.logits(observations))
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def test_a_model_like_those_of_stable_baselines3_is_scored_exactly() -> None:
    env, model = make_env(), SB3Like()
    tables = baselines.model(env)
    likeliest = baselines.score(env, model)
    expected = baselines.evaluate(tables, model.logits(tables.observations).argmax(axis=1))
    assert likeliest.exact
    assert likeliest.value == expected.value
    drawn = baselines.score(env, model, deterministic=False)
    softmax = model.action_probabilities(tables.observations).astype(float)
    softmax /= softmax.sum(axis=1, keepdims=True)
    assert drawn.exact
    assert drawn.value == pytest.approx(baselines.evaluate(tables, softmax).value, rel=1e-12)
    assert drawn.value != likeliest.value


def test_likeliest_and_drawn_actions_of_a_table_are_told_apart() -> None:
    env = make_env()
    policy = Slipping(baselines.solve(env).policy, 0.3, 0)
    table = TabularPolicy.of(baselines.model(env), policy.exact())
    assert baselines.score(env, table, deterministic=True).regret == 0.0
    for deterministic in (None, False):
        assert baselines.score(env, table, deterministic=deterministic).regret > 1.0


# --- policies with memory ----------------------------------------------------------------------


def test_memory_that_changes_nothing_changes_no_score() -> None:
    env = make_env()
    tables = baselines.model(env)
    rng = np.random.default_rng(0)
    table = TabularPolicy.of(tables, rng.choice(3, tables.num_states, p=[0.8, 0.1, 0.1]))
    policies = {"rule": Rule(), "late": Rule(size=11, limit=4), "table": table}
    for policy in policies.values():
        exact = baselines.score(env, policy)
        found = baselines.score(env, Remembering(policy), episodes=20_000, seed=1)
        assert not found.exact
        assert found.stderr > 0.0
        assert abs(found.value - exact.value) <= 4 * found.stderr
        assert found.value == pytest.approx(found.optimum - found.regret)
        assert found.expected_length == pytest.approx(exact.expected_length, rel=0.05)
        range_ = exact.regret / (1 - exact.normalised)
        assert found.normalised == pytest.approx(1 - found.regret / range_)


@pytest.mark.parametrize("name", EXACT_PRESETS)
def test_the_optimum_with_memory_has_no_regret_and_no_error(name: str) -> None:
    """What it sees is the outcome only; it is not the table that the score knows."""
    scenario = SequentialSamplingScenario.parse(name)
    assert isinstance(scenario, SequentialSamplingScenario)
    policy = SamplingOptimum.of(build_model(scenario, "outcome")).policy
    score = baselines.score(make_env(name, "outcome"), policy, episodes=500)
    assert not score.exact
    assert (score.regret, score.stderr, score.normalised) == (0.0, 0.0, 1.0)
    assert score.value == score.optimum == baselines.solve(make_env(name)).value


def test_a_table_with_memory_is_scored_as_the_table_says() -> None:
    """deterministic=None draws from a tabulated policy, also where it must remember."""
    scenario = SequentialSamplingScenario.parse(SMALL)
    assert isinstance(scenario, SequentialSamplingScenario)
    foreign = uniform_policy(build_model(scenario, "outcome"))
    env = make_env(observation="outcome")
    exact = baselines.score(env, uniform_policy(baselines.model(env)))
    found = baselines.score(env, foreign)
    assert not found.exact
    assert abs(found.value - exact.value) <= 4 * found.stderr
    likeliest = baselines.score(env, foreign, deterministic=True)
    expected = baselines.evaluate(foreign.model, foreign.actions).value
    assert abs(likeliest.value - expected) <= 4 * likeliest.stderr


def test_the_error_vanishes_as_a_policy_approaches_the_optimum() -> None:
    env = make_env("aql10-rql20")
    best = baselines.solve(env).policy
    errors = []
    for share in (0.1, 0.03, 0.01, 0.003, 0.0):
        policy = Slipping(best, share, seed=3)
        exact = baselines.score(env, TabularPolicy.of(best.model, policy.exact()))
        found = baselines.score(env, policy, episodes=5_000, seed=2)
        assert not found.exact
        assert abs(found.value - exact.value) <= 4 * found.stderr
        errors.append(found.stderr)
    assert all(later < earlier for earlier, later in itertools.pairwise(errors))
    assert errors[-1] == 0.0


def test_the_error_is_that_of_repeated_scores() -> None:
    """With one seed after another: each must bring new episodes, and the error tell their spread."""
    env = make_env()
    scores = [
        baselines.score(env, Remembering(Rule()), episodes=512, seed=seed) for seed in range(60)
    ]
    values = np.array([score.value for score in scores])
    stderr = float(np.mean([score.stderr for score in scores]))
    # The spread of 60 values is known to 1 / sqrt(2 · 59) = 9 %: three of these.
    assert values.std(ddof=1) == pytest.approx(stderr, rel=0.28)
    exact = baselines.score(env, Rule()).value
    assert abs(values.mean() - exact) <= 4 * stderr / math.sqrt(60)


def test_scores_of_policies_with_memory_are_reproducible() -> None:
    env = make_env()
    one, two, other = (
        baselines.score(env, Remembering(Rule()), episodes=700, seed=seed) for seed in (4, 4, 5)
    )
    assert one == two
    assert one.value != other.value
    assert one.optimum == other.optimum


class ChecksMemory:
    """Inspects ``size`` items of each episode and rejects, by counting its own calls."""

    size = 3

    def __init__(self) -> None:
        self.starts = 0

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_masks: Any = None,
    ) -> tuple[Any, Any]:
        count = len(observation)
        calls = np.zeros(count, int) if state is None else state
        if episode_start is not None:
            assert episode_start.shape == (count,)
            calls = np.where(episode_start, 0, calls)
            self.starts += int(episode_start.sum())
            inspected = np.rint(observation[:, 0] * 12).astype(int)
            np.testing.assert_array_equal(calls, inspected)
        assert action_masks.shape == (count, 3)
        assert action_masks.dtype == bool
        return np.where(calls < self.size, INSPECT, REJECT), calls + 1


@pytest.mark.parametrize("episodes", [1, 3, 256, 257, 1000])
def test_every_episode_is_played_from_its_start_to_its_end(episodes: int) -> None:
    env, policy = make_env(observation="outcome"), ChecksMemory()
    score = baselines.score(env, policy, episodes=episodes)
    assert score.expected_length == 4.0
    rounds = math.ceil(episodes / min(episodes, 256))
    # Starts: those of the episodes that count; and the last ones of a batch that still goes on.
    assert policy.starts == rounds * min(episodes, 256)
    assert score.stderr > 0.0
    assert math.isinf(score.stderr) == (episodes == 1)
    if episodes > 200:  # −3 − 30 · .6: it rejects without a look
        assert abs(score.value - -21.0) <= 4 * score.stderr


def test_simulated_scores_need_a_same_step_reset() -> None:
    scenario = SequentialSamplingScenario.parse(SMALL)
    solution = baselines.solve(make_env())
    env = SequentialSamplingVectorEnv(2, scenario, autoreset_mode=AutoresetMode.NEXT_STEP)
    with pytest.raises(ValueError, match="SAME_STEP"):
        worth_by_simulation(
            solution.gaps, solution.stakes, Player(Remembering(Rule()), 3), env, 10, 0
        )


# --- ranges of scenarios -----------------------------------------------------------------------


class FeatureRule(Rule):
    """Reads from the features what an item costs, and how many there may be."""

    def predict(self, observation: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        observation = np.atleast_2d(observation)
        assert observation.shape[1] == 6
        assert len(set(map(tuple, observation[:, 4:]))) == 1
        self.most = 8 if observation[0, 5] == 0.0 else 12
        self.size = 2 if observation[0, 4] > 0.5 else 5
        return super().predict(observation, *args, **kwargs)


def test_on_a_range_the_scenario_that_was_drawn_is_scored() -> None:
    env = make_env(RANGE)
    seen = set()
    for seed in range(12):
        env.reset(seed=seed)
        drawn = env.unwrapped.scenario
        fixed = make_env(drawn)
        is_dear = (drawn.inspection_cost - 0.5) / 1.5 > 0.5
        rule = Rule(drawn.max_samples, 2 if is_dear else 5)
        seen.add((drawn.max_samples, is_dear))
        assert baselines.score(env, FeatureRule()) == baselines.score(fixed, rule)
        assert baselines.solve(env) is baselines.solve(fixed)
        assert baselines.score(env, baselines.solve(fixed).policy).regret == 0.0
    assert len(seen) == 4


def test_a_policy_of_another_drawn_scenario_is_scored_by_its_observations() -> None:
    env = make_env({**SMALL, "inspection_cost": {"low": 0.1, "high": 8.0}})
    env.reset(seed=1)
    first = baselines.solve(env)
    env.reset(seed=2)
    second = baselines.solve(env)
    score = baselines.score(env, first.policy)
    expected = baselines.evaluate(second.model, first.policy.actions).value
    assert score.value == pytest.approx(expected, rel=1e-12)
    assert second.value != first.value


def test_a_policy_with_memory_sees_the_features_in_the_simulation() -> None:
    env = make_env(RANGE)
    for seed in range(4):
        env.reset(seed=seed)
        drawn = env.unwrapped.scenario
        fixed = make_env(drawn)
        rule = Rule(drawn.max_samples, 2 if (drawn.inspection_cost - 0.5) / 1.5 > 0.5 else 5)
        score = baselines.score(env, Remembering(FeatureRule()), episodes=500)
        assert not score.exact
        assert score == baselines.score(fixed, Remembering(rule), episodes=500)
        rows = baselines.disagreements(env, Remembering(FeatureRule()), episodes=500)
        assert rows == baselines.disagreements(fixed, Remembering(rule), episodes=500)


def test_a_range_needs_a_reset() -> None:
    with pytest.raises(gym.error.ResetNeeded):
        baselines.solve(make_env(RANGE))


@given(fields=scenario_ranges(), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_solving_a_range_is_solving_what_was_drawn(fields: dict[str, Any], seed: int) -> None:
    env = make_env(fields)
    env.reset(seed=seed)
    solution = baselines.solve(env)
    assert solution.model.scenario == env.unwrapped.scenario
    assert baselines.score(env, solution.policy).regret == 0.0


# --- what is asked, and of what ----------------------------------------------------------------


def test_solutions_are_kept() -> None:
    env = make_env()
    solution = baselines.solve(env)
    assert baselines.solve(make_env(dict(SMALL))) is solution
    assert baselines.model(env) is solution.model
    assert baselines.solve(make_env({**SMALL, "inspection_cost": 2.0})) is not solution
    assert baselines.solve(make_env(observation="outcome")) is not solution


def test_wrapped_and_vector_environments_ask_the_same() -> None:
    env = make_env()
    solution, score = baselines.solve(env), baselines.score(env, Rule())
    wrapped = gym.wrappers.RecordEpisodeStatistics(gym.wrappers.TimeLimit(env, 99))
    vector = gym.make_vec(ID, num_envs=3, scenario=SMALL)
    recorded = gym.wrappers.vector.RecordEpisodeStatistics(vector)
    listed = gym.make_vec(ID, num_envs=2, scenario=[SMALL, dict(SMALL)])
    for one in (env.unwrapped, wrapped, vector, recorded, listed):
        assert baselines.solve(one) is solution
        assert baselines.score(one, Rule()) == score
        assert list(baselines.reference_policies(one))[:2] == ["random", "best_constant"]


def test_what_has_no_optimum_is_an_error_that_says_so() -> None:
    cheap = {**SMALL, "inspection_cost": 0.1}
    strangers = [
        gym.make("CartPole-v1"),
        None,
        "CartPole-v1",
        SequentialSamplingScenario.parse(SMALL),
    ]
    for stranger in strangers:
        for ask in (baselines.solve, baselines.certify, baselines.reference_policies):
            with pytest.raises(TypeError, match="environment of qc_gym"):
                ask(stranger)
        with pytest.raises(TypeError, match="environment of qc_gym"):
            baselines.score(stranger, Rule())
    several = gym.make_vec(ID, num_envs=2, scenario=[SMALL, cheap])
    drawing = gym.make_vec(ID, num_envs=2, scenario=RANGE)
    for vector in (several, drawing):
        with pytest.raises(TypeError, match="different scenarios"):
            baselines.score(vector, Rule())
    for thing in (None, 1, "sprt", np.zeros(91, int)):
        with pytest.raises(TypeError, match="predict"):
            baselines.score(make_env(), thing)
    with pytest.raises(TypeError, match="action_probabilities"):
        baselines.score(make_env(), Rule(), deterministic=False)


# --- a wrong optimum is noticed ----------------------------------------------------------------


def with_value(optimum: SamplingOptimum, value: float) -> SamplingOptimum:
    return replace(optimum, solution=replace(optimum.solution, value=value))


def test_a_regret_below_zero_is_an_error_and_not_a_zero() -> None:
    solution = baselines.solve(make_env())
    best = solution.policy.probabilities
    assert solution.worth(best).regret == 0.0
    for lie in (1e-6, 1.0):
        with pytest.raises(OracleError, match="negative"):
            with_value(solution, solution.value - lie).worth(best)


def test_a_regret_that_is_not_the_sum_of_gaps_is_an_error() -> None:
    solution = baselines.solve(make_env())
    random = uniform_policy(solution.model).probabilities
    assert solution.worth(random).regret > 0
    better = with_value(solution, solution.value + 1e-6)
    with pytest.raises(OracleError, match="sum of gaps"):
        better.worth(random)
    optimum = solution.solution
    action_values = optimum.action_values.copy()
    action_values[0] += 1e-6
    wrong = replace(solution, solution=replace(optimum, action_values=action_values))
    with pytest.raises(OracleError, match="sum of gaps"):
        wrong.worth(random)


def test_a_gap_below_zero_along_an_episode_is_an_error() -> None:
    solution = baselines.solve(make_env())
    optimum = solution.solution
    wrong = replace(solution, solution=replace(optimum, values=optimum.values - 1e-6))
    env = SequentialSamplingVectorEnv(
        4, SequentialSamplingScenario.parse(SMALL), autoreset_mode=AutoresetMode.SAME_STEP
    )
    player = Player(Remembering(solution.policy), 3)
    found = worth_by_simulation(solution.gaps, solution.stakes, player, env, 40, 0)
    assert found.regret == 0.0
    with pytest.raises(OracleError, match="gaps"):
        worth_by_simulation(wrong.gaps, wrong.stakes, player, env, 40, 0)


def test_an_environment_in_a_state_that_the_model_lacks_is_an_error() -> None:
    """A world that allows one more item than the model holds."""
    solution = baselines.solve(make_env())
    larger = SequentialSamplingScenario.parse({**SMALL, "max_samples": 13})
    assert isinstance(larger, SequentialSamplingScenario)
    tables = solution.model
    wrong = replace(tables, scenario=larger, allowed=np.ones_like(tables.allowed))
    with pytest.raises(OracleError, match="not in the model"):
        baselines.simulate(constant_policy(wrong, INSPECT), 10, 0)


# --- simulation and certificate ----------------------------------------------------------------


def test_simulations_are_seeded() -> None:
    policy = baselines.solve(make_env()).policy
    one, two, other = (baselines.simulate(policy, 1000, seed) for seed in (1, 1, 2))
    assert one == two
    assert one != other
    assert one.episodes == 1000
    for episodes in (1, 0):
        with pytest.raises(ValueError, match="at least 2"):
            baselines.simulate(policy, episodes, 0)


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("lot_size", [None, 15])
def test_simulations_agree_with_the_exact_value_of_any_table(
    lot_size: int | None, observation: str
) -> None:
    """Drawn actions included: the environment plays what the model says."""
    env = make_env({**SMALL, "lot_size": lot_size}, observation)
    tables = baselines.model(env)
    rng = np.random.default_rng(0)
    for shape in ((8.0, 1.0, 1.0), (1.0, 1.0, 1.0), (0.3, 0.3, 0.3)):
        policy = TabularPolicy.of(tables, rng.dirichlet(shape, tables.num_states))
        exact = baselines.evaluate(tables, policy.probabilities)
        found = baselines.simulate(policy, 200_000, 3)
        assert abs(found.mean - exact.value) <= 4 * found.stderr
        assert found.mean_length == pytest.approx(exact.expected_length, rel=0.02)


def test_the_standard_error_is_that_of_the_mean() -> None:
    """Rejecting at once costs 30 with probability .6: a variance of 900 · .6 · .4."""
    tables = baselines.model(make_env())
    found = baselines.simulate(constant_policy(tables, REJECT), 100_000, 0)
    assert found.mean_length == 1.0
    expected = math.sqrt(900 * 0.6 * 0.4 / 100_000)
    assert found.stderr == pytest.approx(expected, rel=0.02)
    assert abs(found.mean + 18.0) <= 4 * expected


@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_the_certificate_holds_its_evidence(observation: str) -> None:
    env = make_env("lot-200", observation)
    plain = baselines.solve(env).certificate
    assert plain.simulation is None
    assert plain.deviation is None
    certificate = baselines.certify(env, episodes=50_000, seed=1)
    assert certificate.bellman_residual == plain.bellman_residual <= 1e-10
    assert certificate.value == baselines.solve(env).value
    found = certificate.simulation
    assert found == baselines.simulate(baselines.solve(env).policy, 50_000, 1)
    assert found is not None
    assert certificate.deviation == (found.mean - certificate.value) / found.stderr
    assert abs(certificate.deviation) <= 4


def test_a_simulation_in_which_nothing_varies_has_no_standard_errors() -> None:
    assert Certificate(0.0, 3.0, 3.0, Simulation(3.0, 0.0, 1.0, 10)).deviation == 0.0
    assert Certificate(0.0, 3.0, 3.0, Simulation(3.5, 0.0, 1.0, 10)).deviation == math.inf


def test_a_score_is_a_plain_record() -> None:
    score = baselines.score(make_env(), Rule())
    assert isinstance(score, Score)
    assert score == replace(score)
    assert hash(score) == hash(replace(score))
