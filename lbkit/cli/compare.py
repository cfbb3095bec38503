"""`lbkit compare`: one experiment under several policies, in a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import lbkit
from lbkit.cli.console import reported
from lbkit.cli.trial import File, Servers, experiment_of, policies_of, title_of
from lbkit.result import Result
from lbkit.run import ENGINES, engine

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table

USUAL = ("random", "round_robin", "power_of_two", "least_connections")  # compared if none is named


FAIR = ("fair by count", "fair by capacity")


def results_table(results: Sequence[Result], title: str, width: int) -> Table:
    from rich import box
    from rich.table import Table

    from lbkit.table import TABLE, rows

    narrow = width < 110
    less = {"engine", "requests", "wait ms", "slowdown", "p95 ms", *FAIR} if narrow else set()
    shown = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name, (_, factor, _) in TABLE.items():
        if name not in less:
            justify: JustifyMethod = "left" if factor is None else "right"
            shown.add_column(name.replace(" ", "\n"), justify=justify, no_wrap=True)
    for row in rows(results):
        shown.add_row(*(cell for name, cell in zip(TABLE, row, strict=True) if name not in less))
    return shown


def command(
    file: File = None,
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", "-p", help=f"Again for each. Without: the file's, {', '.join(USUAL)}."),
    ] = None,
    on: Annotated[str, typer.Option(metavar="ENGINE", help=f"Where it runs: {', '.join(ENGINES)}.")] = "sim",
    html: Annotated[Path | None, typer.Option(help="Write a report with figures, in one file.")] = None,
    number: Servers = None,
    load: Annotated[
        float | None, typer.Option(help="Poisson traffic at this share of capacity; 0.8 is 80 %.")
    ] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds in which requests arrive.")] = None,
    seed: Annotated[int | None, typer.Option(help="Other numbers, other traffic.")] = None,
    save: Annotated[
        Path | None, typer.Option("--save-experiment", help="Write what was tried as .toml or .json.")
    ] = None,
) -> None:
    """Run one experiment under several policies, and say how each did.

    All of them get the very same requests. Without a file: four servers, one
    half as fast as the others, at 80 % of what they can serve together.

    \b
    [bold]Examples[/]
      lbkit compare
      lbkit compare -p round_robin -p least_connections --load 0.95
      lbkit compare --servers 10 --save-experiment ten.toml
      lbkit compare ten.toml -p power_of_two --html report.html
      lbkit compare ten.toml --on live --duration 10
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    from lbkit.table import cautions

    results: list[Result] = []
    with reported():
        experiment = experiment_of(file, number, load, duration, seed)
        own = [experiment.policy.algorithm] if file else []
        policies = policies_of(experiment, policy or list(dict.fromkeys([*own, *USUAL])))
        if save:
            experiment.save_file(save)
        if html and not html.parent.is_dir():
            raise ValueError(f"{html.parent}: no such folder to write the report into")
        engine(on)
        title = title_of(experiment, on)
        columns = (SpinnerColumn(), *Progress.get_default_columns()[:2], TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            names = [p.algorithm for p in policies]
            task = progress.add_task(names[0], total=len(names))

            def on_result(result: Result) -> None:
                results.append(result)
                progress.update(task, advance=1, description=names[min(len(results), len(names) - 1)])

            def on_progress(now: object) -> None:
                progress.update(task, description=f"{names[len(results)]} {now}")

            # A simulation is over before there is anything to say.
            more = {} if on == "sim" else {"watch": on_progress}
            lbkit.compare(experiment, policies, on, progress=on_result, **more)
        if html:
            from lbkit.report import report

            html.write_text(report(results, title), encoding="utf-8")
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # in a pipe nobody's window is too narrow
    console.print(results_table(results, title, console.width))
    for text in cautions(results):
        typer.echo(f"Warning: {text}")
    for what, path in (("Report", html), ("Experiment", save)):
        if path:
            typer.echo(f"{what}: {path}")
