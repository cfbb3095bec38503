"""`lbkit proxy`: check a file, and serve what it says."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from lbkit.net.config import ConfigError
from lbkit.net.listening import running_mark
from lbkit.net.modes import AnyConfig, load_config
from lbkit.net.preflight import notes, port_fault, start_faults
from lbkit.net.supervisor import Supervisor, say
from lbkit.net.workers.worker import serve_alone


def main(path: str | Path, workers: int | None = None, check: bool = False) -> None:
    """Serve what the file says until SIGTERM or SIGINT; SIGHUP reads it again. `check`: say whether that
    would work, and return.

    Raises ConfigError with a line for all that is wrong, and ProxyError, before anything is served."""
    config = load_config(path)
    if check:
        print(checked(path, config, workers))
        return
    raise_faults(path, [*start_faults(config), port_fault(config)])
    if hasattr(socket, "SO_REUSEPORT"):
        open_standard_files()
        Supervisor(path, config, workers).run()
    else:
        # Windows: one process, no reload.
        serve_alone(config, lambda url: say(f"{config.policy.algorithm} on {url}"))


def checked(path: str | Path, config: AnyConfig, workers: int | None = None) -> str:
    """Return the summary of a file that would work, with notes. Raises ConfigError for one that would not.

    A proxy that already runs from the same file on the same address is no fault: it can reload."""
    said = notes(config, workers or config.workers)
    port = port_fault(config)
    if port and "the port is taken" in port and is_running(path, config):
        said.append(f"a proxy runs from this file on {config.listen} already: SIGHUP makes it reload")
        port = ""
    raise_faults(path, [*start_faults(config), port])
    count = len(config.backends)
    good = f"{path}: fine, {count} backend{'s' if count > 1 else ''}, {config.policy.algorithm}"
    return "\n".join([good, *(f"note: {note}" for note in said)])


def raise_faults(path: str | Path, faults: list[str]) -> None:
    """Raise ConfigError with the file's name and a line for each fault that is not empty."""
    if lines := [f"{path}: {fault}" for fault in faults if fault]:
        raise ConfigError("\n".join(lines))


def is_running(path: str | Path, config: AnyConfig) -> bool:
    """Return whether a proxy runs from this file, on this address; False on all systems but Linux."""
    if not hasattr(socket, "AF_UNIX"):
        return False
    mark = running_mark(path, config.listen)
    if mark:
        mark.close()
    return mark is None


def open_standard_files() -> None:
    """Open standard input, output and error if they are closed.

    Sockets would get their numbers otherwise, and child processes would take them for input."""
    while True:
        number = os.open(os.devnull, os.O_RDWR)
        if number > 2:
            os.close(number)
            return
