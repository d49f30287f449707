"""A sweep's large optima are solved once, by whichever process of this machine asks first."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from engine_here import this_process
from strategies import SMALL_LOT

import agents.report.writing as writing
import baselines
import baselines.core.family as families
import baselines.core.store as stores
from agents.experiment import Experiment, code_version, make_env, optima_in
from agents.report import write_report
from agents.runs import carry_out
from baselines.sampling import FAMILY
from baselines.sampling.optimum import SamplingOptimum
from qc_gym.core.record import validated

CONTENT: dict[str, Any] = {
    "name": "tiny",
    "seeds": [0, 1],
    "scores": 1,
    "problems": [
        {
            "env_id": "qc_gym/SequentialSampling-v0",
            "scenario": SMALL_LOT,
            "algorithms": {
                "ppo": {
                    "total_timesteps": 64,
                    "num_envs": 4,
                    "hyperparameters": {"n_steps": 16, "batch_size": 32, "n_epochs": 1},
                }
            },
        }
    ],
}


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was solved, each time that it was, as if each optimum were asked for by a new process.

    Those of sampling are kept as if they were large and took long.
    """
    found: list[object] = []

    def checked(*arguments: Any) -> Any:
        found.append(arguments)
        return original(*arguments)

    original = families.checked_optimum
    family = replace(FAMILY, kept=SamplingOptimum)
    monkeypatch.setattr(families, "checked_optimum", checked)
    monkeypatch.setattr(families, "_optimum", families._optimum.__wrapped__)
    monkeypatch.setattr(families, "family_named", lambda path: family)
    monkeypatch.setattr(stores, "LEAST_BYTES", 0)
    return found


def test_trainings_and_the_report_share_what_was_solved_once(
    solved: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = validated(Experiment, CONTENT, "test").runs
    optima = optima_in(tmp_path)
    torn = optima.folder / ".partial-of-a-process-that-was-ended"
    torn.mkdir(parents=True)
    folders, failures = carry_out(runs, tmp_path / "runs", engine=this_process, optima=optima)
    assert failures == {}
    assert len(solved) == 1
    (kept,) = (tmp_path / "optima").iterdir()
    assert kept.name.startswith(code_version()[1])
    # A report that asks for the optimum, and no more.
    reported: list[object] = []
    env = make_env(runs[0])
    monkeypatch.setattr(writing, "_write", lambda *_: reported.append(baselines.solve(env)))
    write_report(folders, tmp_path)
    assert len(reported) == len(solved) == 1


def test_trainings_elsewhere_solve_what_they_need(solved: list[object], tmp_path: Path) -> None:
    """Nodes of a cluster share no folder with this machine."""
    (run, _) = validated(Experiment, CONTENT, "test").runs
    optima = optima_in(tmp_path)
    carry_out([run], tmp_path / "runs", engine=partial(this_process, False), optima=optima)
    assert solved
    assert not optima.folder.exists()
