"""Sampling plans on the command line: one's own, the standard's, and what they do at every quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import gymnasium as gym
import typer

from agents.cli.options import inner
from agents.cli.output import print_table, say
from agents.files import png, write_whole
from agents.tables import format_cell
from qc_gym.sampling.env import SequentialSamplingEnv

if TYPE_CHECKING:
    from baselines import References
    from baselines.sampling import Curves, LotPlan

OwnPlans = Annotated[
    list[str] | None,
    typer.Option(
        "--plan",
        metavar="PLAN",
        help="A sampling plan: n,c (80,5), n1,c1,r1,n2,c2 (50,1,4,50,4), or the name of a reference policy "
        "(iso2859). Any number of times.",
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(metavar="RISK", help="Producer's risk that sampling plans are designed for."),
]
Beta = Annotated[float | None, typer.Option(metavar="RISK", help="Consumer's risk, likewise.")]
Aql = Annotated[
    float | None,
    typer.Option(metavar="PERCENT", help="Acceptance quality limit of iso2859; by default 1.0."),
]
Level = Annotated[
    Literal["I", "II", "III"] | None,
    typer.Option(help="General inspection level of iso2859; by default II."),
]
CurvesCsv = Annotated[
    Path | None,
    typer.Option(
        "--csv", metavar="FILE", help="Write the curves of the plans of --plan: OC, ASN, AOQ, ATI."
    ),
]


def asked_numbers(**numbers: Any) -> dict[str, Any]:
    """Return those numbers that were given."""
    return {name: value for name, value in numbers.items() if value is not None}


def check_plan_options(
    env: gym.Env[Any, Any],
    plans: Sequence[str] | None,
    asked: Mapping[str, Any],
    files: Sequence[Path | None],
    *,
    is_needed: bool,
) -> None:
    """Raise a ValueError about an option that would do nothing.

    Parameters
    ----------
    is_needed
        Whether reference policies are scored only where ``--plan`` names them.
    """
    if plans and not isinstance(inner(env), SequentialSamplingEnv):
        raise ValueError(f"--plan {plans[0]}: sampling plans are of SequentialSampling-v0 only")
    if any(files) and not plans:
        raise ValueError("--csv and --figures: show the curves of plans; name one by --plan")
    if asked and is_needed and not plans:
        name, value = next(iter(asked.items()))
        raise ValueError(f"--{name} {value}: is of reference policies; name one by --plan")


def read_plans(texts: Sequence[str] | None, references: References) -> dict[str, Any]:
    """Return the plans of ``--plan`` by what was written.

    Raises
    ------
    ValueError
        It is no plan, or a reference that the scenario's numbers do not carry; the reason.
    """
    if not texts:
        return {}
    return {
        text: references[text] if text in references.names else _read_plan(text) for text in texts
    }


def _read_plan(text: str) -> LotPlan:
    from baselines.sampling import read_plan

    if text.endswith((".txt", ".csv", ".json", ".html")):
        raise ValueError(f"--plan {text}: the card of the optimum is written by qc-gym solve")
    return read_plan(text)


def curves_of(
    env: gym.Env[Any, Any], texts: Sequence[str], asked: Mapping[str, Any]
) -> Curves | None:
    """Return the curves of the plans of ``--plan``, if there are any.

    They are the same whatever is observed, and computed where the belief is.
    """
    if not texts:
        return None
    import baselines
    from baselines.sampling import curves

    seen = type(inner(env))(scenario=inner(env).scenario, observation="belief")
    return curves(seen, read_plans(texts, baselines.reference_policies(seen, **asked)))


def write_curves(curves: Curves, csv: Path | None, figures: Path | None) -> None:
    """Write curves as a CSV file and as a picture, where they are wanted."""
    if csv is not None:
        write_whole(csv, curves.csv())
    if figures is not None:
        write_whole(figures / "sampling-plans.png", png(curves.figure()))


def print_designs(references: References) -> None:
    """Say what reference policies are, in words and numbers, and why some are left out."""
    rows = [
        {
            "policy": name,
            "numbers": ", ".join(
                f"{key} {format_cell(value)}" for key, value in one.design.items()
            ),
            "what it is": one.description,
        }
        for name, one in references.items()
    ]
    print_table("What they are", rows)
    for name, reason in references.left_out.items():
        say(f"Left out: {name}: {reason}")
