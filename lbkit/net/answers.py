"""Answers of the proxy's own."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from lbkit.net.messages import Answer, ResponseHead

_KNOWN = frozenset(HTTPStatus)


def own_answer(answer: Answer) -> tuple[ResponseHead, bytes]:
    """Head and body of a short text."""
    status = answer.status
    phrase = HTTPStatus(status).phrase if status in _KNOWN else "Unknown"
    body = f"{status} {phrase}{': ' + answer.why if answer.why else ''}\n".encode()
    data = (
        b"HTTP/1.1 %d %b\r\nDate: %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n%b"
    ) % (status, phrase.encode(), http_date(), len(body), answer.fields)
    return ResponseHead(status, data, len(body), own=True), body


def http_date() -> bytes:
    return _date_of(int(time.time()))


@lru_cache(maxsize=1)  # made once a second, however many answers need it
def _date_of(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
