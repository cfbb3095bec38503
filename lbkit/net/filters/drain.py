"""What clients of a backend that drains are told."""

from __future__ import annotations

from lbkit.core import Intent
from lbkit.net.filters.base import Filter
from lbkit.net.messages import ExchangeView, ResponseHead


class DrainFilter(Filter):
    """Connection: close with answers of a backend that drains: the client's next connection is a new one.

    Behind another balancer, or with sticky connections, that is what lets the backend become idle."""

    name = "drain"

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        backend = exchange.backend
        if backend is not None and backend.intent is not Intent.READY:
            exchange.client.say_last()
