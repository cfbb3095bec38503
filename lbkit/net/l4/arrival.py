"""A client's connection until it is joined to a backend's: PROXY header, ClientHello, pick and connect."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from math import inf
from typing import Protocol

from lbkit.core import Backend, Lease, NoBackend, Pool, Replicas
from lbkit.core.key import Key
from lbkit.core.networks import Network
from lbkit.net.faults import Faults
from lbkit.net.l4.flow import Flow
from lbkit.net.l4.proxy_protocol import WRITERS, Malformed, Transport, between, read
from lbkit.net.l4.relay import Relay
from lbkit.net.l4.sni import UNRECOGNIZED_NAME, ClientHello, HelloReader
from lbkit.net.l4.tcp_config import TcpConfig
from lbkit.net.peer import is_trusted


class Joined(Protocol):
    """An open connection: an Arrival, or the Relay that it has become."""

    def expire(self, now: float) -> None: ...
    def cut(self, backend: Backend) -> None: ...
    def abort(self) -> None: ...


class Host(Protocol):
    """What all connections of a TCP proxy share."""

    config: TcpConfig
    faults: Faults
    key: Key
    trusted: tuple[Network, ...]
    routes: dict[str, Pool | Replicas]
    open: set[Joined]
    capacity: int
    accepted: int
    now: Callable[[], float]

    def pool_for(self, server_name: str) -> Pool | Replicas | None: ...
    def closed(self, connection: Joined) -> None: ...
    def release(self, lease: Lease, ok: bool | None) -> None: ...


class Arrival(asyncio.Protocol):
    """PROXY header, if the peer is trusted -> ClientHello, if there are routes -> pick, connect -> Relay.

    What is read meanwhile is kept for the backend. Only a header and a hello are ever waited for, which are
    bounded; then reading pauses.
    """

    __slots__ = (
        "_task",
        "deadline",
        "ended",
        "header",
        "held",
        "hello",
        "proxy",
        "transport",
        "wants_header",
    )

    transport: asyncio.Transport

    def __init__(self, proxy: Host) -> None:
        self.proxy = proxy
        self.held = bytearray()  # from the client, for the backend
        self.ended = False  # the client has nothing more to say
        self.hello = HelloReader() if proxy.routes else None
        self._task: asyncio.Task[None] | None = None

    # -- what the client says first ------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        proxy, self.transport = self.proxy, transport
        proxy.accepted += 1
        proxy.open.add(self)
        if len(proxy.open) > proxy.capacity:
            self.refuse("full: there are as many connections as may be open")
            return
        self.deadline = proxy.now() + proxy.config.first
        theirs, ours = map(transport.get_extra_info, ("peername", "sockname"))
        if not theirs:  # it is gone already
            self.abort()
            return
        self.header = between(theirs[:2], ours[:2])
        self.wants_header = is_trusted(self.header.client, proxy.trusted)
        if not self.wants_header and self.hello is None:
            self._dispatch("")

    def data_received(self, data: bytes) -> None:
        self.held += data
        if self._task:
            return
        if self.wants_header:
            found = read(self.held)
            if found is None:
                return
            if isinstance(found, Malformed):
                self.refuse(f"a trusted peer's PROXY header: {found.why}")
                return
            self.wants_header = False
            if found.transport in (Transport.TCP4, Transport.TCP6):  # else the peer speaks for itself
                self.header = found
            del self.held[: found.size]
            data = bytes(self.held)
        if self.hello is None:
            self._dispatch("")
        elif data and (hello := self.hello.feed(data)):
            self._dispatch(hello.server_name if isinstance(hello, ClientHello) else "")

    def eof_received(self) -> bool:
        self.ended = True
        if self._task is None:
            if self.held:
                self.refuse("a client ended before its first bytes were complete")
            else:  # as a health check does
                self.abort()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._over()

    # -- the backend ---------------------------------------------------------------------------

    def _dispatch(self, server_name: str) -> None:
        pool = self.proxy.pool_for(server_name)
        if pool is None:
            if server_name:  # so it is a TLS client, which understands an alert
                self.transport.write(UNRECOGNIZED_NAME)
            self.refuse("no route for the server name", gently=True)
            return
        self.deadline = inf  # connecting has a timeout of its own
        self.transport.pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._connect(pool))

    async def _connect(self, pool: Pool | Replicas) -> None:
        """Connect to a backend; if that fails, to another one."""
        proxy, loop = self.proxy, asyncio.get_running_loop()
        key = proxy.key(Flow("tcp", self.header.source, self.header.destination))
        tried: list[Backend] = []
        while len(tried) <= proxy.config.retries:
            try:
                lease = pool.acquire(key, proxy.now(), tried)
            except NoBackend:
                break
            except Exception:  # a learner's algorithm may do anything
                proxy.faults.report("picking a backend failed")
                self.abort()
                return
            backend = lease.backend
            try:
                async with asyncio.timeout(proxy.config.connect):
                    await loop.create_connection(lambda: Departure(self, lease), backend.host, backend.port)  # noqa: B023
                return
            except OSError as error:
                # A process without descriptors is not the backend's fault.
                own = error.errno in (errno.EMFILE, errno.ENFILE)
                proxy.release(lease, None if own else False)
                tried.append(backend)
            except BaseException:  # cancelled: the client has gone
                proxy.release(lease, None)
                raise
        self.refuse("no backend could be connected to")

    def join(self, origin: asyncio.Transport, lease: Lease) -> None:
        """Relay from now on; what was kept goes first."""
        proxy, config = self.proxy, self.proxy.config
        if self.transport.is_closing():
            origin.abort()
            proxy.release(lease, None)
            return

        def ended(relay: Relay) -> None:
            proxy.closed(relay)
            proxy.release(lease, True)

        if first := WRITERS[config.send_proxy](self.header) + self.held:
            origin.write(first)
        relay = Relay(self.transport, origin, proxy.now, config.idle, config.linger, ended, lease.backend)
        if not relay.over:
            proxy.open.add(relay)
            if self.ended:
                relay.sides[0].eof_received()
        self._task = None  # it ends by itself
        self._over()

    # -- the end -------------------------------------------------------------------------------

    def refuse(self, why: str, gently: bool = False) -> None:
        """Close the connection; `gently`: once all is sent. `why`: one of a few texts, which are counted."""
        self.proxy.faults.report(why)
        if gently:
            self.transport.close()
            self._over()
        else:
            self.abort()

    def abort(self) -> None:
        self.transport.abort()
        self._over()

    def expire(self, now: float) -> None:
        if self.deadline < now:
            self.refuse("a client's first bytes took too long")

    def cut(self, backend: Backend) -> None:
        """Do nothing: it has no backend yet."""

    def _over(self) -> None:
        task, self._task = self._task, None
        if task and task is not asyncio.current_task():
            task.cancel()
        self.proxy.closed(self)


class Departure(asyncio.Protocol):
    """The connection to the backend, until it is joined: at once, as the backend may speak first."""

    __slots__ = ("arrival", "lease")

    def __init__(self, arrival: Arrival, lease: Lease) -> None:
        self.arrival = arrival
        self.lease = lease

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.arrival.join(transport, self.lease)
