"""`lbkit progress`: what a learner has done so far."""

from __future__ import annotations

from typing import Annotated

import typer

from lbkit.cli.console import reported


def command(
    json: Annotated[bool, typer.Option("--json", help="Print it for machines.")] = False,
) -> None:
    """Show what you have done: labs and their points, claims that your notebooks have shown, predictions.

    It is in one file of yours, which you may read and delete. Nothing leaves this machine.

    \b
    [bold]Examples[/]
      lbkit progress
    """
    from json import dumps

    from lbkit.course import all_labs, leaderboard, progress

    with reported():
        noted = progress.read_progress()
    if json:
        typer.echo(dumps(noted, indent=2))
        return
    typer.echo("labs")
    for lab in all_labs():
        points = noted["labs"].get(lab.name)
        typer.echo(f"  {lab.name:32}" + (f"{points['points']} of {points['of']} points" if points else "-"))
    typer.echo("claims shown")
    for notebook, claims in progress.all_claims().items():
        shown = [claim for claim in claims if claim in noted["claims"]]
        missing = ", ".join(claim for claim in claims if claim not in shown)
        typer.echo(
            f"  {notebook:32}{len(shown)} of {len(claims)}" + (f", not yet {missing}" if missing else "")
        )
    known = [guess["right"] for guess in noted["predictions"].values() if "right" in guess]
    typer.echo(f"predictions\n  {sum(known)} of {len(known)} right")
    board = sorted(leaderboard.board().items(), key=lambda item: -item[1].points)
    typer.echo("your board" if board else "your board is empty: notebook 03 ends with a workbench to fill it")
    for name, entry in board:
        typer.echo(f"  {name:32}{entry.points:.1f} points: {leaderboard.again(name, entry)}")
    typer.echo(f"from {progress.progress_file()}")
