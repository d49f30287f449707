"""``dataset``: episodes to learn from offline."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import typer

from agents.cli.options import (
    Assignments,
    Env,
    Observation,
    ScenarioOption,
    Seed,
    env_id_of,
    inner,
    make_env,
    scenario_source,
    whole_number,
)
from agents.cli.output import say
from qc_gym.core.errors import close_names
from qc_gym.core.ranges import ScenarioRange

OPTIMUM = "optimum"


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(dataset)


def dataset(
    env: Env,
    policy: Annotated[
        str,
        typer.Option(
            metavar="POLICY",
            help="What plays: optimum, a reference by its name, or a folder that train wrote.",
        ),
    ] = OPTIMUM,
    episodes: Annotated[
        int, typer.Option(parser=whole_number, metavar="NUMBER", help="How many.")
    ] = 1_000,
    scenario: ScenarioOption = None,
    set_: Assignments = None,
    observation: Observation = None,
    seed: Seed = 0,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME-vNUMBER", help="Of the data set; by default after all this."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of data sets; by default Minari's.")
    ] = None,
) -> None:
    """Write episodes as a Minari data set, each step labelled by the exact optimum.

    The infos of each step hold the belief, the optimal action and what every action loses.
    """
    import baselines
    from agents.dataset import dataset_path, write_dataset
    from agents.experiment import scenario_name

    env_id = env_id_of(env)
    made, player = _made(env_id, policy, scenario, set_, observation)
    title = Path(policy).name if Path(policy).is_dir() else policy
    if name is None:
        words = (env_id.split("/")[-1], scenario_name(scenario), title)
        name = re.sub(r"[^\w-]+", "-", "-".join(words)) + "-v0"
    dataset_path(name, out)
    optimum = baselines.solve(made)
    played = baselines.labelled_episodes(made, player, episodes=episodes, seed=seed)
    path = write_dataset(name, made, optimum, played, policy=title, root=out)
    say(f"{episodes:,} episodes written to {path}")
    where = "" if out is None else f"MINARI_DATASETS_PATH={out} and "
    say(f"read with {where}minari.load_dataset({name!r})")


def _made(
    env_id: str,
    policy: str,
    scenario: str | None,
    pairs: list[str] | None,
    observation: str | None,
) -> tuple[gym.Env[Any, Any], Any]:
    """Return the environment, and what plays it."""
    import baselines
    from agents.cli.optima import trained

    if Path(policy).is_dir():
        made, player, _ = trained(env_id, policy, scenario, pairs, observation)
        if isinstance(inner(made).scenarios, ScenarioRange):
            raise ValueError(
                f"--policy {policy}: was trained on a range; give --scenario one of it"
            )
        return made, player
    made = make_env(env_id, scenario_source(env_id, scenario, pairs), observation)
    if policy == OPTIMUM:
        return made, baselines.solve(made).policy
    references = baselines.reference_policies(made)
    if policy not in references.names:
        known = [OPTIMUM, *references.names]
        raise ValueError(
            f"--policy {policy}: no folder of a trained agent; {close_names(policy, known)}"
        )
    return made, references[policy]
