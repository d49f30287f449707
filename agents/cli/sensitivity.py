"""``solve --vary``: the optimum as one or two fields of the scenario go through a range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import typer

from agents.cli.options import inner, read_assignments, whole_number
from agents.cli.output import say
from agents.files import png, write_whole
from qc_gym.sampling.env import SequentialSamplingEnv

Vary = Annotated[
    list[str] | None,
    typer.Option(
        "--vary",
        metavar="FIELD=LOW:HIGH:STEPS",
        help="Solve for each value of a field, dotted where it is inside another; tells where the "
        "optimal decision changes. Once, or twice for a map.",
    ),
]
Policies = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        metavar="NAME|MODEL|PLAN",
        help="With --vary: whose regret to tell as well, a reference policy, a folder that train wrote, or "
        "a sampling plan such as 80,5. Any number of times.",
    ),
]
Least = Annotated[
    float | None,
    typer.Option(
        "--least",
        metavar="VISITS",
        help="With --vary: visits in an episode from which on a state's decision is followed; "
        "by default 0.1.",
    ),
]
Csv = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="With --vary: write the points and the changes."),
]


def read_ranges(words: Sequence[str]) -> dict[str, tuple[float, float, int]]:
    """Return (low, high, steps) by field of ``FIELD=LOW:HIGH:STEPS`` words.

    Raises
    ------
    ValueError
        A word that is none, or a field given twice; the message shows it.
    """
    ranges = {}
    for name, text in read_assignments(words, "--vary", as_text=True).items():
        try:
            low, high, steps = text.split(":")
            ranges[name] = _number(low), _number(high), whole_number(steps)
        except ValueError:
            raise ValueError(
                f"--vary {name}={text}: FIELD=LOW:HIGH:STEPS is needed, such as inspection_cost=0.5:5:40"
            ) from None
    return ranges


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value


def read_policies(env: gym.Env[Any, Any], words: Sequence[str]) -> dict[str, Any]:
    """Return policies by the words that name them: references by names, models of folders, plans.

    Raises
    ------
    ValueError
        A word that is none of them, or a model that does not fit the environment.
    """
    import baselines
    from baselines.sampling import read_plan

    known = baselines.reference_policies(env).names
    policies: dict[str, Any] = {}
    for word in words:
        if word in known:
            policies[word] = word
        elif "," in word and isinstance(inner(env), SequentialSamplingEnv):
            policies[word] = read_plan(word)
        elif Path(word).is_dir():
            from agents.policies import check_fits, load_policy  # which need torch

            policy, trained = load_policy(word)
            check_fits(policy, trained, env)
            policies[Path(word).name] = policy
        else:
            raise ValueError(
                f"--policy {word}: neither a folder nor a reference policy of the scenario: "
                f"{', '.join(known)}"
            )
    return policies


def print_sensitivity(
    env: gym.Env[Any, Any],
    ranges: Mapping[str, tuple[float, float, int]],
    policies: Mapping[str, Any],
    *,
    csv: Path | None,
    figures: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Compute the sensitivity, write what is asked for and print it."""
    import baselines

    found = baselines.sensitivity(env, ranges, policies, **options)
    if csv is not None:
        write_whole(csv, found.csv())
    if figures is not None:
        write_whole(figures / f"{inner(env).family}-sensitivity.png", png(found.figure()))
    if as_json:
        print(found.json(), end="")
    else:
        say(found.text().removesuffix("\n"))
