"""A client's end of a QUIC connection, as the rest of the proxy sees it."""

from __future__ import annotations

from typing import Any

from lbkit.core.networks import Network
from lbkit.net.peer import Peer


class QuicPeer(Peer):
    """The client at an address; QUIC is encrypted, so the scheme is always https."""

    __slots__ = ("_client",)

    def __init__(self, client: tuple[Any, ...], ours: tuple[Any, ...], networks: tuple[Network, ...]) -> None:
        """`client` and `ours`: the addresses, with ports, of the two ends."""
        super().__init__(client[0], networks, None, (client, ours), True)
        self._client = client

    @property
    def flow(self) -> str:
        ends = self.ends
        assert ends
        return f"udp {ends[0]} {ends[1]}"

    @property
    def local_address(self) -> bytes:
        ends = self.ends
        assert ends
        name = ends[1]
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"{host}:{name[1]}".encode()

    def at(self, client: tuple[Any, ...]) -> QuicPeer:
        """Return the same client at this address: it may move to another (RFC 9000, 9)."""
        if client == self._client:
            return self
        ends = self.ends
        assert ends
        return QuicPeer(client, ends[1], self._networks)
