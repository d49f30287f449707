"""Kill a sweep again and again at random moments, and compare what is left with an undisturbed one.

python -m benchmarks.interruptions [--kills 200] [--seed 0] [--steps 40000]
python -m benchmarks.interruptions --kills 10 --algorithms ppo --runs 1 --steps 400000

Each sweep is ``qc-gym bench`` in a process of its own, killed by SIGKILL: the parent alone, or all of
its group. Sweeps are begun anew until so many kills are done, each resumed to its end. The exit status is
1 if a run is missing or torn, is not the same as undisturbed, or if anything is left over.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from agents.experiment import read_experiment
from agents.runs import check_seal

MOST_KILLS = 12
"""Most kills of one sweep, after which it may come to its end."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="in all (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--steps", type=int, default=40_000, help="of each run (default: 40,000)")
    parser.add_argument("--algorithms", nargs="+", default=["ppo", "a2c"], metavar="NAME")
    parser.add_argument("--runs", type=int, default=2, help="of each algorithm (default: 2)")
    options = parser.parse_args()
    generator = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "sweep.yaml"
        config.write_text(
            yaml.safe_dump(sweep(options.steps, options.algorithms, options.runs)), encoding="utf-8"
        )
        began = time.perf_counter()
        subprocess.run(
            command(config, folder / "undisturbed"), check=True, stdout=subprocess.DEVNULL
        )
        seconds = time.perf_counter() - began
        names = [run.name for run in read_experiment(config).runs]
        wanted = results(folder / "undisturbed" / "sweep", names)
        print(f"undisturbed: {len(names)} runs in {seconds:.0f} s", flush=True)
        done = sweeps = 0
        while done < options.kills:
            out = folder / f"sweep-{sweeps}"
            kills = kill_again_and_again(
                config, out, min(MOST_KILLS, options.kills - done), seconds, generator
            )
            done, sweeps = done + kills, sweeps + 1
            subprocess.run(command(config, out), check=True, stdout=subprocess.DEVNULL)
            found = results(out / "sweep", names)
            if found != wanted:
                print(f"sweep {sweeps}: differs from the undisturbed one: {found}")
                return 1
            left = {path.name for path in (out / "sweep" / "runs").iterdir()} - set(names)
            if left:
                print(f"sweep {sweeps}: left over: {sorted(left)}")
                return 1
            print(f"sweep {sweeps}: {kills} kills, the same; {done} in all", flush=True)
    print(f"{done} kills in {sweeps} sweeps: every run there once, whole, and the same")
    return 0


def sweep(steps: int, algorithms: Iterable[str], runs: int) -> dict[str, Any]:
    """Return a sweep of short trainings that leave checkpoints, so many of each algorithm."""
    training = {"total_timesteps": steps, "num_envs": 64}
    problem = {
        "env_id": "qc_gym/SequentialSampling-v0",
        "scenario": "aql10-rql20",
        "algorithms": dict.fromkeys(algorithms, training),
    }
    seeds = list(range(runs))
    return {"name": "sweep", "seeds": seeds, "scores": 10, "workers": 2, "problems": [problem]}


def command(config: Path, out: Path) -> list[str]:
    """Return the command that carries a sweep out, or goes on with it."""
    return [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "agents.cli",
        "bench",
        str(config),
        "--out",
        str(out),
    ]


def kill_again_and_again(
    config: Path, out: Path, most: int, seconds: float, generator: random.Random
) -> int:
    """Begin a sweep and kill it so many times, unless it ends before; return how often it was killed."""
    kills = 0
    while kills < most:
        process = subprocess.Popen(
            command(config, out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(generator.uniform(0.0, seconds / 3))
        except subprocess.TimeoutExpired:
            if generator.random() < 0.5:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.wait()
            kills += 1
        else:
            break
    return kills


def results(folder: Path, names: list[str]) -> dict[str, Any]:
    """Return score and files of each run; raise where one is missing or torn."""
    found: dict[str, Any] = {}
    for name in names:
        result = check_seal(folder / "runs" / name)
        weights = result["files"]["policy.safetensors"]
        found[name] = {"score": result["score"], "weights": weights}
    return found


if __name__ == "__main__":
    raise SystemExit(main())
