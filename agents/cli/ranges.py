"""``solve`` and ``score`` on a range: what a sample of its scenarios comes to, and the worst of them."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from agents.cli.options import whole_number
from agents.cli.output import print_json, print_table, say
from qc_gym.core.ranges import ScenarioRange

if TYPE_CHECKING:
    from baselines import Scores
    from qc_gym.core.scenario import Scenario

Count = Annotated[
    int | None,
    typer.Option(
        parser=whole_number,
        metavar="NUMBER",
        help="Scenarios that are drawn from a range; by default 100.",
    ),
]
COUNT = 100


def refuse_options(given: Mapping[str, Any], why: str) -> None:
    """Raise a ValueError for the first option that was given."""
    for option, value in given.items():
        if value:
            raise ValueError(f"{option}: {why}")


def print_optima(
    env_id: str,
    scenarios: ScenarioRange,
    observation: str,
    *,
    count: int | None,
    seed: int,
    words: Sequence[str],
    as_json: bool,
) -> None:
    """Solve scenarios of a range and print what their optima come to.

    Parameters
    ----------
    words
        What names the range on the command line; see :func:`pasted`.
    """
    import baselines

    found = baselines.solve_many(
        env_id,
        scenarios,
        count=COUNT if count is None else count,
        seed=seed,
        observation=observation,
    )
    worst = found.scenarios[int(found.values.argmin())]
    row: dict[str, Any] = {
        "scenarios": len(found),
        "mean optimal value": float(found.values.mean()),
        "±": _stderr(found.values),
        "median": float(np.median(found.values)),
        "5th percentile": float(np.quantile(found.values, 0.05)),
        "least": float(found.values.min()),
        "greatest": float(found.values.max()),
    }
    if as_json:
        content = {"env_id": env_id, "seed": seed, **row, "worst": varied(scenarios, worst)}
        print_json(_in_json(content))
        return
    print_table(f"Optima of {env_id}", [row])
    say(f"least value: {pasted(scenarios, worst, words)}")


def print_scores(
    env_id: str,
    scenarios: ScenarioRange,
    policies: Mapping[str, Any],
    observation: str,
    *,
    trained_on: Any,
    count: int | None,
    seed: int,
    words: Sequence[str],
    as_json: bool,
) -> None:
    """Score policies on scenarios of a range and print what they lose, and where most.

    Parameters
    ----------
    policies
        By name; a reference policy as its own name, to be designed anew for each scenario.
    trained_on
        The range or the scenario that they were trained on, as for :func:`baselines.score_many`.
    words
        What names the range on the command line; see :func:`pasted`.
    """
    import baselines

    rows: list[dict[str, Any]] = []
    worst: dict[str, Scenario] = {}
    for name, policy in policies.items():
        scores = baselines.score_many(
            env_id,
            scenarios,
            policy,
            count=COUNT if count is None else count,
            seed=seed,
            observation=observation,
            trained_on=trained_on,
        )
        rows.append({"policy": name, "scenarios": len(scores), **summary(scores)})
        if scores.scored.any():
            worst[name] = scores.scenarios[scores.worst]
    rows.sort(key=lambda row: (row["mean regret"] is None, row["mean regret"]))
    if as_json:
        told = {name: varied(scenarios, one) for name, one in worst.items()}
        print_json(
            {row["policy"]: _in_json({**row, "worst": told.get(row["policy"])}) for row in rows}
        )
        return
    print_table(f"Scores on scenarios of {env_id}", rows)
    for row in rows:
        if row["policy"] in worst:
            text = pasted(scenarios, worst[row["policy"]], words)
            say(f"{row['policy']} loses most at {text}")


def summary(scores: Scores) -> dict[str, Any]:
    """Return the row of a policy: its regret over scenarios in money, and its normalised score."""
    scored = scores.scored
    regrets, normalised = scores.regrets[scored], scores.normalised[scored]
    if not len(regrets):
        return {**dict.fromkeys(_COLUMNS), "left out": len(scores)}
    values = (
        float(regrets.mean()),
        _stderr(regrets),
        float(np.median(normalised)),
        float(np.quantile(normalised, 0.05)),
        float(regrets.max()),
    )
    return {
        **dict(zip(_COLUMNS, values, strict=True)),
        "left out": len(scores.left_out) or None,
    }


_COLUMNS = ("mean regret", "±", "median normalised", "5th percentile", "worst regret")


def _stderr(values: NDArray[np.float64]) -> float | None:
    """Return the standard error of a mean over scenarios; None of fewer than two."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def _in_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with names as a program writes them."""
    return {
        "stderr" if name == "±" else name.replace(" ", "_"): value for name, value in row.items()
    }


def varied(scenarios: ScenarioRange, scenario: Scenario) -> dict[str, Any]:
    """Return the fields of a scenario that a range varies, by their dotted names."""
    fields = scenario.model_dump(mode="json")
    found = {}
    for path in scenarios.ranges:
        value: Any = fields
        for name in path:
            value = value[name]
        found[".".join(path)] = value
    return found


def pasted(scenarios: ScenarioRange, scenario: Scenario, words: Sequence[str]) -> str:
    """Return the options with which a command takes one scenario of a range.

    Parameters
    ----------
    words
        ``--scenario`` and ``--set`` as they named the range; what it varies is set to the scenario's
        values.
    """
    settings = [
        f"{name}={json.dumps(value)}" for name, value in varied(scenarios, scenario).items()
    ]
    named = {one.partition("=")[0] for one in settings}
    kept: list[str] = []
    for option, value in zip(words[::2], words[1::2], strict=True):
        if option != "--set" or value.partition("=")[0] not in named:
            kept += [option, value]
    return shlex.join([*kept, *itertools.chain(*(("--set", one) for one in settings))])
