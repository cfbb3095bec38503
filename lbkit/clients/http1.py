"""HTTP/1.1 as the load's clients speak it, and connections of all kinds, plain or with TLS.

Handshakes of TLS are counted, and whether they resumed a
session: all clients are played by one process, so the session of one connection is offered by the next.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, NamedTuple

import gevent.socket
import gevent.ssl
from geventhttpclient import HTTPClient
from geventhttpclient.connectionpool import ConnectionPool


class Answer(NamedTuple):
    status: int
    fields: list[tuple[str, str]]  # names in lower case
    body: bytes


class Secured:
    """TLS as clients use it, with counts of the handshakes."""

    def __init__(self, ca: str, resumption: bool, protocol: str) -> None:
        """`ca`: the file of the only authority that is trusted. `protocol`: its name in ALPN."""
        self.context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.load_verify_locations(ca)
        self.context.set_alpn_protocols([protocol])
        self.protocol = protocol
        self.resumption = resumption
        self.session: Any = None  # the latest
        self.handshakes = self.resumed = 0
        self.seconds = 0.0  # that handshakes took

    def wrap(self, sock: Any, host: str) -> Any:
        """Return the socket after its handshake. Raises OSError, also for another protocol than asked for."""
        began = monotonic()
        wrapped = self.context.wrap_socket(sock, server_hostname=host, session=self.session)
        self.seconds += monotonic() - began
        self.handshakes += 1
        self.resumed += bool(wrapped.session_reused)
        if wrapped.selected_alpn_protocol() not in (self.protocol, None):
            raise OSError(f"the balancer chose {wrapped.selected_alpn_protocol()}")
        return wrapped

    def keep(self, sock: Any) -> None:
        """Keep the session of a connection that has had an answer: TLS 1.3 sends it after the handshake."""
        if self.resumption and getattr(sock, "session", None):
            self.session = sock.session

    def facts(self) -> dict[str, float]:
        return {
            "handshakes": self.handshakes,
            "handshakes_resumed": self.resumed,
            "handshake_mean": self.seconds / self.handshakes if self.handshakes else 0.0,
        }


@dataclass(frozen=True)
class Target:
    """Where requests go, and how."""

    host: str
    port: int
    timeout: float  # seconds
    secured: Secured | None = None
    reuse: bool = True  # whether a connection carries several requests

    def connect(self, before: bytes = b"") -> Any:
        """Return a new connection that begins with `before`. Raises OSError."""
        sock = gevent.socket.create_connection((self.host, self.port), timeout=self.timeout)
        try:
            sock.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            if before:
                sock.sendall(before)
            return self.secured.wrap(sock, self.host) if self.secured else sock
        except BaseException:
            sock.close()
            raise


class Http1:
    """A pool of connections, each with one request at a time."""

    def __init__(self, target: Target, connections: int, before: bytes = b"") -> None:
        self._target = target
        self._client = HTTPClient(
            target.host,
            target.port,
            concurrency=connections,
            connection_timeout=target.timeout,
            network_timeout=target.timeout,
        )
        self._client._connection_pool = _Pool(target, connections, before)

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        more = {} if self._target.reuse else {"Connection": "close"}
        response = self._client.request(method, target, body, {**headers, **more})
        content = bytes(response.read())
        fields = [(name.lower(), value) for name, value in response.items()]
        return Answer(response.status_code, fields, content)

    def close(self) -> None:
        """Close the connections that are idle."""
        self._client.close()


class _Pool(ConnectionPool):
    def __init__(self, target: Target, size: int, before: bytes) -> None:
        super().__init__(target.host, target.port, target.host, target.port, size)
        self._target, self._before = target, before

    def _create_socket(self) -> Any:
        return self._target.connect(self._before)

    def return_socket(self, sock: Any) -> None:
        if self._target.secured:
            self._target.secured.keep(sock)
        super().return_socket(sock)

    def release_socket(self, sock: Any) -> None:
        if self._target.secured:
            self._target.secured.keep(sock)
        super().release_socket(sock)
