"""`lbkit lab`: JupyterLab on the notebooks."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lbkit import why_not
from lbkit.cli.console import fail

FIRST = "00-playground.ipynb"  # what opens


def lab_command(notebooks: Path | None, browser: bool, port: int | None) -> list[str]:
    """JupyterLab on the notebooks, for this machine only, asking nobody on the net for news."""
    root = notebooks.parent if notebooks else Path.cwd()
    return [
        *(sys.executable, "-m", "jupyterlab"),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={root}",
        *([f"--LabApp.default_url=/lab/tree/{notebooks.name}/{FIRST}"] if notebooks else []),
        *([f"--ServerApp.port={port}"] if port is not None else []),
        *([] if browser else ["--no-browser"]),
        # In a container one is often root; only this machine can get in, with a token.
        *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]


def find_notebooks() -> Path | None:
    """The notebooks/ of the source checkout: here, above, or where lbkit was imported from."""
    here = Path.cwd()
    for root in (here, *here.parents, Path(__file__).parents[1]):
        if any((root / "notebooks").glob("*.ipynb")) and (root / "lbkit").is_dir():
            return root / "notebooks"
    return None


def command(
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
    port: Annotated[int | None, typer.Option(help="Instead of 8888 or the next free one.")] = None,
) -> None:
    """Open JupyterLab on the kit's notebooks.

    Listens on this machine only, and asks nobody for news or updates.
    Where the kit's sources are not around, it opens the current folder.

    \b
    [bold]Examples[/]
      lbkit lab
      lbkit lab --no-browser --port 9000
    """
    if reason := why_not("lab"):
        fail(reason)
    notebooks = find_notebooks()
    if notebooks is None:
        typer.echo("The notebooks come with lbkit's sources, which are not here: opening this folder.")
    command = lab_command(notebooks, browser, port)
    os.execv(command[0], command)  # so that Ctrl-C and the exit code are Jupyter's
