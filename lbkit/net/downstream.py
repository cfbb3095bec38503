"""A client's connection: requests come in one after the other, and so do their answers."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING

from lbkit.net.exchange import Exchange
from lbkit.net.http import CHUNKED, HEAD_END, ChunkedBody, Reject, error_answer, read_request
from lbkit.net.peer import Peer

if TYPE_CHECKING:
    from lbkit.net.proxy import Proxy

LINGER = 2.0  # seconds to read on after a refusal, so that a reset does not eat the answer
BODY_AHEAD = 64 * 1024  # bytes of body held while there is no connection to send them on


class Downstream(asyncio.Protocol):
    """Reads requests, and is where exchanges write their answers.

    One request at a time: bytes that come behind it wait unread in `buffer`, and the socket
    is not read on, until it is answered. One deadline serves every wait; see `expired`.
    """

    __slots__ = (
        "buffer",
        "chunks",
        "current",
        "deadline",
        "fresh",
        "full",
        "gone",
        "lingering",
        "peer",
        "proxy",
        "reading",
        "remaining",
        "transport",
        "writable",
    )

    transport: asyncio.Transport

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.current: Exchange | None = None
        self.buffer = b""  # the beginning of a head, or what came behind the current request
        self.remaining = 0  # bytes of the current request's body to come, or CHUNKED
        self.chunks: ChunkedBody | None = None
        self.reading = True
        self.writable = True  # the client takes what we write
        self.full = False  # the backend does not take what we pass on
        self.gone = False
        self.lingering = False
        self.fresh = True  # has not sent a request yet
        self.deadline = inf

    # -- asyncio's side -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        proxy = self.proxy
        peername = transport.get_extra_info("peername")
        self.peer = Peer(peername[0] if peername else "", proxy.trusted, transport)
        if len(proxy.clients) >= proxy.limits.connections:
            self.gone = True
            self.transport.write(error_answer(503, close=True))
            self.transport.close()
            return
        proxy.clients.add(self)
        self.deadline = proxy.now() + proxy.timeouts.head

    def data_received(self, data: bytes) -> None:
        current = self.current
        if self.lingering or self.gone:
            return
        if current is None:
            self._read_head(data)
        elif current.tunnel:
            self.touch()
            if current.upstream:
                current.upstream.transport.write(data)
        elif current.complete:
            self.buffer += data
            self._read_or_not()
        else:
            self.touch()
            self._read_body(current, data)
            self._read_or_not()

    def eof_received(self) -> bool:
        current = self.current
        if current and current.tunnel and current.upstream:
            if current.ended:
                current.upstream.transport.close()  # both sides have: it is over when all is sent
            else:
                current.ended = True
                current.upstream.transport.write_eof()
            return True
        return False  # a client that shuts its side has left: so nginx sees it, too

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.proxy.clients.discard(self)
        current, self.current = self.current, None
        if current:
            current.cancel()
        self.proxy.went(self)

    def pause_writing(self) -> None:
        self.writable = False
        self.touch()
        if self.current:
            self.current.read_on(False)

    def resume_writing(self) -> None:
        self.writable = True
        self.touch()
        if self.current and self.current.pace:
            self.current.pace.go()
        elif self.current:
            self.current.read_on(True)

    # -- reading requests -------------------------------------------------------------------

    def _read_head(self, data: bytes) -> None:
        """Between requests: a head begins, goes on or ends."""
        proxy = self.proxy
        now = proxy.now()
        begins = not self.buffer
        if self.buffer:
            data = self.buffer + data
            self.buffer = b""
        while data.startswith(b"\r\n"):
            data = data[2:]  # empty lines before a request are forgiven (RFC 9112, 2.2)
        end = data.find(HEAD_END) + 4
        limit = proxy.limits.head
        if end < 4 or end > limit:
            if len(data) > limit:
                self._refuse_head(Reject(431, f"a head may have {limit} bytes"))
                return
            self.buffer = data
            if begins:
                self.deadline = now + proxy.timeouts.head
            return
        head = data[:end]
        try:
            keep_alive = proxy.request_reader.check(head)
            request = read_request(head, self.peer, proxy.limits.fields)
            if proxy.limits.body is not None and request.length > proxy.limits.body:
                raise Reject(413, f"a body may have {proxy.limits.body} bytes")
        except Reject as reject:
            self._refuse_head(reject)
            return
        self.fresh = False
        self.current = current = Exchange(self, request, keep_alive)
        self.deadline = now + proxy.timeouts.read
        if end == len(data) and current.complete:
            current.begin(now)  # nothing behind it: by far the most frequent case
            return
        if current.complete:
            self.buffer = data[end:]
        else:
            self.remaining = request.length
            self.chunks = ChunkedBody() if request.length == CHUNKED else None
            self._read_body(current, data[end:])
        if not current.over:
            current.begin(now)
        self._read_or_not()

    def _read_body(self, current: Exchange, data: bytes) -> None:
        """Lengths are counted, chunks are parsed."""
        limit = self.proxy.limits.body
        if self.chunks is None:
            piece = data[: self.remaining]
            self.buffer = data[self.remaining :]
            self.remaining -= len(piece)
            done = self.remaining == 0
        else:
            try:
                piece = self.chunks.feed(data)
            except Reject as reject:
                self._break_off(current, reject)
                return
            done = self.chunks.done
            if self.chunks.extra:
                # Where the next request begins the parser does not tell. Its sender must
                # expect that a connection closes, and send it again (RFC 9112, 9.3.2).
                current.keep_alive = False
        if limit is not None and current.body_size + len(piece) > limit:
            self._break_off(current, Reject(413, f"a body may have {limit} bytes"))
            return
        current.feed(piece)
        if done:
            current.end_of_request()

    def _refuse_head(self, reject: Reject) -> None:
        """There is no knowing where the next request would begin: answer, and close."""
        self.write(error_answer(reject.status, reject.why, close=True))
        self._linger()

    def _break_off(self, current: Exchange, reject: Reject) -> None:
        """A body went wrong on its way."""
        current.cancel()
        if current.started:
            self.abort()
        else:
            self.refuse(current, reject.status, reject.why)

    def _read_or_not(self) -> None:
        """Read while somebody can take it: the back-pressure towards the client."""
        current = self.current
        if current is None:
            wanted = True
        elif current.complete and not current.tunnel:
            wanted = not self.buffer
        else:
            ahead = 0 if current.upstream else sum(map(len, current.body))
            wanted = not self.full and ahead <= BODY_AHEAD
        if wanted != self.reading and not self.transport.is_closing():
            self.reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    # -- answering -----------------------------------------------------------------------

    def finished(self, exchange: Exchange, now: float) -> None:
        """The current request has been answered, one way or another."""
        self.current = None
        if self.gone:
            return
        if not exchange.keep_alive or self.proxy.stopping:
            if exchange.complete:
                self.close()
            else:
                self._linger()
            return
        self.full = False
        self.deadline = now + self.proxy.timeouts.idle
        if self.buffer:
            # Not by recursion: a thousand requests may wait in there.
            asyncio.get_running_loop().call_soon(self._next)
        elif not self.reading:
            self._read_or_not()

    def _next(self) -> None:
        """Go on with what came behind the last request."""
        if self.current is None and not self.gone:
            data, self.buffer = self.buffer, b""
            self._read_head(data)
            self._read_or_not()

    def refuse(self, exchange: Exchange, status: int, why: str = "") -> None:
        """Answer with an error of our own."""
        exchange.keep_alive = exchange.keep_alive and exchange.complete
        head_only = exchange.request.method == b"HEAD"
        closes = not exchange.keep_alive
        fields = exchange.fields
        if self.proxy.expose:
            fields += b"X-Lbkit-Attempts: %d\r\n" % exchange.attempts
        self.write(error_answer(status, why, close=closes, head_only=head_only, fields=fields))
        self.finished(exchange, self.proxy.now())

    def write(self, data: bytes) -> None:
        if not self.gone:
            self.transport.write(data)

    def touch(self) -> None:
        """Something moved in the current exchange: the clock starts again."""
        timeouts = self.proxy.timeouts
        tunnel = self.current is not None and self.current.tunnel
        self.deadline = self.proxy.now() + (timeouts.tunnel if tunnel else timeouts.read)

    def backend_ready(self) -> None:
        """The current exchange has its connection, and what was held of its body is on the way."""
        if not self.reading:
            self._read_or_not()

    def backend_full(self, full: bool) -> None:
        self.full = full
        self.touch()
        self._read_or_not()

    # -- tunnels (WebSocket) ------------------------------------------------------------------

    def open_tunnel(self) -> None:
        early, self.buffer = self.buffer, b""
        if early and self.current and self.current.upstream:
            self.current.upstream.transport.write(early)
        self.touch()
        self._read_or_not()

    def relay(self, data: bytes) -> None:
        self.touch()
        self.write(data)

    def relay_eof(self) -> None:
        if not self.gone:
            self.transport.write_eof()

    # -- endings -----------------------------------------------------------------------

    def expired(self) -> None:
        """The deadline has passed. What was being waited for?"""
        current = self.current
        if self.lingering or not self.writable or (current and current.tunnel):
            self.abort()
        elif current and current.held:
            self.touch()  # a rate limit or the gate makes it wait: theirs is the clock that counts
        elif current is None:
            if self.buffer:
                self.write(error_answer(408, close=True))
            self.close()
        elif not current.complete:
            self._break_off(current, Reject(408, "the body stopped coming"))
        else:
            current.fail(504)

    def close(self) -> None:
        """Send what is written, then close."""
        self.gone = True
        self.transport.close()

    def _linger(self) -> None:
        """Close, but read on for a while: closing on unread bytes would reset our answer away."""
        if self.gone or self.lingering:
            return
        self.lingering = True
        self.buffer = b""
        self.deadline = self.proxy.now() + LINGER
        self.transport.write_eof()
        self._read_or_not()

    def abort(self) -> None:
        self.gone = True
        self.transport.abort()
