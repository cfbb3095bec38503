"""Filters that bring browsers from HTTP to HTTPS, and keep them there."""

from __future__ import annotations

from lbkit.net.filters.base import Filter
from lbkit.net.http1.head import without_fields
from lbkit.net.messages import Answer, ExchangeView, RequestHead, ResponseHead

HSTS = frozenset({b"strict-transport-security"})


def secure(request: RequestHead) -> bool:
    """Return whether the client uses HTTPS, to this proxy or (as it says) to a trusted one in front."""
    return request.peer.scheme == b"https" or request.field(b"x-forwarded-proto").lower() == b"https"


class RedirectFilter(Filter):
    """Answers plain HTTP with a redirect to the same URL with https (308, which keeps method and body)."""

    name = "https_redirect"

    def __init__(self, port: int = 0) -> None:
        self.port = port  # of the proxy, as clients see it; the proxy sets it if it is 0

    def on_request(self, exchange: ExchangeView, now: float) -> Answer | None:
        request = exchange.request
        if secure(request):
            return None
        host = request.field(b"host")
        if not host:
            return Answer(400, "Host is missing")
        end = len(host) if host.endswith(b"]") else host.rfind(b":")
        name = host[:end] if end >= 0 else host
        port = b"" if self.port in (0, 443) else b":%d" % self.port
        path = b"/" if request.target == b"*" else request.target
        return Answer(308, fields=b"Location: https://%b%b%b\r\n" % (name, port, path))


class HstsFilter(Filter):
    """Adds Strict-Transport-Security to answers by HTTPS, in place of a backend's. (RFC 6797, 7.)

    Plain HTTP never has the field: there, anyone on the way could have put it in."""

    name = "hsts"

    def __init__(self, seconds: float, subdomains: bool) -> None:
        tail = b"; includeSubDomains" if subdomains else b""
        self.field = b"Strict-Transport-Security: max-age=%d%b\r\n" % (seconds, tail)

    def on_response(self, exchange: ExchangeView, head: ResponseHead) -> None:
        if head.field(b"strict-transport-security"):
            head.data = without_fields(head.data, HSTS)
        if secure(exchange.request):
            head.data += self.field
