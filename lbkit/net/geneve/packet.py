"""IP packets: which flow they belong to, and small packets for tests and demonstrations."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import pack, unpack_from

from lbkit.core.options import whole
from lbkit.core.text import shown

ICMP, TCP, UDP, ICMP6, SCTP = 1, 6, 17, 58, 132
_WITH_PORTS = {TCP, UDP, SCTP}
_FRAGMENT = 44
_EXTENSIONS = {0, 43, 60, _FRAGMENT}  # IPv6: hop by hop, routing, destination options
_MOST_EXTENSIONS = 8
_LONGEST = 65_535 - 40  # bytes of a payload, without the headers of TCP over IPv4

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16  # flags of TCP

End = tuple[str, int]  # address and port; 0 where there is none


class PacketError(ValueError):
    """The bytes are not a valid IP packet; the message says why."""


@dataclass(frozen=True, slots=True)
class Packet:
    """The parts of an IP packet that balancing and inspection need."""

    source: End
    destination: End
    protocol: int
    data: bytes  # all of it
    start: int  # where TCP, UDP and so on begin

    def key(self, fields: int = 5) -> str:
        """Return a key of the packet's flow, the same in both directions, from 5, 3 or 2 fields.

        5: protocol, addresses and ports, which are 0 in ICMP and in fragments. 3: protocol and addresses. 2:
        addresses. (AWS: flow stickiness of GWLB.)"""
        one, other = sorted((self.source, self.destination))
        if fields == 5:
            return f"{self.protocol} {one[0]} {one[1]} {other[0]} {other[1]}"
        ends = " ".join(sorted((one[0], other[0])))
        return f"{self.protocol} {ends}" if fields == 3 else ends

    @property
    def flags(self) -> int:
        """The flags of TCP; 0 for anything else."""
        has_flags = self.protocol == TCP and self.source[1] and len(self.data) > self.start + 13
        return self.data[self.start + 13] if has_flags else 0

    @property
    def payload(self) -> bytes:
        """The payload of a TCP or UDP packet; of other packets, everything after the IP header."""
        if self.protocol == UDP and self.source[1]:
            return self.data[self.start + 8 :]
        if self.protocol == TCP and self.source[1] and len(self.data) > self.start + 12:
            return self.data[self.start + (self.data[self.start + 12] >> 4) * 4 :]
        return self.data[self.start :]


def read_packet(data: bytes) -> Packet:
    """Return an IPv4 or IPv6 packet. Raises PacketError for a truncated or inconsistent one."""
    version = data[0] >> 4 if data else 0
    if version == 4:
        return _ipv4(data)
    if version == 6:
        return _ipv6(data)
    raise PacketError(f"no IP packet: {'its version is ' + str(version) if data else 'it is empty'}")


def _ipv4(data: bytes) -> Packet:
    start = (data[0] & 15) * 4
    if start < 20 or len(data) < start:
        raise PacketError("the IPv4 header is cut off")
    if (length := unpack_from(">H", data, 2)[0]) != len(data):
        raise PacketError(f"the IPv4 header says {length} bytes, and there are {len(data)}")
    fragment = unpack_from(">H", data, 6)[0] & 0x3FFF  # more fragments, or an offset
    addresses = str(IPv4Address(data[12:16])), str(IPv4Address(data[16:20]))
    return _packet(data, start, data[9], addresses, bool(fragment))


def _ipv6(data: bytes) -> Packet:
    if len(data) < 40:
        raise PacketError("the IPv6 header is cut off")
    if (length := unpack_from(">H", data, 4)[0] + 40) != len(data):
        raise PacketError(f"the IPv6 header says {length} bytes, and there are {len(data)}")
    protocol, start, fragment = data[6], 40, False
    for _ in range(_MOST_EXTENSIONS):
        if protocol not in _EXTENSIONS:
            break
        if len(data) < start + 8:
            raise PacketError("an IPv6 extension header is cut off")
        if protocol == _FRAGMENT:
            fragment = bool(unpack_from(">H", data, start + 2)[0] & 0xFFF9)
        following = 8 if protocol == _FRAGMENT else (data[start + 1] + 1) * 8
        protocol, start = data[start], start + following
        if fragment:
            break
    else:
        raise PacketError(f"more than {_MOST_EXTENSIONS} IPv6 extension headers")
    if start > len(data):
        raise PacketError("an IPv6 extension header is cut off")
    addresses = str(IPv6Address(data[8:24])), str(IPv6Address(data[24:40]))
    return _packet(data, start, protocol, addresses, fragment)


def _packet(data: bytes, start: int, protocol: int, addresses: tuple[str, str], fragment: bool) -> Packet:
    """Return a packet; a fragment has ports 0, as only the first has any and all must go to one appliance."""
    ports = (0, 0)
    if protocol in _WITH_PORTS and not fragment:
        if len(data) < start + (20 if protocol == TCP else 8):
            raise PacketError("its TCP or UDP header is cut off")
        ports = unpack_from(">HH", data, start)
    return Packet((addresses[0], ports[0]), (addresses[1], ports[1]), protocol, data, start)


# -- building packets -------------------------------------------------------------------------------------


def udp_packet(source: End, destination: End, payload: bytes = b"") -> bytes:
    """Return a UDP packet, IPv4 or IPv6 as the addresses are. Raises ValueError for one of each."""
    _check(source, destination, payload)
    header = pack(">HHHH", source[1], destination[1], 8 + len(payload), 0)
    return _ip(UDP, source[0], destination[0], header + payload, 6)


def tcp_packet(source: End, destination: End, flags: int = SYN, payload: bytes = b"", ack: int = 0) -> bytes:
    """Return a TCP packet with these flags. Raises ValueError for addresses of two kinds."""
    _check(source, destination, payload)
    header = pack(">HHIIBBHHH", source[1], destination[1], 0, ack, 5 << 4, flags, 65535, 0, 0)
    return _ip(TCP, source[0], destination[0], header + payload, 16)


def _check(source: End, destination: End, payload: bytes) -> None:
    for name, end in (("source", source), ("destination", destination)):
        if not (isinstance(end, tuple) and len(end) == 2):
            raise ValueError(f"{name} is {shown(end)}: use an address and a port")
        whole(0, 65_535, **{f"port of {name}": end[1]})
    if not isinstance(payload, bytes) or len(payload) > _LONGEST:
        raise ValueError(f"payload is {shown(payload)}: use bytes, at most {_LONGEST:,}")


def answer_to(packet: Packet, payload: bytes) -> bytes:
    """Return a packet from the destination back to the source: a TCP reset, or UDP with this payload."""
    if packet.protocol == TCP:
        return tcp_packet(packet.destination, packet.source, RST | ACK)
    return udp_packet(packet.destination, packet.source, payload)


def _ip(protocol: int, source: str, destination: str, body: bytes, checksum_at: int) -> bytes:
    ends = ip_address(source), ip_address(destination)
    if ends[0].version != ends[1].version:
        raise ValueError(f"{source} and {destination}: use two IPv4 or two IPv6 addresses")
    addresses = ends[0].packed + ends[1].packed
    # The checksum covers the addresses, too, in a header that is not sent. (RFC 9293, 3.1; RFC 768.)
    found = checksum(addresses + pack(">IBBBB", len(body), 0, 0, 0, protocol) + body) or 0xFFFF
    body = body[:checksum_at] + pack(">H", found) + body[checksum_at + 2 :]
    if ends[0].version == 6:
        return pack(">IHBB", 6 << 28, len(body), protocol, 64) + addresses + body
    header = pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0) + addresses
    return header[:10] + pack(">H", checksum(header)) + header[12:] + body


def checksum(data: bytes) -> int:
    """Return the Internet checksum; 0 for data that contains its own. (RFC 1071.)"""
    total: int = sum(unpack_from(f">{len(data) // 2}H", data)) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
