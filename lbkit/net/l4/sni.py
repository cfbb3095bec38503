"""The server name that a TLS client asks for, read from its ClientHello without decrypting anything.

The first message of a handshake is in clear, so a relay that has no certificate can still choose a backend by
name: TLS passthrough. With Encrypted Client Hello (ECH) the name in clear is that of the front only.

Source: RFC 8446, sections 4.1.2, 4.2 and 5.1; RFC 6066, section 3; RFC 7301, section 3.1; RFC 9849.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 16 * 1024  # bytes of a ClientHello, its records' headers not counted; usual ones have 500 to 2,000
HANDSHAKE, CLIENT_HELLO = 22, 1
SERVER_NAME, ALPN, ENCRYPTED_HELLO = 0, 16, 0xFE0D  # types of extensions

# The fatal alert "unrecognized_name": no backend has this name. (RFC 6066, section 3.)
UNRECOGNIZED_NAME = bytes((21, 3, 1, 0, 2, 2, 112))

_HOST = re.compile(rb"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\Z")
_IPV4 = re.compile(rb"[0-9.]+\Z")  # a server name is never an address


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a ClientHello says in clear."""

    server_name: str = ""  # lowercase; "" without one
    alpn: tuple[str, ...] = ()  # protocols that the client speaks, such as h2, the preferred one first
    # The true hello is encrypted, and `server_name` is the public name. Or it only looks so: browsers send
    # such an extension at random (GREASE), and nothing in clear tells which it is.
    ech: bool = False


@dataclass(frozen=True, slots=True)
class NoHello:
    """The bytes are no ClientHello; `why` is one of a few fixed texts."""

    why: str


class _Wrong(Exception):
    """Never leaves this module."""


class HelloReader:
    """Reads a ClientHello that arrives in pieces, which may end anywhere: in TCP segments and in records.

    It copies what it is given, and looks at each byte once: a hello in records of one byte costs no more.
    """

    def __init__(self) -> None:
        self._record = bytearray()  # what has arrived of the current record
        self._message = bytearray()  # the records' contents so far
        self._result: ClientHello | NoHello | None = None

    def feed(self, data: bytes) -> ClientHello | NoHello | None:
        """Return the result, or None as long as more bytes are needed. Raises nothing."""
        if self._result is None:
            try:
                self._result = self._feed(data)
            except _Wrong as error:
                self._result = NoHello(str(error))
        return self._result

    def _feed(self, data: bytes) -> ClientHello | None:
        record, message = self._record, self._message
        at = 0
        while at < len(data):
            missing = 5 + _length(record) - len(record) if len(record) >= 5 else 5 - len(record)
            record += data[at : at + missing]
            at += missing
            _check_header(record)
            if len(record) < 5 or len(record) < 5 + _length(record):
                continue
            message += record[5:]
            record.clear()
            if len(message) < 4:
                continue
            size = 4 + int.from_bytes(message[1:4], "big")
            if message[0] != CLIENT_HELLO:
                raise _Wrong("the handshake does not begin with a ClientHello")
            if size > LONGEST:
                raise _Wrong("the ClientHello is too long")
            if len(message) > size:
                raise _Wrong("something follows the ClientHello in its record")
            if len(message) == size:
                return _read(bytes(message[4:]))
        return None


def _length(record: bytearray) -> int:
    return int.from_bytes(record[3:5], "big")


def _check_header(record: bytearray) -> None:
    """Refuse by its first bytes what is not TLS."""
    if record[0] != HANDSHAKE or (len(record) > 1 and record[1] != 3):
        raise _Wrong("no TLS handshake")
    # Records of a handshake are never empty, and have at most 2**14 bytes. (RFC 8446, section 5.1.)
    if len(record) >= 5 and not 0 < _length(record) <= 1 << 14:
        raise _Wrong("a record has a length that is not allowed")


class _Fields:
    """A cursor over bytes. Nothing is read past their end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise _Wrong("a field of the ClientHello is cut off")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> bytes:
        """Return a field that is preceded by its length, in `width` bytes."""
        return self.take(self.number(width))

    def whole(self) -> None:
        if self.left:
            raise _Wrong("a field of the ClientHello is longer than its contents")


def _read(body: bytes) -> ClientHello:
    fields = _Fields(body)
    fields.take(2 + 32)  # legacy version, random
    if len(fields.vector(1)) > 32 or len(fields.vector(2)) % 2 or not fields.vector(1):
        raise _Wrong("session id, cipher suites or compression methods have a length that is not allowed")
    extensions: dict[int, bytes] = {}
    if fields.left:  # clients before TLS 1.3 may have none
        listed = _Fields(fields.vector(2))
        fields.whole()
        while listed.left:
            kind = listed.number(2)
            if kind in extensions:  # else two readers could see two names
                raise _Wrong("the ClientHello has an extension twice")
            extensions[kind] = listed.vector(2)
    return ClientHello(
        _server_name(extensions[SERVER_NAME]) if SERVER_NAME in extensions else "",
        tuple(_protocols(extensions[ALPN])) if ALPN in extensions else (),
        ENCRYPTED_HELLO in extensions,
    )


def _server_name(extension: bytes) -> str:
    outer = _Fields(extension)
    names = _Fields(outer.vector(2))
    outer.whole()
    if names.number(1) != 0:  # host_name, the only type there is
        raise _Wrong("the server name is of an unknown type")
    name = names.vector(2)
    names.whole()
    if not _HOST.match(name) or _IPV4.match(name):
        raise _Wrong("the server name is no host name")
    return name.decode("ascii").lower()


def _protocols(extension: bytes) -> Iterator[str]:
    outer = _Fields(extension)
    names = _Fields(outer.vector(2))
    outer.whole()
    while names.left:
        if not (name := names.vector(1)):
            raise _Wrong("a protocol of ALPN is empty")
        yield name.decode("latin-1")


def patterns(name: str) -> Iterator[str]:
    """Yield what a server name matches, the nearest first: a.b.org, *.b.org, *.org."""
    if name:
        yield name
    while "." in name:
        name = name.partition(".")[2]
        yield f"*.{name}"
