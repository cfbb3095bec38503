"""`lbkit proxy`: lbkit's reverse proxy, with the settings of a file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import fail, reported


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
        fail("CONFIG.toml is missing: lbkit proxy --example prints one to start from")
    with reported(1):
        from lbkit.net.running import ProxyError
        from lbkit.net.serve import main

        try:
            main(config, workers, check)
        except ProxyError as error:
            fail(error, 1)
