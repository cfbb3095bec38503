"""The library h2 as the proxy uses it at either end: it reads and writes frames, and decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event, StreamReset
from h2.exceptions import ProtocolError
from hpack import Encoder, NeverIndexedHeaderTuple

Frames = tuple[list[Any], list[Event]]

_SECRET = frozenset((b"set-cookie", b"authorization"))  # never in a compression table (RFC 7541, 7.1.3)
# How the library's errors begin that say something about one message only.
_OF_ONE_STREAM = (
    "Invalid content-length",
    "Conflicting content-length",
    "Trailers must have END_STREAM",
    "Cannot set END_STREAM on informational",
    "InvalidBodyLengthError",
)


class PlainEncoder(Encoder):
    """Compresses fields by the tables only: Huffman's code costs more time here than its bytes are worth."""

    def encode(self, headers: Iterable[Any], huffman: bool = False) -> bytes:
        marked = [NeverIndexedHeaderTuple(*field) if field[0] in _SECRET else field for field in headers]
        return super().encode(marked, huffman)


class Library(H2Connection):
    """One end of a connection. What h2 would check a character at a time is checked by `fields.py`; besides,
    there an error ends one stream, here it would end all of them."""

    # Streams that are over and remembered; the library's default would be megabytes a connection.
    MAX_CLOSED_STREAMS = 1000

    def __init__(self, client_side: bool) -> None:
        super().__init__(
            H2Configuration(
                client_side=client_side,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.encoder = PlainEncoder()

    def _receive_headers_frame(self, frame: Any) -> Frames:
        """Reset a stream with a malformed message (RFC 9113, 8.1.1). For h2 that ends the connection."""
        try:
            return super()._receive_headers_frame(frame)
        except ProtocolError as error:
            if not str(error).startswith(_OF_ONE_STREAM):
                raise
            return self._malformed(frame.stream_id)

    def _malformed(self, number: int) -> Frames:
        self.reset_stream(number, ErrorCodes.PROTOCOL_ERROR)
        event = StreamReset(stream_id=number)
        event.error_code, event.remote_reset = ErrorCodes.PROTOCOL_ERROR, False
        return [], [event]

    def _receive_data_frame(self, frame: Any) -> Frames:
        """Reset a stream if its body is not as long as announced."""
        try:
            return super()._receive_data_frame(frame)
        except ProtocolError as error:
            if not str(error).startswith(_OF_ONE_STREAM):
                raise
            malformed = self._malformed(frame.stream_id)
            self.acknowledge_received_data(frame.flow_controlled_length, frame.stream_id)
            return malformed
