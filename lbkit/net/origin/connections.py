"""Connections to backends, kept for the next request."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from math import inf
from ssl import SSLError
from typing import TYPE_CHECKING, Any, TypeAlias

from httptools import HttpResponseParser
from mypy_extensions import mypyc_attr

from lbkit.core import Backend, Intent
from lbkit.net.http1.client import ClientConnection
from lbkit.net.http1.head import HeadReader
from lbkit.net.origin.reach import HTTP2, Reach, ReachError, Reaches
from lbkit.net.peer import Peer
from lbkit.net.settings import Limits, Timeouts
from lbkit.net.tls.origin import handshake_fault

READY = Intent.READY  # looked up once: every request asks for it

if TYPE_CHECKING:
    from lbkit.net.http2.client_stream import ClientStream
    from lbkit.net.origin.sessions import Sessions

    AnyConnection: TypeAlias = ClientConnection | ClientStream  # of this or that version of HTTP


@mypyc_attr(allow_interpreted_subclasses=True)
class Connections:
    """Idle connections by backend. The most recently used is taken first, so that the others can expire."""

    def __init__(self, timeouts: Timeouts, limits: Limits) -> None:
        self.now: Callable[[], float] = lambda: 0.0  # the loop's clock, once it runs
        self.reach = Reaches()  # how each backend is reached
        self.fault: Callable[[str], object] = lambda what: None  # gets a line for a backend that is wrong
        self.timeouts = timeouts
        self.limits = limits
        self.max_head = limits.head
        self.reader = HeadReader(HttpResponseParser, 502)
        self.idle: dict[Backend, list[ClientConnection]] = {}
        self.sessions: Sessions | None = None  # those of HTTP/2, from the first on

    def idle_one(self, backend: Backend, peer: Peer | None = None) -> AnyConnection | None:
        """Return a connection that can take a request at once, or None. `peer`: its client, if it has one."""
        idle = self.idle.get(backend)
        while idle:
            connection = idle.pop()
            if not connection.transport.is_closing():
                return connection
        return self.sessions.free_stream(backend) if self.sessions else None

    async def connect(self, backend: Backend, peer: Peer | None = None) -> AnyConnection:
        """Return a new connection. Raises OSError, and TimeoutError (a subclass) after timeouts.connect.

        If the process is out of file descriptors, idle connections are closed to make room."""
        async with asyncio.timeout(self.timeouts.connect):
            try:
                return await self._connect(backend, peer)
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self.idle:
                    raise
            self.close_idle(inf)
            await asyncio.sleep(0)  # transports close in the loop
            return await self._connect(backend, peer)

    def own_reach(self, backend: Backend) -> Reach:
        """Return how the proxy itself reaches a backend, such as for a health check."""
        return self.reach(backend)

    def made(self, backend: Backend, peer: Peer | None) -> tuple[ClientConnection, bytes]:
        """Return a new connection for this peer, and the bytes that come first on it."""
        return ClientConnection(self, backend), b""

    async def _connect(self, backend: Backend, peer: Peer | None) -> AnyConnection:
        reach = self.reach(backend)
        try:
            if reach.protocol == HTTP2:
                return await self._shared().stream(backend, reach)
            connection, greeting = self.made(backend, peer)
            protocol: Any = connection
            await reach.open(lambda: protocol, backend.host, backend.port, greeting)
        except ReachError as error:
            failed = error
        else:
            return connection
        self.fault(f"backend {backend.name}: {failed}")  # not in the handler: it needs no traceback
        raise failed

    def _shared(self) -> Sessions:
        if self.sessions is None:
            from lbkit.net.origin.sessions import Sessions  # it needs the library h2

            self.sessions = Sessions(self.now, self.max_head, self.timeouts.connect, self.fault)
        return self.sessions

    def put_back(self, connection: ClientConnection) -> None:
        idle = self.idle.get(connection.backend)
        if idle is None:
            idle = self.idle[connection.backend] = []
        if len(idle) >= self.limits.idle_per_backend or connection.backend.intent is not READY:
            connection.close()
            return
        connection.rested_since = self.now()
        if not connection.reading:  # its last client was slow or rate-limited
            connection.read(True)
        idle.append(connection)

    def forget(self, connection: ClientConnection) -> None:
        idle = self.idle.get(connection.backend)
        if idle and connection in idle:
            idle.remove(connection)
        if idle == []:
            del self.idle[connection.backend]

    def refused(self, backend: Backend, error: SSLError) -> None:
        """Report a backend that has ended TLS: in 1.3, after the handshake it sees our certificate."""
        self.fault(f"backend {backend.name}: {handshake_fault(error, self.reach(backend).server_name)}")

    def close_idle_to(self, name: str) -> None:
        """Close the idle connections to a backend that is leaving, which waits for them to close."""
        for backend, idle in list(self.idle.items()):
            if backend.name == name:
                for connection in list(idle):
                    connection.close()
        if self.sessions:
            self.sessions.close_idle_to(name)

    def sweep(self, now: float) -> None:
        """Close what has been idle for `timeouts.idle`, and what shows no sign of life."""
        self.close_idle(now - self.timeouts.idle)
        if self.sessions:
            self.sessions.expire(now)

    def close_idle(self, before: float) -> None:
        """Close the connections that have been idle since before `before` (inf: all)."""
        for idle in list(self.idle.values()):
            for connection in [c for c in idle if c.rested_since < before]:
                connection.close()
        if self.sessions:
            self.sessions.close_idle(before)
