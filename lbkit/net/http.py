"""The rules of forwarding HTTP/1.1, as functions from head to head. (RFC 9110, RFC 9112.)

A parser in C checks each head; here is decided what may pass. Two readers of one message that
disagree on where it ends can be played against each other (request smuggling), so whatever
could be read in two ways is refused, not repaired.
"""

from __future__ import annotations

import re
import time
from collections.abc import Set
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser

from lbkit.net.peer import Peer

HEAD_END = b"\r\n\r\n"

# Fields for one connection only; they never pass (RFC 9110, 7.6.1).
_HOP_BY_HOP = (
    "connection|keep-alive|proxy-authenticate|proxy-authorization|proxy-connection|te|trailer"
    "|transfer-encoding|upgrade"
)
# Fields that speak of who is before us, written anew by every proxy; and one for HTTP/2 upgrades.
_FORWARDING = "forwarded|http2-settings|via|x-forwarded-for|x-forwarded-host|x-forwarded-proto"


def _fields(first_letters: str, names: str) -> re.Pattern[bytes]:
    """Finds these fields in a head: (line, name, value). The look at the first letter saves most work."""
    letters = first_letters + first_letters.upper()
    return re.compile(rf"\r\n(?=[{letters}])(((?i:{names})):[ \t]*([^\r\n]*))".encode())


REQUEST_FIELDS = _fields("cefhkptuvx", f"{_HOP_BY_HOP}|{_FORWARDING}|host|content-length|expect")
RESPONSE_FIELDS = _fields("ckptud", f"{_HOP_BY_HOP}|content-length|date")
ONE_FIELD = re.compile(rb"\r\n([^:\r\n]+):[^\r\n]*")

IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
SAFE_TARGET = re.compile(rb"[!\"$-~]+\Z")  # printable ASCII without "#": fragments are not sent
SAFE_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+;=:\[\]-]*\Z")
# What Connection mostly says; anything else names fields that must not pass.
_PLAIN_CONNECTION = frozenset({b"", b"keep-alive", b"close", b"upgrade"})


_KNOWN = frozenset(HTTPStatus)


class Reject(Exception):
    """This message is not forwarded; the client is answered `status`, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class HeadReader:
    """Checks whole heads with llhttp, strictly; one reader serves all connections of a loop.

    What it refuses need not be looked for again: bare CR, folded fields, bad lengths, bad names.
    It must be given a head to its end at once, so nothing of one connection is left for the next."""

    def __init__(self, parser: type[HttpRequestParser] | type[HttpResponseParser], status: int) -> None:
        """`status`: what to answer when a head is no HTTP."""
        self._make = parser
        self._status = status
        self._parser = parser(self)

    def on_headers_complete(self) -> None:
        self._head = True
        self._keep_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        self._whole = True

    def check(self, message: bytes) -> bool:
        """Whether the connection may be kept alive. `message`: a head, or one whole message.

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
            # The old one waits for a body, which others will read, or holds its connection for closed.
            self._parser = self._make(self)
        if not self._head:
            raise Reject(self._status, "the head does not end where it seems to")
        return self._keep_alive


class ChunkedBody:
    """Takes chunked coding off, with llhttp: it thinks that it has just read a head."""

    def __init__(self) -> None:
        self.done = False
        self.extra = False  # something follows the body
        self._pieces: list[bytes] = []
        self._parser = HttpRequestParser(self)
        self._parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")

    def on_message_begin(self) -> None:
        self.extra = self.done

    def on_body(self, body: bytes) -> None:
        if not self.done:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        self.done = True

    def feed(self, data: bytes) -> bytes:
        """What is in the chunks of `data`. Trailers are dropped (RFC 9110, 6.5.1). Raises Reject."""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.done:
                raise Reject(400, f"bad chunk ({error})") from None
            self.extra = True
        body = b"".join(self._pieces)
        self._pieces.clear()
        return body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


LAST_CHUNK = b"0\r\n\r\n"


class Request:
    """A request's head, checked and written anew for the backend."""

    __slots__ = ("client", "data", "http11", "length", "method", "peer", "target", "upgrade")

    def __init__(
        self,
        method: bytes,
        target: bytes,
        data: bytes,
        peer: Peer,
        client: str,
        http11: bool,
        length: int,
        upgrade: bool,
    ) -> None:
        self.method = method
        self.target = target
        self.data = data  # what goes to the backend
        self.peer = peer
        self.client = client  # the client's address, as far as it can be trusted
        self.http11 = http11
        self.length = length  # of the body; CHUNKED if in chunks, 0 if there is none
        self.upgrade = upgrade  # asks for a WebSocket

    @property
    def flow(self) -> str:
        """Its connection, as a load balancer on layer 4 would know it."""
        return self.peer.flow

    def field(self, name: bytes) -> bytes:
        """The first of this name, or b""; for the few who look at one of all fields."""
        found = re.search(rb"\r\n%b:[ \t]*([^\r\n]*)" % re.escape(name), self.data, re.IGNORECASE)
        return found[1].rstrip() if found else b""


CHUNKED = -1
UNTIL_CLOSE = -2


def read_request(head: bytes, peer: Peer, max_fields: int) -> Request:
    """A head that `HeadReader` has passed, as we send it on. Raises Reject."""
    end = head.find(b"\r\n")
    try:
        method, target, version = head[:end].split(b" ")
    except ValueError:
        raise Reject(400, "a request line has three words") from None
    http11 = version == b"HTTP/1.1"
    if not http11 and version != b"HTTP/1.0":
        raise Reject(505, "HTTP/1.0 and 1.1 are spoken here")
    if method == b"CONNECT":
        raise Reject(501, "no CONNECT: this is no forward proxy")
    if len(head) > 4 * max_fields and head.count(b"\r\n") - 2 > max_fields:
        raise Reject(431, f"at most {max_fields} header fields")

    host: bytes | None = None
    length = 0
    upgrade = False
    drop: list[bytes] = []
    connection = b""
    said: dict[bytes, bytes] = {}
    protocol = b""
    for line, name, value in REQUEST_FIELDS.findall(head, end):
        name = name.lower()
        if name == b"host":
            if host is not None:
                raise Reject(400, "more than one Host")
            host = value.rstrip(b" \t")
        elif name == b"content-length":
            if length:
                raise Reject(400, "more than one length")
            length = int(value)
        elif name == b"expect":
            if value.lower() != b"100-continue":
                raise Reject(417, "the only expectation there is: 100-continue")
        else:
            drop.append(line)
            if name == b"connection":
                connection = connection + b"," + value if connection else value
            elif name == b"transfer-encoding":
                if length:
                    raise Reject(400, "more than one length")
                if value.strip().lower() != b"chunked":
                    raise Reject(501, "only the chunked transfer coding is known here")
                if not http11:
                    raise Reject(400, "HTTP/1.0 knows no chunks")
                length = CHUNKED
            elif name == b"upgrade":
                protocol = value.strip().lower()
            elif name == b"via" or peer.trusted:
                said[name] = said[name] + b", " + value if name in said else value

    if host is None:
        if http11:
            raise Reject(400, "no Host")
        host = b""
    if not target.startswith(b"/") or not SAFE_TARGET.match(target):
        target, named = _origin_form(method, target)
        if named is not None:
            # Absolute form: the host in it counts, not the field (RFC 9112, 3.2.2).
            host = named
            fields = re.sub(rb"\r\n(?i:host):[^\r\n]*", b"", head[end:-4])
            head = b"%b %b %b%b\r\nHost: %b\r\n\r\n" % (method, target, version, fields, host)
            end = head.find(b"\r\n")
    if not http11:
        head = b"%b %b HTTP/1.1%b" % (method, target, head[end:])
    more = b""
    if drop:
        head = _without_lines(head, drop)
        options = _connection_options(connection)
        if options - _PLAIN_CONNECTION:
            head = without_fields(head, options)
        if length == CHUNKED:
            more = b"Transfer-Encoding: chunked\r\n"
        if protocol == b"websocket" and b"upgrade" in options and method == b"GET" and http11:
            upgrade = True
            more += b"Connection: upgrade\r\nUpgrade: websocket\r\n"
    via = b"Via: 1.1 lbkit\r\n" if http11 else b"Via: 1.0 lbkit\r\n"
    if b"via" in said:
        via = b"Via: %b, %b" % (said.pop(b"via"), via[5:])
    client = peer.client(said.get(b"x-forwarded-for", b"")) if said else peer.address
    if host != peer.last_host and not SAFE_HOST.match(host):
        raise Reject(400, "a character in Host that does not belong there")
    data = b"".join((head[:-2], more, via, peer.fields(host, said), b"\r\n"))
    return Request(method, target, data, peer, client, http11, length, upgrade)


def _origin_form(method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
    """The target as a path, and the host that it names, if it does (RFC 9112, 3.2)."""
    if not SAFE_TARGET.match(target):
        raise Reject(400, "a character in the target that does not belong there")
    if target == b"*" and method == b"OPTIONS":
        return target, None
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        raise Reject(400, "the target is neither a path nor a URL")
    host, mark, path = re.fullmatch(rb"([^/?]*)([/?]?)(.*)", rest).groups()  # type: ignore[union-attr]
    if not host:
        raise Reject(400, "no host in the target")
    return (b"/?" if mark == b"?" else b"/") + path, host


def _connection_options(values: bytes) -> Set[bytes]:
    """What Connection says, in lower case. (RFC 9110, 7.6.1.)"""
    return {option.strip() for option in values.lower().split(b",")}


def _without_lines(head: bytes, lines: list[bytes]) -> bytes:
    for line in lines:
        head = head.replace(b"\r\n" + line + b"\r\n", b"\r\n", 1)  # whole lines: no other can match
    return head


def without_fields(head: bytes, names: Set[bytes]) -> bytes:
    """A head but for these fields (in lower case)."""
    return ONE_FIELD.sub(lambda field: b"" if field[1].lower() in names else field[0], head)


def read_response(head: bytes, head_only: bool) -> tuple[int, bytes, int]:
    """A backend's head as the client gets it: status, head without the empty line at its end, length.

    `head_only`: it answers a HEAD. The length is that of the body as the backend sends it: bytes, CHUNKED
    or UNTIL_CLOSE. Content-Length stays where it stood; transfer coding is left to the
    caller. So is `HeadReader.check`. Raises Reject."""
    old = not head.startswith(b"HTTP/1.1 ")
    if old:
        if not head.startswith(b"HTTP/1.0 "):
            raise Reject(502, "")
        head = b"HTTP/1.1" + head[8:]
    if head[12:13] == b"\r":
        head = b"%b %b" % (head[:12], head[12:])  # no reason is fine, no space before it is not
    try:
        status = int(head[9:12])
        length = UNTIL_CLOSE
        drop: list[bytes] = []
        dated = False
        connection = b""
        for line, name, value in RESPONSE_FIELDS.findall(head):
            name = name.lower()
            if name == b"content-length":
                if length != UNTIL_CLOSE:
                    raise Reject(502, "")
                length = int(value)
            elif name == b"date":
                dated = True
            else:
                drop.append(line)
                if name == b"connection":
                    connection = connection + b"," + value if connection else value
                elif name == b"transfer-encoding":
                    if value.strip().lower() != b"chunked" or length != UNTIL_CLOSE or old:
                        raise Reject(502, "")
                    length = CHUNKED
    except ValueError:
        raise Reject(502, "") from None
    if drop:
        head = _without_lines(head, drop)
        if connection not in _PLAIN_CONNECTION:
            head = without_fields(head, _connection_options(connection))
    answer = head[:-2]
    if not dated and status >= 200:
        answer += b"Date: %b\r\n" % http_date()
    if head_only or status in (204, 304) or status < 200:
        length = 0
    return status, answer, length


def error_answer(
    status: int, why: str = "", *, close: bool, head_only: bool = False, fields: bytes = b""
) -> bytes:
    """A whole short answer of our own. `why` is for the client: never the backend's words. `fields`: more of
    them, each with its line end."""
    phrase = HTTPStatus(status).phrase if status in _KNOWN else "Unknown"
    body = f"{status} {phrase}{': ' + why if why else ''}\n".encode()
    head = [
        f"HTTP/1.1 {status} {phrase}".encode(),
        b"Date: " + http_date(),
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Length: %d" % len(body),
        *([b"Connection: close"] if close else []),
        *([fields[:-2]] if fields else []),
    ]
    return b"\r\n".join(head) + HEAD_END + (b"" if head_only else body)


def http_date() -> bytes:
    return _date_of(int(time.time()))


@lru_cache(maxsize=1)  # made once a second, however many answers need it
def _date_of(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
