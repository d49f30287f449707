"""Files and mappings that cannot be used are refused by name, soon and in little memory."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutated_scenarios import attempt

from qc_gym.core.errors import ScenarioError
from qc_gym.core.files import MAX_BYTES, read_mapping
from qc_gym.core.record import validated
from qc_gym.core.values import MAX_DEPTH, MAX_VALUES
from qc_gym.sampling.scenario import SequentialSamplingScenario

SAMPLING = SequentialSamplingScenario.presets["aql10-rql20"]


def bomb(levels: int = 9) -> str:
    """Return a mapping whose aliases stand for 9 ** levels values."""
    return "".join(
        f"l{i}: &l{i} [{', '.join([f'*l{i - 1}' if i else '1'] * 9)}]\n" for i in range(levels)
    )


FILES = {
    "aliases": (bomb(), "more than 100,000 values"),
    "merged": (
        "m0: &m0 {a: 1}\n" + bomb().replace("[", "{<<: [").replace("]", "]}"),
        "more than|cannot",
    ),
    "self": ("a: &a [*a]", "'a' stands for a part that holds it"),
    "self in a mapping": ("a: &a {b: {c: *a}}", "'a' stands for a part that holds it"),
    "deep": ("[" * 5000, "nested deeper than 32"),
    "deep by aliases": (
        "l0: &l0 [1]\n" + "".join(f"l{i}: &l{i} [*l{i - 1}]\n" for i in range(1, 60)),
        "nested deeper than 32",
    ),
    "digits": ("a: " + "9" * 5000, "cannot be read as int"),
    "date": ("a: 2024-99-99", "cannot be read as timestamp.*line 1"),
    "tag": ("a: !!int x", "'x' cannot be read as int"),
    "empty tag": ("a: !!int", "cannot be read as int"),
    "sexagesimal": ("a: " + "59:" * 400 + "59.5", "cannot be read as float"),
    "long": ("a: " + "x" * MAX_BYTES, "larger than 1,000,000 bytes"),
    "list": ("- 1", "holds a list"),
}


@pytest.mark.parametrize(("text", "message"), FILES.values(), ids=FILES)
def test_yaml_that_cannot_be_used(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=f"mine.yaml: .*(?s:{message})"):
        read_mapping(path)


def test_aliases_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\nd: &d [1, *a]\ne: *d\n")
    read = read_mapping(path)
    assert read == {
        "a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}, "d": [1, {"x": 1}], "e": [1, {"x": 1}]
    }  # fmt: skip


def test_json_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(SAMPLING))
    assert SequentialSamplingScenario.parse(path) == SequentialSamplingScenario.parse(SAMPLING)
    for text, message in (
        ('{"a": 1, "a": 2}', "key 'a' is there twice"),
        ("{", "is not JSON"),
        ("[1]", "holds a list"),
        ('{"a": ' + "[" * 100_000, "is not JSON"),
        ('{"a": ' + "9" * 5000 + "}", "is not JSON"),
    ):
        path.write_text(text)
        with pytest.raises(ScenarioError, match=f"mine.json: .*{message}"):
            read_mapping(path)
    path.write_text('{"max_samples": NaN}')
    with pytest.raises(ScenarioError, match=r"mine.json: max_samples = nan"):
        SequentialSamplingScenario.parse(path)


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_the_ending_is_missing(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"mine{suffix}").write_text("{}")
    with pytest.raises(
        ScenarioError, match=rf"unknown preset .*the file is named '.*mine\{suffix}'"
    ):
        SequentialSamplingScenario.parse(str(tmp_path / "mine"))
    (tmp_path / "mine.txt").write_text("{}")
    with pytest.raises(ScenarioError, match=r"ends in \.yaml or \.yml or \.json"):
        SequentialSamplingScenario.parse(tmp_path / "mine.txt")


def test_mappings_that_are_too_large() -> None:
    itself: dict[str, Any] = {}
    itself["x"] = itself
    shared: Any = [1] * 9
    for _ in range(9):
        shared = [shared] * 9
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    for value, message in (
        (itself, f"deeper than {MAX_DEPTH}"),
        (deep, f"deeper than {MAX_DEPTH}"),
        (shared, "more than 100,000 values"),
        (np.zeros(MAX_VALUES + 1), "more than 100,000 values"),
        (range(10**15), "more than 100,000 values"),
        ({0.5, 0.2}, "is a set; a list is needed"),
        (iter([1]), "a list is needed"),
    ):
        with pytest.raises(ScenarioError, match=f"'?prior'?: .*{message}"):
            SequentialSamplingScenario.parse({**SAMPLING, "prior": value})
        with pytest.raises(ScenarioError, match=f"^here: 'prior': .*{message}"):
            validated(SequentialSamplingScenario, {**SAMPLING, "prior": value}, "here")


def test_dates_are_no_numbers() -> None:
    with pytest.raises(ScenarioError, match=r"max_samples.*datetime64"):
        SequentialSamplingScenario.parse(
            {**SAMPLING, "max_samples": np.datetime64("2024-01-01", "ns")}
        )


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")  # to open it would wait for somebody to write
    (tmp_path / "folder.yaml").mkdir()
    for name in ("pipe.yaml", "folder.yaml"):
        with pytest.raises(ScenarioError, match=rf"{name}: cannot be read: is no file"):
            SequentialSamplingScenario.parse(tmp_path / name)
    for name in ("a\0b.yaml", "\ud800.yaml"):
        with pytest.raises(ScenarioError, match=r"\.yaml': cannot be read"):
            SequentialSamplingScenario.parse(tmp_path / name)


@settings(max_examples=400)
@given(st.integers(0, 2**32 - 1))
def test_mutated_scenarios(seed: int) -> None:
    attempt(seed)
