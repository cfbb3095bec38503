"""Where clients are, by the networks of their addresses."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol

from lbkit.core.geo.region import Location
from lbkit.core.networks import Network, networks


class Whereabouts(Protocol):
    """A source of the locations of addresses: an Atlas, or a location database."""

    def locate(self, address: str) -> Location | None: ...

    def scope(self, address: str, least: int = 0) -> int: ...


class Atlas:
    """Locations by network. The longest network with an address wins, as in a table of routes."""

    def __init__(self, locations: Mapping[str, Location]) -> None:
        """`locations`: by network, such as "192.0.2.0/24". Raises ValueError for a key that is no network."""
        # One table for each length of a prefix: a look-up asks each once, the longest first.
        self._tables: dict[tuple[int, int], dict[int, tuple[Network, Location]]] = {}
        for text, location in locations.items():
            (network,) = networks([text])
            table = self._tables.setdefault((network.version, network.prefixlen), {})
            table[int(network.network_address)] = (network, location)
        self._lengths = sorted(self._tables, reverse=True)
        # For `scope`, by IP version: the starts of networks, in order, and their prefix lengths.
        starts: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for (version, length), table in self._tables.items():
            starts[version] += ((start, length) for start in table)
        self._starts = {version: sorted(found) for version, found in starts.items()}

    def __len__(self) -> int:
        return sum(map(len, self._tables.values()))

    def __iter__(self) -> Iterator[tuple[Network, Location]]:
        """All networks and their locations, longer prefixes first."""
        for length in self._lengths:
            yield from self._tables[length].values()

    def find(self, address: str) -> tuple[Network, Location] | None:
        """Return the longest network with an address, and its location; None without one.

        A text that is no address is in no network."""
        try:
            known = ip_address(address)
        except ValueError:
            return None
        if isinstance(known, IPv6Address) and known.ipv4_mapped:
            known = known.ipv4_mapped
        return self._find(known)

    def _find(self, address: IPv4Address | IPv6Address) -> tuple[Network, Location] | None:
        bits, number = address.max_prefixlen, int(address)
        for version, length in self._lengths:
            if version == address.version:
                start = number >> (bits - length) << (bits - length)
                if entry := self._tables[version, length].get(start):
                    return entry
        return None

    def locate(self, address: str) -> Location | None:
        """Return the location of an address, None if it is not known."""
        found = self.find(address)
        return found[1] if found else None

    def scope(self, address: str, least: int = 0) -> int:
        """Return the length of the shortest prefix of an address, `least` or longer, whose addresses are all
        at one location, and in no other network.

        An answer for an address is good for all of this prefix (RFC 7871, 7.2.1). 0 for no address."""
        try:
            known = ip_address(address)
        except ValueError:
            return 0
        found = self._find(known)
        length = max(least, found[0].prefixlen if found else 0)
        bits, number = known.max_prefixlen, int(known)
        starts = self._starts[known.version]
        after = bisect_right(starts, (number, bits))
        # Of the networks that do not contain the address, its two neighbours share the most bits with it.
        # Those that contain it start before it, and there is at most one for each prefix length.
        before = after - 1
        while before >= 0 and _has(starts[before], number, bits):
            before -= 1
        for place in (before, after):
            if 0 <= place < len(starts):
                shared = bits - (starts[place][0] ^ number).bit_length()
                length = max(length, shared + 1)
        return length


def _has(network: tuple[int, int], number: int, bits: int) -> bool:
    """Return whether a network (start, length) contains an address of `bits` bits."""
    start, length = network
    return number >> (bits - length) == start >> (bits - length)
