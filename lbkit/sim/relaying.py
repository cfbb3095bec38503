"""Simulations at layer 4: a backend is picked for each connection, and gets all requests on it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from lbkit.core import Backend, NoBackend
from lbkit.core.attempts import Failure
from lbkit.experiment import Experiment, Policy
from lbkit.layer4 import FRONT, ONE, PER_REQUEST, SHARED
from lbkit.sim import kinds
from lbkit.sim.servers import SimServer
from lbkit.sim.simulation import Simulation
from lbkit.workload import client_name


class Connection:
    """A client's connection and the backend that it leads to."""

    __slots__ = ("backend", "open", "owner", "since")

    def __init__(self, backend: Backend, since: float, owner: int) -> None:
        self.backend = backend
        self.since = since  # when the backend was picked
        self.owner = owner  # whose requests it can carry
        self.open = True


class RelayingSimulation(Simulation):
    """The balancer holds a lease as long as a connection is open, also while it is idle: what algorithms see
    as requests in flight are connections. When a backend closes one, its client gets no answer."""

    def __init__(self, experiment: Experiment, max_events: int | None = None) -> None:
        super().__init__(experiment, max_events)
        assert experiment.layer4
        self.rules = experiment.layer4
        self.keyed_by = self.rules.key(experiment.policy.keyed_by)
        self.kept: defaultdict[int, list[Connection]] = defaultdict(list)  # by owner; the last used is last
        self.under: dict[int, Connection] = {}  # row -> its connection, while the request is under way
        self.opened = 0  # connections so far

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), "connections": self.opened}

    # -- connections --------------------------------------------------------------------------------

    def owner(self, row: int) -> int:
        return 0 if self.rules.connections == SHARED else self.requests.client[row]

    def key_of(self, row: int) -> str:
        if self.keyed_by == "flow":
            return f"tcp {self.opened}"
        return client_name(self.requests.client[row]) if self.rules.proxy_protocol else FRONT

    def kept_for(self, row: int) -> Connection | None:
        """Return an open connection that the request can go on, or None."""
        kept = self.kept[self.owner(row)]
        while kept:
            # HTTP/2 carries several requests at once; without it a connection is the request's alone.
            connection = kept[-1] if self.rules.connections == ONE else kept.pop()
            if connection.open:
                return connection
            if self.rules.connections == ONE:
                kept.pop()
        return None

    def connect(self, row: int, tried: tuple[Backend, ...]) -> Connection:
        """Return a new connection, to the backend that is picked for it. Raises NoBackend."""
        now = self.engine.now
        backend = self.pool.pick(self.key_of(row), now, tried)
        self.opened += 1
        connection = Connection(backend, now, self.owner(row))
        if self.rules.connections == ONE:
            self.kept[connection.owner].append(connection)
        return connection

    def end(self, connection: Connection, ok: bool) -> None:
        """Close a connection, once."""
        if connection.open:
            connection.open = False
            self.pool.release(connection.backend, connection.since, ok, self.engine.now)

    def end_all_to(self, name: str) -> None:
        """Close all connections to a server, whether a request is under way on them or not."""
        for connection in [*self.under.values(), *(c for kept in self.kept.values() for c in kept)]:
            if connection.backend.name == name:
                self.end(connection, True)

    # -- what differs from a balancer of requests ---------------------------------------------------------

    def dispatch(self, row: int, tried: tuple[Backend, ...] = ()) -> None:
        requests, now = self.requests, self.engine.now
        connection = self.kept_for(row)
        if connection is None:
            try:
                connection = self.connect(row, tried)
            except NoBackend:
                self.reply(row, 0)
                return
        self.under[row] = connection
        server = self.server_of[connection.backend]
        requests.lease[row], requests.since[row] = connection.backend, now
        requests.backend[row] = server.index
        if server.delay:
            self.engine.plan(now + server.delay_of(row), kinds.RECEIVE, row)
        elif outcome := server.receive(row):
            self.send_back(row, server, outcome)

    def answer(self, row: int) -> None:
        """An answer passes, and its connection may carry the next request."""
        requests = self.requests
        requests.end[row] = self.engine.now
        connection = self.under.pop(row)
        if self.rules.connections == PER_REQUEST:
            self.end(connection, True)
        elif self.rules.connections != ONE:
            self.kept[connection.owner].append(connection)
        if self.followed:
            self.ended(row, requests.status[row] < 500)

    def release(self, row: int) -> None:
        """A backend has not accepted: the connection goes to another one, or ends."""
        self.end(self.under.pop(row), False)

    def fail(self, row: int, failure: Failure, kept: bool = False) -> None:
        """A connection is refused, which is tried with another backend, or has ended without an answer."""
        if failure is Failure.REFUSED:
            super().fail(row, failure)
        else:
            self.end(self.under.pop(row), True)
            self.reply(row, 0)

    def reply(self, row: int, status: int) -> None:
        """End a request without an answer: layer 4 can only close the connection."""
        super().reply(row, 0)

    def use(self, policy: Policy) -> None:
        super().use(policy)
        self.keyed_by = self.rules.key(policy.keyed_by)

    def crash(self, server: SimServer) -> None:
        super().crash(server)
        self.end_all_to(server.spec.name)

    def cut_off(self, backend: Backend) -> None:
        super().cut_off(backend)
        self.end_all_to(backend.name)
