"""The engine of a Ray cluster that is already there.

Ray schedules the tasks, each on one CPU, and begins those again whose node or process is lost. Nodes need
share no folder with this machine: a task is given a run and returns its files. They need the same
code, which each task checks.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from agents.engines import Engine, Workers
from agents.experiment import code_version

ANY = "auto"
"""The address of the cluster that runs on this machine, or that RAY_ADDRESS names."""
RETRIES = 5
"""How often a task is begun again that was lost with its node or process."""
_MOST_THREADS = 10_000
_PATIENCE = 60
"""Seconds that a cluster without a CPU is waited for."""


def cluster(address: str = ANY) -> Engine:
    """Return the engine of an existing Ray cluster.

    Each task takes one CPU of the cluster: as many run at the same time as it has, nodes that join
    or leave meanwhile counted.

    Parameters
    ----------
    address
        Where the cluster is: ``host:port`` of its head, ``ray://…``, or :data:`ANY`.

    Raises
    ------
    ModuleNotFoundError
        Ray is not installed.
    ConnectionError
        No cluster is there.
    """
    import ray

    own = not ray.is_initialized()  # otherwise the caller's connection is used, and kept
    if own:
        _connect(address)
    return partial(_connected, address, own)


def _connect(address: str) -> None:
    import ray

    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if host:  # whether anyone is there: Ray itself tries for minutes
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        where = "on this machine" if address == ANY else f"at {address}"
        reason = str(error).strip().partition("\n")[0]
        raise ConnectionError(
            f"no Ray cluster {where}: {reason} (one is started with: ray start --head)"
        ) from None


@contextmanager
def _connected(address: str, own: bool) -> Iterator[Workers]:
    import ray

    if not ray.is_initialized():
        _connect(address)
    submitted: set[Any] = set()
    try:
        _wait_for_a_cpu()
        task = ray.remote(num_cpus=1, max_retries=RETRIES, retry_exceptions=False)(_carry_out)
        here = ray.get_runtime_context().get_node_id()
        with _Queues(here) as queues, ThreadPoolExecutor(_MOST_THREADS) as waiting:

            def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
                reference = task.remote(code_version(), function, arguments)
                submitted.add(reference)
                # In a thread of its own: who is told of the end may ask the cluster something.
                return waiting.submit(_outcome, reference, submitted)

            try:
                yield Workers(submit, queues.make, _cpus)
            except BaseException:
                for reference in list(submitted):
                    ray.cancel(reference, force=True)
                raise
    finally:
        if own:
            ray.shutdown()


def _carry_out(code: tuple[str, str], function: Callable[..., Any], arguments: Any) -> Any:
    """Carry out a task on a node, which must have the code of who submitted it."""
    if code_version() != code:
        here, wanted = (" ".join(version) for version in (code_version(), code))
        raise RuntimeError(f"the code of this node is {here}; it was submitted by {wanted}")
    return function(*arguments)


def _outcome(reference: Any, submitted: set[Any]) -> Any:
    """Wait for a task, and return what it returned or raise what it raised."""
    import ray

    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        reason = str(error).strip().partition("\n")[0]
        raise RuntimeError(
            f"lost with its node or process, {1 + RETRIES} times: {reason}"
        ) from None
    finally:
        submitted.discard(reference)


def _cpus() -> int:
    """Return how many CPUs the cluster has now."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0.0))


def _wait_for_a_cpu() -> None:
    """Wait until the cluster has a CPU.

    Raises
    ------
    ConnectionError
        There is still none after a minute.
    """
    for _ in range(_PATIENCE):
        if _cpus():
            return
        time.sleep(1.0)
    raise ConnectionError(
        f"the Ray cluster has had no CPU for {_PATIENCE} s; start a node with some"
    )


class _Queues:
    """Queues between this process and tasks, kept on this process's node: it is lost with no other."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._made: list[Any] = []

    def __enter__(self) -> _Queues:
        return self

    def __exit__(self, *_: object) -> None:
        for queue in self._made:
            queue.shutdown(force=True)

    def make(self) -> Any:
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._node, soft=False)
        queue = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        self._made.append(queue)
        return queue
