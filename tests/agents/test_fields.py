"""``show`` in words and as a template, and ``--set``: for the fields of every environment."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import yaml
from pydantic import BaseModel

import qc_gym
from agents.cli import main
from agents.cli.fields import parts_of
from agents.cli.options import scenario_source

ID = "qc_gym/SequentialSampling-v0"
CONTROL = "qc_gym/KStageControl-v0"
LOT = "qc_gym/InspectOrStop-v0"
RAW = re.compile(
    r"<class|typing\.|Annotated|NoneType|FieldInfo|\bG[et]\(|\bL[et]\(|qc_gym\.\w+\.scen"
)


def inner(env_id: str, scenario: Any = None) -> Any:
    return gym.make(env_id, scenario=scenario).unwrapped


def preset_names() -> Iterator[tuple[str, str]]:
    for env_id in qc_gym.ENVIRONMENTS:
        for preset in inner(env_id).scenario_type.presets:
            yield env_id, preset


@pytest.mark.parametrize("env_id", list(qc_gym.ENVIRONMENTS))
def test_every_field_is_described(env_id: str) -> None:
    scenario_type = inner(env_id).scenario_type
    parts = parts_of(scenario_type)
    assert parts[0].record is scenario_type
    assert [field.name for field in parts[0].fields] == list(scenario_type.model_fields)
    for part in parts:
        assert issubclass(part.record, BaseModel)
        assert part.description
        assert not RAW.search(part.description)
        for field in part.fields:
            assert field.meaning, (part.title, field.name)
            assert field.allowed, (part.title, field.name)
            assert not RAW.search(" ".join((field.meaning, field.allowed, field.default)))


def test_money_has_a_unit() -> None:
    for env_id in qc_gym.ENVIRONMENTS:
        fields = {f.name: f for part in parts_of(inner(env_id).scenario_type) for f in part.fields}
        for name, field in fields.items():
            if name.endswith("_cost") or name in ("price", "return_loss"):
                assert field.unit == "money", (env_id, name)
                assert "number, ≥ 0" in field.allowed


def test_limits_and_defaults_are_in_words() -> None:
    fields = {field.name: field for field in parts_of(inner(ID).scenario_type)[0].fields}
    assert fields["prior"].allowed == "two_point or beta"
    assert fields["loss"].allowed == "indicator or linear"
    assert fields["loss"].default == "indicator"
    assert fields["lot_size"].allowed == "whole number, > 0, ≤ 10,000,000 or null"
    assert fields["lot_size"].default == "null"
    assert fields["inspection_cost"].default == "required"
    levels = {field.name: field for field in parts_of(inner(CONTROL).scenario_type)[0].fields}
    assert levels["levels"].allowed == "list of: number, > 0, < 1; at least 1; at most 10"


@pytest.mark.parametrize(("env_id", "preset"), list(preset_names()))
def test_a_template_loads_back(
    env_id: str, preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", env_id, "--scenario", preset, "--template"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    scenario = inner(env_id, preset).scenario
    assert inner(env_id, str(tmp_path / "mine.yaml")).scenario == scenario
    assert max(map(len, text.splitlines())) <= 100
    for name in type(scenario).model_fields:
        assert re.search(rf"^(# )?{name}:", text, re.MULTILINE), name


@pytest.mark.parametrize("env_id", list(qc_gym.ENVIRONMENTS))
def test_what_a_template_comments_out_is_the_default(
    env_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", env_id, "--template"]) == 0
    text = capsys.readouterr().out
    names = "|".join(type(inner(env_id).scenario).model_fields)
    (tmp_path / "all.yaml").write_text(re.sub(rf"^# ({names}):", r"\1:", text, flags=re.M), "utf-8")
    assert inner(env_id, str(tmp_path / "all.yaml")).scenario == inner(env_id).scenario


def test_show_takes_ranges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["show", ID, "--set", "inspection_cost={low: 1.0, high: 2.0}"]
    assert main([*words, "--template"]) == 0
    path = tmp_path / "range.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    assert list(inner(ID, str(path)).scenarios.ranges) == [("inspection_cost",)]
    assert main(["show", ID, "--scenario", str(path)]) == 0
    assert "inspection_cost: {low: 1.0, high: 2.0}" in capsys.readouterr().out
    # A range can be narrowed, and ended.
    assert main(["show", ID, "--scenario", str(path), "--set", "inspection_cost.low=1.5"]) == 0
    assert "inspection_cost: {low: 1.5, high: 2.0}" in capsys.readouterr().out
    assert main(["score", ID, "--scenario", str(path), "--set", "inspection_cost=1"]) == 0


def changed(env_id: str, *pairs: str, scenario: Any = None) -> Any:
    return inner(env_id, scenario_source(env_id, scenario, pairs)).scenario


def test_set() -> None:
    before = inner(ID).scenario
    assert changed(ID) == before
    scenario = changed(
        ID, "prior.good=0.02", "max_samples=1e2", "accept_bad_cost=1e3", "lot_size=500"
    )
    assert scenario.prior == before.prior.model_copy(update={"good": 0.02})
    assert (scenario.max_samples, scenario.accept_bad_cost, scenario.lot_size) == (100, 1e3, 500)
    assert scenario.reject_good_cost == before.reject_good_cost
    assert changed(ID, "lot_size=null", scenario="lot-200").lot_size is None


def test_set_reaches_into_lists_and_names() -> None:
    scenario = changed(CONTROL, "levels.2=0.3", "transition.0=[0.8, 0.1, 0.1]", "days=7")
    assert scenario.levels == (*inner(CONTROL).scenario.levels[:2], 0.3)
    assert scenario.transition[0] == (0.8, 0.1, 0.1)
    nodes = changed("qc_gym/Assembly-v0", "nodes.part_1.defect_rate=0.3").nodes
    assert nodes["part_1"].defect_rate == 0.3
    assert nodes["part_2"] == inner("qc_gym/Assembly-v0").scenario.nodes["part_2"]


@pytest.mark.parametrize("order", [1, -1])
def test_another_kind_begins_anew(order: int) -> None:
    pairs = ["prior.kind=beta", "prior.a=2", "prior.b=14", "prior.limit=0.1"][::order]
    assert changed(ID, *pairs).prior.model_dump() == {"kind": "beta", "a": 2, "b": 14, "limit": 0.1}
    assert changed(LOT, "shift.kind=geometric", "shift.hazard=3e-2").shift.hazard == 0.03
    assert changed(ID, "prior.kind=two_point", "prior.bad=0.3").prior.good == 0.10


def test_set_over_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fields = dict(inner(ID).scenario_type.presets["lot-200"])
    path = tmp_path / "factory.yaml"
    path.write_text(yaml.safe_dump(fields), encoding="utf-8")
    scenario = changed(ID, "max_samples=20", scenario=str(path))
    assert (scenario.lot_size, scenario.max_samples) == (200, 20)
    assert main(["solve", ID, "--scenario", str(path), "--set", "max_samples=20"]) == 0
    assert "agrees with the simulation" in capsys.readouterr().out
