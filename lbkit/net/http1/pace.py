"""How fast a request's body arrives: with a byte now and then, it would keep a backend busy for hours."""

from __future__ import annotations

from math import inf


class Pace:
    """The average rate of a body, from its first byte on, over the time in which the proxy has read it."""

    __slots__ = ("_got", "_patience", "_rate", "_since")

    def __init__(self, rate: float, patience: float) -> None:
        """`rate`: bytes a second that are enough. `patience`: seconds before it counts."""
        self._rate = rate
        self._patience = patience
        self._got = 0
        self._since = inf  # nothing has come yet, or nothing is read: then it is not the client that is slow

    def took(self, size: int, now: float) -> None:
        self._got += size
        self._since = min(self._since, now)

    def pause(self) -> None:
        """Begin anew with the next byte: the proxy does not read for now."""
        self._got, self._since = 0, inf

    def too_slow(self, now: float) -> bool:
        spent = now - self._since - self._patience
        return spent > 0 and self._got < spent * self._rate
