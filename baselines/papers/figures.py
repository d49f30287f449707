"""The papers' figures, drawn again from what is computed here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from baselines.lot import LastResult, PaperAlgorithm, averaged_beliefs, lemma_1
from baselines.papers import liu_hu_deng, wang_2013, yang_2010
from baselines.sampling.plans import power_sample_size, precision_sample_size
from qc_gym.core.picture import BLUE, SERIES, VERMILION, Picture
from qc_gym.kstage.steady_state import steady_state

_PATHS = (1200, 3600)
"""Simulated paths of [W]'s Figure 1."""


def figures(paper: str) -> dict[str, Figure]:
    """Return the figures of a paper by name; none where it has none that can be computed.

    The examples of [W] are drawn for a process of this project's: theirs is not printed.
    """
    return _DRAWERS[paper]() if paper in _DRAWERS else {}


def _new(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Picture(figsize=(6.4, 4.2), layout="constrained")
    ax = figure.subplots()
    ax.set_prop_cycle(color=SERIES)
    ax.set(title=title, xlabel=x, ylabel=y)
    ax.grid(alpha=0.3)
    return figure, ax


def _liu_hu_deng() -> dict[str, Figure]:
    nominal = liu_hu_deng.NOMINAL_RATE
    first, ax = _new("Sample size by permitted error", "permitted error d", "sample size n")
    margins = liu_hu_deng.MARGINS
    sizes = [precision_sample_size(nominal, d, liu_hu_deng.CONFIDENCE) for d in margins]
    _label(ax, margins, sizes)
    second, ax = _new("Sample size by actual defect rate", "actual defect rate p1", "sample size n")
    rates = liu_hu_deng.ACTUAL_RATES
    _label(ax, rates, [power_sample_size(nominal, p1, liu_hu_deng.POWER) for p1 in rates])
    return {"figure-1": first, "figure-2": second}


def _label(ax: Any, xs: tuple[float, ...], sizes: list[int]) -> None:
    ax.plot(xs, sizes, "o-")
    for x, size in zip(xs, sizes, strict=True):
        ax.annotate(str(size), (x, size), textcoords="offset points", xytext=(4, 6))
    ax.set_ylim(0.0, 1.1 * max(sizes))
    ax.margins(x=0.08)


def _yang() -> dict[str, Figure]:
    plant, stages = yang_2010.CASE_STUDY, yang_2010.STAGES
    flows = steady_state(*plant[:4], stages, plant.daily_demand)
    third, ax = _new("Steady state by stages", "stages K", "items a day")
    ax.plot(stages, flows.pooled, "o-", color=BLUE, label="N_E, items in lots")
    right = ax.twinx()
    right.plot(stages, 100 * flows.pool_fraction, "s--", color=VERMILION, label="p_E, on the right")
    right.set_ylabel("fraction defective p_E (%)")
    third.legend(loc="outside lower center", ncols=2)
    fourth, ax = _new("Inspections by stages", "stages K", "items inspected a day")
    for label, values in (
        ("NIN1, stages", flows.stage_inspections),
        ("NIN2, samples", flows.source_inspections),
        ("NIN3, rejected lots", flows.reinspections),
        ("TC, all", flows.inspections),
    ):
        ax.plot(stages, values, "o-", label=label)
    ax.legend()
    return {"figure-3": third, "figure-4": fourth}


def _wang() -> dict[str, Figure]:
    own = wang_2013.OWN
    first, ax = _new(
        "Average belief (a process of this project's)", "unit", "P(produced in control)"
    )
    numbers = np.arange(1, own.longest_lot + 1)
    for paths in _PATHS:
        beliefs = PaperAlgorithm(own, paths).beliefs
        ax.plot(numbers, beliefs.mean(axis=0), label=f"{paths} simulations")
    ax.plot(numbers, averaged_beliefs(own), "k:", label="expected: F")
    ax.axhline(lemma_1(own), color="grey", linestyle="--", label="Lemma 1")
    ax.legend()
    title = "Expected cost (a process of this project's)"
    second, ax = _new(title, "lot size", "total cost, own estimates (money)")
    sizes = np.arange(own.demand, 2 * own.demand + 1)
    for label, reckoning in (
        ("all results", PaperAlgorithm(own, _PATHS[0])),
        ("last result only", LastResult(own)),
    ):
        ax.plot(sizes, reckoning.total_costs[sizes], "o-", markersize=3, label=label)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()
    return {"figure-1": first, "figures-2-and-3": second}


_DRAWERS: Mapping[str, Callable[[], dict[str, Figure]]] = {
    liu_hu_deng.NAME: _liu_hu_deng,
    yang_2010.NAME: _yang,
    wang_2013.NAME: _wang,
}
