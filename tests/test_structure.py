"""Whoever looks for a piece by its name finds it."""

import pkgutil
import sys
from importlib import import_module

import agents
import baselines
import qc_gym


def test_no_module_is_eclipsed_by_what_its_package_exports() -> None:
    for package in (qc_gym, baselines, agents):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__"):
                continue
            module = import_module(found.name)
            parent, _, name = found.name.rpartition(".")
            assert getattr(sys.modules[parent], name) is module, found.name
