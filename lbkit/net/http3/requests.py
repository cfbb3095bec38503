"""The reading half of an HTTP/3 connection: what arrives on its streams becomes requests."""

from __future__ import annotations

from typing import Any

from aioquic.quic import events

from lbkit.net.http1.listener import Listener
from lbkit.net.http3.frames import DATA, HEADERS, Code, Http3Error, TooLarge
from lbkit.net.http3.peer import QuicPeer
from lbkit.net.http3.quic import ServerQuic
from lbkit.net.http3.reading import ControlReader, Qpack, RequestReader
from lbkit.net.http3.rules import Http3
from lbkit.net.http3.writing import Send, StreamWriting
from lbkit.net.messages import Reject, RequestHead
from lbkit.net.streams.budget import Budget
from lbkit.net.streams.fields import Malformed
from lbkit.net.streams.opening import open_stream, refuse
from lbkit.net.streams.stream import Reset, Stream

VIA = b"Via: 3.0 lbkit\r\n"


class Http3Head(RequestHead):
    """The head of a request that came by HTTP/3."""

    __slots__ = ()
    version = "3.0"


class StreamReading(StreamWriting):
    """Reads requests and hands each to the listener's handler, as many at once as the rules admit."""

    head: type[RequestHead] = Http3Head
    via = VIA

    def __init__(
        self, listener: Listener, rules: Http3, quic: ServerQuic, peer: QuicPeer, send: Send
    ) -> None:
        super().__init__(listener, quic, send)
        self.peer = peer
        self._qpack = Qpack()
        self._control_reader = ControlReader(self._qpack)
        self._requests: dict[int, RequestReader] = {}  # by stream, until the client has ended it
        self._highest = -4  # stream of a request
        self._begun: list[Stream] = []  # requests whose exchanges are still to begin
        self._resets = Budget(rules.resets, rules.per, "too many requests given up")
        self._frames = Budget(rules.control_frames, rules.per, "too many control frames")

    def _on_data(self, event: events.StreamDataReceived) -> None:
        number, size = event.stream_id, len(event.data)
        self.quic.held += size
        if self.closed:
            return
        if number % 4 == 2:  # in one direction only
            count = self._control_reader.feed(number, event.data, event.end_stream)
            self._frames.spend(self.listener.now(), count)
            self.taken(number, size)
        else:
            self.taken(number, size - self._on_request_data(number, event.data, event.end_stream))

    def _on_request_data(self, number: int, data: bytes, end: bool) -> int:
        """Read a part of a request; return how much of it waits for a backend, or is accounted for."""
        reader = self._requests.get(number)
        if reader is None:
            reader = RequestReader(self.listener.limits.head, self.listener.now())
            self._requests[number] = reader
            self._highest = max(self._highest, number)
        if end:
            del self._requests[number]
        if reader.discarding:
            self.quic.dropped(len(data))
            return len(data)
        try:
            frames = [found for found in reader.feed(data) if self._counts(*found)]
        except TooLarge:
            self._on_large_head(number, reader, end)
            return 0
        if end and reader.frames.midway:
            raise Http3Error(Code.FRAME_ERROR, "a frame is cut off")
        passed = 0
        for i, (kind, payload) in enumerate(frames):
            if reader.discarding:
                break
            last = end and i == len(frames) - 1
            if kind == DATA:
                passed += self._on_body(number, reader, payload, last)
            else:
                self._on_fields(number, reader, self._qpack.read(number, payload), last)
        if end and not frames:
            self._on_request_end(number, reader)
        return passed

    def _on_large_head(self, number: int, reader: RequestReader, end: bool) -> None:
        if reader.heads:
            self._break_off(number, reader)
        else:
            reader.began, reader.discarding = None, True
            refuse(self, number, end, Reject(431, f"a head may have {self.listener.limits.head} bytes"))

    def _counts(self, kind: int, payload: bytes) -> bool:
        """Return whether a frame is a part of the request; others are only counted."""
        if kind == HEADERS or payload:
            return True
        self._frames.spend(self.listener.now())
        return False

    def _on_fields(self, number: int, reader: RequestReader, fields: list[Any], end: bool) -> None:
        stream = self.streams.get(number)
        if stream is None:
            self._open(number, reader, fields, end)
        elif not stream.receive_trailers(fields):
            self._break_off(number, reader)

    def _open(self, number: int, reader: RequestReader, fields: list[Any], end: bool) -> None:
        """Begin a request, unless there are too many, or it breaks the rules."""
        listener = self.listener
        if listener.full:
            listener.on_full()
        if listener.full or number >= self.last_stream:
            self._give_up(number, reader, Reset.REFUSED)  # the client may send it again (4.1.1)
            return
        if address := self.quic.get_peer_address():
            self.peer = self.peer.at(address)  # the client may have moved
        try:
            stream = open_stream(self, number, fields, end)
        except Malformed:
            self._give_up(number, reader, Reset.MALFORMED)
            return
        if stream is None:
            reader.discarding = True
        else:
            self._begun.append(stream)

    def add(self, stream: Stream) -> None:
        self.streams[stream.number] = stream
        self.listener.requests += 1

    def _on_body(self, number: int, reader: RequestReader, data: bytes, end: bool) -> int:
        stream = self.streams.get(number)
        if stream is None:
            return 0
        if not stream.receive(data, len(data), end):
            self._break_off(number, reader)
        return len(data)

    def _on_request_end(self, number: int, reader: RequestReader) -> None:
        """The client has ended a stream, with nothing else in the last packet."""
        stream = self.streams.get(number)
        if stream is not None:
            if not stream.complete and not stream.receive(b"", 0, True):
                self._break_off(number, reader)
        elif not reader.heads:
            self.quic.reset_stream(number, Code.REQUEST_INCOMPLETE)

    def _break_off(self, number: int, reader: RequestReader) -> None:
        """Reset a stream because its request breaks the rules."""
        self._give_up(number, reader, Reset.MALFORMED)
        if stream := self.streams.get(number):
            stream.gone()

    def _give_up(self, number: int, reader: RequestReader, why: Reset) -> None:
        """Reset a stream through the client's fault, which is counted like a reset of its own."""
        reader.discarding = True
        self._resets.spend(self.listener.now())
        self.reset(number, why)

    def _on_reset(self, event: events.StreamReset) -> None:
        number = event.stream_id
        if number % 4 == 2:
            self._frames.spend(self.listener.now())
            self._control_reader.reset(number)
            return
        reader = self._requests.pop(number, None)
        if reader is None:  # there was nothing else on this stream
            self._resets.spend(self.listener.now())
            self.quic.reset_stream(number, Code.REQUEST_INCOMPLETE)
        else:
            self._on_given_up(number, reader)

    def _on_stop(self, event: events.StopSendingReceived) -> None:
        if event.stream_id == self._control:
            raise Http3Error(Code.CLOSED_CRITICAL_STREAM, "the control streams last")
        self._on_given_up(event.stream_id, self._requests.get(event.stream_id))

    def _on_given_up(self, number: int, reader: RequestReader | None) -> None:
        """The client does not want the answer any more, unless it has been sent already."""
        stream = self.streams.get(number)
        if stream is None and (reader is None or reader.discarding):
            return
        if reader is not None:
            reader.discarding = True
        self._resets.spend(self.listener.now())
        self.reset(number, Reset.CANCELLED)
        if stream is not None:
            stream.gone()

    def forget(self, stream: Stream) -> None:
        if reader := self._requests.get(stream.number):
            reader.discarding = True
        super().forget(stream)
