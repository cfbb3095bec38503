"""Code in written pages, run as a reader would: Python as one script, commands in order.

A block that a test cannot run has a reason in the line before it: `<!-- not run: serves until Ctrl-C -->`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import lbkit

ROOT = Path(lbkit.__file__).parents[1]

# Runs the script that it is given, with live runs of two seconds instead of a minute.
RUNNER = """
import runpy, sys
import lbkit
in_full = lbkit.run
lbkit.run = lambda e, on="sim", **options: in_full(e if on == "sim" else e.but(duration=2), on, **options)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


FENCED = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n\n?)?```(?P<language>\S*)\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block; `reason` says why no test runs it, and is "" where one does."""

    language: str
    code: str
    reason: str


def all_blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    return [Block(m["language"], m["code"], m["reason"] or "") for m in FENCED.finditer(text)]


def blocks(text: str, language: str) -> list[str]:
    """Return the code of a language that is to be run."""
    return [each.code for each in all_blocks(text) if each.language == language and not each.reason]


def well_formed(address: str) -> bool:
    """Return whether an address of another site can be one: a scheme, and a host with a name."""
    parts = urlsplit(address)
    here = parts.hostname in ("127.0.0.1", "localhost")
    named = bool(parts.hostname and re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", parts.hostname))
    return parts.scheme in ("http", "https") and (here or named) and " " not in address


def commands(text: str) -> list[str]:
    """Return the commands of lbkit in the blocks of a shell, one in a line."""
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    return [line for line in lines if line.startswith("lbkit ")]


def write_files(text: str, folder: Path) -> None:
    """Write the blocks of Python that begin with the name of a file, as `# mine.py`, as commands use them."""
    for code in blocks(text, "python"):
        if named := re.match(r"# (\w+\.py)\n", code):
            (folder / named[1]).write_text(code, encoding="utf-8")


def run_script(text: str, folder: Path, timeout: float = 170) -> str:
    """Run the Python of a page as one script in a folder; return what it prints, and fail if it fails."""
    (folder / "page.py").write_text("\n".join(blocks(text, "python")), encoding="utf-8")
    return _run([sys.executable, "-c", RUNNER, "page.py"], folder, timeout)


def run_command(line: str, folder: Path) -> str:
    """Run a command of lbkit in a folder; return what it prints, and fail if it fails."""
    return _run(["sh", "-c", line.replace("lbkit", f"{sys.executable} -m lbkit", 1)], folder, 120)


def _run(arguments: list[str], folder: Path, timeout: float) -> str:
    done = subprocess.run(
        arguments,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, (arguments, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout


def write_a_site(folder: Path) -> None:
    """Write what a reader brings along: the configuration and the access log of an nginx."""
    (folder / "nginx.conf").write_text(
        "events {}\nhttp { upstream web { server 10.0.0.1:80; server 10.0.0.2:80; } }\n"
    )
    line = '10.0.0.{} - - [24/Nov/2026:10:00:{:02d} +0000] "GET /{} HTTP/1.1" 200 1 "-" "-" 0.020\n'
    (folder / "access.log").write_text("".join(line.format(i % 9, i // 10, i % 5) for i in range(100)))
