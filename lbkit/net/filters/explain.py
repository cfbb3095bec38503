"""Fields that tell the client how its request was served."""

from __future__ import annotations

import re

from lbkit.net.filters.base import Filter
from lbkit.net.messages import ExchangeView, ResponseHead


class ExplainFilter(Filter):
    """X-Lbkit-Why: why this backend."""

    name = "explain"

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        lease = exchange.lease
        if head.own:
            return
        said = f"{lease.backend.name}: {lease.why}" if lease else ""
        # Names and keys come from outside: nothing of them may end the line.
        head.data += b"X-Lbkit-Why: %b\r\n" % re.sub(r"[^ -~]", "?", said)[:1000].encode()


class ExposeFilter(Filter):
    """X-Lbkit-Attempts: how many backends were tried; and the internal fields of the backend's answer."""

    name = "expose"

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        head.data += b"%bX-Lbkit-Attempts: %d\r\n" % (head.internal, exchange.attempts)
