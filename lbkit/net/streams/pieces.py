"""Bytes that wait to be sent."""

from __future__ import annotations

from collections import deque


class Pieces:
    """A queue of bytes: they go in as they come, and out in frames."""

    __slots__ = ("_at", "_pieces")

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._at = 0  # in the first of them

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def size(self) -> int:
        """The number of bytes."""
        return sum(map(len, self._pieces)) - self._at

    def add(self, data: bytes) -> None:
        if data:
            self._pieces.append(data)

    def take(self, size: int) -> bytes:
        """Return the next bytes, at most `size`, and no more than came at once."""
        if not self._pieces:
            return b""
        first, at = self._pieces[0], self._at
        if len(first) - at > size:
            self._at = at + size
            return first[at : at + size]
        self._pieces.popleft()
        self._at = 0
        return first[at:] if at else first

    def clear(self) -> None:
        self._pieces.clear()
        self._at = 0
