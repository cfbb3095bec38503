"""Messages of the proxy and those of the cache: heads in bytes here, fields and a URI there."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

from lbkit.core.cache import Fields, Part, Request, Response, Stored, not_modified, of_a_304, part
from lbkit.core.routing import DEFAULT, Route
from lbkit.core.text import shown
from lbkit.net.answers import BODILESS
from lbkit.net.http1.head import without_fields
from lbkit.net.messages import Answer, RequestHead, ResponseHead

_DEFAULT_PORT = {"http": ":80", "https": ":443"}
MOST_KNOWN = 2048  # bytes of the fields of a request that are remembered
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_URL = re.compile(r"(https?)://([^/?#\s]+)([/?][!\"$-~]*|)", re.IGNORECASE)


def request_of(request: RequestHead, route: Route | None) -> Request:
    """Return a request as the cache sees it.

    The partition has what an answer depends on besides the URI and the fields that Vary names: the
    rule that has decided and its pool, a rewritten target, a host that a trusted proxy named."""
    lines = request.data[request.data.index(b"\r\n") :]
    about = _about(lines) if len(lines) <= MOST_KNOWN else _about.__wrapped__(lines)
    partition = about.partition
    if route and (route.rule or route.pool != DEFAULT):
        partition += f" rule {route.rule} pool {route.pool}"
    if request.target != request.original:
        partition += f" target {request.target.decode('latin-1')}"
    uri = about.site + request.original.decode("latin-1")
    return Request(request.method.decode("latin-1"), uri, about.fields, partition)


class _About(NamedTuple):
    """What the cache reads from the fields of a request."""

    fields: Fields
    site: str  # the beginning of the URI
    partition: str


@lru_cache(maxsize=512)
def _about(lines: bytes) -> _About:
    """Read the fields of a request. A client sends the same ones again and again, so some are remembered."""
    fields = Fields.of_head(lines)
    host = (fields.get("host") or "").lower()
    scheme = "https" if (fields.get("x-forwarded-proto") or "").lower() == "https" else "http"
    named = (fields.get("x-forwarded-host") or "").lower()
    return _About(fields, uri_of(scheme, host, ""), f"host {named}" if named != host else "")


def uri_of(scheme: str, host: str, target: str) -> str:
    """Return the URI of a request, the same for all its spellings (RFC 9110, 4.2.3)."""
    return f"{scheme}://{host.removesuffix(_DEFAULT_PORT[scheme])}{target}"


def stored_uri(url: str) -> str:
    """Return the URI under which answers to requests for a URL are stored. Raises ValueError."""
    found = _URL.fullmatch(url) if isinstance(url, str) else None
    if found is None:
        raise ValueError(f"url is {shown(url)}: use one as clients do, such as http://a.test/logo.png")
    scheme, host, target = found.groups()
    target = target if target.startswith("/") else "/" + target
    return uri_of(scheme.lower(), host.lower(), target)


def response_of(head: ResponseHead) -> Response:
    """Return an answer as the cache sees it."""
    return Response(head.status, Fields.of_head(head.data))


def with_fields(head: bytes, remove: Collection[str], add: Collection[tuple[str, str]]) -> bytes:
    """Return a head without some fields, named in lower case, and with others."""
    head = without_fields(head, {name.encode() for name in remove})
    return head + "".join(f"{name}: {value}\r\n" for name, value in add).encode("latin-1")


def answer_of(request: Request, stored: Stored[bytes], now: float, status: bytes) -> Answer:
    """Return the answer that a stored response gives: the whole, a part, or a 304.

    `status`: a field line that is added."""
    age = b"Age: %d\r\n%b" % (int(stored.age(now)), status)
    if not_modified(request, stored):
        return _answer(304, _head(304, of_a_304(stored.response.fields)) + age, b"", 0)
    if asked := part(request, stored):
        return _part(stored, asked, age)
    body = stored.body
    if not stored.memo:
        stored.memo = _head(stored.response.status, stored.response.fields)
        if stored.response.status not in BODILESS:
            stored.memo += b"Content-Length: %d\r\n" % len(body)
    return _answer(
        stored.response.status, stored.memo + age, body, 0 if request.method == "HEAD" else len(body)
    )


def _part(stored: Stored[bytes], asked: Part, age: bytes) -> Answer:
    body = stored.body[asked.first : asked.end]
    head = _head(asked.status, stored.response.fields)
    about = b"Content-Range: %b\r\nContent-Length: %d\r\n" % (asked.content_range.encode(), len(body))
    return _answer(asked.status, head + about + age, body, len(body))


def _answer(status: int, head: bytes, body: bytes, length: int) -> Answer:
    return Answer(status, body=body, head=ResponseHead(status, head, length))


def _head(status: int, fields: Fields) -> bytes:
    """Return a status line and fields, without the length of the content."""
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in fields if name != "content-length"]
    return "\r\n".join((*lines, "")).encode("latin-1")
