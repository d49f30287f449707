"""The documentation page of each registered environment, from its docstring and its family's contract.

Nothing here names a family: a new one has its page once it is registered.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import gymnasium as gym
import matplotlib.image

import baselines
import qc_gym
from agents.cli.fields import parts_of
from qc_gym.core.env import QCEnv

_MOST_REFERENCES = 12  # a family of K stages has one constant reference a stage


def write(folder: Path) -> None:
    """Write ``index.md`` and a page with its pictures for every environment into a folder."""
    folder.mkdir(exist_ok=True)
    rows = []
    for env_id in qc_gym.ENVIRONMENTS:
        name = env_id.rpartition("/")[2]
        env = gym.make(env_id, render_mode="rgb_array").unwrapped
        assert isinstance(env, QCEnv)
        lines = [*_page(env_id, env, folder / name)]
        (folder / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        rows.append((f"[`{env_id}`]({name}.md)", _summary(env), len(env.scenario_type.presets)))
    index = [
        "# Environments",
        "",
        "Written from the code: each page holds the environment's docstring, what its presets are",
        "worth, its optimum as pictures and as a plan, and the fields of its scenarios.",
        "",
        *_table(("environment", "decision", "presets"), rows),
        "",
        "```{toctree}",
        ":hidden:",
        *(env_id.rpartition("/")[2] for env_id in qc_gym.ENVIRONMENTS),
        "```",
    ]
    (folder / "index.md").write_text("\n".join(index) + "\n", encoding="utf-8")


def _summary(env: QCEnv) -> str:
    return (inspect.getdoc(type(env)) or "").partition("\n")[0]


def _page(env_id: str, env: QCEnv, stem: Path) -> Iterator[str]:
    first = next(iter(env.scenario_type.presets))
    optimum = baselines.solve(env_id, scenario=first)
    yield f"# {env_id.rpartition('/')[2]}"
    yield ""
    yield from _picture(env, stem)
    text = inspect.getdoc(type(env)) or ""
    yield re.sub(r":\w+:`~?([^`]+)`", lambda role: f"`{role[1].rpartition('.')[2]}`", text)
    yield from _example(env_id, first)
    yield from _presets(env_id, env)
    yield from _references(env_id, first)
    yield from _figures(optimum, first, stem)
    yield from _plan(optimum, first)
    yield from _fields(env)
    yield from (
        "",
        "## Sources",
        "",
        f"The model, its formulas and their papers: [theory](../theory/{_theory(env)}.md).",
    )


def _theory(env: QCEnv) -> str:
    """Return the name of the page on theory that the family has or shares."""
    pages = [path.stem for path in (Path(__file__).parent / "theory").glob("*.md")]
    return next((page for page in pages if env.family.startswith(page)), "index")


def _picture(env: QCEnv, stem: Path) -> Iterator[str]:
    """Yield the link to a picture of an optimal episode's end, after writing it."""
    policy = baselines.solve(env).policy
    observation, _ = env.reset(seed=1)
    env.show_policy(policy)
    ended, state = False, None
    while not ended:
        actions, state = policy.predict(observation, state)
        observation, _, terminated, truncated, _ = env.step(int(actions))
        ended = terminated or truncated
    path = stem.with_name(f"{stem.name}-episode.png")
    matplotlib.image.imsave(path, env.render())
    yield f"![The end of an episode played by the optimal policy]({path.name})"
    yield ""


def _example(env_id: str, preset: str) -> Iterator[str]:
    code = f'''
    import gymnasium as gym
    import baselines, qc_gym

    env = gym.make("{env_id}", scenario="{preset}")
    best = baselines.solve(env)
    print(best.value, best.certificate)
    observation, info = env.reset(seed=0)
    action, _ = best.policy.predict(observation)
    observation, reward, terminated, truncated, info = env.step(action)
    '''
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(inspect.cleandoc(code), env_id, "exec"), {})  # what the page shows runs
    yield from ("", "## Example", "", "```python", inspect.cleandoc(code), "```")


def _presets(env_id: str, env: QCEnv) -> Iterator[str]:
    """Yield the table of optima: the value, in money, and what random play loses."""
    optima = {name: baselines.solve(env_id, scenario=name) for name in env.scenario_type.presets}
    rows = [
        (f"`{name}`", f"{best.value:.6g}", f"{best.value - best.random_value:.4g}")
        for name, best in optima.items()
    ]
    yield from ("", "## Presets", "")
    yield "Expected money an episode: what the optimum is worth, and how much less is uniformly random"
    yield "play over the allowed actions."
    yield ""
    yield from _table(("preset", "optimum", "random play loses"), rows)


def _references(env_id: str, preset: str) -> Iterator[str]:
    references = baselines.reference_policies(env_id, scenario=preset)
    regrets = {
        name: baselines.score(env_id, policy, scenario=preset).regret
        for name, policy in references.items()
    }
    best = sorted(regrets, key=lambda name: regrets[name])[:_MOST_REFERENCES]
    rows = [(f"`{name}`", references.describe(name), f"{regrets[name]:.4g}") for name in best]
    yield from ("", "## Reference policies", "")
    yield f"In `{preset}`, the best first; `loses` is the regret, in money an episode."
    if len(regrets) > len(best):
        yield "Those that lose most are left out; `qc-gym score` lists all."
    yield ""
    yield from _table(("policy", "what it is", "loses"), rows)


def _figures(optimum: baselines.Optimum, preset: str, stem: Path) -> Iterator[str]:
    pictures = optimum.figures({})
    if pictures:
        yield from ("", "## Decisions", "", f"The optimum of `{preset}`.", "")
    for name, figure in pictures.items():
        path = stem.with_name(f"{stem.name}-{name}.png")
        figure.savefig(path, dpi=120, bbox_inches="tight")
        yield f"![{name.replace('_', ' ')}]({path.name})"
        yield ""


def _plan(optimum: baselines.Optimum, preset: str) -> Iterator[str]:
    """Yield the plan for the shop floor; a long one by its beginning."""
    lines = optimum.plan().text().rstrip().splitlines()
    shown = lines if len(lines) <= 40 else [*lines[:40], "…"]
    yield from ("", "## Plan card", "")
    yield f"`qc-gym solve` prints this plan of `{preset}`; `--plan FILE` writes it as a card, CSV or JSON."
    yield from ("", "```text", *shown, "```")


def _fields(env: QCEnv) -> Iterator[str]:
    yield from ("", "## Fields of a scenario", "")
    for part in parts_of(env.scenario_type):
        rows = [
            (f"`{field.name}`", field.meaning, field.unit, field.allowed, f"`{field.default}`")
            for field in part.fields
        ]
        title = "The scenario" if part.title == "scenario" else f"In `{part.title}`"
        yield from (f"### {title}", "", part.description.replace("``", "`"), "")
        if rows:
            yield from _table(("field", "meaning", "unit", "allowed", "default"), rows)
        yield ""


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    cells = [
        [str(cell).replace("``", "`").replace("|", "\\|").replace("\n", " ") for cell in row]
        for row in rows
    ]
    lines = [list(header), ["---"] * len(header), *cells]
    return ["| " + " | ".join(line) + " |" for line in lines]
