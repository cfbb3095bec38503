"""Reads the heads of HTTP/1.1 messages and rewrites them for the next hop. (RFC 9110, RFC 9112.)

A parser in C checks the syntax of each head; the functions here decide what may be forwarded. If two servers
disagree on where a message ends, an attacker can smuggle requests past one of them. So an ambiguous head is
rejected, not repaired, and what is forwarded is exactly what was checked.
"""

from __future__ import annotations

import re
from collections.abc import Set

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from lbkit.net.answers import http_date
from lbkit.net.http1.grammar import (
    END_TO_END,
    EXTENDED,
    IDENTITY,
    INTERNAL,
    METHODS,
    ONE_FIELD,
    PLAIN_OPTIONS,
    REQUEST_FIELDS,
    RESPONSE_FIELDS,
    ROUTING,
    STATUS_LINE,
    TARGET,
    TOKEN,
    valid_host,
)
from lbkit.net.http1.plans import RequestPlan
from lbkit.net.messages import CHUNKED, UNTIL_CLOSE, Reject, RequestHead, ResponseHead
from lbkit.net.peer import Peer


class HeadReader:
    """Checks complete heads with llhttp in strict mode; one reader serves all connections of a loop.

    It rejects bare CR, folded fields, invalid lengths and invalid names. It has to be given a complete head
    each time, so that no state of one connection is left for the next."""

    def __init__(self, parser: type[HttpRequestParser] | type[HttpResponseParser], status: int) -> None:
        """`status` is the answer to a head that is not HTTP."""
        self._make = parser
        self._status = status
        self._parser = parser(self)

    def on_headers_complete(self) -> None:
        self._head = True
        self._keep_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self._whole = True

    def check(self, message: bytes) -> bool:
        """Return whether the connection may be kept alive. `message`: a head, or one complete message.

        Raises Reject."""
        self._head = self._whole = self._keep_alive = False
        try:
            self._parser.feed_data(message)
        except HttpParserUpgrade:
            self._whole = False
        except HttpParserError as error:
            self._parser = self._make(self)
            raise Reject(self._status, f"not HTTP/1.1 ({error})" if self._status == 400 else "") from None
        if not (self._whole and self._keep_alive):
            # The old parser now waits for a body, which is read elsewhere, or takes the connection as closed.
            self._parser = self._make(self)
        if not self._head:
            raise Reject(self._status, "the end of the head is ambiguous")
        return self._keep_alive


# -- requests ----------------------------------------------------------------------------------


VIA = b"Via: 1.1 lbkit\r\n"


def read_request(
    head: bytes,
    peer: Peer,
    max_fields: int,
    refuse_twins: bool = False,
    make: type[RequestHead] = RequestHead,
    via: bytes = VIA,
    plan: RequestPlan | None = None,
) -> RequestHead:
    """Return the head to send on for a head that `HeadReader` has accepted.

    `make` and `via`: for heads that came by another version of HTTP, and are read as if by HTTP/1.1.
    `refuse_twins`: names with underscores that match a known field (see grammar) are an error; otherwise they
    are dropped. `plan` learns how the fields are forwarded, if that does not depend on anything else. Raises
    Reject."""
    received = head
    end = head.find(b"\r\n")
    try:
        method, target, version = head[:end].split(b" ")
    except ValueError:
        raise Reject(400, "the request line must have three words") from None
    http11 = version == b"HTTP/1.1"
    if not http11 and version != b"HTTP/1.0":
        raise Reject(505, "only HTTP/1.0 and HTTP/1.1 are supported")
    if method not in METHODS:
        if not TOKEN.match(method):
            raise Reject(400, "the method has an invalid character")
        if method == b"CONNECT":
            raise Reject(501, "CONNECT is not supported: this is not a forward proxy")
    if len(head) > 4 * max_fields and head.count(b"\r\n") - 2 > max_fields:
        raise Reject(431, f"at most {max_fields} header fields")

    host: bytes | None = None
    length: int | None = None
    drop: list[bytes] = []
    connection = b""
    forwarded: dict[bytes, bytes] = {}
    protocol = b""
    for line, name, value in REQUEST_FIELDS.findall(head, end):
        name = name.lower()
        if name == b"host":
            if host is not None:
                raise Reject(400, "more than one Host")
            host = value.rstrip(b" \t")
        elif name == b"content-length":
            if length is not None:
                raise Reject(400, "more than one length")
            length = int(value)
        elif name == b"expect":
            if value.rstrip(b" \t").lower() != b"100-continue":
                raise Reject(417, "the only supported expectation is 100-continue")
        elif b"_" in name:
            if refuse_twins:
                raise Reject(400, f"{name.decode()} could be taken for {name.decode().replace('_', '-')}")
            drop.append(line)
        elif name in IDENTITY:
            if not peer.trusted:
                drop.append(line)
            elif name in EXTENDED:
                drop.append(line)
                forwarded[name] = forwarded[name] + b", " + value if name in forwarded else value
        else:
            drop.append(line)
            if name == b"connection":
                connection = connection + b"," + value if connection else value
            elif name == b"transfer-encoding":
                if length is not None:
                    raise Reject(400, "more than one length")
                if value.strip().lower() != b"chunked":
                    raise Reject(501, "the only supported transfer coding is chunked")
                if not http11:
                    raise Reject(400, "HTTP/1.0 has no chunked coding")
                length = CHUNKED
            elif name == b"upgrade":
                protocol = value.strip().lower()
            elif name == b"via":
                forwarded[name] = forwarded[name] + b", " + value if name in forwarded else value

    if host is None and http11:
        raise Reject(400, "Host is missing")
    if not target.startswith(b"/") or not TARGET.match(target):
        target, named = _origin_form(method, target)
        if named is not None:
            # In absolute form, the target's host counts, not the field's (RFC 9112, 3.2.2).
            fields = re.sub(rb"\r\n(?i:host):[^\r\n]*", b"", head[end:-4])
            head = b"%b %b %b\r\nHost: %b%b\r\n\r\n" % (method, target, version, named, fields)
            host = named
            plan = None
            end = head.find(b"\r\n")
    if not http11:
        head = b"%b %b HTTP/1.1%b" % (method, target, head[end:])
    if host is None:
        host = peer.local_address  # the server's own name for itself (RFC 9112, 3.3)
        end = head.find(b"\r\n")
        head = b"%b\r\nHost: %b%b" % (head[:end], host, head[end:])
    upgrade = False
    if drop:
        head = _without_lines(head, drop)
        if protocol or connection not in PLAIN_OPTIONS:
            options = _connection_options(connection)
            head = _without_options(head, options, 400)
            websocket = protocol == b"websocket" and b"upgrade" in options
            upgrade = websocket and method == b"GET" and http11 and not length
    if not http11:
        via = b"Via: 1.0 lbkit\r\n"
    if b"via" in forwarded:
        via = b"Via: %b, %b" % (forwarded.pop(b"via"), via[5:])
    client = peer.address
    if forwarded:
        client = peer.client(forwarded.get(b"x-forwarded-for", b""), forwarded.get(b"forwarded", b""))
    if host != peer.last_host and not valid_host(host):
        raise Reject(400, "Host is not a host and port")
    data = b"".join((head[:-2], via, peer.fields(host, forwarded)))
    if plan is not None and http11 and not protocol:  # an upgrade depends on the method
        plan.learn(received[end:], data[end:], client, length or 0)
    return make(method, target, data, peer, client, http11, length or 0, upgrade)


def _origin_form(method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
    """Return the target as a path, and its host, or None (RFC 9112, 3.2)."""
    if not TARGET.match(target):
        raise Reject(400, "the target has an invalid character")
    if target == b"*" and method == b"OPTIONS":
        return target, None
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        raise Reject(400, "the target is neither a path nor a URL")
    host, mark, path = re.fullmatch(rb"([^/?]*)([/?]?)(.*)", rest).groups()  # type: ignore[union-attr]
    if not host or host.startswith(b":"):
        raise Reject(400, "the target has no host")
    if method == b"OPTIONS" and not mark:
        return b"*", host  # OPTIONS of the server as a whole (RFC 9112, 3.2.4)
    return (b"/?" if mark == b"?" else b"/") + path, host


def _connection_options(values: bytes) -> Set[bytes]:
    """Return the names in Connection, in lower case. (RFC 9110, 7.6.1.)"""
    return {option.strip(b" \t") for option in values.lower().split(b",")}


def _without_options(head: bytes, options: Set[bytes], status: int) -> bytes:
    """Return a head without the fields that Connection names.

    Raises Reject with `status` for a name that is not allowed."""
    if not options - PLAIN_OPTIONS:
        return head
    if status == 400 and options & ROUTING:
        raise Reject(status, "Connection names an end-to-end field")
    return without_fields(head, options - END_TO_END)


def _without_lines(head: bytes, lines: list[bytes]) -> bytes:
    for line in lines:
        head = head.replace(b"\r\n" + line + b"\r\n", b"\r\n", 1)  # matches whole lines only
    return head


def without_fields(head: bytes, names: Set[bytes]) -> bytes:
    """Return a head without these fields, named in lower case."""
    return ONE_FIELD.sub(lambda field: b"" if field[1].lower() in names else field[0], head)


# -- answers -----------------------------------------------------------------------------------


def read_response(head: bytes, head_only: bool) -> ResponseHead:
    """Return the head to send on for a backend's head; `head_only`: it answers a HEAD.

    Its length is that of the body as the backend sends it. The caller has to call `HeadReader.check`, too.
    Raises Reject."""
    http10 = False
    if head.startswith(b"HTTP/1.1 200 OK\r\n"):  # by far the most common status line
        status = 200
    else:
        found = STATUS_LINE.match(head)
        if found is None:
            raise Reject(502, "")
        minor, code, reason = found.groups()
        status, http10 = int(code), minor == b"0"
        if http10 or reason is None:  # the reason may be empty, but the space before it is required
            head = b"HTTP/1.1 %b %b\r\n%b" % (code, reason or b"", head[found.end() :])
    bodiless = status < 200 or status == 204
    length: int | None = None
    chunked = dated = False
    drop: list[bytes] = []
    connection = internal = b""
    for line, name, value in RESPONSE_FIELDS.findall(head):
        name = name.lower()
        if name == b"content-length":
            if length is not None or not (value.isdigit() or value.rstrip(b" \t").isdigit()):
                raise Reject(502, "")
            length = int(value)
            if bodiless:
                drop.append(line)  # not allowed here, and a client might believe it (RFC 9110, 8.6)
        elif name == b"date":
            dated = True
        else:
            drop.append(line)
            if name in INTERNAL:
                internal += line + b"\r\n"
            elif name == b"connection":
                connection = connection + b"," + value if connection else value
            elif name == b"transfer-encoding":
                if value.strip().lower() != b"chunked" or chunked or http10:
                    raise Reject(502, "")
                chunked = True
    if chunked and length is not None:
        raise Reject(502, "")
    if drop:
        head = _without_lines(head, drop)
        if connection not in PLAIN_OPTIONS:
            # Framing fields are not connection options here either; but the client is not at fault, so the
            # answer is not rejected.
            head = _without_options(head, _connection_options(connection), 502)
    data = head[:-2]
    if not dated and status >= 200:
        data += b"Date: %b\r\n" % http_date()
    if length is None:
        length = CHUNKED if chunked else UNTIL_CLOSE
    if head_only or bodiless or status == 304:
        length = 0
    return ResponseHead(status, data, length, False, internal, dated)
