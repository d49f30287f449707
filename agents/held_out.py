"""Held-out scenarios: what an agent that was trained on a range is scored on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

import baselines
from baselines import Score, Scores
from baselines.core.problem import env_type_of
from qc_gym.core.errors import ScenarioError
from qc_gym.core.population import read_population
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.record import Record

Count = Annotated[int, Field(ge=1, le=10_000)]
COLUMNS = (
    "set",
    "number",
    "distance",
    "value",
    "optimum",
    "regret",
    "normalised",
    "stderr",
    "features",
)
"""Of ``held_out.csv``: a row for each scenario; ``features`` is JSON, the numbers that the agent sees."""


class HeldOut(Record):
    """Sets of scenarios to score on, none of which is trained on.

    Attributes
    ----------
    sets
        Ranges, or lists of scenarios, by what they are called; the first gives the score of a run.
    count
        Scenarios drawn from each range.
    curve_count
        Scenarios drawn from the range of the training, on which each point of the curve is scored.
    seed
        Of all these draws; a training draws with other streams.
    """

    sets: Annotated[
        dict[str, str | dict[str, Any] | list[str | dict[str, Any]]], Field(min_length=1)
    ]
    count: Count = 100
    curve_count: Count = 20
    seed: Annotated[int, Field(ge=0)] = 1_000_000

    def resolved(self, env_id: str, trained_on: ScenarioRange) -> HeldOut:
        """Return the same with all fields of the scenarios in place of names.

        Raises
        ------
        ScenarioError
            A set that cannot be used, or that an agent which was trained on the range cannot play.
        """
        scenario_type = env_type_of(env_id).scenario_type
        sets: dict[str, Any] = {}
        for name, source in self.sets.items():
            try:
                parsed = (
                    [scenario_type.parse(one) for one in source] if isinstance(source, list) else []
                )
                spread = None if isinstance(source, list) else scenario_type.parse(source)
                if spread is not None and not isinstance(spread, ScenarioRange):
                    raise ScenarioError("is one scenario: a range or a list is needed")
                drawn = read_population(
                    scenario_type,
                    parsed if spread is None else spread,
                    None if spread is None else 1,
                )
                for one in drawn.scenarios:
                    trained_on.features(one)
                    if one.kernel != trained_on.kernel:
                        raise ScenarioError(
                            "its states and actions are not of the size of the range's"
                        )
            except ValueError as error:
                raise ScenarioError(f"held_out.sets.{name}: {error}") from error
            sets[name] = (
                [one.model_dump(mode="json") for one in drawn.scenarios]
                if spread is None
                else dict(spread.fields)
            )
        return self.model_copy(update={"sets": sets})


def score_sets(
    env_id: str, held_out: HeldOut, policy: Any, observation: str, trained_on: Any = None
) -> dict[str, Scores]:
    """Return the exact scores of a policy, or of a reference by its name, on each set."""
    return {
        name: baselines.score_many(
            env_id,
            source,
            policy,
            count=None if isinstance(source, list) else held_out.count,
            seed=held_out.seed,
            observation=observation,
            trained_on=trained_on,
        )
        for name, source in held_out.sets.items()
    }


def name_of_set(scenario_name: str, name: str) -> str:
    """Return what a set of held-out scenarios is called in reports, as a problem of its own."""
    return f"{scenario_name}-{name}"


def mean_score(scores: Scores) -> Score:
    """Return the score over scenarios: means of money and length, the median of the normalised score.

    ``stderr`` is the standard error of the mean regret, from scenario to scenario; 0.0 of one scenario.
    """
    scored = scores.scored
    several = int(scored.sum()) > 1
    return Score(
        value=float(scores.values[scored].mean()),
        optimum=float(scores.optima[scored].mean()),
        regret=scores.mean_regret,
        normalised=float(np.median(scores.normalised[scored])),
        stderr=scores.mean_regret_stderr if several else 0.0,
        exact=not scores.stderrs[scored].any(),
        expected_length=float(scores.expected_lengths[scored].mean()),
    )


def score_rows(sets: Mapping[str, Scores], trained_on: ScenarioRange) -> list[dict[str, Any]]:
    """Return the rows of ``held_out.csv``."""
    rows = []
    for name, scores in sets.items():
        for i, scenario in enumerate(scores.scenarios):
            features = trained_on.features(scenario)
            numbers = (
                scores.values,
                scores.optima,
                scores.regrets,
                scores.normalised,
                scores.stderrs,
            )
            cells = (name, i, distance(features), *(float(one[i]) for one in numbers))
            told = json.dumps([float(one) for one in features])
            rows.append(dict(zip(COLUMNS, (*cells, told), strict=True)))
    return rows


def distance(features: NDArray[np.float32]) -> float:
    """Return how far a scenario is from a range: Euclidean, in widths of the intervals; 0 inside."""
    beyond = np.maximum(features - 1.0, 0.0) + np.maximum(-features, 0.0)
    return float(np.sqrt((beyond.astype(np.float64) ** 2).sum()))


def read_rows(rows: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return the rows of ``held_out.csv`` with numbers in place of text."""
    return [
        {
            **{name: float(row[name]) for name in COLUMNS[2:-1]},
            "set": row["set"],
            "number": int(row["number"]),
            "features": json.loads(row["features"]),
        }
        for row in rows
    ]
