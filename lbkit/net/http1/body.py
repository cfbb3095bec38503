"""The chunked transfer coding. (RFC 9112, 7.)"""

from __future__ import annotations

import re

from lbkit.net.http1.grammar import may_trail
from lbkit.net.messages import Reject

# The size in hex, and extensions, which are ignored.
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_SIZE_BEGINS = re.compile(rb"[0-9A-Fa-f]{1,15}(?:;.*|\r)?\Z", re.DOTALL)
_TRAILER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t\x20-\x7e\x80-\xff]*\r\n")

MAX_LINE = 4096  # bytes of a size line with its extensions


def chunk(data: bytes, end: bool, trailers: bytes = b"") -> bytes:
    """Return `data` as a chunk, followed by the last chunk and the trailers if this is the `end`.

    Empty data makes no chunk: an empty chunk would be the last one."""
    coded = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return b"%b0\r\n%b\r\n" % (coded, trailers) if end else coded


class Chunked:
    """Decodes a chunked body, piece by piece.

    `done`: the body has ended, at index `end` of the latest piece. `trailers`: the fields after it that may
    stand there (RFC 9110, 6.5.1). Extensions are dropped (RFC 9112, 7.1.1); with the trailers they may be at
    most `max_overhead` bytes longer than the content.
    """

    __slots__ = ("_in_trailers", "_left", "_line", "_overhead", "done", "end", "trailers")

    def __init__(self, max_overhead: int = 32 * 1024) -> None:
        self._left = 0  # bytes left of the chunk, with its CRLF; 0: a line is next
        self._line = bytearray()  # the beginning of a line
        self._in_trailers = False
        self._overhead = max_overhead
        self.done = False
        self.end = 0
        self.trailers = b""

    def feed(self, data: bytes, at: int = 0) -> bytes:
        """Return the content in `data`, from index `at`. Raises Reject."""
        content: list[bytes] = []
        size = len(data)
        while at < size and not self.done:
            if self._left > 2:
                end = at + self._left - 2
                piece = data[at:end] if at or end < size else data
                content.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self._overhead += len(piece)
            elif self._left:  # the CRLF after a chunk, which may arrive in two pieces
                if data[at] != b"\n\r"[self._left - 1]:
                    raise Reject(400, "a chunk does not end where its size says")
                at += 1
                self._left -= 1
            else:
                end = data.find(b"\n", at) + 1
                self._line += data[at : end or size]
                at = end or size
                if len(self._line) > MAX_LINE:
                    raise Reject(400, "a line between chunks is too long")
                if end:
                    line, self._line = self._line, bytearray()
                    self._take_line(line)
                elif not (self._in_trailers or _SIZE_BEGINS.match(self._line[:16])):
                    raise Reject(400, "a chunk has no size")
        self.end = at
        return content[0] if len(content) == 1 else b"".join(content)

    def _take_line(self, line: bytearray) -> None:
        """Read a size, a trailer, or the empty line that ends the body."""
        self._overhead -= len(line)
        if self._overhead < 0:
            raise Reject(400, "more chunk extensions and trailers than content")
        if self._in_trailers:
            self.done = line == b"\r\n"
            if not self.done:
                field = _TRAILER.fullmatch(line)
                if field is None:
                    raise Reject(400, "a trailer is not a field")
                if may_trail(field[1].lower()):
                    self.trailers += line
            return
        found = _SIZE_LINE.fullmatch(line)
        if found is None:
            raise Reject(400, "a chunk has no size")
        size = int(found[1], 16)
        if size:
            self._left = size + 2
            self._overhead += 16  # a plain size line is not overhead
        else:
            self._in_trailers = True
