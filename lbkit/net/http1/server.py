"""A client's connection: requests come in one after the other, and answers are framed for it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from math import inf
from typing import Protocol

from httptools import HttpRequestParser

from lbkit.net.answers import own_answer
from lbkit.net.http1.body import LAST_CHUNK, Chunked, chunk
from lbkit.net.http1.grammar import BARE_LF, EMPTY_LINES, HEAD_END
from lbkit.net.http1.head import HeadReader, read_request
from lbkit.net.messages import CHUNKED, Answer, Handler, Incoming, Reject, ResponseHead
from lbkit.net.peer import Network, Peer
from lbkit.net.settings import Limits, Timeouts

LINGER = 2.0  # seconds to read on after a refusal, so that a reset does not eat the answer
FIRST_REQUEST = 1.0  # seconds that a stop waits for the request of a new connection
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST


class Open(Protocol):
    """What is open towards a client: a connection, or the relay that it has become."""

    def expire(self, now: float) -> None:
        """End what has waited too long."""

    def drain(self, now: float) -> None:
        """The proxy stops: end as soon as nothing is under way."""

    def abort(self) -> None: ...


class Listener:
    """What all client connections of a proxy share."""

    def __init__(
        self,
        handle: Handler,
        *,
        timeouts: Timeouts,
        limits: Limits,
        trusted: tuple[Network, ...] = (),
        refuse_twins: bool = False,
    ) -> None:
        self.handle = handle
        self.timeouts = timeouts
        self.limits = limits
        self.trusted = trusted
        self.refuse_twins = refuse_twins
        self.capacity = limits.connections
        self.now: Callable[[], float] = lambda: 0.0  # the loop's clock, once it runs
        self.open: set[Open] = set()
        self.reader = HeadReader(HttpRequestParser, 400)
        self.stopping = False
        self.on_close: Callable[[], object] = lambda: None
        self.on_full: Callable[[], object] = lambda: None

    def closed(self, what: Open) -> None:
        """A client has gone."""
        self.open.discard(what)
        self.on_close()


class ServerConnection(asyncio.Protocol):
    """Reads requests, hands each to the listener's handler, and writes the answer that comes of it.

    One request at a time: what comes behind it waits in `_unread`, and the socket is not read on, until the
    answer is complete. Deadlines are set when a wait begins; bytes of input do not move them.
    """

    __slots__ = (
        "_at",
        "_body_size",
        "_chunks",
        "_complete",
        "_current",
        "_deadline",
        "_framing",
        "_head_began",
        "_http11",
        "_keep_alive",
        "_linger",
        "_partial",
        "_reading",
        "_remaining",
        "_searched",
        "_skipped",
        "_unread",
        "_wanted",
        "before_first_request",
        "closed",
        "listener",
        "peer",
        "transport",
        "writable",
    )

    transport: asyncio.Transport

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.writable = True
        self.closed = False  # nothing is written any more
        self.before_first_request = True
        self._deadline = inf  # of the wait for a head, and of endings; else the exchange's counts
        self._linger = False
        # What is read.
        self._current: Incoming | None = None
        self._head_began = False
        self._partial: bytearray | None = None  # a head that has begun
        self._searched = 0  # up to here there is no end of it
        self._skipped = 0  # bytes of empty lines before it
        self._unread = b""  # what came behind the current request, from `_at` on
        self._at = 0
        self._complete = True  # the current request has been read to its end
        self._remaining = 0  # bytes of its body to come
        self._body_size = 0
        self._chunks: Chunked | None = None
        self._reading = True
        self._wanted = True  # the exchange takes more of the body
        # How the current request is answered.
        self._http11 = True
        self._keep_alive = True
        self._framing = False  # in chunks

    # -- asyncio's side -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        listener = self.listener
        peername = transport.get_extra_info("peername")
        self.peer = Peer(peername[0] if peername else "", listener.trusted, transport)
        full = len(listener.open) >= listener.capacity
        listener.open.add(self)
        self._deadline = listener.now() + listener.timeouts.head
        if full:
            listener.on_full()
            self._write_error(Reject(503, ""))
            self.close()

    def data_received(self, data: bytes) -> None:
        if self.closed or self._linger:
            return
        current = self._current
        if current is None:
            if self._partial is None:
                self._read_head(data, 0)
            else:
                self._read_partial(data)
        elif self._complete:
            self._unread = self._unread[self._at :] + data if self._unread else data
            self._at = 0
            self._pause_or_resume()
        else:
            self._read_body(current, data, 0)
            self._pause_or_resume()

    def eof_received(self) -> bool:
        return False  # a client that shuts its side has left: so nginx sees it, too

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

    # -- reading requests -----------------------------------------------------------------

    def _read_partial(self, data: bytes) -> None:
        """A head goes on. It is searched and copied once, however many pieces it comes in."""
        assert self._partial is not None
        partial = self._partial
        partial += data
        if partial.startswith(b"\r\n"):  # an empty line in two pieces
            end = 0
        else:
            end = partial.find(HEAD_END, self._searched)
        if end < 0:
            self._wait_for_head(partial)
            return
        self._partial = None
        self._read_head(bytes(partial), 0)

    def _head_begins(self, data: bytes, at: int, end: int) -> None:
        """The rest of it is waited for, until a deadline that is set once."""
        listener = self.listener
        limit = listener.limits.head
        if self._skipped > limit:
            self._refuse(Reject(400, "empty lines and no request"))
            return
        if end - at > limit:
            self._refuse(Reject(431, f"a head may have {limit} bytes"))
            return
        if not self._head_began:
            self._head_began = True
            self._deadline = listener.now() + listener.timeouts.head
        if at < len(data):
            self._searched = 0
            self._wait_for_head(bytearray(memoryview(data)[at:]))

    def _wait_for_head(self, partial: bytearray) -> None:
        limit = self.listener.limits.head
        if len(partial) > limit:
            self._refuse(Reject(431, f"a head may have {limit} bytes"))
        elif BARE_LF.search(partial, self._searched):
            self._refuse(Reject(400, "a line does not end with CRLF"))
        else:
            self._partial = partial
            self._searched = max(0, len(partial) - 3)

    def _read_head(self, data: bytes, at: int) -> None:
        """Between requests: a head begins at `at`, and mostly ends with the data."""
        listener = self.listener
        if data.startswith(b"\r\n", at):
            # Empty lines before a request are forgiven (RFC 9112, 2.2), within the limit of a head.
            start, at = at, EMPTY_LINES.match(data, at).end()  # type: ignore[union-attr]
            self._skipped += at - start
        limit = listener.limits.head
        end = data.find(HEAD_END, at) + 4
        if end < 4 or end - at > limit or self._skipped > limit:
            self._head_begins(data, at, end)
            return
        now = listener.now()
        head = data[at:end]
        try:
            keep_alive = listener.reader.check(head)
            request = read_request(head, self.peer, listener.limits.fields, listener.refuse_twins)
            length = request.length
            if length:
                self._begin_body(length)
        except Reject as reject:
            self._refuse(reject)
            return
        self.before_first_request = self._head_began = False
        self._skipped = 0
        self._http11 = request.http11
        request.keep_alive = self._keep_alive = keep_alive
        self._current = current = listener.handle(request, self, now)
        if end < len(data):
            if length:
                self._read_body(current, data, end)
            else:
                self._unread, self._at = data, end
            self._pause_or_resume()
        if self._current is current:
            current.begin(now)

    def _begin_body(self, length: int) -> None:
        limit = self.listener.limits.body
        if limit is not None and length > limit:
            raise Reject(413, f"a body may have {limit} bytes")
        self._complete = False
        self._body_size = 0
        self._remaining = max(0, length)
        self._chunks = Chunked(self.listener.limits.head) if length == CHUNKED else None

    def _read_body(self, current: Incoming, data: bytes, at: int) -> None:
        """Lengths are counted, chunks are parsed."""
        chunks = self._chunks
        if chunks is None:
            end = at + self._remaining
            piece = data[at:end] if at or end < len(data) else data
            self._remaining -= len(piece)
            self._complete = not self._remaining
            at = end
        else:
            try:
                piece = chunks.feed(data, at)
            except Reject as reject:
                current.refuse(reject.status, reject.why)
                return
            self._body_size += len(piece)
            limit = self.listener.limits.body
            if limit is not None and self._body_size > limit:
                current.refuse(413, f"a body may have {limit} bytes")
                return
            self._complete = chunks.done
            at = chunks.end
        if self._complete and at < len(data):
            self._unread, self._at = data, at
        if piece or self._complete:
            current.body(piece, self._complete)

    def read_body(self, wanted: bool) -> None:
        self._wanted = wanted
        self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        """Read while there is a place for it: the back-pressure towards the client."""
        wanted = not self._unread if self._complete else self._wanted
        if wanted != self._reading and not self.transport.is_closing():
            self._reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

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
        if self._framing:
            data = chunk(data) + LAST_CHUNK if end else chunk(data)
        self.transport.write(b"".join((fields, b"\r\n", data)))
        if end:
            self._answered()

    def _connection_fields(self, head: ResponseHead) -> bytes:
        """How the body is framed and what becomes of the connection, where that needs to be said."""
        fields = b""
        if not self._complete or self.listener.stopping:
            self._keep_alive = False  # the rest of a request would be taken for the next one
        if head.length < 0:
            if self._http11:
                self._framing = True
                fields = b"Transfer-Encoding: chunked\r\n"
            else:
                # HTTP/1.0 knows no chunks: there, such a body ends where the connection does.
                self._keep_alive = False
        if not self._keep_alive:
            return fields + b"Connection: close\r\n"
        return fields if self._http11 else fields + b"Connection: keep-alive\r\n"

    def send(self, data: bytes, end: bool) -> None:
        if self.closed:
            return
        if self._framing:
            data = chunk(data) + LAST_CHUNK if end else chunk(data)
        if data:
            self.transport.write(data)
        if end:
            self._answered()

    def ready(self, ready: bool) -> None:
        """Nothing is behind a connection that could be told."""

    def interim(self, head: ResponseHead) -> None:
        if self._http11 and not self.closed:
            self.transport.write(head.data + b"\r\n")

    def upgrade(self, head: ResponseHead) -> tuple[asyncio.Transport, bytes]:
        self.transport.write(head.data + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        early, self._unread = self._unread[self._at :], b""
        self._current = None
        self.closed = True
        self.listener.open.discard(self)
        return self.transport, early

    def _answered(self) -> None:
        """The current request has its whole answer."""
        self._current = None
        self._framing = False
        self._wanted = True
        if not self._keep_alive:
            if self._complete:
                self.close()
            else:
                self._close_lingering()
            return
        listener = self.listener
        self._deadline = listener.now() + listener.timeouts.idle
        if self._unread:
            # Not by recursion: a thousand requests may wait in there.
            asyncio.get_running_loop().call_soon(self._next)
        elif not self._reading:
            self._pause_or_resume()

    def _next(self) -> None:
        """Go on with what came behind the last request."""
        if self._current is None and not self.closed and not self._linger:
            data, self._unread = self._unread, b""
            self._read_head(data, self._at)
            self._pause_or_resume()

    # -- endings --------------------------------------------------------------------------

    def _refuse(self, reject: Reject) -> None:
        """There is no knowing where the next request would begin: answer, and close."""
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
        elif self._deadline >= now:
            return
        elif self._linger or self.closed or not self.writable:
            self.abort()
        elif self._partial:
            self._refuse(Reject(408, ""))
        else:
            self.close()

    def drain(self, now: float) -> None:
        if self.closed or self._linger:
            return
        if self.before_first_request:  # which is on its way
            self._deadline = min(self._deadline, now + FIRST_REQUEST)
        elif self._current is None and not self._partial and not self._unread:
            self.close()

    def close(self) -> None:
        """Send what is written, then close; abort if the client does not take it in time."""
        self.closed = True
        self._deadline = self.listener.now() + self.listener.timeouts.read
        self.transport.close()

    def _close_lingering(self) -> None:
        """Close, but read on for a while: closing on unread bytes would reset our answer away."""
        if self.closed or self._linger or self.transport.is_closing():
            return
        self._linger = True
        self._partial, self._unread = None, b""
        self._deadline = self.listener.now() + LINGER
        self.transport.write_eof()
        if not self._reading:
            self._reading = True
            self.transport.resume_reading()

    def abort(self) -> None:
        """End with RST: what has been sent of an answer must not look whole."""
        self.closed = True
        if not self.transport.is_closing():
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()
