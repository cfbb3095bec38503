"""How a backend is reached: the protocol that it speaks, with TLS or without."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol

from lbkit.core import Backend
from lbkit.net.address import split_address
from lbkit.net.tls.certificates import TlsError
from lbkit.net.tls.origin import OriginTls, client_context, handshake_fault

HTTP1, HTTP2 = "http/1.1", "h2"  # their names in ALPN (RFC 7301)
PROTOCOLS = (HTTP1, HTTP2)


class ReachError(ConnectionError):
    """Raised where a backend can be connected to, but does not speak as configured."""


class Reach(NamedTuple):
    """The protocol, TLS and greeting for connections to a backend."""

    protocol: str = HTTP1
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    greeting: bytes = b""  # first on a connection of the proxy's own: a PROXY protocol header

    @property
    def scheme(self) -> bytes:
        return b"https" if self.tls else b"http"

    async def open(
        self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, greeting: bytes = b""
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        """Connect, say the greeting (by default its own), and shake hands where there is TLS.

        Raises OSError, and ReachError for TLS that fails."""
        loop = asyncio.get_running_loop()
        place: dict[str, Any] = {"host": host, "port": port}
        if greeting := greeting or self.greeting:
            place = {"sock": await greeted(host, port, greeting)}
        if self.tls is None:
            return await loop.create_connection(factory, **place)
        try:
            transport, protocol = await loop.create_connection(
                factory, **place, ssl=self.tls, server_hostname=self.server_name
            )
        except ssl.SSLError as error:
            raise ReachError(handshake_fault(error, self.server_name)) from None
        agreed = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        if self.protocol != HTTP1 and agreed != self.protocol:
            transport.abort()
            raise ReachError(f"it does not agree on {self.protocol!r} (ALPN): correct protocol")
        return transport, protocol


async def greeted(host: str, port: int, greeting: bytes) -> socket.socket:
    """Return a connection on which the greeting has been sent, before anything of TLS. Raises OSError."""
    loop = asyncio.get_running_loop()
    error = OSError(f"{host} has no address")
    for family, kind, number, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        with ExitStack() as stack:
            sock = stack.enter_context(socket.socket(family, kind, number))
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, address)
                await loop.sock_sendall(sock, greeting)
            except OSError as failed:
                error = failed
            else:
                stack.pop_all()  # it is to stay open
                return sock
    raise error


PLAIN = Reach()


class ReachConfig(Protocol):
    """The settings of a backend that matter here."""

    @property
    def address(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def tls(self) -> OriginTls | None: ...
    def has(self, backend: Backend) -> bool: ...


class Reaches:
    """The Reach of each backend, by the settings. Backends with equal settings share a context."""

    def __init__(self, configs: Sequence[ReachConfig] = ()) -> None:
        """Raises TlsError with a line for each file that cannot be used."""
        self._contexts: dict[tuple[OriginTls, str], ssl.SSLContext] = {}
        self._special: list[tuple[ReachConfig, Reach]] = []
        faults = []
        for i, config in enumerate(configs):
            if config.protocol == HTTP1 and config.tls is None:
                continue
            try:
                self._special.append((config, self._reach(config)))
            except TlsError as error:
                faults.append(f"backends[{i}].tls.{error}")
        if faults:
            raise TlsError("\n".join(faults))

    def _reach(self, config: ReachConfig) -> Reach:
        rules = config.tls
        if rules is None:
            return Reach(config.protocol)
        shared = rules, config.protocol
        if shared not in self._contexts:
            self._contexts[shared] = client_context(rules, config.protocol)
        name = rules.server_name or split_address(config.address)[0]
        return Reach(config.protocol, self._contexts[shared], name)

    def __call__(self, backend: Backend) -> Reach:
        for config, reach in self._special:
            if config.has(backend):
                return reach
        return PLAIN
