"""Where HTTP/2 begins: by prior knowledge on a plain port, by ALPN in a TLS handshake."""

from __future__ import annotations

import asyncio
from typing import Any

from lbkit.net.http1.listener import Listener
from lbkit.net.http1.reading import RequestReading
from lbkit.net.http1.server import ServerConnection
from lbkit.net.http2.listener import Http2Listener
from lbkit.net.http2.rules import Http2
from lbkit.net.http2.server import Http2Connection


class Front:
    """Gives each connection the protocol that its client has chosen."""

    def __init__(self, listener: Listener, rules: Http2) -> None:
        self.shared = Http2Listener(listener, rules)
        listener.preface = self.take_over

    def take_over(self, connection: RequestReading, data: bytes) -> None:
        """Take over a connection that began with HTTP/2's preface (RFC 9113, 3.3), not with a request."""
        listener, transport = connection.listener, connection.transport
        connection.closed = True
        listener.leaves(connection)  # type: ignore[arg-type] # a ServerConnection is one
        made = Http2Connection(self.shared)
        transport.set_protocol(made)
        made.take_over(transport, connection.peer, data)

    def negotiated(self) -> asyncio.Protocol:
        """Return the protocol of a connection during its TLS handshake."""
        return _Negotiated(self)


class _Negotiated(asyncio.Protocol):
    """Until the handshake ends, which says what follows (RFC 7301, RFC 9113, 3.2)."""

    def __init__(self, front: Front) -> None:
        self._shared = front.shared

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        shared = self._shared
        made: Any = Http2Connection(shared) if chosen == "h2" else ServerConnection(shared.listener)
        transport.set_protocol(made)
        made.connection_made(transport)
