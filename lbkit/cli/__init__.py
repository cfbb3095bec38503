"""`lbkit ...`: what the kit does, from a terminal; one module for each command.

A command imports what it needs when it is called, so that `--help` is quick, and a missing package matters
only to the command that wants it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from lbkit import __version__
from lbkit.cli import (
    algorithms,
    backends,
    cert,
    check,
    compare,
    dns,
    doctor,
    drain,
    importing,
    lab,
    monitor,
    plan,
    play,
    progress,
    proxy,
    questions,
    route,
    slides,
    submit,
)

COMMANDS: dict[str, Callable[..., None]] = {
    "lab": lab.command,
    "play": play.command,
    "compare": compare.command,
    "import": importing.command,
    "plan": plan.command,
    "check": check.command,
    "submit": submit.command,
    "progress": progress.command,
    "questions": questions.command,
    "slides": slides.command,
    "algorithms": algorithms.command,
    "backends": backends.command,
    "proxy": proxy.command,
    "dns": dns.command,
    "monitor": monitor.command,
    "drain": drain.command,
    "cert": cert.command,
    "route": route.command,
    "doctor": doctor.command,
}

app = typer.Typer(
    name="lbkit",
    help="Learn load balancing by doing it: one policy, in simulation and on real sockets.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)
for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lbkit {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
