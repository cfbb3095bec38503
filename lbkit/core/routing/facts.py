"""What rules look at in a request: read once, and only what a rule asks for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol
from urllib.parse import parse_qsl

from lbkit.core.key import RequestView
from lbkit.core.routing.paths import normal_path


class RoutedRequest(RequestView, Protocol):
    """What rules need of a request."""

    method: bytes

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all header fields of this name; `name` is lowercase."""


class Sample:
    """A request that exists only to ask about it: which backend would get it, and why?"""

    def __init__(
        self,
        target: str = "/",
        method: str = "GET",
        host: str = "localhost",
        headers: Mapping[str, str] | None = None,
        client: str = "127.0.0.1",
    ) -> None:
        self.target: bytes = target.encode("utf-8", "surrogateescape")
        self.method = method.encode("utf-8", "surrogateescape")
        self.client = client
        self.headers = {"host": host, **{name.lower(): value for name, value in (headers or {}).items()}}

    @property
    def flow(self) -> str:
        return self.client

    def field(self, name: bytes) -> bytes:
        return next(iter(self.values(name)), b"")

    def values(self, name: bytes) -> list[bytes]:
        value = self.headers.get(name.decode("latin-1"))
        return [] if value is None else [value.encode("utf-8", "surrogateescape")]


class Facts:
    """The parts of a request, each in the one spelling that rules are written in."""

    def __init__(self, request: RoutedRequest) -> None:
        self.request = request

    @cached_property
    def method(self) -> str:
        return self.request.method.decode("latin-1")

    @cached_property
    def host(self) -> str:
        """The host in lower case, without port and without the dot at its end."""
        host = self.request.field(b"host").decode("latin-1").lower()
        if host.startswith("["):
            return host.partition("]")[0] + "]"
        return host.partition(":")[0].removesuffix(".")

    @cached_property
    def path(self) -> str:
        return normal_path(self.request.target)

    @cached_property
    def query(self) -> str:
        """The query with its question mark, or an empty text."""
        _, mark, query = self.request.target.partition(b"?")
        return (mark + query).decode("latin-1")

    @cached_property
    def parameters(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query[1:], keep_blank_values=True, errors="surrogateescape")

    @cached_property
    def cookies(self) -> list[tuple[str, str]]:
        pairs = [
            pair.strip().partition("=")
            for field in self.request.values(b"cookie")
            for pair in field.decode("utf-8", "surrogateescape").split(";")
        ]
        return [(name, value.strip('"')) for name, mark, value in pairs if mark]

    @cached_property
    def content_type(self) -> str:
        """The media type in lower case, without parameters such as charset."""
        return self.request.field(b"content-type").decode("latin-1").partition(";")[0].strip().lower()

    @cached_property
    def address(self) -> IPv4Address | IPv6Address | None:
        """The client's address, an IPv4-mapped one as IPv4; None for a client without one."""
        try:
            address = ip_address(self.request.client.partition("%")[0])
        except ValueError:
            return None
        return getattr(address, "ipv4_mapped", None) or address

    def header(self, name: str) -> list[str]:
        return [v.decode("utf-8", "surrogateescape") for v in self.request.values(name.lower().encode())]

    def cookie(self, name: str) -> list[str]:
        return [value for key, value in self.cookies if key == name]

    def parameter(self, name: str) -> list[str]:
        return [value for key, value in self.parameters if key == name]
