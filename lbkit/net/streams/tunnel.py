"""A stream as a transport: what carries a WebSocket after Extended CONNECT (RFC 8441, RFC 9220)."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

WRITE_LIMITS = 0, 0  # bytes, the low and the high mark: what waits at all holds back the other side


class Carried(Protocol):
    """What a transport needs of its stream."""

    @property
    def over(self) -> bool: ...
    @property
    def backlog(self) -> int: ...
    def send(self, data: bytes, end: bool) -> None: ...
    def read_body(self, wanted: bool) -> None: ...
    def finish(self) -> None: ...
    def abort(self) -> None: ...


class StreamTransport(asyncio.Transport):
    """Looks like a connection to whatever relays bytes; its end is the end of the stream."""

    def __init__(self, stream: Carried) -> None:
        super().__init__()
        self._stream = stream
        self._protocol: Any = None
        self._held: list[bytes] = []  # while reading is paused; as much as the window admits
        self._ended = False  # the client sends no more
        self._told_end = False
        self._wrote_end = False
        self._paused = True  # until there is a protocol that reads
        self._over = False  # the stream is
        self._told_over = False
        self.closing = False

    # -- called by the stream ---------------------------------------------------------------------

    def feed(self, data: bytes, end: bool) -> None:
        """Take what the client has sent."""
        self._ended = self._ended or end
        if data:
            self._held.append(data)
        if not self._paused:
            self._deliver()

    def _deliver(self) -> None:
        while self._held and not self._paused:
            self._protocol.data_received(self._held.pop(0))
        if self._ended and not self._held and not self._told_end and not self.closing:
            self._told_end = True
            if not self._protocol.eof_received():
                self.close()
        if self._over and (self._told_end or self.closing):
            self._finished()

    def ready(self, ready: bool) -> None:
        """Take note that the client takes more, or no more for now."""
        if self._protocol is not None:
            (self._protocol.resume_writing if ready else self._protocol.pause_writing)()

    def lost(self) -> None:
        """Take note that the stream is over. What had come to its end is still delivered."""
        self._over = True
        if self._told_end or self.closing or not self._ended:
            self._finished()

    def _finished(self) -> None:
        self.closing = True
        self._held.clear()
        if not self._told_over and self._protocol is not None:
            self._told_over = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    # -- called by the relay -----------------------------------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        return self.closing

    def is_reading(self) -> bool:
        return not self._paused

    def pause_reading(self) -> None:
        self._paused = True
        self._stream.read_body(False)

    def resume_reading(self) -> None:
        if not self.closing:
            self._paused = False
            self._stream.read_body(True)
            self._deliver()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not (self._stream.over or self._wrote_end):
            self._stream.send(bytes(data), False)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not (self._stream.over or self._wrote_end):
            self._wrote_end = True
            self._stream.send(b"", True)

    def get_write_buffer_size(self) -> int:
        return self._stream.backlog

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return WRITE_LIMITS

    def close(self) -> None:
        """End it when all that is written has been sent."""
        if not self.closing:
            self.closing = True
            self.write_eof()
            self._stream.finish()
            if self._over:
                self._finished()

    def abort(self) -> None:
        self.closing = True
        self._stream.abort()
        self._finished()
