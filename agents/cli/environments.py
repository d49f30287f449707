"""``list`` and ``show``: which environments there are, and what a scenario holds."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import gymnasium as gym
import typer
from rich.markdown import Markdown

import qc_gym
from agents.cli.fields import dump, parts_of, template
from agents.cli.options import (
    AsJson,
    Assignments,
    Env,
    Observation,
    ScenarioOption,
    env_id_of,
    inner,
    make_env,
    scenario_fields,
    scenario_source,
)
from agents.cli.output import console, print_json, print_table, say


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("list")(list_environments)
    app.command("show")(show)


def list_environments(as_json: AsJson = False) -> None:
    """List the environments, their presets and their ranges of scenarios.

    Each is called what gymnasium.make() takes in a program that has not imported it.
    """
    named = {}
    for env_id, registration in qc_gym.ENVIRONMENTS.items():
        scenario_type = inner(gym.make(env_id)).scenario_type
        named[env_id] = {
            "make": registration.full_id,
            "presets": list(scenario_type.presets),
            "ranges": list(scenario_type.ranges),
        }
    if as_json:
        print_json(named)
        return
    rows = [
        {
            "environment": one["make"],
            "presets": ", ".join(one["presets"]),
            "ranges": ", ".join(one["ranges"]),
        }
        for one in named.values()
    ]
    print_table("Environments", rows)


def show(
    env: Env,
    scenario: ScenarioOption = None,
    set_: Assignments = None,
    observation: Observation = None,
    as_template: Annotated[
        bool,
        typer.Option(
            "--template", help="Only the scenario, as a commented YAML file to start from."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show an environment's documentation, the fields of its scenarios, and a scenario."""
    env_id = env_id_of(env)
    made = make_env(env_id, scenario_source(env_id, scenario, set_), observation, ranges=True)
    fields, scenario_type = scenario_fields(made), inner(made).scenario_type
    if as_template:
        called = scenario or next(iter(scenario_type.presets))
        print(template(scenario_type, fields, f"A scenario of {env_id}, from {called}."), end="")
    elif as_json:
        parts = parts_of(scenario_type)
        described = {part.title: [asdict(field) for field in part.fields] for part in parts}
        print_json({"env_id": env_id, "fields": described, "scenario": fields})
    else:
        _print_page(env_id, inner(made), fields)


def _print_page(env_id: str, env: Any, fields: Mapping[str, Any]) -> None:
    text = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", inspect.getdoc(type(env)) or "")
    console(page=True).print(Markdown(f"# {env_id}\n\n{text}"))
    say()
    for part in parts_of(type(env).scenario_type):
        say(part.description, page=True)
        say()
        rows = [asdict(field) for field in part.fields]
        print_table(f"Fields of: {part.title}", rows, page=True, constant=True)
    say("The scenario", style="bold")
    say(dump(fields))
