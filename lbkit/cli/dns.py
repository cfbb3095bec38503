"""`lbkit dns`: a DNS server that balances, with the zone of a file."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import fail, reported
from lbkit.own_ports import with_own_ports


def command(
    config: Annotated[
        Path | None, typer.Argument(metavar="ZONE.toml", help="The zone, and where clients and regions are.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Say whether the file is right, and end.")] = False,
    example: Annotated[bool, typer.Option("--example", help="Print a file with every setting.")] = False,
) -> None:
    """Answer DNS queries by the client's place, the regions' health and weights, until Ctrl-C.

    It is authoritative for one zone, on UDP and TCP, and takes the client's subnet from resolvers that send
    it (EDNS, RFC 7871).

    \b
    [bold]Examples[/]
      lbkit dns --example > zone.toml
      lbkit dns zone.toml
      dig @127.0.0.1 -p 5353 www.shop.test +subnet=192.0.2.0/24      (in another terminal)
    """
    if example:
        text = resources.files("lbkit.net").joinpath("example_dns.toml").read_text("utf-8")
        with reported():
            typer.echo(with_own_ports(text), nl=False)
        return
    if config is None:
        fail("ZONE.toml is missing: lbkit dns --example prints one to start from")
    with reported(1), ExitStack() as stack:
        from lbkit.needs import why_not

        if reason := why_not("dns"):
            fail(reason, 1)
        from lbkit.net.dns_file import DnsFile
        from lbkit.net.running import ProxyError

        server = DnsFile.load(config).server(stack)
        if check:
            typer.echo(f"{config}: {server.zone.origin} has {len(server.zone.names)} names")
            return
        try:
            stack.enter_context(server)
        except ProxyError as error:
            fail(error, 1)
        name = next((str(name) for name in server.zone.choosers), str(server.zone.origin))
        typer.echo(f"answering for {server.zone.origin} on {server.host}:{server.port}; Ctrl-C ends it")
        typer.echo(f"try: dig @{server.host} -p {server.port} {name}")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _interrupt)
        threading.Event().wait()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
