"""nbgrader itself releases, collects and grades the labs: right, wrong, empty and broken submissions."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import build

from lbkit.course import all_labs

BROKEN = "class Turns(:\n"


def nbgrader(folder: Path, *arguments: str) -> str:
    bin_folder = str(Path(sys.executable).parent)  # it calls alembic by its name
    environment = os.environ | {"PATH": os.pathsep.join((bin_folder, os.environ["PATH"]))}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("course")
    build.course(folder)
    return folder


def test_submissions_get_their_points(course: Path) -> None:
    lab = all_labs()[0]
    nbgrader(course, "generate_assignment", lab.name, "--create")
    released = course / "release" / lab.name / f"{lab.task.module}.ipynb"
    assert "BEGIN SOLUTION" not in released.read_text()
    assert "HIDDEN" not in released.read_text()
    wrong = lab.mistakes["Consecutive"].code
    right = next(iter(lab.right.values())).read_text()
    for student, code in {"right": right, "wrong": wrong, "empty": "", "broken": BROKEN}.items():
        notebook = nbformat.read(released, 4)
        if code:
            next(cell for cell in notebook.cells if cell.id == "solution").source = code
        folder = course / "submitted" / student / lab.name
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / released.name)
    nbgrader(course, "autograde", lab.name, "--create")
    nbgrader(course, "export")
    rows = csv.DictReader((course / "grades.csv").read_text().splitlines())
    grades = {row["student_id"]: float(row["raw_score"]) for row in rows}
    of = sum(check.points for check in lab.task.checks.values())
    lost = lab.task.checks["turns-are-spread-out"].points
    assert grades == {"right": of, "wrong": of - lost, "empty": 0, "broken": 0}
    nbgrader(course, "generate_feedback", lab.name)
    feedback = (course / "feedback" / "wrong" / lab.name / f"{lab.task.module}.html").read_text()
    assert "no server is ever a whole request ahead" in feedback
    assert "10,000" not in feedback  # of a hidden check
