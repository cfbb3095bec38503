"""One request and its answer: picking a backend, sending, trying again, and every way it can end."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from lbkit.core import Backend, Lease, NoBackend
from lbkit.core.shape import Item
from lbkit.net.http import CHUNKED, IDEMPOTENT, LAST_CHUNK, Request, chunk
from lbkit.net.load_report import read_report

if TYPE_CHECKING:
    from lbkit.net.bandwidth import Pace
    from lbkit.net.downstream import Downstream
    from lbkit.net.limit import RateLimits, Verdict
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
        "ended",
        "entered",
        "fields",
        "held",
        "keep_alive",
        "lease",
        "over",
        "pace",
        "proxy",
        "request",
        "sink",
        "started",
        "status",
        "tried",
        "tunnel",
        "upstream",
        "waiting",
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
        self.ended = False  # one side of the tunnel has nothing more to say
        self.status = 0
        self.attempts = 0
        self.tried: tuple[Backend, ...] = ()
        self.lease: Lease | None = None
        self.upstream: Upstream | None = None
        self.connecting: asyncio.Task[None] | None = None
        self.fields = b""  # what the answer says of limits
        self.held: asyncio.TimerHandle | None = None  # until it may go, or has waited too long
        self.waiting: Item | None = None  # at the gate
        self.entered: float | None = None  # when it went through
        self.sink: Downstream | Pace = client  # where the answer is written
        self.pace: Pace | None = None

    # -- going out ------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """Let it go, now or a little later, if the rate limits allow it."""
        limits = self.proxy.rate_limits
        if limits is None:
            self.enter(now)
        elif limits.shared:
            self.connecting = asyncio.get_running_loop().create_task(self._ask(limits))
        else:
            try:
                verdict = limits.judge(self.request, now)
            except Exception:  # a learner's limiter may raise anything
                self._limits_failed()
            else:
                self._judged(verdict, now)

    async def _ask(self, limits: RateLimits) -> None:
        """Others may have used the limit, too."""
        try:
            verdict = await limits.judge_shared(self.request, self.proxy.now())
        except Exception:
            verdict = None
        self.connecting = None
        if self.over:
            return
        if verdict:
            self.client.touch()
            self._judged(verdict, self.proxy.now())
        else:
            self._limits_failed()

    def _judged(self, verdict: Verdict, now: float) -> None:
        self.fields = verdict.fields
        if not verdict.allowed:
            self.fail(verdict.status, verdict.why)
        elif verdict.delay > 0:
            self.held = asyncio.get_running_loop().call_later(verdict.delay, self._released)
        else:
            self.enter(now)

    def _limits_failed(self) -> None:
        self.proxy.report("a rate limit failed")
        self.fail(500)

    def _released(self) -> None:
        self.held = None
        self.client.touch()
        self.enter(self.proxy.now())

    def enter(self, now: float) -> None:
        """To the gate, where there is one."""
        if self.proxy.gate is None:
            self.start(now)
            return
        try:
            self.proxy.gate.enter(self, now)
        except Exception:  # a learner's limiter may raise anything
            self.proxy.report("admission failed")
            self.fail(500)

    def go(self, now: float) -> None:
        """The gate has let it through."""
        if self.held:
            self.held.cancel()
            self.held = None
            self.client.touch()
        self.start(now)

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
        if proxy.wants_reports:
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
        if not self.client.writable:
            self.read_on(False)  # it has not taken the answer before this one yet
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
        self.upstream = None
        self._release(self.status < 500, now)
        if self.entered is not None:
            self._leave_gate(self.status < 500, now)
        if self.pace is None or self.pace.end():
            self.over = True
            self.client.finished(self, now)

    def passed_on(self) -> None:
        """The rest of an answer that was held back has gone to the client."""
        self.over = True
        self.client.finished(self, self.proxy.now())

    def read_on(self, wanted: bool) -> None:
        """Whether more of the answer can be taken."""
        if self.upstream is None:
            return
        if wanted:
            self.upstream.transport.resume_reading()
        else:
            self.upstream.transport.pause_reading()

    def fail(self, status: int, why: str = "") -> None:
        """No (whole) answer comes from the backend: say so, or cut off what had begun.

        A half answer must not look whole: without its end, the client's connection is aborted."""
        if self.over:
            return
        self._leave(False)
        if self.started or self.tunnel:
            self.client.abort()
        else:
            self.client.refuse(self, status, why)

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
        if self.pace:
            self.pace.cancel()
        upstream, self.upstream = self.upstream, None
        if upstream:
            upstream.close()  # in the middle of an answer: of no use to anybody else
        now = self.proxy.now()
        self._release(ok, now)
        # How long somebody keeps a tunnel open says nothing of how much the backends can take.
        self._leave_gate(None if self.tunnel else ok, now)

    def _leave_gate(self, ok: bool | None, now: float) -> None:
        if self.proxy.gate:
            try:
                self.proxy.gate.leave(self, ok, now)
            except Exception:
                self.proxy.report("admission failed")

    def shape(self) -> None:
        """The answer begins: how fast may it go?"""
        assert self.proxy.bandwidths
        self.pace = self.proxy.bandwidths.pace(self)
        self.sink = self.pace or self.client

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
