"""What a client may send before its connection is closed: limits on frames, from their headers alone.

A frame of a few bytes can cost its receiver an answer, a table or a search. The library reads whatever it is
given, so the frames are counted before it sees them, each kind against the attack that is made of it:

frames                               setting         attack
RST_STREAM, and resets by the proxy  resets          rapid reset (CVE-2023-44487), made resets (CVE-2025-8671)
HEADERS, CONTINUATION                continuations   endless heads (CVE-2024-27316); `limits.head`, too
PING, SETTINGS, PRIORITY, unknown,   control_frames  floods (CVE-2019-9512, 9513, 9515, 9518), and answers
empty DATA, WINDOW_UPDATE                            that are taken in drops (CVE-2019-9511)
"""

from __future__ import annotations

from h2.errors import ErrorCodes

from lbkit.net.http2.rules import Http2
from lbkit.net.streams.budget import Budget, Flood

DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 7, 8, 9
END_STREAM, END_HEADERS = 0x1, 0x4
FRAME_HEADER = 9  # bytes
MAX_FRAME = 16_384  # bytes of payload, both ways: the least that all must take (RFC 9113, 4.2)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTING = 6  # bytes
# What is free: for each request, and for each frame of an answer that no window has cut short, as gRPC opens
# the windows of the stream and of the connection after each message, and may end a request with empty DATA.
FREE_FOR_REQUEST = 3
FREE_FOR_FRAME = 2
# And one frame for so many bytes of an answer. More count as control frames, or a client could have answers
# sent in frames of a byte each (CVE-2019-9511).
FREE_UPDATE = 2048


class FrameGuard:
    """Counts the frames of one connection, however the bytes are split."""

    __slots__ = (
        "_continued",
        "_control",
        "_dropping",
        "_earned",
        "_head_size",
        "_left",
        "_max_head",
        "_partial",
        "_rules",
        "head_began",
        "leaving",
        "resets",
    )

    def __init__(self, rules: Http2, max_head: int) -> None:
        """`max_head`: bytes of a head, compressed."""
        self._rules = rules
        self._max_head = max_head
        self.resets = Budget(rules.resets, rules.per, "too many requests given up")
        self._control = Budget(rules.control_frames, rules.per, "too many control frames")
        self._left = len(PREFACE)  # bytes of the present frame that are still to come
        self._partial = b""  # the beginning of a frame's header
        self._dropping = False  # the present frame is not passed on
        self._head_size = self._continued = 0
        self.head_began: float | None = None  # when a head began that is not complete
        self._earned = 0.0  # frames that are free
        self.leaving = False  # the client makes no more requests

    def feed(self, data: bytes, now: float) -> bytes:
        """Return what the library is to read: all complete frame headers, and no GOAWAY. Raises Flood.

        For the library a GOAWAY ends everything, but a client's only says that it makes no more requests: it
        still waits for the answers (RFC 9113, 6.8)."""
        if self._partial:
            data, self._partial = self._partial + data, b""
        kept = []
        begin = at = 0
        size = len(data)
        while at < size:
            if self._left:
                step = min(self._left, size - at)
                at += step
                self._left -= step
                if self._dropping:
                    begin = at
                    self._dropping = self._left > 0
                continue
            if size - at < FRAME_HEADER:
                self._partial = data[at:]
                break
            length, kind = int.from_bytes(data[at : at + 3], "big"), data[at + 3]
            self._look(kind, data[at + 4], length, now)
            if kind == GOAWAY and length >= 8 and self.head_began is None and not any(data[at + 5 : at + 9]):
                kept.append(data[begin:at])
                begin = at + FRAME_HEADER
                self._dropping = self.leaving = True
            at += FRAME_HEADER
            self._left = length
        kept.append(data[begin:at])
        return b"".join(kept)

    def sent(self, size: int, cut: bool) -> None:
        """Take note of a frame of an answer, which the client will open windows for. `cut`: by a window."""
        self._earn(size / FREE_UPDATE + (0 if cut else FREE_FOR_FRAME))

    def _earn(self, frames: float) -> None:
        self._earned = min(self._earned + frames, self._rules.control_frames)

    def _look(self, kind: int, flags: int, length: int, now: float) -> None:
        """Count a frame."""
        if length > MAX_FRAME:  # the library would wait for all of it
            raise Flood("a frame is too large", ErrorCodes.FRAME_SIZE_ERROR)
        if kind == HEADERS and self.head_began is None:
            self._head_size, self._continued = length, 0
            self._earn(FREE_FOR_REQUEST)
            self.head_began = now
            self._go_on(flags)
        elif kind == CONTINUATION and self.head_began is not None:
            self._head_size += length
            self._continued += 1
            self._go_on(flags)
        elif kind == RST_STREAM:
            self.resets.spend(now)
        elif kind == DATA and length:
            pass  # flow control limits these
        elif self._earned >= 1 and kind in (DATA, WINDOW_UPDATE):
            self._earned -= 1
        else:
            self._control.spend(now, 1 + length // SETTING if kind == SETTINGS else 1)

    def _go_on(self, flags: int) -> None:
        """Go on with a head, or end it."""
        if self._head_size > self._max_head or self._continued > self._rules.continuations:
            raise Flood("a head does not end")
        if flags & END_HEADERS:
            self.head_began = None
