"""What all HTTP/2 connections of clients share."""

from __future__ import annotations

from h2.settings import SettingCodes, Settings

from lbkit.net.http1.listener import Listener
from lbkit.net.http2.guard import FrameGuard
from lbkit.net.http2.library import Library
from lbkit.net.http2.rules import INITIAL_WINDOW, Http2

HEADER_TABLE = 4096  # bytes of each of the two tables of compression, whatever the client would like


class Http2Listener:
    """The state that all HTTP/2 connections of a proxy share."""

    def __init__(self, listener: Listener, rules: Http2) -> None:
        self.listener = listener
        self.rules = rules

    def guard(self) -> FrameGuard:
        return FrameGuard(self.rules, 2 * self.listener.limits.head)

    def library(self) -> Library:
        """Return the library's end of a connection, which has written the proxy's SETTINGS."""
        rules, limit = self.rules, self.listener.limits.head
        http = Library(client_side=False)
        # The library ends a connection on one stream too many. A client that has not read the SETTINGS yet is
        # not at fault, and a connection resets its streams; so until then the library counts to the double.
        http.local_settings = Settings(
            client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: 2 * rules.streams}
        )
        # Twice the limit, as a head has to be read to its end, or else the tables of both ends would differ;
        # beyond that the connection is closed.
        http.decoder.max_header_list_size = 2 * limit
        http.update_settings(
            {
                SettingCodes.MAX_CONCURRENT_STREAMS: rules.streams,
                SettingCodes.INITIAL_WINDOW_SIZE: rules.window,
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
            }
        )
        if rules.connection_window > INITIAL_WINDOW:
            http.increment_flow_control_window(rules.connection_window - INITIAL_WINDOW)
        return http
