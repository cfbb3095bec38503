"""`lbkit import`: a real configuration, and a real log, as an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import reported


def command(
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

    with reported():
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
