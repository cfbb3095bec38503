from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import lbkit
from lbkit.cli.workbook import update

ROOT = Path(lbkit.__file__).parents[1]


def write(path: Path, *cells: str, output: str = "", count: int | None = None) -> None:
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    book = {
        "cells": [
            {"cell_type": "code", "source": cell, "outputs": outputs, "execution_count": count}
            for cell in cells
        ],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(book))


@pytest.fixture
def notebooks(tmp_path: Path) -> Path:
    folder = tmp_path / "notebooks"
    write(folder / "01.ipynb", "1 + 1")
    write(folder / "solutions/01.ipynb", "2")
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints/01.ipynb").write_text("{}")
    (folder / "picture.png").write_bytes(b"1")
    return folder


@pytest.fixture
def workbook(notebooks: Path) -> Path:
    folder = notebooks.with_name("workbook")
    assert update(notebooks, folder) == []
    return folder


def test_a_workbook_has_a_copy_of_every_file(notebooks: Path, workbook: Path) -> None:
    names = sorted(str(p.relative_to(workbook)) for p in workbook.rglob("*") if p.is_file())
    visible = ["01.ipynb", "picture.png", "solutions/01.ipynb"]
    assert [name for name in names if not name.startswith(".originals/")] == visible
    for name in visible:
        assert (workbook / name).read_bytes() == (notebooks / name).read_bytes()


def test_work_stays_as_it_is(notebooks: Path, workbook: Path) -> None:
    write(workbook / "01.ipynb", "1 + 2", output="3", count=1)
    before = (workbook / "01.ipynb").read_bytes()
    assert update(notebooks, workbook) == []
    assert (workbook / "01.ipynb").read_bytes() == before


def test_a_newer_version_replaces_a_copy_that_was_only_run(notebooks: Path, workbook: Path) -> None:
    write(workbook / "01.ipynb", "1 + 1", output="2", count=7)
    write(notebooks / "01.ipynb", "1 + 1 + 1")
    (notebooks / "picture.png").write_bytes(b"2")
    assert update(notebooks, workbook) == []
    assert (workbook / "01.ipynb").read_bytes() == (notebooks / "01.ipynb").read_bytes()
    assert (workbook / "picture.png").read_bytes() == b"2"


def test_a_changed_copy_is_kept_and_named_until_it_is_deleted(notebooks: Path, workbook: Path) -> None:
    copy = workbook / "01.ipynb"
    write(copy, "1 + 1", "my own cell")
    write(notebooks / "01.ipynb", "newer")
    assert update(notebooks, workbook) == [copy]
    assert update(notebooks, workbook) == [copy]
    assert "my own cell" in copy.read_text()
    copy.unlink()
    assert update(notebooks, workbook) == []
    assert copy.read_bytes() == (notebooks / "01.ipynb").read_bytes()


def test_a_copy_that_is_no_notebook_any_more_counts_as_changed(notebooks: Path, workbook: Path) -> None:
    for text in ("not JSON", "[]", '{"cells": 3}'):
        (workbook / "01.ipynb").write_text(text)
        write(notebooks / "01.ipynb", f"newer {text}")
        assert update(notebooks, workbook) == [workbook / "01.ipynb"]
        (workbook / "01.ipynb").unlink()
        update(notebooks, workbook)


def test_git_does_not_see_the_workbook() -> None:
    ignored = subprocess.run(
        ["git", "check-ignore", "workbook/01.ipynb"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if ignored.returncode == 128:
        pytest.skip("platform: not a git clone")
    assert ignored.stdout == "workbook/01.ipynb\n"
