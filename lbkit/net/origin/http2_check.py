"""Health checks over HTTP/2, of gRPC's protocol too; the library h2 reads and writes the frames."""

from __future__ import annotations

import asyncio
from typing import Any

from lbkit.core.health import grpc
from lbkit.core.health.probe import Probe

LARGEST = 64 * 1024  # bytes of an answer that are read


class _Call:
    """One request, and its answer as far as it has arrived."""

    def __init__(self) -> None:
        self.status = ""  # of HTTP
        self.fields: dict[str, str] = {}  # those of the head, then the trailers
        self.data = b""
        self.ended = ""  # why nothing more is to come
        self.broken = ""  # why what came cannot be read

    def take(self, event: Any) -> None:
        match type(event).__name__:
            case "ResponseReceived" | "TrailersReceived":
                self.fields |= dict(event.headers)
                self.status = self.fields.get(":status", "")
            case "DataReceived":
                self.data += event.data
            case "StreamEnded":
                self.ended = "complete"
            case "StreamReset" | "ConnectionTerminated":
                self.ended = f"cut off, HTTP/2 error {int(event.error_code)}"

    def fault(self) -> str:
        """Return why the answer does not pass; empty if it does."""
        if not self.status:
            return f"no answer: {self.ended or 'connection closed'}"
        if self.status != "200":
            return f"status {self.status}"
        if self.ended != "complete":
            return self.ended or "connection closed in the middle of the answer"
        return grpc.status_fault(
            self.fields.get("grpc-status", ""), self.fields.get("grpc-message", "")
        ) or grpc.fault(self.data)


async def ask_grpc(
    service: str,
    authority: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    scheme: str = "http",
) -> str:
    """Return why a server is not healthy, by its own account; empty if it is SERVING. Raises OSError."""
    head = [
        *((":method", "POST"), (":scheme", scheme), (":path", grpc.PATH), (":authority", authority)),
        *(("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", "lbkit health check")),
    ]
    call = await _ask(head, grpc.request(service), reader, writer)
    return call.broken or call.fault()


async def ask_http2(
    probe: Probe,
    authority: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    scheme: str = "http",
) -> str:
    """Return why the answer to a probe does not pass; empty if it does. Raises OSError."""
    head = [
        *((":method", probe.method), (":scheme", scheme), (":path", probe.path)),
        (":authority", probe.host or authority),
        *((name.lower(), value) for name, value in probe.headers.items()),
        ("user-agent", "lbkit health check"),
    ]
    call = await _ask(head, b"", reader, writer)
    if not call.status.isdigit():
        return call.broken or f"no answer: {call.ended or 'connection closed'}"
    return probe.fault(int(call.status), call.data)


async def _ask(
    head: list[tuple[str, str]], data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> _Call:
    """Return the answer to a request as far as it has arrived, at most LARGEST bytes of it."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.exceptions import ProtocolError

    connection = H2Connection(H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    stream = connection.get_next_available_stream_id()
    connection.send_headers(stream, head, end_stream=not data)
    if data:
        connection.send_data(stream, data, end_stream=True)
    call = _Call()
    while not call.ended and len(call.data) < LARGEST:
        writer.write(connection.data_to_send())
        received = await reader.read(LARGEST)
        if not received:
            break
        try:
            if received.startswith(b"HTTP/1."):  # h2 would wait for the rest of a huge frame
                raise ProtocolError
            events = connection.receive_data(received)
        except ProtocolError:
            call.broken = "answer is not HTTP/2"
            break
        for event in events:
            call.take(event)
    return call
