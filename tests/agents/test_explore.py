"""`qc-gym explore`: what it writes and refuses, and what a browser makes of the page."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from browser import needs_browser, opened
from strategies import SMALL_LOT
from stub_policies import always

import baselines
from agents.cli import main
from baselines.core.plan import shown
from qc_gym.lot.scenario import InspectOrStopScenario

ID, LOT = "qc_gym/SequentialSampling-v0", "qc_gym/InspectOrStop-v0"


def data_of(path: Path) -> dict[str, Any]:
    text = path.read_text(encoding="utf-8")
    found = text.split('<script type="application/json" id="data">')[1].split("</script>")[0]
    data: dict[str, Any] = json.loads(found)
    return data


def test_the_page_is_that_of_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario, out = tmp_path / "lots.yaml", tmp_path / "made" / "page.html"
    scenario.write_text(yaml.safe_dump(SMALL_LOT), encoding="utf-8")
    words = ["explore", "SequentialSampling-v0", "--scenario", str(scenario)]
    words += ["--set", "inspection_cost=2", "--observation", "outcome", "--out", str(out)]
    assert main(words) == 0
    assert str(out) in capsys.readouterr().out
    fields = {**SMALL_LOT, "inspection_cost": 2.0}
    page = baselines.explore(ID, scenario=fields, observation="outcome")
    assert out.read_text(encoding="utf-8") == page.html()
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]


def test_what_an_agent_does_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario, out = tmp_path / "lots.yaml", tmp_path / "page.html"
    scenario.write_text(yaml.safe_dump(SMALL_LOT), encoding="utf-8")
    command = ["train", ID, "ppo", "--scenario", str(scenario), "--timesteps", "64"]
    command += ["--num-envs", "2", "--hyper", "n_steps=16", "--hyper", "batch_size=32"]
    assert main([*command, "--out", str(tmp_path / "runs")]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert main(["explore", ID, str(folder), "--out", str(out)]) == 0
    from agents.policies import load_policy

    model = baselines.model(ID, scenario=SMALL_LOT)
    actions, _ = load_policy(folder)[0].predict(model.observations, deterministic=True)
    assert data_of(out)["agent"] == [[1.0, int(action)] for action in actions]
    regret = baselines.score(ID, load_policy(folder)[0], scenario=SMALL_LOT).regret
    assert f"<td>{shown(regret)} money</td>" in out.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["explore", "Assembly-v0", str(folder)]) == 2
    assert "was trained on qc_gym/SequentialSampling-v0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "page.txt"], "--out page.txt: the name should end in .html"),
        (["--scenario", "train"], "is a range"),
        (["--set", "inspection_cost=-1"], "inspection_cost"),
    ],
)
def test_bad_input_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", ID, "--out", str(tmp_path / "page.html"), *words]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# --- in a browser ---------------------------------------------------------------------------


def told(page: str, script: str, folder: Path) -> Any:
    """Return what an expression of JavaScript is, at the end of a page."""
    ask = f"<script>document.body.append('told ' + JSON.stringify({script}) + ' end');</script></body>"
    text, console = opened(page.replace("</body>\n</html>", f"{ask}\n</html>"), folder)
    assert console == []
    found = re.search(r"told (.*) end", unescape(text))
    assert found is not None
    return json.loads(found[1])


@needs_browser
def test_decisions_are_played_and_their_regret_is_told(tmp_path: Path) -> None:
    policy = always(1)
    page = baselines.explore(ID, policy, scenario=SMALL_LOT)
    optimum = baselines.solve(ID, scenario=SMALL_LOT)
    assert isinstance(optimum, baselines.TabularOptimum)
    numbers = [0.0, 1.0, -60.2155, 1234567.891, 0.00123456, 0.0001234567, 1.23456e-9, 5e-5, 2e12]
    script = """(() => {
      const press = (id) => element(id).click();
      const button = (name) => [...element("actions").querySelectorAll("button")]
        .find((one) => one.textContent === name);
      const seen = () => [element("total").textContent,
        steps.map((step) => [step.done, step.loss, step.agent])];
      const head = [...element("actions").querySelectorAll("th")].map((one) => one.textContent);
      press("finish"); const optimal = [...seen(), element("words").textContent];
      press("restart"); button("reject").click(); const rejected = seen();
      press("restart"); button("inspect").click();
      const inspected = element("words").textContent;
      const [n, d] = element("find").querySelectorAll("input");
      n.value = 5; d.value = 2; element("find").requestSubmit();
      const went = [element("words").textContent, element("beliefs").textContent];
      const fields = element("find").querySelectorAll("input");
      fields[0].value = 3; fields[1].value = 7; element("find").requestSubmit();
      return {head, optimal, rejected, inspected, went, lost: element("found").textContent, where: here,
        numbers: NUMBERS.map(shown)};
    })()""".replace("NUMBERS", json.dumps(numbers))
    found = told(page.html(), script, tmp_path)
    assert found["head"] == ["action", "loses", "earns at once", "the agent"]
    total, steps, words = found["optimal"]
    assert words == "The episode is over."
    assert f"regret 0: optimal play earns {shown(optimum.value)} from there" in total
    assert len(steps) > 1
    assert all(loss == 0 for _, loss, _ in steps)
    assert {agent for _, _, agent in steps} == {"accept"}
    total, ((done, loss, _),) = found["rejected"]
    assert (done, loss) == ("reject", optimum.solution.gaps()[0, 2])
    value = optimum.model.rewards[0, 2]
    assert total == (
        f"1 decision, regret {shown(loss)}: optimal play earns {shown(optimum.value)} from there on "
        f"average; with these decisions it is {shown(value)}."
    )
    assert found["inspected"].startswith("n = 1 inspected")
    assert found["went"][0] == "n = 5 inspected, d = 2 defective"
    assert "P(the lot is bad)" in found["went"][1]
    assert "No play comes there" in found["lost"]
    assert page.data["states"][found["where"]] == "n = 5 inspected, d = 2 defective"
    assert found["numbers"] == [shown(number) for number in numbers]


@needs_browser
def test_beliefs_move_and_lose_as_the_optimum_says(tmp_path: Path) -> None:
    """The page's Bayes' rule and losses after some results, against a sum over shifts and the bounds."""
    fields = {**InspectOrStopScenario.presets["weibull-30-errors"], "demand": 5, "lot_size": 9}
    optimum: Any = baselines.solve(LOT, scenario=fields)
    page = baselines.explore(LOT, lambda rows: rows[:, 0] < 0.3, scenario=fields)
    results = [True, False, True, True, False, False]
    script = """RESULTS.reduce((told, conforming) => {
      const state = told.at(-1).state, all = world.follow(state, 1);
      const next = all[conforming ? 0 : 1].state;
      return [...told, {state: next, seen: world.look(next), sum: all[0].chance + all[1].chance}];
    }, [{state: world.starts()[0].state, seen: world.look(world.starts()[0].state), sum: 1}])"""
    found = told(page.html(), script.replace("RESULTS", json.dumps(results)), tmp_path)
    scenario = optimum.scenario
    states = np.zeros(len(found), scenario.kernel.state_dtype)
    states["lot_size"], states["n"] = 9, np.arange(len(found))
    states["d"] = 5 - np.cumsum([0, *results])
    # P(the next unit is in control, and these results), jointly for the shift before each unit.
    survival, (inside, outside) = scenario.survival, scenario.judged_yields
    last = np.append(survival[:-1] - survival[1:], survival[-1])  # units in control
    for i in range(len(found)):
        likely = [
            np.prod([(r if good else 1 - r) for r, good in zip(
                np.where(np.arange(1, i + 1) <= j, inside, outside), results, strict=False)])
            for j in range(10)
        ]  # fmt: skip
        states["b"][i] = (last * likely)[i + 1 :].sum() / (last * likely).sum()
    tolerance = page.data["resolution"]
    gaps = np.stack(
        [optimum.gaps(states, np.full(len(found), action)) for action in (0, 1)], axis=1
    )
    for i, one in enumerate(found):
        assert one["sum"] == pytest.approx(1.0)
        assert (one["state"]["n"], one["state"]["d"]) == (i, states["d"][i])
        assert one["state"]["b"] == pytest.approx(states["b"][i], rel=1e-9)
        stop, inspect = one["seen"]["actions"]
        assert [stop["gap"], inspect["gap"]] == pytest.approx(gaps[i].tolist(), abs=tolerance)
        assert (stop["agent"], inspect["agent"]) == ((0, 1) if i / 9 < 0.3 else (1, 0))
    assert found[0]["seen"]["value"] == pytest.approx(optimum.value, abs=tolerance)
    assert {one["seen"]["actions"][1]["isBest"] for one in found} == {True, False}


@needs_browser
def test_no_page_is_wider_than_a_telephone(tmp_path: Path) -> None:
    pages = {
        "assembly": baselines.explore("qc_gym/Assembly-v0", scenario="cumcm-1"),
        "control": baselines.explore("qc_gym/KStageControl-v0", scenario="two-suppliers"),
        "pilot": baselines.explore("qc_gym/PilotRun-v0", scenario="initial-samples"),
    }
    widths = "[document.documentElement.scrollWidth, innerWidth].join()"
    tell = f"element('finish').click(); parent.postMessage({widths}, '*')"
    for name, page in pages.items():
        text = page.html().replace("</body>\n</html>", f"<script>{tell}</script></body>\n</html>")
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
    frames = "".join(
        f'<iframe width="420" height="900" style="border:0" src="{name}.html"></iframe>'
        for name in pages
    )
    listen = (
        "<script>addEventListener('message', (event) => {"
        "document.body.append(`told ${event.data};`)})</script>"
    )
    text, console = opened(f"<body>{listen}{frames}</body>", tmp_path)
    assert console == []
    found = re.findall(r"told (\d+),(\d+);", text)
    assert len(found) == len(pages)
    assert all(int(wide) <= int(inner) == 420 for wide, inner in found), found
