"""What a training ran on and with: the same seed gives the same digits only where these are alike."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

_LIBRARIES = ("gymnasium", "numpy", "numba", "torch", "stable-baselines3", "sb3-contrib")
TOLD = ("machine", "Python", *_LIBRARIES)


def machine() -> dict[str, str]:
    """Return what the numbers of a training may depend on, by the names in ``TOLD``."""
    versions = {name: _version(name) for name in _LIBRARIES}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "machine": f"{platform.system()}, {platform.machine()}, {_processor()}, {cores} cores",
        "Python": platform.python_version(),
        **versions,
    }


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:  # a source tree on the path
        return "unknown"


def _processor() -> str:
    """Return the name of the processor, as well as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"
