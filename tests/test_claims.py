"""The table of claims: all of the course's claims are in it, each with a line of text and a mutation."""

from __future__ import annotations

import runpy
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from notebooks.book import NOTEBOOKS, Cell, cells

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "docs" / "claims.py"

# How many claims the chapters make, by the letters that begin their ids.
CHAPTERS = {
    "RP": 6, "L": 6, "A": 11, "S": 5, "H": 5, "D": 3, "T": 7, "G": 7, "V": 4, "W": 4, "M": 5, "Z": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def script() -> Iterator[dict[str, Any]]:
    path = list(sys.path)
    yield runpy.run_path(str(SCRIPT))
    sys.path[:] = path


def tagged() -> set[str]:
    return {claim for path in NOTEBOOKS for cell in cells(path) for claim in cell.claims}


def test_the_page_is_up_to_date() -> None:
    check = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


def test_each_claim_says_something_of_its_own() -> None:
    lines = tomllib.loads((ROOT / "docs" / "claims.toml").read_text(encoding="utf-8"))
    assert lines.keys() ^ tagged() == set()
    assert [line for line, times in Counter(lines.values()).items() if times > 1] == []
    assert [line for line in lines.values() if len(line) > 130 or "|" in line] == []


def test_all_claims_of_the_chapters_are_shown() -> None:
    wanted = {f"{letters}{number}" for letters, most in CHAPTERS.items() for number in range(1, most + 1)}
    assert wanted - tagged() == set()


def test_a_claim_without_a_mutation_is_refused(script: dict[str, Any]) -> None:
    bare = Cell("new-cell", "code", "assert 1 < 2", ("claim-A1",))
    with pytest.raises(KeyError, match=r"A1 in 03-algorithms\[new-cell\] has no mutation"):
        script["row"]("A1", "03-algorithms", bare)


def test_a_claim_without_a_line_of_text_is_refused(script: dict[str, Any]) -> None:
    with pytest.raises(KeyError, match=r"unheard in 03-algorithms.* has no line"):
        script["row"]("unheard", "03-algorithms", Cell("a", "code", "", ("claim-unheard",)))


def test_code_in_a_table_ends_no_column_and_no_line(script: dict[str, Any]) -> None:
    assert script["code"]("a |\n  b") == r"`a \| b`"
    assert script["code"]("`a`") == "`` `a` ``"
    assert len(script["code"]("x" * 500)) < 70
