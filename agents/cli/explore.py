"""``explore``: an optimum as a page on which one moves through its states."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from agents.cli.options import (
    Assignments,
    Env,
    Observation,
    ScenarioOption,
    env_id_of,
    inner,
    make_env,
    scenario_source,
)
from agents.cli.output import say
from agents.files import write_whole
from qc_gym.core.ranges import ScenarioRange


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(explore)


def explore(
    env: Env,
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="Folder that train wrote: what that agent does is shown beside the optimum.",
        ),
    ] = None,
    scenario: ScenarioOption = None,
    set_: Assignments = None,
    observation: Observation = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The page; its name ends in .html.")
    ] = Path("explore.html"),
) -> None:
    """Write a page on which one moves through the states, decides, and sees what each decision loses.

    It is one file, which needs no network.
    """
    import baselines

    env_id = env_id_of(env)
    if out.suffix != ".html":
        raise ValueError(f"--out {out}: the name should end in .html")
    policy: Any = None
    if model is None:
        made = make_env(env_id, scenario_source(env_id, scenario, set_), observation)
    else:
        from agents.cli.optima import trained

        made, policy, _ = trained(env_id, model, scenario, set_, observation)
        if isinstance(inner(made).scenarios, ScenarioRange):
            raise ValueError(f"{model}: was trained on a range; give --scenario one of it")
    write_whole(out, baselines.explore(made, policy).html())
    say(f"written: {out}")
