"""A connection, or a UDP session, as algorithms see it."""

from __future__ import annotations

from lbkit.net.peer import plain_address


class Flow:
    """A RequestView of which only client and flow are known."""

    target = b""

    def __init__(self, protocol: str, source: object, destination: object) -> None:
        """Source and destination: host and port; anything else is no client's address."""
        self.client = plain_address(source[0]) if isinstance(source, tuple) else ""
        self.flow = f"{protocol} {source!r} {destination!r}"

    def field(self, name: bytes) -> bytes:
        return b""
