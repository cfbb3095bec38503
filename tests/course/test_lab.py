"""Labs on disk, and where a learner's code is found."""

from __future__ import annotations

import json
import linecache
import os
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from lbkit.cli import app
from lbkit.course import Lab, all_labs, find_lab
from lbkit.course.lab import BETWEEN, code_of, source_of
from lbkit.course.notebook import NotYet, OpenLab, in_cells

TURNS = find_lab("1")


@pytest.fixture(autouse=True)
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LBKIT_PROGRESS", str(tmp_path / "progress.json"))


@pytest.mark.parametrize("name", ["1", "01", "01-turns", "turns"])
def test_a_lab_has_a_number_and_a_name(name: str) -> None:
    assert find_lab(name).name == "01-turns"


def test_an_unknown_lab_is_an_error_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="unknown lab 99; known are 01-turns"):
        find_lab("99")


def notebook(path: Path, *cells: tuple[str, bool]) -> Path:
    marked = [
        {"cell_type": "code", "source": source, "metadata": {"nbgrader": {"solution": True}} if own else {}}
        for source, own in cells
    ]
    path.write_text(json.dumps({"cells": marked}))
    return path


def test_the_code_of_a_notebook_is_in_the_cells_to_be_filled_in(tmp_path: Path) -> None:
    path = notebook(tmp_path / "a.ipynb", ("import os", False), ("class A: pass", True), ("x = 1", True))
    assert code_of(path) == "class A: pass\n\n\nx = 1"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"cells": []}', "the cell for your code is gone"),
        ("[]", "not a notebook"),
        ("nonsense", "not a notebook"),
        ('{"cells": [1]}', "not a notebook"),
        ('{"cells": [{"cell_type": "code", "sou', "delete it, and `lbkit lab` makes a new copy"),
        ("\udcff", "not a text in UTF-8"),
    ],
)
def test_a_broken_notebook_is_an_error(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "turns.ipynb"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=says):
        code_of(path)


def test_the_file_that_was_worked_on_is_checked(tmp_path: Path) -> None:
    """The one that differs from the starter; of two, the newer one."""
    for name in ("turns.py", "turns.ipynb"):
        (tmp_path / name).write_text((TURNS.folder / name).read_text())
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / "turns.py").write_text("class Turns: pass")
    os.utime(tmp_path / "turns.py", (0, 0))
    assert TURNS.work_file(tmp_path).name == "turns.py"
    notebook(tmp_path / "turns.ipynb", ("class Turns: ...", True))
    assert TURNS.work_file(tmp_path).name == "turns.ipynb"
    with pytest.raises(ValueError, match=r"there is no turns\.ipynb and no turns\.py here"):
        TURNS.work_file(tmp_path / "elsewhere")


def test_the_command_tells_points_by_its_exit_code(tmp_path: Path) -> None:
    right = TURNS.source / "solution.py"
    wrong = tmp_path / "wrong.py"
    wrong.write_text(TURNS.mistakes["Consecutive"].code)
    assert CliRunner().invoke(app, ["check", "1", str(right)]).exit_code == 0
    told = CliRunner().invoke(app, ["check", "1", str(wrong), "--json"])
    assert told.exit_code == 1
    assert json.loads(told.output)["points"] == 8
    unknown = CliRunner().invoke(app, ["check", "99"])
    assert unknown.exit_code == 2
    missing = CliRunner().invoke(app, ["check", "1", str(tmp_path / "no.py")])
    assert missing.exit_code == 2
    assert "no.py" in missing.output


def test_a_class_of_a_module_and_of_a_cell_is_found_with_its_source(tmp_path: Path) -> None:
    path = tmp_path / "own_turns.py"
    path.write_text("class Turns:\n    def pick(self): return 1\n")
    module = ModuleType("own_turns")
    exec(compile(path.read_text(), str(path), "exec"), vars(module))
    assert source_of(module.Turns) == (path.read_text(), str(path))
    with pytest.raises(ValueError, match="define it in a cell"):
        source_of(int)


def defined(*cells: str, lab: Lab = TURNS) -> OpenLab:
    """A lab in a notebook with these cells."""
    names: dict[str, object] = {"__name__": "__main__"}
    for code in cells:
        file = f"<cell {hash(code)}>"
        linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
        exec(compile(code, file, "exec"), names)
    return OpenLab(lab, names)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("", "there is no `Turns` yet: run the cell that defines it"),
        ("class Turn: pass", "there is no `Turns` yet, but a `Turn`: keep the name that the lab gave it"),
        (
            code_of(TURNS.folder / "turns.py"),
            "`Turns.pick` is not written yet: write it in the cell for your code",
        ),
    ],
)
def test_a_notebook_goes_no_further_without_the_code_and_says_so_in_a_line(code: str, says: str) -> None:
    with pytest.raises(NotYet, match=says) as caught:
        defined(code).written()
    assert caught.value._render_traceback_() == [str(caught.value)]


def test_code_that_is_written_lets_a_notebook_go_on() -> None:
    defined((TURNS.source / "solution.py").read_text()).written()


def test_what_stands_in_a_cell_beside_is_checked_with_the_rest() -> None:
    ring = find_lab("4")
    solution = (ring.source / "solution.py").read_text()
    beside, rest = solution.split("# %%")
    assert defined(beside, rest, lab=ring).check().solved
    alone = next(iter(ring.right.values())).read_text()
    assert defined(alone, lab=ring).cells() == [alone]  # a solution may do without
    with pytest.raises(NotYet, match="`position` is not written yet"):
        defined(code_of(ring.folder / "ring.py"), lab=ring).written()


def test_lines_are_counted_in_the_cell_that_they_are_in() -> None:
    cells = ["one = 1\ntwo = 2", "three = 3\nfour = 4"]
    joined = BETWEEN.join(cells).splitlines()
    said = in_cells(f"it failed, in line {joined.index('four = 4') + 1}: `four = 4`", cells)
    assert said == "it failed, in line 2 of cell 2 of yours: `four = 4`"
    assert in_cells("no; your cell, line 1 (`one = 1`)", cells) == "no; line 1 of cell 1 of yours (`one = 1`)"
    assert in_cells("it failed, in line 2", cells) == "it failed, in line 2 of cell 1 of yours"
    assert in_cells("it failed, in line 2", cells[:1]) == "it failed, in line 2"


def test_a_class_without_a_method_of_its_own_is_named() -> None:
    assert "`Turns` has no method of its own yet" in defined("class Turns: pass").check().text()


def test_the_button_says_that_it_was_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: OpenLab) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(OpenLab, "check", interrupt)
    button, said = defined("").button().children
    with pytest.raises(KeyboardInterrupt):
        button.click()
    assert "press the button again" in said.value
    assert not button.disabled


@pytest.mark.parametrize("lab", all_labs(), ids=lambda lab: lab.name)
def test_a_starter_has_its_button_and_stops_where_the_code_is_needed(lab: Lab) -> None:
    """Run All on a starter shows the button, and does not measure what is not there."""
    book = json.loads((lab.folder / f"{lab.task.module}.ipynb").read_text())
    codes = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    own = max(i for i, cell in enumerate(codes) if cell["metadata"].get("nbgrader", {}).get("solution"))
    after = ["".join(cell["source"]) for cell in codes[own + 1 :]]
    assert after[0] == "lab.button()"
    assert next(code for code in after[1:] if code != "lab.grade()").startswith("lab.written(")


def test_a_file_may_begin_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "turns.py").write_text("class Turns: pass", encoding="utf-8-sig")
    assert code_of(tmp_path / "turns.py") == "class Turns: pass"


def test_a_notebook_that_has_not_run_the_cell_is_told_so() -> None:
    report = OpenLab(TURNS, {}).check()
    assert "there is no `Turns` yet: run the cell that defines it" in report.text()
    assert report.points == 0
