"""One request of an HTTP/2 or HTTP/3 connection: what the client sends for it, and its answer."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Protocol

from lbkit.net.answers import own_answer
from lbkit.net.http1.listener import Listener
from lbkit.net.messages import Answer, Incoming, Reject, RequestHead, ResponseHead
from lbkit.net.streams.fields import Field, Malformed, read_trailers, split_lines
from lbkit.net.streams.pieces import Pieces
from lbkit.net.streams.requests import response_fields
from lbkit.net.streams.tunnel import StreamTransport
from lbkit.net.websocket import accept_of

MAX_FRAME = 16_384  # bytes of a body in a frame


class Reset(Enum):
    """Why a stream ends before its time."""

    NOT_NEEDED = "the answer is complete, and the rest of the request is of no use"
    CANCELLED = "its tunnel has ended"
    FAILED = "the answer cannot be completed"
    MALFORMED = "the request breaks the rules"
    REFUSED = "it has not been acted on; the client may send it again"


class Carrier(Protocol):
    """What a stream needs of its connection."""

    listener: Listener
    writable: bool

    def send_head(self, number: int, fields: list[Field], end: bool = False) -> None:
        """Send an answer's fields, or its trailers."""

    def send_body(self, number: int, data: bytes, end: bool, cut: bool) -> None:
        """Send a frame of an answer; `cut`: it would be longer if the client took more."""

    def room(self, number: int) -> int:
        """Return how many bytes of an answer may be sent now."""

    def taken(self, number: int, size: int) -> None:
        """Let the client send more of a request's body."""

    def push(self, stream: Stream) -> None:
        """Send what the windows admit, in turns with the other streams."""

    def flush(self) -> None:
        """Write what the library has made."""

    def reset(self, number: int, why: Reset) -> None: ...
    def forget(self, stream: Stream) -> None: ...


class Stream:
    """Passes a request on to its exchange, and is the exchange's client (`Client` in messages.py).

    An answer waits here for the client's flow control. While any of it waits, the backend is not read; so at
    most what has been read at once is held. Of a request's body, the client may send as much as the windows
    admit, which open again when the backend has taken it."""

    __slots__ = (
        "_early",
        "_key",
        "_last",
        "_pieces",
        "_sent",
        "_unread",
        "_wanted",
        "carrier",
        "complete",
        "deadline",
        "exchange",
        "head",
        "length",
        "number",
        "over",
        "queued",
        "received",
        "request",
        "tunnel",
        "writable",
    )

    def __init__(
        self, carrier: Carrier, number: int, length: int | None, complete: bool, key: bytes = b""
    ) -> None:
        """`length`: of the body, as announced. `key`: of a WebSocket's handshake."""
        self.carrier = carrier
        self.number = number
        self.exchange: Incoming | None = None
        self.request: RequestHead | None = None
        self.tunnel: StreamTransport | None = None
        self.over = False
        listener = carrier.listener
        self.deadline = listener.now() + listener.timeouts.read  # without an exchange, which has its own
        # The request.
        self.length = length
        self.complete = complete  # it has been received to its end
        self.received = 0  # bytes of its body
        self._unread = 0  # bytes that its windows have not been opened again for
        self._wanted = True
        self._key = key
        self._early: list[bytes] = []  # for a tunnel that is not open yet
        # The answer.
        self.head: ResponseHead | None = None
        self._pieces = Pieces()  # of the body, that wait
        self._last = False  # no more follow
        self._sent = False  # all of it is written
        self.queued = False  # waits for its turn
        self.writable = carrier.writable

    # -- the request ----------------------------------------------------------------------------

    def receive(self, data: bytes, size: int, end: bool) -> bool:
        """Take a piece of the body, which counts as `size` for flow control; return whether it may be so."""
        self.complete = end
        self.received += len(data)
        self._unread += size
        if self.length is not None and (self.received > self.length or (end and self.received < self.length)):
            return False
        if self.tunnel:
            self.tunnel.feed(data, end)
            if end and self._sent:
                self._end()
        elif self._key:
            self._early.append(data)  # as much as the window admits
            return True
        elif self.exchange is not None and self.length != 0:
            self._pass_on(self.exchange, data, end)
        if self._wanted:
            self._acknowledge()
        return True

    def receive_trailers(self, fields: Iterable[Field]) -> bool:
        """Take the fields after the body, which end it; return whether they may be so."""
        try:
            trailers = read_trailers(fields)
        except Malformed:
            return False
        if self.request is not None:
            self.request.trailers = trailers
        return self.receive(b"", 0, True)

    def _pass_on(self, exchange: Incoming, data: bytes, end: bool) -> None:
        limit = self.carrier.listener.limits.body
        if limit is not None and self.received > limit:
            if self.received - len(data) <= limit:  # else it has been refused already
                exchange.refuse(413, f"the body is longer than {limit} bytes")
        elif data or end:
            exchange.body(data, end)

    def read_body(self, wanted: bool) -> None:
        self._wanted = wanted
        if wanted and self._unread and not self.over:
            self._acknowledge()
            self.carrier.flush()

    def _acknowledge(self) -> None:
        """Let the client send more."""
        unread, self._unread = self._unread, 0
        if unread:
            self.carrier.taken(self.number, unread)

    # -- the answer ------------------------------------------------------------------------------

    def respond(self, head: ResponseHead, data: bytes, end: bool) -> None:
        if self.over:
            return
        if self._key and 200 <= head.status < 300:
            # For the client it would be the beginning of a tunnel (RFC 8441, 5).
            exchange, self.exchange = self.exchange, None
            self.refuse(Reject(502, "the backend did not switch to WebSocket"))
            if exchange:
                exchange.client_gone()
            return
        self._write(head, response_fields(head), data, end)

    def refuse(self, reject: Reject) -> None:
        """Answer with an error, without an exchange."""
        head, body = own_answer(Answer(reject.status, reject.why))
        self._write(head, response_fields(head), body, True)

    def _write(self, head: ResponseHead, fields: list[tuple[bytes, bytes]], data: bytes, end: bool) -> None:
        self.head = head
        whole = end and not data and not head.trailers
        self.carrier.send_head(self.number, fields, whole)
        if whole:
            self._sent_all()
            self.carrier.flush()
        else:
            self.send(data, end)

    def send(self, data: bytes, end: bool) -> None:
        if self.over:
            return
        self._pieces.add(data)
        self._last = end
        self.carrier.push(self)

    @property
    def waits(self) -> bool:
        return bool(self._pieces)

    @property
    def backlog(self) -> int:
        """Bytes of the answer that wait."""
        return self._pieces.size

    def send_frame(self) -> bool:
        """Send a frame, as large as the windows admit; return whether there is more that they admit."""
        carrier = self.carrier
        data, room = b"", MAX_FRAME
        if self._pieces:
            room = min(MAX_FRAME, carrier.room(self.number))
            if room <= 0:
                return False
            data = self._pieces.take(room)
        last = self._last and not self._pieces
        trailers = self.head.trailers if last and self.head else b""
        if data or (last and not trailers):
            carrier.send_body(self.number, data, last and not trailers, len(data) == room < MAX_FRAME)
        if trailers:
            carrier.send_head(self.number, split_lines(trailers.split(b"\r\n")), True)
        if last:
            self._sent_all()
        return bool(self._pieces)

    def tell(self) -> None:
        """Tell the exchange whether more of the answer can be taken, if that has changed."""
        writable = self.carrier.writable and not self._pieces
        if writable != self.writable and not self.over:
            self.writable = writable
            if self.tunnel:
                self.tunnel.ready(writable)
            elif self.exchange is not None:
                self.exchange.client_ready(writable)

    def ready(self, ready: bool) -> None:
        """Ignored: a stream is the last sink."""

    def interim(self, head: ResponseHead) -> None:
        if not self.over:
            self.carrier.send_head(self.number, response_fields(head))
            self.carrier.flush()

    def say_last(self) -> None:
        """Ignored: the connection's next requests are balanced on their own, and may go elsewhere."""

    def upgrade(self, head: ResponseHead) -> tuple[StreamTransport, bytes]:
        """Open the tunnel with 200: here is no 101, and no key to check (RFC 8441, 5; RFC 9220)."""
        self.exchange = None
        self.tunnel = StreamTransport(self)
        if head.field(b"sec-websocket-accept") != accept_of(self._key):
            self.tunnel.closing = True
            self.refuse(Reject(502, "the backend did not switch to WebSocket"))
            return self.tunnel, b""
        fields = [field for field in response_fields(head) if field[0] != b"sec-websocket-accept"]
        self.head = head
        self.carrier.send_head(self.number, [(b":status", b"200"), *fields[1:]])
        self._acknowledge()
        self.carrier.flush()
        if self.complete:
            self.tunnel.feed(b"", True)
        early, self._early = b"".join(self._early), []
        return self.tunnel, early

    # -- endings -----------------------------------------------------------------------------------

    def _sent_all(self) -> None:
        self._sent = True
        if not self.tunnel or self.complete or self.tunnel.closing:  # else it is half open
            self._end()

    def finish(self) -> None:
        """End a tunnel that is half open."""
        if self._sent and not self.over:
            self._end()
            self.carrier.flush()

    def _end(self) -> None:
        """Called when the answer is complete."""
        if not self.complete:
            self.carrier.reset(self.number, Reset.NOT_NEEDED)  # do not send the rest (RFC 9113, 8.1)
        self._leave()
        if self.tunnel:
            self.tunnel.lost()
        elif self.exchange is not None:
            self.exchange.delivered()

    def abort(self) -> None:
        """Reset the stream, so that the answer does not look complete."""
        if not self.over:
            self.carrier.reset(self.number, Reset.CANCELLED if self.tunnel else Reset.FAILED)
            self._leave()
            self.carrier.flush()
            if self.tunnel:
                self.tunnel.lost()

    def gone(self) -> None:
        """Called when the client has given it up, or is gone."""
        if not self.over:
            self._leave()
            if self.tunnel:
                self.tunnel.lost()
            elif self.exchange is not None:
                self.exchange.client_gone()

    def _leave(self) -> None:
        self.over = True
        self._pieces.clear()
        self._acknowledge()  # the connection's window is open to other streams
        self.carrier.forget(self)

    def expire(self, now: float) -> None:
        if self.tunnel:
            return  # the relay has a deadline of its own
        if self.exchange is None:
            if self.deadline < now:
                self.abort()
        elif self.exchange.deadline < now:
            self.exchange.expired(now)
