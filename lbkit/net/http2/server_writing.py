"""The writing half of an HTTP/2 connection: answers of many streams in turns, and the ways to end."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from math import inf

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hyperframe.frame import GoAwayFrame

from lbkit.net.http1.server import LINGER
from lbkit.net.http2.listener import Http2Listener
from lbkit.net.http2.rules import LARGEST_WINDOW
from lbkit.net.streams.fields import Field
from lbkit.net.streams.stream import Reset, Stream

EVERY_STREAM = LARGEST_WINDOW  # the highest number that a stream can have
FRAMES_AT_ONCE = 4  # before they are written, so that a client that is slow is noticed
CODES = {
    Reset.NOT_NEEDED: ErrorCodes.NO_ERROR,
    Reset.CANCELLED: ErrorCodes.CANCEL,
    Reset.FAILED: ErrorCodes.INTERNAL_ERROR,
    Reset.MALFORMED: ErrorCodes.PROTOCOL_ERROR,
    Reset.REFUSED: ErrorCodes.REFUSED_STREAM,
}


class StreamWriting(asyncio.Protocol):
    """Sends what streams have, as far as flow control and the transport admit."""

    transport: asyncio.Transport

    def __init__(self, shared: Http2Listener) -> None:
        self.shared = shared
        self.listener = shared.listener
        self.http = shared.library()
        self.guard = shared.guard()
        self.streams: dict[int, Stream] = {}
        self.writable = True
        self.closed = False  # no more writes; what arrives is discarded
        self.last_stream = EVERY_STREAM  # that is served
        self._turns: deque[Stream] = deque()  # those with a piece of an answer to send
        self._deadline = inf  # while there is no stream

    # -- what a stream asks for -----------------------------------------------------------------------

    def send_head(self, number: int, fields: list[Field], end: bool = False) -> None:
        self.http.send_headers(number, fields, end_stream=end)

    def send_body(self, number: int, data: bytes, end: bool, cut: bool) -> None:
        self.http.send_data(number, data, end_stream=end)
        self.guard.sent(len(data), cut)

    def room(self, number: int) -> int:
        return self.http.local_flow_control_window(number)

    def taken(self, number: int, size: int) -> None:
        self.http.acknowledge_received_data(size, number)

    # -- answers ----------------------------------------------------------------------------------

    def push(self, stream: Stream) -> None:
        """Send what the windows admit of a stream, in turns with the others."""
        if stream.waits:
            self._queue(stream)
            self.pump()
        else:  # only its end, which no window holds back
            stream.send_frame()
            self.flush()
        stream.tell()

    def _queue(self, stream: Stream) -> None:
        if not stream.queued:
            stream.queued = True
            self._turns.append(stream)

    def pump(self) -> None:
        """Send a frame of each stream in turn, until nothing more may be sent."""
        turns = self._turns
        frames = 0
        while turns and self.writable and not self.closed and self.http.outbound_flow_control_window > 0:
            stream = turns.popleft()
            stream.queued = False
            if stream.over:
                continue
            if stream.send_frame():
                self._queue(stream)
            stream.tell()
            frames += 1
            if frames % FRAMES_AT_ONCE == 0:
                self.flush()
        self.flush()

    def flush(self) -> None:
        if not self.closed and (data := self.http.data_to_send()):
            self.transport.write(data)

    def pause_writing(self) -> None:
        """The client takes no more for now: no request is read, and no answer is sent."""
        self.writable = False
        if not self.streams:
            self._deadline = self.listener.now() + self.listener.timeouts.read
        if not (self.closed or self.transport.is_closing()):
            self.transport.pause_reading()
        self._tell_all()

    def resume_writing(self) -> None:
        self.writable = True
        if not self.streams:
            self._deadline = self.listener.now() + self.listener.timeouts.idle
        if not self.transport.is_closing():
            self.transport.resume_reading()
        self.pump()
        self._tell_all()

    def _tell_all(self) -> None:
        for stream in list(self.streams.values()):
            stream.tell()

    # -- endings -------------------------------------------------------------------------------------

    def reset(self, number: int, why: Reset) -> None:
        """Write RST_STREAM, unless the stream is over already."""
        with suppress(ProtocolError):
            self.http.reset_stream(number, CODES[why])

    def forget(self, stream: Stream) -> None:
        """Remove a stream that is over."""
        if self.streams.pop(stream.number, None) is None:
            return
        self.listener.requests -= 1
        if self.streams or self.closed:
            return
        self._deadline = self.listener.now() + self.listener.timeouts.idle
        if self.guard.leaving or self.last_stream < EVERY_STREAM:
            asyncio.get_running_loop().call_soon(self._close_if_idle)

    def _close_if_idle(self) -> None:
        if not self.streams and not self.closed:
            self.close()

    def go_away(self, last: int) -> None:
        """Announce that no stream above `last` is served; the others go on.

        The library would end them, too, so the frame is written past it."""
        self.flush()
        if not self.closed:
            self.last_stream = last
            self.transport.write(GoAwayFrame(0, last_stream_id=last).serialize())

    def say_goodbye(self) -> None:
        """Serve the requests that have arrived, then close."""
        self.go_away(self.http.highest_inbound_stream_id)
        self._close_if_idle()

    def close(self) -> None:
        """Close after the written data is sent; `expire` aborts if the client does not take it in time."""
        self.flush()
        self.closed = True
        self._deadline = self.listener.now() + self.listener.timeouts.read
        self.transport.close()

    def fail(self, code: int) -> None:
        """End a connection because its client breaks the rules: send GOAWAY, and cancel all its requests."""
        if self.closed:
            return
        with suppress(ProtocolError):
            self.http.close_connection(ErrorCodes(code))
        self._end_failed()

    def _end_failed(self) -> None:
        """Write what the library has, and close; read on for a while, or a reset would discard it."""
        self.flush()
        self.closed = True
        self._end_all()
        self._deadline = self.listener.now() + LINGER
        if not self.transport.is_closing():
            if self.transport.can_write_eof():
                self.transport.write_eof()
                self.transport.resume_reading()
            else:
                self.transport.close()

    def _end_all(self) -> None:
        for stream in list(self.streams.values()):
            stream.gone()

    def abort(self) -> None:
        self.closed = True
        self.transport.abort()
