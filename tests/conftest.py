"""How the property tests draw: the same examples every time, or in `make fuzz` ever new ones."""

import sys
import time

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, database=None, deadline=None, print_blob=True)
settings.register_profile("fuzz", database=None, deadline=None, print_blob=True)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fuzz")
    group.addoption("--fuzz-scale", type=int, default=1, help="examples, times what a test says")
    group.addoption("--fuzz-until", type=float, default=None, help="no test begins after that time")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Multiply the examples, those too that a test's own `settings` say: a profile does not."""
    scale = config.getoption("--fuzz-scale")
    if scale == 1:
        return
    for item in items:
        if item.get_closest_marker("hypothesis"):
            test = item.obj  # type: ignore[attr-defined]
            own = getattr(test, "_hypothesis_internal_use_settings", None) or settings()
            if not getattr(test, "_is_scaled", False):  # parametrized tests share their function
                test._hypothesis_internal_use_settings = settings(
                    own, max_examples=scale * own.max_examples
                )
                test._is_scaled = True


def pytest_runtest_setup(item: pytest.Item) -> None:
    _note_whose_lines_run(item)
    until = item.config.getoption("--fuzz-until")
    if until is not None and time.time() > until:
        pytest.skip("the time is over")


def _note_whose_lines_run(item: pytest.Item) -> None:
    """Under `make coverage`: tests/mutation.py asks which tests run a line."""
    coverage = sys.modules.get("coverage")
    measured = coverage and coverage.Coverage.current()
    if measured:
        measured.switch_context(item.nodeid)
