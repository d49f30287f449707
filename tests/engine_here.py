"""An engine that carries out tasks in this process, one after the other: no processes are started."""

import queue
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from agents.engines import Workers


@contextmanager
def this_process(is_here: bool = True) -> Iterator[Workers]:
    """Carry out each task when it is submitted."""

    def submit(function: Any, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    yield Workers(submit, queue.Queue, lambda: 1, is_here)
