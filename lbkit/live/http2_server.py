"""HTTP/2 for the backend processes: a balancer at layer 4 passes on what its clients speak.

A connection that begins with HTTP/2's preface (prior knowledge; RFC 9113, 3.3) is taken over from uvicorn,
which speaks HTTP/1.1. Each stream is a call of the application, as uvicorn makes it for a request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error
from uvicorn.protocols.http.h11_impl import H11Protocol

PREFACE = b"PRI * HTTP/2.0\r\n"


class EitherProtocol(H11Protocol):
    """HTTP/1.1, or HTTP/2 for a client that begins so."""

    _begun = False

    def data_received(self, data: bytes) -> None:
        if not self._begun and data.startswith(PREFACE):
            self._unset_keepalive_if_required()
            self.connections.discard(self)
            made = Http2Protocol(self.app, self.connections)
            self.transport.set_protocol(made)
            made.connection_made(self.transport)
            made.data_received(data)
            return
        self._begun = True
        super().data_received(data)


class Http2Protocol(asyncio.Protocol):
    """A connection with a task for each stream. uvicorn ends it with `shutdown`, as its own."""

    transport: asyncio.Transport

    def __init__(self, app: Any, connections: set[Any]) -> None:
        """`connections`: uvicorn's, from which it learns what is still open."""
        self.app, self.connections = app, connections
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._bodies: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._unsent: dict[int, bytes] = {}  # what waits until the client opens its windows
        self._happens: dict[type[Event], Callable[[Any], None]] = {
            RequestReceived: self._request,
            DataReceived: self._data,
            StreamEnded: self._ended,
            StreamReset: self._left,
            WindowUpdated: self._send_on,
            ConnectionTerminated: lambda event: self.transport.close(),
        }

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.connections.add(self)
        self._h2.initiate_connection()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except H2Error:
            self._flush()
            self.transport.close()
            return
        for event in events:
            if happens := self._happens.get(type(event)):
                happens(event)
        self._flush()

    def connection_lost(self, why: Exception | None) -> None:
        self.connections.discard(self)
        for stream in list(self._bodies):
            self._tell(stream, {"type": "http.disconnect"})

    def shutdown(self) -> None:
        """Refuse new streams; close when those there are have ended."""
        self._h2.close_connection()
        self._flush()
        if not self._tasks:
            self.transport.close()

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self.transport.write(data)

    # -- streams ----------------------------------------------------------------------------------

    def _request(self, event: Any) -> None:
        stream, fields = event.stream_id, dict(event.headers)
        path, _, query = fields[b":path"].partition(b"?")
        scope = {
            "type": "http",
            "method": fields[b":method"].decode("ascii"),
            "path": unquote(path.decode("latin-1")),
            "query_string": query,
            "headers": [pair for pair in event.headers if not pair[0].startswith(b":")],
        }
        self._bodies[stream] = asyncio.Queue()
        self._tasks[stream] = asyncio.get_running_loop().create_task(self._serve(stream, scope))

    async def _serve(self, stream: int, scope: dict[str, Any]) -> None:
        async def send(message: dict[str, Any]) -> None:
            if stream in self._bodies and not self.transport.is_closing():
                self._send(stream, message)

        try:
            await self.app(scope, self._bodies[stream].get, send)
        finally:
            del self._bodies[stream], self._tasks[stream]

    def _send(self, stream: int, message: dict[str, Any]) -> None:
        """Send a part of an answer."""
        try:
            if message["type"] == "http.response.start":
                status = (b":status", b"%d" % message["status"])
                self._h2.send_headers(stream, [status, *message["headers"]])
            else:
                self._unsent[stream] = message["body"]
                self._send_on(None)
        except H2Error:  # the client has left
            self._unsent.pop(stream, None)
        self._flush()

    def _send_on(self, event: Any) -> None:
        """Send what the windows have room for."""
        for stream, rest in list(self._unsent.items()):
            while True:
                room = min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
                piece, rest = rest[:room], rest[room:]
                if piece or not rest:
                    self._h2.send_data(stream, piece, end_stream=not rest)
                if not piece or not rest:
                    break
            if rest:
                self._unsent[stream] = rest
            else:
                del self._unsent[stream]

    def _data(self, event: Any) -> None:
        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self._tell(event.stream_id, {"type": "http.request", "body": event.data, "more_body": True})

    def _ended(self, event: Any) -> None:
        self._tell(event.stream_id, {"type": "http.request", "body": b"", "more_body": False})

    def _left(self, event: Any) -> None:
        self._unsent.pop(event.stream_id, None)
        self._tell(event.stream_id, {"type": "http.disconnect"})

    def _tell(self, stream: int, message: dict[str, Any]) -> None:
        if stream in self._bodies:
            self._bodies[stream].put_nowait(message)
