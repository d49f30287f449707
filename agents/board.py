"""The progress of runs on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class Board:
    """The progress of runs: a bar for each on a terminal, a line for each finished one elsewhere.

    Parameters
    ----------
    console
        Where it is shown.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:>9,.0f} steps"),
            TextColumn("normalised {task.fields[normalised]:.4f}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Board:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def add(self, name: str, total: int) -> None:
        """Show a run that has not begun."""
        self._tasks[name] = self._progress.add_task(name, total=total, start=False, normalised=0.0)

    def show(self, name: str, timesteps: int, normalised: float) -> None:
        """Show how far a run has come."""
        self._progress.start_task(self._tasks[name])
        self._progress.update(self._tasks[name], completed=timesteps, normalised=normalised)

    def put(self, message: tuple[str, int, float]) -> None:
        """Show a message of a run in this process."""
        self.show(*message)

    def finish(self, name: str, result: Mapping[str, Any]) -> None:
        """Show a finished run."""
        score = result["score"]["normalised"]
        self._progress.stop_task(self._tasks[name])
        self._console.print(
            f"{name}: normalised {score:.4f} in {result['seconds']:.0f} s", soft_wrap=True
        )

    def fail(self, name: str, message: str) -> None:
        """Show that a run failed."""
        self._progress.stop_task(self._tasks[name])
        self._console.print(f"{name}: failed: {message}", style="red", markup=False)
