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

START_TIMEOUT = 20.0  # seconds a backend may take to serve


class FleetError(EngineError):
    """A backend did not start, or refused a change; the message names it and has its last output."""


class Process:
    """One backend process; started, killed and started again on the same port."""

    def __init__(self, server: Server, seed: int, notice: float = 0.0) -> None:
        """`notice`: seconds that its /health fails before it ends at `terminate`."""
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

        `store`: the address of the Redis that keeps its sessions; "": its own memory."""
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

    def terminate(self) -> None:
        """SIGTERM: it finishes what it has. Returns when it has ended."""
        if self.popen:
            self.popen.terminate()
            self.popen.wait()
            self.kill()

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

    def signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        if self.alive:
            assert self.popen
            self.popen.send_signal(number)

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
        self.hung: set[str] = set()
        self.notes: list[str] = []  # what happens in another way than the experiment says
        self._dependencies = {name: dict.fromkeys(s.dependencies, OK) for name, s in self.servers.items()}

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

    def _freeze(self, name: str) -> None:
        raise NotImplementedError

    def _thaw(self, name: str) -> None:
        raise NotImplementedError

    @property
    def start_times(self) -> dict[str, float]:
        """Seconds that the last start of each server took."""
        raise NotImplementedError

    def restart(self, name: str, at: float = 0.0) -> None:
        """Start a server that does not run, on its old port; returns when it serves. Raises FleetError.

        `at`: not before this moment, on the clock of time.monotonic."""
        raise NotImplementedError

    def replace(self, server: Server) -> None:
        """Stop a server, and start it as `server` says, at the same port. Raises FleetError."""
        self.crash(server.name)
        self.servers[server.name] = server
        states = self._dependencies[server.name]
        self._dependencies[server.name] = {name: states.get(name, OK) for name in server.dependencies}
        self.restart(server.name)
        self._tell_dependencies(server.name)

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
        """Make a server run at its usual speed, without faults; from `at` on if it has to start.

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
        """Tell a new process what it cannot know: which of its dependencies have failed."""
        if any(state != OK for state in self._dependencies[name].values()):
            self.control(name, dependencies=self._dependencies[name])

    def slow(self, name: str, factor: float) -> None:
        """Run work that starts from now on at the usual speed x `factor`, until a crash or `recover`.

        A server that is down stays as it is: when it recovers, it is a new process."""
        self.disturb(name, speed=self.check(name).speed * factor)

    # -- chaos ------------------------------------------------------------------------------------

    def hang(self, name: str) -> None:
        """Stop it: the system accepts connections for it, and nothing answers. `recover` lets it go on."""
        if self.alive()[self.check(name).name]:
            self._freeze(name)
            self.hung.add(name)

    def disturb(self, name: str, **settings: Any) -> None:
        """Change settings of a server that runs; one that does not is a new process when it recovers."""
        if self.alive()[self.check(name).name] and name not in self.hung:
            self.control(name, **settings)

    def slow_network(self, name: str, seconds: float) -> None:
        """Have each way to a server take `seconds` longer."""
        self.disturb(name, delay=seconds)
        self._note("delay: server processes wait, as there is no network before them")

    def set_dependency(self, name: str, dependency: str, state: str) -> None:
        """Have a server find a dependency ok, degraded or failed, if it has it; also after a restart."""
        states = self._dependencies[self.check(name).name]
        if dependency in states:
            states[dependency] = state
            self.disturb(name, dependencies=states)

    def wasted(self) -> list[Wasted]:
        """Return what servers worked on for clients that had left; starts as of time.monotonic.

        Of processes that run: one that crashed takes its list with it."""
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

    def __init__(
        self, servers: Iterable[Server], seed: int = 1, notice: float = 0.0, store: str = ""
    ) -> None:
        """`notice`: seconds that /health of a server fails before it ends at `terminate`.

        `store`: the address of a Redis (redis://host:port/0) in which the servers keep their users' sessions
        together; without it each keeps them in its own memory."""
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
        """Raises KeyError with the names there are."""
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
        """SIGTERM: it fails readiness, finishes what it has, and ends; returns then."""
        self[name].terminate()

    @property
    def start_times(self) -> dict[str, float]:
        return {name: process.start_time for name, process in self._processes.items()}

    def restart(self, name: str, at: float = 0.0) -> None:
        process = self[name]
        process.server = self.servers[name]
        process.launch(at, self.store)
        process.ready()
