"""Pictures of inspect-or-stop: what they show, and that every render mode works."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_policies import RulePolicy, always

from qc_gym.core.env import QCEnv
from qc_gym.lot import render
from qc_gym.lot.dynamics import MAX_LOT
from qc_gym.lot.env import InspectOrStopEnv, InspectOrStopVectorEnv
from qc_gym.lot.scenario import InspectOrStopScenario

STOP = END = 0
INSPECT = PRODUCE = 1
PRESETS = InspectOrStopScenario.presets
CERTAIN = {**PRESETS["weibull-30"], "yield_in": 1.0, "yield_out": 0.0}
SIZING = {**PRESETS["lot-sizing-20"], "yield_in": 1.0, "yield_out": 0.0}
CONFORMING, NONCONFORMING = (0, 114, 178), (213, 94, 0)
WHITE, TINT = (255, 255, 255), (248, 215, 193)
WAITING, UNKNOWN, NOT_PRODUCED, INK = (
    (220, 220, 214),
    (140, 140, 140),
    (255, 255, 255),
    (26, 26, 26),
)


def stops_below(belief: float) -> RulePolicy:
    return RulePolicy(lambda observations: observations[:, 2] >= belief)


def playing(scenario: Any = None, mode: str = "rgb_array", **options: Any) -> InspectOrStopEnv:
    env = InspectOrStopEnv(scenario, render_mode=mode, **options)
    env.reset(seed=0)
    return env


def inspect(env: InspectOrStopEnv, *results: int) -> None:
    """Inspect units of which 1 is conforming and 0 is not; the yields must be 1 and 0."""
    for result in results:
        env._states["quantile"] = 0.0 if result else 1.0
        env.step(INSPECT)


def colours(env: InspectOrStopEnv) -> list[tuple[int, ...]]:
    """Return the colour of each unit of the picture."""
    picture = env.render()
    left, top, side = render.cells(env._scenario.longest_lot)
    middle = side // 2 - 1
    return [tuple(picture[y + middle, x + middle].tolist()) for x, y in zip(left, top, strict=True)]


def pixels(env: InspectOrStopEnv, *places: tuple[float, float]) -> list[tuple[int, ...]]:
    """Return the colours of the picture at places (unit, belief) of the axes."""
    picture = env.render()
    x, y, width, height = render.AXES
    rows, columns, _ = picture.shape
    found = []
    for unit, belief in places:
        across = (unit - 0.5) / env._scenario.longest_lot
        up = (float(render.log_odds(belief)) + render.LIMIT) / (2 * render.LIMIT)
        row, column = rows * (1.0 - y - height * up), columns * (x + width * across)
        found.append(tuple(picture[int(row), int(column)].tolist()))
    return found


# --- rgb_array ---------------------------------------------------------------------------------


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("scenario", ["weibull-30", "table-16", "lot-sizing-200"])
def test_each_step_makes_another_picture(scenario: str, observation: str) -> None:
    env = playing(scenario, observation=observation)
    pictures = [env.render()]
    for action in (INSPECT, INSPECT, STOP):
        env.step(action)
        pictures.append(env.render())
    assert all(picture.shape == (480, 800, 3) for picture in pictures)
    assert all(picture.dtype == np.uint8 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 4
    assert np.array_equal(env.render(), pictures[-1])


def test_units_are_coloured_by_result() -> None:
    env = playing(CERTAIN)
    assert colours(env) == [WAITING] * 30
    inspect(env, 1, 1, 0, 1, 0)
    expected = [CONFORMING, CONFORMING, NONCONFORMING, CONFORMING, NONCONFORMING]
    assert colours(env) == expected + [WAITING] * 25
    env.step(STOP)
    assert colours(env) == expected + [WAITING] * 25


def test_production_is_shown() -> None:
    env = playing(SIZING)
    assert colours(env) == [NOT_PRODUCED] * 60
    for action in (PRODUCE, PRODUCE, PRODUCE, END):
        env.step(action)
    assert colours(env) == [WAITING] * 3 + [NOT_PRODUCED] * 57
    inspect(env, 1, 0)
    assert colours(env) == [CONFORMING, NONCONFORMING, WAITING] + [NOT_PRODUCED] * 57


def test_the_next_unit_is_framed() -> None:
    def framed(env: InspectOrStopEnv) -> list[int]:
        picture = env.render()
        left, top, _ = render.cells(env._scenario.longest_lot)
        return [i for i, (x, y) in enumerate(zip(left, top, strict=True))
                if tuple(picture[y - 1, x + 5]) == INK]  # fmt: skip

    env = playing(CERTAIN)
    assert framed(env) == [0]
    inspect(env, 1, 0)
    assert framed(env) == [2]
    env.step(STOP)
    assert framed(env) == []
    producing = playing(SIZING)
    producing.step(PRODUCE)
    assert framed(producing) == []


def test_the_end_is_seen() -> None:
    stopped, met = playing({**CERTAIN, "demand": 1}), playing({**CERTAIN, "demand": 1})
    going = stopped.render()
    stopped.step(STOP)
    inspect(met, 1)
    stamps = [picture[:45, 620:] for picture in (going, stopped.render(), met.render())]
    for colour, expected in ((NONCONFORMING, [0, 1, 0]), (CONFORMING, [0, 0, 1])):
        assert [(stamp == colour).all(axis=-1).any() for stamp in stamps] == expected


def test_the_hidden_truth_is_not_shown() -> None:
    env = playing()
    env.step(INSPECT)
    picture, text = env.render(), env._text()
    env._states["quantile"] = env._history[-1]["quantile"] = 0.5
    assert np.array_equal(env.render(), picture)
    assert env._text() == text


def test_a_picture_is_the_users_own() -> None:
    env = playing()
    first = env.render()
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(env.render(), kept)


@given(st.integers(1, MAX_LOT))
def test_all_units_are_in_the_picture(longest: int) -> None:
    left, top, side = render.cells(longest)
    assert len(left) == len(top) == longest
    assert side >= 7
    assert left.min() >= 2
    assert left.max() + side <= 798
    assert (top.min(), top.max() + side <= render.TOP + render.HEIGHT) == (render.TOP, True)
    assert len(set(zip(left.tolist(), top.tolist(), strict=True))) == longest


# --- a policy ----------------------------------------------------------------------------------


def test_the_threshold_is_where_the_policy_stops() -> None:
    env = playing()
    for _ in range(3):
        env.step(INSPECT)
    places = (1.3, 0.02), (2.3, 0.02), (3.3, 0.02), (5.3, 0.02), (3.3, 0.003), (1.3, 0.2)
    assert pixels(env, *places) == [WHITE] * 6
    # 0.05 before the first two units, 0.005 from then on: n / 30 is in the observation.
    env.show_policy(RulePolicy(lambda o: o[:, 2] >= np.where(o[:, 0] < 1.5 / 30, 0.05, 0.005)))
    assert pixels(env, *places) == [TINT, TINT, WHITE, WHITE, TINT, WHITE]
    env.show_policy(None)
    assert pixels(env, *places) == [WHITE] * 6


@given(st.floats(0.0004, 0.9996))
def test_thresholds_are_found_to_a_twentieth_of_a_decade(belief: float) -> None:
    env = playing()
    env.step(INSPECT)
    env.show_policy(stops_below(belief))
    thresholds = env._moment()[-1]
    assert thresholds.shape == (2,)
    odds = render.log_odds(thresholds) - render.log_odds(belief)
    assert np.abs(odds).max() <= 0.025 + 1e-6


def test_policies_that_always_do_the_same() -> None:
    env = playing()
    for action, threshold in ((STOP, 1.0), (INSPECT, 0.0)):
        env.show_policy(always(action))
        assert env._moment()[-1].tolist() == [threshold]
        assert env.render().shape == (480, 800, 3)


@pytest.mark.parametrize(
    "policy",
    [
        RulePolicy(lambda o: o[:, 2] < 0.5),  # inspects what it should not
        RulePolicy(lambda o: (o[:, 2] > 0.2) & (o[:, 2] < 0.8)),
        RulePolicy(lambda o: o[:, 2] > 0.2, memory="has one"),
    ],
    ids=["reversed", "in the middle", "memory"],
)
def test_no_threshold_is_drawn_of_a_policy_that_has_none(policy: RulePolicy) -> None:
    env = playing()
    env.step(INSPECT)
    env.show_policy(policy)
    assert env._moment()[-1] is None
    assert len(policy.asked) > 0
    assert pixels(env, (1.3, 0.003)) == [WHITE]


def test_a_policy_is_not_asked_about_outcomes() -> None:
    policy = stops_below(0.5)
    env = playing(observation="outcome")
    plain = env.render()
    env.show_policy(policy)
    assert np.array_equal(env.render(), plain)
    assert policy.asked == []


def test_a_policy_is_asked_observations_of_the_space() -> None:
    policy = stops_below(0.5)
    env = playing({**PRESETS["weibull-30"], "inspection_cost": {"low": 0.5, "high": 1.0}})
    env.step(INSPECT)
    env.show_policy(policy)
    env.render()
    for observations in policy.asked:
        assert all(env.observation_space.contains(one) for one in observations[::7])


def test_the_policys_answer_is_told() -> None:
    env = playing(SIZING, "ansi")
    assert "policy: " not in env.render()
    # Produces up to three units; units left / 60, whether producing.
    env.show_policy(RulePolicy(lambda o: np.where(o[:, 4] == 1, o[:, 3] < 2.5 / 60, o[:, 2] > 0.5)))
    for _ in range(3):
        assert env.render().endswith("policy: produce")
        env.step(PRODUCE)
    assert env.render().endswith("policy: end production")
    env.step(END)
    assert env.render().endswith("policy: inspect")
    inspect(env, 1, 0)
    assert env.render().endswith("policy: stop")
    env.step(STOP)
    assert "policy: " not in env.render()


def test_an_answer_that_is_not_allowed_is_told_as_what_it_does() -> None:
    env = playing({**SIZING, "max_lot_size": 1}, "ansi")
    env.show_policy(RulePolicy(lambda o: np.ones(len(o))))
    assert env.render().endswith("policy: produce")
    env.step(PRODUCE)
    assert env.render().endswith("policy: end production")


# --- ansi --------------------------------------------------------------------------------------


def test_text_tells_the_units_the_belief_and_the_money() -> None:
    env = playing({**CERTAIN, "yield_in": 0.99}, "ansi")
    inspect(env, 1, 1, 0)
    lines = env.render().splitlines()
    assert lines[0].startswith("Lot of 30, demand 20; yield 0.99 in control, 0 out of control")
    assert lines[1] == "    1 |oox" + "." * 27
    assert "3 of 30 units inspected, 2 conforming; 18 of 20 still wanted" in lines
    assert "inspecting; money -3.00 (inspection -3.00)" in lines
    # Two conforming units prove control until then, and F(j) = .98^(j^1.2).
    odds = 0.98 ** (3**1.2 - 2**1.2)
    fourth = odds * 0.01 / (odds * 0.01 + 1 - odds) * 0.98 ** (4**1.2 - 3**1.2)
    assert env.state["b"] == pytest.approx(fourth)
    axis = {line[:5].strip(): line[7:] for line in lines if line[6:7] == "|"}
    assert axis["0.1"] == "   @"  # of .001, .01, .1, .5 the nearest in log odds
    assert 0.05 < fourth < 0.25


def test_text_of_production() -> None:
    env = playing(SIZING, "ansi")
    assert "0 units produced, at most 60; 20 of 20 still wanted" in env.render()
    assert "producing; money 0.00" in env.render()
    env.step(PRODUCE)
    assert "1 unit produced, at most 60" in env.render()
    assert "producing; money -11.00 (production -11.00)" in env.render()
    env.step(END)
    inspect(env, 0)
    expected = "LOT USED UP; money -132.00 (production -11.00, inspection -1.00, shortage -120.00)"
    assert expected in env.render()
    empty = playing(SIZING, "ansi")
    empty.step(END)
    expected = "NOTHING PRODUCED; money -120.00 (shortage -120.00)"
    assert expected in empty.render()


def test_text_of_the_other_ends() -> None:
    env = playing({**CERTAIN, "demand": 2}, "ansi")
    inspect(env, 1)
    env.step(STOP)
    assert "STOPPED; money -5.00 (inspection -1.00, shortage -4.00)" in env.render()
    env.reset()
    inspect(env, 1, 1)
    assert "DEMAND MET; money -2.00 (inspection -2.00)" in env.render()


def test_text_shows_the_threshold() -> None:
    env = playing(CERTAIN, "ansi")
    env.show_policy(stops_below(0.012))
    inspect(env, 1, 1)
    axis = {line[:5].strip(): line[7:] for line in env.render().splitlines() if line[6:7] == "|"}
    assert axis["0.01"] == "---"
    assert axis["0.001"] == ""


# --- human, vector, errors ---------------------------------------------------------------------


@pytest.fixture
def window_env(monkeypatch: pytest.MonkeyPatch) -> Iterator[QCEnv]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = InspectOrStopEnv(render_mode="human")
    yield env
    env.close()


def test_the_window_shows_the_picture(window_env: QCEnv) -> None:
    import pygame

    window_env.reset(seed=0)
    window_env.step(INSPECT)
    surface = pygame.display.get_surface()
    assert surface is not None
    shown = pygame.surfarray.array3d(surface).swapaxes(0, 1)
    env = playing()
    env.step(INSPECT)
    assert np.array_equal(shown, env.render())


def test_pictures_of_sub_environments_begin_where_they_are() -> None:
    env = InspectOrStopVectorEnv(2, CERTAIN, render_mode="rgb_array")
    env.reset(seed=0)
    for _ in range(4):
        env.step(np.ones(2, np.int64))
    env._states["quantile"] = [0.0, 1.0]
    env.step(np.ones(2, np.int64))
    pictures: Any = env.render()
    left, top, _ = render.cells(30)
    seen = [[tuple(picture[y + 5, x + 5].tolist()) for x, y in zip(left, top, strict=True)]
            for picture in pictures]  # fmt: skip
    for units, last in zip(seen, (CONFORMING, NONCONFORMING), strict=True):
        assert units == [UNKNOWN] * 4 + [last] + [WAITING] * 25


def test_texts_of_sub_environments_tell_the_money() -> None:
    env = InspectOrStopVectorEnv(3, {**SIZING, "demand": 3}, render_mode="ansi")
    env.reset(seed=0)
    paid = np.zeros(3)
    for actions in ((1, 1, 1), (1, 1, 1), (0, 1, 0), (1, 1, 1), (0, 1, 1)):
        paid += env.step(np.array(actions))[1]
        if actions[0]:  # before anything stops
            texts: Any = env.render()
            for text, money in zip(texts, paid, strict=True):
                assert f"money {money:.2f}" in text
    # Two units, all inspected: used up, shortage included.
    assert "LOT USED UP" in env.render()[2]  # type: ignore[index]
    assert f"money {paid[2]:.2f}" in env.render()[2]  # type: ignore[index]


def test_a_copy_is_drawn_alike() -> None:
    env = playing()
    env.step(INSPECT)
    assert np.array_equal(pickle.loads(pickle.dumps(env)).render(), env.render())


def test_playing_needs_no_matplotlib() -> None:
    code = (
        "import sys\nfrom qc_gym.lot.env import InspectOrStopEnv\n"
        "env = InspectOrStopEnv()\nenv.reset(seed=0); env.step(0)\n"
        "sys.exit('matplotlib' in sys.modules or 'pygame' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
