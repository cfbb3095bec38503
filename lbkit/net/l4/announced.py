"""Connections that begin with a PROXY protocol header, for a server that reads something else, such as HTTP.

The header is read from the bare socket, and not a byte more: what follows may be a TLS handshake, which the
event loop carries out. Only then the connection gets its protocol, as if it had just been accepted.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

from lbkit.core.networks import Network
from lbkit.net.l4.proxy_protocol import LONGEST, Header, Malformed, Transport, read
from lbkit.net.peer import Ends, is_trusted

SCARCE = 0.5  # seconds before another try to accept, when descriptors have run out


async def read_header(sock: socket.socket) -> Header | Malformed:
    """Return the header that a connection begins with, and leave what follows unread. Raises OSError."""
    taken = b""
    while True:
        await _readable(sock)
        # What is only looked at stays readable, so what is no whole header yet is taken at once.
        seen = sock.recv(LONGEST, socket.MSG_PEEK)
        if not seen:
            return Malformed("the connection ended in the header")
        found = read(taken + seen)
        taken += sock.recv(found.size - len(taken) if isinstance(found, Header) else len(seen))
        if found:
            return found


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(sock)


class AnnouncedServer:
    """Accepts connections until closed. Those of trusted peers must begin with a header; with others, one
    would be taken for data, as anyone can make up an address."""

    def __init__(
        self,
        sock: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        announced: dict[Ends, Any],
        trusted: tuple[Network, ...],
        timeout: float,
        fault: Callable[[str], object],
        has_room: Callable[[int], bool],
        **options: Any,
    ) -> None:
        """`sock` is listening. `announced` gets a connection's Header, by its own two ends, while `factory`'s
        protocol is connected. `timeout`: seconds for a header. `has_room` gets the number of connections
        that have not sent one yet. `options`: for TLS."""
        self.sock = sock
        sock.setblocking(False)  # a socket that a worker inherits may block, and asyncio does not check
        self.factory = factory
        self.announced = announced
        self.trusted = trusted
        self.timeout = timeout
        self.fault = fault
        self.has_room = has_room
        self.options = options
        self._arriving: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Accept no more connections; those still waiting for their header may arrive."""
        self._accepting.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        with self.sock:
            while True:
                try:
                    sock, _ = await loop.sock_accept(self.sock)
                except OSError:
                    await asyncio.sleep(SCARCE)
                    continue
                task = loop.create_task(self._arrive(sock))
                self._arriving.add(task)
                task.add_done_callback(self._arriving.discard)

    async def _arrive(self, sock: socket.socket) -> None:
        """Read the header, then hand the connection over. It raises nothing."""
        handed_over = False
        ends: Ends | None = None
        try:
            ends = (sock.getpeername(), sock.getsockname())
            if is_trusted(ends[0][0], self.trusted):
                header = await self._header(sock)
                if header is None:
                    return
                if header.transport in (Transport.TCP4, Transport.TCP6):  # else the peer speaks for itself
                    self.announced[ends] = header
            handed_over = True
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(self.factory, sock, **self.options)
        except (OSError, ssl.SSLError):  # it is gone, or its handshake failed
            pass
        finally:
            if ends:
                self.announced.pop(ends, None)
            if not handed_over:
                sock.close()

    async def _header(self, sock: socket.socket) -> Header | None:
        """Return the header; None if the connection is to be closed."""
        if not self.has_room(len(self._arriving)):
            return None
        try:
            async with asyncio.timeout(self.timeout):
                found = await read_header(sock)
        except TimeoutError:
            found = Malformed("it took too long")
        if isinstance(found, Header):
            return found
        self.fault(f"a trusted peer's PROXY header: {found.why}")
        return None
