"""Requests by HTTP/2 and HTTP/3, and the answers to them; the rules for both are in `fields.py`."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from os import urandom
from typing import NamedTuple

from lbkit.net.http1.grammar import TOKEN
from lbkit.net.messages import Reject, ResponseHead
from lbkit.net.streams.fields import Field, Malformed, read_fields, split_lines

_PATH = re.compile(rb"/[!-~]*\Z")
_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))


class Request(NamedTuple):
    """A request, as HTTP/1.1 has it."""

    head: bytes
    length: int | None  # of the body, as announced
    key: bytes = b""  # of a WebSocket's handshake (RFC 6455, 4.1)


def read_request(fields: Iterable[Field], end: bool) -> Request:
    """Return a request; `end`: it has no body. Raises Malformed, and Reject for what is not supported."""
    pseudo, single, others = read_fields(fields, _PSEUDO)
    method = pseudo.get(b":method", b"")
    if not TOKEN.match(method):
        raise Malformed(":method")
    host = _host(pseudo, single)
    tunnel = method == b"CONNECT" and b":protocol" in pseudo
    if tunnel != (b":protocol" in pseudo):
        raise Malformed(":protocol without CONNECT")
    if method == b"CONNECT" and not tunnel:
        raise Reject(501, "CONNECT is not supported: this is not a forward proxy")
    path = pseudo.get(b":path", b"")
    if not (_PATH.match(path) or (path == b"*" and method == b"OPTIONS")):
        raise Malformed(":path")  # not a URL, either: its host would count, and differ (RFC 9112, 3.2.2)
    if pseudo.get(b":scheme", b"").lower() not in (b"http", b"https"):
        raise Malformed(":scheme")
    length = _length(single, end)
    key = b""
    if tunnel:
        if pseudo[b":protocol"].lower() != b"websocket":
            raise Reject(501, "the only supported protocol of CONNECT is websocket")
        if length is not None or end:
            raise Malformed("a tunnel with a length")
        method = b"GET"
        key = b64encode(urandom(16))
        others = [field for field in others if field[0] != b"sec-websocket-key"]
        others += [
            (b"connection", b"upgrade"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-key", key),
        ]
    if length is not None:
        others.append((b"content-length", b"%d" % length))
    lines = b"".join([b"%b: %b\r\n" % field for field in others])
    head = b"%b %b HTTP/1.1\r\nhost: %b\r\n%b\r\n" % (method, path, host, lines)
    return Request(head, length, key)


def _host(pseudo: dict[bytes, bytes], single: dict[bytes, bytes]) -> bytes:
    """Return the authority, which Host must repeat if it is there (8.3.1)."""
    host = pseudo.get(b":authority") or single.get(b"host", b"")
    if not host or single.get(b"host", host).lower() != host.lower():
        raise Malformed(":authority")
    return host


def _length(single: dict[bytes, bytes], end: bool) -> int | None:
    value = single.get(b"content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise Malformed("content-length")
    length = int(value)
    if end and length:
        raise Malformed("content-length of a request without a body")
    return length


def response_fields(head: ResponseHead) -> list[Field]:
    """Return the status and the fields of an answer."""
    return [(b":status", b"%d" % head.status), *split_lines(head.data.split(b"\r\n")[1:])]
