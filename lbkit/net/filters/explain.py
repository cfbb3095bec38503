"""Header fields that show clients how their requests were served."""

from __future__ import annotations

import re

from lbkit.net.filters.base import Filter
from lbkit.net.messages import ExchangeView, ResponseHead


class ExplainFilter(Filter):
    """Adds X-Lbkit-Why: why this backend was picked."""

    name = "explain"

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        lease = exchange.lease
        if head.own:
            return
        said = f"{lease.backend.name}: {lease.why}" if lease else ""
        # Names and keys are untrusted text, which must not end the line.
        head.data += b"X-Lbkit-Why: %b\r\n" % re.sub(r"[^ -~]", "?", said)[:1000].encode()


class ExposeFilter(Filter):
    """Adds X-Lbkit-Attempts, the number of backends tried, and the internal fields of backends' answers."""

    name = "expose"

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        head.data += b"%bX-Lbkit-Attempts: %d\r\n" % (head.internal, exchange.attempts)
