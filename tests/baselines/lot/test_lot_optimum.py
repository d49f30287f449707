"""The certified optimum of inspect-or-stop: a known value, brute force, closed forms, simulation."""

import sys

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from lots import ID, brute_force, parse, small_lot, small_scenarios

import baselines
from baselines.lot import LotOptimum, LotSizes, find_bracket, lemma_1, lot_of
from baselines.lot.belief import reach
from qc_gym.lot.scenario import InspectOrStopScenario

pytestmark = pytest.mark.filterwarnings("ignore::qc_gym.lot.scenario.InspectionNeverPays")
PRESETS = list(InspectOrStopScenario.presets)


def solved(source: object, observation: str = "belief") -> LotOptimum:
    solution = baselines.solve(gym.make(ID, scenario=source, observation=observation))
    assert isinstance(solution, LotOptimum)
    return solution


def test_the_known_value_is_in_the_bracket() -> None:
    solution = solved("weibull-30")
    assert solution.lower <= -38.864608011 <= solution.upper
    assert solution.upper - solution.lower <= 1e-6 * 38.86
    assert solution.lower <= solution.value <= solution.upper


@pytest.mark.parametrize("relative_width", [1e-3, 1e-6, 1e-10])
def test_a_bracket_is_as_narrow_as_asked_and_holds_the_value(relative_width: float) -> None:
    lower, upper = find_bracket(lot_of(parse("weibull-30"), 30), relative_width).bounds
    assert upper - lower <= relative_width * lower
    assert lower - 5e-10 <= 38.864608011 <= upper + 5e-10  # the known value is rounded


@pytest.mark.parametrize("relative_width", [0.0, -1e-6, float("nan")])
def test_a_bracket_needs_a_positive_width(relative_width: float) -> None:
    with pytest.raises(ValueError, match=f"relative_width = {relative_width}"):
        find_bracket(lot_of(parse("weibull-30"), 30), relative_width)


@settings(max_examples=60, deadline=None)
@given(small_scenarios())
def test_every_history_agrees_with_the_bracket(fields: dict[str, object]) -> None:
    scenario = parse(fields)
    size = scenario.longest_lot
    lower, upper = LotSizes(scenario).bounds(size)
    expected = brute_force(scenario, size)
    rounding = 1e-11 * max(1.0, expected)
    assert lower - rounding <= expected <= upper + rounding
    # Bounds are rounded outward by at least the smallest normal number: shortages may cost 5e-324.
    # A belief next to 1 is known to one rounding, which matters where a unit returned is dear.
    stakes = scenario.shortage_cost * scenario.demand + size * scenario.missed_costs[1]
    assert upper - lower <= 1e-6 * expected + 1e-12 * stakes + 2 * sys.float_info.min


def test_every_history_of_twelve_units() -> None:
    scenario = parse(small_lot(lot_size=12, demand=8))
    lower, upper = LotSizes(scenario).bounds(12)
    assert lower - 1e-10 <= brute_force(scenario, 12) <= upper + 1e-10


def test_without_manufacturing_variation_one_inspects_to_the_first_failure() -> None:
    # The first nonconforming unit shows the shift: nothing after it conforms. Each unit costs c, the
    # j-th conforms with probability F(j), and is inspected if all before it did.
    scenario = parse(small_lot(yield_in=1.0, yield_out=0.0))
    survival = scenario.survival
    inspected = survival[: scenario.demand].sum()
    conforming = survival[1 : scenario.demand + 1].sum()
    expected = inspected * 1.0 + 3.0 * (scenario.demand - conforming)
    assert -solved(scenario).value == pytest.approx(expected, rel=2e-8)


@pytest.mark.parametrize(("survival", "rate"), [(1.0, 0.9), (0.0, 0.6)])
def test_a_process_that_never_shifts_is_inspected_until_satisfied(
    survival: float, rate: float
) -> None:
    # Always in (or always out of) control: each unit gains s·rate − c > 0, so none is left out while
    # the demand is open. Negative binomial sums over the lot.
    scenario = parse(small_lot(yield_out=0.6, shift={"kind": "table", "survival": [survival] * 8}))
    open_ = np.zeros(scenario.demand + 1)
    open_[-1], expected = 1.0, 0.0
    for _ in range(8):
        expected += open_[1:].sum() * scenario.inspection_cost
        moved = open_[1:] * rate
        open_[1:] -= moved
        open_[:-1] += moved
    expected += scenario.shortage_cost * (open_ @ np.arange(scenario.demand + 1))
    assert -solved(scenario).value == pytest.approx(expected, rel=2e-8)


def test_where_inspection_never_pays_the_whole_demand_is_lost() -> None:
    scenario = parse(small_lot(inspection_cost=2.8))
    solution = solved(scenario)
    assert solution.value == pytest.approx(-15.0, abs=1e-12)
    assert np.isposinf(solution.thresholds(8)).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_the_hidden_truth_costs_the_optimum(preset: str) -> None:
    episodes = 5_000 if preset == "lot-sizing-200" else 50_000
    certificate = baselines.certify(gym.make(ID, scenario=preset), episodes=episodes, seed=3)
    assert certificate.width <= 1e-6 * abs(certificate.value)
    assert certificate.deviation is not None
    assert abs(certificate.deviation) < 4


def test_outcomes_have_the_same_optimum() -> None:
    env = gym.make(ID, scenario="geometric-40", observation="outcome")
    certificate = baselines.certify(env, episodes=20_000, seed=5)
    assert certificate.value == solved("geometric-40").value
    assert certificate.deviation is not None
    assert abs(certificate.deviation) < 4


@pytest.mark.parametrize("preset", PRESETS)
def test_the_optimum_inspects_wherever_lemma_1_does(preset: str) -> None:
    scenario = parse(preset)
    solution = solved(preset)
    size = solution.best_size
    bounds = solution.sizes.bracket(size)
    low, high, _ = reach(bounds.lot)
    comes = (low <= high) & (high >= lemma_1(scenario))
    comes[:, 0] = False  # the demand is met
    # The upper end of the threshold's bounds: certainly inspected from there on.
    assert comes.any()
    assert np.all(bounds.thresholds[1][comes] <= lemma_1(scenario) + 1e-9)


@pytest.mark.parametrize("preset", ["weibull-30", "table-16"])
def test_action_costs_are_ordered_and_meet_at_the_threshold(preset: str) -> None:
    scenario = parse(preset)
    bounds = solved(preset).sizes.bracket(scenario.longest_lot)
    n, d = np.nonzero(np.isfinite(bounds.thresholds[1]) & (bounds.thresholds[0] > 0.0))
    low, high, _ = reach(bounds.lot)
    below, above = bounds.thresholds[:, n, d]
    inside = (low[n, d] < below) & (above < high[n, d])
    n, d, below, above = n[inside], d[inside], below[inside], above[inside]
    assert len(n) > 20
    costs = bounds.action_costs(n, d, above + 1e-9)
    assert np.all(costs[..., 0] <= costs[..., 1] + 1e-12)
    assert np.all(costs[:, 1, 1] <= costs[:, 0, 0])  # inspecting is certainly right above
    assert np.all(bounds.action_costs(n, d, below - 1e-9)[:, 1, 0] >= costs[:, 0, 0])


@pytest.mark.parametrize("shift", [{"kind": "geometric", "hazard": 0.2}, None])
def test_the_best_lot_size_by_brute_force(shift: dict[str, object] | None) -> None:
    fields = small_lot(lot_size=None, max_lot_size=10, unit_cost=0.3, setup_cost=2.0)
    fields["shift"] = shift or {"kind": "discrete_weibull", "q": 0.95, "beta": 1.5}
    scenario = parse(fields)
    expected = [2.0 * (size > 0) + 0.3 * size + brute_force(scenario, size) for size in range(11)]
    solution = solved(scenario)
    assert solution.best_size == int(np.argmin(expected))
    assert 0 < solution.best_size < 10
    assert -solution.value == pytest.approx(min(expected), rel=2e-8)
    for least in range(11):
        best = solution.sizes.best(least)
        assert best.size == least + int(np.argmin(expected[least:]))
        assert best.lower - 1e-10 <= min(expected[least:]) <= best.upper + 1e-10


def test_no_lot_is_better_than_the_one_found() -> None:
    scenario = parse("lot-sizing-20")
    best = LotSizes(scenario).best()
    for size in range(scenario.longest_lot + 1):
        lower, upper = find_bracket(lot_of(scenario, size)).bounds
        fixed = scenario.setup_cost * (size > 0) + scenario.unit_cost * size
        beyond = scenario.shortage_cost * max(scenario.demand - size, 0)
        assert upper + fixed + beyond >= best.lower
        assert size == best.size or lower + fixed + beyond > best.upper


def test_a_lot_that_is_not_worth_its_setup_is_not_inspected() -> None:
    fields = small_lot(lot_size=None, max_lot_size=6, unit_cost=50.0, setup_cost=7.0)
    solution = solved(fields)
    assert solution.best_size == 0
    # Nothing produced, nothing set up.
    assert solution.value == pytest.approx(-15.0, rel=1e-12)
    plan = baselines.plan(ID, scenario=fields)
    assert {fact.name: fact.value for fact in plan.facts}["lot to produce"] == 0
    assert plan.rows == ()
    assert "Produce nothing" in plan.text()


def test_there_are_no_tables_and_the_error_says_so() -> None:
    with pytest.raises(TypeError, match="continuum"):
        baselines.model(gym.make(ID))


def test_facts_of_the_plan() -> None:
    facts = {fact.name: fact.value for fact in baselines.plan(ID, scenario="lot-sizing-20").facts}
    size = solved("lot-sizing-20").best_size
    assert facts["lot to produce"] == size
    assert facts["expected cost"] == pytest.approx(82.7411, abs=5e-5)
    assert facts["of this, production"] == 10.0 + size
    assert facts["of this, whatever is inspected"] == 10.0 + size


CARDS = {
    "counts decide": small_lot(),
    "results decide": small_lot(yield_out=0.4, shortage_cost=2.2),
    "one unit tells": small_lot(yield_in=1.0, shift={"kind": "geometric", "hazard": 0.3}),
    "weibull": small_lot(shift={"kind": "discrete_weibull", "q": 0.9, "beta": 1.5}),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_foreman_who_follows_the_card_pays_what_it_says(name: str) -> None:
    """Over every sequence of results, with the probabilities of the hidden shift."""
    env = gym.make(ID, scenario=CARDS[name])
    plan = baselines.plan(env)
    table = {(row["inspected"], row["conforming"], row["standing"]): row for row in plan.rows}
    assert len(table) == len(plan.rows)
    ambiguous = {key[:2] for key in table if key[2] is not None}
    assert all((n, k, None) not in table for n, k in ambiguous)
    scenario = parse(CARDS[name])
    survival = np.append(scenario.survival, 0.0)
    seen = set()

    def follow(
        n: int, k: int, standing: int | None, inside: float, outside: float
    ) -> tuple[float, float]:
        """Return the expected cost from here on, and that of the units inspected, with its chance."""
        here = inside + outside
        if here == 0.0 or k == scenario.demand:
            return 0.0, 0.0
        short = scenario.shortage_cost * (scenario.demand - k) * here
        if n == scenario.lot_size:
            return short, 0.0
        row = table[n, k, standing]
        seen.add((n, k, standing))
        if row["do"] == "stop":
            return short, 0.0
        cost, units = scenario.inspection_cost * here, here
        for conforming, column in enumerate(("if nonconforming", "if conforming")):
            chance_in = scenario.yield_in if conforming else 1.0 - scenario.yield_in
            chance_out = scenario.yield_out if conforming else 1.0 - scenario.yield_out
            stays = survival[n + 2] / survival[n + 1] if n + 1 < scenario.lot_size else 0.0
            later = follow(
                n + 1,
                k + conforming,
                row[column],
                inside * chance_in * stays,
                outside * chance_out + inside * chance_in * (1.0 - stays),
            )
            cost, units = cost + later[0], units + later[1]
        return cost, units

    cost, units = follow(0, 0, None, survival[1], 1.0 - survival[1])
    facts = {fact.name: fact.value for fact in plan.facts}
    least = -baselines.solve(env).value
    assert facts["more by following this card"] == pytest.approx(cost - least, abs=1e-6)
    assert facts["units inspected, on average"] == pytest.approx(units, rel=1e-12)
    assert -1e-6 <= cost - least <= 5e-3 * least
    assert seen == set(table)  # no row that never comes


@pytest.mark.parametrize("preset", ["weibull-30", "table-16", "geometric-40"])
def test_the_card_loses_little_and_says_so(preset: str) -> None:
    plan = baselines.plan(ID, scenario=preset)
    facts = {fact.name: fact.value for fact in plan.facts}
    more, cost = facts["more by following this card"], facts["expected cost"]
    assert isinstance(more, float)
    assert isinstance(cost, float)
    assert 0.0 <= more <= 5e-3 * cost
    assert sum(row["lots"] for row in plan.rows if row["inspected"] == 0) == pytest.approx(1.0)
