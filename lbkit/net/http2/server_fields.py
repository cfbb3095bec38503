"""Fields of HTTP/2 messages to and from the HTTP/1.1 heads that the rest of the proxy knows.

HTTP/2 delimits fields by their length, HTTP/1.1 by line ends. So a value with a line end in it would become
two fields on the way to the backend, or a second request: smuggling by downgrade. Whatever breaks the rules
of RFC 9113, 8.1 to 8.3, is refused here; the head that is written is then read by the same function as one
that came by HTTP/1.1, which has all the other rules.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from os import urandom
from typing import NamedTuple

from hpack import HeaderTuple, NeverIndexedHeaderTuple

from lbkit.net.http1.grammar import TOKEN, may_trail
from lbkit.net.messages import Reject, ResponseHead

Field = tuple[bytes, bytes]

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+\Z")  # a token without upper case (8.2)
_VALUE = re.compile(rb"(?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?\Z")
_PATH = re.compile(rb"/[!-~]*\Z")
_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))
_CONNECTION = frozenset(
    b"connection keep-alive proxy-connection transfer-encoding upgrade".split()
)  # (8.2.2)
_SECRET = frozenset((b"set-cookie", b"authorization"))  # never in a compression table (RFC 7541, 7.1.3)


class Malformed(Exception):
    """Raised for a message that breaks the rules of HTTP/2; its stream is reset."""


class Request(NamedTuple):
    """A request, as HTTP/1.1 has it."""

    head: bytes
    length: int | None  # of the body, as announced
    key: bytes = b""  # of a WebSocket's handshake (RFC 6455, 4.1)


def read_fields(
    fields: Iterable[Field], known: frozenset[bytes] = _PSEUDO
) -> tuple[dict[bytes, bytes], dict[bytes, bytes], list[Field]]:
    """Return the pseudo-header fields, those that may occur once, and the others. Raises Malformed.

    `known`: the pseudo-header fields that there may be."""
    pseudo: dict[bytes, bytes] = {}
    single: dict[bytes, bytes] = {}
    others: list[Field] = []
    cookies: list[bytes] = []
    began = False
    for name, value in fields:
        if not _VALUE.match(value):
            raise Malformed("a field's value has a character that it must not have")
        if name.startswith(b":"):
            if began or name in pseudo or name not in known:
                raise Malformed("pseudo-header fields")
            pseudo[name] = value
            continue
        began = True
        if not _NAME.match(name):
            raise Malformed("a field's name has a character that it must not have")
        if name in _CONNECTION:
            raise Malformed("a field of HTTP/1.1's connections")
        if name == b"cookie":
            cookies.append(value)  # may be split, for compression (8.2.3)
        elif name == b"te":
            if value.lower() != b"trailers":
                raise Malformed("TE with another value than trailers")
        elif name in (b"host", b"content-length"):
            if single.setdefault(name, value) != value:
                raise Malformed(f"two values of {name.decode()}")
        else:
            others.append((name, value))
    if cookies:
        others.append((b"cookie", b"; ".join(cookies)))
    return pseudo, single, others


def read_request(fields: Iterable[Field], end: bool) -> Request:
    """Return a request; `end`: it has no body. Raises Malformed, and Reject for what is not supported."""
    pseudo, single, others = read_fields(fields)
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


def read_trailers(fields: Iterable[Field]) -> bytes:
    """Return the fields that may come after a body, each with its CRLF. Raises Malformed."""
    pseudo, _, others = read_fields(fields)
    if pseudo:
        raise Malformed("pseudo-header fields in trailers")
    return b"".join([b"%b: %b\r\n" % field for field in others if may_trail(field[0])])


def response_fields(head: ResponseHead) -> list[Field]:
    """Return the status and the fields of an answer."""
    return [(b":status", b"%d" % head.status), *split_lines(head.data.split(b"\r\n")[1:])]


def split_lines(lines: Iterable[bytes]) -> list[Field]:
    """Return the fields in lines of HTTP/1.1; those with secrets are marked for the compression."""
    fields: list[Field] = []
    for line in lines:
        name, found, value = line.partition(b":")
        if found:
            name = name.lower()
            kind = NeverIndexedHeaderTuple if name in _SECRET else HeaderTuple
            fields.append(kind(name, value.strip(b" \t")))
    return fields
