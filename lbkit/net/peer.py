"""A client's connection as the proxy sees it: its address, and which forwarding fields are trusted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from mypy_extensions import mypyc_attr

from lbkit.core.networks import Network, networks

Ends = tuple[Any, Any]  # of a connection: the address and port of each; IPv6 has two numbers more

# A node of X-Forwarded-For or Forwarded: an address, bracketed if it is IPv6 with a port. (RFC 7239, 6.)
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?\Z")
# A parameter of Forwarded. Quoted texts are matched whole, so nothing inside them passes for a parameter.
_PARAMETER = re.compile(rb"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^;,\s"]*)""")


@mypyc_attr(allow_interpreted_subclasses=True)
class Peer:
    """The client's end of a connection. Forwarding fields of untrusted peers are ignored."""

    __slots__ = (
        "_announced",
        "_last_fields",
        "_networks",
        "address",
        "last_host",
        "scheme",
        "transport",
        "trusted",
    )

    def __init__(
        self,
        address: str,
        networks: tuple[Network, ...] = (),
        transport: asyncio.BaseTransport | None = None,
        announced: Ends | None = None,
        https: bool = False,
    ) -> None:
        """`announced`: the ends of the client's connection to a proxy in front of this one, as it announces
        them. `https`: there, the client came with TLS."""
        # A socket that accepts IPv4 and IPv6 reports ::ffff:10.0.0.1.
        self.address = plain_address(address) or address if ":" in address else address
        self.transport = transport
        self._announced = announced
        tls = https or (transport and transport.get_extra_info("sslcontext"))
        self.scheme = b"https" if tls else b"http"
        self.trusted = is_trusted(self.address, networks)
        self._networks = networks
        self.last_host: bytes | None = None
        self._last_fields = b""

    @property
    def ends(self) -> Ends | None:
        """The two ends of the client's connection, the client's first; None if they are not known."""
        if self._announced or self.transport is None:
            return self._announced
        theirs, ours = map(self.transport.get_extra_info, ("peername", "sockname"))
        return (theirs, ours) if theirs and ours else None

    @property
    def flow(self) -> str:
        """The protocol, addresses and ports that identify the connection."""
        ends = self.ends
        return f"tcp {ends[0]} {ends[1]}" if ends else self.address

    @property
    def local_address(self) -> bytes:
        """host:port of the proxy's end of the connection, as in a Host field."""
        name = self.transport.get_extra_info("sockname") if self.transport else None
        if not name:
            return b""
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"{host}:{name[1]}".encode()

    def client(self, forwarded_for: bytes, forwarded: bytes = b"") -> str:
        """Return the nearest address that is not a trusted proxy's, by X-Forwarded-For, else by Forwarded.

        They are read from the right, as an untrusted client can make up everything to the left of itself. An
        entry that is no address ends the search, so the result is always an address."""
        nodes = forwarded_for.split(b",") if forwarded_for else _forwarded_nodes(forwarded)
        nearest, trusted = self.address, self.trusted
        for node in reversed(nodes):
            text = node.decode("latin-1").strip()
            if not text:
                continue  # lists may have empty entries (RFC 9110, 5.6.1)
            address = plain_address(text) if trusted else ""
            if not address:
                break
            nearest, trusted = address, is_trusted(address, self._networks)
        return nearest

    def fields(self, host: bytes, forwarded: Mapping[bytes, bytes]) -> bytes:
        """X-Forwarded-* and Forwarded (RFC 7239): what a trusted peer has `forwarded`, then this entry."""
        if not forwarded and host == self.last_host:
            return self._last_fields  # most clients ask for one host only
        address = self.address.encode()
        node = b'"[%b]"' % address if b":" in address else address
        chain = address
        if b"x-forwarded-for" in forwarded:
            chain = forwarded[b"x-forwarded-for"] + b", " + address
        element = b'for=%b;host="%b";proto=%b' % (node, host, self.scheme)
        if b"forwarded" in forwarded:
            element = forwarded[b"forwarded"] + b", " + element
        proto = forwarded.get(b"x-forwarded-proto", self.scheme)
        named = forwarded.get(b"x-forwarded-host", host)
        fields = (
            b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\nForwarded: %b\r\n"
        ) % (chain, proto, named, element)
        if not forwarded:
            self.last_host, self._last_fields = host, fields
        return fields


@lru_cache(maxsize=4096)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in a node, an IPv4-mapped one as IPv4; None if there is none."""
    found = _NODE.match(text)
    try:
        address = ip_address(found[1] or found[2] if found else text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def plain_address(text: str) -> str:
    """Return the address of a node, without port and brackets: one spelling for each address; else "".

    Nodes are 203.0.113.7, 203.0.113.7:5678, 2001:db8::1, [2001:db8::1] and [2001:db8::1]:443."""
    address = _address(text)
    return "" if address is None else str(address)


def _forwarded_nodes(forwarded: bytes) -> list[bytes]:
    """Return the `for` of each element of Forwarded. (RFC 7239, 4.)"""
    return [value.strip(b'"') for name, value in _PARAMETER.findall(forwarded) if name.lower() == b"for"]


def is_trusted(address: str, networks: tuple[Network, ...]) -> bool:
    if not networks:
        return False
    ip = _address(address)
    return ip is not None and any(ip.version == network.version and ip in network for network in networks)


def trusted_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return addresses and networks, IPv4-mapped ones as IPv4. Raises ValueError for anything else."""
    try:
        return networks(texts)
    except ValueError as error:
        raise ValueError(f"trusted: {error}") from None
