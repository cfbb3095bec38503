"""A temporary PostgreSQL server, for notebooks and tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from lbkit.live.server import Server
from lbkit.run import EngineError

USER = "postgres"  # of the database; as root also the system's, as postgres refuses to run as root
# Nothing here has to outlive a crash of the machine.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=100")


class PostgresServer(Server):
    """Lets everyone in as user postgres. It takes a second or two to start.

    Raises EngineError where there is no PostgreSQL."""

    program = "postgres"

    def __init__(self) -> None:
        super().__init__()
        self._data = Path(self._room.name) / "data"
        self._as_user: list[str] = []
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            self._as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]

    def prepare(self) -> None:
        if not self._data.exists():  # it is there when a killed server is started again
            if self._as_user:
                with suppress(LookupError):  # setpriv then says that there is no such user
                    shutil.chown(self._room.name, USER, USER)
            data = str(self._data)
            self.run("initdb", "-D", data, "-U", USER, "-A", "trust", "-N", "--locale=C", "-E", "UTF8")

    def command(self) -> list[str]:
        place = ["-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1", "-k", self._room.name]
        settings = [word for setting in FAST for word in ("-c", setting)]
        return [*self._as_user, self.tool(self.program), *place, *settings]

    def answers(self) -> bool:
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
        command = [*self._as_user, self.tool(program), *arguments]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=60, check=False, cwd=self._room.name
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"{program} does not work: {error}") from None
        if done.returncode:
            raise EngineError(f"{program}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout
