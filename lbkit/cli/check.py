"""`lbkit check`: a lab's checks on the learner's code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lbkit import why_not
from lbkit.cli.console import fail, reported

UNSOLVED = 1  # exit code


def command(
    lab: Annotated[str, typer.Argument(metavar="LAB", help="Its number or name: 3, 03, 03-explore.")],
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A .py or .ipynb; by default the one you worked on.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report for machines.")] = False,
    hidden: Annotated[bool, typer.Option("--hidden", help="Run the instructor's checks instead.")] = False,
) -> None:
    """Check your solution of a lab: each property, its points, and what happened where one is missing.

    Without FILE, it is the notebook or the module in workbook/labs/LAB, whichever you changed last.
    The exit code is 0 if all is right, 1 if something is missing.

    \b
    [bold]Examples[/]
      lbkit check 1
      lbkit check 01-turns my_turns.py
      lbkit check 1 --json
    """
    if reason := why_not("labs"):
        fail(reason)
    from lbkit.course import find_lab, progress
    from lbkit.course.lab import code_of

    with reported():
        found = find_lab(lab)
        if file is None:
            file = found.work_file(found.own_folder)
        report = found.check(code_of(file), file.name, hidden)
    typer.echo(report.json() if json else report.text())
    if not hidden and (why := progress.could_not_note(lambda: progress.note_lab(found.name, report))):
        typer.secho(f"lbkit: {why}", fg="red", err=True)
    raise typer.Exit(0 if report.solved else UNSOLVED)
