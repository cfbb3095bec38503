"""A Proxy without sockets: bytes arrive in exactly the pieces a test chooses, and nothing waits for a kernel.

`MemoryLoop` is an event loop whose `create_server` and `create_connection` join transports in memory. The
proxy under test is the real one, run by its own `serve`; only what lies below asyncio's transports is not.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

CLIENT = ("127.0.0.1", 50_000)
PROXY = ("127.0.0.1", 8080)


class End(Protocol):
    """The far end of a connection, played by a test."""

    def received(self, data: bytes) -> None: ...
    def ended(self, reset: bool) -> None: ...


class Far:
    """A client: it keeps what it gets."""

    def __init__(self) -> None:
        self.got = b""
        self.end = "open"

    def received(self, data: bytes) -> None:
        self.got += data

    def ended(self, reset: bool) -> None:
        if self.end == "open" or reset:
            self.end = "reset" if reset else "closed"


class _Socket:
    """Takes options; SO_LINGER with 0 seconds turns a close into a reset."""

    def __init__(self) -> None:
        self.resets = False

    def setsockopt(self, level: int, option: int, value: Any = 0, *rest: object) -> None:
        if option == socket.SO_LINGER and isinstance(value, bytes):
            self.resets = struct.unpack("ii", value) == (1, 0)

    def getsockopt(self, *args: object) -> int:
        return 0

    def fileno(self) -> int:
        return -1


class Wire(asyncio.Transport):
    """The proxy's end of a connection. `feed`, `feed_end` and `reset` are what the far end does."""

    def __init__(self, loop: MemoryLoop, end: End, peername: object, sockname: object) -> None:
        self.socket = _Socket()
        super().__init__({"peername": peername, "sockname": sockname, "socket": self.socket})
        self.loop = loop
        self.end = end
        self.protocol: Any = None
        self.pieces: deque[bytes | None] = deque()  # not delivered yet; None is the end
        self.paused = False
        self.closing = False
        self.eof_written = False
        self.over = False

    def attach(self, protocol: Any) -> None:
        self.protocol = protocol
        protocol.connection_made(self)

    # -- the far end's side ------------------------------------------------------

    def feed(self, data: bytes) -> None:
        self.pieces.append(data)
        self.loop.call_soon(self._deliver)

    def feed_end(self) -> None:
        self.pieces.append(None)
        self.loop.call_soon(self._deliver)

    def reset(self) -> None:
        self._close(ConnectionResetError(104, "Connection reset by peer"))

    def _deliver(self) -> None:
        while self.pieces and not (self.paused or self.closing):
            piece = self.pieces.popleft()
            if piece is not None:
                self.protocol.data_received(piece)
            elif not self.protocol.eof_received():
                self.close()

    # -- asyncio's side -------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if data and not self.closing and not self.eof_written:
            self.loop.call_soon(self.end.received, bytes(data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self.closing and not self.eof_written:
            self.eof_written = True
            self.loop.call_soon(self.end.ended, False)

    def close(self) -> None:
        if not self.closing:
            self.loop.call_soon(self.end.ended, self.socket.resets)
            self._close(None)

    def abort(self) -> None:
        if not self.closing:
            self.loop.call_soon(self.end.ended, True)
            self._close(None)

    def _close(self, error: Exception | None) -> None:
        if not self.closing:
            self.closing = True
            self.loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        if not self.over:
            self.over = True
            self.protocol.connection_lost(error)

    def is_closing(self) -> bool:
        return self.closing

    def is_reading(self) -> bool:
        return not (self.paused or self.closing)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        if self.paused:
            self.paused = False
            self.loop.call_soon(self._deliver)

    def get_protocol(self) -> Any:
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return 0, 64 * 1024


class _Listening:
    def getsockname(self) -> tuple[str, int]:
        return PROXY


class _Server:
    sockets: Sequence[_Listening] = (_Listening(),)

    def close(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass


class MemoryLoop(asyncio.SelectorEventLoop):
    """`accept` makes the far end of each connection that the proxy opens."""

    accept: Callable[[Wire], None]

    def __init__(self) -> None:
        super().__init__()
        self.factory: Callable[[], Any] | None = None

    async def create_server(self, factory: Any, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        self.factory = factory
        return _Server()

    async def create_connection(  # type: ignore[override]
        self, factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        wire = Wire(self, _Nobody(), (host, port), CLIENT)
        self.accept(wire)
        protocol = factory()
        wire.attach(protocol)
        return wire, protocol

    def connect(self, end: End) -> Wire:
        """A client connects."""
        assert self.factory
        wire = Wire(self, end, CLIENT, PROXY)
        wire.attach(self.factory())
        return wire

    async def settle(self) -> None:
        """Return when nothing can happen any more without input or a timer."""
        while True:
            await asyncio.sleep(0)
            if not self._ready:  # type: ignore[attr-defined]
                return


class _Nobody:
    def received(self, data: bytes) -> None:
        pass

    def ended(self, reset: bool) -> None:
        pass
