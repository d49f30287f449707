"""Where regret comes from: the parts add up to it, whatever the family and the policy."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from strategies import SMALL_LOT
from stub_policies import Remembering, always

import baselines
import baselines.sampling
from baselines.core.figures import disagreement_bars
from baselines.core.policy import TabularPolicy, uniform_policy
from baselines.sampling.figures import regret_plane
from qc_gym.core.policy import Player

SAMPLING, ASSEMBLY = "qc_gym/SequentialSampling-v0", "qc_gym/Assembly-v0"
PROBLEMS = [
    (SAMPLING, SMALL_LOT, "belief"),
    (SAMPLING, SMALL_LOT, "outcome"),
    (ASSEMBLY, "cumcm-1", "belief"),
    (ASSEMBLY, "gearbox", "belief"),
    ("qc_gym/KStage-v0", "blu-2010", "belief"),
    ("qc_gym/KStageControl-v0", "blu-quarter", "belief"),
]
INSPECT, ACCEPT, REJECT = range(3)
ALL = 10**6


def make(env_id: str = SAMPLING, scenario: Any = SMALL_LOT, observation: str = "belief") -> Any:
    return gym.make(env_id, scenario=scenario, observation=observation)


@pytest.mark.parametrize(("env_id", "scenario", "observation"), PROBLEMS)
def test_parts_add_up_to_the_regret(env_id: str, scenario: Any, observation: str) -> None:
    env = make(env_id, scenario, observation)
    for name, policy in baselines.reference_policies(env).items():
        score = baselines.score(env, policy)
        rows = baselines.disagreements(env, policy, top=ALL)
        assert sum(row.regret for row in rows) == pytest.approx(score.regret, abs=1e-9), name
        assert sum(row.share for row in rows) == pytest.approx(1.0 if rows else 0.0)
        assert [row.regret for row in rows] == sorted((row.regret for row in rows), reverse=True)
        for row in rows:
            assert row.regret == row.occupancy * row.gap > 0
            assert row.policy != row.optimum
            assert row.state
        assert baselines.disagreements(env, policy, top=2) == rows[:2]


@pytest.mark.parametrize(("env_id", "scenario", "observation"), PROBLEMS)
def test_the_optimum_agrees_with_itself(env_id: str, scenario: Any, observation: str) -> None:
    env = make(env_id, scenario, observation)
    assert baselines.disagreements(env, baselines.solve(env).policy, episodes=300) == []


def test_accepting_at_once_by_hand() -> None:
    """It loses half of 60 instead of the optimum's cost, once, before anything is inspected."""
    env = make()
    accept = TabularPolicy.of(
        baselines.model(env), np.full(baselines.model(env).num_states, ACCEPT)
    )
    (row,) = baselines.disagreements(env, accept)
    assert row.state == "n = 0 inspected, d = 0 defective"
    assert (row.optimum, row.policy) == ("inspect", "accept")
    assert (row.occupancy, row.share) == (1.0, 1.0)
    assert row.gap == pytest.approx(baselines.solve(env).value + 30.0, abs=1e-12)


def test_one_changed_answer_is_the_one_named() -> None:
    """The optimum, but for one state: its occupancy is that of the optimum there, by simulation."""
    env = make(observation="outcome")
    solution = baselines.solve(env)
    model = solution.model
    counts = (model.states["n"] == 2) & (model.states["d"] == 1)
    (row,) = np.flatnonzero(counts & (model.states["last_result"] == 2))
    best = int(solution.policy.actions[row])
    actions = solution.policy.actions.copy()
    actions[row] = other = REJECT if best != REJECT else ACCEPT
    (found,) = baselines.disagreements(env, TabularPolicy.of(model, actions), top=ALL)
    assert found.state == "n = 2 inspected, d = 1 defective, the last one defective"
    # A conforming item and then a defective one, of a good or of a bad lot.
    assert found.occupancy == pytest.approx(0.5 * (0.9 * 0.1 + 0.6 * 0.4), rel=1e-12)
    gap = solution.solution.values[row] - solution.solution.action_values[row, other]
    assert found.gap == pytest.approx(gap, rel=1e-12)
    assert [found.optimum, found.policy] == [
        ("inspect", "accept", "reject")[action] for action in (best, other)
    ]


def test_a_policy_that_draws_is_charged_for_each_action() -> None:
    env = make()
    uniform = uniform_policy(baselines.model(env))
    rows = baselines.disagreements(env, uniform, top=ALL)
    first = {row.policy: row for row in rows if row.state.startswith("n = 0 ")}
    assert set(first) == {"accept", "reject"}
    assert all(row.occupancy == pytest.approx(1 / 3, rel=1e-12) for row in first.values())
    likeliest = baselines.disagreements(env, uniform, deterministic=True, top=ALL)
    assert sum(row.regret for row in likeliest) == pytest.approx(
        baselines.score(env, uniform, deterministic=True).regret, abs=1e-12
    )


@pytest.mark.parametrize(("env_id", "scenario"), [(SAMPLING, SMALL_LOT), (ASSEMBLY, "cumcm-1")])
def test_a_policy_with_memory_is_simulated(env_id: str, scenario: Any) -> None:
    env = make(env_id, scenario)
    policy = baselines.reference_policies(env)["best_constant"]
    exact = {(row.state, row.policy): row for row in baselines.disagreements(env, policy, top=ALL)}
    memory = Remembering(policy)
    rows = baselines.disagreements(env, memory, top=ALL, episodes=3000, seed=5)
    score = baselines.score(env, memory, episodes=3000, seed=5)  # the same episodes
    assert not score.exact
    assert sum(row.regret for row in rows) == pytest.approx(score.regret, rel=1e-9)
    assert {(row.state, row.policy) for row in rows} <= set(exact)
    assert sum(row.regret for row in exact.values()) == pytest.approx(
        score.regret, abs=4 * score.stderr + 1e-9
    )


@pytest.mark.parametrize("env_id", ["qc_gym/KStage-v0", "qc_gym/KStageControl-v0"])
def test_every_number_of_stages_has_words(env_id: str) -> None:
    env = make(env_id, None)
    rows = baselines.disagreements(env, baselines.reference_policies(env)["random"], top=ALL)
    counts = {f"{k} stage{'' if k == 1 else 's'}" for k in range(env.action_space.n)}
    assert {row.policy for row in rows} | {row.optimum for row in rows} == counts


def test_words_of_a_plant_from_day_to_day() -> None:
    """Tool wear begins new, with the stages of the scenario run the day before."""
    env = make("qc_gym/KStageControl-v0", "blu-quarter")
    scenario = env.unwrapped.scenario
    policy = baselines.reference_policies(env)["stages_3"]
    rows = {row.state: row for row in baselines.disagreements(env, policy, top=ALL)}
    plural = "s" * (scenario.initial_stages != 1)
    first = rows[
        f"day 1, level {scenario.initial_level}, {scenario.initial_stages} stage{plural} yesterday"
    ]
    assert first.policy == "3 stages"
    assert first.occupancy == pytest.approx(1.0)


@pytest.mark.parametrize(("name", "value"), [("top", 0), ("top", 2.5), ("episodes", 0)])
def test_bad_counts(name: str, value: Any) -> None:
    env = make()
    with pytest.raises(ValueError, match=f"{name} = {value}"):
        baselines.disagreements(env, baselines.solve(env).policy, **{name: value})


# --- pictures -------------------------------------------------------------------------------


def test_bars_are_the_parts() -> None:
    env = make()
    references = baselines.reference_policies(env)
    rows = {name: baselines.disagreements(env, references[name]) for name in ("sprt", "random")}
    figure = disagreement_bars({**rows, "optimum": [], "never": []}, endless=["never"])
    for ax, parts in zip(figure.axes, rows.values(), strict=False):
        assert [bar.get_width() for bar in ax.patches] == [row.regret for row in parts]
        assert [label.get_text().split(":")[0] for label in ax.get_yticklabels()] == [
            row.state for row in parts
        ]
    assert not figure.axes[2].patches
    assert figure.axes[2].get_title(loc="left") == "optimum: no regret"
    endless = figure.axes[3].get_title(loc="left")
    assert endless == "never: may go on for ever, regret without bound"


@pytest.mark.parametrize("observation", ["belief", "outcome"])
def test_regret_maps_add_up_to_the_regret(observation: str) -> None:
    env = make(observation=observation)
    solution = baselines.solve(env)
    references = baselines.reference_policies(env)
    # A policy of outcomes that needs no memory: it always does the same.
    policies = {"constant": always(ACCEPT), **({} if observation == "outcome" else references)}
    players = {name: Player(policy, 3) for name, policy in policies.items()}
    for name, policy in solution.tables(players).items():
        plane = regret_plane(solution, policy)
        expected = 0.0 if name == "optimum" else baselines.score(env, policies[name]).regret
        assert plane.sum() == pytest.approx(expected, abs=1e-9)
        d, n = np.indices(plane.shape)
        assert np.all(plane[d > n] == 0)
    figure = baselines.figures(env, policies)["regret_maps"]
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    shown = baselines.score(env, always(ACCEPT)).regret
    assert titles[0] == f"constant: regret {shown:.4f}"
    assert len(titles) == len(policies)
