"""Sensitivity: what the optimum is worth, where it changes, and what a plan loses, as fields vary.

An engineer does not know every cost and rate exactly. How the optimal value moves with them, at which value
another decision becomes the right one, and what a plan loses that was made for other numbers says which
of them are worth finding out.
"""

from __future__ import annotations

import csv
import io
import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from baselines.core.changes import Change
from baselines.core.plan import finite, shown
from baselines.core.variation import Variation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 80
"""Columns that the text has at most."""
_MOST_TOLD = 20
"""Changes that the text tells, at most: those in the states that are reached most often."""
OPTIMUM = "optimum"
"""Name of the optimal plan of the base."""
FIXED, REDESIGNED, AS_SEEN = "fixed", "redesigned", "as it sees"
KINDS = {
    FIXED: "the plan that was made at the base, kept",
    REDESIGNED: "the plan made anew at each point",
    AS_SEEN: "a policy that answers what each point's environment shows",
}
"""Ways in which a policy meets scenarios that it was not made for, and what they mean."""


@dataclass(frozen=True, eq=False)
class Regrets:
    """What a policy loses against the optimum over the points.

    Attributes
    ----------
    name
        The policy's.
    kind
        How it meets the points, one of ``KINDS``.
    values, stderrs
        Regrets in money, and their standard errors (0.0 where they are exact), of the points' shape; NaN
        where there is no such plan.
    reason
        Why there is none, where there is none; empty if there always is.
    """

    name: str
    kind: str
    values: NDArray[np.float64]
    stderrs: NDArray[np.float64]
    reason: str = ""

    @property
    def label(self) -> str:
        """Its name and kind."""
        return f"{self.name}, {self.kind}"


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity:
    """The optimum as one or two fields of the scenario vary.

    Attributes
    ----------
    env_id
        Of the environment.
    fields
        What varies.
    values
        Optimal values in money, (points of the first field, of the second).
    base_value
        That of the scenario itself.
    regrets
        What policies lose; the first is the optimal plan of the base, kept.
    changes
        Where the optimal decision changes, in order; None for two fields, over which it is not followed.
    least
        Expected visits in an episode below which a state's decision is not followed.
    hidden
        The most that any plan gains, between the changes, on those that the changes lie between, in money:
        proved. inf where nothing is: for two fields, and fields in which values are not linear.
    resolution
        Money that is not told from nothing: a smaller ``hidden`` says that there are no other changes.
    lost
        How many times a state could not be followed from one point to the next.
    scenario
        The base's parameters, as JSON can hold them.
    """

    env_id: str
    fields: tuple[Variation, ...]
    values: NDArray[np.float64]
    base_value: float
    regrets: tuple[Regrets, ...]
    changes: tuple[Change, ...] | None
    least: float
    hidden: float
    resolution: float
    lost: int
    scenario: Mapping[str, Any]

    def __repr__(self) -> str:
        names = " × ".join(field.name for field in self.fields)
        found = "" if self.changes is None else f", {len(self.changes)} changes"
        return f"Sensitivity({self.env_id!r}, {names}: {self.values.size} points{found})"

    def regret(self, name: str, kind: str = FIXED) -> NDArray[np.float64]:
        """Return the regrets of a policy by its name, in money."""
        for one in self.regrets:
            if (one.name, one.kind) == (name, kind):
                return one.values
        raise KeyError(f"{name}, {kind}: known are {'; '.join(one.label for one in self.regrets)}")

    @property
    def columns(self) -> dict[str, str]:
        """Name of each column of :meth:`rows` → what it is."""
        columns = {field.name: field.unit for field in self.fields}
        columns["optimal value"] = "money in an episode"
        for one in self.regrets:
            columns[f"regret of {one.label}"] = KINDS[one.kind]
            if np.any(one.stderrs > 0.0):
                columns[f"standard error of {one.label}"] = "of its regret"
        if self.changes is not None:
            columns["change"] = "what the optimum does differently from here on"
        return columns

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each point and, between them, for each change; None where there is nothing."""
        rows: list[dict[str, Any]] = []
        for index in np.ndindex(self.values.shape):
            row = dict.fromkeys(self.columns)
            for field, i in zip(self.fields, index, strict=True):
                row[field.name] = field.values[i]
            row["optimal value"] = float(self.values[index])
            for one in self.regrets:
                row[f"regret of {one.label}"] = _known(one.values[index])
                if np.any(one.stderrs > 0.0):
                    row[f"standard error of {one.label}"] = _known(one.stderrs[index])
            rows.append(row)
        for change in self.changes or ():
            row = dict.fromkeys(self.columns)
            row[self.fields[0].name], row["optimal value"] = change.value, change.optimum
            row["change"] = f"{change.state}: {change.before} → {change.after}"
            rows.append(row)
        if self.changes:
            rows.sort(key=lambda row: row[self.fields[0].name])
        return rows

    def csv(self) -> str:
        """Return the rows as CSV with a header, numbers in full."""
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, list(self.columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows())
        return buffer.getvalue()

    def json(self) -> str:
        """Return everything as JSON, numbers in full; null where there is no plan, inf as text."""
        content = {
            "env_id": self.env_id,
            "fields": [asdict(field) for field in self.fields],
            "optimal_values": self.values.tolist(),
            "base_value": self.base_value,
            "regrets": [
                {
                    "name": one.name,
                    "kind": one.kind,
                    "meaning": KINDS[one.kind],
                    "values": _nested(one.values),
                    "stderrs": _nested(one.stderrs),
                    "reason": one.reason,
                }
                for one in self.regrets
            ],
            "changes": None if self.changes is None else [asdict(one) for one in self.changes],
            "followed_from_visits": self.least,
            "hidden_at_most": self.hidden,
            "resolution": self.resolution,
            "verdict": self.verdict,
            "scenario": dict(self.scenario),
        }
        return json.dumps(finite(content), indent=2, ensure_ascii=False) + "\n"

    @property
    def verdict(self) -> str:
        """Whether there may be changes beside those that were found, in words."""
        if self.changes is None:
            return "Changes of decisions are found for one field at a time."
        lost = ""
        if self.lost:
            lost = (
                f" {self.lost} states that only one of two neighbouring values knows were left out."
            )
        if self.hidden <= self.resolution:
            return f"No others exist: between these values the optimal plans stay optimal.{lost}"
        if math.isfinite(self.hidden):
            return (
                "Proved: between these values no other plan gains more than "
                f"{shown(self.hidden)} (money in an episode); more steps, or states with fewer visits "
                f"(least), narrow this.{lost}"
            )
        steps = len(self.fields[0].values) - 1
        return f"None others were found at this resolution, {steps} steps.{lost}"

    def text(self) -> str:
        """Return it as lines of text, of at most 80 columns."""
        return "\n".join([*self._heading(), "", *self._told_changes(), "", *self._table()]) + "\n"

    def figure(self) -> Figure:
        """Return it as a picture: curves over one field, maps over two."""
        from baselines.core.sensitivity_figure import draw  # matplotlib is slow to import

        return draw(self)

    def _heading(self) -> Iterator[str]:
        spans = [
            f"{field.label} from {_short(field.values[0])} to {_short(field.values[-1])}"
            for field in self.fields
        ]
        yield from _wrapped(f"{self.env_id}: the optimum with {' and '.join(spans)}")
        yield ""
        at = ", ".join(
            f"{field.name} = {'–' if field.base is None else _short(field.base)}"
            for field in self.fields
        )
        yield from _wrapped(f"Base: {at}, optimal value {shown(self.base_value)}")
        for one in self.regrets:
            if one.reason:
                yield from _wrapped(f"{one.label}: not at every point ({one.reason})")

    def _told_changes(self) -> Iterator[str]:
        if self.changes is None:
            yield from _wrapped(self.verdict)
            return
        name = self.fields[0].name
        told = sorted(self.changes, key=lambda one: -one.occupancy)[:_MOST_TOLD]
        yield from _wrapped(
            "Where the optimal decision changes, in states with at least "
            f"{_short(self.least)} visits in an episode:"
        )
        for one in self.changes:
            if one not in told:
                continue
            where = f"{name} = {_short(one.value)}"
            off = f" ± {one.precision:.0e}" if one.precision else ""
            yield from _wrapped(
                f"{where}{off}: {one.state} ({shown(one.occupancy)} visits): {one.before} → {one.after}",
                "  ",
            )
        if not told:
            yield "  nowhere"
        if len(self.changes) > len(told):
            yield f"  and {len(self.changes) - len(told)} in states with fewer visits (CSV, JSON)"
        yield from _wrapped(self.verdict)

    def _table(self) -> Iterator[str]:
        meanings = {one.kind: f"{one.kind}: {KINDS[one.kind]}" for one in self.regrets}
        yield from _wrapped("Regrets in money in an episode; " + "; ".join(meanings.values()) + ".")
        yield ""
        names = [name for name in self.columns if name != "change"]
        points = [row for row in self.rows() if row.get("change") is None]
        cells = {
            name: [
                _short(row[name]) if i < len(self.fields) else _cell(row[name]) for row in points
            ]
            for i, name in enumerate(names)
        }
        yield from _aligned(cells, len(self.fields))


def _known(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _nested(values: NDArray[np.float64]) -> Any:
    """Return an array as lists, with None where it has NaN."""
    return np.where(np.isnan(values), np.array(None), values.astype(object)).tolist()


def _short(value: float) -> str:
    """Return a value of a field: as many digits as it has, up to twelve."""
    return f"{value:.12g}"


def _cell(value: float | None) -> str:
    return "–" if value is None else shown(value)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_on_hyphens=False
    )


def _aligned(cells: Mapping[str, Sequence[str]], keys: int) -> Iterator[str]:
    """Yield a table whose columns are right-aligned, their names wrapped by words.

    Columns that do not fit beside the first ``keys`` follow below, beside these again.
    """
    heads = {name: textwrap.wrap(name, max(14, max(map(len, name.split())))) for name in cells}
    widths = {name: max(map(len, [*heads[name], *column])) for name, column in cells.items()}
    names = list(cells)
    first, others = names[:keys], names[keys:]
    beside = sum(widths[name] + 2 for name in first)
    while others:
        block, room = list(first), WIDTH - beside
        while others and (len(block) == keys or widths[others[0]] + 2 <= room):
            room -= widths[others[0]] + 2
            block.append(others.pop(0))
        height = max(len(heads[name]) for name in block)
        for i in range(height):
            line = [
                (["" for _ in range(height - len(heads[name]))] + heads[name])[i] for name in block
            ]
            yield _line(line, [widths[name] for name in block])
        for row in zip(*(cells[name] for name in block), strict=True):
            yield _line(row, [widths[name] for name in block])
        if others:
            yield ""


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()
