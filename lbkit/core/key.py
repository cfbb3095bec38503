"""The key of a request: the part of it that hashing algorithms and limits go by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qsl


class RequestView(Protocol):
    """The parts of a request that a key can be taken from."""

    client: str  # the client's address
    target: bytes  # path and query

    @property
    def flow(self) -> str:
        """The connection: protocol, and address and port of both ends."""

    def field(self, name: bytes) -> bytes:
        """Return the value of a header field, b"" without one. `name` is lowercase."""


Key = Callable[[RequestView], str]


def _client(request: RequestView) -> str:
    return request.client


def _path(request: RequestView) -> str:
    return request.target.partition(b"?")[0].decode("latin-1")


def _uri(request: RequestView) -> str:
    return request.target.decode("latin-1")


def _flow(request: RequestView) -> str:
    return request.flow


# Without the header, cookie or parameter the key is the address: one key for all of them would be a hot spot.


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
    """Return the function that reads the key `spec`.

    `spec`: client, path, uri, flow, header:NAME, cookie:NAME or query:NAME. Raises ValueError for another."""
    kind, _, name = spec.partition(":")
    if spec in PLAIN:
        return PLAIN[spec]
    if kind in NAMED and name:
        return NAMED[kind](name)
    known = ", ".join([*PLAIN, *(f"{kind}:NAME" for kind in NAMED)])
    raise ValueError(f"key is {spec!r}: use one of {known}")


def about_client(spec: str) -> bool:
    """Return whether the key stands for a client, and not for what is requested."""
    return spec.partition(":")[0] in ("client", "header", "cookie")
