"""Exchanges without a client: a filter's own requests, and those that outlive their clients."""

from __future__ import annotations

from asyncio import Transport
from collections.abc import Sequence
from copy import copy
from typing import Any

from lbkit.core import Backend
from lbkit.net.exchange import Exchange
from lbkit.net.filters.base import Filter, WrappedSink, hooks
from lbkit.net.http1.listener import Listener
from lbkit.net.messages import ExchangeView, RequestHead, ResponseHead
from lbkit.net.service import Service


class NoClient:
    """Discards an answer.

    It is one of the listener's open clients, so that deadlines, drains and a shutdown reach its exchange."""

    writable = True

    def __init__(self, listener: Listener, background: bool) -> None:
        self.listener = listener
        self.background = background
        self.exchange: Exchange
        listener.open.add(self)

    # -- as the client of its exchange ------------------------------------------------------------

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        self.send(data, end)

    def send(self, data: bytes, end: bool) -> None:
        if end:
            self.listener.closed(self)
            self.exchange.delivered()

    def abort(self) -> None:
        self.listener.closed(self)
        self.exchange.client_gone()  # unless it is over

    def upgrade(self, head: ResponseHead) -> tuple[Transport, bytes]:
        raise AssertionError("upgrades have clients")

    def ready(self, ready: bool) -> None: ...
    def interim(self, head: ResponseHead) -> None: ...
    def say_last(self) -> None: ...
    def read_body(self, wanted: bool) -> None: ...

    # -- as one of the open clients ----------------------------------------------------------------

    def expire(self, now: float) -> None:
        if self.exchange.deadline < now:
            self.exchange.expired(now)

    def drain(self, now: float) -> None:
        if self.background:
            self.abort()  # else others wait for the answer

    def cut(self, backend: Backend) -> None:
        self.exchange.cut(backend)


class UnattendedExchanges:
    """Starts and adopts exchanges without a client, for the filters of a proxy."""

    def __init__(self, service: Service, listener: Listener, filters: Sequence[Filter]) -> None:
        self.service = service
        self.listener = listener
        self.filters = filters

    def send(self, by: Filter, request: RequestHead, like: ExchangeView, state: Any) -> None:
        # Copied each time, as its hooks change while the proxy runs.
        service = copy(self.service)
        behind = self.filters[by.index + 1 :]
        for hook, methods in hooks([by, *behind]).items():
            setattr(service, hook, methods)
        service.on_request = hooks(behind)["on_request"]
        client = NoClient(self.listener, background=True)
        now = service.now()
        client.exchange = exchange = Exchange(service, request, client, now)
        exchange.pool, exchange.route, exchange.token = like.pool, like.route, like.token
        exchange.state[by.index] = state
        exchange.begin(now)

    def adopt(self, exchange: ExchangeView) -> None:
        assert isinstance(exchange, Exchange)
        client = NoClient(self.listener, background=False)
        client.exchange = exchange
        last = exchange.sink
        if isinstance(last, WrappedSink):
            while isinstance(last.next, WrappedSink):
                last = last.next
            last.next = client
        else:
            exchange.sink = client
        exchange.client = client
        exchange.client_ready(True)
