"""The progress of runs on the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from agents.tables import format_duration, format_steps


class _Steps(ProgressColumn):
    """Steps so far, of how many."""

    def render(self, task: Task) -> Text:
        return Text(f"{format_steps(task.completed)} of {format_steps(task.total or 0)} steps")


class _TimeLeft(ProgressColumn):
    """Time left, as fast as it went so far; nothing before anything was done."""

    def render(self, task: Task) -> Text:
        if not task.elapsed or not task.completed or not task.total or task.finished:
            return Text("")
        left = task.elapsed * (task.total - task.completed) / task.completed
        return Text(f"{format_duration(left)} left")


class Board:
    """The progress of runs: a bar for each on a terminal, a line for each finished one elsewhere.

    On a terminal only the runs that are under way have a bar, and where there are several one more
    shows all of them together.

    Parameters
    ----------
    console
        Where it is shown.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(overflow="fold", no_wrap=False, ratio=1),
            ),
            BarColumn(bar_width=10),
            _Steps(),
            TextColumn("{task.fields[score]}"),
            _TimeLeft(),
            console=console,
            disable=not console.is_terminal,
            expand=True,
        )
        self._tasks: dict[str, Any] = {}
        self._totals: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._ended: set[str] = set()
        self._failed = 0
        self._all: Any = None

    def __enter__(self) -> Board:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def add(self, name: str, total: int) -> None:
        """Take in a run that has not begun."""
        self._totals[name] = total
        short = re.sub(r"-[0-9a-f]{8}$", "", name)  # the hash tells nothing to who watches
        self._tasks[name] = self._progress.add_task(
            short, total=total, start=False, visible=False, score=""
        )
        if len(self._totals) == 2:
            self._all = self._progress.add_task("", total=None, start=False, score="")
        self._show_all()

    def find(self, name: str) -> None:
        """Show a run that was finished before."""
        self._end(name)
        self._say(f"{name}: finished before")

    def show(self, name: str, timesteps: int, normalised: float) -> None:
        """Show how far a run has come, and its last score."""
        task = self._tasks[name]
        self._progress.start_task(task)
        completed = min(timesteps, self._totals[name])  # the last roll-out goes beyond
        score = f"normalised {normalised:.4f}"
        self._progress.update(task, completed=completed, score=score, visible=True)
        self._done[name] = completed
        self._show_all()

    def put(self, message: tuple[str, int, float]) -> None:
        """Show a message of a run in this process."""
        self.show(*message)

    def finish(self, name: str, result: Mapping[str, Any]) -> None:
        """Show a finished run."""
        score = result["score"]["normalised"]
        self._end(name)
        self._say(f"{name}: normalised {score:.4f} in {format_duration(result['seconds'])}")

    def fail(self, name: str, message: str) -> None:
        """Show that a run failed."""
        self._failed += 1
        self._end(name)
        self._say(f"{name}: failed: {message}", style="red")

    def drop(self, name: str, message: str) -> None:
        """Show that a run was broken off because others are better."""
        self._end(name)
        self._say(f"{name}: {message}", style="dim")

    def _end(self, name: str) -> None:
        self._progress.stop_task(self._tasks[name])
        self._progress.update(self._tasks[name], visible=False)
        self._done[name] = self._totals[name]
        self._ended.add(name)
        self._show_all()

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)

    def _show_all(self) -> None:
        """Show all runs together, where there are several."""
        if self._all is None:
            return
        if self._done:
            self._progress.start_task(self._all)
        running = len(self._done.keys() - self._ended)
        counts = f"{len(self._ended)} of {len(self._totals)} runs done, {running} running"
        self._progress.update(
            self._all,
            description=counts + (f", {self._failed} failed" if self._failed else ""),
            total=sum(self._totals.values()),
            completed=sum(self._done.values()),
        )
