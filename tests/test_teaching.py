"""The instructor's guide: timetables hold what they promise, and what the pages point to is there."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from pages import ROOT

from docs import timetables, timings
from lbkit.course.bank import all_questions
from lbkit.course.slides import all_decks

PAGES = [ROOT / "docs/pages/teaching.md", *sorted((ROOT / "docs/pages/teaching").glob("*.md"))]
DAYS = [(name, *day) for name, days in timetables.courses().items() for day in days]


@cache
def cells(notebook: str) -> list[str]:
    book = json.loads((ROOT / f"notebooks/{notebook}.ipynb").read_text(encoding="utf-8"))
    return [cell["id"] for cell in book["cells"]]


# -- timetables --------------------------------------------------------------------------------------


def test_the_tables_are_made_of_the_figures() -> None:
    assert timetables.stale() == [], "run python -m docs.timetables"


def test_no_block_is_shorter_than_what_it_takes() -> None:
    assert timetables.faults() == []


def test_a_block_that_is_too_short_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    short = timetables.Block(5, "All of it", notebook="03-algorithms")
    monkeypatch.setattr(timetables, "courses", lambda: {"half-day": [("One morning", "9:00", [short])]})
    (said,) = timetables.faults()
    assert re.search(r"'All of it' has 5 minutes, and takes \d\d", said)


def test_a_section_that_is_gone_is_named_with_those_there_are() -> None:
    gone = timetables.Block(50, "x", notebook="03-algorithms", sections=("Round robbing",))
    with pytest.raises(ValueError, match=r"no section 'Round robbing'; it has .*Round robin"):
        timetables.need(gone)


@pytest.mark.parametrize(("name", "title", "start", "blocks"), DAYS, ids=lambda value: str(value)[:30])
def test_a_day_has_an_end_breaks_and_decks(
    name: str, title: str, start: str, blocks: list[timetables.Block]
) -> None:
    total = sum(block.minutes for block in blocks)
    most = {"half-day": 240, "two-days": 510, "six-weeks": 190}[name]
    assert total <= most
    assert {block.deck for block in blocks} - {""} <= set(all_decks())
    if "at home" in title:
        return
    since = 0
    for block in blocks:  # nobody listens for more than two hours
        since = 0 if block.what in ("Break", "Lunch") else since + block.minutes
        assert since <= 130, (title, block.what)


def test_what_timetables_use_has_been_measured_and_says_where() -> None:
    used = {block.notebook or f"lab {block.lab}" for *_, blocks in DAYS for block in blocks} - {"lab "}
    assert used <= timings.measured().keys(), "run make timings"
    for name, row in timings.measured().items():
        assert {"cores", "busy", "date", "programs"} <= row["machine"].keys(), name
        assert row["processor"] > 0


# -- how sections are counted ------------------------------------------------------------------------

BOOK = {
    "cells": [
        {"id": "a", "cell_type": "markdown", "source": "# Title\n\nthree more words"},
        {"id": "b", "cell_type": "code", "source": "guess = predict('x')\nguess"},
        {"id": "c", "cell_type": "markdown", "source": ["So it is.\n", "\n", "## Next\n", "\n", "Look."]},
        {"id": "d", "cell_type": "code", "source": "Scene(build)"},
        {"id": "e", "cell_type": "markdown", "source": "## Exercises\n\n1. One.\n2. Two."},
    ]
}


def test_a_heading_begins_a_section_also_inside_a_cell() -> None:
    title, following, exercises = timings.sections(BOOK)
    assert [part.title for part in (title, following, exercises)] == ["Title", "Next", "Exercises"]
    assert title.counts == {"words": 8, "code": 1, "exercise": 0, "stage": 0, "guess": 1}
    assert following.counts == {"words": 3, "code": 1, "exercise": 0, "stage": 1, "guess": 0}
    assert exercises.counts["exercise"] == 2
    assert title.minutes == pytest.approx(8 / timings.WORDS_A_MINUTE + 1 + 2)


def test_a_lab_is_measured_with_its_solution() -> None:
    (path,) = (ROOT / "labs/01-turns").glob("*.ipynb")
    code = [timings.source(cell) for cell in timings.read(path)["cells"] if cell["cell_type"] == "code"]
    assert any("BEGIN SOLUTION" in source for source in code)


# -- what the pages point to -------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_cells_that_a_page_names_exist(path: Path) -> None:
    """A page names cells after a link to their notebook: “[05](...), cell `x`”, “cells `x` and `y`”."""
    notebook = ""
    for link, named in re.findall(
        r"notebooks/([\w-]+)\.ipynb|\bcells?\s+((?:`[\w-]+`(?:\s+and\s+|,\s+)?)+)",
        path.read_text(encoding="utf-8"),
    ):
        notebook = link or notebook
        for cell in re.findall(r"`([\w-]+)`", named):
            assert cell in cells(notebook), (notebook, cell)


def test_each_misconception_has_an_experiment_and_nearly_each_a_question() -> None:
    text = (ROOT / "docs/pages/teaching/misconceptions.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| “")]
    assert len(rows) >= 25
    names = {question.name for question in all_questions()}
    asked = [re.search(r"\| `([\w-]+)` \|$", row) for row in rows]
    assert all(re.search(r"ipynb\), cell `[\w-]+`", row) for row in rows)
    assert {found[1] for found in asked if found} <= names
    assert sum(found is None for found in asked) <= 3


def test_readme_knows_how_many_questions_there_are() -> None:
    assert f"{len(all_questions())} questions" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_labs_has_all_of_them_as_their_pages_say() -> None:
    text = (ROOT / "labs/README.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "labs").glob("[0-9]*/README.md")):
        said = page.read_text(encoding="utf-8")
        minutes = re.search(r"\*\*Time\*\* \| (\d+) minutes", said)
        assert minutes is not None
        assert re.search(rf"\({page.parent.name}/README\.md\) \|.*\| {minutes[1]} \| \d \|", text)
