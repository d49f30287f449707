"""The policies that a plant would use, on the belief states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from baselines.assembly.model import AssemblyModel, AssemblyPolicy
from baselines.assembly.static import StaticPolicy
from baselines.assembly.static_search import (
    always_inspect,
    best_static,
    myopic_actions,
    never_inspect,
    static_actions,
)
from baselines.core.policy import TabularPolicy
from baselines.core.references import NoPlanError, Reference
from qc_gym.assembly.scenario import AssemblyScenario


def designs(tables: AssemblyModel) -> dict[str, Reference]:
    """Return ``myopic``, ``best_static``, ``never_inspect`` and ``always_inspect``.

    A static policy is left out where the belief does not tell new items from recovered ones, so that
    it is no table; :func:`evaluate_static` values it all the same.
    """
    Designed = tuple[AssemblyPolicy, Mapping[str, Any]]

    def static(find: Callable[[AssemblyScenario], StaticPolicy]) -> Callable[[], Designed]:
        def design() -> Designed:
            found = find(tables.scenario)
            try:
                actions = static_actions(tables.scenario, found, tables)
            except ValueError as error:
                raise NoPlanError(str(error)) from error
            return TabularPolicy.of(tables, actions), {"value": found.value}

        return design

    return {
        "myopic": Reference(
            "the answer that costs least if all that follows is left as it is",
            lambda: (TabularPolicy.of(tables, myopic_actions(tables)), {}),
        ),
        "best_static": Reference(
            "the best fixed plan: which new items to inspect, which assemblies to dismantle",
            static(best_static),
        ),
        "never_inspect": Reference("uses and ships everything untested", static(never_inspect)),
        "always_inspect": Reference("inspects everything", static(always_inspect)),
    }
