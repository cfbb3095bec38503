"""Scripted backends that speak HTTP/2, on the library's server side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset, TrailersReceived
from h2.settings import SettingCodes, Settings
from scripted import Connection, Script


@dataclass
class Request:
    """What has come of a request."""

    stream: int
    fields: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def __getitem__(self, name: bytes) -> bytes:
        return dict(self.fields)[name]


class Session:
    """One connection, as a script sees it."""

    def __init__(self, connection: Connection, **settings: int) -> None:
        self.connection = connection
        self.h2 = H2Connection(
            H2Configuration(client_side=False, header_encoding=None, validate_outbound_headers=False)
        )
        values = {SettingCodes[name.upper()]: value for name, value in settings.items()}
        self.h2.local_settings = Settings(client=False, initial_values=values)
        self.h2.initiate_connection()
        self.flush()
        self.requests: dict[int, Request] = {}
        self.take = True  # opens the windows for what has been read

    def flush(self) -> None:
        if data := self.h2.data_to_send():
            self.connection.send(data)

    def events(self) -> Iterator[Any]:
        """All events, until the other side closes."""
        while data := self.connection.sock.recv(65536):
            for event in self.h2.receive_data(data):
                self._note(event)
                yield event
            self.flush()

    def _note(self, event: Any) -> None:
        if isinstance(event, RequestReceived):
            self.requests[event.stream_id] = Request(event.stream_id, list(event.headers))
        elif isinstance(event, DataReceived):
            self.requests[event.stream_id].body += event.data
            if self.take and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived):
            self.requests[event.stream_id].trailers = list(event.headers)

    def answer(
        self,
        stream: int,
        body: bytes = b"ok",
        status: int = 200,
        fields: list[tuple[bytes, bytes]] | None = None,
        trailers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        """Send a whole answer of less than a window."""
        self.h2.send_headers(stream, [(b":status", b"%d" % status), *(fields or [])])
        self.h2.send_data(stream, body, end_stream=trailers is None)
        if trailers is not None:
            self.h2.send_headers(stream, trailers, end_stream=True)
        self.flush()

    def goaway(self, last: int) -> None:
        """Say that nothing above this stream has been acted on; the others go on."""
        frame = b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") + b"\0\0\0\0"
        self.flush()
        self.connection.send(frame)


def h2_script(on_request: Callable[[Session, Request], None], **settings: int) -> Script:
    """Call `on_request` for each request that is complete."""

    def script(connection: Connection) -> None:
        session = Session(connection, **settings)
        with suppress(ConnectionError):
            for event in session.events():
                if isinstance(event, StreamEnded):
                    on_request(session, session.requests.pop(event.stream_id))
                elif isinstance(event, StreamReset):
                    session.requests.pop(event.stream_id, None)

    return script


def h2_answers(body: bytes = b"ok", **options: Any) -> Script:
    """Answers every request alike."""
    return h2_script(lambda session, request: session.answer(request.stream, body, **options))
