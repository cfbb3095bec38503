"""README as a stranger follows it: each block in order, as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from needs import need_feature
from pages import ROOT, blocks, commands, run_command, run_script, write_a_site

import lbkit
from lbkit import algorithms, presets
from lbkit.core.limit import InFlight, Several, limiters

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.live
def test_the_python_blocks_run_in_order_as_a_script(tmp_path: Path) -> None:
    need_feature("live", "dask")
    printed = run_script(README, tmp_path)
    for line in ("least_connections on sim", "least_connections on live", "upstream", "hash"):
        assert line in printed


def test_the_commands_run_in_order(tmp_path: Path) -> None:
    need_feature("import")
    write_a_site(tmp_path)
    lines = commands(README)
    assert len(lines) == 6
    for line in lines:
        run_command(line, tmp_path)


def test_the_names_that_readme_imports_are_exported() -> None:
    for names in re.findall(r"^from lbkit import (.*)$", "\n".join(blocks(README, "python")), re.MULTILINE):
        assert set(names.split(", ")) <= set(lbkit.__all__)
    assert all(hasattr(lbkit, name) for name in lbkit.__all__)


def test_the_numbers_in_readme_are_right() -> None:
    ours = [cls for cls in algorithms().values() if cls.__module__.startswith("lbkit.")]
    assert f"There are {len(ours)} algorithms" in README
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]
    assert f"`presets` has {words[len(presets.SYSTEMS)]} systems" in README
    own = [cls for cls in limiters().values() if cls.__module__.startswith("lbkit.")]
    kinds = [
        cls for cls in own if not issubclass(cls, InFlight | Several)
    ]  # these limit concurrency, or combine
    assert f"There are {words[len(kinds)]} kinds of rate limit" in README
