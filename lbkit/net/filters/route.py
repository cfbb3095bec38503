"""Content switching: answers, sends to pools and rewrites requests as the rules of `routing` say."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from lbkit.core import PoolSet
from lbkit.core.routing import Answered, Route, RouteTable, Routing
from lbkit.net.filters.base import Filter
from lbkit.net.http1.head import without_fields
from lbkit.net.messages import Answer, ExchangeView, ResponseHead


class RouteFilter(Filter):
    """Answers requests that no backend is to get; chooses the pool of the others, and changes them."""

    name = "routing"

    def __init__(self, routing: Routing, rng: random.Random | None = None) -> None:
        self.table = RouteTable(routing, rng)
        self.counts = dict.fromkeys(["", *(rule.name for rule in routing.rules)], 0)  # "": no rule fitted

    def figures(self) -> Mapping[str, int]:
        """Return how many requests each rule decided about."""
        return {name or "no rule": count for name, count in self.counts.items() if count}

    def on_request(self, exchange: ExchangeView, now: float) -> Answer | None:
        way = self.table.route(exchange.request)
        exchange.state[self.index] = way.rule
        self.counts[way.rule] += 1
        if isinstance(way, Answered):
            reply = way.reply
            fields = "".join(f"{name}: {value}\r\n" for name, value in reply.fields)
            # Without a text of its own, a reply says its status.
            body = reply.body.encode() or None
            return Answer(
                reply.status, fields=fields.encode(), body=body, content_type=reply.content_type.encode()
            )
        exchange.route = way
        if isinstance(self.pool, PoolSet):
            exchange.pool = self.pool.named(way.pool)
        self._change(exchange, way)
        return None

    @staticmethod
    def _change(exchange: ExchangeView, way: Route) -> None:
        """Write the changes into the head, in place of what it says."""
        request = exchange.request
        if way.target != request.target:
            fields = request.data[request.data.index(b"\r\n") :]
            request.data = b"%b %b HTTP/1.1%b" % (request.method, way.target, fields)
            request.target = way.target
        if way.set or way.remove:
            names = (*way.remove, *(name for name, _ in way.set))
            data = without_fields(request.data, {name.lower().encode() for name in names})
            request.data = data + "".join(f"{name}: {value}\r\n" for name, value in way.set).encode()


class ShownRouteFilter(RouteFilter):
    """Adds X-Lbkit-Rule, the name of the rule that decided, for `explain` and `expose`; and
    X-Lbkit-Mirrored, the pool that got a copy."""

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        rule = exchange.state[self.index] or "none"
        head.data += b"X-Lbkit-Rule: %b\r\n" % re.sub(r"[^ -~]", "?", rule).encode()
        if exchange.route and exchange.route.mirror:
            pool = re.sub(r"[^ -~]", "?", exchange.route.mirror)
            head.data += b"X-Lbkit-Mirrored: %b\r\n" % pool.encode()
