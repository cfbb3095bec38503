"""Two connections joined: what arrives on one goes out on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lbkit.core import Backend
from lbkit.net.websocket import GOING_AWAY, Frames


class Relay:
    """Joins two transports until both sides have ended, one is lost, or nothing moves for `idle` seconds.

    Each side may end its own direction and still receive (half-close). A side that does not take what is
    written to it stops the other from being read (back-pressure).

    `frames`: those of a WebSocket's server, as far as it has sent them. Its client is then told before a cut.
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
        frames: Frames | None = None,
    ) -> None:
        self.backend = backend
        self.frames = frames
        self.now = now
        self.idle = idle
        self.linger = linger
        self._ending = False
        self.deadline = now() + idle
        self._on_end: Callable[[Relay], object] | None = on_end
        server = Side(self, origin, client) if frames is None else FramedSide(self, origin, client, frames)
        self.sides = (Side(self, client, origin), server)
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
        """Do nothing: something is always under way, and only its peers know when it is over."""

    def cut(self, backend: Backend) -> None:
        """End it if its backend's drain timeout is over; a WebSocket's client gets a close frame first."""
        if backend is not self.backend:
            return
        client = self.sides[0].here
        if self._tells(client):
            client.write(GOING_AWAY)
            client.close()  # once that is sent
            asyncio.get_running_loop().call_later(self.linger, client.abort)
            self.sides[1].here.abort()
            self._ended()
        else:
            self.abort()

    def _tells(self, client: asyncio.Transport) -> bool:
        """Return whether a frame may stand here, and can be sent at once."""
        there = self.frames is not None and self.frames.between
        return there and not client.is_closing() and not client.get_write_buffer_size()

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
        self.ended = False  # it has sent all
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.relay.touch()
        if not self.there.is_closing():
            self.there.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        half = self.here.can_write_eof() and self.there.can_write_eof()  # TLS ends in both directions at once
        if not half or all(side.ended for side in self.relay.sides):
            self.relay.end()
        elif not self.there.is_closing():
            self.there.write_eof()
        return half

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.relay.side_lost()

    def pause_writing(self) -> None:
        """Called when this side takes no more: stop reading the other."""
        if not self.there.is_closing():
            self.there.pause_reading()

    def resume_writing(self) -> None:
        self.relay.touch()
        if not self.there.is_closing():
            self.there.resume_reading()


class FramedSide(Side):
    """The server's side of a WebSocket."""

    __slots__ = ("frames",)

    def __init__(
        self, relay: Relay, here: asyncio.Transport, there: asyncio.Transport, frames: Frames
    ) -> None:
        super().__init__(relay, here, there)
        self.frames = frames

    def data_received(self, data: bytes) -> None:
        self.frames.feed(data)
        super().data_received(data)
