"""Explore with the property tests: round after round with a fresh seed, for a given time.

    python tests/fuzz.py [--minutes 20] [--seed SEED] [what pytest is to run]

A round runs every test that hypothesis draws examples for: the first with as many as in `make test`,
each later one with twice as many. What it finds is shown with the seed and the command that finds it
again, and the exit status is 1. At the end it tells how many examples were tried, by folder.
"""

import argparse
import collections
import re
import secrets
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LARGEST_SCALE = 16
TRIED = collections.Counter[str]()
"""Examples that were tried, by folder."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20.0, help="how long (default: 20)")
    parser.add_argument("--seed", type=int, help="of the first round (default: drawn)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("tests", nargs="*", default=["tests"], help="files (default: all)")
    options = parser.parse_args()
    until = time.time() + 60.0 * options.minutes
    seed, scale, rounds = options.seed, 1, 0
    while time.time() < until:
        seed = secrets.randbelow(2**32) if seed is None else seed
        rounds += 1
        print(f"round {rounds}: seed {seed}, {scale} × the examples", flush=True)
        if not explore(options.tests, seed, scale, until, options.workers):
            return 1
        seed, scale = None, min(2 * scale, LARGEST_SCALE)
    for folder, count in sorted(TRIED.items()):
        print(f"{folder}: {count:,} examples")
    found = f"nothing found in {options.minutes:g} minutes, {rounds} rounds"
    print(f"{found}, {sum(TRIED.values()):,} examples")
    return 0


def explore(tests: list[str], seed: int, scale: int, until: float, workers: int) -> bool:
    """Run a round; show what it finds. Return whether it found nothing."""
    again = ["--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}", f"--fuzz-scale={scale}"]
    command = [sys.executable, "-m", "pytest", *again]
    limits = ["-m", "hypothesis", "-q", "-rfE", "--no-header", f"--fuzz-until={until}"]
    limits.append("--hypothesis-show-statistics")
    result = subprocess.run(
        [*command, *limits, f"-n{workers}", *tests],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    blocks = re.split(r"^(?=tests/\S+\.py::)", result.stdout, flags=re.MULTILINE)
    for block in blocks[1:]:
        counts = re.findall(r"(\d+) passing(?: examples)?, (\d+) failing", block)
        folder = block.partition(".py::")[0].rpartition("/")[0]
        TRIED[folder] += sum(int(passing) + int(failing) for passing, failing in counts)
    if result.returncode == 0:
        return True
    print(result.stdout)
    found = re.findall(r"^(?:FAILED|ERROR) (\S+(?:\[.*?\])?)", result.stdout, re.MULTILINE)
    print(f"seed {seed}: {len(found)} found. Again with:")
    for name in found:
        print(f"    python -m pytest {' '.join(again)} '{name}'")
    return False


if __name__ == "__main__":
    raise SystemExit(main())
