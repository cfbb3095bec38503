"""Real backend processes on this machine."""

from __future__ import annotations

import asyncio
import atexit
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import IO, Any, Self

from lbkit.core import Backend
from lbkit.experiment import Server, server_to_dict
from lbkit.run import EngineError, require

START_TIMEOUT = 20.0  # seconds a backend may take to serve


class FleetError(EngineError):
    """A backend did not start, or refused a change; the message names it and has its last output."""


class Process:
    """One backend process; started, killed and started again on the same port."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.seed = seed
        self.port = 0
        self.start_time = 0.0  # seconds that the last start took
        self._launched = 0.0
        self.popen: subprocess.Popen[bytes] | None = None
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop()

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def launch(self, at: float = 0.0) -> None:
        """Start the process, which refuses connections until `at`; `ready` waits until it serves."""
        settings = {"server": server_to_dict(self.server), "port": self.port, "seed": self.seed, "at": at}
        self._launched = time.monotonic()
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "lbkit.live.backend", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            start_new_session=True,  # Ctrl-C is for its parent, which ends it
        )

    def ready(self) -> None:
        """Return when it serves. Raises FleetError when it ends instead, or takes too long."""
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
        return self.errors.read().decode(errors="replace").strip()[-2000:] or "it said nothing"

    def kill(self) -> None:
        """Kill it with SIGKILL, as a crash would. Safe to repeat."""
        popen, self.popen = self.popen, None
        if popen is None:
            return
        popen.kill()
        for pipe in (popen.stdin, popen.stdout):
            if pipe:
                pipe.close()
        popen.wait()

    def stop(self) -> None:
        self.kill()
        self.errors.close()


class Fleet:
    """The servers of an experiment as real backends on ports of this machine, however they run.

    A context manager; gone at the end of the block, at exit, and if this process is killed.
    """

    def __init__(self, servers: Iterable[Server], seed: int = 1) -> None:
        self.servers = {s.name: s for s in servers}
        self.seed = seed

    # -- what each kind has of its own ---------------------------------------------------------

    def start(self) -> Self:
        """Start all backends together; return when every one serves. Raises FleetError, EngineError."""
        raise NotImplementedError

    def stop(self) -> None:
        """End all of them. Safe to repeat."""
        raise NotImplementedError

    def port(self, name: str) -> int:
        raise NotImplementedError

    def alive(self) -> dict[str, bool]:
        raise NotImplementedError

    def crash(self, name: str) -> None:
        """SIGKILL: running requests are lost, new connections refused."""
        raise NotImplementedError

    @property
    def start_times(self) -> dict[str, float]:
        """Seconds that the last start of each server took."""
        raise NotImplementedError

    def restart(self, name: str, at: float = 0.0) -> None:
        """Start a server that does not run, on its old port; returns when it serves. Raises FleetError.

        `at`: not before this moment, on the clock of time.monotonic."""
        raise NotImplementedError

    # -- what all have in common ------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.stop)

    def check(self, name: str) -> Server:
        """Raises KeyError with the names there are."""
        try:
            return self.servers[name]
        except KeyError:
            raise KeyError(f"no server {name!r} in the fleet: there are {', '.join(self.servers)}") from None

    @property
    def urls(self) -> dict[str, str]:
        return {name: f"http://127.0.0.1:{self.port(name)}" for name in self.servers}

    def backends(self) -> list[Backend]:
        """Return the servers as backends for a pool."""
        return [
            Backend(
                s.name,
                weight=s.weight,
                zone=s.zone,
                priority=s.priority,
                host="127.0.0.1",
                port=self.port(s.name),
            )
            for s in self.servers.values()
        ]

    def recover(self, name: str, at: float = 0.0) -> None:
        """Make a server run at its usual speed; from `at` on if it has to start. Raises FleetError."""
        if self.alive()[name]:
            self.slow(name, 1.0)
        else:
            self.restart(name, at)

    def slow(self, name: str, factor: float) -> None:
        """Run work that starts from now on at the usual speed x `factor`, until a crash or `recover`.

        A server that is down stays as it is: when it recovers, it is a new process."""
        if self.alive()[self.check(name).name]:
            self.control(name, speed=self.check(name).speed * factor)

    def control(self, name: str, **changes: Any) -> dict[str, Any]:
        """Change settings of a backend (see lbkit.live.backend.SETTINGS); returns how it is set.

        Raises FleetError, with the field, for what it does not take, or when it is down."""
        self.check(name)
        url = f"http://127.0.0.1:{self.port(name)}/control"
        data = json.dumps(changes).encode() if changes else None
        try:
            with urllib.request.urlopen(url, data, timeout=5) as answer:
                state: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise FleetError(f"backend {name!r}: {json.load(error)['error']}") from None
        except OSError as error:
            raise FleetError(f"backend {name!r} does not answer: {error}") from None
        return state


class LocalFleet(Fleet):
    """One process a server, each on a port of the kernel's choice on 127.0.0.1.

    >>> with LocalFleet(servers(3)) as fleet:  # doctest: +SKIP
    ...     fleet.crash("s2")
    """

    def __init__(self, servers: Iterable[Server], seed: int = 1) -> None:
        super().__init__(servers, seed)
        self._processes = {s.name: Process(s, seed) for s in self.servers.values()}

    def start(self) -> Self:
        require("live")
        atexit.register(self.stop)
        try:
            for process in self._processes.values():
                process.launch()
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
        """Raises KeyError with the names there are."""
        return self._processes[self.check(name).name]

    def port(self, name: str) -> int:
        return self[name].port

    def alive(self) -> dict[str, bool]:
        return {name: process.alive for name, process in self._processes.items()}

    def crash(self, name: str) -> None:
        self[name].kill()

    @property
    def start_times(self) -> dict[str, float]:
        return {name: process.start_time for name, process in self._processes.items()}

    def restart(self, name: str, at: float = 0.0) -> None:
        process = self[name]
        process.launch(at)
        process.ready()
