"""`lbkit play`: the playground as a page, without code."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from typing import Annotated

import typer

from lbkit import why_not
from lbkit.cli.console import fail
from lbkit.cli.lab import SETTINGS

PORT = 8866  # unless another program has it
PAGE = SETTINGS / "playground.ipynb"


def play_command(browser: bool, port: int) -> list[str]:
    """Return the command for Voila, which runs a notebook and shows its output only, on this machine only."""
    return [
        *(sys.executable, "-m", "voila", str(PAGE), "--Voila.log_level=ERROR"),
        *("--Voila.ip=127.0.0.1", f"--Voila.port={port}"),
        *([] if browser else ["--no-browser"]),
        "--VoilaConfiguration.template=lbkit",  # in SETTINGS
        "--VoilaConfiguration.allow_template_override=NO",
        "--VoilaConfiguration.preheat_kernel=True",  # the first page is ready before it is asked for
        "--VoilaConfiguration.default_pool_size=1",
        "--MappingKernelManager.cull_idle_timeout=600",  # of pages that were closed
    ]


def free_port(*wanted: int) -> int:
    """Return the first of these ports that is free: by default PORT, or any other. Raises OSError."""
    for port in wanted or (PORT, 0):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)) as listening:
            return int(listening.getsockname()[1])
    raise OSError(f"port {wanted[0]} is taken: use another one" if wanted else "no port is free")


def play_environment() -> dict[str, str]:
    """Return the environment for Voila: with our template, beside the user's own."""
    paths = [str(SETTINGS), os.environ.get("JUPYTER_PATH", "")]
    return os.environ | {"JUPYTER_PATH": os.pathsep.join(path for path in paths if path)}


def command(
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Instead of 8866 or a free one.")] = None,
) -> None:
    """Open the playground in the browser: sliders and figures, no code.

    It is the one of notebook 00, in simulation. It listens on this machine only, and needs no network.
    Ctrl-C ends it.

    \b
    [bold]Examples[/]
      lbkit play
      lbkit play --no-browser --port 9000
    """
    if reason := why_not("play"):
        fail(reason)
    try:  # Voila would take another one, which the line below would not name
        port = free_port(*([] if port is None else [port]))
    except OSError as error:
        fail(error)
    typer.echo(f"lbkit: the playground will be at http://127.0.0.1:{port}/ in a few seconds; Ctrl-C ends it")
    sys.stdout.flush()
    arguments = play_command(browser, port)
    os.execve(arguments[0], arguments, play_environment())  # so that Ctrl-C and the exit code are Voila's
