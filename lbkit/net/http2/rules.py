"""The settings of HTTP/2 for clients, as data."""

from __future__ import annotations

from attrs import field, frozen

from lbkit.checks import number, whole
from lbkit.core.options import named_fields

INITIAL_WINDOW = 65_535  # bytes, with which every connection begins (RFC 9113, 6.9.2)
LARGEST_WINDOW = 2**31 - 1


@named_fields
@frozen
class Http2:
    """What one connection may make the proxy do. `limits` and `timeouts` hold as they do for HTTP/1.1.

    The counts of `per` seconds are token buckets: as many at once, and as many again every `per` seconds."""

    streams: int = field(default=100, validator=whole(1, 100_000))  # requests at once
    # Bytes of a request's body that a client may send ahead of its backend; and of all bodies together.
    window: int = field(default=INITIAL_WINDOW, validator=whole(1024, LARGEST_WINDOW))
    connection_window: int = field(default=2**20, validator=whole(INITIAL_WINDOW, LARGEST_WINDOW))
    continuations: int = field(default=8, validator=whole(0, 62))  # frames by which one head may go on
    # Requests that the client gives up, or that are reset because it breaks the rules.
    resets: int = field(default=200, validator=whole(1))
    # Frames that cost the client next to nothing: PING, SETTINGS, PRIORITY, empty DATA and the like.
    control_frames: int = field(default=1000, validator=whole(1))
    per: float = field(default=10.0, validator=number(0, above=True))  # seconds
