"""A few of the mutated inputs that `make fuzz` tries by the thousand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutated_inputs import KINDS, attempt


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "scenarios and their files"])
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_mutated_inputs(kind: str, seed: int) -> None:
    attempt(kind, seed)
