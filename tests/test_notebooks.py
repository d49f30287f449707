"""The notebooks run from top to bottom, and are kept without outputs: ``make docs`` makes these."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))
SHORTER = {"total_timesteps=100_000": "total_timesteps=2_000", "costs[::50]": "costs[::500]"}
"""Here cells are held to run; what they then say is for the pages."""


def cells_of(notebook: Path) -> list[dict[str, Any]]:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    cells: list[dict[str, Any]] = content["cells"]
    return cells


def test_there_are_three() -> None:
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_kept(notebook: Path) -> None:
    cells = cells_of(notebook)
    assert len({cell["id"] for cell in cells}) == len(cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("ignore:ppo. 2,000 steps are")
def test_cells_run_in_order(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    scope: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells_of(notebook):
        if cell["cell_type"] == "code":
            code = "".join(cell["source"])
            for long, short in SHORTER.items():
                code = code.replace(long, short)
            exec(compile(code, f"{notebook.name}, cell {cell['id']}", "exec"), scope)
    assert not list(tmp_path.iterdir())
