"""Steps per second of the environments beside gymnasium's own CartPole, in one run.

    python -m benchmarks.stepping [ENVIRONMENT ...]

All are made with ``gym.make_vec`` (native vector environments, 4,096 sub-environments), each preset of
each environment and the ranges of :mod:`benchmarks.many`, and the first with ``gym.make`` too; they are
stepped in turns, so that a slow
moment of the machine hits all. Printed is the median of the rounds and the ratio. The actions of qc_gym's
environments are drawn so that episodes are as long as under good play (the first action, with one in
``GOOD_PLAY`` another), and uniformly, so that episodes last a step or two and the measure is that of
``reset``. A range makes each of its scenarios once, when it is first drawn: that is in the first rounds.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

import qc_gym
from benchmarks.many import RANGES

NUM_ENVS = 4096
ROUNDS = 15
GOOD_PLAY = 28  # the optimum of sequential sampling decides after 28 steps on average


def draw(count: int, size: int, actions: str, generator: np.random.Generator) -> np.ndarray:
    drawn = generator.integers(count, size=size)
    return drawn if actions == "random" else drawn * (generator.random(size) < 1.5 / GOOD_PLAY)


def vector_stepper(env_id: str, actions: str, **options: Any) -> Callable[[int], None]:
    env = gym.make_vec(env_id, NUM_ENVS, "vector_entry_point", **options)
    env.reset(seed=0)
    count = env.single_action_space.n
    generator = np.random.default_rng(0)
    batches = [draw(count, NUM_ENVS, actions, generator) for _ in range(64)]

    def step(times: int) -> None:
        for i in range(times):
            env.step(batches[i % 64])

    return step


def scalar_stepper(env_id: str, actions: str, **options: Any) -> Callable[[int], None]:
    env: gym.Env[Any, Any] = gym.make(env_id, **options)
    env.reset(seed=0)
    generator = np.random.default_rng(0)
    choices = draw(env.action_space.n, 4096, actions, generator).tolist()

    def step(times: int) -> None:
        for i in range(times):
            _, _, terminated, truncated, _ = env.step(choices[i % 4096])
            if terminated or truncated:
                env.reset()

    return step


def compare(title: str, steppers: dict[str, Callable[[int], None]], times: int, each: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in steppers}
    for step in steppers.values():
        step(10)  # compiled, and past the first episodes
    for _ in range(ROUNDS):
        for name, step in steppers.items():
            began = time.perf_counter()
            step(times)
            seconds[name].append(time.perf_counter() - began)
    print(title)
    base = statistics.median(seconds["CartPole-v1"])
    for name, measured in seconds.items():
        middle = statistics.median(measured)
        print(f"  {name:45s} {times * each / middle / 1e6:8.2f} M/s   {base / middle:5.2f} ×")


def main(env_ids: Sequence[str]) -> None:
    for env_id in env_ids:
        presets = gym.make(env_id).unwrapped.scenario_type.presets  # type: ignore[attr-defined]
        scenarios: dict[str, Any] = {preset: preset for preset in presets}
        scenarios |= {
            f"{preset}, varied": {**presets[preset], **varied}
            for environment, preset, varied, _ in RANGES.values()
            if env_id == f"qc_gym/{environment}"
        }
        first = dict(list(scenarios.items())[:1])
        for title, make, named, times, each in (
            (
                f"{NUM_ENVS} sub-environments, gym.make_vec",
                vector_stepper,
                scenarios,
                100,
                NUM_ENVS,
            ),
            ("one environment, gym.make", scalar_stepper, first, 5_000, 1),
        ):
            steppers = {"CartPole-v1": make("CartPole-v1", "random")}
            for name, scenario in named.items():
                for actions in ("good play", "random"):
                    steppers[f"{name} ({actions})"] = make(env_id, actions, scenario=scenario)
            compare(f"{env_id}: {title}", steppers, times, each)


if __name__ == "__main__":
    main(sys.argv[1:] or list(qc_gym.ENVIRONMENTS))
