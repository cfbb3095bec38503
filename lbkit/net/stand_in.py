"""What answers while no worker can: 503 at once, where clients would wait for a socket to be served."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from lbkit.net.answers import own_answer
from lbkit.net.messages import Answer
from lbkit.net.running import BACKLOG

LINGER = 2.0  # seconds to read on, so that a reset does not eat the answer


class StandIn:
    """Accepts on sockets that have no worker."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        loop = asyncio.get_running_loop()
        for sock in sockets:
            self._servers.append(await loop.create_server(_Refusal, sock=sock.dup(), backlog=BACKLOG))

    def stop(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.timer = asyncio.get_running_loop().call_later(LINGER, transport.abort)
        head, body = own_answer(Answer(503))
        transport.write(b"".join((head.data, b"Connection: close\r\n\r\n", body)))
        transport.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.timer.cancel()
