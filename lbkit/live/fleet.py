"""Real backend processes on this machine."""

from __future__ import annotations

import asyncio
import atexit
import json
import signal
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
from lbkit.health_page import OK
from lbkit.needs import why_not
from lbkit.patience import Wasted
from lbkit.run import EngineError, require

START_TIMEOUT = 20.0  # seconds in which a backend must start to serve


class FleetError(EngineError):
    """Raised if a backend does not start or rejects a change; the message has its name and last output."""


class Process:
    """One backend process, which can be killed and restarted on the same port."""

    def __init__(self, server: Server, seed: int, notice: float = 0.0) -> None:
        """`notice`: the seconds for which /health fails before the process ends at `terminate`."""
        self.server = server
        self.seed = seed
        self.notice = notice
        self.port = 0
        self.start_time = 0.0  # seconds that the last start took
        self._launched = 0.0
        self.popen: subprocess.Popen[bytes] | None = None
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop()

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def launch(self, at: float = 0.0, store: str = "") -> None:
        """Start the process, which refuses connections until `at`; `ready` waits until it serves.

        `store`: the address of the Redis with its sessions; "": they are in its own memory."""
        settings = {
            "server": server_to_dict(self.server),
            "port": self.port,
            "seed": self.seed,
            "notice": self.notice,
            "store": store,
            "at": at,
        }
        self._launched = time.monotonic()
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "lbkit.live.backend", json.dumps(settings)],
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


class Fleet:
    """The servers of an experiment as real backends on ports of this machine.

    As a context manager, it ends them at the end of the block; they also end at exit, and if this process is
    killed.
    """

    def __init__(self, servers: Iterable[Server], seed: int = 1) -> None:
        self.servers = {s.name: s for s in servers}
        self.seed = seed
        self.hung: set[str] = set()
        self.notes: list[str] = []  # differences from the experiment
        self._dependencies = {name: dict.fromkeys(s.dependencies, OK) for name, s in self.servers.items()}

    # -- for each kind of fleet to define ------------------------------------------------------

    def start(self) -> Self:
        """Start all backends at once; return when all of them serve. Raises FleetError, EngineError."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop all backends. May be called more than once."""
        raise NotImplementedError

    def port(self, name: str) -> int:
        raise NotImplementedError

    def alive(self) -> dict[str, bool]:
        raise NotImplementedError

    def crash(self, name: str) -> None:
        """Kill a server with SIGKILL: its requests are lost, and new connections refused."""
        raise NotImplementedError

    def _freeze(self, name: str) -> None:
        raise NotImplementedError

    def _thaw(self, name: str) -> None:
        raise NotImplementedError

    @property
    def start_times(self) -> dict[str, float]:
        """Return the seconds that the last start of each server took."""
        raise NotImplementedError

    def restart(self, name: str, at: float = 0.0) -> None:
        """Start a stopped server on its old port; return when it serves. Raises FleetError.

        `at`: the earliest time to serve, on the clock of time.monotonic."""
        raise NotImplementedError

    def replace(self, server: Server) -> None:
        """Stop a server, and start `server` in its place, on the same port. Raises FleetError."""
        self.crash(server.name)
        self.servers[server.name] = server
        states = self._dependencies[server.name]
        self._dependencies[server.name] = {name: states.get(name, OK) for name in server.dependencies}
        self.restart(server.name)
        self._tell_dependencies(server.name)

    # -- common to all kinds ----------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.stop)

    def check(self, name: str) -> Server:
        """Return a server. Raises KeyError with the known names."""
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
                pool=s.pool,
            )
            for s in self.servers.values()
        ]

    def recover(self, name: str, at: float = 0.0) -> None:
        """Restore a server to its usual speed, without faults; if it has to start, it serves from `at` on.

        Raises FleetError."""
        speed = self.check(name).speed
        if name in self.hung:
            self.hung.discard(name)
            self._thaw(name)
        if self.alive()[name]:
            self.control(name, speed=speed, lose=0.0, fail=0.0, delay=0.0)
        else:
            self.restart(name, at)
        self._tell_dependencies(name)

    def _tell_dependencies(self, name: str) -> None:
        """Send a new process the states of its dependencies."""
        if any(state != OK for state in self._dependencies[name].values()):
            self.control(name, dependencies=self._dependencies[name])

    def slow(self, name: str, factor: float) -> None:
        """Serve new requests at the usual speed x `factor`, until a crash or `recover`.

        A server that is down is not changed: it recovers as a new process."""
        self.disturb(name, speed=self.check(name).speed * factor)

    # -- chaos ------------------------------------------------------------------------------------

    def hang(self, name: str) -> None:
        """Freeze a server: the kernel accepts its connections, but nothing answers. `recover` resumes it."""
        if self.alive()[self.check(name).name]:
            self._freeze(name)
            self.hung.add(name)

    def disturb(self, name: str, **settings: Any) -> None:
        """Change settings of a running server; one that is down recovers as a new process anyway."""
        if self.alive()[self.check(name).name] and name not in self.hung:
            self.control(name, **settings)

    def slow_network(self, name: str, seconds: float) -> None:
        """Add `seconds` to each direction of a server's network."""
        self.disturb(name, delay=seconds)
        self._note("delay: server processes wait, as there is no network before them")

    def set_dependency(self, name: str, dependency: str, state: str) -> None:
        """Set a server's dependency, if it has it, to ok, degraded or failed; kept over restarts."""
        states = self._dependencies[self.check(name).name]
        if dependency in states:
            states[dependency] = state
            self.disturb(name, dependencies=states)

    def wasted(self) -> list[Wasted]:
        """Return the work of servers for clients that had left; starts are on the clock of time.monotonic.

        Only of running processes: a crashed one takes its list with it."""
        found = []
        for name, alive in self.alive().items():
            if not alive or name in self.hung:
                continue
            url = f"http://127.0.0.1:{self.port(name)}/wasted"
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    found += [Wasted(name, *work) for work in json.load(answer)]
            except OSError as error:
                raise FleetError(f"backend {name!r} does not answer: {error}") from None
        return sorted(found, key=lambda work: work.end)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def control(self, name: str, **changes: Any) -> dict[str, Any]:
        """Change settings of a backend (see lbkit.live.backend.SETTINGS); return all its settings.

        Raises FleetError, with the field's name, for a wrong setting, or if the backend is down."""
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
    """One process for each server, on 127.0.0.1 and a port that the kernel chooses.

    >>> with LocalFleet(servers(3)) as fleet:  # doctest: +SKIP
    ...     fleet.crash("s2")
    """

    def __init__(
        self, servers: Iterable[Server], seed: int = 1, notice: float = 0.0, store: str = ""
    ) -> None:
        """`notice`: the seconds for which a server's /health fails before it ends at `terminate`.

        `store`: the address of a Redis (redis://host:port/0) in which the servers share their users'
        sessions; without it, each keeps them in its own memory."""
        super().__init__(servers, seed)
        self.store = store
        self._processes = {s.name: Process(s, seed, notice) for s in self.servers.values()}

    def start(self) -> Self:
        require("live")
        if self.store and (reason := why_not("shared_limits")):
            raise EngineError(reason)
        atexit.register(self.stop)
        try:
            for process in self._processes.values():
                process.launch(store=self.store)
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
        process.launch(at, self.store)
        process.ready()
