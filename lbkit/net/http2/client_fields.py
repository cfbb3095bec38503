"""The fields of HTTP/2 messages to and from backends, and the heads of HTTP/1.1 that the proxy works with."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lbkit.net.http1.grammar import may_trail
from lbkit.net.http1.head import read_response as read_head
from lbkit.net.messages import CHUNKED, UNTIL_CLOSE, Reject, RequestHead, ResponseHead

Field = tuple[bytes, bytes]

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+\Z")  # a token without upper case (RFC 9113, 8.2)
_VALUE = re.compile(rb"[\t -~\x80-\xff]*\Z")
# Fields of HTTP/1.1's connections (8.2.2).
_CONNECTION = frozenset(b"connection keep-alive proxy-connection transfer-encoding upgrade".split())


def request_fields(request: RequestHead, scheme: bytes) -> list[Field]:
    """Return the pseudo-header fields and the fields of a request.

    TE says that trailers are welcome: gRPC's servers insist on it."""
    host = b""
    fields = []
    for name, value in request.fields():
        if name == b"host":
            host = value
        else:
            fields.append((name, value))
    pseudo = [(b":method", request.method), (b":scheme", scheme), (b":path", request.target)]
    if host:
        pseudo.append((b":authority", host))
    return [*pseudo, *fields, (b"te", b"trailers")]


def read_response(fields: Iterable[Field], head_only: bool, end: bool) -> ResponseHead:
    """Return the head to send on; `head_only`: it answers a HEAD; `end`: there is no body. Raises Reject."""
    status, lines = b"", list[bytes]()
    for name, value in fields:
        if name == b":status" and not status and not lines:
            status = value
        else:
            lines.append(_line(name, value))
    head = read_head(b"HTTP/1.1 %b \r\n%b\r\n" % (status, b"".join(lines)), head_only)
    if head.status == 101:
        raise Reject(502, "HTTP/2 has no 101")
    if head.length == UNTIL_CLOSE:
        head.length = CHUNKED
    if end and head.length > 0:
        raise Reject(502, "the body is missing")
    return head


def read_trailers(fields: Iterable[Field]) -> bytes:
    """Return the fields that may come after a body, each with its CRLF. Raises Reject."""
    return b"".join([_line(name, value) for name, value in fields if may_trail(name)])


def trailer_fields(trailers: bytes) -> list[Field]:
    """Return the fields of trailers."""
    found = []
    for line in trailers.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        found.append((name.lower(), value.strip(b" \t")))
    return found


def _line(name: bytes, value: bytes) -> bytes:
    """Return a field as a line. Raises Reject for what would be another field, or two, in HTTP/1.1."""
    if not (_NAME.match(name) and _VALUE.match(value)) or name in _CONNECTION:
        raise Reject(502, "a field is malformed")
    return b"%b: %b\r\n" % (name, value)
