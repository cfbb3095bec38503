"""WebSockets: the keys of the handshake, and the frames, followed without looking into them (RFC 6455)."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha1

KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")  # 16 bytes in base64 (section 4.1)
_SALT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # (section 1.3)
GOING_AWAY = b"\x88\x02\x03\xe9"  # a close frame with status 1001: the server goes away (section 7.4.1)
MASK = 4  # bytes
LONG = {126: 2, 127: 8}  # what stands for a length -> the bytes of the length that follow


def accept_of(key: bytes) -> bytes:
    """Return the Sec-WebSocket-Accept that a Sec-WebSocket-Key asks for (section 4.2.2)."""
    return b64encode(sha1(key + _SALT, usedforsecurity=False).digest())


class Frames:
    """Follows what a server sends (section 5.2), to know where the proxy may insert one of its own."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head = b""  # of a frame, as far as it has arrived
        self._left = 0  # bytes of the present frame that are still to come

    @property
    def between(self) -> bool:
        """Whether the last frame is complete."""
        return not self._left and not self._head

    def feed(self, data: bytes) -> None:
        """Follow the next bytes."""
        if len(data) <= self._left:
            self._left -= len(data)
            return
        data = self._head + data[self._left :]
        self._head, self._left = b"", 0
        at = 0
        while at < len(data):
            start, length = _payload(data, at)
            if start > len(data):
                self._head = data[at:]
                return
            at = start + length
        self._left = at - len(data)


def _payload(data: bytes, at: int) -> tuple[int, int]:
    """Return where the payload of the frame at `at` begins, and its length, if the head is complete."""
    if at + 2 > len(data):
        return at + 2, 0
    masked, short = data[at + 1] & 0x80, data[at + 1] & 0x7F
    size = LONG.get(short, 0)
    end = at + 2 + size
    length = int.from_bytes(data[at + 2 : end], "big") if size else short
    return end + (MASK if masked else 0), length
