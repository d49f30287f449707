"""The money that scenarios name, summed by hand."""

import gymnasium as gym
import pytest

import qc_gym
from qc_gym.core.fields import money_in


@pytest.mark.parametrize(
    ("name", "scenario", "expected"),
    [
        ("SequentialSampling-v0", "aql10-rql20", 1 + 200 + 200),
        ("Assembly-v0", "cumcm-1", 56 + 6 + (4 + 2) + (18 + 3) + (6 + 3 + 5)),
        ("InspectOrStop-v0", "weibull-30", 1 + 4),
        ("InspectOrStop-v0", "lot-sizing-20", 1 + 6 + 1 + 10),
    ],
)
def test_all_money_counts_that_of_parts_too(name: str, scenario: str, expected: float) -> None:
    assert f"qc_gym/{name}" in qc_gym.ENVIRONMENTS
    env = gym.make(f"qc_gym/{name}", scenario=scenario).unwrapped
    assert money_in(env.scenario) == expected  # type: ignore[attr-defined]
