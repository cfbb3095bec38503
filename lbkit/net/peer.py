"""The other end of a client's connection, and what is believed of what it says about others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


class Peer:
    """One connection's other end. X-Forwarded-For counts from `trusted` ones only: anybody can write it."""

    __slots__ = ("_last_fields", "_networks", "address", "last_host", "transport", "trusted")

    def __init__(
        self, address: str, networks: tuple[Network, ...] = (), transport: asyncio.BaseTransport | None = None
    ) -> None:
        self.address = address
        self.transport = transport
        self.trusted = is_trusted(address, networks)
        self._networks = networks
        self.last_host: bytes | None = None
        self._last_fields = b""

    @property
    def flow(self) -> str:
        """Protocol, addresses and ports: what tells one connection from all others."""
        if self.transport is None:
            return self.address
        theirs, ours = map(self.transport.get_extra_info, ("peername", "sockname"))
        return f"tcp {theirs} {ours}"

    @property
    def local_address(self) -> bytes:
        """host:port of our end of the connection, as in a Host field."""
        name = self.transport.get_extra_info("sockname") if self.transport else None
        if not name:
            return b""
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"{host}:{name[1]}".encode()

    def client(self, forwarded_for: bytes) -> str:
        """The nearest address in X-Forwarded-For that is not a trusted proxy's.

        Read from the right: whatever is left of the first stranger, the stranger may have made up."""
        nearest = self.address
        for text in reversed(forwarded_for.decode("latin-1").split(",")):
            if not is_trusted(nearest, self._networks):
                break
            nearest = text.strip() or nearest
        return nearest

    def fields(self, host: bytes, forwarded: Mapping[bytes, bytes]) -> bytes:
        """X-Forwarded-* and Forwarded (RFC 7239): what a trusted peer has `forwarded`, then our own entry."""
        if not forwarded and host == self.last_host:
            return self._last_fields  # a client mostly asks for one host
        address = self.address.encode()
        node = b'"[%b]"' % address if b":" in address else address
        chain = address
        if b"x-forwarded-for" in forwarded:
            chain = forwarded[b"x-forwarded-for"] + b", " + address
        element = b'for=%b;host="%b";proto=http' % (node, host)
        if b"forwarded" in forwarded:
            element = forwarded[b"forwarded"] + b", " + element
        proto = forwarded.get(b"x-forwarded-proto", b"http")
        named = forwarded.get(b"x-forwarded-host", host)
        fields = (
            b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nForwarded: %b\r\n"
        ) % (chain, proto, named, element)
        if not forwarded:
            self.last_host, self._last_fields = host, fields
        return fields


def is_trusted(address: str, networks: tuple[Network, ...]) -> bool:
    if not networks:
        return False
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip.version == network.version and ip in network for network in networks)


def trusted_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Raises ValueError for what is no address and no network."""
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise ValueError(f"trusted: {error}; use addresses or networks such as 10.0.0.0/8") from None
