"""One request on an HTTP/2 connection to a backend, and its answer."""

from __future__ import annotations

from asyncio import Transport, get_running_loop
from collections.abc import Callable
from typing import Any, Protocol

from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from lbkit.core import Backend
from lbkit.core.attempts import Failure
from lbkit.net.http2.client_fields import read_response, request_fields
from lbkit.net.http2.client_library import ClientLibrary
from lbkit.net.http2.client_tunnel import ClientTunnel, obstacle, switch_head
from lbkit.net.http2.guard import MAX_FRAME
from lbkit.net.messages import Receiver, Reject, RequestHead, ResponseHead
from lbkit.net.streams.fields import Malformed, read_trailers, split_lines
from lbkit.net.streams.pieces import Pieces

# Bytes of an answer that a backend may send before they are taken: as much is held for a slow client.
STREAM_WINDOW = 128 * 1024


class Carrier(Protocol):
    """The connection of a stream."""

    library: ClientLibrary
    backend: Backend
    transport: Transport
    scheme: bytes
    writable: bool
    kept: bool

    @property
    def tunnels(self) -> bool: ...
    def refuses_tunnels(self) -> None: ...
    def opened(self, stream: ClientStream) -> None: ...
    def ended(self, stream: ClientStream) -> None: ...
    def doubt(self) -> None: ...
    def flush(self) -> None: ...


class ClientStream:
    """Looks like a connection of its own to what sends a request on it; it is used once.

    Both bodies are bounded: what waits of the request makes `origin_ready(False)`, and a backend's window
    opens only while the answer is taken.
    """

    __slots__ = (
        "_answering",
        "_carrier",
        "_complete",
        "_end",
        "_ended",
        "_head",
        "_head_only",
        "_interims",
        "_over",
        "_pieces",
        "_reading",
        "_request",
        "_told",
        "_tunnels",
        "_unopened",
        "_waiting",
        "failure",
        "id",
        "kept",
        "receiver",
        "transport",
    )

    may_leave_out = True
    receiver: Receiver | None
    _request: RequestHead

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.transport = carrier.transport
        self.receiver = None
        self.id = 0
        self.kept = False  # the connection had served a request before
        self._over = False
        # The request.
        self._waiting = Pieces()  # of its body, that no window takes yet
        self._complete = False  # nothing more is added to them
        self._end = False  # it has been sent to its end
        self._told = True  # the receiver knows that more can be taken
        # The answer.
        self._interims: list[ResponseHead] = []
        self._head: ResponseHead | None = None
        self._head_only = False
        self._answering = False  # the receiver has its head
        self._ended = False  # it has come to its end
        self._tunnels = False  # it has opened a tunnel, which each side ends for itself
        self._pieces: list[bytes] = []  # of its body, not passed on yet
        self.failure: Failure | None = None
        self._reading = True
        self._unopened = 0  # bytes that have come, and for which the window is not opened again

    # -- the request --------------------------------------------------------------------------

    def send(self, receiver: Receiver, head: RequestHead, body: bytes, end: bool) -> None:
        """Send a request for `receiver`; `end`: `body` is complete."""
        carrier = self._carrier
        self.receiver, self._request = receiver, head
        self._head_only = head.method == b"HEAD"
        if head.upgrade and (failure := obstacle(head, carrier)):
            self.failure, self._over = failure, True
            get_running_loop().call_soon(self.deliver)
            return
        self.id = carrier.library.get_next_available_stream_id()
        self.kept = carrier.kept
        self._end = end and not body and not head.trailers and not head.upgrade
        carrier.opened(self)
        fields = request_fields(head, carrier.scheme)
        carrier.library.send_headers(self.id, fields, end_stream=self._end)
        if self._end or head.upgrade:
            carrier.flush()
        else:
            self.send_body(body, end)

    def send_body(self, data: bytes, end: bool) -> None:
        if self._over:
            return
        self._waiting.add(data)
        self._complete = end
        while self.push():
            pass
        self._carrier.flush()

    def push(self) -> bool:
        """Send one frame of the body, if windows and socket take it; return whether more can follow."""
        carrier, waiting = self._carrier, self._waiting
        if self._over or self._end or not carrier.writable:
            return False
        room = carrier.library.local_flow_control_window(self.id) if waiting else 0
        if waiting and room > 0:
            piece = waiting.take(min(room, MAX_FRAME))
            self._end = self._complete and not waiting and not self._request.trailers
            carrier.library.send_data(self.id, piece, end_stream=self._end)
            carrier.flush()
        if self._complete and not waiting and not self._end:
            self._end = True
            if self._request.trailers:
                fields = split_lines(self._request.trailers.split(b"\r\n"))
                carrier.library.send_headers(self.id, fields, end_stream=True)
            else:
                carrier.library.send_data(self.id, b"", end_stream=True)
            carrier.flush()
        if self._end and self._ended:
            self._give_up(ErrorCodes.NO_ERROR)  # a tunnel whose other side has ended before
        self._tell()
        return bool(waiting) and room > 0

    def _tell(self) -> None:
        """Tell the receiver whether more of the body can be taken, if that has changed."""
        ready = not self._waiting
        if ready is not self._told:
            self._told = ready
            if self.receiver:
                self.receiver.origin_ready(ready)

    @property
    def over(self) -> bool:
        """Whether it has ended on the connection."""
        return self._over

    @property
    def backlog(self) -> int:
        """Bytes of the request's body that wait."""
        return self._waiting.size

    @property
    def waits(self) -> bool:
        """Whether a part of the request can be sent as soon as there is room."""
        return bool(self._waiting) or (self._complete and not self._end)

    # -- the answer: what has been read is noted first, and passed on once for all of it ----------

    def read(self, wanted: bool) -> None:
        """Start or stop reading the answer: back-pressure."""
        self._reading = wanted
        if wanted:
            self._open_window(1)

    def note(self, event: Event) -> None:
        """Note what has come of the answer; of a malformed one, only its end."""
        if self.failure is None or isinstance(event, StreamEnded | StreamReset):
            try:
                EVENTS[type(event)](self, event)
            except (Malformed, Reject):
                self.failure = Failure.MALFORMED

    def _interim(self, event: InformationalResponseReceived) -> None:
        self._interims.append(read_response(event.headers, True, True))

    def _answer(self, event: ResponseReceived) -> None:
        self._head = head = read_response(event.headers, self._head_only, event.stream_ended is not None)
        if self._request.upgrade and 200 <= head.status < 300:
            self._head, self._tunnels = switch_head(self._request, head), True

    def _data(self, event: DataReceived) -> None:
        self._pieces.append(event.data)
        self._unopened += event.flow_controlled_length  # with the padding

    def _trailers(self, event: TrailersReceived) -> None:
        assert self._head
        self._head.trailers = read_trailers(event.headers)

    def _answered(self, event: StreamEnded) -> None:
        self._ended = True
        if self._end or not self._tunnels:
            self._give_up(ErrorCodes.NO_ERROR)  # the rest of the request, if it is still being sent

    def _reset(self, event: StreamReset) -> None:
        if self._over:
            return  # after a whole answer it only says that the rest of the request is not needed
        if not event.remote_reset:
            self.fail(Failure.MALFORMED, False)  # by the library
        elif event.error_code == ErrorCodes.REFUSED_STREAM:
            self.fail(Failure.UNPROCESSED, False)
        else:
            self.fail(Failure.RESET if self._head else Failure.CLOSED_UNANSWERED, False)

    def fail(self, failure: Failure, kept: bool) -> None:
        """Note that nothing more comes, and that the stream has ended on the connection."""
        self.failure = self.failure or failure
        self._over, self.kept = True, kept
        self._carrier.ended(self)

    def lost(self) -> None:
        """Note that the connection has ended."""
        self.fail(Failure.RESET if self._head else Failure.CLOSED_UNANSWERED, self.kept)

    def deliver(self) -> None:
        """Pass on what has been noted."""
        receiver, failure, head = self.receiver, self.failure, self._head
        if receiver is None:
            return
        interims, self._interims = self._interims, []
        for interim in interims:
            receiver.interim(interim)
        whole = self._ended and failure is None
        if (whole and not self._tunnels) or failure:
            self.receiver = None
        if head and failure is not Failure.MALFORMED and (self._pieces or whole or not self._answering):
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            if self._answering:
                receiver.data(data, whole)
            else:
                self._answering = True
                if self._tunnels:
                    tunnel = ClientTunnel(self)
                    self.receiver = tunnel
                    tunnel.open(receiver, head, data, whole)
                    receiver = tunnel  # also of a failure that came with the head
                else:
                    receiver.answer(head, data, whole)
        if failure:
            self._give_up(ErrorCodes.PROTOCOL_ERROR)
            receiver.lost(failure, self.kept)
        elif self._reading:
            self._open_window(STREAM_WINDOW // 2)

    def _open_window(self, least: int) -> None:
        """Let the backend send as much more as has been taken, if that is so much."""
        if self._unopened >= least and not self._over:
            self._carrier.library.increment_flow_control_window(self._unopened, self.id)
            self._unopened = 0
            self._carrier.flush()

    # -- endings ---------------------------------------------------------------------------

    def close(self) -> None:
        """Give the request up, if its answer is not complete. A tunnel is given up by its transport."""
        self.receiver = None
        if not self._over and self.id:
            self._give_up(ErrorCodes.CANCEL)
            if self._head is None:
                self._carrier.doubt()

    def _give_up(self, code: ErrorCodes) -> None:
        """End the stream on the connection; without an error if both bodies are complete."""
        if self._over:
            return
        self._over = True
        carrier = self._carrier
        if code is not ErrorCodes.NO_ERROR or not self._end:
            carrier.library.reset_stream(self.id, code)
        carrier.ended(self)
        carrier.flush()


EVENTS: dict[type[Event], Callable[[ClientStream, Any], None]] = {
    InformationalResponseReceived: ClientStream._interim,
    ResponseReceived: ClientStream._answer,
    DataReceived: ClientStream._data,
    TrailersReceived: ClientStream._trailers,
    StreamEnded: ClientStream._answered,
    StreamReset: ClientStream._reset,
}
