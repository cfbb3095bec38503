"""What all client connections of a proxy share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from httptools import HttpRequestParser

from lbkit.core import Backend
from lbkit.net.http1.head import HeadReader
from lbkit.net.messages import Handler
from lbkit.net.peer import Ends, Network, Peer
from lbkit.net.settings import Limits, Timeouts


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
        self.announced: dict[Ends, Announced] = {}  # by a connection's own ends, while it is being made
        self.reader = HeadReader(HttpRequestParser, 400)
        self.stopping = False
        self.on_close: Callable[[], object] = lambda: None
        self.on_full: Callable[[], object] = lambda: None

    def peer_of(self, transport: asyncio.BaseTransport) -> Peer:
        """Return the client of a connection that has been made; a PROXY header may have announced it."""
        theirs, ours = map(transport.get_extra_info, ("peername", "sockname"))
        header = self.announced.get((theirs, ours)) if self.announced else None
        if header is None:
            return Peer(theirs[0] if theirs else "", self.trusted, transport)
        ends = header.source, header.destination
        return Peer(header.client, self.trusted, transport, ends, header.https)

    def closed(self, what: Open) -> None:
        """Remove a client that has disconnected."""
        self.open.discard(what)
        self.on_close()
