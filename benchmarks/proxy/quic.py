"""Clients of HTTP/3, by aioquic. They need more processor time than the proxy, which does not count here."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.proxy.loads import Load
from lbkit.net.tls.lab import CA_CERT


@dataclass(frozen=True)
class Quic(Load):
    """Connections that are kept, with some requests at once on each; if `new`, one for each request."""

    path: str = "/some/path?id=1"
    size: int = 128  # bytes of the answer
    connections: int = 4
    streams: int = 8
    new: bool = False

    per: ClassVar = "request"

    def play(self, port: int, count: int, folder: Path) -> int:
        at_once = 1 if self.new else self.connections
        each = 1 if self.new else max(1, count // at_once)
        for _ in range(count if self.new else 1):
            asyncio.run(_play(self, port, at_once, each, folder))
        return count if self.new else each * at_once


async def _play(load: Quic, port: int, connections: int, each: int, folder: Path) -> None:
    """Have each of so many connections send so many requests."""
    from aioquic.asyncio.client import connect
    from aioquic.asyncio.protocol import QuicConnectionProtocol
    from aioquic.h3.connection import H3_ALPN, H3Connection
    from aioquic.h3.events import DataReceived, HeadersReceived
    from aioquic.quic.configuration import QuicConfiguration

    class Client(QuicConnectionProtocol):
        """Sends the next request when an answer is complete."""

        def play(self) -> asyncio.Future[None]:
            self.http = H3Connection(self._quic)
            self.left, self.open, self.sizes = each, 0, dict[int, int]()
            self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            for _ in range(min(load.streams, each)):
                self.ask()
            self.transmit()
            return self.done

        def ask(self) -> None:
            number = self._quic.get_next_available_stream_id()
            path = load.path.encode()
            fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost")]
            self.http.send_headers(number, [*fields, (b":path", path)], end_stream=True)
            self.left, self.open, self.sizes[number] = self.left - 1, self.open + 1, 0

        def quic_event_received(self, event: Any) -> None:
            for happened in self.http.handle_event(event) if hasattr(self, "http") else ():
                if isinstance(happened, HeadersReceived) and dict(happened.headers)[b":status"] != b"200":
                    sys.exit(f"a bad answer on port {port}: {happened.headers}")
                if isinstance(happened, DataReceived):
                    self.sizes[happened.stream_id] += len(happened.data)
                if happened.stream_ended:  # type: ignore[attr-defined]
                    self.answered(happened.stream_id)  # type: ignore[attr-defined]

        def answered(self, number: int) -> None:
            if self.sizes.pop(number) != load.size:
                sys.exit(f"an answer of the wrong size on port {port}")
            self.open -= 1
            if self.left:
                self.ask()
            elif not self.open:
                self.done.set_result(None)

    async def client() -> None:
        configuration = QuicConfiguration(alpn_protocols=H3_ALPN, server_name="localhost")
        configuration.load_verify_locations(str(folder / CA_CERT))
        async with connect(
            "127.0.0.1", port, configuration=configuration, create_protocol=Client
        ) as connection:
            assert isinstance(connection, Client)
            await asyncio.wait_for(connection.play(), 600)

    await asyncio.gather(*(client() for _ in range(connections)))
