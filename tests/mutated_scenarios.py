"""Scenarios of every family, mutated at random: each is fine, or a ScenarioError that names a field.

``python tests/mutated_scenarios.py 3000`` tries so many, from a fresh seed that it prints.
"""

import copy
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import yaml

import qc_gym
from qc_gym.core.errors import ScenarioError
from qc_gym.core.ranges import ScenarioRange
from qc_gym.core.scenario import Scenario

LONGEST = 5.0
"""Seconds of computing that no input may take."""
VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "low", "1", b"bytes", [], {}, (), set(), object(), 1j),
    *(0, -0.0, 1, -1, 2, 100, 101, 10_000, 10**6, 2**53, 2**63, 2**64, 10**400, -(10**5000)),
    *(0.5, 1.0, -1.0, 1e-320, 1e12, 1.0000001e12, 1e300, 1e308, -1e308),
    *(float("nan"), float("inf"), float("-inf")),
    *(np.int64(3), np.float32(0.25), np.bool_(True), np.datetime64("2020-01-01"), np.array(0.5)),
    *(np.array([0.5, 0.25]), np.array([object()]), np.array("x"), np.str_("geometric")),
    *({"low": 0, "high": 10**400}, {"low": 1e308, "high": -1e308}, {"low": 0.1, "high": 0.2}),
    *({"low": -1e308, "high": 1e308}, {"low": 1, "high": 4}, {"low": "a", "high": None}),
    *({"choices": [1, 2]}, {"choices": []}, {"choices": 5}, {"choices": [{"choices": [1]}, None]}),
    *({"low": 0, "high": 2**53 + 2}, {"choices": [float("nan"), 0.1]}, {"choices": [[], {}]}),
    *({"kind": "beta"}, {"kind": ["beta"]}, {"kind": None}, {1: 2}, {None: 1}, {("a",): 1}),
    *(list(range(200_000)), [0.5] * 1000, "x" * 100_000, {str(i): i for i in range(5000)}),
)
TOKENS = (
    *(
        "&a ",
        "*a",
        "&a [*a]",
        "<<: *a",
        "!!int x",
        "!!float x",
        "!!bool x",
        "!!timestamp x",
        "!!binary x",
    ),
    *(
        "!!set {a}",
        "!!python/object:os.x {}",
        "{",
        "}",
        "[",
        "]",
        "? ",
        ": ",
        "- ",
        "\t",
        "\0",
        "\n",
        "---\n",
    ),
    *(
        "9" * 5000,
        "1:" * 400 + "1",
        ".nan",
        ".inf",
        "~",
        "0x",
        "2024-99-99",
        "'",
        '"',
        "#",
        "|",
        ">",
        "%",
        "@",
    ),
    *(
        "[" * 3000,
        "{a: " * 3000,
        "[" * 3000 + "]" * 3000,
        "é",
        "\ud800",
        "low: ",
        "choices: ",
        "kind: ",
    ),
)


def families() -> list[type[Scenario]]:
    """Return the scenario classes of all registered environments."""
    types = []
    for env_id in qc_gym.ENVIRONMENTS:
        env: Any = gym.make(env_id, disable_env_checker=True).unwrapped
        types.append(env.scenario_type)
    return types


def mutate(seed: int) -> tuple[type[Scenario], Any]:
    """Return a family and a mutated mapping, or mutated YAML or JSON text, of one of its presets."""
    rng = random.Random(seed)
    family = rng.choice(_FAMILIES)
    fields = copy.deepcopy(dict(family.presets[rng.choice(list(family.presets))]))
    if rng.random() < 0.3:
        return family, _text(rng, fields)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        rng.choice(_MUTATIONS)(rng, fields)
    return family, fields


def attempt(seed: int) -> str | None:
    """Parse a mutated scenario, and draw from it and compute with it; return the refusal, or None.

    Raises
    ------
    AssertionError
        An exception of another kind, a refusal without a name, or too long a time.
    """
    family, source = mutate(seed)
    began, message = time.process_time(), None
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        if isinstance(source, str):
            path = Path(folder) / f"mutated{'.json' if source.startswith('{') else '.yaml'}"
            path.write_bytes(source.encode("utf-8", "surrogatepass"))
            source = path
        try:
            _use(family.parse(source))
        except ScenarioError as error:
            message = str(error)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error!s:.300}") from error
    elapsed = time.process_time() - began
    assert elapsed < LONGEST, f"seed {seed}: took {elapsed:.1f} s"
    if message is not None and not isinstance(source, Path):
        names = {*family.model_fields, *(str(name)[:50] for name in source)}
        assert any(name in message for name in names), f"seed {seed}: names no field: {message}"
    return message


def _use(scenario: Scenario | ScenarioRange) -> None:
    """Do with a scenario all that needs no compiled code."""
    if isinstance(scenario, ScenarioRange):
        repr(scenario)
        generator = np.random.default_rng(0)
        for _ in range(3):
            drawn = scenario.draw(generator)
            features = scenario.features(drawn)
            assert ((features >= 0) & (features <= 1)).all()
        scenario = drawn
    record = scenario.record()
    assert record.shape == (1,)
    assert len(scenario.action_names) == scenario.kernel.num_actions
    assert hash(scenario) == hash(type(scenario).parse(scenario.model_dump()))
    repr(scenario)
    for name in record.dtype.names or ():
        values = record[name]
        if values.dtype.kind == "f":
            assert np.isfinite(values).all(), f"{name} is not finite"


def _places(fields: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of every value in a mapping, in all its parts."""
    stack, seen = [fields], set()
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        for key in list(part) if isinstance(part, dict) else range(min(len(part), 50)):
            yield part, key
            if isinstance(part[key], dict | list):
                stack.append(part[key])


def _place(rng: random.Random, fields: Any) -> tuple[Any, Any]:
    places = list(_places(fields))
    return rng.choice(places) if places else (fields, "x")


def _replace(rng: random.Random, fields: Any) -> None:
    part, key = _place(rng, fields)
    part[key] = copy.copy(rng.choice(VALUES))


def _scale(rng: random.Random, fields: Any) -> None:
    part, key = _place(rng, fields)
    if isinstance(part, dict) and isinstance(part.get(key), float):
        part[key] *= rng.choice((-1, 0, 2, 1e-9, 1e9, 1e300))


def _delete(rng: random.Random, fields: Any) -> None:
    part, key = _place(rng, fields)
    if isinstance(part, list) or key in part:
        del part[key]


def _rename(rng: random.Random, fields: Any) -> None:
    part, key = _place(rng, fields)
    if isinstance(part, dict) and key in part:
        names = ("low", "choices", "high", f"{key}x", str(key)[1:], "", 7, "kind", "x" * 10_000)
        part[rng.choice(names)] = part.pop(key)


def _misspell(rng: random.Random, fields: Any) -> None:
    part, key = _place(rng, fields)
    if (isinstance(part, list) or key in part) and isinstance(part[key], str | float):
        text = str(part[key])[:30]
        at = rng.randint(0, len(text))
        part[key] = text[:at] + rng.choice("abc_ é\0") + text[at + 1 :]


def _move(rng: random.Random, fields: Any) -> None:
    (part, key), (other, name) = _place(rng, fields), _place(rng, fields)
    if isinstance(part, list) or key in part:
        other[name] = part[key]  # at times of a part to within itself


def _choose(rng: random.Random, fields: Any) -> None:
    part, key = _place(rng, fields)
    if isinstance(part, list) or key in part:
        other, name = _place(rng, fields)
        second = other[name] if isinstance(other, list) or name in other else part[key]
        part[key] = {"choices": [part[key], rng.choice((part[key], second))]}


def _spread(rng: random.Random, fields: Any) -> None:
    part, key = _place(rng, fields)
    value = part[key] if isinstance(part, list) or key in part else 0
    if isinstance(value, int | float) and abs(value) < 2**60:
        part[key] = {"low": value, "high": value * rng.choice((2, 1.5, 10)) or 1}


def _nest(rng: random.Random, fields: Any) -> None:
    part, key = _place(rng, fields)
    deep: Any = 1
    for _ in range(rng.choice((3, 30, 40, 5000))):
        deep = rng.choice(([deep], {"x": deep}))
    part[key] = deep


def _bomb(rng: random.Random, fields: Any) -> None:
    part, key = _place(rng, fields)
    bomb: Any = [1] * 9
    for _ in range(9):
        bomb = [bomb] * 9
    part[key] = rng.choice((bomb, {"choices": bomb}))


_MUTATIONS: tuple[Callable[[random.Random, Any], None], ...] = (
    *(_replace, _replace, _replace, _scale, _delete, _rename, _misspell, _move, _choose, _choose),
    *(_spread, _spread, _nest, _bomb),
)


def _text(rng: random.Random, fields: Any) -> str:
    """Return a mapping as YAML or JSON text with some of it broken."""
    import json

    text = json.dumps(fields) if rng.random() < 0.3 else yaml.safe_dump(fields)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, length = rng.randrange(len(text)), rng.choice((0, 0, 1, 3, 10))
        other = rng.randrange(len(text))
        piece = rng.choice((*TOKENS, "", text[other : other + 20]))
        text = text[:at] + piece + text[at + length :]
    if rng.random() < 0.05:
        levels = "".join(f"l{i}: &l{i} [{f'*l{i - 1},' * 9 if i else '1'}]\n" for i in range(9))
        text = levels + text
    if rng.random() < 0.03:
        merged = "".join(f"m{i}: &m{i} {{<<: [{f'*m{i - 1},' * 9}]}}\n" for i in range(1, 9))
        text = "m0: &m0 {a: 1}\n" + merged + text
    return text


_FAMILIES = families()


def main() -> None:
    """Try mutated scenarios, and print what they came to."""
    count, first = (
        int(sys.argv[1]),
        int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 10**9,
    )
    print(f"seeds {first} to {first + count - 1}")
    began = time.perf_counter()
    refused, failures = 0, []
    for seed in range(first, first + count):
        try:
            refused += attempt(seed) is not None
        except AssertionError as error:
            failures.append(str(error))
            print(error)
    print(f"{refused} refused, {len(failures)} failures, {time.perf_counter() - began:.1f} s")
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
