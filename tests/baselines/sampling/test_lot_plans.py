"""Plans as a factory writes them down, and their curves, against sums over samples."""

import csv
import io
import itertools
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scipy.stats import hypergeom

import baselines
import qc_gym  # noqa: F401
from baselines.sampling import DoublePlan, LotPlan, SinglePlan, curves, read_plan
from baselines.sampling.model import build_model
from qc_gym.sampling.scenario import SequentialSamplingScenario

ID = "qc_gym/SequentialSampling-v0"
FACTORY = str(Path(__file__).parents[3] / "configs" / "scenarios" / "factory.yaml")
PLANS: list[LotPlan] = [
    SinglePlan(3, 1),
    SinglePlan(4, 0, curtailed=True),
    DoublePlan(2, 0, 2, 2, 1),
    DoublePlan(1, -1, 2, 3, 2),
    DoublePlan(3, 0, 1, 0, 0),
]
INSPECT, ACCEPT, REJECT = range(3)


def accepts(plan: LotPlan, results: tuple[int, ...]) -> bool:
    """Return what the words of a plan say of a whole sample, 1 for each defective item."""
    if isinstance(plan, SinglePlan):
        return sum(results[: plan.sample_size]) <= plan.acceptance_number
    assert isinstance(plan, DoublePlan)
    first = sum(results[: plan.first_size])
    if first <= plan.first_acceptance:
        return True
    if first >= plan.first_rejection:
        return False
    return sum(results[: plan.items]) <= plan.second_acceptance


def items(plan: LotPlan, results: tuple[int, ...]) -> int:
    """Return how many items a plan inspects of a sample."""
    if isinstance(plan, DoublePlan):
        first = sum(results[: plan.first_size])
        decided = first <= plan.first_acceptance or first >= plan.first_rejection
        return plan.first_size if decided else plan.items
    assert isinstance(plan, SinglePlan)
    if not plan.curtailed:
        return plan.sample_size
    rest = [
        {
            accepts(plan, results[:n] + more)
            for more in itertools.product((0, 1), repeat=plan.items - n)
        }
        for n in range(plan.items + 1)
    ]
    return next(n for n, decisions in enumerate(rest) if len(decisions) == 1)


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_a_plan_does_what_its_words_say(plan: LotPlan) -> None:
    preset = SequentialSamplingScenario.presets["lot-200"]
    scenario = SequentialSamplingScenario.parse({**preset, "max_samples": 5})
    assert isinstance(scenario, SequentialSamplingScenario)
    actions = plan.on(build_model(scenario)).actions
    for results in itertools.product((0, 1), repeat=5):
        n = d = 0
        while (action := actions[n * (n + 1) // 2 + d]) == INSPECT:
            d += results[n]
            n += 1
        assert (action == ACCEPT) == accepts(plan, results)
        assert n == items(plan, results)


@pytest.mark.parametrize("plan", [SinglePlan(30, 1), DoublePlan(20, 0, 3, 25, 3)], ids=str)
def test_a_plan_is_scored_like_any_policy(plan: LotPlan) -> None:
    belief, outcome = (
        gym.make(ID, scenario="lot-200", observation=o) for o in ("belief", "outcome")
    )
    score = baselines.score(belief, plan)
    assert score.exact
    assert score.regret > 0.0
    assert baselines.score(outcome, plan).value == pytest.approx(score.value, rel=1e-12)
    assert baselines.score(gym.make_vec(ID, num_envs=2, scenario="lot-200"), plan) == score
    assert sum(row.regret for row in baselines.disagreements(belief, plan, top=10_000)) == (
        pytest.approx(score.regret)
    )
    # By the two rates: items, bad lots accepted, good lots rejected.
    at = curves(belief, {"plan": plan}, [0.05, 0.15])["plan"].risks
    accepted, number = at.acceptance_probability, at.average_sample_number
    cost = 0.7 * (number[0] + 150 * (1 - accepted[0])) + 0.3 * (number[1] + 300 * accepted[1])
    assert -score.value == pytest.approx(cost, rel=1e-12)


def test_a_plan_in_a_range_is_that_of_the_scenario_drawn() -> None:
    preset = SequentialSamplingScenario.presets["lot-200"]
    env = gym.make(ID, scenario={**preset, "inspection_cost": {"low": 0.5, "high": 2.0}})
    values = set()
    for seed in range(3):
        env.reset(seed=seed)
        drawn = env.unwrapped.scenario.model_dump()  # type: ignore[attr-defined]
        value = baselines.score(env, SinglePlan(30, 1)).value
        assert value == baselines.score(ID, SinglePlan(30, 1), scenario=drawn).value
        values.add(value)
    assert len(values) == 3


def test_a_plan_is_kept_while_a_field_varies() -> None:
    """More items allowed are no reason to change it, fewer leave none."""
    costs = baselines.sensitivity(
        ID, {"inspection_cost": (0.5, 2.0, 3)}, SinglePlan(30, 1), scenario="lot-200"
    )
    preset = SequentialSamplingScenario.presets["lot-200"]
    for cost, regret in zip((0.5, 1.0, 1.5, 2.0), costs.regret("policy"), strict=True):
        scenario = {**preset, "inspection_cost": cost}
        expected = baselines.score(ID, SinglePlan(30, 1), scenario=scenario).regret
        assert regret == pytest.approx(expected, rel=1e-12)
    sizes = baselines.sensitivity(
        ID, {"max_samples": (20, 40, 2)}, {"own": SinglePlan(30, 1)}, scenario="lot-200"
    )
    assert np.isnan(sizes.regret("own")).tolist() == [True, False, False]


def test_a_plan_that_does_not_fit_is_refused() -> None:
    with pytest.raises(baselines.NoPlanError, match=r"n = 201, c = 3: .*at most max_samples = 200"):
        baselines.score(ID, SinglePlan(201, 3), scenario="lot-200")
    with pytest.raises(TypeError, match="SequentialSampling; the scenario is a KStage"):
        baselines.score("qc_gym/KStage-v0", SinglePlan(8, 1))
    with pytest.raises(TypeError, match="SequentialSampling environment"):
        curves("qc_gym/KStage-v0", {"plan": SinglePlan(8, 1)})


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("80,5", SinglePlan(80, 5)),
        (" 50, 1, 4, 50, 4", DoublePlan(50, 1, 4, 50, 4)),
        ("2,-1,1,3,0", DoublePlan(2, -1, 1, 3, 0)),
    ],
)
def test_plans_as_text(text: str, plan: LotPlan) -> None:
    assert read_plan(text) == plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("80", "n,c are needed"),
        ("80,5,3", "n,c are needed"),
        ("80;5", "n,c are needed"),
        ("80,5.5", "n,c are needed"),
        ("", "n,c are needed"),
        ("card.html", "n,c are needed"),
        ("5,5", "acceptance_number = 5"),
        ("0,0", "sample_size = 0"),
        ("0,0,1,1,0", "n1 = 0"),
        ("3,3,4,1,3", "c1 = 3: .* from -1 to 2"),
        ("3,-1,0,1,1", "r1 = 0: .* from 1 to 4"),
        ("3,1,1,1,1", "r1 = 1: .* from 2 to 4"),
        ("3,0,2,0,0", "n2 = 0: .* at least 1"),
        ("3,0,2,2,5", "c2 = 5: .* from 0 to 4"),
    ],
)
def test_text_that_is_no_plan(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        read_plan(text)
    assert f"plan = {text!r}: " in str(refused.value)


# --- curves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_curves_are_sums_over_all_samples(plan: LotPlan) -> None:
    """A lot of 12 with any number of defectives, and every order in which five of its items may come."""
    fields = {
        **SequentialSamplingScenario.presets["lot-200"],
        "prior": {"kind": "two_point", "good": 0.1, "bad": 0.5, "prob_bad": 0.3},
        "max_samples": 5,
        "lot_size": 12,
    }
    found = curves(ID, {"plan": plan}, np.arange(13) / 12, scenario=fields)["plan"]
    assert found.average_total_inspection is not None
    for defectives in range(13):
        chance, number, left, total = np.zeros(4)
        for results in itertools.product((0, 1), repeat=5):
            d = sum(results)
            # Of all samples with so many defectives, each order is as likely.
            weight = hypergeom.pmf(d, 12, defectives, 5) / len(
                [1 for other in itertools.product((0, 1), repeat=5) if sum(other) == d]
            )
            n = items(plan, results)
            number += weight * n
            if accepts(plan, results):
                chance += weight
                left += weight * (defectives - sum(results[:n]))
                total += weight * n
            else:
                total += weight * 12
        assert found.risks.acceptance_probability[defectives] == pytest.approx(chance, abs=1e-12)
        assert found.risks.average_sample_number[defectives] == pytest.approx(number)
        assert found.average_outgoing_quality[defectives] == pytest.approx(left / 12, abs=1e-12)
        assert found.average_total_inspection[defectives] == pytest.approx(total)


def test_curves_of_a_single_plan_have_their_closed_forms() -> None:
    found = curves(ID, {"80,2": SinglePlan(80, 2)}, scenario=FACTORY)["80,2"]
    defectives = np.rint(found.risks.p * 1000).astype(int)
    assert (defectives[0], defectives[-1]) == (0, 160)
    accepted = hypergeom.cdf(2, 1000, defectives, 80)
    seen = np.arange(3)[:, np.newaxis]
    left = ((defectives - seen) * hypergeom.pmf(seen, 1000, defectives, 80)).sum(axis=0)
    np.testing.assert_allclose(found.average_outgoing_quality, left / 1000, rtol=1e-9, atol=1e-15)
    assert found.average_total_inspection is not None
    np.testing.assert_allclose(
        found.average_total_inspection, 80 * accepted + 1000 * (1 - accepted), rtol=1e-9
    )


def test_curves_of_an_infinite_lot_have_no_total() -> None:
    names = {"plan": SinglePlan(20, 1), "optimum": baselines.solve(ID).policy}
    found = curves(ID, names)
    for one in found.values():
        assert one.average_total_inspection is None
        p, accepted = one.risks.p, one.risks.acceptance_probability
        np.testing.assert_array_equal(one.average_outgoing_quality, p * accepted)
    assert "–" in found.text()
    assert next(csv.DictReader(io.StringIO(found.csv())))["average_total_inspection"] == ""
    assert found.figure().get_axes()


def test_curves_as_text_csv_and_picture() -> None:
    policies: dict[str, Any] = {
        "80,2": SinglePlan(80, 2),
        "double": DoublePlan(50, 1, 4, 50, 4),
        "optimum": baselines.solve(ID, scenario=FACTORY).policy,
    }
    found = curves(ID, policies, scenario=FACTORY)
    lines = found.text().splitlines()
    assert max(map(len, lines)) <= 80
    for name in policies:
        assert any(line.startswith(f"{name}: ") for line in lines)
    assert "producer's risk 0.2108 at 2 %, consumer's risk 0.0349 at 8 %" in lines
    (row,) = [line.split() for line in lines[:30] if line.split()[:1] == ["8"]]
    rows = list(csv.DictReader(io.StringIO(found.csv())))
    assert len(rows) == 3 * 161
    (same,) = [one for one in rows if one["plan"] == "80,2" and float(one["p"]) == 0.08]
    assert row == [
        "8",
        f"{float(same['acceptance_probability']):.6f}",
        f"{float(same['average_sample_number']):.3f}",
        f"{100 * float(same['average_outgoing_quality']):.4f}",
        f"{float(same['average_total_inspection']):.3f}",
    ]
    titles = [ax.get_title().strip() for ax in found.figure().get_axes()]
    assert titles == [
        "Operating characteristic",
        "Average sample number",
        "Average outgoing quality",
        "Average total inspection",
    ]


def test_where_inspectors_err_there_is_no_outgoing_quality_and_a_total() -> None:
    """P(accept) and the total by hand: the judged defectives among two items of a lot of four."""
    fields = {
        "inspection_cost": 1.0,
        "accept_bad_cost": 50.0,
        "reject_good_cost": 20.0,
        "lot_size": 4,
        "max_samples": 2,
        "prior": {"kind": "two_point", "good": 0.25, "bad": 0.75, "prob_bad": 0.5},
        "false_alarm": 0.1,
        "miss": 0.2,
    }
    one = curves(ID, {"plan": SinglePlan(2, 1)}, np.array([0.5]), scenario=fields)["plan"]
    both = (1 * 0.8**2 + 4 * 0.8 * 0.1 + 1 * 0.1**2) / 6  # two of two judged defective
    assert one.risks.acceptance_probability == pytest.approx([1 - both])
    assert one.average_outgoing_quality is None
    assert one.average_total_inspection == pytest.approx([2 * (1 - both) + 4 * both])
    assert "–" in curves(ID, {"plan": SinglePlan(2, 1)}, scenario=fields).text()
    assert curves(ID, {"plan": SinglePlan(2, 1)}, scenario=fields).figure()
