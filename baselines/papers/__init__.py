"""The ledger: what the papers print beside what is computed here, number by number.

One module a paper holds that paper's own model exactly as printed, or says where the project has it;
``ledger()`` of each sets its printed values against it, and its decisions against the exact model of this
project. The sources are those of
docs/theory: [L] liu-2025, [W] wang-2013, [H] liu-hu-deng, [R] cumcm-2024b, [Y] yang-2010.

Examples
--------
>>> from baselines import papers
>>> papers.ledger("liu-hu-deng").counts()["reproduced"]
16
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import ModuleType

from baselines.papers import cumcm_2024b, liu_2025, liu_hu_deng, wang_2013, yang_2010
from baselines.papers.entries import Bound, Entry, Ledger, PlanRisks, PolicyWorth, Verdict
from baselines.papers.page import numbered, summary, write_page
from qc_gym.core.errors import close_names

__all__ = [
    "PAPERS",
    "Bound",
    "Entry",
    "Ledger",
    "PlanRisks",
    "PolicyWorth",
    "Verdict",
    "ledger",
    "ledgers",
    "numbered",
    "summary",
    "write_page",
]

PAPERS: Mapping[str, ModuleType] = {
    module.NAME: module for module in (liu_hu_deng, yang_2010, cumcm_2024b, liu_2025, wang_2013)
}
"""The module of each paper, by its name on the command line."""


@cache
def ledger(paper: str) -> Ledger:
    """Return the ledger of one paper, worked out once.

    Raises
    ------
    ValueError
        Not one of ``PAPERS``.
    """
    if paper not in PAPERS:
        raise ValueError(f"unknown paper {paper!r}; {close_names(paper, list(PAPERS))}")
    found: Ledger = PAPERS[paper].ledger()
    return found


def ledgers() -> list[Ledger]:
    """Return the ledgers of all papers."""
    return [ledger(paper) for paper in PAPERS]
