"""The writing half of an HTTP/3 connection: answers of many streams in turns, and the ways to end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

from pylsqpack import Encoder

from lbkit.net.http1.listener import Listener
from lbkit.net.http1.server import LINGER
from lbkit.net.http3.frames import (
    CONTROL,
    DATA,
    ENABLE_CONNECT_PROTOCOL,
    GOAWAY,
    HEADERS,
    LAST_REQUEST,
    MAX_FIELD_SECTION_SIZE,
    Code,
    frame,
    settings,
    varint,
)
from lbkit.net.http3.quic import ServerQuic
from lbkit.net.streams.fields import Field
from lbkit.net.streams.stream import Reset, Stream

CODES = {
    Reset.CANCELLED: Code.REQUEST_CANCELLED,
    Reset.FAILED: Code.INTERNAL_ERROR,
    Reset.MALFORMED: Code.MESSAGE_ERROR,
    Reset.REFUSED: Code.REQUEST_REJECTED,
}
Address = tuple[Any, ...]  # of a client: host and port; IPv6 has two numbers more
Send = Callable[[bytes, Address], object]  # a datagram


class StreamWriting:
    """Sends what streams have, as far as the client's windows and its acknowledgements admit."""

    writable = True  # towards a client as a whole there is no other limit

    def __init__(self, listener: Listener, quic: ServerQuic, send: Send) -> None:
        self.listener = listener
        self.quic = quic
        self.send = send
        self.streams: dict[int, Stream] = {}
        self.closed = False  # no more is read or written
        self.silent = False  # not even that it is closed
        self.last_stream = LAST_REQUEST  # that is served
        self._encoder = Encoder()  # without a dynamic table, as it gets no settings
        self._turns: deque[Stream] = deque()  # those with a piece of an answer to send
        self._deadline = inf  # while there is no stream
        self._control = 0  # the number of the own control stream
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._soon: asyncio.Handle | None = None

    # -- what a stream asks for -----------------------------------------------------------------------

    def send_head(self, number: int, fields: list[Field], end: bool = False) -> None:
        block = self._encoder.encode(number, fields)[1]
        self.quic.send_stream_data(number, frame(HEADERS, block), end)

    def send_body(self, number: int, data: bytes, end: bool, cut: bool) -> None:
        self.quic.send_stream_data(number, frame(DATA, data) if data else b"", end)

    def room(self, number: int) -> int:
        return self.quic.room(number)

    def taken(self, number: int, size: int) -> None:
        self.quic.taken(number, size)

    def push(self, stream: Stream) -> None:
        """Send what there is room for of a stream, in turns with the others."""
        if stream.waits:
            if not stream.queued:
                stream.queued = True
                self._turns.append(stream)
            self.pump()
        else:  # only its end, which no window holds back
            stream.send_frame()
        stream.tell()
        self.flush()

    def pump(self) -> None:
        """Send a frame of each stream in turn, until there is no room for any."""
        turns, without = self._turns, 0
        while turns and without < len(turns) and not self.closed:
            stream = turns.popleft()
            if stream.over or not stream.waits:
                stream.queued = False
                continue
            if self.quic.room(stream.number) <= 0:
                without += 1
            else:
                without = 0
                stream.send_frame()
            if stream.waits:
                turns.append(stream)
            else:
                stream.queued = False
            stream.tell()

    # -- datagrams ----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Have what was written sent, with all else that is written before the loop's next turn."""
        if self._soon is None and not self.silent:
            self._soon = asyncio.get_running_loop().call_soon(self.transmit)

    def transmit(self) -> None:
        """Send the datagrams that are due, and wait for the next time that some are."""
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        if self.silent:
            return
        for data, address in self.quic.datagrams_to_send(self.listener.now()):
            self.send(data, address)
        at = self.quic.get_timer()
        if at != self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None if at is None else asyncio.get_running_loop().call_at(at, self._on_timer)
            self._timer_at = at

    def _on_timer(self) -> None:
        raise NotImplementedError

    def silence(self) -> None:
        """Send nothing from now on."""
        self.silent = True
        for waits in (self._timer, self._soon):
            if waits is not None:
                waits.cancel()

    # -- endings -------------------------------------------------------------------------------------

    def reset(self, number: int, why: Reset) -> None:
        """End a stream; if its answer is complete, only the rest of the request."""
        if why is Reset.NOT_NEEDED:
            self.quic.stop_reading(number, Code.NO_ERROR)
        else:
            self.quic.stop_reading(number, CODES[why])
            self.quic.reset_stream(number, CODES[why])

    def forget(self, stream: Stream) -> None:
        """Remove a stream that is over."""
        if self.streams.pop(stream.number, None) is None:
            return
        self.listener.requests -= 1
        if self.streams or self.closed:
            return
        leaves = self.last_stream < LAST_REQUEST
        self._deadline = self.listener.now() + (LINGER if leaves else self.listener.timeouts.idle)

    def _open_control(self) -> None:
        """Open the own control stream: SETTINGS are its first frame (6.2.1)."""
        self._control = self.quic.get_next_available_stream_id(is_unidirectional=True)
        limits = {MAX_FIELD_SECTION_SIZE: self.listener.limits.head, ENABLE_CONNECT_PROTOCOL: 1}
        self.quic.send_stream_data(self._control, varint(CONTROL) + settings(limits))

    def go_away(self, last: int) -> None:
        """Announce that no request from the stream `last` on is served; the others go on (5.2)."""
        self.last_stream = last
        if not self.closed:
            self.quic.send_stream_data(self._control, frame(GOAWAY, varint(last)))
            self.flush()

    def _close_if_done(self) -> None:
        """Close after the last answer, when it has arrived."""
        if self.last_stream < LAST_REQUEST and not self.streams and self.quic.delivered:
            self.fail(Code.NO_ERROR)

    def fail(self, code: int, why: str = "") -> None:
        """Close the connection, and cancel all its requests."""
        if not self.closed:
            self.quic.close(code, reason_phrase=why)
            self.end()

    def end(self) -> None:
        """End all requests; the connection is closed, or its client is gone."""
        if not self.closed:
            self.closed = True
            for stream in list(self.streams.values()):
                stream.gone()
            self._turns.clear()
            self.flush()
            self.on_closed()

    def on_closed(self) -> None:
        raise NotImplementedError
