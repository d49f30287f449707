"""``reproduce``: the papers' numbers, recomputed."""

from __future__ import annotations

from typing import Annotated

import typer

from agents.cli.optima import write_figures
from agents.cli.options import AsJson, Figures
from agents.cli.output import print_json, print_notes, print_table


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(reproduce)


def _complete_paper(incomplete: str) -> list[str]:
    from baselines.papers import PAPERS

    return [name for name in PAPERS if name.startswith(incomplete)]


def reproduce(
    paper: Annotated[
        str | None,
        typer.Argument(
            metavar="PAPER", help="One of them; by default all.", autocompletion=_complete_paper
        ),
    ] = None,
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="As a page.")] = False,
    figures: Figures = None,
) -> None:
    """Recompute the papers' tables and figures, number by number."""
    if as_json and as_markdown:
        raise typer.BadParameter("not allowed with --json", param_hint="'--markdown'")
    from baselines import papers
    from baselines.papers.figures import figures as figures_of

    ledgers = papers.ledgers() if paper is None else [papers.ledger(paper)]
    if figures is not None:
        for ledger in ledgers:
            write_figures(figures_of(ledger.paper), figures, ledger.paper)
    if as_json:
        print_json([ledger.record() for ledger in ledgers])
        return
    if as_markdown:
        print(papers.write_page(ledgers), end="")
        return
    for ledger in ledgers:
        for title, table in ledger.tables().items():
            rows, notes = papers.numbered(table)
            print_table(f"{ledger.paper}: {title}", rows)
            if notes:
                print_notes(notes)
    print_table("printed values by verdict", papers.summary(ledgers))
