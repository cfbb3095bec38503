"""The corpora of the firewall: requests of a kind, attacks and harmless ones, for any engine."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

CORPORA = Path(__file__).parent / "core" / "firewall"
AGENT = ((b"user-agent", b"Mozilla/5.0"),)


class Request(NamedTuple):
    target: bytes
    method: bytes = b"GET"
    client: str = "192.0.2.1"
    length: int = 0
    named: tuple[tuple[bytes, bytes], ...] = AGENT
    body: bytes = b""
    content_type: bytes = b""

    def fields(self) -> Iterable[tuple[bytes, bytes]]:
        return self.named


TYPES = {"form": b"application/x-www-form-urlencoded", "json": b"application/json"}


def corpus(name: str) -> list[tuple[str, Request]]:
    """Return the requests of a file; attacks.txt has the format."""
    found = []
    for line in (CORPORA / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        kind, _, rest = line.partition(": ")
        first, *more = rest.split(" ¦ ")
        method, target = first.split(" ")
        request = Request(target.encode(), method.encode())
        for part in more:
            form, _, body = part.partition(" ")
            if form in TYPES:
                request = request._replace(body=body.encode(), content_type=TYPES[form], length=len(body))
            else:
                field, _, value = part.partition(": ")
                own = ((field.lower().encode(), value.encode()),)
                request = request._replace(named=own if field == "User-Agent" else AGENT + own)
        found.append((kind, request))
    return found


def complete(request: Request) -> Request:
    """Return the request with the fields that a client and its framing add."""
    more = [(b"host", b"a.example"), (b"accept", b"*/*")]
    if request.body:
        more += [(b"content-type", request.content_type), (b"content-length", b"%d" % request.length)]
    elif request.method not in (b"GET", b"HEAD"):
        more.append((b"content-length", b"0"))
    return request._replace(named=(*more, *request.named))
