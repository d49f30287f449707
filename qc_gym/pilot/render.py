"""Pictures of a pilot run: what is believed of the three rates, and what follows from it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from qc_gym.core.picture import (
    BLUE,
    DPI,
    FAINT,
    INK,
    VERMILION,
    WHITE,
    Picture,
    amount,
    counted,
    paint,
    with_minus,
)
from qc_gym.pilot.dynamics import NO_TEST, NODES, PLANS, moments_at, order_profit
from qc_gym.pilot.plans import Plan
from qc_gym.pilot.scenario import BetaRate, PilotRunScenario

SIZE = (8.0, 4.8)  # inches
POINTS = 200
LEAST_DENSITY = 1e-3
"""Share of the highest prior density below which a rate is not in the picture."""


class Moment(NamedTuple):
    """What a picture shows.

    Attributes
    ----------
    scenario
        The scenario being played.
    state
        The state of the world; its hidden truth is shown once a plan is fixed.
    committed
        The plan that was fixed, and what it earns on the order; None before.
    advice
        The action that a policy would take now, or None.
    """

    scenario: PilotRunScenario
    state: np.void
    committed: tuple[int, float] | None
    advice: int | None

    @property
    def spent(self) -> float:
        """What the tests have cost, in money."""
        nodes = self.scenario.in_order
        return sum(n * node.sample_cost for n, node in zip(self.state["n"], nodes, strict=True))


def draw_pilot(moment: Moment) -> NDArray[np.uint8]:
    """Return the picture of a pilot run, uint8 (480, 800, 3)."""
    figure = Picture(SIZE, DPI, facecolor="white")
    axes = figure.subplots(1, NODES)
    figure.subplots_adjust(left=0.03, right=0.985, bottom=0.11, top=0.66, wspace=0.08)
    for k, ax in enumerate(axes):
        _draw_belief(ax, moment, k)
    heading, *details = _lines(moment)
    figure.text(0.02, 0.93, heading, fontsize=13, fontweight="bold", color=INK, parse_math=False)
    for i, line in enumerate(details):
        figure.text(0.02, 0.875 - 0.05 * i, line, fontsize=9.5, color=INK, parse_math=False)
    return paint(figure, WHITE)[..., :3].copy()


def describe_pilot(moment: Moment) -> str:
    """Return the picture of a pilot run in words."""
    names, width = moment.scenario.order, max(map(len, moment.scenario.order))
    beliefs = [f"{names[k]:<{width}}  {', '.join(_belief(moment, k))}" for k in range(NODES)]
    return "\n".join([*beliefs, *_lines(moment)])


def mean_rates(moment: Moment) -> list[float]:
    """Return the expected rates after the tests."""
    rates = []
    for k, node in enumerate(moment.scenario.in_order):
        shape = _posterior(moment, k)
        rates.append(node.mean_rate if shape is None else shape[0] / sum(shape))
    return rates


def best_plan_at(scenario: PilotRunScenario, rates: list[float]) -> tuple[int, float]:
    """Return the plan that earns the most at given rates, and what it earns on the order, in money."""
    record, moments = scenario.record()[0], moments_at(*rates)
    profits = [order_profit(record, plan, moments) for plan in range(PLANS)]
    best = int(np.argmax(profits))
    return best, float(profits[best])


def _posterior(moment: Moment, k: int) -> tuple[float, float] | None:
    """Return a and b of what is believed of a rate, or None where it is known."""
    rate = moment.scenario.in_order[k].defect_rate
    if not isinstance(rate, BetaRate):
        return None
    n, d = int(moment.state["n"][k]), int(moment.state["d"][k])
    return rate.a + d, rate.b + n - d


def _lines(moment: Moment) -> list[str]:
    """Return where the pilot run is and what would follow, one line each."""
    scenario, names = moment.scenario, moment.scenario.order
    plan, profit = best_plan_at(scenario, mean_rates(moment))
    tests = int(moment.state["n"].sum())
    made = f"{counted(tests, 'test')} made"
    order = f"order of {scenario.order_size:,} at {scenario.price:,.10g}"
    if moment.committed is not None:
        fixed, earned = moment.committed
        return [
            f"Plan: {Plan.of(fixed).words(names)}",
            f"{made}, {order}; at the true rates it earns {_money(earned)}",
            _account(earned - moment.spent),
        ]
    lines = [
        f"{made}{_last(moment)}",
        f"{order}; best at the mean rates: {Plan.of(plan).words(names)}, would earn {_money(profit)}",
        _account(-moment.spent),
    ]
    if moment.advice is not None:
        lines.append(f"policy: {scenario.action_names[moment.advice]}")
    return lines


def _last(moment: Moment) -> str:
    last = int(moment.state["last_tested"])
    if last == NO_TEST:
        return ""
    result = "defective" if moment.state["last_defective"] else "good"
    return f"; the last, of {moment.scenario.order[last]}, was {result}"


def _account(money: float) -> str:
    return f"money {_money(money)}"


def _money(money: float) -> str:
    return with_minus(amount(money))


def _belief(moment: Moment, k: int) -> tuple[str, ...]:
    """Return what is believed of a rate, in words."""
    shape = _posterior(moment, k)
    if shape is None:
        return (f"{moment.scenario.in_order[k].mean_rate:.4g}, known",)
    a, b = shape
    deviation = math.sqrt(a * b / (a + b + 1.0)) / (a + b)
    most = moment.scenario.in_order[k].max_samples
    n, d = int(moment.state["n"][k]), int(moment.state["d"][k])
    return (
        f"{a / (a + b):.4g} ± {deviation:.2g}",
        f"{d} of {n} tested defective, at most {most} tests",
    )


def _draw_belief(ax: Any, moment: Moment, k: int) -> None:
    """Draw the density of a rate before and after the tests; its truth once a plan is fixed."""
    prior = moment.scenario.in_order[k].defect_rate
    shape = _posterior(moment, k)
    right = 1.0
    if isinstance(prior, BetaRate) and shape is not None:
        rates = np.linspace(0.0, 1.0, 10 * POINTS + 1)[1:-1]
        before, after = _density(rates, prior.a, prior.b), _density(rates, *shape)
        seen = np.maximum(before / before.max(), after / after.max()) > LEAST_DENSITY
        right = float(rates[seen].max())
        top = max(before[rates > 0.002].max(), after[rates > 0.002].max())
        ax.plot(rates, before, color=FAINT, linewidth=1.0, linestyle=":", label="before")
        ax.plot(rates, after, color=BLUE, linewidth=1.8, label="now")
        ax.fill_between(rates, after, color=BLUE, alpha=0.15, linewidth=0)
        ax.set_ylim(0.0, 1.08 * top)
    else:
        right = min(1.0, 3.0 * moment.scenario.in_order[k].mean_rate + 0.05)
    if shape is None or moment.committed is not None:
        truth = float(moment.state["rate"][k])
        ax.axvline(
            truth, color=VERMILION, linewidth=1.8, label="known" if shape is None else "truth"
        )
    ax.set_xlim(0.0, right)
    ax.set_yticks([])
    ax.tick_params(labelsize=8, colors=INK)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0))
    ax.locator_params(axis="x", nbins=5)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.set_title(
        moment.scenario.order[k], fontsize=10, color=INK, loc="left", parse_math=False, pad=32
    )
    told = "\n".join(_belief(moment, k))
    ax.text(0.0, 1.02, told, transform=ax.transAxes, fontsize=8, color=INK)
    ax.legend(fontsize=8, frameon=False, labelcolor=INK, loc="upper right")
    ax.set_xlabel("defect rate", fontsize=8.5, color=INK)


def _density(rates: NDArray[np.float64], a: float, b: float) -> NDArray[np.float64]:
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return np.exp((a - 1.0) * np.log(rates) + (b - 1.0) * np.log1p(-rates) - log_beta)
