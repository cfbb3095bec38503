"""Connections to backends: one protocol object each, kept alive and used again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lbkit.core import Backend
from lbkit.net.http import (
    CHUNKED,
    HEAD_END,
    LAST_CHUNK,
    UNTIL_CLOSE,
    ChunkedBody,
    Reject,
    chunk,
    read_response,
    without_fields,
)

if TYPE_CHECKING:
    from lbkit.net.exchange import Exchange
    from lbkit.net.probe import Probe
    from lbkit.net.proxy import Proxy

# A backend closes a connection that rested too long just as we send on it: bad luck, not a
# failure, and worth another try. One that was busy a moment ago was not closed for resting.
RESTED = 1.0


class Upstream(asyncio.Protocol):
    """Reads answers from one connection and hands them to the exchange it serves."""

    __slots__ = (
        "backend",
        "buffer",
        "chunks",
        "connections",
        "exchange",
        "keep",
        "reframe",
        "remaining",
        "rested_since",
        "silent",
        "stale",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, connections: Connections, backend: Backend) -> None:
        self.connections = connections
        self.backend = backend
        self.exchange: Exchange | Probe | None = None
        self.buffer = b""  # the beginning of a head
        self.remaining: int | None = None  # bytes of body to come, CHUNKED or UNTIL_CLOSE; None: a head
        self.chunks: ChunkedBody | None = None
        self.reframe = False  # the client gets the body in chunks
        self.keep = False
        self.silent = True  # not a byte of an answer yet
        self.rested_since = 0.0
        self.stale = False  # it rested so long that the backend may just have closed it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def send(self, exchange: Exchange | Probe, data: bytes) -> None:
        """Serve this exchange, starting with `data`."""
        self.exchange = exchange
        self.remaining = None
        self.silent = True
        self.backend.traffic += len(data)
        self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.close()  # speaks without being asked: whose answer would that be?
            return
        self.backend.traffic += len(data)
        self.silent = False
        if exchange.tunnel:
            exchange.client.relay(data)
            return
        try:
            if self.remaining is None:
                self._read_head(exchange, data)
            else:
                self._read_body(exchange, data)
        except Reject:
            exchange.fail(502)
        if self.exchange:
            exchange.client.touch()  # there is more to come

    def _read_head(self, exchange: Exchange | Probe, data: bytes) -> None:
        if self.buffer:
            data = self.buffer + data
            self.buffer = b""
        end = data.find(HEAD_END) + 4
        limit = exchange.proxy.limits.head
        if end < 4 or end > limit:
            if len(data) > limit:
                raise Reject(502, "")
            self.buffer = data
            return
        head = data[:end]
        request = exchange.request
        head_only = request.method == b"HEAD"
        status, answer, length = read_response(head, head_only)
        whole = length == len(data) - end
        # Given the whole message, the reader is at once ready for the next one.
        keep = exchange.proxy.response_reader.check(data if whole and not head_only else head)
        if status < 200:
            self._interim(exchange, status, answer, data[end:])
            return
        exchange.status = status
        proxy = exchange.proxy
        if proxy.wants_reports:
            exchange.reported(head, proxy.now())
        if proxy.hide_errors and status >= 500:
            exchange.fail(status)
            return
        if proxy.hide:
            answer = without_fields(answer, proxy.hide)
        if request.http11:
            self.reframe = length < 0
            if self.reframe:
                answer += b"Transfer-Encoding: chunked\r\n"
        else:
            # HTTP/1.0 knows no chunks: there, such a body ends where the connection does.
            self.reframe = False
            if length < 0:
                exchange.keep_alive = False
            elif exchange.keep_alive:
                answer += b"Connection: keep-alive\r\n"
        if not exchange.complete or exchange.proxy.stopping:
            exchange.keep_alive = False  # the rest of a request would be taken for the next one
        if not exchange.keep_alive:
            answer += b"Connection: close\r\n"
        if exchange.proxy.expose:
            answer += b"X-Lbkit-Attempts: %d\r\n" % exchange.attempts
        if proxy.explain:
            answer += exchange.why()
        answer += exchange.fields
        if proxy.bandwidths:
            exchange.shape()
        exchange.started = True
        answer += b"\r\n"
        self.keep = keep and length != UNTIL_CLOSE
        if whole:
            exchange.sink.write(answer + data[end:] if length else answer)
            self._finish(exchange)
            return
        self.remaining = length
        self.chunks = ChunkedBody() if length == CHUNKED else None
        if end < len(data):
            self._read_body(exchange, data[end:], answer)
        else:
            exchange.sink.write(answer)

    def _interim(self, exchange: Exchange | Probe, status: int, answer: bytes, rest: bytes) -> None:
        """1xx: 100 and 103 pass, to clients that know them; 101 opens the tunnel that was asked for."""
        client = exchange.client
        if status == 101:
            if not exchange.request.upgrade:
                raise Reject(502, "")
            client.write(answer + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            exchange.open_tunnel()
            if rest:
                client.relay(rest)
            return
        if exchange.request.http11:
            client.write(answer + b"\r\n")
        if rest:
            self._read_head(exchange, rest)

    def _read_body(self, exchange: Exchange | Probe, data: bytes, before: bytes = b"") -> None:
        """A piece of body goes on, behind `before`. Lengths are counted, chunks are parsed."""
        remaining = self.remaining
        assert remaining is not None
        done = False
        if remaining >= 0:
            if len(data) > remaining:
                data = data[:remaining]
                self.keep = False  # an answer nobody asked for follows: trust it no more
            self.remaining = remaining - len(data)
            done = self.remaining == 0
        elif self.chunks:
            data = self.chunks.feed(data)
            done = self.chunks.done
            if self.chunks.extra:
                self.keep = False
        if self.reframe:
            data = chunk(data) + (LAST_CHUNK if done else b"")
        exchange.sink.write(before + data)
        if done:
            self._finish(exchange)

    def eof_received(self) -> bool:
        exchange = self.exchange
        if exchange and exchange.tunnel:
            both, exchange.ended = exchange.ended, True
            exchange.client.relay_eof()
            return not both
        # A body with neither length nor chunks ends so. A reset is no such end: it comes as
        # connection_lost, without this.
        if exchange and self.remaining == UNTIL_CLOSE:
            if self.reframe:
                exchange.sink.write(LAST_CHUNK)
            self._finish(exchange)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.forget(self)
        exchange, self.exchange = self.exchange, None
        if exchange:
            exchange.lost(self)

    def pause_writing(self) -> None:
        if self.exchange:
            self.exchange.client.backend_full(True)

    def resume_writing(self) -> None:
        if self.exchange:
            self.exchange.client.backend_full(False)

    def _finish(self, exchange: Exchange | Probe) -> None:
        self.exchange = None
        now = exchange.proxy.now()
        if self.keep and exchange.complete and not self.transport.is_closing():
            self.connections.put_back(self, now)
        else:
            self.close()
        exchange.finish(now)

    def close(self) -> None:
        self.exchange = None
        self.transport.abort()


class Connections:
    """Idle connections by backend; the one used last goes first, so that the others can retire."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.idle: dict[Backend, list[Upstream]] = {}

    def take(self, backend: Backend, now: float) -> Upstream | None:
        """An idle connection, or None."""
        idle = self.idle.get(backend)
        while idle:
            upstream = idle.pop()
            if not upstream.transport.is_closing():
                upstream.stale = now - upstream.rested_since > RESTED
                return upstream
        return None

    async def connect(self, backend: Backend) -> Upstream:
        """A new connection. Raises OSError, and TimeoutError (which is one) after timeouts.connect."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self.proxy.timeouts.connect):
            _, upstream = await loop.create_connection(
                lambda: Upstream(self, backend), backend.host, backend.port
            )
        return upstream

    def put_back(self, upstream: Upstream, now: float) -> None:
        idle = self.idle.get(upstream.backend)
        if idle is None:
            idle = self.idle[upstream.backend] = []
        if len(idle) >= self.proxy.limits.idle_per_backend:
            upstream.close()
            return
        upstream.rested_since = now
        upstream.transport.resume_reading()  # its last client may have been slow, or paced
        idle.append(upstream)

    def forget(self, upstream: Upstream) -> None:
        idle = self.idle.get(upstream.backend)
        if idle and upstream in idle:
            idle.remove(upstream)
        if idle == []:
            del self.idle[upstream.backend]

    def close_rested(self, before: float) -> None:
        """Close those that have not been used since `before` (inf: all)."""
        for idle in list(self.idle.values()):
            for upstream in [u for u in idle if u.rested_since < before]:
                upstream.close()
