"""`lbkit import`: a real configuration, and a real log, as an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import check_can_write, reported
from lbkit.schema import format_of
from lbkit.tier import with_fields


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
        int | None,
        typer.Option(min=1, help="Requests that a server serves at once. Default: estimated from the log."),
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
      lbkit compare tuesday.toml
      lbkit import nginx.conf --routing -o proxy.toml
    """
    with reported():
        from lbkit.importer import printable, read_config, read_log, read_routing

        if form and not log:
            raise ValueError("--format is about a log: give one with --log")
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
            requests = read_log(log, form)
            experiment = requests.played_on(experiment, workers)
            said = [*requests.report(), requests.load_report(experiment), *said]
        elif workers:
            experiment = experiment.but(servers=with_fields(experiment.servers, workers=workers))
        if output:
            experiment.save_file(output)
    for line in said:
        typer.echo(printable(line), err=True)
    if output:
        typer.echo(f"Experiment: {output}", err=True)
    else:
        typer.echo(experiment.to_toml())


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
