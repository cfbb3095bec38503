"""An inspection appliance: receives packets in GENEVE, and passes, drops or answers them.

`python -m lbkit.net.geneve.appliance` runs one as a process: it prints its address, and ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any

from lbkit.core.text import shown
from lbkit.net.address import split_address
from lbkit.net.geneve.header import IPV4, IPV6, AwsOptions, GeneveError, Header, decode, encode
from lbkit.net.geneve.packet import ACK, SYN, Packet, PacketError, answer_to, read_packet
from lbkit.net.running import Running, bound

MOST_FLOWS = 100_000  # counted at once; beyond, counting starts again


class Verdict(Enum):
    """What becomes of a packet."""

    PASS = "pass"
    DROP = "drop"
    ANSWER = "answer"  # the sender gets a TCP reset, or a UDP packet


Judge = Callable[[Packet], Verdict]


def by_port(drop: frozenset[int] = frozenset(), answer: frozenset[int] = frozenset()) -> Judge:
    """Return firewall rules by port: `drop` in both directions of a flow, `answer` by destination port."""

    def judge(packet: Packet) -> Verdict:
        ports = {packet.source[1], packet.destination[1]}
        if ports & drop:
            return Verdict.DROP
        return Verdict.ANSWER if packet.destination[1] in answer else Verdict.PASS

    return judge


class Appliance(Running, asyncio.DatagramProtocol):
    """Inspects packets by `judge`, on a UDP port; a TCP port of the same number accepts health checks.

    `verdicts` counts packets by verdict, and `flows` by flow, both directions together, which shows whether
    the appliance gets all packets of a flow. `unknown` has the TCP flows that did not begin here; an
    appliance that keeps state would have to drop them."""

    def __init__(
        self, judge: Judge | None = None, listen: str = "127.0.0.1:0", name: str = "appliance"
    ) -> None:
        super().__init__(*split_address(listen, "listen"))
        if judge is not None and not callable(judge):
            raise ValueError(f"judge is {shown(judge)}: use a function of a packet")
        self.judge = judge or by_port()
        self.name = name
        self.verdicts: Counter[Verdict] = Counter()
        self.flows: Counter[str] = Counter()
        self.unknown: set[str] = set()
        self._transport: asyncio.DatagramTransport
        self._stop: asyncio.Event | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def serve(
        self, sock: socket.socket | None = None, on_ready: Callable[[], object] | None = None
    ) -> None:
        """Serve until `shut` is called. Raises ProxyError for a port that is taken."""
        self._stop = asyncio.Event()
        # The port that the kernel chooses for TCP may be in use for UDP; then another one is chosen.
        for left in reversed(range(20)):
            listening = bound(self.host, self.port, socket.SOCK_STREAM)
            try:
                own = sock or bound(self.host, listening.getsockname()[1], socket.SOCK_DGRAM)
                break
            except Exception:
                listening.close()
                if self.port or not left:
                    raise
        self.port = own.getsockname()[1]
        checked = await asyncio.get_running_loop().create_server(asyncio.Protocol, sock=listening)
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=own)
        try:
            if on_ready:
                on_ready()
            await self._stop.wait()
        finally:
            checked.close()
            self._transport.close()
            await asyncio.sleep(0)  # lets the transports close

    def shut(self, grace: float, notice: float = 0.0) -> None:
        if self._stop:
            self._stop.set()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        try:
            header, inside = decode(data)
            AwsOptions.read(header)
            packet = read_packet(inside)
        except (GeneveError, PacketError):
            self.faults.report("the gateway sent something other than a packet in GENEVE")
            return
        self._see(packet)
        try:
            verdict = Verdict(self.judge(packet))
        except Exception:  # a learner's rules may do anything; a packet without a verdict must not pass
            self.faults.report("judging a packet failed")
            verdict = Verdict.DROP
        self.verdicts[verdict] += 1
        if verdict is Verdict.DROP:
            return
        if verdict is Verdict.ANSWER:
            inside = answer_to(packet, f"refused by {self.name}".encode())
            kind = IPV4 if inside[0] >> 4 == 4 else IPV6
            data = encode(Header(kind, header.vni, header.options), inside)
        with suppress(OSError):  # a packet that the kernel rejects is lost, as UDP allows
            self._transport.sendto(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Do nothing: the gateway is gone."""

    def _see(self, packet: Packet) -> None:
        key = packet.key()
        if key not in self.flows:
            if len(self.flows) >= MOST_FLOWS:
                self.flows.clear()
                self.unknown.clear()
            if packet.flags and packet.flags & (SYN | ACK) != SYN:
                self.unknown.add(key)
        self.flows[key] += 1


def main(arguments: list[str] | None = None) -> None:
    """Run an appliance until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="An inspection appliance behind a gateway load balancer.")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--drop", type=int, action="append", default=[], metavar="PORT")
    parser.add_argument("--answer", type=int, action="append", default=[], metavar="PORT")
    chosen = parser.parse_args(arguments)
    judge = by_port(frozenset(chosen.drop), frozenset(chosen.answer))
    asyncio.run(_run(Appliance(judge, chosen.listen)))


async def _run(appliance: Appliance) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, appliance.shut, 0.0)
    await appliance.serve(on_ready=lambda: print(appliance.address, flush=True))


if __name__ == "__main__":
    main()
