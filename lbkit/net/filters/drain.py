"""Closes the connections of clients of a draining backend."""

from __future__ import annotations

from lbkit.core import Intent
from lbkit.net.filters.base import Filter
from lbkit.net.messages import ExchangeView, ResponseHead


class DrainFilter(Filter):
    """Adds Connection: close to answers of a draining backend, so that its clients reconnect.

    Behind another balancer, or with sticky connections, the backend becomes idle only that way."""

    name = "drain"

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        backend = exchange.backend
        if backend is not None and backend.intent is not Intent.READY:
            exchange.client.say_last()
