"""`lbkit backends`: the servers of an experiment as processes on this machine."""

from __future__ import annotations

import signal
import threading

import typer

from lbkit.cli.console import reported
from lbkit.cli.trial import File, Servers, experiment_of


def command(
    file: File = None,
    number: Servers = None,
) -> None:
    """Start the servers of an experiment on this machine, until Ctrl-C.

    They are real processes on free ports, each as fast as the experiment says, for any
    load balancer that you put in front of them.

    \b
    [bold]Examples[/]
      lbkit backends --servers 3
      lbkit backends ten.toml
    """
    with reported():
        experiment = experiment_of(file, 3 if file is None and number is None else number)
        from lbkit.live import LocalFleet

        stop = threading.Event()
        for number_ in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number_, lambda *_: stop.set())
        with LocalFleet(experiment.leaves) as fleet:
            for name, url in fleet.urls.items():
                typer.echo(f"{name}  {url}")
            typer.echo("Ctrl-C stops them.")
            while not stop.wait(0.5):  # without a timeout, Ctrl-C does not end the wait on every system
                pass
