"""The notebooks as a list: what each says of itself, and the labs that come after it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from notebooks.book import FOLDER, NOTEBOOKS

from lbkit.course import all_labs, progress, where_you_are
from lbkit.course.contents import PROGRAMS, chapter_of, chapters
from lbkit.needs import FEATURES

OPENING = "# Is it late?\n\n*About 20 minutes.* *Needs:* nothing."


def cell(source: str, kind: str = "code", **metadata: Any) -> dict[str, Any]:
    return {"cell_type": kind, "source": [source], "metadata": metadata}


def write(folder: Path, name: str, *cells: dict[str, Any]) -> Path:
    path = folder / name
    path.write_text(json.dumps({"cells": list(cells)}))
    return path


def test_a_chapter_is_what_its_notebook_says(tmp_path: Path) -> None:
    write(
        tmp_path,
        "03b-late-answers.ipynb",
        cell(OPENING, "markdown"),
        cell('for engine in ("live", "nginx"):\n    await measure(engine)', tags=["claim-Q2"]),
        cell("haproxy = redis", tags=["claim-Q1", "slow"]),
        cell('print(render(experiment, "caddy"))'),
        cell("half written ("),
    )
    write(tmp_path, "index.ipynb", cell("# The index", "markdown"))
    (one,) = chapters(tmp_path)
    assert (one.number, one.topic, one.title, one.minutes) == ("03b", "late answers", "Is it late?", 20)
    assert one.programs == ("nginx",)
    assert one.claims == ("Q2", "Q1")
    assert one.labs == ()


@pytest.mark.parametrize("opening", ["# No minutes", "*About 20 minutes.*"])
def test_a_notebook_that_does_not_say_so_is_named_with_the_mend(tmp_path: Path, opening: str) -> None:
    write(tmp_path, "07-late.ipynb", cell(opening, "markdown"))
    with pytest.raises(ValueError, match=r"07-late\.ipynb: .*title and its minutes.*delete it"):
        chapters(tmp_path)


def test_a_file_that_is_no_notebook_is_named(tmp_path: Path) -> None:
    (tmp_path / "07-late.ipynb").write_text("{}")
    with pytest.raises(ValueError, match=r"07-late\.ipynb: not a notebook"):
        chapters(tmp_path)


def test_a_folder_without_notebooks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no notebooks here"):
        chapters(tmp_path)


def test_each_lab_belongs_to_one_notebook() -> None:
    course = chapters(FOLDER)
    assert [one.file for one in course] == [path.name for path in NOTEBOOKS]
    assert sorted(lab.name for one in course for lab in one.labs) == [lab.name for lab in all_labs()]
    assert [chapter_of(lab) for lab in all_labs()][:4] == ["03"] * 4


def test_programs_are_features_that_need_more_than_packages() -> None:
    assert all(FEATURES[name].programs or FEATURES[name].check for name in PROGRAMS)


def test_an_overview_has_what_was_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LBKIT_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setattr("lbkit.course.overview.why_not", lambda name: "" if name == "redis" else "not here")
    progress.note_claims(["S3", "S1"], "04-sticky-sessions.ipynb")
    (tmp_path / "progress.json").write_text(
        json.dumps(
            json.loads((tmp_path / "progress.json").read_text())
            | {"labs": {"09-the-same-server-again": {"points": 40, "of": 100}}}
        )
    )
    rows = {row[0]: row[1:] for row in where_you_are().rows}
    assert len(rows) == len(NOTEBOOKS)
    _, claims, labs, missing = rows["04 sticky sessions"]
    assert claims.startswith("2 of ")
    assert (labs, missing) == ("09: 40 of 100", "HAProxy")
    assert rows["02 layers"][2] == "12: -"
    assert "<td" in where_you_are()._repr_html_()
    assert "progress.json" in str(where_you_are())
