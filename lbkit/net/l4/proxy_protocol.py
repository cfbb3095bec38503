"""The PROXY protocol, versions 1 and 2: a proxy tells the next hop which connection it passes on.

A relay at layer 4 cannot add X-Forwarded-For, so without this header a backend sees the proxy as its only
client. The header comes first on the connection, before any byte of the client's.

`read` returns a Header, Malformed, or None as long as more bytes are needed. A header is to be believed from
trusted peers only: anyone can write one.

Source: "The PROXY protocol, versions 1 & 2", haproxy.org; the sections named below are its.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # no HTTP, SMTP or POP server takes this for a request
LONGEST_V1 = 107  # bytes, with two IPv6 addresses and CRLF
LONGEST = 4096  # bytes of a version 2 header with its TLVs; nginx has the same limit
CRC32C = 0x03  # the type of the TLV with the checksum
SSL = 0x20  # of the one about the client's TLS

Address = tuple[str, int] | bytes  # host and port, or the path of a Unix socket


class Transport(Enum):
    """Address family and protocol of the connection. The value is version 2's byte."""

    UNKNOWN = 0x00  # not said, such as a health check of the proxy itself
    TCP4 = 0x11
    UDP4 = 0x12
    TCP6 = 0x21
    UDP6 = 0x22
    UNIX_STREAM = 0x31
    UNIX_DGRAM = 0x32


# Bytes of each of the two addresses, ports included.
_SIZES = {1: 6, 2: 18, 3: 108}  # by the high half of the transport's byte


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says. Source and destination are None if the transport is UNKNOWN.

    `local`: the sender speaks for itself (the LOCAL command of version 2). `size`: the header's bytes.
    """

    transport: Transport
    source: Address | None = None
    destination: Address | None = None
    local: bool = False
    tlvs: tuple[tuple[int, bytes], ...] = ()  # type and value, as sent
    size: int = field(default=0, compare=False)

    @property
    def https(self) -> bool:
        """Whether the client came with TLS, as far as the sender says (PP2_CLIENT_SSL; section 2.2.5)."""
        return any(kind == SSL and value and value[0] & 1 for kind, value in self.tlvs)

    @property
    def client(self) -> str:
        """The client's IP address; "" if there is none."""
        return self.source[0] if isinstance(self.source, tuple) else ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """The bytes are no header; `why` is one of a few fixed texts."""

    why: str


class _Wrong(Exception):
    """Never leaves this module."""


# -- reading --------------------------------------------------------------------------------


def read(data: bytes | bytearray) -> Header | Malformed | None:
    """Return the header that `data` begins with, Malformed, or None if it may still become one.

    A first byte that fits neither version is enough to refuse; never more than LONGEST bytes are needed."""
    start = bytes(data[: len(SIGNATURE)])
    try:
        if SIGNATURE.startswith(start):
            return _read_v2(data)
        if b"PROXY ".startswith(start[:6]):
            return _read_v1(bytes(data[:LONGEST_V1]))
    except _Wrong as error:
        return Malformed(str(error))
    return Malformed("no PROXY protocol header")


# No other spelling is allowed: single spaces, no leading zeros. (Section 2.1.)
_V1 = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})")


def _read_v1(data: bytes) -> Header | None:
    end = data.find(b"\n")
    if end < 0:
        if len(data) == LONGEST_V1:
            raise _Wrong("a version 1 header has at most 107 bytes")
        return None
    line = data[: end - 1]
    if data[end - 1 : end] != b"\r" or b"\r" in line:
        raise _Wrong("a version 1 header is one line that ends with CRLF")
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return Header(Transport.UNKNOWN, size=end + 1)  # the rest of the line is to be ignored
    if not (found := _V1.fullmatch(line)):
        raise _Wrong("a version 1 header is PROXY TCP4|TCP6 source destination port port, or PROXY UNKNOWN")
    kind, *hosts = (text.decode() for text in found.groups()[:3])
    ports = [int(text) for text in found.groups()[3:]]
    try:
        addresses = [str((IPv4Address if kind == "4" else IPv6Address)(host)) for host in hosts]
    except ValueError:
        raise _Wrong("an address is not of the family that the header names") from None
    if max(ports) > 65535:
        raise _Wrong("a port is over 65535")
    return Header(
        Transport.TCP4 if kind == "4" else Transport.TCP6,
        (addresses[0], ports[0]),
        (addresses[1], ports[1]),
        size=end + 1,
    )


def _read_v2(data: bytes | bytearray) -> Header | None:
    if len(data) > 12 and data[12] not in (0x20, 0x21):
        raise _Wrong("version or command of a version 2 header is unknown")
    if len(data) < 16:
        return None
    size = 16 + int.from_bytes(data[14:16], "big")
    if size > LONGEST:
        raise _Wrong("a version 2 header is too long")
    local = data[12] == 0x20
    family, protocol = data[13] >> 4, data[13] & 15
    # Of a LOCAL connection everything is to be skipped, the family included. (Section 2.2.)
    if not local and (family > 3 or protocol > 2):
        raise _Wrong("family or protocol of a version 2 header is unknown")
    if len(data) < size:
        return None
    if local or not family or not protocol:
        return Header(Transport.UNKNOWN, local=local, size=size)
    half = _SIZES[family]
    block = bytes(data[16:size])
    if len(block) < 2 * half:
        raise _Wrong("a version 2 header is too short for its addresses")
    # Source and destination address, then the two ports.
    wide = half if family == 3 else half - 2
    hosts = block[:wide], block[wide : 2 * wide]
    ports = block[2 * wide : 2 * wide + 2], block[2 * wide + 2 : 2 * half]
    source, destination = (
        host.rstrip(b"\0") if family == 3 else (str(ip_address(host)), int.from_bytes(port, "big"))
        for host, port in zip(hosts, ports, strict=True)
    )
    return Header(
        Transport(data[13]), source, destination, tlvs=_tlvs(bytes(data[:size]), 16 + 2 * half), size=size
    )


def _tlvs(header: bytes, at: int) -> tuple[tuple[int, bytes], ...]:
    """Return the type-length-value fields from `at` on, which fill the header exactly."""
    found = []
    while at < len(header):
        start = at + 3
        end = start + int.from_bytes(header[at + 1 : start], "big")
        if start > len(header) or end > len(header):
            raise _Wrong("a TLV of a version 2 header is cut off")
        value = header[start:end]
        # The checksum is that of the header with zeros in its own place. (Section 2.2.3.)
        if header[at] == CRC32C and value != _packed(crc32c(header[:start] + bytes(4) + header[end:])):
            raise _Wrong("the checksum of a version 2 header is wrong")
        found.append((header[at], value))
        at = end
    return tuple(found)


def _packed(checksum: int) -> bytes:
    return checksum.to_bytes(4, "big")


def _crc_table() -> list[int]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC = _crc_table()


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum. (RFC 9260, appendix A.)"""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


# -- writing --------------------------------------------------------------------------------


def between(source: tuple[str, int], destination: tuple[str, int]) -> Header:
    """Return the header of a TCP connection between two hosts and ports, UNKNOWN for anything but addresses.

    If only one address is IPv6, the other is written as an IPv4-mapped one."""
    try:
        hosts = [_address(host) for host, _ in (source, destination)]
    except ValueError:
        return Header(Transport.UNKNOWN)
    four = all(host.version == 4 for host in hosts)
    texts = [str(host if four or host.version == 6 else IPv6Address(f"::ffff:{host}")) for host in hosts]
    return Header(
        Transport.TCP4 if four else Transport.TCP6, (texts[0], source[1]), (texts[1], destination[1])
    )


def _address(host: str) -> IPv4Address | IPv6Address:
    """Return an address without its zone, an IPv4-mapped one as IPv4."""
    address = ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def write_v1(header: Header) -> bytes:
    """Return the header as a line of text, which has no words but for TCP: all else is UNKNOWN."""
    if header.transport not in (Transport.TCP4, Transport.TCP6):
        return b"PROXY UNKNOWN\r\n"
    assert isinstance(header.source, tuple)
    assert isinstance(header.destination, tuple)
    (source, port), (destination, to) = header.source, header.destination
    return f"PROXY {header.transport.name} {source} {destination} {port} {to}\r\n".encode()


def write_v2(header: Header, checksum: bool = False) -> bytes:
    """Return the header in binary, with its TLVs, and with a checksum over all of it if asked for.

    Raises ValueError for one that would be longer than LONGEST."""
    block = b""
    if header.transport is not Transport.UNKNOWN:
        ends = (header.source, header.destination)
        block = b"".join(
            end.ljust(108, b"\0") if isinstance(end, bytes) else ip_address(end[0]).packed
            for end in ends
            if end is not None
        )
        block += b"".join(end[1].to_bytes(2, "big") for end in ends if isinstance(end, tuple))
        for kind, value in header.tlvs:
            block += bytes((kind,)) + len(value).to_bytes(2, "big") + value
    if checksum:
        block += bytes((CRC32C, 0, 4)) + bytes(4)
    command = 0x20 if header.local else 0x21
    data = SIGNATURE + bytes((command, header.transport.value)) + len(block).to_bytes(2, "big") + block
    if len(data) > LONGEST:
        raise ValueError(f"a header of {len(data)} bytes: use TLVs that fit into {LONGEST}")
    return data[:-4] + _packed(crc32c(data)) if checksum else data


# The version that a setting names -> what writes the header of a connection; "": none.
WRITERS: dict[str, Callable[[Header], bytes]] = {"": lambda header: b"", "v1": write_v1, "v2": write_v2}
# What a proxy says on a connection of its own, such as a health check: a header without addresses.
GREETINGS = {version: write(Header(Transport.UNKNOWN, local=True)) for version, write in WRITERS.items()}
