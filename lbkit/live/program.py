"""A real program, run so that it ends when we do, and listens on a port that the kernel chose."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from lbkit.live.front import wait_until

START_TIMEOUT = 15.0  # seconds a program may take to serve
ATTEMPTS = 3  # to find a port that no other process takes in between
KEPT = 200  # lines of its output, for messages about a program that does not start

OnLine = Callable[[str, float], object]  # called with a line of output, and when it came (time.monotonic)


class Program:
    """Runs `command` under lbkit.live.guard, and reads what it prints.

    `on_line` is called for each line, in a thread of its own; it must not raise. `popen`: as for
    subprocess.Popen, such as cwd and env."""

    def __init__(self, command: Sequence[str], on_line: OnLine | None = None, **popen: Any) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "lbkit.live.guard", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for its parent, which ends it
            **popen,
        )
        self._reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
        self._reader.start()

    def _read(self, on_line: OnLine | None) -> None:
        """Read to the end of the output, as a full pipe would stop the program."""
        assert self._guard.stdout
        with self._guard.stdout as output:
            for raw in output:
                line = raw.decode(errors="replace").rstrip()
                self._lines.append(line)
                if on_line:
                    on_line(line, time.monotonic())

    def serves(self, port: int) -> bool:
        """Whether it runs and listens, in time."""
        wait_until(lambda: not self.running or listens(port), START_TIMEOUT)
        return self.running and listens(port)

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    def last_words(self) -> str:
        """Return the end of its output; all of it, if it has ended."""
        if not self.running:
            self._reader.join(1)
        return "\n".join(list(self._lines)).strip()[-2000:] or "it said nothing"

    def processes(self) -> list[Any]:
        """Its own process, then those it has started; psutil.Process objects, none if it has ended."""
        import psutil

        if not self.running:
            return []
        children: list[Any] = psutil.Process(self._guard.pid).children()
        return children + [p for child in children for p in child.children(recursive=True)]

    def end(self) -> None:
        """Returns when nothing of it is left. Safe to repeat."""
        assert self._guard.stdin
        self._guard.stdin.close()
        self._guard.wait()
        self._reader.join(1)


def free_ports(count: int) -> list[int]:
    """Return ports that are free at present."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
