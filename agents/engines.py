"""Engines: where tasks are carried out at the same time, and how they tell of themselves.

A task is a function of its arguments that touches no file of this process: it may be done twice, on any
machine. Local processes are here; a Ray cluster is in :mod:`agents.cluster`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.managers import SyncManager
from typing import Any


@dataclass(frozen=True)
class Workers:
    """What carries out tasks.

    Attributes
    ----------
    submit
        (function, its arguments) → the future of what it returns. Where the process of a task is ended
        from outside and the engine does not begin it again, that is a ``BrokenProcessPool`` error, and no
        task can be submitted any more.
    queue
        Makes a queue between this process and those of the tasks.
    number
        How many tasks there can be at the same time, now.
    is_here
        Whether tasks see the files of this machine.
    """

    submit: Callable[..., Future[Any]]
    queue: Callable[[], Any]
    number: Callable[[], int]
    is_here: bool = False


Engine = Callable[[], AbstractContextManager[Workers]]
"""Gives workers for as long as they are needed."""


def processes(number: int) -> Engine:
    """Return the engine of so many processes of this machine, each with one task at a time."""
    return partial(_use_processes, number)


@contextmanager
def _use_processes(number: int) -> Iterator[Workers]:
    """Start processes and end them.

    Ctrl-C is for this process alone to answer; whatever goes wrong in the block ends the others at once.
    """
    context = multiprocessing.get_context("spawn")
    with _ending_children():
        manager = SyncManager(ctx=context)
        with _deaf_to_interrupts():
            manager.start(end_with_parent)
        with (
            manager,
            ProcessPoolExecutor(number, context, initializer=end_with_parent) as pool,
            # Here too: the pool would wait for the trainings that are under way.
            _ending_children(),
        ):

            def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
                with _deaf_to_interrupts():
                    return pool.submit(function, *arguments)

            yield Workers(submit, manager.Queue, lambda: number, is_here=True)


ONE_PROCESS = processes(1)


@contextmanager
def _ending_children() -> Iterator[None]:
    """End the processes that are started here if anything goes wrong, and wait for none of them."""
    others = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Have processes that are started here ignore Ctrl-C, from their first moment on.

    It goes to all processes of a terminal, and is for the parent alone to answer: one that comes
    meanwhile waits until they are started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which unblocks the signal when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def holding_interrupts() -> Iterator[None]:
    """Answer Ctrl-C after the block, which takes several steps that belong together."""
    if threading.current_thread() is not threading.main_thread():  # which alone answers it
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however that came about.

    A parent that is killed cannot tell its workers to end, and they would train on for hours.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def tell_end(messages: Any, name: str, future: Future[Any]) -> None:
    """Put the name of what has ended into the queue of messages."""
    if not future.cancelled():
        messages.put(name)
