"""`lbkit ...`: what the kit does, from a terminal.

Every command imports what it needs when it is called, so that `--help` is quick and a missing
extra troubles only the command that wants it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from attrs import evolve

from lbkit import Experiment, Policy, Result, __version__, algorithms, servers, why_not
from lbkit.run import ENGINES, EngineError, engine

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table

app = typer.Typer(
    name="lbkit",
    help="Learn load balancing by doing it: one policy, in simulation and on real sockets.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)

USUAL = ("random", "round_robin", "power_of_two", "least_connections")  # compared if none is named
SPEEDS = (1.0, 1.0, 1.0, 0.5)  # of the servers, if nothing is said: one is slow, which tells policies apart
LOAD = 0.8

File = Annotated[Path | None, typer.Argument(metavar="EXPERIMENT.toml", help="A .toml or .json file.")]


def fail(why: object, code: int = 2) -> NoReturn:
    """A line for each thing that is wrong, and the exit code: the command cannot do what was asked for."""
    for line in str(why).splitlines() or [""]:
        typer.secho(f"lbkit: {line}", fg="red", err=True)
    raise typer.Exit(code)


@contextmanager
def told(code: int = 2) -> Iterator[None]:
    """What the user can mend is told, not traced."""
    try:
        yield
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else error, code)
    except (ValueError, ImportError, EngineError) as error:
        fail(error, code)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lbkit {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which lbkit this is.")
    ] = False,
) -> None:
    pass


# -- lab ----------------------------------------------------------------------------------


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


@app.command()
def lab(
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


# -- compare ------------------------------------------------------------------------------


def the_experiment(
    file: Path | None,
    number: int | None = None,
    load: float | None = None,
    duration: float | None = None,
    seed: int | None = None,
) -> Experiment:
    """From the file, or a sensible one; then what the options say. Raises ValueError, OSError."""
    if file is not None:
        if number is not None:
            raise ValueError("--servers: the file says which servers there are; give only one of the two")
        experiment = Experiment.load_file(file)
    else:
        alike = number is not None
        experiment = Experiment(servers(number or 0) if alike else servers(len(SPEEDS), speed=SPEEDS))
        load = LOAD if load is None else load
    if duration is not None:
        experiment = experiment.but(duration=duration)
    if seed is not None:
        experiment = experiment.but(seed=seed)
    return experiment if load is None else experiment.at_load(load)


def the_policies(experiment: Experiment, names: Sequence[str]) -> list[Policy]:
    """By name, else alike: with the retries, and where it fits the options, of the experiment's own."""
    own = experiment.policy
    return [own if name == own.algorithm else evolve(own, algorithm=name, options={}) for name in names]


def results_table(results: Sequence[Result], title: str, width: int) -> Table:
    from rich import box
    from rich.table import Table

    from lbkit.table import TABLE, rows

    narrow = width < 110
    less = {"engine", "requests", "wait ms", "slowdown", "p95 ms", "fairness"} if narrow else set()
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


def title_of(experiment: Experiment, on: str) -> str:
    load = experiment.load
    kind = type(experiment.traffic.arrivals).kind
    parts = [
        experiment.name,
        f"{len(experiment.servers)} servers",
        f"{kind} traffic" + (f" at {load:.0%} load" if load is not None else ""),
        f"{experiment.traffic.duration:g} s",
        f"seed {experiment.seed}, on {on}",
    ]
    return ", ".join(part for part in parts if part)


@app.command()
def compare(
    file: File = None,
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", "-p", help=f"Again for each. Without: the file's, {', '.join(USUAL)}."),
    ] = None,
    on: Annotated[str, typer.Option(metavar="ENGINE", help=f"Where it runs: {', '.join(ENGINES)}.")] = "sim",
    html: Annotated[Path | None, typer.Option(help="Write a report with figures, in one file.")] = None,
    number: Annotated[
        int | None, typer.Option("--servers", help="So many servers, all alike (without a file).")
    ] = None,
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

    import lbkit
    from lbkit.table import cautions

    results: list[Result] = []
    with told():
        experiment = the_experiment(file, number, load, duration, seed)
        own = [experiment.policy.algorithm] if file else []
        policies = the_policies(experiment, policy or list(dict.fromkeys([*own, *USUAL])))
        if save:
            text = experiment.to_json() if save.suffix == ".json" else experiment.to_toml()
            save.write_text(text, encoding="utf-8")
        if html and not html.parent.is_dir():
            raise ValueError(f"{html.parent}: no such folder to write the report into")
        engine(on)
        title = title_of(experiment, on)
        columns = (SpinnerColumn(), *Progress.get_default_columns()[:2], TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            names = [p.algorithm for p in policies]
            task = progress.add_task(names[0], total=len(names))

            def went(result: Result) -> None:
                results.append(result)
                progress.update(task, advance=1, description=names[min(len(results), len(names) - 1)])

            lbkit.compare(experiment, policies, on, progress=went)
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


# -- import -------------------------------------------------------------------------------


@app.command(name="import")
def import_(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="An nginx.conf or a haproxy.cfg.")],
    log: Annotated[
        Path | None, typer.Option(help="An access log: combined, JSON lines or HAProxy's.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Which upstream or backend, if the file has several.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to; .toml or .json. Without: to the terminal."),
    ] = None,
) -> None:
    """Turn a real configuration, and a real log, into an experiment.

    What was not understood is listed. The experiment then runs on any engine: what would
    another algorithm have done with the same requests?

    \b
    [bold]Examples[/]
      lbkit import nginx.conf
      lbkit import haproxy.cfg --group web -o web.toml
      lbkit import nginx.conf --log access.log -o tuesday.toml
      lbkit compare tuesday.toml -p least_connections
    """
    from lbkit.importer import read_config, read_log

    with told():
        imported = read_config(config, group)
        experiment, rest = imported.experiment, imported.not_understood
        said = f"{len(experiment.servers)} servers, {experiment.policy.algorithm}"
        if log:
            requests = read_log(log)
            experiment = requests.played_on(experiment)
            rest = [*rest, *(f"{log.name}, {line}" for line in requests.not_understood)]
            said += f"; {len(requests)} requests in {requests.duration:.0f} s"
            said += "" if requests.served() else ", without service times: the usual ones are taken"
        text = experiment.to_json() if output and output.suffix == ".json" else experiment.to_toml()
        if output:
            output.write_text(text, encoding="utf-8")
    typer.echo(said, err=True)
    if rest:
        typer.secho(f"Not understood, {len(rest)}:", fg="yellow", err=True)
        for line in rest[:20]:
            typer.echo(f"  {line}", err=True)
        if len(rest) > 20:
            typer.echo(f"  and {len(rest) - 20} more", err=True)
    if output:
        typer.echo(f"Experiment: {output}", err=True)
    else:
        typer.echo(text)


# -- algorithms ---------------------------------------------------------------------------


@app.command(name="algorithms")
def list_algorithms() -> None:
    """List the load-balancing algorithms there are.

    \b
    [bold]Examples[/]
      lbkit algorithms
      lbkit compare -p ip_hash -p consistent_hash
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("name", no_wrap=True)
    shown.add_column("what it does")
    for name, cls in algorithms().items():
        shown.add_row(name, (cls.__doc__ or "").strip().partition("\n")[0])
    Console().print(shown)


# -- backends -----------------------------------------------------------------------------


@app.command()
def backends(
    file: File = None,
    number: Annotated[
        int | None, typer.Option("--servers", help="So many servers, all alike (without a file).")
    ] = None,
) -> None:
    """Start the servers of an experiment on this machine, until Ctrl-C.

    Real processes on free ports, each as fast or slow as the experiment says.
    Put any load balancer in front of them.

    \b
    [bold]Examples[/]
      lbkit backends --servers 3
      lbkit backends ten.toml
    """
    with told():
        experiment = the_experiment(file, 3 if file is None and number is None else number)
        from lbkit.live import LocalFleet

        stop = threading.Event()
        for number_ in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number_, lambda *_: stop.set())
        with LocalFleet(experiment.servers) as fleet:
            for name, url in fleet.urls.items():
                typer.echo(f"{name}  {url}")
            typer.echo("Ctrl-C stops them.")
            while not stop.wait(0.5):  # a bare wait() would not hear Ctrl-C on every system
                pass


# -- proxy --------------------------------------------------------------------------------


@app.command()
def proxy(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG.toml", help="What to listen on, and for which backends.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether it would start.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=512, help="Processes that share the port; overrides the file."),
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a file with every setting.")] = False,
) -> None:
    """Run lbkit's reverse proxy, until Ctrl-C.

    SIGHUP reads the file again: new workers take over, the old ones finish their answers.

    \b
    [bold]Examples[/]
      lbkit proxy --example > proxy.toml
      lbkit proxy proxy.toml --check
      lbkit proxy proxy.toml --workers 2
    """
    if example:
        typer.echo(resources.files("lbkit.net").joinpath("example.toml").read_text("utf-8"), nl=False)
        return
    if config is None:
        fail("which file? lbkit proxy CONFIG.toml; lbkit proxy --example prints one")
    with told(1):
        from lbkit.net.proxy import ProxyError
        from lbkit.net.serve import main

        try:
            main(config, workers, check)
        except ProxyError as error:
            fail(error, 1)


if __name__ == "__main__":
    app()
