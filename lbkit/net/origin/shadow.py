"""Copies of requests for a shadow pool. Its answers are compared and thrown away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING

from lbkit.core import Lease
from lbkit.core.attempts import Failure
from lbkit.core.routing import Seen
from lbkit.net.http1.head import without_fields
from lbkit.net.messages import RequestHead, ResponseHead
from lbkit.net.origin.connections import Connections

if TYPE_CHECKING:
    from lbkit.net.origin.connections import AnyConnection

MARK = b"X-Lbkit-Mirror"  # says that a request is a copy


class Digest:
    """What is compared of a body that arrives in pieces: its length and a hash."""

    __slots__ = ("_hash", "length")

    def __init__(self, hashed: bool) -> None:
        self.length = 0
        self._hash = blake2b(digest_size=16) if hashed else None

    def add(self, data: bytes) -> None:
        self.length += len(data)
        if self._hash is not None:
            self._hash.update(data)

    def value(self) -> bytes:
        return self._hash.digest() if self._hash is not None else b""


def copied(request: RequestHead) -> RequestHead:
    """Return the head of a copy, which is marked, and waits for no 100 Continue."""
    data = without_fields(request.data, {b"expect", MARK.lower()}) + MARK + b": 1\r\n"
    return RequestHead(
        request.method, request.target, data, request.peer, request.client, length=request.length
    )


class Shadow:
    """A copy under way. Like an exchange, it is the receiver of a connection; it raises nothing."""

    def __init__(
        self,
        request: RequestHead,
        body: bytes,
        lease: Lease,
        connections: Connections,
        timeout: float,
        hashed: bool,
        on_end: Callable[[Shadow, Seen], object],
    ) -> None:
        self.request = copied(request)
        self.body = body
        self.lease = lease
        self.connections = connections
        self.connection: AnyConnection | None = None
        self._digest = Digest(hashed)
        self._status = 0
        self._seconds = 0.0
        self._on_end: Callable[[Shadow, Seen], object] | None = on_end
        self._began = connections.now()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(timeout, self.end)
        self._task: asyncio.Task[None] | None = None  # connecting
        loop.call_soon(self._start)  # the client's own request goes first

    def _start(self) -> None:
        if self._on_end is None:
            return
        kept = self.connections.idle_one(self.lease.backend, self.request.peer)
        if kept is None:
            self._connect()
        else:
            self._send(kept)

    def _connect(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._connected())

    async def _connected(self) -> None:
        try:
            connection = await self.connections.connect(self.lease.backend, self.request.peer)
        except OSError:
            self.end()
            return
        self._send(connection)

    def _send(self, connection: AnyConnection) -> None:
        if connection.transport.is_closing():
            self.end()
            return
        self.connection = connection
        connection.send(self, self.request, self.body, True)

    def end(self, complete: bool = False) -> None:
        """Finish; what is incomplete counts as no answer. May be called more than once."""
        on_end, self._on_end = self._on_end, None
        if on_end is None:
            return
        self._deadline.cancel()
        if self._task:
            self._task.cancel()
        connection, self.connection = self.connection, None
        if connection:
            connection.close()
        digest = self._digest
        seen = Seen(self._status, digest.length, digest.value(), self._seconds) if complete else Seen(0)
        on_end(self, seen)

    # -- as a receiver -----------------------------------------------------------------------

    def answer(self, head: ResponseHead, data: bytes, end: bool) -> None:
        self._status = head.status
        self._seconds = self.connections.now() - self._began
        self.data(data, end)

    def data(self, data: bytes, end: bool) -> None:
        self._digest.add(data)
        if end:
            self.connection = None  # it is idle again
            self.end(complete=True)

    def lost(self, failure: Failure, kept: bool) -> None:
        self.connection = None
        if kept and failure is Failure.CLOSED_UNANSWERED and self._on_end:
            # The backend had closed the connection before it got the copy.
            self._connect()
        else:
            self.end()

    def interim(self, head: ResponseHead) -> None:
        """Ignored."""

    def switched(self, head: ResponseHead, transport: asyncio.Transport, data: bytes) -> None:
        self.connection = None
        transport.abort()
        self.end()

    def origin_ready(self, ready: bool) -> None:
        """Ignored: a copy's body is small, and has been written whole."""
