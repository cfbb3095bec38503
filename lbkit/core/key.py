"""What of a request decides where it goes: the key that hashing algorithms get."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qsl


class RequestView(Protocol):
    """A request, as far as a key may look at it."""

    client: str  # the client's address
    target: bytes  # path and query

    @property
    def flow(self) -> str:
        """Its connection: protocol, addresses and ports of both ends."""

    def field(self, name: bytes) -> bytes:
        """A header field's value, b"" if there is none. `name` is lowercase."""


Key = Callable[[RequestView], str]


def _client(request: RequestView) -> str:
    return request.client


def _path(request: RequestView) -> str:
    return request.target.partition(b"?")[0].decode("latin-1")


def _uri(request: RequestView) -> str:
    return request.target.decode("latin-1")


def _flow(request: RequestView) -> str:
    return request.flow


# Who lacks the header, cookie or parameter is known by address: all in one place would be a hot spot.


def _header(name: str) -> Key:
    wanted = name.lower().encode()
    return lambda request: request.field(wanted).decode("latin-1") or request.client


def _cookie(name: str) -> Key:
    def key(request: RequestView) -> str:
        for pair in request.field(b"cookie").decode("latin-1").split(";"):
            cookie, _, value = pair.strip().partition("=")
            if cookie == name and value:
                return value
        return request.client

    return key


def _query(name: str) -> Key:
    def key(request: RequestView) -> str:
        query = request.target.partition(b"?")[2].decode("latin-1")
        return next((v for k, v in parse_qsl(query) if k == name and v), request.client)

    return key


PLAIN: dict[str, Key] = {"client": _client, "path": _path, "uri": _uri, "flow": _flow}
NAMED: dict[str, Callable[[str], Key]] = {"header": _header, "cookie": _cookie, "query": _query}


def key_of(spec: str) -> Key:
    """The key that `spec` names: client, path, uri, flow, header:NAME, cookie:NAME or query:NAME.

    Raises ValueError."""
    kind, _, name = spec.partition(":")
    if spec in PLAIN:
        return PLAIN[spec]
    if kind in NAMED and name:
        return NAMED[kind](name)
    known = ", ".join([*PLAIN, *(f"{kind}:NAME" for kind in NAMED)])
    raise ValueError(f"key is {spec!r}: use one of {known}")


def about_client(spec: str) -> bool:
    """Whether the key tells clients apart rather than what they ask for; in a simulation it is that, then."""
    return spec.partition(":")[0] in ("client", "header", "cookie")
