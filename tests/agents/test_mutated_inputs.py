"""A few of the mutated inputs that `make fuzz` tries by the thousand."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutated_inputs import KINDS, attempt


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessPoolExecutor]:
    """A process of its own: its memory is not that of the tests which ran before in this one."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "scenarios and their files"])
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_mutated_inputs(process: ProcessPoolExecutor, kind: str, seed: int) -> None:
    process.submit(attempt, kind, seed).result()
