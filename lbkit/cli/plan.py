"""`lbkit plan`: how many servers an objective needs, found by simulation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lbkit.cli.console import reported
from lbkit.cli.trial import AN_ALGORITHM, experiment_of, policies_of

if TYPE_CHECKING:
    from lbkit.capacity import Capacity


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
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            "-p",
            help=f"{AN_ALGORITHM}; may be repeated, and each is planned for. Default: the file's.",
        ),
    ] = None,
) -> None:
    """Say how many servers are enough, with an interval, and what the failure of one costs.

    Servers are added as copies of those in the file, in their order. With several algorithms, the last table
    has an answer for each: what would another one save?

    \b
    [bold]Examples[/]
      lbkit import nginx.conf --log access.log -o tuesday.toml
      lbkit plan tuesday.toml
      lbkit plan tuesday.toml --limit 0.5 --quantile 0.95 --scale 3
      lbkit plan tuesday.toml -p round_robin -p least_connections -p mine.py:MyAlgorithm
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from lbkit.capacity import servers_needed
    from lbkit.cli.compare import table
    from lbkit.sweep import SweepError

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    plans: list[Capacity] = []
    with reported(), Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("first simulations")

        def shown(line: str) -> None:
            progress.update(task, description=line)
            if not console.is_terminal:  # a log or a pipe, in which a spinner shows nothing
                typer.echo(line, err=True)

        experiment = experiment_of(file)
        for one in policies_of(experiment, policy) if policy else [experiment.policy]:
            try:
                found = servers_needed(
                    experiment.but(policy=one), limit, quantile, scale, seeds=seeds, most=most, progress=shown
                )
            except SweepError as error:
                raise ValueError(str(error)) from error
            plans.append(found)
    for found in plans:
        title = found.experiment.policy.algorithm if len(plans) > 1 else ""
        Console().print(table(title, found.head, list(found.rows())))
        typer.echo(f"{found.statement}\n{found.failure}")
    if len(plans) > 1:
        Console().print(table("", SUMMARY, [_summary(found) for found in plans]))


SUMMARY = ("policy", "servers", "load", "if one fails")


def _summary(found: Capacity) -> list[str]:
    """Return a line of the table of several plans."""
    load = found[found.servers].load
    share = "-" if load is None else f"{load:.1%}"
    spare = str(found.survives_one or "-")
    return [found.experiment.policy.algorithm, str(found.servers), share, spare]
