"""What a paper prints beside what is computed here: the records of the ledger, and their verdicts.

A verdict is never stated, always derived from the two values:

- ``reproduced``: ours rounds to the printed digits, or says the same word;
- ``impossible``: it does not, and the printed value violates a bound;
- ``not derivable``: the paper's own formula gives something else;
- ``inputs not printed``: nothing can be computed, since the paper does not print what is needed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any

from baselines.core.certificate import OracleError
from baselines.sampling.lot_plans import SinglePlan

# A value half-way between two printed digits may be rounded either way, and is itself rounded.
_TIE = 1e-9
_NUMBER = re.compile(r"([-−]?)(\d[\d,]*)(?:\.(\d+))?(%?)")


class Verdict(StrEnum):
    """What becomes of a printed value."""

    REPRODUCED = "reproduced"
    NOT_DERIVABLE = "not derivable"
    IMPOSSIBLE = "impossible"
    INPUTS_NOT_PRINTED = "inputs not printed"


@dataclass(frozen=True)
class Printed:
    """A printed number: ``value``, shown with ``decimals`` digits after the point, ``unit`` "" or "%".

    ``value`` is in the printed unit: 6.9253 for "6.9253%".
    """

    value: float
    decimals: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Printed | None:
        """Return the number that the text is, or None."""
        match = _NUMBER.fullmatch(text)
        if match is None:
            return None
        sign, whole, fraction, unit = match.groups()
        value = float(f"{'-' if sign else ''}{whole.replace(',', '')}.{fraction or '0'}")
        return cls(value, len(fraction or ""), unit)

    @property
    def half_digit(self) -> float:
        """How far the unrounded value may be from the printed one."""
        return 0.5 * 10.0**-self.decimals

    def in_unit(self, value: float) -> float:
        """Return a value in the printed unit."""
        return 100.0 * value if self.unit else value

    def agrees(self, value: float) -> bool:
        """Return whether a value rounds to the printed digits."""
        return abs(self.in_unit(value) - self.value) <= self.half_digit * (1.0 + _TIE)

    def slip(self, value: float) -> str:
        """Return by which slip of rounding a value that does not agree becomes the printed one."""
        exact = Decimal(repr(self.in_unit(value)))
        digit, finer = Decimal(1).scaleb(-self.decimals), Decimal(1).scaleb(-self.decimals - 1)
        once = exact.quantize(finer, ROUND_HALF_UP)
        if float(exact.quantize(digit, ROUND_DOWN)) == self.value:
            return "cut off, not rounded"
        if float(once.quantize(digit, ROUND_HALF_UP)) == self.value:
            return f"rounded twice, first to {once}"
        return ""

    def show(self, value: float) -> str:
        """Return a value as it would be printed with two more digits."""
        shown = f"{self.in_unit(value):,.{self.decimals + 2}f}{self.unit}"
        # A rounded zero has no sign.
        return shown.replace("-", "") if not re.search(r"[1-9]", shown) else shown


@dataclass(frozen=True)
class Bound:
    """What no value can exceed (``is_upper``) or fall below, and in words why."""

    limit: float
    because: str
    is_upper: bool = True

    def is_broken(self, printed: Printed) -> bool:
        """Return whether every value that rounds to the printed one is beyond the limit."""
        beyond = printed.value - printed.in_unit(self.limit)
        return (beyond if self.is_upper else -beyond) > printed.half_digit * (1.0 + _TIE)

    def __str__(self) -> str:
        return f"{'at most' if self.is_upper else 'at least'} {self.limit:,.6g}: {self.because}"


@dataclass(frozen=True)
class Entry:
    """A printed value and ours.

    Attributes
    ----------
    where
        Table, figure, equation or section of the paper.
    what
        Which number or decision it is.
    printed
        As printed, so that its digits are known; or a word, such as a decision.
    ours
        By the paper's own formula; a share, not per cent, where a "%" is printed. Text where a word
        is printed. None where nothing can be computed.
    reason
        Why ours differs, or what must be known beside it.
    bound
        What the value cannot exceed or fall below.
    missing
        Names of the inputs that the paper does not print; exactly when ``ours`` is None.
    """

    where: str
    what: str
    printed: str
    ours: float | str | None
    reason: str = ""
    bound: Bound | None = None
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.ours is None) != bool(self.missing):
            raise ValueError(f"{self.where}, {self.what}: either ours or missing is needed")
        if isinstance(self.ours, float | int) and self.number is None:
            raise ValueError(f"{self.where}, {self.what}: {self.printed!r} is not a number")

    @property
    def number(self) -> Printed | None:
        """The printed value as a number, or None if it is a word."""
        return Printed.parse(self.printed)

    @property
    def is_bound_broken(self) -> bool:
        """Whether the printed value violates the bound."""
        number = self.number
        return self.bound is not None and number is not None and self.bound.is_broken(number)

    @property
    def verdict(self) -> Verdict:
        """What becomes of the printed value, from the two values and the bound."""
        if self.ours is None:
            return Verdict.INPUTS_NOT_PRINTED
        if isinstance(self.ours, str) or self.number is None:
            agrees = self.ours == self.printed
        else:
            agrees = self.number.agrees(self.ours)
        if agrees:
            return Verdict.REPRODUCED
        return Verdict.IMPOSSIBLE if self.is_bound_broken else Verdict.NOT_DERIVABLE

    @property
    def shown(self) -> str:
        """Our value as text, two digits longer than the printed one."""
        if self.ours is None:
            return "–"
        if isinstance(self.ours, str):
            return self.ours
        assert self.number is not None
        return self.number.show(self.ours)

    @property
    def note(self) -> str:
        """The bound that is broken, the missing inputs, a slip of rounding, and the reason."""
        yet = "yet " if self.verdict is Verdict.REPRODUCED else ""
        parts = [f"{yet}{self.bound}"] if self.is_bound_broken else []
        if self.missing:
            parts.append("not printed: " + ", ".join(self.missing))
        number = self.number
        if self.verdict is Verdict.NOT_DERIVABLE and number and not isinstance(self.ours, str):
            assert self.ours is not None
            parts.append(number.slip(self.ours))
        return "; ".join(part for part in [*parts, self.reason] if part)

    def row(self) -> dict[str, str]:
        """Return the entry as a row of a table."""
        return {
            "where": self.where,
            "what": self.what,
            "printed": self.printed,
            "ours": self.shown,
            "verdict": str(self.verdict),
            "note": self.note,
        }


@dataclass(frozen=True)
class PolicyWorth:
    """What a published policy really earns: its exact expected profit beside the optimum, in money.

    Raises
    ------
    OracleError
        The policy appears to beat the optimum: a bug in this package.
    """

    where: str
    policy: str
    problem: str
    value: float
    optimum: float

    def __post_init__(self) -> None:
        if self.regret < -1e-9 * max(1.0, abs(self.optimum)):
            raise OracleError(f"{self.where}, {self.policy}: regret = {self.regret}: below 0")

    @property
    def regret(self) -> float:
        """The optimum minus the policy's value, in money."""
        return self.optimum - self.value

    def row(self) -> dict[str, str]:
        """Return the record as a row of a table."""
        money = {"value": self.value, "optimum": self.optimum, "regret": self.regret}
        shown = {name: f"{_unsigned(value):.4f}" for name, value in money.items()}
        return {"where": self.where, "policy": self.policy, "problem": self.problem, **shown}


@dataclass(frozen=True)
class PlanRisks:
    """The exact risks and average sample numbers of a published sampling plan.

    ``good`` and ``bad`` are the fractions defective at which a rejection, or an acceptance, is wrong.
    """

    where: str
    plan: str
    good: float
    bad: float
    producer_risk: float
    consumer_risk: float
    asn_good: float
    asn_bad: float

    @classmethod
    def of_single(cls, where: str, plan: SinglePlan, good: float, bad: float) -> PlanRisks:
        """Return the record of a single sampling plan, which always inspects its whole sample."""
        size = plan.sample_size
        at_good, at_bad = plan.acceptance_probability([good, bad]).tolist()
        name = f"n = {size}, c = {plan.acceptance_number}"
        return cls(where, name, good, bad, 1.0 - at_good, at_bad, float(size), float(size))

    def row(self) -> dict[str, str]:
        """Return the record as a row of a table."""
        return {
            "where": self.where,
            "plan": self.plan,
            "good": f"{self.good:.2f}",
            "bad": f"{self.bad:.2f}",
            "producer's risk": f"{self.producer_risk:.4f}",
            "consumer's risk": f"{self.consumer_risk:.4f}",
            "ASN at good": f"{self.asn_good:.2f}",
            "ASN at bad": f"{self.asn_bad:.2f}",
        }


@dataclass(frozen=True)
class Ledger:
    """All that a paper prints and what became of it.

    Attributes
    ----------
    paper
        Its name on the command line.
    title
        Authors, title, year.
    entries
        The printed values.
    policies, plans
        What the paper's policies and sampling plans are really worth.
    """

    paper: str
    title: str
    entries: Sequence[Entry]
    policies: Sequence[PolicyWorth] = ()
    plans: Sequence[PlanRisks] = ()

    def counts(self) -> dict[str, int]:
        """Return how many entries each verdict has, all verdicts named."""
        found = Counter(entry.verdict for entry in self.entries)
        return {str(verdict): found[verdict] for verdict in Verdict}

    def tables(self) -> dict[str, list[dict[str, str]]]:
        """Return the ledger as tables by title; an empty one is left out."""
        tables = {
            "printed and recomputed": [entry.row() for entry in self.entries],
            "what the published policies earn in the exact model": [
                policy.row() for policy in self.policies
            ],
            "what the published sampling plans risk": [plan.row() for plan in self.plans],
        }
        return {title: rows for title, rows in tables.items() if rows}

    def record(self) -> dict[str, Any]:
        """Return the ledger for a program to read: our values as numbers, where they are."""
        return {
            "paper": self.paper,
            "title": self.title,
            "counts": self.counts(),
            "entries": [{**entry.row(), "ours": entry.ours} for entry in self.entries],
            "policies": [{**asdict(policy), "regret": policy.regret} for policy in self.policies],
            "plans": [asdict(plan) for plan in self.plans],
        }


def _unsigned(value: float) -> float:
    """Return the value, or 0.0 where it is so small that it would be shown as −0.0000."""
    return 0.0 if abs(value) < 5e-5 else value
