"""Workers do not outlive the process that started them, and are waited for where there are none."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import agents.cluster

PARENT = """
import multiprocessing, os, sys, time
from concurrent.futures import ProcessPoolExecutor
from agents.engines import end_with_parent

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=end_with_parent) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600)
        time.sleep(600)
"""


def is_running(pid: int) -> bool:
    """Return whether a process is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to look into")
def test_a_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment
    )
    worker = None
    try:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert is_running(worker)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 20
        while is_running(worker) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_running(worker)
    finally:
        parent.kill()
        parent.wait()
        if worker is not None and is_running(worker):
            os.kill(worker, signal.SIGKILL)


def test_a_cluster_without_a_cpu_is_waited_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    found = iter([{}, {"CPU": 0.0}, {"CPU": 3.0}, {"CPU": 3.0}])
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(cluster_resources=lambda: next(found)))
    monkeypatch.setattr("agents.cluster.time.sleep", slept.append)
    agents.cluster._wait_for_a_cpu()
    assert slept == [1.0, 1.0]
    assert agents.cluster._cpus() == 3
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(cluster_resources=dict))
    with pytest.raises(ConnectionError, match="has had no CPU for 60 s"):
        agents.cluster._wait_for_a_cpu()
    assert len(slept) == 62
