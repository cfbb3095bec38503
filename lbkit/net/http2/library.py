"""The library h2, as the proxy uses it towards backends: two of its ends of a connection are made milder."""

from __future__ import annotations

from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event, StreamReset
from h2.exceptions import FrameTooLargeError, InvalidBodyLengthError
from h2.settings import SettingCodes, Settings

INITIAL_WINDOW = 65_535  # bytes; of every connection at its beginning (RFC 9113, 6.9.2)
Frames = tuple[list[Any], list[Event]]


class Library(H2Connection):
    """The client's end. It reads and writes frames; what they mean for requests is decided elsewhere."""

    def __init__(self, max_head: int, stream_window: int, connection_window: int) -> None:
        """`max_head`: bytes of an answer's fields. The windows: bytes that may come ahead of their reader."""
        # What we send is checked already. Answers are checked where their fields become heads: there,
        # an error ends one request, here it would end all on the connection.
        super().__init__(
            H2Configuration(
                client_side=True,
                header_encoding=None,
                validate_outbound_headers=False,
                validate_inbound_headers=False,
            )
        )
        self.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: stream_window,
                SettingCodes.MAX_HEADER_LIST_SIZE: max_head,
            },
        )
        self.decoder.max_header_list_size = max_head
        self.initiate_connection()
        self.increment_flow_control_window(connection_window - INITIAL_WINDOW)

    def receive_data(self, data: Any) -> list[Event]:
        """Return what has happened. Raises ProtocolError, also for the beginning of too large a frame."""
        events = super().receive_data(data)
        rest = self.incoming_buffer._data
        if len(rest) >= 9 and int.from_bytes(rest[:3], "big") > self.max_inbound_frame_size:
            self._terminate_connection(ErrorCodes.FRAME_SIZE_ERROR)  # h2 would hold all of it first
            raise FrameTooLargeError("a frame is too large")
        return events

    def _receive_goaway_frame(self, frame: Any) -> Frames:
        """Report GOAWAY. For h2 it ends all, but streams that the peer has taken go on (RFC 9113, 6.8)."""
        event = ConnectionTerminated()
        event.error_code = frame.error_code
        event.last_stream_id = frame.last_stream_id
        return [], [event]

    def _receive_data_frame(self, frame: Any) -> Frames:
        """Reset a stream whose body is not as long as announced. For h2 that ends the connection."""
        try:
            return super()._receive_data_frame(frame)
        except InvalidBodyLengthError:
            self.reset_stream(frame.stream_id, ErrorCodes.PROTOCOL_ERROR)
            event = StreamReset(stream_id=frame.stream_id)
            event.error_code, event.remote_reset = ErrorCodes.PROTOCOL_ERROR, False
            return [], [event]
