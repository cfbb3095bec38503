"""A client's HTTP/2 connection: its frames become requests, each an exchange of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from h2 import events
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from lbkit.core import Backend
from lbkit.net.http1.server import FIRST_REQUEST
from lbkit.net.http2.listener import HEADER_TABLE, Http2Listener
from lbkit.net.http2.server_writing import EVERY_STREAM, StreamWriting
from lbkit.net.messages import RequestHead
from lbkit.net.peer import Peer
from lbkit.net.streams.budget import Flood
from lbkit.net.streams.fields import Malformed
from lbkit.net.streams.opening import open_stream
from lbkit.net.streams.stream import Reset, Stream

FAREWELL = b"goodbye!"  # of the PING that follows a first GOAWAY; its answer shows that the client knows
VIA = b"Via: 2.0 lbkit\r\n"


class Http2Head(RequestHead):
    """The head of a request that came by HTTP/2."""

    __slots__ = ()
    version = "2.0"


class Http2Connection(StreamWriting):
    """Reads requests and hands each to the listener's handler, as many at once as the rules admit.

    Deadlines are set when a wait begins: the exchanges have theirs; a head that is not complete, and a
    connection without requests, have one here. PINGs do not extend it."""

    peer: Peer
    head: type[RequestHead] = Http2Head
    via = VIA

    def __init__(self, shared: Http2Listener) -> None:
        super().__init__(shared)
        self._final_at: float | None = None  # when the last GOAWAY of a drain is due

    # -- beginning -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection that has no other protocol before this one."""
        self.take_over(transport, self.listener.peer_of(transport), b"")  # type: ignore[arg-type]

    def take_over(self, transport: asyncio.Transport, peer: Peer, data: bytes) -> None:
        """Begin, with what has been read already."""
        self.transport = transport
        self.peer = peer
        self._deadline = self.listener.now() + self.listener.timeouts.head
        refused = self.listener.admit(self, peer)
        self.flush()
        if refused:
            self.say_goodbye()
        elif data:
            self.data_received(data)

    # -- reading ------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        try:
            data = self.guard.feed(data, self.listener.now())
            happened = self.http.receive_data(data)
            self._handle(happened)
        except Flood as flood:
            self.fail(ErrorCodes.ENHANCE_YOUR_CALM if flood.code is None else flood.code)
        except ProtocolError:
            self._end_failed()  # the library has written the reason
        except Exception:  # whatever it is, no client ends more than its own connection
            self.listener.on_fault("an HTTP/2 connection failed")
            self.fail(ErrorCodes.INTERNAL_ERROR)
        else:
            self.flush()
            if self.guard.leaving and not self.streams:
                self._close_if_idle()

    def _handle(self, happened: list[events.Event]) -> None:
        """Carry out what has arrived together.

        Resets come first: a request that is given up in the same breath never reaches a backend. The others
        begin last, as a part of their bodies may be here, too."""
        for event in happened:
            if isinstance(event, events.StreamReset):
                self._on_reset(event)
        begun: list[Stream] = []
        for event in happened:
            kind = type(event)
            if kind is events.RequestReceived:
                if stream := self._open(event):  # type: ignore[arg-type]
                    begun.append(stream)
            elif handler := _HANDLERS.get(kind):
                handler(self, event)
        now = self.listener.now()
        for stream in begun:
            if stream.exchange is not None and stream.head is None and not stream.over:
                stream.exchange.begin(now)

    def _on_reset(self, event: events.StreamReset) -> None:
        if not event.remote_reset:
            self.guard.resets.spend(self.listener.now())
        if stream := self.streams.get(event.stream_id):
            stream.gone()

    def _open(self, event: events.RequestReceived) -> Stream | None:
        """Begin a request, unless there are too many, or it breaks the rules."""
        number, shared = event.stream_id, self.shared
        known = self.http.streams.get(number)
        if known is None or known.closed:
            return None
        if self.listener.full:
            self.listener.on_full()
        if number > self.last_stream or len(self.streams) >= shared.rules.streams or self.listener.full:
            self._reset_for(number, Reset.REFUSED)  # the client may send it again (8.7)
            return None
        end = event.stream_ended is not None
        try:
            return open_stream(self, number, event.headers, end)
        except Malformed:
            self._reset_for(number, Reset.MALFORMED)
            return None

    def add(self, stream: Stream) -> None:
        self.streams[stream.number] = stream
        self.listener.requests += 1

    def _reset_for(self, number: int, why: Reset) -> None:
        """Reset a stream through the client's fault, which is counted like a reset of its own."""
        self.guard.resets.spend(self.listener.now())
        self.reset(number, why)

    def _on_data(self, event: events.DataReceived) -> None:
        stream = self.streams.get(event.stream_id)
        size = event.flow_controlled_length
        if stream is None:
            self.http.acknowledge_received_data(size, event.stream_id)
        elif not stream.receive(event.data, size, event.stream_ended is not None):
            self._break_off(stream)

    def _on_trailers(self, event: events.TrailersReceived) -> None:
        stream = self.streams.get(event.stream_id)
        if stream is None:
            return
        if not stream.receive_trailers(event.headers):
            self._break_off(stream)

    def _break_off(self, stream: Stream) -> None:
        """Reset a stream because its request breaks the rules."""
        self._reset_for(stream.number, Reset.MALFORMED)
        stream.gone()

    def _on_window(self, event: events.WindowUpdated) -> None:
        if event.stream_id:
            stream = self.streams.get(event.stream_id)
            if stream is None or not stream.waits:
                return
            self._queue(stream)
        self.pump()

    def _on_settings(self, event: events.RemoteSettingsChanged) -> None:
        if self.http.encoder.header_table_size > HEADER_TABLE:
            self.http.encoder.header_table_size = HEADER_TABLE
        for code in event.changed_settings:
            if not isinstance(code, SettingCodes):
                self.http.remote_settings.pop(code, None)  # unknown ones are not kept
        for stream in self.streams.values():
            if stream.waits:
                self._queue(stream)
        self.pump()

    def _on_ping_answer(self, event: events.PingAckReceived) -> None:
        if event.ping_data == FAREWELL and self._final_at is not None:
            self._final_at = None
            self.say_goodbye()

    # -- time, and endings -----------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        for stream in list(self.streams.values()):
            stream.expire(now)
        if self.closed:
            if self._deadline < now:
                self.abort()
        elif self._final_at is not None and self._final_at < now:
            self._final_at = None
            self.say_goodbye()
        elif (began := self.guard.head_began) is not None and began + self.listener.timeouts.head < now:
            self.fail(ErrorCodes.ENHANCE_YOUR_CALM)
        elif not self.streams and self._deadline < now:
            if self.writable:
                self.say_goodbye()
            else:
                self.abort()

    def drain(self, now: float) -> None:
        """Announce the end, and end when the client knows: its next requests may be on their way (6.8)."""
        if self.closed or self._final_at is not None or self.last_stream < EVERY_STREAM:
            return
        self._final_at = now + FIRST_REQUEST
        self.go_away(EVERY_STREAM)
        self.http.ping(FAREWELL)
        self.flush()

    def cut(self, backend: Backend) -> None:
        for stream in list(self.streams.values()):
            if stream.exchange is not None:
                stream.exchange.cut(backend)

    def eof_received(self) -> bool:
        return False  # a client that has ended its side counts as gone, as for HTTP/1.1

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._end_all()
        self.listener.closed(self)


_HANDLERS: dict[type, Callable[[Http2Connection, Any], object]] = {
    events.DataReceived: Http2Connection._on_data,
    events.TrailersReceived: Http2Connection._on_trailers,
    events.WindowUpdated: Http2Connection._on_window,
    events.RemoteSettingsChanged: Http2Connection._on_settings,
    events.PingAckReceived: Http2Connection._on_ping_answer,
}
