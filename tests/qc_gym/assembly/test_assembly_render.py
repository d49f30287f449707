"""Pictures of assembly: what they show, and that every render mode works."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from stub_policies import always

from qc_gym.assembly import render
from qc_gym.assembly.env import AssemblyEnv, AssemblyVectorEnv
from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.core.env import QCEnv

USE = SHIP = SCRAP = 0
INSPECT = DISMANTLE = 1
PRESETS = ["cumcm-1", "cumcm-8part", "gearbox", "single-part"]  # one of each size
ABSENT, UNVERIFIED = (255, 255, 255), (251, 238, 184)
GOOD, BAD = (201, 224, 240), (248, 215, 193)


def playing(scenario: Any = None, mode: str = "rgb_array", **options: Any) -> AssemblyEnv:
    env = AssemblyEnv(scenario, render_mode=mode, **options)
    env.reset(seed=0)
    return env


def answer(env: AssemblyEnv, action: int, is_bad: bool = False) -> None:
    """Answer the question about an item that is bad, or is good."""
    state = env._states[0]
    state["is_bad"][state["asked"]] = is_bad
    env.step(action)


def colours(env: AssemblyEnv) -> dict[str, tuple[int, ...]]:
    """Return the colour of each node of the picture, above its text."""
    picture = env.render()
    found = {}
    for name, box in render.layout(env._scenario).items():
        row = render.HEIGHT - (box.y + box.height / 2.0 - 4.0)
        found[name] = tuple(int(value) for value in picture[int(row), int(box.x)])
    return found


def outline(env: AssemblyEnv, name: str) -> tuple[int, ...]:
    """Return the darkest colour at the upper edge of a node."""
    picture = env.render()
    box = render.layout(env._scenario)[name]
    row = int(render.HEIGHT - (box.y + box.height / 2.0))
    strip = picture[row - 2 : row + 3, int(box.x - box.width / 4.0)]
    return tuple(int(value) for value in strip[strip.sum(axis=1).argmin()])


# --- rgb_array ---------------------------------------------------------------------------------


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("scenario", PRESETS)
def test_each_step_makes_another_picture(scenario: str, observation: str) -> None:
    env = playing(scenario, observation=observation)
    pictures = [env.render()]
    for action in (INSPECT, USE, INSPECT):
        answer(env, action)
        pictures.append(env.render())
        if not env._is_running:
            break
    assert all(picture.shape == (480, 800, 3) for picture in pictures)
    assert all(picture.dtype == np.uint8 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures) >= 3
    assert np.array_equal(env.render(), pictures[-1])


def test_nodes_are_coloured_by_what_is_known() -> None:
    env = playing()
    assert colours(env) == {"part_1": UNVERIFIED, "part_2": ABSENT, "product": ABSENT}
    answer(env, INSPECT)
    assert colours(env) == {"part_1": GOOD, "part_2": UNVERIFIED, "product": ABSENT}
    answer(env, USE)
    assert colours(env) == {"part_1": GOOD, "part_2": UNVERIFIED, "product": UNVERIFIED}
    answer(env, SHIP, is_bad=True)
    assert colours(env) == {"part_1": GOOD, "part_2": UNVERIFIED, "product": BAD}
    answer(env, DISMANTLE)
    assert colours(env) == {"part_1": GOOD, "part_2": UNVERIFIED, "product": ABSENT}
    answer(env, USE)
    answer(env, SHIP)
    assert set(colours(env).values()) == {GOOD}


def test_the_node_asked_about_is_marked() -> None:
    env = playing()
    ink = (26, 26, 26)
    assert [outline(env, name) == ink for name in ("part_1", "part_2")] == [True, False]
    answer(env, USE)
    assert [outline(env, name) == ink for name in ("part_1", "part_2")] == [False, True]


def test_the_hidden_truth_is_not_shown() -> None:
    env = playing("gearbox")
    answer(env, USE)
    picture, text = env.render(), render.describe_episode(render.Moment(*env._moment()))
    env._states["is_bad"] ^= 1
    assert np.array_equal(env.render(), picture)
    assert render.describe_episode(render.Moment(*env._moment())) == text


def test_a_picture_is_the_users_own() -> None:
    env = playing()
    first = env.render()
    kept = first.copy()
    first[:] = 0
    assert np.array_equal(env.render(), kept)


# --- a policy ----------------------------------------------------------------------------------


def test_a_policy_is_shown_and_taken_away_again() -> None:
    env = playing()
    plain = env.render()
    pictures = []
    for policy in (always(USE), always(INSPECT)):
        env.show_policy(policy)
        pictures.append(env.render())
        assert env.observation_space.contains(policy.asked[0][0])
    assert len({picture.tobytes() for picture in (plain, *pictures)}) == 3
    env.show_policy(None)
    assert np.array_equal(env.render(), plain)


def test_what_the_policy_answers_is_told() -> None:
    env = playing(mode="ansi")
    assert "policy" not in env.render()
    env.show_policy(always(1))
    for action, is_bad, word in ((USE, False, "inspect"), (USE, False, "inspect")):
        assert env.render().endswith(f"policy: {word}")
        answer(env, action, is_bad)
    answer(env, SHIP, is_bad=True)
    assert env.render().endswith("policy: dismantle")
    env.show_policy(always(0))
    assert env.render().endswith("policy: scrap")


def test_an_answer_that_is_not_allowed_is_told_as_what_it_does() -> None:
    env = playing({**AssemblyScenario.presets["cumcm-1"], "max_blind_failures": 0}, "ansi")
    env.show_policy(always(DISMANTLE))
    for _ in range(2):
        answer(env, USE)
    answer(env, SHIP, is_bad=True)
    assert env.render().endswith("policy: scrap")
    assert "product is bad: scrap it (it failed too often)" in env.render()
    answer(env, DISMANTLE)
    assert "product scrapped" in env.render()


def test_a_policy_is_not_asked_about_outcomes_or_after_the_end() -> None:
    policy = always(1)
    env = playing(observation="outcome")
    env.show_policy(policy)
    env.render()
    env = playing("single-part")
    answer(env, USE)
    answer(env, SHIP)
    env.show_policy(policy)
    env.render()
    assert policy.asked == []


def test_a_policy_sees_the_features_of_a_range() -> None:
    policy = always(1)
    env = playing({**AssemblyScenario.presets["cumcm-1"], "return_loss": {"low": 1, "high": 9}})
    env.show_policy(policy)
    env.render()
    assert env.observation_space.shape == policy.asked[0].shape[1:]


# --- ansi --------------------------------------------------------------------------------------


def test_text_tells_the_tree_the_question_and_the_money() -> None:
    env = playing("gearbox", "ansi")
    answer(env, INSPECT)
    # In the preset a gear costs 9 and its inspection 3, a shaft 14; it is bad at .05.
    lines = env.render().splitlines()
    assert lines[0].startswith("price 240, return loss 60")
    tree = [line[2:] for line in lines[1:8]]
    indents = {line.split()[0]: len(line) - len(line.lstrip()) for line in tree}
    assert indents == {
        "gearbox": 0, "train": 2, "drive": 4, "gear": 6, "shaft": 6, "bearing": 4, "housing": 2,
    }  # fmt: skip
    assert [line.split() for line in lines if line.startswith(">")] == [
        [">", "shaft", "P(bad)", "0.050"]
    ]
    assert "gear inspected: good" in lines
    assert "money -26.00" in lines
    assert lines[-1] == "shaft: use it or inspect it?"


def test_text_tells_every_question_and_every_result() -> None:
    env = playing(mode="ansi")

    def told(action: int, is_bad: bool = False) -> list[str]:
        answer(env, action, is_bad)
        return env.render().splitlines()[4:]

    assert env.render().splitlines()[4:] == ["money 0.00", "part_1: use it or inspect it?"]
    assert told(INSPECT, True) == [
        "part_1 inspected: bad, thrown away", "money -10.00", "part_1: use it or inspect it?",
    ]  # fmt: skip
    assert told(USE) == ["part_1 used as it is", "money -28.00", "part_2: use it or inspect it?"]
    ship = "product is finished: ship it or inspect it?"
    assert told(INSPECT) == ["part_2 inspected: good", "money -37.00", ship]
    scrap = "product is bad: scrap it or dismantle it?"
    assert told(INSPECT, True) == ["product inspected: bad", "money -40.00", scrap]
    assert told(DISMANTLE) == [
        "product dismantled", "money -45.00", "part_1: use it or inspect it?"
    ]  # fmt: skip
    told(USE)
    assert told(SHIP, True) == ["product shipped: bad, it came back", "money -57.00", scrap]
    assert "2 failures" in env.render()
    assert told(SCRAP) == ["product scrapped", "money -61.00", "part_1: use it or inspect it?"]
    told(USE)
    told(USE)
    assert told(SHIP) == ["product shipped: good", "money -29.00", "product is delivered"]


# --- layout ------------------------------------------------------------------------------------


def wide(parts: int) -> dict[str, Any]:
    part = {"defect_rate": 0.1, "purchase_cost": 1.0, "inspection_cost": 1.0}
    nodes: dict[str, Any] = {f"a_rather_long_name_of_part_{i}": part for i in range(parts)}
    root = {"children": list(nodes), "assembly_cost": 1.0, "dismantle_cost": 1.0}
    nodes["product"] = {**root, "defect_rate": 0.1, "inspection_cost": 1.0}
    return {"price": 9.0, "return_loss": 1.0, "nodes": nodes}


@pytest.mark.parametrize("scenario", [*PRESETS, wide(39)], ids=[*PRESETS, "wide"])
def test_nodes_do_not_overlap_and_are_in_the_picture(scenario: Any) -> None:
    parsed = AssemblyScenario.parse(scenario)
    assert isinstance(parsed, AssemblyScenario)
    boxes = list(render.layout(parsed).values())
    for i, box in enumerate(boxes):
        assert box.width / 2 <= box.x <= render.WIDTH - box.width / 2
        assert box.y - box.height / 2 >= render.BOTTOM
        assert box.y + box.height / 2 <= render.TOP
        for other in boxes[:i]:
            across = abs(box.x - other.x) >= (box.width + other.width) / 2
            down = abs(box.y - other.y) >= (box.height + other.height) / 2
            assert across or down
    for name, box in render.layout(parsed).items():
        children = parsed.nodes[name].children or ()
        assert all(render.layout(parsed)[child].y < box.y for child in children)


@pytest.mark.parametrize("name", ["$x_1$ {", "Gehäuse", "a" * 200])
def test_any_name_can_be_drawn(name: str) -> None:
    nodes = {
        name: {"defect_rate": 0.1, "purchase_cost": 1.0, "inspection_cost": 1.0},
        "product": AssemblyScenario.presets["single-part"]["nodes"]["product"],
    }
    nodes["product"] = {**nodes["product"], "children": [name]}
    env = playing({"price": 9.0, "return_loss": 1.0, "nodes": nodes})
    env.render()
    assert name in render.describe_episode(render.Moment(*env._moment()))


# --- human, vector, errors ---------------------------------------------------------------------


@pytest.fixture
def window_env(monkeypatch: pytest.MonkeyPatch) -> Iterator[QCEnv]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = AssemblyEnv(render_mode="human")
    yield env
    env.close()


def test_the_window_shows_the_picture(window_env: QCEnv) -> None:
    import pygame

    window_env.reset(seed=0)
    window_env.step(USE)
    surface = pygame.display.get_surface()
    assert surface is not None
    shown = pygame.surfarray.array3d(surface).swapaxes(0, 1)
    env = playing()
    env.step(USE)
    assert np.array_equal(shown, env.render())


def test_a_picture_for_each_sub_environment() -> None:
    env = AssemblyVectorEnv(3, render_mode="rgb_array")
    env.reset(seed=0)
    start = env.render()
    env.step(np.array([USE, INSPECT, USE]))
    pictures = env.render()
    assert start is not None
    assert pictures is not None
    assert all(picture.shape == (480, 800, 3) for picture in pictures)
    assert np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(start[0], pictures[0])


def test_texts_of_sub_environments_do_not_invent_the_money() -> None:
    env = AssemblyVectorEnv(2, render_mode="ansi")
    env.reset(seed=0)
    texts: Any = env.render()
    assert all("money 0.00" in text for text in texts)
    env.step(np.array([USE, USE]))
    texts = env.render()
    assert all("money not known" in text for text in texts)
    assert all("part_2: use it or inspect it?" in text for text in texts)


def test_a_copy_is_drawn_alike() -> None:
    env = playing()
    answer(env, USE)
    assert np.array_equal(pickle.loads(pickle.dumps(env)).render(), env.render())


def test_playing_needs_no_matplotlib() -> None:
    code = (
        "import sys\nfrom qc_gym.assembly.env import AssemblyEnv\n"
        "env = AssemblyEnv()\nenv.reset(seed=0); env.step(0)\n"
        "sys.exit('matplotlib' in sys.modules or 'pygame' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
