"""`lbkit monitor`: Prometheus, Alertmanager and a page of panels for a running `lbkit proxy`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lbkit.cli.console import fail, reported

if TYPE_CHECKING:
    from lbkit.live.monitor import Notice


def admin_of(config: Path) -> str:
    """Return the admin address in a proxy's file. Raises ValueError, which says what it lacks."""
    from lbkit.net.modes import load_config

    admin = load_config(config).admin
    if admin is None or not admin.listen:
        raise ValueError(
            f'{config} has no admin.listen: add [admin] with listen = "127.0.0.1:9901", and restart the proxy'
        )
    if admin.listen.endswith(":0"):
        raise ValueError(f"{config}: the port of admin.listen is any free one: give the proxy's with --admin")
    return admin.listen


def command(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG.toml", help="The file of the proxy that runs.")
    ] = None,
    admin: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The proxy's admin.listen, without a file.")
    ] = None,
    latency: Annotated[
        float, typer.Option(min=0.0, help="Seconds: alerts when more than 1 % of the requests take longer.")
    ] = 0.5,
    objective: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="The share of requests that has to succeed.")
    ] = 0.99,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between scrapes.")] = 2.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page; 0: any free one.")] = 0,
    rules: Annotated[bool, typer.Option("--rules", help="Print the rules for Prometheus, and end.")] = False,
) -> None:
    """Watch a running proxy with Prometheus and Alertmanager, until Ctrl-C.

    Both listen on this machine only, and their data is removed at the end.

    Each alert is a line here. A page shows rates, errors, latencies, and what the servers do.

    \b
    [bold]Examples[/]
      lbkit monitor proxy.toml           (while `lbkit proxy proxy.toml` runs in another terminal)
      lbkit monitor --admin 127.0.0.1:9901 --latency 0.2 --objective 0.999
      lbkit monitor --rules > rules.yml
    """
    with reported():
        from lbkit.alerts import rule_file
        from lbkit.live.monitor import Monitor, live_rules

        wanted = live_rules(latency, objective, every=every)
        if rules:
            typer.echo(rule_file(wanted), nl=False)
            return
        if (config is None) == (admin is None):
            fail("give the proxy's file, or its address with --admin 127.0.0.1:9901: one of the two")
        address = admin or admin_of(config)  # type: ignore[arg-type] # one of them is there
        monitor = Monitor(address, wanted, every=every, port=port, on_notice=show)
        for number in (signal.SIGINT, signal.SIGTERM):  # however it is told to, it ends what it has started
            signal.signal(number, _interrupt)
        try:
            with monitor:
                say(f"watching {address} every {every:g} s, {len(wanted)} rules; Ctrl-C ends it")
                say(f"panels on {monitor.url}/, Prometheus on {monitor.prometheus_url}/")
                monitor.wait()
        except KeyboardInterrupt:
            say("stopped; nothing is left running")


def say(line: str) -> None:
    typer.echo(line)


def show(notice: Notice) -> None:
    typer.secho(str(notice), fg="red" if notice.firing else "green")


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
