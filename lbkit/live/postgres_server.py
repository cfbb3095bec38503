"""A PostgreSQL server of our own, for as long as it is wanted: for notebooks and tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

from lbkit.live.front import wait_until
from lbkit.live.program import ATTEMPTS, START_TIMEOUT, Program, free_ports
from lbkit.needs import PROGRAMS, find_program
from lbkit.run import EngineError

USER = "postgres"  # of the database; as root also the system's, as postgres refuses to run as root
# Nothing here has to outlive a crash of the machine.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=100")


class PostgresServer:
    """Listens on a free port of 127.0.0.1, lets everyone in as user postgres, and ends with the `with` block
    or when this process is killed. It takes a second or two to start.

    Raises EngineError where there is no PostgreSQL."""

    def __init__(self) -> None:
        self.port = 0
        self._room = tempfile.TemporaryDirectory(prefix="lbkit-postgres-")
        self._program: Program | None = None
        self._as_user: list[str] = []
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            self._as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]

    def start(self) -> Self:
        """Return when queries are answered."""
        data = Path(self._room.name) / "data"
        if self._as_user:
            with suppress(LookupError):  # setpriv then says that there is no such user
                shutil.chown(self._room.name, USER, USER)
        self.run("initdb", "-D", str(data), "-U", USER, "-A", "trust", "-N", "--locale=C", "-E", "UTF8")
        settings = [word for setting in FAST for word in ("-c", setting)]
        for _ in range(ATTEMPTS):
            (self.port,) = free_ports(1)
            place = ["-D", str(data), "-p", str(self.port), "-h", "127.0.0.1", "-k", self._room.name]
            self._program = server = Program([*self._as_user, tool("postgres"), *place, *settings])
            if server.serves(self.port) and wait_until(self._answers, START_TIMEOUT):
                return self
            words = server.last_words()
            self._end()
        raise EngineError(f"postgres did not start: {words}")

    def _answers(self) -> bool:
        with suppress(EngineError):
            return self.query("select 1") == "1"
        return False

    def query(self, sql: str, port: int = 0) -> str:
        """Return what psql prints, without headings; by default on a connection to the server itself, with
        `port` to what listens there. Raises EngineError."""
        place = ["-h", "127.0.0.1", "-p", str(port or self.port), "-U", USER]
        return self.run("psql", *place, "-XAtqc", sql).strip()

    def run(self, program: str, *arguments: str) -> str:
        """Return what a program of PostgreSQL prints. Raises EngineError."""
        command = [*self._as_user, tool(program), *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=60, check=False, cwd=self._room.name
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"{program} does not work: {error}") from None
        if done.returncode:
            raise EngineError(f"{program}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def kill(self) -> None:
        """As a crash: all of its processes at once. Raises EngineError if it does not run."""
        processes = self._program.processes() if self._program else []
        if not processes:
            raise EngineError("postgres does not run")
        for process in processes:
            with suppress(Exception):  # psutil's, for one that has ended by itself
                process.kill()
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
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *exc: object) -> None:
        self.stop()


def tool(name: str) -> str:
    """Return the path of a program that comes with the server. Raises EngineError."""
    found = find_program([name])
    if found is None:
        raise EngineError(f"{name} is not installed: {PROGRAMS['postgres'].hint}")
    return found
