"""The fields of requests to HTTP/2 backends, and of their answers; the rules for both are in `fields.py`."""

from __future__ import annotations

from collections.abc import Iterable

from lbkit.net.http1.head import read_response as read_head
from lbkit.net.messages import CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from lbkit.net.streams.fields import Field, Malformed, read_fields, split_lines

_STATUS = frozenset((b":status",))


def request_fields(request: RequestHead, scheme: bytes) -> list[Field]:
    """Return the pseudo-header fields and the fields of a request; for a WebSocket those of RFC 8441, 5.

    TE says that trailers are welcome: gRPC's servers insist on it."""
    host = b""
    fields = []
    for field in split_lines(request.data.split(b"\r\n")[1:]):
        if field[0] == b"host":
            host = field[1]
        else:
            fields.append(field)
    pseudo = [(b":method", request.method), (b":scheme", scheme), (b":path", request.target)]
    if request.upgrade:
        pseudo[0] = (b":method", b"CONNECT")
        pseudo.append((b":protocol", b"websocket"))
        fields = [field for field in fields if field[0] != b"sec-websocket-key"]
    if host:
        pseudo.append((b":authority", host))
    return [*pseudo, *fields, (b"te", b"trailers")]


def read_response(fields: Iterable[Field], head_only: bool, end: bool) -> ResponseHead:
    """Return the head to send on; `head_only`: it answers a HEAD; `end`: there is no body.

    Raises Malformed, and Reject for what HTTP/1.1 would not take, either."""
    pseudo, single, others = read_fields(fields, _STATUS)
    others += [field for field in single.items() if field[0] == b"content-length"]
    lines = b"".join([b"%b: %b\r\n" % field for field in others])
    head = read_head(b"HTTP/1.1 %b \r\n%b\r\n" % (pseudo.get(b":status", b""), lines), head_only)
    if head.status == 101:
        raise Malformed("HTTP/2 has no 101")
    if head.length == UNTIL_CLOSE:
        head.length = CHUNKED
    if end and head.length > 0:
        raise Malformed("the body is missing")
    return head
