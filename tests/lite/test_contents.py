"""The notebooks of the browser-only edition: what runs stays as it is, and what does not says so."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from notebooks.book import NOTEBOOKS

from lite.contents import TO_A_LAB, check_folder, copy_notebooks, explained, for_browsers, found_by_why_not

ADDED = r'\nelse:\n    print\("not shown here; with make lab this cell [^"]+"\)'
LIVE = """if live:
    with LocalFleet(servers(1)) as fleet:
        print(fleet)"""


def printed(source: str, **names: object) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(source, names)
    return out.getvalue()


def test_a_cell_of_a_live_run_says_in_one_line_what_it_would_do() -> None:
    said = printed(explained(LIVE, {"live"}), live=False)
    does = "starts servers, shows and checks what real processes did"
    assert said == f"not shown here; with make lab this cell {does}\n"


def test_a_cell_that_already_says_so_stays_as_it_is() -> None:
    source = f'{LIVE}\nelse:\n    print("not shown here: no sockets")'
    assert explained(source, {"live"}) == source


def test_a_cell_that_only_defines_stays_as_it_is() -> None:
    source = "if live:\n    import http.client\n\n    def ask():\n        print(1)"
    assert explained(source, {"live"}) == source


def test_a_cell_with_other_conditions_or_that_is_not_python_stays_as_it_is() -> None:
    for source in ("if found:\n    print(found)", "%pip list", "x = 1\nx"):
        assert explained(source, {"live"}) == source


def test_names_that_follow_from_why_not_are_found() -> None:
    cells = ['live = not why_not("live")\nseeds = 3', "several = live and 1 < 2", "table = {}"]
    assert found_by_why_not(cells) == {"live", "several"}


def test_a_link_to_a_lab_is_text_as_the_site_has_no_labs() -> None:
    text = "[03](03-algorithms.ipynb), [lab 01](labs/01-turns/turns.ipynb)"
    book = {"cells": [{"cell_type": "markdown", "source": [text]}], "metadata": {}}
    assert for_browsers(book)["cells"][0]["source"] == "[03](03-algorithms.ipynb), lab 01"


def test_every_notebook_keeps_its_code() -> None:
    for path in NOTEBOOKS:
        before = json.loads(path.read_text())
        after = for_browsers(json.loads(path.read_text()))
        assert after["metadata"]["kernelspec"]["name"] == "python"
        for old, new in zip(before["cells"], after["cells"], strict=True):
            kept = TO_A_LAB.sub(r"\1", "".join(old["source"]))
            assert re.sub(ADDED, "", "".join(new["source"])) == kept


def test_notebooks_and_texts_are_copied_with_their_folders(tmp_path: Path) -> None:
    copy_notebooks(NOTEBOOKS[0].parent, tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert {"00-playground.ipynb", "glossary.md", "solutions/00-solutions.ipynb"} <= names


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    check_folder(tmp_path / "new")
    check_folder(tmp_path)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit, match="is no site that was made here"):
        check_folder(tmp_path)
    (tmp_path / "jupyter-lite.json").write_text("{}")
    check_folder(tmp_path)
