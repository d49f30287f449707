"""The progress of runs: nothing shown that is not known yet, whole numbers of steps, time left."""

import io
import re

import pytest
from rich.console import Console

from agents.cli.board import Board

NAMES = [f"SequentialSampling-v0-a-scenario-ppo-{seed}-0123abc{seed}" for seed in range(3)]
RESULT = {"score": {"normalised": 0.98765}, "seconds": 24.8146}


def terminal(width: int) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)


def shown(board: Board, console: Console) -> str:
    with console.capture() as capture:
        console.print(board._progress.get_renderable())
    return capture.get()


@pytest.mark.parametrize("width", [80, 120])
def test_progress(width: int) -> None:
    console = terminal(width)
    board = Board(console)
    for name in NAMES:
        board.add(name, 7_000_000)
    text = shown(board, console)
    assert width == 80 or "0 of 3 runs done, 0 running" in text
    assert "21 million steps" in text
    assert "normalised" not in text  # there is no score yet
    assert "left" not in text  # nor a speed
    board.show(NAMES[1], 0, -0.0123)
    board.show(NAMES[1], 2_275_328, 0.98765)
    text = shown(board, console)
    assert max(map(len, text.splitlines())) <= width
    assert width == 80 or "0 of 3 runs done, 1 running" in text
    assert "2.28 million of 7 million steps" in text
    assert "normalised 0.9877" in text
    assert len(re.findall(r"\d s left|min left|h \d+ min left", text)) >= 1
    assert "ppo-1" in "".join(text.split())
    assert "ppo-0" not in "".join(text.split())  # has not begun
    board.finish(NAMES[1], RESULT)
    board.fail(NAMES[2], "ValueError: [red]no[/red]")
    text = shown(board, console)
    assert width == 80 or "2 of 3 runs done, 0 running, 1 failed" in text
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    joined = printed.replace("\n", "")
    assert f"{NAMES[1]}: normalised 0.9877 in 25 s" in joined
    assert f"{NAMES[2]}: failed: ValueError: [red]no[/red]" in joined


def test_one_run_has_no_sum() -> None:
    console = terminal(80)
    board = Board(console)
    board.add(NAMES[0], 1000)
    board.put((NAMES[0], 1024, 0.5))  # the last roll-out goes beyond
    text = shown(board, console)
    assert "runs done" not in text
    assert "1,000 of 1,000 steps" in text


def test_a_file_gets_lines_of_finished_runs_only() -> None:
    console = Console(file=io.StringIO(), width=10_000)
    with Board(console) as board:
        board.add(NAMES[0], 1000)
        board.show(NAMES[0], 500, 0.5)
        board.finish(NAMES[0], RESULT)
    assert console.file.getvalue() == f"{NAMES[0]}: normalised 0.9877 in 25 s\n"  # type: ignore[attr-defined]
