"""The world of assembly against money counted by hand and Bayes' rule by enumeration."""

import subprocess
import sys
import warnings
from itertools import product as cartesian
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frequencies import assert_mean
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from qc_gym.assembly.env import AssemblyEnv, AssemblyVectorEnv

USE = SHIP = SCRAP = 0
INSPECT = DISMANTLE = 1
RATE = st.floats(0.01, 0.99)


def start(scenario: Any = None, **options: Any) -> AssemblyEnv:
    env = AssemblyEnv(scenario, **options)
    env.reset(seed=0)
    return env


def answer(env: AssemblyEnv, action: int, is_bad: bool = False) -> float:
    """Answer the question about an item that is bad, or is good; return the reward."""
    state = env._states[0]
    state["is_bad"][state["asked"]] = is_bad
    return float(env.step(action)[1])


def asked(env: AssemblyEnv) -> str:
    """Return the name of the node asked about."""
    return env.scenario.order[int(env.state["asked"])]  # type: ignore[attr-defined]


def seen(env: AssemblyEnv) -> dict[str, float]:
    """Return P(bad) of each node, by name, as the belief observation has it."""
    observations, _, _ = env.kernel.describe(env._record, env._states, "belief")
    chances = observations[0, 3:-3:5].tolist()
    return dict(zip(env.scenario.order, chances, strict=True))  # type: ignore[attr-defined]


def part(rate: float) -> dict[str, float]:
    return {"defect_rate": rate, "purchase_cost": 1.0, "inspection_cost": 1.0}


def assembly(rate: float, *children: str) -> dict[str, Any]:
    return {
        "children": list(children),
        "defect_rate": rate,
        "assembly_cost": 1.0,
        "inspection_cost": 1.0,
        "dismantle_cost": 1.0,
    }


def tree(limit: int = 9, **nodes: Any) -> dict[str, Any]:
    return {"price": 9.0, "return_loss": 1.0, "max_blind_failures": limit, "nodes": nodes}


def pair(rate_a: float, rate_b: float, rate: float, limit: int = 9) -> dict[str, Any]:
    return tree(limit, a=part(rate_a), b=part(rate_b), p=assembly(rate, "a", "b"))


# --- interfaces --------------------------------------------------------------------------------


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("scenario", ["cumcm-1", "gearbox"])
def test_both_checkers_pass_without_a_warning(
    scenario: str, observation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*not having a spec")
        check_env(AssemblyEnv(scenario, observation), skip_render_check=True)
        check_env_sb3(AssemblyEnv(scenario, observation), warn=True, skip_render_check=True)


def test_sizes_compiled_by_several_processes_do_not_mix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    program = (
        "import sys\nfrom qc_gym.assembly.env import AssemblyEnv\n"
        "for name in sys.argv[1:]:\n"
        "    env = AssemblyEnv(name)\n"
        "    print(env.reset(seed=0)[0].tolist(), env.step(0)[0].tolist(), env.state)\n"
    )

    def run(*names: str) -> list[str]:
        command = [sys.executable, "-c", program, *names]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    one, other = run("single-part"), run("cumcm-1")
    assert run("single-part", "cumcm-1") == one + other
    assert run("cumcm-1", "single-part") == other + one


# --- money -------------------------------------------------------------------------------------


def test_an_episode_with_every_branch_counted_by_hand() -> None:
    # The contest's case 1: parts 4 and 18, inspections 2, 3, 3, assembly 6, dismantling 5,
    # return loss 6, price 56.
    env = start("cumcm-1")
    script = [
        ("part_1", INSPECT, True, -4 - 2 - 4),  # the first purchase is paid here; another bought
        ("part_1", INSPECT, False, -2 - 18),
        ("part_2", USE, True, -6),
        ("product", SHIP, True, -6),
        ("product", DISMANTLE, True, -5),
        ("part_2", USE, True, -6),  # part_1 is known good: not asked about
        ("product", INSPECT, True, -3),
        ("product", DISMANTLE, True, -5),
        ("part_2", INSPECT, True, -3 - 18),
        ("part_2", INSPECT, False, -3 - 6),
        ("product", SHIP, True, -6),
        ("product", DISMANTLE, True, -5 - 6),  # both parts known good: reassembled at once
        ("product", INSPECT, True, -3),
        ("product", SCRAP, True, -4),
        ("part_1", USE, False, -18),
        ("part_2", USE, False, -6),
        ("product", INSPECT, False, -3 + 56),
    ]
    total = 0.0
    for node, action, is_bad, money in script:
        assert asked(env) == node
        reward = answer(env, action, is_bad)
        assert reward == money, (node, action, is_bad)
        total += reward
    assert not env._is_running
    # Three of each part, five assemblies, inspections, returns, dismantlings.
    spent = 3 * 4 + 3 * 18 + 5 * 6 + 2 * 2 + 2 * 3 + 3 * 3 + 2 * 6 + 3 * 5
    assert total == 56 - spent


def test_a_good_product_that_is_shipped_ends_the_episode() -> None:
    env = start("cumcm-1")
    assert answer(env, USE) == -4 - 18
    assert answer(env, USE) == -6
    env._states[0]["is_bad"][2] = 0
    _, reward, terminated, truncated, _ = env.step(SHIP)
    assert (reward, terminated, truncated) == (56.0, True, False)


def test_scrapping_an_inner_assembly_leaves_its_siblings() -> None:
    env = start("gearbox")
    for node in ("gear", "shaft"):
        assert asked(env) == node
        answer(env, USE)
    assert asked(env) == "drive"
    answer(env, USE)
    answer(env, INSPECT)  # the bearing, good
    assert asked(env) == "train"
    assert answer(env, INSPECT, is_bad=True) == -5
    assert answer(env, DISMANTLE) == -6
    assert asked(env) == "drive"
    assert answer(env, INSPECT, is_bad=True) == -4
    assert answer(env, SCRAP) == -9  # another gear
    present = dict(zip(env.scenario.order, env.state["status"] != 0, strict=True))  # type: ignore[attr-defined]
    assert [name for name, there in present.items() if there] == ["gear", "bearing"]


# --- belief ------------------------------------------------------------------------------------


def chances(
    trials: list[float], bads: dict[str, list[list[int]]], fails: list[list[int]]
) -> dict[str, float]:
    """Return the chance that each item is bad, by enumerating all independent defects.

    ``trials`` holds their chances. Something is bad if one of some defects is there: ``bads`` lists
    these for the items asked for, ``fails`` for the builds that are known to have failed.
    """
    total, found = 0.0, dict.fromkeys(bads, 0.0)
    for defects in cartesian((0, 1), repeat=len(trials)):
        if not all(any(defects[j] for j in causes) for causes in fails):
            continue
        weight = np.prod([p if d else 1 - p for p, d in zip(trials, defects, strict=True)])
        total += weight
        for name, causes in bads.items():
            found[name] += weight * any(defects[j] for j in causes[0])
    return {name: chance / total for name, chance in found.items()}


def fail(env: AssemblyEnv, root: str, times: int) -> None:
    """Use everything as it is; find the assembly ``root`` bad and take it apart, so many times."""
    for _ in range(times):
        while asked(env) != root:
            answer(env, USE)
        answer(env, INSPECT, is_bad=True)
        answer(env, DISMANTLE)


@settings(max_examples=60, deadline=None)
@given(a=RATE, b=RATE, q=RATE, k=st.integers(0, 5))
def test_belief_after_failures_of_two_parts(a: float, b: float, q: float, k: int) -> None:
    env = start(pair(a, b, q))
    answer(env, USE)  # to where both parts are there, if nothing has failed yet
    if k:
        fail(env, "p", k)
    fails = [[0, 1, 2 + i] for i in range(k)]
    expected = chances(
        [a, b] + [q] * (k + 1), {"a": [[0]], "b": [[1]], "p": [[0, 1, 2 + k]]}, fails
    )
    got = seen(env)
    assert [got["a"], got["b"]] == pytest.approx([expected["a"], expected["b"]], abs=1e-6)
    while asked(env) != "p":
        answer(env, USE)
    assert seen(env) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(a=RATE, b=RATE, q=RATE, k=st.integers(1, 5), is_bad=st.booleans())
def test_belief_when_one_of_two_parts_is_inspected(
    a: float, b: float, q: float, k: int, is_bad: bool
) -> None:
    env = start(pair(a, b, q))
    fail(env, "p", k)
    answer(env, INSPECT, is_bad)
    if is_bad:  # it explains the failures, and another one is bought
        assert seen(env) == pytest.approx({"a": a, "b": b, "p": 0.0}, abs=1e-6)
        assert env.state["failures"].tolist() == [0, 0, 0]
        return
    fails = [[0, 1 + i] for i in range(k)]
    expected = chances([b] + [q] * k, {"b": [[0]]}, fails)
    assert seen(env) == pytest.approx({"a": 0.0, "b": expected["b"], "p": 0.0}, abs=1e-6)
    assert env.state["failures"].tolist() == [0, 0, k]
    answer(env, INSPECT, is_bad=False)  # with both known to be good, failures say nothing
    assert seen(env) == pytest.approx({"a": 0.0, "b": 0.0, "p": q}, abs=1e-6)
    assert env.state["failures"].tolist() == [0, 0, 0]


NESTED = {"a": [[0]], "b": [[1]], "d": [[2]], "c": [[0, 1, 3]], "p": [[0, 1, 2, 3, 4]]}


@settings(max_examples=60, deadline=None)
@given(
    rates=st.tuples(RATE, RATE, RATE, RATE, RATE),
    inner=st.integers(0, 3),
    outer=st.integers(0, 3),
)
def test_belief_of_an_assembly_within_an_assembly(
    rates: tuple[float, ...], inner: int, outer: int
) -> None:
    a, b, d, q_c, q_p = rates
    nodes = {"a": part(a), "b": part(b), "d": part(d)}
    env = start(tree(**nodes, c=assembly(q_c, "a", "b"), p=assembly(q_p, "c", "d")))
    fail(env, "c", inner)
    fail(env, "p", outer)
    # Defects: a, b, d, of the present c, of the present p, of each c and each p that failed.
    trials = [a, b, d, q_c, q_p] + [q_c] * inner + [q_p] * outer
    fails = [[0, 1, 5 + i] for i in range(inner)]
    fails += [[0, 1, 2, 3, 5 + inner + i] for i in range(outer)]
    expected = chances(trials, NESTED, fails)
    if outer:
        assert asked(env) == "c"
        there = {name: expected[name] for name in "abcd"}
        assert seen(env) == pytest.approx({**there, "p": 0.0}, abs=1e-6)
    while asked(env) != "p":
        answer(env, USE)
    assert seen(env) == pytest.approx(expected, abs=1e-6)
    answer(env, SHIP, is_bad=True)
    expected = chances(trials, NESTED, [*fails, [0, 1, 2, 3, 4]])
    assert seen(env) == pytest.approx(expected, abs=1e-6)


def test_belief_when_the_inner_assembly_is_found_bad() -> None:
    a, b, d, q_c, q_p = 0.1, 0.2, 0.3, 0.15, 0.25
    nodes = {"a": part(a), "b": part(b), "d": part(d)}
    env = start(tree(**nodes, c=assembly(q_c, "a", "b"), p=assembly(q_p, "c", "d")))
    fail(env, "p", 2)
    answer(env, INSPECT, is_bad=True)
    # c's failure explains those of p: d is as when it was bought, a and b are what c tells.
    expected = chances([a, b, q_c], {"a": [[0]], "b": [[1]]}, [[0, 1, 2]])
    assert seen(env) == pytest.approx({**expected, "c": 1.0, "d": d, "p": 0.0}, abs=1e-6)


# --- the hidden truth --------------------------------------------------------------------------


def test_the_truth_of_parts_and_assemblies() -> None:
    size = 20_000
    env = AssemblyVectorEnv(size, pair(0.1, 0.3, 0.2))
    env.reset(seed=0)
    env.step(np.full(size, USE))
    env.step(np.full(size, USE))
    a, b, p = env.states["is_bad"].T
    assert_mean(a, 0.1, 0.1 * 0.9)
    assert_mean(b, 0.3, 0.3 * 0.7)
    parts_bad = (a | b).astype(bool)
    assert_mean(parts_bad, 1 - 0.9 * 0.7, (1 - 0.63) * 0.63)
    assert p[parts_bad].all()
    assert_mean(p[~parts_bad], 0.2, 0.2 * 0.8)
    assert_mean(p, 1 - 0.9 * 0.7 * 0.8, 0.504 * 0.496)


def test_dismantled_parts_stay_what_they_truly_are() -> None:
    size = 5_000
    env = AssemblyVectorEnv(size, pair(0.4, 0.4, 0.3))
    env.reset(seed=1)
    for action in (USE, USE):
        env.step(np.full(size, action))
    before = env.states["is_bad"].astype(bool)
    env.step(np.full(size, INSPECT))
    bad = before[:, 2]
    observations, *_ = env.step(np.full(size, DISMANTLE))
    after = env.states["is_bad"].astype(bool)
    assert bad.any()
    assert (after[bad, :2] == before[bad, :2]).all()
    # What is seen is the share of bad ones among those that look like this.
    p = observations[bad, 3]
    assert len(set(p.tolist())) == 1
    assert_mean(before[bad, 0], float(p[0]), float(p[0] * (1 - p[0])))


@pytest.mark.parametrize("scenario", ["cumcm-1", "gearbox"])
def test_observations_masks_and_keys_read_no_hidden_field(scenario: str) -> None:
    env = AssemblyVectorEnv(64, scenario, autoreset_mode="SameStep")
    record = env.scenario_of[0].record()
    env.reset(seed=3)
    generator = np.random.default_rng(0)
    for _ in range(40):
        env.step(generator.integers(2, size=64))
        states, other = env.states, env.states
        other["is_bad"] = generator.integers(2, size=other["is_bad"].shape)
        for observation in ("belief", "outcome"):
            shown = env.kernel.describe(record, states, observation)
            again = env.kernel.describe(record, other, observation)
            for one, two in zip(shown, again, strict=True):
                assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("scenario", ["cumcm-1", "gearbox"])
def test_what_is_known_is_true(scenario: str) -> None:
    env = AssemblyVectorEnv(256, scenario, autoreset_mode="SameStep")
    env.reset(seed=5)
    generator = np.random.default_rng(1)
    for _ in range(60):
        env.step(generator.integers(2, size=256))
        status, is_bad = env.states["status"], env.states["is_bad"]
        assert not is_bad[status == 3].any(), "known to be good"
        assert is_bad[status == 4].all(), "known to be bad"


# --- masks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_dismantling_is_closed_after_too_many_blind_failures(limit: int) -> None:
    env = start(pair(0.1, 0.1, 0.1, limit))
    fail(env, "p", limit)
    while asked(env) != "p":
        answer(env, USE)
    assert env.action_masks().tolist() == [True, True]
    answer(env, SHIP, is_bad=True)
    assert env.state["failures"][2] == limit + 1
    assert env.action_masks().tolist() == [True, False]
    # Answer 1 acts as 0: nothing is paid for dismantling, and another first part is bought.
    assert answer(env, DISMANTLE) == -1.0
    assert asked(env) == "a"
    assert env.state["status"].tolist() == [1, 0, 0]
    assert env.state["failures"].tolist() == [0, 0, 0]


def test_one_part_known_to_be_good_does_not_open_dismantling() -> None:
    env = start(pair(0.1, 0.1, 0.1, 1))
    fail(env, "p", 1)
    answer(env, INSPECT)
    answer(env, USE)
    answer(env, SHIP, is_bad=True)
    assert env.action_masks().tolist() == [True, False]


def test_with_all_parts_known_to_be_good_dismantling_is_always_open() -> None:
    env = start(pair(0.1, 0.1, 0.1, 0))
    answer(env, INSPECT)
    answer(env, INSPECT)
    for _ in range(4):
        answer(env, SHIP, is_bad=True)
        assert env.action_masks().tolist() == [True, True]
        assert answer(env, DISMANTLE) == -1.0 - 1.0
        assert asked(env) == "p"
