"""Sensitivity: thresholds against closed forms and grids, plans that are kept, what is refused."""

import copy
import csv
import io
import json
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import SMALL_LOT, scenarios

import baselines
import qc_gym
from baselines.core.correspondence import counterparts
from baselines.core.variation import Variations
from qc_gym.core.errors import ScenarioError
from qc_gym.core.fields import MONEY, find_field

SAMPLING = "qc_gym/SequentialSampling-v0"
ASSEMBLY = "qc_gym/Assembly-v0"
PLANT = "qc_gym/KStage-v0"
CONTROL = "qc_gym/KStageControl-v0"
LOT = "qc_gym/InspectOrStop-v0"
PILOT = "qc_gym/PilotRun-v0"
SMALLEST = {
    SAMPLING: SMALL_LOT,
    ASSEMBLY: "cumcm-5-discard",
    LOT: "table-16",
    PLANT: "tired-eyes",
    CONTROL: "two-suppliers",
    PILOT: "initial-samples",
}
TIRED = {
    "fraction_defective": 0.58,
    "rework_fraction_defective": 0.4,
    "lot_size": 179,
    "sample_size": 4,
    "daily_demand": 1000.0,
    "inspection_cost": 0.4,
    "rework_cost": 3.0,
    "max_stages": 5,
    "false_alarm": 0.09,
    "miss": 0.36,
}


def changed(scenario: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(scenario), **fields}


# --- where the decision changes ---------------------------------------------------------------


def test_lines_of_cost_cross_where_they_do() -> None:
    """A plant's cost is inspection_cost · NIN + rework_cost · NRW: one line a number of stages."""
    found = baselines.sensitivity(PLANT, {"inspection_cost": (0.01, 100.0, 3)}, scenario=TIRED)
    plant = baselines.solve(PLANT, scenario=TIRED).scenario
    steady = baselines.kstage.steady_states(plant)
    inspected = steady.stage_inspections + steady.source_inspections + steady.reinspections
    fixed = 3.0 * steady.reworks
    crossings = []
    for i in range(6):
        for j in range(i):
            x = (fixed[i] - fixed[j]) / (inspected[j] - inspected[i])
            least = float((inspected * x + fixed).min())
            if 0.01 < x < 100.0 and fixed[i] + inspected[i] * x <= least * (1 + 1e-12):
                crossings.append((x, least))
    assert found.changes is not None
    assert len(found.changes) == len(crossings) == 1
    for change, (x, least) in zip(found.changes, sorted(crossings), strict=True):
        assert change.value == pytest.approx(x, rel=1e-12)
        assert change.optimum == pytest.approx(-least / 1000.0, rel=1e-12)
        assert change.precision < 1e-6
    assert {found.changes[0].before, found.changes[0].after} == {"0 stages", "1 stage"}
    assert found.hidden <= found.resolution
    assert found.verdict.startswith("No others exist")


def test_a_rate_at_which_two_plants_cost_the_same() -> None:
    found = baselines.sensitivity(PLANT, {"miss": (0.0, 0.4, 4)}, scenario="tired-eyes")
    assert found.changes
    for change in found.changes:
        (at,) = [
            baselines.solve(
                PLANT, scenario=Variations(base, {"miss": (0.0, 0.4, 4)}).at(change.value)
            )
            for base in [baselines.solve(PLANT, scenario="tired-eyes").scenario]
        ]
        before, after = (int(words.split()[0]) for words in (change.before, change.after))
        losses = at.decisions(0.5)[0].loss  # type: ignore[attr-defined]
        assert losses(before) == pytest.approx(0.0, abs=1e-14)
        assert losses(after) == pytest.approx(0.0, abs=1e-14)
        assert before != after
    assert found.hidden == math.inf
    assert "None others were found at this resolution, 4 steps" in found.verdict


@pytest.mark.parametrize("steps", [1, 7])
def test_a_single_item_may_be_inspected(steps: int) -> None:
    """As accepting a bad lot costs more: accept, inspect one and decide, reject.

    With both thresholds between two points, the decision in the middle must be found as well.
    """
    good, bad, w, c, r = 0.1, 0.5, 0.4, 1.0, 30.0
    scenario = {
        "prior": {"kind": "two_point", "good": good, "bad": bad, "prob_bad": w},
        "inspection_cost": c,
        "accept_bad_cost": 40.0,
        "reject_good_cost": r,
        "max_samples": 1,
    }
    m = (1 - w) * good + w * bad
    after_defective, after_conforming = w * bad / m, w * (1 - bad) / (1 - m)
    rejecting = c + m * r * (1 - after_defective)
    first = rejecting / (w - (1 - m) * after_conforming)
    second = (r * (1 - w) - rejecting) / ((1 - m) * after_conforming)
    for a in (first, second):  # what is done after the item, in the middle
        assert a * after_conforming < r * (1 - after_conforming)
        assert a * after_defective > r * (1 - after_defective)
    found = baselines.sensitivity(
        SAMPLING, {"accept_bad_cost": (1.0, 300.0, steps)}, scenario=scenario
    )
    assert found.changes is not None
    at_start = [one for one in found.changes if one.state.startswith("n = 0")]
    assert [(one.before, one.after) for one in at_start] == [
        ("accept", "inspect"),
        ("inspect", "reject"),
    ]
    assert [one.value for one in at_start] == pytest.approx([first, second], rel=1e-12)
    assert found.hidden <= found.resolution


def test_changes_are_those_of_a_fine_grid() -> None:
    spread = (0.1, 5.9, 5)  # at 6 two actions are worth the same
    least = 0.02
    found = baselines.sensitivity(
        SAMPLING, {"inspection_cost": spread}, scenario=SMALL_LOT, least=least
    )
    assert found.changes is not None
    assert len(found.changes) > 4
    missing = [*found.changes]
    before = None
    for cost in np.linspace(*spread[:2], 301).tolist():
        optimum = baselines.solve(SAMPLING, scenario=changed(SMALL_LOT, inspection_cost=cost))
        visits = optimum.evaluation.occupancy  # type: ignore[attr-defined]
        actions = optimum.policy.actions  # type: ignore[attr-defined]
        if before is not None:
            cost_before, visits_before, actions_before = before
            often = np.minimum(visits, visits_before) >= least
            for row in np.flatnonzero(often & (actions != actions_before)).tolist():
                words = [
                    optimum.describe_state(row),
                    optimum.describe_action(row, int(actions_before[row])),
                    optimum.describe_action(row, int(actions[row])),
                ]
                (one,) = [
                    change
                    for change in found.changes
                    if cost_before <= change.value <= cost
                    and [change.state, change.before, change.after] == words
                ]
                missing.remove(one)
        before = cost, visits, actions
    assert not missing


def test_a_whole_number_changes_decisions_from_one_to_the_next() -> None:
    found = baselines.sensitivity(PILOT, {"order_size": (1, 1_000, 3)}, scenario="initial-samples")
    assert found.changes
    base = baselines.solve(PILOT, scenario="initial-samples").scenario
    for change in found.changes:
        assert isinstance(change.value, int)
        assert change.precision == 0.0
        for size, words in ((change.value - 1, change.before), (change.value, change.after)):
            fields = changed(base.model_dump(mode="json"), order_size=size)
            optimum = baselines.solve(PILOT, scenario=fields)
            done = {
                optimum.describe_state(one.state): optimum.describe_action(one.state, one.action)
                for one in optimum.decisions(1e-9)
            }
            assert done[change.state] == words


def test_a_larger_sample_opens_states_that_a_smaller_one_does_not_have() -> None:
    found = baselines.sensitivity(SAMPLING, {"max_samples": (2, 8, 2)}, scenario=SMALL_LOT)
    assert found.changes
    for change in found.changes:
        n = int(change.state.split()[2])
        assert n < change.value
    assert found.lost > 0
    assert "were left out" in found.verdict


def test_days_count_as_one_state() -> None:
    """A level with yesterday's stages is told in the middle of the episode, with the visits of all days."""
    found = baselines.sensitivity(CONTROL, {"changeover_cost": (0.0, 3.0, 2)})
    assert found.changes is not None
    (change,) = [one for one in found.changes if one.state.startswith("day 31, level 1, 1 stage")]
    assert (change.before, change.after) == ("0 stages", "1 stage")
    fields = baselines.solve(CONTROL).scenario.model_dump(mode="json")
    for cost, best in ((change.value - 1e-6, 0), (change.value + 1e-6, 1)):
        model = baselines.model(CONTROL, scenario={**fields, "changeover_cost": cost})
        optimum = baselines.solve(CONTROL, scenario={**fields, "changeover_cost": cost})
        same = (model.states["level"] == 1) & (model.states["stages"] == 1)
        (row,) = np.flatnonzero(same & (model.states["day"] == 30))
        assert optimum.policy.actions[row] == best  # type: ignore[attr-defined]
        visits = optimum.evaluation.occupancy[same].sum()  # type: ignore[attr-defined]
        assert change.occupancy == pytest.approx(visits, rel=1e-3) or best == 0
    assert change.occupancy > 1.0


@given(
    fields=scenarios(max_samples=st.integers(1, 6)),
    name=st.sampled_from(["inspection_cost", "accept_bad_cost", "reject_good_cost"]),
    high=st.floats(1.0, 300.0),
    steps=st.integers(1, 3),
)
@settings(max_examples=25, deadline=None)
def test_at_a_change_both_actions_are_worth_the_same(
    fields: dict[str, Any], name: str, high: float, steps: int
) -> None:
    found = baselines.sensitivity(SAMPLING, {name: (0.5, 0.5 + high, steps)}, scenario=fields)
    assert found.changes is not None
    for change in found.changes:
        optimum = baselines.solve(SAMPLING, scenario=changed(fields, **{name: change.value}))
        (decision,) = [
            one
            for one in optimum.decisions(0.0)
            if optimum.describe_state(one.state) == change.state
        ]
        does = [optimum.describe_action(decision.state, action) for action in range(3)]
        for words in (change.before, change.after):
            assert decision.loss(does.index(words)) <= optimum.resolution
        assert change.before != change.after
        assert change.optimum == optimum.value
    regrets = found.regret("optimum")
    assert np.all(regrets >= -found.resolution)
    assert 0.0 <= found.hidden < math.inf
    # What the plans of the points can lose between them is bounded by their lines.
    middle = 0.5 * sum(found.fields[0].values[:2])
    marks = sorted({*found.fields[0].values, *(one.value for one in found.changes)})
    homes = [*marks, *((a + b) / 2 for a, b in pairwise(marks))]
    here = changed(fields, **{name: middle})
    optimum = baselines.solve(SAMPLING, scenario=here)
    plans = [baselines.solve(SAMPLING, scenario=changed(fields, **{name: x})).policy for x in homes]
    lost = [baselines.score(SAMPLING, optimum.carried(one), scenario=here).regret for one in plans]
    assert min(lost) <= found.hidden + 2 * found.resolution


def test_ties_are_no_change() -> None:
    """Where inspecting is free, plans that inspect more and less are as good."""
    found = baselines.sensitivity(SAMPLING, {"inspection_cost": (0.0, 1e-3, 4)}, scenario=SMALL_LOT)
    assert found.changes == ()
    # Free of charge, every scale of the same money is the same problem.
    same = baselines.sensitivity(PLANT, {"inspection_cost": (0.0, 5.0, 5)}, scenario="blu-2010")
    assert same.changes == ()
    assert same.hidden <= same.resolution


# --- inspect or stop ----------------------------------------------------------------------------


def one_unit(**fields: Any) -> dict[str, Any]:
    scenario = {
        "demand": 1,
        "yield_in": 0.9,
        "yield_out": 0.2,
        "shift": {"kind": "geometric", "hazard": 0.3},
        "inspection_cost": 1.0,
        "shortage_cost": 5.0,
    }
    return {**scenario, **fields}


def test_the_only_unit_of_a_lot_is_inspected_while_that_pays() -> None:
    """c = s · P(conforming), P = .7 · .9 + .3 · .2 = .69."""
    found = baselines.sensitivity(
        LOT, {"inspection_cost": (0.5, 4.0, 3)}, scenario=one_unit(lot_size=1)
    )
    assert found.changes is not None
    (change,) = found.changes
    assert change.value == pytest.approx(5.0 * 0.69, rel=1e-7)
    assert abs(change.value - 5.0 * 0.69) <= change.precision
    assert (change.state, change.before, change.after) == (
        "nothing inspected",
        "inspect the next",
        "stop",
    )


def test_a_unit_is_produced_while_that_pays() -> None:
    """v + c + s (1 − P) = s."""
    found = baselines.sensitivity(
        LOT, {"unit_cost": (0.0, 4.0, 3)}, scenario=one_unit(max_lot_size=1)
    )
    assert found.changes is not None
    (change,) = found.changes
    assert abs(change.value - (5.0 * 0.69 - 1.0)) <= change.precision < 1e-6
    assert (change.state, change.before, change.after) == (
        "the lot to produce",
        "1 unit",
        "nothing",
    )


def test_a_lot_may_be_too_small_for_the_best() -> None:
    """Lots of lot-sizing-20 are best with 21 units, where so many may be produced."""
    best = baselines.solve(LOT, scenario="lot-sizing-20").best_size  # type: ignore[attr-defined]
    found = baselines.sensitivity(LOT, {"max_lot_size": (15, 60, 3)}, scenario="lot-sizing-20")
    assert found.changes is not None
    sizes = [(one.value, one.before, one.after) for one in found.changes if "lot to" in one.state]
    assert sizes[-1] == (best, f"{best - 1} units", f"{best} units")
    assert "more than max_lot_size = 15" in found.regrets[0].reason


def test_a_given_lot_is_the_same_whatever_its_size() -> None:
    """One unit of it, or four: after one that is good the next is inspected only where there is one."""
    found = baselines.sensitivity(
        LOT, {"lot_size": (1, 4, 1)}, scenario=one_unit(lot_size=2, demand=2, inspection_cost=3.5)
    )
    values = [
        baselines.solve(LOT, scenario=one_unit(lot_size=size, demand=2, inspection_cost=3.5)).value
        for size in (1, 4)
    ]
    assert found.values.tolist() == values
    assert found.changes == ()
    assert np.isnan(found.regret("optimum")).all()
    assert "made for lot_size = 2" in found.text()


def test_lots_are_told_by_their_results() -> None:
    """The first unit is inspected while c < s · P; of later ones the belief decides, by its threshold."""
    found = baselines.sensitivity(LOT, {"inspection_cost": (0.2, 3.8, 4)}, scenario="weibull-30")
    assert found.changes is not None
    assert found.changes[-1].state == "nothing inspected"
    assert abs(found.changes[-1].value - 4.0 * (0.98 * 0.95 + 0.02 * 0.2)) < 1e-6
    base = baselines.solve(LOT, scenario="weibull-30").scenario
    for change in found.changes[::5]:
        n = 0 if change.state == "nothing inspected" else int(change.state.split()[0])
        belief = survival = 0.98
        for unit in range(1, n + 1):  # all conforming
            odds = belief * 0.95 / ((1 - belief) * 0.2)
            following = 0.98 ** ((unit + 1) ** 1.2)
            belief, survival = odds / (1 + odds) * following / survival, following
        for side, does in ((-1e-5, change.before), (1e-5, change.after)):
            fields = changed(base.model_dump(mode="json"), inspection_cost=change.value + side)
            threshold = baselines.solve(LOT, scenario=fields).thresholds(30)[n, n]  # type: ignore[attr-defined]
            assert does == ("inspect the next" if belief >= threshold else "stop")


# --- values and regrets ------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", SMALLEST)
def test_every_family_is_followed(env_id: str) -> None:
    base = baselines.solve(env_id, scenario=SMALLEST[env_id])
    name, low, high = next(money_fields(base.scenario))
    found = baselines.sensitivity(
        env_id, {name: (low, high, 4)}, "random", scenario=SMALLEST[env_id]
    )
    variations = Variations(base.scenario, {name: (low, high, 4)})
    for value, optimal, regret, drawn in zip(
        found.fields[0].values,
        found.values,
        found.regret("optimum"),
        found.regret("random", "redesigned"),
        strict=True,
    ):
        scenario = variations.at(value)
        assert optimal == baselines.solve(env_id, scenario=scenario).value
        assert regret >= -found.resolution
        reference = baselines.reference_policies(env_id, scenario=scenario)["random"]
        assert drawn == baselines.score(env_id, reference, scenario=scenario).regret
    # The same distribution over the same actions, wherever it was made.
    assert found.regret("random") == pytest.approx(found.regret("random", "redesigned"))
    assert found.fields[0].values[2] == pytest.approx(found.fields[0].base)
    assert found.regret("optimum")[2] == pytest.approx(0.0, abs=2 * found.resolution)
    assert found.base_value == base.value == pytest.approx(found.values[2])
    assert max(map(len, found.text().splitlines())) <= 80


def money_fields(record: Any) -> Iterator[tuple[str, float, float]]:
    """Yield the dotted name of each field of money of a scenario, and ends around its value."""

    def names(fields: Any, prefix: str) -> Iterator[str]:
        for name, value in fields.items():
            if isinstance(value, dict):
                yield from names(value, f"{prefix}{name}.")
            elif find_field(record, prefix + name)[1] == MONEY and value:
                yield prefix + name

    for name in names(record.model_dump(mode="json"), ""):
        value = find_field(record, name)[0]
        yield name, 0.5 * value, 1.5 * value


@pytest.mark.parametrize("env_id", SMALLEST)
def test_money_is_linear_in_what_a_plan_earns(env_id: str) -> None:
    """Which is what proves that no change is hidden between two points."""
    base = baselines.solve(env_id, scenario=SMALLEST[env_id])
    count = 0
    for name, low, high in money_fields(base.scenario):
        variations = Variations(base.scenario, {name: (low, high, 2)})
        assert variations.fields[0].is_money
        worth = []
        for value in variations.fields[0].values:
            scenario = variations.at(value)
            optimum = baselines.solve(env_id, scenario=scenario)
            kept = optimum.carried(base.policy)
            worth.append(baselines.score(env_id, kept, scenario=scenario).value)
        assert worth[1] == pytest.approx((worth[0] + worth[2]) / 2, rel=1e-6, abs=1e-9), name
        count += 1
    assert count > 0


@pytest.mark.parametrize(
    ("env_id", "scenario", "fields"),
    [
        (SAMPLING, SMALL_LOT, {"inspection_cost": (0.5, 6.0, 3)}),
        (ASSEMBLY, "cumcm-5", {"nodes.product.inspection_cost": (0.5, 12.0, 3)}),
        (CONTROL, "two-suppliers", {"changeover_cost": (0.0, 6.0, 3)}),
    ],
)
def test_nothing_is_hidden_that_gains_more_than_is_proved(
    env_id: str, scenario: Any, fields: Any
) -> None:
    found = baselines.sensitivity(env_id, fields, scenario=scenario)
    variations = Variations(baselines.solve(env_id, scenario=scenario).scenario, fields)
    (field,) = variations.fields
    marks = sorted({*field.values, *(one.value for one in found.changes or ())})
    homes = [*marks, *((a + b) / 2 for a, b in pairwise(marks))]
    plans = [baselines.solve(env_id, scenario=variations.at(home)).policy for home in homes]
    worst = 0.0
    for value in np.linspace(field.values[0], field.values[-1], 41).tolist():
        here = variations.at(value)
        optimum = baselines.solve(env_id, scenario=here)
        kept = (optimum.carried(plan) for plan in plans)
        worst = max(
            worst, min(baselines.score(env_id, plan, scenario=here).regret for plan in kept)
        )
    assert worst <= found.hidden + found.resolution
    assert found.hidden < 0.2 * abs(found.base_value)


def test_a_fixed_plan_does_the_same_after_the_same_results() -> None:
    """In sampling the counts: its table is that of the base, whatever the rates."""
    found = baselines.sensitivity(
        SAMPLING, {"prior.good": (0.05, 0.3, 5)}, "sprt", scenario=SMALL_LOT
    )
    base = baselines.solve(SAMPLING, scenario=SMALL_LOT)
    sprt = baselines.reference_policies(SAMPLING, scenario=SMALL_LOT)["sprt"]
    for value, plan, test in zip(
        found.fields[0].values, found.regret("optimum"), found.regret("sprt"), strict=True
    ):
        scenario = changed(SMALL_LOT)
        scenario["prior"]["good"] = value
        here = baselines.model(SAMPLING, scenario=scenario)
        for regret, policy in ((plan, base.policy), (test, sprt)):
            same = baselines.TabularPolicy.of(here, policy.probabilities)  # type: ignore[attr-defined]
            assert regret == baselines.score(SAMPLING, same, scenario=scenario).regret
    assert found.regret("optimum")[1] == pytest.approx(0.0, abs=found.resolution)
    assert np.all(found.regret("optimum") >= -found.resolution)
    assert found.regret("sprt")[0] != found.regret("sprt", "redesigned")[0]


def test_a_plan_is_carried_where_results_cannot_come() -> None:
    """At a rate of 0 a part that is inspected is never bad; the plan knows the rest of the states."""
    found = baselines.sensitivity(
        ASSEMBLY, {"nodes.part_1.defect_rate": (0.0, 0.2, 2)}, scenario="cumcm-1"
    )
    # The base's plan inspects part_1: what that costs, twice as often as a product is bad in the making.
    assert np.isfinite(found.regret("optimum")).all()
    assert found.regret("optimum")[0] > 0.0 == pytest.approx(found.regret("optimum")[1], abs=1e-9)


def test_states_are_matched_by_what_was_done_and_seen() -> None:
    small = baselines.model(SAMPLING, scenario=changed(SMALL_LOT, max_samples=4))
    large = baselines.model(SAMPLING, scenario=SMALL_LOT)
    rows = counterparts(large, small)
    for row, other in enumerate(rows.tolist()):
        here = large.states[row]
        assert (other >= 0) == (here["n"] <= 4)
        if other >= 0:
            assert (here["n"], here["d"]) == tuple(small.states[other][["n", "d"]].tolist())
    # Days, levels and stages, numbered in another order.
    few = baselines.model(CONTROL, scenario="two-suppliers")
    fields = few.scenario.model_dump(mode="json")
    more = baselines.model(CONTROL, scenario={**fields, "max_stages": fields["max_stages"] + 1})
    names = ["day", "level", "stages"]
    rows = counterparts(few, more)
    reached = np.flatnonzero(rows >= 0)
    assert len(reached) > few.num_states / 2
    assert np.array_equal(few.states[reached][names], more.states[rows[reached]][names])
    # The joint posterior of an assembly is part of its key, and moves with the rates.
    one = baselines.model(ASSEMBLY, scenario="cumcm-5-discard")
    fields = one.scenario.model_dump(mode="json")
    fields["nodes"]["part_1"]["defect_rate"] = 0.123
    other_model = baselines.model(ASSEMBLY, scenario=fields)
    rows = counterparts(one, other_model)
    known = rows >= 0
    assert known.all()
    assert len(np.unique(rows)) == one.num_states
    for name in ("status", "failures", "asked"):
        assert np.array_equal(one.states[name], other_model.states[rows][name])


def test_a_plan_that_cannot_be_kept_is_left_out_and_says_why() -> None:
    found = baselines.sensitivity(PLANT, {"max_stages": (1, 3, 2)}, "stages_3", scenario=TIRED)
    fixed, redesigned = found.regrets[1:]
    assert np.isnan(fixed.values).tolist() == [True, True, False]
    assert "does not say what to do" in fixed.reason
    assert np.isnan(redesigned.values).tolist() == [True, True, False]
    assert "not at every point" in found.text()
    assert json.loads(found.json())["regrets"][1]["values"][0] is None
    assert next(csv.DictReader(io.StringIO(found.csv())))["regret of stages_3, fixed"] == ""
    lots = baselines.sensitivity(LOT, {"demand": (8, 12, 2)}, scenario="table-16")
    assert np.isnan(lots.regret("optimum")).tolist() == [True, False, True]
    assert "made for demand = 10" in lots.regrets[0].reason


def test_a_field_that_the_base_leaves_open() -> None:
    found = baselines.sensitivity(SAMPLING, {"lot_size": (20, 40, 1)}, scenario=SMALL_LOT)
    assert found.fields[0].base is None
    assert "Base: lot_size = –" in found.text()
    assert found.values.tolist() == [
        baselines.solve(SAMPLING, scenario=changed(SMALL_LOT, lot_size=size)).value
        for size in (20, 40)
    ]
    assert np.all(found.regret("optimum") >= -found.resolution)
    assert found.figure().axes


# --- policies -----------------------------------------------------------------------------------


def test_a_policy_answers_what_each_point_shows() -> None:
    def careful(observations: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.where(observations[:, 2] < 0.2, 1, np.where(observations[:, 2] > 0.8, 2, 0))

    found = baselines.sensitivity(
        SAMPLING, {"prior.bad": (0.3, 0.6, 2)}, careful, scenario=SMALL_LOT
    )
    for value, regret in zip(
        found.fields[0].values, found.regret("policy", "as it sees"), strict=True
    ):
        scenario = changed(SMALL_LOT)
        scenario["prior"]["bad"] = value
        assert regret == baselines.score(SAMPLING, careful, scenario=scenario).regret


def test_an_agent_of_a_range_sees_where_it_is() -> None:
    """The observation tells the cost, scaled over the range that the environment draws from."""
    seen = set()

    def policy(observations: NDArray[np.float32]) -> NDArray[np.int64]:
        seen.update(np.unique(observations[:, -1]).tolist())
        return np.ones(len(observations), np.int64)

    env = gym.make(SAMPLING, scenario=changed(SMALL_LOT, inspection_cost={"low": 1.0, "high": 3.0}))
    env.reset(seed=0)
    found = baselines.sensitivity(env, {"inspection_cost": (1.0, 4.0, 3)}, policy)
    assert {0.0, 0.5, 1.0, 1.5} <= seen
    assert np.isfinite(found.regret("policy", "as it sees")).all()


class Remembering:
    """Accepts after three items, counting by itself."""

    def predict(  # type: ignore[no-untyped-def]
        self, observation, state=None, episode_start=None, deterministic=True
    ):
        count = np.zeros(len(observation), np.int64) if state is None else state
        count = np.where(episode_start, 0, count) if episode_start is not None else count
        return np.where(count < 3, 0, 1), count + 1


def test_a_policy_with_memory_is_simulated() -> None:
    found = baselines.sensitivity(
        SAMPLING,
        {"inspection_cost": (0.5, 1.5, 1)},
        {"three": Remembering(), "uniform": "random"},
        scenario=SMALL_LOT,
        episodes=2_000,
        seed=3,
    )
    (three,) = [one for one in found.regrets if one.name == "three"]
    assert np.all(three.stderrs > 0.0)
    assert [one.label for one in found.regrets] == [
        "optimum, fixed",
        "three, as it sees",
        "uniform, fixed",
        "uniform, redesigned",
    ]
    w = 0.5  # of the lots are bad
    exact = [-(3 * cost + w * 60.0) for cost in (0.5, 1.5)]
    lost = found.values - np.array(exact)
    assert np.all(np.abs(three.values - lost) < 4 * three.stderrs)
    assert "standard error of three, as it sees" in found.columns


# --- forms ---------------------------------------------------------------------------------------


def test_the_forms_say_the_same() -> None:
    found = baselines.sensitivity(
        SAMPLING, {"inspection_cost": (0.5, 3.5, 3)}, "sprt", scenario=SMALL_LOT
    )
    assert found.changes
    rows = list(csv.DictReader(io.StringIO(found.csv())))
    points = [row for row in rows if not row["change"]]
    assert [float(row["inspection_cost"]) for row in points] == [0.5, 1.5, 2.5, 3.5]
    assert [float(row["optimal value"]) for row in points] == found.values.tolist()
    assert [float(row["regret of sprt, fixed"]) for row in points] == found.regret("sprt").tolist()
    told = [row for row in rows if row["change"]]
    assert [float(row["inspection_cost"]) for row in told] == [one.value for one in found.changes]
    assert sorted(float(row["inspection_cost"]) for row in rows) == [
        float(row["inspection_cost"]) for row in rows
    ]
    content = json.loads(found.json())
    assert content["optimal_values"] == found.values.tolist()
    assert [one["value"] for one in content["changes"]] == [one.value for one in found.changes]
    assert content["verdict"] == found.verdict
    assert content["fields"][0]["unit"] == "money"
    text = found.text()
    assert max(map(len, text.splitlines())) <= 80
    assert found.changes[0].state in " ".join(text.split())
    with pytest.raises(KeyError, match="sprt, redesigned"):
        found.regret("sprt", "as it sees")


def test_pictures_have_units_on_their_axes() -> None:
    found = baselines.sensitivity(
        SAMPLING, {"inspection_cost": (0.5, 3.5, 3)}, "sprt", scenario=SMALL_LOT
    )
    above, below = found.figure().axes
    assert below.get_xlabel() == "inspection_cost (money)"
    assert above.get_ylabel() == "optimal value (money in an episode)"
    assert below.get_ylabel() == "regret (money in an episode)"
    legend = below.get_legend()
    assert legend is not None
    assert "sprt, redesigned" in [text.get_text() for text in legend.get_texts()]


def test_two_fields_make_a_map() -> None:
    fields = {"miss": (0.0, 0.3, 3), "false_alarm": (0.0, 0.2, 2)}
    found = baselines.sensitivity(PLANT, fields, scenario=TIRED)
    assert found.values.shape == found.regret("optimum").shape == (4, 3)
    for (i, miss), (j, false_alarm) in [((3, 0.3), (1, 0.1)), ((0, 0.0), (2, 0.2))]:
        scenario = changed(TIRED, miss=miss, false_alarm=false_alarm)
        assert found.values[i, j] == baselines.solve(PLANT, scenario=scenario).value
    assert found.changes is None
    assert repr(found) == "Sensitivity('qc_gym/KStage-v0', miss × false_alarm: 12 points)"
    assert len(list(csv.reader(io.StringIO(found.csv())))) == 1 + 12
    assert max(map(len, found.text().splitlines())) <= 80
    first, *_ = found.figure().axes
    assert first.get_xlabel() == "miss (share)"
    assert first.get_ylabel() == "false_alarm (share)"
    assert json.loads(found.json())["changes"] is None


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prior.good": (0.1, 1.2, 4)}, r"good"),
        ({"mis": (0.0, 0.1, 2)}, r"unknown field 'mis'"),
        ({"inspection_cost": (-1.0, 1.0, 2)}, r"inspection_cost = -1"),
        ({"inspection_cost": (1.0, 1.0, 2)}, r"low < high"),
        ({"inspection_cost": (0.0, math.inf, 2)}, r"low < high"),
        ({"inspection_cost": (0.0, 1.0)}, r"\(low, high, steps\)"),
        ({"inspection_cost": ("a", 1.0, 2)}, r"\(low, high, steps\)"),
        ({"max_samples": (2, 7, 2)}, r"max_samples = 4.5"),
        ({"prior": (0.0, 1.0, 2)}, r"prior = 0"),
        ({"prior.good.more": (0.0, 1.0, 2)}, r"prior.good = 0.1: has no parts"),
        ({}, r"one or two"),
        ({"inspection_cost": (0.0, 1.0, 200), "accept_bad_cost": (1.0, 2.0, 100)}, r"20,301"),
        ({"inspection_cost": (1.0, 1.0 + 1e-15, 200)}, r"not told apart"),
    ],
)
def test_what_cannot_be_varied_is_refused_by_name(fields: Any, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        baselines.sensitivity(SAMPLING, fields, scenario=SMALL_LOT)


def test_other_nonsense_is_refused() -> None:
    fields = {"inspection_cost": (0.5, 1.0, 1)}
    with pytest.raises(ValueError, match="steps of inspection_cost = 0"):
        baselines.sensitivity(SAMPLING, {"inspection_cost": (0.5, 1.0, 0)}, scenario=SMALL_LOT)
    with pytest.raises(ValueError, match=r"sprtt.*did you mean 'sprt'"):
        baselines.sensitivity(SAMPLING, fields, "sprtt", scenario=SMALL_LOT)
    with pytest.raises(ValueError, match="name of the base's optimal plan"):
        baselines.sensitivity(SAMPLING, fields, {"optimum": "sprt"}, scenario=SMALL_LOT)
    with pytest.raises(ValueError, match="least = 0"):
        baselines.sensitivity(SAMPLING, fields, scenario=SMALL_LOT, least=0)
    with pytest.raises(TypeError, match="no policy"):
        baselines.sensitivity(SAMPLING, fields, 3, scenario=SMALL_LOT)
    with pytest.raises(TypeError, match="behind its wrappers"):
        baselines.sensitivity(wrappers.TimeLimit(gym.make(SAMPLING), 2), fields)
    limited = wrappers.TimeLimit(gym.make(SAMPLING, scenario=SMALL_LOT), 9)
    with pytest.raises(TypeError, match="limit of 9 steps"):
        baselines.sensitivity(limited, {"max_samples": (8, 9, 1)})


def test_every_family_is_registered_here() -> None:
    assert set(SMALLEST) == set(qc_gym.ENVIRONMENTS)
