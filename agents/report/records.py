"""All runs and all curves of a report as two flat tables, for other tools to read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from agents.callbacks import COLUMNS as CURVE_COLUMNS
from agents.report.results import Result
from baselines import Score

_NAMES = ("run", "env_id", "scenario", "observation", "algorithm", "seed")
SETTINGS = ("total_timesteps", "num_envs", "threads", "exploring_starts", "frames")
_SCORE = tuple(field.name for field in fields(Score))
RUN_RECORD = (
    *_NAMES,
    *SETTINGS,
    "hyperparameters",
    *_SCORE,
    "seconds",
    "version",
    "code",
    "machine",
)
"""Columns of ``runs.csv``: a row for each run; ``hyperparameters`` and ``machine`` are JSON."""
CURVE_RECORD = (*_NAMES, *CURVE_COLUMNS)
"""Columns of ``curves.csv``: a row for each point of each run's exact learning curve."""


def run_records(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Return the row of each run: its configuration, its score and what made it."""
    return [
        {
            **_names(result),
            **{name: getattr(result.run, name) for name in SETTINGS},
            "hyperparameters": json.dumps(result.run.hyperparameters),
            **result.score,
            "seconds": result.seconds,
            "version": result.version,
            "code": result.code,
            "machine": json.dumps(result.machine),
        }
        for result in results
    ]


def curve_records(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Return the rows of all curves, each point with the names of its run."""
    return [{**_names(result), **point} for result in results for point in result.curve]


def configurations(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what was run: a row for each configuration of an algorithm on a problem, its seeds together.

    Parameters
    ----------
    records
        What :func:`run_records` returns.
    """
    columns = (*_NAMES[1:5], *SETTINGS, "hyperparameters")
    seeds: dict[tuple[Any, ...], list[int]] = {}
    for record in records:
        seeds.setdefault(tuple(record[name] for name in columns), []).append(record["seed"])
    return [
        dict(zip(_NAMES[1:5], settings, strict=False))
        | {"seeds": sorted(members)}
        | dict(zip(columns, settings, strict=True))
        for settings, members in seeds.items()
    ]


def _names(result: Result) -> dict[str, Any]:
    run = result.run
    values = (run.env_id, run.scenario_name, run.observation, run.algorithm, run.seed)
    return dict(zip(_NAMES, (result.folder.name, *values), strict=True))
