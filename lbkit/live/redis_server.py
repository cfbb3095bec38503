"""A Redis server of our own, for as long as it is wanted: for notebooks, benchmarks and tests."""

from __future__ import annotations

import os
import signal
import tempfile
from typing import Self

from lbkit.live.program import ATTEMPTS, Program, free_ports
from lbkit.needs import PROGRAMS, find_program
from lbkit.run import EngineError


class RedisServer:
    """Listens on a free port of 127.0.0.1; ends with the `with` block, or when this process is killed.

    `lasting`: every write is on disk before it is answered, so that a crash forgets nothing; without, all
    is gone with the process. Raises EngineError where there is no redis-server."""

    def __init__(self, lasting: bool = False) -> None:
        self.lasting = lasting
        self.port = 0
        self._room = tempfile.TemporaryDirectory(prefix="lbkit-redis-")
        self._program: Program | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """On the port it had before, if it had one."""
        redis_server = PROGRAMS["redis-server"]
        program = find_program(redis_server.names)
        if program is None:
            raise EngineError(f"redis-server is not installed: {redis_server.hint}")
        keep = ("--appendonly", "yes", "--appendfsync", "always") if self.lasting else ()
        for _ in range(ATTEMPTS):
            port = self.port or free_ports(1)[0]
            place = ("--port", str(port), "--bind", "127.0.0.1", "--dir", self._room.name, "--save", "")
            self._program = server = Program([program, *place, *keep])
            if server.serves(port):
                self.port = port
                return self
            words = server.last_words()
            self._end()
        raise EngineError(f"redis-server did not start: {words}")

    @property
    def pid(self) -> int:
        """Of the server itself. Raises EngineError if it does not run."""
        processes = self._program.processes() if self._program else []
        if not processes:
            raise EngineError("redis-server does not run")
        pid: int = processes[0].pid
        return pid

    def kill(self) -> None:
        """As a crash. Raises EngineError if it does not run."""
        os.kill(self.pid, signal.SIGKILL)
        self._end()

    def stop(self) -> None:
        """Safe to repeat."""
        self._end()
        self._room.cleanup()

    def _end(self) -> None:
        program, self._program = self._program, None
        if program:
            program.end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()
