"""The tables of notebooks in README and in the index, and the minutes that notebooks promise."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from notebooks.book import INDEX, NOTEBOOKS

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "docs" / "contents.py"


@pytest.fixture(scope="module")
def script() -> Iterator[dict[str, Any]]:
    path = list(sys.path)
    yield runpy.run_path(str(SCRIPT))
    sys.path[:] = path


def test_the_tables_of_readme_and_of_the_index_are_up_to_date() -> None:
    check = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


def test_both_tables_have_each_notebook_once() -> None:
    for text in (INDEX.read_text(encoding="utf-8"), (ROOT / "README.md").read_text(encoding="utf-8")):
        table = text.partition("begin notebooks")[2].partition("end notebooks")[0]
        assert [table.count(f"{path.name})") for path in NOTEBOOKS] == [1] * len(NOTEBOOKS)


def test_an_old_table_is_replaced_and_the_text_around_it_stays(script: dict[str, Any]) -> None:
    old = "before\n<!-- begin two-evenings -->\nold\n<!-- end two-evenings -->\nafter\n"
    new = script["readme"](old)
    assert new.startswith("before\n<!-- begin two-evenings -->\n\n| evening | what | time |\n")
    assert new.endswith(" |\n\n<!-- end two-evenings -->\nafter\n")
    assert "| 1 | [00 playground](notebooks/00-playground.ipynb), [03 algorithms](" in new
    assert script["readme"](new) == new
    with pytest.raises(KeyError):
        script["readme"](old.replace("two-evenings", "three-evenings"))


def test_claims_in_a_row_are_written_as_one(script: dict[str, Any]) -> None:
    counted = script["counted"]
    assert counted(["A2", "A1", "score", "A3", "RP1"]) == "5 (A1\u2011A3, RP1)"
    assert counted(["A1", "A3"]) == "2 (A1, A3)"
    assert counted(["storm"]) == "1"
    assert counted([]) == ""


def test_minutes_are_those_of_text_code_and_widgets(script: dict[str, Any]) -> None:
    text = "[some words](an-address-that-nobody-reads.md) " * 75 + "\n## Exercises\n" + "more " * 100
    cells = [{"cell_type": "markdown", "source": [text]}]
    assert script["estimate"](cells) == {"text": 1.0, "code": 0.0, "widgets": 0.0}
    code = ["# a comment\n", "\n", "guess = predict()\n", "scene = Scene(\n", "    build,\n", ")\n"]
    parts = script["estimate"]([*cells, {"cell_type": "code", "source": code}])
    assert parts == {"text": 1.0, "code": 0.5, "widgets": 4.0}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_promises_about_the_minutes_of_the_estimate(script: dict[str, Any], path: Path) -> None:
    (one,) = (chapter for chapter in script["chapters"](path.parent) if chapter.file == path.name)
    parts = script["estimate"](json.loads(path.read_text(encoding="utf-8"))["cells"])
    assert abs(one.minutes - sum(parts.values())) <= 10, parts


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_names_the_programs_that_it_is_better_with(script: dict[str, Any], path: Path) -> None:
    (one,) = (chapter for chapter in script["chapters"](path.parent) if chapter.file == path.name)
    opening = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    needs = opening.partition("*Needs:*")[2]
    assert [name for name in one.programs if script["PROGRAMS"][name] not in needs] == []
