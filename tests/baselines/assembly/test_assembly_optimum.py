"""The optimum of assembly trees: published values, the Bellman equation, simulation, words."""

import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from random_trees import random_tree
from scipy import optimize, sparse

import baselines
from baselines.assembly.model import build_model
from baselines.core.budget import StateBudgetError
from baselines.core.model import TabularModel
from qc_gym.assembly.scenario import AssemblyScenario

ID = "qc_gym/Assembly-v0"
# Expected profit of a delivered unit, from two implementations independent of this one.
KNOWN = {
    "cumcm-1": 18.9222,
    "cumcm-2": 12.0000,
    "cumcm-3": 16.6533,
    "cumcm-4": 14.7500,
    "cumcm-5": 15.4500,
    "cumcm-6": 21.6787,
    "cumcm-5-discard": 16.3858,
    "cumcm-8part": 60.2222,
}
# The same where recovered items may be thrown away untested.
KNOWN_DISCARDING = {
    "cumcm-1": 18.9222,
    "cumcm-2": 12.0000,
    "cumcm-3": 16.6533,
    "cumcm-4": 14.7500,
    "cumcm-5": 16.3858,
    "cumcm-6": 21.6787,
}


def parse(source: object) -> AssemblyScenario:
    scenario = AssemblyScenario.parse(source)
    assert isinstance(scenario, AssemblyScenario)
    return scenario


@pytest.mark.parametrize(("preset", "value"), KNOWN.items())
def test_known_optima(preset: str, value: float) -> None:
    solution = baselines.solve(gym.make(ID, scenario=preset))
    assert round(solution.value, 4) == value
    assert solution.certificate.bellman_residual <= 1e-9


@pytest.mark.parametrize(("preset", "value"), KNOWN_DISCARDING.items())
def test_known_optima_with_discarding(preset: str, value: float) -> None:
    fields = {**AssemblyScenario.presets[preset], "discard_recovered": True}
    env = gym.make(ID, scenario=fields)
    certificate = baselines.certify(env, episodes=1_000_000, seed=8)
    assert round(certificate.value, 4) == value
    assert certificate.bellman_residual <= 1e-9
    assert certificate.deviation is not None
    assert abs(certificate.deviation) < 4


def test_discarding_is_told_in_words() -> None:
    rows = baselines.plan(ID, scenario="cumcm-5-discard").rows
    assert "throw it away untested" in {row["do"] for row in rows}


@pytest.mark.parametrize("max_blind_failures", [0, 1])
def test_eight_parts_with_fewer_blind_failures(max_blind_failures: int) -> None:
    fields = {**AssemblyScenario.presets["cumcm-8part"], "max_blind_failures": max_blind_failures}
    assert round(baselines.solve(gym.make(ID, scenario=fields)).value, 4) == 60.2222


@pytest.mark.parametrize("preset", AssemblyScenario.presets)
def test_the_hidden_truth_earns_the_optimum(preset: str) -> None:
    certificate = baselines.certify(gym.make(ID, scenario=preset), episodes=1_000_000, seed=7)
    assert certificate.deviation is not None
    assert abs(certificate.deviation) < 4


@pytest.mark.parametrize("preset", ["cumcm-1", "cumcm-5", "gearbox"])
def test_outcomes_have_the_same_optimum_and_need_memory(preset: str) -> None:
    env = gym.make(ID, scenario=preset, observation="outcome")
    solution = baselines.solve(env)
    belief = baselines.solve(gym.make(ID, scenario=preset))
    assert solution.value == pytest.approx(belief.value, abs=1e-9)
    assert belief.model.is_observed
    assert not solution.model.is_observed


@pytest.mark.parametrize("preset", AssemblyScenario.presets)
def test_no_reference_policy_beats_the_optimum(preset: str) -> None:
    env = gym.make(ID, scenario=preset)
    for policy in baselines.reference_policies(env).values():
        assert baselines.score(env, policy).regret >= -1e-9


def test_a_product_of_one_sure_part_costs_what_it_costs() -> None:
    nodes = {
        "part": {"defect_rate": 0.0, "purchase_cost": 3.0, "inspection_cost": 1.0},
        "product": {
            "children": ["part"],
            "defect_rate": 0.0,
            "assembly_cost": 2.0,
            "inspection_cost": 1.0,
            "dismantle_cost": 1.0,
        },
    }
    env = gym.make(ID, scenario={"price": 10.0, "return_loss": 50.0, "nodes": nodes})
    assert baselines.solve(env).value == pytest.approx(10.0 - 3.0 - 2.0, abs=1e-12)


def test_a_single_unsure_part_is_bought_until_it_is_good() -> None:
    # Shipping untested: each bad one costs part, assembly and return; 1 / (1 − p) tries on average,
    # and dismantling costs more than everything.
    p, q = 0.15, 0.10
    nodes = {
        "part": {"defect_rate": p, "purchase_cost": 6.0, "inspection_cost": 1000.0},
        "product": {
            "children": ["part"],
            "defect_rate": q,
            "assembly_cost": 4.0,
            "inspection_cost": 1000.0,
            "dismantle_cost": 1000.0,
        },
    }
    env = gym.make(ID, scenario={"price": 30.0, "return_loss": 12.0, "nodes": nodes})
    good = (1 - p) * (1 - q)
    expected = 30.0 - (6.0 + 4.0) / good - 12.0 * (1 - good) / good
    assert baselines.solve(env).value == pytest.approx(expected, abs=1e-9)


def test_too_many_states_are_refused_with_the_count_and_a_way_out() -> None:
    with pytest.raises(StateBudgetError, match=r"10,000 belief states.*best_static"):
        build_model(parse("cumcm-8part"), max_states=10_000)


def test_states_too_large_for_memory_are_refused() -> None:
    """With a hundred blind failures a state holds as many likelihoods for each item."""
    fields = {
        **AssemblyScenario.presets["cumcm-5-discard"],
        "max_blind_failures": 100,
    }
    with pytest.raises(StateBudgetError, match=r"max_blind_failures = 100 .* bytes each"):
        build_model(parse(fields), max_states=2_000)
    states = build_model(parse("cumcm-5")).num_states
    assert build_model(parse("cumcm-5"), max_states=states).num_states == states
    for most in (1, states - 1):
        with pytest.raises(StateBudgetError, match=f"more than {most} belief states"):
            build_model(parse("cumcm-5"), max_states=most)
    with pytest.raises(ValueError, match="max_states = 0: a whole number of at least 1"):
        build_model(parse("cumcm-5"), max_states=0)


def test_a_rate_that_float64_cannot_follow_is_refused_by_its_name() -> None:
    fields = AssemblyScenario.presets["single-part"]
    nodes = {**fields["nodes"], "part": {**fields["nodes"]["part"], "defect_rate": 1 - 1e-13}}
    with pytest.raises(ValueError, match=r"^nodes\.part\.defect_rate = 0\.9999999999999, .*9e-14"):
        build_model(parse({**fields, "nodes": nodes}))


def test_a_failure_whose_only_cause_cannot_be_is_no_state() -> None:
    """Part 1 and the assembly itself are never bad: with the others found good, nothing can have failed."""
    rates_and_costs = [(0.0, 2.588), (0.147, 0.0), (0.139, 0.801)]
    nodes: dict[str, Any] = {
        f"part_{i}": {"defect_rate": rate, "purchase_cost": 0.0, "inspection_cost": cost}
        for i, (rate, cost) in enumerate(rates_and_costs, 1)
    }
    nodes["product"] = {
        "children": list(nodes),
        "defect_rate": 0.0,
        "assembly_cost": 2.52,
        "inspection_cost": 5.899,
        "dismantle_cost": 4.277,
    }
    env = gym.make(ID, scenario={"price": 88.722, "return_loss": 0.0, "nodes": nodes})
    assert np.isfinite(baselines.solve(env).model.rewards).all()
    assert baselines.score(env, baselines.solve(env).policy).regret == 0.0


@pytest.mark.parametrize("rate", [0.99, 0.9999, 0.999999, 0.999999999])
def test_a_product_that_seldom_succeeds(rate: float) -> None:
    """Values of 1e9 and up to 1e9 builds: the optimum still is what its policy is worth, to the rounding.

    With nothing worth inspecting the cheapest is to build again and ship: a closed form.
    """
    nodes = {
        "part": {"defect_rate": 0.0, "purchase_cost": 1.0, "inspection_cost": 1e6},
        "product": {
            "children": ["part"],
            "defect_rate": rate,
            "assembly_cost": 1.0,
            "inspection_cost": 1e6,
            "dismantle_cost": 1e6,
        },
    }
    env = gym.make(ID, scenario={"price": 1e9, "return_loss": 3.0, "nodes": nodes})
    builds = 1.0 / (1.0 - rate)
    expected = 1e9 - 2.0 * builds - 3.0 * (builds - 1.0)
    assert baselines.solve(env).value == pytest.approx(expected, abs=1e-14 * (1e9 + 5.0 * builds))
    for policy in baselines.reference_policies(env).values():
        score = baselines.score(env, policy)
        assert score.regret >= -1e-14 * (1e9 + 5.0 * builds)


def test_six_parts_that_are_seldom_good() -> None:
    nodes: dict[str, Any] = {
        f"part_{i}": {"defect_rate": 0.97, "purchase_cost": 1.0, "inspection_cost": 2.0}
        for i in range(6)
    }
    nodes["product"] = {
        "children": list(nodes),
        "defect_rate": 0.1,
        "assembly_cost": 3.0,
        "inspection_cost": 4.0,
        "dismantle_cost": 5.0,
    }
    fields = {
        "price": 1e3,
        "return_loss": 9.0,
        "nodes": nodes,
        "max_blind_failures": 1,
    }
    env = gym.make(ID, scenario=fields)
    solution = baselines.solve(env)
    assert baselines.score(env, solution.policy).regret == pytest.approx(0.0, abs=1e-9)
    for policy in baselines.reference_policies(env).values():
        assert baselines.score(env, policy).regret >= 0.0


def test_the_model_holds_what_the_environment_shows() -> None:
    tables: TabularModel = build_model(parse("gearbox"))
    env = gym.make(ID, scenario="gearbox")
    observation, info = env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(200):
        row = int(tables.rows_of(observation[None])[0])
        assert (tables.allowed[row] == info["action_mask"]).all()
        action = env.action_space.sample(info["action_mask"])
        observation, _, terminated, _, info = env.step(action)
        if terminated:
            observation, info = env.reset()


def test_the_plan_names_every_decision() -> None:
    plan = baselines.plan(ID, scenario="cumcm-3")
    facts = {fact.name: fact.value for fact in plan.facts}
    assert facts["profit of the best static policy"] == pytest.approx(16.5889, abs=5e-5)
    assert facts["worth of feedback"] == pytest.approx(0.0644, abs=5e-5)
    text = plan.text()
    for words in (
        "part_1",
        "part_2",
        "finished product",
        "dismantle it",
        "deliver it",
        "inspect it",
    ):
        assert words in text


@pytest.mark.parametrize("preset", AssemblyScenario.presets)
def test_steps_of_the_plan_lead_to_steps(preset: str) -> None:
    optimum = baselines.solve(ID, scenario=preset)
    assert isinstance(optimum, baselines.TabularOptimum)
    rows = baselines.plan(ID, scenario=preset).rows
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    named = {int(number) for row in rows for number in re.findall(r"→ (\d+)", row["then"])}
    assert named | {1} == set(range(1, len(rows) + 1))
    times = sum(row["times"] for row in rows)
    assert times == pytest.approx(optimum.evaluation.expected_length, rel=1e-9)


def shortest_path(model: TabularModel[Any]) -> float:
    """Return the optimum by the linear program: the least v with v(s) ≥ r(s, a) + Σ p v(s')."""
    states, actions = model.rewards.shape
    pairs = np.repeat(np.arange(states * actions), np.diff(model.first))
    shape = (states * actions, states)
    moves = sparse.csr_array((model.probabilities, (pairs, model.successors)), shape)
    stays = sparse.csr_array(sparse.kron(sparse.eye(states), np.ones((actions, 1))))
    allowed = model.allowed.ravel()
    found = optimize.linprog(
        np.ones(states),
        A_ub=(moves - stays)[allowed],
        b_ub=-model.rewards.ravel()[allowed],
        bounds=(None, None),
        method="highs",
    )
    assert found.success
    return float(found.x[model.initial_states] @ model.initial_probabilities)


TREES = {
    **{preset: preset for preset in [f"cumcm-{number}" for number in range(1, 7)]},
    **{f"seven {seed}": random_tree(seed, 7, seed % 3, discard=False) for seed in range(15)},
    **{f"three {seed}": random_tree(seed, 3, 2, discard=True) for seed in range(10)},
}


@pytest.mark.parametrize("name", TREES)
def test_the_linear_program_of_the_shortest_path_has_the_same_optimum(name: str) -> None:
    value = shortest_path(build_model(parse(TREES[name]), "belief"))
    solved = baselines.solve(ID, scenario=TREES[name]).value
    assert value == pytest.approx(solved, rel=1e-9, abs=1e-9)
