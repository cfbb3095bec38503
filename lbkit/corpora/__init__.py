"""Requests to measure a firewall with: attacks, and harmless requests that look like them.

The rules of `core/signatures.py` were tuned on `attacks` and `harmless`, so figures on those two flatter;
`attacks_unseen` and `harmless_unseen` were written afterwards, by the same author. The format: `attacks.txt`.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from typing import NamedTuple

CORPORA = ("attacks", "attacks_unseen", "harmless", "harmless_unseen")
AGENT = ((b"user-agent", b"Mozilla/5.0"),)
TYPES = {"form": b"application/x-www-form-urlencoded", "json": b"application/json"}


class Request(NamedTuple):
    """A request as a firewall inspects it (`lbkit.core.request_texts.Inspected`)."""

    target: bytes
    method: bytes = b"GET"
    client: str = "192.0.2.1"
    length: int = 0
    named: tuple[tuple[bytes, bytes], ...] = AGENT
    body: bytes = b""
    content_type: bytes = b""

    def fields(self) -> Iterable[tuple[bytes, bytes]]:
        return self.named

    def complete(self) -> Request:
        """Return the request with the fields that a client and its framing add."""
        more = [(b"host", b"a.example"), (b"accept", b"*/*")]
        if self.body:
            more += [(b"content-type", self.content_type), (b"content-length", b"%d" % self.length)]
        elif self.method not in (b"GET", b"HEAD"):
            more.append((b"content-length", b"0"))
        return self._replace(named=(*more, *self.named))

    def wire(self) -> bytes:
        """Return the complete request as it is sent in HTTP/1.1."""
        lines = [b"%b %b HTTP/1.1" % (self.method, self.target)]
        lines += [b"%b: %b" % field for field in self.complete().named]
        return b"\r\n".join([*lines, b"", self.body])


def corpus(name: str) -> list[tuple[str, Request]]:
    """Return pairs of a kind and a request. Raises ValueError for a name that is not in CORPORA."""
    if name not in CORPORA:
        raise ValueError(f"no corpus is {name!r}: there are {', '.join(CORPORA)}")
    text = (files(__name__) / f"{name}.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return [(kind, _request(rest)) for kind, _, rest in (line.partition(": ") for line in lines)]


def _request(text: str) -> Request:
    first, *more = text.split(" ¦ ")
    method, target = first.split(" ")
    request = Request(target.encode(), method.encode())
    for part in more:
        form, _, body = part.partition(" ")
        if form in TYPES:
            data = body.encode()
            request = request._replace(body=data, content_type=TYPES[form], length=len(data))
        else:
            field, _, value = part.partition(": ")
            own = ((field.lower().encode(), value.encode()),)
            request = request._replace(named=own if field == "User-Agent" else AGENT + own)
    return request
