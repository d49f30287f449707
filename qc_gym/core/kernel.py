"""Binding the generic loops to one family's world."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numba import types as numba_types
from numba.core.dispatcher import Dispatcher
from numpy.typing import NDArray

from qc_gym.core import loops, noise

_CORE_VERSION = hashlib.sha256(
    "".join(inspect.getsource(module) for module in (loops, noise, sys.modules[__name__])).encode()
).hexdigest()[:12]
_COMPILED_LOOPS = ("reset_batch", "step_batch", "step_one", "describe_batch", "roll_out")
_SHAPE = ("scenario_dtype", "state_dtype", "num_actions", "belief_size", "outcome_size")


def _mangling_args(record: Any) -> tuple[str, tuple[str]]:
    """Return what tells the code for this record layout from the code for others."""
    return "Record", (hashlib.sha256(record.name.encode()).hexdigest()[:16],)


# numba calls code after a number that the layout got in the process that compiled it (its issue
# 7654): of two sizes of a family, compiled by two processes and found in the cache by a third, one
# would run the other's code.
numba_types.Record.mangling_args = property(_mangling_args)  # type: ignore[method-assign, assignment]


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
        self, scenario: NDArray[np.void], states: NDArray[np.void], observation: str
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.uint64]]:
        """Return observations (n, size), allowed actions (n, actions) and keys (n,) of ``states``.

        ``scenario`` is the one record, shape (1,), that all states belong to.
        """
        n = len(states)
        observations = np.empty((n, self.observation_size(observation)), np.float32)
        masks = np.empty((n, self.num_actions), np.int8)
        keys = np.empty(n, np.uint64)
        self.describe_batch(
            scenario,
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
        ``step``, ``observe_belief``, ``observe_outcome``, ``allow`` and ``identify``.
    """
    scope = dict(dynamics)
    scope.update(np=np, uniform=noise.uniform)
    # Without reference counts: nothing here allocates, and counting each row that is handed to the
    # family's functions costs more than the step itself. Those functions are compiled again in the
    # same way: one that counts would follow the pointer to a count that is not there.
    flags: dict[str, Any] = {"error_model": "numpy", "_nrt": False}
    for name, value in dynamics.items():
        if isinstance(value, Dispatcher) and value.py_func.__module__ == scope["__name__"]:
            function = types.FunctionType(value.py_func.__code__, scope, name)
            inline = value.targetoptions.get("inline", "never")
            scope[name] = njit(inline=inline, **flags)(function)
    for helper in ("observe", "find"):
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


def _kernel_of(module: str, shape: dict[str, Any]) -> Kernel:
    kernel: Kernel = importlib.import_module(module).KERNEL
    return replace(kernel, **shape)


def _transplant(name: str, scope: dict[str, Any]) -> types.FunctionType:
    """Return the loop ``name`` as if the family's module had defined it.

    numba's cache on disk holds functions of a module and not closures; it files them by source
    file, qualified name and time stamp of that file. With the family's own file name the entry is
    the family's own and dies when its dynamics are edited; with the core's version in the name,
    also when the loops are.
    """
    template: types.FunctionType = getattr(loops, name)
    code = template.__code__.replace(co_filename=scope["__file__"], co_name=name)
    function = types.FunctionType(code, scope, name, template.__defaults__)
    function.__module__ = scope["__name__"]
    function.__qualname__ = f"{name}_{_CORE_VERSION}"
    function.__doc__ = template.__doc__
    return function
