"""The example scenarios in ``configs/scenarios``: each is what its first line says, and solves."""

import re
import shlex
from pathlib import Path

import gymnasium as gym
import pytest
import yaml

import baselines
import qc_gym

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "configs" / "scenarios").iterdir())


def env_id_of(path: Path) -> str:
    """Return the id of the environment of an example, checking its command."""
    first = path.read_text(encoding="utf-8").split("\n")[0]
    program, command, env, option, file = shlex.split(first.removeprefix("# "))
    assert (program, command, option) == ("qc-gym", "solve", "--scenario")
    assert ROOT / file == path
    return f"qc_gym/{env}"


def test_every_environment_has_an_example() -> None:
    assert {env_id_of(path) for path in EXAMPLES} == {
        env_id for env_id in qc_gym.ENVIRONMENTS if env_id.startswith("qc_gym/")
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path) -> None:
    env = gym.make(env_id_of(path), scenario=path)
    solution = baselines.solve(env)
    assert solution.upper - solution.lower < 1e-6
    assert solution.value > solution.random_value


def test_readme_shows_the_factory() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    factory = (ROOT / "configs" / "scenarios" / "factory.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(block) == yaml.safe_load(factory)
