"""`lbkit submit`: hands a lab in, in a classroom."""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import fail, reported

VARIABLE = "LBKIT_SUBMIT_TO"  # a student's own folder, which the classroom sets


def command(
    lab: Annotated[str, typer.Argument(metavar="LAB", help="Its number or name: 3, 03, 03-explore.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A .py or .ipynb; by default the one you worked on.")
    ] = None,
) -> None:
    """Hand in your solution of a lab, as often as you like: the last one counts.

    It works in a classroom's JupyterHub. Without FILE, it is what `lbkit check` looks at.

    \b
    [bold]Examples[/]
      lbkit submit 1
    """
    if not (to := os.environ.get(VARIABLE)):
        fail(f"there is no classroom here ({VARIABLE} is not set): give your instructor the file itself")
    from lbkit.course import find_lab
    from lbkit.course.lab import code_of

    with reported():
        found = find_lab(lab)
        file = file or found.work_file(found.own_folder)
        code_of(file)  # refuses what cannot be graded
        now = datetime.now().astimezone()
        target = Path(to) / found.name / f"{now:%Y-%m-%dT%H%M%S.%f}{file.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    typer.echo(f"lbkit: {found.name} is handed in, as {file.name} is now, {now:%H:%M}")
