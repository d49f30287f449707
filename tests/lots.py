"""Inspect-or-stop written down once more for the tests: brute force over all histories."""

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from qc_gym.lot.scenario import InspectOrStopScenario

ID = "qc_gym/InspectOrStop-v0"


def parse(source: Any) -> InspectOrStopScenario:
    scenario = InspectOrStopScenario.parse(source)
    assert isinstance(scenario, InspectOrStopScenario)
    return scenario


def small_lot(**fields: Any) -> dict[str, Any]:
    """Return a scenario whose lot is small enough for every history."""
    return {
        "demand": 5,
        "lot_size": 8,
        "yield_in": 0.9,
        "yield_out": 0.25,
        "shift": {"kind": "geometric", "hazard": 0.15},
        "inspection_cost": 1.0,
        "shortage_cost": 3.0,
        **fields,
    }


def brute_force(scenario: InspectOrStopScenario, size: int, rule: Any = None) -> float:
    """Return the least expected cost of inspecting a lot, or that of ``rule(n, d, belief)``.

    From the joint probabilities of the results and of the unit at which the process shifts: no
    recursion of beliefs, no grid.
    """
    survival = np.append(scenario.survival[: size + 1], 0.0)
    shift = survival[:-1] - survival[1:]  # P(the last unit in control is unit j), j = 0, …, size
    c, s = scenario.inspection_cost, scenario.shortage_cost

    def cost(n: int, d: int, joint: Any) -> float:
        """Expected cost times the probability of the results; joint with the last unit in control."""
        total = joint.sum()
        if d == 0 or n == size or total == 0.0:
            return float(s * d * total)
        in_control = np.arange(size + 1) > n
        good = joint * np.where(in_control, scenario.yield_in, scenario.yield_out)
        bad = joint - good
        missed = bad * scenario.miss  # judged conforming, delivered, and come back
        passed = good * (1.0 - scenario.false_alarm) + missed
        stop = s * d * total
        if rule is not None and not rule(n, d, joint[in_control].sum() / total):
            return float(stop)
        inspect = c * total + scenario.warranty_cost * missed.sum()
        inspect += cost(n + 1, d - 1, passed) + cost(n + 1, d, joint - passed)
        return float(inspect if rule is not None else min(stop, inspect))

    return cost(0, scenario.demand, shift)


def exact_cost(scenario: InspectOrStopScenario, size: int) -> Fraction:
    """Return the least expected total cost with a lot of that size, without any rounding."""
    survival = [Fraction(float(chance)) for chance in scenario.survival[: size + 1]]
    c, s = Fraction(scenario.inspection_cost), Fraction(scenario.shortage_cost)
    true = [Fraction(scenario.yield_out), Fraction(scenario.yield_in)]
    alarm, miss = Fraction(scenario.false_alarm), Fraction(scenario.miss)
    yields = [y * (1 - alarm) + (1 - y) * miss for y in true]
    returned = [(1 - y) * miss * Fraction(scenario.warranty_cost) for y in true]

    def cost(n: int, d: int, outside: Fraction, inside: Fraction) -> Fraction:
        """Least cost times the probability of the results; joint with unit n + 1 out of, in control."""
        total = outside + inside
        if total == 0 or d == 0 or n == size:
            return s * d * total
        stays = Fraction(0)
        if n + 1 < size and survival[n + 1] > 0:
            stays = survival[n + 2] / survival[n + 1]
        inspect = c * total + outside * returned[0] + inside * returned[1]
        for conforming in (0, 1):
            out, in_ = (
                joint * (y if conforming else 1 - y)
                for joint, y in zip((outside, inside), yields, strict=True)
            )
            inspect += cost(n + 1, d - conforming, out + in_ * (1 - stays), in_ * stays)
        return min(s * d * total, inspect)

    if size == 0:
        return s * scenario.demand
    production = Fraction(scenario.setup_cost) + Fraction(scenario.unit_cost) * size
    return production + cost(0, scenario.demand, 1 - survival[1], survival[1])


PROBABILITY = st.floats(0.0, 1.0)
MONEY = st.floats(0.0, 10.0)


@st.composite
def inspectors(
    draw: st.DrawFn, rates: st.SearchStrategy[float], money: st.SearchStrategy[float]
) -> dict[str, float]:
    """Draw the fields of an inspector who errs, and what a bad unit delivered costs; or none."""
    if draw(st.booleans()):
        return {}
    alarm, miss = draw(rates), draw(rates)
    if not alarm + miss < 1.0:
        alarm, miss = 0.5 * (1.0 - alarm), 0.5 * (1.0 - miss)
    return {"false_alarm": alarm, "miss": miss, "warranty_cost": draw(money)}


@st.composite
def small_scenarios(draw: st.DrawFn, most: int = 7) -> dict[str, Any]:
    """Draw a scenario with a given lot that is small enough for every history."""
    size = draw(st.integers(1, most))
    out, in_ = sorted(draw(st.tuples(PROBABILITY, PROBABILITY).filter(lambda p: p[0] != p[1])))
    survival = sorted(draw(st.lists(PROBABILITY, min_size=size, max_size=size)), reverse=True)
    return {
        "demand": draw(st.integers(1, most + 1)),
        "lot_size": size,
        "yield_in": in_,
        "yield_out": out,
        "shift": {"kind": "table", "survival": survival},
        "inspection_cost": draw(MONEY),
        "shortage_cost": draw(MONEY),
        **draw(inspectors(st.floats(0.0, 0.99), MONEY)),
    }


@st.composite
def boundary_lots(draw: st.DrawFn) -> dict[str, Any]:
    """Return a scenario whose numbers often lie at what is allowed: 0, 1, one unit, no money."""
    rates = st.sampled_from([0.0, 1.0, 0.5, 1e-300, 1e-9, 1.0 - 1e-9, 1.0 - 2**-53])
    rates |= st.floats(0.0, 1.0)
    errors = st.sampled_from([0.0, 0.5, 0.5 - 2**-53, 1e-9, 0.999999]) | st.floats(0.0, 0.99)
    money = st.sampled_from([0.0, 5e-324, 1.0, 1e-6, 1e9]) | st.floats(0.0, 10.0)
    yields = sorted(draw(st.lists(rates, min_size=2, max_size=2, unique=True)))
    size = draw(st.integers(1, 10))
    survival = draw(st.lists(rates, min_size=size, max_size=size))
    shift = draw(
        st.sampled_from(
            [
                {"kind": "table", "survival": sorted(survival, reverse=True)},
                {"kind": "geometric", "hazard": draw(rates.filter(lambda rate: rate < 1.0))},
                {
                    "kind": "discrete_weibull",
                    "q": draw(st.floats(0.05, 0.999)),
                    "beta": draw(st.sampled_from([0.5, 1.0, 1.8, 3.0])),
                },
            ]
        )
    )
    fields: dict[str, Any] = {
        "demand": draw(st.integers(1, 6)),
        "yield_in": yields[1],
        "yield_out": yields[0],
        "shift": shift,
        "inspection_cost": draw(money),
        "shortage_cost": draw(money),
        **draw(inspectors(errors, money | st.sampled_from([1e3, 1e12]))),
    }
    if draw(st.booleans()):
        return {**fields, "lot_size": size}
    production = {"unit_cost": draw(money), "setup_cost": draw(money)}
    return {**fields, **production, "max_lot_size": size}
