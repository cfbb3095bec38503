"""`lbkit lab`: JupyterLab on copies of the notebooks."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from lbkit import why_not
from lbkit.cli import workbook
from lbkit.cli.console import fail, reported
from lbkit.material import WORKBOOK, find_course, home, is_clone

FIRST = "index.ipynb"  # the notebook that opens
HIDDEN = ("notebooks", "__pycache__")  # not listed; git tracks the first, so only copies are opened
# A login shell, which a server without a terminal starts otherwise, would forget PATH, and so `lbkit`.
SHELL = os.environ.get("SHELL") or shutil.which("bash") or "sh"
SETTINGS = Path(__file__).with_name("jupyter")  # of JupyterLab: no question about news
# Of every JupyterLab of the kit, also of a classroom's.
STUDENT_OPTIONS = (
    "--ServerApp.jpserver_extensions=voila.server_extension=False",  # it comes with `lbkit play`
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
    "--ContentsManager.pre_save_hook=lbkit.cli.saving.saving",
    # In a container one is often root; only this machine can get in, with a token or a password.
    *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
    *([f"--ServerApp.terminado_settings=shell_command={SHELL}"] if os.name != "nt" else []),
    *("--ServerApp.log_level=ERROR", "--LabApp.log_level=ERROR"),
)


def lab_command(folder: Path | None, browser: bool, port: int | None) -> list[str]:
    """Return the command for JupyterLab, on this machine only; `folder` has the notebooks to open."""
    root = folder.parent if folder else Path.cwd()
    return [
        *(sys.executable, "-m", "jupyterlab"),
        "--ServerApp.ip=127.0.0.1",
        f"--ServerApp.root_dir={root}",
        "--ServerApp.jpserver_extensions=lbkit.cli.first_page=True",
        *([f"--LabApp.default_url=/lab/tree/{folder.name}/{FIRST}"] if folder else []),
        *(f"--ContentsManager.hide_globs={name}" for name in HIDDEN if folder),
        *STUDENT_OPTIONS,
        *([f"--ServerApp.port={port}"] if port is not None else []),
        *([] if browser else ["--no-browser"]),
    ]


def lab_environment() -> dict[str, str]:
    """Return the environment for JupyterLab: our settings below the user's, a token, `lbkit` on PATH."""
    paths = [os.environ.get("JUPYTER_CONFIG_PATH", ""), str(SETTINGS)]
    # With a token of its own, the server prints no page of addresses: `first_page` prints one.
    return (
        {"JUPYTER_TOKEN": secrets.token_hex(24)}
        | os.environ
        | {"JUPYTER_CONFIG_PATH": os.pathsep.join(path for path in paths if path)}
        | {"PATH": with_this_python(os.environ.get("PATH", ""))}
    )


def with_this_python(path: str) -> str:
    """Return PATH with this environment's programs first, for terminals and for `!lbkit` in cells."""
    return os.pathsep.join(filter(None, (str(Path(sys.executable).parent), path)))


def find_notebooks() -> tuple[Path, Path] | None:
    """Return the notebooks and the folder of their copies, or None if this installation has none.

    They are those of a clone, here or above, or those of the installation."""
    here = Path.cwd()
    if clone := next(filter(is_clone, (here, *here.parents)), None):
        return clone / "notebooks", clone / WORKBOOK
    course = find_course()
    return (course / "notebooks", home() / WORKBOOK) if course else None


def command(
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
    port: Annotated[int | None, typer.Option(help="Instead of 8888 or the next free one.")] = None,
) -> None:
    """Open JupyterLab on the kit's notebooks.

    You work on copies, in the folder workbook/, so that an update of the kit never meets your changes.
    Delete a copy to start it over. JupyterLab listens on this machine only.

    \b
    [bold]Examples[/]
      lbkit lab
      lbkit lab --no-browser --port 9000
    """
    if reason := why_not("lab"):
        fail(reason)
    folder = None
    if found := find_notebooks():
        notebooks, folder = found
        with reported():
            kept = workbook.fill(notebooks, folder)
        for copy in kept:
            typer.echo(
                f"lbkit: {copy.name} has a newer version, and you changed yours: delete {copy} to get it"
            )
    else:
        typer.echo(
            "lbkit: this installation has no notebooks (wheels and clones have them): opening this folder"
        )
    typer.echo("lbkit: starting JupyterLab ...")
    sys.stdout.flush()
    arguments = lab_command(folder, browser, port)
    os.execve(arguments[0], arguments, lab_environment())  # so that Ctrl-C and the exit code are Jupyter's
