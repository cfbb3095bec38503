"""A Redis server of our own, for as long as it is wanted: for notebooks, benchmarks and tests."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from typing import Self

from lbkit.live.front import wait_until
from lbkit.live.peers.base import ATTEMPTS, START_TIMEOUT, free_ports, listens
from lbkit.run import EngineError, find_program


class RedisServer:
    """Listens on a free port of 127.0.0.1; ends with the `with` block, or when this process is killed.

    `lasting`: every write is on disk before it is answered, so that a crash forgets nothing; without, all
    is gone with the process. Raises EngineError where there is no redis-server."""

    def __init__(self, lasting: bool = False) -> None:
        self.lasting = lasting
        self.port = 0
        self._room = tempfile.TemporaryDirectory(prefix="lbkit-redis-")
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """On the port it had before, if it had one."""
        program = find_program(("redis-server",))
        if program is None:
            raise EngineError("redis-server is not installed: apt-get install redis-server (macOS: brew)")
        keep = ("--appendonly", "yes", "--appendfsync", "always") if self.lasting else ()
        for _ in range(ATTEMPTS):
            port = self.port or free_ports(1)[0]
            place = ("--port", str(port), "--bind", "127.0.0.1", "--dir", self._room.name, "--save", "")
            self._guard = guard = subprocess.Popen(
                [sys.executable, "-m", "lbkit.live.guard", program, *place, *keep],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            wait_until(partial(_ended_or_serves, guard, port), START_TIMEOUT)
            if guard.poll() is None and listens(port):
                self.port = port
                return self
            self._end()
        raise EngineError("redis-server did not start")

    @property
    def pid(self) -> int:
        """Of the server itself. Raises EngineError if it does not run."""
        import psutil

        if self._guard is None or self._guard.poll() is not None:
            raise EngineError("redis-server does not run")
        pid: int = psutil.Process(self._guard.pid).children()[0].pid
        return pid

    def kill(self) -> None:
        """As a crash."""
        import psutil

        psutil.Process(self.pid).kill()
        self._end()

    def stop(self) -> None:
        """Safe to repeat."""
        self._end()
        self._room.cleanup()

    def _end(self) -> None:
        guard, self._guard = self._guard, None
        if guard:
            assert guard.stdin
            guard.stdin.close()
            guard.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()


def _ended_or_serves(process: subprocess.Popen[bytes], port: int) -> bool:
    return process.poll() is not None or listens(port)
