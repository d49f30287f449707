"""Whoever looks for a piece by its name finds it."""

import pkgutil
import sys
import tomllib
from importlib import import_module
from pathlib import Path

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


def test_data_of_the_packages_is_installed_with_them() -> None:
    """A clone has every file; an installed package only the code and what pyproject.toml names."""
    content = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))
    named = content["tool"]["setuptools"]["package-data"]
    left_out = []
    for package in (qc_gym, baselines, agents):
        root = Path(package.__path__[0])
        installed = {path for pattern in named[package.__name__] for path in root.glob(pattern)}
        assert root / "py.typed" in installed
        left_out += [
            path.name
            for path in root.rglob("*")
            if path.is_file() and path not in installed
            if path.suffix != ".py" and "__pycache__" not in path.parts
        ]
    assert left_out == ["README.md"]  # of the papers, which is documentation
