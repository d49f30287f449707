"""Optima that are kept on disk are the ones that were solved, or are solved again."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import baselines
import baselines.core.family as families
import baselines.core.store as stores
from baselines.assembly.optimum import AssemblyOptimum, solve
from baselines.core.family import optimum_of
from baselines.core.store import Arrays, Store, using
from qc_gym.assembly.env import AssemblyEnv
from qc_gym.assembly.scenario import AssemblyScenario
from qc_gym.core.scenario import Scenario

KEY = {"scenario": {"price": 1.5}, "observation": "belief"}
ARRAYS: Arrays = {
    "a": np.arange(200_000.0),
    "b": np.array(-0.0),
    "c.d": np.zeros(0, np.int32),
    "e": np.zeros(3, np.dtype([("flag", np.int8), ("money", np.float64)], align=True)),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "optima", "0123abcd")


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[Scenario]:
    """What was solved, each time that it was, as if each optimum were asked for by a new process."""
    found: list[Scenario] = []

    def checked(*arguments: Any) -> Any:
        found.append(arguments[1])
        return original(*arguments)

    original = families.checked_optimum
    monkeypatch.setattr(families, "checked_optimum", checked)
    monkeypatch.setattr(families, "_optimum", families._optimum.__wrapped__)
    return found


def bits(array: NDArray[Any]) -> Any:
    """Return all that an array holds; between the fields of its records is nothing that counts."""
    held = [array[name].tobytes() for name in array.dtype.names or ()] or array.tobytes()
    return array.dtype, array.shape, held


def are_equal(found: Arrays, wanted: Arrays) -> bool:
    """Return whether arrays are the same, bit for bit."""
    return list(found) == list(wanted) and all(
        bits(array) == bits(wanted[name]) for name, array in found.items()
    )


def scenario_of(preset: str) -> AssemblyScenario:
    return AssemblyScenario.model_validate(AssemblyScenario.presets[preset])


def asked(preset: str, store: Store | None, observation: str = "belief") -> AssemblyOptimum:
    """Return the optimum of a preset, asked for while a store is in use."""
    with using(store):
        optimum = optimum_of(AssemblyEnv, scenario_of(preset), observation)
    assert isinstance(optimum, AssemblyOptimum)
    return optimum


# --- optima ---------------------------------------------------------------------------------


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("preset", ["single-part", "cumcm-5-discard", "gearbox"])
def test_a_restored_optimum_is_the_one_solved(
    preset: str,
    observation: str,
    store: Store,
    solved: list[Scenario],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores, "LEAST_BYTES", 0)
    first, again = (asked(preset, store, observation) for _ in range(2))
    assert solved == [scenario_of(preset)]
    alone = solve(scenario_of(preset), observation)
    for optimum in (first, again):
        assert are_equal(optimum.arrays(), alone.arrays())
        assert optimum.certificate == alone.certificate
        assert optimum.plan().text() == alone.plan().text()
        assert np.array_equal(optimum.model.observations, alone.model.observations)
    assert again.model.states.dtype.isalignedstruct  # as compiled functions were compiled for it
    other = "belief" if observation == "outcome" else "outcome"
    assert asked(preset, store, other).observation == other
    assert len(solved) == 2


def test_scores_are_those_without_a_store(store: Store, solved: list[Scenario]) -> None:
    env = AssemblyEnv("gearbox")

    def score() -> baselines.Score:
        return baselines.score(env, baselines.reference_policies(env)["random"])

    alone = score()
    before = len(solved)
    for _ in range(2):
        with using(store):
            assert score() == alone
    assert len(solved) == before + 1


@pytest.mark.parametrize("preset", ["cumcm-1", "single-part"])
def test_what_is_soon_solved_is_not_kept(preset: str, store: Store, solved: list[Scenario]) -> None:
    for _ in range(2):
        asked(preset, store)
    assert len(solved) == 2
    assert not store.folder.exists()


def test_families_of_one_sweep_keep_nothing(store: Store) -> None:
    with using(store):
        baselines.solve("qc_gym/SequentialSampling-v0", scenario="worn-gauge")
    assert not store.folder.exists()


def test_nothing_is_kept_without_a_store(tmp_path: Path, solved: list[Scenario]) -> None:
    for _ in range(2):
        asked("gearbox", None)
    assert len(solved) == 2


def test_a_folder_that_cannot_be_written_is_done_without(
    tmp_path: Path, solved: list[Scenario]
) -> None:
    (tmp_path / "optima").write_text("not a folder", encoding="utf-8")
    for _ in range(2):
        assert (
            asked("gearbox", Store(tmp_path / "optima", "0")).value
            == solve(scenario_of("gearbox")).value
        )
    assert len(solved) == 2


# --- what is on disk ------------------------------------------------------------------------


def flip(path: Path, where: int) -> None:
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a bit of an array": lambda path: flip(path / "a.npy", -1),
    "a bit of a header": lambda path: flip(path / "a.npy", 7),
    "a bit of a number": lambda path: flip(path / "b.npy", -1),
    "a bit of a digest": lambda path: flip(path / "digests.json", 12),
    "a missing file": lambda path: (path / "e.npy").unlink(),
    "half a file": lambda path: (path / "a.npy").write_bytes((path / "a.npy").read_bytes()[:999]),
    "no digests": lambda path: (path / "digests.json").unlink(),
    "empty digests": lambda path: (path / "digests.json").write_bytes(bytes(100)),
    "digests of nothing": lambda path: (path / "digests.json").write_text("3", encoding="utf-8"),
    "a file in its place": lambda path: (path.rename(path.parent / "x"), path.write_text("x")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_not_found_and_replaced(damage: str, store: Store) -> None:
    store.keep(KEY, ARRAYS)
    (path,) = store.folder.iterdir()
    DAMAGE[damage](path)
    assert store.find(KEY) is None
    if path.is_dir():
        store.keep(KEY, ARRAYS)
        found = store.find(KEY)
        assert found is not None
        assert are_equal(found, ARRAYS)
        assert list(store.folder.iterdir()) == [path]


def test_a_damaged_optimum_is_solved_again(store: Store, solved: list[Scenario]) -> None:
    whole = asked("gearbox", store).arrays()
    (path,) = store.folder.iterdir()
    flip(path / "solution.values.npy", -1)
    assert are_equal(asked("gearbox", store).arrays(), whole)
    assert len(solved) == 2
    assert are_equal(asked("gearbox", store).arrays(), whole)
    assert len(solved) == 2


def test_writing_into_what_was_found_leaves_the_disk_alone(store: Store) -> None:
    store.keep(KEY, ARRAYS)
    found = store.find(KEY)
    assert found is not None
    found["a"][:] = 1.0
    again = store.find(KEY)
    assert again is not None
    assert are_equal(again, ARRAYS)


@pytest.mark.parametrize(
    "key", [{**KEY, "observation": "outcome"}, {**KEY, "scenario": {"price": 1.25}}, {}]
)
def test_another_key_finds_nothing(key: dict[str, Any], store: Store) -> None:
    store.keep(KEY, ARRAYS)
    assert store.find(key) is None


def test_other_code_finds_nothing_and_removes_it(store: Store) -> None:
    store.keep(KEY, ARRAYS)
    (store.folder / ".partial-of-a-process-that-was-ended").mkdir()
    later = Store(store.folder, "4567abcd")
    assert later.find(KEY) is None
    later.keep(KEY, ARRAYS)
    later.tidy()
    assert later.find(KEY) is not None
    assert len(list(store.folder.iterdir())) == 1
    assert store.find(KEY) is None


def test_no_more_is_kept_than_there_may_be(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MOST_BYTES", 4_000_000)
    keys = [{"number": number} for number in range(3)]
    for key in keys:
        store.keep(key, ARRAYS)
    assert [store.find(key) is not None for key in keys] == [True, True, False]


def test_many_at_once_find_it_whole_or_not_at_all(store: Store) -> None:
    """Each keeps and finds the same, at the same time."""
    start = threading.Barrier(4)

    def work() -> list[bool]:
        start.wait()
        right = []
        for _ in range(10):
            store.keep(KEY, ARRAYS)
            found = store.find(KEY)
            right.append(found is None or are_equal(found, ARRAYS))
        return right

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work) for _ in range(4)]
    assert [one.result() for one in working] == [[True] * 10] * 4
    found = store.find(KEY)
    assert found is not None
    assert are_equal(found, ARRAYS)
    assert len(list(store.folder.iterdir())) == 1
