"""Data sets of labelled episodes, read back with Minari."""

import os
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import baselines
from agents.cli import main
from agents.dataset import write_dataset

minari = pytest.importorskip("minari")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "all"))
    return tmp_path / "all"


def test_what_is_written_is_read_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--scenario", "cumcm-1", "--policy", "random", "--episodes", "60", "--seed", "4"]
    assert main(["dataset", "Assembly-v0", *options]) == 0
    name = "Assembly-v0-cumcm-1-random-v0"
    assert name in capsys.readouterr().out
    assert os.listdir(root) == [name]
    found = minari.load_dataset(name)
    assert found.total_episodes == 60
    env = found.recover_environment()
    optimum = baselines.solve(env)
    assert found.storage.metadata["ref_max_score"] == optimum.value
    assert found.storage.metadata["ref_min_score"] == optimum.random_value
    policy = baselines.reference_policies("qc_gym/Assembly-v0", scenario="cumcm-1")["random"]
    played = baselines.labelled_episodes(env, policy, episodes=60, seed=4)
    lengths = []
    for kept, one in zip(found.iterate_episodes(), played, strict=True):
        steps = len(kept.actions)
        lengths.append(steps)
        assert kept.observations.shape == (steps + 1, *env.observation_space.shape)
        assert kept.terminations.tolist() == [False] * (steps - 1) + [True]
        assert not kept.truncations.any()
        np.testing.assert_array_equal(kept.observations[0], one.observations[0])
        infos = kept.infos
        assert infos["belief"].shape == kept.observations.shape
        gaps, best = infos["action_gaps"][:-1], infos["optimal_action"][:-1]
        np.testing.assert_array_equal(np.isnan(gaps), ~infos["action_mask"][:-1].astype(bool))
        assert (gaps[np.arange(steps), best] == np.nanmin(gaps, axis=1)).all()
    assert found.total_steps == sum(lengths)


def test_a_data_set_that_was_written_meanwhile_stays(root: Path) -> None:
    env = gym.make("qc_gym/KStage-v0")
    optimum = baselines.solve(env)

    def episodes() -> Iterator[baselines.Episode]:
        """Another process writes one of the same name while these are played."""
        yield from baselines.labelled_episodes(env, optimum.policy, episodes=3, seed=0)
        (root / "mine-v0").mkdir(parents=True)
        (root / "mine-v0" / "other").write_text("of another", encoding="utf-8")

    with pytest.raises(FileExistsError, match=r"mine-v0"):
        write_dataset("mine-v0", env, optimum, episodes(), policy="optimum")
    assert [path.name for path in root.iterdir()] == ["mine-v0"]
    assert [path.name for path in (root / "mine-v0").iterdir()] == ["other"]


def test_bad_input_is_refused_before_anything_is_played(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, complaint in (
        (["--policy", "randm"], "did you mean 'random'"),
        (["--name", "no version!"], "name = 'no version!'"),
        (["--episodes", "0"], "episodes = 0"),
    ):
        assert main(["dataset", "KStage-v0", *options]) == 2
        assert complaint in capsys.readouterr().err
    assert not root.exists() or os.listdir(root) == []
    assert main(["dataset", "KStage-v0", "--episodes", "2", "--name", "mine-v3"]) == 0
    assert main(["dataset", "KStage-v0", "--episodes", "2", "--name", "mine-v3"]) == 2
    assert "there is such a data set" in capsys.readouterr().err
    assert os.listdir(root) == ["mine-v3"]
