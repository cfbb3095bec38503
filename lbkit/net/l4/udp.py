"""The UDP proxy (layer 4): datagrams of one client go to one backend, as long as they keep coming.

UDP has no connections, so the proxy makes its own: a session begins with a client's first datagram and ends
when nothing has moved for a while. Each has a socket of its own towards its backend, so that an answer's port
says which client it is for. Empty datagrams are not relayed: asyncio does not send any.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import number, whole
from lbkit.core import Backend, Intent, Lease, NoBackend, Pool, Replicas
from lbkit.core.key import key_of
from lbkit.core.options import named_fields
from lbkit.net import descriptors
from lbkit.net.address import a_listen_address, join_address, split_address
from lbkit.net.l4.flow import Flow
from lbkit.net.l4.tcp_config import a_flow_key
from lbkit.net.running import Running, bound
from lbkit.watchdog import guard

HELD = 16  # datagrams of a session that are kept until its socket is open; more are lost, as UDP allows


@named_fields
@frozen
class UdpRules:
    """How datagrams are relayed."""

    # Seconds after the last datagram, in either direction, after which a session ends.
    idle: float = field(default=60.0, validator=number(0, above=True))
    # Answers to each datagram of a client: after the last one the session ends at once. DNS has 1, so that
    # every query may go to another backend. 0: not known.
    answers: int = field(default=0, validator=whole(0))
    sessions: int = field(default=10_000, validator=whole(1))  # datagrams of further clients are lost


@named_fields
@frozen
class UdpConfig(UdpRules):
    """All settings of a UDP proxy."""

    listen: str = field(default="127.0.0.1:0", validator=a_listen_address)
    key: str = field(default="flow", validator=a_flow_key)

    @property
    def address(self) -> tuple[str, int]:
        return split_address(self.listen)


class UdpProxy(Running, asyncio.DatagramProtocol):
    """Receives datagrams, and relays those of each client to a backend of `pool`, and the answers back.

    Other threads touch the pool through `call`. `faults` has the reasons for lost datagrams.
    """

    def __init__(self, pool: Pool | Replicas, config: UdpConfig | None = None, **options: Any) -> None:
        """`options`: fields of a UdpConfig.

        Raises ValueError for a wrong option, TypeError for an unknown one."""
        self.config = attrs.evolve(config or UdpConfig(), **options)
        super().__init__(*self.config.address)
        self.pool = pool
        self.key = key_of(self.config.key)
        self.sessions: dict[tuple[Any, ...], Session] = {}  # by the client's address
        self.accepted = 0  # sessions so far
        self.capacity = self.config.sessions
        self.now: Callable[[], float] = lambda: 0.0  # the loop's clock, once it runs
        self.stopping = False
        self._out: socket.socket
        self._stop: asyncio.Event | None = None
        self._grace = 0.0

    # -- in the running loop ----------------------------------------------------------------

    async def serve(
        self, sock: socket.socket | None = None, on_ready: Callable[[], object] | None = None
    ) -> None:
        """Serve until `shut` is called, on `sock` (bound) or a socket of our own. Raises ProxyError."""
        guard()
        loop = asyncio.get_running_loop()
        self.now, self.stopping = monotonic, False
        self._stop, self._empty = asyncio.Event(), asyncio.Event()
        # A session takes one descriptor.
        fitting = descriptors.raise_limit(self.config.sessions + descriptors.SPARE) - descriptors.SPARE
        self.capacity = max(1, min(self.config.sessions, fitting))
        sock = sock or bound(self.host, self.port, socket.SOCK_DGRAM)
        self.port = sock.getsockname()[1]
        # Answers leave by a duplicate: one that stops to receive may still have some under way.
        self._out = sock.dup()
        server = await self.accept(sock)
        tasks = [loop.create_task(run()) for run in (self._sweep, *self.background)]
        try:
            if on_ready:
                on_ready()
            await self._stop.wait()
            server.close()  # workers that take over get what comes now
            for session in list(self.sessions.values()):
                if not session.waits:
                    session.end(True)
            await self._until_empty(lambda: self.sessions, self._grace)
        finally:
            for task in tasks:
                task.cancel()
            for session in list(self.sessions.values()):
                session.end(None)
            server.close()
            self._out.close()
            await asyncio.sleep(0)  # lets the transports close

    async def accept(self, sock: socket.socket) -> asyncio.DatagramTransport:
        """Receive datagrams on `sock` (bound), too, until the transport is closed."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=sock)
        return transport

    def answer(self, data: bytes, client: tuple[Any, ...]) -> None:
        """Send an answer to a client. What the kernel does not take is lost, as UDP allows."""
        with suppress(OSError):
            self._out.sendto(data, client)

    def shut(self, grace: float, notice: float = 0.0) -> None:
        """Begin to stop: new clients are ignored, and those with an answer under way get it."""
        self._grace, self.stopping = grace, True
        if self._stop:
            self._stop.set()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        session = self.sessions.get(addr) or self._begin(addr)
        if session:
            session.send(data)

    def error_received(self, exc: Exception) -> None:
        """Do nothing: a client is gone, and its session ends by itself."""

    def _begin(self, client: tuple[Any, ...]) -> Session | None:
        """Return a new session of this client, or None if its datagram is lost."""
        if self.stopping:
            return None
        if len(self.sessions) >= self.capacity:
            self.faults.report("full: there are as many sessions as may be open")
            return None
        flow = Flow("udp", client[:2], (self.host, self.port))
        try:
            lease = self.pool.acquire(self.key(flow), self.now())
        except NoBackend:
            self.faults.report("there is no backend for a client's datagram")
            return None
        except Exception:  # a learner's algorithm may do anything
            self.faults.report("picking a backend failed")
            return None
        self.accepted += 1
        session = self.sessions[client] = Session(self, client, lease)
        return session

    def ended(self, session: Session, ok: bool | None) -> None:
        self.sessions.pop(session.client, None)
        try:
            session.lease.release(ok, self.now())
        except Exception:  # a learner's algorithm may do anything
            self.faults.report("releasing a backend failed")
        if not self.sessions and self._empty:
            self._empty.set()

    def set_intent(self, name: str, intent: Intent) -> None:
        """Have a backend leave, or come back; call it in the proxy's thread. Raises KeyError."""
        self.pool.set_intent(name, intent, self.now())

    @property
    def url(self) -> str:
        return f"udp://{join_address(self.host, self.port)}"

    async def _sweep(self) -> None:
        tick = min(0.5, max(0.01, self.config.idle / 10))
        while True:
            await asyncio.sleep(tick)
            before = self.now() - self.config.idle
            for session in list(self.sessions.values()):
                if session.last < before:
                    # Without any answer nothing is known: some protocols have none, such as syslog.
                    session.end(True if session.answered else None)
            for pool in (one for one in self.pool.pools if one.drains.draining):
                for backend in pool.drains.advance(self.now()):
                    for session in list(self.sessions.values()):
                        if session.lease.backend is backend:
                            session.end(True)


class Session(asyncio.DatagramProtocol):
    """A client's datagrams to one backend, and the answers."""

    def __init__(self, proxy: UdpProxy, client: tuple[Any, ...], lease: Lease) -> None:
        self.proxy = proxy
        self.client = client
        self.lease = lease
        self.last = proxy.now()
        self.sent = self.answered = 0  # datagrams
        self.waits = False  # for an answer to the last datagram
        self._over = False
        self._held: list[bytes] = []
        self._transport: asyncio.DatagramTransport | None = None
        self._task = asyncio.get_running_loop().create_task(self._open(lease.backend))

    async def _open(self, backend: Backend) -> None:
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: self, remote_addr=(backend.host, backend.port)
            )
        except OSError:
            self.proxy.faults.report("no socket for a session")
            self.end(None)

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        held, self._held = self._held, []
        for data in held:
            transport.sendto(data)
        if self._over:
            transport.close()

    def send(self, data: bytes) -> None:
        """Pass a client's datagram on."""
        self.last = self.proxy.now()
        self.waits = True
        self.sent += 1
        if self._transport is not None:
            self._transport.sendto(data)
        elif len(self._held) < HELD:
            self._held.append(data)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.last = self.proxy.now()
        self.waits = False
        self.answered += 1
        self.proxy.answer(data, self.client)
        expected = self.sent * self.proxy.config.answers
        if self.proxy.stopping or (expected and self.answered >= expected):
            self.end(True)

    def error_received(self, exc: Exception) -> None:
        """Nothing listens at the backend, says its host: the next datagram goes to another backend."""
        self.end(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end(None)

    def end(self, ok: bool | None) -> None:
        """Release the backend, once, with the outcome, as far as it is known."""
        if self._over:
            return
        self._over = True
        if self._transport is not None:
            self._transport.close()
        elif self._task is not asyncio.current_task():
            self._task.cancel()
        self.proxy.ended(self, ok)
