"""`lbkit compare`: one experiment under several policies, in a table."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lbkit
from lbkit.cli.console import INTERRUPTED, check_can_write, reported
from lbkit.cli.trial import AN_ALGORITHM, File, Servers, experiment_of, policies_of, title_of
from lbkit.diagnosis import diagnose
from lbkit.replicate import HEAD, MAIN, Comparison, caption, cells
from lbkit.result import Result
from lbkit.run import ENGINES, engine
from lbkit.table import TABLE, TEXTS, cautions, rows

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table

USUAL = ("random", "round_robin", "power_of_two", "least_connections")  # compared if none is named
FAIR = ("fair by count", "fair by capacity")


def results_table(results: Sequence[Result], title: str, width: int) -> Table:
    """Return the results as a table for a terminal of `width` characters."""
    lines = rows(results)
    left_out = {"engine", "requests", "wait", "slowdown", "p95", *FAIR} if width < 110 else set()
    good, all_in_time = list(TABLE).index("good/s"), list(TABLE).index("req/s")
    left_out |= {"good/s"} if all(line[good] == line[all_in_time] for line in lines) else set()
    return table(title, list(TABLE), lines, left_out)


def seeds_table(found: Comparison, title: str, width: int) -> Table:
    """Return means with their intervals as a table for a terminal of `width` characters."""
    shown = set(MAIN) - ({"req/s", "errors %", "p50", "busiest %"} if width < 110 else set())
    return table(title, HEAD, cells(found.values()), set(HEAD) - shown)


def diagnoses(results: Sequence[Result]) -> list[str]:
    """Return what was found in the results, a line for each in which there is something."""
    found = [(result, diagnose(result)) for result in results]
    return [f"{result.policy}: {diagnosis.brief}" for result, diagnosis in found if diagnosis.findings]


def table(
    title: str, names: Sequence[str], body: Sequence[Sequence[str]], left_out: Container[str] = ()
) -> Table:
    """Return lines of text as a table for a terminal, without the columns that are `left_out`."""
    from rich import box
    from rich.table import Table

    shown = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for name in names:
        if name not in left_out:
            justify: JustifyMethod = "left" if name in TEXTS else "right"
            shown.add_column(name.replace(" ", "\n"), justify=justify, no_wrap=True)
    for row in body:
        shown.add_row(*(cell for name, cell in zip(names, row, strict=True) if name not in left_out))
    return shown


def command(
    file: File = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            "-p",
            help=f"{AN_ALGORITHM}; may be repeated. Default: the file's, {', '.join(USUAL)}.",
        ),
    ] = None,
    on: Annotated[str, typer.Option(metavar="ENGINE", help=f"One of {', '.join(ENGINES)}.")] = "sim",
    html: Annotated[Path | None, typer.Option(help="Write a report with figures, in one file.")] = None,
    number: Servers = None,
    load: Annotated[
        float | None, typer.Option(help="Poisson traffic at this share of capacity; 0.8 is 80 %.")
    ] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds in which requests arrive.")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the random numbers: another seed, other requests.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of seeds; above 1: means with 95 % confidence intervals.")
    ] = 1,
    save: Annotated[
        Path | None, typer.Option("--save-experiment", help="Write the experiment as .toml or .json.")
    ] = None,
) -> None:
    """Run one experiment under several policies, and print a table of results.

    Every policy gets the same requests. Without a file, the experiment has four servers, one
    of them half as fast as the others, at 80 % of what they can serve together.

    \b
    [bold]Examples[/]
      lbkit compare
      lbkit compare -p round_robin -p least_connections --load 0.95
      lbkit compare --servers 10 --save-experiment ten.toml
      lbkit compare ten.toml -p power_of_two -p mine.py:MyAlgorithm --html report.html
      lbkit compare ten.toml --on live --duration 10
      lbkit compare --seeds 20
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

    results: list[Result] = []
    found: Comparison | None = None
    with reported():
        experiment = experiment_of(file, number, load, duration, seed)
        own = [experiment.policy.algorithm] if file else []
        policies = policies_of(experiment, policy or list(dict.fromkeys([*own, *USUAL])))
        if html:
            if html.suffix.lower() not in (".html", ".htm"):
                raise ValueError(f"--html: {html}: use a name that ends in .html")
            if seeds != 1:
                raise ValueError("--html: a report is about one seed; give only one of --html and --seeds")
            check_can_write(html)
        engine(on)
        if save:
            experiment.save_file(save)
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

            def on_seed(done: int, of: int) -> None:
                progress.update(task, completed=done)

            # A simulation ends before there is progress to show.
            more: dict[str, Any] = {} if on == "sim" else {"watch": on_progress}
            if seeds == 1:
                lbkit.compare(experiment, policies, on, progress=on_result, **more)
            else:
                progress.update(task, description="seeds", total=seeds * len(policies))
                found = lbkit.replicate(experiment, seeds, policies, on=on, progress=on_seed)
        if html:
            from lbkit.report import report

            html.write_text(report(results, title), encoding="utf-8")
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a pipe has no width: no column is left out
    if found:
        console.print(seeds_table(found, title, console.width))
        typer.echo(f"{caption(list(found.values()))}\n{found.verdict()}")
        for text in found.warnings:
            typer.echo(f"Warning: {text}")
    else:
        console.print(results_table(results, title, console.width))
    for text in cautions(results):
        typer.echo(f"Warning: {text}")
    for text in diagnoses(results):
        typer.echo(f"Diagnosis: {text}")
    for what, path in (("Report", html), ("Experiment", save)):
        if path:
            typer.echo(f"{what}: {path}")
    if any(result.extra.get("interrupted") for result in results):
        raise typer.Exit(INTERRUPTED)
