"""`lbkit doctor`: what this machine has of the things that lbkit can use."""

from __future__ import annotations

import typer

from lbkit.extensions import why_pure
from lbkit.needs import FEATURES, why_not


def command() -> None:
    """List what works on this machine, and how to get what does not.

    Only the simulator is always there; nothing else is required.

    \b
    [bold]Examples[/]
      lbkit doctor
    """
    width = max(map(len, FEATURES))
    for name, feature in FEATURES.items():
        reason = why_not(name)
        typer.echo(f"{'no ' if reason else 'yes'}  {name:{width}}  {reason or feature.what}")
    pure = why_pure()
    typer.echo(f"{'no ' if pure else 'yes'}  {'compiled':{width}}  {pure or 'what takes the time, by mypyc'}")
