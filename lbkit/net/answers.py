"""Answers that the proxy itself gives."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from lbkit.net.messages import Answer, ResponseHead

RETRY_AFTER = 1  # seconds, where nothing better is known
_KNOWN = frozenset(HTTPStatus)
BODILESS = (204, 304)


def own_answer(answer: Answer) -> tuple[ResponseHead, bytes]:
    """Return the head and body, a short text unless it is given. A 503 tells clients when to try again."""
    if answer.head is not None:
        return answer.head, answer.body or b""
    status = answer.status
    phrase = HTTPStatus(status).phrase if status in _KNOWN else "Unknown"
    body = answer.body
    if body is None:
        body = f"{status} {phrase}{': ' + answer.why if answer.why else ''}\n".encode()
    fields = answer.fields
    if status in BODILESS:  # these have neither a body nor its length (RFC 9110, 8.6)
        data = b"HTTP/1.1 %d %b\r\nDate: %b\r\n%b" % (status, phrase.encode(), http_date(), fields)
        return ResponseHead(status, data, 0, own=True), b""
    if status == HTTPStatus.SERVICE_UNAVAILABLE and b"retry-after:" not in fields.lower():
        fields += b"Retry-After: %d\r\n" % RETRY_AFTER
    data = (b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b") % (
        status,
        phrase.encode(),
        http_date(),
        answer.content_type,
        len(body),
        fields,
    )
    return ResponseHead(status, data, len(body), own=True), body


def http_date() -> bytes:
    return _date_of(int(time.time()))


@lru_cache(maxsize=1)  # made once a second, however many answers need it
def _date_of(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
