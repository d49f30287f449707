"""What users and files of others hand over, mutated at random: it is used, or refused by name.

``PYTHONPATH=. python tests/mutated_inputs.py 4400`` tries so many of each kind, fewer of those that take
long, from a fresh seed that it prints.
"""

import json
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import gymnasium as gym
import mutated_scenarios
import numpy as np
import yaml
from gymnasium.error import ResetNeeded
from strategies import SMALL_LOT

import qc_gym
from agents import ExactRegret, load_policy, train
from agents.checkpoint import _unpacked, restore
from agents.experiment import Experiment, Run, read_experiment
from agents.report import read_results
from agents.runs import train_run, write_run
from baselines.core.store import Store
from qc_gym.core.errors import ScenarioError
from qc_gym.core.record import validated

LONGEST = 10
"""Seconds of computing that no input may take."""
MOST = 2_000_000
"""Kilobytes that the process may come to need, whatever it is handed."""
ID = "qc_gym/SequentialSampling-v0"
VALUES = (*mutated_scenarios.VALUES, range(3), iter([1]), np.zeros((2, 2, 2)), "seed", b"\0", [[]])
ROLLOUTS = {"n_steps": 16, "batch_size": 32, "n_epochs": 1}
EXPERIMENT = {
    "name": "tiny",
    "seeds": [0],
    "scores": 2,
    "problems": [
        {
            "env_id": ID,
            "scenario": SMALL_LOT,
            "algorithms": {
                "ppo": {"total_timesteps": 64, "num_envs": 4, "hyperparameters": ROLLOUTS}
            },
        }
    ],
}


@cache
def _env(env_id: str) -> Any:
    return gym.make(env_id, disable_env_checker=True).unwrapped


@cache
def _vector(env_id: str) -> Any:
    return gym.make_vec(env_id, num_envs=3)


@cache
def _files(kind: str) -> dict[str, bytes]:
    """Return what the files of a kind hold when nothing is wrong with them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "checkpoint":
            train("ppo", ID, checkpoint=folder / "state.npz", callback=_curve(), **_TRAINING)
        elif kind == "optimum":
            Store(folder, "code").keep({"of": 1}, {"values": np.arange(100_000.0)})
        else:
            run = next(iter(validated(Experiment, EXPERIMENT, "fuzz").runs))
            write_run(train_run(run), run, folder)
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


_TRAINING: dict[str, Any] = {
    "scenario": SMALL_LOT,
    "total_timesteps": 192,
    "num_envs": 4,
    "hyperparameters": ROLLOUTS,
}


def _curve() -> ExactRegret:
    return ExactRegret(gym.make(ID, scenario=SMALL_LOT), 64)


@cache
def _agent() -> Any:
    return train("ppo", ID, callback=_curve(), **_TRAINING)


@cache
def _told() -> Any:
    """Return what a whole checkpoint says of its training."""
    (content,) = _files("checkpoint").values()
    return json.loads(_unpacked(content)["json"].tobytes())["training"]


def _value(rng: random.Random) -> Any:
    """Return what an action, a seed or an option may be taken for."""
    if rng.random() < 0.5:
        return rng.choice(VALUES)
    if rng.random() < 0.5:
        return rng.randint(-3, 5)
    shape = rng.choice(((), (0,), (2,), (3,), (3, 1), (4,)))
    kind = rng.choice(("i1", "u8", ">i4", "f4", "f8", "?", "U1", "O", "c16", "M8[s]"))
    return np.full(shape, rng.randint(0, 4)).astype(kind)


def _spoilt(rng: random.Random, content: bytes) -> bytes:
    """Return what is left of a file in which some bytes are others, gone, or there again."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        at, length = rng.randrange(len(content) + 1), rng.choice((0, 1, 1, 4, 50, 10_000))
        other = rng.randrange(len(content) + 1)
        pieces = (b"", rng.randbytes(length), content[other : other + length], b"0" * length)
        content = content[:at] + rng.choice(pieces) + content[at + length :]
    return content[: rng.randrange(len(content) + 1)] if rng.random() < 0.2 else content


def _spoilt_text(rng: random.Random, content: bytes) -> bytes:
    """Return JSON in which a value is another, or whatever bytes are left of it."""
    if rng.random() < 0.4:
        return _spoilt(rng, content)
    fields = json.loads(content)
    for _ in range(rng.choice((1, 1, 2))):
        part, key = rng.choice(list(mutated_scenarios._places(fields)))
        part[key] = rng.choice((None, True, -1, 0, 2, 1e308, "x", [], {}, [0] * 1000, "9" * 5000))
    return json.dumps(fields).encode()


@contextmanager
def _refusal(
    *names: str, types: tuple[type[Exception], ...] = (ValueError,)
) -> Iterator[Counter[str]]:
    """Take an error of our own that holds one of the names; count it as refused."""
    seen = Counter[str]()
    try:
        yield seen
    except (*types, ScenarioError) as error:
        seen["refused"] += 1
        if not any(name in str(error) for name in names):
            raise AssertionError(
                f"{type(error).__name__} names none of {names}: {error}"
            ) from error


def _actions(rng: random.Random) -> bool:
    env = rng.choice((_env, _vector))(rng.choice(list(qc_gym.ENVIRONMENTS)))
    env.reset(seed=rng.randrange(9))
    for _ in range(rng.choice((0, 0, 1, 2, 5))):
        rewards, terminated = env.step(env.action_space.sample())[1:3]
        assert np.isfinite(rewards).all()
        if np.any(terminated):
            env.reset()
    before = env.state if hasattr(env, "state") else env.states
    action = _value(rng)
    with _refusal("action") as refused:
        rewards = env.step(action)[1]
        assert np.isfinite(rewards).all()
    if refused:
        after = env.state if hasattr(env, "state") else env.states
        assert np.array_equal(before, after), "what was refused changed the state"
    return bool(refused)


def _seeds(rng: random.Random) -> bool:
    env = rng.choice((_env, _vector))(rng.choice(list(qc_gym.ENVIRONMENTS)))
    seed = rng.choice((_value(rng), [_value(rng) for _ in range(3)]))
    with _refusal("seed") as refused:
        observation, _ = env.reset(seed=seed)
        assert np.isfinite(observation).all()
    return bool(refused)


def _reset_options(rng: random.Random) -> bool:
    env = rng.choice((_env, _vector))(rng.choice(list(qc_gym.ENVIRONMENTS)))
    env.reset(seed=0)
    names = ("reset_mask", "scenario", "x", 3)
    options = rng.choice((_value(rng), {rng.choice(names): _value(rng)}))
    with _refusal("option", "reset_mask", "scenario") as refused:
        observation, _ = env.reset(options=options)
        assert np.isfinite(observation).all()
    return bool(refused)


def _vector_options(rng: random.Random) -> bool:
    names = ("num_envs", "observation", "render_mode", "autoreset_mode", "max_episode_steps")
    chosen = {name: _value(rng) for name in rng.sample(names, rng.choice((1, 1, 2)))}
    if isinstance(chosen.get("num_envs"), int) and chosen["num_envs"] > 10**6:
        chosen["num_envs"] = 10**6 + 1
    with _refusal(*names) as refused:
        gym.make_vec(rng.choice(list(qc_gym.ENVIRONMENTS)), **{"num_envs": 2, **chosen}).close()
    return bool(refused)


def _experiments(rng: random.Random) -> bool:
    text = mutated_scenarios._text(rng, EXPERIMENT)
    if rng.random() < 0.5:
        fields = json.loads(json.dumps(EXPERIMENT))
        rng.choice(mutated_scenarios._MUTATIONS)(rng, fields)
        with suppress(yaml.YAMLError, ValueError, RecursionError):  # what no YAML holds
            text = yaml.safe_dump(fields)
    with _folder({}) as folder, _refusal("mine.yaml") as refused:
        (folder / "mine.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        assert all(isinstance(run, Run) for run in read_experiment(folder / "mine.yaml").runs)
    return bool(refused)


@contextmanager
def _folder(files: dict[str, bytes]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, content in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(content)
        yield folder


def _broken(rng: random.Random, kind: str, *suffixes: str) -> dict[str, bytes]:
    files = dict(_files(kind))
    name = rng.choice([name for name in files if name.endswith(suffixes)])
    if rng.random() < 0.02:
        del files[name]
    else:
        spoil = _spoilt_text if name.endswith(".json") else _spoilt
        files[name] = spoil(rng, files[name])
    return files


def _runs(rng: random.Random) -> bool:
    files = _broken(rng, "run", ".json", ".csv", ".safetensors")
    with _folder(files) as folder:
        run = folder / Path(next(iter(files))).parts[0]
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        results, left_out = read_results([run])
        assert len(results) + len(left_out) == 1
        assert all(str(run) in message for message in left_out.values())
        after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert before == after, "reading wrote"
    return bool(left_out)


def _policies(rng: random.Random) -> bool:
    files = _broken(rng, "run", "policy.json", ".safetensors")
    with _folder(files) as folder:
        run = folder / Path(next(iter(files))).parts[0]
        with _refusal("policy.json", "policy.safetensors") as refused:
            policy, _ = load_policy(run)
            policy.predict(np.zeros((2, *policy.observation_space.shape), np.float32))
    return bool(refused)


def _checkpoints(rng: random.Random) -> bool:
    with _folder(_broken(rng, "checkpoint", ".npz")) as folder, _refusal("state.npz") as refused:
        if not restore(folder / "state.npz", _agent(), _curve(), _told()):
            refused["refused"] += 1
    return bool(refused)


def _optima(rng: random.Random) -> bool:
    with _folder(_broken(rng, "optimum", ".json", ".npy")) as folder:
        found = Store(folder, "code").find({"of": 1})
        assert found is None or set(found) <= {"values"}
        for array in (found or {}).values():
            assert np.array_equal(array, np.arange(100_000.0))
    return found is None


def _scenarios(rng: random.Random) -> bool:
    return mutated_scenarios.attempt(rng.randrange(2**32)) is not None


KINDS: dict[str, Callable[[random.Random], bool]] = {
    "actions": _actions,
    "seeds": _seeds,
    "options of a reset": _reset_options,
    "options of a vector": _vector_options,
    "scenarios and their files": _scenarios,
    "experiments": _experiments,
    "folders of runs": _runs,
    "policies": _policies,
    "checkpoints": _checkpoints,
    "kept optima": _optima,
}
"""What is mutated; each function says whether it was refused."""
SHARES = {
    "scenarios and their files": 0.25,
    "experiments": 0.1,
    "folders of runs": 0.05,
    "policies": 0.1,
    "checkpoints": 0.05,
    "kept optima": 0.2,
}
"""How many are tried of what takes long, for one of the others."""


def attempt(kind: str, seed: int) -> bool:
    """Hand over an input of a kind; return whether it was refused.

    Raises
    ------
    AssertionError
        An exception of another kind, a refusal without a name, too long a time or too much memory.
    """
    try:
        with warnings.catch_warnings(), _time_box():
            warnings.simplefilter("ignore")
            refused = KINDS[kind](random.Random(seed))
    except ResetNeeded as error:
        raise AssertionError(f"{kind}, seed {seed}: {error}") from error
    except Exception as error:
        raise AssertionError(
            f"{kind}, seed {seed}: {type(error).__name__}: {error!s:.300}"
        ) from error
    needed = _peak()
    assert needed < MOST, f"{kind}, seed {seed}: {needed:,} KB"
    return refused


def _peak() -> int:
    """Return the most memory that this process has had, in KB.

    Linux hands ``ru_maxrss`` down from a process to its children, whatever they need themselves.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def _time_box() -> Iterator[None]:
    def end(signum: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {LONGEST} s")

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def main() -> None:
    """Try mutated inputs of every kind, and print what they came to."""
    count = int(sys.argv[1])
    first = int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 10**9
    print(f"seeds from {first}", flush=True)
    failures = total = 0
    for kind in KINDS:
        began, refused, failed = time.perf_counter(), 0, list[int]()
        tried = round(count * SHARES.get(kind, 1.0))
        for seed in range(first, first + tried):
            try:
                refused += attempt(kind, seed)
            except AssertionError as error:
                failed.append(seed)
                if len(failed) <= 10:
                    print(error, flush=True)
        total, failures = total + tried, failures + len(failed)
        counts = f"{tried} tried, {refused} refused, {len(failed)} failures"
        print(f"{kind}: {counts}, {time.perf_counter() - began:.0f} s", flush=True)
    print(f"{total} tried, {failures} failures")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
