"""The DNS server: over UDP, and over TCP for what is longer."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from dns.rcode import SERVFAIL

from lbkit.core.geo import RegionState
from lbkit.core.options import flags, instance
from lbkit.net.address import split_address
from lbkit.net.dns.answer import answer, only_a_code
from lbkit.net.dns.cookies import Cookies
from lbkit.net.dns.zone import Zone
from lbkit.net.running import ProxyError, Running, bound

MOST_CONNECTIONS = 100  # over TCP; more are closed at once
IDLE = 10.0  # seconds after which a connection without a question is closed (RFC 7766, 6.2.3)
TRIES = 20  # free TCP ports that are tried, until the UDP port of the same number is free, too


class DnsServer(Running):
    """Answers for a zone on UDP and TCP, in a thread of its own:

    >>> with DnsServer(zone) as server:
    ...     print(server.port)  # dig @127.0.0.1 -p PORT www.shop.example
    """

    def __init__(self, zone: Zone, listen: str = "127.0.0.1:0", strict_cookies: bool = False) -> None:
        """`listen`: host and port; port 0 is any free one. `strict_cookies`: answer clients that use cookies
        only once they have shown one of ours. Raises ValueError for what is no address."""
        instance(Zone, "zone", zone)
        flags(strict_cookies=strict_cookies)
        super().__init__(*split_address(listen, "listen"))
        self.zone = zone
        self.queries = 0
        self._states: dict[str, RegionState] = {}
        self._cookies = Cookies(strict=strict_cookies)
        self._connections: set[asyncio.Task[Any]] = set()
        self._stopped: asyncio.Event | None = None

    def set_state(self, name: str, healthy: float = 1.0, load: float = 0.0) -> None:
        """Set what is known of a region, or of an address of a `Weighted` name, from now on.

        May be called from any thread. Raises ValueError for a share outside 0..1."""
        self._states = {**self._states, name: RegionState(healthy, load)}  # a query sees the old or the new

    def _answer(self, wire: bytes, client: str, over_tcp: bool) -> bytes | None:
        self.queries += 1
        host = client.partition("%")[0]  # without the interface of a link-local address
        try:
            return answer(self.zone, wire, host, time.time(), self._states, self._cookies, over_tcp)
        except Exception:  # a learner's Chooser, or a damaged database of locations
            self.faults.report("answering a query failed")
            return only_a_code(wire, SERVFAIL)

    # -- as a server --------------------------------------------------------------------------

    async def serve(
        self, sock: socket.socket | None = None, on_ready: Callable[[], object] | None = None
    ) -> None:
        self._stopped = asyncio.Event()
        tcp, udp = self._bind()
        self.port = tcp.getsockname()[1]
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._answer), sock=udp)
        server = await asyncio.start_server(self._serve_connection, sock=tcp)
        checks = [asyncio.ensure_future(run()) for run in self.background]
        if on_ready:
            on_ready()
        try:
            await self._stopped.wait()
        finally:
            server.close()
            transport.close()
            tasks = [*self._connections, *checks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _bind(self) -> tuple[socket.socket, socket.socket]:
        """Return a TCP and a UDP socket of one port. Raises ProxyError."""
        for tries in range(TRIES):
            tcp = bound(self.host, self.port, socket.SOCK_STREAM)
            try:
                return tcp, bound(self.host, tcp.getsockname()[1], socket.SOCK_DGRAM)
            except ProxyError:
                tcp.close()
                if self.port or tries == TRIES - 1:
                    raise
        raise AssertionError("not reached")

    def shut(self, grace: float, notice: float = 0.0) -> None:
        if self._stopped is not None:
            self._stopped.set()

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        if len(self._connections) >= MOST_CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        try:
            client = writer.get_extra_info("peername")[0]
            with suppress(TimeoutError, asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:  # one query after the other, each with its length before it (RFC 1035, 4.2.2)
                    async with asyncio.timeout(IDLE):
                        length = int.from_bytes(await reader.readexactly(2), "big")
                        wire = await reader.readexactly(length)
                        told = self._answer(wire, client, over_tcp=True)
                        if told is None:
                            break
                        writer.write(len(told).to_bytes(2, "big") + told)
                        await writer.drain()
        finally:
            self._connections.discard(task)
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, reply: Callable[[bytes, str, bool], bytes | None]) -> None:
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # By duck typing, as uvloop's transport of datagrams is not asyncio's.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        told = self._reply(data, addr[0], False)
        if told is not None:
            self._transport.sendto(told, addr)
