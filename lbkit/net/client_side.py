"""The client side of a proxy: where clients come in, how many may, and how they leave at a shutdown."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from lbkit.net import descriptors
from lbkit.net.address import join_address
from lbkit.net.config import ProxyConfig
from lbkit.net.http1.listener import Listener
from lbkit.net.http1.server import FIRST_REQUEST, LINGER, ServerConnection
from lbkit.net.l4.announced import AnnouncedServer
from lbkit.net.messages import Handler
from lbkit.net.peer import trusted_networks
from lbkit.net.running import ACCEPTED, BACKLOG, Accepting, ProxyError, Running, bound
from lbkit.net.tls.certificates import ONLY_HTTP1, WITH_HTTP2
from lbkit.net.tls.live import LiveContext

if TYPE_CHECKING:
    from lbkit.net.http3.front import Http3Front


class ClientSide(Running):
    """Accepts clients by HTTP/1.1 and HTTP/2, with TLS or without, on one port, on one that redirects, and by
    HTTP/3 on a UDP port."""

    def __init__(self, config: ProxyConfig) -> None:
        super().__init__(*config.address)
        self.config = config
        self.listener: Listener
        self.redirect_port = 0  # where plain HTTP is redirected, once it runs
        self.http3_port = 0  # of UDP, once it runs
        self._stop: asyncio.Event | None = None
        self._grace = self._notice = 0.0  # seconds
        self._scarcity = ""  # why there are fewer clients than limits.connections

    def _set_up(self, handle: Handler) -> None:
        """Make what clients' connections share; `handle` gets their requests."""
        config = self.config
        self.listener = Listener(
            handle,
            timeouts=config.timeouts,
            limits=config.limits,
            trusted=trusted_networks(config.trusted),
            refuse_twins=config.underscores == "refuse",
        )
        self.listener.on_close = self._client_closed
        self.listener.on_full = self._full
        self.listener.on_fault = self.faults.report
        self.tls = LiveContext(config.tls, WITH_HTTP2 if config.http2 else ONLY_HTTP1) if config.tls else None
        self._protocol: Callable[[], Any] = lambda: ServerConnection(self.listener)
        if config.http2:
            from lbkit.net.http2.front import Front  # needs a package

            front = Front(self.listener, config.http2)
            if self.tls:
                self._protocol = front.negotiated
        self.http3: Http3Front | None = None
        if config.http3 and self.tls:
            from lbkit.net.http3.front import Http3Front  # needs a package

            self.http3 = Http3Front(self.listener, config.http3, self.tls)

    @property
    def url(self) -> str:
        return f"{self.config.scheme}://{join_address(self.host, self.port)}"

    # -- accepting --------------------------------------------------------------------------

    async def _accept_all(self, sock: socket.socket | None) -> list[Accepting]:
        """Accept clients on every port, with room for as many as there are descriptors. Raises ProxyError."""
        self._stop, self._empty = asyncio.Event(), asyncio.Event()
        self.listener.now = monotonic
        self.listener.stopping = False
        # Clients beyond the capacity are answered 503, for which a descriptor has to be left.
        self.listener.capacity, self._scarcity = descriptors.capacity(self.config.limits.connections)
        if self.tls:
            self.tls.full = lambda pending: pending + len(self.listener.open) >= self.listener.capacity
        servers = [await self.accept(sock)]
        shared = sock is not None
        try:
            if self.config.https_redirect:
                servers.append(await self._accept_plain(shared))
            if self.http3:
                self.http3_port = await self.http3.open(self.host, self.port, shared)
        except ProxyError:
            for server in servers:
                server.close()
            raise
        return servers

    async def _listen(
        self, factory: Callable[[], asyncio.Protocol], sock: socket.socket | None, **options: Any
    ) -> Accepting:
        """Accept connections; where proxies in front announce them, by what they say. Raises ProxyError."""
        if not self.config.accept_proxy:
            return await super()._listen(factory, sock, **options)
        sock = sock or bound(self.host, self.port, socket.SOCK_STREAM)
        self.port = sock.getsockname()[1]
        return self._announced(factory, sock, **options)

    def _announced(
        self, factory: Callable[[], asyncio.Protocol], sock: socket.socket, **options: Any
    ) -> AnnouncedServer:
        """Accept connections that begin with a PROXY header, if they come from a trusted proxy."""
        return AnnouncedServer(
            sock,
            factory,
            self.listener.announced,
            trusted_networks(self.config.accept_proxy),
            self.config.timeouts.head,
            self.faults.report,
            lambda arriving: arriving + len(self.listener.open) <= self.listener.capacity,
            **options,
        )

    async def accept(self, sock: socket.socket | None = None) -> Accepting:
        """Accept clients on `sock` (listening), or on a socket of our own. Raises ProxyError."""
        options: dict[str, Any] = {}
        if self.tls:
            waits = {"ssl_handshake_timeout": self.tls.rules.handshake, "ssl_shutdown_timeout": LINGER}
            options = {"ssl": self.tls, **waits}
        return await self._listen(self._protocol, sock, **options)

    async def _accept_plain(self, shared: bool) -> Accepting:
        """Accept clients without TLS; a filter redirects them. `shared`: other workers use the port, too."""
        assert self.tls
        assert self.tls.rules.redirect_address
        host, port = self.tls.rules.redirect_address
        sock = bound(host, port, socket.SOCK_STREAM, shared)
        self.redirect_port = sock.getsockname()[1]
        factory: Callable[[], Any] = lambda: ServerConnection(self.listener)  # noqa: E731
        if self.config.accept_proxy:
            return self._announced(factory, sock)
        return await asyncio.get_running_loop().create_server(factory, sock=sock, backlog=BACKLOG)

    # -- leaving ----------------------------------------------------------------------------

    def shut(self, grace: float, notice: float = 0.0) -> None:
        """Begin to stop; call it in the proxy's thread. `notice`: seconds in which a kept connection may get
        one more answer, with `Connection: close`: closing it at once could lose a request on its way."""
        self._grace, self._notice = grace, notice
        self.listener.stopping = True
        if self._stop:
            self._stop.set()

    async def _drain(self) -> None:
        """Close idle connections at once, busy ones after their answers or at the end of the grace."""
        if self.http3:
            await self.http3.leave()
        last = self.listener.now() + min(self._grace, FIRST_REQUEST)
        while self.tls and self.tls.waiting() and self.listener.now() < last:
            await asyncio.sleep(ACCEPTED)  # until it is among the open ones
        await self._until_empty(lambda: self.listener.open, self._notice)
        now = self.listener.now()
        for client in list(self.listener.open):
            client.drain(now)
        await self._until_empty(lambda: self.listener.open, self._grace)

    def _full(self) -> None:
        why = self._scarcity or f"as many as limits.connections: {self.listener.capacity}"
        self.faults.report(f"full, further clients are answered 503: {why}")

    def _client_closed(self) -> None:
        if self.listener.stopping and not self.listener.open and self._empty:
            self._empty.set()
