"""A client's QUIC connection: the library's, with windows that open when a body is read, and SNI.

aioquic doubles a window whenever half of it has arrived, read or not, so a client could send faster than any
backend reads, until the memory is full. And it has one certificate for all names. Both are decided here, and
only this file knows how the library does it: it has no public names for that, so the extra `http3` allows no
other minor version, and tests/net/http3/test_quic.py notices if a name has gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from aioquic.buffer import Buffer  # type: ignore[attr-defined]
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    CONNECTION_LIMIT_FRAME_CAPACITY,
    END_STATES,
    MAX_STREAM_DATA_FRAME_CAPACITY,
    QuicConnection,
    QuicConnectionState,
)
from aioquic.quic.packet import QuicFrameType
from aioquic.tls import Alert, AlertDecodeError, AlertDescription, State, pull_client_hello

from lbkit.net.http3.certificates import Chain
from lbkit.net.http3.rules import Http3

SENT_AHEAD = 2**19  # bytes of answers that a connection's client has not acknowledged; the rest waits
CLIENT_STREAMS = 16  # of a client, in one direction: it needs three (RFC 9114, 6.2)
MAX_HELLO = 16_384  # bytes
HANDSHAKE_HEADER = 4  # bytes, before a ClientHello

# What a client does wrong is no line of a log; without a handler, such lines would go to standard error.
logging.getLogger("quic").addHandler(logging.NullHandler())


class UnrecognizedName(Alert):
    description = AlertDescription.unrecognized_name


class ServerQuic(QuicConnection):
    """The server's end of a connection."""

    def __init__(
        self,
        rules: Http3,
        configuration: QuicConfiguration,
        choose: Callable[[str | None], Chain | None],
        **options: Any,
    ) -> None:
        """`choose`: the certificate for the name that a client asks for; None refuses it."""
        super().__init__(configuration=configuration, **options)
        self.held = 0  # bytes that have been passed on, and that no backend has taken yet
        self._window = rules.connection_window
        self._choose = choose
        self._hello = b""
        for limit, value in (
            (self._local_max_streams_bidi, rules.streams),
            (self._local_max_streams_uni, CLIENT_STREAMS),
        ):
            limit.value = limit.sent = value

    @property
    def ended(self) -> bool:
        """Whether one of the two ends has closed it."""
        return self._state in END_STATES

    @property
    def begun(self) -> bool:
        """Whether the client has sent a packet that could be read."""
        return self._state is not QuicConnectionState.FIRSTFLIGHT

    # -- reading ------------------------------------------------------------------------------------

    def taken(self, number: int, size: int) -> None:
        """Let the client send so much more."""
        self.dropped(size)
        if stream := self._streams.get(number):
            stream.max_stream_data_local += size

    def dropped(self, size: int) -> None:
        """Take note of bytes of no use; the client may send so much more, but of other streams."""
        self.held -= size

    def stop_reading(self, number: int, code: int) -> None:
        """Ask the client to send no more of a stream."""
        stream = self._streams.get(number)
        if stream is not None and not stream.receiver.is_finished:
            self.stop_stream(number, code)

    def _write_connection_limits(self, builder: Any, space: Any) -> None:
        """Announce how much more the client may send, and how many requests it may begin."""
        data = self._local_max_data
        unordered = 0  # bytes that wait for others that were lost
        for stream in self._streams.values():
            if not stream.receiver.is_finished:
                unordered += stream.receiver.highest_offset - stream.receiver.starting_offset()
        data.value = max(data.value, data.used - self.held - unordered + self._window)
        for limit in (data, self._local_max_streams_bidi, self._local_max_streams_uni):
            if not _worth_it(limit.value, limit.sent, limit.used):
                continue
            buffer = builder.start_frame(
                limit.frame_type,
                capacity=CONNECTION_LIMIT_FRAME_CAPACITY,
                handler=self._on_connection_limit_delivery,
                handler_args=(limit,),
            )
            buffer.push_uint_var(limit.value)
            limit.sent = limit.value

    def _write_stream_limits(self, builder: Any, space: Any, stream: Any) -> None:
        """Announce how much more of a stream the client may send."""
        receiver, limit = stream.receiver, stream.max_stream_data_local
        if receiver.is_finished or not _worth_it(
            limit, stream.max_stream_data_local_sent, receiver.highest_offset
        ):
            return
        buffer = builder.start_frame(
            QuicFrameType.MAX_STREAM_DATA,
            capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
            handler=self._on_max_stream_data_delivery,
            handler_args=(stream,),
        )
        buffer.push_uint_var(stream.stream_id)
        buffer.push_uint_var(limit)
        stream.max_stream_data_local_sent = limit

    # -- writing ------------------------------------------------------------------------------------

    def room(self, number: int) -> int:
        """Return how many bytes may be sent on a stream: what its window admits, and what is not too far
        ahead of the client's acknowledgements."""
        stream = self._streams.get(number)
        if stream is None:
            return 0
        ahead = sum(s.sender._buffer_stop - s.sender._buffer_start for s in self._streams.values())
        return int(min(SENT_AHEAD - ahead, stream.max_stream_data_remote - stream.sender._buffer_stop))

    @property
    def delivered(self) -> bool:
        """Whether the client has acknowledged all answers; the others are lost when the connection closes."""
        return all(stream.sender.is_finished for number, stream in self._streams.items() if number % 4 == 0)

    # -- certificates ---------------------------------------------------------------------------------

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        self.tls.handle_message = partial(self._greet, self.tls.handle_message)  # type: ignore[method-assign]

    def _greet(self, handle_message: Callable[[bytes, Any], None], data: bytes, output: Any) -> None:
        """Choose the certificate when the ClientHello is complete, and go on."""
        if self.tls.state is State.SERVER_EXPECT_CLIENT_HELLO:
            self._hello += data
            size = HANDSHAKE_HEADER + int.from_bytes(self._hello[1:HANDSHAKE_HEADER], "big")
            if len(self._hello) >= HANDSHAKE_HEADER and size > MAX_HELLO:
                raise AlertDecodeError("the ClientHello is too long")
            if len(self._hello) >= max(size, HANDSHAKE_HEADER):
                self._pick(pull_client_hello(Buffer(data=self._hello[:size])).server_name)
                self._hello = b""
        handle_message(data, output)

    def _pick(self, name: str | None) -> None:
        chain = self._choose(name)
        if chain is None:
            raise UnrecognizedName("there is no certificate for this name")
        self.tls.certificate, self.tls.certificate_chain, self.tls.certificate_private_key = chain


def _worth_it(limit: int, announced: int, used: int) -> bool:
    """Return whether a new limit would more than double what the peer has left."""
    return limit - announced > announced - used
