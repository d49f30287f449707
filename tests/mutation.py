"""Change the code in one place at a time: does a test fail? `make mutate`, after `make coverage`.

    python tests/mutation.py [--sample 300] [--seed 0] [--seconds 60] [--work build/mutation]

Mutants are drawn over what computes: worlds, solvers, scoring. Each is tried in a copy of the tree by
the tests that run its line (any line of its module or of those that import it, where numba compiles),
the quick ones first and for so many seconds. Compiled code is compiled again, that of
the modules too that import a mutant: numba's cache, which knows a function by its own file, would
play what was there before. A test that kills must pass without mutants. What is known is not tried
again: after a change of the code, begin with an empty folder.
"""

import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import coverage
import gymnasium  # noqa: F401  What takes long to import is there before the mutants' processes are.
import hypothesis  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import numba
import pydantic  # noqa: F401
import pytest
import scipy.sparse.linalg
import scipy.stats  # noqa: F401
from mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "build" / "coverage"
CORE = ("inspection", "noise", "loops", "pool", "ranges", "lattice", "solver", "scoring", "tabular")
CORE += ("model", "linear", "problem")
FAMILY = (
    "dynamics",
    "optimum",
    "model",
    "reference",
    "bracket",
    "cells",
    "evaluation",
    "posterior",
)
FAMILY += ("stopping", "belief", "beliefs", "lattice", "information", "policies", "sizes", "static")
FAMILY += ("static_search", "tables", "judgements", "special", "steady_state", "imperfect", "plans")
FAMILY += ("characteristics", "beta_binomial", "least_asn")


class Tests:
    """Which tests run what, and how long each takes, of the measured run."""

    def __init__(self) -> None:
        self.data = coverage.CoverageData(str(MEASURED / "data"))
        self.data.read()
        self.seconds: dict[str, float] = {}
        for report in MEASURED.glob("*.xml"):
            for case in ElementTree.parse(report).iter("testcase"):
                name = case.attrib["classname"].replace(".", "/") + ".py::" + case.attrib["name"]
                self.seconds[name] = float(case.attrib["time"])
        files = [path for name in ("qc_gym", "baselines") for path in (ROOT / name).rglob("*.py")]
        self.texts = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in files}

    def importers(self, file: str) -> set[str]:
        """Return the files that import a module."""
        package, _, name = file.removesuffix(".py").replace("/", ".").rpartition(".")
        form = rf"(from {package}\.{name} |from {package} import [^#\n]*\b{name}\b)"
        return {other for other, text in self.texts.items() if re.search(form, text)}

    def dependents(self, file: str) -> set[str]:
        """Return the files with compiled functions that import a module, or one that imports it."""
        found, new = set[str](), {file}
        while new:
            found |= new
            new = {other for one in new for other in self.importers(one)} - found
        return {other for other in found - {file} if "njit" in self.texts[other]}

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests to try a mutant with, the quick ones first."""
        lines = self.data.contexts_by_lineno(str(ROOT / mutant.file))
        names = set(lines.get(mutant.line, [])) - {""}
        if not names:
            files = {mutant.file} | (self.importers(mutant.file) if mutant.compiled else set())
            for file in files:
                names.update(*self.data.contexts_by_lineno(str(ROOT / file)).values())
        home, order = f"tests/{Path(mutant.file).parent}/", sorted(names - {""})
        random.Random(0).shuffle(order)  # where no time is known, some of each kind come first
        order.sort(key=lambda name: (home not in name, self.seconds.get(name, 1.0)))
        if not any(name.startswith(home) for name in self.data.measured_contexts()):
            word = mutant.file.removesuffix(".py").replace("/", ".")
            files = sorted(
                (ROOT / home).glob("test_*.py")
            )  # not measured: those first that name it
            files.sort(key=lambda path: word not in path.read_text("utf-8"))
            order = [*(str(path.relative_to(ROOT)) for path in files), *order]
        return order


def attempt(tree: Path, cache: Path, names: list[str], seconds: float) -> tuple[str, str]:
    """Run tests in a process of their own; return what came of it, and the test that failed."""
    log = cache.parent / "log"
    child = os.fork()
    if not child:
        os.setsid()
        os.chdir(tree)
        os.environ.update(PYTHONPATH=str(tree), NUMBA_CACHE_DIR=str(cache))
        numba.config.CACHE_DIR = str(cache)
        sys.path[:0] = [str(tree)]
        with log.open("w") as file:
            os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
        options = ["-x", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"]
        options.append(f"--fuzz-until={time.time() + seconds}")
        status = pytest.main([*options, *names])
        sys.stdout.flush()
        os._exit(status)
    until = time.time() + seconds + 300.0  # so long is no test
    while time.time() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            failed = re.findall(
                r"^(?:FAILED|ERROR) (\S+\.py::.*?)(?: - |$)", log.read_text(), re.MULTILINE
            )
            return "killed" if status else "survived", "".join(failed[:1])
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL), os.waitpid(child, 0)
    return "timed out", ""


def mutate(
    mutant: Mutant, index: int, work: Path, tests: Tests, names: list[str], seconds: float
) -> tuple[str, str]:
    """Put a mutant into the tree, try it, and put back what was there."""
    tree, cache = work / "tree", work / "cache-of-mutant"
    touched = {mutant.file} | (tests.dependents(mutant.file) if mutant.compiled else set())
    before = {file: (tree / file).stat() for file in touched}
    source = (tree / mutant.file).read_bytes()
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(work / "cache", cache, copy_function=os.link)
    try:
        changed = source[: mutant.start] + mutant.text.encode() + source[mutant.end :]
        (tree / mutant.file).write_bytes(changed)
        for file, stat in before.items():  # what Python and numba have kept is known by these
            os.utime(tree / file, ns=(stat.st_atime_ns, stat.st_mtime_ns + (index + 1) * 10**10))
        return attempt(tree, cache, names, seconds)
    finally:
        (tree / mutant.file).write_bytes(source)
        for file, stat in before.items():
            os.utime(tree / file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def main() -> None:
    """Draw mutants, try each, and print which survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=300, help="mutants (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="they are drawn by (default: 0)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="that a mutant is tried (default: 60)"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "mutation", help="folder")
    options = parser.parse_args()
    work, tests = options.work.resolve(), Tests()
    tree = work / "tree"
    shutil.rmtree(tree, ignore_errors=True)  # a run that was broken off leaves a mutant in it
    ignored = shutil.ignore_patterns(".*", "build", "results", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, tree, ignore=ignored)
    if not (work / "cache").exists():  # what no mutant changes is compiled once
        (work / "cache").mkdir()
        print(
            "without mutants:",
            *attempt(tree, work / "cache", ["tests/qc_gym", "tests/baselines"], 3600.0),
        )
    patterns = [f"core/{name}.py" for name in CORE] + [f"*/{name}.py" for name in FAMILY]
    found = {
        path
        for name in ("qc_gym", "baselines")
        for one in patterns
        for path in (tree / name).glob(one)
    }
    files = sorted(str(path.relative_to(tree)) for path in found)
    every = [mutant for file in files for mutant in mutants_of(tree, file)]
    random.Random(options.seed).shuffle(every)
    drawn = every[: options.sample]  # a larger sample of the same seed holds a smaller one
    print(
        f"{len(drawn)} of {len(every)} mutants of {len(found)} modules, seed {options.seed}",
        flush=True,
    )
    kept = work / "outcomes.jsonl"
    known = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    outcomes = {tuple(one["mutant"]): one for one in known}
    for index, mutant in enumerate(drawn):
        if mutant not in outcomes:
            names, began = tests.of(mutant), time.time()
            tried = work, tests, names, options.seconds
            outcome, killer = mutate(mutant, index, *tried) if names else ("survived", "")
            new = {"mutant": mutant, "outcome": outcome, "killer": killer, "tests": len(names)}
            outcomes[mutant] = new
            with kept.open("a") as file:
                file.write(json.dumps(new | {"seconds": round(time.time() - began, 1)}) + "\n")
    report(tree, [outcomes[mutant] for mutant in drawn], every)
    killers = sorted({outcomes[mutant]["killer"] for mutant in drawn} - {""})
    print(
        "the tests that kill, without mutants:",
        *attempt(tree, work / "cache", killers, 3600.0),
    )


def report(tree: Path, outcomes: list[dict[str, Any]], every: list[Mutant]) -> None:
    """Print how many of each module were killed, and which were not."""
    counts = collections.defaultdict(collections.Counter[str])
    for one in outcomes:
        counts[one["mutant"][0]][one["outcome"]] += 1
    places = collections.Counter(mutant.file for mutant in every)
    for file, count in sorted(counts.items()):
        print(f"{file}: {dict(count)} of {places[file]}")
    total = sum(counts.values(), collections.Counter[str]())
    print(f"{total['killed'] + total['timed out']} of {total.total()} killed; {dict(total)}")
    for one in outcomes:
        file, line, _, start, end, text = one["mutant"]
        if one["outcome"] != "killed":
            before = (tree / file).read_bytes()[start:end].decode()
            print(f"{one['outcome']} {file}:{line}: {before!r} → {text!r} ({one['tests']} tests)")


if __name__ == "__main__":
    main()
