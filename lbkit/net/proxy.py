"""The reverse proxy (layer 7): assembles the parts, starts and stops them."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

import attrs

from lbkit.core import AnyPool, Backend, Intent
from lbkit.core.key import key_of
from lbkit.core.routing import MirrorReport
from lbkit.net import descriptors
from lbkit.net.address import join_address
from lbkit.net.config import ProxyConfig
from lbkit.net.exchange import Exchange
from lbkit.net.faults import say
from lbkit.net.filters.access_log import AccessLogFilter
from lbkit.net.filters.admission import AdmissionFilter
from lbkit.net.filters.bandwidth import BandwidthFilter
from lbkit.net.filters.base import Filter, hooks
from lbkit.net.filters.cache import CacheFilter
from lbkit.net.filters.client_certificate import ClientCertificateFilter
from lbkit.net.filters.compress import CompressFilter
from lbkit.net.filters.drain import DrainFilter
from lbkit.net.filters.explain import ExplainFilter, ExposeFilter
from lbkit.net.filters.firewall import firewall_filter
from lbkit.net.filters.hide import HideErrorsFilter, HideFilter
from lbkit.net.filters.https import HstsFilter, RedirectFilter
from lbkit.net.filters.mirror import MirrorFilter
from lbkit.net.filters.rate_limit import RateLimitFilter
from lbkit.net.filters.route import RouteFilter, ShownRouteFilter
from lbkit.net.filters.stats import StatsFilter
from lbkit.net.filters.sticky import StickyFilter
from lbkit.net.http1.listener import Listener
from lbkit.net.http1.server import FIRST_REQUEST, LINGER, ServerConnection
from lbkit.net.l4.announced import AnnouncedServer
from lbkit.net.l4.relay import Relay
from lbkit.net.names import Names
from lbkit.net.origin.announcing import AnnouncingConnections
from lbkit.net.origin.check import Checker
from lbkit.net.origin.connections import Connections
from lbkit.net.origin.probe import Reports
from lbkit.net.origin.reach import Reaches
from lbkit.net.peer import trusted_networks
from lbkit.net.running import ACCEPTED, BACKLOG, Accepting, ProxyError, Running, bound
from lbkit.net.service import Service
from lbkit.net.stored import stored_uri
from lbkit.net.tls.certificates import ONLY_HTTP1, WITH_HTTP2
from lbkit.net.tls.live import LiveContext
from lbkit.net.unattended import UnattendedExchanges
from lbkit.net.websocket import Frames
from lbkit.watchdog import guard

# A field of the config, and the filter that implements it; in the order in which requests pass the filters.
FILTERS: dict[str, Callable[[ProxyConfig], Filter]] = {
    "access_log": lambda config: AccessLogFilter(config.access_log),
    "stats": lambda config: StatsFilter(),
    "https_redirect": lambda config: RedirectFilter(config.tls.public_port),  # type: ignore[union-attr]
    "hsts": lambda config: HstsFilter(config.hsts, config.tls.hsts_subdomains),  # type: ignore[union-attr]
    "client_certificates": lambda config: ClientCertificateFilter(),
    "expose": lambda config: ExposeFilter(),
    "explain": lambda config: ExplainFilter(),
    "firewall": lambda config: firewall_filter(config.firewall, config.expose),  # type: ignore[arg-type]
    "routing": lambda config: _route_filter(config),
    "sticky": lambda config: StickyFilter(config.sticky, config.shared_sessions()),  # type: ignore[arg-type]
    "rate_limits": lambda config: RateLimitFilter(config.shared_or_own_limits()),
    "bandwidth": lambda config: BandwidthFilter(config.bandwidth),
    "compression": lambda config: CompressFilter(config.compression),  # type: ignore[arg-type]
    "hide": lambda config: HideFilter(config.hide),
    "hide_errors": lambda config: HideErrorsFilter(),
    # What is served from the cache is not admitted; what comes from backends is stored before it is changed.
    "cache": lambda config: CacheFilter(config.cache),  # type: ignore[arg-type]
    "admission": lambda config: AdmissionFilter(config.admission),  # type: ignore[arg-type]
    "mirrored": lambda config: MirrorFilter(config.mirrored),
}


def _route_filter(config: ProxyConfig) -> RouteFilter:
    assert config.routing
    return (ShownRouteFilter if config.explain or config.expose else RouteFilter)(config.routing)


class Proxy(Running):
    """Accepts requests, and distributes them over the backends of `pool`.

    Other threads touch the pool through `call`.
    """

    def __init__(
        self, pool: AnyPool | None = None, config: ProxyConfig | None = None, **options: Any
    ) -> None:
        """`pool`: made as the config says, if not given. `options`: fields of a ProxyConfig, and `retries`
        and `keyed_by` of its Policy. Without a config it listens on a free port of 127.0.0.1.

        Raises ValueError for a wrong option or a certificate that cannot be used, ConfigError for a backend's
        name that cannot be resolved."""
        config = config or ProxyConfig(listen="127.0.0.1:0")
        config = config.but(**options)
        super().__init__(*config.address)
        self.config = config
        self.pool = config.pool() if pool is None else pool
        self.filters = {field: build(config) for field, build in FILTERS.items() if getattr(config, field)}
        retry = config.policy.retry
        timeouts = config.timeouts
        if retry and retry.timeouts and retry.timeouts.connect:
            timeouts = attrs.evolve(timeouts, connect=retry.timeouts.connect)
        self.connections = (
            AnnouncingConnections(timeouts, config.limits, config.send_proxy)
            if config.send_proxy
            else Connections(timeouts, config.limits)
        )
        self.connections.reach = Reaches(config.backends)
        self.connections.fault = self.faults.report
        self.reports = Reports(self.pool, config.probe, self.connections, self._now, self.faults.report)
        checks = config.policy.health and config.policy.health.checks
        self.checker = (
            Checker(self.pool, checks.probe, checks.timeout, self._now, on_fault=self.faults.report)
            if checks
            else None
        )
        if self.checker:
            self.checker.reach = self.connections.own_reach
        self.names = Names(self.pool, config.backends, config.lookup_interval, say)
        self.names.set_intent = self.set_intent
        self.service = Service(
            pool=self.pool,
            key=key_of(config.policy.keyed_by),
            connections=self.connections,
            reports=self.reports,
            join=self._join,
            attempts=config.policy.attempts(lambda _: random.Random()),
            timeouts=config.timeouts,
            fault=self.faults.report,
            explain=config.explain,
            private=b"" if config.expose else config.probe.partition("?")[0].encode("latin-1"),
        )
        for index, made in enumerate(self.filters.values()):
            made.index = index
            made.fault = self.faults.report
            made.pool = self.pool
            if isinstance(made, MirrorFilter):
                made.service = self.service
        self.service.filters = len(self.filters)
        for hook, methods in hooks(list(self.filters.values())).items():
            setattr(self.service, hook, methods)
        self._on_response = self.service.on_response
        self.listener = Listener(
            partial(Exchange, self.service),
            timeouts=config.timeouts,
            limits=config.limits,
            trusted=trusted_networks(config.trusted),
            refuse_twins=config.underscores == "refuse",
        )
        unattended = UnattendedExchanges(self.service, self.listener, list(self.filters.values()))
        for made in self.filters.values():
            made.unattended = unattended
        self.listener.on_close = self._client_closed
        self.listener.on_full = self._full
        self.listener.on_fault = self.faults.report
        self.tls = LiveContext(config.tls, WITH_HTTP2 if config.http2 else ONLY_HTTP1) if config.tls else None
        self._protocol: Callable[[], asyncio.Protocol] = lambda: ServerConnection(self.listener)
        if config.http2:
            from lbkit.net.http2.front import Front  # needs a package

            front = Front(self.listener, config.http2)
            if self.tls:
                self._protocol = front.negotiated
        self.redirect_port = 0  # where plain HTTP is redirected, once it runs
        self._stop: asyncio.Event | None = None
        self._grace = self._notice = 0.0  # seconds
        self._scarcity = ""  # why there are fewer clients than limits.connections

    def _join(
        self,
        client: asyncio.Transport,
        origin: asyncio.Transport,
        backend: Backend | None,
        data: bytes,
        on_end: Callable[[Relay], object],
    ) -> None:
        """Relay bytes between the two ends after an upgrade; `data`: what the server has sent already."""

        def ended(relay: Relay) -> None:
            self.listener.closed(relay)
            on_end(relay)

        timeouts = self.config.timeouts
        frames = None
        if self.pool.pools[0].drains.rules.timeout < inf:  # else none is ever cut, and nothing to follow
            frames = Frames()
            frames.feed(data)
        relay = Relay(client, origin, self._now, timeouts.tunnel, timeouts.read, ended, backend, frames)
        if not relay.over:
            self.listener.open.add(relay)

    def _now(self) -> float:
        return self.service.now()

    @property
    def keyed_by(self) -> str:
        """The part of a request that algorithms get as its key; may be changed while the proxy runs."""
        return self.config.policy.keyed_by

    @keyed_by.setter
    def keyed_by(self, spec: str) -> None:
        self.service.key = key_of(spec)
        self.config = attrs.evolve(self.config, policy=attrs.evolve(self.config.policy, key=spec))

    @property
    def url(self) -> str:
        return f"{self.config.scheme}://{join_address(self.host, self.port)}"

    # -- in the running loop ----------------------------------------------------------------

    async def serve(
        self, sock: socket.socket | None = None, on_ready: Callable[[], object] | None = None
    ) -> None:
        """Serve until `shut` is called, on `sock` (listening) or a socket of our own. Raises ProxyError."""
        guard()
        loop = asyncio.get_running_loop()
        self.listener.now = self.connections.now = self.service.now = loop.time
        self._stop, self._empty = asyncio.Event(), asyncio.Event()
        for pool in self.pool.pools:
            if pool.affinity is not None:  # cookies outlive a process, and monotonic clocks differ
                pool.affinity.epoch = time.time() - loop.time()
        self.listener.stopping = False
        # Clients beyond the capacity are answered 503, for which a descriptor has to be left.
        self.listener.capacity, self._scarcity = descriptors.capacity(self.config.limits.connections)
        if self.tls:
            self.tls.full = lambda pending: pending + len(self.listener.open) >= self.listener.capacity
        servers = [await self.accept(sock)]
        tasks = [loop.create_task(self._sweep()), loop.create_task(self.names.run())]
        if self.tls:
            tasks.append(loop.create_task(self.tls.watch(say)))
            if self.config.https_redirect:
                try:
                    servers.append(await self._accept_plain(shared=sock is not None))
                except ProxyError:
                    servers[0].close()
                    raise
        if self.checker:
            tasks.append(loop.create_task(self.checker.run()))
        try:
            if on_ready:
                on_ready()
            await self._stop.wait()
            for server in servers:
                server.close()
            await asyncio.sleep(ACCEPTED)
            await self._drain()
        finally:
            for task in tasks:
                task.cancel()
            self.reports.stop()
            for server in servers:
                server.close()
            for client in list(self.listener.open):
                client.abort()
            self.connections.close_idle(float("inf"))
            await asyncio.sleep(0)  # lets the transports close
            for made in self.filters.values():
                await made.close()

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
        factory = lambda: ServerConnection(self.listener)  # noqa: E731
        server: Accepting
        if self.config.accept_proxy:
            server = self._announced(factory, sock)
        else:
            loop = asyncio.get_running_loop()
            server = await loop.create_server(factory, sock=sock, backlog=BACKLOG)
        redirect = self.filters["https_redirect"]
        assert isinstance(redirect, RedirectFilter)
        redirect.port = redirect.port or self.port
        return server

    def shut(self, grace: float, notice: float = 0.0) -> None:
        """Begin to stop; call it in the proxy's thread. `notice`: seconds in which a kept connection may get
        one more answer, with `Connection: close`: closing it at once could lose a request on its way."""
        self._grace, self._notice = grace, notice
        self.listener.stopping = True
        if self._stop:
            self._stop.set()

    async def _drain(self) -> None:
        """Close idle connections at once, busy ones after their answers or at the end of the grace."""
        last = self.service.now() + min(self._grace, FIRST_REQUEST)
        while self.tls and self.tls.waiting() and self.service.now() < last:
            await asyncio.sleep(ACCEPTED)  # until it is among the open ones
        await self._until_empty(lambda: self.listener.open, self._notice)
        now = self.service.now()
        for client in list(self.listener.open):
            client.drain(now)
        await self._until_empty(lambda: self.listener.open, self._grace)

    def _full(self) -> None:
        why = self._scarcity or f"as many as limits.connections: {self.listener.capacity}"
        self.faults.report(f"full, further clients are answered 503: {why}")

    def _client_closed(self) -> None:
        if self.listener.stopping and not self.listener.open and self._empty:
            self._empty.set()

    async def _sweep(self) -> None:
        """Check all deadlines in turns: one timer for each request would cost more than the request."""
        timeouts = self.config.timeouts
        drain = self.config.policy.drain
        shortest = min(timeouts.read, timeouts.head, timeouts.idle, timeouts.total, timeouts.tunnel)
        shortest = min(shortest, drain.timeout) if drain else shortest
        tick = min(0.5, max(0.01, shortest / 10))
        while True:
            await asyncio.sleep(tick)
            now = self.service.now()
            for client in list(self.listener.open):
                try:
                    client.expire(now)
                except Exception:  # one connection must not stop the deadlines of the others
                    self.faults.report("a connection could not be ended")
            self.connections.sweep(now)
            if self.service.on_response is not self._on_response:
                self._advance_drains(now)

    # -- backends that leave; in the proxy's thread ---------------------------------------------

    def set_intent(self, name: str, intent: Intent) -> None:
        """Have a backend leave, or come back. Raises KeyError, which lists the names."""
        self.pool.set_intent(name, intent, self._now())
        if intent is not Intent.READY:
            self.connections.close_idle_to(name)
            # A hook only while it is needed: no other answer pays for it.
            self.service.on_response = (DrainFilter().on_response, *self._on_response)

    def purge(self, url: str | None = None) -> int:
        """Forget the stored answers with a URL, or all of them, and return their number; in the proxy's
        thread. Raises LookupError without a cache, ValueError for what is no URL."""
        cache = self.filters.get("cache")
        if not isinstance(cache, CacheFilter):
            raise LookupError("this proxy has no cache: give it [cache]")
        return cache.purge(None if url is None else stored_uri(url))

    def mirror_report(self) -> dict[str, MirrorReport]:
        """Return what the mirrors have shown so far, by rule; in the proxy's thread."""
        mirror = self.filters.get("mirrored")
        return mirror.report() if isinstance(mirror, MirrorFilter) else {}

    def _advance_drains(self, now: float) -> None:
        """Cut off what runs on backends that have no more time."""
        for pool in self.pool.pools:
            for backend in pool.drains.advance(now):
                for client in list(self.listener.open):
                    client.cut(backend)
        if not any(pool.drains.draining for pool in self.pool.pools):
            self.service.on_response = self._on_response
