"""Pools of scenarios: what the resets of an environment with a range draw from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np
from numba import njit
from numpy.typing import NDArray

from qc_gym.core.errors import ScenarioError
from qc_gym.core.noise import uniform
from qc_gym.core.ranges import ScenarioRange

if TYPE_CHECKING:
    from qc_gym.core.scenario import Scenario

POOL_SIZE = 4096
"""Scenarios of a pool."""
MAX_BYTES = 2**27
"""Most bytes of their records: of large ones there are fewer."""
_SEED = 20_100_716
_UNKNOWN, _VALID, _INVALID = 0, 1, 2


class ScenarioPool:
    """The scenarios of a range of which every reset draws one; each is equally likely.

    To read, check and tabulate a scenario takes as long as a thousand steps, so that it is done once
    for each, when it is first drawn. The pool belongs to the range and depends on nothing else; what
    an environment draws from it depends on its seed.

    They are a Latin hypercube sample (McKay, Beckman & Conover 1979): cut the range of any field into
    ``size`` equal parts, and there is one scenario in each. A field is thus distributed as it is in
    the range, to within 1 / ``size``. Combinations that are not valid are drawn again.

    Attributes
    ----------
    size
        Number of scenarios: ``POOL_SIZE``, or as many as have records of ``MAX_BYTES`` together.
    records
        The parameters of each as the kernel reads them, (size,); zeros until it is first drawn.
    features
        The numbers of each that the range varies, scaled to [0, 1], float32 (size, fields).
    scenarios
        The scenarios, in a list of ``size``; None until they are first drawn.
    """

    def __init__(self, spread: ScenarioRange) -> None:
        self._spread = spread
        layout = spread.kernel.scenario_dtype
        self.size = max(min(POOL_SIZE, MAX_BYTES // layout.itemsize), 1)
        self._status = np.full(self.size, _UNKNOWN, np.int8)
        self._error: ScenarioError | None = None
        self._shares = _latin_hypercube(self.size, len(spread.ranges))
        self.records = np.zeros(self.size, layout)
        self.features = np.zeros((self.size, len(spread.ranges)), np.float32)
        self.scenarios: list[Any] = [None] * self.size

    def draw(
        self, noise: NDArray[np.void], selected: NDArray[np.bool_], numbers: NDArray[np.int64]
    ) -> None:
        """Draw the number of a scenario in each selected sub-environment; all of shape (n,).

        Parameters
        ----------
        noise
            The streams of the sub-environments. Those of the selected ones advance.
        selected
            Which sub-environments draw.
        numbers
            Written where ``selected``.

        Raises
        ------
        ScenarioError
            No scenario of the pool is valid.
        """
        if self._error is not None:
            raise self._error
        due = selected.copy()
        while _draw(self._status, noise, due, numbers):
            for number in np.unique(numbers[due]):
                self._make(int(number))
            due &= self._status[numbers] == _INVALID

    def make(self, numbers: NDArray[np.int64]) -> None:
        """Have ready the scenarios of these numbers, as another process may have drawn them."""
        for number in np.unique(numbers):
            self._make(int(number))

    def _make(self, number: int) -> None:
        if self._status[number] != _UNKNOWN:
            return
        try:
            scenario: Scenario = self._spread.at(self._shares[number].tolist())
        except ScenarioError as error:
            self._status[number] = _INVALID
            if (self._status == _INVALID).all():
                self._error = error
                raise
            return
        self.scenarios[number] = scenario
        self.records[number] = scenario.record()[0]
        self.features[number] = self._spread.features(scenario)
        self._status[number] = _VALID  # last: threads share the pool, and draw what is valid

    def __reduce__(self) -> tuple[object, ...]:
        return pool_of, (self._spread,)


class PlayedScenarios(Sequence[Any]):
    """What sub-environments play, looked up in the pool when it is asked for.

    To be read as an array of objects, shape (n,), which :func:`numpy.asarray` makes of it: to make one
    in every step would take longer than the step.

    Parameters
    ----------
    pool
        Where the scenarios are.
    numbers
        Those of the scenarios played, (n,).
    present
        bool (n,): None is shown elsewhere.
    """

    def __init__(
        self, pool: ScenarioPool, numbers: NDArray[np.int64], present: NDArray[np.bool_]
    ) -> None:
        self._pool = pool
        self._numbers = numbers
        self._present = present

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        """Return the scenario of a sub-environment, or an array of those that a mask or a slice takes."""
        found = self._numbers[index]
        if np.ndim(found) == 0:
            return self._pool.scenarios[found] if self._present[index] else None
        return np.asarray(PlayedScenarios(self._pool, found, self._present[index]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.object_]:
        objects = np.empty(len(self), object)
        for i in np.flatnonzero(self._present):
            objects[i] = self._pool.scenarios[self._numbers[i]]
        return objects

    def __repr__(self) -> str:
        return f"PlayedScenarios({len(self):,} sub-environments)"


_POOLS: WeakValueDictionary[object, ScenarioPool] = WeakValueDictionary()


def pool_of(spread: ScenarioRange) -> ScenarioPool:
    """Return the pool of a range; equal ranges in one process share it."""
    key = (spread.scenario_type, repr(spread.fields))  # 1 and 1.0 are equal, but not drawn alike
    pool = _POOLS.get(key)
    if pool is None:
        pool = _POOLS[key] = ScenarioPool(spread)
    return pool


def _latin_hypercube(size: int, fields: int) -> NDArray[np.float64]:
    """Return shares in [0, 1), (size, fields): of each field one in every 1 / size."""
    generator = np.random.default_rng(_SEED)
    parts = np.tile(np.arange(size)[:, np.newaxis], fields)
    return (generator.permuted(parts, axis=0) + generator.random(parts.shape)) / size


@njit(cache=True, error_model="numpy")
def _draw(status, noise, due, numbers):  # type: ignore[no-untyped-def]
    """Draw numbers that are not known to be invalid; return whether any is not known to be valid.

    ``due`` tells afterwards which these are.
    """
    any_unknown = False
    for i in range(len(due)):
        if due[i]:
            number = np.uint64(uniform(noise[i]) * len(status))
            while status[number] == _INVALID:
                number = np.uint64(uniform(noise[i]) * len(status))
            numbers[i] = number
            due[i] = status[number] == _UNKNOWN
            any_unknown |= due[i]
    return any_unknown
