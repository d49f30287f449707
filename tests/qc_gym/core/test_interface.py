"""Gymnasium's and stable-baselines3's interfaces, kept by every registered environment."""

import contextlib
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import yaml
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from stable_baselines3.common.vec_env import DummyVecEnv

import qc_gym
from qc_gym.assembly.dynamics import BAD
from qc_gym.core.env import OBSERVATIONS, QCEnv
from qc_gym.core.errors import ScenarioError
from qc_gym.kstage.scenario import KStageScenario
from qc_gym.kstage_control.scenario import KStageControlScenario
from qc_gym.pilot.scenario import PilotRunScenario
from qc_gym.sampling.scenario import SequentialSamplingScenario

ID = "qc_gym/SequentialSampling-v0"
RANGES: dict[str, Any] = {
    ID: {
        "prior": {
            "kind": "two_point",
            "good": 0.1,
            "bad": 0.3,
            "prob_bad": {"choices": [0.2, 0.5]},
        },
        "inspection_cost": {"low": 0.5, "high": 2.0},
        "accept_bad_cost": 50.0,
        "reject_good_cost": 40.0,
        "max_samples": {"low": 5, "high": 20},
    },
    "qc_gym/Assembly-v0": {
        "price": 56.0,
        "return_loss": {"low": 6.0, "high": 30.0},
        "max_blind_failures": {"choices": [0, 1]},
        "nodes": {
            "part": {
                "defect_rate": {"low": 0.05, "high": 0.2},
                "purchase_cost": 4.0,
                "inspection_cost": 2.0,
            },
            "product": {
                "children": ["part"],
                "defect_rate": 0.3,
                "assembly_cost": 6.0,
                "inspection_cost": 3.0,
                "dismantle_cost": 5.0,
            },
        },
    },
    "qc_gym/InspectOrStop-v0": {
        "demand": 6,
        "lot_size": {"low": 5, "high": 9},
        "yield_in": {"low": 0.8, "high": 1.0},
        "yield_out": 0.2,
        "shift": {"kind": "discrete_weibull", "q": {"choices": [0.8, 0.95]}, "beta": 1.2},
        "inspection_cost": {"low": 0.5, "high": 1.0},
        "shortage_cost": 4.0,
    },
    "qc_gym/KStage-v0": {
        **KStageScenario.presets["blu-2010"],
        "fraction_defective": {"low": 0.01, "high": 0.3},
        "lot_size": {"low": 20, "high": 300},
        "sample_size": {"choices": [2, 16]},
    },
    "qc_gym/KStageControl-v0": {
        **KStageControlScenario.presets["two-suppliers"],
        "levels": {"choices": [[0.03, 0.2], [0.05, 0.3], [0.01, 0.1]]},
        "changeover_cost": {"low": 0.0, "high": 1.0},
        "days": {"low": 3, "high": 9},
    },
    "qc_gym/PilotRun-v0": {
        **PilotRunScenario.presets["new-supplier"],
        "price": {"low": 60.0, "high": 120.0},
        "order_size": {"choices": [50, 500, 5000]},
    },
}
CLOSES = {
    ID: True,
    "qc_gym/Assembly-v0": True,
    "qc_gym/InspectOrStop-v0": True,
    "qc_gym/KStage-v0": False,
    "qc_gym/KStageControl-v0": False,
}
"""Whether there are states where an action is forbidden, as the documentation pages say."""
MAPPING = {**SequentialSamplingScenario.presets["aql10-beta"], "max_samples": 7}


def range_of(env_id: str, scenario_type: Any) -> Any:
    """Return a range of scenarios: the one above, or one about the first preset of another family."""
    if env_id in RANGES:
        return RANGES[env_id]
    fields = dict(next(iter(scenario_type.presets.values())))
    for name, value in fields.items():
        if isinstance(value, float) and value > 0.0:
            spread = {**fields, name: {"low": value / 2, "high": value}}
            with contextlib.suppress(ScenarioError):
                return scenario_type.parse(spread).fields
    return None


def cases() -> list[Any]:
    """Return every environment with both observations and all its presets, and with a range."""
    found = []
    for env_id in qc_gym.ENVIRONMENTS:
        scenario_type = gym.make(env_id).unwrapped.scenario_type
        sources: dict[str, Any] = {name: name for name in scenario_type.presets}
        sources["range"] = range_of(env_id, scenario_type)
        for name, scenario in sources.items():
            for observation in OBSERVATIONS:
                label = f"{env_id.split('/')[1]}-{name}-{observation}"
                found.append(pytest.param(env_id, scenario, observation, id=label))
    return found


@pytest.mark.parametrize(("env_id", "scenario", "observation"), cases())
def test_both_checkers_pass_without_a_warning(
    env_id: str, scenario: Any, observation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(env_id, scenario=scenario, observation=observation).unwrapped
        without_pictures = type(env)._frame is QCEnv._frame
        check_env(env, skip_render_check=without_pictures)
        check_env_sb3(env, warn=True, skip_render_check=without_pictures)


@pytest.fixture
def yaml_path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(MAPPING))
    return path


def sources(path: Path) -> dict[str, Any]:
    """Return a scenario in each way that it may be given."""
    parse = SequentialSamplingScenario.parse
    return {
        "nothing": None,
        "preset": "lot-200",
        "mapping": MAPPING,
        "object": parse(MAPPING),
        "path": path,
        "path as text": str(path),
        "range": RANGES[ID],
        "range object": parse(RANGES[ID]),
    }


SOURCES = list(sources(Path("x")))


@pytest.mark.parametrize("source", SOURCES)
def test_spec_survives_json(source: str, yaml_path: Path) -> None:
    scenario = sources(yaml_path)[source]
    env = gym.make(ID, scenario=scenario, observation="outcome", max_episode_steps=9)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.scenarios == env.unwrapped.scenarios
    assert again.spec == env.spec
    assert again.spec.max_episode_steps == 9
    observation, _ = env.reset(seed=4)
    observation_again, _ = again.reset(seed=4)
    assert observation.tobytes() == observation_again.tobytes()


@pytest.mark.parametrize("source", [*SOURCES, "list"])
def test_vector_spec_survives_json(source: str, yaml_path: Path) -> None:
    given = sources(yaml_path)
    scenario = [given["object"], "lot-200", yaml_path] if source == "list" else given[source]
    vector = gym.make_vec(
        ID,
        num_envs=3,
        scenario=scenario,
        autoreset_mode=AutoresetMode.SAME_STEP,
        max_episode_steps=9,
    )
    again = gym.make_vec(EnvSpec.from_json(vector.spec.to_json()))
    assert again.spec == vector.spec
    assert again.num_envs == 3
    assert again.max_episode_steps == 9
    assert again.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observations, _ = vector.reset(seed=4)
    observations_again, _ = again.reset(seed=4)
    assert observations.tobytes() == observations_again.tobytes()
    assert again.scenario_of == vector.scenario_of


def run(program: str) -> str:
    """Run a program in a new process and return what it prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light() -> None:
    heavy = {"torch", "numba", "matplotlib", "scipy", "stable_baselines3", "pygame"}
    loaded = run("import sys, qc_gym; print(*{name.split('.')[0] for name in sys.modules})")
    assert "qc_gym" in loaded.split()
    assert not heavy & set(loaded.split())


def test_making_an_environment_needs_no_torch_and_no_pictures() -> None:
    loaded = run(
        f"import sys, gymnasium; gymnasium.make('qc_gym:{ID}').reset();"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    assert {"qc_gym", "numba"} <= set(loaded.split())
    assert not {"torch", "matplotlib", "pygame"} & set(loaded.split())


def test_module_and_id_in_one_name() -> None:
    assert gym.make(f"qc_gym:{ID}").spec.id == ID
    assert gym.make_vec(f"qc_gym:{ID}", num_envs=2).num_envs == 2


def test_a_second_process_compiles_nothing() -> None:
    environments = {env_id: entry.environment for env_id, entry in qc_gym.ENVIRONMENTS.items()}
    program = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "import importlib, numpy as np\n"
        f"for env_id, path in {environments!r}.items():\n"
        "    module, name = path.split(':')\n"
        "    module = importlib.import_module(module)\n"
        "    env = getattr(module, name + 'Env')(); env.reset(seed=0); env.step(0)\n"
        "    vector = getattr(module, name + 'VectorEnv')(num_envs=2)\n"
        "    vector.reset(seed=0); vector.step(np.zeros(2, np.int64)); vector.action_masks()\n"
        "    for name in ('reset_batch', 'step_batch', 'step_one', 'describe_batch'):\n"
        "        stats = getattr(env.kernel, name).stats\n"
        "        hits, misses = stats.cache_hits.values(), stats.cache_misses.values()\n"
        "        print(env_id, name, sum(hits), sum(misses))\n"
    )
    run(program)
    counts = [line.split() for line in run(program).splitlines()]
    assert len(counts) == 4 * len(environments)
    assert all(int(hits) >= 1 and int(misses) == 0 for _, _, hits, misses in counts), counts


PROLONGING: dict[str, Callable[[np.void], int]] = {
    "qc_gym/InspectOrStop-v0": lambda state: 1,
    "qc_gym/Assembly-v0": lambda state: int(state["status"][state["asked"]] == BAD),
}
"""The action that leads to where the mask closes, where it is not 0: inspect; use, or dismantle the bad."""


def prolonging(env: gym.Env[Any, Any]) -> int:
    assert env.spec is not None
    action = PROLONGING.get(env.spec.id, lambda state: 0)
    return action(env.unwrapped.state)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("env_id", "scenario", "observation"), cases())
def test_masks(env_id: str, scenario: Any, observation: str) -> None:
    env = gym.make(env_id, scenario=scenario, observation=observation)
    _, info = env.reset(seed=0)
    seen_closed = False
    env.action_space.seed(0)
    for _ in range(800):
        mask = info["action_mask"]
        assert mask.dtype == np.int8
        assert mask.shape == (env.action_space.n,)
        allowed = env.get_wrapper_attr("action_masks")()
        assert allowed.dtype == bool
        assert (allowed == mask.astype(bool)).all()
        assert allowed.any()
        seen_closed |= not allowed.all()
        action = env.action_space.sample(mask)
        assert allowed[action]
        if allowed[prolonging(env)]:
            action = prolonging(env)
        _, _, terminated, _, info = env.step(action)
        seen_closed |= not info["action_mask"].all()  # where a lot ends, nothing is left to inspect
        if terminated:
            _, info = env.reset()
    assert seen_closed is CLOSES.get(env_id, seen_closed)


def test_masks_of_the_vector_environment() -> None:
    vector = gym.make_vec(ID, num_envs=3, scenario={**MAPPING, "max_samples": 2})
    _, infos = vector.reset(seed=0)
    vector.action_space.seed(0)
    for _ in range(8):
        masks = infos["action_mask"]
        assert (vector.action_masks() == masks.astype(bool)).all()
        actions = vector.action_space.sample(mask=tuple(masks))
        assert masks[np.arange(3), actions].all()
        *_, infos = vector.step(np.zeros(3, np.int64))


def test_sb3_contrib_finds_the_masks() -> None:
    env = DummyVecEnv([lambda: gym.make(ID, scenario={**MAPPING, "max_samples": 1})] * 2)
    env.reset()
    assert get_action_masks(env).tolist() == [[True] * 3] * 2
    env.step(np.array([0, 0]))
    assert get_action_masks(env).tolist() == [[False, True, True]] * 2


@pytest.mark.parametrize("vector", [False, True])
def test_np_random_given_by_the_user_is_respected(vector: bool) -> None:
    def truth(seed: int, already_seeded: bool) -> Any:
        env: Any = (
            gym.make_vec(ID, num_envs=3, scenario="aql10-beta")
            if vector
            else gym.make(ID, scenario="aql10-beta").unwrapped
        )
        if already_seeded:
            env.reset(seed=99)
        env.np_random = np.random.default_rng(seed)
        env.reset()
        hidden = env.states if vector else env.state
        return np.atleast_1d(hidden["fraction_defective"]).tolist()

    assert truth(1, False) == truth(1, True) == truth(1, False)
    assert not set(truth(1, False)) & set(truth(2, False))


def test_state_is_a_snapshot() -> None:
    env = gym.make(ID).unwrapped
    vector = gym.make_vec(ID, num_envs=2)
    env.reset(seed=0), vector.reset(seed=0)
    before, vector_before = env.state, vector.states
    env.step(0), vector.step(np.zeros(2, np.int64))
    assert (before["n"], env.state["n"]) == (0, 1)
    assert (vector_before["n"] == 0).all()


def test_info_names_the_scenario_drawn_from_a_range() -> None:
    env = gym.make(ID, scenario=RANGES[ID]).unwrapped
    drawn = []
    for seed in range(20):
        observation, info = env.reset(seed=seed)
        scenario = info["scenario"]
        assert scenario is env.scenario
        low, high = (RANGES[ID]["inspection_cost"][end] for end in ("low", "high"))
        # belief (4), then prob_bad, inspection_cost and max_samples in the order of the mapping
        assert observation[4] == (scenario.prior.prob_bad == 0.5)
        assert observation[5] == np.float32((scenario.inspection_cost - low) / (high - low))
        assert observation[6] == np.float32((scenario.max_samples - 5) / 15)
        drawn.append(scenario.inspection_cost)
    assert len(set(drawn)) == 20
