"""What an engine adds to each task, and what the process that submits them holds.

    python -m benchmarks.engines [--engine processes|ray] [--address HOST:PORT] [--tasks 10 1000 10000]

Tasks that do nothing but tell of themselves once are carried out as a sweep's trainings are: never more at
the same time than there are workers, one queue for all messages. Printed are the milliseconds a task and
the resident memory of this process, in MiB, after each number of tasks; all in one run of the engine.
"""

from __future__ import annotations

import argparse
import resource
import time
from functools import partial
from typing import Any

from agents.cli.options import engine_of
from agents.engines import Workers, tell_end


def task(name: str, messages: Any) -> bytes:
    messages.put((name, 0, 0.0))
    return name.encode()


def carry_out(workers: Workers, messages: Any, number: int) -> None:
    waiting, running = iter(range(number)), {}
    left = number
    while left:
        while len(running) < workers.number():
            name = next(waiting, None)
            if name is None:
                break
            future = workers.submit(task, str(name), messages)
            running[str(name)] = future
            future.add_done_callback(partial(tell_end, messages, str(name)))
        message = messages.get()
        if isinstance(message, str):
            assert running.pop(message).result() == message.encode()
            left -= 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=["processes", "ray"], default="processes")
    parser.add_argument("--address", help="of a Ray cluster")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--tasks", type=int, nargs="+", default=[10, 100, 1000, 10_000])
    options = parser.parse_args()
    with engine_of(options.engine, options.address, options.workers)() as workers:
        messages = workers.queue()
        carry_out(workers, messages, 2 * workers.number())  # the processes are there
        for number in options.tasks:
            began = time.perf_counter()
            carry_out(workers, messages, number)
            each = 1e3 * (time.perf_counter() - began) / number
            # The most so far: what is flat in it does not grow.
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{number:7,d} tasks  {each:8.2f} ms each  {most:8.1f} MiB", flush=True)


if __name__ == "__main__":
    main()
