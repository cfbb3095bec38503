"""The servers of an experiment as real backends: what all kinds of fleets have in common."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any, Self

from lbkit.core import Backend
from lbkit.experiment import Server
from lbkit.health_page import OK
from lbkit.patience import Wasted
from lbkit.run import EngineError
from lbkit.started import Started
from lbkit.tier import Node

START_TIMEOUT = 20.0  # seconds in which a backend must start to serve


class FleetError(EngineError):
    """Raised if a backend does not start or rejects a change; the message has its name and last output."""


class Fleet(Started):
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

    def front_of(self, name: str) -> Any:
        """Return the balancer among its processes that a server is behind; None if it is behind none."""
        return None

    # -- common to all kinds ----------------------------------------------------------------------

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
        return [backend(server, self.port(server.name)) for server in self.servers.values()]

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
            if not alive or name in self.hung or name not in self.servers:
                continue
            url = f"http://127.0.0.1:{self.port(name)}/wasted"
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    found += [Wasted(name, *work) for work in json.load(answer)]
            except OSError as error:
                if isinstance(getattr(error, "reason", error), ConnectionRefusedError):
                    continue  # it is still starting after a crash: it has done no work yet
                raise FleetError(f"backend {name!r} does not answer: {error}") from None
        return sorted(found, key=lambda work: work.end)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def control(self, name: str, **changes: Any) -> dict[str, Any]:
        """Change settings of a backend (see lbkit.live.backend_settings.SETTINGS); return all its settings.

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


def backend(node: Node, port: int) -> Backend:
    """Return a server or tier, which listens on this machine, as the balancer above it sees it."""
    return Backend(
        node.name,
        weight=node.weight,
        zone=node.zone,
        priority=node.priority,
        host="127.0.0.1",
        port=port,
        pool=node.pool,
        workers=node.workers,
    )
