"""What every registered environment owes its users, whatever its family."""

import gymnasium as gym
import numpy as np
import pytest
from stub_policies import always

import baselines
import qc_gym
from baselines.core.plan import shown

EVERY = pytest.mark.parametrize("env_id", qc_gym.ENVIRONMENTS)


@EVERY
def test_the_optimum_is_certified_and_nothing_beats_it(env_id: str) -> None:
    env = gym.make(env_id)
    solution = baselines.solve(env)
    assert solution.lower <= solution.value <= solution.upper
    certificate = baselines.certify(env, episodes=20_000, seed=1)
    assert certificate.deviation is not None
    assert abs(certificate.deviation) < 4
    references = baselines.reference_policies(env)
    assert {"random", "best_constant"} < set(references)
    scores = {name: baselines.score(env, policy) for name, policy in references.items()}
    assert all(score.regret >= -1e-9 for score in scores.values())
    assert scores["random"].normalised == pytest.approx(0.0, abs=1e-9)
    best = baselines.score(env, solution.policy)
    assert best.normalised == pytest.approx(1.0, abs=1e-5)


@EVERY
def test_the_optimum_is_told_in_words_and_pictures(env_id: str) -> None:
    env = gym.make(env_id)
    assert len(baselines.plan(env).text().splitlines()) > 1
    policy = always(int(env.action_space.n) - 1)  # type: ignore[attr-defined]
    assert baselines.figures(env, {"last": policy})


@EVERY
def test_a_regret_is_told_by_its_states(env_id: str) -> None:
    env = gym.make(env_id)
    policy = always(int(env.action_space.n) - 1)  # type: ignore[attr-defined]
    rows = baselines.disagreements(env, policy, top=10_000)
    score = baselines.score(env, policy)
    if np.isfinite(score.regret):
        total = sum(row.regret for row in rows)
        # Simulated where the optimum is not a table: 10,000 episodes.
        rel = 1e-6 if isinstance(baselines.solve(env), baselines.TabularOptimum) else 0.1
        assert total == pytest.approx(score.regret, rel=rel, abs=1e-9)
    assert all(row.state and row.policy and row.optimum for row in rows)


@EVERY
def test_a_notebook_shows_optima_and_scores(env_id: str) -> None:
    optimum = baselines.solve(env_id)
    assert shown(optimum.value) in optimum._repr_html_()
    assert ("certified to within" in optimum._repr_html_()) == (optimum.lower < optimum.upper)
    score = baselines.score(env_id, baselines.reference_policies(env_id)["random"])
    assert shown(score.regret) in score._repr_html_()
