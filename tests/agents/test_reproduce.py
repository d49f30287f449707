"""``qc-gym reproduce``: what it prints and what it leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.cli import main
from baselines import papers


def test_tables_of_one_paper(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "cumcm-2024b-report-zh"]) == 0
    text = capsys.readouterr().out
    ledger = papers.ledger("cumcm-2024b-report-zh")
    for entry in ledger.entries:
        place, what = f"{entry.where} ", f" {entry.what} "
        lines = [line for line in text.splitlines() if line.startswith(place)]
        line = next(line for line in lines if what in line)
        assert entry.printed in line
        assert entry.shown in line
        assert str(entry.verdict) in line
        assert entry.note in text
    assert "at most 104: price 200" in text
    assert "liu-hu-deng" not in text


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "wang-2013", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record == json.loads(json.dumps(papers.ledger("wang-2013").record()))
    assert record["counts"]["inputs not printed"] == 11


def test_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--markdown"]) == 0
    assert capsys.readouterr().out == papers.write_page(papers.ledgers())


def test_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made" / "figures"
    assert main(["reproduce", "liu-hu-deng", "--json", "--figures", str(folder)]) == 0
    capsys.readouterr()
    names = {path.name for path in folder.iterdir()}
    assert names == {"liu-hu-deng-figure-1.png", "liu-hu-deng-figure-2.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [(["liu"], "unknown paper 'liu'"), (["--json", "--markdown"], "not allowed with")],
)
def test_bad_input(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", *words]) == 2
    assert message in capsys.readouterr().err
