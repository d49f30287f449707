"""What a page to explore holds: the optimum's own numbers, whole, and nothing of another."""

import json
import math
import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from strategies import SMALL_LOT
from stub_policies import always

import baselines
import qc_gym
from baselines.core import exploration
from baselines.lot import exploration as lot_exploration
from qc_gym.assembly.scenario import AssemblyScenario

TABLES = [one for one in qc_gym.ENVIRONMENTS if one != "qc_gym/InspectOrStop-v0"]
SMALL: dict[str, Any] = {
    "qc_gym/SequentialSampling-v0": SMALL_LOT,
    "qc_gym/PilotRun-v0": "initial-samples",
    "qc_gym/KStageControl-v0": "two-suppliers",
}
LOT = "qc_gym/InspectOrStop-v0"
PRODUCED = {
    "demand": 3,
    "max_lot_size": 6,
    "yield_in": 0.9,
    "yield_out": 0.2,
    "shift": {"kind": "geometric", "hazard": 0.1},
    "inspection_cost": 1.0,
    "shortage_cost": 6.0,
    "unit_cost": 1.0,
    "setup_cost": 2.0,
}


def pairs(flat: list[float]) -> list[tuple[float, int]]:
    return [(flat[i], int(flat[i + 1])) for i in range(0, len(flat), 2)]


@pytest.mark.parametrize("observation", ["belief", "outcome"])
@pytest.mark.parametrize("env_id", TABLES)
def test_the_data_are_the_optimum(env_id: str, observation: str) -> None:
    problem = {"scenario": SMALL.get(env_id), "observation": observation}
    data = baselines.explore(env_id, **problem).data
    optimum, model = baselines.solve(env_id, **problem), baselines.model(env_id, **problem)
    assert isinstance(optimum, baselines.TabularOptimum)
    count = len(data["states"])
    assert count == data["all"] == model.num_states
    assert data["states"] == [optimum.describe_state(row) for row in range(count)]
    assert data["values"] == optimum.solution.values.tolist()
    for row in range(count):
        loses = [data["gaps"][row][a] for a in np.flatnonzero(model.allowed[row])]
        assert loses == optimum.solution.gaps()[row][model.allowed[row]].tolist()
        best = data["best"][row]
        assert data["allowed"][row][best]
        # Of what may follow, the reward and the values the optimality equation makes the value again.
        for action in np.flatnonzero(data["allowed"][row]):
            after = pairs(data["next"][row][action])
            assert math.fsum(chance for chance, _ in after) <= 1 + 1e-12
            earned = data["rewards"][row][action] + sum(p * data["values"][s] for p, s in after)
            assert earned + data["gaps"][row][action] == pytest.approx(
                data["values"][row], rel=1e-9, abs=1e-9
            )
            word = data["words"][data["actions"][row][action]]
            assert word == optimum.describe_action(row, int(action))
        assert data["gaps"][row][best] <= data["resolution"]
    assert sum(p * data["values"][s] for p, s in pairs(data["start"])) == pytest.approx(
        optimum.value
    )


def test_beliefs_and_counts_are_those_of_the_state() -> None:
    """After 3 items, one of them bad, at rates .1 and .3: by Bayes' rule."""
    data = baselines.explore(
        "qc_gym/SequentialSampling-v0",
        scenario={
            **SMALL_LOT,
            "prior": {"kind": "two_point", "good": 0.1, "bad": 0.3, "prob_bad": 0.4},
        },
    ).data
    counts = list(zip(data["coordinates"]["n"], data["coordinates"]["d"], strict=True))
    state = counts.index((3, 1))
    assert data["states"][state] == "n = 3 inspected, d = 1 defective"
    good, bad = 0.6 * 0.1 * 0.9**2, 0.4 * 0.3 * 0.7**2
    believed = {name: column[state] for name, column in data["beliefs"].items()}
    is_bad = bad / (good + bad)
    assert believed == {
        "P(the lot is bad)": pytest.approx(is_bad, abs=1e-6),
        "P(the next item is defective)": pytest.approx(0.1 + 0.2 * is_bad, abs=1e-6),
    }
    after = {place: chance for chance, place in pairs(data["next"][state][0])}
    assert after[counts.index((4, 2))] == pytest.approx(0.1 + 0.2 * is_bad)


def test_an_item_that_is_not_there_is_not_believed_of() -> None:
    data = baselines.explore("qc_gym/Assembly-v0", scenario="cumcm-1").data
    start = pairs(data["start"])[0][1]
    first, *others = [column[start] for column in data["beliefs"].values()]
    assert first == pytest.approx(0.1)
    assert others == [None, None]


def test_what_is_rare_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """90 cells are 30 states of 66, which have nearly all that optimal play comes to."""
    monkeypatch.setattr(exploration, "MAX_CELLS", 90)
    env_id, scenario = "qc_gym/SequentialSampling-v0", {**SMALL_LOT, "max_samples": 10}
    whole = baselines.solve(env_id, scenario=scenario)
    page = baselines.explore(env_id, scenario=scenario)
    data = page.data
    assert isinstance(whole, baselines.TabularOptimum)
    assert (len(data["states"]), data["all"]) == (30, 66)
    assert page.notes == ("This page holds the 30 states of 66 that play comes to most.",)
    rows = {whole.describe_state(row): row for row in range(66)}
    kept = [rows[words] for words in data["states"]]
    visits = whole.evaluation.occupancy
    assert visits[kept].sum() == pytest.approx(visits.sum(), rel=0.05)
    places = {place for state in data["next"] for after in state for _, place in pairs(after)}
    assert -1 in places
    assert places <= {-1, *range(30)}
    assert data["values"] == whole.solution.values[kept].tolist()


def test_a_policy_is_told_beside_it() -> None:
    env = gym.make("qc_gym/Assembly-v0", scenario="cumcm-1")
    policy = always(1)
    page = baselines.explore(env, policy)
    assert page.data["agent"] == [[1.0, 1]] * len(page.data["states"])
    (fact,) = [fact for fact in page.facts if fact.name == "the agent loses of it"]
    assert fact.value == baselines.score(env, policy).regret
    random = baselines.explore(env, baselines.reference_policies(env)["random"])
    state = random.data["agent"][pairs(random.data["start"])[0][1]]
    assert pairs(state) == [(0.5, 0), (0.5, 1)]


@pytest.mark.parametrize("env_id", ["qc_gym/KStageControl-v0", LOT])
def test_a_policy_that_remembers_is_refused(env_id: str) -> None:
    class Counting:
        def predict(self, observation: Any, state: Any = None) -> tuple[Any, Any]:
            return np.zeros(len(observation), np.int64), (state or 0) + 1

    with pytest.raises(ValueError, match="Counting: it remembers"):
        baselines.explore(env_id, Counting(), scenario=SMALL.get(env_id))


# --- inspect or stop ----------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["table-16", "weibull-30-errors"])
def test_chords_are_within_the_tolerance(scenario: str) -> None:
    """At beliefs between the points, against the certified bounds themselves."""
    optimum: Any = baselines.solve(LOT, scenario=scenario)
    data = baselines.explore(LOT, scenario=scenario).data
    size = data["size"]
    rng = np.random.default_rng(0)
    stated = lot_exploration.TOLERANCE * optimum.scenario.shortage_cost * optimum.scenario.demand
    for n, table in enumerate(data["lots"][str(size)]):
        for d, flat in table.items():
            belief, cost = np.array(flat).reshape(-1, 2).T
            assert np.all(np.diff(belief) > 0)
            at = rng.uniform(belief[0], belief[-1], 20)
            ones = np.ones(20, np.int64)
            bounds = optimum.sizes.bracket(size).action_costs(n * ones, int(d) * ones, at)[:, 1]
            error = bounds.mean(axis=1) - np.interp(at, belief, cost)
            assert np.abs(error).max() <= stated + optimum.upper - optimum.lower


def test_production_is_told_unit_by_unit() -> None:
    optimum: Any = baselines.solve(LOT, scenario=PRODUCED)
    data = baselines.explore(LOT, scenario=PRODUCED).data
    assert list(data["lots"]) == ["1", "2", "3", "4", "5", "6"]
    told = data["production"]
    states = np.zeros(6, optimum.scenario.kernel.state_dtype)
    states["is_producing"], states["lot_size"] = True, np.arange(6)
    for action, name in enumerate(("end", "on")):
        losses = optimum.gaps(states, np.full(6, action))
        assert told[name][:6] == pytest.approx(losses.tolist(), abs=1e-12)
    assert told["end"].index(0.0) == optimum.best_size
    assert told["values"][0] == pytest.approx(optimum.value)
    costs = [told["values"][k] - told["values"][k + 1] for k in range(optimum.best_size)]
    assert costs == pytest.approx([-3.0, *[-1.0] * (optimum.best_size - 1)])  # set up, and made


def test_lots_that_no_page_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lot of 16 for a demand of 10: n units on, from max(10 - n, 1) to min(10, 16 - n) are wanted."""
    pairs = sum(min(10, 16 - n) - max(10 - n, 1) + 1 for n in range(16))
    monkeypatch.setattr(lot_exploration, "MAX_PAIRS", pairs)
    baselines.explore(LOT, scenario="table-16")
    monkeypatch.setattr(lot_exploration, "MAX_PAIRS", pairs - 1)
    with pytest.raises(ValueError, match=f"lot_size = 16, demand = 10: .* {pairs} pairs"):
        baselines.explore(LOT, scenario="table-16")
    monkeypatch.setattr(lot_exploration, "MAX_PAIRS", 5)
    with pytest.raises(ValueError, match=r"max_lot_size = 6, demand = 3: .*or give the lot_size"):
        baselines.explore(LOT, scenario=PRODUCED)


def test_a_rule_of_beliefs_and_one_of_results_are_told() -> None:
    env = gym.make(LOT, scenario="table-16")
    agent = baselines.explore(env, lambda rows: (rows[:, 2] >= 0.5).astype(int)).data["agent"]
    assert agent["size"] == 16
    changes = [one for row in agent["switches"] for each in row for one in each]
    assert changes
    assert changes == pytest.approx([0.5] * len(changes), abs=1e-5)
    env = gym.make(LOT, scenario="table-16", observation="outcome")
    agent = baselines.explore(env, lambda rows: (rows[:, 3] == 0.0).astype(int)).data["agent"]
    assert agent["results"][3][2] == [0.0, 0.0, 1.0]  # on after a conforming unit alone


# --- the page -----------------------------------------------------------------------------------


@pytest.mark.parametrize("env_id", [*SMALL, LOT])
def test_the_page_holds_the_data_and_loads_nothing(env_id: str) -> None:
    page = baselines.explore(env_id, scenario=SMALL.get(env_id, "table-16"))
    text = page.html()
    found = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    assert json.loads(found) == page.data
    assert not re.search(r"""(src|href)=|https?://|@import|url\(""", text)
    assert "default-src 'none'" in text
    assert text.count("<script") == text.count("</script>") == 2


def test_names_are_escaped() -> None:
    fields = AssemblyScenario.parse("single-part").model_dump(mode="json")
    hostile = json.loads(json.dumps(fields).replace('"part"', '"x</script><b>"'))
    page = baselines.explore("qc_gym/Assembly-v0", scenario=hostile)
    assert page.data["states"][0].count("x</script><b>") == 1
    text = page.html()
    assert "x</script>" not in text
    assert "<b>" not in text
    assert "x&lt;/script&gt;&lt;b&gt;" in text  # in the scenario
