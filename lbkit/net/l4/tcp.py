"""The TCP proxy (layer 4): each connection goes to one backend, whatever is said on it.

It balances connections, not requests: a client that keeps its connection keeps its backend.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import attrs

from lbkit.core import Intent, Lease, Pool, Replicas
from lbkit.core.key import key_of
from lbkit.net import descriptors
from lbkit.net.address import join_address
from lbkit.net.l4.arrival import Arrival, Joined
from lbkit.net.l4.sni import patterns
from lbkit.net.l4.tcp_config import TcpConfig
from lbkit.net.peer import trusted_networks
from lbkit.net.running import ACCEPTED, Accepting, Running
from lbkit.watchdog import guard


class TcpProxy(Running):
    """Accepts connections, and relays each to a backend of `pool`, or of the pool of its TLS server name.

    Other threads touch the pools through `call`. A connection that cannot be served is closed, as layer 4 has
    no error answers; `faults` has the reasons and their counts.
    """

    def __init__(
        self,
        pool: Pool | Replicas | None = None,
        config: TcpConfig | None = None,
        *,
        routes: Mapping[str, Pool | Replicas] | None = None,
        **options: Any,
    ) -> None:
        """`options`: fields of a TcpConfig.

        `routes`: pools by server name, such as www.example.org, or *.example.org for every name below it;
        the nearest wins. They make the proxy wait for the client's TLS ClientHello. `pool` then gets what
        matches none: other names, no name, and what is no TLS; without it, that is refused.

        Raises ValueError for a wrong option, TypeError for an unknown one."""
        self.config = config = attrs.evolve(config or TcpConfig(), **options)
        super().__init__(*config.address)
        if pool is None and not routes:
            raise ValueError("there is no backend: give a pool, or routes with one")
        self.pool = pool
        self.routes = {as_pattern(name): routed for name, routed in (routes or {}).items()}
        self.pools = list({id(p): p for p in (pool, *self.routes.values()) if p is not None}.values())
        self.key = key_of(config.key)
        self.trusted = trusted_networks(config.accept_proxy)
        self.capacity = config.connections
        self.open: set[Joined] = set()
        self.accepted = 0  # connections so far
        self.now: Callable[[], float] = lambda: 0.0  # the loop's clock, once it runs
        self._stop: asyncio.Event | None = None
        self._grace = 0.0

    @property
    def url(self) -> str:
        return f"tcp://{join_address(self.host, self.port)}"

    def pool_for(self, server_name: str) -> Pool | Replicas | None:
        """Return the pool for a TLS server name ("": none); None if it is to be refused."""
        for pattern in patterns(server_name):
            if pattern in self.routes:
                return self.routes[pattern]
        return self.pool

    # -- in the running loop ----------------------------------------------------------------

    async def serve(
        self, sock: socket.socket | None = None, on_ready: Callable[[], object] | None = None
    ) -> None:
        """Serve until `shut` is called, on `sock` (listening) or a socket of our own. Raises ProxyError."""
        guard()
        loop = asyncio.get_running_loop()
        self.now = monotonic
        self._stop, self._empty = asyncio.Event(), asyncio.Event()
        # A connection takes two descriptors.
        fitting = descriptors.raise_limit(descriptors.needed(self.config.connections)) - descriptors.SPARE
        self.capacity = max(1, min(self.config.connections, fitting // 2))
        server = await self.accept(sock)
        tasks = [loop.create_task(run()) for run in (self._sweep, *self.background)]
        try:
            if on_ready:
                on_ready()
            await self._stop.wait()
            server.close()
            await asyncio.sleep(ACCEPTED)
            await self._until_empty(lambda: self.open, self._grace)
        finally:
            for task in tasks:
                task.cancel()
            server.close()
            for connection in list(self.open):
                connection.abort()
            await asyncio.sleep(0)  # lets the transports close

    async def accept(self, sock: socket.socket | None = None) -> Accepting:
        """Accept clients on `sock` (listening), or on a socket of our own. Raises ProxyError."""
        return await self._listen(lambda: Arrival(self), sock)

    def shut(self, grace: float, notice: float = 0.0) -> None:
        """Begin to stop; call it in the proxy's thread. Nothing tells the ends of a connection in advance."""
        self._grace = grace
        if self._stop:
            self._stop.set()

    def closed(self, connection: Joined) -> None:
        """Called when a connection is over, or has become another object."""
        self.open.discard(connection)
        if not self.open and self._empty:
            self._empty.set()

    def release(self, lease: Lease, ok: bool | None) -> None:
        try:
            lease.release(ok, self.now())
        except Exception:  # a learner's algorithm may do anything
            self.faults.report("releasing a backend failed")

    async def _sweep(self) -> None:
        """Check all deadlines in turns, and cut what runs on backends that have no more time to drain."""
        drains = [one.drains.rules.timeout for each in self.pools for one in each.pools]
        shortest = min(self.config.first, self.config.idle, self.config.linger, *drains)
        tick = min(0.5, max(0.01, shortest / 10))
        while True:
            await asyncio.sleep(tick)
            now = self.now()
            for connection in list(self.open):
                connection.expire(now)
            for pool in (one for each in self.pools for one in each.pools if one.drains.draining):
                for backend in pool.drains.advance(now):
                    for connection in list(self.open):
                        connection.cut(backend)

    def set_intent(self, name: str, intent: Intent) -> None:
        """Have a backend leave, or come back, in every pool that has it; call it in the proxy's thread.

        Its connections stay until they end, or until the drain's timeout. Raises KeyError."""
        having = [pool for pool in self.pools if any(b.name == name for b in pool.backends)]
        for pool in having or self.pools[:1]:  # which raises the KeyError
            pool.set_intent(name, intent, self.now())


def as_pattern(name: str) -> str:
    """Return the key of a route. Raises ValueError for what no server name matches."""
    pattern = name.lower().rstrip(".")
    if not re.fullmatch(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*", pattern):
        raise ValueError(f"routes has {name!r}: use a name such as www.example.org, or *.example.org")
    return pattern
