"""The library h2 as the proxy uses it towards backends."""

from __future__ import annotations

from typing import Any

from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, Event
from h2.exceptions import FrameTooLargeError
from h2.settings import SettingCodes, Settings

from lbkit.net.http2.library import Frames, Library
from lbkit.net.http2.rules import INITIAL_WINDOW


class ClientLibrary(Library):
    """The client's end."""

    def __init__(self, max_head: int, stream_window: int, connection_window: int) -> None:
        """`max_head`: bytes of an answer's fields. The windows: bytes that may come ahead of their reader."""
        super().__init__(client_side=True)
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
