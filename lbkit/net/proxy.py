"""The reverse proxy (layer 7): assembles the parts, starts and stops them."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from functools import partial
from math import inf
from time import monotonic
from typing import Any

import attrs

from lbkit.core import AnyPool, Backend, Intent
from lbkit.core.key import key_of
from lbkit.core.routing import MirrorReport
from lbkit.core.routing.paths import normal_path
from lbkit.net.alarms import AlarmsByLength
from lbkit.net.chain import connect_filters, make_filters
from lbkit.net.client_side import ClientSide
from lbkit.net.config import ProxyConfig
from lbkit.net.exchange import Exchange
from lbkit.net.faults import say
from lbkit.net.filters.alt_svc import AltSvcFilter
from lbkit.net.filters.cache import CacheFilter
from lbkit.net.filters.drain import DrainFilter
from lbkit.net.filters.https import RedirectFilter
from lbkit.net.filters.mirror import MirrorFilter
from lbkit.net.l4.relay import Relay
from lbkit.net.names import Names
from lbkit.net.origin.announcing import AnnouncingConnections
from lbkit.net.origin.check import Checker
from lbkit.net.origin.connections import Connections
from lbkit.net.origin.probe import Reports
from lbkit.net.origin.reach import Reaches
from lbkit.net.running import ACCEPTED
from lbkit.net.service import Service
from lbkit.net.stored import stored_uri
from lbkit.net.watching import Watch
from lbkit.net.websocket import Frames
from lbkit.watchdog import guard


class Proxy(ClientSide):
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
        config = (config or ProxyConfig(listen="127.0.0.1:0")).but(**options)
        super().__init__(config)
        self.pool = config.pool() if pool is None else pool
        self.filters = make_filters(config)
        self._reach_backends()
        self.service = self._service()
        self._set_up(partial(Exchange, self.service))
        connect_filters(self.filters, self.service, self.listener)
        self._on_response = self.service.on_response

    def _reach_backends(self) -> None:
        """Make the side of the backends: connections, load reports, health checks, lookups of names."""
        config, timeouts, fault = self.config, self.config.timeouts, self.faults.report
        retry = config.policy.retry
        if retry and retry.timeouts and retry.timeouts.connect:
            timeouts = attrs.evolve(timeouts, connect=retry.timeouts.connect)
        self.connections = (
            AnnouncingConnections(timeouts, config.limits, config.send_proxy)
            if config.send_proxy
            else Connections(timeouts, config.limits)
        )
        self.connections.reach = Reaches(config.backends)
        self.connections.fault = self.faults.note
        self.reports = Reports(self.pool, config.probe, self.connections, self._now, fault)
        if checks := config.policy.health and config.policy.health.checks:
            self.checker = Checker(self.pool, checks.probe, checks.timeout, self._now, on_fault=fault)
            self.checker.reach = self.connections.own_reach
        self.names = Names(self.pool, config.backends, config.lookup_interval, say)
        self.names.set_intent = self.set_intent

    def _service(self) -> Service:
        config = self.config
        return Service(
            pool=self.pool,
            key=key_of(config.policy.keyed_by),
            connections=self.connections,
            reports=self.reports,
            join=self._join,
            attempts=config.policy.attempts(lambda _: random.Random()),
            timeouts=config.timeouts,
            fault=self.faults.report,
            explain=config.explain,
            private="" if config.expose else normal_path(config.probe.encode("latin-1")),
        )

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

    # -- in the running loop ----------------------------------------------------------------

    async def serve(
        self, sock: socket.socket | None = None, on_ready: Callable[[], object] | None = None
    ) -> None:
        """Serve until `shut` is called, on `sock` (listening) or a socket of our own. Raises ProxyError."""
        guard()
        loop = asyncio.get_running_loop()
        self.connections.now = self.service.now = monotonic
        self.service.alarms = AlarmsByLength()  # no loop's but this one's
        for pool in self.pool.pools:
            if pool.affinity is not None:  # cookies outlive a process, and monotonic clocks differ
                pool.affinity.epoch = time.time() - monotonic()
        servers = await self._accept_all(sock)
        assert self._stop
        redirect = self.filters.get("https_redirect")
        if isinstance(redirect, RedirectFilter):
            redirect.port = redirect.port or self.port
        announced = self.filters.get("http3")
        if isinstance(announced, AltSvcFilter):
            announced.announce(announced.port or self.http3_port)
        jobs = [self._sweep(), self.names.run()]
        if self.tls:
            jobs.append(self.tls.watch(say))
        if self.checker:
            jobs.append(self.checker.run())
        tasks = [loop.create_task(job) for job in jobs]
        try:
            if on_ready:
                on_ready()
            await self._stop.wait()
            # asyncio drops a connection that it has accepted, if the server closes before it has a transport.
            for server in servers:
                if isinstance(server, asyncio.Server) and isinstance(loop, asyncio.SelectorEventLoop):
                    for listening in server.sockets:
                        loop.remove_reader(listening.fileno())
            await asyncio.sleep(ACCEPTED)
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
            if self.http3:
                self.http3.close()
            self.connections.close_idle(float("inf"))
            await asyncio.sleep(0)  # lets the transports close
            for made in self.filters.values():
                await made.close()

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

    def watch(self) -> Watch:
        """Begin to write down what happens to requests, until its `end`; the last to watch is the one that
        sees. From any thread."""
        return Watch(self.service, self.listener)

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
