"""Backends as processes on this machine."""

from __future__ import annotations

import atexit
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from typing import IO, Self

from lbkit.experiment import Server, geography_to_dict, server_to_dict
from lbkit.geography import Geography
from lbkit.live.calling import Calls
from lbkit.live.fleet import START_TIMEOUT, Fleet, FleetError
from lbkit.live.handed import Handed
from lbkit.needs import why_not
from lbkit.run import EngineError, require


class Process:
    """One backend process, which can be killed and restarted on the same port."""

    def __init__(
        self,
        server: Server,
        seed: int,
        notice: float = 0.0,
        http2: bool = False,
        geography: Geography | None = None,
    ) -> None:
        """`notice`: the seconds for which /health fails before the process ends at `terminate`. `http2`:
        whether it speaks HTTP/2, too. `geography`: how far away it is."""
        self.geography = geography
        self.http2 = http2
        self.server = server
        self.seed = seed
        self.notice = notice
        self.port = 0
        self.start_time = 0.0  # seconds that the last start took
        self._launched = 0.0
        self.popen: subprocess.Popen[bytes] | None = None
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop()
        self._handed = Handed()

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def launch(self, at: float = 0.0, store: str = "", calls: Calls | None = None) -> None:
        """Start the process, which refuses connections until `at`; `ready` waits until it serves.

        `store`: the address of the Redis with its sessions; "": they are in its own memory. `calls`: the
        service that it calls."""
        settings = {
            "server": server_to_dict(self.server),
            "port": self.port,
            "seed": self.seed,
            "notice": self.notice,
            "store": store,
            "calls": calls,
            "at": at,
            "http2": self.http2,
            "geography": geography_to_dict(self.geography) if self.geography else None,
        }
        self._launched = time.monotonic()
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "lbkit.live.backend", self._handed.write(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,  # Ctrl-C goes to the parent only, which ends it
        )

    def ready(self) -> None:
        """Wait until the process serves. Raises FleetError if it ends instead, or takes too long."""
        assert self.popen
        assert self.popen.stdout
        watchdog = threading.Timer(START_TIMEOUT, self.popen.kill)
        watchdog.start()
        try:
            line = self.popen.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            self.kill()
            raise FleetError(f"backend {self.server.name!r} did not start: {self.last_words()}")
        self.port = json.loads(line)["port"]
        self.start_time = time.monotonic() - self._launched

    def last_words(self) -> str:
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace").strip()[-2000:] or "it wrote no message"

    def terminate(self) -> None:
        """Send SIGTERM, on which the process finishes its requests; return when it has ended."""
        if self.popen:
            self.popen.terminate()
            self.popen.wait()
            self.kill()

    def kill(self) -> None:
        """Kill the process with SIGKILL, like a crash. May be called more than once."""
        popen, self.popen = self.popen, None
        if popen is None:
            return
        popen.kill()
        for pipe in (popen.stdin, popen.stdout):
            if pipe:
                pipe.close()
        popen.wait()

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it runs."""
        if self.alive:
            assert self.popen
            self.popen.send_signal(number)

    def stop(self) -> None:
        self.kill()
        self.errors.close()
        self._handed.remove()


class LocalFleet(Fleet):
    """One process for each server, on 127.0.0.1 and a port that the kernel chooses.

    >>> with LocalFleet(servers(3)) as fleet:  # doctest: +SKIP
    ...     fleet.crash("s2")
    """

    def __init__(
        self,
        servers: Iterable[Server],
        seed: int = 1,
        notice: float = 0.0,
        store: str = "",
        http2: bool = False,
        geography: Geography | None = None,
    ) -> None:
        """`notice`: the seconds for which a server's /health fails before it ends at `terminate`.

        `store`: the address of a Redis (redis://host:port/0) in which the servers share their users'
        sessions; without it, each keeps them in its own memory. `http2`: they speak HTTP/2, too.
        `geography`: how far away their zones are."""
        super().__init__(servers, seed)
        self.store = store
        self.calls: Calls | None = None  # the service that they call
        self._processes = {s.name: Process(s, seed, notice, http2, geography) for s in self.servers.values()}

    def start(self) -> Self:
        require("live")
        if self.store and (reason := why_not("shared_limits")):
            raise EngineError(reason)
        atexit.register(self.stop)
        try:
            for process in self._processes.values():
                process.launch(store=self.store, calls=self.calls)
            for process in self._processes.values():
                process.ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        atexit.unregister(self.stop)
        for process in self._processes.values():
            process.stop()

    def __getitem__(self, name: str) -> Process:
        """Return a server's process. Raises KeyError with the known names."""
        return self._processes[self.check(name).name]

    def port(self, name: str) -> int:
        return self[name].port

    def alive(self) -> dict[str, bool]:
        return {name: process.alive for name, process in self._processes.items()}

    def crash(self, name: str) -> None:
        self[name].kill()
        self.hung.discard(name)

    def _freeze(self, name: str) -> None:
        self[name].signal(signal.SIGSTOP)

    def _thaw(self, name: str) -> None:
        self[name].signal(signal.SIGCONT)

    def terminate(self, name: str) -> None:
        """Send SIGTERM: the server fails readiness, finishes its requests and ends. Return when it has."""
        self[name].terminate()

    @property
    def start_times(self) -> dict[str, float]:
        return {name: process.start_time for name, process in self._processes.items()}

    def restart(self, name: str, at: float = 0.0) -> None:
        process = self[name]
        process.server = self.servers[name]
        process.launch(at, self.store, self.calls)
        process.ready()
