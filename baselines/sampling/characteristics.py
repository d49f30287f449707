"""Exact characteristics of a sequential sampling policy: what it accepts and what it inspects.

The state is the pair of counts (n inspected, d defective), 0 <= d <= n <= `max_samples`, stored at
index n (n + 1) / 2 + d of a lattice of (max_samples + 1)(max_samples + 2) / 2 states. At a true
fraction defective p the counts are a Markov chain on this lattice, so one forward pass gives the
acceptance probability and the average sample number of any policy, deterministic or not, without
simulation and without a normal approximation.

Sources: A. Wald, Sequential Analysis, Wiley 1947 (operating characteristic, average sample number).
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from qc_gym.core.inspection import check_errors, judged
from qc_gym.core.lattice import row_start
from qc_gym.sampling.judgements import lot_chances

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

INSPECT, ACCEPT, REJECT = 0, 1, 2

# A state reached with less than this is dropped: it cannot change a float64 result, and arithmetic
# on subnormal numbers is slow.
NEGLIGIBLE = 1e-290
# A walk of a boundary test ends when no state is reached with more than this: nothing that could
# still change its ASN or its risks in the last digit is then left, however large max_samples is.
UNSEEN = 1e-25
NO_CHANCES: FloatArray = np.empty(0)


@dataclass(frozen=True)
class Risks:
    """How a policy behaves at a range of true fractions defective.

    Attributes
    ----------
    p : (P,) true fractions defective
    acceptance_probability : (P,) P(accept | p), the operating characteristic (OC) curve
    average_sample_number : (P,) expected number of inspected items at p (ASN)
    good, bad : the fractions defective of a good and of a bad lot, or None
    producer_risk : P(reject | good), or None
    consumer_risk : P(accept | bad), or None
    """

    p: FloatArray
    acceptance_probability: FloatArray
    average_sample_number: FloatArray
    good: float | None = None
    bad: float | None = None
    producer_risk: float | None = None
    consumer_risk: float | None = None

    @classmethod
    def of(
        cls,
        probabilities: npt.ArrayLike,
        p: npt.ArrayLike,
        max_samples: int,
        *,
        good: float | None = None,
        bad: float | None = None,
        lot_size: int | None = None,
        false_alarm: float = 0.0,
        miss: float = 0.0,
    ) -> Risks:
        """Measure the policy `probabilities` (size, 3) at `p` (P,) and at `good` and `bad`.

        All are true fractions defective, whatever inspectors take items for. With a `lot_size`,
        `good` and `bad` are rounded to the nearest whole number of defectives and stored so; `p`
        must be exact. Raises ValueError like `forward_pass`, and when only one of `good` and `bad`
        is given.
        """
        rest = max_samples, lot_size, false_alarm, miss
        points = np.atleast_1d(np.asarray(p, dtype=np.float64))
        if (good is None) != (bad is None):
            raise ValueError(f"give both good and bad, or neither; got good={good}, bad={bad}")
        if good is None or bad is None:
            accepted, number = forward_pass(probabilities, points, *rest)
            return cls(points, accepted, number)
        if not 0.0 <= good < bad <= 1.0:
            raise ValueError(f"0 <= good < bad <= 1 is required; got good={good}, bad={bad}")
        good, bad = lot_rate(good, lot_size), lot_rate(bad, lot_size)
        everywhere = np.concatenate((points, [good, bad]))
        accepted, number = forward_pass(probabilities, everywhere, *rest)
        producer_risk, consumer_risk = 1.0 - float(accepted[-2]), float(accepted[-1])
        return cls(points, accepted[:-2], number[:-2], good, bad, producer_risk, consumer_risk)

    def plot(self, target: str | PathLike[str] | Any) -> Any:
        """Draw the OC curve and the ASN curve side by side.

        Parameters
        ----------
        target : path of an image file to write, or a pair of matplotlib axes to draw on

        Returns
        -------
        The matplotlib figure.
        """
        if not isinstance(target, str | PathLike):
            return self._draw(*target)
        from qc_gym.core.picture import Picture

        figure = Picture(figsize=(10.0, 4.0), layout="constrained")
        self._draw(*figure.subplots(1, 2))
        figure.savefig(target)
        return figure

    def _draw(self, oc: Any, asn: Any) -> Any:
        order = np.argsort(self.p)
        x = 100.0 * self.p[order]
        oc.plot(x, self.acceptance_probability[order], color="tab:blue")
        oc.set(xlabel="true fraction defective p (%)", ylabel="probability of acceptance")
        oc.set(title="Operating characteristic", ylim=(-0.02, 1.02))
        asn.plot(x, self.average_sample_number[order], color="tab:blue")
        asn.set(xlabel="true fraction defective p (%)", ylabel="average sample number (items)")
        asn.set(title="Average sample number")
        asn.set_ylim(bottom=0.0)
        if self.good is not None and self.bad is not None:
            self._mark_pair(oc, asn)
        for axes in (oc, asn):
            axes.grid(alpha=0.3)
        return oc.figure

    def _mark_pair(self, oc: Any, asn: Any) -> None:
        assert self.good is not None
        assert self.bad is not None
        assert self.producer_risk is not None
        assert self.consumer_risk is not None
        pair = (("good", self.good, "tab:green"), ("bad", self.bad, "tab:red"))
        for name, rate, colour in pair:
            for axes in (oc, asn):
                label = f"{name}: p = {rate:.4g}"
                axes.axvline(100.0 * rate, color=colour, linestyle="--", label=label)
        risks = (1.0 - self.producer_risk, self.consumer_risk)
        for (_, rate, colour), probability in zip(pair, risks, strict=True):
            oc.plot([100.0 * rate], [probability], "o", color=colour)
        # The producer's risk is what the curve lacks to one, the consumer's its height above 0.
        for text, rate, height in (
            (f"producer's risk {self.producer_risk:.4f}", self.good, risks[0]),
            (f"consumer's risk {self.consumer_risk:.4f}", self.bad, risks[1]),
        ):
            oc.annotate(
                text,
                (100.0 * rate, height),
                textcoords="offset points",
                xytext=(8, 6),
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            )
        asn.legend()


def forward_pass(
    probabilities: npt.ArrayLike,
    p: npt.ArrayLike,
    max_samples: int,
    lot_size: int | None = None,
    false_alarm: float = 0.0,
    miss: float = 0.0,
) -> tuple[FloatArray, FloatArray]:
    """Compute the acceptance probability and average sample number of a policy (Wald 1947).

    Parameters
    ----------
    probabilities : (size, 3) chance of inspect, accept, reject at every (n, d); at
        n = `max_samples` the chance of inspect counts as reject and inspects nothing
    p : (P,) true fractions defective
    max_samples : most items the policy may inspect
    lot_size : None for independent items, each defective with chance p; N for items drawn without
        replacement from a lot of N with p N defectives
    false_alarm, miss : probabilities that a conforming item is judged defective, and a defective
        one conforming; the policy's d counts judgements, and p is the truth

    Returns
    -------
    acceptance_probability : (P,) P(accept | p); the remainder is P(reject | p)
    average_sample_number : (P,) expected number of inspected items

    Raises
    ------
    ValueError
        If an argument is out of range, if the lot is smaller than `max_samples`, if p N is not a
        whole number, if `false_alarm` and `miss` are not errors of an inspector, or if a row of
        `probabilities` is not a distribution.
    """
    check_lattice(max_samples, lot_size)
    if not (false_alarm >= 0.0 and miss >= 0.0):
        raise ValueError(f"false_alarm = {false_alarm}, miss = {miss}: must be at least 0")
    check_errors(false_alarm, miss)
    table = _checked_policy(probabilities, max_samples)
    rates = np.atleast_1d(np.asarray(p, dtype=np.float64))
    if rates.ndim != 1:
        raise ValueError(f"p must be a number or an array of shape (P,); got shape {rates.shape}")
    outside = rates[~((rates >= 0.0) & (rates <= 1.0))]
    if outside.size:
        raise ValueError(f"p must be in [0, 1]; got {outside[0]}")
    defectives = np.zeros(rates.size)
    if lot_size is not None:
        defectives = np.rint(rates * lot_size)
        broken = rates[np.abs(rates * lot_size - defectives) > 1e-9]
        if broken.size:
            raise ValueError(
                f"p * lot_size must be a whole number of defectives; got p={broken[0]} with "
                f"lot_size={lot_size}, that is {broken[0] * lot_size}"
            )
    if lot_size is None:
        chances = judged(rates, false_alarm, miss)
        accepted, number = _forward(table, chances, defectives, max_samples, 0, NO_CHANCES)
    elif false_alarm == 0.0 and miss == 0.0:
        accepted, number = _forward(table, rates, defectives, max_samples, lot_size, NO_CHANCES)
    else:
        accepted, number = np.empty((2, rates.size))
        for i, count in enumerate(defectives.astype(np.int64)):
            chances = lot_chances(int(count), lot_size, max_samples, false_alarm, miss)
            one = slice(i, i + 1)
            accepted[one], number[one] = _forward(
                table, rates[one], defectives[one], max_samples, lot_size, chances
            )
    # A sum of rounded numbers can exceed one in its last digit.
    return np.minimum(accepted, 1.0), number


def lattice_counts(max_samples: int) -> tuple[IntArray, IntArray]:
    """Return n (size,) inspected and d (size,) defective of every state, in index order."""
    check_lattice(max_samples, None)
    n = np.repeat(np.arange(max_samples + 1), np.arange(1, max_samples + 2))
    return n, np.arange(n.size) - row_start(n)


def table_from_boundaries(
    acceptance_numbers: npt.ArrayLike, rejection_numbers: npt.ArrayLike
) -> npt.NDArray[np.int8]:
    """Tabulate the action at every lattice state of a test given by its boundaries.

    Parameters
    ----------
    acceptance_numbers : (max_samples + 1,) accept after n items when d <= acceptance_numbers[n]
    rejection_numbers : (max_samples + 1,) reject after n items when d >= rejection_numbers[n]
        Both may be real or infinite, such as the lines of Wald's sequential probability ratio test.

    Returns
    -------
    actions : (size,) int8; 0 where neither holds, which acts as reject at n = `max_samples`

    Raises
    ------
    ValueError
        If the shapes differ, a number is NaN, or an acceptance number is not below the rejection
        number of the same n.
    """
    accept = np.asarray(acceptance_numbers, dtype=np.float64)
    reject = np.asarray(rejection_numbers, dtype=np.float64)
    if accept.ndim != 1 or accept.shape != reject.shape or accept.size < 2:
        raise ValueError(
            "acceptance_numbers and rejection_numbers must both have shape (max_samples + 1,) with "
            f"max_samples >= 1; got {accept.shape} and {reject.shape}"
        )
    wrong = np.flatnonzero(~(accept < reject))
    if wrong.size:
        n = int(wrong[0])
        raise ValueError(
            "acceptance_numbers[n] must be below rejection_numbers[n]; "
            f"got {accept[n]} and {reject[n]} at n={n}"
        )
    actions = np.empty(lattice_size(accept.size - 1), dtype=np.int8)
    _fill_actions(accept, reject, actions)
    return actions


def lattice_size(max_samples: int) -> int:
    """Count the lattice states (n, d) with 0 <= d <= n <= `max_samples`."""
    return row_start(max_samples + 1)


def lot_rate(rate: float, lot_size: int | None) -> float:
    """Return `rate`, or the nearest fraction defective that a lot of `lot_size` items can have."""
    return rate if lot_size is None else round(rate * lot_size) / lot_size


def check_lattice(max_samples: int, lot_size: int | None) -> None:
    """Raise ValueError unless 1 <= `max_samples` <= `lot_size` (None: no limit), both whole."""
    if not isinstance(max_samples, int | np.integer) or max_samples < 1:
        raise ValueError(f"max_samples must be a whole number of at least 1; got {max_samples!r}")
    if lot_size is None:
        return
    if not isinstance(lot_size, int | np.integer) or lot_size < max_samples:
        raise ValueError(
            f"lot_size must be None or a whole number of at least max_samples={max_samples}; "
            f"got {lot_size!r}"
        )


def _checked_policy(probabilities: npt.ArrayLike, max_samples: int) -> FloatArray:
    table = np.ascontiguousarray(probabilities, dtype=np.float64)
    size = lattice_size(max_samples)
    if table.shape != (size, 3):
        raise ValueError(
            f"probabilities must have shape ({size}, 3) for max_samples={max_samples}; "
            f"got {table.shape}"
        )
    sums = table @ np.ones(3)
    # Written so that NaN and infinity fail it too.
    wrong = np.flatnonzero(~((np.abs(sums - 1.0) <= 1e-9) & (table.min(axis=1) >= 0.0)))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(
            "every row of probabilities must be non-negative, finite and sum to 1 within 1e-9; "
            f"row {row} is {table[row].tolist()}"
        )
    return table


@numba.njit(cache=True, error_model="numpy")
def defective_chance(
    p: float, defectives: float, lot_size: int, n: int, d: int, chances: FloatArray
) -> float:
    """Return P(next item found defective | n, d): `p`, or without replacement if `lot_size` is not 0.

    Where `chances` (size,) at each state are given, it is those.
    """
    if chances.size > 0:
        return chances[row_start(n) + d]
    if lot_size == 0:
        return p
    return min(max((defectives - d) / (lot_size - n), 0.0), 1.0)


@numba.njit(cache=True, error_model="numpy")
def _forward(
    probabilities: FloatArray,
    p: FloatArray,
    defectives: FloatArray,
    max_samples: int,
    lot_size: int,
    chances: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    accepted = np.zeros(p.size)
    number = np.zeros(p.size)
    reach = np.empty(max_samples + 2)
    for i in range(p.size):
        reach[0] = 1.0
        low, high = 0, 0  # the states (n, low..high) hold all of the reach probability
        for n in range(max_samples + 1):
            row = row_start(n)
            first, last = high + 2, -1
            carried = 0.0  # from (n, d) to (n + 1, d + 1)
            for d in range(low, high + 1):
                here = reach[d]
                reach[d] = carried
                carried = 0.0
                if here > NEGLIGIBLE:
                    accepted[i] += here * probabilities[row + d, ACCEPT]
                    onward = here * probabilities[row + d, INSPECT] if n < max_samples else 0.0
                    if onward > 0.0:
                        number[i] += onward
                        chance = defective_chance(p[i], defectives[i], lot_size, n, d, chances)
                        reach[d] += onward * (1.0 - chance)
                        carried = onward * chance
                        first, last = min(first, d), d + 1
            reach[high + 1] = carried
            low, high = first, last
            if last < first:
                break
    return accepted, number


@numba.njit(cache=True, error_model="numpy")
def _fill_actions(accept: FloatArray, reject: FloatArray, actions: npt.NDArray[np.int8]) -> None:
    index = 0
    for n in range(accept.size):
        for d in range(n + 1):
            actions[index] = INSPECT
            if d <= accept[n]:
                actions[index] = ACCEPT
            elif d >= reject[n]:
                actions[index] = REJECT
            index += 1


@numba.njit(cache=True, error_model="numpy")
def boundary_walk(
    p: float,
    defectives: float,
    lot_size: int,
    accept: IntArray,
    reject: IntArray,
    occupancy: FloatArray,
    chances: FloatArray = NO_CHANCES,
) -> tuple[float, float, float]:
    """Compute ASN, P(accept) and P(reject) at p of a boundary test, from the states it reaches.

    `defectives` is p `lot_size`; both are 0 for independent items, for which p may be a fraction
    judged defective. `accept` < `reject`, of shape (max_samples + 1,), leave nothing open at the
    last n. The chances of reaching (n, d) are added to `occupancy` (size,), unless that is empty.
    `chances`, unless empty, are those of :func:`defective_chance`.
    """
    number, accepted, rejected = 0.0, 0.0, 0.0
    reach = np.empty(accept.size + 1)
    reach[0] = 1.0
    low, high = 0, 0
    for n in range(accept.size):
        if occupancy.size > 0:
            row = row_start(n)
            occupancy[row + low : row + high + 1] += reach[low : high + 1]
        for d in range(low, min(accept[n], high) + 1):
            accepted += reach[d]
        for d in range(max(reject[n], low), high + 1):
            rejected += reach[d]
        low, high = max(low, accept[n] + 1), min(high, reject[n] - 1)
        carried, largest = 0.0, 0.0
        for d in range(low, high + 1):
            here = reach[d]
            number += here
            largest = max(largest, here)
            chance = defective_chance(p, defectives, lot_size, n, d, chances)
            reach[d] = here * (1.0 - chance) + carried
            carried = here * chance
        if largest < UNSEEN:
            break
        high += 1
        reach[high] = carried
    return number, accepted, rejected
