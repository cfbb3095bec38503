"""A filter that tells clients of HTTP/1.1 and HTTP/2 where the proxy speaks HTTP/3."""

from __future__ import annotations

from lbkit.net.filters.base import Filter
from lbkit.net.http1.head import without_fields
from lbkit.net.messages import ExchangeView, ResponseHead

ALT_SVC = frozenset({b"alt-svc"})


class AltSvcFilter(Filter):
    """Adds Alt-Svc to answers by HTTPS, in place of a backend's. (RFC 7838, 3; RFC 9114, 3.1.)

    Answers by HTTP/3 do not need it, and on plain HTTP anyone on the way could have put it in."""

    name = "http3"

    def __init__(self, port: int, max_age: int) -> None:
        self._max_age = max_age
        self.announce(port)

    def announce(self, port: int) -> None:
        """`port`: where clients find HTTP/3; the proxy sets it, if the settings do not, when it listens."""
        self.port = port
        self._field = b'Alt-Svc: h3=":%d"; ma=%d\r\n' % (port, self._max_age)

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        if head.field(b"alt-svc"):
            head.data = without_fields(head.data, ALT_SVC)
        request = exchange.request
        if request.version != "3.0" and request.peer.scheme == b"https":
            head.data += self._field
