from __future__ import annotations

from pathlib import Path

import pytest
from needs import need_feature
from typer.testing import CliRunner

from lbkit.cli import app
from lbkit.cli.submit import VARIABLE
from lbkit.cli.workbook import fill
from lbkit.material import find_course

need_feature("labs")
COURSE = find_course()


def call(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["submit", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stderr if code else result.stdout


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "ann"
    assert COURSE
    fill(COURSE / "notebooks", home / "workbook")
    monkeypatch.setenv("LBKIT_HOME", str(home))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "submitted" / "ann"))
    return home


def test_elsewhere_there_is_nobody_to_hand_it_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert call(1, code=2).startswith("lbkit: there is no classroom here")


def test_the_file_that_was_worked_on_is_handed_in(home: Path, tmp_path: Path) -> None:
    own = home / "workbook" / "labs" / "01-turns" / "turns.py"
    for text in ("first = 1\n", "second = 2\n"):
        own.write_text(text)
        assert "01-turns is handed in, as turns.py is now" in call(1)
    copies = sorted((tmp_path / "submitted" / "ann" / "01-turns").iterdir())
    assert [copy.read_text() for copy in copies] == ["first = 1\n", "second = 2\n"]


def test_a_file_without_code_is_refused(home: Path, tmp_path: Path) -> None:
    (home / "empty.ipynb").write_text('{"cells": []}')
    assert "the cell for your code is gone" in call(1, home / "empty.ipynb", code=2)
    assert "No such file" in call(1, home / "nothing.py", code=2)
    assert "unknown lab" in call(99, code=2)
    assert not (tmp_path / "submitted").exists()


def test_a_students_copies_are_all_notebooks_and_labs_without_solutions(home: Path) -> None:
    workbook = home / "workbook"
    assert (workbook / "00-playground.ipynb").is_file()
    assert len(list((workbook / "labs").glob("[0-9]*"))) >= 12
    assert not list(workbook.rglob("solution.py"))
