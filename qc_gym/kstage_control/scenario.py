"""The parameters of a plant whose process wanders, and whose stages follow it day by day."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from qc_gym.core.fields import Money, Probability, Rate
from qc_gym.core.kernel import Kernel
from qc_gym.kstage.scenario import PlantScenario, filled
from qc_gym.kstage_control.dynamics import KERNEL, belief_size, outcome_size, scenario_dtype
from qc_gym.kstage_control.ranges import RANGES

Levels = Annotated[tuple[Rate, ...], Field(min_length=1, max_length=10, strict=False)]
Row = Annotated[tuple[Probability, ...], Field(strict=False)]
Rows = Annotated[tuple[Row, ...], Field(strict=False)]
MAX_SUCCESSIONS = 50_000_000
"""Most successions (day, level, K yesterday, K, next level) of a scenario: the optimum tabulates them."""
_TOLERANCE = 1e-9


class KStageControlScenario(PlantScenario):
    """A plant whose new items are of one of several levels, which moves from day to day.

    Attributes
    ----------
    levels
        p0 at each level, fraction nonconforming of new items.
    transition
        Row i: the probabilities of each level on the day after a day of level i.
    changeover_cost
        Money per stage by which K differs from yesterday's, for each item used that day.
    days
        Days of an episode.
    initial_level, initial_stages
        Level of the first day, from 0; K of the day before.
    """

    levels: Levels
    transition: Rows
    changeover_cost: Money
    days: Annotated[int, Field(ge=1, le=10_000)]
    initial_level: Annotated[int, Field(ge=0)] = 0
    initial_stages: Annotated[int, Field(ge=0)] = 0

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # The plant of Yang (2010) on its worst days; on others its process is better.
        "blu-quarter": {
            "levels": [0.02, 0.06, 0.161],
            "transition": [[0.90, 0.10, 0.0], [0.06, 0.86, 0.08], [0.0, 0.15, 0.85]],
            "rework_fraction_defective": 0.05,
            "lot_size": 240,
            "sample_size": 16,
            "daily_demand": 4800.0,
            "inspection_cost": 1.0,
            "rework_cost": 0.0,
            "max_stages": 3,
            "changeover_cost": 1.5,
            "days": 60,
        },
        # A tool wears, in a process whose rework fails often, until it is replaced.
        "tool-wear": {
            "levels": [0.01, 0.05, 0.12, 0.25],
            "transition": [
                [0.80, 0.20, 0.0, 0.0],
                [0.0, 0.80, 0.20, 0.0],
                [0.05, 0.0, 0.75, 0.20],
                [0.25, 0.0, 0.0, 0.75],
            ],
            "rework_fraction_defective": 0.40,
            "lot_size": 400,
            "sample_size": 12,
            "daily_demand": 2500.0,
            "inspection_cost": 1.0,
            "rework_cost": 0.5,
            "max_stages": 4,
            "changeover_cost": 0.5,
            "days": 90,
        },
        # Good and bad weeks of a supplier; the line begins with a stage that it may not need.
        "two-suppliers": {
            "levels": [0.03, 0.20],
            "transition": [[0.85, 0.15], [0.35, 0.65]],
            "rework_fraction_defective": 0.10,
            "lot_size": 300,
            "sample_size": 20,
            "daily_demand": 1200.0,
            "inspection_cost": 0.5,
            "rework_cost": 1.5,
            "max_stages": 2,
            "changeover_cost": 0.3,
            "days": 20,
            "initial_level": 1,
            "initial_stages": 1,
        },
        # Inspectors who miss one in eight: stages that pay when all is well seen may not pay here.
        "tired-shifts": {
            "levels": [0.03, 0.10, 0.22],
            "transition": [[0.85, 0.15, 0.0], [0.15, 0.70, 0.15], [0.0, 0.30, 0.70]],
            "rework_fraction_defective": 0.15,
            "lot_size": 250,
            "sample_size": 15,
            "daily_demand": 2000.0,
            "inspection_cost": 0.8,
            "rework_cost": 1.0,
            "max_stages": 2,
            "changeover_cost": 0.4,
            "days": 40,
            "false_alarm": 0.01,
            "miss": 0.12,
        },
    }
    ranges: ClassVar[Mapping[str, Mapping[str, Any]]] = RANGES

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        count = len(self.levels)
        if len(self.transition) != count:
            raise ValueError(
                f"transition has {len(self.transition)} rows: must be one for each of the {count} "
                "levels"
            )
        for i, row in enumerate(self.transition):
            if len(row) != count:
                raise ValueError(
                    f"transition.{i} has {len(row)} probabilities: must be one for each of the "
                    f"{count} levels"
                )
            if abs(math.fsum(row) - 1.0) > _TOLERANCE:
                raise ValueError(f"transition.{i} = {row}: must sum to 1, sums to {math.fsum(row)}")
        for name, value, last in (
            ("initial_level", self.initial_level, count - 1),
            ("initial_stages", self.initial_stages, self.max_stages),
        ):
            if value > last:
                raise ValueError(f"{name} = {value}: must be at most {last}")
        successions = self.days * (count * (self.max_stages + 1)) ** 2
        if successions > MAX_SUCCESSIONS:
            raise ValueError(
                f"days = {self.days}, {count} levels and max_stages = {self.max_stages} make "
                f"{successions:,} successions: must be at most {MAX_SUCCESSIONS:,}"
            )
        self._check_deliveries(self.levels)
        return self

    @property
    def level_costs(self) -> NDArray[np.float64]:
        """What an item used costs at each level with K = 0, 1, … stages, (levels, max_stages + 1)."""
        return self.costs(self.levels)

    @property
    def transition_matrix(self) -> NDArray[np.float64]:
        """The probabilities of the next level, whose rows sum to 1, (levels, levels)."""
        matrix = np.array(self.transition)
        return matrix / matrix.sum(axis=1, keepdims=True)

    @property
    def kernel(self) -> Kernel:
        """The compiled world of K-stage control, in the size of this plant."""
        levels = len(self.levels)
        return replace(
            KERNEL,
            scenario_dtype=scenario_dtype(levels, self.max_stages),
            num_actions=self.max_stages + 1,
            belief_size=belief_size(levels, self.max_stages),
            outcome_size=outcome_size(levels),
        )

    def record(self) -> NDArray[np.void]:
        """Return the parameters as the kernel reads them: one record, shape (1,)."""
        levels, choices = len(self.levels), self.max_stages + 1
        record = np.zeros(1, scenario_dtype(levels, self.max_stages))
        record["levels"], record["choices"] = levels, choices
        record["cost"][0] = filled(self.level_costs, record["cost"].shape[1:])
        matrix = self.transition_matrix
        cumulated = matrix.cumsum(axis=1)
        # No rounding may lead to a level that has no probability.
        later = matrix[:, ::-1].cumsum(axis=1)[:, ::-1] - matrix
        record["cumulated"] = 1.0
        record["cumulated"][0, :levels, :levels] = np.where(later > 0.0, cumulated, 1.0)
        for name in ("changeover_cost", "days", "initial_level", "initial_stages"):
            record[name] = getattr(self, name)
        return record
