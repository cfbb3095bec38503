"""HTTP/2 as the load's clients speak it: one connection, many requests at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gevent
import gevent.event
import gevent.lock
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import H2Error

from lbkit.clients.http1 import Answer, Target

MAX_STREAMS = 100  # requests at once on a connection
FRAME = 16_384  # bytes of a body at a time


class _NotSent(ConnectionError):
    """Raised for a request that the balancer has not acted on, because the connection ends."""


class _Library(H2Connection):
    """For h2, GOAWAY ends all streams; but those that the peer has taken go on (RFC 9113, 6.8)."""

    def _receive_goaway_frame(self, frame: Any) -> tuple[list[Any], list[Event]]:
        event = ConnectionTerminated()
        event.error_code, event.last_stream_id = frame.error_code, frame.last_stream_id
        return [], [event]


class Http2:
    """One connection for all requests of a client; a new one when the balancer has closed it. (RFC 9113.)"""

    def __init__(self, target: Target, before: bytes = b"") -> None:
        self._target, self._before = target, before
        self._lock = gevent.lock.RLock()
        self._connection: _Connection | None = None

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        while True:
            with self._lock:  # those that come while the connection is being made wait for it
                if self._connection is None or self._connection.closed:
                    self._connection = _Connection(self._target, self._before)
                connection = self._connection
            try:
                return connection.request(method, target, headers, body)
            except _NotSent:
                continue  # on a new connection, as browsers do

    def close(self) -> None:
        """Close the connection, if there is one; requests on it fail."""
        if self._connection:
            self._connection.close()


class _Stream:
    def __init__(self) -> None:
        self.done = gevent.event.AsyncResult()  # the Answer, or an exception
        self.fields: list[tuple[str, str]] = []
        self.body: list[bytes] = []


class _Connection:
    def __init__(self, target: Target, before: bytes) -> None:
        self._target = target
        self._h2 = _Library(H2Configuration(header_encoding="latin-1", normalize_outbound_headers=False))
        self._streams: dict[int, _Stream] = {}
        self._changed = gevent.event.Event()  # set when a window has opened, or the connection has ended
        self._places = gevent.lock.Semaphore(MAX_STREAMS)
        self._sending = gevent.lock.RLock()  # frames go out in the order in which they were made
        self.closed = False
        # Events that a load needs; others are settings that are acknowledged, pings and the like.
        self._happens: dict[type[Event], Callable[[Any], None]] = {
            ResponseReceived: self._head,
            DataReceived: self._data,
            StreamEnded: self._ended,
            StreamReset: self._reset,
            ConnectionTerminated: self._goes_away,
            WindowUpdated: self._windows,
            RemoteSettingsChanged: self._windows,
        }
        self._sock = target.connect(before)
        self._h2.initiate_connection()
        self._flush()
        self._reader = gevent.spawn(self._read)

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        with self._places:
            if self.closed:
                raise _NotSent("the connection has ended")
            number = self._h2.get_next_available_stream_id()
            stream = self._streams[number] = _Stream()
            try:
                self._h2.send_headers(number, self._fields(method, target, headers, body), not body)
                self._flush()
                if body:
                    self._send(number, body)
                answer: Answer = stream.done.get()
                return answer
            finally:
                if self._streams.pop(number, None) and not stream.done.ready() and not self.closed:
                    self._h2.reset_stream(number, ErrorCodes.CANCEL)  # the client has waited long enough
                    self._flush()

    def _fields(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> list[tuple[str, str]]:
        others = {name.lower(): value for name, value in headers.items()}
        authority = others.pop("host", f"{self._target.host}:{self._target.port}")
        scheme = "https" if self._target.secured else "http"
        pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", target)]
        if body:
            others["content-length"] = str(len(body))
        return [*pseudo, *others.items()]

    def _send(self, number: int, body: bytes) -> None:
        """Send a body, as far as the windows are open."""
        while body and number in self._streams and not self._streams[number].done.ready():
            room = min(self._h2.local_flow_control_window(number), FRAME)
            if not room:
                self._changed.clear()
                self._changed.wait()
                continue
            self._h2.send_data(number, body[:room], end_stream=len(body) <= room)
            body = body[room:]
            self._flush()

    def _flush(self) -> None:
        with self._sending:
            if data := self._h2.data_to_send():
                self._sock.sendall(data)

    # -- what comes back ------------------------------------------------------------------------

    def _read(self) -> None:
        """Read until the end, in a greenlet of its own."""
        why: Exception = ConnectionError("the balancer closed the connection")
        try:
            while data := self._sock.recv(65_536):
                for event in self._h2.receive_data(data):
                    if happens := self._happens.get(type(event)):
                        happens(event)
                self._flush()
        except (OSError, H2Error) as error:
            why = error
        if self._target.secured:
            self._target.secured.keep(self._sock)
        self._end(why)

    def close(self) -> None:
        self._reader.kill()
        self._end(ConnectionError("the client closed the connection"))

    def _end(self, why: Exception) -> None:
        self.closed = True
        self._changed.set()
        for stream in self._streams.values():
            if not stream.done.ready():
                stream.done.set_exception(why)
        self._sock.close()

    def _head(self, event: Any) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.fields = list(event.headers)

    def _data(self, event: Any) -> None:
        self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if stream := self._streams.get(event.stream_id):
            stream.body.append(event.data)

    def _ended(self, event: Any) -> None:
        if stream := self._streams.get(event.stream_id):
            (_, status), *fields = stream.fields
            stream.done.set(Answer(int(status), fields, b"".join(stream.body)))

    def _reset(self, event: Any) -> None:
        if stream := self._streams.get(event.stream_id):
            stream.done.set_exception(ConnectionError(f"the balancer reset the request: {event.error_code}"))
        self._changed.set()

    def _goes_away(self, event: Any) -> None:
        """Streams that the balancer has taken go on; the next request needs a new connection."""
        self.closed = True
        for number, stream in self._streams.items():
            if number > event.last_stream_id and not stream.done.ready():
                stream.done.set_exception(_NotSent("the connection has ended"))
        self._changed.set()

    def _windows(self, event: Any) -> None:
        self._changed.set()
