"""Arguments and options that several commands take, and the scenario that they describe."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import gymnasium as gym
import typer
import yaml

import qc_gym
from qc_gym.core.env import QCEnv
from qc_gym.core.errors import ScenarioError, close_names
from qc_gym.core.fields import set_field
from qc_gym.core.files import SUFFIXES
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.registry import plain_id

if TYPE_CHECKING:
    from agents.engines import Engine


def whole_number(text: str | int) -> int:
    """Return a whole number, however it is written: 100000, 100_000, 1e5; one that is, as it is."""
    if isinstance(text, int):
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value.is_integer():
        raise ValueError(f"{text!r} is not a whole number, such as 100000 or 1e5")
    return int(value) if re.search("[.eE]", text) else int(text)


EngineName = Annotated[
    Literal["processes", "ray"],
    typer.Option("--engine", help="Processes of this machine, or the CPUs of a Ray cluster."),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT", help="The Ray cluster; by default the one that this machine is in."
    ),
]


def engine_of(name: str, address: str | None, workers: int) -> Engine:
    """Return the engine that the options name; ``workers`` is the number of local processes."""
    from agents.engines import processes

    if name == "ray":
        from agents.cluster import ANY, cluster

        return cluster(ANY if address is None else address)
    if address is not None:
        raise ValueError(f"--address {address}: is that of a Ray cluster: --engine ray")
    return processes(workers)


def env_id_of(name: str) -> str:
    """Return the id that a name on the command line stands for, with or without ``qc_gym/``."""
    known = list(qc_gym.ENVIRONMENTS)
    for env_id in known:
        if plain_id(name) in (env_id, env_id.split("/")[-1]):
            return env_id
    raise ValueError(f"unknown environment {name!r}; {close_names(name, known)}")


def inner(env: gym.Env[Any, Any]) -> QCEnv:
    """Return the environment inside its wrappers."""
    assert isinstance(env.unwrapped, QCEnv)
    return env.unwrapped


def _complete_env(incomplete: str) -> list[str]:
    names = [name for env_id in qc_gym.ENVIRONMENTS for name in (env_id.split("/")[-1], env_id)]
    return [name for name in names if name.startswith(incomplete)]


def _complete_scenario(ctx: typer.Context, incomplete: str) -> list[str]:
    try:
        env_ids = [env_id_of(ctx.params.get("env") or "")]
    except ValueError:  # not written yet, or not to be known before the option has its value
        env_ids = list(qc_gym.ENVIRONMENTS)
    types = [inner(gym.make(one)).scenario_type for one in env_ids]
    names = [name for one in types for name in (*one.presets, *one.ranges)]
    files = (str(path) for suffix in SUFFIXES for path in Path().glob(f"*{suffix}"))
    return [name for name in [*names, *files] if name.startswith(incomplete)]


def _complete_algorithm(incomplete: str) -> list[str]:
    from agents import ALGORITHMS

    return [name for name in ALGORITHMS if name.startswith(incomplete)]


Env = Annotated[
    str,
    typer.Argument(
        metavar="ENV",
        help="For instance SequentialSampling-v0; qc-gym list names all.",
        autocompletion=_complete_env,
    ),
]
Algorithm = Annotated[
    str,
    typer.Argument(
        metavar="ALGORITHM",
        help="For instance ppo, a2c or dqn.",
        autocompletion=_complete_algorithm,
    ),
]
ScenarioOption = Annotated[
    str | None,
    typer.Option(
        "--scenario",
        help="A preset, a range or a YAML file; by default the first preset.",
        autocompletion=_complete_scenario,
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="A field of the scenario, as YAML; dotted where it is inside another "
        "(prior.good=0.02). Any number of times.",
    ),
]
Observation = Annotated[
    Literal["belief", "outcome"] | None,
    typer.Option(help="What the agent sees; by default the belief."),
]
AsJson = Annotated[bool, typer.Option("--json", help="For a program to read.")]
Figures = Annotated[
    Path | None, typer.Option("--figures", metavar="DIR", help="Folder to draw the figures into.")
]
Seed = Annotated[
    int, typer.Option(parser=whole_number, metavar="NUMBER", help="Of all that is random.")
]


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, with the numbers of YAML 1.2: 3e-4 is one."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read_assignments(pairs: Sequence[str], option: str, *, as_text: bool = False) -> dict[str, Any]:
    """Return the values by name of ``NAME=VALUE`` words; a value is YAML, or kept ``as_text``.

    Raises
    ------
    ValueError
        No ``=``, a value that is not YAML, or a name given twice; the message shows it.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"{option} {pair}: NAME=VALUE is needed")
        if name in values:
            raise ValueError(f"{option} {pair}: {name} is set already, to {values[name]!r}")
        if as_text:
            values[name] = text
            continue
        try:
            value = yaml.load(text, _Loader)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise ValueError(f"{option} {pair}: the value is not YAML: {error}") from error
        is_whole = isinstance(value, float) and re.search("[eE]", text) and value.is_integer()
        values[name] = int(value) if is_whole else value  # 1e5 counts as well as it measures
    return values


def scenario_source(env_id: str, scenario: Any, pairs: Sequence[str] | None) -> Any:
    """Return the scenario to make an environment with: as given, or its fields with some set anew.

    Parameters
    ----------
    scenario
        A preset, a file or a mapping; None is the first preset.
    pairs
        ``FIELD=VALUE`` words, the field dotted where it is inside another. Where a ``kind`` is set
        to another one, what belonged to the former is gone.

    Raises
    ------
    ScenarioError
        A scenario that cannot be used, or a field that is inside something that has no parts.
    """
    if not pairs:
        return scenario
    values = read_assignments(pairs, "--set")
    parsed = inner(gym.make(env_id)).scenario_type.parse(scenario)
    if isinstance(parsed, ScenarioRange):
        fields = copy.deepcopy(dict(parsed.fields))
    else:
        fields = parsed.model_dump(mode="json", exclude_unset=True)
    # Kinds first: they decide which fields there are beside them.
    for name in sorted(values, key=lambda name: name.split(".")[-1] != "kind"):
        try:
            set_field(fields, name, values[name])
        except ScenarioError as error:
            raise ScenarioError(f"--set {error}") from None
    return fields


def make_env(
    env_id: str, scenario: Any, observation: str | None, *, ranges: bool = False
) -> gym.Env[Any, Any]:
    """Return the environment; without ``ranges``, a range of scenarios is refused.

    Raises
    ------
    ValueError
        The scenario cannot be used; the message names the field.
    """
    env = gym.make(env_id, scenario=scenario, observation=observation or "belief")
    if not ranges and isinstance(inner(env).scenarios, ScenarioRange):
        where = scenario if isinstance(scenario, str) else "the scenario"
        raise ValueError(f"--scenario {where}: is a range, which has no one optimum")
    return env


def scenario_fields(env: gym.Env[Any, Any]) -> Mapping[str, Any]:
    """Return the scenario as a file would hold it: the fields that were given, ranges included."""
    scenarios = inner(env).scenarios
    if isinstance(scenarios, ScenarioRange):
        return dict(scenarios.fields)
    return scenarios.model_dump(mode="json", exclude_unset=True)
