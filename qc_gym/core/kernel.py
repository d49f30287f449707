"""Binding the generic loops to one family's world."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numba.core.dispatcher import Dispatcher
from numpy.typing import NDArray

from qc_gym.core import inspection, lattice, loops, noise, record_type
from qc_gym.core.table import NO_TABLE, Table

_CORE = (inspection, lattice, loops, noise, record_type, sys.modules[__name__])
_CORE_VERSION = hashlib.sha256("".join(map(inspect.getsource, _CORE)).encode()).hexdigest()[:12]
_COMPILED_LOOPS = ("reset_batch", "step_batch", "step_one", "describe_batch", "roll_out")
_SHAPE = ("scenario_dtype", "state_dtype", "num_actions", "belief_size", "outcome_size")


_PARAMETERS = {
    "reset": 3,
    "step": 4,
    "observe_belief": 3,
    "observe_outcome": 3,
    "allow": 3,
    "identify": 3,
}
"""The compiled functions that a family brings, and how many parameters each has.

One more, ``table`` after the first, where a function reads what its scenario has tabulated.
"""
_CONSTANTS = ("SCENARIO", "STATE", "NUM_ACTIONS", "BELIEF_SIZE", "OUTCOME_SIZE")
_HELPERS = ("observe", "show_features", "find")
_LENT: dict[str, Any] = {"np": np, "uniform": noise.uniform}
"""What the loops use beside a family's names: a family may import the same, and nothing else so named."""


@dataclass(frozen=True)
class Kernel:
    """A family's compiled world: its state layout and the loops over it.

    Attributes
    ----------
    module
        The family's ``dynamics`` module, where the kernel is ``KERNEL``. A pickle holds this name
        and no loops: compiled loops that came with it would not be found in the cache on disk.
    scenario_dtype, state_dtype
        Record layouts. A family whose worlds differ in size gives a scenario its own with
        :func:`dataclasses.replace`; numba compiles, and keeps on disk, a version for each.
    num_actions, belief_size, outcome_size
        Number of actions, and length of the two observations.
    reset_batch, step_batch, step_one, describe_batch, roll_out
        See :mod:`qc_gym.core.loops`.
    """

    module: str
    scenario_dtype: np.dtype[np.void]
    state_dtype: np.dtype[np.void]
    num_actions: int
    belief_size: int
    outcome_size: int
    reset_batch: Callable[..., None]
    step_batch: Callable[..., bool]
    step_one: Callable[..., tuple[float, bool]]
    describe_batch: Callable[..., None]
    roll_out: Callable[..., int]

    def __reduce__(self) -> tuple[Callable[..., Kernel], tuple[Any, ...]]:
        shape = {name: getattr(self, name) for name in _SHAPE}
        return _kernel_of, (self.module, shape)

    def observation_size(self, observation: str) -> int:
        """Return the length of the observation named ``"belief"`` or ``"outcome"``."""
        return self.outcome_size if observation == "outcome" else self.belief_size

    def describe(
        self,
        scenario: NDArray[np.void],
        states: NDArray[np.void],
        observation: str,
        table: Table = NO_TABLE,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.uint64]]:
        """Return observations (n, size), allowed actions (n, actions) and keys (n,) of ``states``.

        ``scenario`` is the one record, shape (1,), that all states belong to, and ``table`` what it
        has tabulated; without it that is computed.
        """
        n = len(states)
        observations = np.empty((n, self.observation_size(observation)), np.float32)
        masks = np.empty((n, self.num_actions), np.int8)
        keys = np.empty(n, np.uint64)
        self.describe_batch(
            scenario,
            table,
            None,
            None,
            states,
            observation == "outcome",
            observations,
            masks,
            keys,
        )
        return observations, masks.astype(bool), keys


def bind(dynamics: dict[str, Any]) -> Kernel:
    """Compile the generic loops over a family's world.

    Parameters
    ----------
    dynamics
        ``globals()`` of the family's ``dynamics`` module, which defines ``SCENARIO``, ``STATE``,
        ``NUM_ACTIONS``, ``BELIEF_SIZE``, ``OUTCOME_SIZE`` and the compiled functions ``reset``,
        ``step``, ``observe_belief``, ``observe_outcome``, ``allow`` and ``identify``. None of them
        may allocate: no array, list or text is made in them.

    Raises
    ------
    TypeError
        A name that is missing, is no compiled function or has other parameters, or that the loops
        use for something else; the message names it.
    """
    _check(dynamics)
    scope = {**dynamics, **_LENT, "__digest__": _digest(dynamics)}
    # Without reference counts: nothing here allocates, and counting each row that is handed to the
    # family's functions costs more than the step itself. Those functions are compiled again in the
    # same way: one that counts would follow the pointer to a count that is not there.
    flags: dict[str, Any] = {"error_model": "numpy", "_nrt": False, "no_cfunc_wrapper": True}
    # Nor can Python call those functions: the way in takes a quarter of the time to compile.
    inner = {**flags, "no_cpython_wrapper": True}
    for name, value in dynamics.items():
        if isinstance(value, Dispatcher) and value.py_func.__module__ == scope["__name__"]:
            function = types.FunctionType(value.py_func.__code__, scope, name)
            inline = value.targetoptions.get("inline", "never")
            scope[name] = njit(inline=inline, **inner)(function)
    for name in _PARAMETERS:
        if not _reads_table(dynamics[name]):
            scope[name] = njit(inline="always", **flags)(_ignoring_table(scope[name], name))
    for helper in _HELPERS:
        scope[helper] = njit(inline="always", **flags)(_transplant(helper, scope))
    compiled = {
        name: njit(cache=True, **flags)(_transplant(name, scope)) for name in _COMPILED_LOOPS
    }
    return Kernel(
        module=dynamics["__name__"],
        scenario_dtype=dynamics["SCENARIO"],
        state_dtype=dynamics["STATE"],
        num_actions=dynamics["NUM_ACTIONS"],
        belief_size=dynamics["BELIEF_SIZE"],
        outcome_size=dynamics["OUTCOME_SIZE"],
        **compiled,
    )


def _check(dynamics: dict[str, Any]) -> None:
    """Refuse a family's names that the loops could not use, or would use for something else."""
    module = dynamics["__name__"]
    if "__file__" not in dynamics:
        raise TypeError(f"{module}: must be a module in a file, for its compiled loops to be kept")
    missing = [name for name in (*_CONSTANTS, *_PARAMETERS) if name not in dynamics]
    if missing:
        raise TypeError(f"{module}: {', '.join(missing)} must be defined before bind(globals())")
    for name, parameters in _PARAMETERS.items():
        function = dynamics[name]
        if not isinstance(function, Dispatcher):
            raise TypeError(f"{module}.{name}: must be compiled, with numba.njit(inline='always')")
        found = len(inspect.signature(function.py_func).parameters)
        if found != parameters + _reads_table(function):
            raise TypeError(f"{module}.{name}: has {found} parameters; {parameters} are needed")
    for name in _HELPERS:
        if name in dynamics:
            raise TypeError(f"{module}.{name}: the name is reserved for the loops; choose another")
    for name, lent in _LENT.items():
        if dynamics.get(name, lent) is not lent:
            raise TypeError(
                f"{module}.{name}: the name is reserved for {lent.__name__}; choose another"
            )


def _digest(dynamics: dict[str, Any]) -> str:
    compiled = [value for value in dynamics.values() if isinstance(value, Dispatcher)]
    files = {inspect.getfile(function.py_func) for function in compiled} | {dynamics["__file__"]}
    sources = b"".join(Path(file).read_bytes() for file in sorted(files))
    return hashlib.sha256(_CORE_VERSION.encode() + sources).hexdigest()[:12]


def _reads_table(function: Dispatcher) -> bool:
    return list(inspect.signature(function.py_func).parameters)[1:2] == ["table"]


def _ignoring_table(function: Dispatcher, name: str) -> Callable[..., Any]:
    """Return a family's function as the loops call it, with a table that it does not read."""
    if _PARAMETERS[name] == 3:
        return lambda scenario, table, state, other: function(scenario, state, other)
    return lambda scenario, table, state, action, noise: function(scenario, state, action, noise)


def _kernel_of(module: str, shape: dict[str, Any]) -> Kernel:
    kernel: Kernel = importlib.import_module(module).KERNEL
    return replace(kernel, **shape)


def _transplant(name: str, scope: dict[str, Any]) -> types.FunctionType:
    """Return the loop ``name`` as if the family's module had defined it.

    numba's cache on disk holds functions of a module and not closures; it files them by source
    file, line, qualified name and time stamp of that file. With the family's module in the name the
    entry is the family's own; with a digest of its source, of those that it imports compiled
    functions from and of the core's, it dies when one is edited. The source file is where the loop is
    written: errors show its lines.
    """
    template: types.FunctionType = getattr(loops, name)
    function = types.FunctionType(template.__code__, scope, name, template.__defaults__)
    digest = scope["__digest__"]
    function.__module__ = scope["__name__"]
    function.__qualname__ = f"{name}_{scope['__name__'].replace('.', '_')}_{digest}"
    function.__doc__ = template.__doc__
    return function
