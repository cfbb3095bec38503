"""The GENEVE header (RFC 8926, 3.4 and 3.5), and the options that AWS's gateway load balancer adds to it.

    0                   1                   2                   3
    |Ver|  Opt Len  |O|C|    Rsvd.  |          Protocol Type        |
    |        Virtual Network Identifier (VNI)       |    Reserved   |
    |          Option Class         |      Type     |R|R|R| Length  |   options, each of 4 bytes
    |                      Variable-Length Option Data              |   and 0 to 31 words

Lengths are in words of 4 bytes. Reserved bits are ignored on reading and 0 on writing, as the RFC requires.
Any other inconsistency is an error: a reader that guesses where a packet begins could be made to skip an
inspection.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from lbkit.core.options import instances, whole
from lbkit.core.text import shown

PORT = 6081  # UDP
IPV4, IPV6, ETHERNET = 0x0800, 0x86DD, 0x6558  # protocol types of what follows the header
LONGEST = 63 * 4  # bytes of all options
CRITICAL = 0x80  # in an option's type: a receiver that does not know the option must drop the packet

_BASE, _OPTION = Struct(">BBHI"), Struct(">HBB")
_OAM, _HAS_CRITICAL = 0x80, 0x40


class GeneveError(ValueError):
    """A datagram is not valid GENEVE; the message says why."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option: its `namespace` (the RFC's option class), its type, and up to 124 bytes. ValueError."""

    namespace: int
    type: int
    data: bytes = b""

    def __post_init__(self) -> None:
        whole(0, 0xFFFF, namespace=self.namespace)
        whole(0, 0xFF, type=self.type)
        if not isinstance(self.data, bytes):
            raise ValueError(f"data is {shown(self.data)}: use bytes")
        if len(self.data) % 4 or len(self.data) > 31 * 4:
            raise ValueError(f"data has {len(self.data)} bytes: use a multiple of 4, at most 124")

    @property
    def critical(self) -> bool:
        return bool(self.type & CRITICAL)


@dataclass(frozen=True, slots=True)
class Header:
    """A header: the protocol type of the packet inside, the virtual network, and options. ValueError.

    `oam`: the packet is a control message of a tunnel endpoint (bit O)."""

    protocol: int = IPV4
    vni: int = 0
    options: tuple[Option, ...] = ()
    oam: bool = False

    def __post_init__(self) -> None:
        whole(0, 0xFFFF, protocol=self.protocol)
        whole(0, 0xFFFFFF, vni=self.vni)
        instances(Option, "options", self.options)
        if self.length > LONGEST:
            raise ValueError(f"options have {self.length} bytes: use at most {LONGEST}")

    @property
    def length(self) -> int:
        """The bytes of all options."""
        return sum(4 + len(option.data) for option in self.options)


def encode(header: Header, packet: bytes) -> bytes:
    """Return a datagram: the header, followed by the packet."""
    flags = (_OAM if header.oam else 0) | (_HAS_CRITICAL if any(o.critical for o in header.options) else 0)
    parts = [_BASE.pack(header.length // 4, flags, header.protocol, header.vni << 8)]
    for option in header.options:
        parts.append(_OPTION.pack(option.namespace, option.type, len(option.data) // 4))
        parts.append(option.data)
    return b"".join([*parts, packet])


def decode(datagram: bytes) -> tuple[Header, bytes]:
    """Return the header of a datagram, and the packet in it. Raises GeneveError."""
    if len(datagram) < _BASE.size:
        raise GeneveError(f"{len(datagram)} bytes are no GENEVE header: it has at least {_BASE.size}")
    first, flags, protocol, vni = _BASE.unpack_from(datagram)
    if version := first >> 6:
        raise GeneveError(f"version is {version}: only 0 is defined")
    end = _BASE.size + (first & 0x3F) * 4
    if end > len(datagram):
        raise GeneveError(f"options end at byte {end}, and the datagram at {len(datagram)}")
    options = []
    at = _BASE.size
    while at < end:
        namespace, kind, length = _OPTION.unpack_from(datagram, at)  # 4 bytes are left: lengths are in words
        start, at = at + _OPTION.size, at + _OPTION.size + (length & 0x1F) * 4
        if at > end:
            raise GeneveError(f"option {namespace:#06x}/{kind:#04x} ends behind the others")
        options.append(Option(namespace, kind, datagram[start:at]))
    if any(option.critical for option in options) and not flags & _HAS_CRITICAL:
        raise GeneveError("an option is critical, and the header does not say so (C)")
    return Header(protocol, vni >> 8, tuple(options), bool(flags & _OAM)), datagram[end:]


# -- AWS --------------------------------------------------------------------------------------------------

AWS = 0x0108  # the option class
_ENDPOINT, _ATTACHMENT, _COOKIE = 1, 2, 3  # types


@dataclass(frozen=True, slots=True)
class AwsOptions:
    """The options of a gateway load balancer, which an appliance has to return unchanged.

    `endpoint`: the gateway endpoint where the packet entered (64 bits); `attachment`: the customer's (64);
    `cookie`: the flow (32). Together they take 32 bytes; with the outer IPv4, UDP and GENEVE headers, 68.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/gateway/target-groups.html"""

    endpoint: int
    attachment: int
    cookie: int

    def __post_init__(self) -> None:
        whole(0, 2**64 - 1, endpoint=self.endpoint, attachment=self.attachment)
        whole(0, 2**32 - 1, cookie=self.cookie)

    def options(self) -> tuple[Option, ...]:
        return (
            Option(AWS, _ENDPOINT, self.endpoint.to_bytes(8, "big")),
            Option(AWS, _ATTACHMENT, self.attachment.to_bytes(8, "big")),
            Option(AWS, _COOKIE, self.cookie.to_bytes(4, "big")),
        )

    @classmethod
    def read(cls, header: Header) -> AwsOptions:
        """Return the AWS options of a header. Raises GeneveError unless it has all three, each once.

        Options of other classes are ignored, as the RFC requires, or an error if they are critical."""
        found: dict[int, bytes] = {}
        for option in header.options:
            if option.namespace != AWS:
                if option.critical:
                    raise GeneveError(f"option {option.namespace:#06x} is critical, and not known here")
            elif option.type in found or len(option.data) != _LENGTHS.get(option.type):
                raise GeneveError(f"AWS option {option.type} is unknown, there twice, or of a wrong length")
            else:
                found[option.type] = option.data
        if missing := [kind for kind in _LENGTHS if kind not in found]:
            raise GeneveError(f"AWS option {missing[0]} is missing")
        return cls(*(int.from_bytes(found[kind], "big") for kind in _LENGTHS))


_LENGTHS = {_ENDPOINT: 8, _ATTACHMENT: 8, _COOKIE: 4}  # bytes
