"""The frames of HTTP/3 (RFC 9114, 7): how streams are split into them, and what may be in which stream.

A frame is a kind and a length, both integers of variable size, and a payload. Heads are compressed by QPACK
(RFC 9204). Its dynamic table is not offered here: so each head can be read on its own, no stream waits for
another, and a few bytes cannot stand for kilobytes that were sent before (a header bomb).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from enum import IntEnum


class Code(IntEnum):
    """Why a stream or a connection ends (8.1; RFC 9204, 6)."""

    NO_ERROR = 0x100
    GENERAL_PROTOCOL_ERROR = 0x101
    INTERNAL_ERROR = 0x102
    STREAM_CREATION_ERROR = 0x103
    CLOSED_CRITICAL_STREAM = 0x104
    FRAME_UNEXPECTED = 0x105
    FRAME_ERROR = 0x106
    EXCESSIVE_LOAD = 0x107
    ID_ERROR = 0x108
    SETTINGS_ERROR = 0x109
    MISSING_SETTINGS = 0x10A
    REQUEST_REJECTED = 0x10B
    REQUEST_CANCELLED = 0x10C
    REQUEST_INCOMPLETE = 0x10D
    MESSAGE_ERROR = 0x10E
    QPACK_DECOMPRESSION_FAILED = 0x200
    QPACK_ENCODER_STREAM_ERROR = 0x201


DATA, HEADERS, CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID = 0, 1, 3, 4, 5, 7, 13
CONTROL, PUSH, QPACK_ENCODER, QPACK_DECODER = 0, 1, 2, 3  # kinds of streams in one direction
ENABLE_CONNECT_PROTOCOL = 0x08  # (RFC 9220)
MAX_FIELD_SECTION_SIZE = 0x06

FROM_HTTP2 = frozenset((0x2, 0x6, 0x8, 0x9))  # frames that must not occur (7.2.8)
SETTINGS_OF_HTTP2 = frozenset((0x0, 0x2, 0x3, 0x4, 0x5))  # (7.2.4.1)
NOT_IN_REQUESTS = FROM_HTTP2 | {CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID}
NOT_IN_CONTROL = FROM_HTTP2 | {DATA, HEADERS, PUSH_PROMISE}
# Frames of the control stream that are read, and how many bytes they may have.
READ_IN_CONTROL = {SETTINGS: 1024, GOAWAY: 8, MAX_PUSH_ID: 8, CANCEL_PUSH: 8}
LAST_REQUEST = 2**62 - 4  # the highest number that a request's stream can have


class Http3Error(Exception):
    """Raised for what ends a connection."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class TooLarge(Exception):
    """Raised for a frame that is longer than those of its kind may be."""

    def __init__(self, kind: int) -> None:
        super().__init__(f"a frame of kind {kind} is too large")
        self.kind = kind


def varint(value: int) -> bytes:
    """Return an integer below 2**62 as 1, 2, 4 or 8 bytes; the first two bits say how many (RFC 9000, 16)."""
    for power in range(4):
        size = 1 << power
        if value < 1 << (8 * size - 2):
            return (value | power << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(f"{value} is too large")


def read_varint(data: bytes, at: int) -> tuple[int, int] | None:
    """Return the integer at this place, and the place after it; None if it is not complete."""
    if at >= len(data):
        return None
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        return None
    return int.from_bytes(data[at : at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


def frame(kind: int, payload: bytes) -> bytes:
    return b"".join((varint(kind), varint(len(payload)), payload))


def settings(values: Mapping[int, int]) -> bytes:
    return frame(SETTINGS, b"".join(varint(code) + varint(value) for code, value in values.items()))


def check_settings(payload: bytes) -> None:
    """Check a client's settings; none of them changes what is sent. Raises Http3Error."""
    seen: set[int] = set()
    at = 0
    while at < len(payload):
        code = read_varint(payload, at)
        value = read_varint(payload, code[1]) if code else None
        if code is None or value is None:
            raise Http3Error(Code.FRAME_ERROR, "SETTINGS are cut off")
        if code[0] in SETTINGS_OF_HTTP2 or code[0] in seen:
            raise Http3Error(Code.SETTINGS_ERROR, "a setting that must not occur, or occurs twice")
        seen.add(code[0])
        at = value[1]


class FrameReader:
    """Splits the bytes of a stream into frames, however they arrive, in linear time and bounded memory."""

    __slots__ = ("_head", "_kind", "_left", "_payload", "_read")

    def __init__(self, read: Mapping[int, int]) -> None:
        """`read`: the kinds of frames that are wanted whole, and how many bytes they may have."""
        self._read = read
        self._head = b""  # the beginning of a frame's kind and length
        self._kind: int | None = None  # of the present frame
        self._left = 0  # bytes of it that are still to come
        self._payload = bytearray()

    @property
    def midway(self) -> bool:
        """Whether a frame has begun that is not complete."""
        return self._kind is not None or bool(self._head)

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield kinds and payloads: of DATA as much as is there; of frames that are not read, b"".

        Raises TooLarge."""
        if self._head:
            data, self._head = self._head + data, b""
        at = 0
        while at < len(data):
            if self._kind is None:
                kind = read_varint(data, at)
                length = read_varint(data, kind[1]) if kind else None
                if kind is None or length is None:
                    self._head = data[at:]
                    return
                self._kind, (self._left, at) = kind[0], length
                if self._left > self._read.get(self._kind, self._left):
                    raise TooLarge(self._kind)
                if self._kind != DATA and self._kind not in self._read:
                    yield self._kind, b""
            at = yield from self._take(self._kind, data, at)

    def _take(self, kind: int, data: bytes, at: int) -> Generator[tuple[int, bytes], None, int]:
        """Take what is there of the present frame; return the place after it."""
        piece = data[at : at + self._left]
        self._left -= len(piece)
        if not self._left:
            self._kind = None
        if kind == DATA:
            if piece or not self._left:
                yield kind, piece
        elif kind in self._read:
            self._payload += piece
            if not self._left:
                whole = bytes(self._payload)
                self._payload.clear()
                yield kind, whole
        return at + len(piece)
