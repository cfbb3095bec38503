"""`lbkit import`: a real configuration, and a real log, as an experiment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import check_can_write, reported
from lbkit.schema import format_of


def command(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="An nginx.conf, the output of nginx -T, or a haproxy.cfg; JSON or YAML of Kubernetes, "
            "Envoy (static bootstrap), AWS (aws elbv2 describe-*, CloudFormation) or a Terraform plan.",
        ),
    ],
    log: Annotated[
        Path | None,
        typer.Option(
            help="An access log of nginx, Apache, HAProxy, Caddy, Traefik, Envoy or AWS ALB, also compressed."
        ),
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            help="The upstream, backend, listener or service to take, if there are several; with --routing, "
            "the frontend."
        ),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="The log's log_format (nginx) or LogFormat (Apache).")
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Requests that a server serves at once: for all, or for each, as 4,4,2,1. Default: estimated"
            " from the log.",
        ),
    ] = None,
    busiest: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES", help="Take only so many minutes of the log: those with most requests."
        ),
    ] = None,
    routing: Annotated[
        bool,
        typer.Option(
            "--routing", help="Write its rules, as a file for lbkit proxy and lbkit route, instead."
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .toml or .json file to write. Default: print it."),
    ] = None,
) -> None:
    """Turn a real configuration, and a real log, into an experiment.

    What was left out is listed. The experiment then runs on any engine: what would
    another algorithm have done with the same requests?

    \b
    [bold]Examples[/]
      lbkit import nginx.conf
      lbkit import haproxy.cfg --upstream web -o web.toml
      kubectl get service,ingress,deployment -o yaml > shop.yaml; lbkit import shop.yaml
      lbkit import nginx.conf --log access.log -o tuesday.toml
      lbkit import nginx.conf --log access.log --busiest 60 --workers 4,4,2,1 -o peak.toml
      lbkit compare tuesday.toml
      lbkit import nginx.conf --routing -o proxy.toml
    """
    with reported():
        from lbkit.core.options import number
        from lbkit.importer import printable, read_config, read_log, read_routing
        from lbkit.importer.found import counted
        from lbkit.importer.log_servers import with_workers

        for option, value in (("--format", form), ("--busiest", busiest)):
            if value is not None and not log:
                raise ValueError(f"{option} is about a log: give one with --log")
        if busiest is not None:
            number(0, above=True, busiest=busiest)
        each = _workers(workers)
        if routing and (log or workers):
            raise ValueError("--routing has no requests and no workers: leave out --log and --workers")
        if output:
            format_of(output, ValueError)
            check_can_write(output)
        if routing:
            found = read_routing(config, upstream or "")
            _write(found.report(), found.to_toml(), output, "Proxy")
            return
        imported = read_config(config, upstream)
        experiment = imported.experiment
        said = imported.report()
        if log:
            requests = read_log(log, form, imported.log_format)
            read = requests.report()
            if busiest is not None:
                requests = requests.busiest(busiest)
                read.append(f"taken: {counted(len(requests), 'request')} of the busiest {busiest:g} minutes")
            experiment = requests.played_on(experiment, each, imported.addresses)
            read += requests.load_report(experiment)
            if not each and requests.served():
                read.append(
                    "note: the number of workers is a guess, and answers depend on it: say with --workers how"
                    " many requests each server serves at once (its processes, threads or pool)"
                )
            said = [*read, *said]
        elif each:
            experiment = with_workers(experiment, each)
        if output:
            experiment.save_file(output)
    for line in said:
        typer.echo(printable(line), err=True)
    if output:
        typer.echo(f"Experiment: {output}", err=True)
    else:
        typer.echo(experiment.to_toml())


def _workers(text: str | None) -> list[int]:
    """Return the numbers of an option such as "4,4,2,1". Raises ValueError."""
    parts = text.split(",") if text else []
    if not all(re.fullmatch(r" *[1-9]\d{0,5} *", part) for part in parts):
        raise ValueError(
            f"--workers is {text!r}: use a whole number from 1, or one for each server, as 4,4,2,1"
        )
    return [int(part) for part in parts]


def _write(said: list[str], text: str, output: Path | None, what: str) -> None:
    """Write a proxy's file, or print it, after what is to be said of it."""
    from lbkit.importer import printable

    for line in said:
        typer.echo(printable(line), err=True)
    if output is None:
        typer.echo(text)
    elif format_of(output, ValueError) != "TOML":
        raise ValueError(f"{output}: the file of a proxy is TOML; use a name that ends in .toml")
    else:
        output.write_text(text, encoding="utf-8")
        typer.echo(f"{what}: {output}", err=True)
