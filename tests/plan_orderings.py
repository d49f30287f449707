"""The plans tuned to the money, held to the optimum and to what they must not lose against.

    PYTHONPATH=. python tests/plan_orderings.py --scenarios 200 --seed 0

checks every preset and as many random scenarios, and prints how close each comes; `test_practice.py`
checks a few of them.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

import baselines
from baselines.sampling import SamplingOptimum, SinglePlan, sprt_policy
from baselines.sampling.model import build_model
from baselines.sampling.reference import design_rates
from qc_gym.sampling.scenario import SequentialSamplingScenario

RISKS = (0.001, 0.01, 0.05, 0.1, 0.2, 0.35)
"""Producer's and consumer's risks of Wald's lines, every pair."""
EXHAUSTIVE = 25
"""Most samples of which every (n, c) is evaluated as a policy."""


def check(fields: Any, seed: int = 0, drawn: int = 100) -> dict[str, float]:
    """Assert the orderings of a scenario's plans; return the regrets, in money."""
    scenario = SequentialSamplingScenario.parse(fields)
    assert isinstance(scenario, SequentialSamplingScenario)
    tables = build_model(scenario)
    optimum = SamplingOptimum.of(tables)
    values = {
        name: baselines.evaluate(tables, policy.probabilities).value
        for name, policy in optimum.references().items()
    }
    slack = 1e-12 * (optimum.stakes + max(map(abs, values.values())))
    for name, value in values.items():
        assert value <= optimum.value + slack, name
    assert values["best_curtailed"] >= values["best_single"] - slack
    assert values["best_double"] >= values["best_single"] - slack
    for name in ("single_normal", "single_precision", "single_power", "single_exact"):
        assert values["best_single"] >= values.get(name, -np.inf) - slack, name
    wald = best_wald(tables, seed, drawn)
    assert values["best_sprt"] >= wald - slack, (values["best_sprt"], wald)
    if scenario.max_samples <= EXHAUSTIVE:
        for curtailed, name in ((False, "best_single"), (True, "best_curtailed")):
            assert abs(values[name] - best_of_all_singles(tables, curtailed)) <= slack, name
    regrets = {name: optimum.value - value for name, value in values.items()}
    return regrets | {"best of Wald's": optimum.value - wald}


def best_wald(tables: Any, seed: int, drawn: int) -> float:
    """Return the value of the best of Wald's lines, for the grid of risks and some drawn beside it."""
    good, bad = (tables.scenario.judged(rate) for rate in design_rates(tables.scenario))
    if not 0.0 < good < bad < 1.0:
        return -np.inf
    beside = np.random.default_rng(seed).uniform(0.0, 0.5, (drawn, 2))
    pairs = [*((alpha, beta) for alpha in RISKS for beta in RISKS), *map(tuple, beside.tolist())]
    tests = (sprt_policy(tables, good, bad, *pair) for pair in pairs)
    return max(baselines.evaluate(tables, one.probabilities).value for one in tests)


def best_of_all_singles(tables: Any, curtailed: bool) -> float:
    """Return the value of the best single plan: every one played as a policy."""
    return max(
        baselines.evaluate(tables, SinglePlan(n, c, curtailed).on(tables).probabilities).value
        for n in range(1, tables.scenario.max_samples + 1)
        for c in range(n)
    )


def draw(generator: np.random.Generator, largest: int = 300) -> dict[str, Any]:
    """Draw the fields of a scenario: either prior, either loss, any lot, inspectors that may err."""

    def spread(low: float, high: float) -> float:
        return float(np.exp(generator.uniform(np.log(low), np.log(high))))

    most = round(spread(1, largest))
    fields: dict[str, Any] = {
        "inspection_cost": spread(0.02, 5.0),
        "accept_bad_cost": spread(20.0, 2000.0),
        "reject_good_cost": spread(20.0, 2000.0),
        "max_samples": most,
    }
    if generator.random() < 0.3:
        fields |= {"false_alarm": spread(1e-3, 0.1), "miss": spread(1e-2, 0.3)}
    if generator.random() < 0.5:
        fields["lot_size"] = max(most, 40) + int(generator.integers(0, 500))
    if generator.random() < 0.5:
        good = spread(0.03 if "lot_size" in fields else 0.004, 0.2)
        bad = min(good * spread(2.0, 8.0), 0.9)
        prob_bad = float(generator.uniform(0.02, 0.9))
        return {
            **fields,
            "prior": {"kind": "two_point", "good": good, "bad": bad, "prob_bad": prob_bad},
        }
    a, b = spread(0.5, 8.0), spread(2.0, 200.0)
    limit = min(a / (a + b) * spread(0.5, 2.0), 0.9)
    if generator.random() < 0.5:
        fields |= {
            "loss": "linear",
            "accept_bad_cost": spread(200.0, 2e4),
            "reject_good_cost": spread(200.0, 2e4),
        }
    return {**fields, "prior": {"kind": "beta", "a": a, "b": b, "limit": limit}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scenarios", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    generator = np.random.default_rng(asked.seed)
    known: list[Any] = list(SequentialSamplingScenario.presets)
    drawn = [draw(generator) for _ in range(asked.scenarios)]
    began, failed, least, gained = time.perf_counter(), 0, np.inf, 0.0
    for i, fields in enumerate([*known, *drawn]):
        try:
            regrets = check(fields, seed=i)
        except AssertionError as error:
            failed += 1
            print(f"FAILED: {fields}: {error}")
            continue
        least = min(least, *regrets.values())
        gained = max(gained, regrets["best of Wald's"] - regrets["best_sprt"])
        if not isinstance(fields, Mapping):
            print(fields, {name: round(regret, 4) for name, regret in regrets.items()})
    print(
        f"{len(known)} presets and {len(drawn)} random scenarios, {failed} failed, in "
        f"{time.perf_counter() - began:.0f} s; least regret {least:.2e}; best_sprt saves up to "
        f"{gained:.4f} against the best of Wald's lines"
    )
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
