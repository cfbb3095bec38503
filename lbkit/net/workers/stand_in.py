"""Answers 503 at once while no worker runs; otherwise clients would wait for one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from lbkit.net.answers import own_answer
from lbkit.net.messages import Answer
from lbkit.net.running import BACKLOG
from lbkit.net.tls.certificates import TlsError
from lbkit.net.tls.live import LiveContext
from lbkit.net.tls.rules import TlsRules

LINGER = 2.0  # seconds to read on, so that a reset does not discard the answer


# By the proxy's mode. Datagrams wait in the kernel, as far as it keeps them.
_DOES = {
    "http": "requests are answered 503",
    "tcp": "connections are closed at once",
    "udp": "datagrams wait",
}


class StandIn:
    """Accepts on sockets that have no worker."""

    def __init__(self, tls: TlsRules | None = None, mode: str = "http") -> None:
        self.mode = mode
        self.does = _DOES[mode]
        self._servers: list[asyncio.Server] = []
        self._options: dict[str, Any] = {}
        if tls:
            # Without certificates that can be used, clients see that this is no TLS.
            with suppress(TlsError):
                self._options = {"ssl": LiveContext(tls), "ssl_handshake_timeout": tls.handshake}

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        if self.mode == "udp":
            return
        loop = asyncio.get_running_loop()
        factory = _Refusal if self.mode == "http" else _Close
        options = {"backlog": BACKLOG, **self._options}
        for sock in sockets:
            self._servers.append(await loop.create_server(factory, sock=sock.dup(), **options))

    def stop(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()


class _Close(asyncio.Protocol):
    """Closes the connection: layer 4 has no error answers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.timer = asyncio.get_running_loop().call_later(LINGER, transport.abort)
        head, body = own_answer(Answer(503))
        transport.write(b"".join((head.data, b"Connection: close\r\n\r\n", body)))
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()  # TLS reads until the client has closed, too

    def connection_lost(self, exc: Exception | None) -> None:
        self.timer.cancel()
