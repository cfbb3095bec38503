"""`lbkit drain`: have a backend of a running `lbkit proxy` leave, or come back, and list the states."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from lbkit.cli.console import fail, reported


def command(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="The file that the proxy runs from.")],
    backend: Annotated[str, typer.Argument(help="The backend's name; without it, all are listed.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Put the backend back into rotation.")] = False,
    stop: Annotated[
        bool, typer.Option("--stop", help="Take it out at once; requests in flight are lost.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the backend is drained.")] = False,
) -> None:
    """Drain a backend of a running proxy: it gets no new requests, and those in flight finish.

    The proxy's file names the socket, admin = "/run/lbkit.sock", and how long a drain may take:
    timeout in the table policy.drain.

    \b
    [bold]Examples[/]
      lbkit drain proxy.toml
      lbkit drain proxy.toml web1 --wait
      lbkit drain proxy.toml web1 --undo
    """
    if undo and stop:
        fail("--undo and --stop contradict each other: use one of them")
    if not backend and (undo or stop or wait):
        fail("BACKEND is missing: lbkit drain CONFIG.toml lists them")
    with reported(1):
        from lbkit.net.admin.client import backends, set_intent
        from lbkit.net.modes import load_config

        rules = load_config(config).admin
        path = rules.socket if rules else ""
        if not path:
            fail(
                f"{config} has no admin{'.socket' if rules else ''}: add a line such as "
                f'{"socket" if rules else "admin"} = "/run/lbkit.sock", and restart the proxy',
                1,
            )
        intent = "ready" if undo else "out" if stop else "drain"
        try:
            if backend:
                set_intent(path, backend, intent)
            states = backends(path)
            while wait and states[backend]["drain"] == "draining":
                time.sleep(0.1)
                states = backends(path)
        except (FileNotFoundError, ConnectionRefusedError):
            fail(f"no proxy listens at admin {path}: start it with lbkit proxy {config}", 1)
    width = max(map(len, states))
    for name, row in states.items():
        health = "" if row["healthy"] else ", unhealthy"
        typer.echo(f"{name:<{width}}  {row['drain']}{health}, {row['in_flight']} in flight")
