"""A real program as a child process, which never outlives its parent."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from lbkit.live.front import wait_until
from lbkit.own_ports import VARIABLE, unreserved_ports

START_TIMEOUT = 15.0  # seconds a program may take to serve
LOOK = 0.02  # seconds between looks for more output
ATTEMPTS = 3  # to find a port that no other process takes in between


class Program:
    """Runs `command` under lbkit.live.guard. `popen`: as for subprocess.Popen, such as cwd and env.

    Its output goes into a file, as writing to a pipe would cost the program time at each line."""

    def __init__(self, command: Sequence[str], **popen: Any) -> None:
        self._ended = threading.Event()
        self._follower: threading.Thread | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "lbkit.live.guard", *command],
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=self._said,
            start_new_session=True,  # Ctrl-C is for its parent, which ends it
            **popen,
        )

    def serves(self, port: int) -> bool:
        """Whether it runs and listens, in time."""
        wait_until(lambda: not self.running or listens(port), START_TIMEOUT)
        return self.running and listens(port)

    @property
    def running(self) -> bool:
        return self._guard.poll() is None

    def last_words(self) -> str:
        self._said.seek(0)
        return self._said.read().decode(errors="replace").strip()[-2000:] or "it said nothing"

    def follow(self, on_line: Callable[[str, float], object]) -> None:
        """Call `on_line` with each line of output, and when it was seen (time.monotonic), in a thread.

        It must not raise. A second call does nothing."""
        if self._follower is None:
            self._follower = threading.Thread(target=self._follow, args=(on_line,), daemon=True)
            self._follower.start()

    def _follow(self, on_line: Callable[[str, float], object]) -> None:
        place, rest = 0, b""
        while not self._ended.wait(LOOK):
            # The program shares the position in the file: a seek would move it.
            while more := os.pread(self._said.fileno(), 65536, place):
                now = time.monotonic()
                place += len(more)
                *lines, rest = (rest + more).split(b"\n")
                for line in lines:
                    on_line(line.decode(errors="replace"), now)

    def processes(self) -> list[Any]:
        """Its own process, then those it has started; psutil.Process objects, none if it has ended."""
        import psutil

        if not self.running:
            return []
        children: list[Any] = psutil.Process(self._guard.pid).children()
        return children + [p for child in children for p in child.children(recursive=True)]

    def end(self) -> None:
        """End the program; return when none of its processes is left. Safe to repeat."""
        assert self._guard.stdin
        self._guard.stdin.close()
        self._guard.wait()
        self._ended.set()
        if self._follower:
            self._follower.join()
        self._said.close()


def free_ports(count: int) -> list[int]:
    """Return ports that are free at present, of LBKIT_PORTS if it is set.

    Raises OSError if a range has too few, ValueError if it is none."""
    own = unreserved_ports()
    # In any order, so that two runs at once rarely try the same ones.
    wanted = random.sample(own, len(own)) if own else [0] * count
    with ExitStack() as opened:
        ports: list[int] = []
        for port in wanted:
            with suppress(OSError):
                sock = opened.enter_context(socket.create_server(("127.0.0.1", port)))
                ports.append(sock.getsockname()[1])
            if len(ports) == count:
                return ports
    where = f" of {VARIABLE}" if own else ""
    raise OSError(f"{count} free ports are needed, and {len(ports)}{where} are free")


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
