"""M. Yang, 2010: how many stages of inspection and rework, in steady state [Y].

The paper's model is the project's own (models.md, section 4), and so is the earlier one of Yang and Kim
(2009) that it compares with: :mod:`qc_gym.kstage.steady_state` has both.

The paper could not prove that the earlier model always overestimates the average outgoing quality;
:mod:`baselines.kstage.aoq_conjecture` does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from baselines.kstage.aoq_conjecture import search
from baselines.papers.ledger import Entry, Ledger, PolicyWorth
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
PRINTED_REWORKS = "813"
PRINTED_OVERESTIMATE = 0.05
SEARCHED_PLANTS = 100_000


def ledger() -> Ledger:
    """Return what the paper prints beside what is computed here."""
    current = steady_state(*CASE_STUDY[:4], STAGES, CASE_STUDY.daily_demand)
    previous = earlier_steady_state(*CASE_STUDY[:4], STAGES, CASE_STUDY.daily_demand)
    entries = [*_table_1(current), *_optima(current, previous), *_table_2(current, previous)]
    entries += _claims(current, previous)
    optimum = -float(current.inspections.min())
    value = -float(current.inspections[int(PRINTED_K)])
    worth = PolicyWorth(
        "Section 4", f"K = {PRINTED_K}", "case study, 1 an inspection", value, optimum
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
        Entry("Table 1", f"{name}({stages})", printed, float(value))
        for name, row in PRINTED_TABLE_1.items()
        for stages, printed, value in zip(STAGES, row.split(), _values(current, name), strict=True)
    ]


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
    return entries + [
        _error("Section 4", name, best, printed, current, previous)
        for name, printed in PRINTED_ERRORS_AT_OPTIMUM.items()
    ]


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
