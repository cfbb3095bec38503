"""The settings of HTTP/3, as data."""

from __future__ import annotations

from typing import Any

import attrs
from attrs import field, frozen

from lbkit.checks import number, whole
from lbkit.core.options import named_fields
from lbkit.net.address import a_listen_address, split_address

LARGEST_WINDOW = 2**31 - 1


def _listen(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value != "":
        a_listen_address(instance, attribute, value)


@named_fields
@frozen
class Http3:
    """What one connection may make the proxy do. `limits` and `timeouts` hold as they do for HTTP/1.1.

    The counts of `per` seconds are token buckets: as many at once, and as many again every `per` seconds."""

    # The UDP address; by default the host and the port of the proxy's own `listen`.
    listen: str = field(default="", validator=_listen)
    streams: int = field(default=100, validator=whole(1, 10_000))  # requests at once
    # Bytes of a request's body that a client may send ahead of its backend; and of all bodies together.
    window: int = field(default=65_536, validator=whole(4096, LARGEST_WINDOW))
    connection_window: int = field(default=2**20, validator=whole(16_384, LARGEST_WINDOW))
    # Requests that the client gives up, or that are reset because it breaks the rules.
    resets: int = field(default=200, validator=whole(1))
    # Frames that cost the client next to nothing: unknown ones, empty DATA, and those of its control stream.
    control_frames: int = field(default=1000, validator=whole(1))
    per: float = field(default=10.0, validator=number(0, above=True))  # seconds
    # While more handshakes than this are going on, each new client has to show first that it receives at the
    # address it sends from (Retry), which takes it one more round trip; 0: always.
    retry_above: int = field(default=32, validator=whole(0))
    # What Alt-Svc tells clients of HTTP/1.1 and HTTP/2: for how many seconds, and at which port.
    max_age: int = field(default=86_400, validator=whole(0))
    public_port: int = field(default=0, validator=whole(0, 65_535))  # 0: the one that is listened on

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port to listen on, if they are not the proxy's own."""
        return split_address(self.listen) if self.listen else None
