"""README as a stranger follows it: each block in order, as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from needs import need_feature

import lbkit
from lbkit import algorithms, presets
from lbkit.core.limit import InFlight, Several, limiters

ROOT = Path(lbkit.__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


# Runs the script that it is given, with live runs of two seconds instead of a minute.
RUNNER = """
import runpy, sys
import lbkit
in_full = lbkit.run
lbkit.run = lambda e, on="sim", **options: in_full(e if on == "sim" else e.but(duration=2), on, **options)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"}


@pytest.mark.live
def test_the_python_blocks_run_in_order_as_a_script(tmp_path: Path) -> None:
    need_feature("live", "dask")
    (tmp_path / "readme.py").write_text("\n".join(blocks("python")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, "readme.py"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line in ("least_connections on sim", "least_connections on live", "upstream", "hash"):
        assert line in done.stdout
    assert "Traceback" not in done.stderr


def test_the_commands_run_in_order(tmp_path: Path) -> None:
    need_feature("import")
    (tmp_path / "nginx.conf").write_text(
        "events {}\nhttp { upstream web { server 10.0.0.1:80; server 10.0.0.2:80; } }\n"
    )
    line = '10.0.0.{} - - [24/Nov/2026:10:00:{:02d} +0000] "GET /{} HTTP/1.1" 200 1 "-" "-" 0.020\n'
    (tmp_path / "access.log").write_text("".join(line.format(i % 9, i // 10, i % 5) for i in range(100)))
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("lbkit ")]
    assert len(lines) == 5
    for command in lines:
        done = subprocess.run(
            ["sh", "-c", command.replace("lbkit", f"{sys.executable} -m lbkit.cli", 1)],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)


def test_the_names_that_readme_imports_are_exported() -> None:
    for names in re.findall(r"^from lbkit import (.*)$", "\n".join(blocks("python")), re.MULTILINE):
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
