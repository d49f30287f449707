"""What the command line prints on narrow terminals, to odd streams, and when it is interrupted."""

import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import yaml
from strategies import SMALL_LOT
from terminals import running

import agents.runs
import baselines
from agents.cli import main
from agents.cli.output import print_table
from agents.files import write_whole
from agents.tables import (
    format_cell,
    format_duration,
    format_markdown,
    format_number,
    format_rounded,
    format_steps,
    markdown_text,
)

ROOT = Path(__file__).parents[2]
ID = "qc_gym/SequentialSampling-v0"
WIDE = "a-scenario-with-a-name-much-longer-than-any-column-could-be-made-for-it"


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "agents.cli", *words]


def surroundings(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **more}


def run(*words: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(*words), capture_output=True, env=surroundings(**more), check=False
    )


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-60.215538, "-60.2155"),
        (12.18254, "12.1825"),
        (0.0, "0.0000"),
        (-0.0, "0.0000"),
        (3.2e-9, "3.20e-09"),
        (-4e-5, "-4.00e-05"),
        (1234567.891234, "1234567.89"),
        (123456789012.3, "123456789012"),
        (1.7e80, "1.7000000e+80"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_numbers(value: float, shown: str) -> None:
    assert format_number(value) == shown


def test_steps_seconds_and_words() -> None:
    assert format_steps(2_275_328) == "2.28 million"
    assert format_steps(7_000_000) == "7 million"
    assert format_steps(12_345_678) == "12.3 million"
    assert format_steps(1_234_567_890) == "1,235 million"
    assert format_steps(64_000) == "64,000"
    times = (0.84, 24.8146, 119.4, 200.0, 1500.0, 7500.0)
    shown = ["0.8 s", "25 s", "119 s", "3 min 20 s", "25 min", "2 h 5 min"]
    assert [format_duration(one) for one in times] == shown
    assert format_cell(2_275_328, "steps to 0.99") == "2.28 million"
    assert format_cell(24.8146, "s to 0.99") == "25"
    assert format_cell(True) == "yes"
    assert format_cell(None) == "–"


@pytest.mark.parametrize(
    ("value", "name", "shown"),
    [
        (-60.21553, "value", "-60.22"),
        (-0.50941, "value", "-0.509"),
        (0.9996, "regret", "1.00"),
        (9_999.7, "value", "10,000"),
        (19_624.6, "value", "19,625"),
        (0.004149, "regret", "0.00415"),
        (1.1e-7, "regret", "1.1e-07"),
        (0.0, "regret", "0"),
        (-math.inf, "normalised", "-inf"),
        (0.92741, "normalised", "0.927"),
        (0.99962, "normalised", "0.9996"),
        (0.99996, "normalised", "0.99996"),
        (1.0 - 1e-9, "normalised", "1.000"),
        (1.0, "iqm", "1.000"),
        (0.1161, "share", "11.6 %"),
        (0.25, "reached 0.99", "25 %"),
        (160.0087, "seconds", "160"),
        (4.24, "s to 0.99", "4.2"),
        (200_704, "timesteps", "200,704"),
        (12_345, "seed", "12345"),
        (12_345, "runs", "12,345"),
        (None, "regret", "–"),
        (True, "exact", "yes"),
    ],
)
def test_numbers_as_a_person_rounds_them(value: Any, name: str, shown: str) -> None:
    assert format_rounded(value, name) == shown


def test_markup_in_names_is_text_in_markdown() -> None:
    assert markdown_text("<b>[a](http://b)*c*`d`|") == r"&lt;b>\[a\](http://b)\*c\*\`d\`\|"
    assert markdown_text("best_constant") == "best_constant"
    assert markdown_text("_a_") == r"\_a\_"
    table = format_markdown([{"policy": "<script>", "regret": 1.0}])
    assert "| &lt;script> | 1.0000 |" in table


# --- tables -------------------------------------------------------------------------------------

ROWS = [
    {
        "policy": name,
        "seeds": 3,
        "normalised": 0.5 + i / 7,
        "iqm": 0.25 * i,
        "low": None,
        "worst": -9.9 * i,
        "regret": 12345.678912 * i,
        "±": 3e-7,
        "value": -98765.4321 / (i + 1),
        "steps to 0.99": 2_275_328 * (i + 1),
        "s to 0.99": 24.8146,
        "note": f"{WIDE} and then {i}.123456 more words than fit",
    }
    for i, name in enumerate(["ppo", "results/runs/" + WIDE, "[red]<b>"])
]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_tables_fit_and_cut_no_digit(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table("A title", ROWS)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for row in ROWS:
        for name, value in row.items():
            if isinstance(value, int | float):
                assert format_cell(value, name) in text
    joined = re.sub(r"\s", "", text)
    assert "[red]<b>" in joined  # markup is text
    for name in ROWS[0]:
        assert (name.split()[0] in text) == (name != "low")  # of which there is nothing to say
    assert "In all rows:" in text
    assert "seeds 3" in text


def test_a_pipe_has_no_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table("A title", ROWS)
    lines = capsys.readouterr().out.splitlines()
    for row in ROWS:
        assert sum(row["policy"] in line and row["note"] in line for line in lines) == 1


def test_one_row_is_a_list(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_table("A title", ROWS[:1])
    text = capsys.readouterr().out
    assert re.search(r"^normalised +0\.5000 *$", text, re.MULTILINE)
    assert "low" not in text


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("score", "InspectOrStop-v0", "--scenario", "table-16"),
        ("score", "SequentialSampling-v0", "--set", "max_samples=60"),
        ("reproduce", "liu-hu-deng"),
        ("reproduce", "yang-2010"),
        ("show", "KStageControl-v0"),
    ],
    ids=" ".join,
)
def test_commands_fit_the_terminal(
    width: int,
    words: Sequence[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(words) == 0
    full = set(re.findall(r"(?<![\w.,])-?\d+\.\d+(?:e-?\d+)?%?(?![\w.])", capsys.readouterr().out))
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(words) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    shown = set(re.findall(r"(?<![\w.,])-?\d+\.\d+(?:e-?\d+)?%?(?![\w.])", text))
    assert shown == full


# --- streams ------------------------------------------------------------------------------------


SOLVE = ("solve", "InspectOrStop-v0", "--scenario", "table-16", "--episodes", "200")


@cache
def whole_lines() -> int:
    """Return how many lines that command prints where every symbol can be written."""
    return len(run(*SOLVE).stdout.splitlines())


@pytest.mark.parametrize(
    "encoding",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["cp1252", "ascii", "C"],
)
def test_symbols_that_an_encoding_lacks_are_spelled(encoding: dict[str, str]) -> None:
    done = run(*SOLVE, **encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout.splitlines()) == whole_lines()
    assert b"simulated" in done.stdout
    assert b"?" not in done.stdout
    if "cp1252" not in encoding.values():
        assert b"+-" in done.stdout
        done.stdout.decode("ascii")


@pytest.mark.parametrize("words", [("list", "--json"), ("list",), ("show", ID), ("--help",)])
def test_a_reader_that_goes_away_is_no_error(words: Sequence[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command(*words), stdout=writer, stderr=subprocess.PIPE, env=surroundings(), check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [("list", "--json"), ("show", ID)])
def test_a_full_disk_is_named(words: Sequence[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command(*words), stdout=full, stderr=subprocess.PIPE, env=surroundings(), check=False
        )
    assert done.returncode == 2
    assert done.stderr.decode().splitlines() == ["qc-gym: standard output: No space left on device"]


def test_a_file_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")  # as write() raises it: without a file

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left on device: .*report\.html"):
        write_whole(tmp_path / "report.html", "text")


LONG = {"env_id": ID, "algorithms": {"ppo": {"total_timesteps": 10**9}}}


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals to a group of processes")
def test_an_interrupt_ends_a_bench_with_a_line(tmp_path: Path) -> None:
    config, runs = tmp_path / "long.yaml", tmp_path / "long" / "runs"
    config.write_text(yaml.safe_dump({"name": "long", "seeds": [0, 1], "problems": [LONG]}))
    with running(command("bench", str(config), "--out", str(tmp_path)), surroundings()) as process:
        for _ in range(1200):  # the folder is made when all is imported
            if runs.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        time.sleep(3.0)
        os.killpg(process.pid, signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.decode().splitlines() == ["qc-gym: interrupted"]
    assert not list(runs.iterdir())


def test_an_interrupt_ends_a_training_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(agents.runs, "train_run", interrupt)
    assert main(["train", ID, "ppo", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "qc-gym: interrupted\n"


# --- exit status --------------------------------------------------------------------------------


def test_an_optimum_that_fails_its_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise baselines.OracleError("regret -1.0 is negative")

    monkeypatch.setattr(baselines, "solve", fail)
    assert main(["solve", ID]) == 1
    error = capsys.readouterr().err
    assert error == "qc-gym: an optimum failed its check: regret -1.0 is negative\n"


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_check_that_fails_fails_the_command(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    certify = baselines.certify

    def deviate(*arguments: Any, **options: Any) -> baselines.Certificate:
        found = certify(*arguments, **options)
        assert found.simulation is not None
        far = dataclasses.replace(
            found.simulation, mean=found.value - 308.0 * found.simulation.stderr
        )
        return dataclasses.replace(found, simulation=far)

    command = ["solve", ID, "--set", "max_samples=60", "--episodes", "1000", *words]
    assert main(command) == 0
    assert "agrees with the simulation" in capsys.readouterr().out
    monkeypatch.setattr(baselines, "certify", deviate)
    assert main(command) == 1
    assert "FAILS: the simulation is -308.0 standard errors away" in capsys.readouterr().out


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(baselines, "solve", fail)
    with pytest.raises(AssertionError, match="a bug"):
        main(["solve", ID])


def test_warnings_are_lines() -> None:
    done = run("show", "InspectOrStop-v0", "--set", "inspection_cost=100", "--template")
    assert done.returncode == 0
    lines = set(done.stderr.decode().splitlines())
    assert all(line.startswith("qc-gym: warning: inspection_cost = 100") for line in lines)
    assert len(lines) == 1


# --- options ------------------------------------------------------------------------------------


def test_options_stand_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(SMALL_LOT), encoding="utf-8")
    for words in (
        ["solve", "--json", ID, "--scenario", str(path), "--episodes", "1e3"],
        ["solve", ID, "--json", "--episodes", "1_000", "--scenario", str(path)],
        ["solve", "--episodes", "1000.0", "--scenario", str(path), "--json", "--", ID],
    ):
        assert main(words) == 0
        solved = json.loads(capsys.readouterr().out)
        assert solved["certificate"]["simulation"]["episodes"] == 1000


@pytest.mark.parametrize("words", [["--episodes", "0"], ["--no-check"]])
def test_the_check_can_be_switched_off(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["solve", ID, "--set", "max_samples=60", *words]) == 0
    text = capsys.readouterr().out
    assert "verdict              not simulated" in text
    assert "±" not in text
    assert main(["solve", ID, "--set", "max_samples=60", "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out)["certificate"]["simulation"] is None


@pytest.mark.parametrize("text", ["1.5", "many", "1e400", "nan", ""])
def test_what_is_no_whole_number(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solve", ID, "--episodes", text]) == 2
    assert f"{text!r} is not a whole number" in capsys.readouterr().err


def test_a_family_of_others_is_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import qc_gym

    entry = gym.spec(ID)
    monkeypatch.setitem(gym.registry, "elsewhere/Sampling-v0", entry)
    other = replace(qc_gym.ENVIRONMENTS[ID], env_id="elsewhere/Sampling-v0")
    known = {**qc_gym.ENVIRONMENTS, other.env_id: other}
    monkeypatch.setattr(qc_gym, "ENVIRONMENTS", known)
    assert main(["list"]) == 0
    assert "elsewhere/Sampling-v0" in capsys.readouterr().out
    assert main(["show", "Sampling-v0"]) == 0


def test_help_says_types_and_defaults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["solve", "--help"]) == 0
    text = capsys.readouterr().out
    for expected in ("[default: check]", "belief|outcome", "FIELD=VALUE", "--no-check"):
        assert expected in text


def test_completion(tmp_path: Path) -> None:
    words = {"COMP_WORDS": "qc-gym solve Asse", "COMP_CWORD": "2"}
    done = run(_QC_GYM_COMPLETE="complete_bash", **words)
    assert done.stdout.decode().split() == ["Assembly-v0"]
    words = {"COMP_WORDS": "qc-gym solve Assembly-v0 --scenario gear", "COMP_CWORD": "4"}
    done = run(_QC_GYM_COMPLETE="complete_bash", **words)
    assert done.stdout.decode().split() == ["gearbox"]
