"""What a family's world must define, and what it may not, is refused by name."""

from typing import Any

import numpy as np
import pytest
from numba import njit

from qc_gym.core import kernel, loops
from qc_gym.core.kernel import bind
from qc_gym.lot import dynamics

NAMES = vars(dynamics)


@njit
def _two(scenario, state):  # type: ignore[no-untyped-def]
    return 0


@njit
def _step_with_a_table(scenario, table, state, action, noise):  # type: ignore[no-untyped-def]
    return table[0], True


@njit
def _step_with_another(scenario, tables, state, action, noise):  # type: ignore[no-untyped-def]
    return tables[0], True


@pytest.mark.parametrize(
    "name",
    [
        *("SCENARIO", "STATE", "NUM_ACTIONS", "BELIEF_SIZE", "OUTCOME_SIZE", "reset", "step"),
        *("observe_belief", "observe_outcome", "allow", "identify"),
    ],
)
def test_missing_names(name: str) -> None:
    with pytest.raises(TypeError, match=rf"qc_gym\.lot\.dynamics: {name} must be defined"):
        bind({key: value for key, value in NAMES.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("observe", 1, "reserved"),
        ("find", dynamics.reset, "reserved"),
        ("np", "numpy", "reserved for numpy"),
        ("uniform", dynamics.reset, "reserved for uniform"),
        ("step", lambda scenario, state, action, noise: (0.0, True), "must be compiled"),
        ("step", _two, "has 2 parameters; 4 are needed"),
        ("step", _step_with_another, "has 5 parameters; 4 are needed"),
        ("observe_belief", None, "must be compiled"),
    ],
)
def test_names_that_cannot_be_bound(name: str, value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=rf"qc_gym\.lot\.dynamics\.{name}: .*{message}"):
        bind({**NAMES, name: value})


def test_a_family_may_import_what_the_loops_use() -> None:
    assert NAMES["np"] is np
    bind(dict(NAMES))


def test_a_function_may_read_the_table() -> None:
    bind({**NAMES, "step": _step_with_a_table})


def test_a_module_without_a_file() -> None:
    with pytest.raises(TypeError, match="must be a module in a file"):
        bind({key: value for key, value in NAMES.items() if key != "__file__"})


def test_loops_keep_their_lines_and_families_their_names() -> None:
    for name in kernel._COMPILED_LOOPS:
        function = getattr(dynamics.KERNEL, name).py_func
        template = getattr(loops, name)
        assert function.__code__.co_filename == loops.__file__
        assert function.__code__.co_firstlineno == template.__code__.co_firstlineno
        assert "qc_gym_lot_dynamics" in function.__qualname__
