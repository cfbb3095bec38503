"""HTTP/2 connections to backends: few of them, each shared by many requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from lbkit.core import Backend, Intent
from lbkit.net.http2.client import SharedConnection
from lbkit.net.http2.client_stream import ClientStream
from lbkit.net.origin.reach import Reach, ReachError


class Sessions:
    """Opens a connection where the others are full. At the beginning all requests wait for the first one."""

    def __init__(
        self, now: Callable[[], float], max_head: int, timeout: float, fault: Callable[[str], object]
    ) -> None:
        """`timeout`: seconds to connect, until the backend's settings are here."""
        self.now = now
        self.fault = fault  # gets a line for a backend that is wrong
        self.max_head = max_head
        self.timeout = timeout
        self.open: dict[Backend, list[SharedConnection]] = {}
        self._dialling: dict[Backend, asyncio.Task[None]] = {}

    def free_stream(self, backend: Backend) -> ClientStream | None:
        """Return a stream on a connection that can take another request, or None."""
        for connection in self.open.get(backend, ()):
            if connection.free:
                return ClientStream(connection)
        return None

    async def stream(self, backend: Backend, reach: Reach) -> ClientStream:
        """Return a stream, on a new connection if need be. Raises OSError."""
        while (stream := self.free_stream(backend)) is None:
            dialling = self._dialling.get(backend)
            if dialling is None:
                dialling = asyncio.get_running_loop().create_task(self._dial(backend, reach))
                self._dialling[backend] = dialling
                dialling.add_done_callback(partial(self._dialled, backend))
            await asyncio.shield(dialling)  # others wait for it, too
        return stream

    def _dialled(self, backend: Backend, task: asyncio.Task[None]) -> None:
        del self._dialling[backend]
        if not task.cancelled():
            task.exception()  # that is for the requests that wait; there may be none left

    async def _dial(self, backend: Backend, reach: Reach) -> None:
        """Connect. The backend's settings come first of all, so whoever sends none does not speak HTTP/2."""
        connection = SharedConnection(self, backend, reach.scheme, reach.server_name)
        async with asyncio.timeout(self.timeout):
            await reach.open(lambda: connection, backend.host, backend.port)
            try:
                why = await connection.ready
            except asyncio.CancelledError:
                connection.abort()
                raise
        if not why and connection.leaving:
            raise ConnectionError("it closes the connection at once")  # as it does when it is about to stop
        if not why and not connection.free:
            why = "it allows no requests at all"
            connection.close()
        if why:
            raise ReachError(why)
        self.open.setdefault(backend, []).append(connection)

    # -- called by connections -------------------------------------------------------------------

    def idle_session(self, connection: SharedConnection) -> None:
        if connection.backend.intent is not Intent.READY:
            connection.close()

    def forget_session(self, connection: SharedConnection) -> None:
        there = self.open.get(connection.backend, [])
        if connection in there:
            there.remove(connection)
        if not there:
            self.open.pop(connection.backend, None)

    # -- called at times -------------------------------------------------------------------------

    def _all(self) -> list[SharedConnection]:
        return [connection for some in self.open.values() for connection in some]

    def expire(self, now: float) -> None:
        for connection in self._all():
            connection.expire(now)

    def close_idle(self, before: float) -> None:
        """Close the connections that have had no request since before `before`."""
        for connection in self._all():
            if not connection.streams and connection.rested_since < before:
                connection.close()

    def close_idle_to(self, name: str) -> None:
        """Close the connections to a backend that is leaving, each with its last request."""
        for connection in self._all():
            if connection.backend.name == name:
                connection.retire()
