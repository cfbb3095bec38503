"""The learners' copies in the repository are those that the sources make, and a solved notebook runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import build

from lbkit.course import Lab, all_labs

every_lab = pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.name)


@every_lab
def test_starters_are_made_from_the_sources(lab: Lab) -> None:
    for name, text in build.starters(lab).items():
        assert (lab.folder / name).read_text() == text, f"{lab.name}/{name} is old: make labs"


@every_lab
def test_the_solved_notebook_runs(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LBKIT_PROGRESS", str(tmp_path / "progress.json"))
    notebook = tmp_path / "solved.ipynb"
    nbformat.write(build.source_notebook(lab), notebook)
    command = [sys.executable, "-m", "nbconvert", "--to=notebook", "--execute", "--inplace", str(notebook)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    points = {
        cell.id: cell.outputs[-1] for cell in nbformat.read(notebook, 4).cells if cell.id.startswith("checks")
    }
    for name, output in points.items():
        wanted = next(c for c in build.source_notebook(lab).cells if c.id == name).metadata.nbgrader.points
        assert output["data"]["text/plain"] == str(wanted)
