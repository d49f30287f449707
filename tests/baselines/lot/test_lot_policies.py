"""Scores of policies of inspect-or-stop: exact values, gaps, reference policies, any predict."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lots import ID, brute_force, parse, small_lot, small_scenarios

import baselines
from baselines.core.scoring import worth_by_simulation
from baselines.lot import (
    LastResult,
    LotOptimum,
    LotSizes,
    PaperAlgorithm,
    averaged_beliefs,
    lot_policy,
)
from qc_gym.core.policy import Player
from qc_gym.lot.env import InspectOrStopVectorEnv
from qc_gym.lot.scenario import InspectOrStopScenario

pytestmark = pytest.mark.filterwarnings("ignore::qc_gym.lot.scenario.InspectionNeverPays")
PRESETS = list(InspectOrStopScenario.presets)


class Foreign:
    """A policy as a user writes it: a threshold on the belief, a lot size, and nothing else known."""

    def __init__(self, size: float, threshold: float) -> None:
        self.size, self.threshold = size, threshold

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: Any = 1
    ) -> tuple[Any, Any]:
        shown = np.atleast_2d(observation)
        produced = shown[:, 0] + shown[:, 3]
        inspects = shown[:, 2] >= self.threshold
        return np.where(shown[:, 4] > 0.5, produced < self.size - 1e-6, inspects).astype(int), None


class Forgetful(Foreign):
    """The same, but it claims a memory, so that it must be simulated."""

    def predict(self, *arguments: Any, **named: Any) -> tuple[Any, Any]:
        actions, _ = super().predict(*arguments, **named)
        return actions, np.zeros(len(actions))


def solved(source: object, observation: str = "belief") -> LotOptimum:
    solution = baselines.solve(gym.make(ID, scenario=source, observation=observation))
    assert isinstance(solution, LotOptimum)
    return solution


@settings(max_examples=40, deadline=None)
@given(small_scenarios(6), st.floats(0.0, 1.0).map(lambda x: 0.00123 + 0.98765 * x))
def test_a_threshold_costs_what_every_history_says(fields: Any, threshold: float) -> None:
    scenario = parse(fields)
    solution = baselines.lot.solve(scenario, "belief")

    def rule(size: int) -> Any:
        return np.full((size, min(size, scenario.demand)), threshold)

    cost = solution.cost(lot_policy(scenario, "belief", scenario.longest_lot, rule))
    # A hair to either side where a belief falls on the threshold.
    expected = [
        brute_force(scenario, scenario.longest_lot, lambda n, d, b, at=at: b >= at)
        for at in (threshold - 1e-9, threshold + 1e-9)
    ]
    error = cost.tolerance + 1e-9
    assert min(expected) - error <= cost.cost <= max(expected) + error


@pytest.mark.parametrize("preset", ["weibull-30", "table-16", "lot-sizing-20"])
def test_constant_policies_cost_the_same_in_both_evaluations(preset: str) -> None:
    scenario, solution = parse(preset), solved(preset)

    def beliefs(size: int) -> Any:
        return np.zeros((size, min(size, scenario.demand)))

    def results(size: int) -> Any:
        return np.ones((size, min(size, scenario.demand), 3))

    costs = [solution.costs_by_size(rule(scenario.longest_lot)) for rule in (beliefs, results)]
    np.testing.assert_allclose(*costs, rtol=1e-12)
    size = scenario.longest_lot
    for rule, by_size in zip((beliefs, results), costs, strict=True):
        one = solution.cost(lot_policy(scenario, "belief", size, rule))
        assert one.cost == pytest.approx(by_size[-1], rel=1e-12)
        assert one.tolerance <= 1e-9 * one.cost


def test_random_play_is_what_every_history_says() -> None:
    fields = small_lot(lot_size=None, max_lot_size=5, unit_cost=0.4, setup_cost=1.0)
    scenario = parse(fields)
    draws = np.random.default_rng(0)
    policy = baselines.reference_policies(gym.make(ID, scenario=fields))["random"]
    env = InspectOrStopVectorEnv(40_000, scenario)
    observations, _ = env.reset(seed=int(draws.integers(2**31)))
    returns, playing = np.zeros(env.num_envs), np.ones(env.num_envs, bool)
    while playing.any():
        actions, _ = policy.predict(observations, deterministic=False)
        observations, rewards, terminated, _, _ = env.step(actions)
        returns += rewards * playing
        playing &= ~terminated
    stderr = returns.std() / np.sqrt(len(returns))
    assert abs(returns.mean() - solved(fields).random_value) < 4 * stderr


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "lot-sizing-200"])
def test_no_reference_policy_beats_the_optimum(preset: str) -> None:
    env = gym.make(ID, scenario=preset)
    policies = baselines.reference_policies(env)
    assert {"random", "best_constant", "lemma_1", "paper", "last_result"} <= policies.keys()
    for policy in policies.values():
        score = baselines.score(env, policy)
        assert score.exact
        assert score.stderr == 0.0
        assert score.regret >= -1e-12
        assert score.normalised <= 1.0 + 1e-12
    assert baselines.score(env, policies["random"]).normalised == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_optimum_loses_nothing(preset: str) -> None:
    env, solution = gym.make(ID, scenario=preset), solved(preset)
    score = baselines.score(env, solution.policy)
    assert score.exact
    assert -1e-12 <= score.regret <= 1e-6 * abs(solution.value)
    assert score.tolerance <= 1e-4 * abs(solution.value)


@pytest.mark.parametrize("preset", ["weibull-30", "lot-sizing-20"])
@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_reference_policies_play_as_they_are_scored(preset: str, observation: str) -> None:
    env = gym.make(ID, scenario=preset, observation=observation)
    arena = InspectOrStopVectorEnv(4000, parse(preset), observation)
    for name, policy in baselines.reference_policies(env).items():
        if name == "random":
            continue
        played = baselines.core.certificate.simulate_policy(Player(policy, 2), arena, seed=11)
        difference = played.mean - baselines.score(env, policy).value
        assert abs(difference) <= 4 * played.stderr + 1e-9, name


@pytest.mark.parametrize("preset", ["weibull-30", "lot-sizing-20"])
def test_any_policy_is_read_and_scored_exactly(preset: str) -> None:
    scenario = parse(preset)
    env, size = gym.make(ID, scenario=preset), min(scenario.longest_lot, 25)
    if scenario.lot_size is not None:
        size = scenario.lot_size
    foreign = baselines.score(env, Foreign(size / scenario.longest_lot, 0.15))

    def rule(of: int) -> Any:
        return np.full((of, min(of, scenario.demand)), 0.15)

    own = baselines.score(env, lot_policy(scenario, "belief", size, rule))
    assert foreign.exact
    assert own.exact
    tolerance = foreign.tolerance + own.tolerance + 1e-4
    assert foreign.value == pytest.approx(own.value, abs=tolerance)
    assert foreign.expected_length == pytest.approx(own.expected_length, abs=1e-3)


def test_a_belief_on_the_switch_does_not_keep_one_waiting() -> None:
    """In this lot all beliefs have cells of their own, and one is where float32 rounds to the threshold."""
    env = gym.make(ID, scenario="table-16")
    found = baselines.score(env, lambda rows: rows[:, 2] >= 0.5)
    # The threshold is read to a few millionths; within them a belief may be on either side.
    expected = [
        brute_force(parse("table-16"), 16, lambda n, d, b, at=at: b >= at)
        for at in (0.5 - 1e-5, 0.5 + 1e-5)
    ]
    assert min(expected) - 1e-3 <= -found.value <= max(expected) + 1e-3


def test_a_policy_on_outcomes_is_scored_exactly_without_memory() -> None:
    class UntilFailure:
        def predict(self, observation: Any, **_: Any) -> tuple[Any, Any]:
            return (np.atleast_2d(observation)[:, 3] < 0.5).astype(int), None

    scenario = parse(small_lot())
    env = gym.make(ID, scenario=small_lot(), observation="outcome")
    # Inspecting until the first failure: unit n + 1 is inspected if the first n conformed.
    survival, expected, reached = np.append(scenario.survival, 0.0), 0.0, 1.0
    weights = np.diff(-survival)  # of the last unit in control
    shortage = float(scenario.demand)
    for n in range(scenario.demand):
        chances = np.where(np.arange(len(weights)) > n, scenario.yield_in, scenario.yield_out)
        expected += scenario.inspection_cost * reached
        weights = weights * chances
        reached = weights.sum()
        shortage -= reached
    expected += scenario.shortage_cost * shortage
    score = baselines.score(env, UntilFailure())
    assert score.exact
    assert -score.value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("preset", ["weibull-30", "lot-sizing-20"])
def test_the_gaps_along_episodes_sum_to_the_exact_regret(preset: str) -> None:
    scenario = parse(preset)
    size = 30 / scenario.longest_lot
    env = gym.make(ID, scenario=preset)
    exact = baselines.score(env, Foreign(size, 0.3))
    simulated = baselines.score(env, Forgetful(size, 0.3), episodes=4000)
    assert exact.exact
    assert not simulated.exact
    assert simulated.stderr > 0.0
    assert abs(simulated.regret - exact.regret) < 4 * simulated.stderr + exact.tolerance


def test_the_error_of_a_simulated_score_vanishes_towards_the_optimum() -> None:
    scenario, solution = parse("weibull-30"), solved("weibull-30")
    arena = InspectOrStopVectorEnv(256, scenario, autoreset_mode="SameStep")
    errors = []
    for shift in (0.1, 0.01, 0.0):

        def rule(size: int, shift: float = shift) -> Any:
            return solution.thresholds(size) + shift

        policy = lot_policy(scenario, "belief", 30, rule)
        score = worth_by_simulation(
            solution.gaps, solution.stakes, Player(policy, 2), arena, 2048, 1
        )
        errors.append(score.stderr)
    assert errors[0] > 0.0
    assert errors[1] < 0.3 * errors[0]
    assert errors[2] < 1e-6


def test_where_no_tight_bound_is_found_a_policy_is_simulated() -> None:
    # Results tell little of the process, so that beliefs do not forget and cells straddle switches.
    fields = {
        **small_lot(yield_in=0.7, yield_out=0.3, inspection_cost=1.0, shortage_cost=2.5),
        "demand": 60,
        "lot_size": 120,
        "shift": {"kind": "geometric", "hazard": 0.005},
    }
    env, solution = gym.make(ID, scenario=fields), solved(fields)
    assert solution.upper - solution.lower <= 1e-6 * abs(solution.value)
    score = baselines.score(env, solution.policy, episodes=1024)
    assert not score.exact
    assert abs(score.regret) <= 1e-6 * abs(solution.value)


@pytest.mark.parametrize(("name", "value"), [("episodes", 1), ("episodes", 2.5), ("seed", -1)])
def test_a_certificate_needs_sensible_numbers(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        solved("weibull-30").certify(**{"episodes": 10, "seed": 0, name: value})


def test_a_policy_that_draws_is_simulated_or_refused() -> None:
    class Coin:
        def __init__(self) -> None:
            self.generator = np.random.default_rng(0)

        def predict(self, observation: Any, **_: Any) -> tuple[Any, Any]:
            return self.generator.integers(2, size=len(np.atleast_2d(observation))), None

    env = gym.make(ID)
    with pytest.raises(ValueError, match="does not repeat"):
        baselines.score(env, Coin())
    drawn = baselines.score(env, Coin(), deterministic=False, episodes=4000)
    exact = baselines.score(env, baselines.reference_policies(env)["random"])
    assert not drawn.exact
    assert abs(drawn.value - exact.value) < 4 * drawn.stderr


def test_scenarios_of_a_range_are_scored_one_by_one() -> None:
    env = gym.make(ID, scenario=small_lot(inspection_cost={"low": 0.5, "high": 1.5}))
    for seed in range(3):
        env.reset(seed=seed)
        drawn = env.unwrapped.scenario  # type: ignore[attr-defined]
        score = baselines.score(env, Foreign(1.0, 0.3))
        expected = brute_force(drawn, 8, lambda n, d, belief: belief >= 0.3)
        assert score.exact
        assert -score.value == pytest.approx(expected, abs=1e-4 + score.tolerance)
        simulated = baselines.score(env, Forgetful(1.0, 0.3), episodes=1000)
        assert not simulated.exact
        assert abs(simulated.regret - score.regret) < 4 * simulated.stderr + score.tolerance


def test_a_network_is_told_the_scenario_that_was_drawn() -> None:
    class FollowsCost:
        def predict(self, observation: Any, **_: Any) -> tuple[Any, Any]:
            shown = np.atleast_2d(observation)
            return (shown[:, 2] >= 0.3 * (0.5 + shown[:, 5])).astype(int), None

    env = gym.make(ID, scenario=small_lot(inspection_cost={"low": 0.5, "high": 1.5}))
    env.reset(seed=4)
    drawn = env.unwrapped.scenario  # type: ignore[attr-defined]
    threshold = 0.3 * drawn.inspection_cost
    expected = brute_force(drawn, 8, lambda n, d, belief: belief >= threshold)
    score = baselines.score(env, FollowsCost())
    assert score.exact
    assert -score.value == pytest.approx(expected, abs=1e-4 + score.tolerance)


def test_the_averaged_belief_decreases_and_needs_no_simulation() -> None:
    scenario = parse("lot-sizing-20")
    exact = averaged_beliefs(scenario)
    assert np.all(np.diff(exact) < 0)
    paths = PaperAlgorithm(scenario, paths=20_000).beliefs
    error = paths.std(axis=0) / np.sqrt(len(paths))
    assert np.all(np.abs(paths.mean(axis=0) - exact) < 5 * error + 1e-12)


def test_the_last_result_underestimates_the_lot() -> None:
    # As in the paper (31 instead of 59): the demand outlasts the process, so that most units come
    # when F(n) is small, and one conforming unit is not enough to believe in control.
    scenario = parse(
        {
            "demand": 40,
            "max_lot_size": 80,
            "yield_in": 0.95,
            "yield_out": 0.05,
            "shift": {"kind": "discrete_weibull", "q": 0.98, "beta": 1.2},
            "inspection_cost": 1.0,
            "shortage_cost": 6.0,
            "unit_cost": 1.0,
            "setup_cost": 10.0,
        }
    )
    assert LastResult(scenario).lot_size < LotSizes(scenario).best().size


def test_the_algorithm_of_the_paper_on_one_path() -> None:
    # With a process that never shifts every path has the belief 1, and the recursion is exact.
    fields = small_lot(shift={"kind": "table", "survival": [1.0] * 8})
    algorithm = PaperAlgorithm(parse(fields), paths=1)
    assert algorithm.total_costs[8] == pytest.approx(-solved(fields).value, rel=2e-8)
    with pytest.raises(ValueError, match="paths = 0"):
        PaperAlgorithm(parse(fields), paths=0)


@pytest.mark.parametrize("preset", ["weibull-30", "lot-sizing-20"])
def test_figures_show_what_they_promise(preset: str) -> None:
    env = gym.make(ID, scenario=preset)
    drawn = baselines.figures(env, {"mine": Foreign(0.5, 0.2), "forgets": Forgetful(0.5, 0.2)})
    titles = [ax.get_title() for ax in drawn["thresholds"].axes]
    assert any(title.startswith("optimum") for title in titles)
    assert any(title.startswith("mine") for title in titles)
    assert not any(title.startswith("forgets") for title in titles)
    assert "beliefs" in drawn
    assert ("total_costs" in drawn) == preset.startswith("lot-sizing")


def test_what_is_not_a_policy_is_refused() -> None:
    env = gym.make(ID)
    for ask in (baselines.score, baselines.disagreements):
        with pytest.raises(TypeError, match="predict"):
            ask(env, object())


# --- where the regret comes from -----------------------------------------------------------------


@pytest.mark.parametrize("preset", ["weibull-30", "lot-sizing-20"])
def test_departures_add_up_to_the_regret_of_the_same_episodes(preset: str) -> None:
    env = gym.make(ID, scenario=preset)
    policy = Forgetful(25 / parse(preset).longest_lot, 0.15)
    rows = baselines.disagreements(env, policy, top=10**6, episodes=1000, seed=3)
    score = baselines.score(env, policy, episodes=1000, seed=3)
    solution = solved(preset)
    rounding = 1e-9 + len(rows) * (solution.upper - solution.lower)
    assert sum(row.regret for row in rows) == pytest.approx(score.regret, abs=rounding)
    assert sum(row.share for row in rows) == pytest.approx(1.0, abs=1e-4)
    assert [row.regret for row in rows] == sorted((row.regret for row in rows), reverse=True)
    for row in rows:
        assert row.regret == pytest.approx(row.occupancy * row.gap)
        assert row.policy != row.optimum
    assert baselines.disagreements(env, policy, top=2, episodes=1000, seed=3) == rows[:2]


def test_stopping_at_once_is_one_departure() -> None:
    # It never inspects, and loses once what the optimum would have gained.
    env = gym.make(ID, scenario="weibull-30")
    policy = baselines.reference_policies(env)["stop_at_once"]
    (row,) = baselines.disagreements(env, policy, episodes=500)
    assert row.state == "0 of 30 inspected, 20 still wanted, belief 0.98"
    assert (row.optimum, row.policy, row.occupancy) == ("inspect", "stop", 1.0)
    assert row.regret == pytest.approx(4.0 * 20 - 38.864608, abs=1e-6)


def test_a_lot_too_large_departs_while_it_is_produced() -> None:
    env, solution = gym.make(ID, scenario="lot-sizing-20"), solved("lot-sizing-20")
    size = solution.best_size
    policy = lot_policy(solution.scenario, "belief", size + 2, solution.thresholds)
    rows = baselines.disagreements(env, policy, episodes=300)
    assert [row.state for row in rows] == [f"{size} to {size + 1} produced"]
    assert (rows[0].optimum, rows[0].policy) == ("end production", "produce")
    assert rows[0].occupancy == 2.0
    more = solution.sizes.bounds(size + 2)[0] - solution.sizes.bounds(size)[0]
    assert sum(row.regret for row in rows) == pytest.approx(more, abs=1e-5)


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("preset", ["weibull-30", "lot-sizing-20"])
def test_the_optimum_departs_nowhere(preset: str, observation: str) -> None:
    env = gym.make(ID, scenario=preset, observation=observation)
    policy = solved(preset, observation).policy
    assert baselines.disagreements(env, policy, episodes=500) == []


def test_a_drawing_policy_of_the_package_is_played_as_it_draws() -> None:
    env = gym.make(ID, scenario="table-16")
    policy = baselines.reference_policies(env)["random"]
    rows = baselines.disagreements(env, policy, top=10**6, episodes=4096)
    assert {row.policy for row in rows} == {"stop", "inspect"}
    arena = InspectOrStopVectorEnv(256, parse("table-16"), autoreset_mode="SameStep")
    optimum = solved("table-16")
    player = Player(policy, 2, deterministic=False)
    played = worth_by_simulation(optimum.gaps, optimum.stakes, player, arena, 4096, 9)
    exact = baselines.score(env, policy)
    error = 4 * np.sqrt(2) * played.stderr  # both are simulated, with other draws
    assert sum(row.regret for row in rows) == pytest.approx(played.regret, abs=error)
    assert sum(row.regret for row in rows) == pytest.approx(exact.regret, abs=4 * played.stderr)


class Spiked(Foreign):
    """A threshold but for a spike of the belief, too narrow for any grid, at which it stops."""

    def __init__(self, n: int, at: float, width: float) -> None:
        super().__init__(30, 0.15)
        self.n, self.at, self.width = n, at, width

    def predict(self, *arguments: Any, **named: Any) -> tuple[Any, Any]:
        actions, _ = super().predict(*arguments, **named)
        shown = np.atleast_2d(arguments[0] if arguments else named["observation"])
        is_here = np.abs(shown[:, 0] - self.n / 30) < 1e-3
        actions[is_here & (np.abs(shown[:, 2] - self.at) < self.width)] = 0
        return actions, None


def belief_after(scenario: InspectOrStopScenario, results: list[int]) -> float:
    """Return P(the next unit is in control) by Bayes' rule."""
    survival = scenario.survival
    belief = survival[1]
    for i, conforming in enumerate(results, start=1):
        inside, outside = (
            one if conforming else 1.0 - one for one in (scenario.yield_in, scenario.yield_out)
        )
        inside, outside = belief * inside, (1.0 - belief) * outside
        belief = inside / (inside + outside) * survival[i + 1] / survival[i]
    return float(belief)


@pytest.mark.parametrize("results", [[1, 0, 1], [1, 1, 0, 1, 1]])
def test_a_switch_between_the_points_of_the_grid_is_seen(results: list[int]) -> None:
    """The spike lies on a belief that comes: stopping there costs what simulation says it costs."""
    env, scenario = gym.make(ID, scenario="weibull-30"), parse("weibull-30")
    solution = solved("weibull-30")
    policy = Spiked(len(results), belief_after(scenario, results), 1e-6)
    plain, score = baselines.score(env, Foreign(30, 0.15)), baselines.score(env, policy)
    arena = InspectOrStopVectorEnv(4000, scenario, autoreset_mode="SameStep")
    played = worth_by_simulation(solution.gaps, solution.stakes, Player(policy, 2), arena, 8000, 3)
    assert score.exact
    assert abs(score.regret - played.regret) < 4 * played.stderr + score.tolerance
    assert score.regret - plain.regret > 4 * played.stderr + score.tolerance + plain.tolerance


class Comb(Foreign):
    """A policy that stops after eight units at every other hair of the belief."""

    def __init__(self) -> None:
        super().__init__(30, 0.15)

    def predict(self, *arguments: Any, **named: Any) -> tuple[Any, Any]:
        actions, _ = super().predict(*arguments, **named)
        shown = np.atleast_2d(arguments[0] if arguments else named["observation"])
        hair = np.floor(shown[:, 2].astype(np.float64) * 1e6) % 2 == 0
        actions[hair & (shown[:, 0] > 8.5 / 30)] = 0
        return actions, None


def test_a_policy_that_shows_no_rule_is_simulated() -> None:
    score = baselines.score(gym.make(ID, scenario="weibull-30"), Comb(), episodes=1024)
    assert not score.exact
    assert score.regret > 4 * score.stderr
