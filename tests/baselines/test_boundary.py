"""Every optimum checks itself, and is told, in scenarios at the boundary of what is allowed."""

import math
import sys
from typing import Any

import gymnasium as gym
import pytest
from boundaries import BOUNDARIES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import baselines
import qc_gym


@pytest.mark.filterwarnings("ignore:inspection_cost")
@pytest.mark.parametrize("env_id", qc_gym.ENVIRONMENTS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_optimum_at_the_boundary(env_id: str, data: st.DataObject) -> None:
    check(env_id, data.draw(BOUNDARIES[env_id], label="scenario"))


def check(env_id: str, scenario: dict[str, Any]) -> None:
    """Assert that the optimum loses nothing against itself, and no reference gains on it."""
    env = gym.make(env_id, scenario=scenario)
    solution = baselines.solve(env)
    assert solution.lower <= solution.value <= solution.upper
    assert math.isfinite(solution.value)
    width = solution.upper - solution.lower
    tolerance = width + 1e-12 * solution.stakes + sys.float_info.min
    own = baselines.score(env, solution.policy, episodes=1)
    if own.exact:
        assert abs(own.regret) <= tolerance + own.tolerance
    references = baselines.reference_policies(env)
    assert {"random", "best_constant"} <= set(references)
    assert all(references.left_out.values())
    for name, policy in references.items():
        score = baselines.score(env, policy, episodes=10)
        assert score.regret >= -tolerance - score.tolerance, name
    assert baselines.plan(env).text()
