"""The diagrams of docs/architecture.md, and that the imports have no circles."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from needs import need_module

need_module("grimp")
need_module("networkx")
import networkx as nx

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "docs" / "architecture.py"


@pytest.fixture(scope="module")
def script() -> Iterator[dict[str, Any]]:
    path = list(sys.path)
    yield runpy.run_path(str(SCRIPT))
    sys.path[:] = path


def test_the_diagrams_are_up_to_date() -> None:
    check = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


def test_an_old_diagram_is_replaced_and_the_text_around_it_stays(script: dict[str, Any]) -> None:
    old = "before\n<!-- begin lbkit.live -->\nold\n<!-- end lbkit.live -->\nafter\n"
    new = script["page"](old)
    assert new.startswith("before\n<!-- begin lbkit.live -->\n```mermaid\nflowchart TB\n")
    assert new.endswith("\n```\n<!-- end lbkit.live -->\nafter\n")
    assert "  lbkit_live_tree --> lbkit_live_peers\n" in new
    assert script["page"](new) == new


def test_a_circle_is_one_box_and_what_follows_from_others_is_not_drawn(script: dict[str, Any]) -> None:
    graph = nx.DiGraph([("lbkit.sim", "lbkit.net"), ("lbkit.net", "lbkit.sim"), ("lbkit.sim", "lbkit.run")])
    graph.add_edges_from([("lbkit.run", "lbkit.core"), ("lbkit.sim", "lbkit.core")])
    assert script["circles"](graph) == [["lbkit.net", "lbkit.sim"]]
    drawn = script["diagram"](graph).splitlines()
    assert '  lbkit_net["<b>net</b><br><b>sim</b><br>(a circle)"]' in drawn
    arrows = ["  lbkit_net --> lbkit_run", "  lbkit_run --> lbkit_core"]
    assert [line for line in drawn if "-->" in line] == arrows


def test_there_are_no_circles(script: dict[str, Any]) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (c for c in contracts if c["type"] == "acyclic_siblings")
    imports = script["read_imports"]()
    packages = {name.rpartition(".")[0] for name in imports.modules} - {""}
    checked = packages - set(contract.get("skip_descendants", ()))
    assert {"lbkit", "lbkit.core", "lbkit.core.balance", "lbkit.viz", "lbkit.live"} <= checked
    assert {p: c for p in checked if (c := script["circles"](script["siblings"](imports, p)))} == {}


def test_the_files_that_the_page_sends_readers_to_exist() -> None:
    table = (ROOT / "docs" / "architecture.md").read_text().split("## Where to look")[1].split("\n## ")[0]
    named = re.findall(r"`([\w/]+(?:\.py|/))`", table)
    assert len(named) > 30
    assert [path for path in named if not (ROOT / "lbkit" / path).exists()] == []


def test_make_looks_for_tests_of_a_mark_where_they_are() -> None:
    """Collecting all of ten thousand tests for a mark takes longer than some of those runs."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    for mark in ("browser", "container", "notebook"):
        (places,) = (found[1].split() for line in lines if (found := re.search(rf"-m {mark} ([^#]+)", line)))
        marked = [
            p for p in (ROOT / "tests").rglob("test_*.py") if re.search(rf"mark\.{mark}\b", p.read_text())
        ]
        assert marked
        assert [p for p in marked if not any(p.is_relative_to(ROOT / place) for place in places)] == []
