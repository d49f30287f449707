"""How much memory the tables of an optimum may take: said, and refused, before they are made."""

from __future__ import annotations

MAX_BYTES = 4 * 2**30
"""Most memory that tables may take, in bytes."""


class StateBudgetError(ValueError):
    """The decision states are more than tables are allowed to hold."""


def check_budget(what: str, states: int, bytes_per_state: int, instead: str) -> None:
    """Raise a StateBudgetError if tables of that many states take more than ``MAX_BYTES``.

    Parameters
    ----------
    what
        The field, its value and what it makes, ending before the number of states.
    bytes_per_state
        Of the tables and of what solving them takes.
    instead
        What to do about it.
    """
    needed = states * bytes_per_state
    if needed > MAX_BYTES:
        raise StateBudgetError(
            f"{what} {states:,} states, whose tables take about {needed / 1e9:.1f} GB: at most "
            f"{MAX_BYTES / 1e9:.1f} GB is allowed (baselines.core.budget.MAX_BYTES); {instead}"
        )
