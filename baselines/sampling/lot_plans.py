"""Plans as a factory writes them down: single and double sampling by attributes.

Each is two numbers for every count of items n: accept at that many defectives or fewer, reject at that many
or more, else inspect one more. Given in Python or as text, it is scored like any policy.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, hypergeom

from baselines.core.policy import TabularPolicy
from baselines.core.references import NoPlanError
from baselines.core.rule import Rule
from baselines.core.tabular import TabularOptimum
from baselines.sampling.characteristics import table_from_boundaries
from baselines.sampling.model import SamplingModel, SamplingPolicy
from qc_gym.core.numbers import whole_number
from qc_gym.sampling.scenario import SequentialSamplingScenario

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_WHOLE = 1e-9
"""By how much p times the size of a lot may miss a whole number, which is rounding."""


class LotPlan(Rule):
    """A sampling plan by attributes, whose items are inspected one after another."""

    @property
    @abstractmethod
    def items(self) -> int:
        """The most items that it inspects."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What it is, in words."""

    @property
    @abstractmethod
    def numbers(self) -> dict[str, int]:
        """Its numbers by the letters that the field uses: n, c, r."""

    @abstractmethod
    def acceptance_numbers(self, max_samples: int) -> IntArray:
        """Largest d that accepts, for n = 0, …, max_samples: (max_samples + 1,); −1 where none does."""

    @abstractmethod
    def rejection_numbers(self, max_samples: int) -> IntArray:
        """Smallest d that rejects, for n = 0, …, max_samples: (max_samples + 1,); n + 1 where none does."""

    def on(self, tables: SamplingModel) -> SamplingPolicy:
        """Return the plan as a policy of a scenario's tables.

        Raises
        ------
        NoPlanError
            It needs more than max_samples items.
        """
        most = tables.scenario.max_samples
        if self.items > most:
            written = ", ".join(f"{name} = {value}" for name, value in self.numbers.items())
            raise NoPlanError(f"{written}: {self.items} items; at most max_samples = {most}")
        accept, reject = self.acceptance_numbers(most), self.rejection_numbers(most)
        return boundary_policy(tables, accept, reject).described(self.words, self.numbers)

    def policy(self, optimum: Any) -> SamplingPolicy:
        """Return the plan as a policy of the scenario of an optimum; raises as :meth:`on` does."""
        scenario = optimum.scenario
        is_sampling = isinstance(scenario, SequentialSamplingScenario)
        if not is_sampling or not isinstance(optimum, TabularOptimum):
            raise TypeError(
                f"policy = {self!r}: a plan of qc_gym/SequentialSampling; the scenario is a "
                f"{type(scenario).__name__}"
            )
        return self.on(optimum.model)


@dataclass(frozen=True)
class SinglePlan(LotPlan):
    """Inspect `sample_size` items and accept at `acceptance_number` defectives or fewer.

    Parameters
    ----------
    sample_size : int
        n >= 1.
    acceptance_number : int
        c, with 0 <= c < n.
    curtailed : bool
        Whether it stops as soon as the items still to come cannot change the decision, which leaves
        the operating characteristic as it is.
    """

    sample_size: int
    acceptance_number: int
    curtailed: bool = False

    def __post_init__(self) -> None:
        size = whole_number("sample_size", self.sample_size, 1)
        number = whole_number("acceptance_number", self.acceptance_number, 0)
        if number >= size:
            raise ValueError(
                f"acceptance_number = {number}: must be less than sample_size = {size}"
            )

    @property
    def items(self) -> int:
        """The most items that it inspects, n."""
        return self.sample_size

    @property
    def words(self) -> str:
        """What it is, in words."""
        stops = ", stopped once that is settled" if self.curtailed else ""
        return f"single sampling plan: inspect n, accept at most c defectives{stops}"

    @property
    def numbers(self) -> dict[str, int]:
        """``n`` and ``c``."""
        return {"n": self.sample_size, "c": self.acceptance_number}

    def acceptance_numbers(self, max_samples: int) -> IntArray:
        """Largest d that accepts after n items, (max_samples + 1,); −1 where none does yet."""
        left = self.sample_size - np.arange(max_samples + 1)
        if not self.curtailed:
            return np.where(left > 0, -1, self.acceptance_number)
        return np.maximum(self.acceptance_number - np.maximum(left, 0), -1)

    def rejection_numbers(self, max_samples: int) -> IntArray:
        """Smallest d that rejects after n items, (max_samples + 1,); n + 1 where none does yet."""
        n = np.arange(max_samples + 1)
        settled = (n >= self.sample_size) | self.curtailed
        return np.where(settled, self.acceptance_number + 1, n + 1)

    def acceptance_probability(self, p: npt.ArrayLike, lot_size: int | None = None) -> FloatArray:
        """Operating characteristic: probability of accepting at fraction defective p.

        Parameters
        ----------
        p : array_like
            Fractions defective in [0, 1], of any shape.
        lot_size : int, optional
            N >= `sample_size`: sample without replacement from N items of which p N are defective
            (hypergeometric). Without it items are independent (binomial).

        Returns
        -------
        ndarray
            float64, of the shape of `p`.

        Raises
        ------
        ValueError
            If p * lot_size is not an integer to within 1e-9.
        """
        rates = np.asarray(p, dtype=np.float64)
        outside = ~((rates >= 0.0) & (rates <= 1.0))
        if outside.any():
            raise ValueError(f"p={rates[outside][0]}: must be a number from 0 to 1")
        if lot_size is None:
            accepted = binom.cdf(self.acceptance_number, self.sample_size, rates)
        else:
            lot = whole_number("lot_size", lot_size, self.sample_size)
            defectives = _whole_defectives(rates, lot)
            accepted = hypergeom.cdf(self.acceptance_number, lot, defectives, self.sample_size)
        return np.asarray(accepted, dtype=np.float64)


@dataclass(frozen=True)
class DoublePlan(LotPlan):
    """Inspect n1 items; accept at c1 defectives or fewer, reject at r1 or more, else inspect n2 more.

    After both samples the lot is accepted at c2 defectives or fewer among all of them.

    Parameters
    ----------
    first_size : int
        n1 >= 1.
    first_acceptance : int
        c1, with -1 <= c1 < n1; with -1 the first sample never accepts.
    first_rejection : int
        r1 >= 1, with c1 < r1 <= n1 + 1; with n1 + 1 the first sample never rejects.
    second_size : int
        n2 >= 1; or 0 where the first sample always decides (r1 = c1 + 1).
    second_acceptance : int
        c2, with 0 <= c2 < n1 + n2.
    """

    first_size: int
    first_acceptance: int
    first_rejection: int
    second_size: int
    second_acceptance: int

    def __post_init__(self) -> None:
        n1 = whole_number("n1", self.first_size, 1)
        c1 = whole_number("c1", self.first_acceptance, -1, n1 - 1)
        r1 = whole_number("r1", self.first_rejection, max(c1 + 1, 1), n1 + 1)
        n2 = whole_number("n2", self.second_size, int(r1 > c1 + 1))
        whole_number("c2", self.second_acceptance, 0, n1 + n2 - 1)

    @property
    def items(self) -> int:
        """The most items that it inspects, n1 + n2."""
        return self.first_size + self.second_size

    @property
    def words(self) -> str:
        """What it is, in words."""
        return "double sampling plan: inspect n1, accept at c1, reject at r1, else n2 more and c2"

    @property
    def numbers(self) -> dict[str, int]:
        """``n1``, ``c1``, ``r1``, ``n2`` and ``c2``."""
        return {
            "n1": self.first_size,
            "c1": self.first_acceptance,
            "r1": self.first_rejection,
            "n2": self.second_size,
            "c2": self.second_acceptance,
        }

    def acceptance_numbers(self, max_samples: int) -> IntArray:
        """Largest d that accepts after n items, (max_samples + 1,); −1 where none does yet."""
        numbers = np.full(max_samples + 1, -1)
        numbers[self.items :] = self.second_acceptance
        numbers[self.first_size] = self.first_acceptance
        return numbers

    def rejection_numbers(self, max_samples: int) -> IntArray:
        """Smallest d that rejects after n items, (max_samples + 1,); n + 1 where none does yet."""
        numbers = np.arange(1, max_samples + 2)
        numbers[self.items :] = self.second_acceptance + 1
        numbers[self.first_size] = self.first_rejection
        return numbers


def read_plan(text: str) -> LotPlan:
    """Return the plan that text stands for: ``80,5`` or ``50,1,4,50,4`` (n1, c1, r1, n2, c2).

    Raises
    ------
    ValueError
        Neither, or numbers that make no plan; the message shows the text and what is allowed.
    """
    if not re.fullmatch(r"\s*-?\d+(\s*,\s*-?\d+)*\s*", text) or text.count(",") not in (1, 4):
        raise ValueError(
            f"plan = {text!r}: two whole numbers n,c are needed (80,5: inspect 80, accept at 5 defectives "
            "or fewer), or the five n1,c1,r1,n2,c2 of a double plan (50,1,4,50,4)"
        )
    numbers = [int(number) for number in text.split(",")]
    try:
        return SinglePlan(numbers[0], numbers[1]) if len(numbers) == 2 else DoublePlan(*numbers)
    except ValueError as error:
        raise ValueError(f"plan = {text!r}: {error}") from error


def boundary_policy(
    tables: SamplingModel,
    acceptance_numbers: IntArray,
    rejection_numbers: IntArray,
) -> SamplingPolicy:
    """Return the policy that accepts at d ≤ acceptance_numbers[n], rejects at d ≥ rejection_numbers[n].

    Both shape (max_samples + 1,); between them it inspects one more item.
    """
    actions = table_from_boundaries(acceptance_numbers, rejection_numbers)
    split = tables.num_states // len(actions)
    return TabularPolicy.of(tables, np.repeat(actions.astype(np.int64), split))


def _whole_defectives(rates: FloatArray, lot: int) -> IntArray:
    """Return the number of defectives in a lot at each rate, which must be whole."""
    exact = rates * lot
    whole = np.rint(exact)
    off = np.abs(exact - whole) > _WHOLE
    if off.any():
        raise ValueError(
            f"p={rates[off][0]}, lot_size={lot}: p * lot_size = {exact[off][0]} must be an "
            f"integer to within {_WHOLE}"
        )
    return whole.astype(np.int64)
