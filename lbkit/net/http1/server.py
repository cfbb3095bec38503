"""A connection from a client: takes its requests one after another, and frames the answers."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

from lbkit.core import Backend
from lbkit.net.answers import own_answer
from lbkit.net.http1.body import chunk
from lbkit.net.http1.listener import Listener
from lbkit.net.http1.reading import RequestReading
from lbkit.net.messages import Answer, Reject, ResponseHead

LINGER = 2.0  # seconds to keep reading after an error, so that a reset does not discard the answer
FIRST_REQUEST = 1.0  # seconds that a shutdown waits for the first request of a new connection
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with timeout 0: closing sends RST


class ServerConnection(RequestReading):
    """Writes the answers to the requests that its base class reads, and closes the connection."""

    __slots__ = ("_chunked",)

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self._chunked = False  # the current answer goes out in chunks

    # -- called by asyncio -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        listener = self.listener
        self.peer = listener.peer_of(transport)
        self._deadline = listener.now() + listener.timeouts.head
        if refusal := listener.admit(self, self.peer):
            self._write_error(refusal)
            self.close()

    def eof_received(self) -> bool:
        return False  # a client that has ended its side counts as gone, as in nginx

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        current, self._current = self._current, None
        if current:
            current.client_gone()
        self.listener.closed(self)

    def pause_writing(self) -> None:
        self._writable(False)

    def resume_writing(self) -> None:
        self._writable(True)

    def _writable(self, writable: bool) -> None:
        self.writable = writable
        if self._current:
            self._current.client_ready(writable)
            return
        # No new request is read until the client has taken the answers to the previous ones.
        self._deadline = self.listener.now() + self.listener.timeouts.read
        if writable and self._lingers:
            self._deadline = self.listener.now() + LINGER
        elif writable and not self.closed:
            self._go_on()

    # -- answering ----------------------------------------------------------------------------

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        if self.closed:
            return
        fields = head.data
        if head.length < 0 or not (self._complete and self._keep_alive and self._http11):
            fields += self._connection_fields(head)
        elif self.listener.stopping:
            self._keep_alive = False
            fields += b"Connection: close\r\n"
        if self._chunked:
            data = chunk(data, end)
        self.transport.write(b"".join((fields, b"\r\n", data)))
        if end:
            self._answered()

    def _connection_fields(self, head: ResponseHead) -> bytes:
        """Return the fields for the framing of the body and for closing the connection, where needed."""
        fields = b""
        if not self._complete or self.listener.stopping:
            self._keep_alive = False  # the rest of this request would be read as the next one
        if head.length < 0:
            if self._http11:
                self._chunked = True
                fields = b"Transfer-Encoding: chunked\r\n"
            else:
                # HTTP/1.0 has no chunks: there, such a body ends with the connection.
                self._keep_alive = False
        if not self._keep_alive:
            return fields + b"Connection: close\r\n"
        return fields if self._http11 else fields + b"Connection: keep-alive\r\n"

    def send(self, data: bytes, end: bool) -> None:
        if self.closed:
            return
        if self._chunked:
            data = chunk(data, end)
        if data:
            self.transport.write(data)
        if end:
            self._answered()

    def ready(self, ready: bool) -> None:
        """Ignored: a connection is the last sink."""

    def interim(self, head: ResponseHead) -> None:
        if self._http11 and not self.closed:
            self.transport.write(head.data + b"\r\n")

    def upgrade(self, head: ResponseHead) -> tuple[asyncio.Transport, bytes]:
        self.transport.write(head.data + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        early, self._unread = self._unread[self._at :], b""
        self._current = None
        self.closed = True
        self.listener.leaves(self)
        return self.transport, early

    def _answered(self) -> None:
        """Called when the current request's answer is complete."""
        current, self._current = self._current, None
        self._chunked = False
        self._wanted = True
        if current:
            current.delivered()
        if not self._keep_alive:
            if self._complete:
                self.close()
            else:
                self._close_lingering()
            return
        if self.listener.stopping and not self._unread:  # it began before the stop, and could not say so
            self.close()
            return
        timeouts = self.listener.timeouts
        self._deadline = self.listener.now() + (timeouts.idle if self.writable else timeouts.read)
        if self._unread or not self._reading:
            self._go_on()

    def _go_on(self) -> None:
        """Continue with the next request, if it has arrived and the client takes answers."""
        if self._unread and self.writable:
            # Not recursive: a thousand pipelined requests may be waiting.
            asyncio.get_running_loop().call_soon(self._next)
        else:
            self._pause_or_resume()

    # -- endings --------------------------------------------------------------------------

    def say_last(self) -> None:
        self._keep_alive = False

    def cut(self, backend: Backend) -> None:
        if self._current:
            self._current.cut(backend)

    def _refuse(self, reject: Reject) -> None:
        """Answer with an error and close: where the next request begins is unknown."""
        self._write_error(reject)
        self._close_lingering()

    def _write_error(self, reject: Reject) -> None:
        head, body = own_answer(Answer(reject.status, reject.why))
        self.transport.write(b"".join((head.data, b"Connection: close\r\n\r\n", body)))

    def expire(self, now: float) -> None:
        current = self._current
        if current is not None:
            if current.deadline < now:
                current.expired(now)
            elif self._pace is not None and not self._complete and self._pace.too_slow(now):
                current.refuse(408, "the body comes too slowly")
        elif self._deadline >= now:
            return
        elif self._lingers and not self.transport.get_write_buffer_size():
            self.transport.close()  # the kernel sends the rest
        elif self._lingers or self.closed or not self.writable:
            self.abort()
        elif self._partial:
            self._refuse(Reject(408, ""))
        else:
            self.close()

    def drain(self, now: float) -> None:
        if self.closed or self._lingers:
            return
        if self.before_first_request:  # it is on its way
            self._deadline = min(self._deadline, now + FIRST_REQUEST)
        elif self._current is None and not self._partial and not self._unread:
            self.close()

    def close(self) -> None:
        """Close after the written data is sent; abort if the client does not take it in time."""
        self.closed = True
        self._deadline = self.listener.now() + self.listener.timeouts.read
        self.transport.close()

    def _close_lingering(self) -> None:
        """Close, but keep reading for a while: closing with unread input would reset the connection."""
        if self.closed or self._lingers or self.transport.is_closing():
            return
        self._lingers = True
        self._partial, self._unread = None, b""
        timeouts, unsent = self.listener.timeouts, self.transport.get_write_buffer_size()
        self._deadline = self.listener.now() + (timeouts.read if unsent else LINGER)
        if self.transport.can_write_eof():  # with TLS the client knows the end by the answer's length
            self.transport.write_eof()
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()

    def abort(self) -> None:
        """Close with RST, so that an incomplete answer does not look complete."""
        self.closed = True
        if not self.transport.is_closing():
            with suppress(OSError):  # it is reset already
                self.transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _RESET
                )
        self.transport.abort()
