"""Traces: each request gets a span of the proxy, and each attempt at a backend one of its own.

(Names of attributes: OpenTelemetry's semantic conventions for HTTP; those of lbkit begin with `lbkit.`.)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from lbkit.core import Backend, Lease
from lbkit.core.attempts import Failure
from lbkit.net.filters.base import Filter
from lbkit.net.messages import ExchangeView
from lbkit.net.service import Step
from lbkit.net.tracing.context import Context, drawn, new_id, read_context, stamped, with_parent
from lbkit.net.tracing.exemplars import Exemplars
from lbkit.net.tracing.export import Export
from lbkit.net.tracing.rules import Tracing
from lbkit.net.tracing.spans import CLIENT, SERVER, Span

METHODS = frozenset(b"CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT QUERY TRACE".split())
SWITCHED = 101


class BackendSettings(Protocol):
    """The settings of a backend that a span shows."""

    @property
    def protocol(self) -> str: ...
    def has(self, backend: Backend) -> bool: ...


class Traced:
    """An exchange whose spans are recorded."""

    __slots__ = ("attempts", "context", "span")

    def __init__(self, context: Context, span: Span) -> None:
        self.context = context
        self.span = span
        self.attempts: list[tuple[Lease, Span]] = []

    def attempt(self, lease: Lease) -> Span | None:
        """Return the span of an attempt, the latest first; None once it has ended."""
        for one, span in reversed(self.attempts):
            if one is lease:
                return None if span.end else span
        return None


class TraceFilter(Filter):
    """Continues the traces that requests bring along, begins others, and records those that are sampled.

    It comes first of the filters, so that its span has all that happens. What is not sampled costs no more
    than the field in the head."""

    name = "tracing"

    def __init__(self, rules: Tracing, scheme: str, backends: Sequence[BackendSettings] = ()) -> None:
        self.rules = rules
        self.export = Export(rules, lambda what: self.fault(what))
        self.exemplars = Exemplars()
        self._scheme = scheme
        self._http2 = [config for config in backends if config.protocol == "h2"]
        self._rng = random.Random()
        self._steps: dict[Step, Callable[[ExchangeView, Traced, Span, Any, float], None]] = {
            Step.CONNECTED: self._connected,
            Step.SENDS: self._sends,
            Step.HEADED: self._headed,
            Step.FAILED: self._failed,
            Step.RELEASED: self._released,
        }

    # -- the request ---------------------------------------------------------------------------

    def on_request(self, exchange: ExchangeView, now: float) -> None:
        request, rng = exchange.request, self._rng
        believed = self.rules.accept == "all" or request.peer.trusted
        came = read_context(request.data) if believed else None
        span_id = new_id(rng, 16)
        if came is None:
            trace_id, parent_id = new_id(rng, 32), ""
            context = Context(trace_id, span_id, drawn(trace_id, self.rules.sample))
        else:
            parent_id = came.span_id
            context = came._replace(span_id=span_id)
        request.data = stamped(request.data, context)
        if context.sampled:
            span = Span(context, span_id, parent_id, SERVER, exchange.began)
            exchange.state[self.index] = Traced(context, span)

    def on_attempt(self, exchange: ExchangeView, step: Step, lease: Lease, detail: Any, now: float) -> None:
        traced: Traced | None = exchange.state[self.index]
        if traced is None:
            return
        if step is Step.PICKED:
            self._picked(exchange, traced, lease, bool(detail))
        elif span := traced.attempt(lease):
            self._steps[step](exchange, traced, span, detail, now)

    # -- its attempts --------------------------------------------------------------------------

    def _picked(self, exchange: ExchangeView, traced: Traced, lease: Lease, hedge: bool) -> None:
        ours, backend = traced.span, lease.backend
        if not traced.attempts:
            if lease.start > ours.start:  # a filter has held it
                ours.events.append(("queued", ours.start))
            ours.events.append(("picked", lease.start))
        span = Span(traced.context, new_id(self._rng, 16), ours.span_id, CLIENT, lease.start)
        span.events.append(("picked", lease.start))
        span.attributes = {
            "lbkit.backend": backend.name,
            "server.address": backend.host,
            "server.port": backend.port,
            "network.protocol.version": "2" if self._speaks_http2(backend) else "1.1",
        }
        if resent := len(traced.attempts):
            span.attributes["http.request.resend_count"] = resent
        if hedge:
            span.attributes["lbkit.hedge"] = True
        traced.attempts.append((lease, span))

    def _speaks_http2(self, backend: Backend) -> bool:
        return any(config.has(backend) for config in self._http2)

    def _connected(
        self, exchange: ExchangeView, traced: Traced, span: Span, detail: object, now: float
    ) -> None:
        span.events.append(("connected", now))

    def _sends(self, exchange: ExchangeView, traced: Traced, span: Span, detail: object, now: float) -> None:
        request = exchange.request
        request.data = with_parent(request.data, traced.context.trace_id, span.span_id)

    def _headed(self, exchange: ExchangeView, traced: Traced, span: Span, status: int, now: float) -> None:
        span.events.append(("first byte", now))
        span.attributes["http.response.status_code"] = status
        span.error = str(status) if status >= 400 else ""  # what a kept connection lost is made good

    def _failed(
        self, exchange: ExchangeView, traced: Traced, span: Span, failure: Failure, now: float
    ) -> None:
        span.events.append((failure.label, now))
        span.error = failure.label.replace(" ", "_")

    def _released(
        self, exchange: ExchangeView, traced: Traced, span: Span, ok: bool | None, now: float
    ) -> None:
        span.end = now
        span.attributes["lbkit.outcome"] = OUTCOMES[ok]
        if ok is False and not span.error:
            span.error = "cut_off"

    # -- the end -------------------------------------------------------------------------------

    def on_origin_done(self, exchange: ExchangeView, ok: bool | None, now: float) -> None:
        traced: Traced | None = exchange.state[self.index]
        lease = exchange.lease
        if traced and ok and lease and exchange.status != SWITCHED:
            self.exemplars.add(lease.backend.name, now - exchange.began, traced.context)

    def on_end(self, exchange: ExchangeView, now: float) -> None:
        traced: Traced | None = exchange.state[self.index]
        if traced is None:
            return
        ours = traced.span
        # The attempts' ends are a moment later than `now`.
        ours.end = max([now, *(span.end for _, span in traced.attempts)])
        ours.attributes = self._attributes(exchange)
        if exchange.status >= 500:
            ours.error = str(exchange.status)
        method = ours.attributes["http.request.method"]
        for _, span in traced.attempts:
            span.attributes["http.request.method"] = method
            span.end = span.end or now
        spans = [ours, *(span for _, span in traced.attempts)]
        for span in spans:
            span.name = "HTTP" if method == "_OTHER" else str(method)
        self.export.add(spans)

    def _attributes(self, exchange: ExchangeView) -> dict[str, str | int | bool]:
        request = exchange.request
        known = request.method in METHODS
        method = request.method.decode("latin-1")
        found: dict[str, str | int | bool] = {
            "http.request.method": method if known else "_OTHER",
            "url.scheme": self._scheme,
            "url.path": request.original.partition(b"?")[0].decode(
                "latin-1"
            ),  # no query: it may have secrets
            "server.address": _without_port(request.field(b"host").decode("latin-1")),
            "client.address": request.client,
            "network.protocol.version": request.version.removesuffix(".0") if request.http11 else "1.0",
            "lbkit.attempts": exchange.attempts,
        }
        if not known:
            found["http.request.method_original"] = method
        if exchange.status:
            found["http.response.status_code"] = exchange.status
        if exchange.route:
            found["lbkit.rule"] = exchange.route.rule
        return found

    # -- the filter ----------------------------------------------------------------------------

    def figures(self) -> Mapping[str, int]:
        """Return how many spans were sent, and how many were lost: no room, or no collector."""
        return self.export.figures()

    async def close(self) -> None:
        await self.export.close()


OUTCOMES = {True: "ok", False: "failed", None: "dropped"}  # dropped: no verdict, as of a hedge that lost


def _without_port(host: str) -> str:
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
