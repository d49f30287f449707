"""Every family's figures: nothing is cut, names are as they are, colours mean one thing."""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from figure_texts import cut_texts, words_of
from matplotlib.colors import BoundaryNorm, to_hex
from matplotlib.figure import Figure

import baselines
import qc_gym  # noqa: F401
from baselines.core.figures import disagreement_bars

CASES = [
    ("qc_gym/SequentialSampling-v0", "aql10-rql20"),
    ("qc_gym/SequentialSampling-v0", "aql10-beta"),
    ("qc_gym/InspectOrStop-v0", "geometric-40"),
    ("qc_gym/Assembly-v0", "cumcm-1"),
    ("qc_gym/KStage-v0", "blu-2010"),
    ("qc_gym/KStageControl-v0", "blu-quarter"),
]
NAMES = ("cost $5 or $x^2$, seed 0", "_hidden & <b>bold</b>")


def drawn(env: Any, policies: dict[str, Any]) -> dict[str, Figure]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return baselines.figures(env, policies)


@pytest.mark.parametrize(("env_id", "scenario"), CASES)
def test_no_text_is_cut(env_id: str, scenario: str) -> None:
    """With the optimum alone, where pictures are smallest, and beside references."""
    env = gym.make(env_id, scenario=scenario)
    references = baselines.reference_policies(env)
    for policies in (
        {},
        dict(list(references.items())[:3]),
        dict(zip(NAMES, references.values(), strict=False)),
    ):
        for name, figure in drawn(env, policies).items():
            assert cut_texts(figure) == [], name


def test_a_name_is_not_mathematics() -> None:
    env = gym.make("qc_gym/KStage-v0", scenario="blu-2010")
    policy = baselines.reference_policies(env)["stages_1"]
    bad = "half $\\frac"  # mathematics that cannot be parsed
    figure = drawn(env, {bad: policy})["costs"]
    assert cut_texts(figure) == []
    assert any("half \\$\\frac" in word for word in words_of(figure))


def test_every_name_is_in_the_legend() -> None:
    env = gym.make("qc_gym/SequentialSampling-v0", scenario="aql10-rql20")
    policy = baselines.reference_policies(env)["sprt"]
    figure = drawn(env, dict.fromkeys(NAMES, policy))["operating_characteristics"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "optimum",
        "cost \\$5 or \\$x^2\\$, seed 0",
        "\N{ZERO WIDTH SPACE}_hidden & <b>bold</b>",
    ]


def test_runs_of_an_algorithm_share_a_colour_and_differ_in_line() -> None:
    env = gym.make("qc_gym/SequentialSampling-v0", scenario="aql10-rql20")
    policy = baselines.reference_policies(env)["sprt"]
    names = ["ppo, seed 0", "dqn, seed 0", "ppo, seed 1", "dqn, seed 1"]
    figure = drawn(env, dict.fromkeys(names, policy))["operating_characteristics"]
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    colours = {name: to_hex(lines[name].get_color()) for name in names}
    assert colours["ppo, seed 0"] == colours["ppo, seed 1"] != colours["dqn, seed 0"]
    assert colours["dqn, seed 0"] == colours["dqn, seed 1"]
    assert lines["ppo, seed 0"].get_linestyle() != lines["ppo, seed 1"].get_linestyle()
    assert to_hex(lines["optimum"].get_color()) == "#000000"


def test_rates_are_named() -> None:
    for scenario, wanted in (
        ("aql10-rql20", {"good 10 %", "bad 20 %"}),
        ("aql10-beta", {"limit 10 %"}),
    ):
        env = gym.make("qc_gym/SequentialSampling-v0", scenario=scenario)
        figure = drawn(env, {})["operating_characteristics"]
        assert wanted <= set(words_of(figure))


def test_whole_numbers_have_a_colour_each() -> None:
    env = gym.make("qc_gym/KStageControl-v0", scenario="blu-quarter")
    references = baselines.reference_policies(env)
    figure = drawn(env, {"random": references["random"]})["decision_maps"]
    image, last = figure.axes[0].images[0], figure.axes[5].images[0]
    most = env.unwrapped.scenario.max_stages  # type: ignore[attr-defined]
    assert isinstance(image.norm, BoundaryNorm)
    np.testing.assert_array_equal(image.norm.boundaries, np.arange(most + 2) - 0.5)
    assert np.ma.getmaskarray(last.get_array()).all()  # the random policy's K is no number
    assert "K drawn by chance" in words_of(figure)


def test_no_regret_is_said_and_has_no_axis() -> None:
    env = gym.make("qc_gym/SequentialSampling-v0", scenario="aql10-rql20")
    best = baselines.solve(env).policy
    figure = drawn(env, {"twin": best})["regret_maps"]
    assert "twin: no regret" in words_of(figure)
    assert len(figure.axes) == 1  # no colour bar
    assert not figure.axes[0].axison
    bars = disagreement_bars({"twin": []})
    assert "twin: no regret" in words_of(bars)
    assert not bars.axes[0].axison
    assert cut_texts(bars) == []


def test_estimates_are_called_so() -> None:
    env = gym.make("qc_gym/InspectOrStop-v0", scenario="lot-sizing-20")
    figure = drawn(env, {})["total_costs"]
    assert sum("its own estimate" in word for word in words_of(figure)) == 2
    assert any("may lie below the true optimum" in word for word in words_of(figure))
    assert cut_texts(figure) == []


def test_many_policies_at_one_choice_stay_in_the_picture() -> None:
    env = gym.make("qc_gym/KStage-v0", scenario="blu-2010")
    policy = baselines.reference_policies(env)["stages_0"]
    figure = drawn(env, {f"ppo, seed {i}": policy for i in range(30)})["costs"]
    assert cut_texts(figure) == []
    (names,) = (text for text in figure.axes[0].texts if "seed 29" in text.get_text())
    assert names.get_window_extent().y1 <= figure.axes[0].get_window_extent().y1
