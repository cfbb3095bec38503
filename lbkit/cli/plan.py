"""`lbkit plan`: how many servers an objective needs, found by simulation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import reported
from lbkit.cli.trial import experiment_of


def command(
    file: Annotated[
        Path,
        typer.Argument(metavar="EXPERIMENT.toml", help="Of today's traffic, as `lbkit import` writes it."),
    ],
    limit: Annotated[
        float, typer.Option(help="Seconds that the quantile of latency has to stay below.")
    ] = 0.2,
    quantile: Annotated[float, typer.Option(help="0.99 is the slowest 1 % of the requests.")] = 0.99,
    scale: Annotated[float, typer.Option(help="How many times today's traffic will come.")] = 2.0,
    seeds: Annotated[int, typer.Option(min=2, help="Simulations of each number of servers.")] = 10,
    most: Annotated[int, typer.Option(min=1, help="Servers to try at most.")] = 1000,
) -> None:
    """Say how many servers are enough, with an interval, and what the failure of one costs.

    Servers are added as copies of those in the file.

    \b
    [bold]Examples[/]
      lbkit import nginx.conf --log access.log -o tuesday.toml
      lbkit plan tuesday.toml
      lbkit plan tuesday.toml --limit 0.5 --quantile 0.95 --scale 3
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from lbkit.capacity import servers_needed
    from lbkit.cli.compare import table
    from lbkit.sweep import SweepError

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with reported(), Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("first simulations")
        try:
            found = servers_needed(
                experiment_of(file),
                limit,
                quantile,
                scale,
                seeds=seeds,
                most=most,
                progress=lambda line: progress.update(task, description=line),
            )
        except SweepError as error:
            raise ValueError(str(error)) from error
    Console().print(table("", found.head, list(found.rows())))
    typer.echo(f"{found.statement}\n{found.failure}")
