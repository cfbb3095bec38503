"""The load balancer of a live experiment: lbkit's own proxy, or a real program (see peers)."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import attrs
import tomli_w

from lbkit import __version__
from lbkit.core import AnyPool, Backend, Intent
from lbkit.core.attempts import MOST_EVENTS
from lbkit.core.drain import DrainState
from lbkit.core.state_change import StateChange
from lbkit.draws import stream
from lbkit.experiment import Experiment, Policy
from lbkit.experiment.traffic import HTTP2
from lbkit.live.lab import Lab
from lbkit.live.telling import of_proxy
from lbkit.metrics.store import Scrape
from lbkit.net import BackendConfig, Proxy, ProxyConfig
from lbkit.net.address import join_address
from lbkit.net.filters.trace import TraceFilter
from lbkit.net.http2.rules import Http2
from lbkit.net.tls.rules import Certificate, TlsRules
from lbkit.net.tracing.rules import Tracing
from lbkit.net.watching import Watch

SPANS_EVERY = 0.2  # seconds after which an exporter gets the latest spans
LOOPBACK = ("127.0.0.0/8",)  # the load comes from here, with the client in X-Forwarded-For


class Front(Protocol):
    """A load balancer that listens on `url`. Methods may be called from any thread."""

    lab: Lab | None  # with TLS, the files of its certificate; set before `start`

    @property
    def url(self) -> str: ...
    def start(self, backends: Iterable[Backend]) -> None:
        """Return when it serves; servers that join later (Experiment.joining) get no requests yet."""

    def stop(self) -> None:
        """Stop, and leave nothing running. Safe to repeat, also before start."""

    def switch(self, policy: Policy) -> None:
        """Go on with another policy."""

    def add(self, name: str, weight: float | None = None) -> None:
        """Have a server join the pool, by default with the weight of the experiment."""

    def remove(self, name: str) -> None: ...
    def drain(self, name: str) -> None: ...
    def drained(self, name: str) -> bool:
        """Return whether a draining server has no requests left."""

    def take_out(self, name: str) -> None:
        """Called before a drained server stops."""

    def undrain(self, name: str) -> None: ...
    def set_weight(self, name: str, weight: float) -> None: ...
    def state(self) -> dict[str, dict[str, Any]]:
        """Return a dict for each server: weight, intent, in_flight, picks; the last two None if not known."""

    @property
    def untold(self) -> str:
        """What `metrics` lacks, in a sentence; empty if nothing that it could have."""

    def metrics(self) -> Scrape:
        """Return its series of lbkit.metrics at this moment. Raises OSError, ValueError or PeerError if a
        program does not answer."""

    def watch(self) -> Watch | None:
        """Begin to write down what happens to requests, until the watch's `end`; None if it cannot."""

    def cpu(self) -> float:
        """Return the seconds of processor time that it has used."""

    def faults(self) -> list[str]:
        """Return a line for each thing that went wrong in it; also after `stop`."""

    def changes(self) -> list[StateChange]:
        """The changes of servers' states so far, by its health rules; times as of time.monotonic."""

    def facts(self) -> dict[str, Any]:
        """Return what a Result keeps of it: program, version, configuration, statistics of its own.

        Times of events are as of time.monotonic."""


class OwnProxy:
    """lbkit's proxy, in a thread of this process."""

    def __init__(self, experiment: Experiment, listen: str = "127.0.0.1:0") -> None:
        self.experiment = experiment
        self.listen = listen
        self._proxy: Any = None  # a Proxy; of a subclass, another that has a pool
        self._backends: dict[str, Backend] = {}
        self._seen: dict[Backend, None] = {}
        self._changes: list[StateChange] = []
        self.on_change: Callable[[StateChange], object] = self._changes.append
        self.lab: Lab | None = None
        self.spans: Any = None  # an exporter of OpenTelemetry's SDK, which gets the spans of requests

    @property
    def proxy(self) -> Any:
        assert self._proxy, "start first"
        return self._proxy

    @property
    def url(self) -> str:
        scheme = "https" if self.experiment.tls else "http"
        return f"{scheme}://{join_address(self.proxy.host, self.proxy.port)}"

    def start(self, backends: Iterable[Backend]) -> None:
        """Raises ProxyError."""
        self._backends = {b.name: b for b in backends}
        self._start(self._pool())

    def _pool(self) -> AnyPool:
        joining = self.experiment.joining
        there = (b.twin() for b in self._backends.values() if b.name not in joining)
        return self.experiment.policy.pools(
            there, self._stream, self.experiment.pools, on_change=self.on_change
        )

    def _start(self, pool: AnyPool) -> None:
        traced = {} if self.spans is None else {"tracing": Tracing(delay=SPANS_EVERY)}
        proxy = Proxy(pool, attrs.evolve(self._config(), listen=self.listen, expose=True, **traced))
        if isinstance(tracing := proxy.filters.get("tracing"), TraceFilter):
            tracing.export.exporter = self.spans
        proxy.faults.print_algorithms = False  # the Result reports them
        proxy.service.attempts.keep = MOST_EVENTS
        self._proxy = proxy.start()

    def _backend_configs(self) -> tuple[BackendConfig, ...]:
        return tuple(
            BackendConfig(
                b.address,
                b.name,
                weight=b.weight,
                zone=b.zone,
                priority=b.priority,
                pool=b.pool,
                workers=b.workers,
            )
            for b in self._backends.values()
        )

    def _config(self) -> Any:
        """Return the experiment as the configuration of `lbkit proxy`."""
        experiment = self.experiment
        return ProxyConfig(
            self._backend_configs(),
            trusted=LOOPBACK,
            policy=attrs.evolve(experiment.policy, options=dict(experiment.policy.options)),
            rate_limits=experiment.limits,
            admission=experiment.admission,
            tls=self._tls(),
            http2=Http2() if experiment.traffic.http == HTTP2 else None,
            compression=experiment.compression,
            firewall=experiment.firewall,
            routing=experiment.routing,
            cache=experiment.cache and attrs.evolve(experiment.cache, name="lbkit"),  # rows say what it did
        )

    def _tls(self) -> TlsRules | None:
        tls = self.experiment.tls
        if tls is None:
            return None
        assert self.lab, "tls needs a certificate"
        certificate = Certificate(self.lab.cert, self.lab.key)
        return TlsRules(certificate, minimum=tls.minimum, resumption=tls.resumption)

    def stop(self) -> None:
        if self._proxy:
            self._proxy.stop(grace=0.0)

    def switch(self, policy: Policy) -> None:
        self._in_pool(lambda pool: policy.switch(pool, self._stream))
        self.proxy.keyed_by = policy.keyed_by

    def add(self, name: str, weight: float | None = None) -> None:
        """Have a server join the pool as a new backend, by default with the weight of the experiment."""
        joins = self._backends[name].twin()
        if weight is not None:
            joins.weight = weight
        self._in_pool(lambda pool: pool.add(joins))

    def remove(self, name: str) -> None:
        self._known()
        self._in_pool(lambda pool: pool.remove(name))

    def drain(self, name: str) -> None:
        self.proxy.call(self.proxy.set_intent, name, Intent.DRAIN)

    def drained(self, name: str) -> bool:
        states = self.proxy.call(lambda: [p.drains.state(name) for p in self.proxy.pool.pools if name in p])
        return set(states) == {DrainState.DRAINED}

    def take_out(self, name: str) -> None:
        self.proxy.call(self.proxy.set_intent, name, Intent.OUT)

    def undrain(self, name: str) -> None:
        self.proxy.call(self.proxy.set_intent, name, Intent.READY)

    def set_weight(self, name: str, weight: float) -> None:
        self._in_pool(lambda pool: pool.set_weight(name, weight))

    def state(self) -> dict[str, dict[str, Any]]:
        rows: dict[str, dict[str, Any]] = {}
        for b in self._known():
            row = rows.setdefault(b.name, {"weight": b.weight, "intent": b.intent.value})
            row["in_flight"] = row.get("in_flight", 0) + b.in_flight
            row["picks"] = row.get("picks", 0) + b.picks
            row["healthy"] = row.get("healthy", True) and b.healthy
        return {name: rows[name] for name in self._backends}

    def _known(self) -> list[Backend]:
        """Return every balancer's backends, also those that have left the pool or not joined yet."""
        if self._proxy:
            self._seen |= dict.fromkeys(self._proxy.pool.all_backends())
        names = {b.name for b in self._seen}
        return [*self._seen, *(b for b in self._backends.values() if b.name not in names)]

    untold = ""

    def metrics(self) -> Scrape:
        found: Scrape = self.proxy.call(of_proxy, self.proxy)
        return found

    def watch(self) -> Watch | None:
        watch: Watch = self.proxy.watch()
        return watch

    def cpu(self) -> float:
        return float(self.proxy.cpu())

    def faults(self) -> list[str]:
        return self._proxy.faults.lines() if self._proxy else []

    def changes(self) -> list[StateChange]:
        return list(self._changes)

    def facts(self) -> dict[str, Any]:
        text = tomli_w.dumps(self._config().to_dict())
        checker = self._proxy.checker if self._proxy else None
        return {
            **(self._counts() if self._proxy else {}),
            **({"probes": checker.sent, "probing": checker.running} if checker else {}),
            "program": f"lbkit {__version__}",
            "config": text,  # that makes `lbkit proxy` do the same
            "config_lines": config_lines(text),
            "notes": self._notes(),
        }

    def _counts(self) -> dict[str, Any]:
        cache = self.proxy.filters.get("cache")
        fetched = {"fetched": cache.figures()["asked"]} if cache else {}
        return {**self.proxy.service.attempts.facts(), **fetched}

    def _notes(self) -> list[str]:
        return []

    def _stream(self, name: str) -> random.Random:
        return stream(self.experiment.seed, name)

    def _in_pool(self, change: Callable[[AnyPool], object]) -> None:
        """Change the pool, in the proxy's thread."""
        self.proxy.call(change, self.proxy.pool)


def config_lines(text: str) -> int:
    """Return the number of lines without comments and blank ones."""
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in text.splitlines())


def wait_until(true: Callable[[], bool], seconds: float) -> bool:
    """Return whether it became true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
