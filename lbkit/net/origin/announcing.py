"""Connections to backends that begin with a PROXY protocol header, so that backends see the client's address.

The header names one client's connection, so a connection that is kept serves that client's only.
"""

from __future__ import annotations

from lbkit.core import Backend
from lbkit.net.http1.client import ClientConnection
from lbkit.net.l4.proxy_protocol import GREETINGS, WRITERS, between
from lbkit.net.origin.connections import Connections
from lbkit.net.origin.reach import Reach
from lbkit.net.peer import Peer
from lbkit.net.settings import Limits, Timeouts


class AnnouncingConnection(ClientConnection):
    """A connection that has been announced as a client's."""

    __slots__ = ("client",)

    client: str  # its flow; "": the proxy's own


class AnnouncingConnections(Connections):
    """Idle connections, of each client's connection its own."""

    def __init__(self, timeouts: Timeouts, limits: Limits, version: str) -> None:
        """`version`: of the header, "v1" or "v2"."""
        super().__init__(timeouts, limits)
        self.write = WRITERS[version]
        self.greeting = GREETINGS[version]

    def idle_one(self, backend: Backend, peer: Peer | None = None) -> ClientConnection | None:
        client = peer.flow if peer else ""
        idle = self.idle.get(backend, [])
        for connection in reversed(idle):
            if connection.client == client and not connection.transport.is_closing():  # type: ignore[attr-defined]
                idle.remove(connection)
                return connection
        return None

    def own_reach(self, backend: Backend) -> Reach:
        return self.reach(backend)._replace(greeting=self.greeting)

    def made(self, backend: Backend, peer: Peer | None) -> tuple[ClientConnection, bytes]:
        connection = AnnouncingConnection(self, backend)
        connection.client = peer.flow if peer else ""
        ends = peer.ends if peer else None
        if ends is None:
            return connection, self.greeting
        return connection, self.write(between(ends[0][:2], ends[1][:2]))

    def put_back(self, connection: ClientConnection) -> None:
        """Keep a connection. At the limit the one idle longest is closed: its client may be gone, and
        no other client can use it."""
        idle = self.idle.get(connection.backend, [])
        if idle and len(idle) >= self.limits.idle_per_backend:
            idle.pop(0).close()
        super().put_back(connection)
