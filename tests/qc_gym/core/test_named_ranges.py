"""The ranges that each family names: what agents train on, and what is held out."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import qc_gym
from qc_gym.core.errors import ScenarioError
from qc_gym.core.population import read_population
from qc_gym.core.ranges import ScenarioRange

PUBLISHED = {
    "qc_gym/SequentialSampling-v0": ["aql10-rql20"],
    "qc_gym/Assembly-v0": [f"cumcm-{case}" for case in range(1, 7)],
    "qc_gym/InspectOrStop-v0": ["weibull-30"],
    "qc_gym/KStage-v0": ["blu-2010"],
    "qc_gym/KStageControl-v0": ["blu-quarter"],
    "qc_gym/PilotRun-v0": ["initial-samples"],
}
"""The presets that ranges lie around."""
EACH = pytest.mark.parametrize("env_id", qc_gym.ENVIRONMENTS)


def scenario_type_of(env_id: str) -> Any:
    return gym.make(env_id).unwrapped.scenario_type  # type: ignore[attr-defined]


def drawn(env_id: str, name: str, count: int, seed: int) -> tuple[Any, ...]:
    return read_population(scenario_type_of(env_id), name, count, seed).scenarios


def features(env_id: str, scenarios: tuple[Any, ...]) -> np.ndarray[Any, Any]:
    train = scenario_type_of(env_id).parse("train")
    return np.array([train.features(one) for one in scenarios])


@EACH
def test_names(env_id: str) -> None:
    scenario_type = scenario_type_of(env_id)
    assert list(scenario_type.ranges) == ["train", "interpolation", "extrapolation"]
    assert not set(scenario_type.ranges) & set(scenario_type.presets)
    parsed = [scenario_type.parse(name) for name in scenario_type.ranges]
    assert all(isinstance(one, ScenarioRange) for one in parsed)
    # What a generalist sees is told by the same fields, and it can be scored on all of them.
    assert len({tuple(one.ranges) for one in parsed}) == 1
    assert len({one.kernel for one in parsed}) == 1


@EACH
def test_environments_take_them_by_name(env_id: str) -> None:
    env = gym.make(env_id, scenario="train")
    size = gym.make(env_id, scenario=PUBLISHED[env_id][0]).observation_space.shape[0]  # type: ignore[index]
    observation, info = env.reset(seed=0)
    varied = scenario_type_of(env_id).parse("train").ranges
    assert observation.shape == (size + len(varied),)
    written = gym.make(env_id, scenario=scenario_type_of(env_id).ranges["train"])
    assert info["scenario"] == written.reset(seed=0)[1]["scenario"]


@EACH
def test_what_is_held_out_is_never_trained_on(env_id: str) -> None:
    trained = set(drawn(env_id, "train", 300, seed=0))
    assert len(trained) == 300  # a number that varies continuously is not drawn twice
    assert not trained & set(drawn(env_id, "interpolation", 300, seed=1))
    presets = scenario_type_of(env_id).presets
    assert not trained & {scenario_type_of(env_id).parse(name) for name in presets}
    inside = features(env_id, drawn(env_id, "interpolation", 300, seed=1))
    assert inside.min() >= 0.0
    assert inside.max() <= 1.0


@EACH
def test_extrapolation_is_outside(env_id: str) -> None:
    outside = features(env_id, drawn(env_id, "extrapolation", 300, seed=0))
    assert ((outside < 0.0) | (outside > 1.0)).any(axis=1).all()


@pytest.mark.parametrize(
    ("env_id", "preset"), [(env_id, name) for env_id, all_ in PUBLISHED.items() for name in all_]
)
def test_published_scenarios_are_told_by_what_is_varied(env_id: str, preset: str) -> None:
    scenario_type = scenario_type_of(env_id)
    train, published = scenario_type.parse("train"), scenario_type.parse(preset)
    told = train.features(published)
    assert told.min() >= 0.0
    assert told.max() <= 1.0
    # In all else it is as those that are trained on.
    some = drawn(env_id, "train", 1, seed=0)[0]
    assert differing(some.model_dump(), published.model_dump()) <= set(train.ranges)


def differing(
    first: dict[str, Any], second: dict[str, Any], prefix: tuple[str, ...] = ()
) -> set[tuple[str, ...]]:
    """Return the paths at which two scenarios differ."""
    found: set[tuple[str, ...]] = set()
    for name, value in first.items():
        if isinstance(value, dict):
            found |= differing(value, second[name], (*prefix, name))
        elif value != second[name]:
            found.add((*prefix, name))
    return found


def test_an_unknown_name_is_told_the_ranges() -> None:
    with pytest.raises(ScenarioError, match="extrapolation"):
        scenario_type_of("qc_gym/KStage-v0").parse("extrapolate")
