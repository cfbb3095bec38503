"""Two connections joined: what arrives on one goes out on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lbkit.core import Backend


class Relay:
    """Joins two transports until both sides have ended, one is lost, or nothing moves for `idle` seconds.

    Each side may end its own direction and still receive (half-close). A side that does not take what is
    written to it stops the other from being read (back-pressure).
    """

    def __init__(
        self,
        client: asyncio.Transport,
        origin: asyncio.Transport,
        now: Callable[[], float],
        idle: float,
        linger: float,
        on_end: Callable[[Relay], object],
        backend: Backend | None = None,
    ) -> None:
        self.backend = backend
        self.now = now
        self.idle = idle
        self.linger = linger
        self._ending = False
        self.deadline = now() + idle
        self._on_end: Callable[[Relay], object] | None = on_end
        self.sides = (Side(self, client, origin), Side(self, origin, client))
        for side in self.sides:
            side.here.set_protocol(side)
        if any(side.here.is_closing() for side in self.sides):
            self.abort()  # one was lost just before
            return
        for side in self.sides:
            # What was written before the switch may be more than the other side takes.
            _, high = side.there.get_write_buffer_limits()
            if side.there.get_write_buffer_size() > high:
                side.here.pause_reading()
            else:
                side.here.resume_reading()

    def touch(self) -> None:
        if not self._ending:
            self.deadline = self.now() + self.idle

    def expire(self, now: float) -> None:
        if self.deadline < now:
            self.abort()

    def drain(self, now: float) -> None:
        """There is always something under way: only its peers know when it is over."""

    def cut(self, backend: Backend) -> None:
        """End it if it leads to a backend that has no more time: nothing else tells a tunnel's peers."""
        if backend is self.backend:
            self.abort()

    def abort(self) -> None:
        for side in self.sides:
            side.here.abort()
        self._ended()

    def end(self) -> None:
        """Send what is written, then close both; abort if that is not taken within `linger` seconds."""
        if self._ending:
            return
        self._ending = True
        self.deadline = self.now() + self.linger
        for side in self.sides:
            side.here.close()

    def side_lost(self) -> None:
        self.end()
        if all(side.lost for side in self.sides):
            self._ended()

    @property
    def over(self) -> bool:
        return self._on_end is None

    def _ended(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end:
            on_end(self)


class Side(asyncio.Protocol):
    """One of the two connections: reads `here` and writes to `there`."""

    __slots__ = ("ended", "here", "lost", "relay", "there")

    def __init__(self, relay: Relay, here: asyncio.Transport, there: asyncio.Transport) -> None:
        self.relay = relay
        self.here = here
        self.there = there
        self.ended = False  # it has nothing more to say
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.relay.touch()
        if not self.there.is_closing():
            self.there.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if all(side.ended for side in self.relay.sides):
            self.relay.end()
        elif not self.there.is_closing():
            self.there.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.relay.side_lost()

    def pause_writing(self) -> None:
        """This side does not take what the other one sends."""
        if not self.there.is_closing():
            self.there.pause_reading()

    def resume_writing(self) -> None:
        self.relay.touch()
        if not self.there.is_closing():
            self.there.resume_reading()
