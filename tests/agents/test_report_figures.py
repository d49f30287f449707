"""Figures of reports: what their colours mean, what is cut, and what is said of few seeds."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from figure_texts import cut_texts, words_of
from matplotlib.colors import to_hex

from agents.report.figures import caution, intervals, learning_curves, performance_profiles
from agents.report.leaderboard import LOSSES
from agents.tables import format_markdown, markdown_text
from qc_gym.core.picture import common_colours

LONG = "an algorithm of quite a long name, as files have"


def result(algorithm: str, seed: int) -> Any:
    run = SimpleNamespace(
        algorithm=algorithm, seed=seed, env_id="qc_gym/Assembly-v0", scenario_name="cost $5 $x"
    )
    curve = [
        {"timesteps": t, "seconds": t / 1e4, "regret": 10.0 / (1 + seed + t)}
        for t in (0.0, 5000.0, 1e6)
    ]
    return SimpleNamespace(run=run, curve=curve, title=f"{algorithm}, seed {seed}", folder=Path())


def standing(policy: str, runs: int, problems: int = 1) -> dict[str, Any]:
    return {
        "policy": policy,
        "problems": problems,
        "runs": runs,
        "iqm": 0.9,
        "low": 0.8,
        "high": 0.95,
    }


def test_an_algorithm_has_one_colour_in_all_figures() -> None:
    with common_colours(["ppo", "dqn"]):
        curves = learning_curves([result("dqn", 0), result("dqn", 1)], 0.1)
        share = {name: np.linspace(1, 0, len(LOSSES)) for name in ("share", "low", "high")}
        profiles = performance_profiles({"ppo": share, "dqn": share})
        bars = intervals([standing("dqn", 5), standing("ppo", 5)])
    first, second, _ = curves.axes[0].lines
    lines = {str(line.get_label()): to_hex(line.get_color()) for line in profiles.axes[0].lines}
    wanted = lines["dqn"]
    assert wanted != lines["ppo"]
    assert to_hex(first.get_color()) == to_hex(second.get_color()) == wanted
    assert first.get_linestyle() != second.get_linestyle()
    assert to_hex(bars.axes[0].lines[0].get_color()) == wanted


def test_no_text_is_cut() -> None:
    results = [result(name, seed) for name in ("ppo", LONG) for seed in range(5)]
    assert cut_texts(learning_curves(results, 0.1)) == []
    assert cut_texts(intervals([standing("a2c", 2), standing(LONG, 2), standing("_x$y$", 5)])) == []


def test_an_interval_of_two_seeds_has_a_caution() -> None:
    rows = [standing("ppo", 2), standing("dqn", 3), standing("a2c", 4, problems=2)]
    told = caution(rows)
    assert "intervals of ppo, a2c come from fewer than 3 seeds" in told
    assert any(word.startswith("Caution") for word in words_of(intervals(rows)))
    assert caution([standing("dqn", 3)]) == ""
    assert caution([{**standing("ppo", 1), "low": None}]) == ""
    assert "ppo" in caution([{"policy": "ppo", "seeds": 2, "low": 0.1}])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<b>x</b> & y", "&lt;b>x&lt;/b> &amp; y"),
        ("[a](b) *c* `d` $e$", "\\[a\\](b) \\*c\\* \\`d\\` \\$e\\$"),
        ("best_constant", "best_constant"),
        ("_a_ b|c\nd", "\\_a\\_ b\\|c d"),
        ("0.9958", "0.9958"),
    ],
)
def test_markup_in_names_is_text_in_markdown(name: str, shown: str) -> None:
    assert markdown_text(name) == shown
    assert format_markdown([{"policy": name}]).splitlines()[-1] == f"| {shown} |"
