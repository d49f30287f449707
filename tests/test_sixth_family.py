"""A family registered from outside the packages is served like those inside."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
GENERIC = (
    "tests/baselines/test_every_family.py",
    "tests/qc_gym/core/test_interface.py",
    "tests/qc_gym/core/test_vector_equals_scalar.py",
    "tests/baselines/core/test_own_policies.py",
)


def in_a_process(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", "import single_item\n" + code],
        cwd=ROOT / "tests",
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_it_is_solved_scored_told_and_drawn() -> None:
    """Inspect at 30 %: .7 · 10 − 1 = 6, against 7 − 6 = 1 untested."""
    printed = in_a_process(
        """
import baselines
optimum = baselines.solve(single_item.ID)
print(round(optimum.value, 12), round(baselines.solve(single_item.ID, scenario="sure").value, 12))
references = baselines.reference_policies(single_item.ID)
score = baselines.score(single_item.ID, references["trusting"])
print(round(score.regret, 12), score.exact, references.describe("trusting"))
print(baselines.certify(single_item.ID, episodes=10_000).simulation.episodes)
print(list(baselines.figures(single_item.ID, {"trusting": references["trusting"]})))
print([row.state for row in baselines.disagreements(single_item.ID, references["trusting"])])
print(baselines.plan(single_item.ID).csv())
"""
    )
    lines = printed.splitlines()
    assert lines[0] == f"6.0 {0.999 * 10 - 0.001 * 20}"
    assert lines[1] == "5.0 True uses it as it is"
    assert lines[2:5] == ["10000", "['inspects']", "['the item is not inspected']"]
    assert lines[5:9] == [
        "where,do",
        "the item is not inspected,inspect",
        "the item is good,use",
        "the item is bad,discard",
    ]


def test_its_thresholds_are_found() -> None:
    """Used up to 5 % (10 − 30 p = 10 (1 − p) − 1), inspected up to 90 % (10 (1 − p) = 1)."""
    printed = in_a_process(
        """
import baselines
def changes(field, *spread):
    found = baselines.sensitivity(single_item.ID, {field: spread}, "trusting")
    return [(round(c.value, 12), c.state, c.before, c.after) for c in found.changes], found.verdict
print(*changes("defect_rate", 0.01, 0.99, 1), sep="\\n")
print(*changes("inspection_cost", 0.0, 10.0, 3), sep="\\n")
"""
    )
    lines = printed.splitlines()
    state = "the item is not inspected"
    assert ast.literal_eval(lines[0]) == [
        (0.05, state, "use", "inspect"),
        (0.9, state, "inspect", "discard"),
    ]
    assert lines[1] == "None others were found at this resolution, 1 steps."
    assert ast.literal_eval(lines[2]) == [(6.0, state, "inspect", "use")]  # .7 · 10 − c = 7 − 6
    assert lines[3].startswith("No others exist")


def test_the_command_line_knows_it() -> None:
    listed = in_a_process("from agents.cli import main; main(['list'])")
    assert "SingleItem-v0" in listed
    solved = in_a_process(
        "from agents.cli import main; raise SystemExit(main(['solve', 'SingleItem-v0']))"
    )
    assert "6.0" in solved
    assert "inspect" in solved


def test_an_installed_package_is_known_to_commands_and_to_the_processes_that_train(
    tmp_path: Path,
) -> None:
    """By its entry point alone: nobody imports it."""
    shutil.copytree(ROOT / "tests" / "single_item", tmp_path / "site" / "single_item")
    about = tmp_path / "site" / "single_item-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: single-item\nVersion: 1.0\n")
    broken = "broken = no_such_module_of_anybody\n"
    (about / "entry_points.txt").write_text(
        f"[qc_gym.families]\nsingle_item = single_item\n{broken}"
    )
    training = {"total_timesteps": 64, "num_envs": 4, "hyperparameters": {"n_steps": 4}}
    problem = {"env_id": "single_item:single_item/SingleItem-v0", "algorithms": {"a2c": training}}
    content = {"name": "mine", "seeds": [0, 1], "scores": 2, "problems": [problem]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "agents.cli", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path / 'site'}"},
            capture_output=True,
            text=True,
            check=False,
        )

    solved = command("solve", "SingleItem-v0")
    assert solved.returncode == 0, solved.stderr
    assert "6.0" in solved.stdout
    assert "no_such_module_of_anybody: a family of environments that cannot be" in solved.stderr
    run = command("bench", "mine.yaml", "--out", "results")
    assert run.returncode == 0, run.stderr
    assert len(list((tmp_path / "results" / "mine" / "runs").glob("SingleItem-v0-*"))) == 2


def test_agents_train_on_it() -> None:
    printed = in_a_process(
        """
import baselines
from agents import train
model = train("ppo", single_item.ID, total_timesteps=2000, num_envs=8)
print(baselines.score(single_item.ID, model).exact)
"""
    )
    assert printed.splitlines()[-1] == "True"


def test_the_generic_tests_hold_it() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "single_item", "-p", "no:cacheprovider"]
        + ["-k", "SingleItem or single_item", *GENERIC],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "PATH": "", "SDL_VIDEODRIVER": "dummy"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    for path in GENERIC:
        assert re.search(rf"^{re.escape(path)}::.* PASSED", run.stdout, re.MULTILINE), path


def test_nothing_was_edited_for_it() -> None:
    for package in ("qc_gym", "baselines", "agents"):
        for path in (ROOT / package).rglob("*.py"):
            assert "single_item" not in path.read_text(encoding="utf-8").lower()
