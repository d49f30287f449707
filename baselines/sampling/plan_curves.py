"""What a plan does at every true quality: acceptance, items inspected, and the quality that goes out.

At a true fraction defective p, for any policy on the counts (n, d), exactly:

- P(accept), the operating characteristic, and the average sample number (ASN);
- the average outgoing quality (AOQ): the fraction defective after inspection, where defective items found
  are replaced by good ones and rejected lots are screened, all of their items inspected. In a lot of N
  items with M defective it is E[M − d; accepted] / N; in an infinite lot, of which a sample is no part,
  p P(accept);
- the average total inspection (ATI) of a lot of N: E[n; accepted] + N P(rejected). An infinite lot has
  none.

Source: D. C. Montgomery, Introduction to Statistical Quality Control, section on rectifying inspection;
there for lots from a process (binomial), here for a lot of which M are defective.
"""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from baselines.core.plan import shown
from baselines.core.policy import TabularPolicy, tabulate
from baselines.core.problem import problem_of
from baselines.core.tabular import TabularOptimum
from baselines.sampling.characteristics import (
    ACCEPT,
    INSPECT,
    NEGLIGIBLE,
    NO_CHANCES,
    Risks,
    defective_chance,
)
from baselines.sampling.reference import risks
from qc_gym.core.lattice import row_start
from qc_gym.sampling.judgements import lot_chances
from qc_gym.sampling.scenario import SequentialSamplingScenario

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

_WIDTH = 80
_ROWS = 21
"""Rows that the text has at most, beside those of the good and the bad rate."""
_COLUMNS = {"p %": 8, "P(accept)": 11, "ASN": 12, "AOQ %": 10, "ATI": 16}
"""Of the text, and how wide they are; ``_FORMS`` has what they are multiplied by, and their format."""
_FORMS = ((100.0, ".4g"), (1.0, ".6f"), (1.0, ".3f"), (100.0, ".4f"), (1.0, ".3f"))


@dataclass(frozen=True, eq=False)
class PlanCurves:
    """The curves of a plan.

    Attributes
    ----------
    risks
        P(accept) and ASN at the fractions defective p (P,), and both risks.
    average_outgoing_quality
        Fraction defective after inspection, (P,); None where inspectors err, as what they leave behind then
        depends on who looks again.
    average_total_inspection
        Items inspected in a lot, those of screened lots included, (P,); None of an infinite lot.
    description, design
        What the plan is, in words and numbers.
    """

    risks: Risks
    average_outgoing_quality: FloatArray | None
    average_total_inspection: FloatArray | None
    description: str
    design: Mapping[str, Any]

    def points(self) -> list[tuple[float | None, ...]]:
        """Return p, P(accept), ASN, AOQ and ATI at each point; None for those that there are not."""
        at = self.risks
        columns = (
            at.p,
            at.acceptance_probability,
            at.average_sample_number,
            self.average_outgoing_quality,
            self.average_total_inspection,
        )
        none = [None] * len(at.p)
        lists = [none if column is None else column.tolist() for column in columns]
        return list(zip(*lists, strict=True))


class Curves(dict[str, PlanCurves]):
    """The curves of plans by name, as text, CSV and a picture."""

    def text(self) -> str:
        """Return a table a plan, of at most 80 columns; some of the points (:meth:`csv` has all)."""
        return "\n\n".join(self._table(name) for name in self) + "\n"

    def csv(self) -> str:
        """Return all points of all plans as CSV with a header, rates as fractions, numbers in full."""
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(
            ("plan", "p", "acceptance_probability", "average_sample_number")
            + ("average_outgoing_quality", "average_total_inspection")
        )
        for name, one in self.items():
            writer.writerows((name, *row) for row in one.points())
        return buffer.getvalue()

    def figure(self) -> Figure:
        """Return the curves of all plans, a panel each for P(accept), ASN, AOQ and ATI."""
        from baselines.sampling.figures import curve_panels  # matplotlib is slow to import

        return curve_panels(self)

    def _table(self, name: str) -> str:
        one = self[name]
        design = ", ".join(
            f"{key} {shown(value)}"
            for key, value in one.design.items()
            if not key.endswith("_risk")
        )
        at = one.risks
        risks = (
            ""
            if at.good is None
            else (
                f"producer's risk {shown(at.producer_risk)} at {100.0 * at.good:.4g} %, consumer's risk "
                f"{shown(at.consumer_risk)} at {100.0 * (at.bad or 0.0):.4g} %"
            )
        )
        head = [text for text in (f"{name}: {one.description}", design, risks) if text]
        lines = [line for text in head for line in textwrap.wrap(text, _WIDTH)]
        lines.append("".join(f"{column:>{width}}" for column, width in _COLUMNS.items()))
        points = one.points()
        for i in _told(one.risks):
            cells = [_cell(value, *form) for value, form in zip(points[i], _FORMS, strict=True)]
            lines.append(
                "".join(
                    f"{cell:>{width}}" for cell, width in zip(cells, _COLUMNS.values(), strict=True)
                )
            )
        return "\n".join(lines)


def curves(
    env: Any,
    policies: Mapping[str, Any],
    p: ArrayLike | None = None,
    *,
    scenario: Any = None,
) -> Curves:
    """Return the exact curves of plans, or of any policies without memory.

    Parameters
    ----------
    env
        A ``SequentialSampling`` environment with belief observations, or its id.
    policies
        Plans and policies by name, as :func:`baselines.score` takes them.
    p
        True fractions defective (P,); in a finite lot multiples of 1 / lot_size. By default up to
        twice the bad rate, as for :func:`baselines.sampling.risks`.
    scenario
        With an id: what ``gymnasium.make`` takes.

    Raises
    ------
    NoPlanError
        A plan that needs more items than the scenario allows.
    TypeError
        ``env`` is of another family.
    ValueError
        A policy with memory, or one that plays by the last result.
    """
    problem = problem_of(env, scenario)
    optimum = problem.optimum
    if not isinstance(optimum, TabularOptimum) or not isinstance(
        optimum.scenario, SequentialSamplingScenario
    ):
        raise TypeError(f"env = {env!r}: a qc_gym/SequentialSampling environment is needed")
    found = Curves()
    for name, policy in policies.items():
        player = problem.player(policy)
        table = tabulate(player, optimum.model)
        if table is None:
            raise ValueError(f"{name}: a policy without memory is needed")
        at = risks(TabularPolicy(optimum.model, table), p)
        known = player.policy if player.is_designed else None
        outgoing, total = _outgoing(table, at, optimum.scenario)
        found[name] = PlanCurves(
            at,
            outgoing,
            total,
            (known.description if known is not None else "") or "a policy",
            known.design if known is not None else {},
        )
    return found


def _outgoing(
    table: FloatArray, at: Risks, scenario: SequentialSamplingScenario
) -> tuple[FloatArray | None, FloatArray | None]:
    """Return AOQ and ATI (P,) of a table (T, 3)."""
    lot = scenario.lot_size
    if lot is None:
        outgoing = None if scenario.has_errors else at.p * at.acceptance_probability
        return outgoing, None
    defectives = np.rint(at.p * lot)
    items, found = np.empty((2, len(defectives)))
    for i, count in enumerate(defectives):
        chances = NO_CHANCES
        if scenario.has_errors:
            errors = scenario.false_alarm, scenario.miss
            chances = lot_chances(int(count), lot, scenario.max_samples, *errors)
        items[i], found[i] = _inspected(
            np.ascontiguousarray(table), count, scenario.max_samples, lot, chances
        )
    total = items + lot * (1.0 - at.acceptance_probability)
    left = defectives * at.acceptance_probability - found
    return None if scenario.has_errors else left / lot, total


@njit(cache=True, error_model="numpy")
def _inspected(probabilities, defectives, max_samples, lot_size, chances):  # type: ignore[no-untyped-def]
    """Return E[n; accepted] and E[d; accepted] where so many in the lot are defective."""
    items, found = 0.0, 0.0
    reach = np.empty(max_samples + 2)
    reach[0] = 1.0
    high = 0
    for n in range(max_samples + 1):
        row = row_start(n)
        carried, last = 0.0, -1
        for d in range(high + 1):
            here = reach[d]
            reach[d] = carried
            carried = 0.0
            if here > NEGLIGIBLE:
                accepted = here * probabilities[row + d, ACCEPT]
                items += n * accepted
                found += d * accepted
                onward = here * probabilities[row + d, INSPECT]
                if onward > 0.0 and n < max_samples:
                    chance = defective_chance(0.0, defectives, lot_size, n, d, chances)
                    reach[d] += onward * (1.0 - chance)
                    carried = onward * chance
                    last = d + 1
        reach[high + 1] = carried
        high = last
        if last < 0:
            break
    return items, found


def _cell(value: float | None, factor: float, form: str) -> str:
    return "–" if value is None else f"{factor * value:{form}}"


def _told(found: Risks) -> list[int]:
    """Return which points the text tells: some, evenly spread, and those nearest good and bad."""
    count = len(found.p)
    chosen = set(
        np.unique(np.rint(np.linspace(0, count - 1, min(count, _ROWS)))).astype(int).tolist()
    )
    for rate in (found.good, found.bad):
        if rate is not None and count and found.p.min() <= rate <= found.p.max():
            chosen.add(int(np.abs(found.p - rate).argmin()))
    return sorted(chosen, key=lambda i: found.p[i])
