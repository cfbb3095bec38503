"""An echo server over TCP and UDP, and the clients that play with it: what layer 4 relays.

`python -m benchmarks.proxy.echo PORT` serves.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from lbkit.net.loop import new_event_loop

LATE = 5.0  # seconds after which an answer is lost


class Echo(asyncio.Protocol, asyncio.DatagramProtocol):
    """Sends back what comes."""

    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


class Player(asyncio.Protocol, asyncio.DatagramProtocol):
    """Sends, waits for all of it to come back, and sends again, `trips` times."""

    transport: Any

    def __init__(self, size: int, trips: int) -> None:
        self.message = b"x" * size
        self.trips = trips
        self.done = 0
        self.missing = 0
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.play()

    def play(self) -> None:
        self.missing = len(self.message)
        send = self.transport.sendto if hasattr(self.transport, "sendto") else self.transport.write
        send(self.message)

    def data_received(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing:
            return
        self.done += 1
        if self.done < self.trips:
            self.play()
        elif not self.over.done():
            self.over.set_result(None)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(exc or ConnectionResetError("closed too early"))


async def play(port: int, connections: int, size: int, trips: int, udp: bool) -> int:
    """Return the number of round trips; over UDP it may be a few less, as a datagram may be lost."""
    loop = asyncio.get_running_loop()
    players = [Player(size, trips) for _ in range(connections)]
    for player in players:
        if udp:
            await loop.create_datagram_endpoint(lambda p=player: p, remote_addr=("127.0.0.1", port))  # type: ignore[misc]
        else:
            await loop.create_connection(lambda p=player: p, "127.0.0.1", port)  # type: ignore[misc]
    waiting = {player.over for player in players}
    while waiting:
        before = sum(player.done for player in players)
        _, waiting = await asyncio.wait(waiting, timeout=LATE)
        if waiting and before == sum(player.done for player in players):
            if not udp:
                sys.exit(f"{len(waiting)} connections through port {port} hang")
            break
    for player in players:
        player.transport.abort()
        if player.over.done():
            player.over.result()
    return sum(player.done for player in players)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Echo, ("127.0.0.1", port))
    server = await loop.create_server(Echo, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
