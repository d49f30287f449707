"""M. Yang, 2010: how many stages of inspection and rework, in steady state [Y].

The paper's model is the project's own (docs/theory/kstage.md), and so is the earlier one of Yang and Kim
(2009) that it compares with: :mod:`qc_gym.kstage.steady_state` has both.

The errors of Table 2 are defined as relative to the current model's output. Printed are those relative to
the previous one's for N_E, p_E, NIN2 and NIN3, and only for the AOQ those defined; for NIN1 and TC both
agree with the printed digits.

What else does not hold: the text names the limits of N_E and p_E in the wrong order, the derivation
before equation 10 has a misprint, and the assumption p_R < p_RUB(K) of Section 3.1 fails in the case study
from K = 2 on. The derivative of N_E in the proof of Property 2 has n − 1 for n + 1 and 1 − (1−λ) p_E for
its square, so that it is negative for n = 1; the property holds all the same.

The paper could not prove that the earlier model always overestimates the average outgoing quality;
:mod:`baselines.kstage.aoq_conjecture` does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from baselines.kstage.aoq_conjecture import search
from baselines.papers.entries import Entry, Ledger, PolicyWorth, Printed
from qc_gym.kstage.steady_state import SteadyState, earlier_steady_state, steady_state

NAME = "yang-2010"
TITLE = "M. Yang: Minimization of Inspection Cost in an Inspection System, 2010"


class Plant(NamedTuple):
    """The inputs of the case study: p0, pR, N, n and items a day."""

    fraction_defective: float
    rework_fraction_defective: float
    lot_size: int
    sample_size: int
    daily_demand: float


CASE_STUDY = Plant(0.161, 0.05, 240, 16, 4800.0)
STAGES = np.arange(7)
QUANTITIES = {
    "p_K": "stages_fraction",
    "N_E": "pooled",
    "p_E": "pool_fraction",
    "NIN1": "stage_inspections",
    "NIN2": "source_inspections",
    "NIN3": "reinspections",
    "TC": "inspections",
    "AOQ": "outgoing_fraction",
}
PRINTED_TABLE_1 = {
    "p_K": "16.1000% 0.8050% 0.0403% 0.0020% 0.0001% 0.0000% 0.0000%",
    "N_E": "13,619 5,449 4,834 4,802 4,800 4,800 4,800",
    "p_E": "5.9733% 0.7464% 0.0421% 0.0021% 0.0001% 0.0000% 0.0000%",
    "NIN1": "0 4,800 5,573 5,611 5,613 5,613 5,613",
    "NIN2": "908 363 322 320 320 320 320",
    "NIN3": "8,535 616 32 2 0 0 0",
    "TC": "9,443 5,779 5,928 5,933 5,933 5,933 5,933",
    "AOQ": "5.5750% 0.6966% 0.0393% 0.0020% 0.0001% 0.0000% 0.0000%",
}
PRINTED_TABLE_2 = {
    "N_E": "0.2031% 0.0444% 0.0028% 0.0001% 0.0000% 0.0000% 0.0000%",
    "p_E": "-0.2035% -0.0445% -0.0028% -0.0001% -0.0000% -0.0000% -0.0000%",
    "NIN1": "n.a. 0.0000% 0.0000% 0.0000% 0.0000% 0.0000% 0.0000%",
    "NIN2": "0.2031% 0.0444% 0.0028% 0.0001% 0.0000% 0.0000% 0.0000%",
    "NIN3": "0.0801% 0.0025% 0.0000% 0.0000% 0.0000% 0.0000% 0.0000%",
    "TC": "0.0920% 0.0031% 0.0002% 0.0000% 0.0000% 0.0000% 0.0000%",
    "AOQ": "6.9253% 7.0953% 7.1399% 7.1427% 7.1428% 7.1429% 7.1429%",
}
PRINTED_OPTIMA = {
    "current": {"TC": "5778.9", "N_E": "5449", "p_E": "0.7464%", "AOQ": "0.6966%"},
    "previous": {"TC": "5779.1", "N_E": "5452", "p_E": "0.7461%", "AOQ": "0.7461%"},
}
PRINTED_ERRORS_AT_OPTIMUM = {"TC": "0.0031%", "N_E": "0.0444%", "p_E": "-0.0455%", "AOQ": "7.0953%"}
PRINTED_K = "1"
PRINTED_TOTALS = "9443 5779 5928 5933"
PRINTED_LIMITS = {
    "p_K": "zero",
    "N_E": "zero",
    "p_E": "4,800",
    "NIN1": "5,613",
    "NIN2": "320",
    "NIN3": "zero",
}
PRINTED_BASE = "current"
"""The model to whose output the errors of Table 2 are said to be relative."""
PRINTED_REWORKS = "813"
PRINTED_OVERESTIMATE = 0.05
SEARCHED_PLANTS = 100_000
_ENDLESS = 10_000
"""Stages after which p_K is below every float64."""


def ledger() -> Ledger:
    """Return what the paper prints beside what is computed here."""
    current = steady_state(*CASE_STUDY[:4], STAGES, CASE_STUDY.daily_demand)
    previous = earlier_steady_state(*CASE_STUDY[:4], STAGES, CASE_STUDY.daily_demand)
    entries = [*_table_1(current), *_optima(current, previous), *_table_2(current, previous)]
    entries += [_base(current, previous), *_text(current), *_claims(current, previous)]
    optimum = -float(current.inspections.min())
    value = -float(current.inspections[int(PRINTED_K)])
    worth = PolicyWorth(
        "Section 4", f"K = {PRINTED_K}", "case study, 1 an inspection, a day", value, optimum
    )
    return Ledger(NAME, TITLE, entries, [worth])


def percentage_errors(previous: NDArray[np.float64], current: NDArray[np.float64]) -> list[float]:
    """Return (previous − current) / current as shares, (K,); nan for 0 / 0. Section 4."""
    with np.errstate(invalid="ignore"):
        errors: list[float] = ((previous - current) / current).tolist()
    return errors


def _values(flows: SteadyState, name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = getattr(flows, QUANTITIES[name])
    return values


def _table_1(current: SteadyState) -> list[Entry]:
    return [
        Entry("Table 1", f"{name}({stages})", printed, float(value), _assumption(name, int(stages)))
        for name, row in PRINTED_TABLE_1.items()
        for stages, printed, value in zip(STAGES, row.split(), _values(current, name), strict=True)
    ]


def _assumption(name: str, stages: int) -> str:
    """Return, for a p_E, whether the assumption fails under which it is below p_K (Property 3)."""
    p0, pr, lot, sample, _ = CASE_STUDY
    p_k = p0 * pr**stages
    most = 1.0 - (1.0 - (1.0 - sample / lot) * p_k) * (1.0 - p_k) ** sample
    if name != "p_E" or pr < most:
        return ""
    return f"above p_K: Section 3.1 assumes p_R below p_RUB({stages}) = {most:.4%}, it is {pr:.0%}"


def _table_2(current: SteadyState, previous: SteadyState) -> list[Entry]:
    return [
        _error("Table 2", name, stages, printed, current, previous)
        for name, row in PRINTED_TABLE_2.items()
        for stages, printed in enumerate(row.split())
    ]


def _error(
    where: str, name: str, stages: int, printed: str, current: SteadyState, previous: SteadyState
) -> Entry:
    """Return the entry of a percentage error; where it differs, try the previous output below."""
    what = f"error of {name}({stages})"
    new, old = _values(current, name)[stages], _values(previous, name)[stages]
    (error,) = percentage_errors(np.array([old]), np.array([new]))
    if np.isnan(error):
        return Entry(where, what, printed, "n.a.", "0 / 0")
    entry = Entry(where, what, printed, error)
    assert entry.number is not None
    other = float((old - new) / old)
    if entry.number.agrees(error):
        return entry
    fits = "which is the printed value" if entry.number.agrees(other) else "which is not it either"
    reason = f"over the previous output, not the current one, it is {100 * other:.4f}%, {fits}"
    return Entry(where, what, printed, error, reason)


def _base(current: SteadyState, previous: SteadyState) -> Entry:
    """Return the entry that tells which output the printed errors are relative to, by quantity."""
    found: dict[str, list[str]] = {"current": [], "previous": [], "either": [], "neither": []}
    for name, row in PRINTED_TABLE_2.items():
        new, old = _values(current, name), _values(previous, name)
        printed = [Printed.parse(text) for text in row.split()]
        fits = {
            base: all(
                number.agrees((before - now) / over)
                for number, before, now, over in zip(printed, old, new, output, strict=True)
                if number is not None
            )
            for base, output in (("current", new), ("previous", old))
        }
        bases = [base for base, holds in fits.items() if holds]
        found["neither" if not bases else "either" if len(bases) == 2 else bases[0]].append(name)
    ours = "; ".join(f"{base}: {', '.join(names)}" for base, names in found.items() if names)
    if ours == f"{PRINTED_BASE}: {', '.join(PRINTED_TABLE_2)}":
        ours = PRINTED_BASE
    reason = "the output over which every printed digit of the quantity's row comes out"
    return Entry("Table 2", "output that the errors are relative to", PRINTED_BASE, ours, reason)


def _text(current: SteadyState) -> list[Entry]:
    """Return what the text says of Table 1: its first totals, and the limits of its rows."""
    totals = zip(PRINTED_TOTALS.split(), current.inspections.tolist(), strict=False)
    entries = [
        Entry("Section 4", f"TC({stages})", printed, value)
        for stages, (printed, value) in enumerate(totals)
    ]
    limits = steady_state(*CASE_STUDY[:4], _ENDLESS, CASE_STUDY.daily_demand)
    return entries + [
        _limit(name, printed, float(_values(limits, name)))
        for name, printed in PRINTED_LIMITS.items()
    ]


def _limit(name: str, printed: str, value: float) -> Entry:
    """Return the entry of a limit for many stages, which is printed as a number or as "zero"."""
    word = "zero" if value == 0.0 else f"{value:,.0f}"
    ours = value if Printed.parse(printed) else word
    names = {"N_E": "p_E", "p_E": "N_E"}
    reason = ""
    if word != printed and word == PRINTED_LIMITS[names.get(name, name)]:
        reason = f"the text has this limit for {names[name]}; Property 2 has it right"
    return Entry("Section 4", f"limit of {name}", printed, ours, reason)


def _optima(current: SteadyState, previous: SteadyState) -> list[Entry]:
    entries = []
    for model, flows in (("current", current), ("previous", previous)):
        best = int(np.argmin(flows.inspections))
        entries.append(Entry("Section 4", f"{model} K*", PRINTED_K, float(best)))
        for name, printed in PRINTED_OPTIMA[model].items():
            value = float(_values(flows, name)[best])
            slip = _slip(best) if (model, name) == ("current", "p_E") else ""
            entries.append(Entry("Section 4", f"{model} {name}(K*)", printed, value, slip))
    best = int(np.argmin(current.inspections))
    for name, printed in PRINTED_ERRORS_AT_OPTIMUM.items():
        entry = _error("Section 4", name, best, printed, current, previous)
        in_table = PRINTED_TABLE_2[name].split()[best]
        if in_table != printed:
            entry = replace(entry, reason=f"{entry.reason}; Table 2 prints {in_table}")
        entries.append(entry)
    return entries


def _claims(current: SteadyState, previous: SteadyState) -> list[Entry]:
    errors = percentage_errors(previous.outgoing_fraction, current.outgoing_fraction)
    least = min(errors)
    above = f"more than {PRINTED_OVERESTIMATE:.0%}"
    found = search(SEARCHED_PLANTS, seed=0)
    always = found.counterexamples == 0
    conjecture = (
        "proved in the docstring of baselines.kstage.aoq_conjecture, and seen at "
        f"{found.plants:,} random plants"
    )
    return [
        Entry("Section 4", "NRW", PRINTED_REWORKS, float(current.reworks[0])),
        Entry(
            "Section 4",
            "AOQ overestimated by the previous model",
            above,
            above if least > PRINTED_OVERESTIMATE else f"by {least:.4%} or more",
            f"least {least:.4%}, at K = {errors.index(least)}",
        ),
        Entry(
            "Section 4",
            "conjecture on the previous AOQ",
            "always overestimated",
            "always overestimated" if always else "not always",
            conjecture if always else "",
        ),
    ]


def _slip(stages: int) -> str:
    root = _root_as_derived(stages)
    return f"the derivation before eq. 10 prints p_k p for p_R p, which would give {root:.4%}"


def _root_as_derived(stages: int) -> float:
    """Return p_E by the balance of Node 3 as its derivation prints it, with p_k p for p_R p."""
    p0, pr, lot, sample, _ = CASE_STUDY
    p_k, accepted = p0 * pr**stages, 1.0 - sample / lot

    def balance(p: float) -> float:
        return p_k * (1.0 - p) ** sample * (1.0 - accepted * p) + p_k * p - p

    root: float = brentq(balance, 0.0, 1.0, xtol=1e-15)
    return root
