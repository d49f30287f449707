"""The policies that a plant would use, on the belief states."""

from __future__ import annotations

from baselines.assembly.static_search import (
    always_inspect,
    best_static,
    myopic_actions,
    never_inspect,
    static_actions,
)
from baselines.core.policy import TabularPolicy
from baselines.core.scoring import Solution
from qc_gym.assembly.scenario import AssemblyScenario


def reference_policies(solution: Solution) -> dict[str, TabularPolicy]:
    """Return ``myopic``, ``best_static``, ``never_inspect`` and ``always_inspect``.

    A static policy is left out where the belief does not tell new items from recovered ones, so that
    it is no table; :func:`evaluate_static` values it all the same.
    """
    tables = solution.model
    scenario = tables.scenario
    assert isinstance(scenario, AssemblyScenario)
    policies = {"myopic": TabularPolicy.of(tables, myopic_actions(tables))}
    for find in (best_static, never_inspect, always_inspect):
        try:
            actions = static_actions(scenario, find(scenario), tables)
        except ValueError:
            continue
        policies[find.__name__] = TabularPolicy.of(tables, actions)
    return policies
