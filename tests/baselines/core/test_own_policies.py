"""Policies as users write them: functions, torch modules, predict with fewer arguments."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import nn

import baselines
import qc_gym

ID = "qc_gym/SequentialSampling-v0"
INSPECT, ACCEPT, REJECT = range(3)
SMALL: dict[str, Any] = {
    "prior": {"kind": "two_point", "good": 0.1, "bad": 0.4, "prob_bad": 0.4},
    "inspection_cost": 1.0,
    "accept_bad_cost": 40.0,
    "reject_good_cost": 30.0,
    "max_samples": 12,
}
EVERY = pytest.mark.parametrize("env_id", qc_gym.ENVIRONMENTS)


def actions_of(observations: Any) -> Any:
    """Return the actions of a rule: four items, then by the number of defectives."""
    n, d = np.rint(np.asarray(observations)[:, :2] * 12).astype(int).T
    return np.where(n < 4, INSPECT, np.where(d <= 1, ACCEPT, REJECT))


class Bare:
    """Takes observations and nothing else, and returns actions and nothing else."""

    def predict(self, observations: Any) -> Any:
        return actions_of(observations)


class Paired:
    """Takes only whether to draw."""

    def predict(self, observations: Any, deterministic: bool) -> Any:
        assert deterministic
        return actions_of(observations), None


class Net(nn.Module):
    """Gives logits."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.weight = nn.Parameter(torch.randn(4, 3, generator=generator, dtype=torch.float64))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        return observations @ self.weight


SAME: list[Any] = [
    Bare(),
    Paired(),
    actions_of,
    lambda observations: actions_of(observations).astype(np.float32),
    lambda observations: actions_of(observations)[:, np.newaxis],
    lambda observations: actions_of(observations).tolist(),
    lambda observations: np.log(1e-3 + np.eye(3)[actions_of(observations)]),
    lambda observations: torch.as_tensor(actions_of(observations)),
]


@pytest.mark.parametrize("policy", SAME)
def test_the_same_rule_in_any_dress_has_the_same_score(policy: Any) -> None:
    env = gym.make(ID, scenario=SMALL)
    tables = baselines.model(env)
    expected = baselines.evaluate(tables, actions_of(tables.observations)).value
    score = baselines.score(env, policy)
    assert score.exact
    assert score.value == expected
    assert baselines.disagreements(env, policy) == baselines.disagreements(env, actions_of)
    baselines.figures(env, {"mine": policy})


def test_a_module_is_asked_for_its_likeliest_action() -> None:
    env = gym.make(ID, scenario=SMALL)
    tables = baselines.model(env)
    logits = tables.observations.astype(np.float64) @ Net().weight.detach().numpy()
    likeliest = baselines.evaluate(tables, logits.argmax(axis=1)).value
    assert baselines.score(env, Net()).value == likeliest
    weights = np.exp(logits)
    drawn = baselines.evaluate(tables, weights / weights.sum(axis=1, keepdims=True)).value
    score = baselines.score(env, Net(), deterministic=False)
    assert score.exact
    assert score.value == pytest.approx(drawn, rel=1e-12)


def test_a_function_may_ask_for_the_masks() -> None:
    env = gym.make(ID, scenario=SMALL)

    def policy(observations: Any, action_masks: Any) -> Any:
        return np.where(action_masks[:, INSPECT], INSPECT, REJECT)

    assert baselines.score(env, policy).expected_length == pytest.approx(13.0)


def test_drawing_from_what_gives_actions_is_refused() -> None:
    env = gym.make(ID, scenario=SMALL)
    with pytest.raises(TypeError, match="logits"):
        baselines.score(env, actions_of, deterministic=False)
    with pytest.raises(TypeError, match="action_probabilities"):
        baselines.score(env, Bare(), deterministic=False)


def test_a_rule_that_draws_does_not_pass_for_one_draw() -> None:
    rng = np.random.default_rng(0)
    for env_id in (ID, "qc_gym/InspectOrStop-v0"):
        with pytest.raises(ValueError, match="does not repeat"):
            baselines.score(env_id, lambda seen: rng.integers(2, size=len(seen)))


NONSENSE: list[tuple[Callable[[Any], Any], str]] = [
    (lambda seen: np.full(len(seen), 25), "answered 25 "),
    (lambda seen: np.full(len(seen), -1), "answered -1 "),
    (lambda seen: np.full(len(seen), 0.7), "answered 0.7 "),
    (lambda seen: np.full(len(seen), np.nan), "answered NaN "),
    (lambda seen: np.full(len(seen), np.inf), "answered inf "),
    (lambda seen: np.array(["inspect"] * len(seen)), "wanted|predict"),
    (lambda seen: np.zeros((len(seen), 99)), "shape"),
    (lambda seen: np.zeros(len(seen) + 1, int), "shape"),
    (lambda seen: None, "predict"),
]


@EVERY
@pytest.mark.parametrize(("policy", "words"), NONSENSE)
def test_nonsense_is_refused_before_a_family_sees_it(
    env_id: str, policy: Callable[[Any], Any], words: str
) -> None:
    class Predicting:
        def predict(self, observation: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            return policy(observation), None

    class Remembering:
        def predict(self, observation: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            return policy(observation), "a memory"

    env = gym.make(env_id)
    for one in (policy, Predicting(), Remembering()):
        for ask in (
            baselines.score,
            baselines.disagreements,
            lambda env, one: baselines.figures(env, {"one": one}),
        ):
            with pytest.raises(ValueError, match=words):
                ask(env, one)


@EVERY
def test_logits_that_are_nan_are_called_so(env_id: str) -> None:
    env = gym.make(env_id)
    num_actions = int(env.action_space.n)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="NaN"):
        baselines.score(env, lambda seen: np.full((len(seen), num_actions), np.nan))


def test_what_a_rule_for_one_observation_lacks_is_said() -> None:
    def single(observation: Any) -> int:
        return INSPECT if observation[0] < 0.5 else ACCEPT

    with pytest.raises(ValueError, match="ambiguous") as caught:
        baselines.score(ID, single, scenario=SMALL)
    assert "observations (B, size)" in "".join(caught.value.__notes__)


def test_a_class_is_no_policy() -> None:
    with pytest.raises(TypeError, match="predict"):
        baselines.score(ID, Net, scenario=SMALL)
