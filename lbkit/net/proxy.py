"""The reverse proxy (layer 7): listens, and spreads requests over the backends of a Pool."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Self, TypeVar

from attrs import field, frozen
from httptools import HttpRequestParser, HttpResponseParser

from lbkit.core import Backend, Pool, Replicas
from lbkit.core.key import key_of
from lbkit.core.meter import LoadReport
from lbkit.distributions import number, whole
from lbkit.edge import Admission
from lbkit.net.bandwidth import Bandwidth, Bandwidths
from lbkit.net.downstream import Downstream
from lbkit.net.gate import Gate
from lbkit.net.http import HeadReader
from lbkit.net.limit import RateLimits
from lbkit.net.peer import trusted_networks
from lbkit.net.probe import Probe
from lbkit.net.upstream import Connections

T = TypeVar("T")


class ProxyError(Exception):
    """The proxy could not start; says why and what to do."""


@frozen
class Timeouts:
    """Seconds. Each bounds one kind of silence."""

    connect: float = field(default=5.0, validator=number(0, above=True))  # to a backend
    read: float = field(default=60.0, validator=number(0, above=True))  # nothing moves in an exchange
    head: float = field(default=10.0, validator=number(0, above=True))  # a client to send a whole head
    idle: float = field(default=60.0, validator=number(0, above=True))  # a kept connection, both sides
    tunnel: float = field(default=3600.0, validator=number(0, above=True))  # nothing moves in a WebSocket


@frozen
class Limits:
    """What a client may ask of our memory."""

    connections: int = field(default=10_000, validator=whole(1))  # clients at once; more are told 503
    head: int = field(default=32 * 1024, validator=whole(256))  # bytes
    fields: int = field(default=100, validator=whole(1))  # header fields
    body: int | None = None  # bytes; None: as long as it likes, bodies are never held
    idle_per_backend: int = field(default=256, validator=whole(0))  # connections kept for later


class Proxy:
    """Listens on `host`:`port` (0: any free one) and forwards to the backends of `pool`.

    Runs in a thread of its own, with its own event loop, as a context manager or by `start` and
    `stop`, from a script, a notebook cell or a coroutine. Other threads touch the pool through `call`.

    `retries`: other backends to try when one cannot be reached. `keyed_by`: what the algorithm gets as key,
    as in a Policy: "client" (address), "path", "cookie:NAME" and so on. `trusted`: networks of proxies before
    this one, whose X-Forwarded-* and Forwarded are believed; of all others they are dropped. `expose`: tell
    the client, in X-Lbkit-Attempts, how many backends were tried. `explain`: tell it in X-Lbkit-Why why it
    was this backend. `probe`: the path at which backends tell their load, for algorithms that ask.
    `rate_limits`: what is answered 429, or held. `admission`: how many requests go on at once and how fast,
    and who waits meanwhile or is answered 503. `bandwidth`: how fast answers go out. `hide`: fields of
    backends' answers that clients do not see, such as Server. `hide_errors`: a 5xx of a backend reaches the
    client as a short page of our own, without what the backend says of itself.
    """

    def __init__(
        self,
        pool: Pool | Replicas,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        retries: int = 1,
        keyed_by: str = "client",
        trusted: tuple[str, ...] = (),
        expose: bool = False,
        explain: bool = False,
        probe: str = "/load",
        rate_limits: RateLimits | None = None,
        admission: Admission | None = None,
        bandwidth: Sequence[Bandwidth] = (),
        hide: Iterable[str] = (),
        hide_errors: bool = False,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Raises ValueError for a bad `keyed_by` or `trusted`."""
        self.pool = pool
        self.host = host
        self.port = port
        self.retries = retries
        self.keyed_by = keyed_by
        self.explain = explain
        self.probe = probe
        self.rate_limits = rate_limits
        self.gate = Gate(admission) if admission else None
        self.bandwidths = Bandwidths(bandwidth) if bandwidth else None
        self.trusted = trusted_networks(trusted)
        self.expose = expose
        self.hide = frozenset(name.lower().encode() for name in hide)
        self.hide_errors = hide_errors
        self.timeouts = timeouts or Timeouts()
        self.limits = limits or Limits()
        self.clients: set[Downstream] = set()
        self.connections = Connections(self)
        self.asked: dict[Backend, Probe] = {}  # who has not answered a probe yet
        self.request_reader = HeadReader(HttpRequestParser, 400)
        self.response_reader = HeadReader(HttpResponseParser, 502)
        self.stopping = False
        self.now: Callable[[], float] = lambda: 0.0  # the loop's clock, once it runs
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._empty: asyncio.Event | None = None
        self._grace = 0.0
        self._reported: set[str] = set()

    @property
    def keyed_by(self) -> str:
        return self._keyed_by

    @keyed_by.setter
    def keyed_by(self, spec: str) -> None:
        self.key = key_of(spec)
        self._keyed_by = spec

    def ask(self, picked: Backend, now: float) -> None:
        """Ask those for their load whom the algorithm wants to know of; each once at a time."""
        try:
            wanted = self.pool.probe_targets(picked, now)
        except Exception:  # a learner's algorithm may raise anything
            self.report(f"algorithm {self.pool.balancer.name!r} failed in probe_targets()")
            return
        for backend in wanted:
            if backend not in self.asked:
                self.asked[backend] = probe = Probe(self, backend)
                probe.start()

    def tell(self, backend: Backend, load: LoadReport, now: float, probed: bool = False) -> None:
        """The algorithm wants_reports what a backend says of its load."""
        try:
            self.pool.balancer_of(backend).on_report(backend, load, now, probed)
        except Exception:
            self.report(f"algorithm {self.pool.balancer.name!r} failed in on_report()")

    @property
    def wants_reports(self) -> bool:
        """Whether the algorithm wants to know what backends say of their load."""
        return self.pool.wants_reports

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    # -- in a thread of its own ------------------------------------------------------------

    def start(self) -> Self:
        """Listen; returns when connections are accepted. Raises ProxyError, e.g. for a port taken."""
        if self._thread:
            raise ProxyError("this proxy runs already")
        ready: concurrent.futures.Future[None] = concurrent.futures.Future()

        def body() -> None:
            try:
                with asyncio.Runner(loop_factory=new_event_loop) as runner:
                    runner.run(self.serve(on_ready=lambda: ready.set_result(None)))
            except BaseException as error:
                if not ready.done():
                    ready.set_exception(error)
                else:
                    traceback.print_exc()

        self._thread = threading.Thread(target=body, name="lbkit-proxy", daemon=True)
        self._thread.start()
        try:
            ready.result()
        except BaseException:
            self.stop(grace=0.0)
            raise
        return self

    def stop(self, grace: float = 5.0) -> None:
        """Stop listening, let what runs finish for `grace` seconds, cut off the rest. Safe to repeat."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        loop = self._loop
        if loop and not loop.is_closed():
            with suppress(RuntimeError):  # closed in the meantime
                loop.call_soon_threadsafe(self.shut, grace)
        thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.stop)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """`function(*args)` in the proxy's thread, where the pool lives; its result or its exception."""
        loop = self._loop
        if self._thread is None or loop is None or threading.current_thread() is self._thread:
            return function(*args)
        result: concurrent.futures.Future[T] = concurrent.futures.Future()

        def body() -> None:
            try:
                result.set_result(function(*args))
            except BaseException as error:
                result.set_exception(error)

        loop.call_soon_threadsafe(body)
        return result.result(timeout=30)

    def cpu(self) -> float:
        """Seconds of processor time that the proxy's thread has used; nan where the system does not say."""
        thread = self._thread
        if thread is None or thread.ident is None or not hasattr(time, "pthread_getcpuclockid"):
            return float("nan")
        return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))

    # -- in the running loop ----------------------------------------------------------------

    async def serve(
        self, sock: socket.socket | None = None, on_ready: Callable[[], object] | None = None
    ) -> None:
        """Serve until `shut` is called, on `sock` (listening) or a socket of our own."""
        self._loop = loop = asyncio.get_running_loop()
        self.now = loop.time
        self._stop, self._empty = asyncio.Event(), asyncio.Event()
        self.stopping = False
        factory = lambda: Downstream(self)  # noqa: E731
        try:
            if sock:
                server = await loop.create_server(factory, sock=sock, backlog=BACKLOG)
            else:
                server = await loop.create_server(factory, self.host, self.port, backlog=BACKLOG)
        except OSError as error:
            raise ProxyError(why_not(error, self.host, self.port)) from None
        self.port = server.sockets[0].getsockname()[1]
        sweeper = loop.create_task(self._sweep())
        try:
            if on_ready:
                on_ready()
            await self._stop.wait()
            server.close()
            for _ in range(3):
                await asyncio.sleep(0)  # who has been accepted a moment ago is not among our clients yet
            await self._drain()
        finally:
            sweeper.cancel()
            for probe in list(self.asked.values()):
                probe.fail()
            server.close()
            for client in list(self.clients):
                client.abort()
            self.connections.close_rested(float("inf"))
            if self.rate_limits:
                await self.rate_limits.close()
            await asyncio.sleep(0)  # lets the transports close

    def shut(self, grace: float) -> None:
        """Begin to stop; in the proxy's thread."""
        self._grace = grace
        self.stopping = True
        if self._stop:
            self._stop.set()

    async def _drain(self) -> None:
        """Idle clients go at once, busy ones when they have their answers or the grace is over.

        One that has only just connected has its first request on the way: it is waited for."""
        for client in list(self.clients):
            if client.fresh:
                client.deadline = min(client.deadline, self.now() + FIRST_REQUEST)
            elif client.current is None and not client.buffer:
                client.close()
        assert self._empty is not None
        if self.clients and self._grace > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._grace):
                    await self._empty.wait()

    def went(self, client: Downstream) -> None:
        """A client's connection has closed."""
        if self.stopping and not self.clients and self._empty:
            self._empty.set()

    async def _sweep(self) -> None:
        """One timer for all deadlines: a timer a request would cost more than the request."""
        limits = self.timeouts
        tick = min(0.5, max(0.01, min(limits.read, limits.head, limits.idle) / 10))
        while True:
            await asyncio.sleep(tick)
            now = self.now()
            for client in [c for c in self.clients if c.deadline < now]:
                client.expired()
            self.connections.close_rested(now - limits.idle)

    def report(self, what: str) -> None:
        """A fault in somebody's algorithm: told once, with its traceback, and the proxy goes on."""
        if what not in self._reported:
            self._reported.add(what)
            print(f"lbkit proxy: {what}", file=sys.stderr)
            traceback.print_exc()


BACKLOG = 1024  # connections that the kernel holds until we accept them
FIRST_REQUEST = 1.0  # seconds that a stop waits for the request of a new connection


def why_not(error: OSError, host: str, port: int) -> str:
    """Why we cannot listen, and what would help."""
    where = f"cannot listen on {host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where}: the port is taken; choose another, or 0 for any free one"
    if error.errno == errno.EACCES:
        return f"{where}: ports below 1024 need privileges; choose a higher one"
    return f"{where}: {error.strerror or error}"


def new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where there is one, asyncio's own elsewhere (Windows)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
