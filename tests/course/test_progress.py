"""A learner's progress: a file of their own, the best so far, and first guesses only."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lbkit.cli import app
from lbkit.course import Lab, find_lab, predict, progress
from lbkit.course.progress import (
    all_claims,
    could_not_note,
    note_claims,
    note_lab,
    note_outcome,
    note_prediction,
    note_score,
    read_progress,
)

LAB = Lab(Path(__file__).parent / "tiny")
RIGHT = "def double(x): return x + x\n"
HALF = "def double(x): return 4\n"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "own" / "progress.json"
    monkeypatch.setenv("LBKIT_PROGRESS", str(path))
    return path


def test_the_best_points_stay(file: Path) -> None:
    for code in (HALF, RIGHT, HALF):
        note_lab("tiny", LAB.check(code, "double.py"))
    noted = read_progress()["labs"]["tiny"]
    assert (noted["points"], noted["of"]) == (3, 3)
    assert json.loads(file.read_text())["labs"]["tiny"] == noted


def test_code_that_cannot_be_checked_is_no_progress(file: Path) -> None:
    note_lab("tiny", LAB.check("def (", "double.py"))
    assert read_progress()["labs"] == {
        "tiny": {"points": 0, "of": 3, "on": read_progress()["labs"]["tiny"]["on"]}
    }


def test_the_first_guess_and_the_first_outcome_count() -> None:
    note_prediction("q", "ten")
    note_prediction("q", "eleven")
    assert read_progress()["predictions"] == {"q": {"guess": "ten"}}
    note_outcome("q", right=False)
    note_outcome("q", right=True)
    note_outcome("never asked", right=True)
    assert read_progress()["predictions"] == {"q": {"guess": "ten", "right": False}}


def test_a_file_that_is_not_ours_is_left_alone(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("[1, 2")
    with pytest.raises(ValueError, match="mend it, or delete it"):
        note_prediction("q", "ten")
    assert file.read_text() == "[1, 2"


@pytest.mark.parametrize(
    "content",
    [
        '{"labs": {"tiny": 7}}',
        '{"labs": {"tiny": {"points": "x", "of": 3}}}',
        '{"predictions": {"q": {}}}',
        '{"labs": [1]}',
        "\x00",
    ],
)
def test_a_report_is_shown_also_where_it_cannot_be_noted(file: Path, content: str) -> None:
    file.parent.mkdir()
    file.write_text(content)
    report = LAB.check(RIGHT, "double.py")
    report = replace(report, note=could_not_note(lambda: note_lab("tiny", report)))
    assert report.solved
    for shown in (report.text(), report._repr_html_()):
        assert "not noted in your progress" in shown
        assert "mend it, or delete it" in shown
    assert file.read_text() == content
    asked = predict("answers", "How many?", ["one", "two"], right=1)
    asked.answers[1].click()
    assert "You were right" in asked.said.value
    assert "not noted in your progress" in asked.said.value
    assert CliRunner().invoke(app, ["progress"]).exit_code == 2


def test_the_command_prints_its_report_also_where_it_cannot_be_noted(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("[1, 2")
    shown = CliRunner().invoke(app, ["check", "1", str(find_lab("1").source / "solution.py"), "--json"])
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["points"] == 10
    assert "not noted in your progress" in shown.stderr


def test_a_disk_that_is_full_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note_prediction("q", "ten")
    before = file.read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert could_not_note(lambda: note_prediction("r", "ten")).endswith("No space left on device")
    assert file.read_text() == before
    assert not list(file.parent.glob("*.new"))


def test_checks_at_once_are_all_noted(file: Path) -> None:
    note = "from lbkit.course.progress import note_prediction as note; import sys\n"
    note += "for i in range(20): note(f'{sys.argv[1]}-{i}', 'x')"
    both = [subprocess.Popen([sys.executable, "-c", note, name]) for name in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(read_progress()["predictions"]) == 40


def test_every_claim_of_the_notebooks_can_be_noted() -> None:
    claims = all_claims()
    assert claims["03-algorithms.ipynb"].index("A2") < claims["03-algorithms.ipynb"].index("A10")
    assert "S1" in claims["04-sticky-sessions.ipynb"]
    note_claims(["S1", "S2"], "04-sticky-sessions.ipynb")
    shown = CliRunner().invoke(app, ["progress"])
    assert shown.exit_code == 0
    line = next(line for line in shown.output.splitlines() if "04-sticky" in line)
    assert f"2 of {len(claims['04-sticky-sessions.ipynb'])}" in line
    assert "S1" not in line
    note_score("mine", {"shares": {"equal": 0.5}, "source": "class Mine: ..."})
    shown = CliRunner().invoke(app, ["progress"])
    assert 'mine                            50.0 points: score(kept("mine")).points' in shown.output
    assert json.loads(CliRunner().invoke(app, ["progress", "--json"]).output) == progress.read_progress()
