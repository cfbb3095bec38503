"""Temporary servers of real programs: what lbkit's Redis and PostgreSQL have in common."""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from contextlib import suppress
from typing import Any, ClassVar, Self

from lbkit.live.front import wait_until
from lbkit.live.program import ATTEMPTS, START_TIMEOUT, Program, free_ports
from lbkit.needs import PROGRAMS, find_program
from lbkit.run import EngineError
from lbkit.started import Started


class Server(Started):
    """Listens on a free port of 127.0.0.1; ends with the `with` block, or when this process is killed.

    A server started again, as after a crash, has the port and the files that it had before."""

    program: ClassVar[str]  # its row in lbkit.needs.PROGRAMS

    def __init__(self) -> None:
        self.port = 0
        self._room = tempfile.TemporaryDirectory(prefix=f"lbkit-{self.program}-")
        self._program: Program | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Return what starts it on `self.port`."""

    def answers(self) -> bool:
        """Whether it serves, once it accepts connections."""
        return True

    def prepare(self) -> None:
        """Do what has to be done before it starts."""

    def start(self) -> Self:
        """Return when it serves. Raises EngineError where it is not installed, or does not start."""
        try:
            self.prepare()
            self._serve()
        except BaseException:
            self.stop()
            raise
        return self

    def _serve(self) -> None:
        before = self.port
        for _ in range(ATTEMPTS):
            self.port = before or free_ports(1)[0]
            self._program = program = Program(self.command())
            if program.serves(self.port) and wait_until(self.answers, START_TIMEOUT):
                return
            words = program.last_words()
            self._end()
        self.port = before
        raise EngineError(f"{self.program} did not start: {words}")

    @property
    def pid(self) -> int:
        """Of the server itself. Raises EngineError if it does not run."""
        pid: int = self._processes()[0].pid
        return pid

    def kill(self) -> None:
        """As a crash: all of its processes at once. Raises EngineError if it does not run."""
        for process in self._processes():
            with suppress(Exception):  # psutil's, for one that has ended by itself
                process.kill()
        self._end()

    def stop(self) -> None:
        """Safe to repeat."""
        self._end()
        self._room.cleanup()

    def tool(self, *names: str) -> str:
        """Return the path of a program that comes with it; any of the names will do. Raises EngineError."""
        found = find_program(names)
        if found is None:
            raise EngineError(f"{names[0]} is not installed: {PROGRAMS[self.program].hint}")
        return found

    def _processes(self) -> list[Any]:
        processes = self._program.processes() if self._program else []
        if not processes:
            raise EngineError(f"{self.program} does not run")
        return processes

    def _end(self) -> None:
        program, self._program = self._program, None
        if program:
            program.end()
