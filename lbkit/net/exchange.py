"""One request and its answer: picking a backend, sending, trying again, and every way it can end."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from lbkit.core import Backend, Lease, NoBackend
from lbkit.net.http import CHUNKED, IDEMPOTENT, LAST_CHUNK, Request, chunk
from lbkit.net.load_report import read_report

if TYPE_CHECKING:
    from lbkit.net.downstream import Downstream
    from lbkit.net.upstream import Upstream


class Exchange:
    """Holds a lease while a backend works for it; the lease is released on every way out."""

    __slots__ = (
        "attempts",
        "body",
        "body_size",
        "client",
        "complete",
        "connecting",
        "fields",
        "held",
        "keep_alive",
        "lease",
        "over",
        "proxy",
        "request",
        "started",
        "status",
        "tried",
        "tunnel",
        "upstream",
    )

    def __init__(self, client: Downstream, request: Request, keep_alive: bool) -> None:
        self.client = client
        self.proxy = client.proxy
        self.request = request
        self.keep_alive = keep_alive
        self.body: list[bytes] = []  # received before there was a connection to send it on
        self.body_size = 0  # bytes received
        self.complete = request.length == 0  # the request has been received to its end
        self.started = False  # the client has (part of) the answer's head
        self.over = False
        self.tunnel = False
        self.status = 0
        self.attempts = 0
        self.tried: tuple[Backend, ...] = ()
        self.lease: Lease | None = None
        self.upstream: Upstream | None = None
        self.connecting: asyncio.Task[None] | None = None
        self.held: asyncio.TimerHandle | None = None  # until a rate limit lets it go
        self.fields = b""  # what the answer says of rate limits

    # -- going out ------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """Let it go, now or a little later, if the rate limits allow it."""
        limits = self.proxy.rate_limits
        if limits is None:
            self.start(now)
            return
        try:
            verdict = limits.judge(self.request, now)
        except Exception:  # a learner's limiter may raise anything
            self.proxy.report("a rate limit failed")
            self.fail(500)
            return
        self.fields = verdict.fields
        if not verdict.allowed:
            self.fail(429)
        elif verdict.delay > 0:
            self.held = asyncio.get_running_loop().call_later(verdict.delay, self._released)
        else:
            self.start(now)

    def _released(self) -> None:
        self.held = None
        if not self.over:
            self.client.touch()
            self.start(self.proxy.now())

    def start(self, now: float) -> None:
        """Pick a backend and send, or have it answered with an error."""
        proxy = self.proxy
        try:
            key = proxy.key(self.request)
            self.lease = lease = proxy.pool.acquire(key, now, self.tried, proxy.explain)
        except NoBackend:
            # All tried: the last failure is the reason. None there: that is.
            self.fail(502 if self.tried else 503)
            return
        except Exception:  # a learner's algorithm may raise anything
            proxy.report(f"algorithm {proxy.pool.balancer.name!r} failed")
            self.fail(500)
            return
        self.attempts += 1
        if proxy.hears:
            proxy.ask(lease.backend, now)
        upstream = proxy.connections.take(lease.backend, now)
        if upstream:
            self._send(upstream)
        else:
            self._connect(lease.backend)

    def _connect(self, backend: Backend) -> None:
        self.connecting = asyncio.get_running_loop().create_task(self._connected(backend))

    async def _connected(self, backend: Backend) -> None:
        try:
            upstream = await self.proxy.connections.connect(backend)
        except OSError as error:
            self.connecting = None
            self._unreachable(504 if isinstance(error, TimeoutError) else 502)
            return
        self.connecting = None
        if self.over:
            upstream.close()
        elif upstream.transport.is_closing():
            self._unreachable(502)
        else:
            self._send(upstream)

    def _send(self, upstream: Upstream) -> None:
        self.upstream = upstream
        data = self.request.data
        if self.body:
            data = b"".join([data, *self.body])
            self.body.clear()
        upstream.send(self, data)
        self.client.backend_ready()

    def _unreachable(self, status: int) -> None:
        """Nothing was sent, so any request may go to another backend."""
        if self.over:
            return
        assert self.lease is not None
        self.tried += (self.lease.backend,)
        self._release(False, self.proxy.now())
        if self.attempts <= self.proxy.retries:
            self.start(self.proxy.now())
        else:
            self.fail(status)

    # -- the request's body ------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """A piece of the request's body."""
        if self.over or not data:
            return
        self.body_size += len(data)
        self._pass(chunk(data) if self.request.length == CHUNKED else data)

    def end_of_request(self) -> None:
        self.complete = True
        if self.request.length == CHUNKED and not self.over:
            self._pass(LAST_CHUNK)

    def _pass(self, data: bytes) -> None:
        if self.upstream:
            self.upstream.transport.write(data)
        else:
            self.body.append(data)

    # -- endings ----------------------------------------------------------------------

    def finish(self, now: float) -> None:
        """The answer is complete."""
        self.over = True
        self.upstream = None
        self._release(self.status < 500, now)
        self.client.finished(self, now)

    def fail(self, status: int) -> None:
        """No (whole) answer comes from the backend: say so, or cut off what had begun.

        A half answer must not look whole: without its end, the client's connection is aborted."""
        if self.over:
            return
        self._leave(False)
        if self.started or self.tunnel:
            self.client.abort()
        else:
            self.client.refuse(self, status)

    def lost(self, upstream: Upstream) -> None:
        """The backend's connection went away before the answer was whole."""
        if self.over or self.upstream is not upstream:
            return
        self.upstream = None
        if self.tunnel:
            self._leave(True)
            self.client.close()
            return
        untouched = upstream.silent and self.request.length == 0
        if upstream.stale and untouched and self.request.method in IDEMPOTENT and self.lease:
            self._connect(self.lease.backend)
        else:
            self.fail(502)

    def cancel(self) -> None:
        """The client left. That says nothing of the backend."""
        if not self.over:
            self._leave(True if self.tunnel else None)

    def open_tunnel(self) -> None:
        self.tunnel = True
        self.client.open_tunnel()

    def _leave(self, ok: bool | None) -> None:
        self.over = True
        if self.held:
            self.held.cancel()
        if self.connecting:
            self.connecting.cancel()
        upstream, self.upstream = self.upstream, None
        if upstream:
            upstream.close()  # in the middle of an answer: of no use to anybody else
        self._release(ok, self.proxy.now())

    def why(self) -> bytes:
        """A header field that says why this backend was picked."""
        said = f"{self.lease.backend.name}: {self.lease.why}" if self.lease else ""
        # Names and keys come from outside: nothing of them may end the line.
        return b"X-Lbkit-Why: %b\r\n" % re.sub(r"[^ -~]", "?", said)[:1000].encode()

    def reported(self, head: bytes, now: float) -> None:
        """An answer's head is there: what does the backend say of its load?"""
        report = read_report(head)
        if report and self.lease:
            self.proxy.tell(self.lease.backend, report, now)

    def _release(self, ok: bool | None, now: float) -> None:
        if self.lease:
            try:
                self.lease.release(ok, now)
            except Exception:
                self.proxy.report(f"algorithm {self.proxy.pool.balancer.name!r} failed in done()")
            self.lease = None
