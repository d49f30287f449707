"""Pictures of sequential sampling: what they show, and that every render mode works."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RenderCollection
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from stub_policies import RulePolicy, always

import qc_gym  # noqa: F401  registers the environments
from qc_gym.sampling import render
from qc_gym.sampling.env import SequentialSamplingEnv, SequentialSamplingVectorEnv
from qc_gym.sampling.scenario import SequentialSamplingScenario

ID = "qc_gym/SequentialSampling-v0"
INSPECT, ACCEPT, REJECT = 0, 1, 2
PRESETS = list(SequentialSamplingScenario.presets)
SMALL: dict[str, Any] = {
    "prior": {"kind": "two_point", "good": 0.1, "bad": 0.3, "prob_bad": 0.4},
    "inspection_cost": 1.5,
    "accept_bad_cost": 80.0,
    "reject_good_cost": 50.0,
    "max_samples": 40,
}
TINTS = {INSPECT: (241, 241, 238), ACCEPT: (201, 224, 240), REJECT: (248, 215, 193)}


def playing(
    inspections: int, scenario: Any = None, mode: str = "rgb_array", seed: int = 0, **options: Any
) -> SequentialSamplingEnv:
    env = SequentialSamplingEnv(scenario, render_mode=mode, **options)
    env.reset(seed=seed)
    for _ in range(inspections):
        env.step(INSPECT)
    return env


def parsed(source: Any) -> SequentialSamplingScenario:
    scenario = SequentialSamplingScenario.parse(source)
    assert isinstance(scenario, SequentialSamplingScenario)
    return scenario


def pixel(
    env: SequentialSamplingEnv, picture: NDArray[np.uint8], n: float, d: float, right_by: int = 0
) -> tuple[int, ...]:
    """Return the colour of the picture at, or some pixels right of, the point (n, d)."""
    left, right, bottom, top = render.window(env._scenario, env._path).limits()
    x, y, width, height = render.AXES
    rows, columns, _ = picture.shape
    column = (x + width * (n - left) / (right - left)) * columns
    row = (1.0 - y - height * (d - bottom) / (top - bottom)) * rows
    return tuple(int(value) for value in picture[int(row), int(column) + right_by])


# --- rgb_array ---------------------------------------------------------------------------------


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("scenario", PRESETS)
def test_each_step_makes_another_picture(scenario: str, observation: str) -> None:
    env = playing(0, scenario, observation=observation)
    pictures = [env.render()]
    for action in (INSPECT, INSPECT, REJECT):
        env.step(action)
        pictures.append(env.render())
    assert all(picture.shape == (480, 640, 3) for picture in pictures)
    assert all(picture.dtype == np.uint8 for picture in pictures)
    assert all(picture.flags.c_contiguous for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 4
    assert np.array_equal(env.render(), pictures[-1])


def test_the_decision_is_seen() -> None:
    accepted, rejected = playing(5), playing(5)
    undecided = accepted.render()
    accepted.step(ACCEPT)
    rejected.step(REJECT)
    stamps = [picture[:45, 480:] for picture in (undecided, accepted.render(), rejected.render())]
    blue, vermilion = (0, 114, 178), (213, 94, 0)
    assert [bool((stamp == blue).all(axis=-1).any()) for stamp in stamps] == [False, True, False]
    assert [bool((stamp == vermilion).all(axis=-1).any()) for stamp in stamps] == [
        False, False, True,
    ]  # fmt: skip


def test_pictures_of_two_scenarios_do_not_mix() -> None:
    one, other = playing(3, "aql10-rql20"), playing(3, "aql1-rql5")
    first = one.render()
    assert not np.array_equal(first, other.render())
    assert np.array_equal(first, one.render())
    first[:] = 0  # what is handed out is the user's own
    assert one.render().any()


@pytest.mark.parametrize("max_samples", [1, 2, 61, 10_000])
def test_the_last_item_is_in_the_picture(max_samples: int) -> None:
    env = playing(max_samples, {**SMALL, "max_samples": max_samples})
    assert render.window(env._scenario, env._path).right == max_samples
    ring = pixel(env, env.render(), *env._path[-1], right_by=9)
    assert ring == (26, 26, 26)


def test_gymnasium_collects_a_picture_for_each_step() -> None:
    env = RenderCollection(gym.make(ID, render_mode="rgb_array"))
    env.reset(seed=0)
    for _ in range(4):
        env.step(INSPECT)
    pictures: Any = env.render()
    assert len({picture.tobytes() for picture in pictures}) == 5


# --- a policy's regions ------------------------------------------------------------------------


def test_a_policy_is_drawn_and_taken_away_again() -> None:
    made = gym.make(ID, render_mode="rgb_array")
    made.reset(seed=0)
    env = made.unwrapped
    assert isinstance(env, SequentialSamplingEnv)
    plain = env.render()
    env.show_policy(always(ACCEPT))
    accepting = env.render()
    env.show_policy(always(REJECT))
    rejecting = env.render()
    env.show_policy(None)
    assert len({picture.tobytes() for picture in (plain, accepting, rejecting)}) == 3
    assert np.array_equal(env.render(), plain)


def test_regions_are_where_the_policy_decides() -> None:
    # Accept from 30 items on, reject from 8 defectives on: (n, d) is in the observation.
    scenario = parsed("aql10-rql20")

    def rule(observations: NDArray[np.float32]) -> NDArray[np.int64]:
        n, d = np.rint(observations[:, :2].T * 400)
        return np.where(n >= 30, ACCEPT, np.where(d >= 8, REJECT, INSPECT))

    env = playing(0, scenario)
    env.show_policy(RulePolicy(rule))
    picture = env.render()
    assert pixel(env, picture, 29, 2) == TINTS[INSPECT]
    assert pixel(env, picture, 31, 3) == TINTS[ACCEPT]
    assert pixel(env, picture, 20, 7) == TINTS[INSPECT]
    assert pixel(env, picture, 20, 8) == TINTS[REJECT]
    assert pixel(env, picture, 8, 12) == (255, 255, 255)  # no 12 defectives among 8 items


def test_inspecting_beyond_the_last_item_is_drawn_as_rejecting() -> None:
    env = playing(0, SMALL)
    env.show_policy(always(INSPECT))
    picture = env.render()
    assert pixel(env, picture, 40, 12) == TINTS[REJECT]
    assert pixel(env, picture, 39, 12) == TINTS[INSPECT]


def test_a_policy_is_asked_observations_of_the_space_and_not_too_many() -> None:
    spread = {**SMALL["prior"], "bad": {"low": 0.2, "high": 0.5}}
    env = playing(9000, {**SMALL, "prior": spread, "max_samples": 10_000})
    policy = always(ACCEPT)
    env.show_policy(policy)
    env.render()
    (asked,) = policy.asked
    assert 1000 < len(asked) < 30_000
    assert env.observation_space.shape == asked.shape[1:]
    assert all(env.observation_space.contains(one) for one in asked[::97])
    assert asked[:, 0].max() == 1.0


def test_outcomes_have_no_regions() -> None:
    env = playing(3, observation="outcome")
    plain = env.render()
    policy = always(ACCEPT)
    env.show_policy(policy)
    assert np.array_equal(env.render(), plain)
    assert len(policy.asked) == 0


def test_a_policy_needs_predict() -> None:
    with pytest.raises(TypeError, match="predict"):
        playing(0).show_policy(object())


# --- the plane ---------------------------------------------------------------------------------


def test_lines_of_the_literature() -> None:
    # The contest report's example: p0 = .1, p1 = .2, alpha = .10, beta = .05.
    acceptance, rejection = render.guides(parsed("aql10-rql20"))
    assert acceptance.slope == rejection.slope == pytest.approx(0.14524, abs=5e-6)
    assert acceptance.intercept == pytest.approx(-3.56427, abs=5e-6)
    assert rejection.intercept == pytest.approx(2.77618, abs=5e-6)


@given(good=st.floats(0.01, 0.6), ratio=st.floats(1.1, 1.6), n=st.floats(0.0, 500.0))
def test_the_likelihood_ratio_is_walds_on_the_lines(good: float, ratio: float, n: float) -> None:
    bad = good * ratio
    prior = {"kind": "two_point", "good": good, "bad": bad, "prob_bad": 0.5}
    scenario = parsed({**SMALL, "prior": prior})
    # Wald (1947), section 3.2: accept at beta / (1 - alpha), reject at (1 - beta) / alpha.
    for guide, bound in zip(render.guides(scenario), (0.05 / 0.90, 0.95 / 0.10), strict=True):
        d = guide.slope * n + guide.intercept
        log_ratio = d * math.log(bad / good) + (n - d) * math.log((1 - bad) / (1 - good))
        assert log_ratio == pytest.approx(math.log(bound), abs=1e-6)


def test_a_beta_prior_shows_its_limit() -> None:
    (line,) = render.guides(parsed("aql10-beta"))
    assert (line.slope, line.intercept) == (0.10, 0.0)


@given(st.data())
def test_the_window_holds_the_path(data: st.DataObject) -> None:
    most = data.draw(st.integers(1, 10_000))
    n = data.draw(st.integers(0, most))
    d = data.draw(st.integers(0, n))
    good = data.draw(st.floats(1e-6, 0.9))
    bad = data.draw(st.floats(good + 1e-3, 0.9999))
    prior = {"kind": "two_point", "good": good, "bad": bad, "prob_bad": 0.5}
    scenario = parsed({**SMALL, "prior": prior, "max_samples": most})
    view = render.window(scenario, [(n, d)])
    assert n <= view.right <= most
    assert d <= view.top <= view.right
    assert view.right >= min(1.25 * n, 60, most)
    for points, last in zip(view.lattice(), view, strict=True):
        assert (points[0], points[-1]) == (0, last)
        assert (np.diff(points) > 0).all()
        assert len(points) <= 241


# --- ansi --------------------------------------------------------------------------------------


def test_text_says_what_happened() -> None:
    env = playing(17, SMALL, "ansi", seed=4)
    n, d = int(env.state["n"]), int(env.state["d"])
    assert (n, d > 1) == (17, True)
    text = env.render()
    good, bad = (rate**d * (1 - rate) ** (n - d) for rate in (0.1, 0.3))
    prob_bad = 0.4 * bad / (0.4 * bad + 0.6 * good)
    assert f"17 items inspected, {d} defectives found; P(lot is bad) = {prob_bad:.3f}" in text
    assert "undecided; money -25.50" in text
    assert "ACCEPTED" not in text
    assert "REJECTED" not in text


def test_text_says_what_was_decided_and_what_it_cost() -> None:
    env = playing(10, SMALL, "ansi")
    wrong, loss, word = (
        (ACCEPT, 80, "ACCEPTED") if env.state["is_bad"] else (REJECT, 50, "REJECTED")
    )
    env.step(wrong)
    expected = f"{word}; money -{15 + loss}.00 (inspection -15.00, decision -{loss}.00)"
    assert expected in env.render()


def test_inspecting_beyond_the_last_item_is_told_as_rejecting() -> None:
    env = playing(40, SMALL, "ansi")
    assert "undecided" in env.render()
    env.step(INSPECT)
    assert "REJECTED" in env.render()


@pytest.mark.parametrize("scenario", PRESETS)
def test_text_has_a_mark_for_each_item(scenario: str) -> None:
    env = playing(30, {**SequentialSamplingScenario.presets[scenario], "max_samples": 60}, "ansi")
    plane = [line[7:] for line in env.render().splitlines() if line[6:7] == "|"]
    d = int(env.state["d"])
    here = len(plane) - 1 - d
    assert plane[here][30] == "@"
    marks = "".join(plane)
    # The last item is under the @.
    found_last = int(env.state["last_result"]) == 2
    assert (marks.count("x"), marks.count("o")) == (d - found_last, 30 - d - (not found_last))


# --- human -------------------------------------------------------------------------------------


@pytest.fixture
def window_env(monkeypatch: pytest.MonkeyPatch) -> Iterator[gym.Env[Any, Any]]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = gym.make(ID, render_mode="human")
    yield env
    env.close()


def test_the_window_shows_the_picture(window_env: gym.Env[Any, Any]) -> None:
    import pygame

    window_env.reset(seed=0)
    window_env.step(INSPECT)
    surface = pygame.display.get_surface()
    assert surface is not None
    shown = pygame.surfarray.array3d(surface).swapaxes(0, 1)
    assert np.array_equal(shown, playing(1).render())


def test_the_window_closes_and_opens_again(window_env: gym.Env[Any, Any]) -> None:
    import pygame

    window_env.reset(seed=0)
    assert pygame.display.get_init()
    window_env.close()
    assert not pygame.display.get_init()
    window_env.close()
    window_env.reset(seed=0)
    assert pygame.display.get_surface() is not None


# --- many at once ------------------------------------------------------------------------------


def test_a_picture_for_each_sub_environment() -> None:
    env = SequentialSamplingVectorEnv(3, render_mode="rgb_array")
    env.reset(seed=0)
    start = env.render()
    for _ in range(12):
        env.step(np.zeros(3, np.int64))
    pictures = env.render()
    assert start is not None
    assert pictures is not None
    assert len(start) == len(pictures) == 3
    assert all(picture.shape == (480, 640, 3) for picture in pictures)
    points = {(int(state["n"]), int(state["d"])) for state in env.states}
    assert len({picture.tobytes() for picture in pictures}) == len(points) > 1
    assert not np.array_equal(start[0], pictures[0])


def test_texts_of_sub_environments_tell_their_own_scenario_and_state() -> None:
    spread = {**SMALL["prior"], "good": {"choices": [0.05, 0.1, 0.15]}}
    env = SequentialSamplingVectorEnv(6, {**SMALL, "prior": spread}, render_mode="ansi")
    env.reset(seed=0)
    for _ in range(20):
        env.step(np.zeros(6, np.int64))
    texts = env.render()
    assert texts is not None
    goods = [scenario.prior.good for scenario in env.scenario_of]  # type: ignore[attr-defined]
    assert len(set(goods)) > 1
    for text, good, state in zip(texts, goods, env.states, strict=True):
        assert f"p = {good:g} (good)" in text
        assert f"20 items inspected, {state['d']} defective" in text
        assert "undecided; money -30.00" in text


# --- errors ------------------------------------------------------------------------------------


def test_an_unknown_render_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="render_mode = 'video': allowed are 'ansi'"):
        SequentialSamplingEnv(render_mode="video")
    with pytest.raises(ValueError, match="render_mode = 'human': allowed are 'ansi', 'rgb_array'"):
        SequentialSamplingVectorEnv(2, render_mode="human")


@pytest.mark.parametrize("mode", ["ansi", "rgb_array", "human"])
def test_there_is_no_picture_before_the_first_reset(mode: str) -> None:
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        SequentialSamplingEnv(render_mode=mode).render()


def test_without_a_render_mode_there_is_a_warning() -> None:
    env = SequentialSamplingEnv()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="without render_mode"):
        assert env.render() is None


def test_playing_needs_no_matplotlib() -> None:
    code = (
        "import sys, gymnasium, qc_gym\n"
        f"env = gymnasium.make({ID!r})\n"
        "env.reset(seed=0); env.step(0)\n"
        "sys.exit('matplotlib' in sys.modules or 'pygame' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
