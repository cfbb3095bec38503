"""`lbkit proxy`: lbkit's reverse proxy, with the settings of a file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import fail, reported
from lbkit.own_ports import with_own_ports


def command(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="CONFIG.toml", help="Says what to listen on, and for which backends."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Say whether it would start, and end.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=512, help="Number of processes that share the port, instead of the file's."),
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Print a file with every setting.")] = False,
    layer: Annotated[
        int, typer.Option(min=4, max=7, help="Of the example: 7 (HTTP), or 4 (TCP and UDP).")
    ] = 7,
) -> None:
    """Run lbkit's reverse proxy, until Ctrl-C.

    The file's mode is "http", or "tcp" or "udp", where bytes are relayed unread. SIGHUP reads the file
    again: new workers take over, the old ones finish their answers.

    \b
    [bold]Examples[/]
      lbkit proxy --example > proxy.toml
      lbkit proxy --example --layer 4 > tcp.toml
      lbkit proxy proxy.toml --check
      lbkit proxy proxy.toml --workers 2
    """
    if example:
        if layer not in (4, 7):
            fail(f"--layer is {layer}: use 7 (HTTP) or 4 (TCP and UDP)")
        name = "example.toml" if layer == 7 else "example_layer4.toml"
        text = resources.files("lbkit.net").joinpath(name).read_text("utf-8")
        with reported():
            typer.echo(with_own_ports(text), nl=False)
        return
    if config is None:
        fail("CONFIG.toml is missing: lbkit proxy --example prints one to start from")
    with reported(1):
        from lbkit.net.running import ProxyError
        from lbkit.net.serve import main

        try:
            main(config, workers, check)
        except ProxyError as error:
            fail(error, 1)
