"""Pictures of a plant: its network, after Figure 2 of Yang (2010), and what flows in it."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from qc_gym.core.picture import (
    BLUE,
    DPI,
    FAINT,
    INK,
    PALE,
    VERMILION,
    WHITE,
    Picture,
    amount,
    counted,
    paint,
    with_minus,
)
from qc_gym.kstage.scenario import KStageScenario, PlantScenario
from qc_gym.kstage.steady_state import SteadyState

SIZE = (8.0, 4.8)  # inches
BOX = (104.0, 46.0)  # pixels
WIDEST = 12.0
"""Width in points of the largest flow."""
LINE = 135
"""Most letters of a line of small print."""

SHOPS: dict[str, tuple[float, float]] = {
    "production": (72, 300),
    "stages": (236, 300),
    "pool": (400, 300),
    "source inspection": (564, 300),
    "customer": (728, 300),
    "rework": (400, 120),
    "re-inspection": (564, 120),
}
"""Where the middle of each shop is, in pixels from the left and from below."""
NOTES: dict[str, tuple[float, float, str, str]] = {
    "production": (72, 338, "center", "bottom"),
    "stages": (236, 338, "center", "bottom"),
    "pool": (400, 338, "center", "bottom"),
    "source inspection": (564, 338, "center", "bottom"),
    "customer": (728, 338, "center", "bottom"),
    "rework": (340, 120, "right", "center"),
    "re-inspection": (624, 120, "left", "center"),
}
"""Where the note of each shop is, and which part of the note is there."""
RETURN = ((728, 277), (728, 62), (400, 62), (400, 95))
"""The way of what the customer sends back."""


class Flow(NamedTuple):
    """Items a day from one shop to another, and how they are drawn.

    Attributes
    ----------
    source, target
        Names of shops.
    items
        Items a day.
    bad
        Whether all of them are nonconforming.
    route
        Corners of the arrow, in pixels from the left and from below.
    place
        Where its number is.
    what
        What flows, where two flows lead the same way; empty otherwise.
    """

    source: str
    target: str
    items: float
    bad: bool
    route: tuple[tuple[float, float], ...]
    place: tuple[float, float]
    what: str = ""


class Returns(NamedTuple):
    """Items a day that come back into the pool, by where they are found or overlooked."""

    sent_back: float  # nonconforming, by the customer
    found: float  # nonconforming, in re-inspection
    alarms: float  # conforming, judged nonconforming in re-inspection
    missed: float  # nonconforming, judged conforming in re-inspection
    kept: float  # conforming, judged so in re-inspection

    @property
    def reworked(self) -> float:
        """Items reworked after the stages."""
        return self.sent_back + self.found + self.alarms


def draw_plant(
    scenario: KStageScenario, stages: int | None, advice: int | None
) -> NDArray[np.uint8]:
    """Return the picture of a plant, uint8 (480, 800, 3).

    Parameters
    ----------
    scenario
        The plant.
    stages
        K, or None while it is undecided: no flows are drawn then.
    advice
        The K that a policy would choose, or None.
    """
    figure = Picture(SIZE, DPI, facecolor="white")
    ax = figure.add_axes((0, 0, 1, 1), xlim=(0, SIZE[0] * DPI), ylim=(0, SIZE[1] * DPI))
    ax.set_axis_off()
    steady = None if stages is None else plant_state(scenario, stages)
    for flow in flows(scenario, stages or 0):
        _draw_flow(ax, flow, scenario.daily_demand, shown=stages is not None)
    notes = {} if steady is None else shop_notes(scenario, steady)
    for name, (x, y) in SHOPS.items():
        _draw_shop(ax, name, notes.get(name, ""), x, y)
    heading, details = _heading(scenario, stages, advice)
    ax.text(16, 446, heading, fontsize=14, fontweight="bold", color=INK)
    ax.text(16, 418, with_minus(details), fontsize=9.5, color=INK)
    ax.text(16, 16, textwrap.fill(_setting(scenario), LINE), fontsize=8, color=FAINT)
    return paint(figure, WHITE)[..., :3].copy()


def describe_plant(scenario: KStageScenario, stages: int | None, advice: int | None) -> str:
    """Return the picture of a plant in words; the parameters are :func:`draw_plant`'s."""
    lines = [_setting(scenario)]
    if stages is not None:
        steady = plant_state(scenario, stages)
        lines += [
            f"{flow.source} → {flow.target}{flow.what and f' ({flow.what})'}: {flow.items:,.1f} items a "
            "day"
            for flow in flows(scenario, stages)
        ]
        lines += [f"{name}: {note}" for name, note in shop_notes(scenario, steady).items() if note]
    heading, details = _heading(scenario, stages, advice)
    return "\n".join([*lines, heading, *([details] if details else [])])


def plant_state(scenario: KStageScenario, stages: int) -> SteadyState:
    """Return the steady state of a plant that runs so many stages."""
    return scenario.steady_state(scenario.fraction_defective, stages)


def returns(scenario: KStageScenario, steady: SteadyState) -> Returns:
    """Return what comes back into the pool (Yang 2010, equations 5 to 9; docs/theory/kstage.md)."""
    outgoing = float(steady.outgoing_fraction)
    sent_back = outgoing * (scenario.daily_demand / (1.0 - outgoing))
    # What the pool holds of nonconforming items is sent back or re-inspected.
    bad = float(steady.pool_fraction * steady.pooled) - sent_back
    good = float(steady.reinspections) - bad
    return Returns(
        sent_back,
        (1.0 - scenario.miss) * bad,
        scenario.false_alarm * good,
        scenario.miss * bad,
        (1.0 - scenario.false_alarm) * good,
    )


def flows(scenario: KStageScenario, stages: int) -> list[Flow]:
    """Return what flows between the shops in the steady state (Yang 2010, equations 2 to 9).

    Where inspectors err, what re-inspection misses goes back to the pool, and what it takes for
    nonconforming goes to rework: two flows more.
    """
    steady = plant_state(scenario, stages)
    demand = scenario.daily_demand
    back = returns(scenario, steady)
    delivered = demand / (1.0 - float(steady.outgoing_fraction))
    rejected = float(steady.reinspections)
    pooled = float(steady.pooled)
    reinspected = "re-inspection"
    return [
        Flow("production", "stages", demand, False, ((124, 300), (182, 300)), (153, 312)),
        Flow("stages", "pool", demand, False, ((288, 300), (346, 300)), (317, 312)),
        Flow("pool", "source inspection", pooled, False, ((452, 300), (510, 300)), (481, 312)),
        Flow(
            "source inspection", "customer", delivered, False, ((616, 300), (674, 300)), (645, 310)
        ),
        Flow(
            "source inspection", reinspected, rejected, False, ((564, 277), (564, 145)), (602, 205)
        ),
        Flow(reinspected, "pool", back.kept, False, ((540, 143), (420, 275)), (510, 224)),
        Flow(reinspected, "rework", back.found, True, ((512, 120), (454, 120)), (483, 127)),
        Flow("customer", "rework", back.sent_back, True, RETURN, (580, 68)),
        Flow("rework", "pool", back.reworked, False, ((388, 143), (388, 275)), (358, 205)),
        *(_errors(back) if scenario.has_errors else ()),
    ]


def _errors(back: Returns) -> tuple[Flow, Flow]:
    """Return the flows of what re-inspection judges wrongly."""
    source = "re-inspection"
    return (
        Flow(source, "pool", back.missed, True, ((522, 143), (402, 275)), (428, 180), "missed"),
        Flow(
            source,
            "rework",
            back.alarms,
            False,
            ((512, 104), (454, 104)),
            (483, 84),
            "false alarms",
        ),
    )


def shop_notes(scenario: KStageScenario, steady: SteadyState) -> dict[str, str]:
    """Return what each shop has to do a day, in words, by name."""
    demand = scenario.daily_demand
    again = returns(scenario, steady).reworked
    return {
        "production": f"{scenario.fraction_defective:.3g} nonconforming",
        "stages": f"inspect {float(steady.stage_inspections):,.0f}\n"
        f"rework {float(steady.reworks) - again:,.0f}",
        "pool": f"{float(steady.pool_fraction):.3g} nonconforming",
        "source inspection": f"inspect {float(steady.source_inspections):,.0f}",
        "re-inspection": f"inspect {float(steady.reinspections):,.0f}",
        "rework": f"rework {again:,.0f}",
        "customer": f"uses {demand:,.0f}\nAOQ {float(steady.outgoing_fraction):.3g}",
    }


def _heading(scenario: KStageScenario, stages: int | None, advice: int | None) -> tuple[str, str]:
    """Return the question or the decision, and what comes of it."""
    if stages is None:
        told = "" if advice is None else f"policy: {counted(advice, 'stage')}"
        return "How many stages of inspection and rework?", told
    cost = float(scenario.record()["cost"][0, stages])
    inspections = float(plant_state(scenario, stages).inspections)
    return counted(stages, "stage"), (
        f"{inspections:,.1f} items inspected a day, money {amount(-cost, 4)} per item used"
    )


def _setting(scenario: KStageScenario) -> str:
    return (
        f"lots of {scenario.lot_size:,}, {scenario.sample_size:,} inspected; rework leaves "
        f"{scenario.rework_fraction_defective:g} nonconforming; costs {scenario.inspection_cost:g} "
        f"per inspection, {scenario.rework_cost:g} per rework{errors_in_words(scenario)}"
    )


def errors_in_words(scenario: PlantScenario) -> str:
    """Return how inspectors err, to follow other words; empty if they do not."""
    if not scenario.has_errors:
        return ""
    return f"; false alarms {scenario.false_alarm:g}, misses {scenario.miss:g}"


def _draw_flow(ax: Any, flow: Flow, demand: float, shown: bool) -> None:
    """Draw an arrow as wide as the flow is large, beside its number."""
    colour = (VERMILION if flow.bad else BLUE) if shown else PALE
    # As wide as the flow, up to four times the demand: more would cover the shops.
    width = max(WIDEST * min(flow.items / demand, 4.0) / 4.0, 0.6) if shown else 1.0
    ax.add_patch(
        FancyArrowPatch(
            path=Path(flow.route),
            arrowstyle="-|>",
            mutation_scale=8 + width,
            linewidth=width,
            color=colour,
            joinstyle="miter",
            capstyle="butt",
        )
    )
    if shown:
        x, y = flow.place
        is_level = flow.route[0][1] == flow.route[-1][1]
        y += width * is_level  # above the head of a wide arrow
        ax.text(
            x,
            y,
            f"{flow.items:,.0f} {flow.what}".rstrip(),
            fontsize=9,
            color=INK,
            ha="center",
            va="bottom",
            zorder=3,
        )


def _draw_shop(ax: Any, name: str, note: str, x: float, y: float) -> None:
    width, height = BOX
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=6",
            facecolor="#f4f4f1",
            edgecolor=INK,
            linewidth=1.2,
            zorder=2,
        )
    )
    lines = name.replace(" ", "\n")
    ax.text(
        x, y, lines, fontsize=9, fontweight="bold", color=INK, ha="center", va="center", zorder=3
    )
    x, y, across, down = NOTES[name]
    ax.text(x, y, note, fontsize=8, color=FAINT, ha=across, va=down)
