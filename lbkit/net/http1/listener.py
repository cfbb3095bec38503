"""What all client connections of a proxy share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from httptools import HttpRequestParser

from lbkit.core import Backend
from lbkit.core.networks import Network
from lbkit.core.scope import by_prefix
from lbkit.net.http1.head import HeadReader
from lbkit.net.messages import Handler, Reject
from lbkit.net.peer import Ends, Peer
from lbkit.net.settings import Limits, Timeouts

CLIENT_PREFIX = (
    64  # bits by which clients with IPv6 addresses are told apart: each has a network of that size
)


class Open(Protocol):
    """An open client connection, or the relay that it has become."""

    def expire(self, now: float) -> None:
        """Close it if it has waited too long."""

    def drain(self, now: float) -> None:
        """Close as soon as no request is in flight: the proxy is shutting down."""

    def cut(self, backend: Backend) -> None:
        """End this client's requests on a backend that has reached its drain timeout."""

    def abort(self) -> None: ...


class Announced(Protocol):
    """What a header of the PROXY protocol says."""

    @property
    def source(self) -> object: ...
    @property
    def destination(self) -> object: ...
    @property
    def client(self) -> str: ...
    @property
    def https(self) -> bool: ...


class Listener:
    """The state that all client connections of a proxy share."""

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
        self.accepted = 0  # connections so far
        self.requests = 0  # at once, on connections that carry several
        # Where limits.connections_per_client is set: each connection's client, and how many it has.
        self._client_of: dict[Open, str] = {}
        self._per_client: Counter[str] = Counter()
        self.announced: dict[Ends, Announced] = {}  # by a connection's own ends, while it is being made
        self.reader = HeadReader(HttpRequestParser, 400)
        self.stopping = False
        self.on_close: Callable[[], object] = lambda: None
        self.on_full: Callable[[], object] = lambda: None
        # Called in an exception's handler, with what failed.
        self.on_fault: Callable[[str], object] = lambda what: None
        # Takes over a connection that begins with HTTP/2's preface, and what it has sent; None: refuse it.
        self.preface: Callable[[Any, bytes], object] | None = None

    @property
    def full(self) -> bool:
        """Whether there are as many requests as there may be clients: each needs a backend's connection."""
        return self.requests >= self.capacity

    def peer_of(self, transport: asyncio.BaseTransport) -> Peer:
        """Return the client of a connection that has been made; a PROXY header may have announced it."""
        theirs, ours = map(transport.get_extra_info, ("peername", "sockname"))
        header = self.announced.get((theirs, ours)) if self.announced else None
        if header is None:
            return Peer(theirs[0] if theirs else "", self.trusted, transport)
        ends = header.source, header.destination
        return Peer(header.client, self.trusted, transport, ends, header.https)

    def admit(self, what: Open, peer: Peer) -> Reject | None:
        """Add a new connection; return how it is refused, if there are too many."""
        full = len(self.open) >= self.capacity
        self.open.add(what)
        self.accepted += 1
        if full:
            self.on_full()
            return Reject(503, "too many connections")
        most = self.limits.connections_per_client
        if most is None or peer.trusted:  # a proxy in front has many clients
            return None
        client = by_prefix(peer.address, CLIENT_PREFIX)
        self._client_of[what] = client
        self._per_client[client] += 1
        if self._per_client[client] > most:
            return Reject(429, "too many connections from this client")
        return None

    def leaves(self, what: Open) -> None:
        """Remove a connection that is no longer of HTTP: it has become a tunnel, or has closed."""
        self.open.discard(what)
        client = self._client_of.pop(what, None)
        if client is not None:
            self._per_client[client] -= 1
            if not self._per_client[client]:
                del self._per_client[client]

    def closed(self, what: Open) -> None:
        """Remove a client that has disconnected."""
        self.leaves(what)
        self.on_close()
