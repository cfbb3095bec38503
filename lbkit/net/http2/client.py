"""An HTTP/2 connection to a backend, shared by many requests, each on a stream of its own. (RFC 9113.)"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from ssl import SSLError
from typing import Any, Protocol

from h2.events import ConnectionTerminated, DataReceived, RemoteSettingsChanged, WindowUpdated
from h2.exceptions import ProtocolError

from lbkit.core import Backend
from lbkit.core.attempts import Failure
from lbkit.net.http2.client_library import ClientLibrary
from lbkit.net.http2.client_stream import EVENTS, STREAM_WINDOW, ClientStream
from lbkit.net.tls.origin import handshake_fault

# Bytes of all answers that may be under way. It is opened again as soon as they are here, whoever reads them:
# else one slow client would stop the answers of all.
CONNECTION_WINDOW = 16 * STREAM_WINDOW
MAX_STREAMS = 100  # requests at once; one lost packet delays them all
LAST_STREAM = 2**31 - 3  # there are no more numbers after this (RFC 9113, 5.1.1)
SILENCE = 1.0  # seconds without a byte after which a request that is given up makes the connection doubtful
PING_TIMEOUT = 5.0  # seconds in which a doubtful connection has to show that it lives
MAX_UNSENT = 1024 * 1024  # bytes of answers to pings and settings, for a backend that does not read them


class Keeper(Protocol):
    """Keeps connections, also between requests."""

    max_head: int

    @property
    def fault(self) -> Callable[[str], object]:
        """Called with a line about a backend that breaks the protocol."""

    def now(self) -> float: ...
    def idle_session(self, connection: SharedConnection) -> None:
        """Take note of a connection that has no request any more."""

    def forget_session(self, connection: SharedConnection) -> None:
        """Remove a connection that takes no more requests."""


class SharedConnection(asyncio.Protocol):
    """Opens streams for requests as far as the backend allows, and passes on what arrives on each."""

    transport: asyncio.Transport

    def __init__(self, keeper: Keeper, backend: Backend, scheme: bytes, server_name: str = "") -> None:
        self._keeper = keeper
        self.backend = backend
        self.scheme = scheme
        self.server_name = server_name  # that TLS asks for
        self.library = ClientLibrary(keeper.max_head, STREAM_WINDOW, CONNECTION_WINDOW)
        self.streams: dict[int, ClientStream] = {}
        self.writable = True
        self.kept = False  # has served a request before
        self.leaving = False  # takes no more requests
        self.rested_since = 0.0
        self._consumed = 0  # bytes that have come, and for which the window is not opened again
        self._heard = 0.0  # when the last byte came
        self._lives_by = inf  # when a doubtful connection is given up
        # Done when the backend's settings are here, with what is wrong if they are not.
        self.ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def free(self) -> bool:
        """Whether another request can be sent."""
        if self.leaving or self.transport.is_closing():
            return False
        allowed = min(self.library.remote_settings.max_concurrent_streams, MAX_STREAMS)
        return len(self.streams) < allowed and self.library.highest_outbound_stream_id < LAST_STREAM

    @property
    def tunnels(self) -> bool:
        """Whether the backend takes WebSockets (RFC 8441, 3)."""
        return bool(self.library.remote_settings.enable_connect_protocol)

    def refuses_tunnels(self) -> None:
        """Report a WebSocket that could not be sent."""
        self._keeper.fault(
            f"backend {self.backend.name}: no WebSocket over HTTP/2, as its settings lack"
            " ENABLE_CONNECT_PROTOCOL (RFC 8441); switch it on there, or use protocol = 'http/1.1'"
        )

    # -- called by asyncio -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._heard = self._keeper.now()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self._heard, self._lives_by = self._keeper.now(), inf
        self.backend.traffic += len(data)
        if not self.ready.done() and data.startswith(b"HTTP/1."):
            self._end("it answers with HTTP/1.1: correct protocol")
            return
        try:
            events = self.library.receive_data(data)
        except ProtocolError as error:
            self.flush()  # the GOAWAY that says why
            self._end(f"it breaks the rules of HTTP/2: {error}")
            return
        touched: dict[ClientStream, None] = {}
        for event in events:
            if type(event) in EVENTS:
                if isinstance(event, DataReceived):
                    self._consumed += event.flow_controlled_length
                if stream := self.streams.get(event.stream_id):  # type: ignore[attr-defined]
                    stream.note(event)
                    touched[stream] = None
            elif found := _HANDLERS.get(type(event)):
                touched |= dict.fromkeys(found(self, event))
        if self._consumed >= CONNECTION_WINDOW // 2 and not self.transport.is_closing():
            self.library.increment_flow_control_window(self._consumed)
            self._consumed = 0
        for stream in touched:
            stream.deliver()
        self.flush()

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        self._push()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, SSLError):  # in TLS 1.3 a backend sees our certificate after the handshake
            self._end(handshake_fault(exc, self.server_name))
        else:
            self._end("it closes the connection at once")

    # -- frames that are about the connection ----------------------------------------------------

    def _settings(self, event: RemoteSettingsChanged) -> list[ClientStream]:
        if not self.ready.done():
            self.ready.set_result("")
        self._push()  # the windows may have grown
        return []

    def _window(self, event: WindowUpdated) -> list[ClientStream]:
        self._push()
        return []

    def _goaway(self, event: ConnectionTerminated) -> list[ClientStream]:
        """Handle GOAWAY: new requests go elsewhere, and so do those that the backend has not taken."""
        self._leave()
        last = event.last_stream_id or 0
        left_out = [stream for number, stream in self.streams.items() if number > last]
        for stream in left_out:
            stream.fail(Failure.UNPROCESSED, True)
        return left_out

    # -- called by streams -----------------------------------------------------------------------

    def opened(self, stream: ClientStream) -> None:
        self.streams[stream.id] = stream

    def ended(self, stream: ClientStream) -> None:
        self.streams.pop(stream.id, None)
        self.kept = True
        if not self.streams:
            self.rested_since = self._keeper.now()
            if self.leaving:
                self.close()
            else:
                self._keeper.idle_session(self)

    def flush(self) -> None:
        """Write what the library has to send."""
        if (data := self.library.data_to_send()) and not self.transport.is_closing():
            self.backend.traffic += len(data)
            self.transport.write(data)
            if not self.writable and self.transport.get_write_buffer_size() > MAX_UNSENT:
                self.abort()

    def _push(self) -> None:
        """Send what waits of requests, a frame of each in turns."""
        sending = [stream for stream in self.streams.values() if stream.waits]
        while sending:
            sending = [stream for stream in sending if stream.push()]

    def doubt(self) -> None:
        """Send a PING if nothing has arrived for a while: a request without an answer is given up."""
        now = self._keeper.now()
        if now - self._heard > SILENCE and self._lives_by == inf:
            self._lives_by = now + PING_TIMEOUT
            self.library.ping(b"are you?")
            self.flush()

    # -- endings ---------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """Give up a connection that gives no sign of life."""
        if self._lives_by < now:
            self.abort()

    def _leave(self) -> None:
        self.leaving = True
        self._keeper.forget_session(self)

    def retire(self) -> None:
        """Take no more requests, and close when the last has ended."""
        self._leave()
        if not self.streams:
            self.close()

    def close(self) -> None:
        """Close a connection without requests."""
        self._leave()
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.library.close_connection()
            self.flush()
            self.transport.close()
        else:  # TLS would wait for the backend to close, too
            self.transport.abort()

    def abort(self) -> None:
        self._leave()
        self.transport.abort()  # calls connection_lost

    def _end(self, why: str) -> None:
        """End all requests; `why`: the fault of a connection that never began."""
        if not self.ready.done():
            self.ready.set_result(why)
        self.abort()
        for stream in list(self.streams.values()):
            stream.lost()
            stream.deliver()


_HANDLERS: dict[type[Any], Any] = {
    RemoteSettingsChanged: SharedConnection._settings,
    WindowUpdated: SharedConnection._window,
    ConnectionTerminated: SharedConnection._goaway,
}
