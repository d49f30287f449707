"""The policies of a plant that decides once, and their words."""

from __future__ import annotations

from functools import partial

from baselines.core.model import ScenarioT_co, TabularModel
from baselines.core.policy import constant_policy
from baselines.core.references import Reference


def designs(tables: TabularModel[ScenarioT_co]) -> dict[str, Reference]:
    """Return ``stages_0``, ``stages_1``, …: every number of stages that may be run."""
    return {
        f"stages_{stages}": Reference(
            f"runs {in_words(stages)}",
            partial(lambda stages: (constant_policy(tables, stages), {"K": stages}), stages),
        )
        for stages in range(tables.num_actions)
    }


def in_words(stages: int) -> str:
    """Return a number of stages in words."""
    return f"{stages} stage{'s' * (stages != 1)}"
