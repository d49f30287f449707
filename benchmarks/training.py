"""How fast agents train here beside stable-baselines3's defaults on the same environments, in one run.

    python -m benchmarks.training speed    # steps per second, and where the time goes
    python -m benchmarks.training target   # time to normalised scores of 0.99 and 0.999, scored exactly

"here" is :func:`agents.train`: the native vector environment behind its adapter, with the defaults of
``agents.ALGORITHMS`` or the settings of a config (``--config``). "sb3" is PPO as it comes: its own
hyperparameters, 8 scalar environments in a ``DummyVecEnv``, rewards in money. Speeds are medians of
rounds taken in turns, so that a slow moment of the machine hits all; seconds to the target are those of
training, without the scoring.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env

import qc_gym
from agents import ALGORITHMS, ExactRegret, train
from agents.experiment import read_experiment
from agents.report import reached
from agents.tables import format_markdown

SB3_ENVS = 8
SCORES = 40
TARGETS = 0.99, 0.999


class Case(NamedTuple):
    """A problem to train PPO on, and the settings of the training here."""

    env_id: str
    scenario: Any
    observation: str
    settings: Mapping[str, Any]

    @property
    def title(self) -> str:
        scenario = "first preset" if self.scenario is None else self.scenario
        return f"{self.env_id}, {scenario}, {self.observation}"

    def env(self) -> gym.Env[Any, Any]:
        return gym.make(self.env_id, scenario=self.scenario, observation=self.observation)

    def train_here(self, seed: int, timesteps: int | None, callback: Any = None) -> BaseAlgorithm:
        settings = dict(self.settings)
        if timesteps is not None:
            settings["total_timesteps"] = timesteps
        where = {"scenario": self.scenario, "observation": self.observation}
        return train("ppo", self.env_id, **where, seed=seed, callback=callback, **settings)

    def make_sb3(self, seed: int) -> BaseAlgorithm:
        vec_env = make_vec_env(self.env, n_envs=SB3_ENVS, seed=seed)
        return PPO("MlpPolicy", vec_env, seed=seed, device="cpu")


def read_cases(config: str | None) -> Iterator[Case]:
    """Yield the first preset of each environment, or the problems on which a config trains PPO."""
    if config is None:
        for env_id in qc_gym.ENVIRONMENTS:
            yield Case(env_id, None, "belief", {})
        return
    for problem in read_experiment(config).problems:
        if "ppo" in problem.algorithms:
            settings = problem.algorithms["ppo"].model_dump(exclude_none=True)
            yield Case(problem.env_id, problem.scenario, problem.observation, settings)


# --- speed ----------------------------------------------------------------------------------


class Stopwatch:
    """Where the time of a model's training goes: its environment, its update, the rest.

    The rest is the roll-out's network, with the bookkeeping around it.
    """

    def __init__(self, model: BaseAlgorithm, threads: int) -> None:
        self.model = model
        self.threads = threads
        self.rates: list[float] = []
        self.seconds = dict.fromkeys(("environment", "update", "all"), 0.0)
        env: Any = model.env
        env.step = self._timed(env.step, "environment")
        model.train = self._timed(model.train, "update")  # type: ignore[attr-defined]

    def _timed(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[part] += time.perf_counter() - began

        return call

    def learn(self, seconds: float) -> None:
        """Train for at least so long, in whole roll-outs."""
        torch.set_num_threads(self.threads)
        before, began = self.model.num_timesteps, time.perf_counter()
        while time.perf_counter() - began < seconds:
            self.model.learn(1, reset_num_timesteps=False)
        spent = time.perf_counter() - began
        self.seconds["all"] += spent
        self.rates.append((self.model.num_timesteps - before) / spent)

    def line(self, base: float) -> str:
        whole = self.seconds["all"]
        env, update = self.seconds["environment"] / whole, self.seconds["update"] / whole
        rate = statistics.median(self.rates)
        return (
            f"{rate:12,.0f} /s {rate / base:7.1f} ×   environment {env:4.0%}   "
            f"rollout network {1 - env - update:4.0%}   update {update:4.0%}"
        )


def measure_speed(case: Case, rounds: int, seconds: float, seed: int) -> None:
    watches = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        here = case.train_here(
            seed, timesteps=1
        )  # one roll-out, which compiles what is to be compiled
        watches[f"here, {threads} threads"] = Stopwatch(here, threads)
        watches[f"sb3, {threads} threads"] = Stopwatch(case.make_sb3(seed), threads)
    for _ in range(rounds):
        for watch in watches.values():
            watch.learn(seconds)
    base = statistics.median(watches["sb3, 1 threads"].rates)
    for name, watch in watches.items():
        print(f"  {name:16s} {watch.line(base)}", flush=True)


# --- time to the target ---------------------------------------------------------------------


def arrival(curve: ExactRegret, target: float) -> str:
    """Return the seconds after which the score stayed at the target, or the best that it came to."""
    row = reached(curve.rows, target)
    if row is not None:
        return f"{row['seconds']:.1f}"
    return f"– (best {max(one['normalised'] for one in curve.rows):.4f})"


def compare(here: ExactRegret, sb3: ExactRegret, target: float) -> str:
    """Return how many times sooner the target is reached here."""
    ours, theirs = reached(here.rows, target), reached(sb3.rows, target)
    if ours is None:
        return "–"
    seconds = max(ours["seconds"], 1e-9)
    if theirs is None:
        return f"> {sb3.rows[-1]['seconds'] / seconds:.1f}"
    return f"{theirs['seconds'] / seconds:.1f}"


def measure_target(
    case: Case, timesteps: int | None, sb3_timesteps: int, seed: int, threads: int
) -> dict[str, Any]:
    """Train both, and return the row of the table that tells of them."""
    torch.set_num_threads(threads)
    timesteps = timesteps or case.settings.get("total_timesteps", ALGORITHMS["ppo"].total_timesteps)
    case.train_here(seed, timesteps=1)  # what is compiled in it is not the training's
    here = ExactRegret(case.env(), max(1, timesteps // SCORES))
    case.train_here(seed, timesteps, here)
    sb3 = ExactRegret(case.env(), max(1, sb3_timesteps // SCORES))
    case.make_sb3(seed).learn(sb3_timesteps, callback=sb3)
    row: dict[str, Any] = {"problem": case.title, "seed": seed}
    for name, curve in {"here": here, "sb3": sb3}.items():
        last = curve.rows[-1]
        row[name] = f"{last['normalised']:.4f} in {last['seconds']:.0f} s"
    for target in TARGETS:
        row[f"{target} here, s"] = arrival(here, target)
        row[f"{target} sb3, s"] = arrival(sb3, target)
        row[f"{target} times sooner"] = compare(here, sb3, target)
    return row


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training")
    parser.add_argument("measure", choices=("speed", "target"))
    parser.add_argument("--config", help="an experiment; its problems with PPO, as trained there")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    speed = parser.add_argument_group("speed")
    speed.add_argument("--rounds", type=int, default=5)
    speed.add_argument("--seconds", type=float, default=5.0, help="of each round")
    target = parser.add_argument_group("target")
    target.add_argument("--timesteps", type=int, help="here; by default those of the settings")
    target.add_argument("--sb3-timesteps", type=int, default=2_000_000)
    target.add_argument("--threads", type=int, default=1, help="of torch")
    options = parser.parse_args(arguments)
    rows = []
    for case in read_cases(options.config):
        print(case.title, flush=True)
        for seed in options.seeds:
            if options.measure == "speed":
                measure_speed(case, options.rounds, options.seconds, seed)
                continue
            budgets = options.timesteps, options.sb3_timesteps
            rows.append(measure_target(case, *budgets, seed, options.threads))
            print(
                "  " + ", ".join(f"{name} {rows[-1][name]}" for name in list(rows[-1])[1:]),
                flush=True,
            )
    if rows:
        print(f"\n{format_markdown(rows)}")


if __name__ == "__main__":
    main()
